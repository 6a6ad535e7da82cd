-- Queries: lookup of addresses and prefixes. Every function from here on is a query of `holdfast query`,
-- or a part of one; docs/QUERIES.md has examples and plans. The planner inlines them unless a comment says
-- otherwise.

CREATE OR REPLACE FUNCTION holdfast_peers(selector text) RETURNS SETOF chosen_peers
LANGUAGE sql STABLE AS $$
    SELECT * FROM @schema@.chosen_peers p
    WHERE selector IS NULL OR p.router = selector OR (
        SELECT bool_and(p.id::text = word OR host(p.address) = lower(word) OR 'AS' || p.asn = upper(word)
            OR 'bgp-id=' || host(p.bgp_id) = lower(word) OR p.router = word)
        FROM regexp_split_to_table(trim(selector), '\s+') AS word)
$$;
COMMENT ON FUNCTION holdfast_peers IS
    'RIB views that a selector names: an id of bgp_peers, a peer address, an AS number (AS65001), a BGP
identifier (bgp-id=192.0.2.1), a router, or several of them separated by blanks, all of which apply; all
RIB views if null.';

CREATE OR REPLACE FUNCTION holdfast_is_selected(selector text, router text, address inet, asn bigint,
    bgp_id inet) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT selector IS NULL OR router = selector OR (
        SELECT bool_and(host(address) = lower(word) OR 'AS' || asn = upper(word)
            OR 'bgp-id=' || host(bgp_id) = lower(word) OR router = word)
        FROM regexp_split_to_table(trim(selector), '\s+') AS word)
$$;
COMMENT ON FUNCTION holdfast_is_selected IS
    'True if the peer of a record is one that a selector names, as in holdfast_peers but without ids.';

CREATE OR REPLACE FUNCTION rib_now(of_peer text, of_rib text DEFAULT NULL)
RETURNS TABLE (router text, peer inet, peer_as bigint, bgp_id inet, rib text, vrf text, family text,
    route text, path_id bigint, path text, next_hop inet, med bigint, local_pref bigint, communities text[],
    last_update timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT s.router, s.bgp_peer_ip, s.bgp_peer_asn, s.bgp_id, s.rib,
        @schema@.holdfast_vrf_text(s.peer_distinguisher, s.table_name), s.family,
        @schema@.holdfast_route_text(s.rd, s.prefix, s.nlri, s.nlri_raw), s.path_id,
        @schema@.holdfast_path_text(s.as_path, s.as_path_text), s.next_hop, s.med, s.local_pref,
            s.communities,
        s.last_seen
    FROM @schema@.stored_routes s
    WHERE NOT s.is_withdrawn AND s.peer_id = ANY (ARRAY(
        SELECT p.id FROM @schema@.holdfast_peers(of_peer) p
        WHERE of_rib IS NULL OR p.rib = @schema@.holdfast_choice(of_rib, 'rib', 'adj-in-pre', 'adj-in-post',
            'adj-out-pre', 'adj-out-post', 'loc-rib')))
    ORDER BY s.peer_id, s.route_key
$$;
COMMENT ON FUNCTION rib_now IS
    'Current table of a peer, with the columns of rib_at: of all its RIB views, unless of_rib names one. The
rows are in the order of the primary key of rib_entries, so that the first ones are there at once: by RIB
view, family and prefix.';

CREATE OR REPLACE FUNCTION route_lookup(address inet)
RETURNS TABLE (router text, peer inet, peer_as bigint, rib text, vrf text, prefix cidr, path_id bigint,
    path text, next_hop inet, med bigint, local_pref bigint, communities text[], is_stale boolean,
        since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, peer_as, rib, vrf, prefix, path_id, path, next_hop, med, local_pref, communities,
        is_stale, since
    FROM (SELECT *, rank() OVER (PARTITION BY peer_id, rd ORDER BY masklen(prefix) DESC)
          FROM @schema@.current_routes
          WHERE prefix = ANY (@schema@.holdfast_covering_prefixes(address)) AND safi IN (1, 4, 128)) found
    WHERE rank = 1
    ORDER BY masklen(prefix) DESC, router, peer, rib, vrf, path_id
$$;
COMMENT ON FUNCTION route_lookup IS
    'Longest matching prefix of an address in each RIB view and VRF, with all its paths.';

CREATE OR REPLACE FUNCTION prefix_lookup(prefix cidr, match text DEFAULT 'exact')
RETURNS TABLE (router text, peer inet, peer_as bigint, rib text, vrf text, family text, route text,
    path_id bigint, path text, next_hop inet, med bigint, local_pref bigint, communities text[],
        is_stale boolean, since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, peer_as, rib, vrf, family, route, path_id, path, next_hop, med, local_pref,
        communities, is_stale, since
    FROM (
        SELECT c.* FROM @schema@.current_routes c
        WHERE match <> 'more' AND c.prefix = ANY (
            CASE @schema@.holdfast_choice(match, 'match', 'exact', 'more', 'less')
                WHEN 'exact' THEN ARRAY[prefix_lookup.prefix]
                WHEN 'less' THEN @schema@.holdfast_covering_prefixes(prefix_lookup.prefix) ELSE '{}' END)
        UNION ALL
        SELECT c.* FROM @schema@.current_routes c
        WHERE match = 'more' AND c.prefix BETWEEN prefix_lookup.prefix
            AND @schema@.holdfast_last_subprefix(prefix_lookup.prefix) AND c.prefix <<= prefix_lookup.prefix
    ) found
    ORDER BY found.prefix, route, router, peer, rib, vrf, path_id
$$;
COMMENT ON FUNCTION prefix_lookup IS
    'Current routes of a prefix. match: exact, more (the prefix and its more-specifics) or less (the
prefix and those that cover it).';
