//! Explanations of one line of a `.env` file, by the rules of `dotenvy`.

use super::Doubt;

/// Advice for a value that is misread.
const ADVICE: &str = "enclose the value in single quotes";

/// State of the scanner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// What the characters of a value mean.
#[derive(Default)]
struct Scan {
    /// Names of the variables that are referred to.
    references: Vec<String>,
    /// Byte offset of the comment.
    comment: Option<usize>,
    is_quote_open: bool,
    has_text_after_space: bool,
    has_unknown_escape: bool,
}

/// Scans the text after the equals sign.
fn scan(value: &str) -> Scan {
    let mut found = Scan::default();
    let mut quote = Quote::None;
    let mut is_after_space = false;
    let start = value.len() - value.trim_start().len();
    let mut letters = value.trim().char_indices().peekable();
    while let Some((index, letter)) = letters.next() {
        match (quote, letter) {
            (Quote::None, '#') if is_after_space => {
                found.comment = Some(start + index);
                return found;
            }
            (Quote::None, ' ' | '\t') => is_after_space = true,
            (Quote::None, _) if is_after_space => {
                found.has_text_after_space = true;
                return found;
            }
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::None | Quote::Double, '\\') => {
                let escaped = letters.next().map(|(_, letter)| letter);
                found.has_unknown_escape |= !matches!(escaped, Some('\\' | '\'' | '"' | '$' | ' ' | 'n'));
            }
            (Quote::None | Quote::Double, '$') => {
                let is_braced = letters.next_if(|(_, letter)| *letter == '{').is_some();
                let is_of_name = |letter: char| letter.is_alphanumeric() || (is_braced && letter != '}');
                let mut name = String::new();
                while let Some((_, letter)) = letters.next_if(|(_, letter)| is_of_name(*letter)) {
                    name.push(letter);
                }
                found.references.push(name);
            }
            _ => {}
        }
    }
    found.is_quote_open = quote != Quote::None;
    found
}

/// Whether a value continues in the next line, because a quote is open.
pub(super) fn continues(raw: &str) -> bool {
    raw.split_once('=').is_some_and(|(_, value)| scan(value).is_quote_open)
}

/// The part of a line before a comment behind its value. If there are two spaces before the comment, dotenvy
/// takes a quote in it for one of the value, and reads on until the quote is closed.
pub(super) fn without_comment(line: &str) -> &str {
    let Some((name, value)) = line.split_once('=') else { return line };
    let end = scan(value).comment.map(|offset| name.len() + 1 + offset);
    end.and_then(|end| line.get(..end)).unwrap_or(line)
}

/// The parts of a valid line that may be meant literally. `raw` is the line, or the lines, as written;
/// `is_set` returns whether a variable of this name has a value.
pub(super) fn doubts(raw: &str, is_set: impl Fn(&str) -> bool) -> Vec<Doubt> {
    let Some((_, value)) = raw.split_once('=') else { return Vec::new() };
    if value.starts_with('#') {
        return vec![Doubt::EmptyBeforeComment];
    }
    if value.trim_start().starts_with('#') {
        return Vec::new();
    }
    let scan = scan(value);
    let mut doubts = Vec::new();
    if scan.references.iter().any(|name| !is_set(name)) {
        doubts.push(Doubt::ReferenceToNothing);
    } else if !scan.references.is_empty() {
        doubts.push(Doubt::Reference);
    }
    if scan.comment.is_some() {
        doubts.push(Doubt::Comment);
    }
    doubts
}

/// Why a line is invalid, and what to do.
pub(super) fn explain(raw: &str) -> String {
    let first = raw.lines().next().unwrap_or_default();
    let Some((name, _)) = first.split_once('=') else {
        return "expected NAME=value".to_owned();
    };
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.is_empty()
        || name.starts_with(|first: char| first.is_ascii_digit())
        || !name.chars().all(is_letter)
    {
        return "expected NAME=value, with letters, digits and underscores in the name".to_owned();
    }
    let scan = scan(raw.split_once('=').map_or("", |(_, value)| value));
    if scan.has_text_after_space {
        return format!("{name} has text after white space: {ADVICE}");
    }
    if scan.is_quote_open {
        return format!(
            "{name} has a quote that is not closed; a value that contains ' or \" must be enclosed in quotes \
             of the other kind"
        );
    }
    if scan.has_unknown_escape {
        return format!(
            "{name} has an unknown escape sequence; known are \\\\ \\' \\\" \\$ \\n and a backslash before a \
             space. To use a backslash literally, {ADVICE}"
        );
    }
    if scan.references.is_empty() {
        return format!("{name} has a value that cannot be read: {ADVICE}");
    }
    format!(
        "{name} has a $ that begins a reference to another variable and cannot be read; {ADVICE} if $ is \
         meant literally, else write ${{NAME}}"
    )
}

/// Description of a doubt, for a warning.
pub(in crate::config) const fn describe(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::ReferenceToNothing => {
            "$ begins a reference to another variable, which is not set, so that the reference is removed; \
             enclose the value in single quotes if $ is meant literally, else write ${NAME}"
        }
        Doubt::Reference => {
            "$ begins a reference to another variable and is replaced by its value; enclose the value in \
             single quotes if $ is meant literally"
        }
        Doubt::Comment => {
            "the text from # on is a comment and not part of the value; enclose the value in single quotes \
             if # belongs to it"
        }
        Doubt::EmptyBeforeComment => {
            "the value is empty, because # begins a comment; enclose the value in single quotes if # belongs \
             to it"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_those_that_quotes_do_not_exclude() {
        for (line, expected) in [
            ("A=x", &[][..]),
            ("A=x$y", &[Doubt::ReferenceToNothing]),
            ("A=x$B", &[Doubt::Reference]),
            ("A=${B}_$B", &[Doubt::Reference]),
            ("A=$B_C", &[Doubt::Reference]),
            ("A=${B:-c}", &[Doubt::ReferenceToNothing]),
            ("A=\"x$y\"", &[Doubt::ReferenceToNothing]),
            ("A='x$y #z'", &[]),
            ("A=x\\$y", &[]),
            ("A=x#y", &[]),
            ("A=x #y", &[Doubt::Comment]),
            ("A=\"x #y\"", &[]),
            ("A='x' # '$y'", &[Doubt::Comment]),
            ("A=#x", &[Doubt::EmptyBeforeComment]),
            ("A= # x", &[]),
            ("A=", &[]),
        ] {
            assert_eq!(doubts(line, |name| name == "B"), expected, "{line}");
        }
    }
}
