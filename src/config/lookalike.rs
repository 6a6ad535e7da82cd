//! Names that are not settings but resemble one.

use super::settings;

/// Prefixes under which a user may expect the settings of a program.
const PROGRAMS: [&str; 2] = ["HOLDFAST_", "PYBMPMON_"];

/// Variables of libpq, each with the equivalent setting. Holdfast reads only PGPASSFILE of them.
const LIBPQ: [(&str, &str); 10] = [
    ("PGHOST", "DB_HOST"),
    ("PGHOSTADDR", "DB_HOST"),
    ("PGPORT", "DB_PORT"),
    ("PGUSER", "DB_USER"),
    ("PGPASSWORD", "DB_PASSWORD"),
    ("PGDATABASE", "DB_NAME"),
    ("PGSSLMODE", "DB_SSLMODE"),
    ("PGSSLROOTCERT", "DB_SSLROOTCERT"),
    ("PGSSLCERT", "DB_SSLCERT"),
    ("PGSSLKEY", "DB_SSLKEY"),
];

/// The message for an unknown upper-case name that has a prefix of Holdfast's settings.
pub(super) fn unknown(upper: &str) -> String {
    if let Some(name) = nearest(upper, names(), (upper.len() / 3).max(1)) {
        return format!("unknown setting; did you mean {name}?");
    }
    if upper.contains("_SERVICE_") || upper.contains("_TCP") {
        return "unknown setting; Kubernetes sets such names for services unless enableServiceLinks is false"
            .to_owned();
    }
    "unknown setting; .env.example lists all settings".to_owned()
}

/// A warning for an upper-case name without such a prefix; `None` if it resembles no setting.
///
/// The environment contains variables of other programs, so that only a typing error counts there. A file of
/// settings is written for Holdfast, perhaps together with other programs of a Compose file.
pub(super) fn warning(upper: &str, is_in_file: bool) -> Option<String> {
    let unprefixed = PROGRAMS.iter().find_map(|prefix| upper.strip_prefix(prefix));
    let similar = if let Some(name) = unprefixed.and_then(settings::find) {
        Some(name.name)
    } else if is_in_file {
        if let Some((_, name)) = LIBPQ.iter().find(|(name, _)| *name == upper) {
            return Some(format!("is a variable of libpq and has no effect; set {name} instead"));
        }
        ending_with(upper).or_else(|| nearest(upper, names(), upper.len() / 5))
    } else {
        nearest(upper, names(), upper.len() / 8)
    };
    similar.map(|name| format!("has no effect, because it is not a setting; did you mean {name}?"))
}

/// Names and aliases of all settings.
fn names() -> impl Iterator<Item = &'static str> {
    settings::all().flat_map(|setting| std::iter::once(setting.name).chain(setting.aliases.iter().copied()))
}

/// The only setting whose name ends with several words, such as `LISTEN_PORT`.
fn ending_with(upper: &str) -> Option<&'static str> {
    let mut found = settings::all().map(|setting| setting.name).filter(|name| {
        upper.contains('_') && name.strip_suffix(upper).is_some_and(|prefix| prefix.ends_with('_'))
    });
    found.next().filter(|_| found.next().is_none())
}

/// The candidate with the smallest edit distance to `name`, if the distance is at most `limit`.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>, limit: usize) -> Option<&'a str> {
    let (distance, candidate) = candidates
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= limit).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_name_is_suggested() {
        for (name, suggested) in
            [("WAL_XYZZY", None), ("WAL_MAX_BYTE", Some("WAL_MAX_BYTES")), ("DB_HOTS", Some("DB_HOST"))]
        {
            assert_eq!(unknown(name).split(" mean ").nth(1).map(|end| end.trim_end_matches('?')), suggested);
        }
    }

    #[test]
    fn variables_of_other_programs_are_no_lookalikes() {
        for name in ["PATH", "LOGNAME", "TZ", "SITE", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"] {
            assert_eq!((warning(name, true), warning(name, false)), (None, None), "{name}");
        }
        for name in ["PGHOST", "LISTEN_PORT", "HOSTNAME", "MAIL", "SHLVL", "INVOCATION_ID", "NOTIFY_SOCKET"] {
            assert_eq!(warning(name, false), None, "{name}");
        }
        for name in ["HOLDFAST_LOG_LEVEL", "BPM_LISTEN_PORT", "EXPECTED_ROUTER"] {
            assert!(warning(name, true).is_some() && warning(name, false).is_some(), "{name}");
        }
    }
}
