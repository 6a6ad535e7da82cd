//! The wall clock and the text form of timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

use crate::num::to_micros;
use crate::route::Timestamp;

/// The current time.
#[must_use]
pub fn now() -> Timestamp {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => to_micros(since),
        Err(before) => -to_micros(before.duration()),
    };
    Timestamp(micros)
}

/// ISO 8601 form of a timestamp in UTC with microseconds: `2026-08-11T09:30:00.000000Z`. A timestamp beyond
/// the range of the calendar is written as its number of microseconds.
#[must_use]
pub fn iso8601(Timestamp(micros): Timestamp) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000) else {
        return micros.to_string();
    };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", time.microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_399_000_000, "2000-02-28T23:59:59.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_800_000_001, "2000-03-01T00:00:00.000001Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (i64::MAX, "9223372036854775807"),
            (1_786_440_645_123_456, "2026-08-11T09:30:45.123456Z"),
        ] {
            assert_eq!(iso8601(Timestamp(micros)), text);
        }
    }
}
