-- Moves the rows of one chunk ({chunk}) of the table that route_updates was into route_records, and drops
-- it.
-- {whole} is true if rows have their attributes themselves.
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB';
CREATE TEMP VIEW wide AS
SELECT w.*,
    md5(concat_ws('|', 'moved', (
        w.collector, w.log_id, w.session, w.router, w.bmp_peer_ip, w.bgp_peer_ip, w.bgp_peer_asn,
        w.generation, w.peer_type, w.peer_distinguisher, w.bgp_id, w.rib, w.table_name)::text))::uuid
        AS incarnation,
    CASE WHEN NOT {whole} AND num_nonnulls(
        w.origin, w.as_path, w.as_path_text, w.origin_as, w.next_hop, w.next_hop_link_local, w.med,
        w.local_pref, w.atomic_aggregate, w.aggregator_asn, w.aggregator_address, w.communities,
        w.extended_communities, w.large_communities, w.originator_id, w.cluster_list, w.aigp, w.otc,
        w.attributes_raw, w.attributes_more, w.missing, w.discarded, w.path_status, w.path_reason,
        w.path_marking) > 0
        THEN md5(concat_ws('|', 'moved', w.collector, (
        w.origin, w.as_path, w.as_path_text, w.origin_as, w.next_hop, w.next_hop_link_local, w.med,
        w.local_pref, w.atomic_aggregate, w.aggregator_asn, w.aggregator_address, w.communities,
        w.extended_communities, w.large_communities, w.originator_id, w.cluster_list, w.aigp, w.otc,
        w.attributes_raw, w.attributes_more, w.missing, w.discarded, w.path_status, w.path_reason,
        w.path_marking)::text))::uuid
        END AS attributes
FROM {chunk} w;
INSERT INTO incarnations (id, collector, log_id, session, router, bmp_peer_ip, bgp_peer_ip,
        bgp_peer_asn, generation, peer_type,
        peer_distinguisher, bgp_id, rib, table_name, used_at)
    SELECT incarnation, collector, log_id, session, router, bmp_peer_ip, bgp_peer_ip, bgp_peer_asn,
        generation, peer_type,
        peer_distinguisher, bgp_id, rib, table_name, greatest(now(), max(time))
    FROM wide GROUP BY incarnation, collector, log_id, session, router, bmp_peer_ip, bgp_peer_ip,
        bgp_peer_asn, generation, peer_type,
        peer_distinguisher, bgp_id, rib, table_name
    ON CONFLICT (id) DO UPDATE SET used_at = greatest(incarnations.used_at, excluded.used_at);
INSERT INTO attribute_sets (time, hash, origin, as_path, as_path_text, origin_as, next_hop,
        next_hop_link_local, med, local_pref,
        atomic_aggregate, aggregator_asn, aggregator_address, communities, extended_communities,
        large_communities, originator_id, cluster_list, aigp, otc, attributes_raw, attributes_more,
        missing, discarded, path_status, path_reason, path_marking)
    SELECT DISTINCT ON (attributes, holdfast_week(time)) holdfast_week(time), attributes,
        origin, as_path, as_path_text, origin_as, next_hop, next_hop_link_local, med, local_pref,
        atomic_aggregate, aggregator_asn, aggregator_address, communities, extended_communities,
        large_communities, originator_id, cluster_list, aigp, otc, attributes_raw, attributes_more,
        missing, discarded, path_status, path_reason, path_marking
    FROM wide WHERE attributes IS NOT NULL
    ON CONFLICT DO NOTHING;
INSERT INTO route_records (time, router_time, seq, path_id, incarnation, attributes, afi, idx,
        evpn_route_type,
        safi, cause, is_withdrawn, prefix, rd, evpn_rd, evpn_esi, evpn_tag, mac_address, evpn_ip,
        evpn_gateway, labels, nlri, nlri_raw, route_key,
        origin, as_path, as_path_text, origin_as, next_hop, next_hop_link_local, med, local_pref,
        atomic_aggregate, aggregator_asn, aggregator_address, communities, extended_communities,
        large_communities, originator_id, cluster_list, aigp, otc, attributes_raw, attributes_more,
        missing, discarded, path_status, path_reason, path_marking)
    SELECT time, router_time, seq, path_id, incarnation, attributes, afi, idx, evpn_route_type, safi,
        array_position(ARRAY['update', 'initial-dump', 're-dump', 'treat-as-withdraw'],
            CASE cause WHEN 'withdraw' THEN 'update' ELSE cause END) - 1, is_withdrawn, prefix, rd,
        evpn_rd,
        evpn_esi, evpn_tag, mac_address, evpn_ip, evpn_gateway, labels, nlri, nlri_raw,
        nullif(route_key, CASE WHEN prefix IS NOT NULL
            THEN holdfast_route_key(afi, safi, prefix, path_id) END),
        CASE WHEN {whole} THEN origin END, CASE WHEN {whole} THEN as_path END,
        CASE WHEN {whole} THEN as_path_text END, CASE WHEN {whole} THEN origin_as END,
        CASE WHEN {whole} THEN next_hop END, CASE WHEN {whole} THEN next_hop_link_local END,
        CASE WHEN {whole} THEN med END, CASE WHEN {whole} THEN local_pref END,
        CASE WHEN {whole} THEN atomic_aggregate END, CASE WHEN {whole} THEN aggregator_asn END,
        CASE WHEN {whole} THEN aggregator_address END, CASE WHEN {whole} THEN communities END,
        CASE WHEN {whole} THEN extended_communities END, CASE WHEN {whole} THEN large_communities END,
        CASE WHEN {whole} THEN originator_id END, CASE WHEN {whole} THEN cluster_list END,
        CASE WHEN {whole} THEN aigp END, CASE WHEN {whole} THEN otc END,
        CASE WHEN {whole} THEN attributes_raw END, CASE WHEN {whole} THEN attributes_more END,
        CASE WHEN {whole} THEN missing END, CASE WHEN {whole} THEN discarded END,
        CASE WHEN {whole} THEN path_status END, CASE WHEN {whole} THEN path_reason END,
        CASE WHEN {whole} THEN path_marking END
    FROM wide ORDER BY time;
DROP VIEW wide;
DROP TABLE {chunk};
