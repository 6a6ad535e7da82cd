"""Origin validation, hijacks, leaks, and origins that change or conflict."""

from ..model import Dashboard, Row, Variable, counts, number, shares, table

# Origin validation looks up each route, hence of one peer at a time.
_ONE_PEER = Variable(
    "peer",
    "Peer",
    """SELECT view FROM (SELECT concat_ws(' ', router, host(peer), 'AS' || peer_as) AS view, max(announced)
       AS announced
       FROM peers() WHERE state = 'up' AND announced > 0 GROUP BY 1 ORDER BY 2, 1) smallest_first""",
)
# As the query `moas`, which takes seconds for a full table, but of the prefixes that were announced last.
_CONFLICTS = """WITH latest AS MATERIALIZED (SELECT prefix, rd, max(at) AS announced_at FROM route_changes
        WHERE $__timeFilter(at) AND NOT is_withdrawn AND NOT is_dump AND origin_as IS NOT NULL
        AND prefix IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1000),
    conflicts AS (SELECT c.prefix, c.rd, array_agg(DISTINCT c.origin_as ORDER BY c.origin_as) AS origins,
        count(*) AS routes, count(DISTINCT c.peer_id) AS peers, max(c.since) AS last_change
        FROM latest l JOIN current_routes c ON c.prefix = l.prefix AND c.rd IS NOT DISTINCT FROM l.rd
        WHERE c.origin_as IS NOT NULL AND c.safi IN (1, 4, 128) GROUP BY 1, 2
        HAVING min(c.origin_as) <> max(c.origin_as))"""
_BASES = table(
    "What is checked",
    "A table without entries means that nothing was checked (docs/QUERIES.md).",
    "SELECT basis, entries, loaded_at, used_by FROM query_bases",
    width=8,
    height=6,
)

RPKI = Dashboard(
    "rpki",
    "RPKI",
    "Which routes are invalid by RPKI, and at which peers?",
    (
        _BASES,
        shares(
            "Prefixes of the peer by state",
            "Of all its RIB views.",
            "SELECT state, count(*) AS prefixes FROM rpki_states(${peer:sqlstring}) GROUP BY 1 ORDER BY 1",
            height=6,
        ),
        table(
            "Counters of the routers",
            "Routes that the router itself found to be valid, invalid or not found (RFC 9972).",
            """SELECT router, peer, rib, name, family, value, at FROM peer_counters(NULL, @span)
               WHERE type IN (35, 36, 37, 41, 42, 43) ORDER BY 1, 2, 3, 4""",
            width=8,
            height=6,
        ),
        table(
            "Prefixes by RIB view",
            "",
            """SELECT router, peer, peer_as, rib, vrf, state, count(*) AS prefixes
               FROM rpki_states(${peer:sqlstring}) GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 4, 5, 6""",
            width=8,
        ),
        table(
            "Invalid routes of the peer",
            "The first 200 prefixes.",
            """SELECT c.prefix, c.origin_as, c.router, c.peer, c.rib, c.path, c.next_hop, c.since
               FROM (SELECT DISTINCT peer_id, prefix FROM rpki_states(${peer:sqlstring}) WHERE state =
               'invalid'
                     ORDER BY prefix LIMIT 200) s
               JOIN rpki_routes c ON c.peer_id = s.peer_id AND c.prefix = s.prefix
               WHERE c.state = 'invalid' ORDER BY c.prefix, c.rib""",
            width=16,
            links=("prefix", "origin_as"),
        ),
    ),
    (_ONE_PEER,),
)

ORIGINS = Dashboard(
    "origins",
    "Hijacks and leaks",
    "Does somebody announce our prefixes, leak routes, or change an origin?",
    (
        _BASES,
        number(
            "Hijacks now",
            "Current routes inside own_prefixes with an origin or length that is not permitted.",
            "SELECT count(*) FROM hijacks() WHERE is_current",
            bad_from=1,
            height=6,
        ),
        number(
            "Leaks now",
            "By peer_roles, and by the OTC attribute (RFC 9234).",
            "SELECT count(*) FROM leaks()",
            bad_from=1,
            height=6,
        ),
        number(
            "Conflicting origins",
            "Of the thousand prefixes that were announced last: those with several origins at present.",
            _CONFLICTS + " SELECT count(*) FROM conflicts",
            height=6,
        ),
        number(
            "Origin changes",
            "In the last hour of the period.",
            "SELECT count(*) FROM origin_changes('1 hour', $__timeTo()::timestamptz)",
            height=6,
        ),
        table(
            "Hijacks in the period",
            "Current ones, and those that were announced in the period.",
            """SELECT own_prefix, prefix, problem, origin_as, router, peer, rib, path, first_at, is_current
               FROM hijacks(@span) ORDER BY is_current DESC, first_at DESC LIMIT 500""",
            links=("prefix", "origin_as", "router"),
        ),
        table(
            "Leaks",
            "",
            "SELECT * FROM leaks() LIMIT 500",
            links=("router",),
        ),
        Row("Origins"),
        counts(
            "Origin changes",
            "Announcements in the last hour of the period whose origin differs from that before.",
            """SELECT @bucket AS time, router AS metric, count(*) AS changes
               FROM origin_changes('1 hour', $__timeTo()::timestamptz) GROUP BY 1, 2 ORDER BY 1""",
        ),
        table(
            "Origin changes in the last hour of the period",
            "Newest first.",
            """SELECT at, prefix, old_origin, new_origin, router, peer, rib, old_path, new_path
               FROM origin_changes('1 hour', $__timeTo()::timestamptz) ORDER BY at DESC LIMIT 500""",
            links=("prefix", "router"),
        ),
        table(
            "Conflicting origins",
            """Of the thousand prefixes that were announced last: those that several AS numbers originate at
               present.
`holdfast query moas` looks at all prefixes.""",
            _CONFLICTS + " SELECT * FROM conflicts ORDER BY last_change DESC, prefix",
            width=12,
            links=("prefix",),
        ),
    ),
)
