-- Queries: changes, origins and instability.

CREATE OR REPLACE FUNCTION holdfast_origin_before(of_prefix cidr, of_key bytea, of_view bigint,
    at timestamptz)
RETURNS TABLE (origin_as bigint, as_path bigint[], as_path_text text)
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp SET jit = off AS $$
    SELECT o.origin_as, o.as_path, o.as_path_text
    FROM (
        (SELECT h.time, coalesce(a.origin_as, h.origin_as) AS origin_as,
            coalesce(a.as_path, h.as_path) AS as_path,
            coalesce(a.as_path_text, h.as_path_text) AS as_path_text
         FROM peer_collectors v CROSS JOIN LATERAL holdfast_own_incarnations(v.peer_id) own
         JOIN route_records h ON h.incarnation = ANY (own)
         LEFT JOIN attribute_sets a ON a.hash = h.attributes AND a.time = holdfast_week(h.time)
         WHERE v.view_id = of_view AND h.prefix = of_prefix AND h.time < at AND NOT h.is_withdrawn
            AND coalesce(h.route_key, holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id)) = of_key
         ORDER BY h.time DESC LIMIT 1)
        UNION ALL
        (SELECT k.time, k.origin_as, k.as_path, k.as_path_text
         FROM peer_collectors v JOIN bgp_peers p ON p.id = v.peer_id
         JOIN kept_routes k ON k.collector = p.collector AND k.router = p.router AND k.peer_type = p.peer_type
            AND k.bgp_peer_ip = p.address AND k.rib = p.rib
         WHERE v.view_id = of_view AND k.prefix = of_prefix AND k.route_key = of_key
         ORDER BY k.time DESC LIMIT 1)) o
    ORDER BY o.time DESC LIMIT 1
$$;
COMMENT ON FUNCTION holdfast_origin_before IS
    'Path of the last announcement of a route of a RIB view (peer_collectors.view_id) before a time.';

CREATE OR REPLACE FUNCTION churn(by text DEFAULT 'prefix', span interval DEFAULT '1 hour',
    until timestamptz DEFAULT 'infinity', of_collector text DEFAULT NULL)
RETURNS TABLE (subject text, announcements bigint, withdrawals bigint, peers bigint, first_at timestamptz,
    last_at timestamptz, vrf text)
LANGUAGE sql STABLE AS $$
    WITH updates AS (
        SELECT h.time, h.is_withdrawn, h.cause, h.prefix, h.route_key, c.view_id, h.incarnation,
            CASE @schema@.holdfast_choice(by, 'by', 'prefix', 'peer', 'as')
                WHEN 'prefix' THEN @schema@.holdfast_route_text(h.rd, h.prefix, h.nlri, h.nlri_raw)
                WHEN 'peer' THEN concat_ws(' ', h.router, host(h.bgp_peer_ip), 'AS' || h.bgp_peer_asn,
                    host(h.bgp_id), h.rib) END AS subject,
            CASE by WHEN 'prefix' THEN c.instance WHEN 'peer' THEN c.vrf END AS vrf, c.own_as,
            coalesce(h.origin_as, CASE WHEN @schema@.holdfast_is_own_path(h.as_path, h.as_path_text)
                THEN c.own_as END) AS origin,
            lag(h.is_withdrawn) OVER same AS was_withdrawn, lag(h.incarnation) OVER same AS old_incarnation,
            hash_record_extended(ROW(h.origin, h.as_path, h.as_path_text, h.next_hop, h.next_hop_link_local,
                h.med, h.local_pref, h.communities, h.large_communities, h.extended_communities, h.labels,
                h.evpn_esi, h.otc, h.aggregator_asn, h.aggregator_address, h.cluster_list, h.attributes_raw,
                h.path_status), 0) AS content,
            -- Number of announcements until then: withdrawals have the origin of the last one.
            count(*) FILTER (WHERE NOT h.is_withdrawn) OVER same AS announced,
            h.session, h.generation, h.seq, h.idx
        FROM @schema@.holdfast_updates(least(until, now()) - span, until) h
        JOIN @schema@.holdfast_counted_incarnations(of_collector) c ON c.id = h.incarnation
            AND h.time >= c.since AND h.time < c.until
        WINDOW same AS (PARTITION BY c.view_id, h.route_key
            ORDER BY h.time, h.session, h.generation, h.seq, h.idx)
    ), compared AS (
        SELECT u.*, lag(u.content) OVER (PARTITION BY u.view_id, u.route_key
                ORDER BY u.time, u.session, u.generation, u.seq, u.idx) AS old_content,
            CASE WHEN by = 'as' THEN coalesce(u.origin, CASE WHEN u.is_withdrawn AND u.announced > 0
                THEN first_value(u.origin) OVER (PARTITION BY u.view_id, u.route_key, u.announced
                    ORDER BY u.time, u.session, u.generation, u.seq, u.idx) END) END AS last_origin
        FROM updates u
    ), counted AS (
        SELECT c.*, CASE WHEN by = 'as' THEN 'AS' || coalesce(c.last_origin,
            CASE WHEN c.is_withdrawn AND c.announced = 0 THEN (
                SELECT coalesce(o.origin_as, CASE WHEN @schema@.holdfast_is_own_path(o.as_path,
                    o.as_path_text)
                    THEN c.own_as END)
                FROM @schema@.holdfast_origin_before(c.prefix, c.route_key, c.view_id, c.time) o) END)
            ELSE c.subject END AS counted_subject
        FROM compared c
        WHERE c.cause NOT IN ('initial-dump', 're-dump')
            AND NOT coalesce(NOT c.is_withdrawn AND NOT c.was_withdrawn AND c.content = c.old_content
                AND c.incarnation = c.old_incarnation, false)
    )
    SELECT c.counted_subject, count(*) FILTER (WHERE NOT c.is_withdrawn),
        count(*) FILTER (WHERE c.is_withdrawn), count(DISTINCT c.view_id), min(c.time), max(c.time), c.vrf
    FROM counted c
    GROUP BY 1, 7
    ORDER BY count(*) DESC, CASE WHEN by = 'prefix' THEN min(c.prefix) END, 1, 7
$$;
COMMENT ON FUNCTION churn IS
    'Announcements and withdrawals in a period by prefix, peer or as (origin AS), each update once if several
collectors received it. A withdrawal counts for the origin of the announcement before it. Initial dumps and
re-dumps do not count, and neither do announcements that repeat the update before them in the period.';

CREATE OR REPLACE FUNCTION origin_changes(span interval DEFAULT '1 hour',
    until timestamptz DEFAULT 'infinity', of_collector text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, prefix cidr, old_origin bigint,
    new_origin bigint, old_path text, new_path text, vrf text)
LANGUAGE sql STABLE AS $$
    WITH incarnations AS MATERIALIZED (
        SELECT * FROM @schema@.holdfast_counted_incarnations(of_collector)
    ), updates AS (
        SELECT h.*, x.new_origin, c.view_id, c.vrf, c.own_as, lag(x.new_origin) OVER same AS old_origin,
            lag(@schema@.holdfast_path_text(h.as_path, h.as_path_text)) OVER same AS old_path,
            row_number() OVER same AS number
        FROM @schema@.holdfast_updates(least(until, now()) - span, until) h
        JOIN incarnations c ON c.id = h.incarnation AND h.time >= c.since AND h.time < c.until
        CROSS JOIN LATERAL (SELECT coalesce(h.origin_as, CASE WHEN @schema@.holdfast_is_own_path(h.as_path,
            h.as_path_text) THEN c.own_as END) AS new_origin) x
        WHERE NOT h.is_withdrawn AND h.prefix IS NOT NULL
        WINDOW same AS (PARTITION BY c.view_id, h.route_key
            ORDER BY h.time, h.session, h.generation, h.seq, h.idx)
    ), firsts AS MATERIALIZED (
        SELECT u.view_id, u.route_key, u.prefix, u.own_as FROM updates u WHERE u.number = 1
    ), earlier AS (
        -- All rows of a prefix at once: they are of many peers, and an index of each peer would cost more.
        SELECT DISTINCT ON (c.view_id, n.key) c.view_id, n.key, n.time, n.attributes, n.origin_as, n.as_path,
            n.as_path_text
        FROM (SELECT DISTINCT prefix FROM firsts) p
        CROSS JOIN LATERAL (
            SELECT n.time, n.seq, n.idx, n.attributes, n.incarnation, n.origin_as, n.as_path, n.as_path_text,
                coalesce(n.route_key, @schema@.holdfast_route_key(n.afi, n.safi, n.prefix, n.path_id)) AS key
            FROM @schema@.route_records n
            WHERE n.prefix = p.prefix AND n.time < least(until, now()) - span AND NOT n.is_withdrawn
            OFFSET 0) n
        JOIN incarnations c ON c.id = n.incarnation AND n.time >= c.since AND n.time < c.until
        JOIN @schema@.incarnations i ON i.id = n.incarnation
        ORDER BY c.view_id, n.key, n.time DESC, i.session DESC, i.generation DESC, n.seq DESC, n.idx DESC
    ), kept AS (
        SELECT DISTINCT ON (v.view_id, k.route_key) v.view_id, k.route_key, k.origin_as, k.as_path,
            k.as_path_text
        FROM (SELECT DISTINCT prefix FROM firsts) p JOIN @schema@.kept_routes k ON k.prefix = p.prefix
        JOIN @schema@.peer_identities i ON i.collector = k.collector AND i.router = k.router
            AND i.address = k.bgp_peer_ip AND i.peer_type = k.peer_type
            AND i.peer_distinguisher = k.peer_distinguisher AND @schema@.holdfast_is_identity(i.asn, i.bgp_id,
                i.since, i.until, i.any_until, k.peer_type, k.bgp_peer_asn, k.bgp_id, k.session)
        JOIN @schema@.peer_collectors v ON v.peer_number = i.peer_number AND v.rib = k.rib
            AND (of_collector IS NULL OR v.collector = of_collector)
        ORDER BY v.view_id, k.route_key, k.time DESC
    ), old AS (
        SELECT f.view_id, f.route_key, coalesce(x.origin_as,
                CASE WHEN @schema@.holdfast_is_own_path(x.as_path, x.as_path_text) THEN f.own_as END)
                AS origin_as, @schema@.holdfast_path_text(x.as_path, x.as_path_text) AS path
        FROM firsts f
        LEFT JOIN earlier e ON e.view_id = f.view_id AND e.key = f.route_key
        LEFT JOIN @schema@.attribute_sets a ON a.hash = e.attributes
            AND a.time = @schema@.holdfast_week(e.time)
        LEFT JOIN kept k ON e.time IS NULL AND k.view_id = f.view_id AND k.route_key = f.route_key
        CROSS JOIN LATERAL (SELECT coalesce(a.origin_as, e.origin_as, k.origin_as) AS origin_as,
            coalesce(a.as_path, e.as_path, k.as_path) AS as_path,
            coalesce(a.as_path_text, e.as_path_text, k.as_path_text) AS as_path_text) x
    )
    SELECT t.time, t.router, t.bgp_peer_ip, t.rib, t.prefix,
        CASE WHEN t.number = 1 THEN b.origin_as ELSE t.old_origin END, t.new_origin,
        CASE WHEN t.number = 1 THEN b.path ELSE t.old_path END,
        @schema@.holdfast_path_text(t.as_path, t.as_path_text), coalesce(t.rd, t.vrf)
    FROM updates t
    LEFT JOIN old b ON t.number = 1 AND b.view_id = t.view_id AND b.route_key = t.route_key
    WHERE CASE WHEN t.number = 1 THEN b.path ELSE t.old_path END IS NOT NULL
        AND CASE WHEN t.number = 1 THEN b.origin_as ELSE t.old_origin END IS DISTINCT FROM t.new_origin
    ORDER BY t.time, t.session, t.seq, t.idx
$$;
COMMENT ON FUNCTION origin_changes IS
    'Announcements in a period whose origin AS differs from that of the previous announcement of the same
route, each once if several collectors received it. Announcements at the same time are in the order of their
positions.';

CREATE OR REPLACE FUNCTION moas()
RETURNS TABLE (prefix cidr, rd text, origins bigint[], routes bigint, peers bigint, last_change timestamptz,
    vrf text)
LANGUAGE sql STABLE AS $$
    SELECT prefix, rd, array_agg(DISTINCT origin_as ORDER BY origin_as), count(*), count(DISTINCT peer_id),
        max(since), instance
    FROM @schema@.current_routes
    WHERE prefix IS NOT NULL AND origin_as IS NOT NULL AND safi IN (1, 4, 128)
    GROUP BY prefix, rd, instance
    HAVING min(origin_as) <> max(origin_as)
    ORDER BY max(since) DESC, prefix, rd, instance
$$;
COMMENT ON FUNCTION moas IS
    'Prefixes currently originated by several AS numbers (multiple-origin AS conflicts), per VRF, over all
routers.';

CREATE OR REPLACE FUNCTION withdraw_storms(span interval DEFAULT '1 day', bucket interval DEFAULT '1 minute',
    at_least bigint DEFAULT 1000, of_collector text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, vrf text, withdrawals bigint,
    prefixes bigint)
LANGUAGE sql STABLE AS $$
    SELECT date_bin(bucket, h.time, '2000-01-01 00:00:00+00'), h.router, h.bgp_peer_ip, h.rib, c.vrf,
        count(*), count(DISTINCT h.route_key)
    FROM @schema@.holdfast_updates(now() - span, 'infinity') h
    JOIN @schema@.holdfast_counted_incarnations(of_collector) c ON c.id = h.incarnation AND h.time >= c.since
        AND h.time < c.until
    WHERE h.is_withdrawn
    GROUP BY 1, 2, 3, 4, 5, c.view_id
    HAVING count(*) >= at_least
    ORDER BY 1, 6 DESC, 2, 3, 4, 5
$$;
COMMENT ON FUNCTION withdraw_storms IS
    'RIB views with at least `at_least` withdrawals within one time bucket.';

CREATE OR REPLACE FUNCTION flapping_routes(at_least bigint DEFAULT 10)
RETURNS TABLE (router text, peer inet, rib text, route text, learned integer, withdrawn integer,
    changes_per_day numeric, is_withdrawn boolean, first_seen timestamptz, last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.rib, @schema@.holdfast_route_text(e.rd, e.prefix, e.nlri, e.nlri_raw),
        e.learn_count, e.withdraw_count, round((e.learn_count + e.withdraw_count)
            / greatest(extract(epoch FROM now() - e.first_seen) / 86400, 1.0 / 24), 1),
        e.is_withdrawn
            OR NOT @schema@.holdfast_is_current(e.session, e.generation, p.valid_session, p.valid_generation)
            OR coalesce(NOT @schema@.holdfast_is_current(e.session, e.generation, f.valid_session,
                f.valid_generation), false), e.first_seen, e.last_state_change
    FROM @schema@.rib_entries e JOIN @schema@.chosen_peers p ON p.id = e.peer_id
    LEFT JOIN @schema@.peer_families f ON f.peer_id = e.peer_id AND f.afi = e.afi AND f.safi = e.safi
    WHERE e.learn_count + e.withdraw_count >= at_least
    ORDER BY 7 DESC, e.prefix, 4, 1, 2, 3
$$;
COMMENT ON FUNCTION flapping_routes IS
    'Routes, withdrawn ones included, by number of changes per day since they were first seen; the most
unstable first.';
