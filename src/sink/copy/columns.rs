//! Column lists of all tables that COPY fills, in the order in which the encoder writes the fields.
//!
//! The order differs from that of the tables. Columns with the same value in all rows of one batch, peer or
//! attribute set form a block, which the encoder writes once and copies into every row. Names are those of
//! the migrations and of `codec::json`; tests/delivery/columns.rs and tests/delivery/migrations.rs check all
//! three against each other.
//!
//! The temporary tables of a lane's connection are created from these lists as well ([`temporary_table`]), so
//! that a column is named once.

/// Columns of `incarnations`, except its key and the time of its last use.
pub const INCARNATION: &[&str] = &[
    "collector",
    "log_id",
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

/// Columns of an attribute set, after the hash, in `attribute_sets` and `path_attributes`.
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

/// Columns of the path marking (BMP version 4), after those of the attribute set.
pub const MARKING: &[&str] = &["path_status", "path_reason", "path_marking"];

/// Columns of `route_records` whose values depend on the group, and the index of the record.
pub const GROUP: &[&str] =
    &["time", "router_time", "afi", "safi", "is_withdrawn", "cause", "seq", "idx", "path_id"];

/// Columns of the NLRI.
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

/// Columns of `route_records`, as blocks.
pub const ROUTE_RECORDS: &[&[&str]] = &[&["incarnation", "attributes"], GROUP, NLRI, &["route_key"]];

/// Columns of a row of `route_records` that has its attributes itself, as blocks.
pub const WHOLE_ROUTE_RECORDS: &[&[&str]] =
    &[&["incarnation", "attributes"], GROUP, NLRI, &["route_key"], ATTRIBUTES, MARKING];

/// Columns of `incarnations`, as blocks.
pub const INCARNATIONS: &[&[&str]] = &[&["id"], INCARNATION, &["used_at"]];

/// Columns that `peer_events` and `peer_stats` share: batch, peer, times and index of the record.
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

/// Columns of `peer_events`, as blocks.
pub const PEER_EVENTS: &[&[&str]] =
    &[EVENT, &["event_type", "reason_code", "afi", "safi", "sent_open", "received_open", "data", "detail"]];

/// Columns of `peer_stats`, as blocks.
pub const PEER_STATS: &[&[&str]] = &[EVENT, &["statistics"]];

/// Columns of `collector_gaps`, as blocks.
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

/// Columns of `rejected_routes`, as blocks.
pub const REJECTED_ROUTES: &[&[&str]] =
    &[&["collector", "log_id", "seq", "idx", "lane", "sqlstate", "error", "record", "payload"]];

/// Columns of `path_attributes`, as blocks.
pub const PATH_ATTRIBUTES: &[&[&str]] = &[&["hash"], ATTRIBUTES, MARKING];

/// Columns of `attribute_sets`, as blocks.
pub const ATTRIBUTE_SETS: &[&[&str]] = &[&["time", "hash"], ATTRIBUTES, MARKING];

/// Columns of a route in the current table, except those of its NLRI.
const RIB_ROUTE: &[&str] = &[
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
];

/// Columns of `rib_entries`, as blocks.
pub const RIB_ENTRIES: &[&[&str]] = &[RIB_ROUTE, NLRI];

/// Columns of the temporary table `staged`, as blocks: a row of `rib_entries` and the inputs of the merge.
pub const STAGED: &[&[&str]] =
    &[RIB_ROUTE, &["number", "begins_withdrawn", "valid_session", "valid_generation"], NLRI];

/// Columns of `swept_routes`, as blocks.
pub const SWEPT_ROUTES: &[&[&str]] =
    &[&["peer_id", "route_key", "afi", "safi", "session", "generation", "until"]];

/// Columns of the temporary table `dedup_candidates`, as blocks.
pub const DEDUP_CANDIDATES: &[&[&str]] = &[
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
        "after_session",
        "after_generation",
        "repeats",
    ],
    NLRI,
];

/// Columns of the temporary tables that `rib_entries` does not have, with their types.
const TEMPORARY_ONLY: [(&str, &str); 7] = [
    ("number", "integer"),
    ("begins_withdrawn", "boolean"),
    ("valid_session", "timestamptz"),
    ("valid_generation", "bigint"),
    ("after_session", "timestamptz"),
    ("after_generation", "bigint"),
    ("repeats", "boolean"),
];

/// Number of columns in all blocks.
#[must_use]
pub fn count(blocks: &[&[&str]]) -> usize {
    blocks.iter().map(|block| block.len()).sum()
}

/// The COPY statement for the blocks.
#[must_use]
pub fn copy_statement(table: &str, blocks: &[&[&str]]) -> String {
    format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", blocks.concat().join(", "))
}

/// The statement that creates a temporary table with the columns of the blocks, emptied at each commit. A
/// column of `rib_entries` has the type that it has there.
#[must_use]
pub fn temporary_table(table: &str, blocks: &[&[&str]]) -> String {
    let column = |name: &&str| match TEMPORARY_ONLY.iter().find(|(only, _)| only == name) {
        Some((_, kind)) => format!("NULL::{kind} AS {name}"),
        None => (*name).to_owned(),
    };
    let columns = blocks.concat().iter().map(column).collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TEMP TABLE {table} ON COMMIT DELETE ROWS AS SELECT {columns} FROM rib_entries WITH NO DATA"
    )
}
