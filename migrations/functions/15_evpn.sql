-- Queries: EVPN.

CREATE OR REPLACE FUNCTION evpn_bindings(mac text DEFAULT NULL, ip inet DEFAULT NULL)
RETURNS TABLE (mac_address text, host inet, vtep inet, rd text, tag bigint, labels bigint[], esi text,
    route_targets text, mobility text, router text, peer inet, rib text, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT mac_address, evpn_ip, next_hop, evpn_rd, evpn_tag, labels, evpn_esi,
        @schema@.holdfast_route_targets(extended_communities),
        (SELECT split_part(c, ':', 2) FROM unnest(extended_communities) c
            WHERE c LIKE 'EVPN-MAC-Mobility:%' LIMIT 1), router, peer, rib, since
    FROM @schema@.current_routes
    WHERE evpn_route_type = 2 AND mac_address IS NOT NULL AND (mac IS NULL OR mac_address = lower(mac))
        AND (ip IS NULL OR evpn_ip = ip)
    ORDER BY mac_address, evpn_ip, evpn_rd, router, peer
$$;
COMMENT ON FUNCTION evpn_bindings IS
    'Current MAC and MAC/IP advertisements: all, of one MAC address, or of one host.';

CREATE OR REPLACE FUNCTION evpn_moves(span interval DEFAULT '1 day', of_collector text DEFAULT NULL)
RETURNS TABLE (at timestamptz, mac_address text, route_targets text, old_vtep inet, new_vtep inet,
    mobility text, router text, peer inet, rib text)
LANGUAGE sql STABLE AS $$
    SELECT m.time, m.mac_address, m.targets, coalesce(m.old_vtep, b.next_hop), m.next_hop,
        (SELECT split_part(c, ':', 2) FROM unnest(m.extended_communities) c
        WHERE c LIKE 'EVPN-MAC-Mobility:%' LIMIT 1), m.router, m.bgp_peer_ip, m.rib
    FROM (SELECT m.*, lag(next_hop) OVER same AS old_vtep, lag(evpn_esi) OVER same AS old_esi,
              row_number() OVER same AS number
          FROM (SELECT h.*, @schema@.holdfast_route_targets(h.extended_communities) AS targets
                FROM @schema@.holdfast_updates(now() - span, 'infinity') h
                JOIN @schema@.holdfast_counted_incarnations(of_collector) c ON c.id = h.incarnation
                    AND h.time >= c.since AND h.time < c.until
                WHERE h.evpn_route_type = 2 AND NOT h.is_withdrawn
                    AND NOT coalesce(h.extended_communities @> '{Default-Gateway}', false)) m
          WINDOW same AS (PARTITION BY collector, router, bgp_peer_ip, peer_distinguisher, rib, bgp_id,
                  CASE WHEN peer_type = 3 THEN 0 ELSE bgp_peer_asn END, mac_address, evpn_tag, targets
              ORDER BY session, generation, seq, idx)) m
    LEFT JOIN LATERAL (
        SELECT a.next_hop, e.evpn_esi
        FROM @schema@.rib_entries e JOIN @schema@.bgp_peers p ON p.id = e.peer_id
            JOIN @schema@.path_attributes a ON a.hash = e.attributes
        WHERE m.number = 1 AND e.mac_address = m.mac_address AND e.first_seen < now() - span
            AND e.route_key <> m.route_key AND e.evpn_tag IS NOT DISTINCT FROM m.evpn_tag
            AND p.collector = m.collector AND p.router = m.router AND p.address = m.bgp_peer_ip
            AND p.peer_distinguisher = m.peer_distinguisher AND p.rib = m.rib AND p.bgp_id = m.bgp_id
            AND (p.peer_type = 3 OR p.asn = m.bgp_peer_asn)
            AND @schema@.holdfast_route_targets(a.extended_communities) IS NOT DISTINCT FROM m.targets
        ORDER BY e.last_seen DESC LIMIT 1
    ) b ON true
    WHERE m.next_hop <> coalesce(m.old_vtep, b.next_hop)
        AND NOT (m.evpn_esi = coalesce(m.old_esi, b.evpn_esi) AND m.evpn_esi !~ '^[0:]*$')
    ORDER BY m.time, m.seq, m.idx
$$;
COMMENT ON FUNCTION evpn_moves IS
    'MAC addresses that moved to another VTEP in a period. Two VTEPs of one Ethernet segment are no move,
and neither are those that share a default gateway.
The VTEP before the period comes from the current table, which keeps withdrawn routes: each VTEP has a
route distinguisher of its own.';

CREATE OR REPLACE FUNCTION evpn_duplicates()
RETURNS TABLE (mac_address text, route_targets text, tag bigint, vteps text, hosts text, router text,
    peer inet, rib text, last_change timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT mac_address, targets, evpn_tag, string_agg(DISTINCT host(next_hop), ' '),
        string_agg(DISTINCT host(evpn_ip), ' '), router, peer, rib, max(since)
    FROM (SELECT *, @schema@.holdfast_route_targets(extended_communities) AS targets,
              CASE WHEN evpn_esi !~ '^[0:]*$' THEN evpn_esi ELSE host(next_hop) END AS attachment
          FROM @schema@.current_routes WHERE evpn_route_type = 2 AND mac_address IS NOT NULL
              AND NOT coalesce(extended_communities @> '{Default-Gateway}', false)) m
    GROUP BY mac_address, targets, evpn_tag, router, peer, rib, vrf, peer_id
    HAVING count(DISTINCT attachment) > 1
    ORDER BY 1, 2
$$;
COMMENT ON FUNCTION evpn_duplicates IS
    'MAC addresses currently behind several VTEPs of one broadcast domain that have no Ethernet segment in
common.';
