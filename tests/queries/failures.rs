//! Commands whose database is unreachable, empty, or without the right to read: each error names its cause.

use std::net::TcpListener;
use std::process::Command;

use crate::common::db::{Database, Edition};
use crate::common::store;

/// Each command that uses the database.
const COMMANDS: [&[&str]; 6] = [
    &["query", "peers"],
    &["migrate"],
    &["forget", "edge1"],
    &["rebuild-state"],
    &["rejected"],
    &["rejected", "retry"],
];

fn holdfast(settings: &[(&str, &str)], words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(words)
        .env_clear()
        .env("COLLECTOR_ID", store::COLLECTOR)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_unreachable_server_is_named_with_the_cause() {
    // A port on which nobody listens any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let settings = [
        ("DB_HOST", "127.0.0.1"),
        ("DB_PORT", &port),
        ("DB_USER", "me"),
        ("DB_NAME", "bgp"),
        ("DB_SSLMODE", "disable"),
    ];
    for words in COMMANDS {
        let (code, error) = holdfast(&settings, words);
        let expected = format!(
            "holdfast: cannot connect to the database at 127.0.0.1:{port} (user me, database bgp): error \
             connecting to server: Connection refused (os error 111)\n"
        );
        assert!(code == Some(1) || code == Some(2), "{words:?}: {code:?}");
        assert_eq!(error, expected, "{words:?}");
    }
}

#[tokio::test]
async fn a_database_without_the_schema_refers_to_migrate() {
    let Some(database) = Database::empty(Edition::Plain, "no_schema").await else { return };
    for words in COMMANDS.iter().filter(|words| **words != ["migrate"]) {
        let (code, _, error) = database.command(None, store::COLLECTOR, words);
        assert!(code == Some(1) || code == Some(2), "{words:?}: {code:?}");
        let has_cause = error.contains("does not exist") && error.contains("SQLSTATE 42");
        assert!(has_cause && error.contains("run `holdfast migrate`"), "{words:?}: {error}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_missing_database_and_a_missing_privilege_are_named() {
    let Some(database) = Database::migrated(Edition::Plain, "privilege").await else { return };
    let mut settings = database.settings(None);
    settings.iter_mut().filter(|(name, _)| *name == "DB_NAME").for_each(|(_, value)| {
        "nowhere".clone_into(value);
    });
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (code, error) = holdfast(&settings, &["query", "peers"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("database \"nowhere\" does not exist (SQLSTATE 3D000)"), "{error}");

    let role = format!("stranger_{}", std::process::id());
    let client = database.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    // A schema that the role may not use is as if it were not there.
    let (code, _, error) = database.command(Some(&role), store::COLLECTOR, &["query", "peers"]);
    assert_eq!(code, Some(1));
    let expected = "or the role lacks USAGE on it: run `holdfast migrate`, grant the role its privileges";
    assert!(error.contains(expected), "{error}");
    client.batch_execute(&format!("GRANT USAGE ON SCHEMA holdfast TO {role}")).await.unwrap();
    let (code, _, error) = database.command(Some(&role), store::COLLECTOR, &["query", "peers"]);
    assert_eq!(code, Some(1));
    let expected = "(SQLSTATE 42501); grant the role its privileges with deploy/roles.sql";
    assert!(error.contains("permission denied") && error.contains(expected), "{error}");
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    drop(client);
    database.drop().await;
}

/// What a pooler in transaction mode causes: the statements and temporary tables of another client.
#[tokio::test]
async fn the_errors_of_a_pooled_connection_name_the_pooler() {
    let Some(database) = Database::migrated(Edition::Plain, "pooler").await else { return };
    let client = database.client().await;
    let statement = client.prepare("SELECT 1").await.unwrap();
    client.batch_execute("DEALLOCATE ALL; CREATE TEMP TABLE staged_attributes ()").await.unwrap();
    let unknown_statement = client.query(&statement, &[]).await.unwrap_err();
    let table_exists = client.batch_execute("CREATE TEMP TABLE staged_attributes ()").await.unwrap_err();
    client.batch_execute("PREPARE s AS SELECT 1").await.unwrap();
    let statement_exists = client.batch_execute("PREPARE s AS SELECT 1").await.unwrap_err();
    for (error, code) in [(unknown_statement, "26000"), (table_exists, "42P07"), (statement_exists, "42P05")]
    {
        for text in [holdfast::sink::explain(&error), holdfast::sink::Error::from(error).to_string()] {
            assert!(
                text.contains(code) && text.contains("PgBouncer with pool_mode = transaction or"),
                "{text}"
            );
        }
    }
    drop(client);
    database.drop().await;
}
