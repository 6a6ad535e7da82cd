-- Queries: past tables, differences, and the history of prefixes.

CREATE OR REPLACE FUNCTION holdfast_views_at(selector text, at timestamptz, of_collector text)
RETURNS TABLE (table_id bigint, view_id bigint, router text, address inet, asn bigint, bgp_id inet, rib text,
    vrf text, instance text)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(o.peer_id, c.peer_id, p.id), p.view_id, p.router, p.address, p.asn, p.bgp_id, p.rib,
        p.vrf, @schema@.holdfast_instance_text(p.peer_distinguisher, p.table_name)
    FROM @schema@.holdfast_peers(selector) p
    LEFT JOIN @schema@.peer_collectors o ON o.view_id = p.view_id
        AND o.collector = @schema@.holdfast_known_collector(of_collector)
    LEFT JOIN @schema@.holdfast_chosen_periods(true) c ON of_collector IS NULL AND at < 'infinity'
        AND c.view_id = p.view_id AND c.since <= at AND at < c.until
    WHERE of_collector IS NULL OR o.peer_id IS NOT NULL
$$;
COMMENT ON FUNCTION holdfast_views_at IS
    'RIB views that a selector names, each once, and with table_id the row of bgp_peers whose collector had
the table at a time; or the one of that collector.';

CREATE OR REPLACE FUNCTION rib_at(of_peer text, at timestamptz, of_rib text DEFAULT NULL,
    of_collector text DEFAULT NULL)
RETURNS TABLE (router text, peer inet, peer_as bigint, bgp_id inet, rib text, vrf text, family text,
    route text, path_id bigint, path text, next_hop inet, med bigint, local_pref bigint, communities text[],
    last_update timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.asn, p.bgp_id, p.rib, p.vrf, @schema@.holdfast_family(t.afi, t.safi),
        @schema@.holdfast_route_text(t.rd, t.prefix, t.nlri, t.nlri_raw), t.path_id,
        @schema@.holdfast_path_text(t.as_path, t.as_path_text), t.next_hop, t.med, t.local_pref,
            t.communities,
        t.last_update
    FROM @schema@.holdfast_views_at(of_peer, at, of_collector) p
    CROSS JOIN LATERAL @schema@.holdfast_table_at(p.table_id, at) t
    WHERE of_rib IS NULL OR p.rib = @schema@.holdfast_choice(of_rib, 'rib', 'adj-in-pre', 'adj-in-post',
        'adj-out-pre', 'adj-out-post', 'loc-rib')
$$;
COMMENT ON FUNCTION rib_at IS
    'Table of a peer at a past time: of all its RIB views, unless of_rib names one; from the collector that
had the whole table then, unless of_collector names one. The rows are in no order; `holdfast query`
sorts them.';

CREATE OR REPLACE FUNCTION peer_differences(peer_a text, peer_b text, at_a timestamptz DEFAULT 'infinity',
    at_b timestamptz DEFAULT 'infinity', rib text DEFAULT 'adj-in-pre', of_collector text DEFAULT NULL)
RETURNS TABLE (family text, route text, difference text, path_a text, path_b text, next_hop_a text,
    next_hop_b text, vrf text)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT 'a' AS side, at_a AS at, p.* FROM @schema@.holdfast_views_at(peer_a, at_a, of_collector) p
        WHERE peer_differences.rib IS NULL OR p.rib = @schema@.holdfast_choice(peer_differences.rib, 'rib',
            'adj-in-pre', 'adj-in-post', 'adj-out-pre', 'adj-out-post', 'loc-rib')
        UNION ALL
        SELECT 'b', at_b, p.* FROM @schema@.holdfast_views_at(peer_b, at_b, of_collector) p
        WHERE peer_differences.rib IS NULL OR p.rib = peer_differences.rib
    ), keyed AS MATERIALIZED (
        -- Of two single peers, the VRFs may have different names.
        SELECT v.*, CASE WHEN (SELECT bool_or(n.several) FROM (SELECT min(o.instance) IS DISTINCT FROM
                max(o.instance) OR count(o.instance) NOT IN (0, count(*)) AS several
                FROM views o GROUP BY o.side) n) THEN v.instance END AS of_vrf
        FROM views v
    ), routes AS (
        SELECT v.side, v.of_vrf, @schema@.holdfast_family(t.afi, t.safi) AS family,
            @schema@.holdfast_route_text(t.rd, t.prefix, t.nlri, t.nlri_raw) AS route,
                min(t.prefix) AS prefix,
            string_agg(DISTINCT @schema@.holdfast_path_text(t.as_path, t.as_path_text), ' | ') AS path,
            string_agg(DISTINCT host(t.next_hop), ' ') AS next_hop,
            CASE WHEN count(*) > 1 THEN array_agg(DISTINCT concat_ws(' via ',
                @schema@.holdfast_path_text(t.as_path, t.as_path_text), host(t.next_hop))) END AS pairs
        FROM keyed v CROSS JOIN LATERAL @schema@.holdfast_table_at(v.table_id, v.at) t
        GROUP BY 1, 2, 3, 4
    )
    SELECT coalesce(a.family, b.family), coalesce(a.route, b.route),
        CASE WHEN b.side IS NULL THEN 'only a' WHEN a.side IS NULL THEN 'only b'
            WHEN a.path IS NOT DISTINCT FROM b.path AND a.next_hop IS DISTINCT FROM b.next_hop THEN 'next hop'
            WHEN a.next_hop IS NOT DISTINCT FROM b.next_hop AND a.path IS DISTINCT FROM b.path THEN 'path'
            ELSE 'path, next hop' END,
        a.path, b.path, a.next_hop, b.next_hop, coalesce(a.of_vrf, b.of_vrf)
    FROM (SELECT * FROM routes WHERE side = 'a') a
    FULL JOIN (SELECT * FROM routes WHERE side = 'b') b ON a.family = b.family AND a.route = b.route
        AND coalesce(a.of_vrf, '') = coalesce(b.of_vrf, '')
    WHERE a.side IS NULL OR b.side IS NULL OR a.path IS DISTINCT FROM b.path
        OR a.next_hop IS DISTINCT FROM b.next_hop OR a.pairs IS DISTINCT FROM b.pairs
    ORDER BY 1, coalesce(a.prefix, b.prefix), 2, 8
$$;
COMMENT ON FUNCTION peer_differences IS
    'Differences between two peers, or of one peer at two times: only a, only b, path, next hop, or both of
the latter; the last also if several paths have other next hops each. If the peers of one side are in several
VRFs, the routes of each VRF are compared.';

CREATE OR REPLACE FUNCTION holdfast_standing_views(of_prefix cidr, begins timestamptz, of_collector text)
RETURNS TABLE (view_id bigint)
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp SET jit = off AS $$
    SELECT DISTINCT v.view_id
    FROM rib_entries e
    JOIN peer_collectors v ON v.peer_id = e.peer_id
    CROSS JOIN LATERAL (
        -- The current table has the state of then, unless it has changed since.
        SELECT e.session, e.generation, e.is_withdrawn WHERE e.last_state_change < begins
        UNION ALL
        SELECT n.session, n.generation, n.is_withdrawn
        FROM (SELECT i.session, i.generation, h.is_withdrawn
              FROM route_records h JOIN incarnations i ON i.id = h.incarnation
              WHERE h.prefix = of_prefix AND h.time < begins AND e.last_state_change >= begins
                  AND h.incarnation = ANY (holdfast_own_incarnations(e.peer_id))
                  AND coalesce(h.route_key, holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id))
                      = e.route_key
              ORDER BY h.time DESC, i.session DESC, i.generation DESC, h.seq DESC, h.idx DESC LIMIT 1) n) s
    WHERE e.prefix = of_prefix AND e.first_seen < begins AND NOT s.is_withdrawn
        AND (of_collector IS NULL OR v.collector = of_collector)
        AND NOT EXISTS (SELECT FROM peer_route_ends x WHERE x.peer_id = e.peer_id AND x.time < begins
            AND (x.afi IS NULL OR (x.afi = e.afi AND x.safi = e.safi))
            AND NOT holdfast_is_current(s.session, s.generation, x.session, x.generation))
$$;
COMMENT ON FUNCTION holdfast_standing_views IS
    'RIB views (peer_collectors.view_id) in which a route of a prefix stood at a time, as far as the last
update before it and the ends before it show.';

CREATE OR REPLACE FUNCTION holdfast_sweeps_of(of_prefix cidr, begins timestamptz, ends timestamptz)
RETURNS TABLE (at timestamptz, peer_id bigint, family text, rd text, path_id bigint, session timestamptz)
LANGUAGE sql STABLE SET search_path = @schema@, pg_temp SET jit = off AS $$
    SELECT x.time, x.peer_id, holdfast_family(s.afi, s.safi), s.rd, s.path_id, x.session
    FROM (
        SELECT e.peer_id, e.route_key, e.afi, e.safi, e.rd, e.path_id, e.session, e.generation
        FROM rib_entries e WHERE e.prefix = of_prefix AND NOT e.is_withdrawn
        UNION ALL
        SELECT w.peer_id, w.route_key, w.afi, w.safi, e.rd, e.path_id, w.session, w.generation
        FROM rib_entries e JOIN swept_routes w ON w.peer_id = e.peer_id AND w.route_key = e.route_key
        WHERE e.prefix = of_prefix) s
    CROSS JOIN LATERAL (
        -- The first end of the state.
        SELECT x.* FROM peer_route_ends x
        WHERE x.peer_id = s.peer_id AND (x.afi IS NULL OR (x.afi = s.afi AND x.safi = s.safi))
            AND NOT holdfast_is_current(s.session, s.generation, x.session, x.generation)
        ORDER BY x.time, x.session, x.generation LIMIT 1) x
    WHERE x.afi IS NOT NULL AND x.time >= begins AND x.time <= ends
$$;
COMMENT ON FUNCTION holdfast_sweeps_of IS
    'Sweeps in a period that ended a route of a prefix, with RIB view (bgp_peers.id) and path identifier.';

CREATE OR REPLACE FUNCTION prefix_timeline(prefix cidr, span interval DEFAULT '7 days',
    until timestamptz DEFAULT 'infinity', of_peer text DEFAULT NULL, of_collector text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, peer inet, peer_as bigint, bgp_id inet, rib text, vrf text,
    event text, cause text, path_id bigint, path text, next_hop inet, med bigint, local_pref bigint,
    communities text[], family text)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT * FROM @schema@.peer_collectors
    ), selected AS MATERIALIZED (
        SELECT p.view_id FROM @schema@.holdfast_peers(of_peer) p WHERE of_peer IS NOT NULL
    ), updates AS MATERIALIZED (
        SELECT h.*, c.view_id, c.shared_number, c.vrf FROM @schema@.route_updates h
        JOIN @schema@.holdfast_counted_incarnations(of_collector) c ON c.id = h.incarnation
            AND h.time >= c.since AND h.time < c.until
        WHERE h.prefix = prefix_timeline.prefix AND h.time >= least(prefix_timeline.until, now()) - span
            AND h.time <= prefix_timeline.until
            AND (@schema@.holdfast_is_selected(of_peer, h.router, h.bgp_peer_ip, h.bgp_peer_asn, h.bgp_id)
                OR c.view_id IN (SELECT s.view_id FROM selected s))
    ), standing AS MATERIALIZED (
        SELECT s.view_id FROM @schema@.holdfast_standing_views(prefix_timeline.prefix,
            least(prefix_timeline.until, now()) - span, of_collector) s
        WHERE of_peer IS NULL OR s.view_id IN (SELECT o.view_id FROM selected o)
    ), sources AS MATERIALIZED (
        SELECT u.shared_number FROM updates u
        UNION
        SELECT v.shared_number FROM views v JOIN standing s ON s.view_id = v.view_id
    ), sweeps AS MATERIALIZED (
        -- The collector of the period may not have had a route that another one had before.
        SELECT w.*, v.view_id, of_collector IS NOT NULL OR v.collectors = 1 OR EXISTS (
                SELECT FROM @schema@.holdfast_chosen_periods(false) c
                WHERE c.peer_id = w.peer_id AND c.since <= w.at AND w.at < c.until) AS is_chosen,
            (SELECT u.time FROM (
                SELECT u.time, u.is_withdrawn FROM updates u
                WHERE u.view_id = v.view_id AND u.family = w.family AND u.time <= w.at
                    AND u.path_id IS NOT DISTINCT FROM w.path_id AND u.rd IS NOT DISTINCT FROM w.rd
                ORDER BY u.time DESC, u.session DESC, u.seq DESC, u.idx DESC LIMIT 1) u
             WHERE NOT u.is_withdrawn) AS announced_at
        FROM @schema@.holdfast_sweeps_of(prefix_timeline.prefix, least(prefix_timeline.until, now()) - span,
            prefix_timeline.until) w
        JOIN views v ON v.peer_id = w.peer_id
        WHERE (of_collector IS NULL OR v.collector = of_collector)
            AND (of_peer IS NULL OR v.view_id IN (SELECT o.view_id FROM selected o))
    )
    SELECT line.at, line.router, line.peer, line.peer_as, line.bgp_id, line.rib, line.vrf, line.event,
        line.cause, line.path_id, line.path, line.next_hop, line.med, line.local_pref, line.communities,
        line.family
    FROM (
        SELECT t.time AS at, t.router, t.bgp_peer_ip AS peer, t.bgp_peer_asn AS peer_as, t.bgp_id, t.rib,
            coalesce(t.rd, t.vrf) AS vrf,
            CASE WHEN t.is_withdrawn THEN 'withdraw' ELSE 'announce' END AS event, t.cause, t.path_id,
            @schema@.holdfast_path_text(t.as_path, t.as_path_text) AS path, t.next_hop, t.med, t.local_pref,
            t.communities, t.family, t.session, t.seq, t.idx
        FROM updates t
        UNION ALL
        SELECT (x.event).time, (x.event).router, (x.event).bgp_peer_ip, (x.event).bgp_peer_asn,
            (x.event).bgp_id, (x.event).rib,
            @schema@.holdfast_vrf_text((x.event).peer_distinguisher, (x.event).table_name),
            (x.event).event_type, CASE (x.event).event_type
                WHEN 'peer_down' THEN @schema@.holdfast_down_reason((x.event).reason_code, (x.event).data)
                WHEN 'peer_stale' THEN (x.event).detail ->> 'end' END,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, (x.event).session, (x.event).seq, (x.event).idx
        FROM sources s JOIN @schema@.holdfast_counted_events(least(prefix_timeline.until, now()) - span,
            prefix_timeline.until, of_collector) x ON x.shared_number = s.shared_number
        WHERE (x.event).event_type IN ('peer_up', 'peer_down', 'peer_stale')
        UNION ALL
        SELECT w.at, p.router, p.address, p.asn, p.bgp_id, p.rib,
            coalesce(w.rd, @schema@.holdfast_vrf_text(p.peer_distinguisher, p.table_name)), 'sweep', NULL,
            w.path_id, NULL, NULL, NULL, NULL, NULL, w.family, w.session, NULL, NULL
        FROM sweeps w JOIN @schema@.bgp_peers p ON p.id = w.peer_id
        WHERE w.is_chosen OR NOT EXISTS (
            SELECT FROM sweeps o WHERE o.view_id = w.view_id AND o.family = w.family
                AND o.path_id IS NOT DISTINCT FROM w.path_id AND o.rd IS NOT DISTINCT FROM w.rd
                AND o.at >= w.announced_at
                AND (o.is_chosen OR (o.at, o.peer_id) < (w.at, w.peer_id)))
            AND w.announced_at IS NOT NULL
    ) line
    ORDER BY line.at, line.session, line.seq NULLS FIRST, line.idx
$$;
COMMENT ON FUNCTION prefix_timeline IS
    'Announcements and withdrawals of a prefix in a period, the Peer Ups, Peer Downs and stale marks of their
peers, and the sweeps that ended one of the routes. So also for peers whose route stood when the period began.
of_peer: only the peers that it names, as for other queries.';
