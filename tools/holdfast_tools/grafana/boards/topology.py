"""Link state: the topology of an IGP as BGP-LS describes it, and its history."""

from ..model import ROUTER, Dashboard, counts, graph, number, table

TOPOLOGY = Dashboard(
    "link-state",
    "Link state",
    "Which nodes, links and prefixes does the IGP have?",
    (
        number(
            "Nodes", "", "SELECT count(DISTINCT local_node) FROM link_state WHERE kind = 'node' AND @router"
        ),
        number("Links", "", "SELECT count(DISTINCT route) FROM link_state WHERE kind = 'link' AND @router"),
        number(
            "Prefixes",
            "",
            """SELECT count(DISTINCT route) FROM link_state WHERE kind IN ('ipv4-prefix', 'ipv6-prefix') AND
               @router""",
        ),
        number(
            "SRv6 SIDs",
            "",
            "SELECT count(DISTINCT route) FROM link_state WHERE kind = 'srv6-sid' AND @router",
        ),
        number(
            "Stale",
            "Received before the BMP session was lost, and not announced again.",
            "SELECT count(*) FROM link_state WHERE is_stale AND @router",
            bad_from=1,
        ),
        graph(
            "Topology",
            "Nodes, and the links between them.",
            """SELECT node AS id, substring(node FROM 'router-id=([^,]*)') AS title, string_agg(DISTINCT
               protocol, ' ')
                   AS subtitle, count(*) AS mainstat
               FROM link_state, unnest(ARRAY[local_node, remote_node]) AS node
               WHERE node IS NOT NULL AND kind IN ('node', 'link') AND @router GROUP BY 1, 2 ORDER BY 1
               LIMIT 500""",
            """SELECT DISTINCT ON (route) route AS id, local_node AS source, remote_node AS target, object
               AS mainstat,
                   array_to_string(attributes, ' ') AS secondarystat
               FROM link_state WHERE kind = 'link' AND @router ORDER BY route LIMIT 2000""",
        ),
        table(
            "Nodes",
            "With the BGP-LS attribute, which has names and capabilities.",
            """SELECT router, peer, protocol, instance, local_node, attributes, is_stale, since
               FROM link_state WHERE kind = 'node' AND @router ORDER BY local_node LIMIT 500""",
        ),
        table(
            "Links",
            "With the BGP-LS attribute, which has metrics, bandwidths and adjacency SIDs.",
            """SELECT router, peer, protocol, instance, local_node, remote_node, object AS link, attributes,
               is_stale, since
               FROM link_state WHERE kind = 'link' AND @router ORDER BY local_node, remote_node LIMIT 1000""",
        ),
        table(
            "Prefixes and SIDs",
            "",
            """SELECT router, peer, protocol, instance, local_node, kind, prefix, object, attributes,
               is_stale, since
               FROM link_state WHERE kind NOT IN ('node', 'link') AND @router ORDER BY prefix, object LIMIT
               1000""",
        ),
    ),
    (ROUTER,),
)

LINK_STATE_HISTORY = Dashboard(
    "link-state-history",
    "Link-state history",
    "Which links and nodes came and went?",
    (
        counts(
            "Changes by object",
            "",
            """SELECT @bucket AS time, concat_ws(' ', o.kind, event) AS metric, count(*) AS changes
               FROM route_changes, holdfast_link_state(route) o
               WHERE $__timeFilter(at) AND family LIKE 'link_state%' AND @router GROUP BY 1, 2 ORDER BY 1""",
            width=24,
        ),
        table(
            "Unstable objects",
            "By number of changes in the period.",
            """SELECT o.kind, o.local_node, o.remote_node, o.object, count(*) AS changes,
                   count(*) FILTER (WHERE is_withdrawn) AS withdrawals, max(at) AS last_at
               FROM route_changes, holdfast_link_state(route) o
               WHERE $__timeFilter(at) AND family LIKE 'link_state%' AND @router
               GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 200""",
        ),
        table(
            "Changes",
            "Newest first.",
            """SELECT at, router, peer, event, cause, o.kind, o.protocol, o.local_node, o.remote_node,
               o.object
               FROM route_changes, holdfast_link_state(route) o
               WHERE $__timeFilter(at) AND family LIKE 'link_state%' AND @router ORDER BY at DESC LIMIT
               500""",
            height=12,
        ),
    ),
    (ROUTER,),
)
