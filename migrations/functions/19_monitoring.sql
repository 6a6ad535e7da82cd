-- Readable views of history and delivery, for dashboards and for queries of one's own.

CREATE OR REPLACE VIEW route_changes AS
SELECT h.time AS at, h.router, h.bgp_peer_ip AS peer, h.bgp_peer_asn AS peer_as, h.rib,
       holdfast_vrf_text(h.peer_distinguisher, h.table_name) AS vrf, h.family,
       holdfast_route_text(h.rd, h.prefix, h.nlri, h.nlri_raw) AS route, h.path_id,
       CASE WHEN h.is_withdrawn THEN 'withdraw' ELSE 'announce' END AS event, h.cause,
       holdfast_path_text(h.as_path, h.as_path_text) AS path, h.origin_as, h.next_hop, h.med, h.local_pref,
       h.communities, h.large_communities, h.extended_communities, h.is_withdrawn, h.prefix, h.rd, h.as_path,
       h.evpn_route_type, h.mac_address, h.evpn_ip, h.bgp_id, h.collector, h.seq, h.idx,
       h.cause IN ('initial-dump', 're-dump') AS is_dump
FROM route_updates h;
COMMENT ON VIEW route_changes IS
    'History of routes for reading: announcements and withdrawals, with the column names of current_routes.
A router that two collectors receive is in it twice.';
COMMENT ON COLUMN route_changes.is_dump IS
    'Part of an initial dump or a re-dump, so that the announcement may repeat an older one.';

CREATE OR REPLACE VIEW session_events AS
SELECT e.time AS at, e.router, e.peer_ip AS router_address, e.bgp_peer_ip AS peer, e.bgp_peer_asn AS peer_as,
       e.rib, holdfast_vrf_text(e.peer_distinguisher, e.table_name) AS vrf, e.event_type AS event,
       CASE WHEN e.event_type = 'peer_down' THEN holdfast_down_reason(e.reason_code, e.data)
           ELSE coalesce(e.detail ->> 'end', e.detail ->> 'reason', e.detail ->> 'error') END AS reason,
       CASE WHEN e.afi IS NOT NULL THEN holdfast_family(e.afi, e.safi) END AS family, e.detail, e.bgp_id,
       e.collector, e.seq, e.idx
FROM peer_events e;
COMMENT ON VIEW session_events IS
    'Events of sessions and peers for reading: Peer Ups and Downs, stale marks, sweeps, End-of-RIBs, session
starts and ends, mirrored and malformed PDUs.';

CREATE OR REPLACE FUNCTION churn_causes(by text DEFAULT 'prefix', span interval DEFAULT '1 hour',
    until timestamptz DEFAULT 'infinity', of_collector text DEFAULT NULL)
RETURNS TABLE (subject text, changes bigint, withdrawn bigint, announced_again bigint, origin bigint,
    as_path bigint, next_hop bigint, med bigint, local_pref bigint, communities bigint, other bigint,
    repeated bigint, first_in_period bigint, malformed bigint, routes bigint, last_at timestamptz)
LANGUAGE sql STABLE AS $$
    WITH updates AS (
        -- Only what is needed, because the rows are sorted; and the most selective column first.
        SELECT h.time, h.cause, h.is_withdrawn, x.origin_as, h.as_path, h.next_hop, h.med, h.local_pref,
            h.communities, h.large_communities, h.extended_communities, h.labels, h.origin, h.attributes_raw,
            h.route_key,
            CASE @schema@.holdfast_choice(by, 'by', 'prefix', 'peer', 'as', 'rd', 'router', 'family')
                WHEN 'prefix' THEN @schema@.holdfast_route_text(h.rd, h.prefix, h.nlri, h.nlri_raw)
                WHEN 'peer' THEN concat_ws(' ', h.router, host(h.bgp_peer_ip), 'AS' || h.bgp_peer_asn,
                    host(h.bgp_id), h.rib)
                WHEN 'rd' THEN h.rd WHEN 'router' THEN h.router WHEN 'family' THEN h.family END AS subject,
            lag(h.is_withdrawn) OVER same AS was_withdrawn, lag(x.origin_as) OVER same AS old_origin,
            lag(h.as_path) OVER same AS old_path, lag(h.next_hop) OVER same AS old_next_hop,
            lag(h.med) OVER same AS old_med, lag(h.local_pref) OVER same AS old_local_pref,
            lag(h.communities) OVER same AS old_communities,
            lag(h.large_communities) OVER same AS old_large_communities,
            lag(h.extended_communities) OVER same AS old_extended_communities,
            lag(h.labels) OVER same AS old_labels, lag(h.origin) OVER same AS old_origin_code,
            lag(h.attributes_raw) OVER same AS old_attributes_raw
        FROM @schema@.holdfast_updates(least(until, now()) - span, until) h
        JOIN @schema@.holdfast_counted_incarnations(of_collector) c ON c.id = h.incarnation
            AND h.time >= c.since AND h.time < c.until
        CROSS JOIN LATERAL (SELECT coalesce(h.origin_as, CASE WHEN @schema@.holdfast_is_own_path(h.as_path,
            h.as_path_text) THEN c.own_as END) AS origin_as) x
        WINDOW same AS (PARTITION BY h.route_key, c.view_id
            ORDER BY h.time, h.session, h.generation, h.seq, h.idx)
    ), judged AS (
        SELECT u.*, CASE WHEN u.cause = 'treat-as-withdraw' THEN 'malformed'
                WHEN u.is_withdrawn THEN 'withdrawn' WHEN u.was_withdrawn IS NULL THEN 'first'
                WHEN u.was_withdrawn THEN 'again'
                WHEN u.old_origin IS DISTINCT FROM u.origin_as THEN 'origin'
                WHEN u.old_path IS DISTINCT FROM u.as_path THEN 'path'
                WHEN u.old_next_hop IS DISTINCT FROM u.next_hop THEN 'next hop'
                WHEN u.old_med IS DISTINCT FROM u.med THEN 'med'
                WHEN u.old_local_pref IS DISTINCT FROM u.local_pref THEN 'local pref'
                WHEN u.old_communities IS DISTINCT FROM u.communities
                    OR u.old_large_communities IS DISTINCT FROM u.large_communities
                    OR u.old_extended_communities IS DISTINCT FROM u.extended_communities THEN 'communities'
                WHEN u.old_labels IS DISTINCT FROM u.labels OR u.old_origin_code IS DISTINCT FROM u.origin
                    OR u.old_attributes_raw IS DISTINCT FROM u.attributes_raw THEN 'other'
                ELSE 'repeated' END AS change
        FROM updates u
        WHERE u.cause NOT IN ('initial-dump', 're-dump')
    )
    SELECT CASE WHEN by = 'as' THEN 'AS' || coalesce(origin_as, old_origin) ELSE subject END,
        count(*), count(*) FILTER (WHERE change = 'withdrawn'), count(*) FILTER (WHERE change = 'again'),
        count(*) FILTER (WHERE change = 'origin'), count(*) FILTER (WHERE change = 'path'),
        count(*) FILTER (WHERE change = 'next hop'), count(*) FILTER (WHERE change = 'med'),
        count(*) FILTER (WHERE change = 'local pref'), count(*) FILTER (WHERE change = 'communities'),
        count(*) FILTER (WHERE change = 'other'), count(*) FILTER (WHERE change = 'repeated'),
        count(*) FILTER (WHERE change = 'first'), count(*) FILTER (WHERE change = 'malformed'),
        count(DISTINCT route_key), max(time)
    FROM judged
    GROUP BY 1
    ORDER BY 2 DESC, 1
$$;
COMMENT ON FUNCTION churn_causes IS
    'Changes in a period by prefix, peer, as (origin AS), rd (route distinguisher), router or family, and
what changed: each announcement is compared with the update of the same route before it. The first difference
of this order counts: origin AS, AS path, next hop, MED, LOCAL_PREF, communities, others. Of routes without an
earlier update in the period, the change is unknown (first_in_period). Dumps and re-dumps do not count.';

CREATE OR REPLACE VIEW lanes AS
SELECT c.collector, c.log_id, c.lane, c.lanes, c.epoch, c.last_seq, c.updated_at,
       date_trunc('second', now() - c.updated_at) AS silent_for, c.forked_from,
       CASE WHEN c.lane < c.lanes THEN 'dump' ELSE 'live' END AS class
FROM ingest_checkpoint c;
COMMENT ON VIEW lanes IS
    'Delivery position of each lane of each log (ingest_checkpoint). A lane of class live delivers the records
of peers whose table has been delivered, a lane of class dump all others.';

CREATE OR REPLACE VIEW deliveries AS
SELECT l.committed_at AS at, l.collector, l.lane, l.first_seq, l.last_seq, l.records, l.routes, l.stored,
       l.unchanged, l.rejected, l.events, l.gaps, l.log_id
FROM ingest_ledger l;
COMMENT ON VIEW deliveries IS
    'Transactions of the delivery (ingest_ledger), for reading. Those older than a day are joined to one row
per hour and lane.';

CREATE OR REPLACE VIEW rejected_records AS
SELECT r.rejected_at AS at, r.collector, r.lane, r.seq || ':' || r.idx AS record, r.sqlstate, r.error,
       left(r.record, 500) AS content, r.retried_at
FROM rejected_routes r;
COMMENT ON VIEW rejected_records IS
    'Records that the server rejected, for reading; `record` is the argument of `walctl rejected show`.';

CREATE OR REPLACE VIEW query_bases AS
SELECT 'own_prefixes' AS basis, count(*) AS entries, NULL::timestamptz AS loaded_at,
       'hijacks: own prefixes and their origins' AS used_by FROM own_prefixes
UNION ALL
SELECT 'peer_roles', count(*), NULL, 'leaks: roles of neighbours' FROM peer_roles
UNION ALL
SELECT 'rpki_vrps', count(*), (SELECT max(loaded_at) FROM rpki_loads), 'rpki: validated ROA payloads'
FROM rpki_vrps;
COMMENT ON VIEW query_bases IS
    'Tables that the operator fills, with their number of entries: without entries, the query that goes by
them has checked nothing.';

CREATE OR REPLACE FUNCTION holdfast_link_state(nlri text)
RETURNS TABLE (kind text, protocol text, instance text, local_node text, remote_node text, object text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT m[1], m[2], m[3], m[4], m[5], m[6]
    FROM regexp_match(nlri, '^(?:\[[^]]*\])?\[(node|link|ipv4-prefix|ipv6-prefix|srv6-sid|type \d+)\]'
        '\[([^]]*)\]\[(\d+)\](?:\[local ([^]]*)\])?(?:\[remote ([^]]*)\])?(?:\[([^]]*)\])?') AS m
$$;
COMMENT ON FUNCTION holdfast_link_state IS
    'Parts of the text of a BGP-LS route: its kind, protocol and instance, and the descriptors of the local
node, of the remote node, and of the link, prefix or SID.';

CREATE OR REPLACE VIEW link_state AS
SELECT s.router, s.bgp_peer_ip AS peer, s.bgp_peer_asn AS peer_as, s.rib, p.vrf, o.kind, o.protocol,
       o.instance, o.local_node, o.remote_node, o.object, s.prefix, s.attributes_more AS attributes,
       s.last_state_change AS since, s.last_seen, s.is_stale, s.rd, s.peer_id, s.nlri AS route
FROM stored_routes s
JOIN chosen_peers p ON p.id = s.peer_id
CROSS JOIN LATERAL holdfast_link_state(s.nlri) o
WHERE NOT s.is_withdrawn AND s.afi = 16388;
COMMENT ON VIEW link_state IS 'Current BGP-LS routes: nodes, links, prefixes and SIDs of an IGP.';
COMMENT ON COLUMN link_state.kind IS 'node, link, ipv4-prefix, ipv6-prefix or srv6-sid.';
COMMENT ON COLUMN link_state.attributes IS 'The BGP-LS attribute, as text.';

CREATE OR REPLACE FUNCTION rpki_states(of_peer text)
RETURNS TABLE (state text, router text, peer inet, peer_as bigint, rib text, vrf text, prefix cidr,
    origin_as bigint, peer_id bigint)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT * FROM @schema@.holdfast_peers(of_peer)
    ), routes AS MATERIALIZED (
        SELECT DISTINCT v.id, s.prefix, s.asn
        FROM views v CROSS JOIN LATERAL (
            SELECT s.prefix, coalesce(s.origin_as, CASE WHEN @schema@.holdfast_is_own_path(s.as_path,
                s.as_path_text) THEN v.own_as END) AS asn
            FROM @schema@.stored_routes s
            WHERE s.peer_id = v.id AND NOT s.is_withdrawn AND s.prefix IS NOT NULL AND s.safi IN (1, 4)
            OFFSET 0) s
    ), lengths AS MATERIALIZED (
        SELECT DISTINCT family(v.prefix) AS version, masklen(v.prefix) AS bits FROM @schema@.rpki_vrps v
    ), covered AS (
        -- One hash join over all lengths instead of a look-up for each length of each route.
        SELECT r.prefix, r.asn,
            bool_or(v.asn = r.asn AND v.asn <> 0 AND masklen(r.prefix) <= v.length_max) AS is_valid
        FROM (SELECT DISTINCT prefix, asn FROM routes) r
        JOIN lengths l ON l.version = family(r.prefix) AND l.bits <= masklen(r.prefix)
        JOIN @schema@.rpki_vrps v ON v.prefix = network(set_masklen(r.prefix, l.bits))::cidr
        GROUP BY 1, 2
    )
    SELECT CASE WHEN c.prefix IS NULL THEN 'not-found' WHEN c.is_valid THEN 'valid' ELSE 'invalid' END,
        v.router, v.address, v.asn, v.rib, v.vrf, r.prefix, r.asn, r.id
    FROM routes r JOIN views v ON v.id = r.id
    LEFT JOIN covered c ON c.prefix = r.prefix AND coalesce(c.asn, -1) = coalesce(r.asn, -1)
$$;
COMMENT ON FUNCTION rpki_states IS
    'Origin validation state of each prefix and origin in the current tables of a peer: as rpki_routes, but in
one pass over all routes of the peer.';
