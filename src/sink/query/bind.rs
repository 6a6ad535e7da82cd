//! Calls of queries: arguments matched with parameters and checked.

use tokio_postgres::error::SqlState;

use super::catalogue::{Parameter, QUERIES, Query};
use super::kind::{Kind, Value};
use crate::sink::error::explain;

/// Function of the query `rib_at` for the present.
const CURRENT_TABLE: &str = "rib_now";

/// A query with its arguments.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    pub(super) query: &'static Query,
    pub(super) arguments: Vec<(&'static Parameter, Value)>,
}

/// Why a query could not be bound or run.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The catalogue has no query of this name.
    #[error(
        "unknown query \"{name}\"{}; `holdfast query --list` lists the names",
        suggestion(.nearest.as_deref())
    )]
    Unknown {
        /// The name.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// The arguments do not match the parameters of the query.
    #[error(
        "{reason}\nusage: holdfast query {usage}\n`holdfast query {name} --help` explains the parameters"
    )]
    Arguments {
        /// Description of the mismatch.
        reason: String,
        /// Usage line of the query.
        usage: String,
        /// Name of the query.
        name: &'static str,
        /// Name of the parameter whose argument is invalid or missing; `None` if the mismatch is not that of
        /// a parameter.
        parameter: Option<&'static str>,
    },
    /// The result has no such column.
    #[error(
        "unknown field \"{name}\"{}; the fields are {}",
        suggestion(.nearest.as_deref()),
        .fields.join(", ")
    )]
    Field {
        /// The name.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
        /// The columns of the result.
        fields: Vec<String>,
    },
    /// The server rejected the query, or the connection failed.
    #[error("{}", explain(.0))]
    Database(#[from] tokio_postgres::Error),
}

impl QueryError {
    /// Whether the cause is in the arguments, and not in the database or the connection to it.
    #[must_use]
    pub fn is_of_arguments(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Arguments { .. } | Self::Field { .. } => true,
            // Functions reject values of their parameters with codes of class 22 (data exception).
            Self::Database(error) => error.code().is_some_and(|code| code.code().starts_with("22")),
        }
    }

    /// Whether the server cancelled the query because it exceeded its time limit.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::QUERY_CANCELED))
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean \"{name}\"?)"))
}

/// The most similar candidate, if it is similar enough to be meant.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let (distance, candidate) = candidates
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(1)).then(|| candidate.to_owned())
}

impl BoundQuery {
    /// Binds arguments to the parameters of a query, `name=value` by name and the others in order, and checks
    /// their values.
    ///
    /// # Errors
    /// The query is unknown, or the arguments do not match its parameters.
    pub fn new(name: &str, arguments: &[String]) -> Result<Self, QueryError> {
        let query = Query::find(name).ok_or_else(|| QueryError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, QUERIES.iter().map(|query| query.name)),
        })?;
        let mut bound = Self { query, arguments: Vec::new() };
        for argument in arguments {
            let (parameter, text) =
                bound.parameter(argument).map_err(|reason| bound.mismatch(None, reason))?;
            if !bound.is_free(parameter) {
                let reason = format!("argument {} is given twice", parameter.name);
                return Err(bound.mismatch(Some(parameter), reason));
            }
            let value = parameter.kind.parse(text).map_err(|reason| {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let (name, accepted) = (parameter.name, parameter.kind.accepted());
                let reason = format!("invalid {name} \"{text}\"{reason}; expected {accepted}");
                bound.mismatch(Some(parameter), reason)
            })?;
            bound.arguments.push((parameter, value));
        }
        let missing = query.parameters.iter().find(|it| it.is_required() && bound.is_free(it));
        match missing {
            Some(parameter) => {
                let (name, accepted) = (parameter.name.to_uppercase(), parameter.kind.accepted());
                let reason = format!("missing argument {name}: expected {accepted}");
                Err(bound.mismatch(Some(parameter), reason))
            }
            None => Ok(bound),
        }
    }

    fn is_free(&self, parameter: &Parameter) -> bool {
        self.arguments.iter().all(|(given, _)| *given != parameter)
    }

    /// The parameter that an argument is for, and the text of its value.
    fn parameter<'a>(&self, argument: &'a str) -> Result<(&'static Parameter, &'a str), String> {
        let parameters = self.query.parameters;
        let is_name = |text: &&str| {
            text.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        if let Some((name, value)) = argument.split_once('=').filter(|(name, _)| is_name(name)) {
            let found = parameters.iter().find(|it| it.name == name || it.sql_name == name);
            return found.map(|parameter| (parameter, value)).ok_or_else(|| {
                let near = nearest(name, parameters.iter().map(|parameter| parameter.name));
                let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name).collect();
                let names = if names.is_empty() { "it has none".to_owned() } else { names.join(", ") };
                format!("unknown parameter \"{name}\"{}; parameters: {names}", suggestion(near.as_deref()))
            });
        }
        let next = parameters.iter().find(|parameter| self.is_free(parameter));
        next.map(|parameter| (parameter, argument))
            .ok_or_else(|| format!("unexpected argument \"{argument}\""))
    }

    pub(super) fn mismatch(&self, parameter: Option<&'static Parameter>, reason: String) -> QueryError {
        QueryError::Arguments {
            reason,
            usage: self.query.usage(),
            name: self.query.name,
            parameter: parameter.map(|parameter| parameter.name),
        }
    }

    /// The peer selectors among the arguments.
    pub(super) fn peers(&mut self) -> impl Iterator<Item = (&'static Parameter, &mut String)> {
        self.arguments.iter_mut().filter_map(|(parameter, value)| match value {
            Value::Text(text) if parameter.kind == Kind::Peer => Some((*parameter, text)),
            _ => None,
        })
    }

    /// Whether the query is a table of the present. It has a function of its own, which reads the current
    /// table in the order of an index, so that the first rows take no longer in a large table.
    pub(super) fn is_current_table(&self) -> bool {
        let is_now = |(parameter, value): &(&Parameter, Value)| {
            parameter.name == "at" && matches!(value, Value::Text(time) if time == "infinity")
        };
        let of_collector = |(parameter, _): &(&Parameter, Value)| parameter.name == "collector";
        self.query.name == "rib_at"
            && self.arguments.iter().any(is_now)
            && !self.arguments.iter().any(of_collector)
    }

    /// The arguments of the function call.
    fn passed(&self) -> impl Iterator<Item = &(&'static Parameter, Value)> {
        let is_current = self.is_current_table();
        self.arguments.iter().filter(move |(parameter, _)| !is_current || parameter.name != "at")
    }

    /// The function call, with a placeholder for each argument.
    pub(super) fn call(&self) -> String {
        let function = if self.is_current_table() { CURRENT_TABLE } else { self.query.name };
        let arguments = self.passed().zip(1..).map(|((parameter, value), number)| {
            let name = parameter.sql_name;
            match value {
                Value::Text(_) => format!("{name} => ${number}::text::{}", parameter.sql_type),
                Value::Ago(_) => format!("{name} => now() - ${number}::text::interval"),
            }
        });
        format!("{function}({})", arguments.collect::<Vec<_>>().join(", "))
    }

    /// The texts of the arguments, in the order of the placeholders.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.passed().map(|(_, Value::Text(text) | Value::Ago(text))| text)
    }

    /// SQL expression of an argument or its default; `None` if there is no such parameter, or no default that
    /// is a value.
    pub(super) fn expression(&self, name: &str) -> Option<String> {
        let parameter = self.query.parameters.iter().find(|parameter| parameter.name == name)?;
        let given =
            self.arguments.iter().find(|(given, _)| *given == parameter).map(|(_, value)| value.clone());
        let default = parameter.default.filter(|default| !default.starts_with("all "));
        let value = given.or_else(|| parameter.kind.parse(default?).ok())?;
        Some(match value {
            Value::Text(text) => {
                // PostgreSQL ignores backslashes between quotes (standard_conforming_strings).
                format!("'{}'::{}", text.replace('\'', "''"), parameter.sql_type)
            }
            Value::Ago(interval) => format!("(now() - '{interval}'::interval)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(name: &str, arguments: &[&str]) -> Result<BoundQuery, String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        BoundQuery::new(name, &arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_fill_the_parameters_in_order_and_by_name() {
        let bound = bind("as_path_search", &["adjacent=true", "AS1,2"]).unwrap();
        assert_eq!(bound.call(), "as_path_search(adjacent => $1::text::boolean, asns => $2::text::bigint[])");
        assert_eq!(bound.texts().collect::<Vec<_>>(), ["true", "{1,2}"]);
        let bound = bind("rib_at", &["bgp-id=192.0.2.1", "2 hours ago"]).unwrap();
        assert_eq!(bound.call(), "rib_at(of_peer => $1::text::text, at => now() - $2::text::interval)");
        let bound = bind("rib_at", &["AS65001", "now", "rib=loc-rib"]).unwrap();
        assert_eq!(bound.call(), "rib_now(of_peer => $1::text::text, of_rib => $2::text::text)");
        assert_eq!(bound.texts().collect::<Vec<_>>(), ["AS65001", "loc-rib"]);
        assert_eq!(bind("churn", &[]).unwrap().expression("span").unwrap(), "'1 hours'::interval");
    }

    #[test]
    fn a_mismatch_names_what_is_accepted() {
        let usage = "usage: holdfast query prefix_lookup PREFIX [match=…]\n\
            `holdfast query prefix_lookup --help` explains the parameters";
        for (arguments, reason) in [
            (&["::/0", "more", "x"] as &[&str], "unexpected argument \"x\""),
            (&["::/0", "prefix=::/0"], "argument prefix is given twice"),
            (
                &["::/0", "mach=more"],
                "unknown parameter \"mach\" (did you mean \"match\"?); parameters: prefix, match",
            ),
            (&["::/0", "moer"], "invalid match \"moer\"; expected exact, more or less"),
        ] {
            assert_eq!(bind("prefix_lookup", arguments).unwrap_err(), format!("{reason}\n{usage}"));
        }
        assert!(
            bind("prefix_lookup", &[]).unwrap_err().starts_with("missing argument PREFIX: expected an IPv4")
        );
        assert_eq!(
            bind("hijack", &[]).unwrap_err(),
            "unknown query \"hijack\" (did you mean \"hijacks\"?); `holdfast query --list` lists the names"
        );
    }

    #[test]
    fn each_default_and_each_example_is_accepted() {
        for query in QUERIES {
            for parameter in query.parameters {
                let is_shown_only = parameter.default.is_some_and(|default| default.starts_with("all "));
                if let Some(default) = parameter.default.filter(|_| !is_shown_only) {
                    assert!(parameter.kind.parse(default).is_ok(), "{} {}", query.name, parameter.name);
                }
            }
            for example in query.examples {
                let (arguments, _) = example.split_once("--").unwrap_or((example, ""));
                bind(query.name, &shell_words(arguments).iter().map(String::as_str).collect::<Vec<_>>())
                    .unwrap_or_else(|error| panic!("{} {example}: {error}", query.name));
            }
        }
    }

    /// Words separated by blanks, with blanks between single quotes kept.
    fn shell_words(text: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for letter in text.chars() {
            match letter {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                letter => words.last_mut().unwrap().push(letter),
            }
        }
        words.into_iter().filter(|word| !word.is_empty()).collect()
    }
}
