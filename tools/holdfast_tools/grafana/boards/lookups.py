"""Looking glass, and the history of a prefix, an AS number and a community."""

from ..model import PEER, ROUTER, Dashboard, Row, Variable, bars, counts, number, shares, table

_PREFIX = Variable(
    "prefix",
    "Prefix",
    """SELECT prefix FROM (SELECT prefix, count(*) FROM route_changes WHERE $__timeFilter(at) AND prefix IS
       NOT NULL
       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50) busiest""",
)
_ADDRESS = Variable(
    "address",
    "Address",
    """SELECT host(prefix) FROM (SELECT prefix, count(*) FROM route_changes WHERE $__timeFilter(at)
       AND prefix IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50) busiest""",
)
_ASN = Variable(
    "asn",
    "AS number",
    """SELECT origin_as FROM (SELECT origin_as, count(*) FROM route_changes WHERE $__timeFilter(at)
       AND origin_as IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50) busiest""",
)
_COMMUNITY = Variable(
    "community",
    "Community",
    """SELECT community FROM (SELECT community, count(*) FROM (SELECT communities FROM route_changes
       WHERE $__timeFilter(at) AND NOT is_withdrawn LIMIT 20000) recent, unnest(communities) AS community
       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50) busiest""",
)
_MATCH = Variable("match", "Prefixes", values=("exact", "more", "less"))

LOOKING_GLASS = Dashboard(
    "looking-glass",
    "Looking glass",
    "Which route does each router have to an address or prefix, now and at the end of the time range?",
    (
        table(
            "Longest match of the address",
            "In each RIB view and VRF, with all paths.",
            """SELECT router, peer, peer_as, rib, vrf, prefix, path_id, path, next_hop, med, local_pref,
               communities,
                   is_stale, since
               FROM route_lookup(${address:sqlstring}::inet) WHERE @router AND @peers LIMIT 1000""",
            links=("prefix", "router"),
        ),
        table(
            "Routes of the prefix",
            "The prefix itself (exact), its more-specifics (more) or the prefixes that cover it (less).",
            """SELECT router, peer, peer_as, rib, vrf, family, route, path_id, path, next_hop, med,
               local_pref,
                   communities, is_stale, since
               FROM prefix_lookup(${prefix:sqlstring}::cidr, ${match:sqlstring}) WHERE @router AND @peers
               LIMIT 1000""",
        ),
        table(
            "Visibility by router",
            "Peers that have the prefix, of all that are up.",
            """SELECT p.router, count(DISTINCT (p.peer, p.rib, p.vrf)) FILTER (WHERE r.peer IS NOT NULL) AS
               seen_by,
                   count(DISTINCT (p.peer, p.rib, p.vrf)) AS views
               FROM peers() p LEFT JOIN prefix_lookup(${prefix:sqlstring}::cidr) r
                   ON (r.router, r.peer, r.rib) = (p.router, p.peer, p.rib) AND r.vrf IS NOT DISTINCT FROM
                   p.vrf
               WHERE p.state = 'up' GROUP BY 1 ORDER BY 1""",
            width=8,
        ),
        table(
            "Visibility by peer",
            "RIB views without the prefix first.",
            """SELECT p.router, p.peer, p.peer_as, p.rib, p.vrf, count(r.route) AS paths,
                   min(r.path) AS path
               FROM peers() p LEFT JOIN prefix_lookup(${prefix:sqlstring}::cidr) r
                   ON (r.router, r.peer, r.rib) = (p.router, p.peer, p.rib) AND r.vrf IS NOT DISTINCT FROM
                   p.vrf
               WHERE p.state = 'up' GROUP BY 1, 2, 3, 4, 5 ORDER BY 6, 1, 2, 4 LIMIT 1000""",
            width=16,
        ),
        table(
            "The prefix at the end of the time range",
            """The last update of each route in the 30 days before that second. Peer Downs and sweeps after
               it are not
applied; `holdfast query rib_at` applies them.""",
            """SELECT DISTINCT ON (router, peer, rib, vrf, path_id) router, peer, rib, vrf, path_id, event,
               path,
                   next_hop, at AS last_update, cause
               FROM route_changes WHERE prefix = ${prefix:sqlstring}::cidr AND at <= $__timeTo()::timestamptz
               AND at > $__timeTo()::timestamptz - interval '30 days' AND @router AND @peers
               ORDER BY router, peer, rib, vrf, path_id, at DESC""",
        ),
    ),
    (_ADDRESS, _PREFIX, _MATCH, ROUTER, PEER),
)

PREFIX = Dashboard(
    "prefix",
    "Prefix history",
    "What happened to this prefix, at which peers, and why?",
    (
        number("Current routes", "", "SELECT count(*) FROM prefix_lookup(${prefix:sqlstring}::cidr)"),
        number(
            "Origins",
            "Different origin AS numbers of the current routes.",
            """SELECT count(DISTINCT origin_as) FROM current_routes WHERE prefix =
               ${prefix:sqlstring}::cidr""",
            bad_from=2,
        ),
        number(
            "Announcements",
            "In the period.",
            """SELECT count(*) FROM route_changes WHERE prefix = ${prefix:sqlstring}::cidr AND
               $__timeFilter(at)
               AND NOT is_withdrawn""",
        ),
        number(
            "Withdrawals",
            "In the period.",
            """SELECT count(*) FROM route_changes WHERE prefix = ${prefix:sqlstring}::cidr AND
               $__timeFilter(at)
               AND is_withdrawn""",
        ),
        number(
            "Paths",
            "Different AS paths in the period.",
            """SELECT count(DISTINCT path) FROM route_changes WHERE prefix = ${prefix:sqlstring}::cidr
               AND $__timeFilter(at)""",
        ),
        number(
            "More-specifics",
            "Current prefixes inside this one.",
            """SELECT count(DISTINCT route) FROM prefix_lookup(${prefix:sqlstring}::cidr, 'more')
               WHERE route <> ${prefix:sqlstring}""",
        ),
        table(
            "Current routes",
            "",
            """SELECT router, peer, peer_as, rib, vrf, family, path_id, path, next_hop, med, local_pref,
               communities,
                   is_stale, since FROM prefix_lookup(${prefix:sqlstring}::cidr) WHERE @router AND @peers""",
            links=("router",),
        ),
        counts(
            "Announcements and withdrawals",
            "",
            """SELECT @bucket AS time, event AS metric, count(*) AS changes FROM route_changes
               WHERE prefix = ${prefix:sqlstring}::cidr AND $__timeFilter(at) AND @router AND @peers
               GROUP BY 1, 2 ORDER BY 1""",
        ),
        counts(
            "Changes by peer",
            "",
            """SELECT @bucket AS time, concat_ws(' ', router, host(peer), rib) AS metric, count(*) AS changes
               FROM route_changes WHERE prefix = ${prefix:sqlstring}::cidr AND $__timeFilter(at) AND @router
               AND @peers GROUP BY 1, 2 ORDER BY 1""",
        ),
        table(
            "Time line",
            "Announcements, withdrawals and the events of their peers, newest first.",
            """SELECT at, router, peer, peer_as, rib, vrf, event, cause, path_id, path, next_hop, med,
               local_pref,
                   communities
               FROM prefix_timeline(${prefix:sqlstring}::cidr, @period, @peer) WHERE @router
               ORDER BY at DESC LIMIT 1000""",
            height=12,
            links=("router",),
        ),
        table(
            "Paths",
            "AS paths in the period, with the number of announcements and the peers that sent them.",
            """SELECT path, origin_as, count(*) AS announcements, count(DISTINCT (router, peer)) AS peers,
                   min(at) AS first_at, max(at) AS last_at
               FROM route_changes WHERE prefix = ${prefix:sqlstring}::cidr AND $__timeFilter(at)
               AND NOT is_withdrawn AND @router AND @peers GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 200""",
            width=12,
            links=("origin_as",),
        ),
        table(
            "Covering prefixes",
            "Current routes of prefixes that cover this one.",
            """SELECT route, router, peer, rib, vrf, path, next_hop, since
               FROM prefix_lookup(${prefix:sqlstring}::cidr, 'less') WHERE @router AND @peers LIMIT 500""",
            width=12,
        ),
    ),
    (_PREFIX, ROUTER, PEER),
)

AS = Dashboard(
    "as",
    "AS history",
    "What does this AS originate, through whom is it seen, and what changed?",
    (
        number(
            "IPv4 prefixes",
            "Currently originated.",
            """SELECT count(DISTINCT prefix) FROM current_routes WHERE origin_as = ${asn:sqlstring}::bigint
               AND afi = 1""",
        ),
        number(
            "IPv6 prefixes",
            "Currently originated.",
            """SELECT count(DISTINCT prefix) FROM current_routes WHERE origin_as = ${asn:sqlstring}::bigint
               AND afi = 2""",
        ),
        number(
            "IPv4 addresses",
            "In the originated prefixes; overlapping prefixes count once each.",
            """SELECT coalesce(sum(2 ^ (32 - masklen(prefix))), 0) FROM (SELECT DISTINCT prefix FROM
               current_routes
               WHERE origin_as = ${asn:sqlstring}::bigint AND afi = 1 AND prefix IS NOT NULL) originated""",
            unit="short",
        ),
        number(
            "Changes",
            "Announcements with this origin in the period, without dumps.",
            """SELECT count(*) FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump
               AND origin_as = ${asn:sqlstring}::bigint""",
        ),
        number(
            "Origin changes",
            "From or to this AS in the last hour of the period.",
            """SELECT count(*) FROM origin_changes('1 hour', $__timeTo()::timestamptz)
               WHERE ${asn:sqlstring}::bigint IN (old_origin, new_origin)""",
            bad_from=1,
        ),
        counts(
            "Announcements",
            "Announcements with this origin.",
            """SELECT @bucket AS time, cause AS metric, count(*) AS announcements FROM route_changes
               WHERE $__timeFilter(at) AND origin_as = ${asn:sqlstring}::bigint GROUP BY 1, 2 ORDER BY 1""",
        ),
        counts(
            "Announcements through the AS",
            "With this AS anywhere in the path.",
            """SELECT @bucket AS time, router AS metric, count(*) AS announcements FROM route_changes
               WHERE $__timeFilter(at) AND NOT is_dump AND as_path @> ARRAY[${asn:sqlstring}::bigint]
               GROUP BY 1, 2 ORDER BY 1""",
        ),
        table(
            "Upstreams",
            "AS numbers before this one in the paths of current routes.",
            """SELECT as_path[position - 1] AS upstream, count(DISTINCT prefix) AS prefixes, count(*) AS
               routes
               FROM (SELECT prefix, as_path, array_position(as_path, ${asn:sqlstring}::bigint) AS position
                     FROM current_routes WHERE as_path @> ARRAY[${asn:sqlstring}::bigint]) through
               WHERE position > 1 GROUP BY 1 ORDER BY 2 DESC LIMIT 100""",
            width=8,
        ),
        table(
            "Downstreams",
            "AS numbers behind this one; null: routes that this AS originates.",
            """SELECT nullif(as_path[position + 1], ${asn:sqlstring}::bigint) AS downstream,
                   count(DISTINCT prefix) AS prefixes, count(*) AS routes
               FROM (SELECT prefix, as_path, array_position(as_path, ${asn:sqlstring}::bigint) AS position
                     FROM current_routes WHERE as_path @> ARRAY[${asn:sqlstring}::bigint]) through
               GROUP BY 1 ORDER BY 2 DESC LIMIT 100""",
            width=8,
        ),
        bars(
            "Prefix lengths",
            "Of the prefixes that this AS originates.",
            """SELECT CASE afi WHEN 1 THEN 'IPv4 /' ELSE 'IPv6 /' END || masklen(prefix) AS length,
                   count(DISTINCT prefix) AS prefixes
               FROM current_routes WHERE origin_as = ${asn:sqlstring}::bigint AND prefix IS NOT NULL
               GROUP BY 1 ORDER BY 1""",
            width=8,
        ),
        table(
            "Prefixes",
            "Originated by this AS, with the number of RIB views that have them.",
            """SELECT prefix, rd, family, count(DISTINCT peer_id) AS views, min(path) AS path, min(since) AS
               since,
                   max(last_seen) AS last_seen
               FROM current_routes WHERE origin_as = ${asn:sqlstring}::bigint GROUP BY 1, 2, 3
               ORDER BY 1 LIMIT 1000""",
            width=12,
            links=("prefix",),
        ),
        table(
            "Changed prefixes",
            "By number of announcements in the period.",
            """SELECT prefix, rd, count(*) AS announcements, count(DISTINCT (router, peer)) AS peers,
                   count(DISTINCT path) AS paths, max(at) AS last_at
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump
               AND origin_as = ${asn:sqlstring}::bigint GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 200""",
            width=12,
            links=("prefix",),
        ),
    ),
    (_ASN,),
)

COMMUNITY = Dashboard(
    "community",
    "Community history",
    "Which routes have this community, and how did that change?",
    (
        number("Current routes", "", "SELECT count(*) FROM community_search(${community:sqlstring})"),
        number(
            "Announcements",
            "With this community in the period.",
            """SELECT count(*) FROM route_changes WHERE $__timeFilter(at) AND NOT is_withdrawn
               AND ${community:sqlstring} = ANY (communities || large_communities || extended_communities)""",
        ),
        counts(
            "Announcements",
            "With this community, by router.",
            """SELECT @bucket AS time, router AS metric, count(*) AS announcements FROM route_changes
               WHERE $__timeFilter(at) AND NOT is_withdrawn
               AND ${community:sqlstring} = ANY (communities || large_communities || extended_communities)
               GROUP BY 1, 2 ORDER BY 1""",
            width=16,
        ),
        Row("Current routes with the community"),
        shares(
            "By peer",
            "The twenty RIB views with most routes.",
            """SELECT concat_ws(' ', router, host(peer), rib) AS view, count(*) AS routes
               FROM community_search(${community:sqlstring}) GROUP BY 1 ORDER BY 2 DESC LIMIT 20""",
        ),
        table(
            "Routes",
            "",
            """SELECT router, peer, rib, vrf, family, route, path, next_hop, since
               FROM community_search(${community:sqlstring}) LIMIT 1000""",
            width=16,
            links=("router",),
        ),
        Row("Announcements with the community"),
        table(
            "By prefix",
            "Announcements in the period, and the other communities of the last one.",
            """SELECT prefix, family, count(*) AS announcements, count(DISTINCT (router, peer)) AS peers,
                   max(at) AS last_at, (array_agg(array_to_string(communities, ' ') ORDER BY at DESC))[1] AS
                   communities
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_withdrawn
               AND ${community:sqlstring} = ANY (communities || large_communities || extended_communities)
               GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 200""",
            width=16,
            links=("prefix",),
        ),
        table(
            "By origin",
            "Announcements in the period.",
            """SELECT origin_as, count(*) AS announcements, count(DISTINCT prefix) AS prefixes
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_withdrawn
               AND ${community:sqlstring} = ANY (communities || large_communities || extended_communities)
               GROUP BY 1 ORDER BY 2 DESC LIMIT 100""",
            width=8,
            links=("origin_as",),
        ),
    ),
    (_COMMUNITY,),
)
