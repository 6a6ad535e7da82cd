-- Answers: the questions that operators ask, each a function or a view. `holdfast query` runs them from a terminal, and
-- docs/QUERIES.md has examples and plans. All are plain SQL that the planner sees through, unless they say otherwise.

-- ---- Words that several answers share

-- A route as text, whatever its family.
CREATE FUNCTION holdfast_route_text(rd text, prefix cidr, nlri text, nlri_raw bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nlri, concat_ws(' ', rd, prefix::text, encode(nlri_raw, 'hex')))
$$;

-- An AS path as text: with its segments where they are not one plain sequence.
CREATE FUNCTION holdfast_path_text(as_path bigint[], as_path_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(as_path_text, array_to_string(as_path, ' '))
$$;

-- A VRF by its distinguisher, a Loc-RIB by its name; null for the global instance.
CREATE FUNCTION holdfast_vrf_text(peer_distinguisher text, table_name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(peer_distinguisher, '0:0'), table_name)
$$;

-- The prefixes that cover this one, itself included: what a longest match looks up, each by the index on the prefix.
CREATE FUNCTION holdfast_covering(address inet) RETURNS cidr[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(network(set_masklen(address, bits))::cidr) FROM generate_series(0, masklen(address)) AS bits
$$;

-- The last prefix inside this one, in the order of the index on the prefix.
CREATE FUNCTION holdfast_last_inside(prefix cidr) RETURNS cidr
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT set_masklen(broadcast(prefix), CASE family(prefix) WHEN 4 THEN 32 ELSE 128 END)::cidr
$$;

-- A router that two collectors see is two rows in bgp_peers and counts once here: the one that is up, then the one that
-- heard last.
CREATE VIEW chosen_peers AS
SELECT DISTINCT ON (router, peer_type, distinguisher, address, rib)
       *, holdfast_vrf_text(peer_distinguisher, table_name) AS vrf
FROM bgp_peers
ORDER BY router, peer_type, distinguisher, address, rib, (state = 'up') DESC, last_seen DESC, id;

-- The peers that an operator means by a word: an id, an address, an AS number (AS65001) or the name of a router; all for null.
CREATE FUNCTION holdfast_peers(word text) RETURNS SETOF chosen_peers
LANGUAGE sql STABLE AS $$
    SELECT * FROM chosen_peers p
    WHERE word IS NULL OR p.id::text = word OR host(p.address) = lower(word) OR 'AS' || p.asn = upper(word) OR p.router = word
$$;

-- What stands, each route of each router once. The columns of route_state follow those for reading.
CREATE VIEW current_routes AS
SELECT s.router, s.bgp_peer_ip AS peer, s.bgp_peer_asn AS peer_as, s.rib, p.vrf, s.family,
       holdfast_route_text(s.rd, s.prefix, s.nlri, s.nlri_raw) AS route, s.path_id,
       holdfast_path_text(s.as_path, s.as_path_text) AS path, s.origin_as, s.next_hop, s.med, s.local_pref, s.communities,
       s.large_communities, s.extended_communities, s.is_stale, s.last_state_change AS since, s.last_seen,
       s.peer_id, s.prefix, s.rd, s.as_path, s.otc, s.labels, s.evpn_route_type, s.evpn_rd, s.evpn_esi, s.evpn_tag,
       s.mac_address, s.evpn_ip, s.first_seen, s.learn_count, s.withdraw_count, s.afi, s.safi, s.route_key
FROM route_state s
JOIN chosen_peers p ON p.id = s.peer_id
WHERE NOT s.is_withdrawn;

-- ---- Lookup

-- The best match of each peer view for an address, as its router would look it up: the longest prefix, with all its paths.
CREATE FUNCTION route_lookup(address inet)
RETURNS TABLE (router text, peer inet, peer_as bigint, rib text, vrf text, prefix cidr, path_id bigint, path text, next_hop inet,
    med bigint, local_pref bigint, communities text[], is_stale boolean, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, peer_as, rib, vrf, prefix, path_id, path, next_hop, med, local_pref, communities, is_stale, since
    FROM (SELECT *, rank() OVER (PARTITION BY peer_id, rd ORDER BY masklen(prefix) DESC)
          FROM current_routes
          WHERE prefix = ANY (holdfast_covering(address)) AND safi IN (1, 4, 128)) found
    WHERE rank = 1
    ORDER BY masklen(prefix) DESC, router, peer, rib, vrf, path_id
$$;

-- Routes to a prefix: match is exact, more (it and what is inside it) or less (it and what covers it).
CREATE FUNCTION prefix_lookup(prefix cidr, match text DEFAULT 'exact')
RETURNS TABLE (router text, peer inet, peer_as bigint, rib text, vrf text, family text, route text, path_id bigint, path text,
    next_hop inet, med bigint, local_pref bigint, communities text[], is_stale boolean, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT c.router, c.peer, c.peer_as, c.rib, c.vrf, c.family, c.route, c.path_id, c.path, c.next_hop, c.med, c.local_pref,
        c.communities, c.is_stale, c.since
    FROM current_routes c
    WHERE match <> 'more' AND c.prefix = ANY (CASE match WHEN 'exact' THEN ARRAY[prefix_lookup.prefix]
        WHEN 'less' THEN holdfast_covering(prefix_lookup.prefix) ELSE '{}' END)
    UNION ALL
    SELECT c.router, c.peer, c.peer_as, c.rib, c.vrf, c.family, c.route, c.path_id, c.path, c.next_hop, c.med, c.local_pref,
        c.communities, c.is_stale, c.since
    FROM current_routes c
    WHERE match = 'more' AND c.prefix BETWEEN prefix_lookup.prefix AND holdfast_last_inside(prefix_lookup.prefix)
        AND c.prefix <<= prefix_lookup.prefix
    ORDER BY route, router, peer, rib, vrf, path_id
$$;

-- ---- The past

-- What ended routes without a word about each: a Peer Down ends what is below generation + 1 in all adjacency views of the
-- peer (or in its Loc-RIB), a sweep what is below its generation in one family of one view.
CREATE VIEW route_ends AS
SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, NULL::integer AS afi, NULL::smallint AS safi,
       session, generation + 1 AS generation
FROM peer_events WHERE event_type = 'peer_down'
UNION ALL
SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, afi, safi, session, generation
FROM peer_events WHERE event_type = 'sweep'
UNION ALL
SELECT * FROM kept_route_ends;

-- All rows of history, and of what retention has dropped the last word on each route.
CREATE VIEW route_history AS
SELECT * FROM route_updates
UNION ALL
SELECT * FROM kept_routes;

-- The table of one view of a peer at a past time ('infinity': now). Of routes without a word since, the current table knows
-- the last one; of the others history does, and few of those are looked up by prefix, many by one pass over history.
--
-- A re-dump that changes nothing has no row (HISTORY_DEDUP). So of a route with later words, its last word before is not held
-- against sweeps: it may well have been told again. Peer Downs are exact, because what follows one is never a repetition.
--
-- History is cut by time, so words are looked for by time and then put in their order: a clock that was set back by more than an
-- hour may hide the last of few. One pass for all is no matter of an index by peer: words of many peers lie on every page.
--
-- The planner cannot know how many keys there are, and a nested loop over a million is what it would choose.
CREATE FUNCTION holdfast_table_at(t_peer bigint, t_at timestamptz)
RETURNS TABLE (route_key bytea, afi integer, safi smallint, path_id bigint, prefix cidr, rd text, nlri text, nlri_raw bytea,
    as_path bigint[], as_path_text text, origin_as bigint, next_hop inet, med bigint, local_pref bigint, communities text[],
    last_told timestamptz)
LANGUAGE plpgsql STABLE SET jit = off SET work_mem = '256MB' SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
    p bgp_peers%ROWTYPE;
    begins timestamptz := (SELECT dropped_before FROM time_tables WHERE name = 'route_updates');
    later bytea[];
    without_prefix bytea[];
    down_session timestamptz;
    down_generation bigint;
BEGIN
    IF t_at < begins THEN
        RAISE EXCEPTION 'history begins at %', begins USING ERRCODE = 'invalid_parameter_value',
            HINT = 'What was said before has been dropped (RETENTION_ROUTES_DAYS).';
    END IF;
    SELECT * INTO STRICT p FROM bgp_peers WHERE id = t_peer;
    SELECT x.session, x.generation INTO down_session, down_generation FROM route_ends x
        WHERE x.afi IS NULL AND x.time <= t_at AND x.collector = p.collector AND x.router = p.router
            AND x.peer_type = p.peer_type AND x.peer_distinguisher = p.peer_distinguisher AND x.bgp_peer_ip = p.address
            AND (x.rib = 'loc-rib') = (p.rib = 'loc-rib')
        ORDER BY x.session DESC, x.generation DESC LIMIT 1;
    down_session := coalesce(down_session, '-infinity');
    down_generation := coalesce(down_generation, 0);
    -- The routes with later words, unless they are many.
    later := ARRAY(SELECT h.route_key FROM route_updates h
        WHERE h.time > t_at AND h.bgp_peer_ip = p.address AND h.rib = p.rib AND h.router = p.router AND h.collector = p.collector
            AND h.peer_type = p.peer_type AND h.peer_distinguisher = p.peer_distinguisher LIMIT 20001);
    IF cardinality(later) > 20000 THEN
        later := NULL;
    ELSE
        later := ARRAY(SELECT DISTINCT l FROM unnest(later) AS l);
        PERFORM set_config('enable_nestloop', 'on', true);
        without_prefix := ARRAY(SELECT l FROM unnest(later) AS l JOIN rib_entries e ON e.peer_id = t_peer AND e.route_key = l
            WHERE e.prefix IS NULL);
        RETURN QUERY
        SELECT h.route_key, h.afi, h.safi, h.path_id, h.prefix, h.rd, h.nlri, h.nlri_raw, h.as_path, h.as_path_text,
            h.origin_as, h.next_hop, h.med, h.local_pref, h.communities, h.time
        FROM (SELECT e.prefix, e.route_key FROM unnest(later) AS l JOIN rib_entries e ON e.peer_id = t_peer AND e.route_key = l
              WHERE e.first_seen <= t_at AND e.prefix IS NOT NULL) c
        CROSS JOIN LATERAL (
            SELECT h.*
            FROM (SELECT n.time FROM route_updates n
                  WHERE n.prefix = c.prefix AND n.time <= t_at AND n.route_key = c.route_key AND n.bgp_peer_ip = p.address
                      AND n.rib = p.rib AND n.router = p.router AND n.collector = p.collector AND n.peer_type = p.peer_type
                      AND n.peer_distinguisher = p.peer_distinguisher
                  ORDER BY n.time DESC LIMIT 1) n
            JOIN route_updates h ON h.time BETWEEN n.time - interval '1 hour' AND n.time
            WHERE h.prefix = c.prefix AND h.route_key = c.route_key AND h.bgp_peer_ip = p.address AND h.rib = p.rib
                AND h.router = p.router AND h.collector = p.collector AND h.peer_type = p.peer_type
                AND h.peer_distinguisher = p.peer_distinguisher
            UNION ALL
            SELECT k.* FROM kept_routes k
            WHERE k.collector = p.collector AND k.router = p.router AND k.peer_type = p.peer_type
                AND k.peer_distinguisher = p.peer_distinguisher AND k.bgp_peer_ip = p.address AND k.rib = p.rib
                AND k.route_key = c.route_key AND k.time <= t_at
            ORDER BY session DESC, generation DESC, seq DESC, idx DESC LIMIT 1
        ) h
        WHERE NOT h.is_withdrawn AND (h.session, h.generation) >= (down_session, down_generation);
        PERFORM set_config('enable_nestloop', 'off', true);
    END IF;

    RETURN QUERY
    WITH spoken AS MATERIALIZED (
        SELECT l AS route_key FROM unnest(later) AS l
        UNION
        SELECT DISTINCT h.route_key FROM route_updates h
        WHERE later IS NULL AND h.time > t_at AND h.bgp_peer_ip = p.address AND h.rib = p.rib AND h.router = p.router
            AND h.collector = p.collector AND h.peer_type = p.peer_type AND h.peer_distinguisher = p.peer_distinguisher
    ), swept AS MATERIALIZED (
        SELECT DISTINCT ON (x.afi, x.safi) x.afi, x.safi, x.session, x.generation FROM route_ends x
        WHERE x.afi IS NOT NULL AND x.time <= t_at AND x.collector = p.collector AND x.router = p.router
            AND x.peer_type = p.peer_type AND x.peer_distinguisher = p.peer_distinguisher AND x.bgp_peer_ip = p.address
            AND x.rib = p.rib
        ORDER BY x.afi, x.safi, x.session DESC, x.generation DESC
    )
    SELECT e.route_key, e.afi, e.safi, e.path_id, e.prefix, e.rd, e.nlri, e.nlri_raw, a.as_path, a.as_path_text, a.origin_as,
        a.next_hop, a.med, a.local_pref, a.communities, e.last_seen
    FROM rib_entries e LEFT JOIN path_attributes a ON a.hash = e.attributes
    WHERE e.peer_id = t_peer AND NOT e.is_withdrawn AND e.first_seen <= t_at
        AND NOT EXISTS (SELECT FROM spoken l WHERE l.route_key = e.route_key)
        AND (e.session, e.generation) >= (down_session, down_generation)
        AND NOT EXISTS (SELECT FROM swept x WHERE x.afi = e.afi AND x.safi = e.safi
            AND (e.session, e.generation) < (x.session, x.generation))
    UNION ALL
    SELECT h.route_key, h.afi, h.safi, h.path_id, h.prefix, h.rd, h.nlri, h.nlri_raw, h.as_path, h.as_path_text,
        h.origin_as, h.next_hop, h.med, h.local_pref, h.communities, h.time
    FROM (
        SELECT DISTINCT ON (h.route_key) h.route_key, h.afi, h.safi, h.path_id, h.prefix, h.rd, h.nlri, h.nlri_raw, h.as_path,
            h.as_path_text, h.origin_as, h.next_hop, h.med, h.local_pref, h.communities, h.time, h.is_withdrawn, h.session, h.generation
        FROM route_history h
        WHERE (later IS NULL OR cardinality(without_prefix) > 0) AND h.time <= t_at AND h.bgp_peer_ip = p.address AND h.rib = p.rib
            AND h.router = p.router AND h.collector = p.collector AND h.peer_type = p.peer_type
            AND h.peer_distinguisher = p.peer_distinguisher
            AND h.route_key IN (SELECT l.route_key FROM spoken l) AND (later IS NULL OR h.prefix IS NULL)
        ORDER BY h.route_key, h.session DESC, h.generation DESC, h.seq DESC, h.idx DESC
    ) h
    WHERE NOT h.is_withdrawn AND (h.session, h.generation) >= (down_session, down_generation);
END
$$;

-- The table of a peer at a time: of all its views, unless rib names one.
CREATE FUNCTION rib_at(peer text, at timestamptz, rib text DEFAULT NULL)
RETURNS TABLE (router text, bgp_peer_ip inet, view text, vrf text, family text, route text, path_id bigint, path text,
    next_hop inet, med bigint, local_pref bigint, communities text[], last_told timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.rib, p.vrf, holdfast_family(t.afi, t.safi),
        holdfast_route_text(t.rd, t.prefix, t.nlri, t.nlri_raw), t.path_id, holdfast_path_text(t.as_path, t.as_path_text),
        t.next_hop, t.med, t.local_pref, t.communities, t.last_told
    FROM holdfast_peers(peer) p CROSS JOIN LATERAL holdfast_table_at(p.id, at) t
    WHERE rib_at.rib IS NULL OR p.rib = rib_at.rib
$$;

-- The words for a Peer Down reason (RFC 7854 section 4.9, RFC 9069 section 5.3), and the NOTIFICATION that came with it.
CREATE FUNCTION holdfast_down_reason(reason integer, data bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE reason WHEN 1 THEN 'closed here' WHEN 2 THEN 'closed here, FSM event' WHEN 3 THEN 'closed by the peer'
            WHEN 4 THEN 'lost' WHEN 5 THEN 'no longer monitored' WHEN 6 THEN 'Loc-RIB down' ELSE 'reason ' || reason END
        || CASE WHEN reason = 2 AND length(data) >= 2 THEN ' ' || (get_byte(data, 0) * 256 + get_byte(data, 1))
            WHEN reason IN (1, 3) AND length(data) >= 21 THEN ': ' || CASE get_byte(data, 19)
                WHEN 1 THEN 'message header error' WHEN 2 THEN 'OPEN message error' WHEN 3 THEN 'UPDATE message error'
                WHEN 4 THEN 'hold timer expired' WHEN 5 THEN 'finite state machine error'
                WHEN 6 THEN 'cease' || CASE get_byte(data, 20)
                    WHEN 1 THEN ', maximum number of prefixes' WHEN 2 THEN ', administrative shutdown'
                    WHEN 3 THEN ', peer de-configured' WHEN 4 THEN ', administrative reset' WHEN 5 THEN ', connection rejected'
                    WHEN 6 THEN ', other configuration change' WHEN 7 THEN ', connection collision'
                    WHEN 8 THEN ', out of resources' WHEN 9 THEN ', hard reset' WHEN 10 THEN ', BFD down'
                    ELSE ', ' || get_byte(data, 20) END
                ELSE get_byte(data, 19) || '/' || get_byte(data, 20) END
            ELSE '' END
$$;

-- What was said of a prefix, and what happened to the peers that said it.
CREATE FUNCTION prefix_timeline(prefix cidr, span interval DEFAULT '7 days', until timestamptz DEFAULT 'infinity')
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, vrf text, event text, cause text, path_id bigint, path text,
    next_hop inet, med bigint, local_pref bigint, communities text[])
LANGUAGE sql STABLE AS $$
    WITH told AS (
        SELECT h.* FROM route_updates h
        WHERE h.prefix = prefix_timeline.prefix AND h.time >= least(until, now()) - span AND h.time <= until
    ), tellers AS (
        SELECT DISTINCT collector, router, peer_type, peer_distinguisher, bgp_peer_ip FROM told
    )
    SELECT at, router, peer, rib, vrf, event, cause, path_id, path, next_hop, med, local_pref, communities
    FROM (
        SELECT t.time AS at, t.router, t.bgp_peer_ip AS peer, t.rib, holdfast_vrf_text(t.peer_distinguisher, t.table_name) AS vrf,
            CASE WHEN t.is_withdrawn THEN 'withdraw' ELSE 'announce' END AS event, t.cause, t.path_id,
            holdfast_path_text(t.as_path, t.as_path_text) AS path, t.next_hop, t.med, t.local_pref, t.communities, t.seq, t.idx
        FROM told t
        UNION ALL
        SELECT e.time, e.router, e.bgp_peer_ip, e.rib, holdfast_vrf_text(e.peer_distinguisher, e.table_name), e.event_type,
            CASE e.event_type WHEN 'peer_down' THEN holdfast_down_reason(e.reason_code, e.data) WHEN 'peer_stale' THEN e.detail ->> 'end' END,
            NULL, NULL, NULL, NULL, NULL, NULL, e.seq, e.idx
        FROM peer_events e JOIN tellers t USING (collector, router, peer_type, peer_distinguisher, bgp_peer_ip)
        WHERE e.time >= least(until, now()) - span AND e.time <= until
            AND e.event_type IN ('peer_up', 'peer_down', 'peer_stale', 'sweep')
    ) line
    ORDER BY at, seq, idx
$$;

-- How two peers differ, now or as they were at times of their own. 'only a', 'only b' or 'path': another path or next hop.
CREATE FUNCTION peer_differences(peer_a text, peer_b text, at_a timestamptz DEFAULT 'infinity',
    at_b timestamptz DEFAULT 'infinity', rib text DEFAULT 'adj-in-pre')
RETURNS TABLE (family text, route text, difference text, path_a text, path_b text, next_hop_a text, next_hop_b text)
LANGUAGE sql STABLE AS $$
    WITH a AS (
        SELECT r.family, r.route, string_agg(DISTINCT r.path, ' | ' ORDER BY r.path) AS path,
            string_agg(DISTINCT host(r.next_hop), ' ') AS next_hop
        FROM rib_at(peer_a, at_a, peer_differences.rib) r GROUP BY 1, 2
    ), b AS (
        SELECT r.family, r.route, string_agg(DISTINCT r.path, ' | ' ORDER BY r.path) AS path,
            string_agg(DISTINCT host(r.next_hop), ' ') AS next_hop
        FROM rib_at(peer_b, at_b, peer_differences.rib) r GROUP BY 1, 2
    )
    SELECT family, route, CASE WHEN b.route IS NULL THEN 'only a' WHEN a.route IS NULL THEN 'only b' ELSE 'path' END,
        a.path, b.path, a.next_hop, b.next_hop
    FROM (SELECT *, true AS is_there FROM a) a FULL JOIN (SELECT *, true AS is_there FROM b) b USING (family, route)
    WHERE a.is_there IS NULL OR b.is_there IS NULL OR a.path IS DISTINCT FROM b.path
    ORDER BY 1, 2
$$;

-- ---- Change

-- Announcements and withdrawals of a span, by prefix, peer or origin AS. Initial dumps and re-dumps are no churn.
CREATE FUNCTION churn(by text DEFAULT 'prefix', span interval DEFAULT '1 hour', until timestamptz DEFAULT 'infinity')
RETURNS TABLE (subject text, announcements bigint, withdrawals bigint, peers bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT CASE by WHEN 'prefix' THEN holdfast_route_text(rd, prefix, nlri, nlri_raw)
            WHEN 'peer' THEN concat_ws(' ', router, host(bgp_peer_ip), rib) WHEN 'as' THEN 'AS' || origin_as END,
        count(*) FILTER (WHERE NOT is_withdrawn), count(*) FILTER (WHERE is_withdrawn),
        count(DISTINCT (router, bgp_peer_ip, rib)), min(time), max(time)
    FROM route_updates
    WHERE time >= least(until, now()) - span AND time <= until AND cause NOT IN ('initial-dump', 're-dump')
    GROUP BY 1
    ORDER BY count(*) DESC, 1
$$;

-- Announcements of a span whose origin is not that of the announcement before, of the same peer for the same route. Those within
-- the span are in their order; what was said before it is found by its time.
CREATE FUNCTION origin_changes(span interval DEFAULT '1 hour', until timestamptz DEFAULT 'infinity')
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, prefix cidr, old_origin bigint, new_origin bigint, old_path text,
    new_path text)
LANGUAGE sql STABLE AS $$
    WITH told AS (
        SELECT h.*, lag(h.origin_as) OVER same AS old_origin, lag(holdfast_path_text(h.as_path, h.as_path_text)) OVER same AS old_path,
            row_number() OVER same AS number
        FROM route_updates h
        WHERE h.time >= least(until, now()) - span AND h.time <= until AND NOT h.is_withdrawn AND h.prefix IS NOT NULL
        WINDOW same AS (PARTITION BY h.collector, h.router, h.peer_type, h.peer_distinguisher, h.bgp_peer_ip, h.rib, h.route_key
            ORDER BY h.session, h.generation, h.seq, h.idx)
    )
    SELECT t.time, t.router, t.bgp_peer_ip, t.rib, t.prefix, coalesce(t.old_origin, b.origin_as), t.origin_as,
        coalesce(t.old_path, b.path), holdfast_path_text(t.as_path, t.as_path_text)
    FROM told t
    LEFT JOIN LATERAL (
        SELECT h.origin_as, holdfast_path_text(h.as_path, h.as_path_text) AS path FROM (
            SELECT h.* FROM (
                SELECT * FROM route_updates h
                WHERE t.number = 1 AND h.prefix = t.prefix AND h.route_key = t.route_key AND h.time < least(until, now()) - span
                    AND NOT h.is_withdrawn AND h.bgp_peer_ip = t.bgp_peer_ip AND h.rib = t.rib AND h.router = t.router
                    AND h.collector = t.collector AND h.peer_type = t.peer_type AND h.peer_distinguisher = t.peer_distinguisher
                ORDER BY h.time DESC LIMIT 1) h
            UNION ALL
            SELECT * FROM kept_routes h
            WHERE t.number = 1 AND h.collector = t.collector AND h.router = t.router AND h.peer_type = t.peer_type
                AND h.peer_distinguisher = t.peer_distinguisher AND h.bgp_peer_ip = t.bgp_peer_ip AND h.rib = t.rib
                AND h.route_key = t.route_key) h
        ORDER BY h.time DESC LIMIT 1
    ) b ON true
    WHERE coalesce(t.old_path, b.path) IS NOT NULL
        AND CASE WHEN t.number = 1 THEN b.origin_as ELSE t.old_origin END IS DISTINCT FROM t.origin_as
    ORDER BY t.time, t.seq, t.idx
$$;

-- Prefixes that stand with more than one origin AS (multiple-origin AS conflicts), in one VRF of all routers.
CREATE FUNCTION moas()
RETURNS TABLE (prefix cidr, rd text, origins bigint[], routes bigint, peers bigint, last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT prefix, rd, array_agg(DISTINCT origin_as ORDER BY origin_as), count(*), count(DISTINCT peer_id), max(since)
    FROM current_routes
    WHERE prefix IS NOT NULL AND origin_as IS NOT NULL AND safi IN (1, 4, 128)
    GROUP BY prefix, rd
    HAVING min(origin_as) <> max(origin_as)
    ORDER BY max(since) DESC
$$;

-- Peers of a span that withdrew more than `least` routes within one bucket, or went down.
CREATE FUNCTION withdraw_storms(span interval DEFAULT '1 day', bucket interval DEFAULT '1 minute', at_least bigint DEFAULT 1000)
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, vrf text, withdrawals bigint, prefixes bigint)
LANGUAGE sql STABLE AS $$
    SELECT date_bin(bucket, time, '2000-01-01'), router, bgp_peer_ip, rib, holdfast_vrf_text(peer_distinguisher, table_name),
        count(*), count(DISTINCT route_key)
    FROM route_updates
    WHERE time >= now() - span AND is_withdrawn
    GROUP BY 1, 2, 3, 4, 5
    HAVING count(*) >= at_least
    ORDER BY 1, 6 DESC
$$;

-- How often standing and gone routes change, per day that they are known: the most unstable first.
CREATE FUNCTION flapping_routes(at_least bigint DEFAULT 10)
RETURNS TABLE (router text, peer inet, rib text, route text, learned integer, withdrawn integer, changes_per_day numeric,
    is_withdrawn boolean, first_seen timestamptz, last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.rib, holdfast_route_text(e.rd, e.prefix, e.nlri, e.nlri_raw), e.learn_count, e.withdraw_count,
        round((e.learn_count + e.withdraw_count)
            / greatest(extract(epoch FROM now() - e.first_seen) / 86400, 1.0 / 24), 1),
        e.is_withdrawn, e.first_seen, e.last_state_change
    FROM rib_entries e JOIN chosen_peers p ON p.id = e.peer_id
    WHERE e.learn_count + e.withdraw_count >= at_least
    ORDER BY 7 DESC, 4
$$;

-- ---- Attributes

-- Standing routes whose AS path has all these AS numbers, or has them as neighbours in this order.
CREATE FUNCTION as_path_search(asns bigint[], adjacent boolean DEFAULT false)
RETURNS TABLE (router text, peer inet, rib text, vrf text, family text, route text, path text, next_hop inet, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, rib, vrf, family, route, path, next_hop, since
    FROM current_routes
    WHERE as_path @> asns AND (NOT adjacent
        OR position(' ' || array_to_string(asns, ' ') || ' ' IN ' ' || array_to_string(as_path, ' ') || ' ') > 0)
$$;

-- Standing routes with a community: standard, large or extended, as text (65000:100, 65000:1:2, RT:65000:100).
CREATE FUNCTION community_search(community text)
RETURNS TABLE (router text, peer inet, rib text, vrf text, family text, route text, path text, next_hop inet, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, rib, vrf, family, route, path, next_hop, since
    FROM current_routes
    WHERE communities @> ARRAY[community] OR large_communities @> ARRAY[community] OR extended_communities @> ARRAY[community]
$$;

-- ---- Policy and security

-- What policy did to routes of peers that are watched before and after it: rejected, or changed and in what.
CREATE FUNCTION policy_effect(peer text DEFAULT NULL)
RETURNS TABLE (router text, bgp_peer_ip inet, vrf text, family text, route text, path_id bigint, effect text, changed text,
    path text, path_after text)
LANGUAGE sql STABLE AS $$
    SELECT v.router, v.address, v.vrf, a.family, holdfast_route_text(a.rd, a.prefix, a.nlri, a.nlri_raw), a.path_id,
        CASE WHEN b.route_key IS NULL THEN 'rejected' ELSE 'changed' END, what.changed,
        holdfast_path_text(a.as_path, a.as_path_text), holdfast_path_text(b.as_path, b.as_path_text)
    FROM (SELECT pre.*, post.id AS post_id
          FROM holdfast_peers(peer) pre JOIN bgp_peers post
              ON (post.collector, post.router, post.peer_type, post.distinguisher, post.address)
                  = (pre.collector, pre.router, pre.peer_type, pre.distinguisher, pre.address)
              AND post.rib = CASE pre.rib WHEN 'adj-in-pre' THEN 'adj-in-post' WHEN 'adj-out-pre' THEN 'adj-out-post' END) v
    JOIN route_state a ON a.peer_id = v.id AND NOT a.is_withdrawn
    LEFT JOIN route_state b ON b.peer_id = v.post_id AND b.route_key = a.route_key AND NOT b.is_withdrawn
    CROSS JOIN LATERAL (SELECT CASE WHEN b.route_key IS NOT NULL THEN concat_ws(' ',
        CASE WHEN a.as_path IS DISTINCT FROM b.as_path THEN 'as_path' END,
        CASE WHEN a.next_hop IS DISTINCT FROM b.next_hop THEN 'next_hop' END,
        CASE WHEN a.med IS DISTINCT FROM b.med THEN 'med' END,
        CASE WHEN a.local_pref IS DISTINCT FROM b.local_pref THEN 'local_pref' END,
        CASE WHEN a.origin IS DISTINCT FROM b.origin THEN 'origin' END,
        CASE WHEN a.communities IS DISTINCT FROM b.communities THEN 'communities' END,
        CASE WHEN a.large_communities IS DISTINCT FROM b.large_communities THEN 'large_communities' END,
        CASE WHEN a.extended_communities IS DISTINCT FROM b.extended_communities THEN 'extended_communities' END)
        END AS changed) what
    WHERE b.route_key IS NULL OR what.changed <> ''
    ORDER BY 1, 2, 3, 5, 6
$$;

-- What is ours: filled by the operator. A route inside `prefix` is expected from one of `origins`, and no longer than
-- `length_max` (null: the prefix itself only). The most specific row that covers a route counts.
CREATE TABLE own_prefixes (
    prefix     cidr PRIMARY KEY,
    origins    bigint[] NOT NULL,
    length_max integer CHECK (length_max BETWEEN masklen(prefix) AND 128),
    note       text
);

-- Routes inside own prefixes that no own rule permits, more-specifics included: those that stand, and with a span those
-- that were announced in it.
CREATE FUNCTION hijacks(span interval DEFAULT '0')
RETURNS TABLE (own_prefix cidr, prefix cidr, problem text, origin_as bigint, router text, peer inet, rib text, path text,
    first_at timestamptz, is_current boolean)
LANGUAGE sql STABLE AS $$
    WITH seen AS (
        SELECT o.prefix AS own_prefix, o.origins, o.length_max, c.prefix, c.origin_as, c.router, c.peer, c.rib, c.path,
            c.since AS first_at, true AS is_current
        FROM own_prefixes o JOIN current_routes c
            ON c.prefix BETWEEN o.prefix AND holdfast_last_inside(o.prefix) AND c.prefix <<= o.prefix
        WHERE c.safi IN (1, 4)
        UNION ALL
        SELECT o.prefix, o.origins, o.length_max, h.prefix, h.origin_as, h.router, h.bgp_peer_ip, h.rib,
            holdfast_path_text(h.as_path, h.as_path_text), min(h.time), false
        FROM own_prefixes o JOIN route_updates h
            ON h.prefix BETWEEN o.prefix AND holdfast_last_inside(o.prefix) AND h.prefix <<= o.prefix
        WHERE span > '0' AND h.time >= now() - span AND h.safi IN (1, 4) AND NOT h.is_withdrawn
        GROUP BY o.prefix, h.prefix, h.origin_as, h.router, h.bgp_peer_ip, h.rib, h.as_path, h.as_path_text
    )
    SELECT own_prefix, prefix, CASE WHEN origin_as IS NULL THEN 'origin unknown' WHEN NOT origin_as = ANY (origins) THEN 'origin'
            ELSE 'more specific' END, origin_as, router, peer, rib, path, min(first_at), bool_or(is_current)
    FROM seen
    WHERE (origin_as IS NULL OR NOT origin_as = ANY (origins) OR masklen(prefix) > coalesce(length_max, masklen(own_prefix)))
        AND NOT EXISTS (SELECT FROM own_prefixes closer WHERE closer.prefix >>= seen.prefix
            AND masklen(closer.prefix) > masklen(seen.own_prefix))
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ORDER BY 1, 2, 4, 5, 6
$$;

-- What neighbours are to us, in the words of RFC 9234: filled by the operator.
CREATE TABLE peer_roles (
    asn  bigint PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('provider', 'customer', 'peer', 'rs', 'rs-client')),
    note text
);

-- Route leaks (RFC 7908) by those roles: a customer or peer that passes on what a provider or (another) peer of ours says, and
-- the OTC attribute where RFC 9234 section 5 does not let it come in.
CREATE FUNCTION leaks()
RETURNS TABLE (router text, peer inet, peer_as bigint, role text, leaked_as bigint, leaked_role text, reason text, route text,
    path text, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT c.router, c.peer, c.peer_as, r.role, over.asn, over.role,
        CASE WHEN over.asn IS NOT NULL THEN 'path' ELSE 'otc ' || c.otc END, c.route, c.path, c.since
    FROM current_routes c
    JOIN peer_roles r ON r.asn = c.peer_as AND r.role IN ('customer', 'peer', 'rs-client')
    LEFT JOIN LATERAL (
        SELECT o.asn, o.role FROM peer_roles o
        WHERE o.role IN ('provider', 'peer', 'rs') AND o.asn <> c.peer_as AND c.as_path @> ARRAY[o.asn]
        ORDER BY array_position(c.as_path, o.asn) LIMIT 1
    ) over ON true
    WHERE c.rib IN ('adj-in-pre', 'adj-in-post') AND c.safi = 1
        AND (over.asn IS NOT NULL OR (c.otc IS NOT NULL AND (r.role <> 'peer' OR c.otc <> c.peer_as)))
    ORDER BY c.router, c.peer, c.route
$$;

-- Validated ROA payloads, replaced as a whole by `holdfast rpki load`.
CREATE TABLE rpki_vrps (
    prefix       cidr NOT NULL,
    length_max   smallint NOT NULL,
    asn          bigint NOT NULL,
    trust_anchor text NOT NULL,
    PRIMARY KEY (prefix, length_max, asn, trust_anchor)
);
CREATE TABLE rpki_loads (
    loaded_at timestamptz PRIMARY KEY DEFAULT now(),
    vrps      bigint NOT NULL,
    source    text NOT NULL
);

-- Route origin validation (RFC 6811) of what stands. An empty path is the peer's own AS; an AS_SET at its end is no origin, and so
-- never valid. Not a function of a route: called for each it would cost more than twice as much.
CREATE VIEW rpki_routes AS
SELECT v.state, c.*
FROM current_routes c
CROSS JOIN LATERAL (SELECT coalesce(c.origin_as, CASE WHEN c.as_path = '{}' THEN c.peer_as END) AS asn) o
CROSS JOIN LATERAL (
    SELECT CASE WHEN count(*) = 0 THEN 'not-found'
        WHEN bool_or(v.asn = o.asn AND v.asn <> 0 AND masklen(c.prefix) <= v.length_max) THEN 'valid' ELSE 'invalid' END AS state
    FROM rpki_vrps v WHERE v.prefix = ANY (holdfast_covering(c.prefix))) v
WHERE c.prefix IS NOT NULL AND c.safi IN (1, 4);

CREATE FUNCTION rpki(state text DEFAULT 'invalid', peer text DEFAULT NULL)
RETURNS TABLE (validity text, prefix cidr, origin_as bigint, router text, bgp_peer_ip inet, rib text, path text, vrps text,
    since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT r.state, r.prefix, r.origin_as, r.router, r.peer, r.rib, r.path,
        (SELECT string_agg(format('AS%s %s-%s', v.asn, v.prefix, v.length_max), ', ' ORDER BY v.prefix, v.asn)
         FROM rpki_vrps v WHERE v.prefix = ANY (holdfast_covering(r.prefix))), r.since
    FROM rpki_routes r
    WHERE r.state = rpki.state AND (rpki.peer IS NULL OR r.peer_id IN (SELECT id FROM holdfast_peers(rpki.peer)))
    ORDER BY r.prefix, r.origin_as, r.router, r.peer
$$;

-- ---- EVPN

-- What route targets a route has: the broadcast domain, where route distinguishers differ from router to router.
CREATE FUNCTION holdfast_route_targets(extended_communities text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(c, ' ' ORDER BY c) FROM unnest(extended_communities) AS c WHERE c LIKE 'RT:%'
$$;

-- MAC and MAC/IP advertisements that stand; all, of one MAC address, or of one host.
CREATE FUNCTION evpn_bindings(mac text DEFAULT NULL, ip inet DEFAULT NULL)
RETURNS TABLE (mac_address text, host inet, vtep inet, rd text, tag bigint, labels bigint[], esi text, route_targets text,
    mobility text, router text, peer inet, rib text, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT mac_address, evpn_ip, next_hop, evpn_rd, evpn_tag, labels, evpn_esi, holdfast_route_targets(extended_communities),
        (SELECT split_part(c, ':', 2) FROM unnest(extended_communities) c WHERE c LIKE 'EVPN-MAC-Mobility:%' LIMIT 1),
        router, peer, rib, since
    FROM current_routes
    WHERE evpn_route_type = 2 AND mac_address IS NOT NULL AND (mac IS NULL OR mac_address = lower(mac))
        AND (ip IS NULL OR evpn_ip = ip)
    ORDER BY mac_address, evpn_ip, evpn_rd, router, peer
$$;

-- MAC addresses that moved to another VTEP in a span. Two VTEPs of one Ethernet segment are no move. Where a MAC address was before
-- the span says the current table, which keeps withdrawn routes: each VTEP has a route distinguisher of its own.
CREATE FUNCTION evpn_moves(span interval DEFAULT '1 day')
RETURNS TABLE (at timestamptz, mac_address text, route_targets text, old_vtep inet, new_vtep inet, mobility text, router text,
    peer inet, rib text)
LANGUAGE sql STABLE AS $$
    SELECT m.time, m.mac_address, m.targets, coalesce(m.old_vtep, b.next_hop), m.next_hop,
        (SELECT split_part(c, ':', 2) FROM unnest(m.extended_communities) c WHERE c LIKE 'EVPN-MAC-Mobility:%' LIMIT 1),
        m.router, m.bgp_peer_ip, m.rib
    FROM (SELECT m.*, lag(next_hop) OVER same AS old_vtep, lag(evpn_esi) OVER same AS old_esi, row_number() OVER same AS number
          FROM (SELECT *, holdfast_route_targets(extended_communities) AS targets FROM route_updates
                WHERE time >= now() - span AND evpn_route_type = 2 AND NOT is_withdrawn) m
          WINDOW same AS (PARTITION BY collector, router, bgp_peer_ip, peer_distinguisher, rib, mac_address, evpn_tag, targets
              ORDER BY session, generation, seq, idx)) m
    LEFT JOIN LATERAL (
        SELECT a.next_hop, e.evpn_esi
        FROM rib_entries e JOIN bgp_peers p ON p.id = e.peer_id JOIN path_attributes a ON a.hash = e.attributes
        WHERE m.number = 1 AND e.mac_address = m.mac_address AND e.first_seen < now() - span AND e.route_key <> m.route_key
            AND e.evpn_tag IS NOT DISTINCT FROM m.evpn_tag AND p.collector = m.collector AND p.router = m.router
            AND p.address = m.bgp_peer_ip AND p.peer_distinguisher = m.peer_distinguisher AND p.rib = m.rib
            AND holdfast_route_targets(a.extended_communities) IS NOT DISTINCT FROM m.targets
        ORDER BY e.last_seen DESC LIMIT 1
    ) b ON true
    WHERE m.next_hop <> coalesce(m.old_vtep, b.next_hop)
        AND NOT (m.evpn_esi = coalesce(m.old_esi, b.evpn_esi) AND m.evpn_esi !~ '^[0:]*$')
    ORDER BY m.time, m.seq, m.idx
$$;

-- MAC addresses that stand behind more than one VTEP of one broadcast domain, without a common Ethernet segment.
CREATE FUNCTION evpn_duplicates()
RETURNS TABLE (mac_address text, route_targets text, tag bigint, vteps text, hosts text, router text, peer inet, rib text,
    last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT mac_address, targets, evpn_tag, string_agg(DISTINCT host(next_hop), ' '), string_agg(DISTINCT host(evpn_ip), ' '), router,
        peer, rib, max(since)
    FROM (SELECT *, holdfast_route_targets(extended_communities) AS targets,
              CASE WHEN evpn_esi !~ '^[0:]*$' THEN evpn_esi ELSE host(next_hop) END AS place
          FROM current_routes WHERE evpn_route_type = 2 AND mac_address IS NOT NULL) m
    GROUP BY mac_address, targets, evpn_tag, router, peer, rib, vrf
    HAVING count(DISTINCT place) > 1
    ORDER BY 1, 2
$$;

-- ---- Peers

-- Ups and downs of peers in a span, with reasons, and how long the peer had been up.
CREATE FUNCTION peer_flaps(span interval DEFAULT '1 day', peer text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, bgp_peer_ip inet, peer_as bigint, rib text, vrf text, event text, reason text,
    was_up interval)
LANGUAGE sql STABLE AS $$
    SELECT time, router, bgp_peer_ip, bgp_peer_asn, rib, holdfast_vrf_text(peer_distinguisher, table_name), event_type,
        CASE event_type WHEN 'peer_down' THEN holdfast_down_reason(reason_code, data) WHEN 'peer_stale' THEN detail ->> 'end' END,
        CASE WHEN event_type <> 'peer_up' THEN time - last_up END
    FROM (SELECT *, max(time) FILTER (WHERE event_type = 'peer_up') OVER (
              PARTITION BY collector, router, peer_type, peer_distinguisher, e.bgp_peer_ip, rib = 'loc-rib'
              ORDER BY session, generation, seq, idx) AS last_up
          FROM peer_events e
          WHERE time >= now() - span AND event_type IN ('peer_up', 'peer_down', 'peer_stale')) e
    WHERE peer IS NULL OR host(bgp_peer_ip) = peer OR router = peer OR 'AS' || bgp_peer_asn = upper(peer)
    ORDER BY time, seq, idx
$$;

-- Every peer view with its state, what its last Peer Up said, and how many routes came and went.
CREATE FUNCTION peers(peer text DEFAULT NULL)
RETURNS TABLE (id bigint, router text, bgp_peer_ip inet, peer_as bigint, bgp_id inet, rib text, vrf text, state text,
    up_since timestamptz, down_at timestamptz, down_reason text, ups bigint, downs bigint, announced bigint, withdrawn bigint,
    families text, add_path text, hold_time_s integer, last_seen timestamptz, collector text)
LANGUAGE sql STABLE AS $$
    SELECT p.id, p.router, p.address, p.asn, p.bgp_id, p.rib, p.vrf, p.state, p.up_since, p.down_at,
        holdfast_down_reason(p.down_reason, NULL), p.ups, p.downs, p.announced, p.withdrawn,
        (SELECT string_agg(f, ' ') FROM jsonb_array_elements_text(p.detail -> 'families') f),
        (SELECT string_agg(f, ' ') FROM jsonb_array_elements_text(p.detail -> 'add_path') f),
        (p.detail ->> 'hold_time_s')::integer, p.last_seen, p.collector
    FROM holdfast_peers(peer) p
    ORDER BY p.router, p.address, p.rib, p.vrf
$$;

-- The capabilities of both OPEN messages of a peer's last Peer Up: sent by the router, or received from its peer.
CREATE FUNCTION peer_capabilities(peer text DEFAULT NULL)
RETURNS TABLE (router text, bgp_peer_ip inet, rib text, vrf text, capability text, is_sent boolean, is_received boolean)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.rib, p.vrf, c.name, bool_or(c.is_sent), bool_or(NOT c.is_sent)
    FROM holdfast_peers(peer) p
    CROSS JOIN LATERAL (
        SELECT name, true AS is_sent FROM jsonb_array_elements_text(p.detail -> 'sent_capabilities') name
        UNION ALL SELECT name, false FROM jsonb_array_elements_text(p.detail -> 'received_capabilities') name
    ) c
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 3, 4, 5
$$;

-- The newest value of each counter that a router reports of a peer (RFC 7854 section 4.8).
CREATE FUNCTION peer_counters(peer text DEFAULT NULL, span interval DEFAULT '1 day')
RETURNS TABLE (at timestamptz, router text, bgp_peer_ip inet, vrf text, type integer, name text, family text, value numeric)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (s.router, s.bgp_peer_ip, s.peer_distinguisher, s.rib, s.type, s.afi, s.safi)
        s.time, s.router, s.bgp_peer_ip, nullif(s.peer_distinguisher, '0:0'), s.type, CASE s.type
            WHEN 0 THEN 'prefixes rejected by inbound policy' WHEN 1 THEN 'duplicate prefix advertisements'
            WHEN 2 THEN 'duplicate withdraws' WHEN 3 THEN 'invalidated: CLUSTER_LIST loop' WHEN 4 THEN 'invalidated: AS_PATH loop'
            WHEN 5 THEN 'invalidated: ORIGINATOR_ID' WHEN 6 THEN 'invalidated: AS_CONFED loop' WHEN 7 THEN 'routes in Adj-RIB-In'
            WHEN 8 THEN 'routes in Loc-RIB' WHEN 9 THEN 'routes in Adj-RIB-In, of a family'
            WHEN 10 THEN 'routes in Loc-RIB, of a family' WHEN 11 THEN 'updates treated as withdraw'
            WHEN 12 THEN 'prefixes treated as withdraw' WHEN 13 THEN 'duplicate UPDATE messages'
            WHEN 14 THEN 'routes in pre-policy Adj-RIB-Out' WHEN 15 THEN 'routes in post-policy Adj-RIB-Out'
            WHEN 16 THEN 'routes in pre-policy Adj-RIB-Out, of a family' WHEN 17 THEN 'routes in post-policy Adj-RIB-Out, of a family'
            END, holdfast_family(s.afi, s.safi), s.value
    FROM peer_statistics s
    WHERE s.time >= now() - span
        AND (peer IS NULL OR host(s.bgp_peer_ip) = peer OR s.router = peer OR 'AS' || s.bgp_peer_asn = upper(peer))
    ORDER BY s.router, s.bgp_peer_ip, s.peer_distinguisher, s.rib, s.type, s.afi, s.safi, s.time DESC
$$;

-- ---- The collector

-- How many routes stood, of each family of each peer view: a sample that maintenance takes.
CREATE TABLE rib_sizes (
    time    timestamptz NOT NULL,
    peer_id bigint NOT NULL,
    afi     integer NOT NULL,
    safi    smallint NOT NULL,
    routes  bigint NOT NULL,
    PRIMARY KEY (time, peer_id, afi, safi)
);

-- Takes the sample unless the last one is younger than `every`; returns its number of rows.
CREATE FUNCTION holdfast_sample_sizes(every interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('rib_sizes')) OR EXISTS (SELECT FROM rib_sizes WHERE time > now() - every) THEN
        RETURN 0;
    END IF;
    INSERT INTO rib_sizes
        SELECT now(), peer_id, afi, safi, count(*) FROM route_state WHERE NOT is_withdrawn GROUP BY 2, 3, 4;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
END
$$;

-- How tables grew: of each peer and family the first and last sample of each bucket.
CREATE FUNCTION table_growth(span interval DEFAULT '30 days', bucket interval DEFAULT '1 day', peer text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, bgp_peer_ip inet, rib text, vrf text, family text, routes bigint, grown bigint)
LANGUAGE sql STABLE AS $$
    SELECT at, router, address, rib, vrf, family, routes,
        routes - lag(routes) OVER (PARTITION BY router, address, rib, vrf, family ORDER BY at)
    FROM (SELECT DISTINCT ON (p.id, s.afi, s.safi, 1) date_bin(bucket, s.time, '2000-01-01') AS at, p.router, p.address, p.rib, p.vrf,
              holdfast_family(s.afi, s.safi) AS family, s.routes
          FROM rib_sizes s JOIN holdfast_peers(peer) p ON p.id = s.peer_id
          WHERE s.time >= now() - span
          ORDER BY p.id, s.afi, s.safi, 1, s.time DESC) last
    ORDER BY 2, 3, 4, 5, 6, 1
$$;

-- Routers, each once whichever collectors it talks to.
CREATE FUNCTION routers()
RETURNS TABLE (router text, address inet, router_id inet, sys_descr text, is_active boolean, peers bigint, peers_up bigint,
    sessions bigint, last_seen timestamptz, end_reason text, collectors text)
LANGUAGE sql STABLE AS $$
    SELECT b.router, b.peer_ip, b.router_id, b.sys_descr, b.is_active, n.peers, n.peers_up, b.sessions, b.last_seen, b.end_reason,
        (SELECT string_agg(collector, ' ' ORDER BY collector) FROM bmp_peers o WHERE o.router = b.router)
    FROM (SELECT DISTINCT ON (router) * FROM bmp_peers ORDER BY router, is_active DESC, last_seen DESC) b
    CROSS JOIN LATERAL (SELECT count(*) AS peers, count(*) FILTER (WHERE state = 'up') AS peers_up
                        FROM chosen_peers p WHERE p.router = b.router) n
    ORDER BY 1
$$;

-- One line per collector: how far it has delivered and when, what is missing, and what was refused.
CREATE FUNCTION collector_health()
RETURNS TABLE (collector text, lanes bigint, last_commit timestamptz, silent_for interval, delivered_seq bigint, lane_lag bigint,
    routers bigint, routers_active bigint, peers_up bigint, peers_stale bigint, gaps bigint, last_gap timestamptz,
    rejected_routes bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.collector, c.lanes, c.last_commit, date_trunc('second', now() - c.last_commit), c.delivered_seq, c.lane_lag,
        (SELECT count(*) FROM bmp_peers b WHERE b.collector = c.collector),
        (SELECT count(*) FROM bmp_peers b WHERE b.collector = c.collector AND b.is_active),
        (SELECT count(*) FROM bgp_peers p WHERE p.collector = c.collector AND p.state = 'up'),
        (SELECT count(*) FROM bgp_peers p WHERE p.collector = c.collector AND p.state = 'stale'),
        g.gaps, g.last_gap, (SELECT count(*) FROM rejected_routes r WHERE r.collector = c.collector)
    FROM (SELECT DISTINCT ON (collector) collector, count(*) AS lanes, max(updated_at) AS last_commit, min(last_seq) AS delivered_seq,
              max(last_seq) - min(last_seq) AS lane_lag
          FROM ingest_checkpoint GROUP BY collector, log_id ORDER BY collector, max(updated_at) DESC) c
    CROSS JOIN LATERAL (SELECT count(*) AS gaps, max(noticed_at) AS last_gap FROM collector_gaps g WHERE g.collector = c.collector) g
    ORDER BY 1
$$;

-- What is missing, newest first.
CREATE FUNCTION gaps(span interval DEFAULT '30 days')
RETURNS TABLE (noticed_at timestamptz, collector text, router text, reason text, from_time timestamptz, until_time timestamptz,
    first_seq bigint, last_seq bigint)
LANGUAGE sql STABLE AS $$
    SELECT noticed_at, collector, router, reason, from_time, until_time, first_seq, last_seq
    FROM collector_gaps WHERE noticed_at >= now() - span ORDER BY noticed_at DESC
$$;
