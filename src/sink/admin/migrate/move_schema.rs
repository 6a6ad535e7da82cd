//! Moves the objects of an earlier release from the schema `public` to one of their own.

use std::time::Instant;

use tokio_postgres::{Client, GenericClient};

use super::functions::created;
use super::migrations;
use crate::sink::layout::SchemaName;

/// Version of the row that a move leaves in `public.schema_migrations`.
const MOVED: i32 = 1_000_000;

/// Whether `public` has the tables of an earlier release. Those of pybmpmon have no checkpoints, the ones of
/// a hub are views, and after a move there is only `schema_migrations`.
const IS_IN_PUBLIC: &str = "SELECT (SELECT count(*) FROM pg_catalog.pg_attribute
    WHERE attrelid IN (SELECT oid FROM pg_catalog.pg_class
        WHERE relnamespace = to_regnamespace('public') AND relkind = 'r'
            AND relname IN ('schema_migrations', 'ingest_checkpoint'))
        AND attname IN ('checksum', 'last_seq')) = 2";

/// Whether the tables are where an earlier release created them.
pub(in crate::sink::admin) async fn is_in_public(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client.query_one(IS_IN_PUBLIC, &[]).await?.try_get(0)
}

/// The schema that the tables were moved to, if the schema of the connection is the one that they were in.
pub(in crate::sink::admin) async fn moved_to(
    client: &Client,
) -> Result<Option<String>, tokio_postgres::Error> {
    let sql = "SELECT name FROM schema_migrations WHERE version = $1";
    client.query_opt(sql, &[&MOVED]).await?.map(|row| row.try_get(0)).transpose()
}

/// Creates the schema unless it exists. The right to create one is not needed then.
pub(super) async fn create_schema(
    client: &impl GenericClient,
    schema: &SchemaName,
) -> Result<(), tokio_postgres::Error> {
    let exists = "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL";
    if client.query_one(exists, &[&schema.as_str()]).await?.try_get(0)? {
        return Ok(());
    }
    let sql =
        "CREATE SCHEMA @schema@; COMMENT ON SCHEMA @schema@ IS 'Tables, views and functions of Holdfast.'";
    client.batch_execute(&schema.fill_in(sql)).await
}

/// Moves all objects, in one transaction. Those in `public` must be the ones of this release.
pub(super) async fn move_from_public(
    client: &mut Client,
    schema: &SchemaName,
) -> Result<(), tokio_postgres::Error> {
    let started = Instant::now();
    let tables: Vec<&str> = migrations().iter().flat_map(|m| names(m.sql, "TABLE")).collect();
    let sequences: Vec<&str> = migrations().iter().flat_map(|m| names(m.sql, "SEQUENCE")).collect();
    let tables = [tables, vec!["schema_migrations"]].concat();
    let sql = schema
        .fill_in(include_str!("move_schema.sql"))
        .replace("@tables@", &array(&tables))
        .replace("@views@", &array(&created("VIEW")))
        .replace("@sequences@", &array(&sequences))
        .replace("@functions@", &array(&created("FUNCTION")))
        .replace("@moved@", &MOVED.to_string())
        .replace("@name@", schema.as_str());
    let transaction = client.transaction().await?;
    create_schema(&transaction, schema).await?;
    transaction.batch_execute(&sql).await?;
    transaction.commit().await?;
    let duration_ms = super::milliseconds_since(started);
    tracing::info!(from = "public", to = schema.as_str(), duration_ms, "schema_moved");
    Ok(())
}

/// Names of the objects of a kind that a numbered migration creates.
fn names<'a>(sql: &'a str, kind: &str) -> Vec<&'a str> {
    let start = format!("CREATE {kind} ");
    sql.lines()
        .filter_map(|line| line.trim_start().strip_prefix(&start)?.split([' ', '(', ';']).next())
        .filter(|name| !name.starts_with('%'))
        .collect()
}

/// An array of names as SQL.
fn array(names: &[&str]) -> String {
    format!("'{{{}}}'::name[]", names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_of_numbered_migrations_are_named() {
        let sql =
            "CREATE TABLE a (\n    CREATE TABLE b (LIKE a);\nCREATE SEQUENCE c;\nCREATE TABLE d PARTITION";
        assert_eq!(names(sql, "TABLE"), ["a", "b", "d"]);
        assert_eq!(names(sql, "SEQUENCE"), ["c"]);
        assert_eq!(array(&["a", "b"]), "'{a,b}'::name[]");
        let tables: Vec<&str> = migrations().iter().flat_map(|m| names(m.sql, "TABLE")).collect();
        for table in ["ingest_checkpoint", "route_records", "attribute_sets_default", "swept_routes"] {
            assert!(tables.contains(&table), "{tables:?}");
        }
    }
}
