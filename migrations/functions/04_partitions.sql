-- Partitions and retention. These functions run with the rights of their owner: the collector's role may
-- neither create nor drop tables. A function that is replaced keeps its privileges; on a new one the
-- defaults of deploy/roles.sql apply.
--
-- Dropping a chunk or attaching a partition needs a lock that conflicts with readers, and every query that
-- begins while such a lock is awaited waits behind it. So the lock is awaited for two seconds only.

CREATE OR REPLACE FUNCTION holdfast_make_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema@, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    t partitioned_tables%ROWTYPE;
    step bigint;
    starts timestamptz;
    ends timestamptz;
    part text;
    made integer := 0;
BEGIN
    FOR t IN SELECT * FROM partitioned_tables WHERE NOT is_hypertable ORDER BY name FOR UPDATE LOOP
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
            EXECUTE format('WITH moved AS (DELETE FROM %I WHERE time >= %L AND time < %L RETURNING *)
                INSERT INTO %I SELECT * FROM moved',
                t.name || '_default', starts, ends, part);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', t.name, part,
                starts, ends);
            INSERT INTO time_partitions VALUES (t.name, part, starts, ends);
            made := made + 1;
            starts := ends;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION holdfast_make_partitions IS
    'Creates native partitions for the present and the next `ahead` intervals, and moves rows of the
default partition into them. Returns how many it created; 0 for hypertables.';

CREATE OR REPLACE FUNCTION holdfast_preserve_dropped(table_name text, chunk regclass, from_time timestamptz,
    cut timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
BEGIN
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', chunk);
    EXECUTE format('INSERT INTO dropped_records AS d
        SELECT $1, collector, log_id, max(seq), count(*) FROM %s WHERE time >= $3 AND time < $2
        GROUP BY collector, log_id
        ON CONFLICT (table_name, collector, log_id) DO UPDATE SET
            last_seq = greatest(d.last_seq, excluded.last_seq),
            records = d.records + excluded.records', CASE WHEN table_name = 'route_records'
            THEN format('%s h JOIN incarnations i ON i.id = h.incarnation', chunk) ELSE chunk::text END)
        USING table_name, cut, from_time;
    IF table_name = 'peer_events' THEN
        EXECUTE format('INSERT INTO kept_route_ends (time, collector, router, peer_type, peer_distinguisher,
                bgp_peer_ip, rib, afi, safi, session, generation, bgp_peer_asn, bgp_id)
            SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, afi, safi,
                session, generation + (event_type = ''peer_down'')::integer, bgp_peer_asn, bgp_id
            FROM %s WHERE time >= $2 AND time < $1 AND event_type IN (''peer_down'', ''sweep'')', chunk)
            USING cut, from_time;
    ELSIF table_name = 'route_records' THEN
        CREATE TEMP TABLE last_updates (peer_number bigint, LIKE kept_routes, incarnation uuid)
            ON COMMIT DROP;
        -- Two passes and a hash of the short columns instead of a sort of whole rows. The same route of two
        -- peers at one address is two routes; an update with zeros may be one of either.
        EXECUTE format('CREATE TEMP TABLE last_positions ON COMMIT DROP AS
            SELECT p.peer_number, i.rib,
                coalesce(h.route_key, holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id)) AS route_key,
                max(ARRAY[(extract(epoch FROM i.session) * 1000000)::bigint, i.generation, h.seq, h.idx])
                    AS position
            FROM %s h JOIN incarnations i ON i.id = h.incarnation
            JOIN peer_identities p ON p.collector = i.collector AND p.router = i.router
                AND p.address = i.bgp_peer_ip AND p.peer_type = i.peer_type
                AND p.peer_distinguisher = i.peer_distinguisher AND holdfast_is_identity(p.asn, p.bgp_id,
                    p.since, p.until, p.any_until, i.peer_type, i.bgp_peer_asn, i.bgp_id, i.session)
            WHERE h.time >= $1 AND h.time < $2 GROUP BY 1, 2, 3', chunk) USING from_time, cut;
        EXECUTE replace(format('INSERT INTO last_updates
            SELECT p.peer_number, h.* FROM (%s) h
            JOIN peer_identities p ON p.collector = h.collector AND p.router = h.router
                AND p.address = h.bgp_peer_ip AND p.peer_type = h.peer_type
                AND p.peer_distinguisher = h.peer_distinguisher AND holdfast_is_identity(p.asn, p.bgp_id,
                    p.since, p.until, p.any_until, h.peer_type, h.bgp_peer_asn, h.bgp_id, h.session)
            JOIN last_positions l ON l.peer_number = p.peer_number AND l.rib = h.rib
                AND l.route_key = h.route_key
            WHERE h.time >= $1 AND h.time < $2
                AND ARRAY[(extract(epoch FROM h.session) * 1000000)::bigint, h.generation, h.seq, h.idx]
                    = l.position', rtrim(pg_get_viewdef('route_updates'::regclass), ';')),
            'FROM route_records h', format('FROM %s h', chunk)) USING from_time, cut;
        DROP TABLE last_positions;
        DELETE FROM kept_routes k USING last_updates l, peer_identities i
            WHERE i.peer_number = l.peer_number AND i.collector = k.collector AND i.router = k.router
                AND i.address = k.bgp_peer_ip AND i.peer_type = k.peer_type
                AND i.peer_distinguisher = k.peer_distinguisher AND holdfast_is_identity(i.asn, i.bgp_id,
                    i.since, i.until, i.any_until, k.peer_type, k.bgp_peer_asn, k.bgp_id, k.session)
                AND (k.collector, k.router, k.peer_type, k.peer_distinguisher) =
                    (l.collector, l.router, l.peer_type, l.peer_distinguisher)
                AND (k.bgp_peer_ip, k.rib, k.route_key) = (l.bgp_peer_ip, l.rib, l.route_key)
                AND (k.session, k.generation, k.seq, k.idx) < (l.session, l.generation, l.seq, l.idx);
        ALTER TABLE last_updates DROP COLUMN peer_number, DROP COLUMN incarnation;
        INSERT INTO kept_routes SELECT * FROM last_updates WHERE NOT is_withdrawn ON CONFLICT DO NOTHING;
        DROP TABLE last_updates;
    END IF;
END
$$;
COMMENT ON FUNCTION holdfast_preserve_dropped IS
    'Called before rows from `from_time` to `cut` of a chunk or partition are dropped: adds their number
to dropped_records, the last update of each route to kept_routes if it is an announcement, and Peer Downs
and sweeps to kept_route_ends.';

CREATE OR REPLACE FUNCTION holdfast_drop_referenced(cut timestamptz, wrong_before timestamptz)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema@, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    part time_partitions%ROWTYPE;
BEGIN
    FOR part IN SELECT * FROM time_partitions p WHERE p.table_name = 'attribute_sets'
        AND p.until_time <= cut AND p.from_time >= wrong_before ORDER BY p.from_time LOOP
        EXECUTE format('DROP TABLE %I', part.name);
        DELETE FROM time_partitions p WHERE p.name = part.name;
    END LOOP;
    DELETE FROM attribute_sets_default WHERE time >= wrong_before AND time < cut;
    UPDATE partitioned_tables SET dropped_before = greatest(dropped_before, cut)
        WHERE name = 'attribute_sets';
    WITH unused AS MATERIALIZED (
        SELECT i.id FROM incarnations i WHERE i.used_at < cut - interval '1 day'
            AND NOT EXISTS (SELECT FROM route_records h WHERE h.time < wrong_before AND h.incarnation = i.id)
        FOR UPDATE OF i SKIP LOCKED
    )
    DELETE FROM incarnations i USING unused u WHERE i.id = u.id;
END
$$;
COMMENT ON FUNCTION holdfast_drop_referenced IS
    'Drops what only rows of route_records before `cut` refer to: partitions of attribute_sets, and
incarnations that were not used since. A lane that is about to use an incarnation moves its used_at forward
first, which locks the row, unless it lies within a day; this function leaves those of the last two days.
Rows before `wrong_before` are kept, and what they refer to.';

CREATE OR REPLACE FUNCTION holdfast_retain(table_name text, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @schema@, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    t partitioned_tables%ROWTYPE;
    cut timestamptz;
    chunk regclass;
    part time_partitions%ROWTYPE;
    dropped integer := 0;
    -- The schema of the extension need not be in the search path.
    timescaledb CONSTANT regnamespace :=
        (SELECT extnamespace FROM pg_extension WHERE extname = 'timescaledb');
    wrong_before CONSTANT timestamptz := '2020-01-01 00:00:00+00';
BEGIN
    SELECT * INTO STRICT t FROM partitioned_tables WHERE name = table_name FOR UPDATE;
    cut := least(now() - keep, coalesce(t.dropped_before + t.chunk_interval, 'infinity'));
    IF cut <= wrong_before THEN
        RETURN 0;
    END IF;
    IF t.is_hypertable THEN
        FOR chunk IN EXECUTE format('SELECT %s.show_chunks(%L::regclass, older_than => %L::timestamptz,
            newer_than => %L::timestamptz)', timescaledb, t.name, cut, wrong_before) LOOP
            PERFORM holdfast_preserve_dropped(t.name, chunk, '-infinity', 'infinity');
        END LOOP;
        EXECUTE format('SELECT count(*) FROM %s.drop_chunks(%L::regclass, older_than => %L::timestamptz,
            newer_than => %L::timestamptz)', timescaledb, t.name, cut, wrong_before) INTO dropped;
    ELSE
        FOR part IN SELECT * FROM time_partitions p WHERE p.table_name = t.name AND p.until_time <= cut
            ORDER BY p.from_time LOOP
            PERFORM holdfast_preserve_dropped(t.name, part.name::regclass, '-infinity', 'infinity');
            EXECUTE format('DROP TABLE %I', part.name);
            DELETE FROM time_partitions p WHERE p.name = part.name;
            dropped := dropped + 1;
        END LOOP;
        PERFORM holdfast_preserve_dropped(t.name, (t.name || '_default')::regclass, wrong_before, cut);
        EXECUTE format('DELETE FROM %I WHERE time >= %L AND time < %L', t.name || '_default', wrong_before,
            cut);
    END IF;
    UPDATE partitioned_tables SET dropped_before = greatest(dropped_before, cut) WHERE name = t.name;
    IF t.name = 'route_records' THEN
        -- The chunk that the cut-off is in remains, and with it rows up to one interval older.
        PERFORM holdfast_drop_referenced(cut - t.chunk_interval - interval '7 days', wrong_before);
        DELETE FROM swept_routes WHERE until >= wrong_before AND until < cut;
    END IF;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION holdfast_retain IS
    'Drops rows older than `keep` by the server''s clock. Returns the number of dropped chunks or
partitions. The cut-off moves by at most one chunk interval per call, so that a clock that jumps ahead
does not cost the whole history. Rows dated before 2020 are kept: they come from a collector whose clock
was wrong, and their age is unknown.';

REVOKE EXECUTE ON FUNCTION holdfast_make_partitions(integer),
    holdfast_preserve_dropped(text, regclass, timestamptz, timestamptz), holdfast_retain(text, interval),
    holdfast_drop_referenced(timestamptz, timestamptz)
    FROM PUBLIC;

-- The partitions that rows of now go to, on a new schema. The collector's maintenance creates the later ones.
SELECT holdfast_make_partitions(4);
