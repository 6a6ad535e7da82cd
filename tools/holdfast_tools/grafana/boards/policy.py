"""Effect of policy: routes before and after it."""

from ..model import Dashboard, Variable, shares, table

_PEER = Variable(
    "peer",
    "Peer",
    """SELECT DISTINCT concat_ws(' ', router, host(peer), 'AS' || peer_as) FROM peers()
       WHERE rib IN ('adj-in-post', 'adj-out-post') ORDER BY 1""",
)

POLICY = Dashboard(
    "policy",
    "Policy effect",
    "Which routes does policy reject or change, and how?",
    (
        shares(
            "Routes by effect",
            "Routes of the selected peer that policy rejected, or whose attributes it changed.",
            """SELECT concat_ws(': ', effect, changed) AS effect, count(*) AS routes
               FROM policy_effect(${peer:sqlstring}) GROUP BY 1 ORDER BY 2 DESC""",
        ),
        table(
            "Number of routes",
            "By RIB view, family, effect and changed attributes.",
            """SELECT router, peer, rib, vrf, family, effect, changed, count(*) AS routes
               FROM policy_effect(${peer:sqlstring}) GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 8 DESC""",
            width=16,
            height=8,
        ),
        table(
            "Rejected and changed routes",
            "With the path before and after policy.",
            """SELECT router, peer, rib, vrf, family, route, path_id, effect, changed, path, path_after
               FROM policy_effect(${peer:sqlstring}) LIMIT 1000""",
            height=12,
        ),
        table(
            "Rejections that the router counts",
            "Statistics Reports: rejected prefixes and invalidated updates of all peers.",
            """SELECT router, peer, rib, name, family, value, at FROM peer_counters(NULL, @span)
               WHERE type IN (0, 3, 4, 5, 6, 33, 34, 38, 39, 40) ORDER BY value DESC LIMIT 200""",
        ),
    ),
    (_PEER,),
)
