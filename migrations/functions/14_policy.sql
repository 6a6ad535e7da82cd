-- Queries: policy, hijacks, route leaks and origin validation.

CREATE OR REPLACE FUNCTION policy_effect(of_peer text DEFAULT NULL)
RETURNS TABLE (router text, peer inet, peer_as bigint, rib text, vrf text, family text, route text,
    path_id bigint, effect text, changed text, path text, path_after text)
LANGUAGE sql STABLE AS $$
    WITH views AS MATERIALIZED (
        SELECT pre.*, post.id AS post_id, post.session AS post_session, post.generation AS post_generation
        FROM @schema@.holdfast_peers(of_peer) pre JOIN @schema@.bgp_peers post
            ON post.peer_number = pre.peer_number
                AND post.rib = CASE pre.rib WHEN 'adj-in-pre' THEN 'adj-in-post'
                    WHEN 'adj-out-pre' THEN 'adj-out-post' END
    ), spoken AS MATERIALIZED (
        SELECT f.peer_id, f.afi, f.safi FROM @schema@.peer_families f JOIN views v ON v.post_id = f.peer_id
        WHERE @schema@.holdfast_is_current(f.eor_session, f.eor_generation, v.post_session, v.post_generation)
        UNION
        SELECT e.peer_id, e.afi, e.safi FROM @schema@.rib_entries e JOIN views v ON v.post_id = e.peer_id
        WHERE @schema@.holdfast_is_current(e.session, e.generation, v.post_session, v.post_generation)
    )
    SELECT v.router, v.address, v.asn, v.rib, v.vrf, a.family,
        @schema@.holdfast_route_text(a.rd, a.prefix, a.nlri, a.nlri_raw), a.path_id,
        CASE WHEN b.route_key IS NULL THEN 'rejected' ELSE 'changed' END, differences.changed,
        @schema@.holdfast_path_text(a.as_path, a.as_path_text),
        @schema@.holdfast_path_text(b.as_path, b.as_path_text)
    FROM views v
    JOIN @schema@.stored_routes a ON a.peer_id = v.id AND NOT a.is_withdrawn
    LEFT JOIN @schema@.stored_routes b ON b.peer_id = v.post_id AND b.route_key = a.route_key
        AND NOT b.is_withdrawn
    CROSS JOIN LATERAL (SELECT CASE WHEN b.route_key IS NOT NULL THEN concat_ws(' ',
        CASE WHEN a.as_path IS DISTINCT FROM b.as_path THEN 'as_path' END,
        CASE WHEN a.next_hop IS DISTINCT FROM b.next_hop THEN 'next_hop' END,
        CASE WHEN a.med IS DISTINCT FROM b.med THEN 'med' END,
        CASE WHEN a.local_pref IS DISTINCT FROM b.local_pref THEN 'local_pref' END,
        CASE WHEN a.origin IS DISTINCT FROM b.origin THEN 'origin' END,
        CASE WHEN a.communities IS DISTINCT FROM b.communities THEN 'communities' END,
        CASE WHEN a.large_communities IS DISTINCT FROM b.large_communities THEN 'large_communities' END,
        CASE WHEN a.extended_communities IS DISTINCT FROM b.extended_communities
            THEN 'extended_communities' END)
        END AS changed) differences
    WHERE differences.changed <> '' OR (b.route_key IS NULL
        -- The router has sent the table after policy: there is an End-of-RIB or a route of the family.
        AND EXISTS (SELECT FROM spoken o WHERE o.peer_id = v.post_id AND o.afi = a.afi AND o.safi = a.safi))
    ORDER BY 1, 2, 3, 4, 5, a.prefix, 7, 8
$$;
COMMENT ON FUNCTION policy_effect IS
    'Routes that policy rejected or changed, and the attributes that it changed. For peers monitored
before and after policy. A family of which the router has not sent routes or End-of-RIB after policy since
the peer came up is not compared.';

CREATE OR REPLACE FUNCTION hijacks(span interval DEFAULT '0', of_collector text DEFAULT NULL)
RETURNS TABLE (own_prefix cidr, prefix cidr, problem text, origin_as bigint, router text, peer inet, rib text,
    path text, first_at timestamptz, is_current boolean)
LANGUAGE sql STABLE AS $$
    WITH seen AS (
        SELECT o.prefix AS own_prefix, o.origins, o.length_max, c.prefix, c.origin_as, c.router, c.peer,
            c.rib, c.path, c.since AS first_at, true AS is_current,
            @schema@.holdfast_is_own_path(c.as_path, c.as_path_text) AS is_own
        -- OFFSET 0: one range of the index for each own prefix, which are few, instead of a join that reads
        -- all current routes.
        FROM @schema@.own_prefixes o CROSS JOIN LATERAL (
            SELECT * FROM @schema@.current_routes c
            WHERE c.prefix BETWEEN o.prefix AND @schema@.holdfast_last_subprefix(o.prefix)
                AND c.prefix <<= o.prefix AND c.safi IN (1, 4) AND c.instance IS NULL
            OFFSET 0) c
        UNION ALL
        SELECT o.prefix, o.origins, o.length_max, h.prefix, coalesce(h.origin_as, CASE WHEN x.is_own
                THEN c.own_as END), h.router, h.bgp_peer_ip, h.rib,
            @schema@.holdfast_path_text(h.as_path, h.as_path_text), min(h.time), false, x.is_own
        FROM @schema@.own_prefixes o JOIN @schema@.holdfast_updates(now() - span, 'infinity') h
            ON h.prefix BETWEEN o.prefix AND @schema@.holdfast_last_subprefix(o.prefix)
                AND h.prefix <<= o.prefix
        JOIN @schema@.holdfast_counted_incarnations(of_collector) c ON c.id = h.incarnation
            AND h.time >= c.since AND h.time < c.until
        CROSS JOIN LATERAL (SELECT @schema@.holdfast_is_own_path(h.as_path, h.as_path_text) AS is_own) x
        WHERE span > '0' AND h.safi IN (1, 4) AND NOT h.is_withdrawn AND c.instance IS NULL
        GROUP BY o.prefix, h.prefix, h.origin_as, h.router, h.bgp_peer_ip, h.rib, h.as_path, h.as_path_text,
            x.is_own, c.own_as
    )
    SELECT own_prefix, prefix,
        CASE WHEN origin_as IS NULL AND NOT coalesce(is_own, false) THEN 'origin unknown'
            WHEN NOT origin_as = ANY (origins) THEN 'origin' ELSE 'more specific' END,
        origin_as, router, peer, rib, path, min(first_at), bool_or(is_current)
    FROM seen
    -- A route of the own AS whose number is not known is no hijack.
    WHERE ((origin_as IS NULL AND NOT coalesce(is_own, false)) OR NOT origin_as = ANY (origins)
            OR masklen(prefix) > coalesce(length_max, masklen(own_prefix)))
        AND NOT EXISTS (SELECT FROM @schema@.own_prefixes closer WHERE closer.prefix >>= seen.prefix
            AND masklen(closer.prefix) > masklen(seen.own_prefix))
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ORDER BY 1, 2, 4, 5, 6
$$;
COMMENT ON FUNCTION hijacks IS
    'Routes inside own_prefixes with an origin or a length that is not permitted: current ones, and with a
span also those that were announced in it. Routes of VRFs do not count: a customer may use any prefix there.';

CREATE OR REPLACE FUNCTION leaks()
RETURNS TABLE (router text, peer inet, peer_as bigint, role text, leaked_as bigint, leaked_role text,
    reason text, route text, path text, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT c.router, c.peer, c.peer_as, r.role, over.asn, over.role,
        CASE WHEN over.asn IS NOT NULL THEN 'path' ELSE 'otc ' || c.otc END, c.route, c.path, c.since
    FROM @schema@.current_routes c
    JOIN @schema@.peer_roles r ON r.asn = c.peer_as AND r.role IN ('customer', 'peer', 'rs-client')
    LEFT JOIN LATERAL (
        SELECT o.asn, o.role FROM @schema@.peer_roles o
        WHERE o.role IN ('provider', 'peer', 'rs') AND o.asn <> c.peer_as AND c.as_path @> ARRAY[o.asn]
        ORDER BY array_position(c.as_path, o.asn) LIMIT 1
    ) over ON true
    WHERE c.rib IN ('adj-in-pre', 'adj-in-post') AND c.safi = 1
        AND (over.asn IS NOT NULL OR (c.otc IS NOT NULL AND (r.role <> 'peer' OR c.otc <> c.peer_as)))
    ORDER BY c.router, c.peer, c.prefix, c.route
$$;
COMMENT ON FUNCTION leaks IS
    'Current route leaks (RFC 7908) by peer_roles: a customer or peer that passes on routes of a provider
or of another peer, and routes with an OTC attribute that RFC 9234 section 5 does not accept.';

-- The state is computed in the view: as a function of a route it takes more than twice the time.
CREATE OR REPLACE VIEW rpki_routes AS
SELECT v.state, c.*
FROM current_routes c
CROSS JOIN LATERAL (
    SELECT CASE WHEN count(*) = 0 THEN 'not-found'
        WHEN bool_or(v.asn = c.origin_as AND v.asn <> 0 AND masklen(c.prefix) <= v.length_max) THEN 'valid'
            ELSE 'invalid' END AS state
    FROM rpki_vrps v WHERE v.prefix = ANY (holdfast_covering_prefixes(c.prefix))) v
WHERE c.prefix IS NOT NULL AND c.safi IN (1, 4);
COMMENT ON VIEW rpki_routes IS
    'Route origin validation (RFC 6811) of current routes. The origin of an empty path is the AS of the
router; a path that ends in an AS_SET has no origin, and is never valid.';
COMMENT ON COLUMN rpki_routes.state IS 'valid, invalid or not-found.';

CREATE OR REPLACE FUNCTION rpki(of_state text DEFAULT 'invalid', of_peer text DEFAULT NULL)
RETURNS TABLE (state text, prefix cidr, origin_as bigint, router text, peer inet, peer_as bigint, rib text,
    path text, vrps text, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT r.state, r.prefix, r.origin_as, r.router, r.peer, r.peer_as, r.rib, r.path,
        (SELECT string_agg(format('AS%s %s-%s', v.asn, v.prefix, v.length_max), ', ' ORDER BY v.prefix, v.asn)
         FROM @schema@.rpki_vrps v WHERE
             v.prefix = ANY (@schema@.holdfast_covering_prefixes(r.prefix))), r.since
    FROM @schema@.rpki_routes r
    WHERE r.state = @schema@.holdfast_choice(of_state, 'state', 'invalid', 'valid', 'not-found')
        AND (of_peer IS NULL OR r.peer_id IN (SELECT id FROM @schema@.holdfast_peers(of_peer)))
    ORDER BY r.prefix, r.origin_as, r.router, r.peer
$$;
COMMENT ON FUNCTION rpki IS 'Current routes by origin validation state, with the VRPs that cover them.';
