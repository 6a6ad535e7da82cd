//! The table of settings, by section.

use super::database::DATABASE;
use super::http::HTTP;
use super::setting::{MIB, TIB, aliased, derived, fixed, integer};
use super::transport::TRANSPORT;
use super::{Kind, Section};

/// All settings, in the order of display.
pub static SECTIONS: &[Section] = &[
    Section {
        title: "Routers",
        note: "",
        settings: &[
            fixed(
                "BMP_LISTEN_HOST",
                Kind::Host,
                "0.0.0.0",
                "Address on which BMP connections are accepted. `::` accepts IPv6 and IPv4. `address:port` \
                 sets BMP_LISTEN_PORT as well.",
            ),
            fixed(
                "BMP_LISTEN_PORT",
                integer(0, 65_535, ""),
                "11019",
                "TCP port on which BMP connections are accepted. With 0 the kernel chooses a port, which is \
                 shown in the log and by `holdfast status`.",
            ),
            derived(
                "BMP_ALLOW",
                Kind::Prefixes,
                "all addresses",
                "Source prefixes from which connections are accepted, such as `192.0.2.0/24,2001:db8::/32`.",
            )
            .for_new_connections(),
            aliased(
                "BMP_MAX_CONNECTIONS",
                &["BMP_CONNECTIONS_MAX"],
                integer(1, 100_000, ""),
                "200",
                "Maximum number of concurrent BMP connections. One is reserved for each router that is not \
                 connected and whose address is in BMP_ROUTER_NAMES or EXPECTED_ROUTERS, or in BMP_ALLOW as \
                 a single address.",
            )
            .for_new_connections(),
            aliased(
                "BMP_MAX_CONNECTIONS_PER_ADDRESS",
                &["BMP_CONNECTIONS_PER_ADDRESS_MAX"],
                integer(1, 100_000, ""),
                "32",
                "Number of concurrent BMP connections from one address, or from one IPv6 /64, above which \
                 further ones are refused once less than a tenth of BMP_MAX_CONNECTIONS is free.",
            )
            .for_new_connections(),
            derived(
                "BMP_ROUTER_NAMES",
                Kind::RouterNames,
                "the router's sysName, else its address",
                "Router names by source address, such as `192.0.2.1=edge1,192.0.2.2=edge2`. The name \
                 identifies the router in the database. A router at another address that sends one of \
                 these names as its sysName is stored under `name@address`.",
            )
            .for_new_connections(),
            fixed(
                "BMP_ROUTER_MOVES",
                Kind::Choice(&["allow", "deny"]),
                "allow",
                "Router that sends the sysName of one that was last connected from another address and is \
                 not in BMP_ROUTER_NAMES. `allow`: it is the same router, with an alarm. `deny`: it is \
                 another one, stored under `name@address`.",
            )
            .for_new_connections(),
            derived(
                "EXPECTED_ROUTERS",
                Kind::Routers,
                "all routers that are known from earlier sessions",
                "Names or addresses of the routers that should be connected, such as `edge1,192.0.2.2`. \
                 `holdfast status` is degraded while one of them is not. With this setting, other routers \
                 may disconnect for good.",
            )
            .on_reload(),
            derived(
                "BMP_OVERRIDES",
                Kind::Overrides,
                "negotiated in the BGP OPENs, else auto-detected",
                "Encoding of the messages of routers that deviate from their BGP OPENs, by router name: \
                 `edge1:as-width=2` (octets per AS number in AS_PATH and AGGREGATOR), \
                 `edge1/ipv4_labelled_unicast:add-path=on` (ADD-PATH path identifiers). Address families \
                 are named as in the column `family`; an entry with a family takes precedence over one \
                 without.",
            )
            .for_new_connections(),
            fixed(
                "BMP_FIRST_MESSAGE_S",
                integer(1, 86_400, "s"),
                "60",
                "Time after which a connection is closed if it has sent neither an Initiation nor a per-peer \
                 message.",
            )
            .for_new_connections(),
            fixed(
                "BMP_KEEPALIVE_S",
                integer(1, 7_200, "s"),
                "60",
                "Idle time after which TCP keepalive probes are sent. An idle session is never closed if \
                 the probes are acknowledged.",
            )
            .for_new_connections(),
            fixed(
                "BMP_USER_TIMEOUT_S",
                integer(1, 86_400, "s"),
                "120",
                "Time without a TCP acknowledgement after which a connection is considered lost.",
            )
            .for_new_connections(),
            fixed(
                "SWEEP_QUIET_S",
                integer(1, 86_400, "s"),
                "60",
                "Time without a route that is announced for the first time since the peer came up. Then, \
                 after End-of-RIB, routes missing from a re-sent table are ended; and a table without \
                 End-of-RIB is taken to be complete. At most ten times as long after End-of-RIB.",
            )
            .for_new_connections(),
            fixed(
                "SWEEP_WITHOUT_END_OF_RIB_S",
                integer(0, 604_800, "s"),
                "0",
                "The same time for routers that send no End-of-RIB (GoBGP), after which routes missing from \
                 a re-sent table are ended. 0: never; such routes stay stale.",
            )
            .for_new_connections(),
            derived(
                "COLLECTOR_ID",
                Kind::Text,
                "the host name",
                "Identity of this collector in the database. Do not change it while the log contains \
                 undelivered routes.",
            ),
        ],
    },
    Section { title: "Transports of BMP", note: "", settings: TRANSPORT },
    Section {
        title: "Database",
        note: "If none are set, Holdfast only buffers locally (store-only mode).",
        settings: DATABASE,
    },
    Section {
        title: "Write-ahead log",
        note: "",
        settings: &[
            derived(
                "STATE_DIR",
                Kind::Path,
                "$STATE_DIRECTORY (set by systemd), else ./holdfast-data",
                "Directory of all persistent data.",
            ),
            derived(
                "WAL_DIR",
                Kind::Path,
                "STATE_DIR/wal",
                "Directory of the write-ahead log. A disk of its own is recommended.",
            ),
            aliased(
                "WAL_MAX_BYTES",
                &["WAL_BYTES_MAX"],
                Kind::Bytes { min: 96 * MIB, max: 1024 * TIB },
                "10GiB",
                "Maximum size of the log. WAL_FULL sets the behavior at this limit.",
            )
            .on_reload(),
            aliased(
                "WAL_MIN_FREE_PERCENT",
                &["WAL_FREE_PERCENT_MIN"],
                integer(0, 90, "%"),
                "10",
                "Minimum free space that the log leaves on its file system.",
            )
            .on_reload(),
            fixed(
                "WAL_SEGMENT_BYTES",
                Kind::Bytes { min: 16 * MIB, max: 2048 * MIB },
                "64MiB",
                "Size of a segment file of the log.",
            ),
            fixed(
                "WAL_SYNC_INTERVAL_MS",
                integer(0, 60_000, "ms"),
                "200",
                "Maximum interval between fsyncs; also the most data (in time) that a power loss can cost. \
                 With 0 every batch is synced.",
            ),
            fixed(
                "WAL_FULL",
                Kind::Choice(&["pause", "drop-oldest"]),
                "pause",
                "Behavior at the size limit. `pause`: ingest pauses and no data is lost; an unknown router \
                 that connects then is read when log usage is below 50 %. `drop-oldest`: the oldest \
                 undelivered batches are dropped and recorded in the table `collector_gaps`.",
            ),
            fixed(
                "ROUTER_LOG_SHARE",
                integer(1, 100, "%"),
                "75",
                "Share of the log that the undelivered routes of one router may fill. A router at its share \
                 waits, and continues when routes are delivered; several that fill the log together get \
                 less each, so that there is space for all others. 100: no limit. Without effect with \
                 `WAL_FULL=drop-oldest`.",
            )
            .on_reload(),
            fixed(
                "WAL_COMPRESSION",
                Kind::Choice(&["none", "lz4"]),
                "none",
                "Compression of batches in the log. `lz4` saves disk space at the cost of some CPU time.",
            ),
        ],
    },
    Section {
        title: "Batches and delivery",
        note: "",
        settings: &[
            fixed(
                "BATCH_MAX_ROUTES",
                integer(1, 50_000, "routes"),
                "1000",
                "Maximum number of records in a batch. A full batch is appended to the log at once.",
            )
            .for_new_connections(),
            fixed(
                "BATCH_MAX_DELAY_MS",
                integer(1, 10_000, "ms"),
                "10",
                "Maximum time between the first record of a batch and its append to the log.",
            )
            .on_reload(),
            fixed(
                "DRAIN_MAX_ROWS",
                integer(1, 1_000_000, "rows"),
                "10000",
                "Maximum number of rows in a database transaction. Larger transactions compensate for a \
                 high round-trip time to the database; each lane needs 3 kB of memory per row.",
            )
            .on_reload(),
            fixed(
                "DRAIN_MAX_DELAY_MS",
                integer(1, 60_000, "ms"),
                "500",
                "Maximum time for which a transaction waits for further rows.",
            )
            .on_reload(),
            fixed(
                "DRAIN_LANES",
                integer(1, 16, ""),
                "2",
                "Number of parallel deliveries of tables, and of changes: twice as many connections.",
            ),
            fixed(
                "HISTORY_DEDUP",
                Kind::Choice(&["off", "re-dumps", "always", "on", "true", "false"]),
                "always",
                "Announcements that add no history row if they change nothing: none (`off`), those of a \
                 re-sent table after a reconnect or Peer Up (`re-dumps`), or all (`always`). The ledger \
                 counts them as unchanged. `on` and `true` mean `re-dumps`; `false` means `off`.",
            ),
            fixed(
                "HISTORY_DIRECT_COMPRESS",
                Kind::Choice(&["auto", "on", "off", "true", "false"]),
                "auto",
                "Write history compressed, on a server that can: TimescaleDB's community edition from 2.28.1 \
                 on. `auto` does so there, and stores rows elsewhere; with `on`, rows are a condition of the \
                 status; `off` always stores rows.",
            )
            .for_new_connections(),
            fixed(
                "CHUNK_INTERVAL_DAYS",
                integer(1, 365, "days"),
                "7",
                "Time range of one chunk (partition) of the history tables.",
            ),
            fixed(
                "RETENTION_ROUTES_DAYS",
                integer(0, 36_500, "days"),
                "1825",
                "Retention period of route history. 0 disables retention.",
            )
            .on_reload(),
            fixed(
                "RETENTION_EVENTS_DAYS",
                integer(0, 36_500, "days"),
                "180",
                "Retention period of peer events and statistics. 0 disables retention.",
            )
            .on_reload(),
            fixed(
                "FORGET_AFTER_DAYS",
                integer(0, 36_500, "days"),
                "0",
                "Age at which peers that are not up, and disconnected routers, leave the current tables, as \
                 by `holdfast forget`. Their history remains. 0 keeps them. Some routers (BIRD) do not \
                 re-announce their peers after a reconnect, so that valid routes may be that old.",
            )
            .on_reload(),
        ],
    },
    Section {
        title: "Logging, status, Sentry",
        note: "",
        settings: &[
            fixed(
                "LOG_LEVEL",
                Kind::Choice(&["TRACE", "DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"]),
                "INFO",
                "Minimum log level.",
            )
            .on_reload(),
            fixed(
                "LOG_FORMAT",
                Kind::Choice(&["auto", "json", "text"]),
                "auto",
                "Format of log lines. `auto`: text if standard output is a terminal, else JSON.",
            ),
            fixed(
                "LOG_MAX_BYTES_PER_SECOND",
                Kind::Bytes { min: MIB / 16, max: 1024 * MIB },
                "1MiB",
                "Budget of the log output. Half of it is for lines about routers, a sixteenth for each \
                 router, and a quarter for other lines; lines of the level DEBUG have eight times as much. \
                 Lines beyond it are counted instead of written.",
            )
            .on_reload(),
            fixed(
                "STATS_INTERVAL_S",
                integer(1, 86_400, "s"),
                "10",
                "Interval between two `route_stats` log lines of an active router.",
            )
            .on_reload(),
            derived(
                "STATUS_SOCKET",
                Kind::Path,
                "status.sock in $RUNTIME_DIRECTORY (set by systemd), else in STATE_DIR",
                "Unix socket that `holdfast status` connects to.",
            ),
            derived(
                "SENTRY_DSN",
                Kind::Url,
                "none; no errors are reported",
                "Sentry DSN to which errors are reported.",
            ),
            fixed("SENTRY_ENVIRONMENT", Kind::Text, "production", "Environment name in Sentry events."),
            fixed(
                "SENTRY_TRACES_SAMPLE_RATE",
                Kind::Decimal { min: 0.0, max: 1.0 },
                "0.1",
                "Fraction of database transactions that are traced.",
            ),
        ],
    },
    Section { title: "HTTP", note: "", settings: HTTP },
];
