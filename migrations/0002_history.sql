-- History: what routers said, appended only. TimescaleDB makes the tables hypertables where it can be had; on plain
-- PostgreSQL they are range partitions that the collector makes ahead (holdfast_make_partitions).

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS timescaledb;
EXCEPTION
    -- Not installed, not preloaded, or not ours to create: native partitions then.
    WHEN feature_not_supported OR undefined_file OR insufficient_privilege OR object_not_in_prerequisite_state
        OR invalid_parameter_value THEN NULL;
END
$$;

-- The tables that are cut by time, and how.
CREATE TABLE time_tables (
    name           text PRIMARY KEY,
    is_hypertable  boolean NOT NULL,
    chunk_interval interval NOT NULL,
    dropped_before timestamptz
);

-- Native partitions with their bounds. Empty where the tables are hypertables.
CREATE TABLE time_partitions (
    table_name text NOT NULL REFERENCES time_tables (name),
    name       text NOT NULL PRIMARY KEY,
    from_time  timestamptz NOT NULL,
    until_time timestamptz NOT NULL,
    UNIQUE (table_name, from_time)
);

-- Makes partitions for now and `ahead` intervals more. Rows that waited in the default partition move into theirs. With the
-- rights of the owner, like holdfast_retain: the collector itself makes and drops no tables.
CREATE FUNCTION holdfast_make_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    t time_tables%ROWTYPE;
    step bigint;
    starts timestamptz;
    ends timestamptz;
    part text;
    made integer := 0;
BEGIN
    FOR t IN SELECT * FROM time_tables WHERE NOT is_hypertable ORDER BY name FOR UPDATE LOOP
        step := extract(epoch FROM t.chunk_interval)::bigint;
        SELECT max(until_time) INTO starts FROM time_partitions WHERE table_name = t.name;
        IF starts IS NULL OR starts < now() - t.chunk_interval THEN
            starts := greatest(coalesce(starts, '-infinity'),
                to_timestamp(floor(extract(epoch FROM now()) / step) * step) - t.chunk_interval);
        END IF;
        WHILE starts <= now() + ahead * t.chunk_interval LOOP
            ends := starts + t.chunk_interval;
            part := format('%s_%s', t.name, to_char(starts AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISS'));
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, t.name);
            EXECUTE format(
                'WITH moved AS (DELETE FROM %I WHERE time >= %L AND time < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                t.name || '_default', starts, ends, part);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', t.name, part, starts, ends);
            INSERT INTO time_partitions VALUES (t.name, part, starts, ends);
            made := made + 1;
            starts := ends;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

-- How many rows retention has dropped, so that holdfast_verify does not miss them.
CREATE TABLE dropped_records (
    table_name text NOT NULL,
    collector  text NOT NULL,
    log_id     uuid NOT NULL,
    last_seq   bigint NOT NULL,
    records    bigint NOT NULL,
    PRIMARY KEY (table_name, collector, log_id)
);

-- Notes what is about to be dropped from one chunk or partition (its rows of `from_time` to `cut`): their number; of each route the
-- last word, if it is an announcement (kept_routes); what ended routes without a word about each (kept_route_ends).
CREATE FUNCTION holdfast_keep(table_name text, chunk regclass, from_time timestamptz, cut timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', chunk);
    EXECUTE format('INSERT INTO dropped_records AS d SELECT $1, collector, log_id, max(seq), count(*) FROM %s WHERE time >= $3 AND time < $2
        GROUP BY collector, log_id
        ON CONFLICT (table_name, collector, log_id) DO UPDATE SET last_seq = greatest(d.last_seq, excluded.last_seq),
            records = d.records + excluded.records', chunk) USING table_name, cut, from_time;
    IF table_name = 'peer_events' THEN
        EXECUTE format('INSERT INTO kept_route_ends
            SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, afi, safi, session,
                generation + (event_type = ''peer_down'')::integer
            FROM %s WHERE time >= $2 AND time < $1 AND event_type IN (''peer_down'', ''sweep'')', chunk) USING cut, from_time;
    ELSIF table_name = 'route_updates' THEN
        CREATE TEMP TABLE last_words (LIKE kept_routes) ON COMMIT DROP;
        -- Two passes and a hash of the short columns instead of a sort of whole rows.
        EXECUTE format('INSERT INTO last_words
            SELECT h.* FROM %1$s h JOIN (
                SELECT collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, route_key,
                    max(ARRAY[(extract(epoch FROM session) * 1000000)::bigint, generation, seq, idx]) AS place
                FROM %1$s WHERE time >= $2 AND time < $1 GROUP BY 1, 2, 3, 4, 5, 6, 7
            ) l USING (collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, route_key)
            WHERE h.time >= $2 AND h.time < $1
                AND ARRAY[(extract(epoch FROM h.session) * 1000000)::bigint, h.generation, h.seq, h.idx] = l.place', chunk)
            USING cut, from_time;
        DELETE FROM kept_routes k USING last_words l
            WHERE (k.collector, k.router, k.peer_type, k.peer_distinguisher, k.bgp_peer_ip, k.rib, k.route_key)
                    = (l.collector, l.router, l.peer_type, l.peer_distinguisher, l.bgp_peer_ip, l.rib, l.route_key)
                AND (k.session, k.generation, k.seq, k.idx) < (l.session, l.generation, l.seq, l.idx);
        INSERT INTO kept_routes SELECT * FROM last_words WHERE NOT is_withdrawn ON CONFLICT DO NOTHING;
        DROP TABLE last_words;
    END IF;
END
$$;

-- Drops what is older than `keep`, by the server's clock. The cut-off moves by one chunk interval per call at most, so
-- that a clock that jumps ahead does not cost the history. What is dated before this program existed came from a collector
-- whose clock was wrong (one without a battery starts in 1970): nobody knows how old it is, and it stays.
CREATE FUNCTION holdfast_retain(table_name text, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    t time_tables%ROWTYPE;
    cut timestamptz;
    chunk regclass;
    part time_partitions%ROWTYPE;
    dropped integer := 0;
    wrong_before CONSTANT timestamptz := '2020-01-01 00:00:00+00';
BEGIN
    SELECT * INTO STRICT t FROM time_tables WHERE name = table_name FOR UPDATE;
    cut := least(now() - keep, coalesce(t.dropped_before + t.chunk_interval, 'infinity'));
    IF cut <= wrong_before THEN
        RETURN 0;
    END IF;
    IF t.is_hypertable THEN
        FOR chunk IN EXECUTE format('SELECT show_chunks(%L::regclass, older_than => %L::timestamptz, newer_than => %L::timestamptz)',
            t.name, cut, wrong_before) LOOP
            PERFORM holdfast_keep(t.name, chunk, '-infinity', 'infinity');
        END LOOP;
        EXECUTE format('SELECT count(*) FROM drop_chunks(%L::regclass, older_than => %L::timestamptz, newer_than => %L::timestamptz)',
            t.name, cut, wrong_before) INTO dropped;
    ELSE
        FOR part IN SELECT * FROM time_partitions p WHERE p.table_name = t.name AND p.until_time <= cut ORDER BY p.from_time LOOP
            PERFORM holdfast_keep(t.name, part.name::regclass, '-infinity', 'infinity');
            EXECUTE format('DROP TABLE %I', part.name);
            DELETE FROM time_partitions p WHERE p.name = part.name;
            dropped := dropped + 1;
        END LOOP;
        PERFORM holdfast_keep(t.name, (t.name || '_default')::regclass, wrong_before, cut);
        EXECUTE format('DELETE FROM %I WHERE time >= %L AND time < %L', t.name || '_default', wrong_before, cut);
    END IF;
    UPDATE time_tables SET dropped_before = greatest(dropped_before, cut) WHERE name = t.name;
    RETURN dropped;
END
$$;

REVOKE EXECUTE ON FUNCTION holdfast_make_partitions(integer), holdfast_keep(text, regclass, timestamptz, timestamptz),
    holdfast_retain(text, interval) FROM PUBLIC;

-- Turns a freshly made, empty table into one that is cut by its column `time`. holdfast.chunk_interval is set by the
-- migrator from CHUNK_INTERVAL_DAYS.
CREATE FUNCTION holdfast_cut_by_time(table_name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    step interval := coalesce(nullif(current_setting('holdfast.chunk_interval', true), ''), '7 days')::interval;
    has_timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    IF has_timescale THEN
        EXECUTE format(
            'SELECT create_hypertable(%L, ''time'', chunk_time_interval => %L::interval, create_default_indexes => false)',
            table_name, step);
    ELSE
        EXECUTE format('ALTER TABLE %I RENAME TO %I', table_name, table_name || '_shape');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY RANGE (time)', table_name, table_name || '_shape');
        EXECUTE format('DROP TABLE %I', table_name || '_shape');
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', table_name || '_default', table_name);
    END IF;
    INSERT INTO time_tables VALUES (table_name, has_timescale, step);
END
$$;

-- One row per announcement or withdrawal. The columns up to mac_address are those of pybmpmon; wider types.
-- No unique index: (collector, log_id, seq, idx) is unique by construction, and an index would only hide that it is not.
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
SELECT holdfast_cut_by_time('route_updates');
CREATE INDEX route_updates_time ON route_updates (time DESC);
CREATE INDEX route_updates_prefix ON route_updates (prefix, time DESC);

-- Where the edition can (TimescaleDB community), chunks that get no rows any more are compressed by the server itself. By peer, and
-- within a peer by time: that takes least, and the last word on a prefix is in one of the first batches that are read. (Ordered by
-- prefix, rib_at took ten times as long; docs/SCHEMA.md has the figures.) Rows that come late all the same go in as always. The
-- Apache edition refuses; plain PostgreSQL has no such thing.
CREATE FUNCTION holdfast_compress_history(after interval) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (SELECT is_hypertable FROM time_tables WHERE name = 'route_updates') THEN
        RETURN false;
    END IF;
    ALTER TABLE route_updates SET (timescaledb.compress, timescaledb.compress_segmentby = 'bgp_peer_ip, rib',
        timescaledb.compress_orderby = 'time DESC');
    EXECUTE format('SELECT add_compression_policy(''route_updates'', compress_after => %L::interval, if_not_exists => true)', after);
    RETURN true;
EXCEPTION
    WHEN feature_not_supported THEN RETURN false;
END
$$;
SELECT holdfast_compress_history((SELECT 2 * chunk_interval FROM time_tables WHERE name = 'route_updates'));

-- What happened to peers and sessions. peer_ip is the router, as in pybmpmon.
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
SELECT holdfast_cut_by_time('peer_events');
CREATE INDEX peer_events_time ON peer_events (time DESC);
CREATE INDEX peer_events_peer ON peer_events (peer_ip, time DESC);

-- One row per Statistics Report; peer_statistics has one per counter.
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
SELECT holdfast_cut_by_time('peer_stats');
CREATE INDEX peer_stats_time ON peer_stats (time DESC);

-- What retention leaves of the rows that it drops: of each route the last word that was said before the cut-off, if it was
-- an announcement, so that tables of later times stay whole; and what ended routes without a word about each.
CREATE TABLE kept_routes (LIKE route_updates);
ALTER TABLE kept_routes ADD PRIMARY KEY (collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, route_key);
CREATE INDEX kept_routes_prefix ON kept_routes (prefix);
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

CREATE VIEW peer_statistics AS
SELECT s.time, s.collector, s.router, s.peer_ip, s.bgp_peer_ip, s.bgp_peer_asn, s.peer_distinguisher, s.rib,
       x.type, x.afi, x.safi, x.value, decode(x.raw, 'hex') AS raw
FROM peer_stats s
CROSS JOIN LATERAL jsonb_to_recordset(s.statistics) AS x (type integer, afi integer, safi smallint, value numeric, raw text);

SELECT holdfast_make_partitions(4);
