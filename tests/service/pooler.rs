//! A database behind PgBouncer in transaction mode: `doctor`, the status and `query` say what is wrong and
//! what to do.

use crate::common::daemon::{Daemon, run};
use crate::common::db::{Database, Edition};
use crate::common::pooler::PgBouncer;

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_named_with_the_remedy() {
    let Some(database) = Database::migrated(Edition::Plain, "pooler_status").await else { return };
    let Some(pooler) = PgBouncer::start(&database, "status", "trixie", "transaction") else { return };
    let mut settings = database.settings(None);
    let port = pooler.port.to_string();
    settings.iter_mut().filter(|(name, _)| *name == "DB_PORT").for_each(|(_, value)| value.clone_from(&port));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let folder = tempfile::tempdir().unwrap();
    for command in [&["doctor"] as &[&str], &["check-config", "--connect"], &["query", "peers"]] {
        let output = run(folder.path(), command, &settings);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["PgBouncer with pool_mode = transaction or statement", "pool_mode = session"] {
            assert!(text.contains(part), "{command:?}: {text}");
        }
    }
    let daemon = Daemon::start(folder.path(), &settings);
    daemon.status_when(|document| {
        document.delivery.as_ref().is_some_and(|delivery| delivery.last_error.is_some())
    });
    let status = String::from_utf8(run(folder.path(), &["status"], &settings).stdout).unwrap();
    let text = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("PgBouncer") && text.contains("pool_mode = session"), "{status}");
    drop((daemon, pooler));
    database.drop().await;
}
