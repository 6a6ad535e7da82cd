-- Queries: routers, collectors and delivery.

CREATE OR REPLACE FUNCTION table_growth(span interval DEFAULT '30 days', bucket interval DEFAULT '1 day',
    of_peer text DEFAULT NULL, of_collector text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, peer inet, peer_as bigint, rib text, vrf text, family text,
    routes bigint, grown bigint)
LANGUAGE sql STABLE AS $$
    SELECT at, router, address, asn, rib, vrf, family, routes,
        routes - lag(routes) OVER (PARTITION BY id, family ORDER BY at)
    FROM (SELECT DISTINCT ON (p.id, s.afi, s.safi, 1)
              date_bin(bucket, s.time, '2000-01-01 00:00:00+00') AS at, p.id,
              p.router, p.address, p.asn, p.rib, p.vrf,
              @schema@.holdfast_family(s.afi, s.safi) AS family, s.routes
          FROM @schema@.holdfast_peers(of_peer) p JOIN @schema@.peer_collectors v ON v.view_id = p.view_id
          JOIN @schema@.rib_sizes s ON s.peer_id = v.peer_id
          LEFT JOIN @schema@.holdfast_chosen_periods(true) c ON of_collector IS NULL AND v.collectors > 1
              AND c.peer_id = v.peer_id AND c.since <= s.time AND s.time < c.until
          WHERE s.time >= now() - span AND CASE WHEN of_collector IS NOT NULL
              THEN v.collector = @schema@.holdfast_known_collector(of_collector)
              ELSE v.collectors = 1 OR c.peer_id IS NOT NULL END
          ORDER BY p.id, s.afi, s.safi, 1, s.time DESC) last
    ORDER BY 2, 3, 4, 5, 6, 7, id, 1
$$;
COMMENT ON FUNCTION table_growth IS
    'Number of current routes of each family of each RIB view over time: the last sample of each bucket,
from the collector that had the whole table then.';

CREATE OR REPLACE FUNCTION routers()
RETURNS TABLE (router text, address inet, router_id inet, sys_descr text, is_active boolean, peers bigint,
    peers_up bigint, sessions bigint, last_seen timestamptz, end_reason text, collectors text,
    as_of timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT b.router, b.peer_ip, b.router_id, b.sys_descr, b.is_active, n.peers, n.peers_up, b.sessions,
        b.last_seen, b.end_reason, (SELECT string_agg(collector, ' ' ORDER BY collector)
            FROM @schema@.bmp_peers o WHERE o.router = b.router),
        (SELECT c.as_of FROM @schema@.collector_reports c WHERE c.collector = b.collector)
    FROM (SELECT DISTINCT ON (router) * FROM @schema@.bmp_peers
        ORDER BY router, is_active DESC, last_seen DESC
    ) b
    CROSS JOIN LATERAL (SELECT count(*) AS peers, count(*) FILTER (WHERE state = 'up') AS peers_up
                        FROM @schema@.chosen_peers p WHERE p.router = b.router) n
    ORDER BY 1
$$;
COMMENT ON FUNCTION routers IS
    'Routers, each once, whichever collectors they are connected to, as they were at `as_of`.';

CREATE OR REPLACE FUNCTION collector_health()
RETURNS TABLE (collector text, lanes bigint, last_commit timestamptz, silent_for interval,
    delivered_seq bigint, lane_lag bigint, routers bigint, routers_active bigint, peers_up bigint,
    peers_stale bigint, gaps bigint, last_gap timestamptz, rejected_routes bigint, as_of timestamptz,
    reported_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT c.collector, c.lanes, c.last_commit, date_trunc('second', now() - c.last_commit), c.delivered_seq,
        c.lane_lag, (SELECT count(*) FROM @schema@.bmp_peers b WHERE b.collector = c.collector),
        (SELECT count(*) FROM @schema@.bmp_peers b WHERE b.collector = c.collector AND b.is_active),
        (SELECT count(*) FROM @schema@.bgp_peers p WHERE p.collector = c.collector AND p.state = 'up'),
        (SELECT count(*) FROM @schema@.bgp_peers p WHERE p.collector = c.collector AND p.state = 'stale'),
        g.gaps, g.last_gap, (SELECT count(*) FROM @schema@.rejected_routes r WHERE r.collector = c.collector),
        o.as_of, o.reported_at
    FROM (SELECT DISTINCT ON (collector) collector, count(*) AS lanes, max(updated_at) AS last_commit,
              min(last_seq) AS delivered_seq, max(last_seq) - min(last_seq) AS lane_lag
          FROM @schema@.ingest_checkpoint GROUP BY collector, log_id
              ORDER BY collector, max(updated_at) DESC) c
    CROSS JOIN LATERAL (SELECT count(*) AS gaps, max(noticed_at) AS last_gap FROM @schema@.collector_gaps g
        WHERE g.collector = c.collector) g
    LEFT JOIN @schema@.collector_reports o ON o.collector = c.collector
    ORDER BY 1
$$;
COMMENT ON FUNCTION collector_health IS
    'One row per collector: delivery position and age of the last commit, routers, peers, gaps and
rejected records. A collector that does not run has an old `reported_at`; the rest is then as of `as_of`.';

CREATE OR REPLACE FUNCTION gaps(span interval DEFAULT '30 days')
RETURNS TABLE (noticed_at timestamptz, collector text, router text, reason text, from_time timestamptz,
    until_time timestamptz, first_seq bigint, last_seq bigint)
LANGUAGE sql STABLE AS $$
    SELECT noticed_at, collector, router, reason, from_time, until_time, first_seq, last_seq
    FROM @schema@.collector_gaps WHERE noticed_at >= now() - span ORDER BY noticed_at DESC
$$;
COMMENT ON FUNCTION gaps IS 'Missing data (collector_gaps), newest first.';
