"""Virtual private networks: L3VPN by route distinguisher, and EVPN."""

from ..model import PEER, ROUTER, Dashboard, Row, Variable, bars, counts, number, shares, table

_RD = Variable(
    "rd",
    "Route distinguisher",
    """SELECT rd FROM (SELECT rd, count(*) FROM current_routes WHERE rd IS NOT NULL AND safi IN (4, 128, 129)
       GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 200) largest""",
)
_PREFIX = Variable(
    "prefix",
    "Prefix",
    """SELECT prefix FROM (SELECT prefix, count(*) FROM current_routes WHERE rd IS NOT NULL AND safi IN
       (128, 129)
       AND prefix IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50) largest""",
)
_MAC = Variable(
    "mac",
    "MAC address",
    "SELECT mac_address FROM (SELECT DISTINCT mac_address FROM evpn_bindings() ORDER BY 1 LIMIT 100) first",
)

L3VPN = Dashboard(
    "l3vpn",
    "L3VPN",
    "Which routes does a VPN have, by route distinguisher, prefix and route target?",
    (
        table(
            "Route distinguishers",
            "Current routes of the VPN families.",
            """SELECT rd, family, count(*) AS routes, count(DISTINCT prefix) AS prefixes,
                   count(DISTINCT (router, peer)) AS peers, count(DISTINCT next_hop) AS next_hops,
                   max(since) AS last_change
               FROM current_routes WHERE rd IS NOT NULL AND safi IN (4, 128, 129) AND @router AND @peers
               GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 500""",
            width=14,
            links=("rd",),
        ),
        table(
            "Route targets",
            "Of the current routes of the VPN families.",
            """SELECT target, count(*) AS routes, count(DISTINCT rd) AS rds, string_agg(DISTINCT rd, ' ') AS
               distinguishers
               FROM current_routes, unnest(extended_communities) AS target
               WHERE rd IS NOT NULL AND safi IN (4, 128, 129) AND target LIKE 'RT:%' AND @router AND @peers
               GROUP BY 1 ORDER BY 2 DESC LIMIT 500""",
            width=10,
        ),
        Row("Routes of the route distinguisher"),
        table(
            "Routes",
            "",
            """SELECT router, peer, rib, prefix, labels, path, next_hop, med, local_pref,
                   extended_communities, is_stale, since
               FROM current_routes WHERE rd = ${rd:sqlstring} AND safi IN (4, 128, 129) AND @router AND @peers
               ORDER BY prefix, router, peer LIMIT 1000""",
            height=12,
        ),
        Row("Looking glass"),
        table(
            "The prefix in all VPNs",
            "",
            """SELECT router, peer, rib, vrf, family, route, path, next_hop, communities, is_stale, since
               FROM prefix_lookup(${prefix:sqlstring}::cidr) WHERE family LIKE '%vpn%' AND @router AND @peers
               LIMIT 1000""",
        ),
    ),
    (_RD, _PREFIX, ROUTER, PEER),
)

L3VPN_HISTORY = Dashboard(
    "l3vpn-history",
    "L3VPN history and tops",
    "What changed in a VPN, and which VPNs change most?",
    (
        bars(
            "Top route distinguishers",
            "Changes in the period by what changed.",
            """SELECT subject, withdrawn, announced_again, as_path, next_hop, med, local_pref, communities,
               other, repeated,
                   first_in_period
               FROM churn_causes('rd', @period) WHERE subject IS NOT NULL LIMIT 15""",
        ),
        counts(
            "Changes by route distinguisher",
            "",
            """SELECT @bucket AS time, rd AS metric, count(*) AS changes FROM route_changes
               WHERE $__timeFilter(at) AND NOT is_dump AND rd IS NOT NULL AND family LIKE '%vpn%' AND @router
               AND @peers GROUP BY 1, 2 ORDER BY 1""",
        ),
        table(
            "Top prefixes",
            "Of all VPNs.",
            """SELECT rd, prefix, family, count(*) FILTER (WHERE NOT is_withdrawn) AS announcements,
                   count(*) FILTER (WHERE is_withdrawn) AS withdrawals, count(DISTINCT (router, peer)) AS
                   peers,
                   max(at) AS last_at
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump AND rd IS NOT NULL
               AND family LIKE '%vpn%' AND @router AND @peers GROUP BY 1, 2, 3 ORDER BY count(*) DESC LIMIT
               200""",
            width=12,
            links=("rd",),
        ),
        table(
            "Top peers",
            "Of all VPNs.",
            """SELECT router, peer, count(*) FILTER (WHERE NOT is_withdrawn) AS announcements,
                   count(*) FILTER (WHERE is_withdrawn) AS withdrawals, count(DISTINCT rd) AS rds, max(at)
                   AS last_at
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump AND rd IS NOT NULL
               AND family LIKE '%vpn%' GROUP BY 1, 2 ORDER BY count(*) DESC LIMIT 200""",
            width=12,
            links=("router",),
        ),
        table(
            "Changes of the route distinguisher",
            "Newest first.",
            """SELECT at, router, peer, rib, event, cause, route, path, next_hop, extended_communities
               FROM route_changes WHERE $__timeFilter(at) AND rd = ${rd:sqlstring} AND family LIKE '%vpn%'
               AND @router AND @peers ORDER BY at DESC LIMIT 500""",
            height=12,
        ),
    ),
    (_RD, ROUTER, PEER),
)

EVPN = Dashboard(
    "evpn",
    "EVPN",
    "Where is each MAC address, what moved, what is announced twice?",
    (
        number(
            "MAC addresses",
            "Currently advertised.",
            "SELECT count(DISTINCT mac_address) FROM evpn_bindings()",
        ),
        number(
            "VTEPs", "Next hops of MAC advertisements.", "SELECT count(DISTINCT vtep) FROM evpn_bindings()"
        ),
        number(
            "Moves",
            "To another VTEP, in the period.",
            "SELECT count(*) FROM evpn_moves(@span) WHERE $__timeFilter(at)",
        ),
        number(
            "Duplicates",
            "MAC addresses behind several VTEPs of one broadcast domain without a common Ethernet segment.",
            "SELECT count(*) FROM evpn_duplicates()",
            bad_from=1,
        ),
        shares(
            "Routes by type",
            "Current EVPN routes by route type (RFC 7432, RFC 9136).",
            """SELECT 'type ' || evpn_route_type AS type, count(*) AS routes FROM current_routes
               WHERE afi = 25 AND safi = 70 AND @router GROUP BY 1 ORDER BY 1""",
        ),
        counts(
            "Changes by type",
            "",
            """SELECT @bucket AS time, concat_ws(' ', 'type', evpn_route_type, event) AS metric, count(*) AS
               changes
               FROM route_changes WHERE $__timeFilter(at) AND family = 'evpn' AND @router GROUP BY 1, 2
               ORDER BY 1""",
            width=16,
        ),
        table(
            "Bindings of the MAC address",
            "",
            "SELECT * FROM evpn_bindings(${mac:sqlstring}) WHERE @router LIMIT 500",
        ),
        table(
            "Moves",
            "Newest first; two VTEPs of one Ethernet segment are no move.",
            """SELECT at, mac_address, route_targets, old_vtep, new_vtep, mobility, router, peer, rib
               FROM evpn_moves(@span) WHERE $__timeFilter(at) AND @router ORDER BY at DESC LIMIT 500""",
            width=12,
            links=("mac_address",),
        ),
        table(
            "Duplicates",
            "",
            "SELECT * FROM evpn_duplicates() WHERE @router LIMIT 500",
            width=12,
            links=("mac_address",),
        ),
        table(
            "VTEPs",
            "With the number of MAC addresses and hosts behind each.",
            """SELECT vtep, count(DISTINCT mac_address) AS macs, count(DISTINCT host) AS hosts,
                   count(DISTINCT route_targets) AS broadcast_domains, max(since) AS last_change
               FROM evpn_bindings() WHERE @router GROUP BY 1 ORDER BY 2 DESC LIMIT 500""",
            width=12,
        ),
        table(
            "Broadcast domains",
            "By route targets.",
            """SELECT route_targets, count(DISTINCT mac_address) AS macs, count(DISTINCT vtep) AS vteps,
                   string_agg(DISTINCT array_to_string(labels, '/'), ' ') AS labels
               FROM evpn_bindings() WHERE @router GROUP BY 1 ORDER BY 2 DESC LIMIT 500""",
            width=12,
        ),
        table(
            "History of the MAC address",
            "Newest first.",
            """SELECT at, router, peer, rib, event, cause, route, next_hop, extended_communities
               FROM route_changes WHERE $__timeFilter(at) AND mac_address = ${mac:sqlstring} AND @router
               ORDER BY at DESC LIMIT 500""",
        ),
    ),
    (_MAC, ROUTER),
)
