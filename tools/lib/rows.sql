-- Prints rows of route_updates as JSON lines for `bmpgen compare`, those of each router in log order.
--   psql -v routers="'a','b'" -f rows.sql
\set FETCH_COUNT 10000
\pset format unaligned
\pset tuples_only on
SET work_mem = '256MB';
SELECT json_strip_nulls(json_build_object(
    'router', router, 'session', session,
    'peer_type', peer_type, 'peer_distinguisher', peer_distinguisher, 'bgp_peer_ip', host(bgp_peer_ip),
    'bgp_peer_asn', bgp_peer_asn, 'bgp_id', host(bgp_id), 'rib', rib,
    'router_time', coalesce((extract(epoch FROM router_time) * 1000000)::bigint, 0),
    'afi', afi, 'safi', safi, 'action', CASE WHEN is_withdrawn THEN 'withdraw' ELSE 'announce' END,
    'path_id', path_id, 'prefix', prefix::text,
    'evpn_route_type', evpn_route_type, 'evpn_rd', evpn_rd, 'evpn_esi', evpn_esi, 'evpn_tag', evpn_tag,
    'mac_address', mac_address, 'evpn_ip', host(evpn_ip),
    'origin', (ARRAY['igp', 'egp', 'incomplete'])[origin + 1], 'next_hop', host(next_hop),
    'as_path_text', coalesce(as_path_text, array_to_string(as_path, ' ')),
    'med', med, 'local_pref', local_pref,
    'communities', communities, 'extended_communities', extended_communities,
    'large_communities', large_communities))
FROM route_updates
WHERE router IN (:routers)
ORDER BY router, session, log_id, seq, idx;
