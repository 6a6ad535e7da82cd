//! The settings of the database.

use super::setting::{aliased, derived, fixed, integer};
use super::{Effect, Kind, Setting};

/// All settings of the database, in the order of display.
pub(super) const DATABASE: &[Setting] = &[
    derived(
        "DATABASE_URL",
        Kind::Url,
        "built from the DB_* settings",
        "Connection URL `postgres://user:password@host:port/name?sslmode=verify-full`, as an alternative to \
         DB_HOST, DB_PORT, DB_USER and DB_NAME. Another host, port or name needs a restart.",
    )
    .for_new_connections(),
    aliased(
        "DB_HOST",
        &["DATABASE_HOST"],
        Kind::HostOrSocket,
        "localhost",
        "Host name, IP address, or directory of the Unix socket. `host:port` sets DB_PORT as well.",
    ),
    aliased("DB_PORT", &["DATABASE_PORT"], integer(1, 65_535, ""), "5432", "TCP port of the server."),
    aliased("DB_USER", &["DATABASE_USER"], Kind::Text, "bmpmon", "Role to connect as.").for_new_connections(),
    aliased("DB_NAME", &["DATABASE_NAME"], Kind::Text, "bmpmon", "Database name."),
    fixed(
        "DB_SCHEMA",
        Kind::Schema,
        "holdfast",
        "Schema of all tables, views and functions. If it has none, and `public` has those of an earlier \
         release, `holdfast migrate` and the start move them here. Several collectors with different \
         schemas can share a database.",
    ),
    fixed(
        "DB_PUBLIC_VIEWS",
        Kind::Choice(&["no", "yes"]),
        "yes",
        "`yes` makes the tables that pybmpmon has as well visible in the schema `public`, as views of the \
         same names where these are free. `no` removes the views.",
    ),
    Setting {
        name: "DB_PASSWORD",
        aliases: &["DATABASE_PASSWORD"],
        kind: Kind::Secret,
        default: "",
        derived: "the systemd credential `db_password`, else none",
        description: "Password. Prefer a file or a systemd credential: environment variables are visible to \
                      other processes.",
        effect: Effect::NewConnections,
    },
    Setting {
        name: "DB_PASSWORD_FILE",
        aliases: &["DATABASE_PASSWORD_FILE"],
        kind: Kind::Path,
        default: "",
        derived: "none",
        description: "File whose first line is the password. It must not be accessible to others.",
        effect: Effect::NewConnections,
    },
    derived(
        "PGPASSFILE",
        Kind::Path,
        "~/.pgpass, if it exists",
        "Password file of libpq, with one line `host:port:database:user:password` per server. It is used if \
         no other password is configured.",
    )
    .for_new_connections(),
    aliased(
        "DB_SSLMODE",
        &["DATABASE_SSLMODE"],
        Kind::Choice(&["disable", "prefer", "require", "verify-ca", "verify-full"]),
        "prefer",
        "TLS mode (libpq sslmode). Only `verify-full` authenticates the server.",
    )
    .for_new_connections(),
    Setting {
        name: "DB_SSLROOTCERT",
        aliases: &["DATABASE_SSLROOTCERT"],
        kind: Kind::Path,
        default: "",
        derived: "the certificates of the operating system",
        description: "PEM file with the trusted root certificates; `system` selects those of the operating \
                      system.",
        effect: Effect::NewConnections,
    },
    Setting {
        name: "DB_SSLCERT",
        aliases: &["DATABASE_SSLCERT"],
        kind: Kind::Path,
        default: "",
        derived: "none",
        description: "PEM file with the client certificate.",
        effect: Effect::NewConnections,
    },
    Setting {
        name: "DB_SSLKEY",
        aliases: &["DATABASE_SSLKEY"],
        kind: Kind::Path,
        default: "",
        derived: "none",
        description: "PEM file with the private key of the client certificate. It must not be readable by \
                      others.",
        effect: Effect::NewConnections,
    },
    aliased(
        "DB_POOL_MIN_SIZE",
        &["DATABASE_POOL_MIN_SIZE"],
        Kind::Ignored,
        "1",
        "Ignored; accepted for compatibility with pybmpmon.",
    ),
    aliased(
        "DB_POOL_MAX_SIZE",
        &["DATABASE_POOL_MAX_SIZE"],
        integer(1, 100, ""),
        "4",
        "Maximum number of pooled connections for migrations, retention and health checks. Each lane has an \
         additional connection of its own.",
    )
    .for_new_connections(),
    aliased(
        "DB_CONNECT_TIMEOUT_S",
        &["DATABASE_CONNECT_TIMEOUT"],
        integer(1, 600, "s"),
        "5",
        "Timeout of a connection attempt.",
    )
    .for_new_connections(),
    aliased(
        "DB_COMMAND_TIMEOUT_S",
        &["DATABASE_COMMAND_TIMEOUT", "DB_COMMAND_TIMEOUT"],
        integer(1, 3_600, "s"),
        "120",
        "Timeout of a transaction, which is then retried with fewer rows. A transaction of one batch, which \
         cannot be split, gets up to 64 times as much.",
    )
    .for_new_connections(),
];
