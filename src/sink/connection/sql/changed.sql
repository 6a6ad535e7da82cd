-- The numbers of the announcements that change their route, before the merge. Compared are the rows of
-- dedup_candidates, and those of staged that have a number. An announcement changes nothing if the current
-- table has the same one, which was valid: neither withdrawn, nor ended by a Peer Down or a sweep, nor from a
-- later position.
--
-- If an earlier event of the transaction (after_session, after_generation) has replaced the state that the
-- table has, the announcement changes nothing if it repeats that event. A state of a later incarnation is not
-- replaced: then the earlier event came late, from an old session.
--
-- The last byte of the hash of an attribute set is not compared: the lanes of a collector differ in it.
SELECT c.number
FROM (
    SELECT number, peer_id, route_key, session, generation, seq, idx, attributes, valid_session,
        valid_generation, after_session, after_generation, repeats, evpn_esi, evpn_gateway, labels, nlri
    FROM dedup_candidates
    UNION ALL
    SELECT number, peer_id, route_key, session, generation, seq, idx, attributes, valid_session,
        valid_generation, NULL, NULL, false, evpn_esi, evpn_gateway, labels, nlri
    FROM staged WHERE number IS NOT NULL
) c
LEFT JOIN rib_entries e ON e.peer_id = c.peer_id AND e.route_key = c.route_key
    AND (c.after_session IS NULL OR (e.session, e.generation) > (c.after_session, c.after_generation))
WHERE CASE WHEN e.peer_id IS NULL THEN NOT c.repeats ELSE
    e.is_withdrawn
    OR (e.session, e.generation) < (c.valid_session, c.valid_generation)
    OR (e.session, e.generation, e.seq, e.idx) >= (c.session, c.generation, c.seq, c.idx)
    OR e.attributes IS DISTINCT FROM c.attributes
        AND substring(uuid_send(e.attributes) FOR 15)
            IS DISTINCT FROM substring(uuid_send(c.attributes) FOR 15)
    OR e.evpn_esi IS DISTINCT FROM c.evpn_esi
    OR e.evpn_gateway IS DISTINCT FROM c.evpn_gateway
    OR e.labels IS DISTINCT FROM c.labels
    OR e.nlri IS DISTINCT FROM c.nlri
    END
ORDER BY c.number
