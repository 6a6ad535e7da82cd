-- Functions that other functions, views and the collector's statements use.
--
-- How functions refer to objects (docs/SCHEMA.md, "Functions and views"): a function that the planner
-- inlines has no SET clause, because that would prevent inlining; it names every object with its schema
-- instead. Every other function has a fixed search_path.
--
-- The migrator replaces @schema@ in these files by the name of the schema (DB_SCHEMA).

CREATE OR REPLACE FUNCTION holdfast_choice(given text, parameter text, VARIADIC accepted text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = @schema@, pg_temp AS $$
BEGIN
    IF given <> ALL (accepted) THEN
        RAISE EXCEPTION 'invalid % "%": expected one of %', parameter, given, array_to_string(accepted, ', ')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN given;
END
$$;
COMMENT ON FUNCTION holdfast_choice IS
    'The argument of a query if it is one of the accepted words, or null; else an error that names them.';

CREATE OR REPLACE FUNCTION holdfast_time(microseconds bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT timestamptz '1970-01-01 00:00:00+00' + microseconds * interval '1 microsecond'
$$;
COMMENT ON FUNCTION holdfast_time IS
    'Timestamp from microseconds since 1970. Exact, unlike to_timestamp(double precision).';

CREATE OR REPLACE FUNCTION holdfast_is_current(
    entry_session timestamptz, entry_generation bigint, valid_session timestamptz, valid_generation bigint
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (entry_session, entry_generation) >= (valid_session, valid_generation)
$$;
COMMENT ON FUNCTION holdfast_is_current IS
    'True if an incarnation (session, generation) is not older than the oldest valid one. The one
comparison of incarnations: what it returns false for was ended by a Peer Down or a sweep.';

CREATE OR REPLACE FUNCTION holdfast_is_identity(
    known_asn bigint, known_bgp_id inet, since timestamptz, until timestamptz, any_until timestamptz,
    peer_type smallint, asn bigint, bgp_id inet, session timestamptz
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT session < any_until OR (session >= since AND session < until AND known_bgp_id = bgp_id
        AND known_asn = CASE WHEN peer_type = 3 THEN 0 ELSE asn END)
$$;
COMMENT ON FUNCTION holdfast_is_identity IS
    'True if a row of peer_identities (the first five arguments) is that of a record of the same collector,
router, peer type, distinguisher and address. Exactly one row is. The AS number of a Loc-RIB (peer type 3)
does not count.';

CREATE OR REPLACE FUNCTION holdfast_family(afi integer, safi integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE afi * 1000 + safi
        WHEN 1001 THEN 'ipv4_unicast'
        WHEN 2001 THEN 'ipv6_unicast'
        WHEN 1002 THEN 'ipv4_multicast'
        WHEN 2002 THEN 'ipv6_multicast'
        WHEN 1004 THEN 'ipv4_labelled_unicast'
        WHEN 2004 THEN 'ipv6_labelled_unicast'
        WHEN 1005 THEN 'ipv4_mvpn'
        WHEN 2005 THEN 'ipv6_mvpn'
        WHEN 1066 THEN 'ipv4_mdt'
        WHEN 2066 THEN 'ipv6_mdt'
        WHEN 1073 THEN 'ipv4_sr_policy'
        WHEN 2073 THEN 'ipv6_sr_policy'
        WHEN 1085 THEN 'ipv4_mup'
        WHEN 2085 THEN 'ipv6_mup'
        WHEN 1128 THEN 'ipv4_vpn'
        WHEN 2128 THEN 'ipv6_vpn'
        WHEN 1129 THEN 'ipv4_vpn_multicast'
        WHEN 2129 THEN 'ipv6_vpn_multicast'
        WHEN 1132 THEN 'route_target'
        WHEN 1133 THEN 'ipv4_flowspec'
        WHEN 2133 THEN 'ipv6_flowspec'
        WHEN 1134 THEN 'ipv4_vpn_flowspec'
        WHEN 2134 THEN 'ipv6_vpn_flowspec'
        WHEN 25065 THEN 'vpls'
        WHEN 25070 THEN 'evpn'
        WHEN 16388071 THEN 'link_state'
        WHEN 16388072 THEN 'link_state_vpn'
        ELSE afi || '/' || safi END
$$;
COMMENT ON FUNCTION holdfast_family IS
    'Name of an address family by its IANA numbers; afi/safi for others. A test compares it with the names
in the program.';

CREATE OR REPLACE FUNCTION holdfast_week(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT date_bin('7 days', at, timestamptz '1970-01-01 00:00:00+00')
$$;
COMMENT ON FUNCTION holdfast_week IS
    'Start of the week of a record: attribute_sets.time. Weeks begin as chunks of seven days do.';

CREATE OR REPLACE FUNCTION holdfast_cause(cause smallint, is_withdrawn boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE cause WHEN 0 THEN CASE WHEN is_withdrawn THEN 'withdraw' ELSE 'update' END
        WHEN 1 THEN 'initial-dump' WHEN 2 THEN 're-dump' WHEN 3 THEN 'treat-as-withdraw' END
$$;
COMMENT ON FUNCTION holdfast_cause IS
    'Name of a cause by its number in route_records. A test compares it with the names in the program.';

CREATE OR REPLACE FUNCTION holdfast_route_key(afi integer, safi smallint, prefix cidr, path_id bigint)
RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT substring(int4send(afi) FROM 3) || substring(int2send(safi) FROM 2)
        || substring(cidr_send(prefix) FROM 5) || substring(cidr_send(prefix) FROM 2 FOR 1)
        || substring(int8send(coalesce(path_id, 0)) FROM 5)
$$;
COMMENT ON FUNCTION holdfast_route_key IS
    'Key of a route whose NLRI is a prefix and no more: AFI, SAFI, address, length and path identifier.';

CREATE OR REPLACE FUNCTION holdfast_route_text(rd text, prefix cidr, nlri text, nlri_raw bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nlri, concat_ws(' ', rd, prefix::text, encode(nlri_raw, 'hex')))
$$;
COMMENT ON FUNCTION holdfast_route_text IS 'NLRI of a route as text, for every family.';

CREATE OR REPLACE FUNCTION holdfast_mpls_labels(labels bigint[], evpn_route_type integer) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN evpn_route_type IS NULL THEN labels
        ELSE (SELECT array_agg(l.field >> 4 ORDER BY l.n) FROM unnest(labels) WITH ORDINALITY AS l (field, n))
        END
$$;
COMMENT ON FUNCTION holdfast_mpls_labels IS
    'MPLS labels of 20 bits: of EVPN the upper 20 bits of each field (RFC 7432 section 9.2.1), else the
labels.';

CREATE OR REPLACE FUNCTION holdfast_path_text(as_path bigint[], as_path_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(as_path_text, array_to_string(as_path, ' '))
$$;
COMMENT ON FUNCTION holdfast_path_text IS
    'AS path as text, with its segments if it is not a single AS_SEQUENCE.';

CREATE OR REPLACE FUNCTION holdfast_vrf_text(peer_distinguisher text, table_name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(peer_distinguisher, '0:0'), table_name)
$$;
COMMENT ON FUNCTION holdfast_vrf_text IS
    'VRF of a RIB view: the peer distinguisher, else the table name of a Loc-RIB; null for the global
instance.';

CREATE OR REPLACE FUNCTION holdfast_instance_text(peer_distinguisher text, table_name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN peer_distinguisher <> '0:0' THEN peer_distinguisher
        WHEN table_name !~* '^(global|default|main|master[46]?|inet6?\.0)$' THEN table_name END
$$;
COMMENT ON FUNCTION holdfast_instance_text IS
    'VRF of a RIB view as holdfast_vrf_text, but null for a Loc-RIB with a name that routers give to that of
the global instance: by this, routes of one VRF are compared.';

CREATE OR REPLACE FUNCTION holdfast_is_own_path(as_path bigint[], as_path_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT as_path = '{}' OR coalesce(as_path_text ~ '[])]$', false)
$$;
COMMENT ON FUNCTION holdfast_is_own_path IS
    'True for an empty AS path, and for one whose final segment is of a confederation: the route originates in
the router''s own AS (RFC 6811 section 2). Null without an AS path.';

CREATE OR REPLACE FUNCTION holdfast_covering_prefixes(address inet) RETURNS cidr[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(network(set_masklen(address, bits))::cidr)
        FROM generate_series(0, masklen(address)) AS bits
$$;
COMMENT ON FUNCTION holdfast_covering_prefixes IS
    'Prefixes that cover an address or prefix, itself included. A longest match looks up each of them in
the index.';

CREATE OR REPLACE FUNCTION holdfast_last_subprefix(prefix cidr) RETURNS cidr
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT set_masklen(broadcast(prefix), CASE family(prefix) WHEN 4 THEN 32 ELSE 128 END)::cidr
$$;
COMMENT ON FUNCTION holdfast_last_subprefix IS
    'Last prefix inside this prefix, in index order: the upper bound of an index range of more-specifics.';

CREATE OR REPLACE FUNCTION holdfast_route_targets(extended_communities text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(c, ' ' ORDER BY c) FROM unnest(extended_communities) AS c WHERE c LIKE 'RT:%'
$$;
COMMENT ON FUNCTION holdfast_route_targets IS
    'Route targets of a route, sorted. They identify an EVPN broadcast domain; route distinguishers differ
per router.';

CREATE OR REPLACE FUNCTION holdfast_down_reason(reason integer, data bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE reason WHEN 1 THEN 'closed locally' WHEN 2 THEN 'closed locally, FSM event'
            WHEN 3 THEN 'closed by the peer' WHEN 4 THEN 'connection lost' WHEN 5 THEN 'no longer monitored'
            WHEN 6 THEN 'Loc-RIB down' ELSE 'reason ' || reason END
        || CASE WHEN reason = 2 AND length(data) >= 2
                THEN ' ' || (get_byte(data, 0) * 256 + get_byte(data, 1))
            WHEN reason IN (1, 3) AND length(data) >= 21 THEN ': ' || CASE get_byte(data, 19)
                WHEN 1 THEN 'message header error' WHEN 2 THEN 'OPEN message error'
                WHEN 3 THEN 'UPDATE message error' WHEN 4 THEN 'hold timer expired'
                WHEN 5 THEN 'finite state machine error'
                WHEN 6 THEN 'cease' || CASE get_byte(data, 20)
                    WHEN 1 THEN ', maximum number of prefixes' WHEN 2 THEN ', administrative shutdown'
                    WHEN 3 THEN ', peer de-configured' WHEN 4 THEN ', administrative reset'
                    WHEN 5 THEN ', connection rejected' WHEN 6 THEN ', other configuration change'
                    WHEN 7 THEN ', connection collision' WHEN 8 THEN ', out of resources'
                    WHEN 9 THEN ', hard reset' WHEN 10 THEN ', BFD down'
                    ELSE ', ' || get_byte(data, 20) END
                ELSE get_byte(data, 19) || '/' || get_byte(data, 20) END
            ELSE '' END
$$;
COMMENT ON FUNCTION holdfast_down_reason IS
    'Peer Down reason as text (RFC 7854 section 4.9, RFC 9069 section 5.3), with its NOTIFICATION or FSM
event code.';
