//! Direct compress: COPY writes history into the columnstore of TimescaleDB's community edition, instead of
//! rows that a policy compresses later.
//!
//! Where chunks are compressed, in either way, history rows have their attributes themselves: the columnstore
//! stores what they have in common once, and a reference would only add to it.

use super::attach::Connection;
use super::pipeline::QuietClient;
use crate::sink::error::Error;

/// Number of history rows from which a transaction is written compressed. The batches of a smaller one would
/// compress badly; its rows stay rows until the policy compresses their chunk.
const ROWS_MIN: u64 = 1_000;

/// First version that checks CHECK and NOT NULL constraints under direct compress (TimescaleDB pull request
/// 10098), by which records are rejected.
const VERSION_MIN: [u32; 3] = [2, 28, 1];

/// Whether the server has hypertables; to be asked before [`HAS_COLUMNSTORE`].
pub(crate) const HAS_HYPERTABLES: &str =
    "SELECT to_regclass('timescaledb_information.hypertables') IS NOT NULL";
/// Whether chunks of the history are compressed at some time.
pub(crate) const HAS_COLUMNSTORE: &str =
    "SELECT coalesce(bool_or(compression_enabled), false) FROM timescaledb_information.hypertables
    WHERE hypertable_schema = current_schema() AND hypertable_name = 'route_records'";

/// Whether history is written compressed where the server can (`HISTORY_DIRECT_COMPRESS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DirectCompress {
    /// Where the server can.
    #[default]
    Auto,
    /// The same; that the server cannot is a condition of the status.
    On,
    /// Never.
    Off,
}

/// How a lane stores history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryStorage {
    /// Why history is stored as rows; `None` if transactions with many rows are written compressed.
    pub obstacle: Option<String>,
    /// Whether the setting is [`DirectCompress::On`].
    pub is_demanded: bool,
    /// Whether rows have their attributes themselves, because their chunks are compressed at some time.
    pub is_whole: bool,
}

impl Connection {
    /// Chooses how further transactions store history.
    ///
    /// # Errors
    /// See [`Error::action`].
    pub async fn choose_history_storage(&mut self, wish: DirectCompress) -> Result<HistoryStorage, Error> {
        let obstacle = match wish {
            DirectCompress::Off => Some("HISTORY_DIRECT_COMPRESS=off".to_owned()),
            DirectCompress::Auto | DirectCompress::On => obstacle(&self.client).await?,
        };
        self.can_compress = obstacle.is_none();
        let is_whole = stores_whole_rows(&self.client).await?;
        Ok(HistoryStorage { obstacle, is_demanded: wish == DirectCompress::On, is_whole })
    }

    /// Whether a transaction with so many history rows is written compressed.
    pub(super) const fn compresses(&self, history_rows: u64) -> bool {
        self.can_compress && history_rows >= ROWS_MIN
    }
}

/// Why the server cannot compress history directly; `None` if it can.
async fn obstacle(client: &QuietClient) -> Result<Option<String>, Error> {
    let sql = "SELECT extversion, current_setting('timescaledb.license', true)
        FROM pg_extension WHERE extname = 'timescaledb'";
    let rows = client.query(sql, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(Some("the database has no TimescaleDB".to_owned()));
    };
    let (version, license): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    if license.as_deref() != Some("timescale") {
        return Ok(Some(format!("TimescaleDB {version} is not the community edition")));
    }
    if !is_sufficient(&version) {
        let [major, minor, patch] = VERSION_MIN;
        return Ok(Some(format!(
            "TimescaleDB {version} does not check constraints under direct compress; version \
             {major}.{minor}.{patch} does"
        )));
    }
    let is_enabled = stores_whole_rows(client).await?;
    let reason = "route_records has no columnstore (docs/SCHEMA.md says how to enable it)";
    Ok((!is_enabled).then(|| reason.to_owned()))
}

/// Whether the chunks of the history are compressed at some time.
async fn stores_whole_rows(client: &QuietClient) -> Result<bool, Error> {
    let is_true = |rows: &[tokio_postgres::Row]| rows.iter().any(|row| row.get(0));
    Ok(is_true(&client.query(HAS_HYPERTABLES, &[]).await?)
        && is_true(&client.query(HAS_COLUMNSTORE, &[]).await?))
}

/// Whether the version of the extension is at least [`VERSION_MIN`]. A suffix such as `-dev` is ignored; a
/// version that is not a number is not sufficient.
fn is_sufficient(version: &str) -> bool {
    let mut found = [0; 3];
    let release = version.split('-').next().unwrap_or_default();
    for (number, text) in found.iter_mut().zip(release.split('.')) {
        let Ok(value) = text.parse() else { return false };
        *number = value;
    }
    found >= VERSION_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for version in ["2.28.1", "2.28.3", "2.29.0", "2.100", "3.0.0-dev", "10"] {
            assert!(is_sufficient(version), "{version}");
        }
        for version in ["2.28.0", "2.9.9", "2.28", "2", "1.99.99", "", "x.y", "2.x.3", "-3"] {
            assert!(!is_sufficient(version), "{version}");
        }
    }
}
