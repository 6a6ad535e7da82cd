"""What is there, and is it well: all collectors, routers and peers."""

from ..model import Dashboard, Row, counts, gauge, number, shares, table

OVERVIEW = Dashboard(
    "overview",
    "Overview",
    "Do all collectors, routers and peers work, and what happened in the period?",
    (
        number(
            "Collectors that report",
            "Collectors whose last report is younger than a minute.",
            "SELECT count(*) FROM collector_health() WHERE reported_at > now() - interval '1 minute'",
        ),
        number(
            "Collectors that do not",
            "The database shows their routers and peers as they were at the last report.",
            """SELECT count(*) FROM collector_health()
               WHERE coalesce(reported_at < now() - interval '1 minute', true)""",
            bad_from=1,
        ),
        number(
            "Routers connected",
            "Routers with a BMP session to at least one collector.",
            "SELECT count(*) FROM routers() WHERE is_active",
        ),
        number(
            "Routers disconnected",
            "Known routers without a BMP session. `holdfast forget` removes those that do not return.",
            "SELECT count(*) FROM routers() WHERE NOT is_active",
            bad_from=1,
        ),
        number(
            "RIB views up",
            "RIB views of BGP peers whose session is established.",
            "SELECT count(*) FROM peers() WHERE state = 'up'",
        ),
        number(
            "RIB views not up",
            "Down, stale (the BMP session ended, or the peer was not announced again), or unknown.",
            "SELECT count(*) FROM peers() WHERE state <> 'up'",
            bad_from=1,
        ),
        gauge(
            "Health",
            "0 healthy, 1 degraded; `holdfast status` has the reasons.",
            'sum by (instance) (holdfast_health{state="degraded"})',
            bad_from=1,
        ),
        gauge(
            "Delivery lag",
            "Age of the oldest record that is not yet in the database.",
            "holdfast_delivery_lag_seconds",
            unit="s",
            bad_from=60,
        ),
        gauge(
            "Log usage",
            "Share of the maximum size of the write-ahead log.",
            "holdfast_wal_bytes / holdfast_wal_bytes_max",
            unit="percentunit",
            bad_from=0.5,
        ),
        number(
            "Gaps",
            "Records of missing data in the period.",
            "SELECT count(*) FROM gaps(@span) WHERE $__timeFilter(noticed_at)",
            bad_from=1,
        ),
        number(
            "Rejected records",
            "Records that the database rejected and that were not stored since.",
            "SELECT coalesce(sum(rejected_routes), 0) FROM collector_health()",
            bad_from=1,
        ),
        number(
            "Changes",
            "Announcements and withdrawals in the period, without dumps.",
            "SELECT count(*) FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump",
        ),
        table(
            "Collectors",
            "Delivery position, and how current the database is for each collector.",
            """SELECT collector, as_of, reported_at, silent_for, lanes, delivered_seq, lane_lag,
               routers_active,
                   routers, peers_up, peers_stale, gaps, last_gap, rejected_routes
               FROM collector_health()""",
            height=6,
        ),
        counts(
            "Changes by event",
            "Announcements and withdrawals of all peers, without dumps.",
            """SELECT @bucket AS time, event AS metric, count(*) AS changes
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump GROUP BY 1, 2 ORDER BY 1""",
        ),
        counts(
            "Changes by router",
            "Announcements and withdrawals of each router, without dumps.",
            """SELECT @bucket AS time, router AS metric, count(*) AS changes
               FROM route_changes WHERE $__timeFilter(at) AND NOT is_dump GROUP BY 1, 2 ORDER BY 1""",
        ),
        table(
            "RIB views that are not up",
            "With the reason of the last Peer Down.",
            """SELECT router, peer, peer_as, rib, vrf, state, up_since, down_at, down_reason, downs, last_seen
               FROM peers() WHERE state <> 'up' ORDER BY last_seen DESC LIMIT 200""",
            width=12,
            links=("router",),
        ),
        table(
            "Latest events",
            "Peer Ups and Downs, session starts and ends, and what could not be decoded.",
            """SELECT at, router, peer, event, reason FROM session_events
               WHERE $__timeFilter(at) AND event NOT IN ('end_of_rib', 'sweep') ORDER BY at DESC LIMIT 200""",
            width=12,
            links=("router",),
        ),
    ),
)

INVENTORY = Dashboard(
    "inventory",
    "Inventory",
    "Which routers and peers are there, with which families, capabilities and tables?",
    (
        table(
            "Routers",
            "Each router once, whichever collectors it is connected to.",
            """SELECT router, address, router_id, is_active, peers, peers_up, sessions, last_seen, end_reason,
                   collectors, as_of, sys_descr FROM routers()""",
            links=("router",),
        ),
        shares(
            "RIB views by state", "", "SELECT state, count(*) AS views FROM peers() GROUP BY 1 ORDER BY 1"
        ),
        shares(
            "RIB views by kind",
            "Before and after policy, and Loc-RIBs.",
            "SELECT rib, count(*) AS views FROM peers() GROUP BY 1 ORDER BY 1",
        ),
        shares(
            "Peers by AS",
            "The twenty AS numbers with most peers.",
            """SELECT 'AS' || peer_as, count(DISTINCT (router, peer)) AS peers FROM peers()
               GROUP BY 1 ORDER BY 2 DESC LIMIT 20""",
        ),
        table(
            "Peers",
            "RIB views with state, fields of the last Peer Up, and counters.",
            """SELECT router, peer, peer_as, bgp_id, rib, vrf, state, up_since, down_reason, ups, downs,
               announced,
                   withdrawn, families, add_path, hold_time_s, last_seen, collector FROM peers()""",
            height=12,
            links=("router",),
        ),
        table(
            "Capabilities",
            "Of the OPEN messages of the last Peer Up: sent by the router, or received from the peer.",
            """SELECT router, peer, peer_as, capability, bool_or(is_sent) AS is_sent,
                   bool_or(is_received) AS is_received
               FROM peer_capabilities() GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""",
            width=12,
        ),
        table(
            "Families",
            "The last End-of-RIB of each family, and families whose table may be wrong.",
            """SELECT router, bgp_peer_ip AS peer, rib, family, peer_state, end_of_rib_at, stale_reason,
               suspect_since,
                   suspect_reason FROM family_state WHERE family IS NOT NULL ORDER BY 1, 2, 3, 4""",
            width=12,
        ),
        Row("Tables"),
        table(
            "Sizes of the tables",
            "Current routes of each family of each RIB view: the last sample of the period.",
            """SELECT DISTINCT ON (router, peer, rib, vrf, family) router, peer, peer_as, rib, vrf, family,
               routes, at
               FROM table_growth(@span, '6 hours') ORDER BY router, peer, rib, vrf, family, at DESC""",
        ),
    ),
    since="now-7d",
)
