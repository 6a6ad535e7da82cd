"""What changes most, and why."""

from ..model import PEER, ROUTER, Dashboard, Row, bars, counts, table

_CAUSES = """withdrawn, announced_again, origin, as_path, next_hop, med, local_pref, communities, other,
repeated,
    first_in_period, malformed"""


def _top(by, title, about, subject):
    """A bar chart and a table of the subjects with most changes, with what changed."""
    chart = f"SELECT subject, {_CAUSES} FROM churn_causes('{by}', @period) WHERE subject IS NOT NULL LIMIT 10"
    rows = f"""SELECT subject AS {subject}, changes, routes, {_CAUSES}, last_at
        FROM churn_causes('{by}', @period) WHERE subject IS NOT NULL LIMIT 100"""
    links = ("prefix",) if subject == "prefix" else ("rd",) if subject == "rd" else ()
    return (
        bars(title, about, chart, width=10, height=11),
        table("Changes by " + subject.replace("_", " "), "", rows, width=14, height=11, links=links),
    )


TOPS = Dashboard(
    "tops",
    "Tops",
    "Which prefixes, peers, origins and route distinguishers change most, and what changes?",
    (
        counts(
            "Changes by cause",
            "Updates, withdrawals, dumps, and routes withdrawn because of malformed attributes (RFC 7606).",
            """SELECT @bucket AS time, cause AS metric, count(*) AS changes FROM route_changes
               WHERE $__timeFilter(at) AND @router AND @peers GROUP BY 1, 2 ORDER BY 1""",
        ),
        counts(
            "Changes by family",
            "",
            """SELECT @bucket AS time, family AS metric, count(*) AS changes FROM route_changes
               WHERE $__timeFilter(at) AND NOT is_dump AND @router AND @peers GROUP BY 1, 2 ORDER BY 1""",
        ),
        Row("What changed: each announcement compared with the update of the same route before it"),
        *_top("prefix", "Top prefixes", "Of all families.", "prefix"),
        *_top("peer", "Top peers", "", "peer"),
        *_top("as", "Top origins", "By origin AS; withdrawals count for the origin before.", "origin"),
        *_top("rd", "Top route distinguishers", "Of all families that have one.", "rd"),
        *_top("router", "Top routers", "", "router_name"),
        Row("Of the selected router and peer"),
        table(
            "Prefixes by number of changes",
            "",
            """SELECT prefix, family, count(*) FILTER (WHERE NOT is_withdrawn) AS announcements,
                   count(*) FILTER (WHERE is_withdrawn) AS withdrawals, count(DISTINCT path) AS paths,
                   count(DISTINCT (router, peer)) AS peers, max(at) AS last_at
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump AND prefix IS NOT NULL AND @router
               AND @peers GROUP BY 1, 2 ORDER BY count(*) DESC, 1 LIMIT 200""",
            width=12,
            links=("prefix",),
        ),
        table(
            "Origins by number of changes",
            "",
            """SELECT origin_as, count(*) AS announcements, count(DISTINCT prefix) AS prefixes,
                   count(DISTINCT (router, peer)) AS peers, max(at) AS last_at
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump AND origin_as IS NOT NULL AND
               @router
               AND @peers GROUP BY 1 ORDER BY 2 DESC LIMIT 200""",
            width=12,
            links=("origin_as",),
        ),
    ),
    (ROUTER, PEER),
)

STABILITY = Dashboard(
    "stability",
    "Stability of routes",
    "Which routes flap for long, and when were many withdrawn at once?",
    (
        table(
            "Flapping routes",
            "By number of changes per day since the route was first seen.",
            """SELECT router, peer, rib, route, learned, withdrawn, changes_per_day, is_withdrawn, first_seen,
                   last_change
               FROM flapping_routes(2) WHERE @router AND @peers LIMIT 500""",
            height=11,
            links=("router",),
        ),
        table(
            "Withdraw storms",
            "RIB views by the number of withdrawals within a minute.",
            """SELECT at, router, peer, rib, vrf, withdrawals, prefixes FROM withdraw_storms(@span, '1
               minute', 10)
               WHERE $__timeFilter(at) AND @router AND @peers ORDER BY withdrawals DESC LIMIT 200""",
            width=12,
            links=("router",),
        ),
        counts(
            "Withdrawals",
            "By router.",
            """SELECT @bucket AS time, router AS metric, count(*) AS withdrawals FROM route_changes
               WHERE $__timeFilter(at) AND is_withdrawn AND @router AND @peers GROUP BY 1, 2 ORDER BY 1""",
        ),
    ),
    (ROUTER, PEER),
)
