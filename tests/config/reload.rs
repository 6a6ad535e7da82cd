//! What a reload changes, and what waits for a restart.

use std::path::Path;

use crate::common::secrets::write_secret;
use holdfast::config::{self, Effect, Inputs, Kind, Reload, ReloadError, Setting};

fn inputs(environment: &[(&str, &str)]) -> Inputs {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs { environment: environment.iter().map(pair).collect(), file: None }
}

fn try_reload(before: &[(&str, &str)], after: &[(&str, &str)]) -> Result<Reload, ReloadError> {
    let (raw, config) = config::load(&inputs(before)).unwrap();
    config::reload(&raw, &config, &inputs(after))
}

/// The settings that change, and those that wait.
fn reload(before: &[(&str, &str)], after: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let Reload { changed, waiting, .. } = try_reload(before, after).unwrap();
    (changed, waiting)
}

/// A valid value that is not the default; `None` if the setting depends on others.
fn other_value(setting: &Setting) -> Option<String> {
    let value = match setting.kind {
        _ if setting.is_of_database() || setting.name.contains("_TLS_") => return None,
        Kind::Ignored => return None,
        Kind::Path if setting.name == "HTTP_TOKEN_FILE" => {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload-token");
            write_secret(&path, "3f9a7c51d2e84b60\n");
            return Some(path.to_str().unwrap().to_owned());
        }
        Kind::Integer { .. } => return Some((setting.default.parse::<u64>().unwrap() + 1).to_string()),
        Kind::Choice(words) => words.iter().find(|word| !word.eq_ignore_ascii_case(setting.default))?,
        Kind::Decimal { .. } => "0.5",
        Kind::Bytes { .. } if setting.name == "WAL_MAX_BYTES" => "20GiB",
        Kind::Bytes { .. } => "32MiB",
        Kind::Url => "https://key@localhost/1",
        Kind::Schema => "other",
        Kind::Prefixes => "192.0.2.0/24",
        Kind::RouterNames => "192.0.2.1=edge1",
        Kind::Overrides => "edge1:as-width=2",
        Kind::Listeners | Kind::Remotes => "192.0.2.1:11019",
        Kind::PrefixFiles => "192.0.2.0/24=/dev/null",
        Kind::Host => "127.0.0.1",
        Kind::Text | Kind::Secret | Kind::Path | Kind::HostOrSocket | Kind::Routers => "value",
    };
    Some(value.to_owned())
}

#[test]
fn every_setting_has_the_effect_that_the_table_states() {
    let mut tried = 0;
    for setting in config::all() {
        let Some(value) = other_value(setting) else { continue };
        let name = vec![setting.name.to_owned()];
        let none = Vec::new();
        let expected =
            if setting.effect == Effect::Restart { (none.clone(), name) } else { (name, none.clone()) };
        assert_eq!(reload(&[], &[(setting.name, &value)]), expected, "{}={value}", setting.name);
        // And back.
        let back = reload(&[(setting.name, &value)], &[]);
        assert_eq!(back, expected, "{} from {value}", setting.name);
        tried += 1;
    }
    assert!(tried > 40, "{tried} settings");
}

#[test]
fn the_same_value_in_another_form_is_no_change() {
    let none = (Vec::new(), Vec::new());
    let defaults = [("WAL_MAX_BYTES", "10G"), ("LOG_LEVEL", "info"), ("STATS_INTERVAL_S", "10 s")];
    assert_eq!(reload(&[], &defaults), none);
    assert_eq!(reload(&[("WAL_BYTES_MAX", "20GiB")], &[("wal_max_bytes", "20480MiB")]), none);
    assert_eq!(reload(&[("DB_POOL_MIN_SIZE", "1")], &[("DB_POOL_MIN_SIZE", "2")]), none);
}

#[test]
fn an_invalid_value_is_the_error_of_a_start() {
    let error = try_reload(&[], &[("BMP_ALLOW", "edge1"), ("BMP_ALOW", "::/0")]).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    for part in
        ["BMP_ALLOW (environment): invalid IP prefix", "such as 192.0.2.0/24", "did you mean BMP_ALLOW?"]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn settings_that_fit_together_only_after_a_restart_change_nothing() {
    let before = [("WAL_SEGMENT_BYTES", "64MiB"), ("WAL_MAX_BYTES", "1GiB")];
    let after = [("WAL_SEGMENT_BYTES", "16MiB"), ("WAL_MAX_BYTES", "96MiB")];
    let error = try_reload(&before, &after).unwrap_err();
    let ReloadError::NeedsRestart { waiting, problems } = &error else { panic!("{error:?}") };
    assert_eq!((waiting.as_slice(), problems.len()), (["WAL_SEGMENT_BYTES".to_owned()].as_slice(), 1));
    let text = error.to_string();
    assert!(text.starts_with("a restart is needed for WAL_SEGMENT_BYTES: WAL_MAX_BYTES"), "{text}");
}

/// The files of TLS change at once, and the token does not: without this, the server would be open to
/// everybody until the restart.
#[test]
fn certificates_of_clients_cannot_end_before_the_token_begins() {
    let before = [
        ("HTTP_LISTEN", "0.0.0.0:11080"),
        ("HTTP_TLS_CERT", "/http.pem"),
        ("HTTP_TLS_KEY", "/http.key"),
        ("HTTP_TLS_CLIENT_CA", "/ca.pem"),
    ];
    let mut after = before;
    after[3] = ("HTTP_TOKEN", "3f9a7c51d2e84b60");
    let error = try_reload(&before, &after).unwrap_err();
    let ReloadError::NeedsRestart { waiting, problems } = &error else { panic!("{error:?}") };
    assert_eq!((waiting.as_slice(), problems.len()), (["HTTP_TOKEN".to_owned()].as_slice(), 1));
    let all = [&before[..], &after[3..]].concat();
    assert_eq!(reload(&before, &all), (Vec::new(), vec!["HTTP_TOKEN".to_owned()]));
    after[3] = ("HTTP_TLS_CLIENT_CA", "/other-ca.pem");
    assert_eq!(reload(&before, &after), (vec!["HTTP_TLS_CLIENT_CA".to_owned()], Vec::new()));
}

#[test]
fn credentials_change_and_the_database_does_not() {
    let url = |url| [("DATABASE_URL", url)];
    let before = url("postgres://one:x@db:5432/bmp?sslmode=disable");
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let user =
        |reload: &Reload| reload.config.database.as_ref().unwrap().connection.get_user().unwrap().to_owned();
    for other in [
        "postgres://two:y@db/bmp?sslmode=disable",
        "postgres://two:x@db:5432/bmp?sslmode=require",
        "postgresql://two:x@db/bmp?options=-c%20work_mem=8MB",
    ] {
        let reload = try_reload(&before, &url(other)).unwrap();
        assert_eq!((&reload.changed, &reload.waiting), (&names(&["DATABASE_URL"]), &names(&[])), "{other}");
        assert_eq!(user(&reload), "two");
    }
    // Another database: everything of the database waits, and everything else does not.
    for other in [
        "postgres://two:x@db2:5432/bmp?sslmode=disable",
        "postgres://two:x@db:5433/bmp?sslmode=disable",
        "postgres://two:x@db:5432/other?sslmode=disable",
    ] {
        let after = [&url(other)[..], &[("BMP_ALLOW", "::/0"), ("DB_COMMAND_TIMEOUT_S", "7")]].concat();
        let reload = try_reload(&before, &after).unwrap();
        assert_eq!(reload.changed, names(&["BMP_ALLOW"]));
        assert_eq!(reload.waiting, names(&["DATABASE_URL", "DB_COMMAND_TIMEOUT_S"]));
        assert_eq!(user(&reload), "one");
    }
    // The same database in the other form.
    let parts = [("DB_HOST", "db"), ("DB_NAME", "bmp"), ("DB_USER", "two"), ("DB_SSLMODE", "disable")];
    let reload = try_reload(&before, &parts).unwrap();
    assert_eq!(reload.waiting, names(&[]));
    assert_eq!(user(&reload), "two");
    // Another schema is another database.
    for (name, value) in [("DB_SCHEMA", "other"), ("DB_PUBLIC_VIEWS", "no")] {
        let reload = try_reload(&before, &[&parts[..], &[(name, value)]].concat()).unwrap();
        assert!(reload.waiting.contains(&name.to_owned()), "{name}: {:?}", reload.waiting);
        assert_eq!(user(&reload), "one", "{name}");
    }
    // From store-only mode, and back to it.
    assert_eq!(try_reload(&[], &before).unwrap().waiting, names(&["DATABASE_URL"]));
    assert_eq!(try_reload(&before, &[]).unwrap().waiting, names(&["DATABASE_URL"]));
}

#[test]
fn the_contents_of_a_password_file_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    write_secret(&path, "hunter1\n");
    let settings = [("DB_PASSWORD_FILE", path.to_str().unwrap())];
    let (raw, config) = config::load(&inputs(&settings)).unwrap();
    let changed = || config::reload(&raw, &config, &inputs(&settings)).unwrap().changed;
    assert_eq!(changed(), Vec::<String>::new());
    std::fs::write(&path, "hunter2\n").unwrap();
    assert_eq!(changed(), [format!("database password (file {})", path.display())]);
    let error = std::fs::remove_file(&path).map(|()| config::reload(&raw, &config, &inputs(&settings)));
    let error = error.unwrap().unwrap_err().to_string();
    assert!(error.contains("DB_PASSWORD_FILE") && error.contains("cannot read"), "{error}");
}
