-- Queries: search by path attributes.

CREATE OR REPLACE FUNCTION as_path_search(asns bigint[], adjacent boolean DEFAULT false)
RETURNS TABLE (router text, peer inet, rib text, vrf text, family text, route text, path text, next_hop inet,
    since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, rib, vrf, family, route, path, next_hop, since
    FROM @schema@.current_routes
    WHERE as_path @> asns AND (NOT adjacent
        OR position(' ' || array_to_string(asns, ' ') || ' '
            IN ' ' || array_to_string(as_path, ' ') || ' ') > 0)
$$;
COMMENT ON FUNCTION as_path_search IS
    'Current routes whose AS path contains all these AS numbers; adjacent: next to each other in this
order.';

CREATE OR REPLACE FUNCTION community_search(community text)
RETURNS TABLE (router text, peer inet, rib text, vrf text, family text, route text, path text, next_hop inet,
    since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT router, peer, rib, vrf, family, route, path, next_hop, since
    FROM @schema@.current_routes
    WHERE communities @> ARRAY[community] OR large_communities @> ARRAY[community]
        OR extended_communities @> ARRAY[community]
$$;
COMMENT ON FUNCTION community_search IS
    'Current routes with a standard, large or extended community, as text: 65000:100, 65000:1:2,
RT:65000:100.';
