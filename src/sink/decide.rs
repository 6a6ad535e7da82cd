//! From an error of the database to what to do: one total table, by code and never by text.

use tokio_postgres::error::SqlState;

/// What to do after an error. In each case the connection is dropped first and the lane attaches anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passes by itself: try again, 0.1 s to 30 s later.
    Retry,
    /// These rows are refused, and would be again.
    Reject,
    /// Somebody has to mend something first: alarm, look again once a minute.
    Alarm,
    /// Going on could do harm: alarm, drain no more until the next start.
    Halt,
}

/// By SQLSTATE; the classes are those of the PostgreSQL manual, appendix A.
#[must_use]
pub fn decide(state: &SqlState) -> Decision {
    match state.code() {
        // Another collector took the lane over; or a row is there twice although the fence held; or our COPY bytes
        // are wrong.
        "BM001" | "23505" | "22P04" => Decision::Halt,
        // The lane stands elsewhere than we thought: attach, and believe the row.
        "BM003" => Decision::Retry,
        // A read-only standby after a failover, or a transaction that the server ended for being idle.
        "25006" | "25P03" | "25P04" => Decision::Retry,
        code => match code.get(..2).unwrap_or_default() {
            // Connection, rollback (deadlock, serialization), resources, not in the needed state (lock), operator
            // intervention (shutdown, cancel), system error (I/O).
            "08" | "40" | "53" | "55" | "57" | "58" => Decision::Retry,
            // Data, integrity, a limit that a row exceeds.
            "22" | "23" | "54" => Decision::Reject,
            // Authorization, catalog, schema, syntax or rights, and whatever else there is.
            _ => Decision::Alarm,
        },
    }
}

/// For any error of the client library: what is no answer of the server is a matter of the connection.
#[must_use]
pub fn decide_error(error: &tokio_postgres::Error) -> Decision {
    error.code().map_or(Decision::Retry, decide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_decision() {
        for (codes, decision) in [
            (
                "08000 08006 40001 40P01 53100 53200 53300 55P03 57014 57P01 57P03 58030 25006 25P03 BM003",
                Decision::Retry,
            ),
            ("22003 22021 22P02 23502 23514 54000", Decision::Reject),
            (
                "28000 28P01 3D000 3F000 42P01 42501 42703 0A000 P0001 XX000 25P02 BM002 ZZZZZ",
                Decision::Alarm,
            ),
            ("BM001 23505 22P04", Decision::Halt),
        ] {
            for code in codes.split(' ') {
                assert_eq!(decide(&SqlState::from_code(code)), decision, "{code}");
            }
        }
    }
}
