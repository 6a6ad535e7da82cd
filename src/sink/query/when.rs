//! Times and durations as arguments.

/// A point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// A time as PostgreSQL reads it.
    At(String),
    /// An interval before the present.
    Ago(String),
}

/// Units of a duration: accepted names, the name in PostgreSQL, and the length in days.
const UNITS: &[(&[&str], &str, f64)] = &[
    (&["s", "sec", "secs", "second", "seconds"], "seconds", 1.0 / 86_400.0),
    (&["m", "min", "mins", "minute", "minutes"], "minutes", 1.0 / 1_440.0),
    (&["h", "hr", "hrs", "hour", "hours"], "hours", 1.0 / 24.0),
    (&["d", "day", "days"], "days", 1.0),
    (&["w", "week", "weeks"], "weeks", 7.0),
    (&["mon", "mons", "month", "months"], "months", 30.0),
    (&["y", "yr", "yrs", "year", "years"], "years", 365.0),
];

/// Maximum length of a duration in days: 1000 years.
const DAYS_MAX: f64 = 365_000.0;

/// A duration as an interval of PostgreSQL; else the reason, which may be empty.
pub(super) fn span(text: &str, zero: bool, months: bool) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err("a duration is not negative".to_owned());
    }
    if text == "0" && zero {
        return Ok("0 seconds".to_owned());
    }
    let (interval, days, has_months) = match clock(text) {
        Some(seconds) => (format!("{seconds} seconds"), seconds / 86_400.0, false),
        None => units(text)?,
    };
    if days <= 0.0 && !zero {
        return Err("it is zero".to_owned());
    }
    if days > DAYS_MAX {
        return Err("it is longer than 1000 years".to_owned());
    }
    if has_months && !months {
        return Err("months and years have no fixed length".to_owned());
    }
    Ok(interval)
}

/// Seconds of `HH:MM` or `HH:MM:SS`.
fn clock(text: &str) -> Option<f64> {
    let parts: Vec<f64> = text
        .split(':')
        .map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?)
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [hours, minutes] if *minutes < 60.0 => Some(hours * 3600.0 + minutes * 60.0),
        [hours, minutes, seconds] if *minutes < 60.0 && *seconds < 60.0 => {
            Some(hours * 3600.0 + minutes * 60.0 + seconds)
        }
        _ => None,
    }
}

/// Interval, days, and whether it has months or years.
fn units(text: &str) -> Result<(String, f64, bool), String> {
    let mut rest = text;
    let (mut parts, mut days, mut has_months) = (Vec::new(), 0.0, false);
    while !rest.is_empty() {
        let (number, after) = split(rest, |letter| letter.is_ascii_digit() || letter == '.');
        let (unit, after) = split(after.trim_start(), char::is_alphabetic);
        if number.is_empty() {
            return Err(String::new());
        }
        if unit.is_empty() {
            return Err(format!("\"{number}\" has no unit"));
        }
        let amount: f64 = number.parse().map_err(|_| format!("\"{number}\" is no number"))?;
        let lower = unit.to_lowercase();
        let (_, name, length) = UNITS
            .iter()
            .find(|(names, _, _)| names.contains(&lower.as_str()))
            .ok_or_else(|| format!("unknown unit \"{unit}\""))?;
        parts.push(format!("{number} {name}"));
        days += amount * length;
        has_months |= ["months", "years"].contains(name);
        rest = after.trim_start_matches([' ', ',']);
    }
    if parts.is_empty() { Err(String::new()) } else { Ok((parts.join(" "), days, has_months)) }
}

/// Splits before the first letter that is not accepted.
fn split(text: &str, is_accepted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|letter| !is_accepted(letter)).unwrap_or(text.len());
    text.split_at(end)
}

/// A time, in UTC unless it has an offset; else the reason, which may be empty.
pub(super) fn time(text: &str) -> Result<Moment, String> {
    let lower = text.to_lowercase();
    match lower.as_str() {
        // The present is the current table; it need not be computed from history.
        "now" | "infinity" => return Ok(Moment::At("infinity".to_owned())),
        "today" | "yesterday" => return Ok(Moment::At(lower)),
        _ => {}
    }
    if let Some(length) = lower.strip_suffix("ago") {
        return span(length, true, true).map(Moment::Ago);
    }
    let (date, rest) = split(text, |letter| letter.is_ascii_digit() || letter == '-');
    let date = calendar_date(date)?;
    let rest = rest.trim_start().trim_start_matches(['T', 't']);
    let (clock, offset) = split(rest, |letter| letter.is_ascii_digit() || letter == ':' || letter == '.');
    let clock = if clock.is_empty() { "00:00".to_owned() } else { clock_time(clock)? };
    Ok(Moment::At(format!("{date} {clock}{}", utc_offset(offset.trim())?)))
}

fn numbers(text: &str, separator: char) -> Option<Vec<u32>> {
    text.split(separator)
        .map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?)
        .collect()
}

fn calendar_date(text: &str) -> Result<String, String> {
    let parts = numbers(text, '-').filter(|_| text.len() == 10);
    let Some([year, month, day]) = parts.as_deref() else { return Err(String::new()) };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Err(format!("there is no month {month}")),
    };
    if !(1..=days).contains(day) {
        return Err(format!("month {month} has {days} days"));
    }
    if *year < 1970 {
        return Err("the year is before 1970".to_owned());
    }
    Ok(text.to_owned())
}

fn clock_time(text: &str) -> Result<String, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts = numbers(whole, ':').filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()));
    match parts.as_deref() {
        Some([hour, minute]) if *hour < 24 && *minute < 60 && fraction.is_empty() => Ok(text.to_owned()),
        Some([hour, minute, second]) if *hour < 24 && *minute < 60 && *second < 60 => Ok(text.to_owned()),
        _ => Err(format!("\"{text}\" is no time of day")),
    }
}

/// `Z`, `UTC`, `+HH`, `+HHMM` or `+HH:MM` in the form of PostgreSQL.
fn utc_offset(text: &str) -> Result<String, String> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Ok("+00:00".to_owned());
    }
    let invalid = || format!("\"{text}\" is no offset from UTC");
    let (sign, digits) = split(text, |letter| letter == '+' || letter == '-');
    let digits = digits.replace(':', "");
    let is_valid = ["+", "-"].contains(&sign) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = match (is_valid, digits.len()) {
        (true, 2) => (digits.as_str(), "00"),
        (true, 4) => digits.split_at(2),
        _ => return Err(invalid()),
    };
    if hours > "15" || minutes > "59" {
        return Err(invalid());
    }
    Ok(format!("{sign}{hours}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, sent) in [
            ("6 hours", "6 hours"),
            ("90m", "90 minutes"),
            ("1d12h", "1 days 12 hours"),
            ("1 day, 2 hours", "1 days 2 hours"),
            ("1.5 Hours", "1.5 hours"),
            ("01:30:00", "5400 seconds"),
            ("100 years", "100 years"),
        ] {
            assert_eq!(span(text, false, true).as_deref(), Ok(sent), "{text}");
        }
        for (text, reason) in [
            ("-1 hour", "a duration is not negative"),
            ("0 hours", "it is zero"),
            ("0", "\"0\" has no unit"),
            ("3600", "\"3600\" has no unit"),
            ("1 fortnight", "unknown unit \"fortnight\""),
            ("1 hour ago", ""),
            ("5000 years", "it is longer than 1000 years"),
            ("1.2.3 h", "\"1.2.3\" is no number"),
            ("", ""),
        ] {
            assert_eq!(span(text, false, true), Err(reason.to_owned()), "{text}");
        }
        assert_eq!(span("0", true, true).as_deref(), Ok("0 seconds"));
        assert_eq!(span("1 month", false, false), Err("months and years have no fixed length".to_owned()));
    }

    #[test]
    fn times_are_in_utc_unless_they_have_an_offset() {
        for (text, sent) in [
            ("2026-11-23", "2026-11-23 00:00+00:00"),
            ("2026-11-23 12:00", "2026-11-23 12:00+00:00"),
            ("2026-11-23T12:00:00.5Z", "2026-11-23 12:00:00.5+00:00"),
            ("2026-11-23 12:00 +0130", "2026-11-23 12:00+01:30"),
            ("2026-11-23 12:00-08", "2026-11-23 12:00-08:00"),
            ("2028-02-29", "2028-02-29 00:00+00:00"),
            ("now", "infinity"),
            ("Yesterday", "yesterday"),
        ] {
            assert_eq!(time(text), Ok(Moment::At(sent.to_owned())), "{text}");
        }
        assert_eq!(time("2 hours ago"), Ok(Moment::Ago("2 hours".to_owned())));
        for (text, reason) in [
            ("2026-13-01", "there is no month 13"),
            ("2026-02-29", "month 2 has 28 days"),
            ("2026-11-23 25:00", "\"25:00\" is no time of day"),
            ("2026-11-23 12:00 CET", "\"CET\" is no offset from UTC"),
            ("1066-10-14", "the year is before 1970"),
            ("noon", ""),
            ("23.11.2026", ""),
        ] {
            assert_eq!(time(text), Err(reason.to_owned()), "{text}");
        }
    }
}
