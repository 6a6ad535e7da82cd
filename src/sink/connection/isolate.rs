//! Storing a chunk that the database refused: all of it but the records that are refused by themselves.
//!
//! ```text
//! BEGIN · fence ─► SAVEPOINT · a piece · RELEASE ─► … ─► ledger + checkpoint · COMMIT
//!                  └─ refused: ROLLBACK TO, halve it; a single record goes to rejected_routes
//! ```
//!
//! A piece is stored in whole, history and the present, as a small chunk would be; so both stay consistent with what is
//! rejected. Nothing is sent ahead here: after an error the connection goes on being used.

use std::ops::Range;

use crate::sink::connection::bisect::{Bisect, Refused};
use crate::sink::connection::store::{Connection, Params, copy, execute, int4, int8};
use crate::sink::error::Error;
use crate::sink::error_policy::{ErrorAction, action_for_sqlstate};
use crate::sink::lanes::uuid_text;
use crate::sink::transaction::record_range::RecordRange;
use crate::sink::transaction::sealed::{ResolvedRows, Transaction};

impl Connection {
    /// Stores the chunk in one transaction, record by record where it must be. Returns how many records were rejected.
    ///
    /// # Errors
    /// See [`Error::action`]; [`Error::Systemic`] when too many are refused, and then nothing is stored. Whether it was
    /// stored is known only after attaching anew.
    pub async fn isolate(&mut self, chunk: &Transaction, span: &RecordRange) -> Result<u64, Error> {
        self.begin(chunk).await?;
        let mut search = Bisect::new(span.len());
        let (mut first, mut unchanged, mut routes_rejected) = (None, 0, 0);
        while let Some(range) = search.next() {
            let (state, error) = match self.try_piece(span, range.clone()).await? {
                Piece::Stored { repeated } => {
                    unchanged += repeated;
                    continue;
                }
                Piece::Refused { state, error } => (state, error),
            };
            let first = first.get_or_insert_with(|| format!("{error} ({state})"));
            let systemic = |rejected| Error::Systemic {
                rejected,
                records: u64::try_from(span.len()).unwrap_or(u64::MAX),
                first: first.clone(),
            };
            match search.refused(range) {
                Refused::Split => {}
                Refused::Systemic => return Err(systemic(rows(search.rejected()))),
                Refused::Reject(place) => match span.lone(place) {
                    Some(lone) => {
                        let row: Params<'_, 9> = [
                            &self.lane.collector,
                            &uuid_text(self.lane.log_id),
                            &int8(lone.seq),
                            &int4(lone.index),
                            &int4(self.lane.number),
                            &state,
                            &error,
                            &lone.text,
                            &lone.payload,
                        ];
                        self.client.execute(&self.statements.reject, &row).await?;
                        routes_rejected += u64::from(lone.is_route);
                    }
                    // A gap has no record that could be put aside.
                    None => return Err(systemic(rows(search.rejected()))),
                },
            }
        }
        self.commit(chunk, unchanged, routes_rejected).await?;
        Ok(rows(search.rejected()))
    }

    /// Stores a piece behind a savepoint. When it is refused, nothing of it is stored.
    async fn try_piece(&self, span: &RecordRange, range: Range<usize>) -> Result<Piece, Error> {
        let piece = span.piece(range).map_err(Error::InconsistentBatch)?;
        self.client.batch_execute("SAVEPOINT piece").await?;
        let stored = tokio::time::timeout(self.time_limit(), self.piece(&piece)).await;
        match stored.map_err(|_elapsed| Error::Timeout)? {
            Ok(repeated) => {
                let release = "RELEASE SAVEPOINT piece;
                    DELETE FROM staged; DELETE FROM staged_attributes; DELETE FROM repeated";
                self.client.batch_execute(release).await?;
                Ok(Piece::Stored { repeated })
            }
            Err(Error::Database(error)) if Error::refuses(&error) => {
                self.client.batch_execute("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece").await?;
                let (state, error) = what(&error);
                Ok(Piece::Refused { state, error })
            }
            Err(error) => Err(error),
        }
    }

    /// What [`Connection::store`] does with the rows of a chunk, one step after the other. Returns how many routes of a
    /// re-dump change nothing.
    pub(in crate::sink) async fn piece(&self, chunk: &Transaction) -> Result<u64, Error> {
        let (client, s) = (&self.client, &self.statements);
        let known = self.peers(chunk).await?;
        copy(client, &s.copy_routes, &chunk.routes).await?;
        copy(client, &s.copy_events, &chunk.events).await?;
        copy(client, &s.copy_statistics, &chunk.statistics).await?;
        copy(client, &s.copy_gaps, &chunk.gaps).await?;
        copy(client, &s.copy_attributes, &chunk.attributes).await?;
        execute(client, &s.touch).await?;
        execute(client, &s.attributes).await?;
        // What a piece has made may be taken back: the merge looks each route up.
        let named = ResolvedRows::encode(&chunk.rib, &chunk.repeats, &known, None);
        copy(client, &s.copy_staged, &named.staged.bytes).await?;
        let repeated = self.store_changed(chunk, &named.repeated).await?;
        self.merge(named.staged.rows).await?;
        self.log_gaps(chunk).await?;
        self.routers(chunk).await?;
        Ok(chunk.counts.unchanged + repeated)
    }
}

/// What became of a piece.
enum Piece {
    Stored { repeated: u64 },
    Refused { state: String, error: String },
}

/// SQLSTATE and message of a refusal.
pub(in crate::sink) fn what(error: &tokio_postgres::Error) -> (String, String) {
    let db = error.as_db_error();
    db.map(|db| (db.code().code().to_owned(), db.message().to_owned())).unwrap_or_default()
}

impl Error {
    /// Whether the server refuses rows, so that storing fewer of them may help.
    pub(in crate::sink) fn refuses(error: &tokio_postgres::Error) -> bool {
        error.code().is_some_and(|state| action_for_sqlstate(state) == ErrorAction::Reject)
    }
}

fn rows(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
