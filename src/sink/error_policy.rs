//! The reaction to an error of the database: one total table, by SQLSTATE and never by message text.

use tokio_postgres::error::SqlState;

use super::remedy;

/// Class of errors of the connection.
pub(super) const CONNECTION: &str = "connection";

/// Reaction to an error. In every case, the connection is dropped and the lane attaches again first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorAction {
    /// A transient error: retry after 0.1 s to 5 s.
    Retry,
    /// The transaction took too long: retry with fewer rows per transaction, or with more time.
    RetrySmaller,
    /// The server rejects some of the rows: store the others, and put the rejected records into
    /// `rejected_routes`.
    Reject,
    /// An operator must intervene: raise an alarm, and retry once a minute.
    Alarm,
    /// Continuing could store wrong data: raise an alarm, and store nothing until the next start.
    Halt,
}

/// Returns the reaction to an error reply with this SQLSTATE (PostgreSQL manual, appendix A).
#[must_use]
pub fn action_for_sqlstate(state: &SqlState) -> ErrorAction {
    match state.code() {
        // Another collector has taken the lane over; a duplicate row in spite of the fence; malformed COPY
        // data.
        "BM001" | "23505" | "22P04" => ErrorAction::Halt,
        // The checkpoint of the lane, or a peer, is not in the expected state: attach again and continue from
        // what the database has.
        "BM003" | "BM004" => ErrorAction::Retry,
        // query_canceled: a statement timeout.
        "57014" => ErrorAction::RetrySmaller,
        // A read-only standby after a failover, or a transaction that the server ended for being idle or too
        // long.
        "25006" | "25P03" | "25P04" => ErrorAction::Retry,
        code => match code.get(..2).unwrap_or_default() {
            // Connection exception, transaction rollback (deadlock, serialization failure), insufficient
            // resources, object not in prerequisite state (lock not available), operator intervention
            // (shutdown), system error.
            "08" | "40" | "53" | "55" | "57" | "58" => ErrorAction::Retry,
            // Data exception, integrity constraint violation, program limit exceeded.
            "22" | "23" | "54" => ErrorAction::Reject,
            // Authorization, catalog name, schema name, syntax error or access rule violation, and all other
            // classes.
            _ => ErrorAction::Alarm,
        },
    }
}

/// Name of the class of an SQLSTATE: its first two characters, or `other` if the manual has no such class.
pub(super) fn sqlstate_class(state: &SqlState) -> &'static str {
    const CLASSES: &[&str] = &[
        "08", "0A", "20", "21", "22", "23", "24", "25", "26", "28", "2B", "2D", "34", "38", "39", "3B", "3D",
        "3F", "40", "42", "44", "53", "54", "55", "57", "58", "BM", "F0", "HV", "P0", "XX",
    ];
    let class = state.code().get(..2).unwrap_or_default();
    CLASSES.iter().find(|known| **known == class).copied().unwrap_or("other")
}

/// Name of the class of an error of the client library: that of its SQLSTATE, or `connection` without a reply
/// of the server.
#[must_use]
pub(super) fn class_for_error(error: &tokio_postgres::Error) -> &'static str {
    error.code().map_or(CONNECTION, sqlstate_class)
}

/// Returns the reaction to an error of the client library. An error without a reply of the server is a
/// connection error, unless it is one of the settings.
#[must_use]
pub fn action_for_error(error: &tokio_postgres::Error) -> ErrorAction {
    match error.code() {
        Some(code) => action_for_sqlstate(code),
        None if remedy::for_client_error(error).is_some() => ErrorAction::Alarm,
        None => ErrorAction::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_an_unknown_sqlstate_is_bounded() {
        let class = |code| sqlstate_class(&SqlState::from_code(code));
        assert_eq!(
            [class("40P01"), class("BM001"), class("ZZ000"), class("é")],
            ["40", "BM", "other", "other"]
        );
    }

    #[test]
    fn each_class_has_its_action() {
        for (codes, action) in [
            (
                "08000 08006 40001 40P01 53100 53200 53300 55P03 57P01 57P03 58030 25006 25P03 BM003 BM004",
                ErrorAction::Retry,
            ),
            ("57014", ErrorAction::RetrySmaller),
            ("22003 22021 22P02 23502 23514 54000", ErrorAction::Reject),
            (
                "28000 28P01 3D000 3F000 42P01 42501 42703 0A000 P0001 XX000 25P02 BM002 ZZZZZ",
                ErrorAction::Alarm,
            ),
            ("BM001 23505 22P04", ErrorAction::Halt),
        ] {
            for code in codes.split(' ') {
                assert_eq!(action_for_sqlstate(&SqlState::from_code(code)), action, "{code}");
            }
        }
    }

    /// Every class of appendix A of the PostgreSQL 17 manual, and classes that do not exist.
    #[test]
    fn the_table_is_total() {
        let classes = [
            (
                "00 01 02 03 0A 0B 0F 0L 0P 0Z 20 21 24 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 42 44 F0 \
                 HV P0 XX",
                ErrorAction::Alarm,
            ),
            ("25", ErrorAction::Alarm),
            ("08 40 53 55 57 58", ErrorAction::Retry),
            ("22 23 54", ErrorAction::Reject),
            ("72 ZZ ", ErrorAction::Alarm),
        ];
        for (names, action) in classes {
            for class in names.split(' ') {
                assert_eq!(
                    action_for_sqlstate(&SqlState::from_code(&format!("{class}000"))),
                    action,
                    "{class}"
                );
            }
        }
        for odd in ["", "2", "é", "ééé", "\u{0}"] {
            assert_eq!(action_for_sqlstate(&SqlState::from_code(odd)), ErrorAction::Alarm, "{odd:?}");
        }
    }
}
