//! The SQL statements of a lane's connection.

use std::borrow::Cow;

use tokio_postgres::types::ToSql;

use crate::sink::copy::columns::{self, copy_statement, temporary_table};
use crate::sink::error::Error;
use crate::sink::transaction::Transaction;

use super::pipeline::{Exchange, Request, SharedStream, Statement};

/// Whether the row `e` of the current table was withdrawn just before the first event of the staged row `s`.
/// A route that a Peer Down or a sweep has ended counts as withdrawn.
const WAS_WITHDRAWN: &str = "(e.is_withdrawn OR (
        (e.session, e.generation) < (s.valid_session, s.valid_generation)
        AND (s.session, s.generation) >= (s.valid_session, s.valid_generation)))";

/// Whether it was announced, and had been ended.
const HAD_ENDED: &str = "NOT e.is_withdrawn
        AND (e.session, e.generation) < (s.valid_session, s.valid_generation)";

/// Lock timeout while a lane is attached. The holder of the lane's row is then a lost connection or a
/// collector that is to be fenced; neither is waited for as long as another transaction.
pub(super) const LOCK_TIMEOUT_ATTACHING: &str = "SET lock_timeout = '1s'";
/// Lock timeout of all other statements, as in sql/session.sql.
pub(super) const LOCK_TIMEOUT: &str = "SET lock_timeout = '10s'";

/// Ends the server process that holds a lane's row.
pub(super) const EVICT: &str = "SELECT holdfast_evict($1, $2, $3)";

/// The arguments of a statement.
pub(super) type Params<'a, const N: usize> = [&'a (dyn ToSql + Sync); N];

/// The statements that configure a new connection and create its temporary tables.
pub(super) fn session() -> String {
    let staged = temporary_table("staged", columns::STAGED);
    let candidates = temporary_table("dedup_candidates", columns::DEDUP_CANDIDATES);
    format!("{}{staged};{candidates}", include_str!("sql/session.sql"))
}

/// Declares [`Statements`] from one table of names and SQL texts.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $sql:expr;)*) => {
        /// The prepared statements of a connection.
        pub(super) struct Statements {
            $($(#[$doc])* pub(super) $name: Statement,)*
        }

        impl Statements {
            /// Prepares all statements, without waiting for one reply before the next request.
            pub(super) async fn prepare(stream: &SharedStream) -> Result<Self, Error> {
                let mut request = Request::default();
                $(
                    let sql: Cow<'static, str> = $sql.into();
                    request.prepare(stringify!($name), &sql);
                )*
                let mut exchange = Exchange::begin(stream);
                exchange.queue(request);
                exchange.finish().await?;
                let mut parameters = exchange.into_parameters().into_iter();
                Ok(Self {
                    $($name: Statement::new(stringify!($name), parameters.next().unwrap_or_default()),)*
                })
            }
        }
    };
}

statements! {
    begin: "BEGIN";
    commit: "COMMIT";
    /// Writes the history of the transaction compressed. Never with `client_sorted`: rows are sent in the
    /// order of the log, and the server relies on that option.
    compress: "SET LOCAL timescaledb.enable_direct_compress_copy = on";
    /// Takes the lane over, or checks that this process still holds it.
    attach: "SELECT epoch, last_seq, digest FROM holdfast_attach($1, $2, $3, $4, $5, $6)";
    /// Fails unless this process holds the lane and the transaction begins after the checkpoint.
    fence: "SELECT holdfast_fence($1, $2, $3, $4, $5, $6)";
    /// Fails unless the lane of the other class has delivered a batch.
    order: "SELECT holdfast_order($1, $2, $3, $4)";
    /// Merges the state of peers and returns their ids.
    peers: "SELECT peer_index, id, afi, safi, valid_session, valid_generation, peer_number
        FROM holdfast_merge_peers($1, $2, $3, $4)";
    /// Merges the state of peers, if it was as expected before.
    known_peers: "SELECT holdfast_merge_known_peers($1, $2, $3, $4, $5)";
    /// Returns the state of peers.
    peer_states: "SELECT peer_index, id, afi, safi, valid_session, valid_generation, peer_number, state
        FROM holdfast_peer_states($1, $2)";
    /// Merges the state of routers.
    routers: "SELECT holdfast_merge_routers($1, $2)";
    /// Records an unreadable range of the log, unless another lane has done so.
    log_gap: "SELECT holdfast_log_gap($1, $2, $3, $4, $5)";
    copy_routes: copy_statement("route_records", columns::ROUTE_RECORDS);
    /// The same for rows that have their attributes themselves.
    copy_whole_routes: copy_statement("route_records", columns::WHOLE_ROUTE_RECORDS);
    copy_events: copy_statement("peer_events", columns::PEER_EVENTS);
    copy_statistics: copy_statement("peer_stats", columns::PEER_STATS);
    copy_gaps: copy_statement("collector_gaps", columns::COLLECTOR_GAPS);
    copy_rejected: copy_statement("rejected_routes", columns::REJECTED_ROUTES);
    copy_incarnations: copy_statement("staged_incarnations", columns::INCARNATIONS);
    copy_attributes: copy_statement("staged_attributes", columns::ATTRIBUTE_SETS);
    copy_staged: copy_statement("staged", columns::STAGED);
    copy_candidates: copy_statement("dedup_candidates", columns::DEDUP_CANDIDATES);
    copy_rib: copy_statement("rib_entries", columns::RIB_ENTRIES);
    copy_swept: copy_statement("swept_routes", columns::SWEPT_ROUTES);
    /// Returns the numbers of the announcements that change their route.
    changed: include_str!("sql/changed.sql");
    /// Renews `used_at` of existing attribute sets; must precede `attributes`.
    touch: include_str!("sql/touch.sql");
    /// Inserts the new attribute sets of the current table.
    attributes: insert_attributes();
    /// Inserts the new attribute sets of history.
    history_sets: "INSERT INTO attribute_sets SELECT * FROM staged_attributes WHERE time IS NOT NULL
        ON CONFLICT DO NOTHING";
    /// Renews `used_at` of existing incarnations; must precede `incarnations`.
    touch_incarnations: "UPDATE incarnations i SET used_at = greatest(now(), s.used_at)
        FROM staged_incarnations s
        WHERE i.id = s.id AND i.used_at < greatest(now(), s.used_at) - interval '1 day'";
    /// Inserts the new incarnations.
    incarnations: "INSERT INTO incarnations SELECT * FROM staged_incarnations ON CONFLICT DO NOTHING";
    /// Merges the staged routes: first those that the current table has.
    update_first: merge_statement(false);
    /// The same, first the routes that it does not have.
    insert_first: merge_statement(true);
    /// Records a gap in place of rejected records.
    drop_rejected: include_str!("sql/drop_rejected.sql");
    /// Fails if a trigger may drop rows; follows all COPY statements, whose locks keep others from creating
    /// one.
    no_row_trigger: "SELECT holdfast_no_row_trigger()";
    /// Moves the checkpoint and writes the ledger.
    advance: include_str!("sql/advance.sql");
}

fn update_statement() -> String {
    include_str!("sql/update.sql").replace("{was_withdrawn}", WAS_WITHDRAWN).replace("{had_ended}", HAD_ENDED)
}

/// Columns of the updated routes for sql/swept.sql.
const UPDATED: &str =
    "e.peer_id, e.route_key, e.afi, e.safi, s.first_seen, e.ended_session, e.ended_generation";

/// One statement of both halves of the merge. The second half is not executed if the first one has handled
/// all staged rows ($1), so that both a first load and a re-dump cost one look-up per route. Both see the
/// current table as it was before the statement, and each route is of one half only. So does the last part,
/// which records the states that a sweep had ended.
fn merge_statement(is_insert_first: bool) -> String {
    let mut halves = [(update_statement(), UPDATED), (insert_statement(), "1")];
    let updated = if is_insert_first { "second_half" } else { "first_half" };
    if is_insert_first {
        halves.reverse();
    }
    let [(first, of_first), (second, of_second)] = halves;
    let swept = include_str!("sql/swept.sql").replace("{updated}", updated);
    format!(
        "WITH first_half AS ({first} RETURNING {of_first}),
        second_half AS ({second} AND (SELECT count(*) FROM first_half) < $1 RETURNING {of_second}),
        swept AS ({swept})
        SELECT (SELECT count(*) FROM first_half), (SELECT count(*) FROM second_half)"
    )
}

impl Statements {
    /// The COPY statement for the history rows of a transaction.
    pub(super) const fn history(&self, transaction: &Transaction) -> &Statement {
        if transaction.is_whole { &self.copy_whole_routes } else { &self.copy_routes }
    }
}

/// A set that history refers to in two weeks is staged twice.
fn insert_attributes() -> String {
    let names = columns::PATH_ATTRIBUTES.concat().join(", ");
    format!(
        "INSERT INTO path_attributes ({names}) SELECT {names} FROM staged_attributes ON CONFLICT DO NOTHING"
    )
}

fn insert_statement() -> String {
    let names = columns::RIB_ENTRIES.concat();
    let value = |name: &&str| match *name {
        // NULL if the state has not changed since the first event.
        "last_state_change" => "coalesce(s.last_state_change, s.first_seen)".to_owned(),
        name => format!("s.{name}"),
    };
    let values = names.iter().map(value).collect::<Vec<_>>().join(", ");
    include_str!("sql/insert.sql").replace("{columns}", &names.join(", ")).replace("{values}", &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left() {
        for sql in [merge_statement(false), merge_statement(true), session()] {
            assert!(!sql.contains(['{', '}']), "{sql}");
        }
    }

    #[test]
    fn temporary_tables_have_the_columns_that_the_encoder_fills() {
        let sql = session();
        assert!(sql.contains("NULL::boolean AS begins_withdrawn") && sql.contains("NULL::integer AS number"));
    }
}
