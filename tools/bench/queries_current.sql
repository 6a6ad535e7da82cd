-- Current state after the month of queries.sql: peers, the last update of each route, and the tables that the
-- operator fills.
--   :begin                 start of the month
SET jit = off;

INSERT INTO peer_identities (collector, router, address, peer_type, distinguisher, peer_distinguisher, asn,
    bgp_id, peer_number)
    SELECT 'bench', *, row_number() OVER () FROM (
        SELECT DISTINCT router, bgp_peer_ip, peer_type, '\x0000000000000000'::bytea, peer_distinguisher,
            CASE WHEN peer_type = 3 THEN 0 ELSE bgp_peer_asn END, bgp_id FROM route_updates) p;
INSERT INTO bgp_peers (peer_number, collector, router, peer_type, distinguisher, address, rib,
    peer_distinguisher, bmp_peer_ip, asn, bgp_id, state,
        session, generation, state_seq, state_idx, valid_session, valid_generation, first_seen, last_seen,
            detail)
    SELECT (SELECT i.peer_number FROM peer_identities i
            WHERE (i.router, i.address, i.peer_type) = (p.router, p.bgp_peer_ip, p.peer_type)
                AND (i.peer_distinguisher, i.bgp_id) = (p.peer_distinguisher, p.bgp_id)
                AND i.asn IN (0, p.bgp_peer_asn)),
        'bench', router, peer_type, '\x0000000000000000', bgp_peer_ip, rib, peer_distinguisher,
        bmp_peer_ip, bgp_peer_asn, bgp_id, 'up', session, generation, 0, 0, '-infinity', 0,
        timestamptz :'begin', now(), '{"families": ["ipv4_unicast"],
            "sent_capabilities": ["route-refresh"], "received_capabilities": ["route-refresh"]}'
    FROM (SELECT DISTINCT router, peer_type, bgp_peer_ip, rib, peer_distinguisher, bmp_peer_ip, bgp_peer_asn,
        bgp_id, session, generation
          FROM route_updates) p;
INSERT INTO bmp_peers (peer_ip, first_seen, last_seen, is_active, collector, router, port, session, sessions)
    SELECT DISTINCT bmp_peer_ip, timestamptz :'begin', now(), true, 'bench', router, 4242,
        timestamptz :'begin', 1 FROM bgp_peers;
INSERT INTO ingest_checkpoint (collector, log_id, lane, lanes, epoch, owner, backend_pid, last_seq, digest,
    updated_at) VALUES ('bench', '00000000-0000-0000-0000-000000000001', 0, 1, 1,
        '00000000-0000-0000-0000-000000000000', 0, 1, 0, now());

SET work_mem = '512MB';
CREATE TABLE last AS
    SELECT h.*, CASE WHEN h.is_withdrawn THEN NULL ELSE md5((h.origin, h.as_path, h.next_hop, h.med,
        h.local_pref, h.communities, h.extended_communities)::text)::uuid END AS hash
    FROM (SELECT bgp_peer_ip, rib, route_key, max(seq) AS seq FROM route_updates GROUP BY 1, 2, 3) last
    JOIN route_updates h USING (bgp_peer_ip, rib, route_key, seq);
INSERT INTO path_attributes (hash, origin, as_path, origin_as, next_hop, med, local_pref, communities,
    extended_communities) SELECT DISTINCT ON (hash) hash, origin, as_path, origin_as, next_hop, med,
        local_pref, communities, extended_communities
    FROM last WHERE hash IS NOT NULL;
INSERT INTO rib_entries (peer_id, first_seen, last_seen, last_state_change, session, generation, seq, idx,
    learn_count,
        withdraw_count, afi, safi, is_withdrawn, attributes, route_key, prefix, rd, evpn_route_type, evpn_rd,
        evpn_esi, evpn_tag, mac_address, evpn_ip, labels, nlri)
    SELECT p.id, timestamptz :'begin', h.time, h.time, h.session, h.generation, h.seq, h.idx, 1, 0, h.afi,
        h.safi, h.is_withdrawn, h.hash, h.route_key, h.prefix, h.rd, h.evpn_route_type, h.evpn_rd, h.evpn_esi,
        h.evpn_tag, h.mac_address, h.evpn_ip, h.labels, h.nlri
    FROM last h JOIN bgp_peers p ON p.address = h.bgp_peer_ip AND p.rib = h.rib
    ORDER BY p.id, h.route_key;
DROP TABLE last, sets;

INSERT INTO own_prefixes SELECT set_masklen('1.0.0.0'::inet + n * 65536, 16)::cidr, ARRAY[100001], 24
    FROM generate_series(0, 9) n;
INSERT INTO peer_roles VALUES (65001, 'customer'), (1305, 'provider');
INSERT INTO rpki_vrps SELECT set_masklen('1.0.0.0'::inet + n * 1024::bigint, 22)::cidr, 24,
    100000 + n % 40000, '' FROM generate_series(0, 249999) n;
VACUUM (ANALYZE);
