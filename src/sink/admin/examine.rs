//! Examines a database as a collector finds it, without changing it.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::maintain::{ServerVersions, server_versions};
use super::migrate::{
    FUNCTIONS_VERSION, functions_checksum, has_bookkeeping, is_in_public, is_object_missing, migrations,
    moved_to, stored_checksums,
};
use super::pybmpmon_schema::database_of_pybmpmon;
use crate::route::Timestamp;
use crate::sink::error::Error;
use crate::sink::layout::Layout;

/// What a collector finds.
#[derive(Debug)]
pub struct Examination {
    /// Versions of the server.
    pub versions: ServerVersions,
    /// True if the server accepts no writes: a standby, or read-only by a setting.
    pub is_read_only: bool,
    /// Time of the server at the middle of the round trip that asked for it.
    pub server_time: Timestamp,
    /// Time from the beginning of the examination to that middle.
    pub asked_after: Duration,
    /// Median of the round trips.
    pub round_trip: Duration,
    /// The schema.
    pub schema: SchemaState,
    /// Rights that the role lacks, such as `INSERT on route_records`. For a database without a schema, those
    /// that are needed to create it.
    pub missing_rights: Vec<String>,
}

/// The schema of a database, compared with the migrations of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// There is none.
    Absent,
    /// There is none, and `public` has the tables of an earlier release, which a migration moves.
    InPublic,
    /// `DB_SCHEMA` is `public`, and the tables were moved from there to this schema.
    Moved(String),
    /// All migrations are applied, and functions and views are those of this program.
    Current {
        /// Highest version.
        version: i32,
    },
    /// Migrations are missing, or functions and views are those of another release.
    Outdated {
        /// What is missing.
        missing: String,
    },
    /// An applied migration differs from that of this program.
    Changed {
        /// Version of the migration.
        version: i32,
    },
    /// The database was migrated by a newer program.
    Newer {
        /// Highest version in the database.
        version: i32,
    },
    /// `DB_SCHEMA` is `public`, and this schema of the database contains the tables of pybmpmon.
    Pybmpmon(String),
}

/// Number of round trips that are measured.
const ROUND_TRIPS: usize = 5;

/// Rights that storing rows requires: on the tables and functions of the owner of the schema, and for the
/// temporary tables in which rows are staged. Partitions are reached through their parents.
const MISSING_RIGHTS: &str = "
    WITH owner AS (SELECT relowner AS id FROM pg_class WHERE oid = 'schema_migrations'::regclass)
    SELECT privilege || ' on ' || relname FROM owner, pg_class,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relowner = owner.id AND relname <> 'schema_migrations'
        AND NOT has_table_privilege(pg_class.oid, privilege)
    UNION ALL
    SELECT 'EXECUTE on function ' || proname FROM owner, pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proowner = owner.id AND proname LIKE 'holdfast%'
        AND NOT has_function_privilege(pg_proc.oid, 'EXECUTE')
    UNION ALL
    SELECT 'TEMPORARY on the database'
    WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
    ORDER BY 1";

/// Rights that creating the schema requires. The parameter is its name.
const MISSING_RIGHTS_OF_OWNER: &str = "
    SELECT CASE WHEN n.oid IS NULL THEN 'CREATE on the database' ELSE 'CREATE on schema ' || $1 END
    FROM (SELECT to_regnamespace(quote_ident($1::text)) AS oid) n
    WHERE NOT CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE has_schema_privilege(n.oid, 'CREATE') END
    UNION ALL
    SELECT 'TEMPORARY on the database'
    WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')";

/// The right without which no object of the schema is found. The parameter is its name.
const MISSING_USAGE: &str = "SELECT 'USAGE on schema ' || $1::text
    FROM (SELECT to_regnamespace(quote_ident($1::text)) AS oid) n
    WHERE n.oid IS NOT NULL AND NOT has_schema_privilege(n.oid, 'USAGE')";

/// Examines the database of a connection whose search path is the schema of the layout.
///
/// # Errors
/// A statement failed.
pub async fn examine(client: &Client, layout: &Layout) -> Result<Examination, Error> {
    let began = Instant::now();
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
    // The first use of a statement has two round trips.
    let statement = client.prepare(sql).await?;
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..ROUND_TRIPS {
        let asked = began.elapsed();
        let row = client.query_one(&statement, &[]).await?;
        let took = began.elapsed().saturating_sub(asked);
        times.push(took);
        last = Some((row, asked + took / 2));
    }
    times.sort_unstable();
    let round_trip = times.get(ROUND_TRIPS / 2).copied().unwrap_or_default();
    let (server_time, is_read_only, asked_after) = match last {
        Some((row, asked_after)) => (row.try_get(0)?, row.try_get(1)?, asked_after),
        None => (0, false, Duration::ZERO),
    };
    let (schema, missing_rights) = schema_and_rights(client, layout).await?;
    Ok(Examination {
        versions: server_versions(client).await?,
        is_read_only,
        server_time: Timestamp(server_time),
        asked_after,
        round_trip,
        schema,
        missing_rights,
    })
}

/// The state of the schema, and the rights on it that the role lacks.
async fn schema_and_rights(
    client: &Client,
    layout: &Layout,
) -> Result<(SchemaState, Vec<String>), tokio_postgres::Error> {
    let name = layout.schema.as_str();
    let rights = |rows: Vec<tokio_postgres::Row>| {
        rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, tokio_postgres::Error>>()
    };
    // Without the right to use the schema, its objects are not found, and the state would be "absent".
    let usage = rights(client.query(MISSING_USAGE, &[&name]).await?)?;
    let schema = schema_state(client, layout).await?;
    if !usage.is_empty() {
        return Ok((schema, usage));
    }
    let missing = match &schema {
        SchemaState::Pybmpmon(_) | SchemaState::Moved(_) => Vec::new(),
        SchemaState::Absent | SchemaState::InPublic => {
            rights(client.query(MISSING_RIGHTS_OF_OWNER, &[&name]).await?)?
        }
        _ => rights(client.query(MISSING_RIGHTS, &[]).await?)?,
    };
    Ok((schema, missing))
}

async fn schema_state(client: &Client, layout: &Layout) -> Result<SchemaState, tokio_postgres::Error> {
    if layout.schema.is_public()
        && let Some(database) = database_of_pybmpmon(client).await?
    {
        return Ok(SchemaState::Pybmpmon(database));
    }
    if !has_bookkeeping(client).await? {
        let is_in_public = !layout.schema.is_public() && is_in_public(client).await?;
        return Ok(if is_in_public { SchemaState::InPublic } else { SchemaState::Absent });
    }
    if let Some(schema) = moved_to(client).await? {
        return Ok(SchemaState::Moved(schema));
    }
    let stored = stored_checksums(client).await?;
    let own = migrations();
    let version = stored.iter().map(|(version, _)| *version).max().unwrap_or_default();
    if own.iter().all(|migration| migration.version < version) {
        return Ok(SchemaState::Newer { version });
    }
    let checksum = |wanted: i32| stored.iter().find(|(version, _)| *version == wanted).map(|(_, text)| text);
    let changed = own
        .iter()
        .find(|migration| checksum(migration.version).is_some_and(|stored| *stored != migration.checksum()));
    if let Some(migration) = changed {
        return Ok(SchemaState::Changed { version: migration.version });
    }
    let absent = own.iter().filter(|migration| checksum(migration.version).is_none());
    let mut missing: Vec<String> =
        absent.map(|migration| format!("migration {}", migration.version)).collect();
    if checksum(FUNCTIONS_VERSION) != Some(&functions_checksum()) || is_object_missing(client).await? {
        missing.push("functions and views".to_owned());
    }
    Ok(match missing.as_slice() {
        [] => SchemaState::Current { version },
        _ => SchemaState::Outdated { missing: missing.join(", ") },
    })
}
