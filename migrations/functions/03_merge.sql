-- Merge of routers and peers from one transaction. The arguments are JSON arrays that
-- src/sink/transaction/peers.rs makes.

CREATE OR REPLACE FUNCTION holdfast_merge_routers(m_collector text, routers jsonb) RETURNS void
LANGUAGE sql SET search_path = public, pg_temp AS $$
    INSERT INTO bmp_peers AS b (peer_ip, router_id, first_seen, last_seen, is_active, collector, router, port,
        session, sys_name, sys_descr, information, ended_at, end_reason, sessions)
    SELECT r.peer_ip, r.router_id, holdfast_time(r.first_seen), holdfast_time(r.last_seen),
        r.ended_at IS NULL, m_collector, r.router, r.port, holdfast_time(r.session), r.sys_name, r.sys_descr,
        r.information, holdfast_time(r.ended_at), r.end_reason, 1
    FROM jsonb_to_recordset(routers) AS r (router text, peer_ip inet, router_id inet, port integer,
        session bigint, first_seen bigint, last_seen bigint, sys_name text, sys_descr text,
        information text[], ended_at bigint, end_reason text)
    ON CONFLICT (collector, router) DO UPDATE SET
        peer_ip = excluded.peer_ip, port = excluded.port,
        router_id = coalesce(excluded.router_id, b.router_id),
        last_seen = greatest(b.last_seen, excluded.last_seen), session = excluded.session,
        is_active = excluded.is_active AND NOT (b.session = excluded.session AND NOT b.is_active),
        sys_name = coalesce(excluded.sys_name, b.sys_name),
        sys_descr = coalesce(excluded.sys_descr, b.sys_descr),
        information = coalesce(excluded.information, b.information),
        ended_at = CASE WHEN b.session = excluded.session THEN coalesce(excluded.ended_at, b.ended_at)
            ELSE excluded.ended_at END,
        end_reason = CASE WHEN b.session = excluded.session THEN coalesce(excluded.end_reason, b.end_reason)
            ELSE excluded.end_reason END,
        sessions = b.sessions + CASE WHEN b.session < excluded.session THEN 1 ELSE 0 END
    WHERE b.session <= excluded.session
$$;
COMMENT ON FUNCTION holdfast_merge_routers IS
    'Inserts or updates bmp_peers. Called by lane 0 only. An older session never changes the row of a
newer one.';

CREATE OR REPLACE FUNCTION holdfast_find_peers(m_collector text, peers jsonb)
RETURNS TABLE (peer_index integer, id bigint)
LANGUAGE sql STABLE AS $$
    SELECT n.peer_index, b.id
    FROM jsonb_to_recordset(peers) AS n (peer_index integer, router text, peer_type smallint,
        distinguisher text, address inet, rib text)
    JOIN public.bgp_peers b ON b.collector = m_collector AND b.router = n.router AND b.peer_type = n.peer_type
        AND b.distinguisher = decode(n.distinguisher, 'hex') AND b.address = n.address AND b.rib = n.rib
$$;
COMMENT ON FUNCTION holdfast_find_peers IS
    'bgp_peers.id of each RIB view of the array, by its index in the array.';

CREATE OR REPLACE FUNCTION holdfast_merge_peers(m_collector text, peers jsonb, changes jsonb, families jsonb)
RETURNS TABLE (peer_index integer, id bigint, afi integer, safi smallint, valid_session timestamptz,
    valid_generation bigint)
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH m AS MATERIALIZED (SELECT * FROM holdfast_find_peers(m_collector, peers))
        SELECT m.peer_index, m.id, NULL::integer, NULL::smallint, b.valid_session, b.valid_generation
        FROM m JOIN bgp_peers b ON b.id = m.id
        UNION ALL
        SELECT m.peer_index, m.id, f.afi, f.safi, f.valid_session, f.valid_generation
        FROM m JOIN peer_families f ON f.peer_id = m.id WHERE f.valid_session > '-infinity';

    INSERT INTO bgp_peers AS b (collector, router, peer_type, distinguisher, address, rib, peer_distinguisher,
        bmp_peer_ip, asn, bgp_id, table_name, state, session, generation, state_seq, state_idx, valid_session,
        valid_generation, first_seen, last_seen, announced, withdrawn)
    SELECT m_collector, n.router, n.peer_type, decode(n.distinguisher, 'hex'), n.address, n.rib,
        n.peer_distinguisher, n.bmp_peer_ip, n.asn, n.bgp_id, n.table_name, 'up', holdfast_time(n.session),
        n.generation, 0, 0, '-infinity', 0, holdfast_time(n.first_seen), holdfast_time(n.last_seen),
        n.announced, n.withdrawn
    FROM jsonb_to_recordset(peers) AS n (router text, peer_type smallint, distinguisher text, address inet,
        rib text, peer_distinguisher text, bmp_peer_ip inet, asn bigint, bgp_id inet, table_name text,
        session bigint, generation bigint, first_seen bigint, last_seen bigint, announced bigint,
        withdrawn bigint)
    ON CONFLICT (collector, router, peer_type, distinguisher, address, rib) DO UPDATE SET
        last_seen = greatest(b.last_seen, excluded.last_seen),
        announced = b.announced + excluded.announced, withdrawn = b.withdrawn + excluded.withdrawn,
        -- Some messages carry no AS number or BGP identifier (zero, RFC 7854): the last known one is kept.
        (asn, bgp_id, table_name) = (
            SELECT CASE WHEN n.applies AND excluded.asn <> 0 THEN excluded.asn ELSE b.asn END,
                CASE WHEN n.applies AND excluded.bgp_id <> '0.0.0.0' THEN excluded.bgp_id ELSE b.bgp_id END,
                CASE WHEN n.applies THEN coalesce(excluded.table_name, b.table_name) ELSE b.table_name END
            FROM (SELECT holdfast_is_current(excluded.session, excluded.generation, b.session, b.generation)
                AS applies) n),
        bmp_peer_ip = CASE WHEN excluded.session >= b.session THEN excluded.bmp_peer_ip
            ELSE b.bmp_peer_ip END,
        -- The text may be that of an earlier release.
        peer_distinguisher = excluded.peer_distinguisher,
        -- A newer incarnation sets the state to up; the same or an older one leaves it unchanged.
        (state, stale_since, stale_reason, state_seq, state_idx, session, generation) = (
            SELECT n.state, n.stale_since, n.stale_reason, n.state_seq, n.state_idx, n.session, n.generation
            FROM (VALUES (true, b.state, b.stale_since, b.stale_reason, b.state_seq, b.state_idx, b.session,
                    b.generation),
                (false, 'up', NULL, NULL, 0, 0, excluded.session, excluded.generation))
                AS n (is_stored, state, stale_since, stale_reason, state_seq, state_idx, session, generation)
            ORDER BY n.session DESC, n.generation DESC, n.is_stored DESC LIMIT 1);

    -- A state change of a peer applies to all its Adj-RIB views; a Loc-RIB has its own state (RFC 9069).
    UPDATE bgp_peers b SET
        state = CASE WHEN newer.applies THEN c.state ELSE b.state END,
        session = CASE WHEN newer.applies THEN holdfast_time(c.session) ELSE b.session END,
        generation = CASE WHEN newer.applies THEN c.generation ELSE b.generation END,
        state_seq = CASE WHEN newer.applies THEN c.seq ELSE b.state_seq END,
        state_idx = CASE WHEN newer.applies THEN c.idx ELSE b.state_idx END,
        up_since = CASE WHEN newer.applies THEN coalesce(holdfast_time(c.up_at), b.up_since)
            ELSE b.up_since END,
        down_at = CASE WHEN newer.applies THEN coalesce(holdfast_time(c.down_at), b.down_at)
            ELSE b.down_at END,
        down_reason = CASE WHEN newer.applies AND c.down_at IS NOT NULL THEN c.down_reason
            ELSE b.down_reason END,
        stale_since = CASE WHEN NOT newer.applies THEN b.stale_since
            WHEN c.state = 'stale' THEN holdfast_time(c.stale_at) END,
        stale_reason = CASE WHEN NOT newer.applies THEN b.stale_reason
            WHEN c.state = 'stale' THEN c.stale_reason END,
        detail = CASE WHEN newer.applies THEN coalesce(c.detail, b.detail) ELSE b.detail END,
        ups = b.ups + c.ups, downs = b.downs + c.downs,
        valid_generation = CASE WHEN ended.applies THEN c.valid_generation ELSE b.valid_generation END,
        valid_session = CASE WHEN ended.applies THEN holdfast_time(c.valid_session) ELSE b.valid_session END
    FROM jsonb_to_recordset(changes) AS c (router text, peer_type smallint, distinguisher text, address inet,
        is_loc_rib boolean, state text, session bigint, generation bigint, seq bigint, idx integer,
        up_at bigint, down_at bigint, down_reason integer, stale_at bigint, stale_reason text, ups bigint,
        downs bigint, detail jsonb, valid_session bigint, valid_generation bigint), bgp_peers o
    CROSS JOIN LATERAL (SELECT (holdfast_time(c.session), c.generation, c.seq, c.idx)
        > (o.session, o.generation, o.state_seq, o.state_idx) AS applies) newer
    CROSS JOIN LATERAL (SELECT c.valid_session IS NOT NULL
        AND NOT holdfast_is_current(o.valid_session, o.valid_generation, holdfast_time(c.valid_session),
            c.valid_generation) AS applies) ended
    WHERE b.id = o.id AND o.collector = m_collector AND o.router = c.router AND o.peer_type = c.peer_type
        AND o.distinguisher = decode(c.distinguisher, 'hex') AND o.address = c.address
        AND (o.rib = 'loc-rib') = c.is_loc_rib;

    INSERT INTO peer_families AS p (peer_id, afi, safi, eor_session, eor_generation, eor_at, valid_session,
        valid_generation, suspect_session, suspect_generation, suspect_at, suspect_reason)
    SELECT m.id, f.afi, f.safi, holdfast_time(f.eor_session), f.eor_generation, holdfast_time(f.eor_at),
        coalesce(holdfast_time(f.valid_session), '-infinity'), coalesce(f.valid_generation, 0),
        holdfast_time(f.suspect_session), f.suspect_generation, holdfast_time(f.suspect_at), f.suspect_reason
    FROM jsonb_to_recordset(families) AS f (peer_index integer, afi integer, safi smallint,
        eor_session bigint, eor_generation bigint, eor_at bigint, valid_session bigint,
        valid_generation bigint, suspect_session bigint, suspect_generation bigint, suspect_at bigint,
        suspect_reason text)
    JOIN holdfast_find_peers(m_collector, peers) m ON m.peer_index = f.peer_index
    ON CONFLICT (peer_id, afi, safi) DO UPDATE SET
        (eor_session, eor_generation, eor_at) = (
            SELECT n.eor_session, n.eor_generation, n.eor_at
            FROM (VALUES (true, p.eor_session, p.eor_generation, p.eor_at),
                (false, excluded.eor_session, excluded.eor_generation, excluded.eor_at))
                AS n (is_stored, eor_session, eor_generation, eor_at)
            ORDER BY n.eor_session DESC NULLS LAST, n.eor_generation DESC, n.is_stored LIMIT 1),
        (valid_session, valid_generation) = (
            SELECT n.valid_session, n.valid_generation
            FROM (VALUES (p.valid_session, p.valid_generation),
                (excluded.valid_session, excluded.valid_generation)) AS n (valid_session, valid_generation)
            ORDER BY n.valid_session DESC, n.valid_generation DESC LIMIT 1),
        (suspect_session, suspect_generation, suspect_at, suspect_reason) = (
            SELECT n.suspect_session, n.suspect_generation, n.suspect_at, n.suspect_reason
            FROM (VALUES (excluded.suspect_session, excluded.suspect_generation, excluded.suspect_at,
                    excluded.suspect_reason),
                (p.suspect_session, p.suspect_generation, p.suspect_at, p.suspect_reason))
                AS n (suspect_session, suspect_generation, suspect_at, suspect_reason)
            ORDER BY n.suspect_session DESC NULLS LAST, n.suspect_generation DESC, n.suspect_at DESC LIMIT 1);

    RETURN QUERY
        SELECT m.peer_index, m.id, NULL::integer, NULL::smallint, '-infinity'::timestamptz, 0::bigint
        FROM holdfast_find_peers(m_collector, peers) m;
END
$$;
COMMENT ON FUNCTION holdfast_merge_peers IS
    'Merges bgp_peers and peer_families: `peers` holds the RIB views that the transaction has rows of,
`changes` the last state change of each peer, `families` End-of-RIB, sweeps and undecodable PDUs. Returns
for each RIB view, by its index in `peers`, the id, and the oldest incarnation that was valid before this
transaction: with afi null for the RIB view, else for a family.';
