"""When each alert of deploy/prometheus/alerts.yml fires, and when it does not.

A case: alert, series with their values a minute (in promtool's notation), minute at which the alert is still
quiet, minute at which it fires, labels of the alert beside `instance` and `severity`, and its summary. An
alert on a recorded value may see that of the minute before, so that its minutes leave a margin.
"""

_ONE = 'instance="c"'
_ROUTER = 'instance="c",router="r1"'
_PEER = _ROUTER + ',peer="192.0.2.1",asn="65001"'
_OF_PEER = {"router": "r1", "peer": "192.0.2.1", "asn": "65001"}
_LANE = 'instance="c",lane="0"'

CASES = (
    (
        "HoldfastUnreachable",
        {'up{job="holdfast",instance="c"}': "1x10 0x20"},
        (10, 13),
        {"job": "holdfast"},
        "c does not answer the scrape",
    ),
    (
        "HoldfastDegraded",
        {f'holdfast_health{{{_ONE},state="degraded"}}': "0x10 1x30"},
        (20, 27),
        {"state": "degraded"},
        "c has been degraded for 15 minutes",
    ),
    (
        "HoldfastRestarts",
        {f"holdfast_uptime_seconds{{{_ONE}}}": "60+60x10 0+60x5 0+60x5 0+60x5"},
        (20, 25),
        {},
        "c has started 3 times within an hour",
    ),
    (
        "HoldfastLogLinesDropped",
        {f"holdfast_log_lines_dropped_total{{{_ONE}}}": "0x20 5x20"},
        (20, 22),
        {},
        "c has dropped log lines",
    ),
    (
        "HoldfastNoRouter",
        {f'holdfast_routers{{{_ONE},state="connected"}}': "2x10 0x20"},
        (12, 17),
        {"state": "connected"},
        "no router is connected to c",
    ),
    (
        "HoldfastRouterDown",
        {f"holdfast_router_up{{{_ROUTER}}}": "1x10 0x20"},
        (12, 17),
        {"router": "r1"},
        "r1 is not connected to c",
    ),
    (
        "HoldfastRouterSilent",
        {f"holdfast_router_last_message_age_seconds{{{_ROUTER}}}": "0+60x70"},
        (60, 61),
        {"router": "r1"},
        "r1 has sent nothing for 1h 1m 0s",
    ),
    (
        "HoldfastPeerDown",
        {f"holdfast_peer_up{{{_PEER}}}": "1x10 0x30"},
        (15, 22),
        _OF_PEER,
        "peer 192.0.2.1 AS65001 of r1 is down",
    ),
    (
        "HoldfastPeerFlapping",
        {f"holdfast_peer_up{{{_PEER}}}": "1x10 0 1 0 1 0 1 0 1x10"},
        (15, 25),
        _OF_PEER,
        "peer 192.0.2.1 of r1 changed its state 8 times in an hour",
    ),
    (
        "HoldfastTableMissing",
        {f"holdfast_router_missing_tables{{{_ROUTER}}}": "0x10 2x20"},
        (12, 17),
        {"router": "r1"},
        "2 tables of r1 were not received",
    ),
    (
        "HoldfastTableSuspect",
        {f"holdfast_router_suspect_tables{{{_ROUTER}}}": "0x10 1x80"},
        (60, 72),
        {"router": "r1"},
        "1 tables of r1 may be wrong",
    ),
    (
        "HoldfastDecodingErrors",
        {f"holdfast_router_errors_total{{{_ROUTER}}}": "0x20 3x20"},
        (20, 22),
        {"router": "r1"},
        "messages of r1 could not be decoded",
    ),
    (
        "HoldfastRouterPaused",
        {f"holdfast_router_log_paused{{{_ROUTER}}}": "0x10 1x20"},
        (12, 17),
        {"router": "r1"},
        "r1 waits at its share of the log of c",
    ),
    (
        "HoldfastPeersUntracked",
        {f"holdfast_router_untracked_peers{{{_ROUTER}}}": "0x10 1x20"},
        (12, 17),
        {"router": "r1"},
        "r1 exceeds the tracked peer/family limit",
    ),
    (
        "HoldfastConnectionsNearMaximum",
        {
            f"holdfast_listener_connections{{{_ONE}}}": "10x10 95x20",
            f"holdfast_listener_connections_max{{{_ONE}}}": "100x30",
        },
        (12, 20),
        {},
        "c uses 95% of its connections",
    ),
    (
        "HoldfastConnectionsRefused",
        {f'holdfast_listener_refused_total{{{_ONE},reason="connections"}}': "0x10 0+10x40"},
        (20, 40),
        {},
        "c refuses connections",
    ),
    (
        "HoldfastRoutersHeldOff",
        {f"holdfast_listener_held_off{{{_ONE}}}": "0x10 1x20"},
        (11, 13),
        {},
        "c does not read new connections, because the log was full",
    ),
    (
        "HoldfastLogFilling",
        {f"holdfast_wal_bytes{{{_ONE}}}": "10x10 60x30", f"holdfast_wal_bytes_max{{{_ONE}}}": "100x40"},
        (15, 25),
        {},
        "the log of c is filled to 60%",
    ),
    (
        "HoldfastLogFullSoon",
        {f"holdfast_wal_full_in_seconds{{{_ONE}}}": "100000x10 3600x30"},
        (15, 22),
        {},
        "the log of c is full in 1h 0m 0s",
    ),
    (
        "HoldfastLogPaused",
        {f'holdfast_wal_paused{{{_ONE},reason="full"}}': "0x10 1x20"},
        (11, 13),
        {},
        "the log of c is not writable; routers wait",
    ),
    (
        "HoldfastSyncSlow",
        {f"holdfast_wal_unsynced_seconds{{{_ONE}}}": "0.1x10 30x20"},
        (11, 13),
        {},
        "records of c have not been synced for 30s",
    ),
    (
        "HoldfastBatchesLost",
        {
            f'holdfast_wal_lost_batches_total{{{_ONE},reason="rot"}}': "0x10 2x20",
            f'holdfast_wal_lost_batches_total{{{_ONE},reason="torn"}}': "0x10 1x20",
        },
        (9, 14),
        {},
        "c has lost 3 batches since its start",
    ),
    (
        "HoldfastBatchesDropped",
        {f"holdfast_wal_dropped_batches_total{{{_ONE}}}": "0x20 4x20"},
        (20, 22),
        {},
        "c has dropped undelivered batches",
    ),
    (
        "HoldfastGap",
        # The series begins with its first gap.
        {f'holdfast_gaps_total{{{_ONE},reason="crash"}}': "_x20 1x20"},
        (19, 22),
        {"reason": "crash"},
        "c has recorded a gap, reason crash",
    ),
    (
        "HoldfastDiskTooSmall",
        {
            f"holdfast_wal_filesystem_free_bytes{{{_ONE}}}": "1000x10 50x30",
            f"holdfast_wal_bytes_max{{{_ONE}}}": "100x40",
            f"holdfast_wal_bytes{{{_ONE}}}": "10x40",
        },
        (15, 22),
        {},
        "the disk of c is full before its log is",
    ),
    (
        "HoldfastDeliveryLag",
        {f"holdfast_delivery_lag_seconds{{{_ONE}}}": "0x10 600x20"},
        (12, 17),
        {},
        "the database is 10m 0s behind c",
    ),
    (
        "HoldfastDeliveryStopped",
        {
            f'holdfast_delivery_state{{{_ONE},state="delivering"}}': "1x10 0x20",
            f'holdfast_delivery_state{{{_ONE},state="blocked"}}': "0x10 1x20",
            f'holdfast_delivery_state{{{_ONE},state="away"}}': "0x30",
        },
        (12, 17),
        {},
        "the delivery of c needs operator action",
    ),
    (
        "HoldfastSourcesQuarantined",
        {f"holdfast_delivery_quarantined_sources{{{_ONE}}}": "0x10 2x20"},
        (12, 17),
        {},
        "records of 2 sources of c are set aside",
    ),
    (
        "HoldfastRecordsRejected",
        {f"holdfast_delivery_rejected_records_total{{{_ONE}}}": "0x20 1x20"},
        (20, 22),
        {},
        "the database rejected records of c",
    ),
)
