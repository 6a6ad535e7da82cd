-- History: append-only tables, partitioned by time. They are hypertables where the extension timescaledb
-- can be created; on plain PostgreSQL they are range partitions, which the collector creates ahead of time
-- (holdfast_make_partitions).

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS timescaledb;
EXCEPTION
    -- The extension is not installed or preloaded, or the role may not create it: native partitions are used.
    WHEN feature_not_supported OR undefined_file OR insufficient_privilege OR object_not_in_prerequisite_state
        OR invalid_parameter_value THEN NULL;
END
$$;

CREATE TABLE partitioned_tables (
    name           text PRIMARY KEY,
    is_hypertable  boolean NOT NULL,
    chunk_interval interval NOT NULL,
    dropped_before timestamptz
);
COMMENT ON TABLE partitioned_tables IS 'Tables that are partitioned by their column time.';
COMMENT ON COLUMN partitioned_tables.is_hypertable IS
    'True for a TimescaleDB hypertable, false for native range partitions.';
COMMENT ON COLUMN partitioned_tables.chunk_interval IS 'Period that one chunk or partition covers.';
COMMENT ON COLUMN partitioned_tables.dropped_before IS
    'Retention has dropped all rows before this time; null if it has dropped none.';

CREATE TABLE time_partitions (
    table_name text NOT NULL REFERENCES partitioned_tables (name),
    name       text NOT NULL PRIMARY KEY,
    from_time  timestamptz NOT NULL,
    until_time timestamptz NOT NULL,
    UNIQUE (table_name, from_time)
);
COMMENT ON TABLE time_partitions IS
    'Native partitions and their bounds. Empty if the tables are hypertables.';
COMMENT ON COLUMN time_partitions.name IS 'Name of the table that is the partition.';
COMMENT ON COLUMN time_partitions.from_time IS 'Inclusive lower bound.';
COMMENT ON COLUMN time_partitions.until_time IS 'Exclusive upper bound.';

CREATE TABLE dropped_records (
    table_name text NOT NULL,
    collector  text NOT NULL,
    log_id     uuid NOT NULL,
    last_seq   bigint NOT NULL,
    records    bigint NOT NULL,
    PRIMARY KEY (table_name, collector, log_id)
);
COMMENT ON TABLE dropped_records IS
    'Number of rows that retention has dropped, so that holdfast_verify does not report them as missing.';
COMMENT ON COLUMN dropped_records.last_seq IS 'Highest sequence number among the dropped rows.';
COMMENT ON COLUMN dropped_records.records IS 'Number of dropped rows.';

-- Partitions an empty table by its column `time`. The migrator sets holdfast.chunk_interval from
-- CHUNK_INTERVAL_DAYS.
CREATE FUNCTION pg_temp.partition_by_time(table_name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    step interval :=
        coalesce(nullif(current_setting('holdfast.chunk_interval', true), ''), '7 days')::interval;
    has_timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    IF has_timescale THEN
        EXECUTE format('SELECT create_hypertable(%L, ''time'', chunk_time_interval => %L::interval,
            create_default_indexes => false)', table_name, step);
    ELSE
        EXECUTE format('ALTER TABLE %I RENAME TO %I', table_name, table_name || '_shape');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY RANGE (time)',
            table_name, table_name || '_shape');
        EXECUTE format('DROP TABLE %I', table_name || '_shape');
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', table_name || '_default', table_name);
    END IF;
    INSERT INTO partitioned_tables VALUES (table_name, has_timescale, step);
END
$$;

-- No unique index: (collector, log_id, seq, idx) is unique by construction, and an index could only hide a
-- violation.
CREATE TABLE route_updates (
    time                 timestamptz NOT NULL,
    bmp_peer_ip          inet NOT NULL,
    bmp_peer_asn         bigint,
    bgp_peer_ip          inet NOT NULL,
    bgp_peer_asn         bigint NOT NULL,
    family               text NOT NULL,
    prefix               cidr,
    next_hop             inet,
    as_path              bigint[],
    communities          text[],
    extended_communities text[],
    med                  bigint,
    local_pref           bigint,
    is_withdrawn         boolean NOT NULL,
    evpn_route_type      integer,
    evpn_rd              text,
    evpn_esi             text,
    mac_address          text,
    router_time          timestamptz,
    collector            text NOT NULL,
    log_id               uuid NOT NULL,
    seq                  bigint NOT NULL,
    idx                  integer NOT NULL,
    session              timestamptz NOT NULL,
    generation           bigint NOT NULL,
    router               text NOT NULL,
    peer_type            smallint NOT NULL,
    peer_distinguisher   text NOT NULL,
    bgp_id               inet NOT NULL,
    rib                  text NOT NULL,
    table_name           text,
    afi                  integer NOT NULL,
    safi                 smallint NOT NULL,
    path_id              bigint,
    cause                text NOT NULL,
    origin               smallint,
    as_path_text         text,
    origin_as            bigint,
    next_hop_link_local  inet,
    atomic_aggregate     boolean,
    aggregator_asn       bigint,
    aggregator_address   inet,
    large_communities    text[],
    originator_id        inet,
    cluster_list         inet[],
    aigp                 numeric(20),
    otc                  bigint,
    evpn_tag             bigint,
    evpn_ip              inet,
    evpn_gateway         inet,
    labels               bigint[],
    rd                   text,
    nlri                 text,
    nlri_raw             bytea,
    attributes_raw       bytea,
    attributes_more      text[],
    missing              text[],
    discarded            text[],
    route_key            bytea NOT NULL
);
SELECT pg_temp.partition_by_time('route_updates');
CREATE INDEX route_updates_time ON route_updates (time DESC);
CREATE INDEX route_updates_prefix ON route_updates (prefix, time DESC);
COMMENT ON TABLE route_updates IS
    'History of routes: one row per announcement or withdrawal. The columns up to mac_address are those of
pybmpmon, with wider types.';
COMMENT ON COLUMN route_updates.time IS 'Time at which the collector received the message.';
COMMENT ON COLUMN route_updates.bmp_peer_ip IS 'Source address of the router''s BMP session.';
COMMENT ON COLUMN route_updates.bmp_peer_asn IS
    'Always null; kept for queries that were written for pybmpmon.';
COMMENT ON COLUMN route_updates.bgp_peer_ip IS 'Peer address of the BMP per-peer header.';
COMMENT ON COLUMN route_updates.bgp_peer_asn IS 'Peer AS of the BMP per-peer header.';
COMMENT ON COLUMN route_updates.family IS
    'Name of the address family (holdfast_family), or afi/safi in digits.';
COMMENT ON COLUMN route_updates.prefix IS
    'Prefix. EVPN: that of route type 5; flow specification: the destination; BGP-LS: that of a prefix
NLRI. Else null.';
COMMENT ON COLUMN route_updates.as_path IS 'All AS numbers of AS_PATH in order, segments joined.';
COMMENT ON COLUMN route_updates.communities IS
    'Standard communities as text, in the order sent, for example 65000:100.';
COMMENT ON COLUMN route_updates.extended_communities IS
    'Extended communities as text, for example RT:65000:100.';
COMMENT ON COLUMN route_updates.is_withdrawn IS 'True for a withdrawal, false for an announcement.';
COMMENT ON COLUMN route_updates.router_time IS
    'Timestamp of the BMP per-peer header; null if the router sent none.';
COMMENT ON COLUMN route_updates.log_id IS 'Write-ahead log of the collector that holds the record.';
COMMENT ON COLUMN route_updates.seq IS 'Sequence number of the batch in the log, from 1 without holes.';
COMMENT ON COLUMN route_updates.idx IS 'Index of the record in the batch, from 0 without holes.';
COMMENT ON COLUMN route_updates.session IS
    'Start of the BMP session. With generation it is the incarnation of the peer.';
COMMENT ON COLUMN route_updates.generation IS
    'Number of Peer Up and Peer Down messages of the peer within the session.';
COMMENT ON COLUMN route_updates.router IS 'Name of the router: sysName, or its address.';
COMMENT ON COLUMN route_updates.peer_type IS 'Peer type of the BMP per-peer header (RFC 7854, section 4.2).';
COMMENT ON COLUMN route_updates.peer_distinguisher IS
    'Peer distinguisher as text; 0:0 for the global instance.';
COMMENT ON COLUMN route_updates.rib IS
    'RIB view: adj-in-pre, adj-in-post, adj-out-pre, adj-out-post, loc-rib or unknown.';
COMMENT ON COLUMN route_updates.table_name IS 'VRF or table name of a Loc-RIB (RFC 9069); null if unknown.';
COMMENT ON COLUMN route_updates.path_id IS 'ADD-PATH path identifier; null without ADD-PATH.';
COMMENT ON COLUMN route_updates.cause IS
    'update, withdraw, initial-dump, re-dump or treat-as-withdraw (RFC 7606).';
COMMENT ON COLUMN route_updates.origin IS 'ORIGIN as on the wire: 0 IGP, 1 EGP, 2 INCOMPLETE.';
COMMENT ON COLUMN route_updates.as_path_text IS
    'AS_PATH with its segments as text; null if it is one AS_SEQUENCE, so that as_path is complete.';
COMMENT ON COLUMN route_updates.origin_as IS
    'Last AS number of the path; null if the path is empty or ends in an AS_SET.';
COMMENT ON COLUMN route_updates.otc IS 'Only to Customer attribute (RFC 9234).';
COMMENT ON COLUMN route_updates.evpn_ip IS
    'EVPN: host address of route type 2, originating router of types that name one.';
COMMENT ON COLUMN route_updates.labels IS
    'EVPN: 24-bit fields as sent, each a VNI or a label in the upper 20 bits. Labelled unicast and VPN:
20-bit labels, outermost first. Null in withdrawals.';
COMMENT ON COLUMN route_updates.rd IS 'Route distinguisher, for each family that has one.';
COMMENT ON COLUMN route_updates.nlri IS 'Decoded NLRI as text; null for plain, labelled and VPN prefixes.';
COMMENT ON COLUMN route_updates.nlri_raw IS
    'NLRI in wire format, if its family or route type is not decoded.';
COMMENT ON COLUMN route_updates.attributes_raw IS
    'Path attributes without a column of their own, in BGP wire format.';
COMMENT ON COLUMN route_updates.attributes_more IS 'Attributes of attributes_raw that are decoded, as text.';
COMMENT ON COLUMN route_updates.missing IS 'Mandatory attributes that the announcement lacks.';
COMMENT ON COLUMN route_updates.discarded IS 'Attributes discarded according to RFC 7606, with the reason.';
COMMENT ON COLUMN route_updates.route_key IS
    'Key of the route within its RIB view, for every family; as in rib_entries.';

-- The community edition of TimescaleDB compresses chunks that receive no new rows. Segments by peer and
-- order by time use least space, and the last update of a prefix is in one of the first batches that are
-- read; with order by prefix, rib_at takes ten times as long (docs/SCHEMA.md has the figures). Other
-- editions refuse, and keep the rows uncompressed.
DO $$
BEGIN
    IF (SELECT is_hypertable FROM partitioned_tables WHERE name = 'route_updates') THEN
        ALTER TABLE route_updates SET (timescaledb.compress,
            timescaledb.compress_segmentby = 'bgp_peer_ip, rib', timescaledb.compress_orderby = 'time DESC');
        EXECUTE format('SELECT add_compression_policy(''route_updates'', compress_after => %L::interval,
            if_not_exists => true)',
            (SELECT 2 * chunk_interval FROM partitioned_tables WHERE name = 'route_updates'));
    END IF;
EXCEPTION
    WHEN feature_not_supported THEN NULL;
END
$$;

CREATE TABLE peer_events (
    time               timestamptz NOT NULL,
    peer_ip            inet NOT NULL,
    event_type         text NOT NULL,
    reason_code        integer,
    router_time        timestamptz,
    collector          text NOT NULL,
    log_id             uuid NOT NULL,
    seq                bigint NOT NULL,
    idx                integer NOT NULL,
    session            timestamptz NOT NULL,
    generation         bigint,
    router             text NOT NULL,
    bgp_peer_ip        inet,
    bgp_peer_asn       bigint,
    bgp_id             inet,
    peer_type          smallint,
    peer_distinguisher text,
    rib                text,
    table_name         text,
    afi                integer,
    safi               smallint,
    sent_open          bytea,
    received_open      bytea,
    data               bytea,
    detail             jsonb
);
SELECT pg_temp.partition_by_time('peer_events');
CREATE INDEX peer_events_time ON peer_events (time DESC);
CREATE INDEX peer_events_peer ON peer_events (peer_ip, time DESC);
COMMENT ON TABLE peer_events IS
    'History of peers and sessions: Peer Up and Down, End-of-RIB, sweeps, stale marks, session starts and
ends, mirrored and malformed PDUs. Columns not commented here are as in route_updates.';
COMMENT ON COLUMN peer_events.peer_ip IS 'Address of the router, as in pybmpmon; not that of the BGP peer.';
COMMENT ON COLUMN peer_events.reason_code IS 'Reason of a Peer Down or a BMP Termination.';
COMMENT ON COLUMN peer_events.afi IS 'AFI of an End-of-RIB or a sweep.';
COMMENT ON COLUMN peer_events.safi IS 'SAFI of an End-of-RIB or a sweep.';
COMMENT ON COLUMN peer_events.sent_open IS 'OPEN message that the router sent, from a Peer Up.';
COMMENT ON COLUMN peer_events.received_open IS 'OPEN message that the router received, from a Peer Up.';
COMMENT ON COLUMN peer_events.data IS
    'Data of a Peer Down (NOTIFICATION or FSM event code); bytes of a mirrored or malformed PDU.';
COMMENT ON COLUMN peer_events.detail IS 'Further fields of the event, by name.';

CREATE TABLE peer_stats (
    time               timestamptz NOT NULL,
    peer_ip            inet NOT NULL,
    router_time        timestamptz,
    collector          text NOT NULL,
    log_id             uuid NOT NULL,
    seq                bigint NOT NULL,
    idx                integer NOT NULL,
    session            timestamptz NOT NULL,
    generation         bigint,
    router             text NOT NULL,
    bgp_peer_ip        inet,
    bgp_peer_asn       bigint,
    bgp_id             inet,
    peer_type          smallint,
    peer_distinguisher text,
    rib                text,
    table_name         text,
    statistics         jsonb NOT NULL
);
SELECT pg_temp.partition_by_time('peer_stats');
CREATE INDEX peer_stats_time ON peer_stats (time DESC);
COMMENT ON TABLE peer_stats IS
    'BMP Statistics Reports, one row each; the view peer_statistics has one row per counter. Columns not
commented here are as in peer_events.';
COMMENT ON COLUMN peer_stats.peer_ip IS 'Address of the router; not that of the BGP peer.';
COMMENT ON COLUMN peer_stats.statistics IS 'Array of counters: type, afi, safi, value and raw (hexadecimal).';

CREATE TABLE kept_routes (LIKE route_updates);
ALTER TABLE kept_routes ADD PRIMARY KEY
    (collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, route_key);
CREATE INDEX kept_routes_prefix ON kept_routes (prefix);
COMMENT ON TABLE kept_routes IS
    'Last update of each route before the cut-off of retention, if it is an announcement. Tables of later
times need it. Columns as in route_updates.';
CREATE TABLE kept_route_ends (
    time               timestamptz NOT NULL,
    collector          text NOT NULL,
    router             text NOT NULL,
    peer_type          smallint NOT NULL,
    peer_distinguisher text NOT NULL,
    bgp_peer_ip        inet NOT NULL,
    rib                text NOT NULL,
    afi                integer,
    safi               smallint,
    session            timestamptz NOT NULL,
    generation         bigint NOT NULL
);
CREATE INDEX kept_route_ends_peer ON kept_route_ends (bgp_peer_ip);
COMMENT ON TABLE kept_route_ends IS
    'Peer Downs and sweeps whose rows retention has dropped from peer_events; columns as in the view
route_ends.';

DROP FUNCTION pg_temp.partition_by_time(text);
