//! Requests below `/lookup`: the query, its arguments, and the equivalent command line.

use crate::http::uri::decoded;
use crate::sink::{BoundQuery, Query, QueryError};

/// Maximum number of rows of a response.
pub(super) const LIMIT_MAX: u32 = 10_000;

/// Number of rows of a page without a limit in its address.
const LIMIT_DEFAULT: u32 = 100;

/// Names in the address that are not those of parameters.
pub(super) const LIMIT: &str = "limit";
pub(super) const FIELDS: &str = "fields";
pub(super) const SEARCH: &str = "q";

/// The subject of a request.
pub(super) enum Subject {
    /// The list of the queries.
    Index,
    /// A query, and the format of its result.
    Query(&'static Query, Format),
    /// No query has this name.
    Unknown(String),
}

/// Format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A page with a form and a table.
    Page,
    /// A JSON array, as that of `holdfast query --format json`.
    Json,
    /// CSV, as that of `holdfast query --format csv`.
    Csv,
}

impl Subject {
    /// The subject of a path; `None` if it is neither `/lookup` nor below it.
    pub(super) fn from_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/lookup")?;
        if rest.is_empty() {
            return Some(Self::Index);
        }
        let file = rest.strip_prefix('/')?;
        let (name, format) = match file.rsplit_once('.') {
            Some((name, "json")) => (name, Format::Json),
            Some((name, "csv")) => (name, Format::Csv),
            _ => (file, Format::Page),
        };
        if file.is_empty() {
            return Some(Self::Index);
        }
        Some(match Query::find(name) {
            Some(query) => Self::Query(query, format),
            None => Self::Unknown(name.to_owned()),
        })
    }
}

/// Names and values of an address. Empty values, which a form sends for fields that are not filled in, are
/// left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    pairs: Vec<(String, String)>,
}

/// The query part of the address is not percent-encoded UTF-8.
#[derive(Debug)]
pub(super) struct Malformed;

impl Values {
    /// Reads the part of an address after the question mark.
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| decoded(&text.replace('+', " "));
            let (name, value) = decoded(name).zip(decoded(value)).ok_or(Malformed)?;
            if !value.trim().is_empty() {
                pairs.push((name, value));
            }
        }
        Ok(Self { pairs })
    }

    /// The first value of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Names and values of arguments.
    fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_argument = |name: &str| ![LIMIT, FIELDS, SEARCH].contains(&name);
        let pairs = self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(move |(name, _)| is_argument(name))
    }
}

/// A request to run a query that cannot be fulfilled, because of its arguments.
#[derive(Debug)]
pub(super) struct Invalid {
    /// Name of the field of the form whose value is invalid; `None` if it is none of them.
    pub(super) field: Option<&'static str>,
    /// The error, as the first line of that of the command line.
    pub(super) reason: String,
    /// The whole error of the command line.
    pub(super) text: String,
}

impl From<&QueryError> for Invalid {
    fn from(error: &QueryError) -> Self {
        let (field, reason) = match error {
            QueryError::Arguments { reason, parameter, .. } => (*parameter, reason.clone()),
            QueryError::Field { .. } => (Some(FIELDS), error.to_string()),
            QueryError::Unknown { .. } | QueryError::Database(_) => (None, error.to_string()),
        };
        Self { field, reason, text: error.to_string() }
    }
}

/// A query with arguments that match its parameters.
pub(super) struct Call {
    pub(super) query: BoundQuery,
    /// Maximum number of rows.
    pub(super) limit: u32,
    /// Names of the columns; all if empty.
    pub(super) fields: Vec<String>,
}

impl Call {
    /// Checks the values of an address.
    pub(super) fn bind(query: &'static Query, format: Format, values: &Values) -> Result<Self, Invalid> {
        let mut arguments = Vec::new();
        for (name, value) in values.arguments() {
            // A text without a name would be taken in order.
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            if !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) || !name.chars().all(is_name) {
                let reason = format!("unknown parameter \"{name}\"; usage: {}", query.usage());
                return Err(Invalid { field: None, text: reason.clone(), reason });
            }
            arguments.push(format!("{name}={value}"));
        }
        let bound = BoundQuery::new(query.name, &arguments).map_err(|error| Invalid::from(&error))?;
        Ok(Self { query: bound, limit: limit(format, values)?, fields: fields(values) })
    }
}

fn fields(values: &Values) -> Vec<String> {
    let names = values.get(FIELDS).unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The maximum number of rows. A file has all rows that a response may have, unless it is asked for fewer.
fn limit(format: Format, values: &Values) -> Result<u32, Invalid> {
    let Some(text) = values.get(LIMIT) else {
        return Ok(if format == Format::Page { LIMIT_DEFAULT } else { LIMIT_MAX });
    };
    let number = text.trim().parse().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| {
        let reason = format!("invalid {LIMIT} \"{text}\"; expected an integer from 1 to {LIMIT_MAX}");
        Invalid { field: Some(LIMIT), text: reason.clone(), reason }
    })
}

/// The command line with the same result.
pub(super) fn command_line(query: &Query, values: &Values, limit: u32) -> String {
    let mut line = format!("holdfast query {}", query.name);
    let mut is_in_order = true;
    for parameter in query.parameters {
        let Some(value) = values.get(parameter.name) else {
            is_in_order = false;
            continue;
        };
        // A value with these signs would be taken for an option or for a name and its value.
        let is_plain = parameter.is_required() && !value.starts_with('-') && !value.contains('=');
        let word = shell_word(value);
        line.push_str(&match is_in_order && is_plain {
            true => format!(" {word}"),
            false => format!(" {}={word}", parameter.name),
        });
    }
    let fields = fields(values);
    if !fields.is_empty() {
        line.push_str(&format!(" --fields {}", shell_word(&fields.join(","))));
    }
    line.push_str(&format!(" --limit {limit}"));
    line
}

/// A word of a shell's command line, quoted if it has signs with another meaning.
fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,@%+".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The address of a query with these values.
pub(super) fn address<'a>(
    query: &str,
    extension: &str,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut address = format!("/lookup/{query}{extension}");
    let mut separator = '?';
    for (name, value) in values {
        address.push(separator);
        address.push_str(name);
        address.push('=');
        encode(value, &mut address);
        separator = '&';
    }
    address
}

/// The address of the same query and arguments with another format or limit.
pub(super) fn same_address(query: &Query, extension: &str, values: &Values, limit: Option<u32>) -> String {
    let limit = limit.map(|limit| limit.to_string());
    let fields = values.get(FIELDS).map(|fields| (FIELDS, fields));
    let others = fields.into_iter().chain(limit.as_deref().map(|limit| (LIMIT, limit)));
    address(query.name, extension, values.arguments().chain(others))
}

/// Appends a value in percent-encoding. Unlike in a path, `/`, `:` and `,` need none in a value, and
/// addresses and prefixes remain readable without it.
fn encode(text: &str, address: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => address.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b',' => address.push(char::from(byte)),
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::QUERIES;

    fn values(text: &str) -> Values {
        Values::parse(text).unwrap()
    }

    #[test]
    fn no_parameter_has_a_name_with_another_meaning() {
        for parameter in QUERIES.iter().flat_map(|query| query.parameters) {
            assert!(![LIMIT, FIELDS, SEARCH].contains(&parameter.name), "{}", parameter.name);
        }
    }

    #[test]
    fn values_are_decoded_and_encoded() {
        let given = values("peer=core+2%26&at=&x=%E2%82%AC");
        assert_eq!(given.get("peer"), Some("core 2&"));
        assert_eq!((given.get("at"), given.get("x")), (None, Some("€")));
        let again = address("rib_at", ".json", [("peer", "core 2&"), ("x", "€")]);
        assert_eq!(again, "/lookup/rib_at.json?peer=core%202%26&x=%E2%82%AC");
        for malformed in ["a=%", "a=%zz", "a=%1", "a=%ff", "%c3=1"] {
            assert!(Values::parse(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn the_command_line_is_one_that_a_shell_reads() {
        for (name, text, line) in [
            ("route_lookup", "address=2001:db8::1", "route_lookup 2001:db8::1 --limit 100"),
            ("rib_at", "peer=core+2&at=now&rib=loc-rib", "rib_at 'core 2' now rib=loc-rib --limit 100"),
            ("rib_at", "at=now&peer=bgp-id%3D10.0.0.1", "rib_at peer='bgp-id=10.0.0.1' now --limit 100"),
            ("churn", "span=6+hours&fields=a,+b", "churn span='6 hours' --fields a,b --limit 100"),
            ("peers", "peer=-it's", r"peers peer='-it'\''s' --limit 100"),
        ] {
            let query = Query::find(name).unwrap();
            assert_eq!(command_line(query, &values(text), 100), format!("holdfast query {line}"));
        }
    }

    #[test]
    fn invalid_values_name_their_field() {
        let query = Query::find("prefix_lookup").unwrap();
        for (text, field, reason) in [
            ("prefix=::/0&limit=0", Some(LIMIT), "invalid limit \"0\"; expected an integer from 1 to 10000"),
            ("prefix=::/0&limit=10001", Some(LIMIT), "invalid limit \"10001\""),
            ("prefix=::/0&match=moer", Some("match"), "invalid match \"moer\"; expected exact, more or less"),
            ("match=more", Some("prefix"), "missing argument PREFIX: expected an IPv4"),
            ("prefix=::/0&prefix=::/1", Some("prefix"), "argument prefix is given twice"),
            ("prefix=::/0&mach=more", None, "unknown parameter \"mach\" (did you mean \"match\"?)"),
            ("bgp-id=1", None, "unknown parameter \"bgp-id\"; usage: prefix_lookup PREFIX"),
        ] {
            let Err(invalid) = Call::bind(query, Format::Page, &values(text)) else { panic!("{text}") };
            assert_eq!(invalid.field, field, "{text}");
            assert!(invalid.reason.starts_with(reason), "{text}: {}", invalid.reason);
        }
    }

    #[test]
    fn a_path_has_a_query_and_a_format() {
        let format = |path: &str| match Subject::from_path(path) {
            Some(Subject::Query(query, format)) => Some((query.name, format)),
            _ => None,
        };
        assert_eq!(format("/lookup/moas"), Some(("moas", Format::Page)));
        assert_eq!(format("/lookup/moas.json"), Some(("moas", Format::Json)));
        assert_eq!(format("/lookup/moas.csv"), Some(("moas", Format::Csv)));
        assert!(matches!(Subject::from_path("/lookup/moas.xml"), Some(Subject::Unknown(_))));
        assert!(matches!(Subject::from_path("/lookup/"), Some(Subject::Index)));
        assert!(Subject::from_path("/lookups").is_none());
    }
}
