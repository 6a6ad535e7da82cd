//! The settings, section by section.

use super::{Kind, Section, Setting};

const NONE: &[&str] = &[];

const fn integer(min: u64, max: u64, unit: &'static str) -> Kind {
    Kind::Integer { min, max, unit }
}

const fn fixed(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, aliases: NONE, kind, default, derived: "", meaning }
}

const fn derived(name: &'static str, kind: Kind, derived: &'static str, meaning: &'static str) -> Setting {
    Setting { name, aliases: NONE, kind, default: "", derived, meaning }
}

const fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, aliases, kind, default, derived: "", meaning }
}

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// Every setting, in the order in which it is shown.
pub static SECTIONS: &[Section] = &[
    Section {
        title: "Routers",
        settings: &[
            fixed(
                "BMP_LISTEN_HOST",
                Kind::Host,
                "0.0.0.0",
                "Address on which routers connect. `::` takes IPv6 and IPv4.",
            ),
            fixed(
                "BMP_LISTEN_PORT",
                integer(0, 65_535, ""),
                "11019",
                "TCP port on which routers connect. 0 lets the kernel choose; the log and `holdfast status` say which.",
            ),
            derived(
                "BMP_ALLOW",
                Kind::Prefixes,
                "everybody",
                "Source prefixes that may connect, such as `192.0.2.0/24,2001:db8::/32`.",
            ),
            fixed(
                "BMP_CONNECTIONS_MAX",
                integer(1, 100_000, ""),
                "200",
                "How many routers may be connected at once.",
            ),
            derived(
                "BMP_ROUTER_NAMES",
                Kind::Names,
                "the router's sysName, else its address",
                "Fixed names by source address, such as `192.0.2.1=edge1,192.0.2.2=edge2`. A name is the router's identity in the database.",
            ),
            derived(
                "BMP_OVERRIDES",
                Kind::Overrides,
                "what the OPENs agree on, and evidence where a router does otherwise",
                "How to read what a router sends when it announces something else, by its name in the database: \
                 `edge1:as-width=2` (octets of AS numbers in AS_PATH and AGGREGATOR), `edge1/ipv4_labelled_unicast:add-path=on` (path \
                 identifiers, ADD-PATH). Families are named as in the column `family`; one with a family goes before one for all.",
            ),
            fixed(
                "BMP_FIRST_MESSAGE_S",
                integer(1, 86_400, "s"),
                "60",
                "A connection that has not sent a whole BMP message after this time is closed.",
            ),
            fixed(
                "BMP_KEEPALIVE_S",
                integer(1, 7_200, "s"),
                "60",
                "Quiet time after which TCP keepalive probes are sent. Silence alone never ends a session.",
            ),
            fixed(
                "BMP_USER_TIMEOUT_S",
                integer(1, 86_400, "s"),
                "120",
                "A router that answers no TCP probe for this time is gone.",
            ),
            fixed(
                "SWEEP_QUIET_S",
                integer(1, 86_400, "s"),
                "60",
                "Quiet time after End-of-RIB before routes that a re-sent table lacks are taken as gone.",
            ),
            derived(
                "COLLECTOR_ID",
                Kind::Text,
                "the host name",
                "Identity of this collector in the database. Never change it while the log holds undelivered routes.",
            ),
        ],
    },
    Section {
        title: "Database. With none of these set the daemon only stores, and delivers nothing",
        settings: &[
            derived(
                "DATABASE_URL",
                Kind::Url,
                "made of the DB_* values",
                "`postgres://user:password@host:port/name?sslmode=verify-full`, in place of the single values below.",
            ),
            aliased(
                "DB_HOST",
                &["DATABASE_HOST"],
                Kind::Text,
                "localhost",
                "Host name, address, or folder of the Unix socket.",
            ),
            aliased("DB_PORT", &["DATABASE_PORT"], integer(1, 65_535, ""), "5432", "TCP port."),
            aliased("DB_USER", &["DATABASE_USER"], Kind::Text, "bmpmon", "Role to connect as."),
            aliased("DB_NAME", &["DATABASE_NAME"], Kind::Text, "bmpmon", "Name of the database."),
            Setting {
                name: "DB_PASSWORD",
                aliases: &["DATABASE_PASSWORD"],
                kind: Kind::Secret,
                default: "",
                derived: "the systemd credential `db_password`, else none",
                meaning: "Password. Prefer the file or the credential: what is in the environment is seen by many.",
            },
            Setting {
                name: "DB_PASSWORD_FILE",
                aliases: &["DATABASE_PASSWORD_FILE"],
                kind: Kind::Path,
                default: "",
                derived: "none",
                meaning: "File whose first line is the password.",
            },
            Setting {
                name: "PGPASSFILE",
                aliases: NONE,
                kind: Kind::Path,
                default: "",
                derived: "~/.pgpass, if it is there",
                meaning: "Password file of libpq, one line `host:port:database:user:password` per server; asked when no other password is given.",
            },
            Setting {
                name: "DB_SSLMODE",
                aliases: &["DATABASE_SSLMODE"],
                kind: Kind::Choice(&["disable", "prefer", "require", "verify-ca", "verify-full"]),
                default: "prefer",
                derived: "",
                meaning: "TLS to the database, in the words of libpq. Only `verify-full` knows whom it talks to.",
            },
            Setting {
                name: "DB_SSLROOTCERT",
                aliases: &["DATABASE_SSLROOTCERT"],
                kind: Kind::Path,
                default: "",
                derived: "the certificates of the system",
                meaning: "PEM file with the certificates that may sign the server's; `system` for those of the system.",
            },
            Setting {
                name: "DB_SSLCERT",
                aliases: &["DATABASE_SSLCERT"],
                kind: Kind::Path,
                default: "",
                derived: "none",
                meaning: "PEM file with the certificate by which the server knows the collector.",
            },
            Setting {
                name: "DB_SSLKEY",
                aliases: &["DATABASE_SSLKEY"],
                kind: Kind::Path,
                default: "",
                derived: "none",
                meaning: "PEM file with its key, which nobody else may read.",
            },
            aliased(
                "DB_POOL_MIN_SIZE",
                &["DATABASE_POOL_MIN_SIZE"],
                integer(0, 100, ""),
                "1",
                "Taken for the sake of older configurations. Connections are opened when they are needed, so it changes nothing.",
            ),
            aliased(
                "DB_POOL_MAX_SIZE",
                &["DATABASE_POOL_MAX_SIZE"],
                integer(1, 100, ""),
                "4",
                "Connections for migrations, retention and health at most; each lane has one of its own beside them.",
            ),
            aliased(
                "DB_CONNECT_TIMEOUT_S",
                &["DATABASE_CONNECT_TIMEOUT"],
                integer(1, 600, "s"),
                "5",
                "How long one attempt to connect may take.",
            ),
            aliased(
                "DB_COMMAND_TIMEOUT_S",
                &["DATABASE_COMMAND_TIMEOUT", "DB_COMMAND_TIMEOUT"],
                integer(1, 3_600, "s"),
                "120",
                "How long one transaction may take before it is tried anew, smaller. A single batch gets up to 64 times as long.",
            ),
        ],
    },
    Section {
        title: "Log on disk",
        settings: &[
            derived(
                "STATE_DIR",
                Kind::Path,
                "$STATE_DIRECTORY of systemd, else ./holdfast-data",
                "Folder of all that the daemon keeps.",
            ),
            derived(
                "WAL_DIR",
                Kind::Path,
                "STATE_DIR/wal",
                "Folder of the log. Give it a disk of its own where you can.",
            ),
            fixed(
                "WAL_BYTES_MAX",
                Kind::Bytes { min: 96 * MIB, max: 1024 * TIB },
                "10GiB",
                "Most bytes that the log may take. At this cap reading from routers pauses.",
            ),
            fixed(
                "WAL_FREE_PERCENT_MIN",
                integer(0, 90, "%"),
                "10",
                "Free space of its file system that the log leaves alone.",
            ),
            fixed(
                "WAL_SEGMENT_BYTES",
                Kind::Bytes { min: 16 * MIB, max: 2048 * MIB },
                "64MiB",
                "Size of one file of the log.",
            ),
            fixed(
                "WAL_SYNC_INTERVAL_MS",
                integer(0, 60_000, "ms"),
                "200",
                "Most time between two syncs to disk, and so what a power cut may cost. 0 syncs every batch.",
            ),
            fixed(
                "WAL_FULL",
                Kind::Choice(&["pause", "drop-oldest"]),
                "pause",
                "What happens at the cap. `pause`: the routers wait, nothing is lost; one that closes meanwhile is let in again \
                 when half of the log is free. `drop-oldest`: the oldest routes that are not delivered yet are given up and \
                 become rows in `collector_gaps`.",
            ),
            fixed(
                "WAL_COMPRESSION",
                Kind::Choice(&["none", "lz4"]),
                "none",
                "How batches are stored. `lz4` takes less of the disk, and a little of the processor.",
            ),
        ],
    },
    Section {
        title: "Batches and delivery",
        settings: &[
            fixed(
                "BATCH_MAX_ROUTES",
                integer(1, 50_000, "routes"),
                "1000",
                "A batch is logged when it holds this many routes,",
            ),
            fixed(
                "BATCH_MAX_DELAY_MS",
                integer(1, 10_000, "ms"),
                "10",
                "or when its first route is this old.",
            ),
            fixed(
                "DRAIN_MAX_ROWS",
                integer(1, 1_000_000, "rows"),
                "10000",
                "Rows of a transaction. More make up for a long way to the database, and take 3 kB of memory each in every lane.",
            ),
            fixed(
                "DRAIN_MAX_DELAY_MS",
                integer(1, 60_000, "ms"),
                "500",
                "A transaction is sent to the database when it holds as many, or when its first row has waited this long.",
            ),
            fixed(
                "DRAIN_LANES",
                integer(1, 16, ""),
                "2",
                "Parallel deliveries. Fixed for the life of a log directory.",
            ),
            fixed(
                "HISTORY_DEDUP",
                Kind::Choice(&["on", "off"]),
                "on",
                "`on`: a table that a router sends again adds history only for what it changes. `off`: every announcement is kept.",
            ),
            fixed(
                "CHUNK_INTERVAL_DAYS",
                integer(1, 365, "days"),
                "7",
                "Time span of one chunk (partition) of the history tables.",
            ),
            fixed(
                "RETENTION_ROUTES_DAYS",
                integer(0, 36_500, "days"),
                "1825",
                "How long route history is kept. 0 keeps it for ever.",
            ),
            fixed(
                "RETENTION_EVENTS_DAYS",
                integer(0, 36_500, "days"),
                "180",
                "How long peer events and statistics are kept. 0 keeps them for ever.",
            ),
        ],
    },
    Section {
        title: "Log lines, status, Sentry",
        settings: &[
            fixed(
                "LOG_LEVEL",
                Kind::Choice(&["TRACE", "DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"]),
                "INFO",
                "Least level that is logged.",
            ),
            fixed(
                "LOG_FORMAT",
                Kind::Choice(&["auto", "json", "text"]),
                "auto",
                "`auto` is text on a terminal, JSON elsewhere.",
            ),
            fixed(
                "STATS_INTERVAL_S",
                integer(1, 86_400, "s"),
                "10",
                "How often `route_stats` is logged for each active router.",
            ),
            derived(
                "STATUS_SOCKET",
                Kind::Path,
                "$RUNTIME_DIRECTORY of systemd, else STATE_DIR, and in it status.sock",
                "Unix socket on which `holdfast status` is answered.",
            ),
            Setting {
                name: "SENTRY_DSN",
                aliases: NONE,
                kind: Kind::Url,
                default: "",
                derived: "off",
                meaning: "Where errors are reported. Without it nothing is sent anywhere.",
            },
            fixed("SENTRY_ENVIRONMENT", Kind::Text, "production", "Environment that the reports name."),
            fixed(
                "SENTRY_TRACES_SAMPLE_RATE",
                Kind::Decimal { min: 0.0, max: 1.0 },
                "0.1",
                "Share of the database writes that are traced.",
            ),
        ],
    },
];
