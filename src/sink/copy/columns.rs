//! The columns that COPY fills, in the order in which the encoder writes them.
//!
//! The order is not that of the tables: what a batch, a peer and an attribute set fix stands together, so that the
//! encoder makes each such block once and copies it for every row. Names are those of the migrations and of
//! `codec::json`; tests hold all three together.

/// Fixed by batch and peer.
pub const PEER: &[&str] = &[
    "collector",
    "log_id",
    "seq",
    "session",
    "router",
    "bmp_peer_ip",
    "bgp_peer_ip",
    "bgp_peer_asn",
    "generation",
    "peer_type",
    "peer_distinguisher",
    "bgp_id",
    "rib",
    "table_name",
];

/// Fixed by the attribute set; also the columns of `path_attributes` behind the hash.
pub const ATTRIBUTES: &[&str] = &[
    "origin",
    "as_path",
    "as_path_text",
    "origin_as",
    "next_hop",
    "next_hop_link_local",
    "med",
    "local_pref",
    "atomic_aggregate",
    "aggregator_asn",
    "aggregator_address",
    "communities",
    "extended_communities",
    "large_communities",
    "originator_id",
    "cluster_list",
    "aigp",
    "otc",
    "attributes_raw",
    "attributes_more",
    "missing",
    "discarded",
];

/// Fixed by the group, and the row's number.
pub const GROUP: &[&str] =
    &["time", "router_time", "family", "afi", "safi", "is_withdrawn", "cause", "idx", "path_id"];

/// The route itself.
pub const NLRI: &[&str] = &[
    "prefix",
    "rd",
    "evpn_route_type",
    "evpn_rd",
    "evpn_esi",
    "evpn_tag",
    "mac_address",
    "evpn_ip",
    "evpn_gateway",
    "labels",
    "nlri",
    "nlri_raw",
];

/// Columns of `route_updates`, in blocks.
pub const ROUTE_UPDATES: &[&[&str]] = &[PEER, ATTRIBUTES, GROUP, NLRI, &["route_key"]];

/// What an event or a Statistics Report has of its batch and peer.
pub const EVENT: &[&str] = &[
    "collector",
    "log_id",
    "seq",
    "session",
    "router",
    "peer_ip",
    "bgp_peer_ip",
    "bgp_peer_asn",
    "generation",
    "peer_type",
    "peer_distinguisher",
    "bgp_id",
    "rib",
    "table_name",
    "time",
    "router_time",
    "idx",
];

/// Columns of `peer_events`, in blocks.
pub const PEER_EVENTS: &[&[&str]] =
    &[EVENT, &["event_type", "reason_code", "afi", "safi", "sent_open", "received_open", "data", "detail"]];

/// Columns of `peer_stats`, in blocks.
pub const PEER_STATS: &[&[&str]] = &[EVENT, &["statistics"]];

/// Columns of `collector_gaps`.
pub const COLLECTOR_GAPS: &[&[&str]] = &[&[
    "collector",
    "log_id",
    "seq",
    "idx",
    "first_seq",
    "last_seq",
    "router",
    "reason",
    "from_time",
    "until_time",
]];

/// Columns of `path_attributes`, in blocks.
pub const PATH_ATTRIBUTES: &[&[&str]] = &[&["hash"], ATTRIBUTES];

/// Columns of the staging table of `rib_entries`, in blocks, with those that only the merge needs.
pub const STAGED: &[&[&str]] = &[
    &[
        "peer_id",
        "route_key",
        "afi",
        "safi",
        "path_id",
        "first_time",
        "last_time",
        "flip_time",
        "session",
        "generation",
        "seq",
        "idx",
        "learns",
        "withdraws",
        "is_withdrawn",
        "attributes",
        "begins_withdrawn",
        "valid_session",
        "valid_generation",
    ],
    NLRI,
];

/// Columns of `rib_entries`, in blocks: those of a route that is known to be new.
pub const RIB_ENTRIES: &[&[&str]] = &[
    &[
        "peer_id",
        "route_key",
        "afi",
        "safi",
        "path_id",
        "first_seen",
        "last_seen",
        "last_state_change",
        "session",
        "generation",
        "seq",
        "idx",
        "learn_count",
        "withdraw_count",
        "is_withdrawn",
        "attributes",
    ],
    NLRI,
];

/// Columns of the table in which re-dumped routes wait for the answer whether they change anything, in blocks.
pub const REPEATED: &[&[&str]] = &[
    &[
        "number",
        "peer_id",
        "route_key",
        "session",
        "generation",
        "seq",
        "idx",
        "attributes",
        "valid_session",
        "valid_generation",
    ],
    NLRI,
];

/// How many columns the blocks have together.
#[must_use]
pub fn count(blocks: &[&[&str]]) -> usize {
    blocks.iter().map(|block| block.len()).sum()
}

/// The COPY statement that takes the blocks.
#[must_use]
pub fn copy_statement(table: &str, blocks: &[&[&str]]) -> String {
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", blocks.concat().join(", "))
}
