-- Past tables: the parts of rib_at and peer_differences.

CREATE OR REPLACE FUNCTION holdfast_own_incarnations(of_peer bigint) RETURNS uuid[]
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp AS $$
    SELECT coalesce(array_agg(n.id), '{}')
    FROM bgp_peers p JOIN peer_identities i ON i.peer_number = p.peer_number
    JOIN incarnations n ON n.collector = i.collector AND n.router = i.router AND n.bgp_peer_ip = i.address
        AND n.peer_type = i.peer_type AND n.peer_distinguisher = i.peer_distinguisher
        AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, n.peer_type,
            n.bgp_peer_asn, n.bgp_id, n.session)
    WHERE p.id = of_peer AND n.rib = p.rib
$$;
COMMENT ON FUNCTION holdfast_own_incarnations IS
    'Incarnations of a RIB view (bgp_peers.id), by which route_records is read.';

CREATE OR REPLACE FUNCTION holdfast_is_forgotten(of_number bigint, at timestamptz, of_incarnation uuid,
    of_seq bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp AS $$
    SELECT EXISTS (SELECT FROM forgotten_peers f JOIN incarnations n ON n.log_id = f.log_id
        WHERE f.peer_number = of_number AND n.id = of_incarnation AND of_seq <= f.last_seq
            AND f.forgotten_at <= at)
$$;
COMMENT ON FUNCTION holdfast_is_forgotten IS
    'True if a record of a peer was forgotten at that time. To be asked only of peers that were forgotten.';

CREATE OR REPLACE FUNCTION holdfast_distinguisher_texts(of_number bigint) RETURNS text[]
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp AS $$
    SELECT array_agg(DISTINCT peer_distinguisher) FROM peer_identities WHERE peer_number = of_number
$$;
COMMENT ON FUNCTION holdfast_distinguisher_texts IS
    'Peer distinguisher of a peer as history has it: an earlier release may have written it otherwise.';

CREATE OR REPLACE FUNCTION holdfast_is_own_record(of_number bigint, at timestamptz, of_type smallint,
    of_distinguisher text, of_asn bigint, of_bgp_id inet, of_session timestamptz, of_log uuid, of_seq bigint)
    RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM @schema@.peer_identities i
            WHERE i.peer_number = of_number AND i.peer_distinguisher = of_distinguisher
                AND @schema@.holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, of_type,
                    of_asn, of_bgp_id, of_session))
        AND NOT EXISTS (SELECT FROM @schema@.forgotten_peers f WHERE f.peer_number = of_number
            AND f.log_id = of_log AND of_seq <= f.last_seq AND f.forgotten_at <= at)
$$;
COMMENT ON FUNCTION holdfast_is_own_record IS
    'True if a record with the address of a peer is of that peer, and was not forgotten at that time.';

CREATE OR REPLACE FUNCTION holdfast_last_updates_at(t_peer bigint, t_at timestamptz, route_keys bytea[])
RETURNS SETOF route_updates
LANGUAGE plpgsql STABLE SET search_path = @schema@, pg_temp SET jit = off
    SET enable_nestloop = on AS $$
DECLARE
    p bgp_peers%ROWTYPE;
    own uuid[] := holdfast_own_incarnations(t_peer);
    was_forgotten boolean;
    texts text[];
BEGIN
    SELECT * INTO STRICT p FROM bgp_peers WHERE id = t_peer;
    was_forgotten := EXISTS (SELECT FROM forgotten_peers f WHERE f.peer_number = p.peer_number);
    texts := holdfast_distinguisher_texts(p.peer_number);
    RETURN QUERY
    SELECT h.*
    FROM (SELECT e.prefix, e.route_key
          FROM unnest(route_keys) AS k JOIN rib_entries e ON e.peer_id = t_peer AND e.route_key = k
          WHERE e.first_seen <= t_at AND e.prefix IS NOT NULL) c
    CROSS JOIN LATERAL (
        SELECT h.*
        FROM (SELECT n.time FROM route_records n
              WHERE n.prefix = c.prefix AND n.time <= t_at AND n.incarnation = ANY (own)
                  AND coalesce(n.route_key, holdfast_route_key(n.afi, n.safi, n.prefix, n.path_id))
                      = c.route_key
                  AND (NOT was_forgotten
                      OR NOT holdfast_is_forgotten(p.peer_number, t_at, n.incarnation, n.seq))
              ORDER BY n.time DESC LIMIT 1) n
        JOIN route_updates h ON h.time BETWEEN n.time - interval '1 hour' AND n.time
        WHERE h.prefix = c.prefix AND h.route_key = c.route_key AND h.incarnation = ANY (own)
            AND (NOT was_forgotten OR NOT holdfast_is_forgotten(p.peer_number, t_at, h.incarnation, h.seq))
        UNION ALL
        SELECT k.*, NULL FROM kept_routes k
        WHERE k.collector = p.collector AND k.router = p.router AND k.peer_type = p.peer_type
            AND k.peer_distinguisher = ANY (texts) AND k.bgp_peer_ip = p.address AND k.rib = p.rib
            AND k.route_key = c.route_key AND k.time <= t_at
            AND holdfast_is_own_record(p.peer_number, t_at, k.peer_type, k.peer_distinguisher,
                k.bgp_peer_asn, k.bgp_id, k.session, k.log_id, k.seq)
        ORDER BY session DESC, generation DESC, seq DESC, idx DESC LIMIT 1
    ) h;
END
$$;
COMMENT ON FUNCTION holdfast_last_updates_at IS
    'Last update up to a time of each of these routes of a RIB view that have a prefix, by index look-ups:
for few routes. Updates are searched by time and then ordered by position, so that a clock that was set
back by more than an hour may hide the last update of a route.';

CREATE OR REPLACE FUNCTION holdfast_swept_states(of_peer bigint, at timestamptz)
RETURNS TABLE (route_key bytea, session timestamptz, generation bigint)
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp AS $$
    SELECT w.route_key, w.session, w.generation
    FROM (
        SELECT DISTINCT ON (w.route_key) w.* FROM swept_routes w
        WHERE w.peer_id = of_peer AND w.until > at
        ORDER BY w.route_key, w.session, w.generation) w
    JOIN (
        SELECT DISTINCT ON (x.afi, x.safi) x.afi, x.safi, x.session, x.generation
        FROM peer_route_ends x
        WHERE x.peer_id = of_peer AND x.afi IS NOT NULL AND x.time <= at
        ORDER BY x.afi, x.safi, x.session DESC, x.generation DESC) x
        ON x.afi = w.afi AND x.safi = w.safi
    WHERE NOT holdfast_is_current(w.session, w.generation, x.session, x.generation)
$$;
COMMENT ON FUNCTION holdfast_swept_states IS
    'States of a RIB view (bgp_peers.id) that a sweep had ended at a time, and that were not replaced yet:
each route once, with the incarnation in which it had last been announced.';

-- Index look-ups for few routes need nested loops; for a million routes a nested loop takes hours, and the
-- planner cannot know how many there are. So the look-ups are a function of their own, and each function
-- has a fixed setting.
--
-- An index of history by peer would not help: updates of many peers are on every page.
CREATE OR REPLACE FUNCTION holdfast_table_at(t_peer bigint, t_at timestamptz)
RETURNS TABLE (route_key bytea, afi integer, safi smallint, path_id bigint, prefix cidr, rd text, nlri text,
    nlri_raw bytea, as_path bigint[], as_path_text text, origin_as bigint, next_hop inet, med bigint,
    local_pref bigint, communities text[], last_update timestamptz)
LANGUAGE plpgsql STABLE SET search_path = @schema@, pg_temp SET jit = off SET work_mem = '256MB'
    SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
    p bgp_peers%ROWTYPE;
    begins timestamptz := (SELECT dropped_before FROM partitioned_tables WHERE name = 'route_records');
    later bytea[];
    has_routes_without_prefix boolean := false;
    down_session timestamptz;
    down_generation bigint;
    own uuid[] := holdfast_own_incarnations(t_peer);
    texts text[];
    has_forgotten boolean;
    was_forgotten boolean;
BEGIN
    IF t_at < begins THEN
        RAISE EXCEPTION 'no history before %', begins USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Earlier rows were dropped by retention (RETENTION_ROUTES_DAYS).';
    END IF;
    SELECT * INTO STRICT p FROM bgp_peers WHERE id = t_peer;
    texts := holdfast_distinguisher_texts(p.peer_number);
    has_forgotten := EXISTS (SELECT FROM forgotten_peers f WHERE f.peer_number = p.peer_number);
    -- The current table then lacks what the peer had before it was forgotten: history has it.
    was_forgotten := EXISTS (SELECT FROM forgotten_peers f
        WHERE f.peer_number = p.peer_number AND f.forgotten_at > t_at);
    SELECT x.session, x.generation INTO down_session, down_generation FROM peer_route_ends x
        WHERE x.peer_id = t_peer AND x.afi IS NULL AND x.time <= t_at
        ORDER BY x.session DESC, x.generation DESC LIMIT 1;
    down_session := coalesce(down_session, '-infinity');
    down_generation := coalesce(down_generation, 0);
    -- Routes with later updates, or null if there are too many of them for look-ups.
    later := ARRAY(
        SELECT coalesce(h.route_key, holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id))
        FROM route_records h
        WHERE h.time > t_at AND h.incarnation = ANY (own) AND (NOT has_forgotten
            OR NOT holdfast_is_forgotten(p.peer_number, t_at, h.incarnation, h.seq)) LIMIT 20001);
    IF was_forgotten OR cardinality(later) > 20000 THEN
        later := NULL;
    ELSE
        later := ARRAY(SELECT DISTINCT l FROM unnest(later) AS l);
        RETURN QUERY
        SELECT h.route_key, h.afi, h.safi, h.path_id, h.prefix, h.rd, h.nlri, h.nlri_raw, h.as_path,
            h.as_path_text, h.origin_as, h.next_hop, h.med, h.local_pref, h.communities, h.time
        FROM holdfast_last_updates_at(t_peer, t_at, later) h
        LEFT JOIN holdfast_swept_states(t_peer, t_at) g ON g.route_key = h.route_key
        WHERE NOT h.is_withdrawn
            AND holdfast_is_current(h.session, h.generation, down_session, down_generation)
            AND (g.route_key IS NULL
                OR NOT holdfast_is_current(g.session, g.generation, h.session, h.generation));
        -- A look-up per route, whatever the planner's settings.
        has_routes_without_prefix := EXISTS (SELECT FROM unnest(later) AS l WHERE (
            SELECT e.prefix IS NULL FROM rib_entries e WHERE e.peer_id = t_peer AND e.route_key = l));
    END IF;

    RETURN QUERY
    WITH own_records AS NOT MATERIALIZED (
        SELECT coalesce(h.route_key, holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id)) AS key, h.*
        FROM route_records h
        WHERE h.incarnation = ANY (own) AND (NOT has_forgotten
            OR NOT holdfast_is_forgotten(p.peer_number, t_at, h.incarnation, h.seq))
    ), own_kept AS NOT MATERIALIZED (
        SELECT k.* FROM kept_routes k
        WHERE k.time <= t_at AND k.bgp_peer_ip = p.address AND k.rib = p.rib AND k.router = p.router
            AND k.collector = p.collector AND k.peer_type = p.peer_type
            AND k.peer_distinguisher = ANY (texts)
            AND holdfast_is_own_record(p.peer_number, t_at, k.peer_type, k.peer_distinguisher,
                k.bgp_peer_asn, k.bgp_id, k.session, k.log_id, k.seq)
    ), updated_later AS MATERIALIZED (
        SELECT l AS route_key FROM unnest(later) AS l
        UNION
        SELECT DISTINCT h.key FROM own_records h WHERE later IS NULL AND h.time > t_at
        UNION
        SELECT DISTINCT h.key FROM own_records h WHERE was_forgotten AND h.time <= t_at
        UNION
        SELECT DISTINCT k.route_key FROM own_kept k WHERE was_forgotten
    ), swept AS MATERIALIZED (
        SELECT DISTINCT ON (x.afi, x.safi) x.afi, x.safi, x.session, x.generation FROM peer_route_ends x
        WHERE x.peer_id = t_peer AND x.afi IS NOT NULL AND x.time <= t_at
        ORDER BY x.afi, x.safi, x.session DESC, x.generation DESC
    )
    SELECT e.route_key, e.afi, e.safi, e.path_id, e.prefix, e.rd, e.nlri, e.nlri_raw, a.as_path,
        a.as_path_text, a.origin_as, a.next_hop, a.med, a.local_pref, a.communities, e.last_seen
    FROM rib_entries e LEFT JOIN path_attributes a ON a.hash = e.attributes
    WHERE e.peer_id = t_peer AND NOT e.is_withdrawn AND e.first_seen <= t_at
        AND NOT EXISTS (SELECT FROM updated_later l WHERE l.route_key = e.route_key)
        AND holdfast_is_current(e.session, e.generation, down_session, down_generation)
        AND NOT EXISTS (SELECT FROM swept x WHERE x.afi = e.afi AND x.safi = e.safi
            AND NOT holdfast_is_current(e.session, e.generation, x.session, x.generation))
    UNION ALL
    SELECT h.key, h.afi, h.safi, h.path_id, h.prefix, h.rd, h.nlri, h.nlri_raw,
        coalesce(a.as_path, h.as_path, k.as_path), coalesce(a.as_path_text, h.as_path_text, k.as_path_text),
        coalesce(a.origin_as, h.origin_as, k.origin_as), coalesce(a.next_hop, h.next_hop, k.next_hop),
        coalesce(a.med, h.med, k.med), coalesce(a.local_pref, h.local_pref, k.local_pref),
        coalesce(a.communities, h.communities, k.communities), h.time
    FROM (
        SELECT DISTINCT ON (h.key) h.*
        FROM (
            SELECT h.key, h.afi, h.safi, h.path_id, h.prefix, h.rd, h.nlri, h.nlri_raw, h.time,
                h.is_withdrawn, h.attributes, h.as_path, h.as_path_text, h.origin_as, h.next_hop, h.med,
                h.local_pref, h.communities, n.session, n.generation, h.seq, h.idx, false AS is_kept
            FROM own_records h JOIN incarnations n ON n.id = h.incarnation
            WHERE h.time <= t_at
            UNION ALL
            SELECT k.route_key, k.afi, k.safi, k.path_id, k.prefix, k.rd, k.nlri, k.nlri_raw, k.time,
                k.is_withdrawn, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, k.session, k.generation,
                k.seq, k.idx, true
            FROM own_kept k
        ) h
        WHERE (later IS NULL OR has_routes_without_prefix)
            AND h.key IN (SELECT l.route_key FROM updated_later l)
            AND (later IS NULL OR h.prefix IS NULL)
        ORDER BY h.key, h.session DESC, h.generation DESC, h.seq DESC, h.idx DESC
    ) h
    LEFT JOIN attribute_sets a ON a.hash = h.attributes AND a.time = holdfast_week(h.time)
    LEFT JOIN holdfast_swept_states(t_peer, t_at) g ON g.route_key = h.key
    LEFT JOIN own_kept k ON h.is_kept AND (k.route_key, k.session, k.generation, k.seq, k.idx)
        = (h.key, h.session, h.generation, h.seq, h.idx)
    WHERE NOT h.is_withdrawn AND holdfast_is_current(h.session, h.generation, down_session, down_generation)
        AND (g.route_key IS NULL
            OR NOT holdfast_is_current(g.session, g.generation, h.session, h.generation));
END
$$;
COMMENT ON FUNCTION holdfast_table_at IS
    'Table of a RIB view at a past time (infinity: now). Routes without an update since then are in the
current table. The last update of each other route is in history: found by index look-ups if these routes
are few, else by one pass over history. A re-dump that changes nothing has no row (HISTORY_DEDUP); which of
the routes with later updates a sweep had ended is therefore in swept_routes. A Peer Down ends all routes
announced before it, because an announcement after one is never deduplicated.';
