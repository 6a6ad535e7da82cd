-- Updates the routes that the current table has. The placeholders are the state of a route before the
-- transaction.
UPDATE rib_entries e SET
    last_seen = greatest(e.last_seen, s.last_seen),
    last_state_change = coalesce(s.last_state_change,
        CASE WHEN s.begins_withdrawn <> {was_withdrawn} THEN s.first_seen ELSE e.last_state_change END),
    learn_count = e.learn_count + s.learn_count - (NOT s.begins_withdrawn AND NOT {was_withdrawn})::integer,
    withdraw_count = e.withdraw_count + s.withdraw_count
        + (s.begins_withdrawn AND NOT {was_withdrawn})::integer,
    is_withdrawn = s.is_withdrawn,
    ended_session = CASE WHEN {had_ended} THEN e.session END,
    ended_generation = CASE WHEN {had_ended} THEN e.generation END,
    session = s.session,
    generation = s.generation,
    seq = s.seq,
    idx = s.idx,
    attributes = coalesce(s.attributes, e.attributes),
    -- These columns may have the texts of an earlier release.
    rd = s.rd,
    evpn_rd = s.evpn_rd,
    evpn_esi = CASE WHEN s.attributes IS NULL THEN e.evpn_esi ELSE s.evpn_esi END,
    evpn_gateway = CASE WHEN s.attributes IS NULL THEN e.evpn_gateway ELSE s.evpn_gateway END,
    labels = CASE WHEN s.attributes IS NULL THEN e.labels ELSE s.labels END,
    nlri = CASE WHEN s.attributes IS NULL THEN e.nlri ELSE s.nlri END,
    nlri_raw = s.nlri_raw
FROM staged s
WHERE e.peer_id = s.peer_id AND e.route_key = s.route_key
    AND (s.session, s.generation, s.seq, s.idx) > (e.session, e.generation, e.seq, e.idx)
