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
    WITH identities AS MATERIALIZED (
        -- A number is compared faster than the columns of a peer.
        SELECT i.id, i.collector, i.router, i.peer_type, i.peer_distinguisher, i.bgp_peer_ip, i.rib, i.bgp_id,
            CASE WHEN i.peer_type = 3 THEN 0 ELSE i.bgp_peer_asn END AS asn,
            dense_rank() OVER (ORDER BY i.collector, i.router, i.peer_type, i.peer_distinguisher,
                i.bgp_peer_ip, i.rib, i.bgp_id, CASE WHEN i.peer_type = 3 THEN 0 ELSE i.bgp_peer_asn END)
                AS who
        FROM public.incarnations i
    ), updates AS (
        SELECT h.*, i.who, lag(h.origin_as) OVER same AS old_origin,
            lag(public.holdfast_path_text(h.as_path, h.as_path_text)) OVER same AS old_path,
            row_number() OVER same AS number
        FROM public.holdfast_updates(least(until, now()) - span, until) h
        JOIN identities i ON i.id = h.incarnation
        WHERE NOT h.is_withdrawn AND h.prefix IS NOT NULL
        WINDOW same AS (PARTITION BY i.who, h.route_key ORDER BY h.session, h.generation, h.seq, h.idx)
    ), firsts AS MATERIALIZED (
        SELECT u.who, u.route_key, u.prefix FROM updates u WHERE u.number = 1
    ), earlier AS (
        -- All rows of a prefix at once: they are of many peers, and an index of each peer would cost more.
        SELECT DISTINCT ON (i.who, n.key) i.who, n.key, n.time, n.attributes, n.origin_as, n.path
        FROM (SELECT DISTINCT prefix FROM firsts) p
        CROSS JOIN LATERAL (
            SELECT n.time, n.attributes, n.incarnation, n.origin_as,
                public.holdfast_path_text(n.as_path, n.as_path_text) AS path,
                coalesce(n.route_key, public.holdfast_route_key(n.afi, n.safi, n.prefix, n.path_id)) AS key
            FROM public.route_records n
            WHERE n.prefix = p.prefix AND n.time < least(until, now()) - span AND NOT n.is_withdrawn
            OFFSET 0) n
        JOIN identities i ON i.id = n.incarnation
        ORDER BY i.who, n.key, n.time DESC
    ), kept AS (
        SELECT i.who, k.route_key, k.origin_as, public.holdfast_path_text(k.as_path, k.as_path_text) AS path
        FROM (SELECT DISTINCT prefix FROM firsts) p JOIN public.kept_routes k ON k.prefix = p.prefix
        JOIN (SELECT DISTINCT ON (who) * FROM identities ORDER BY who) i
            ON (i.collector, i.router, i.peer_type, i.peer_distinguisher, i.bgp_peer_ip, i.rib, i.bgp_id,
                i.asn) = (k.collector, k.router, k.peer_type, k.peer_distinguisher, k.bgp_peer_ip, k.rib,
                k.bgp_id, CASE WHEN k.peer_type = 3 THEN 0 ELSE k.bgp_peer_asn END)
    ), old AS (
        SELECT f.who, f.route_key, coalesce(a.origin_as, e.origin_as, k.origin_as) AS origin_as,
            coalesce(public.holdfast_path_text(a.as_path, a.as_path_text), e.path, k.path) AS path
        FROM firsts f
        LEFT JOIN earlier e ON e.who = f.who AND e.key = f.route_key
        LEFT JOIN public.attribute_sets a ON a.hash = e.attributes AND a.time = public.holdfast_week(e.time)
        LEFT JOIN kept k ON e.time IS NULL AND k.who = f.who AND k.route_key = f.route_key
    )
    SELECT t.time, t.router, t.bgp_peer_ip, t.rib, t.prefix, coalesce(t.old_origin, b.origin_as), t.origin_as,
        coalesce(t.old_path, b.path), public.holdfast_path_text(t.as_path, t.as_path_text)
    FROM updates t
    LEFT JOIN old b ON t.number = 1 AND b.who = t.who AND b.route_key = t.route_key
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
