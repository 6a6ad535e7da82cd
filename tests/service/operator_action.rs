//! Errors before the delivery has started that only an operator can end: they are shown as such, with what to
//! do, by every output, and delivery begins once the cause is removed.

use std::io::Write as _;
use std::process::Command;

use crate::common::daemon::{Daemon, run, until};
use crate::common::db::{Database, Edition, testbed};
use crate::common::messages::{PEER, initiation, open};
use crate::common::web::{LISTEN, address, get, metric};
use holdfast::telemetry::status::{ConditionKind, summary};

/// A server of its own with roles that cannot log in for one reason each; `None` after a printed SKIPPED.
async fn server() -> Option<Database> {
    // Left by a failed run.
    drop(testbed(&["destroy", "--name", "tests-login"]));
    let database = Database::named(Edition::Plain, "tests-login", "login").await?;
    let client = database.client().await;
    let directory: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let rules = "VALUES ('host all login_word all scram-sha-256'), ('host all login_refused all reject'),
        ('host all all all trust'), ('local all all trust')";
    let name = database.config.get_dbname().unwrap();
    for sql in [
        "CREATE ROLE login_word SUPERUSER LOGIN PASSWORD 'hunter1'".to_owned(),
        "CREATE ROLE login_refused SUPERUSER LOGIN".to_owned(),
        "CREATE ROLE login_barred LOGIN".to_owned(),
        "CREATE ROLE login_never NOLOGIN".to_owned(),
        format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"),
        "CREATE DATABASE login_empty".to_owned(),
        format!("COPY ({rules}) TO '{directory}/login-hba.conf'"),
        format!("ALTER SYSTEM SET hba_file = '{directory}/login-hba.conf'"),
    ] {
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    drop(client);
    database.restart();
    Some(database)
}

/// The settings of the database, of which some have other values.
fn settings(database: &Database, other: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut settings = database.settings(None);
    settings.retain(|(name, _)| !other.iter().any(|(changed, _)| changed == name));
    settings.extend(other.iter().map(|(name, value)| (*name, (*value).to_owned())));
    settings
}

fn start(folder: &std::path::Path, settings: &[(&str, String)]) -> Daemon {
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    Daemon::start(folder, &settings.chain([LISTEN]).collect::<Vec<_>>())
}

/// Every output says that the operator must act, and this error with its remedy.
fn check(daemon: &mut Daemon, folder: &std::path::Path, error: &str, remedy: &str) {
    let server = address(daemon);
    let document = daemon.status_when(|document| document.delivery.as_ref().unwrap().last_error.is_some());
    let delivery = document.delivery.as_ref().unwrap();
    assert!(delivery.needs_operator, "{delivery:?}");
    assert_eq!(document.conditions, [ConditionKind::DeliveryNotStarted], "{:?}", document.reasons);
    let reason = &document.reasons[0];
    assert!(reason.starts_with("delivery not started: needs operator action: "), "{reason}");
    assert!(reason.contains(error) && reason.ends_with(remedy), "{reason}");
    let line = summary(&document);
    assert!(line.contains("delivery not started, needs operator action"), "{line}");
    for arguments in [&["status"][..], &["status", "--all"], &["status", "--problems"]] {
        let shown = run(folder, arguments, &[]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("needs operator action"), "{arguments:?}: {shown}");
    }
    let is_blocked = |page: &String| metric(page, "holdfast_delivery_state", "state=\"blocked\"") == 1.0;
    let page = || Some(get(server, "/metrics").body).filter(is_blocked);
    let metrics = until(page, || get(server, "/metrics").body);
    let state = |state: &str| metric(&metrics, "holdfast_delivery_state", &format!("state=\"{state}\""));
    assert_eq!(["blocked", "retrying", "away"].map(state), [1.0, 0.0, 0.0]);
    assert!(get(server, "/").body.contains("needs operator action"));
    let page = get(server, "/delivery").body;
    assert!(page.contains("Delivery is blocked") && page.contains("operator action needed"), "{page}");
    assert!(page.contains(remedy), "{page}");
    let health = get(server, "/health");
    assert!(health.status == 503 && health.body.contains(remedy), "{}", health.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_only_an_operator_can_end_is_shown_with_its_remedy() {
    let Some(database) = server().await else { return };
    let grant = "grant the role its privileges with deploy/roles.sql, or use another DB_USER";
    let password = "set DB_PASSWORD, DB_PASSWORD_FILE or the credential to the password of DB_USER";
    let role = "create the role DB_USER if it is missing, and allow it and this address in pg_hba.conf";
    for (changed, error, remedy) in [
        (&[("DB_USER", "login_word"), ("DB_PASSWORD", "")][..], "password missing", password),
        (&[("DB_USER", "login_nobody")], "(28000)", role),
        (&[("DB_USER", "login_never")], "(28000)", role),
        (&[("DB_USER", "login_refused")], "(28000)", role),
        (&[("DB_USER", "login_barred")], "(42501)", grant),
        (
            &[("DB_USER", "login_barred"), ("DB_NAME", "login_empty")],
            "(42501)",
            "run `holdfast migrate` as the role that owns the tables (deploy/roles.sql)",
        ),
        (&[("DB_NAME", "login_nowhere")], "(3D000)", "create the database (createdb), or correct DB_NAME"),
        (
            &[("DB_SSLMODE", "require")],
            "TLS",
            "check DB_SSLMODE, DB_SSLROOTCERT, and the certificate of the server",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = start(folder.path(), &settings(&database, changed));
        check(&mut daemon, folder.path(), error, remedy);
        assert_eq!(daemon.stop().code(), Some(0), "{changed:?}");
    }

    // A wrong password, which becomes the right one: delivery begins without a restart.
    let folder = tempfile::tempdir().unwrap();
    let wrong = settings(&database, &[("DB_USER", "login_word"), ("DB_PASSWORD", "hunter2")]);
    let mut daemon = start(folder.path(), &wrong);
    check(&mut daemon, folder.path(), "(28P01)", password);
    let server = address(&mut daemon);
    let peer_up = PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    let mut router = daemon.connect();
    router.write_all(&[initiation("edge1"), peer_up].concat()).unwrap();
    database.client().await.batch_execute("ALTER ROLE login_word PASSWORD 'hunter2'").await.unwrap();
    // The retry that is due within a minute is made at once after a reload.
    let pid = daemon.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let delivered = || Some(daemon.status()).filter(|status| status.reasons.is_empty());
    let document = until(delivered, || format!("{:?}", daemon.status().reasons));
    assert!(!document.delivery.unwrap().lanes.is_empty());
    let state = |page: &String| metric(page, "holdfast_delivery_state", "state=\"delivering\"");
    let page = || Some(get(server, "/metrics").body).filter(|page| state(page) == 1.0);
    until(page, || get(server, "/metrics").body);
    daemon.kill();
    database.destroy();
}
