//! Percent-encoding (RFC 3986 section 2.1) and query strings. Pure.

/// Text without percent-encoding; `None` if it is malformed.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Text as one segment of a path, or as a value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The parameters of a query string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string as forms send it: `+` stands for a space. `None` if it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| decoded(&text.replace('+', " "));
            Some((decoded(name)?, decoded(value)?))
        });
        pairs.collect::<Option<Vec<_>>>().map(Self)
    }

    /// The first value of a parameter; `None` if it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A path with those parameters that have a value.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded_and_malformed_one_is_refused() {
        assert_eq!(decoded("edge%201%2F%C3%A9").as_deref(), Some("edge 1/é"));
        for malformed in ["%", "%4", "%+1", "%zz", "%ff"] {
            assert_eq!(decoded(malformed), None, "{malformed}");
        }
        let hostile = "a/b?c=d&e#\"<é>'\0%41";
        assert_eq!(decoded(&encoded(hostile)).as_deref(), Some(hostile));
        assert!(encoded(hostile).bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%'));
    }

    #[test]
    fn queries_are_read_as_forms_send_them() {
        let query = Query::parse("q=a+b%2B&q=second&&empty=&flag").unwrap();
        assert_eq!(query.get("q"), Some("a b+"));
        assert_eq!([query.get("empty"), query.get("flag"), query.get("other")], [None; 3]);
        assert_eq!(Query::parse("q=%f"), None);
        assert_eq!(link("/peers", &[("q", "a b"), ("sort", ""), ("page", "2")]), "/peers?q=a%20b&page=2");
        assert_eq!(link("/peers", &[("q", "")]), "/peers");
    }
}
