-- A month of 20 peers of 4 routers, seeded: each dumps its table at the start, then routes change and go.
--   :part of :parts        the peers of this session
--   :large, :small         prefixes of the first peer, of each other peer
--   :churn                 changes of all peers together
-- Few prefixes change often: the n-th of a table with a density of n^(-3/4). One change in eight is a withdrawal.
SET jit = off;
SET synchronous_commit = off;

CREATE FUNCTION pg_temp.chance(number bigint, seed bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$ SELECT (hashint8extended(number, seed) & 4294967295) / 4294967296.0 $$;

CREATE TEMP VIEW words AS
    SELECT p.peer, n AS prefix_number, timestamptz '2026-10-01 00:00Z' + n * interval '50 microseconds' AS told,
        (n * 7 + p.peer) % 100000 AS set_number, false AS withdrawn, 'initial-dump' AS cause, n::bigint + 1 AS number
    FROM generate_series(1, 20) AS p (peer)
    CROSS JOIN LATERAL generate_series(0, CASE p.peer WHEN 1 THEN :large ELSE :small END - 1) AS n
    WHERE p.peer % :parts = :part
    UNION ALL
    SELECT c.peer, (power(pg_temp.chance(c.number, 2), 4) * CASE c.peer WHEN 1 THEN :large ELSE :small END)::integer
            % CASE c.peer WHEN 1 THEN :large ELSE :small END,
        timestamptz '2026-10-01 01:00Z' + c.number * (interval '28 days' / :churn),
        (pg_temp.chance(c.number, 3) * 100000)::integer % 100000, pg_temp.chance(c.number, 4) < 0.125,
        'update', 10000000 + c.number
    FROM (SELECT number, 1 + (pg_temp.chance(number, 1) * 20)::integer % 20 AS peer FROM generate_series(1, :churn) AS number) c
    WHERE c.peer % :parts = :part;

INSERT INTO route_updates (time, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn, family, prefix, next_hop, as_path, communities, med,
    is_withdrawn, collector, log_id, seq, idx, session, generation, router, peer_type, peer_distinguisher, bgp_id, rib, afi, safi,
    cause, origin, origin_as, route_key)
SELECT w.told, '192.0.2.1'::inet + w.peer % 4, '198.51.100.0'::inet + w.peer, 65000 + w.peer, 'ipv4_unicast',
    set_masklen('1.0.0.0'::inet + w.prefix_number * 256::bigint, 24)::cidr, a.next_hop, a.as_path, a.communities, a.med, w.withdrawn,
    'bench', '00000000-0000-0000-0000-000000000001', w.number * 20 + w.peer, 0, '2026-10-01 00:00Z', 1, 'r' || w.peer % 4, 0, '0:0',
    '10.0.0.0'::inet + w.peer, 'adj-in-pre', 1, 1, w.cause, a.origin, a.origin_as,
    '\x000101'::bytea || int4send(16777216 + w.prefix_number * 256) || '\x1800000000'::bytea
FROM words w LEFT JOIN sets a ON a.number = w.set_number AND NOT w.withdrawn;
