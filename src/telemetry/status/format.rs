//! Numbers, sizes, times and lines of the status as people read them. Pure.

/// A duration in its two largest units.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A size in the largest fitting unit, with one decimal.
#[must_use]
pub fn size(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..1_024 => return format!("{bytes} B"),
        1_024..1_048_576 => (10, "KiB"),
        1_048_576..1_073_741_824 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    let tenths = ((bytes >> (shift - 10)) * 10) >> 10;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// A number in at most six characters.
#[must_use]
pub fn short(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..10.0 if number.fract() > 0.0 => format!("{number:.1}"),
        ..100_000.0 => format!("{number:.0}"),
        ..1e6 => format!("{:.0}k", number / 1e3),
        ..1e9 => format!("{:.1}M", number / 1e6),
        _ => format!("{:.1}G", number / 1e9),
    }
}

/// An age in seconds, or that it is unknown.
#[must_use]
pub fn age(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "unknown age".to_owned(), |seconds| format!("{seconds:.1} s"))
}

/// A number with its noun, in the singular for 1.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The text, cut to a maximum number of columns; a cut text ends with `…`.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

/// The text in lines of at most `columns` columns, broken at spaces. A longer word is broken.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > columns {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        while word.len() > columns {
            lines.push(word.drain(..columns).collect());
        }
        length += word.len();
        line.extend(word);
    }
    if length > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(10 << 30), "10.0 GiB");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(3_660), "1 h 1 min");
        assert_eq!(duration(90_000), "1 d 1 h");
        assert_eq!([counted(1, "peer"), counted(2, "peer")], ["1 peer", "2 peers"]);
        assert_eq!([age(None), age(Some(1.26))], ["unknown age", "1.3 s"]);
    }

    #[test]
    fn lines_have_at_most_their_columns() {
        assert_eq!(cut("größe", 5), "größe");
        assert_eq!(cut("größer", 5), "größ…");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a 1234567890", 4), ["a", "1234", "5678", "90"]);
        assert_eq!(wrapped("12345678", 4), ["1234", "5678"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.04, 9.96, 12.0, 99_999.0, 123_456.0, 1_234_567.0, 4e9];
        let texts = ["0", "0.0", "10.0", "12", "99999", "123k", "1.2M", "4.0G"];
        assert_eq!(numbers.map(short), texts);
        assert_eq!(short(3.0), "3");
    }
}
