//! From an error of the database to what to do: one total table, by code and never by text.

use tokio_postgres::error::SqlState;

/// What to do after an error. In each case the connection is dropped first and the lane attaches anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorAction {
    /// It passes by itself: try again, 0.1 s to 5 s later.
    Retry,
    /// It took too long: try again with fewer rows at a time.
    RetrySmaller,
    /// These rows are refused, and would be again.
    Reject,
    /// Somebody has to mend something first: alarm, look again once a minute.
    Alarm,
    /// Going on could do harm: alarm, drain no more until the next start.
    Halt,
}

/// By SQLSTATE; the classes are those of the PostgreSQL manual, appendix A.
#[must_use]
pub fn action_for_sqlstate(state: &SqlState) -> ErrorAction {
    match state.code() {
        // Another collector took the lane over; or a row is there twice although the fence held; or our COPY bytes
        // are wrong.
        "BM001" | "23505" | "22P04" => ErrorAction::Halt,
        // The lane stands elsewhere than we thought: attach, and believe the row.
        "BM003" => ErrorAction::Retry,
        // A statement timeout: the server is slow, or what was asked of it was too much.
        "57014" => ErrorAction::RetrySmaller,
        // A read-only standby after a failover, or a transaction that the server ended for being idle.
        "25006" | "25P03" | "25P04" => ErrorAction::Retry,
        code => match code.get(..2).unwrap_or_default() {
            // Connection, rollback (deadlock, serialization), resources, not in the needed state (lock), operator
            // intervention (shutdown, cancel), system error (I/O).
            "08" | "40" | "53" | "55" | "57" | "58" => ErrorAction::Retry,
            // Data, integrity, a limit that a row exceeds.
            "22" | "23" | "54" => ErrorAction::Reject,
            // Authorization, catalog, schema, syntax or rights, and whatever else there is.
            _ => ErrorAction::Alarm,
        },
    }
}

/// For any error of the client library: what is no answer of the server is a matter of the connection.
#[must_use]
pub fn action_for_error(error: &tokio_postgres::Error) -> ErrorAction {
    error.code().map_or(ErrorAction::Retry, action_for_sqlstate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_decision() {
        for (codes, decision) in [
            (
                "08000 08006 40001 40P01 53100 53200 53300 55P03 57P01 57P03 58030 25006 25P03 BM003",
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
                assert_eq!(action_for_sqlstate(&SqlState::from_code(code)), decision, "{code}");
            }
        }
    }

    /// Every class of appendix A of the PostgreSQL 17 manual, and classes that do not exist.
    #[test]
    fn the_table_is_total() {
        let classes = [
            (
                "00 01 02 03 0A 0B 0F 0L 0P 0Z 20 21 24 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 42 44 F0 HV P0 XX",
                ErrorAction::Alarm,
            ),
            ("25", ErrorAction::Alarm),
            ("08 40 53 55 57 58", ErrorAction::Retry),
            ("22 23 54", ErrorAction::Reject),
            ("72 ZZ ", ErrorAction::Alarm),
        ];
        for (names, decision) in classes {
            for class in names.split(' ') {
                assert_eq!(
                    action_for_sqlstate(&SqlState::from_code(&format!("{class}000"))),
                    decision,
                    "{class}"
                );
            }
        }
        for odd in ["", "2", "é", "ééé", "\u{0}"] {
            assert_eq!(action_for_sqlstate(&SqlState::from_code(odd)), ErrorAction::Alarm, "{odd:?}");
        }
    }
}
