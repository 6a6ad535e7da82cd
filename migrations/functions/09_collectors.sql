-- One router at several collectors: which of them an answer goes by, for each peer and time.
--
-- A collector that has the whole table is preferred to one that does not have it yet, and of two that have it
-- the one that has had it for longer, so that the choice changes only when a collector loses the router. For
-- a table, what counts is the table; for events, that the collector was connected.

CREATE OR REPLACE FUNCTION holdfast_known_collector(given text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = @schema@, pg_temp AS $$
BEGIN
    IF given IS NOT NULL AND NOT EXISTS (SELECT FROM ingest_checkpoint WHERE collector = given) THEN
        RAISE EXCEPTION 'unknown collector "%"; known: %', given,
            coalesce((SELECT string_agg(DISTINCT collector, ', ') FROM ingest_checkpoint), 'none')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN given;
END
$$;
COMMENT ON FUNCTION holdfast_known_collector IS
    'The argument of a query if it is null or a collector that has delivered to this database, else an
error.';

CREATE OR REPLACE FUNCTION holdfast_sessions_of_shared_views()
RETURNS TABLE (view_id bigint, peer_id bigint, collector text, started timestamptz, complete_at timestamptz,
    ended timestamptz)
LANGUAGE plpgsql STABLE SET search_path = @schema@, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    -- Most databases have no router at two collectors: then history is not read.
    IF NOT EXISTS (SELECT FROM peer_collectors WHERE collectors > 1) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH shared AS MATERIALIZED (
        SELECT * FROM peer_collectors WHERE collectors > 1
    ), routers AS MATERIALIZED (
        SELECT DISTINCT s.collector, s.router FROM shared s
    ), events AS MATERIALIZED (
        SELECT e.* FROM peer_events e JOIN routers r ON r.collector = e.collector AND r.router = e.router
        WHERE e.event_type IN ('session_up', 'session_down', 'peer_up', 'end_of_rib')
    ), sessions AS MATERIALIZED (
        SELECT s.*, lead(s.session) OVER (PARTITION BY s.collector, s.router ORDER BY s.session)
            AS next_session
        FROM (
            SELECT e.collector, e.router, e.session FROM events e
            UNION
            SELECT n.collector, n.router, n.session FROM incarnations n
                JOIN routers r ON r.collector = n.collector AND r.router = n.router
            UNION
            SELECT b.collector, b.router, b.session FROM bmp_peers b
                JOIN routers r ON r.collector = b.collector AND r.router = b.router) s
    ), ends AS (
        -- The end of a session that the collector itself did not survive is recorded at its next start.
        SELECT s.collector, s.router, s.session, least(s.next_session, coalesce(d.time,
            CASE WHEN b.session = s.session THEN b.ended_at END, 'infinity'),
            (SELECT min(g.from_time) FROM collector_gaps g
                WHERE g.collector = s.collector AND g.router = s.router AND g.from_time >= s.session
                    AND g.from_time <= d.time AND g.until_time >= d.time),
            CASE WHEN o.reported_at < now() - interval '5 minutes' THEN greatest(o.as_of, s.session) END)
            AS ended
        FROM sessions s
        LEFT JOIN (SELECT e.collector, e.router, e.session, min(e.time) AS time FROM events e
            WHERE e.event_type = 'session_down' GROUP BY 1, 2, 3) d USING (collector, router, session)
        LEFT JOIN bmp_peers b ON b.collector = s.collector AND b.router = s.router
        LEFT JOIN collector_reports o ON o.collector = s.collector
    ), tables AS (
        SELECT s.peer_id, e.session, e.afi, e.safi, min(e.time) FILTER (WHERE e.event_type = 'end_of_rib'
            AND e.rib = s.rib) AS complete_at
        FROM events e
        JOIN peer_identities i ON i.collector = e.collector AND i.router = e.router
            AND i.address = e.bgp_peer_ip AND i.peer_type = e.peer_type
            AND i.peer_distinguisher = e.peer_distinguisher
            AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, e.peer_type,
                e.bgp_peer_asn, e.bgp_id, e.session)
        JOIN shared s ON s.peer_number = i.peer_number
        GROUP BY 1, 2, 3, 4
    ), present AS (
        -- Sessions in which the collector had records of the peer.
        SELECT t.peer_id, t.session, t.complete_at FROM tables t
        UNION ALL
        SELECT DISTINCT s.peer_id, n.session, NULL::timestamptz
        FROM incarnations n
        JOIN peer_identities i ON i.collector = n.collector AND i.router = n.router
            AND i.address = n.bgp_peer_ip AND i.peer_type = n.peer_type
            AND i.peer_distinguisher = n.peer_distinguisher
            AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, n.peer_type,
                n.bgp_peer_asn, n.bgp_id, n.session)
        JOIN shared s ON s.peer_number = i.peer_number AND s.rib = n.rib
    )
    SELECT s.view_id, s.peer_id, s.collector, p.session,
        -- A router that sends no End-of-RIB has sent its table after a while.
        least(max(p.complete_at), p.session + CASE WHEN bool_or(bool_or(p.complete_at IS NOT NULL))
            OVER (PARTITION BY s.view_id) THEN interval '1 hour' ELSE interval '5 minutes' END), max(x.ended)
    FROM present p JOIN shared s ON s.peer_id = p.peer_id
    JOIN ends x ON x.collector = s.collector AND x.router = s.router AND x.session = p.session
    GROUP BY 1, 2, 3, 4;
END
$$;
COMMENT ON FUNCTION holdfast_sessions_of_shared_views IS
    'BMP sessions in which each of several collectors had a RIB view: from when, since when with the whole
table, and until when.';

CREATE OR REPLACE FUNCTION holdfast_chosen_periods(of_tables boolean)
RETURNS TABLE (view_id bigint, peer_id bigint, since timestamptz, until timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = @schema@, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM peer_collectors WHERE collectors > 1) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH sessions AS MATERIALIZED (
        SELECT s.*, least(s.complete_at, s.ended) AS known_at, s.complete_at < s.ended AS was_complete
        FROM holdfast_sessions_of_shared_views() s
    ), cuts AS (
        SELECT c.view_id, c.at, coalesce(lead(c.at) OVER (PARTITION BY c.view_id ORDER BY c.at), 'infinity')
            AS next_at
        FROM (
            SELECT s.view_id, timestamptz '-infinity' AS at FROM sessions s
            UNION SELECT s.view_id, t FROM sessions s CROSS JOIN LATERAL
                unnest(ARRAY[s.started, s.known_at, s.ended]) AS t WHERE t < 'infinity') c
    )
    SELECT DISTINCT ON (c.view_id, c.at) c.view_id, s.peer_id, c.at, c.next_at
    FROM cuts c JOIN sessions s ON s.view_id = c.view_id
    CROSS JOIN LATERAL (SELECT s.started <= c.at AND c.at < s.ended AS is_connected,
        s.was_complete AND s.complete_at <= c.at AS is_complete) x
    ORDER BY c.view_id, c.at, x.is_connected AND x.is_complete DESC,
        CASE WHEN of_tables THEN x.is_complete ELSE x.is_connected END DESC,
        CASE WHEN of_tables THEN x.is_connected ELSE x.is_complete END DESC,
        s.started <= c.at DESC,
        -- Of those that are connected the first one, of the others the one that was connected last.
        CASE WHEN NOT x.is_connected THEN s.ended END DESC NULLS LAST, s.known_at, s.started, s.collector;
END
$$;
COMMENT ON FUNCTION holdfast_chosen_periods IS
    'Collector of each RIB view that several have received, by period: of_tables for its table, else for its
events. RIB views at one collector have no rows.';

CREATE OR REPLACE FUNCTION holdfast_counted_incarnations(of_collector text DEFAULT NULL)
RETURNS TABLE (id uuid, view_id bigint, shared_number bigint, peer_id bigint, own_as bigint, vrf text,
    instance text, since timestamptz, until timestamptz)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT * FROM @schema@.peer_collectors
    ), own AS MATERIALIZED (
        SELECT * FROM @schema@.own_systems
    ), periods AS MATERIALIZED (
        SELECT * FROM @schema@.holdfast_chosen_periods(false)
    )
    SELECT n.id, coalesce(v.view_id, -8 * i.peer_number - coalesce(array_position(ARRAY['adj-in-pre',
            'adj-in-post', 'adj-out-pre', 'adj-out-post', 'loc-rib'], n.rib), 0)),
        coalesce(v.shared_number, i.peer_number), v.peer_id,
        CASE WHEN n.peer_type = 3 THEN nullif(n.bgp_peer_asn, 0)
            ELSE coalesce(o.asn, CASE WHEN n.rib <> 'adj-out-pre' THEN nullif(n.bgp_peer_asn, 0) END) END,
        @schema@.holdfast_vrf_text(n.peer_distinguisher, n.table_name),
        @schema@.holdfast_instance_text(n.peer_distinguisher, n.table_name), coalesce(c.since, '-infinity'),
        coalesce(c.until, 'infinity')
    FROM @schema@.incarnations n
    LEFT JOIN @schema@.peer_identities i ON i.collector = n.collector AND i.router = n.router
        AND i.address = n.bgp_peer_ip AND i.peer_type = n.peer_type
        AND i.peer_distinguisher = n.peer_distinguisher
        AND @schema@.holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, n.peer_type,
            n.bgp_peer_asn, n.bgp_id, n.session)
    LEFT JOIN views v ON v.peer_number = i.peer_number AND v.rib = n.rib
    LEFT JOIN own o ON o.collector = n.collector AND o.router = n.router
        AND o.peer_distinguisher = n.peer_distinguisher
    LEFT JOIN periods c ON of_collector IS NULL AND c.peer_id = v.peer_id
    WHERE CASE WHEN of_collector IS NULL THEN c.peer_id IS NOT NULL OR coalesce(v.collectors, 1) = 1
        ELSE n.collector = @schema@.holdfast_known_collector(of_collector) END
$$;
COMMENT ON FUNCTION holdfast_counted_incarnations IS
    'Incarnations of history, each with the periods in which its collector is the one that is counted, so that
an update that two collectors received counts once. Or all those of one collector. view_id is the RIB view at
all collectors (peer_collectors), or a negative number if the peer was forgotten.';

CREATE OR REPLACE FUNCTION holdfast_counted_events(begins timestamptz, ends timestamptz, of_collector text)
RETURNS TABLE (event peer_events, shared_number bigint, view_id bigint)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT * FROM @schema@.peer_collectors
    ), periods AS MATERIALIZED (
        SELECT * FROM @schema@.holdfast_chosen_periods(false)
    )
    SELECT e, coalesce(v.shared_number, i.peer_number), v.view_id
    FROM @schema@.peer_events e
    JOIN @schema@.peer_identities i ON i.collector = e.collector AND i.router = e.router
        AND i.address = e.bgp_peer_ip AND i.peer_type = e.peer_type
        AND i.peer_distinguisher = e.peer_distinguisher AND @schema@.holdfast_is_identity(i.asn, i.bgp_id,
            i.since, i.until, i.any_until, e.peer_type, e.bgp_peer_asn, e.bgp_id, e.session)
    -- An event of a peer names one of its RIB views, of which there may be no row.
    LEFT JOIN LATERAL (SELECT v.* FROM views v WHERE v.peer_number = i.peer_number
        ORDER BY (v.rib = e.rib) DESC, v.peer_id LIMIT 1) v ON true
    WHERE e.time >= begins AND e.time <= ends
        AND CASE WHEN of_collector IS NOT NULL
            THEN e.collector = @schema@.holdfast_known_collector(of_collector)
            ELSE coalesce(v.collectors, 1) = 1 OR EXISTS (SELECT FROM periods c
                WHERE c.peer_id = v.peer_id AND c.since <= e.time AND e.time < c.until) END
$$;
COMMENT ON FUNCTION holdfast_counted_events IS
    'Events of peers from one time to another, both included, each once: that of the collector that is counted
then, or those of one collector.';
