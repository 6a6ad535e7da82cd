-- The current state: routers, peers and routes. A route is current if it is not withdrawn and its
-- incarnation (session, generation) is not below the oldest valid incarnation of its peer and of its
-- family there. So a Peer Down or a sweep changes one row, however many routes it ends.

CREATE TABLE bmp_peers (
    peer_ip       inet NOT NULL,
    router_id     inet,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    is_active     boolean NOT NULL,
    collector     text NOT NULL,
    router        text NOT NULL,
    port          integer NOT NULL,
    session       timestamptz NOT NULL,
    sys_name      text,
    sys_descr     text,
    information   text[],
    ended_at      timestamptz,
    end_reason    text,
    sessions      bigint NOT NULL,
    PRIMARY KEY (collector, router)
) WITH (fillfactor = 50);
COMMENT ON TABLE bmp_peers IS
    'Routers, one row per collector and router. Written by lane 0 only. The first five columns are those
of pybmpmon.';
COMMENT ON COLUMN bmp_peers.peer_ip IS 'Source address of the newest BMP session.';
COMMENT ON COLUMN bmp_peers.router_id IS 'BGP identifier of the router; null if unknown.';
COMMENT ON COLUMN bmp_peers.is_active IS 'True while the newest session is connected.';
COMMENT ON COLUMN bmp_peers.router IS 'Name of the router: sysName, or its address.';
COMMENT ON COLUMN bmp_peers.session IS 'Start of the newest session.';
COMMENT ON COLUMN bmp_peers.information IS 'Free-form information TLVs of the Initiation message.';
COMMENT ON COLUMN bmp_peers.ended_at IS 'End of the newest session; null while it is connected.';
COMMENT ON COLUMN bmp_peers.sessions IS 'Number of sessions since first_seen.';

CREATE TABLE bgp_peers (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collector          text NOT NULL,
    router             text NOT NULL,
    peer_type          smallint NOT NULL,
    distinguisher      bytea NOT NULL,
    address            inet NOT NULL,
    rib                text NOT NULL,
    peer_distinguisher text NOT NULL,
    bmp_peer_ip        inet NOT NULL,
    asn                bigint NOT NULL,
    bgp_id             inet NOT NULL,
    table_name         text,
    state              text NOT NULL CHECK (state IN ('up', 'down', 'stale')),
    session            timestamptz NOT NULL,
    generation         bigint NOT NULL,
    state_seq          bigint NOT NULL,
    state_idx          integer NOT NULL,
    valid_session      timestamptz NOT NULL,
    valid_generation   bigint NOT NULL,
    first_seen         timestamptz NOT NULL,
    last_seen          timestamptz NOT NULL,
    up_since           timestamptz,
    down_at            timestamptz,
    down_reason        integer,
    stale_since        timestamptz,
    stale_reason       text,
    ups                bigint NOT NULL DEFAULT 0,
    downs              bigint NOT NULL DEFAULT 0,
    announced          bigint NOT NULL DEFAULT 0,
    withdrawn          bigint NOT NULL DEFAULT 0,
    detail             jsonb,
    UNIQUE (collector, router, peer_type, distinguisher, address, rib)
) WITH (fillfactor = 50);
COMMENT ON TABLE bgp_peers IS
    'RIB views of BGP peers: one row per collector, router, peer and RIB view. Each row is written by one
lane only.';
COMMENT ON COLUMN bgp_peers.distinguisher IS 'Peer distinguisher in wire format; part of the key.';
COMMENT ON COLUMN bgp_peers.address IS 'Address of the peer; part of the key.';
COMMENT ON COLUMN bgp_peers.rib IS
    'RIB view: adj-in-pre, adj-in-post, adj-out-pre, adj-out-post, loc-rib or unknown.';
COMMENT ON COLUMN bgp_peers.peer_distinguisher IS 'Peer distinguisher as text; 0:0 for the global instance.';
COMMENT ON COLUMN bgp_peers.bmp_peer_ip IS 'Source address of the router''s BMP session.';
COMMENT ON COLUMN bgp_peers.asn IS 'AS number of the peer; the last one that was not 0.';
COMMENT ON COLUMN bgp_peers.bgp_id IS 'BGP identifier of the peer; the last one that was not 0.0.0.0.';
COMMENT ON COLUMN bgp_peers.table_name IS 'VRF or table name of a Loc-RIB (RFC 9069); null if unknown.';
COMMENT ON COLUMN bgp_peers.state IS
    'up, down, or stale: the BMP session ended, or the collector stopped following the peer.';
COMMENT ON COLUMN bgp_peers.session IS 'Session of the newest incarnation.';
COMMENT ON COLUMN bgp_peers.generation IS 'Generation of the newest incarnation.';
COMMENT ON COLUMN bgp_peers.state_seq IS 'Sequence number of the record that set state.';
COMMENT ON COLUMN bgp_peers.state_idx IS 'Index in its batch of the record that set state.';
COMMENT ON COLUMN bgp_peers.valid_session IS
    'Session of the oldest valid incarnation. Routes of older incarnations were ended by a Peer Down.';
COMMENT ON COLUMN bgp_peers.valid_generation IS 'Generation of the oldest valid incarnation.';
COMMENT ON COLUMN bgp_peers.up_since IS 'Time of the last Peer Up; null if none was received.';
COMMENT ON COLUMN bgp_peers.down_at IS 'Time of the last Peer Down; null if none was received.';
COMMENT ON COLUMN bgp_peers.down_reason IS 'Reason code of the last Peer Down.';
COMMENT ON COLUMN bgp_peers.stale_since IS 'Time since which the state is stale; else null.';
COMMENT ON COLUMN bgp_peers.ups IS 'Number of Peer Ups.';
COMMENT ON COLUMN bgp_peers.downs IS 'Number of Peer Downs.';
COMMENT ON COLUMN bgp_peers.announced IS 'Number of announcements received.';
COMMENT ON COLUMN bgp_peers.withdrawn IS 'Number of withdrawals received.';
COMMENT ON COLUMN bgp_peers.detail IS 'Families, capabilities and timers of the last Peer Up.';

CREATE TABLE peer_families (
    peer_id          bigint NOT NULL,
    afi              integer NOT NULL,
    safi             smallint NOT NULL,
    eor_session      timestamptz,
    eor_generation   bigint,
    eor_at           timestamptz,
    valid_session    timestamptz NOT NULL DEFAULT '-infinity',
    valid_generation bigint NOT NULL DEFAULT 0,
    suspect_session    timestamptz,
    suspect_generation bigint,
    suspect_at         timestamptz,
    suspect_reason     text,
    PRIMARY KEY (peer_id, afi, safi)
) WITH (fillfactor = 50);
COMMENT ON TABLE peer_families IS
    'Address families of a RIB view: the last End-of-RIB and sweep, and the last PDU that could not be
decoded. AFI 0, SAFI 0 stands for PDUs whose family could not be determined.';
COMMENT ON COLUMN peer_families.peer_id IS 'bgp_peers.id.';
COMMENT ON COLUMN peer_families.eor_session IS 'Session of the last End-of-RIB.';
COMMENT ON COLUMN peer_families.eor_generation IS 'Generation of the last End-of-RIB.';
COMMENT ON COLUMN peer_families.eor_at IS 'Time of the last End-of-RIB.';
COMMENT ON COLUMN peer_families.valid_session IS
    'Session of the oldest valid incarnation. Routes of older incarnations were ended by a sweep.';
COMMENT ON COLUMN peer_families.valid_generation IS 'Generation of the oldest valid incarnation.';
COMMENT ON COLUMN peer_families.suspect_session IS 'Session of the last PDU that could not be decoded.';
COMMENT ON COLUMN peer_families.suspect_generation IS 'Generation of the last PDU that could not be decoded.';
COMMENT ON COLUMN peer_families.suspect_at IS 'Time of the last PDU that could not be decoded.';
COMMENT ON COLUMN peer_families.suspect_reason IS 'Decoding error of that PDU.';

CREATE TABLE path_attributes (
    hash                 uuid PRIMARY KEY,
    origin               smallint,
    as_path              bigint[],
    as_path_text         text,
    origin_as            bigint,
    next_hop             inet,
    next_hop_link_local  inet,
    med                  bigint,
    local_pref           bigint,
    atomic_aggregate     boolean,
    aggregator_asn       bigint,
    aggregator_address   inet,
    communities          text[],
    extended_communities text[],
    large_communities    text[],
    originator_id        inet,
    cluster_list         inet[],
    aigp                 numeric(20),
    otc                  bigint,
    attributes_raw       bytea,
    attributes_more      text[],
    missing              text[],
    discarded            text[],
    used_at              timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE path_attributes IS
    'Attribute sets of current routes. The hash is seeded with collector and lane, so that no two lanes
share a row. Columns as in route_updates.';
COMMENT ON COLUMN path_attributes.used_at IS 'Last use, accurate to a day; see holdfast_clean_attributes.';

-- Half-empty pages let every row of a page be updated in place (HOT).
CREATE TABLE rib_entries (
    peer_id           bigint NOT NULL,
    first_seen        timestamptz NOT NULL,
    last_seen         timestamptz NOT NULL,
    last_state_change timestamptz NOT NULL,
    session           timestamptz NOT NULL,
    generation        bigint NOT NULL,
    seq               bigint NOT NULL,
    path_id           bigint,
    idx               integer NOT NULL,
    learn_count       integer NOT NULL,
    withdraw_count    integer NOT NULL,
    afi               integer NOT NULL,
    safi              smallint NOT NULL,
    is_withdrawn      boolean NOT NULL,
    attributes        uuid,
    route_key         bytea NOT NULL,
    prefix            cidr,
    rd                text,
    evpn_route_type   integer,
    evpn_rd           text,
    evpn_esi          text,
    evpn_tag          bigint,
    mac_address       text,
    evpn_ip           inet,
    evpn_gateway      inet,
    labels            bigint[],
    nlri              text,
    nlri_raw          bytea,
    PRIMARY KEY (peer_id, route_key)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.1);
CREATE INDEX rib_entries_prefix ON rib_entries (prefix) WHERE prefix IS NOT NULL;
CREATE INDEX rib_entries_mac ON rib_entries (mac_address) WHERE mac_address IS NOT NULL;
COMMENT ON TABLE rib_entries IS
    'Last update of each route of each RIB view, withdrawn routes included. Columns not commented here are
as in route_updates. The view route_state has the same rows with all columns.';
COMMENT ON COLUMN rib_entries.peer_id IS 'bgp_peers.id.';
COMMENT ON COLUMN rib_entries.last_state_change IS 'Time at which the route was last learned or lost.';
COMMENT ON COLUMN rib_entries.session IS 'Session of the last update.';
COMMENT ON COLUMN rib_entries.generation IS 'Generation of the last update.';
COMMENT ON COLUMN rib_entries.seq IS 'Sequence number of the last update.';
COMMENT ON COLUMN rib_entries.idx IS 'Index in its batch of the last update.';
COMMENT ON COLUMN rib_entries.learn_count IS
    'Number of times the route was learned; re-announcements do not count.';
COMMENT ON COLUMN rib_entries.withdraw_count IS
    'Number of times the route was withdrawn; repeated withdrawals do not count.';
COMMENT ON COLUMN rib_entries.attributes IS
    'path_attributes.hash of the last announcement; null if there was none.';
COMMENT ON COLUMN rib_entries.route_key IS 'Key of the route within its RIB view, for every family.';

CREATE TABLE upkeep (
    task    text PRIMARY KEY,
    done_at timestamptz NOT NULL
);
COMMENT ON TABLE upkeep IS
    'Maintenance tasks that run less often than once an hour, with the time of their last run.';
