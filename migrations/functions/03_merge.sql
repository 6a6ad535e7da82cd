-- Merge of routers and peers from one transaction. The arguments are JSON arrays that
-- src/sink/transaction/peers.rs makes.

CREATE OR REPLACE FUNCTION holdfast_merge_routers(m_collector text, routers jsonb) RETURNS void
LANGUAGE sql SET search_path = @schema@, pg_temp AS $$
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

CREATE OR REPLACE FUNCTION holdfast_identify(m_collector text, m_router text, m_address inet,
    m_type smallint, m_distinguisher bytea, m_asn bigint, m_bgp_id inet, m_session timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    identity_asn bigint := CASE WHEN m_type = 3 THEN 0 ELSE m_asn END;
    matching bigint[];
    is_same boolean;
BEGIN
    SELECT array_agg(k.peer_number ORDER BY k.is_same DESC), bool_or(k.is_same) INTO matching, is_same
    FROM (
        SELECT i.peer_number, bool_or(m_session < i.any_until)
            OR (max(i.asn) = identity_asn AND max(i.bgp_id) = m_bgp_id) AS is_same
        FROM peer_identities i
        WHERE i.collector = m_collector AND i.router = m_router AND i.address = m_address
            AND i.peer_type = m_type AND i.distinguisher = m_distinguisher
        GROUP BY i.peer_number
        HAVING bool_or(m_session < i.any_until)
            OR ((identity_asn = 0 OR max(i.asn) IN (0, identity_asn))
                AND (m_bgp_id = '0.0.0.0' OR max(i.bgp_id) IN ('0.0.0.0', m_bgp_id)))) k;
    RETURN CASE WHEN is_same OR cardinality(matching) = 1 THEN matching[1] ELSE nextval('peer_numbers') END;
END
$$;
COMMENT ON FUNCTION holdfast_identify IS
    'Number of the peer with an identity: the peer with the same one, else the only one that matches, where
an AS number or BGP identifier of zero matches any, else a new number.';

CREATE OR REPLACE FUNCTION holdfast_identify_peers(m_collector text, peers jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    n record;
    held peer_identities%ROWTYPE;
    number bigint;
BEGIN
    FOR n IN
        SELECT p.*, decode(p.distinguisher, 'hex') AS wire, holdfast_time(p.session) AS began,
            CASE WHEN p.peer_type = 3 THEN 0 ELSE p.asn END AS identity_asn,
            p.bgp_id = '0.0.0.0' OR (p.asn = 0 AND p.peer_type <> 3) AS has_zeros
        FROM jsonb_to_recordset(peers) AS p (peer_index integer, router text, peer_type smallint,
            distinguisher text, peer_distinguisher text, address inet, asn bigint, bgp_id inet,
            session bigint)
        -- In most transactions all peers are known, and none has zeros.
        WHERE p.bgp_id = '0.0.0.0' OR (p.asn = 0 AND p.peer_type <> 3) OR NOT EXISTS (
            SELECT FROM peer_identities i
            WHERE i.collector = m_collector AND i.router = p.router AND i.address = p.address
                AND i.peer_type = p.peer_type AND i.distinguisher = decode(p.distinguisher, 'hex')
                AND i.peer_distinguisher = p.peer_distinguisher
                AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, p.peer_type, p.asn,
                    p.bgp_id, holdfast_time(p.session)))
        ORDER BY p.peer_index
    LOOP
        SELECT * INTO held FROM peer_identities i
            WHERE i.collector = m_collector AND i.router = n.router AND i.address = n.address
                AND i.peer_type = n.peer_type AND i.distinguisher = n.wire
                AND i.peer_distinguisher = n.peer_distinguisher
                AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, n.peer_type, n.asn,
                    n.bgp_id, n.began);
        -- A decision on zeros applies to its session, and to older sessions without one of their own.
        CONTINUE WHEN held.peer_number IS NOT NULL AND (NOT n.has_zeros OR n.began < held.any_until
            OR n.began <= held.decided_in OR held.until < 'infinity');
        number := holdfast_identify(m_collector, n.router, n.address, n.peer_type, n.wire, n.asn, n.bgp_id,
            n.began);
        IF held.peer_number IS NOT NULL THEN
            UPDATE peer_identities i
                SET decided_in = CASE WHEN i.peer_number = number THEN n.began ELSE i.decided_in END,
                    until = CASE WHEN i.peer_number = number THEN i.until ELSE n.began END
                WHERE i.collector = m_collector AND i.router = n.router AND i.address = n.address
                    AND i.peer_type = n.peer_type AND i.distinguisher = n.wire
                    AND i.peer_distinguisher = n.peer_distinguisher AND i.asn = held.asn
                    AND i.bgp_id = held.bgp_id AND i.since = held.since;
            CONTINUE WHEN held.peer_number = number;
        END IF;
        INSERT INTO peer_identities (collector, router, address, peer_type, distinguisher,
            peer_distinguisher, asn, bgp_id, since, decided_in, peer_number)
        SELECT m_collector, n.router, n.address, n.peer_type, n.wire, n.peer_distinguisher, n.identity_asn,
            n.bgp_id, CASE WHEN held.peer_number IS NOT NULL THEN n.began
                ELSE coalesce(max(i.any_until), '-infinity') END,
            CASE WHEN n.has_zeros THEN n.began ELSE '-infinity' END, number
        FROM peer_identities i
        WHERE i.collector = m_collector AND i.router = n.router AND i.address = n.address
            AND i.peer_type = n.peer_type AND i.distinguisher = n.wire
            AND i.peer_distinguisher = n.peer_distinguisher
        ON CONFLICT DO NOTHING;
    END LOOP;
END
$$;
COMMENT ON FUNCTION holdfast_identify_peers IS
    'Adds the identities of the RIB views of the array to peer_identities, in the order of peer_index, which
is that of their first records. Identities with zeros are decided once per session, others once.';

CREATE OR REPLACE FUNCTION holdfast_find_peers(m_collector text, peers jsonb)
RETURNS TABLE (peer_index integer, peer_number bigint, id bigint)
LANGUAGE sql STABLE AS $$
    SELECT n.peer_index, i.peer_number, b.id
    FROM jsonb_to_recordset(peers) AS n (peer_index integer, router text, peer_type smallint,
        distinguisher text, peer_distinguisher text, address inet, rib text, asn bigint, bgp_id inet,
        session bigint)
    JOIN @schema@.peer_identities i ON i.collector = m_collector AND i.router = n.router
        AND i.address = n.address AND i.peer_type = n.peer_type
        AND i.distinguisher = decode(n.distinguisher, 'hex') AND i.peer_distinguisher = n.peer_distinguisher
        AND @schema@.holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, n.peer_type, n.asn,
            n.bgp_id, @schema@.holdfast_time(n.session))
    LEFT JOIN @schema@.bgp_peers b ON b.peer_number = i.peer_number AND b.rib = n.rib
$$;
COMMENT ON FUNCTION holdfast_find_peers IS
    'Number of the peer and bgp_peers.id of each RIB view of the array, by its index in the array. The id is
null if bgp_peers does not have the RIB view.';

CREATE OR REPLACE FUNCTION holdfast_merge_views(m_collector text, peers jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    this_round bigint := 1;
BEGIN
    -- Several views of the array may be one row, if zeros or records from before identities were recorded
    -- stand for a peer of this transaction. A statement can update a row only once.
    LOOP
        INSERT INTO bgp_peers AS b (collector, router, peer_type, distinguisher, address, rib,
            peer_distinguisher, bmp_peer_ip, asn, bgp_id, table_name, state, session, generation, state_seq,
            state_idx, valid_session, valid_generation, first_seen, last_seen, announced, withdrawn,
            peer_number, up_since, down_at, down_reason, stale_since, stale_reason, detail, ups, downs)
        SELECT m_collector, n.router, n.peer_type, decode(n.distinguisher, 'hex'), n.address, n.rib,
            n.peer_distinguisher, n.bmp_peer_ip, n.asn, n.bgp_id, n.table_name,
            CASE WHEN is_up.applies THEN 'up' ELSE coalesce(s.state, 'unknown') END,
            CASE WHEN is_up.applies THEN holdfast_time(n.up_session)
                ELSE coalesce(s.session, holdfast_time(n.session)) END,
            CASE WHEN is_up.applies THEN n.up_generation ELSE coalesce(s.generation, n.generation) END,
            CASE WHEN is_up.applies THEN 0 ELSE coalesce(s.state_seq, 0) END,
            CASE WHEN is_up.applies THEN 0 ELSE coalesce(s.state_idx, 0) END,
            coalesce(s.valid_session, '-infinity'), coalesce(s.valid_generation, 0),
            holdfast_time(n.first_seen), holdfast_time(n.last_seen), n.announced, n.withdrawn, n.peer_number,
            s.up_since, s.down_at, s.down_reason, CASE WHEN NOT is_up.applies THEN s.stale_since END,
            CASE WHEN NOT is_up.applies THEN s.stale_reason END, s.detail, coalesce(s.ups, 0),
            coalesce(s.downs, 0)
        FROM (
            SELECT p.*, f.peer_number, f.id, row_number() OVER (PARTITION BY f.peer_number, p.rib
                ORDER BY p.session, p.generation, p.peer_index) AS round
            FROM jsonb_to_recordset(peers) AS p (peer_index integer, router text, peer_type smallint,
                distinguisher text, address inet, rib text, peer_distinguisher text, bmp_peer_ip inet,
                asn bigint, bgp_id inet, table_name text, session bigint, generation bigint,
                up_session bigint, up_generation bigint, first_seen bigint, last_seen bigint,
                announced bigint, withdrawn bigint)
            JOIN holdfast_find_peers(m_collector, peers) f USING (peer_index)) n
        -- The state of a new Adj-RIB view is that of the peer's other ones: a Peer Up or Peer Down applies
        -- to all of them.
        LEFT JOIN LATERAL (SELECT * FROM bgp_peers o WHERE n.id IS NULL AND o.peer_number = n.peer_number
            AND o.rib <> 'loc-rib' AND n.rib <> 'loc-rib'
            ORDER BY o.session DESC, o.generation DESC, o.state_seq DESC, o.state_idx DESC LIMIT 1) s ON true
        CROSS JOIN LATERAL (SELECT n.up_session IS NOT NULL AND (s.id IS NULL
            OR (holdfast_time(n.up_session), n.up_generation) > (s.session, s.generation)
            OR s.state = 'unknown') AS applies) is_up
        WHERE n.round = this_round
        -- Lanes that store routes of the same peers lock their rows in the same order.
        ORDER BY n.peer_number, n.rib
        ON CONFLICT (peer_number, rib) DO UPDATE SET
            first_seen = least(b.first_seen, excluded.first_seen),
            last_seen = greatest(b.last_seen, excluded.last_seen),
            announced = b.announced + excluded.announced, withdrawn = b.withdrawn + excluded.withdrawn,
            -- Some messages carry no AS number or BGP identifier (zero, RFC 7854): the known one is kept.
            asn = CASE WHEN excluded.asn <> 0 AND (b.asn = 0 OR b.peer_type = 3) THEN excluded.asn
                ELSE b.asn END,
            bgp_id = CASE WHEN b.bgp_id = '0.0.0.0' THEN excluded.bgp_id ELSE b.bgp_id END,
            table_name = CASE WHEN holdfast_is_current(excluded.session, excluded.generation, b.session,
                b.generation) THEN coalesce(excluded.table_name, b.table_name) ELSE b.table_name END,
            bmp_peer_ip = CASE WHEN excluded.session >= b.session THEN excluded.bmp_peer_ip
                ELSE b.bmp_peer_ip END,
            -- The text may be that of an earlier release.
            peer_distinguisher = excluded.peer_distinguisher,
            -- An announcement of a newer incarnation sets the state to up. Other records do not change it;
            -- the state unknown has the newest incarnation.
            (state, stale_since, stale_reason, state_seq, state_idx, session, generation) = (
                SELECT 'up', NULL, NULL, 0, 0, excluded.session, excluded.generation
                WHERE excluded.state = 'up' AND (b.state = 'unknown'
                    OR (excluded.session, excluded.generation) > (b.session, b.generation))
                UNION ALL
                SELECT b.state, b.stale_since, b.stale_reason, 0, 0, excluded.session, excluded.generation
                WHERE excluded.state = 'unknown' AND b.state = 'unknown'
                    AND (excluded.session, excluded.generation) > (b.session, b.generation)
                UNION ALL
                SELECT b.state, b.stale_since, b.stale_reason, b.state_seq, b.state_idx, b.session,
                    b.generation LIMIT 1);
        EXIT WHEN NOT FOUND;
        this_round := this_round + 1;
    END LOOP;

    -- What one record of a peer has shown of its identity holds for all its views.
    UPDATE bgp_peers b SET asn = CASE WHEN b.asn = 0 THEN s.asn ELSE b.asn END,
        bgp_id = CASE WHEN b.bgp_id = '0.0.0.0' THEN s.bgp_id ELSE b.bgp_id END
    FROM (SELECT DISTINCT f.peer_number FROM holdfast_find_peers(m_collector, peers) f) n
    CROSS JOIN LATERAL (SELECT max(o.asn) AS asn, max(o.bgp_id) AS bgp_id
        FROM (SELECT v.asn, v.bgp_id FROM bgp_peers v WHERE v.peer_number = n.peer_number
            UNION ALL SELECT i.asn, i.bgp_id FROM peer_identities i WHERE i.peer_number = n.peer_number)
            o) s
    WHERE b.peer_number = n.peer_number
        AND (b.asn = 0 AND s.asn <> 0 OR b.bgp_id = '0.0.0.0' AND s.bgp_id <> '0.0.0.0');
END
$$;
COMMENT ON FUNCTION holdfast_merge_views IS
    'Inserts or updates the RIB views of the array in bgp_peers, without the state changes of their peers.';

CREATE OR REPLACE FUNCTION holdfast_merge_peers(m_collector text, peers jsonb, changes jsonb, families jsonb)
RETURNS TABLE (peer_index integer, id bigint, afi integer, safi smallint, valid_session timestamptz,
    valid_generation bigint, peer_number bigint)
LANGUAGE plpgsql SET search_path = @schema@, pg_temp SET enable_nestloop = on SET enable_hashjoin = off
    SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = auto AS $$
#variable_conflict use_column
DECLARE
    this_round bigint := 1;
BEGIN
    PERFORM holdfast_identify_peers(m_collector, peers);
    -- The planner expects 100 rows of a JSON array. It would join thousands of new peers row by row, in a
    -- time that grows with the square of their number. All settings end with this function; those of a lane
    -- allow nested loops only (src/sink/connection/sql/session.sql).
    IF jsonb_array_length(peers) > 200 THEN
        PERFORM set_config('enable_nestloop', 'off', true), set_config('enable_hashjoin', 'on', true),
            set_config('enable_mergejoin', 'on', true), set_config('enable_seqscan', 'on', true),
            set_config('plan_cache_mode', 'force_custom_plan', true);
    END IF;
    RETURN QUERY
        WITH m AS MATERIALIZED (SELECT * FROM holdfast_find_peers(m_collector, peers))
        SELECT m.peer_index, m.id, NULL::integer, NULL::smallint, b.valid_session, b.valid_generation,
            m.peer_number
        FROM m JOIN bgp_peers b ON b.id = m.id
        UNION ALL
        SELECT m.peer_index, m.id, f.afi, f.safi, f.valid_session, f.valid_generation, m.peer_number
        FROM m JOIN peer_families f ON f.peer_id = m.id WHERE f.valid_session > '-infinity';

    PERFORM holdfast_merge_views(m_collector, peers);
    RETURN QUERY
        SELECT m.peer_index, m.id, NULL::integer, NULL::smallint, b.valid_session, b.valid_generation,
            m.peer_number
        FROM holdfast_find_peers(m_collector, peers) m JOIN bgp_peers b ON b.id = m.id;

    -- A state change of a peer applies to all its Adj-RIB views; a Loc-RIB has its own state (RFC 9069).
    -- Rounds as in holdfast_merge_views.
    LOOP
        EXIT WHEN jsonb_array_length(changes) = 0;
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
            valid_session = CASE WHEN ended.applies THEN holdfast_time(c.valid_session)
                ELSE b.valid_session END
        FROM (
            SELECT v.*, i.peer_number, row_number() OVER (PARTITION BY i.peer_number, v.is_loc_rib
                ORDER BY v.session, v.generation, v.seq, v.idx) AS round
            FROM jsonb_to_recordset(changes) AS v (router text, peer_type smallint, distinguisher text,
                peer_distinguisher text, address inet, asn bigint, bgp_id inet, is_loc_rib boolean,
                state text, session bigint, generation bigint, seq bigint, idx integer, up_at bigint,
                down_at bigint, down_reason integer, stale_at bigint, stale_reason text, ups bigint,
                downs bigint, detail jsonb, valid_session bigint, valid_generation bigint)
            JOIN peer_identities i ON i.collector = m_collector AND i.router = v.router
                AND i.address = v.address AND i.peer_type = v.peer_type
                AND i.distinguisher = decode(v.distinguisher, 'hex')
                AND i.peer_distinguisher = v.peer_distinguisher
                AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, v.peer_type, v.asn,
                    v.bgp_id, holdfast_time(v.session))) c
        JOIN bgp_peers o ON o.peer_number = c.peer_number AND (o.rib = 'loc-rib') = c.is_loc_rib
        CROSS JOIN LATERAL (SELECT o.state = 'unknown'
            OR (holdfast_time(c.session), c.generation, c.seq, c.idx)
                > (o.session, o.generation, o.state_seq, o.state_idx) AS applies) newer
        CROSS JOIN LATERAL (SELECT c.valid_session IS NOT NULL
            AND NOT holdfast_is_current(o.valid_session, o.valid_generation, holdfast_time(c.valid_session),
                c.valid_generation) AS applies) ended
        WHERE b.id = o.id AND c.round = this_round;
        EXIT WHEN NOT FOUND;
        this_round := this_round + 1;
    END LOOP;

    this_round := 1;
    LOOP
        EXIT WHEN jsonb_array_length(families) = 0;
        INSERT INTO peer_families AS p (peer_id, afi, safi, eor_session, eor_generation, eor_at,
            valid_session, valid_generation, suspect_session, suspect_generation, suspect_at, suspect_reason)
        SELECT f.id, f.afi, f.safi, holdfast_time(f.eor_session), f.eor_generation, holdfast_time(f.eor_at),
            coalesce(holdfast_time(f.valid_session), '-infinity'), coalesce(f.valid_generation, 0),
            holdfast_time(f.suspect_session), f.suspect_generation, holdfast_time(f.suspect_at),
            f.suspect_reason
        FROM (
            SELECT v.*, m.id, row_number() OVER (PARTITION BY m.id, v.afi, v.safi
                ORDER BY v.peer_index) AS round
            FROM jsonb_to_recordset(families) AS v (peer_index integer, afi integer, safi smallint,
                eor_session bigint, eor_generation bigint, eor_at bigint, valid_session bigint,
                valid_generation bigint, suspect_session bigint, suspect_generation bigint, suspect_at bigint,
                suspect_reason text)
            JOIN holdfast_find_peers(m_collector, peers) m ON m.peer_index = v.peer_index) f
        WHERE f.round = this_round
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
                    (excluded.valid_session, excluded.valid_generation))
                    AS n (valid_session, valid_generation)
                ORDER BY n.valid_session DESC, n.valid_generation DESC LIMIT 1),
            (suspect_session, suspect_generation, suspect_at, suspect_reason) = (
                SELECT n.suspect_session, n.suspect_generation, n.suspect_at, n.suspect_reason
                FROM (VALUES (excluded.suspect_session, excluded.suspect_generation, excluded.suspect_at,
                        excluded.suspect_reason),
                    (p.suspect_session, p.suspect_generation, p.suspect_at, p.suspect_reason))
                    AS n (suspect_session, suspect_generation, suspect_at, suspect_reason)
                ORDER BY n.suspect_session DESC NULLS LAST, n.suspect_generation DESC, n.suspect_at DESC
                LIMIT 1);
        EXIT WHEN NOT FOUND;
        this_round := this_round + 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION holdfast_merge_peers IS
    'Merges bgp_peers and peer_families: `peers` holds the RIB views that the transaction has rows of,
`changes` the last state change of each peer, `families` End-of-RIB, sweeps and undecodable PDUs. Returns
for each RIB view, by its index in `peers`, the id, the number of its peer, and the oldest incarnation that
was valid before this transaction: with afi null for the RIB view, else for a family.';

CREATE OR REPLACE FUNCTION holdfast_peer_states(m_collector text, peers jsonb)
RETURNS TABLE (peer_index integer, id bigint, afi integer, safi smallint, valid_session timestamptz,
    valid_generation bigint, peer_number bigint, state text)
LANGUAGE sql STABLE AS $$
    WITH m AS MATERIALIZED (SELECT * FROM @schema@.holdfast_find_peers(m_collector, peers)), r AS (
        SELECT m.peer_index, m.id, NULL::integer AS afi, NULL::smallint AS safi, b.valid_session,
            b.valid_generation, m.peer_number
        FROM m LEFT JOIN @schema@.bgp_peers b ON b.id = m.id
        UNION ALL
        SELECT m.peer_index, m.id, f.afi, f.safi, f.valid_session, f.valid_generation, m.peer_number
        FROM m JOIN @schema@.peer_families f ON f.peer_id = m.id WHERE f.valid_session > '-infinity')
    SELECT r.*, string_agg(concat_ws(' ', r.id, r.peer_number, r.afi, r.safi, r.valid_session,
        r.valid_generation), ',') OVER (PARTITION BY r.peer_index ORDER BY r.afi NULLS FIRST, r.safi
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    FROM r
$$;
COMMENT ON FUNCTION holdfast_peer_states IS
    'State of each RIB view of the array, in rows as those of holdfast_merge_peers: one with afi null, and one
for each family that a sweep has set apart. The column state is a text of all rows of the RIB view.';

CREATE OR REPLACE FUNCTION holdfast_merge_known_peers(m_collector text, peers jsonb, changes jsonb,
    families jsonb, known jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = @schema@, pg_temp AS $$
DECLARE
    unexpected integer;
BEGIN
    PERFORM holdfast_identify_peers(m_collector, peers);
    SELECT min(s.peer_index) INTO unexpected FROM holdfast_peer_states(m_collector, peers) s
        WHERE s.state IS DISTINCT FROM known ->> s.peer_index::text;
    IF unexpected IS NOT NULL THEN
        RAISE EXCEPTION 'another writer has changed the state of peer % of router %',
            peers -> unexpected ->> 'address', peers -> unexpected ->> 'router' USING ERRCODE = 'BM004';
    END IF;
    PERFORM holdfast_merge_peers(m_collector, peers, changes, families);
END
$$;
COMMENT ON FUNCTION holdfast_merge_known_peers IS
    'As holdfast_merge_peers, for a client that has encoded its rows with the ids and states that an earlier
transaction has returned: `known` maps each index of `peers` to the state of holdfast_peer_states. Raises
BM004 if the database has another state, so that no row with it is stored.';
