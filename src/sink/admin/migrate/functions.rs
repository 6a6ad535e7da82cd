//! Functions and views: files that are replaced as a whole.

use std::time::Instant;

use tokio_postgres::Client;

use super::{FUNCTIONS_VERSION, checksum, milliseconds_since};
use crate::sink::layout::SchemaName;

/// The files of migrations/functions, in the order of their dependencies.
const FUNCTIONS: &[&str] = &[
    include_str!("../../../../migrations/functions/01_shared.sql"),
    include_str!("../../../../migrations/functions/02_delivery.sql"),
    include_str!("../../../../migrations/functions/03_merge.sql"),
    include_str!("../../../../migrations/functions/04_partitions.sql"),
    include_str!("../../../../migrations/functions/05_views.sql"),
    include_str!("../../../../migrations/functions/06_upkeep.sql"),
    include_str!("../../../../migrations/functions/07_verify.sql"),
    include_str!("../../../../migrations/functions/08_rebuild.sql"),
    include_str!("../../../../migrations/functions/09_collectors.sql"),
    include_str!("../../../../migrations/functions/10_lookup.sql"),
    include_str!("../../../../migrations/functions/11_past.sql"),
    include_str!("../../../../migrations/functions/12_change.sql"),
    include_str!("../../../../migrations/functions/13_attributes.sql"),
    include_str!("../../../../migrations/functions/14_policy.sql"),
    include_str!("../../../../migrations/functions/15_evpn.sql"),
    include_str!("../../../../migrations/functions/16_peers.sql"),
    include_str!("../../../../migrations/functions/17_collector.sql"),
    include_str!("../../../../migrations/functions/18_completeness.sql"),
    include_str!("../../../../migrations/functions/19_monitoring.sql"),
    include_str!("../../../../migrations/functions/20_history.sql"),
];

/// Checksum of the functions and views of this program, whatever their schema is.
pub(in crate::sink::admin) fn functions_checksum() -> String {
    checksum(FUNCTIONS)
}

/// Functions and views that [`FUNCTIONS`] create, by kind.
pub(super) fn created(kind: &str) -> Vec<&'static str> {
    let start = format!("CREATE OR REPLACE {kind} ");
    let lines = FUNCTIONS.iter().flat_map(|sql| sql.lines());
    lines.filter_map(|line| line.strip_prefix(&start)?.split([' ', '(']).next()).collect()
}

/// True if a function or view does not exist, as in a database that was restored in part, or if a function
/// has the search path of another schema, as after `ALTER SCHEMA … RENAME`.
pub(in crate::sink::admin) async fn is_object_missing(
    client: &Client,
) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT EXISTS (SELECT FROM unnest($1::text[]) AS name WHERE to_regproc(name) IS NULL)
        OR EXISTS (SELECT FROM unnest($2::text[]) AS name WHERE to_regclass(name) IS NULL)
        OR EXISTS (SELECT FROM pg_proc CROSS JOIN unnest(proconfig) AS setting
            WHERE pronamespace = to_regnamespace(quote_ident(current_schema())) AND proname = ANY ($1::text[])
                AND starts_with(setting, 'search_path=')
                AND setting <> format('search_path=%I, pg_temp', current_schema()))";
    client.query_one(sql, &[&created("FUNCTION"), &created("VIEW")]).await?.try_get(0)
}

/// Replaces functions and views, and stores their checksum. The search path is the schema.
pub(super) async fn replace_functions(
    client: &mut Client,
    schema: &SchemaName,
    checksum: Option<&str>,
) -> Result<(), tokio_postgres::Error> {
    let started = Instant::now();
    let transaction = client.transaction().await?;
    for sql in FUNCTIONS {
        transaction.batch_execute(&schema.fill_in(sql)).await?;
    }
    let took_ms = milliseconds_since(started);
    if checksum.is_some() {
        transaction
            .execute(
                "INSERT INTO schema_migrations (version, name, checksum, execution_time_ms)
                VALUES ($1, 'functions', $2, $3)
                ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum, applied_at = now(),
                    execution_time_ms = excluded.execution_time_ms",
                &[&FUNCTIONS_VERSION, &checksum, &took_ms],
            )
            .await?;
    }
    transaction.commit().await?;
    tracing::info!(duration_ms = took_ms, "functions_replaced");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_directory_is_included_in_the_order_of_names() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/functions");
        let mut paths: Vec<_> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let files: Vec<String> = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(files, FUNCTIONS);
    }

    #[test]
    fn functions_and_views_are_replaced_and_not_dropped() {
        assert!(created("FUNCTION").contains(&"rib_at") && created("VIEW").contains(&"route_state"));
        for line in FUNCTIONS.iter().flat_map(|sql| sql.lines()) {
            let is_allowed = !line.starts_with("CREATE ") || line.starts_with("CREATE OR REPLACE ");
            assert!(is_allowed && !line.starts_with("DROP "), "{line}");
        }
    }
}
