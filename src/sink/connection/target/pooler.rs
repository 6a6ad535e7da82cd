//! Refuses a connection through a pooler that gives each transaction another server process.
//!
//! A lane has prepared statements, temporary tables and settings, which belong to a server process. PgBouncer
//! with `pool_mode = transaction` or `statement` lends that process to other clients between two
//! transactions: its temporary tables and settings would then be those of other clients, and statements would
//! fail at random. Since release 1.21 PgBouncer prepares statements again where they are missing, which hides
//! the mode until a temporary table is missing.
//!
//! The mode cannot be asked for, and a pool without load gives a client the same process every time. A second
//! client shows it: while the first one is connected, none of its processes may serve the second, and each
//! must keep its own. This is checked before the first setting is changed.

use std::time::Duration;

use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::sink::error::Error;

/// Identifies the server process for all time: process ids are used again.
const SERVER_PROCESS: &str =
    "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";

/// Time limit for the second client. It waits if the server or a pool in session mode has no connection left.
const SECOND_CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Who asks for its server process, in this order. A pool hands out the process that was used last
/// (`server_round_robin = 0`), which the second client then gets from the first, or the one that was used
/// first, which changes between two transactions of the first client.
const ORDER: [Asker; 6] =
    [Asker::First, Asker::First, Asker::Second, Asker::First, Asker::Second, Asker::Second];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    First,
    Second,
}

/// Fails if the connection of `client` passes through a pooler in transaction or statement mode. `config` and
/// `tls` open a second connection for the check.
///
/// Without a second connection the check decides nothing: the server then has none left, which is no reason
/// to give up the first.
pub(super) async fn refuse_shared(
    client: &Client,
    config: &Config,
    tls: &MakeRustlsConnect,
) -> Result<(), Error> {
    let opened = tokio::time::timeout(SECOND_CLIENT_TIMEOUT, config.connect(tls.clone())).await;
    let Ok(Ok((second, connection))) = opened else { return Ok(()) };
    tokio::spawn(connection);
    let mut processes: [Option<String>; 2] = [None, None];
    for asker in ORDER {
        let answer = match asker {
            Asker::First => server_process(client).await?,
            Asker::Second => {
                match tokio::time::timeout(SECOND_CLIENT_TIMEOUT, server_process(&second)).await {
                    Ok(Ok(answer)) => answer,
                    _ => return Ok(()),
                }
            }
        };
        let [first, second] = &mut processes;
        let (own, other) = if asker == Asker::First { (first, second) } else { (second, first) };
        if other.as_ref() == Some(&answer) || own.as_ref().is_some_and(|own| *own != answer) {
            return Err(Error::SharedProcess);
        }
        *own = Some(answer);
    }
    Ok(())
}

/// Process id and start of the server process of a connection. The simple protocol prepares no statement.
async fn server_process(client: &Client) -> Result<String, tokio_postgres::Error> {
    let messages = client.simple_query(SERVER_PROCESS).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let columns = rows.flat_map(|row| (0..row.len()).map(|index| row.get(index).unwrap_or_default()));
    Ok(columns.collect::<Vec<_>>().join(" "))
}
