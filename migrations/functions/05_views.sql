-- Views. CREATE OR REPLACE keeps privileges and dependent objects, and can only append columns: a change
-- of an existing column needs a numbered migration that drops the view with CASCADE; this file then
-- creates what was dropped.

CREATE OR REPLACE VIEW peer_statistics AS
SELECT s.time, s.collector, s.router, s.peer_ip, s.bgp_peer_ip, s.bgp_peer_asn, s.peer_distinguisher, s.rib,
       x.type, x.afi, x.safi, x.value, decode(x.raw, 'hex') AS raw, s.bgp_id
FROM peer_stats s
CROSS JOIN LATERAL jsonb_to_recordset(s.statistics) AS x
    (type integer, afi integer, safi smallint, value numeric, raw text);
COMMENT ON VIEW peer_statistics IS 'Counters of Statistics Reports, one row each (peer_stats).';

CREATE OR REPLACE VIEW route_updates AS
SELECT h.time, i.bmp_peer_ip, NULL::bigint AS bmp_peer_asn, i.bgp_peer_ip, i.bgp_peer_asn,
       holdfast_family(h.afi, h.safi) AS family, h.prefix, coalesce(a.next_hop, h.next_hop) AS next_hop,
       coalesce(a.as_path, h.as_path) AS as_path, coalesce(a.communities, h.communities) AS communities,
       coalesce(a.extended_communities, h.extended_communities) AS extended_communities,
       coalesce(a.med, h.med) AS med, coalesce(a.local_pref, h.local_pref) AS local_pref, h.is_withdrawn,
       h.evpn_route_type, h.evpn_rd, h.evpn_esi, h.mac_address, h.router_time, i.collector, i.log_id, h.seq,
       h.idx, i.session, i.generation, i.router, i.peer_type, i.peer_distinguisher, i.bgp_id, i.rib,
       i.table_name, h.afi, h.safi, h.path_id, holdfast_cause(h.cause, h.is_withdrawn) AS cause,
       coalesce(a.origin, h.origin) AS origin, coalesce(a.as_path_text, h.as_path_text) AS as_path_text,
       coalesce(a.origin_as, h.origin_as) AS origin_as,
       coalesce(a.next_hop_link_local, h.next_hop_link_local) AS next_hop_link_local,
       coalesce(a.atomic_aggregate, h.atomic_aggregate) AS atomic_aggregate,
       coalesce(a.aggregator_asn, h.aggregator_asn) AS aggregator_asn,
       coalesce(a.aggregator_address, h.aggregator_address) AS aggregator_address,
       coalesce(a.large_communities, h.large_communities) AS large_communities,
       coalesce(a.originator_id, h.originator_id) AS originator_id,
       coalesce(a.cluster_list, h.cluster_list) AS cluster_list, coalesce(a.aigp, h.aigp) AS aigp,
       coalesce(a.otc, h.otc) AS otc, h.evpn_tag, h.evpn_ip, h.evpn_gateway, h.labels, h.rd, h.nlri,
       h.nlri_raw, coalesce(a.attributes_raw, h.attributes_raw) AS attributes_raw,
       coalesce(a.attributes_more, h.attributes_more) AS attributes_more,
       coalesce(a.missing, h.missing) AS missing, coalesce(a.discarded, h.discarded) AS discarded,
       coalesce(h.route_key, holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id)) AS route_key,
       coalesce(a.path_status, h.path_status) AS path_status,
       coalesce(a.path_reason, h.path_reason) AS path_reason,
       coalesce(a.path_marking, h.path_marking) AS path_marking, h.incarnation
FROM route_records h
LEFT JOIN incarnations i ON i.id = h.incarnation
LEFT JOIN attribute_sets a ON a.hash = h.attributes AND a.time = holdfast_week(h.time);
COMMENT ON VIEW route_updates IS
    'History of routes: one row per announcement or withdrawal (route_records, incarnations, attribute_sets).
The columns up to mac_address are those of pybmpmon, with wider types.';
COMMENT ON COLUMN route_updates.time IS 'Time at which the collector received the message.';
COMMENT ON COLUMN route_updates.bmp_peer_ip IS 'Source address of the router''s BMP session.';
COMMENT ON COLUMN route_updates.bmp_peer_asn IS
    'Always null; kept for queries that were written for pybmpmon.';
COMMENT ON COLUMN route_updates.bgp_peer_ip IS 'Peer address of the BMP per-peer header.';
COMMENT ON COLUMN route_updates.bgp_peer_asn IS 'Peer AS of the BMP per-peer header.';
COMMENT ON COLUMN route_updates.family IS
    'Name of the address family (holdfast_family), or afi/safi in digits.';
COMMENT ON COLUMN route_updates.prefix IS
    'Prefix. EVPN: that of route type 5; flow specification: the destination; BGP-LS: that of a prefix
NLRI. Else null.';
COMMENT ON COLUMN route_updates.as_path IS 'All AS numbers of AS_PATH in order, segments joined.';
COMMENT ON COLUMN route_updates.communities IS
    'Standard communities as text, in the order sent, for example 65000:100.';
COMMENT ON COLUMN route_updates.extended_communities IS
    'Extended communities as text, for example RT:65000:100.';
COMMENT ON COLUMN route_updates.is_withdrawn IS 'True for a withdrawal, false for an announcement.';
COMMENT ON COLUMN route_updates.router_time IS
    'Timestamp of the BMP per-peer header; null if the router sent none.';
COMMENT ON COLUMN route_updates.log_id IS 'Write-ahead log of the collector that holds the record.';
COMMENT ON COLUMN route_updates.seq IS 'Sequence number of the batch in the log, from 1 without holes.';
COMMENT ON COLUMN route_updates.idx IS 'Index of the record in the batch, from 0 without holes.';
COMMENT ON COLUMN route_updates.session IS
    'Start of the BMP session. With generation it is the incarnation of the peer.';
COMMENT ON COLUMN route_updates.generation IS
    'Number of Peer Up and Peer Down messages of the peer within the session.';
COMMENT ON COLUMN route_updates.router IS 'Name of the router: sysName, or its address.';
COMMENT ON COLUMN route_updates.peer_type IS 'Peer type of the BMP per-peer header (RFC 7854, section 4.2).';
COMMENT ON COLUMN route_updates.peer_distinguisher IS
    'Peer distinguisher as text; 0:0 for the global instance.';
COMMENT ON COLUMN route_updates.rib IS
    'RIB view: adj-in-pre, adj-in-post, adj-out-pre, adj-out-post, loc-rib or unknown.';
COMMENT ON COLUMN route_updates.table_name IS 'VRF or table name of a Loc-RIB (RFC 9069); null if unknown.';
COMMENT ON COLUMN route_updates.path_id IS 'ADD-PATH path identifier; null without ADD-PATH.';
COMMENT ON COLUMN route_updates.cause IS
    'update, withdraw, initial-dump, re-dump or treat-as-withdraw (RFC 7606).';
COMMENT ON COLUMN route_updates.origin IS 'ORIGIN as on the wire: 0 IGP, 1 EGP, 2 INCOMPLETE.';
COMMENT ON COLUMN route_updates.as_path_text IS
    'AS_PATH with its segments as text; null if it is one AS_SEQUENCE, so that as_path is complete.';
COMMENT ON COLUMN route_updates.origin_as IS
    'Last AS number of the path; null if the path is empty or ends in an AS_SET.';
COMMENT ON COLUMN route_updates.otc IS 'Only to Customer attribute (RFC 9234).';
COMMENT ON COLUMN route_updates.evpn_ip IS
    'EVPN: host address of route type 2, originating router of types that name one.';
COMMENT ON COLUMN route_updates.labels IS
    'EVPN: 24-bit fields as sent, each a VNI or a label in the upper 20 bits. Labelled unicast and VPN:
20-bit labels, outermost first. Null in withdrawals.';
COMMENT ON COLUMN route_updates.rd IS 'Route distinguisher, for each family that has one.';
COMMENT ON COLUMN route_updates.nlri IS 'Decoded NLRI as text; null for plain, labelled and VPN prefixes.';
COMMENT ON COLUMN route_updates.nlri_raw IS
    'NLRI in wire format, if its family or route type is not decoded.';
COMMENT ON COLUMN route_updates.attributes_raw IS
    'Path attributes without a column of their own, in BGP wire format.';
COMMENT ON COLUMN route_updates.attributes_more IS 'Attributes of attributes_raw that are decoded, as text.';
COMMENT ON COLUMN route_updates.missing IS 'Mandatory attributes that the announcement lacks.';
COMMENT ON COLUMN route_updates.discarded IS 'Attributes discarded according to RFC 7606, with the reason.';
COMMENT ON COLUMN route_updates.route_key IS
    'Key of the route within its RIB view, for every family; as in rib_entries.';
COMMENT ON COLUMN route_updates.path_status IS
    'Bits of the path status that the router reports (BMP version 4), as received; null if it reports none.';
COMMENT ON COLUMN route_updates.path_reason IS
    'Reason code of the path status; null if the router sent none.';
COMMENT ON COLUMN route_updates.path_marking IS
    'Names of the bits of path_status, for example {best,primary}, then the meaning of path_reason.';

COMMENT ON COLUMN route_updates.incarnation IS
    'incarnations.id: what rows of one session and generation of a RIB view have in common.';

CREATE OR REPLACE FUNCTION holdfast_updates(begins timestamptz, ends timestamptz)
RETURNS SETOF route_updates
LANGUAGE sql STABLE AS $$
    SELECT h.time, i.bmp_peer_ip, NULL::bigint AS bmp_peer_asn, i.bgp_peer_ip, i.bgp_peer_asn,
           @schema@.holdfast_family(h.afi, h.safi) AS family, h.prefix,
           coalesce(a.next_hop, h.next_hop) AS next_hop, coalesce(a.as_path, h.as_path) AS as_path,
           coalesce(a.communities, h.communities) AS communities,
           coalesce(a.extended_communities, h.extended_communities) AS extended_communities,
           coalesce(a.med, h.med) AS med, coalesce(a.local_pref, h.local_pref) AS local_pref,
           h.is_withdrawn, h.evpn_route_type, h.evpn_rd, h.evpn_esi, h.mac_address, h.router_time,
           i.collector, i.log_id, h.seq, h.idx, i.session, i.generation, i.router, i.peer_type,
           i.peer_distinguisher, i.bgp_id, i.rib, i.table_name, h.afi, h.safi, h.path_id,
           @schema@.holdfast_cause(h.cause, h.is_withdrawn) AS cause, coalesce(a.origin, h.origin) AS origin,
           coalesce(a.as_path_text, h.as_path_text) AS as_path_text,
           coalesce(a.origin_as, h.origin_as) AS origin_as,
           coalesce(a.next_hop_link_local, h.next_hop_link_local) AS next_hop_link_local,
           coalesce(a.atomic_aggregate, h.atomic_aggregate) AS atomic_aggregate,
           coalesce(a.aggregator_asn, h.aggregator_asn) AS aggregator_asn,
           coalesce(a.aggregator_address, h.aggregator_address) AS aggregator_address,
           coalesce(a.large_communities, h.large_communities) AS large_communities,
           coalesce(a.originator_id, h.originator_id) AS originator_id,
           coalesce(a.cluster_list, h.cluster_list) AS cluster_list, coalesce(a.aigp, h.aigp) AS aigp,
           coalesce(a.otc, h.otc) AS otc, h.evpn_tag, h.evpn_ip, h.evpn_gateway, h.labels, h.rd, h.nlri,
           h.nlri_raw, coalesce(a.attributes_raw, h.attributes_raw) AS attributes_raw,
           coalesce(a.attributes_more, h.attributes_more) AS attributes_more,
           coalesce(a.missing, h.missing) AS missing, coalesce(a.discarded, h.discarded) AS discarded,
           coalesce(h.route_key,
           @schema@.holdfast_route_key(h.afi, h.safi, h.prefix, h.path_id)) AS route_key,
           coalesce(a.path_status, h.path_status) AS path_status,
           coalesce(a.path_reason, h.path_reason) AS path_reason,
           coalesce(a.path_marking, h.path_marking) AS path_marking, h.incarnation
    FROM @schema@.route_records h
    LEFT JOIN @schema@.incarnations i ON i.id = h.incarnation
    LEFT JOIN @schema@.attribute_sets a ON a.hash = h.attributes AND a.time = @schema@.holdfast_week(h.time)
        AND a.time > begins - interval '7 days' AND a.time <= ends
    WHERE h.time >= begins AND h.time <= ends
$$;
COMMENT ON FUNCTION holdfast_updates IS
    'The rows of route_updates from one time to another, both included. Unlike with a condition on the view,
the attribute sets of other weeks are not read.';

CREATE OR REPLACE VIEW stored_routes AS
SELECT p.bmp_peer_ip, NULL::bigint AS bmp_peer_asn, p.address AS bgp_peer_ip, p.asn AS bgp_peer_asn,
       holdfast_family(e.afi, e.safi) AS family,
       e.prefix, e.first_seen, e.last_seen, e.last_state_change,
       e.is_withdrawn OR ended.is_ended AS is_withdrawn,
       e.learn_count, e.withdraw_count,
       a.next_hop, a.as_path, a.communities, a.extended_communities, a.med, a.local_pref,
       e.evpn_route_type, e.evpn_rd, e.evpn_esi, e.mac_address,
       NOT e.is_withdrawn AND NOT ended.is_ended
           AND (p.state = 'stale'
               OR NOT holdfast_is_current(e.session, e.generation, p.session, p.generation)) AS is_stale,
       ended.is_ended AND NOT e.is_withdrawn AS is_ended,
       p.collector, p.router, p.peer_type, p.peer_distinguisher, p.bgp_id, p.rib, p.table_name,
       p.state AS peer_state, e.peer_id, e.afi, e.safi, e.path_id, e.session, e.generation, e.seq, e.idx,
       a.origin, a.as_path_text, a.origin_as, a.next_hop_link_local, a.atomic_aggregate, a.aggregator_asn,
       a.aggregator_address, a.large_communities, a.originator_id, a.cluster_list, a.aigp, a.otc,
       e.rd, e.evpn_tag, e.evpn_ip, e.evpn_gateway, e.labels, e.nlri, e.nlri_raw, a.attributes_raw,
       a.attributes_more, a.missing, a.discarded, e.route_key,
       holdfast_mpls_labels(e.labels, e.evpn_route_type) AS mpls_labels,
       a.path_status, a.path_reason, a.path_marking
FROM rib_entries e
JOIN bgp_peers p ON p.id = e.peer_id
LEFT JOIN peer_families f ON f.peer_id = e.peer_id AND f.afi = e.afi AND f.safi = e.safi
CROSS JOIN LATERAL (
    SELECT NOT holdfast_is_current(e.session, e.generation, p.valid_session, p.valid_generation)
        OR (f.peer_id IS NOT NULL
            AND NOT holdfast_is_current(e.session, e.generation, f.valid_session, f.valid_generation))
        AS is_ended) ended
LEFT JOIN path_attributes a ON a.hash = e.attributes;
COMMENT ON VIEW stored_routes IS
    'Last update of every route of every collector, with attributes; withdrawn routes included. Columns as in
route_state.';

CREATE OR REPLACE VIEW family_state AS
SELECT p.collector, p.router, p.bmp_peer_ip, p.address AS bgp_peer_ip, p.asn AS bgp_peer_asn, p.peer_type,
       p.peer_distinguisher, p.rib, p.table_name, p.state AS peer_state, p.stale_since,
       CASE WHEN p.state = 'stale' AND r.is_active AND r.session > p.session
           THEN 'not re-announced since reconnect' ELSE p.stale_reason END AS stale_reason,
       CASE WHEN f.afi = 0 THEN 'any' ELSE holdfast_family(f.afi, f.safi) END AS family, f.afi, f.safi,
       CASE WHEN holdfast_is_current(f.eor_session, f.eor_generation, p.session, p.generation)
           THEN f.eor_at END AS end_of_rib_at, s.suspect_at AS suspect_since, s.suspect_reason
FROM bgp_peers p
JOIN bmp_peers r ON r.collector = p.collector AND r.router = p.router
LEFT JOIN peer_families f ON f.peer_id = p.id
LEFT JOIN LATERAL (
    SELECT o.suspect_at, o.suspect_reason FROM peer_families o
    WHERE o.peer_id = p.id AND ((o.afi = f.afi AND o.safi = f.safi) OR o.afi = 0)
        AND holdfast_is_current(o.suspect_session, o.suspect_generation, p.valid_session, p.valid_generation)
        AND (f.eor_session IS NULL OR holdfast_is_current(o.suspect_session, o.suspect_generation,
            f.eor_session, f.eor_generation))
    ORDER BY o.suspect_at DESC LIMIT 1) s ON true;
COMMENT ON VIEW family_state IS
    'Trustworthiness of each table, one row per RIB view and family. A family is suspect if a PDU of it
could not be decoded, until an End-of-RIB of a later generation (the whole table was sent again) or a Peer
Down.';

CREATE OR REPLACE VIEW peer_collectors AS
SELECT p.id AS peer_id, p.collector, p.router, p.peer_number, p.rib,
       min(p.id) OVER same AS view_id, count(*) OVER same AS collectors,
       min(p.peer_number) OVER (PARTITION BY p.router, p.peer_type, p.distinguisher, p.address, p.bgp_id,
           CASE WHEN p.peer_type = 3 THEN 0 ELSE p.asn END) AS shared_number
FROM bgp_peers p
WINDOW same AS (PARTITION BY p.router, p.peer_type, p.distinguisher, p.address, p.rib, p.bgp_id,
    CASE WHEN p.peer_type = 3 THEN 0 ELSE p.asn END);
COMMENT ON VIEW peer_collectors IS
    'RIB views of peers (bgp_peers), with a number that the rows of one RIB view at several collectors have in
common.';
COMMENT ON COLUMN peer_collectors.view_id IS 'Least bgp_peers.id of the rows of the same RIB view.';
COMMENT ON COLUMN peer_collectors.shared_number IS 'Least bgp_peers.peer_number of the same peer.';
COMMENT ON COLUMN peer_collectors.collectors IS 'Number of collectors that have received the RIB view.';

CREATE OR REPLACE VIEW own_systems AS
SELECT p.collector, p.router, p.peer_distinguisher, max(p.asn) AS asn
FROM bgp_peers p WHERE p.peer_type = 3 AND p.asn <> 0 GROUP BY 1, 2, 3;
COMMENT ON VIEW own_systems IS
    'AS number of each router, as far as a Loc-RIB shows it: its Peer AS is that of the router (RFC 9069
section 5).';

CREATE OR REPLACE VIEW chosen_peers AS
WITH views AS MATERIALIZED (
    SELECT * FROM peer_collectors
)
SELECT DISTINCT ON (v.view_id) p.*, holdfast_vrf_text(p.peer_distinguisher, p.table_name) AS vrf, c.as_of,
    v.view_id, coalesce(o.asn, CASE WHEN p.rib <> 'adj-out-pre' THEN nullif(p.asn, 0) END) AS own_as
FROM views v
JOIN bgp_peers p ON p.id = v.peer_id
LEFT JOIN collector_reports c ON c.collector = p.collector
LEFT JOIN own_systems o ON o.collector = p.collector AND o.router = p.router
    AND o.peer_distinguisher = p.peer_distinguisher
LEFT JOIN bmp_peers b ON v.collectors > 1 AND b.collector = p.collector AND b.router = p.router
CROSS JOIN LATERAL (SELECT v.collectors > 1 AND coalesce(b.is_active AND p.state IN ('up', 'down')
    AND c.reported_at > now() - interval '5 minutes', false) AS is_live) l
CROSS JOIN LATERAL (
    -- Families with an End-of-RIB at any of the collectors, and at this one.
    SELECT count(DISTINCT (f.afi, f.safi)) AS families, count(DISTINCT (f.afi, f.safi))
        FILTER (WHERE f.peer_id = p.id AND holdfast_is_current(f.eor_session, f.eor_generation, p.session,
            p.generation)) AS ended
    FROM views w JOIN peer_families f ON f.peer_id = w.peer_id AND f.eor_at IS NOT NULL
    WHERE v.collectors > 1 AND w.view_id = v.view_id) e
CROSS JOIN LATERAL (SELECT CASE WHEN v.collectors = 1 THEN true WHEN p.state = 'down' THEN l.is_live
    WHEN p.state = 'unknown' THEN false
    -- A router that sends no End-of-RIB has sent its table after a while.
    ELSE (e.families > 0 AND e.ended = e.families) OR greatest(p.session, p.up_since)
        < coalesce(p.stale_since, c.as_of, now())
            - CASE WHEN e.families > 0 THEN interval '1 hour' ELSE interval '5 minutes' END END
    AS is_complete) t
ORDER BY v.view_id, t.is_complete AND l.is_live DESC, t.is_complete DESC, l.is_live DESC,
    (p.state = 'up') DESC, p.last_seen DESC, p.id;
COMMENT ON VIEW chosen_peers IS
    'Each RIB view of each peer of each router once, whichever collectors receive it: the row with the whole
table, of a collector that runs and is connected to the router; else one with the whole table; else of a
collector that runs.';
COMMENT ON COLUMN chosen_peers.as_of IS 'How current the row is: collector_reports.as_of of its collector.';
COMMENT ON COLUMN chosen_peers.view_id IS 'Number of the RIB view at all collectors, as in peer_collectors.';
COMMENT ON COLUMN chosen_peers.own_as IS
    'AS of the router, in which routes with an empty AS path originate; null if it is not known. Without a
Loc-RIB, that of the peer, because only an internal peer has such routes.';

-- Two halves, so that a condition on the prefix is one on the index.
CREATE OR REPLACE VIEW route_state AS
SELECT s.* FROM stored_routes s
WHERE s.mac_address IS NULL AND s.peer_id IN (SELECT p.id FROM chosen_peers p)
UNION ALL
SELECT bmp_peer_ip, bmp_peer_asn, bgp_peer_ip, bgp_peer_asn, family,
       coalesce(prefix, evpn_ip::cidr), first_seen, last_seen, last_state_change, is_withdrawn,
       learn_count, withdraw_count, next_hop, as_path, communities, extended_communities, med,
       local_pref, evpn_route_type, evpn_rd, evpn_esi, mac_address, is_stale, is_ended, collector, router,
       peer_type, peer_distinguisher, bgp_id, rib, table_name, peer_state, peer_id, afi, safi, path_id,
       session, generation, seq, idx, origin, as_path_text, origin_as, next_hop_link_local, atomic_aggregate,
       aggregator_asn, aggregator_address, large_communities, originator_id, cluster_list, aigp, otc, rd,
       evpn_tag, evpn_ip, evpn_gateway, labels, nlri, nlri_raw, attributes_raw, attributes_more, missing,
       discarded, route_key, mpls_labels, path_status, path_reason, path_marking
FROM stored_routes
WHERE mac_address IS NOT NULL AND peer_id IN (SELECT p.id FROM chosen_peers p);
COMMENT ON VIEW route_state IS
    'Last update of every route, with attributes; withdrawn routes included. A router that several collectors
receive is in it once (chosen_peers). The columns up to mac_address are those of pybmpmon, where the prefix of
a MAC/IP route is its host.';
COMMENT ON COLUMN route_state.is_withdrawn IS 'Withdrawn, or ended by a Peer Down or a sweep.';
COMMENT ON COLUMN route_state.mpls_labels IS
    'MPLS labels, if the encapsulation is MPLS; with VXLAN, labels has the VNI (RFC 8365 section 5.1.3).';
COMMENT ON COLUMN route_state.is_stale IS
    'Current, but received before the session was lost and not re-announced since.';
COMMENT ON COLUMN route_state.is_ended IS 'Ended by a Peer Down or a sweep, without a withdrawal of its own.';

CREATE OR REPLACE VIEW current_routes AS
SELECT s.router, s.bgp_peer_ip AS peer, s.bgp_peer_asn AS peer_as, s.rib, p.vrf, s.family,
       holdfast_route_text(s.rd, s.prefix, s.nlri, s.nlri_raw) AS route, s.path_id,
       holdfast_path_text(s.as_path, s.as_path_text) AS path,
       coalesce(s.origin_as, CASE WHEN holdfast_is_own_path(s.as_path, s.as_path_text) THEN p.own_as END)
           AS origin_as, s.next_hop, s.med, s.local_pref, s.communities, s.large_communities,
       s.extended_communities, s.is_stale, s.last_state_change AS since,
       s.last_seen, s.peer_id, s.prefix, s.rd, s.as_path, s.otc, s.labels, s.evpn_route_type, s.evpn_rd,
       s.evpn_esi, s.evpn_tag, s.mac_address, s.evpn_ip, s.first_seen, s.learn_count, s.withdraw_count, s.afi,
       s.safi, s.route_key, s.bgp_id, s.path_status, s.path_reason, s.path_marking,
       holdfast_instance_text(s.peer_distinguisher, s.table_name) AS instance, s.as_path_text
FROM stored_routes s
JOIN chosen_peers p ON p.id = s.peer_id
WHERE NOT s.is_withdrawn;
COMMENT ON COLUMN current_routes.origin_as IS
    'AS that originated the route; of an empty path, and of one within a confederation, the AS of the router
(RFC 6811 section 2). Null for a path that ends in an AS_SET, and if the own AS is not known.';
COMMENT ON COLUMN current_routes.instance IS
    'VRF, by which routes are compared: null for the global instance, also of a Loc-RIB with a name.';
COMMENT ON VIEW current_routes IS
    'Current routes, each route of each router once. The columns up to last_seen are for reading; those of
route_state follow.';

CREATE OR REPLACE VIEW route_ends AS
SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, NULL::integer AS afi,
       NULL::smallint AS safi, session, generation + 1 AS generation, bgp_peer_asn, bgp_id
FROM peer_events WHERE event_type = 'peer_down'
UNION ALL
SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, afi, safi, session,
       generation, bgp_peer_asn, bgp_id
FROM peer_events WHERE event_type = 'sweep'
UNION ALL
SELECT time, collector, router, peer_type, peer_distinguisher, bgp_peer_ip, rib, afi, safi, session,
       generation, bgp_peer_asn, bgp_id
FROM kept_route_ends;
COMMENT ON VIEW route_ends IS
    'Events that end routes without a withdrawal. A Peer Down (afi null) ends routes of incarnations
before (session, generation) in all Adj-RIB views of the peer, or in its Loc-RIB; a sweep ends them in one
family of one RIB view.';

CREATE OR REPLACE VIEW route_history AS
SELECT * FROM route_updates
UNION ALL
SELECT *, NULL::uuid FROM kept_routes;
COMMENT ON VIEW route_history IS
    'All rows of route_updates, and of dropped rows the last update of each route (kept_routes).';

CREATE OR REPLACE VIEW peer_route_ends AS
SELECT p.id AS peer_id, x.time, x.afi, x.safi, x.session, x.generation
FROM route_ends x
JOIN peer_identities i ON i.collector = x.collector AND i.router = x.router AND i.address = x.bgp_peer_ip
    AND i.peer_type = x.peer_type AND i.peer_distinguisher = x.peer_distinguisher
    AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, x.peer_type, x.bgp_peer_asn,
        x.bgp_id, x.session)
JOIN bgp_peers p ON p.peer_number = i.peer_number
    AND CASE WHEN x.afi IS NULL THEN (p.rib = 'loc-rib') = (x.rib = 'loc-rib') ELSE p.rib = x.rib END;
COMMENT ON VIEW peer_route_ends IS 'The rows of route_ends, for each RIB view whose routes they end.';
COMMENT ON COLUMN peer_route_ends.peer_id IS 'bgp_peers.id.';

CREATE OR REPLACE VIEW peer_route_history AS
SELECT p.id AS peer_id, h.*
FROM route_history h
JOIN peer_identities i ON i.collector = h.collector AND i.router = h.router AND i.address = h.bgp_peer_ip
    AND i.peer_type = h.peer_type AND i.peer_distinguisher = h.peer_distinguisher
    AND holdfast_is_identity(i.asn, i.bgp_id, i.since, i.until, i.any_until, h.peer_type, h.bgp_peer_asn,
        h.bgp_id, h.session)
JOIN bgp_peers p ON p.peer_number = i.peer_number AND p.rib = h.rib
WHERE NOT EXISTS (SELECT FROM forgotten_peers f
    WHERE f.peer_number = i.peer_number AND f.log_id = h.log_id AND h.seq <= f.last_seq);
COMMENT ON VIEW peer_route_history IS
    'The rows of route_history from which the current table follows, with their RIB views: without those of
peers that were forgotten since.';
COMMENT ON COLUMN peer_route_history.peer_id IS 'bgp_peers.id.';

CREATE OR REPLACE VIEW stored_records AS
    SELECT i.collector, i.log_id, h.seq, h.idx FROM route_records h
        LEFT JOIN incarnations i ON i.id = h.incarnation
    UNION ALL SELECT collector, log_id, seq, idx FROM peer_events
    UNION ALL SELECT collector, log_id, seq, idx FROM peer_stats
    UNION ALL SELECT collector, log_id, seq, idx FROM collector_gaps WHERE seq IS NOT NULL
    UNION ALL SELECT collector, log_id, seq, idx FROM rejected_routes;
COMMENT ON VIEW stored_records IS 'Identifiers of all stored records of all logs, for holdfast_verify.';
