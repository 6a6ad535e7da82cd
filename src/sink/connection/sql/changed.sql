-- The numbers of the re-dumped routes that differ from the current table, before the merge. A route is
-- unchanged if the same announcement was valid: neither withdrawn, nor ended by a Peer Down or a sweep, nor
-- from a later position.
SELECT c.number
FROM dedup_candidates c
LEFT JOIN rib_entries e ON e.peer_id = c.peer_id AND e.route_key = c.route_key
    AND NOT e.is_withdrawn
    AND (e.session, e.generation) >= (c.valid_session, c.valid_generation)
    AND (e.session, e.generation, e.seq, e.idx) < (c.session, c.generation, c.seq, c.idx)
    AND e.attributes = c.attributes
    AND e.evpn_esi IS NOT DISTINCT FROM c.evpn_esi
    AND e.evpn_gateway IS NOT DISTINCT FROM c.evpn_gateway
    AND e.labels IS NOT DISTINCT FROM c.labels
    AND e.nlri IS NOT DISTINCT FROM c.nlri
WHERE e.peer_id IS NULL
ORDER BY c.number
