-- Queries: changes, origins and instability.

CREATE OR REPLACE FUNCTION churn(by text DEFAULT 'prefix', span interval DEFAULT '1 hour',
    until timestamptz DEFAULT 'infinity')
RETURNS TABLE (subject text, announcements bigint, withdrawals bigint, peers bigint, first_at timestamptz,
    last_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT CASE public.holdfast_choice(by, 'by', 'prefix', 'peer', 'as')
            WHEN 'prefix' THEN public.holdfast_route_text(rd, prefix, nlri, nlri_raw)
            WHEN 'peer' THEN concat_ws(' ', router, host(bgp_peer_ip), 'AS' || bgp_peer_asn, host(bgp_id),
                rib)
            WHEN 'as' THEN 'AS' || origin_as END,
        count(*) FILTER (WHERE NOT is_withdrawn), count(*) FILTER (WHERE is_withdrawn),
        count(DISTINCT (router, bgp_peer_ip, bgp_peer_asn, bgp_id, rib)), min(time), max(time)
    FROM public.holdfast_updates(least(until, now()) - span, until)
    WHERE cause NOT IN ('initial-dump', 're-dump')
    GROUP BY 1
    ORDER BY count(*) DESC, CASE WHEN by = 'prefix' THEN min(prefix) END, 1
$$;
COMMENT ON FUNCTION churn IS
    'Announcements and withdrawals in a period by prefix, peer or as (origin AS). Initial dumps and
re-dumps do not count.';

CREATE OR REPLACE FUNCTION origin_changes(span interval DEFAULT '1 hour',
    until timestamptz DEFAULT 'infinity')
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, prefix cidr, old_origin bigint,
    new_origin bigint, old_path text, new_path text)
LANGUAGE sql STABLE AS $$
    WITH updates AS (
        SELECT h.*, lag(h.origin_as) OVER same AS old_origin,
            lag(public.holdfast_path_text(h.as_path, h.as_path_text)) OVER same AS old_path,
            row_number() OVER same AS number
        FROM public.holdfast_updates(least(until, now()) - span, until) h
        WHERE NOT h.is_withdrawn AND h.prefix IS NOT NULL
        WINDOW same AS (PARTITION BY h.collector, h.router, h.peer_type, h.peer_distinguisher, h.bgp_peer_ip,
                h.rib, h.route_key, h.bgp_id, CASE WHEN h.peer_type = 3 THEN 0 ELSE h.bgp_peer_asn END
            ORDER BY h.session, h.generation, h.seq, h.idx)
    )
    SELECT t.time, t.router, t.bgp_peer_ip, t.rib, t.prefix, coalesce(t.old_origin, b.origin_as), t.origin_as,
        coalesce(t.old_path, b.path), public.holdfast_path_text(t.as_path, t.as_path_text)
    FROM updates t
    LEFT JOIN LATERAL (
        SELECT x.origin_as, x.path FROM (
            SELECT n.time, a.origin_as, public.holdfast_path_text(a.as_path, a.as_path_text) AS path
            FROM (
                SELECT n.time, n.attributes
                FROM public.route_records n JOIN public.incarnations i ON i.id = n.incarnation
                WHERE t.number = 1 AND n.prefix = t.prefix AND n.time < least(until, now()) - span
                    AND NOT n.is_withdrawn AND n.afi = t.afi AND n.safi = t.safi
                    AND n.path_id IS NOT DISTINCT FROM t.path_id
                    AND coalesce(n.route_key, public.holdfast_route_key(n.afi, n.safi, n.prefix, n.path_id))
                        = t.route_key
                    AND i.bgp_peer_ip = t.bgp_peer_ip AND i.rib = t.rib AND i.router = t.router
                    AND i.collector = t.collector AND i.peer_type = t.peer_type
                    AND i.peer_distinguisher = t.peer_distinguisher AND i.bgp_id = t.bgp_id
                    AND (i.peer_type = 3 OR i.bgp_peer_asn = t.bgp_peer_asn)
                ORDER BY n.time DESC LIMIT 1) n
            JOIN public.attribute_sets a ON a.hash = n.attributes AND a.time = public.holdfast_week(n.time)
            UNION ALL
            SELECT h.time, h.origin_as, public.holdfast_path_text(h.as_path, h.as_path_text)
            FROM public.kept_routes h
            WHERE t.number = 1 AND h.collector = t.collector AND h.router = t.router
                AND h.peer_type = t.peer_type AND h.peer_distinguisher = t.peer_distinguisher
                AND h.bgp_peer_ip = t.bgp_peer_ip AND h.rib = t.rib AND h.route_key = t.route_key
                AND h.bgp_id = t.bgp_id AND (h.peer_type = 3 OR h.bgp_peer_asn = t.bgp_peer_asn)) x
        ORDER BY x.time DESC LIMIT 1
    ) b ON true
    WHERE coalesce(t.old_path, b.path) IS NOT NULL
        AND CASE WHEN t.number = 1 THEN b.origin_as ELSE t.old_origin END IS DISTINCT FROM t.origin_as
    ORDER BY t.time, t.seq, t.idx
$$;
COMMENT ON FUNCTION origin_changes IS
    'Announcements in a period whose origin AS differs from that of the previous announcement of the same
route. Updates within the period are ordered by position; the last one before it is found by time.';

CREATE OR REPLACE FUNCTION moas()
RETURNS TABLE (prefix cidr, rd text, origins bigint[], routes bigint, peers bigint, last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT prefix, rd, array_agg(DISTINCT origin_as ORDER BY origin_as), count(*), count(DISTINCT peer_id),
        max(since)
    FROM public.current_routes
    WHERE prefix IS NOT NULL AND origin_as IS NOT NULL AND safi IN (1, 4, 128)
    GROUP BY prefix, rd
    HAVING min(origin_as) <> max(origin_as)
    ORDER BY max(since) DESC, prefix
$$;
COMMENT ON FUNCTION moas IS
    'Prefixes currently originated by several AS numbers (multiple-origin AS conflicts), per VRF, over all
routers.';

CREATE OR REPLACE FUNCTION withdraw_storms(span interval DEFAULT '1 day', bucket interval DEFAULT '1 minute',
    at_least bigint DEFAULT 1000)
RETURNS TABLE (at timestamptz, router text, peer inet, rib text, vrf text, withdrawals bigint,
    prefixes bigint)
LANGUAGE sql STABLE AS $$
    SELECT date_bin(bucket, time, '2000-01-01'), router, bgp_peer_ip, rib,
        public.holdfast_vrf_text(peer_distinguisher, table_name), count(*), count(DISTINCT route_key)
    FROM public.holdfast_updates(now() - span, 'infinity')
    WHERE is_withdrawn
    GROUP BY 1, 2, 3, 4, 5, bgp_peer_asn, bgp_id
    HAVING count(*) >= at_least
    ORDER BY 1, 6 DESC
$$;
COMMENT ON FUNCTION withdraw_storms IS
    'RIB views with at least `at_least` withdrawals within one time bucket.';

CREATE OR REPLACE FUNCTION flapping_routes(at_least bigint DEFAULT 10)
RETURNS TABLE (router text, peer inet, rib text, route text, learned integer, withdrawn integer,
    changes_per_day numeric, is_withdrawn boolean, first_seen timestamptz, last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.rib, public.holdfast_route_text(e.rd, e.prefix, e.nlri, e.nlri_raw),
        e.learn_count, e.withdraw_count, round((e.learn_count + e.withdraw_count)
            / greatest(extract(epoch FROM now() - e.first_seen) / 86400, 1.0 / 24), 1),
        e.is_withdrawn, e.first_seen, e.last_state_change
    FROM public.rib_entries e JOIN public.chosen_peers p ON p.id = e.peer_id
    WHERE e.learn_count + e.withdraw_count >= at_least
    ORDER BY 7 DESC, e.prefix, 4, 1, 2, 3
$$;
COMMENT ON FUNCTION flapping_routes IS
    'Routes, withdrawn ones included, by number of changes per day since they were first seen; the most
unstable first.';
