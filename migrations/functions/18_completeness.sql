-- Queries: completeness of the tables.

CREATE OR REPLACE FUNCTION holdfast_statistics_views()
RETURNS TABLE (type integer, rib text, is_total boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES (7, 'adj-in-pre', true), (9, 'adj-in-pre', false), (18, 'adj-in-pre', true),
        (19, 'adj-in-pre', false), (20, 'adj-in-post', true), (21, 'adj-in-post', false),
        (8, 'loc-rib', true), (10, 'loc-rib', false), (14, 'adj-out-pre', true), (16, 'adj-out-pre', false),
        (15, 'adj-out-post', true), (17, 'adj-out-post', false)
$$;
COMMENT ON FUNCTION holdfast_statistics_views IS
    'Types of Statistics Reports that count the routes of a RIB view, in total or per family (RFC 7854, RFC
8671, RFC 9972).';

CREATE OR REPLACE FUNCTION holdfast_sends_no_snapshot(rib text, sys_name text, sys_descr text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rib LIKE 'adj-out-%' AND concat_ws(' ', sys_name, sys_descr) ~* '(gobgp|rustybgp)'
$$;
COMMENT ON FUNCTION holdfast_sends_no_snapshot IS
    'True for an Adj-RIB-Out of GoBGP and RustyBGP, which send only changes since the BMP connection began.
Both are recognised by their sysName or sysDescr, which are "GoBGP" and "RustyBGP v…" unless configured.';

CREATE OR REPLACE FUNCTION completeness(of_peer text DEFAULT NULL, grace interval DEFAULT '5 minutes',
    share numeric DEFAULT 0.75)
RETURNS TABLE (router text, peer inet, peer_as bigint, bgp_id inet, rib text, vrf text,
    family text, completeness text, routes bigint, stale bigint, reported numeric, reported_at timestamptz,
    end_of_rib_at timestamptz, since timestamptz, alarm text)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT p.*, greatest(p.up_since, p.session) AS since, coalesce(p.as_of, now()) AS clock,
            @schema@.holdfast_sends_no_snapshot(p.rib, b.sys_name, b.sys_descr) AS sends_no_snapshot
        FROM @schema@.holdfast_peers(of_peer) p
        LEFT JOIN @schema@.bmp_peers b ON b.collector = p.collector AND b.router = p.router
    ), counted AS MATERIALIZED (
        SELECT e.peer_id, e.afi, e.safi,
            count(*) FILTER (WHERE p.state = 'up' AND @schema@.holdfast_is_current(e.session, e.generation,
                p.session, p.generation)) AS routes,
            count(*) AS valid
        FROM views p JOIN @schema@.rib_entries e ON e.peer_id = p.id
        LEFT JOIN @schema@.peer_families f ON f.peer_id = e.peer_id AND f.afi = e.afi AND f.safi = e.safi
        WHERE NOT e.is_withdrawn
            AND @schema@.holdfast_is_current(e.session, e.generation, p.valid_session, p.valid_generation)
            AND (f.peer_id IS NULL OR @schema@.holdfast_is_current(e.session, e.generation, f.valid_session,
                f.valid_generation))
        GROUP BY 1, 2, 3
    ), sizes AS (
        SELECT peer_id, @schema@.holdfast_family(afi, safi) AS family, routes, valid FROM counted
    ), ends AS (
        SELECT f.peer_id, @schema@.holdfast_family(f.afi, f.safi) AS family, f.eor_at
        FROM @schema@.peer_families f JOIN views p ON p.id = f.peer_id
        WHERE f.afi <> 0 AND p.state = 'up'
            AND @schema@.holdfast_is_current(f.eor_session, f.eor_generation, p.session, p.generation)
    ), negotiated AS (
        SELECT p.id AS peer_id, f AS family
        FROM views p CROSS JOIN LATERAL jsonb_array_elements_text(p.detail -> 'families') f
    ), reports AS MATERIALIZED (
        SELECT DISTINCT ON (p.id, v.is_total, x.afi, x.safi) p.id AS peer_id, v.is_total,
            @schema@.holdfast_family(x.afi, x.safi) AS family, x.value, s.time
        FROM @schema@.peer_stats s
        CROSS JOIN LATERAL jsonb_to_recordset(s.statistics) AS x
            (type integer, afi integer, safi smallint, value numeric)
        JOIN @schema@.holdfast_statistics_views() v ON v.type = x.type
        JOIN @schema@.peer_identities i ON i.collector = s.collector AND i.router = s.router
            AND i.address = s.bgp_peer_ip AND i.peer_type = s.peer_type
            AND i.peer_distinguisher = s.peer_distinguisher
            AND @schema@.holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, s.peer_type,
                s.bgp_peer_asn, s.bgp_id, s.session)
        JOIN views p ON p.state = 'up' AND p.peer_number = i.peer_number AND p.rib = v.rib
        WHERE s.time >= now() - interval '1 day' AND s.time >= p.since
        ORDER BY p.id, v.is_total, x.afi, x.safi, s.time DESC, x.type DESC
    ), families AS (
        SELECT peer_id, family FROM negotiated
        UNION SELECT peer_id, family FROM sizes
        UNION SELECT peer_id, family FROM ends
    ), tables AS (
        SELECT f.peer_id, f.family, coalesce(z.routes, 0) AS routes, coalesce(z.valid, 0) AS valid, e.eor_at,
            r.value, r.time AS reported_at, EXISTS (SELECT FROM negotiated n
                WHERE n.peer_id = f.peer_id AND n.family = f.family) AS is_negotiated
        FROM families f LEFT JOIN sizes z USING (peer_id, family) LEFT JOIN ends e USING (peer_id, family)
        LEFT JOIN reports r ON r.peer_id = f.peer_id AND r.family = f.family AND NOT r.is_total
    ), monitored AS MATERIALIZED (
        -- A Peer Up names one RIB view, but the router may send the tables of others only.
        SELECT p.id, bool_or(t.routes > 0 OR t.eor_at IS NOT NULL) AS view_is_monitored,
            bool_or(bool_or(t.routes > 0 OR t.eor_at IS NOT NULL)) OVER (PARTITION BY
                p.peer_number) AS peer_is_monitored
        FROM views p JOIN tables t ON t.peer_id = p.id
        GROUP BY p.id, p.peer_number
    ), judged AS (
        SELECT t.peer_id, t.family, CASE WHEN p.state <> 'up' THEN 'none'
                WHEN t.eor_at IS NOT NULL THEN 'complete' WHEN p.sends_no_snapshot THEN 'partial'
                WHEN t.routes > 0 AND (p.since < p.clock - grace
                    OR p.last_seen < p.clock - interval '1 minute') THEN 'assumed'
                ELSE 'none' END AS completeness,
            t.routes, t.valid, t.value, t.reported_at, t.eor_at,
            CASE WHEN t.is_negotiated AND t.routes = 0 AND t.eor_at IS NULL
                    AND (m.view_is_monitored OR NOT m.peer_is_monitored)
                THEN 'neither routes nor End-of-RIB since Peer Up' END AS silence
        FROM tables t JOIN views p ON p.id = t.peer_id JOIN monitored m ON m.id = t.peer_id
        UNION ALL
        -- A router that reports the total of all families only.
        SELECT r.peer_id, 'all', NULL, sum(t.routes), sum(t.valid), r.value, r.time, NULL, NULL
        FROM reports r JOIN tables t ON t.peer_id = r.peer_id
        WHERE r.is_total AND NOT EXISTS (SELECT FROM reports o WHERE o.peer_id = r.peer_id AND NOT o.is_total)
        GROUP BY r.peer_id, r.value, r.time
    )
    SELECT p.router, p.address, p.asn, p.bgp_id, p.rib, p.vrf, j.family, j.completeness, j.routes::bigint,
        (j.valid - j.routes)::bigint, j.value, j.reported_at, j.eor_at, p.since,
        CASE WHEN p.state = 'up' AND NOT p.sends_no_snapshot AND p.since < p.clock - grace THEN coalesce(
            j.silence,
            CASE WHEN m.view_is_monitored AND j.routes < j.value * share AND j.value - j.routes >= 10
                THEN j.routes || ' routes of ' || j.value || ' that the router reports' END) END
    FROM judged j JOIN views p ON p.id = j.peer_id JOIN monitored m ON m.id = j.peer_id
    ORDER BY p.router, p.address, p.asn, p.bgp_id, p.rib, p.vrf, j.family = 'all', j.family
$$;
COMMENT ON FUNCTION completeness IS
    'Completeness of the table of each family of each RIB view: complete (End-of-RIB received), assumed
(routes without End-of-RIB, `grace` after Peer Up or a minute after the last record), partial (an
Adj-RIB-Out of GoBGP or RustyBGP, which send only changes) or none. `alarm` is set `grace` after Peer Up
if a negotiated family has neither routes nor End-of-RIB, or less than `share` of the routes that the router
reports. Times end at that up to which the database is current (collector_reports).';
