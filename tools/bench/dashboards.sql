-- What the history of queries.sql lacks for the dashboards: a peer with routes of VPNs, and one with the link
-- state of an IGP. Each route is announced at the start, and 10,000 of them change during the month.
--   :begin                 start of the month
SET jit = off;

INSERT INTO wide_rows (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix, next_hop, as_path,
    extended_communities, is_withdrawn, collector, log_id, seq, idx, session, generation, router, peer_type,
    peer_distinguisher, bgp_id, rib, afi, safi, cause, origin, origin_as, labels, rd, route_key)
SELECT timestamptz :'begin' + step * (interval '1 hour' + n * interval '2 minutes'), '192.0.2.1',
    '198.51.100.22', 65000, 'ipv4_vpn', set_masklen('10.0.0.0'::inet + n * 256, 24)::cidr,
    '172.16.0.0'::inet + n % 40 + step, ARRAY[65000, 65100 + n % 100], ARRAY['RT:65000:' || n % 100], false,
    'bench', '00000000-0000-0000-0000-000000000001', 950000000000 + step * 1000000 + n, 0,
    timestamptz :'begin', 1, 'r0', 0, '0:0', '10.0.0.22', 'adj-in-pre', 1, 128,
    CASE step WHEN 0 THEN 'initial-dump' ELSE 'update' END, 0, 65100 + n % 100, ARRAY[16 + n],
    '65000:' || n % 100, '\x000180'::bytea || int4send(n % 100) || int4send(n)
FROM generate_series(0, 1) AS step CROSS JOIN LATERAL generate_series(0, 19999 - step * 10000) AS n;

INSERT INTO wide_rows (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, next_hop, is_withdrawn,
    collector, log_id, seq, idx, session, generation, router, peer_type, peer_distinguisher, bgp_id, rib, afi,
    safi, cause, origin, nlri, attributes_more, route_key)
SELECT timestamptz :'begin' + step * (interval '26 days' + n * interval '1 minute'), '192.0.2.1',
    '198.51.100.23', 65000, 'link_state', '192.0.2.1', false, 'bench',
    '00000000-0000-0000-0000-000000000001', 960000000000 + step * 10000 + n, 0, timestamptz :'begin', 1,
    'r0', 0, '0:0', '10.0.0.23', 'adj-in-pre', 16388, 71,
    CASE step WHEN 0 THEN 'initial-dump' ELSE 'update' END, 0,
    CASE n % 4 WHEN 0 THEN format('[node][isis-l2][0][local asn=65000,router-id=0000.0000.%s]',
            lpad((n / 4)::text, 4, '0'))
        WHEN 3 THEN format('[ipv4-prefix][isis-l2][0][local asn=65000,router-id=0000.0000.%s][prefix=%s]',
            lpad((n / 4)::text, 4, '0'), set_masklen('10.0.0.0'::inet + n * 256, 24)::cidr)
        ELSE format('[link][isis-l2][0][local asn=65000,router-id=0000.0000.%s]'
            '[remote asn=65000,router-id=0000.0000.%s][link-ids=%s/%s]', lpad((n / 4)::text, 4, '0'),
            lpad(((n / 4 + n % 4) % 200)::text, 4, '0'), n, n) END,
    ARRAY['metric=' || 10 + step], '\x400447'::bytea || int4send(n)
FROM generate_series(0, 1) AS step, generate_series(0, 799) AS n;
