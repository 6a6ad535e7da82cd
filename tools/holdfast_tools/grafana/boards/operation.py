"""The collectors themselves: delivery, the write-ahead log, and the process."""

from ..model import INSTANCE, Dashboard, Row, counts, gauge, lines, number, table

_ONE = '{instance=~"$instance"}'

DELIVERY = Dashboard(
    "delivery",
    "Delivery",
    "Does everything reach the database, how fast, and what was rejected?",
    (
        gauge(
            "Lag",
            "Age of the oldest undelivered record.",
            "holdfast_delivery_lag_seconds" + _ONE,
            unit="s",
            bad_from=60,
        ),
        gauge(
            "Undelivered batches",
            "Durable batches that are not yet delivered by all lanes.",
            "holdfast_delivery_lag_batches" + _ONE,
        ),
        gauge(
            "Undelivered records",
            "Estimated.",
            "holdfast_delivery_lag_records" + _ONE,
            unit="short",
        ),
        number(
            "Rejected records",
            "Records that the database rejected and that were not stored since.",
            "SELECT coalesce(sum(rejected_routes), 0) FROM collector_health()",
            bad_from=1,
        ),
        number("Lanes", "Of all logs.", "SELECT count(*) FROM lanes"),
        number(
            "Database size",
            "",
            "SELECT pg_database_size(current_database())",
            unit="bytes",
        ),
        lines(
            "Lag",
            "Age of the oldest record that each lane has not delivered.",
            ("holdfast_delivery_lane_lag_seconds" + _ONE, "{{instance}} lane {{lane}}"),
            unit="s",
        ),
        lines(
            "Batches per second",
            "Written to the log, and delivered.",
            (f"rate(holdfast_wal_durable_seq{_ONE}[$__rate_interval])", "{{instance}} durable"),
            (f"rate(holdfast_delivery_seq{_ONE}[$__rate_interval])", "{{instance}} delivered"),
        ),
        lines(
            "States of the lanes",
            "Number of lanes in each state.",
            (f"sum by (instance, state) (holdfast_delivery_lane_state{_ONE})", "{{instance}} {{state}}"),
        ),
        lines(
            "Records per second",
            "Delivered by each lane.",
            (
                f"rate(holdfast_delivery_lane_records_total{_ONE}[$__rate_interval])",
                "{{instance}} lane {{lane}}",
            ),
        ),
        lines(
            "Failed attempts",
            "To connect, to read or to store; each is retried.",
            (
                f"rate(holdfast_delivery_failures_total{_ONE}[$__rate_interval])",
                "{{instance}} {{class}}",
            ),
        ),
        lines(
            "Transactions per second",
            "By outcome.",
            (
                f"rate(holdfast_delivery_transactions_total{_ONE}[$__rate_interval])",
                "{{instance}} {{outcome}}",
            ),
        ),
        counts(
            "Delivered routes",
            """Stored in history, unchanged (refreshed only), and rejected. Older than a day: one sum per
               hour.""",
            """SELECT @bucket AS time, sum(stored)::bigint AS stored, sum(unchanged)::bigint AS unchanged,
                   sum(rejected)::bigint AS rejected
               FROM deliveries WHERE $__timeFilter(at) GROUP BY 1 ORDER BY 1""",
        ),
        table(
            "Lanes",
            "Delivery positions.",
            """SELECT collector, lane, lanes, epoch, last_seq, updated_at, silent_for, log_id FROM lanes
               ORDER BY 1, 8, 2""",
            width=12,
        ),
        table(
            "Rejected records by error",
            "",
            """SELECT collector, sqlstate, min(error) AS error, count(*) AS records, max(at) AS last_at
               FROM rejected_records GROUP BY 1, 2 ORDER BY 4 DESC LIMIT 100""",
            width=12,
        ),
        table(
            "Rejected records",
            "`walctl rejected show` prints the whole record (docs/RECOVERY.md).",
            """SELECT at, collector, lane, record, sqlstate, error, content, retried_at
               FROM rejected_records ORDER BY at DESC LIMIT 200""",
        ),
    ),
    (INSTANCE,),
)

LOG = Dashboard(
    "log",
    "Log and gaps",
    "Is the write-ahead log well, when will it be full, and which data are missing?",
    (
        gauge(
            "Log usage",
            "Share of the maximum size.",
            f"holdfast_wal_bytes{_ONE} / holdfast_wal_bytes_max{_ONE}",
            unit="percentunit",
            bad_from=0.5,
        ),
        gauge(
            "Full in",
            "At the growth rate of the last minutes; no value if the log does not grow.",
            "holdfast_wal_full_in_seconds" + _ONE,
            unit="s",
        ),
        gauge(
            "Paused",
            "1 while the log is not writable: routers wait.",
            f"sum by (instance) (holdfast_wal_paused{_ONE})",
            bad_from=1,
        ),
        gauge(
            "Lost batches",
            "Found to be missing since the start of the daemon.",
            f"sum by (instance) (holdfast_wal_lost_batches_total{_ONE})",
            bad_from=1,
        ),
        gauge(
            "Dropped batches",
            "Undelivered batches dropped since the start of the daemon (WAL_FULL=drop-oldest).",
            "holdfast_wal_dropped_batches_total" + _ONE,
            bad_from=1,
        ),
        gauge(
            "Free disk space",
            "Of the file system of the log.",
            "holdfast_wal_filesystem_free_bytes" + _ONE,
            unit="bytes",
        ),
        lines(
            "Size of the log",
            "With its maximum.",
            ("holdfast_wal_bytes" + _ONE, "{{instance}}"),
            ("holdfast_wal_bytes_max" + _ONE, "{{instance}} maximum"),
            unit="bytes",
        ),
        lines(
            "Waiting for a sync",
            "Time for which the oldest received record has not been synced to disk.",
            ("holdfast_wal_unsynced_seconds" + _ONE, "{{instance}}"),
            unit="s",
        ),
        lines(
            "Records per second",
            "Synced to disk.",
            (f"rate(holdfast_wal_durable_records_total{_ONE}[$__rate_interval])", "{{instance}}"),
        ),
        lines(
            "Undelivered bytes by router",
            "Of the log, since the start of the daemon.",
            ("holdfast_router_log_bytes" + _ONE, "{{router}}"),
            unit="bytes",
        ),
        lines(
            "Routers that wait",
            "Share of the time in which nothing was read from a router, because the log accepted no batch.",
            (f"rate(holdfast_router_blocked_seconds_total{_ONE}[$__rate_interval])", "{{router}}"),
            unit="percentunit",
        ),
        counts(
            "Gaps by reason",
            "When they were noticed.",
            """SELECT date_bin('$__interval'::interval, noticed_at, '2000-01-01') AS time, reason AS metric,
               count(*) AS gaps
               FROM gaps(@span) WHERE $__timeFilter(noticed_at) GROUP BY 1, 2 ORDER BY 1""",
        ),
        table(
            "Gaps",
            "Missing data, newest first.",
            """SELECT noticed_at, collector, router, reason, from_time, until_time, first_seq, last_seq
               FROM gaps(@span) WHERE $__timeFilter(noticed_at)""",
            links=("router",),
        ),
        table(
            "Interruptions of BMP sessions",
            "While a router is not connected, its changes are not recorded.",
            """SELECT at, router, router_address, event, reason, collector FROM session_events
               WHERE $__timeFilter(at) AND event IN ('session_up', 'session_down') ORDER BY at DESC LIMIT
               200""",
            links=("router",),
        ),
    ),
    (INSTANCE,),
    since="now-7d",
)

COLLECTOR = Dashboard(
    "collector",
    "Collector",
    "How does the daemon work: health, connections, routers, memory, processor time?",
    (
        gauge("Version", "", "holdfast_build_info" + _ONE, legend="{{instance}} {{version}}", shows="name"),
        gauge("Up for", "Time since the start of the daemon.", "holdfast_uptime_seconds" + _ONE, unit="s"),
        gauge(
            "Health",
            "The current state of each collector.",
            f"holdfast_health{_ONE} == 1",
            legend="{{instance}} {{state}}",
            shows="name",
        ),
        gauge(
            "Connections",
            "BMP connections, of the maximum.",
            f"holdfast_listener_connections{_ONE} / holdfast_listener_connections_max{_ONE}",
            unit="percentunit",
            bad_from=0.9,
        ),
        gauge(
            "Held off",
            "1 while new connections wait because the log was full.",
            "holdfast_listener_held_off" + _ONE,
            bad_from=1,
        ),
        gauge(
            "Log lines dropped",
            "Since the start of the daemon.",
            "holdfast_log_lines_dropped_total" + _ONE,
            bad_from=1,
        ),
        lines(
            "Conditions",
            "Conditions that need attention; `holdfast status` describes them.",
            (f"sum by (instance, kind) (holdfast_conditions{_ONE})", "{{instance}} {{kind}}"),
        ),
        lines(
            "Connections per second",
            "Accepted, refused, and failed to accept.",
            (f"rate(holdfast_listener_accepted_total{_ONE}[$__rate_interval])", "{{instance}} accepted"),
            (
                f"rate(holdfast_listener_refused_total{_ONE}[$__rate_interval])",
                "{{instance}} refused {{reason}}",
            ),
            (f"rate(holdfast_listener_accept_errors_total{_ONE}[$__rate_interval])", "{{instance}} errors"),
        ),
        Row("Routers"),
        lines(
            "Routers",
            "Connected, and known or expected but not connected.",
            (f"sum by (instance, state) (holdfast_routers{_ONE})", "{{instance}} {{state}}"),
        ),
        lines(
            "Routes per second",
            "Route records of each router.",
            (f"rate(holdfast_router_routes_total{_ONE}[$__rate_interval])", "{{router}}"),
        ),
        lines(
            "Bytes per second",
            "Received from each router.",
            (f"rate(holdfast_router_bytes_total{_ONE}[$__rate_interval])", "{{router}}"),
            unit="Bps",
        ),
        lines(
            "Errors per second",
            "Messages and PDUs that could not be decoded, and messages that the router skipped.",
            (f"rate(holdfast_router_errors_total{_ONE}[$__rate_interval])", "{{router}} errors"),
            (f"rate(holdfast_router_skipped_messages_total{_ONE}[$__rate_interval])", "{{router}} skipped"),
        ),
        lines(
            "Bytes that wait",
            "They have arrived and were not read yet.",
            ("holdfast_router_receive_queue_bytes" + _ONE, "{{router}}"),
            unit="bytes",
        ),
        lines(
            "Errors by kind",
            "Messages and PDUs that could not be decoded, per second.",
            (f"rate(holdfast_bmp_errors_total{_ONE}[$__rate_interval])", "{{instance}} {{kind}}"),
        ),
        Row("Process"),
        lines(
            "Memory",
            "Resident memory.",
            ('process_resident_memory_bytes{job="holdfast",instance=~"$instance"}', "{{instance}}"),
            unit="bytes",
            width=8,
        ),
        lines(
            "Processor time",
            "Seconds per second, of all threads.",
            (
                'rate(process_cpu_seconds_total{job="holdfast",instance=~"$instance"}[$__rate_interval])',
                "{{instance}}",
            ),
            unit="percentunit",
            width=8,
        ),
        lines(
            "File descriptors",
            "Open ones.",
            ('process_open_fds{job="holdfast",instance=~"$instance"}', "{{instance}}"),
            width=8,
        ),
    ),
    (INSTANCE,),
)
