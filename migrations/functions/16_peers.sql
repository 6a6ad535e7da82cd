-- Queries: peers.

CREATE OR REPLACE FUNCTION peer_flaps(span interval DEFAULT '1 day', of_peer text DEFAULT NULL,
    of_collector text DEFAULT NULL)
RETURNS TABLE (at timestamptz, router text, peer inet, peer_as bigint, rib text, vrf text, event text,
    reason text, was_up interval)
LANGUAGE sql STABLE AS $$
    WITH events AS (
        SELECT x.shared_number, x.view_id, (x.event).*, max((x.event).time) FILTER (WHERE (x.event).event_type
                = 'peer_up') OVER (PARTITION BY x.shared_number, (x.event).rib = 'loc-rib'
                ORDER BY (x.event).time, (x.event).session, (x.event).generation, (x.event).seq,
                    (x.event).idx) AS last_up
        FROM @schema@.holdfast_counted_events(now() - span, 'infinity', of_collector) x
        WHERE (x.event).event_type IN ('peer_up', 'peer_down', 'peer_stale')
    )
    SELECT e.time, e.router, e.bgp_peer_ip, e.bgp_peer_asn, e.rib,
        @schema@.holdfast_vrf_text(e.peer_distinguisher, e.table_name), e.event_type,
        CASE e.event_type WHEN 'peer_down' THEN @schema@.holdfast_down_reason(e.reason_code, e.data)
            WHEN 'peer_stale' THEN e.detail ->> 'end' END,
        CASE WHEN e.event_type <> 'peer_up' THEN e.time - coalesce(e.last_up, (
            -- The Peer Up before the period, by the address of the router.
            SELECT b.time FROM @schema@.peer_events b
            WHERE b.peer_ip = e.peer_ip AND b.time < now() - span AND b.event_type = 'peer_up'
                AND b.collector = e.collector AND b.router = e.router AND b.bgp_peer_ip = e.bgp_peer_ip
                AND b.peer_type = e.peer_type AND b.peer_distinguisher = e.peer_distinguisher
                AND b.bgp_id IN (e.bgp_id, '0.0.0.0') AND (b.rib = 'loc-rib') = (e.rib = 'loc-rib')
            ORDER BY b.time DESC LIMIT 1)) END
    FROM events e
    WHERE @schema@.holdfast_is_selected(of_peer, e.router, e.bgp_peer_ip, e.bgp_peer_asn, e.bgp_id)
        OR e.view_id IN (SELECT p.view_id FROM @schema@.holdfast_peers(of_peer) p)
    ORDER BY e.time, e.session, e.seq, e.idx
$$;
COMMENT ON FUNCTION peer_flaps IS
    'Peer Ups, Peer Downs and stale marks in a period, with their reasons and how long the peer had been up.
Of several collectors of a router, those count that were connected to it: the loss of one is no flap.';

CREATE OR REPLACE FUNCTION peers(of_peer text DEFAULT NULL)
RETURNS TABLE (id bigint, router text, peer inet, peer_as bigint, bgp_id inet, rib text, vrf text,
    state text, up_since timestamptz, down_at timestamptz, down_reason text, ups bigint, downs bigint,
    announced bigint, withdrawn bigint, families text, add_path text, hold_time_s integer,
    last_seen timestamptz, collector text, as_of timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT p.id, p.router, p.address, p.asn, p.bgp_id, p.rib, p.vrf, p.state, p.up_since, p.down_at,
        @schema@.holdfast_down_reason(p.down_reason, NULL), p.ups, p.downs, p.announced, p.withdrawn,
        (SELECT string_agg(f, ' ') FROM jsonb_array_elements_text(p.detail -> 'families') f),
        (SELECT string_agg(f, ' ') FROM jsonb_array_elements_text(p.detail -> 'add_path') f),
        (p.detail ->> 'hold_time_s')::integer, p.last_seen, p.collector, p.as_of
    FROM @schema@.holdfast_peers(of_peer) p
    ORDER BY p.router, p.address, p.asn, p.bgp_id, p.rib, p.vrf
$$;
COMMENT ON FUNCTION peers IS
    'RIB views with state, fields of the last Peer Up, and counters, as they were at `as_of`.';

CREATE OR REPLACE FUNCTION peer_capabilities(of_peer text DEFAULT NULL)
RETURNS TABLE (router text, peer inet, peer_as bigint, rib text, vrf text, capability text, is_sent boolean,
    is_received boolean)
LANGUAGE sql STABLE AS $$
    SELECT p.router, p.address, p.asn, p.rib, p.vrf, c.name, bool_or(c.is_sent), bool_or(NOT c.is_sent)
    FROM @schema@.holdfast_peers(of_peer) p
    CROSS JOIN LATERAL (
        SELECT name, true AS is_sent FROM jsonb_array_elements_text(p.detail -> 'sent_capabilities') name
        UNION ALL SELECT name, false FROM jsonb_array_elements_text(p.detail -> 'received_capabilities') name
    ) c
    GROUP BY p.id, 1, 2, 3, 4, 5, 6
    ORDER BY 1, 2, 3, 4, 5, 6
$$;
COMMENT ON FUNCTION peer_capabilities IS
    'Capabilities in the OPEN messages of the last Peer Up: sent by the router, or received from the peer.';

CREATE OR REPLACE FUNCTION holdfast_statistic_name(type integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE type
        WHEN 0 THEN 'prefixes rejected by inbound policy'
        WHEN 1 THEN 'duplicate prefix advertisements'
        WHEN 2 THEN 'duplicate withdraws'
        WHEN 3 THEN 'updates invalidated, CLUSTER_LIST loop'
        WHEN 4 THEN 'updates invalidated, AS_PATH loop'
        WHEN 5 THEN 'updates invalidated, ORIGINATOR_ID'
        WHEN 6 THEN 'updates invalidated, AS_CONFED loop'
        WHEN 7 THEN 'routes in Adj-RIB-In'
        WHEN 8 THEN 'routes in Loc-RIB'
        WHEN 9 THEN 'routes in Adj-RIB-In, per family'
        WHEN 10 THEN 'routes in Loc-RIB, per family'
        WHEN 11 THEN 'updates treated as withdraw'
        WHEN 12 THEN 'prefixes treated as withdraw'
        WHEN 13 THEN 'duplicate update messages'
        WHEN 14 THEN 'routes in pre-policy Adj-RIB-Out'
        WHEN 15 THEN 'routes in post-policy Adj-RIB-Out'
        WHEN 16 THEN 'routes in pre-policy Adj-RIB-Out, per family'
        WHEN 17 THEN 'routes in post-policy Adj-RIB-Out, per family'
        WHEN 18 THEN 'routes in pre-policy Adj-RIB-In'
        WHEN 19 THEN 'routes in pre-policy Adj-RIB-In, per family'
        WHEN 20 THEN 'routes in post-policy Adj-RIB-In'
        WHEN 21 THEN 'routes in post-policy Adj-RIB-In, per family'
        WHEN 22 THEN 'routes rejected by inbound policy, per family'
        WHEN 23 THEN 'routes accepted by inbound policy, per family'
        WHEN 26 THEN 'routes suppressed by damping, per family'
        WHEN 27 THEN 'routes stale by graceful restart, per family'
        WHEN 28 THEN 'routes stale by long-lived graceful restart, per family'
        WHEN 29 THEN 'routes left until the received-route threshold'
        WHEN 30 THEN 'routes left until the received-route threshold, per family'
        WHEN 31 THEN 'routes left until the licence threshold'
        WHEN 32 THEN 'routes left until the licence threshold, per family'
        WHEN 33 THEN 'routes rejected for AS_PATH length'
        WHEN 34 THEN 'routes rejected for AS_PATH length, per family'
        WHEN 35 THEN 'RPKI-invalid routes in post-policy Adj-RIB-In, per family'
        WHEN 36 THEN 'RPKI-valid routes in post-policy Adj-RIB-In, per family'
        WHEN 37 THEN 'RPKI-not-found routes in post-policy Adj-RIB-In, per family'
        WHEN 38 THEN 'routes rejected by outbound policy, per family'
        WHEN 39 THEN 'routes filtered outbound for AS_PATH length'
        WHEN 40 THEN 'routes filtered outbound for AS_PATH length, per family'
        WHEN 41 THEN 'RPKI-invalid routes in post-policy Adj-RIB-Out, per family'
        WHEN 42 THEN 'RPKI-valid routes in post-policy Adj-RIB-Out, per family'
        WHEN 43 THEN 'RPKI-not-found routes in post-policy Adj-RIB-Out, per family'
    END
$$;
COMMENT ON FUNCTION holdfast_statistic_name IS
    'Name of a type of BMP statistics (RFC 7854, RFC 8671, RFC 9972); null if it is not registered.';

CREATE OR REPLACE FUNCTION peer_counters(of_peer text DEFAULT NULL, span interval DEFAULT '1 day')
RETURNS TABLE (at timestamptz, router text, peer inet, peer_as bigint, rib text, vrf text, type integer,
    name text, family text, value numeric)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (s.router, s.bgp_peer_ip, s.bgp_peer_asn, s.bgp_id, s.peer_distinguisher, s.rib,
            s.type, s.afi, s.safi)
        s.time, s.router, s.bgp_peer_ip, s.bgp_peer_asn, s.rib, nullif(s.peer_distinguisher, '0:0'), s.type,
        @schema@.holdfast_statistic_name(s.type), @schema@.holdfast_family(s.afi, s.safi), s.value
    FROM @schema@.peer_statistics s
    WHERE s.time >= now() - span
        AND @schema@.holdfast_is_selected(of_peer, s.router, s.bgp_peer_ip, s.bgp_peer_asn, s.bgp_id)
    ORDER BY s.router, s.bgp_peer_ip, s.bgp_peer_asn, s.bgp_id, s.peer_distinguisher, s.rib, s.type, s.afi,
        s.safi, s.time DESC
$$;
COMMENT ON FUNCTION peer_counters IS
    'Newest value of each counter that a router reports for a peer (RFC 7854 section 4.8).';
