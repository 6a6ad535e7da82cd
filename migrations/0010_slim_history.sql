-- History in which each row has what is new in a record (route_records). What many records have in common is
-- stored once: the identity of a peer and its session (incarnations), and attribute sets (attribute_sets).
-- The view route_updates joins them, and has the columns that the table had. `holdfast migrate` moves the
-- existing rows afterwards, a chunk at a time (src/sink/admin/convert_history.rs).

DROP VIEW IF EXISTS route_history, stored_records, route_changes CASCADE;
DROP FUNCTION IF EXISTS prefix_timeline(cidr, interval, timestamptz);
DROP FUNCTION IF EXISTS holdfast_is_only_peer(bigint);
ALTER TABLE route_updates RENAME TO wide_route_updates;
COMMENT ON TABLE wide_route_updates IS
    'Rows of an earlier release that `holdfast migrate` has not moved yet.';

CREATE TABLE incarnations (
    id                 uuid PRIMARY KEY,
    collector          text NOT NULL,
    log_id             uuid NOT NULL,
    session            timestamptz NOT NULL,
    router             text NOT NULL,
    bmp_peer_ip        inet NOT NULL,
    bgp_peer_ip        inet NOT NULL,
    bgp_peer_asn       bigint NOT NULL,
    generation         bigint NOT NULL,
    peer_type          smallint NOT NULL,
    peer_distinguisher text NOT NULL,
    bgp_id             inet NOT NULL,
    rib                text NOT NULL,
    table_name         text,
    used_at            timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE incarnations IS
    'Incarnations of RIB views, with the identity as sent, that rows of route_records refer to. The id is a
hash of the other columns, seeded with the lane, so that no two lanes share a row.';
COMMENT ON COLUMN incarnations.session IS
    'Start of the BMP session. With generation it is the incarnation of the peer.';
COMMENT ON COLUMN incarnations.generation IS
    'Number of Peer Up and Peer Down messages of the peer within the session.';
COMMENT ON COLUMN incarnations.router IS 'Name of the router: sysName, or its address.';
COMMENT ON COLUMN incarnations.bmp_peer_ip IS 'Source address of the router''s BMP session.';
COMMENT ON COLUMN incarnations.bgp_peer_ip IS 'Peer address of the BMP per-peer header.';
COMMENT ON COLUMN incarnations.bgp_peer_asn IS 'Peer AS of the BMP per-peer header.';
COMMENT ON COLUMN incarnations.rib IS
    'RIB view: adj-in-pre, adj-in-post, adj-out-pre, adj-out-post, loc-rib or unknown.';
COMMENT ON COLUMN incarnations.used_at IS
    'Time of the last use, or of the last record if that is later, accurate to a day; see
holdfast_clean_incarnations.';

-- Native partitions everywhere, so that a look-up of a set reads one partition only.
CREATE TABLE attribute_sets (
    time                 timestamptz NOT NULL,
    hash                 uuid NOT NULL,
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
    path_status          bigint,
    path_reason          integer,
    path_marking         text[],
    PRIMARY KEY (hash, time)
) PARTITION BY RANGE (time);
CREATE TABLE attribute_sets_default PARTITION OF attribute_sets DEFAULT;
COMMENT ON TABLE attribute_sets IS
    'Attribute sets that rows of route_records refer to, one row per set and week. The hash is that of
path_attributes. Retention drops them by partitions, like the rows that refer to them.';
COMMENT ON COLUMN attribute_sets.time IS
    'Start of the week (holdfast_week) of the records that refer to the row.';

-- No unique index: (collector, log_id, seq, idx) is unique by construction, and an index could only hide a
-- violation.
CREATE TABLE route_records (
    time            timestamptz NOT NULL,
    router_time     timestamptz,
    seq             bigint NOT NULL,
    path_id         bigint,
    incarnation     uuid NOT NULL,
    attributes      uuid,
    afi             integer NOT NULL,
    idx             integer NOT NULL,
    evpn_route_type integer,
    safi            smallint NOT NULL,
    cause           smallint NOT NULL,
    is_withdrawn    boolean NOT NULL,
    prefix          cidr,
    rd              text,
    evpn_rd         text,
    evpn_esi        text,
    evpn_tag        bigint,
    mac_address     text,
    evpn_ip         inet,
    evpn_gateway    inet,
    labels          bigint[],
    nlri            text,
    nlri_raw        bytea,
    route_key       bytea,
    -- The attributes, if they are not in attribute_sets.
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
    path_status          bigint,
    path_reason          integer,
    path_marking         text[]
);
DO $$
DECLARE
    wide partitioned_tables%ROWTYPE;
    covered record;
    target text;
    part text;
BEGIN
    SELECT * INTO STRICT wide FROM partitioned_tables WHERE name = 'route_updates';
    IF wide.is_hypertable THEN
        PERFORM create_hypertable('route_records', 'time', chunk_time_interval => wide.chunk_interval,
            create_default_indexes => false);
    ELSE
        ALTER TABLE route_records RENAME TO route_records_shape;
        CREATE TABLE route_records (LIKE route_records_shape INCLUDING ALL) PARTITION BY RANGE (time);
        DROP TABLE route_records_shape;
        CREATE TABLE route_records_default PARTITION OF route_records DEFAULT;
    END IF;
    INSERT INTO partitioned_tables VALUES
        ('route_records', wide.is_hypertable, wide.chunk_interval, wide.dropped_before),
        ('attribute_sets', false, wide.chunk_interval, NULL);
    UPDATE dropped_records SET table_name = 'route_records' WHERE table_name = 'route_updates';
    -- Partitions for the rows that are moved. Rows of a wrong clock go to the default partition.
    FOR covered IN EXECUTE CASE WHEN wide.is_hypertable
            THEN 'SELECT range_start AS starts, range_end AS ends FROM timescaledb_information.chunks
                WHERE hypertable_name = ''wide_route_updates'' AND range_start >= ''2020-01-01''
                    AND range_start < now() ORDER BY 1'
            ELSE 'SELECT from_time AS starts, until_time AS ends FROM time_partitions
                WHERE table_name = ''route_updates'' ORDER BY 1' END LOOP
        FOREACH target IN ARRAY CASE WHEN wide.is_hypertable THEN ARRAY['attribute_sets']
                ELSE ARRAY['attribute_sets', 'route_records'] END LOOP
            part := format('%s_%s', target,
                to_char(covered.starts AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISS'));
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, target,
                covered.starts, covered.ends);
            INSERT INTO time_partitions VALUES (target, part, covered.starts, covered.ends);
        END LOOP;
    END LOOP;
    DELETE FROM time_partitions WHERE table_name = 'route_updates';
    DELETE FROM partitioned_tables WHERE name = 'route_updates';
    IF NOT EXISTS (SELECT FROM wide_route_updates) THEN
        DROP TABLE wide_route_updates;
    END IF;
END
$$;
CREATE INDEX route_records_time ON route_records (time DESC);
CREATE INDEX route_records_prefix ON route_records (prefix, time DESC);
-- As before, the community edition compresses chunks that receive no new rows, by segments of one RIB view.
DO $$
BEGIN
    IF (SELECT is_hypertable FROM partitioned_tables WHERE name = 'route_records') THEN
        ALTER TABLE route_records SET (timescaledb.compress,
            timescaledb.compress_segmentby = 'incarnation', timescaledb.compress_orderby = 'time DESC');
        EXECUTE format('SELECT add_compression_policy(''route_records'', compress_after => %L::interval,
            if_not_exists => true)',
            (SELECT 2 * chunk_interval FROM partitioned_tables WHERE name = 'route_records'));
    END IF;
EXCEPTION
    WHEN feature_not_supported THEN NULL;
END
$$;
COMMENT ON TABLE route_records IS
    'History of routes as it is stored: one row per announcement or withdrawal. The view route_updates has
the same rows with all columns; columns not commented here are as there.';
COMMENT ON COLUMN route_records.incarnation IS 'incarnations.id.';
COMMENT ON COLUMN route_records.attributes IS
    'attribute_sets.hash, of the week of the record; null without attributes, and if the row has them itself:
where the columnstore compresses history, and with it repetitions.';
COMMENT ON COLUMN route_records.cause IS 'Number of the cause (holdfast_cause).';
COMMENT ON COLUMN route_records.route_key IS
    'Key of the route within its RIB view; null if it follows from the prefix (holdfast_route_key).';
