"""Health of routers and peers."""

from ..model import INSTANCE, PEER, ROUTER, Dashboard, Row, counts, levels, lines, number, table

PEERS = Dashboard(
    "peers",
    "Router and peer health",
    "Is this router or peer well: flaps and their reasons, complete tables, counters of the router?",
    (
        number("RIB views up", "", "SELECT count(*) FROM peers(@peer) WHERE @router AND state = 'up'"),
        number(
            "RIB views not up",
            "",
            "SELECT count(*) FROM peers(@peer) WHERE @router AND state <> 'up'",
            bad_from=1,
        ),
        number(
            "Peer Downs",
            "In the period.",
            """SELECT count(*) FROM peer_flaps(@span, @peer)
               WHERE @router AND $__timeFilter(at) AND event = 'peer_down'""",
            bad_from=1,
        ),
        number(
            "Incomplete tables",
            "Tables of peers that are up with an alarm of the query `completeness`.",
            "SELECT count(*) FROM completeness(@peer) WHERE @router AND alarm IS NOT NULL",
            bad_from=1,
        ),
        number(
            "Changes",
            "Announcements and withdrawals in the period, without dumps.",
            """SELECT count(*) FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump AND @router AND
               @peers""",
        ),
        number(
            "Messages that could not be decoded",
            "Malformed PDUs in the period; their bytes are in the table `peer_events`.",
            """SELECT count(*) FROM session_events WHERE $__timeFilter(at) AND event = 'malformed' AND @router
               AND @peers""",
            bad_from=1,
        ),
        counts(
            "Flaps by reason",
            "Peer Downs, ends of BMP sessions (stale) and Peer Ups.",
            """SELECT @bucket AS time, concat_ws(': ', event, reason) AS metric, count(*) AS events
               FROM peer_flaps(@span, @peer) WHERE @router AND $__timeFilter(at) GROUP BY 1, 2 ORDER BY 1""",
        ),
        counts(
            "Announcements and withdrawals",
            "Without dumps.",
            """SELECT @bucket AS time, count(*) FILTER (WHERE NOT is_withdrawn) AS announcements,
                   count(*) FILTER (WHERE is_withdrawn) AS withdrawals
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump AND @router AND @peers
               GROUP BY 1 ORDER BY 1""",
        ),
        table(
            "Flaps",
            "With the reason, and how long the peer had been up.",
            """SELECT at, router, peer, peer_as, rib, vrf, event, reason, was_up FROM peer_flaps(@span, @peer)
               WHERE @router AND $__timeFilter(at) ORDER BY at DESC LIMIT 500""",
            width=12,
        ),
        table(
            "Peers by number of flaps",
            "Most unstable first, with the reasons.",
            """SELECT router, peer, peer_as, count(*) FILTER (WHERE event = 'peer_down') AS downs,
                   count(*) FILTER (WHERE event = 'peer_stale') AS stales, min(was_up) AS shortest_up,
                   string_agg(DISTINCT reason, '; ') AS reasons, max(at) AS last_at
               FROM peer_flaps(@span, @peer) WHERE @router AND $__timeFilter(at) AND event <> 'peer_up'
               GROUP BY 1, 2, 3 ORDER BY 4 DESC, 5 DESC LIMIT 100""",
            width=12,
        ),
        table(
            "Completeness",
            "Each family of each RIB view: complete, assumed, partial or none (docs/QUERIES.md).",
            """SELECT router, peer, peer_as, rib, vrf, family, completeness, routes, stale, reported,
               end_of_rib_at,
                   alarm
               FROM completeness(@peer) WHERE @router ORDER BY alarm IS NULL, 1, 2, 4, 6""",
        ),
        Row("Over time"),
        levels(
            "Sizes of the tables",
            "Current routes, a sample every six hours.",
            """SELECT at AS time, concat_ws(' ', router, host(peer), rib, vrf, family) AS metric, routes
               FROM table_growth(@span, '6 hours', @peer) WHERE @router AND $__timeFilter(at) ORDER BY 1""",
        ),
        table(
            "Withdraw storms",
            "At least a hundred withdrawals of one RIB view within a minute.",
            """SELECT at, router, peer, rib, vrf, withdrawals, prefixes FROM withdraw_storms(@span, '1
               minute', 100)
               WHERE @router AND @peers AND $__timeFilter(at) ORDER BY withdrawals DESC LIMIT 100""",
            width=12,
            height=8,
        ),
        Row("Statistics Reports and the collector's view"),
        table(
            "Counters of the router",
            "Newest value of each counter (RFC 7854 section 4.8).",
            """SELECT router, peer, peer_as, rib, name, family, value, at FROM peer_counters(@peer, @span)
               WHERE @router ORDER BY 1, 2, 4, 5, 6""",
        ),
        lines(
            "Peers by state",
            "As `holdfast status` reports them.",
            ('sum by (state) (holdfast_router_peers{instance=~"$instance"})', "{{state}}"),
        ),
        lines(
            "Messages per second",
            "BMP messages that each router sends.",
            ('rate(holdfast_router_messages_total{instance=~"$instance"}[$__rate_interval])', "{{router}}"),
        ),
        lines(
            "Silence",
            "Time since the last message of each connected router.",
            ('holdfast_router_last_message_age_seconds{instance=~"$instance"}', "{{router}}"),
            unit="s",
        ),
        lines(
            "Tables that are not as they should be",
            "Missing: negotiated, without routes or End-of-RIB. Suspect: something could not be decoded.",
            ('sum by (router) (holdfast_router_missing_tables{instance=~"$instance"})', "{{router}} missing"),
            ('sum by (router) (holdfast_router_suspect_tables{instance=~"$instance"})', "{{router}} suspect"),
        ),
    ),
    (ROUTER, PEER, INSTANCE),
)
