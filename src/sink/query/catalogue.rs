//! The questions that the database answers: their catalogue, and how one is asked.
//!
//! Each is a function of migrations/0005_answers.sql; a test holds the two together.

use std::fmt;
use std::pin::Pin;

use futures_util::TryStreamExt as _;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Client, RowStream};

/// An argument of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type in the database.
    pub kind: &'static str,
    /// Whether it has no default.
    pub is_required: bool,
}

/// A question that the database answers.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Name of the function.
    pub name: &'static str,
    /// Its arguments, in order.
    pub parameters: &'static [Parameter],
    /// What it answers, as one line.
    pub about: &'static str,
}

const fn must(name: &'static str, kind: &'static str) -> Parameter {
    Parameter { name, kind, is_required: true }
}

const fn may(name: &'static str, kind: &'static str) -> Parameter {
    Parameter { name, kind, is_required: false }
}

const fn query(name: &'static str, parameters: &'static [Parameter], about: &'static str) -> Query {
    Query { name, parameters, about }
}

const SPAN: Parameter = may("span", "interval");
const UNTIL: Parameter = may("until", "timestamptz");
const PEER: Parameter = may("peer", "text");

/// All of them, in the order in which they are listed.
pub const QUERIES: &[Query] = &[
    query("route_lookup", &[must("address", "inet")], "the best match of each peer for an address"),
    query(
        "prefix_lookup",
        &[must("prefix", "cidr"), may("match", "text")],
        "routes to a prefix; match: exact, more (specific) or less (specific)",
    ),
    query(
        "rib_at",
        &[must("peer", "text"), must("at", "timestamptz"), may("rib", "text")],
        "the table of a peer at a past time",
    ),
    query("prefix_timeline", &[must("prefix", "cidr"), SPAN, UNTIL], "what was said of a prefix, and when"),
    query(
        "peer_differences",
        &[
            must("peer_a", "text"),
            must("peer_b", "text"),
            may("at_a", "timestamptz"),
            may("at_b", "timestamptz"),
            may("rib", "text"),
        ],
        "how two peers differ, or one peer at two times",
    ),
    query(
        "churn",
        &[may("by", "text"), SPAN, UNTIL],
        "announcements and withdrawals by prefix, peer or as; re-dumps do not count",
    ),
    query("origin_changes", &[SPAN, UNTIL], "announcements whose origin is not that of the one before"),
    query("moas", &[], "prefixes that stand with more than one origin"),
    query(
        "withdraw_storms",
        &[SPAN, may("bucket", "interval"), may("at_least", "bigint")],
        "peers that withdrew many routes at once",
    ),
    query("flapping_routes", &[may("at_least", "bigint")], "routes by how often they come and go"),
    query(
        "as_path_search",
        &[must("asns", "bigint[]"), may("adjacent", "boolean")],
        "standing routes through these AS numbers, or through them in this order",
    ),
    query("community_search", &[must("community", "text")], "standing routes with a community of any kind"),
    query("policy_effect", &[PEER], "what policy rejected or changed"),
    query("hijacks", &[SPAN], "routes inside own_prefixes that nothing there permits"),
    query("leaks", &[], "route leaks by the roles in peer_roles"),
    query("rpki", &[may("state", "text"), PEER], "standing routes by origin validation; state: invalid, …"),
    query("evpn_bindings", &[may("mac", "text"), may("ip", "inet")], "MAC and MAC/IP advertisements"),
    query("evpn_moves", &[SPAN], "MAC addresses that moved to another VTEP"),
    query("evpn_duplicates", &[], "MAC addresses behind more than one VTEP at once"),
    query("peers", &[PEER], "peer views with state and counters"),
    query("peer_flaps", &[SPAN, PEER], "ups and downs of peers, with reasons"),
    query("peer_capabilities", &[PEER], "capabilities of the OPEN messages of a peer"),
    query("peer_counters", &[PEER, SPAN], "what routers report in Statistics Reports"),
    query("table_growth", &[SPAN, may("bucket", "interval"), PEER], "sizes of tables over time"),
    query("routers", &[], "routers, each once whichever collectors see it"),
    query("collector_health", &[], "delivery, gaps and rejected rows of each collector"),
    query("gaps", &[SPAN], "what is missing, and why"),
];

/// A question with its arguments, as text.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    query: &'static Query,
    arguments: Vec<(&'static Parameter, String)>,
}

/// Why a question cannot be asked, or was not answered.
#[derive(Debug)]
pub enum QueryError {
    /// There is no query of this name.
    Unknown(String),
    /// The arguments do not fit.
    Arguments {
        /// What is wrong.
        what: String,
        /// How the query is called.
        usage: String,
    },
    /// The database said no.
    Database(tokio_postgres::Error),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "no query is called {name}; `holdfast query` lists them"),
            Self::Arguments { what, usage } => write!(f, "{what}\nusage: holdfast query {usage}"),
            Self::Database(error) => match error.as_db_error() {
                Some(db) => {
                    write!(f, "{}", db.message())?;
                    db.hint().map_or(Ok(()), |hint| write!(f, "\n{hint}"))
                }
                None => error.fmt(f),
            },
        }
    }
}

impl std::error::Error for QueryError {}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl Query {
    /// How it is called: required arguments bare, the others in brackets.
    #[must_use]
    pub fn usage(&self) -> String {
        let arguments = self.parameters.iter().map(|parameter| match parameter.is_required {
            true => format!(" {}", parameter.name.to_uppercase()),
            false => format!(" [{}=…]", parameter.name),
        });
        std::iter::once(self.name.to_owned()).chain(arguments).collect()
    }
}

impl BoundQuery {
    /// Matches words to the parameters of a query: `name=value` by name, the others in order.
    ///
    /// # Errors
    /// No such query, or the words do not fit it.
    pub fn new(name: &str, words: &[String]) -> Result<Self, QueryError> {
        let query = QUERIES
            .iter()
            .find(|query| query.name == name)
            .ok_or_else(|| QueryError::Unknown(name.to_owned()))?;
        let wrong = |what: String| QueryError::Arguments { what, usage: query.usage() };
        let mut arguments: Vec<(&'static Parameter, String)> = Vec::new();
        for word in words {
            let named = word.split_once('=').and_then(|(name, value)| {
                Some((query.parameters.iter().find(|parameter| parameter.name == name)?, value))
            });
            let is_free = |parameter: &&Parameter| arguments.iter().all(|(given, _)| given != parameter);
            let (parameter, value) = match named {
                Some(found) => found,
                None => match query.parameters.iter().find(is_free) {
                    Some(parameter) => (parameter, word.as_str()),
                    None => return Err(wrong(format!("{word}: one argument too many"))),
                },
            };
            if !is_free(&parameter) {
                return Err(wrong(format!("{} is given twice", parameter.name)));
            }
            arguments.push((parameter, literal(parameter, value)));
        }
        let missing = query
            .parameters
            .iter()
            .find(|parameter| parameter.is_required && arguments.iter().all(|(given, _)| given != parameter));
        match missing {
            Some(parameter) => Err(wrong(format!("{} is missing", parameter.name.to_uppercase()))),
            None => Ok(Self { query, arguments }),
        }
    }

    fn statement(&self) -> String {
        let given = self.arguments.iter().enumerate();
        let arguments: Vec<String> = given
            .map(|(place, (parameter, _))| {
                format!("{} => ${}::text::{}", parameter.name, place + 1, parameter.kind)
            })
            .collect();
        format!("{}({})", self.query.name, arguments.join(", "))
    }
}

/// Arrays may be written without their braces.
fn literal(parameter: &Parameter, value: &str) -> String {
    if parameter.kind.ends_with("[]") && !value.starts_with('{') {
        format!("{{{value}}}")
    } else {
        value.to_owned()
    }
}

/// How the values of an answer are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each value as text, elements of arrays with blanks between.
    Values,
    /// One JSON object per row, its keys in the order of the columns.
    Json,
}

/// Rows as they come from the server.
pub struct Rows {
    /// The names of the columns, and whether their values are numbers.
    pub columns: Vec<(String, bool)>,
    /// `None` after the last row: the stream must not be asked again.
    rows: Option<Pin<Box<RowStream>>>,
}

impl Rows {
    /// The next row: its values, or its one JSON object. `None` after the last.
    ///
    /// # Errors
    /// The database failed on the way.
    pub async fn next(&mut self) -> Result<Option<Vec<Option<String>>>, QueryError> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let Some(row) = rows.try_next().await? else {
            self.rows = None;
            return Ok(None);
        };
        (0..row.len())
            .map(|place| row.try_get(place).map_err(QueryError::from))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// Asks; `limit` is the most rows that are wanted. Never writes, and shows times in UTC.
///
/// # Errors
/// The database refused an argument or failed.
pub async fn ask(
    client: &Client,
    call: &BoundQuery,
    shape: Shape,
    limit: Option<i64>,
) -> Result<Rows, QueryError> {
    client
        .batch_execute("SET default_transaction_read_only = on; SET timezone = 'UTC'; SET jit = off")
        .await?;
    let from = call.statement();
    let described = client.prepare(&format!("SELECT * FROM {from} q")).await?;
    let columns: Vec<(String, bool)> = described
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), is_number(column.type_())))
        .collect();
    let shown = match shape {
        Shape::Json => "row_to_json(q)::text".to_owned(),
        Shape::Values => {
            let columns = described.columns().iter().map(|column| match column.type_().kind() {
                Kind::Array(_) => format!("array_to_string(q.\"{}\", ' ')", column.name()),
                // Without the /32 that the cast would add.
                _ if *column.type_() == Type::INET => format!("abbrev(q.\"{}\")", column.name()),
                _ => format!("q.\"{}\"::text", column.name()),
            });
            columns.collect::<Vec<_>>().join(", ")
        }
    };
    let limited = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let statement = client.prepare(&format!("SELECT {shown} FROM {from} q{limited}")).await?;
    let arguments = call.arguments.iter().map(|(_, value)| value as &(dyn ToSql + Sync));
    let rows = client.query_raw(&statement, arguments.collect::<Vec<_>>()).await?;
    Ok(Rows { columns, rows: Some(Box::pin(rows)) })
}

fn is_number(kind: &Type) -> bool {
    [Type::INT2, Type::INT4, Type::INT8, Type::NUMERIC].contains(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, words: &[&str]) -> Result<BoundQuery, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        BoundQuery::new(name, &words).map_err(|error| error.to_string())
    }

    #[test]
    fn words_fill_the_parameters_in_order_and_by_name() {
        let made = call("as_path_search", &["adjacent=true", "1,2"]).unwrap();
        assert_eq!(
            made.statement(),
            "as_path_search(adjacent => $1::text::boolean, asns => $2::text::bigint[])"
        );
        assert_eq!(made.arguments[1].1, "{1,2}");
    }

    #[test]
    fn what_does_not_fit_is_said_with_the_usage() {
        let usage = "\nusage: holdfast query prefix_lookup PREFIX [match=…]";
        for (words, what) in [
            (&[] as &[&str], "PREFIX is missing"),
            (&["::/0", "more", "x"], "x: one argument too many"),
            (&["::/0", "prefix=::/0"], "prefix is given twice"),
        ] {
            assert_eq!(call("prefix_lookup", words).unwrap_err(), format!("{what}{usage}"));
        }
        assert!(call("nothing", &[]).unwrap_err().contains("no query is called nothing"));
    }
}
