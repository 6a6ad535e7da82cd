//! Accepted and rejected settings, and the messages for rejected ones.

use std::path::PathBuf;
use std::time::Duration;

use crate::common::secrets::write_secret;
use holdfast::config::{self, Config, EnvFile, FileVariable, Inputs, Invalid, LogFormat};
use holdfast::sink::{Dedup, DirectCompress, SslMode};

fn inputs(environment: &[(&str, &str)], file: &[(&str, &str)]) -> Inputs {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    };
    let variables = pairs(file).into_iter().zip(1..).map(|((name, value), line)| FileVariable {
        name,
        value,
        line,
        last_line: line,
        doubts: Vec::new(),
    });
    let file =
        EnvFile { path: PathBuf::from("test.env"), variables: variables.collect(), warnings: Vec::new() };
    Inputs { environment: pairs(environment), file: Some(file) }
}

fn load(environment: &[(&str, &str)]) -> Result<Config, Invalid> {
    config::load(&inputs(environment, &[])).map(|(_, config)| config)
}

/// The names of the rejected variables, and the complete message.
fn refused(environment: &[(&str, &str)]) -> (Vec<String>, String) {
    let invalid = load(environment).expect_err("must be refused");
    (invalid.problems.iter().map(|problem| problem.name.clone()).collect(), invalid.to_string())
}

/// The listening addresses: host, port, whether they are TLS.
fn listening(config: &config::Config) -> Vec<(&str, u16, bool)> {
    let addresses = config.listen.transport.listen.iter();
    addresses.map(|address| (&*address.host, address.port, address.is_tls)).collect()
}

#[test]
fn an_empty_environment_gives_the_documented_defaults() {
    let config = load(&[]).unwrap();
    assert_eq!(listening(&config), [("0.0.0.0", 11_019, false)]);
    assert_eq!(config.delivery.batch_max_routes, 1_000);
    assert_eq!(config.delivery.batch_max_delay, Duration::from_millis(10));
    assert_eq!((config.delivery.drain_max_rows, config.delivery.lanes), (10_000, 2));
    assert_eq!(config.wal.max_bytes, 10 << 30);
    assert_eq!(config.wal.sync_interval, Duration::from_millis(200));
    assert_eq!(config.wal.dir, PathBuf::from("./holdfast-data/wal"));
    assert_eq!(config.logging.format, LogFormat::Auto);
    assert!(config.database.is_none() && config.sentry.is_none() && config.listen.allow.is_empty());
    assert!(!config.collector.is_empty());
}

#[test]
fn a_wrong_override_is_refused_with_the_accepted_form() {
    let config = load(&[("BMP_OVERRIDES", "edge1/evpn:add-path=on,edge1:as-width=2")]).unwrap();
    assert_eq!(config.listen.overrides["edge1"].to_string(), "as-width=2 evpn:add-path=on");
    for wrong in ["edge1/ipv5:add-path=on", "edge1:as-width=3", "add-path=on"] {
        let (names, said) = refused(&[("BMP_OVERRIDES", wrong)]);
        assert_eq!(names, ["BMP_OVERRIDES"]);
        assert!(said.contains("ROUTER[/FAMILY]:add-path=on|off"), "{said}");
    }
}

#[test]
fn history_dedup_has_three_values_and_accepts_those_of_earlier_releases() {
    let dedup = |value| load(&[("HISTORY_DEDUP", value)]).unwrap().delivery.history_dedup;
    assert_eq!(load(&[]).unwrap().delivery.history_dedup, Dedup::default());
    assert_eq!(["off", "re-dumps", "always"].map(dedup), [Dedup::Off, Dedup::ReDumps, Dedup::Always]);
    assert_eq!(["OFF", "false"].map(dedup), [Dedup::Off; 2]);
    assert_eq!(["on", "ON", "true"].map(dedup), [Dedup::ReDumps; 3]);
    assert_eq!(refused(&[("HISTORY_DEDUP", "yes")]).0, ["HISTORY_DEDUP"]);
}

#[test]
fn history_direct_compress_has_three_values() {
    let wish = |value| load(&[("HISTORY_DIRECT_COMPRESS", value)]).unwrap().delivery.history_direct_compress;
    assert_eq!(load(&[]).unwrap().delivery.history_direct_compress, DirectCompress::Auto);
    assert_eq!(["auto", "AUTO"].map(wish), [DirectCompress::Auto; 2]);
    assert_eq!(["on", "true"].map(wish), [DirectCompress::On; 2]);
    assert_eq!(["off", "false"].map(wish), [DirectCompress::Off; 2]);
    let (names, text) = refused(&[("HISTORY_DIRECT_COMPRESS", "yes")]);
    assert_eq!(names, ["HISTORY_DIRECT_COMPRESS"]);
    assert!(text.contains("auto"), "{text}");
}

#[test]
fn every_setting_can_be_given_by_each_of_its_names_in_any_case() {
    for setting in config::all() {
        let value = match setting.name {
            "DATABASE_URL" => "postgres://user@host/name",
            "SENTRY_DSN" => "https://key@localhost/1",
            "DB_PASSWORD_FILE" | "DB_SSLROOTCERT" => "/dev/null",
            "BMP_ALLOW" | "BMP_PROXY_FROM" => "192.0.2.0/24",
            "BMP_LISTEN" | "BMP_CONNECT" => "192.0.2.1:11019",
            "HTTP_LISTEN" => "127.0.0.1:11080",
            "BMP_MD5" => "192.0.2.0/24=/dev/null",
            "BMP_RECEIVE_BUFFER" => "1MiB",
            "BMP_ROUTER_NAMES" => "192.0.2.1=edge1",
            "EXPECTED_ROUTERS" => "edge1",
            "BMP_OVERRIDES" => "edge1:as-width=2",
            _ if setting.default.is_empty() => "value",
            _ => setting.default,
        };
        for name in std::iter::once(&setting.name).chain(setting.aliases) {
            for name in [(*name).to_owned(), name.to_ascii_lowercase()] {
                let problems =
                    load(&[(&name, value)]).err().map_or_else(Vec::new, |invalid| invalid.problems);
                // These files are read, or need a listening address with TLS. Authorities of HTTP clients
                // need both a certificate and its key.
                let needs_pair = setting.name == "HTTP_TLS_CLIENT_CA";
                let expected = usize::from(needs_pair) * 2
                    + usize::from(matches!(
                        setting.name,
                        "DB_PASSWORD_FILE"
                            | "DB_SSLROOTCERT"
                            | "DB_SSLCERT"
                            | "DB_SSLKEY"
                            | "BMP_TLS_CERT"
                            | "BMP_TLS_KEY"
                            | "BMP_TLS_CLIENT_CA"
                            | "HTTP_TLS_CERT"
                            | "HTTP_TLS_KEY"
                            | "HTTP_TOKEN_FILE"
                    ));
                assert_eq!(problems.len(), expected, "{name}={value}: {problems:?}");
            }
        }
    }
}

#[test]
fn an_unknown_name_with_a_prefix_of_ours_is_refused_with_the_name_that_was_meant() {
    for (wrong, meant) in [
        ("BMP_LISTEN_PROT", "BMP_LISTEN_PORT"),
        ("db_hots", "DB_HOST"),
        ("DATABASE_PASWORD", "DATABASE_PASSWORD"),
        ("WAL_MAX_BYTE", "WAL_MAX_BYTES"),
        ("BATCH_MAX_ROUTS", "BATCH_MAX_ROUTES"),
        ("DRAIN_MAX_ROW", "DRAIN_MAX_ROWS"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("SENTRY_DNS", "SENTRY_DSN"),
        ("STATUS_SOCKETS", "STATUS_SOCKET"),
    ] {
        let (names, text) = refused(&[(wrong, "1")]);
        assert_eq!(names, [wrong]);
        assert!(text.contains(&format!("did you mean {meant}?")), "{text}");
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    load(&[
        ("PATH", "/bin"),
        ("POSTGRES_PASSWORD", "x"),
        ("STATE_DIRECTORY", "/var/lib/holdfast"),
        ("LOG_NAMESPACE", "n"),
    ])
    .unwrap();
}

#[test]
fn a_value_out_of_range_is_refused_with_what_would_be_accepted() {
    for (name, value, accepted) in [
        ("BMP_LISTEN_PORT", "65536", "from 0 to 65535"),
        ("BMP_LISTEN_PORT", "-1", "from 0 to 65535"),
        ("BMP_LISTEN_PORT", "http", "from 0 to 65535"),
        ("BMP_LISTEN_HOST", "not a host", "an IP address or a host name"),
        ("BMP_ALLOW", "192.0.2.0/33", "list of IP prefixes"),
        ("BMP_ROUTER_NAMES", "edge1", "address=name"),
        ("EXPECTED_ROUTERS", "192.0.2.0/24", "list of router names or addresses"),
        ("LOG_LEVEL", "LOUD", "one of TRACE, DEBUG, INFO"),
        ("LOG_FORMAT", "xml", "one of auto, json, text"),
        ("WAL_MAX_BYTES", "ten", "expected a size from 96MiB"),
        ("WAL_FULL", "drop-newest", "one of pause, drop-oldest"),
        ("SENTRY_TRACES_SAMPLE_RATE", "1.1", "a number from 0 to 1"),
        ("SENTRY_TRACES_SAMPLE_RATE", "NaN", "a number from 0 to 1"),
        ("DRAIN_LANES", "0", "from 1 to 16"),
        ("DB_SSLMODE", "maybe", "verify-full"),
    ] {
        let (names, text) = refused(&[(name, value)]);
        assert_eq!(names, [name], "{name}={value}");
        assert!(text.contains(accepted), "{text}");
    }
}

#[test]
fn contradictions_are_refused() {
    let long = [("WAL_SEGMENT_BYTES", "1GiB"), ("WAL_MAX_BYTES", "4GiB")];
    for (environment, named) in [
        (&[("DATABASE_URL", "postgres://u@h/d"), ("DB_HOST", "h")][..], "DB_HOST"),
        (&[("DB_PASSWORD", "x"), ("DB_PASSWORD_FILE", "/nonexistent")], "DB_PASSWORD_FILE"),
        (&[("DATABASE_URL", "postgres://u:p@h/d"), ("DB_PASSWORD", "x")], "DB_PASSWORD"),
        (&[("DATABASE_URL", "postgres://u@h/d?sslmode=require"), ("DB_SSLMODE", "prefer")], "DB_SSLMODE"),
        (&[("DB_HOST", "a"), ("DATABASE_HOST", "b")], "DATABASE_HOST"),
        (&[("BATCH_MAX_ROUTES", "2000"), ("DRAIN_MAX_ROWS", "1000")], "BATCH_MAX_ROUTES"),
        (&[("BMP_KEEPALIVE_S", "60"), ("BMP_USER_TIMEOUT_S", "30")], "BMP_KEEPALIVE_S"),
        (&long, "WAL_MAX_BYTES"),
    ] {
        let (names, text) = refused(environment);
        assert!(names.contains(&named.to_owned()), "{environment:?}: {text}");
    }
    load(&[("DB_HOST", "same"), ("DATABASE_HOST", "same")]).unwrap();
}

#[test]
fn the_former_spelling_of_a_limit_is_accepted_and_messages_use_it() {
    let config =
        load(&[("WAL_BYTES_MAX", "1GiB"), ("WAL_FREE_PERCENT_MIN", "5"), ("BMP_CONNECTIONS_MAX", "7")])
            .unwrap();
    let wal = &config.wal;
    assert_eq!((wal.max_bytes, wal.min_free_percent, config.listen.max_connections), (1 << 30, 5, 7));
    let (names, text) = refused(&[("WAL_BYTES_MAX", "1GiB"), ("WAL_MAX_BYTES", "2GiB")]);
    assert!(names == ["WAL_MAX_BYTES"] && text.contains("WAL_BYTES_MAX"), "{text}");
    for (name, value) in [("WAL_BYTES_MAX", "ten"), ("wal_bytes_max", "97MiB"), ("BMP_CONNECTIONS_MAX", "0")]
    {
        assert_eq!(refused(&[(name, value)]).0, [name]);
    }
    let (_, text) = refused(&[("drain_max_rows", "10")]);
    assert!(text.contains("exceeds drain_max_rows (10)"), "{text}");
}

#[test]
fn the_minimum_pool_size_of_pybmpmon_is_ignored() {
    let config = load(&[("DB_POOL_MIN_SIZE", "200")]).unwrap();
    assert!(config.database.is_none());
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let (names, _) =
        refused(&[("BMP_LISTEN_PORT", "x"), ("LOG_LEVEL", "x"), ("DB_HOTS", "x"), ("DRAIN_LANES", "99")]);
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn the_environment_wins_over_the_file_and_an_empty_value_is_none() {
    let load = |environment, file| config::load(&inputs(environment, file)).unwrap();
    let (typed, config) =
        load(&[("LOG_LEVEL", "ERROR")], &[("LOG_LEVEL", "DEBUG"), ("BMP_LISTEN_PORT", "1179")]);
    assert_eq!(config.logging.level, tracing::Level::ERROR);
    assert_eq!(listening(&config), [("0.0.0.0", 1_179, false)]);
    let source = |name| typed.by_name(name).unwrap().source.to_string();
    assert_eq!(source("LOG_LEVEL"), "environment, LOG_LEVEL");
    assert_eq!(source("BMP_LISTEN_PORT"), "test.env line 2, BMP_LISTEN_PORT");
    let config = load(&[("BMP_LISTEN_PORT", "")], &[("BMP_LISTEN_PORT", "1179")]).1;
    assert_eq!(listening(&config), [("0.0.0.0", 1_179, false)]);
    assert!(load(&[("DB_HOST", ""), ("DATABASE_URL", " ")], &[]).1.database.is_none());
}

#[test]
fn the_names_of_pybmpmon_and_its_documented_aliases_reach_the_database() {
    for environment in [
        [("DB_HOST", "db"), ("DB_PORT", "5433"), ("DB_USER", "u"), ("DB_PASSWORD", "p"), ("DB_NAME", "n")],
        [
            ("DATABASE_HOST", "db"),
            ("DATABASE_PORT", "5433"),
            ("DATABASE_USER", "u"),
            ("DATABASE_PASSWORD", "p"),
            ("DATABASE_NAME", "n"),
        ],
    ] {
        let database = load(&environment).unwrap().database.unwrap();
        assert_eq!(database.connection.get_hosts(), [tokio_postgres::config::Host::Tcp("db".to_owned())]);
        assert_eq!(database.connection.get_ports(), [5_433]);
        assert_eq!(database.connection.get_user(), Some("u"));
        assert_eq!(database.connection.get_dbname(), Some("n"));
        assert_eq!(database.connection.get_password(), Some(&b"p"[..]));
        assert_eq!(database.ssl_mode, SslMode::Prefer);
    }
}

#[test]
fn the_schema_of_the_database_is_a_plain_identifier() {
    let layout = |settings: &[(&str, &str)]| load(settings).unwrap().database.unwrap().layout;
    let default = layout(&[("DB_HOST", "db")]);
    assert_eq!((default.schema.as_str(), default.has_public_views), ("holdfast", true));
    let other =
        layout(&[("DATABASE_URL", "postgres://u@h/d"), ("DB_SCHEMA", "bmp_2"), ("DB_PUBLIC_VIEWS", "NO")]);
    assert_eq!((other.schema.as_str(), other.has_public_views), ("bmp_2", false));
    assert!(layout(&[("DB_HOST", "db"), ("DB_SCHEMA", "public")]).schema.is_public());
    for name in ["Bmp", "2b", "a-b", "a.b", "\"a\"", "pg_toast", "information_schema", "_timescaledb_catalog"]
    {
        let (names, text) = refused(&[("DB_HOST", "db"), ("DB_SCHEMA", name)]);
        assert_eq!(names, ["DB_SCHEMA"], "{name}");
        assert!(text.contains("lower-case letters, digits and underscores"), "{text}");
    }
    assert_eq!(refused(&[("DB_HOST", "db"), ("DB_PUBLIC_VIEWS", "maybe")]).0, ["DB_PUBLIC_VIEWS"]);
}

#[test]
fn a_url_may_carry_what_the_driver_has_no_words_for() {
    let url = "postgres://u:p%40ss@[2001:db8::1]:5433/n?sslmode=verify-full&options=-c%20search_path%3Dbmp";
    let database = load(&[("DATABASE_URL", url)]).unwrap().database.unwrap();
    assert_eq!(database.ssl_mode, SslMode::VerifyFull);
    assert_eq!(database.connection.get_password(), Some(&b"p@ss"[..]));
    assert_eq!(database.connection.get_options(), Some("-c search_path=bmp"));
    for url in [
        "host=db user=u",
        "mysql://u@h/d",
        "postgres://",
        "postgres://u@h:port/d",
        "postgres://u@h/d?sslmode=no",
    ] {
        assert_eq!(refused(&[("DATABASE_URL", url)]).0, ["DATABASE_URL"], "{url}");
    }
}

#[test]
fn the_password_may_come_from_a_file_or_a_credential() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db_password");
    write_secret(&path, "from file\n");
    let file = path.to_str().unwrap();
    let directory = folder.path().to_str().unwrap();
    let password = |environment: &[(&str, &str)]| {
        let database = load(environment).unwrap().database.unwrap();
        (database.connection.get_password().map(<[u8]>::to_vec), database.password_source)
    };
    assert_eq!(password(&[("DB_PASSWORD_FILE", file)]).0.unwrap(), b"from file");
    let (credential, source) = password(&[("DB_HOST", "h"), ("CREDENTIALS_DIRECTORY", directory)]);
    assert_eq!(credential.unwrap(), b"from file");
    assert!(source.starts_with("systemd credential"), "{source}");
    let url = [("DATABASE_URL", "postgres://u@h/d"), ("CREDENTIALS_DIRECTORY", directory)];
    assert_eq!(password(&url).0.unwrap(), b"from file");
    assert_eq!(
        password(&[("DB_HOST", "h"), ("DB_PASSWORD", "typed"), ("CREDENTIALS_DIRECTORY", directory)])
            .0
            .unwrap(),
        b"typed"
    );
    assert_eq!(refused(&[("DB_PASSWORD_FILE", "/nonexistent/file")]).0, ["DB_PASSWORD_FILE"]);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = refused(&[("DB_PASSWORD_FILE", file)]);
    assert!(open.1.contains("db_password is accessible to other users (mode 0644)"), "{open:?}");
    // systemd decides who may access a credential.
    assert!(password(&[("DB_HOST", "h"), ("CREDENTIALS_DIRECTORY", directory)]).0.is_some());
}

#[test]
fn the_password_file_of_libpq_is_asked_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".pgpass");
    std::fs::write(&path, "db.example:*:bmp:*:by file\n*:*:*:*:other\n").unwrap();
    let (file, home) = (path.to_str().unwrap(), folder.path().to_str().unwrap());
    let mode = |mode| {
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let at = |environment: &[(&str, &str)]| {
        let server = [("DB_HOST", "db.example"), ("DB_NAME", "bmp")];
        let database = load(&[&server, environment].concat()).unwrap().database.unwrap();
        (
            database.connection.get_password().map(|password| String::from_utf8_lossy(password).into_owned()),
            database.password_source,
        )
    };
    mode(0o600);
    let by_file = (Some("by file".to_owned()), format!("file {file}"));
    assert_eq!(at(&[("PGPASSFILE", file)]), by_file);
    assert_eq!(at(&[("HOME", home)]), by_file);
    assert_eq!(at(&[("HOME", home), ("DB_PASSWORD", "typed")]).0.unwrap(), "typed");
    assert_eq!(at(&[("HOME", "/nowhere")]), (None, "none".to_owned()));
    mode(0o644);
    let (password, source) = at(&[("HOME", home)]);
    assert!(password.is_none() && source.contains("readable by others"), "{source}");
    let refused = refused(&[("DB_HOST", "h"), ("PGPASSFILE", file)]);
    assert!(refused.1.contains("0600"), "{refused:?}");
}

#[test]
fn a_client_certificate_needs_its_key_and_the_key_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.key");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let key = path.to_str().unwrap();
    let missing = refused(&[("DB_HOST", "h"), ("DB_SSLKEY", key)]);
    assert!(missing.1.contains("DB_SSLCERT: must be set, because DB_SSLKEY is set"), "{missing:?}");
    let open = refused(&[("DB_HOST", "h"), ("DB_SSLCERT", key), ("DB_SSLKEY", key)]);
    assert!(open.1.contains("client.key is accessible to other users (mode 0644)"), "{open:?}");
}

#[test]
fn no_secret_is_shown() {
    let environment = [
        ("DATABASE_URL", "postgres://user:hunter2@db.example/n?password=hunter2"),
        ("SENTRY_DSN", "https://hunter2@localhost/1"),
    ];
    let (typed, config) = config::load(&inputs(&environment, &[])).unwrap();
    let shown = config::effective(&typed, &config);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("postgres://***@db.example/n"), "{shown}");
    assert!(!format!("{config:?}").contains("hunter2"));
    let (typed, config) = config::load(&inputs(&[("DB_PASSWORD", "hunter2")], &[])).unwrap();
    assert!(!format!("{} {config:?}", config::effective(&typed, &config)).contains("hunter2"));
    // A refused value is quoted in the message, unless it is a secret.
    for secret in [("DATABASE_URL", "postgres://u:hunter2@h:x/d"), ("SENTRY_DSN", "hunter2")] {
        assert!(!refused(&[secret]).1.contains("hunter2"));
    }
}

#[test]
fn systemd_says_where_things_lie() {
    let config =
        load(&[("STATE_DIRECTORY", "/var/lib/holdfast:/other"), ("RUNTIME_DIRECTORY", "/run/holdfast")])
            .unwrap();
    assert_eq!(config.state_dir, PathBuf::from("/var/lib/holdfast"));
    assert_eq!(config.wal.dir, PathBuf::from("/var/lib/holdfast/wal"));
    assert_eq!(config.status_socket, PathBuf::from("/run/holdfast/status.sock"));
    let config = load(&[("STATE_DIR", "/data"), ("STATE_DIRECTORY", "/var/lib/holdfast")]).unwrap();
    assert_eq!(config.status_socket, PathBuf::from("/data/status.sock"));
}

#[test]
fn listening_addresses_replace_the_host_and_the_port() {
    let list = ("BMP_LISTEN", "0.0.0.0:11019,tls://[::1]:11020");
    let tls = [("BMP_TLS_CERT", "/etc/cert.pem"), ("BMP_TLS_KEY", "/etc/key.pem")];
    let config = load(&[list, tls[0], tls[1]]).unwrap();
    assert_eq!(listening(&config), [("0.0.0.0", 11_019, false), ("::1", 11_020, true)]);
    let (names, text) = refused(&[list, tls[0], tls[1], ("BMP_LISTEN_PORT", "11019")]);
    assert_eq!(names, ["BMP_LISTEN_PORT"]);
    assert!(text.contains("is set together with BMP_LISTEN"), "{text}");
    assert_eq!(refused(&[list, tls[0]]).0, ["BMP_TLS_KEY"]);
    assert_eq!(refused(&tls).0, ["BMP_TLS_CERT", "BMP_TLS_KEY"]);
    assert_eq!(refused(&[("BMP_LISTEN", "localhost")]).0, ["BMP_LISTEN"]);
    assert_eq!(refused(&[("BMP_LISTEN", ",")]).0, ["BMP_LISTEN"]);
    assert_eq!(refused(&[("BMP_RECEIVE_BUFFER", "1")]).0, ["BMP_RECEIVE_BUFFER"]);
}
