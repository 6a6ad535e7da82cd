-- Records the states that a sweep had ended before the first event of the transaction. History does not show
-- them: that of a route that was announced again unchanged before the sweep looks the same. Most states that
-- had ended were ended by a Peer Down.
INSERT INTO swept_routes (peer_id, route_key, afi, safi, session, generation, until)
SELECT u.peer_id, u.route_key, u.afi, u.safi, u.ended_session, u.ended_generation, u.first_seen
FROM {updated} u
JOIN peer_families f ON f.peer_id = u.peer_id AND f.afi = u.afi AND f.safi = u.safi
WHERE u.ended_session IS NOT NULL
    AND (u.ended_session, u.ended_generation) < (f.valid_session, f.valid_generation)
