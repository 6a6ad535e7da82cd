-- Generates a month of history of 20 peers of 4 routers, always the same. Each peer sends an initial dump at
-- the start; then routes change and are withdrawn. Peers 2 to 4 also have a post-policy view, whose policy
-- rejects one route in twenty and sets LOCAL_PREF on one in ten. Peer 21 announces EVPN hosts behind 40
-- VTEPs, some of which move.
--   :begin                 start of the month
--   :part of :parts        peers that this session inserts
--   :large, :small         prefixes of the first peer, of each other peer
--   :churn                 changes of all peers together
--   :hosts                 hosts of the EVPN peer; each moves once
-- Few prefixes change often: the n-th prefix of a table has a density of changes of n^(-3/4). One change in
-- eight is a withdrawal.
SET jit = off;
SET synchronous_commit = off;

CREATE FUNCTION pg_temp.random_fraction(number bigint, seed bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$ SELECT (hashint8extended(number, seed) & 4294967295) / 4294967296.0 $$;

CREATE TEMP VIEW updates AS
    SELECT p.peer, n AS prefix_number, timestamptz :'begin' + n * interval '50 microseconds' AS time,
        (n * 7 + p.peer) % 100000 AS set_number, false AS withdrawn, 'initial-dump' AS cause,
            n::bigint + 1 AS number
    FROM generate_series(1, 20) AS p (peer)
    CROSS JOIN LATERAL generate_series(0, CASE p.peer WHEN 1 THEN :large ELSE :small END - 1) AS n
    WHERE p.peer % :parts = :part
    UNION ALL
    SELECT c.peer, (power(pg_temp.random_fraction(c.number, 2), 4) * CASE c.peer WHEN 1 THEN :large
        ELSE :small END)::integer
            % CASE c.peer WHEN 1 THEN :large ELSE :small END,
        timestamptz :'begin' + interval '1 hour' + c.number * (interval '28 days' / :churn),
        (pg_temp.random_fraction(c.number, 3) * 100000)::integer % 100000,
        pg_temp.random_fraction(c.number, 4) < 0.125,
        'update', 10000000 + c.number
    FROM (SELECT number, 1 + (pg_temp.random_fraction(number, 1) * 20)::integer % 20 AS peer
        FROM generate_series(1, :churn) AS number) c
    WHERE c.peer % :parts = :part;

INSERT INTO wide_rows (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix, next_hop, as_path,
    communities, med, is_withdrawn, collector, log_id, seq, idx, session, generation, router, peer_type,
    peer_distinguisher, bgp_id, rib, afi, safi, cause, origin, origin_as, route_key)
SELECT w.time, '192.0.2.1'::inet + w.peer % 4, '198.51.100.0'::inet + w.peer, 65000 + w.peer, 'ipv4_unicast',
    set_masklen('1.0.0.0'::inet + w.prefix_number * 256::bigint, 24)::cidr, a.next_hop, a.as_path,
    a.communities, a.med, w.withdrawn, 'bench', '00000000-0000-0000-0000-000000000001',
    w.number * 20 + w.peer, 0, timestamptz :'begin', 1, 'r' || w.peer % 4, 0, '0:0',
    '10.0.0.0'::inet + w.peer, 'adj-in-pre', 1, 1, w.cause, a.origin, a.origin_as,
        '\x000101'::bytea || int4send(16777216 + w.prefix_number * 256) || '\x1800000000'::bytea
FROM updates w LEFT JOIN sets a ON a.number = w.set_number AND NOT w.withdrawn;

-- The same routes in the post-policy views.
INSERT INTO wide_rows (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix, next_hop, as_path,
    communities, med, local_pref, is_withdrawn, collector, log_id, seq, idx, session, generation, router,
    peer_type, peer_distinguisher, bgp_id, rib, afi, safi, cause, origin, origin_as, route_key)
SELECT w.time + interval '1 second', '192.0.2.1'::inet + w.peer % 4, '198.51.100.0'::inet + w.peer,
    65000 + w.peer, 'ipv4_unicast', set_masklen('1.0.0.0'::inet + w.prefix_number * 256::bigint, 24)::cidr,
    a.next_hop, a.as_path, a.communities, a.med, CASE WHEN w.prefix_number % 10 = 3 THEN 200 END, w.withdrawn,
    'bench', '00000000-0000-0000-0000-000000000001', w.number * 20 + w.peer, 1, timestamptz :'begin', 1,
    'r' || w.peer % 4, 0, '0:0', '10.0.0.0'::inet + w.peer, 'adj-in-post', 1, 1, w.cause, a.origin,
        a.origin_as, '\x000101'::bytea || int4send(16777216 + w.prefix_number * 256) || '\x1800000000'::bytea
FROM updates w LEFT JOIN sets a ON a.number = w.set_number AND NOT w.withdrawn
WHERE w.peer BETWEEN 2 AND 4 AND w.prefix_number % 20 <> 0;

INSERT INTO wide_rows (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, next_hop, as_path,
    extended_communities, is_withdrawn, evpn_route_type, evpn_rd, evpn_esi, evpn_tag, mac_address, evpn_ip,
    labels, rd, nlri, collector, log_id, seq, idx, session, generation, router, peer_type, peer_distinguisher,
        bgp_id, rib, afi, safi, cause, origin, route_key)
SELECT time, '192.0.2.2', '198.51.100.21', 65000, 'evpn', vtep, ARRAY[65000, 65001],
    ARRAY['RT:65000:' || 100 + host % 50, 'EVPN-MAC-Mobility:' || step], withdrawn, 2, host(vtep) || ':1',
    '00:00:00:00:00:00:00:00:00:00', 0, mac, '10.64.0.0'::inet + host, ARRAY[10000 + host % 50],
    host(vtep) || ':1', concat_ws(' ', 'type 2', host(vtep) || ':1', mac), 'bench',
    '00000000-0000-0000-0000-000000000001', 900000000000 + step * 10000000 + host * 2 + withdrawn::integer, 0,
    timestamptz :'begin', 1, 'r1', 0, '0:0', '10.0.0.21', 'adj-in-pre', 25, 70, 'update', 0,
        '\x001946'::bytea || int4send(host) || inet_send(vtep)
FROM (SELECT host, step, withdrawn, '172.16.0.0'::inet + (host + CASE WHEN withdrawn THEN 0 ELSE step END * 7)
    % 40 AS vtep,
          lpad(to_hex(host), 12, '0')::macaddr::text AS mac,
          timestamptz :'begin' + step * (interval '1 hour' + host * (interval '28 days' / :hosts)) +
              withdrawn::integer * interval '1 second' AS time
      FROM generate_series(1, :hosts) AS host,
          (VALUES (0, false), (1, false), (1, true)) AS updates (step, withdrawn)
      -- One host in a thousand is announced by both VTEPs.
      WHERE NOT (withdrawn AND host % 1000 = 0)) e
WHERE :part = 0;

-- One flap of each peer per day, and one Statistics Report every ten minutes.
INSERT INTO peer_events (time, peer_ip, event_type, reason_code, collector, log_id, seq, idx, session,
    generation, router, bgp_peer_ip, bgp_peer_asn, bgp_id, peer_type, peer_distinguisher, rib)
SELECT timestamptz :'begin' + day * interval '1 day' + peer * interval '1 minute' + up * interval
    '30 seconds', '192.0.2.1'::inet + peer % 4, CASE up WHEN 1 THEN 'peer_up' ELSE 'peer_down' END, CASE up
    WHEN 0 THEN 2 END, 'bench', '00000000-0000-0000-0000-000000000002', day * 100 + peer * 2 + up, 0,
    timestamptz :'begin', day * 2 + up, 'r' || peer % 4, '198.51.100.128'::inet + peer, 65100 + peer,
        '10.1.0.0'::inet + peer, 0, '0:0', 'adj-in-pre'
FROM generate_series(1, 20) AS peer, generate_series(0, 27) AS day, generate_series(0, 1) AS up
WHERE peer % :parts = :part;

INSERT INTO peer_stats (time, peer_ip, collector, log_id, seq, idx, session, router, bgp_peer_ip,
    bgp_peer_asn, peer_type, peer_distinguisher, rib, statistics)
SELECT timestamptz :'begin' + n * interval '10 minutes', '192.0.2.1'::inet + peer % 4, 'bench',
    '00000000-0000-0000-0000-000000000003', n * 100 + peer, 0, timestamptz :'begin', 'r' || peer % 4,
    '198.51.100.0'::inet + peer, 65000 + peer, 0, '0:0', 'adj-in-pre',
        jsonb_build_array(jsonb_build_object('type', 0, 'value', n),
            jsonb_build_object('type', 7, 'value', 1000000 - n),
                jsonb_build_object('type', 11, 'value', n / 100))
FROM generate_series(1, 20) AS peer, generate_series(0, 4031) AS n
WHERE peer % :parts = :part;
