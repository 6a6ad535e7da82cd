//! The queries of `holdfast query`: their catalogue, and how one is run.
//!
//! Each query is a function in migrations/functions; a test compares the catalogue with the database.

use std::pin::Pin;

use futures_util::TryStreamExt as _;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Client, RowStream};

use crate::sink::error::explain;

/// A parameter of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name of the function's parameter.
    pub name: &'static str,
    /// Its data type in PostgreSQL.
    pub kind: &'static str,
    /// True if the parameter has no default.
    pub is_required: bool,
}

/// A query that the database offers as a function.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Name of the function.
    pub name: &'static str,
    /// Parameters in the order of the function.
    pub parameters: &'static [Parameter],
    /// Description of the result in one line.
    pub about: &'static str,
}

const fn required(name: &'static str, kind: &'static str) -> Parameter {
    Parameter { name, kind, is_required: true }
}

const fn optional(name: &'static str, kind: &'static str) -> Parameter {
    Parameter { name, kind, is_required: false }
}

const fn query(name: &'static str, parameters: &'static [Parameter], about: &'static str) -> Query {
    Query { name, parameters, about }
}

const SPAN: Parameter = optional("span", "interval");
const UNTIL: Parameter = optional("until", "timestamptz");
const PEER: Parameter = optional("peer", "text");

/// All queries, in the order in which `holdfast query` lists them.
pub const QUERIES: &[Query] = &[
    query(
        "route_lookup",
        &[required("address", "inet")],
        "longest matching prefix of an address in each RIB view",
    ),
    query(
        "prefix_lookup",
        &[required("prefix", "cidr"), optional("match", "text")],
        "current routes of a prefix; match: exact, more (specific) or less (specific)",
    ),
    query(
        "rib_at",
        &[required("peer", "text"), required("at", "timestamptz"), optional("rib", "text")],
        "table of a peer at a past time",
    ),
    query(
        "prefix_timeline",
        &[required("prefix", "cidr"), SPAN, UNTIL, optional("of_peer", "text")],
        "announcements and withdrawals of a prefix, and the events of its peers",
    ),
    query(
        "peer_differences",
        &[
            required("peer_a", "text"),
            required("peer_b", "text"),
            optional("at_a", "timestamptz"),
            optional("at_b", "timestamptz"),
            optional("rib", "text"),
        ],
        "differences between two peers, or of one peer at two times",
    ),
    query(
        "churn",
        &[optional("by", "text"), SPAN, UNTIL],
        "number of announcements and withdrawals by prefix, peer or as, without dumps and re-dumps",
    ),
    query(
        "origin_changes",
        &[SPAN, UNTIL],
        "announcements whose origin AS differs from that of the previous announcement",
    ),
    query("moas", &[], "prefixes currently originated by several AS numbers"),
    query(
        "withdraw_storms",
        &[SPAN, optional("bucket", "interval"), optional("at_least", "bigint")],
        "peers with many withdrawals within one time bucket",
    ),
    query("flapping_routes", &[optional("at_least", "bigint")], "routes by number of changes per day"),
    query(
        "as_path_search",
        &[required("asns", "bigint[]"), optional("adjacent", "boolean")],
        "current routes whose AS path contains all these AS numbers; adjacent: as a sequence",
    ),
    query(
        "community_search",
        &[required("community", "text")],
        "current routes with a community of any kind",
    ),
    query("policy_effect", &[PEER], "routes that policy rejected or changed"),
    query("hijacks", &[SPAN], "routes inside own_prefixes whose origin or length is not permitted"),
    query("leaks", &[], "route leaks by the roles in peer_roles"),
    query(
        "rpki",
        &[optional("state", "text"), PEER],
        "current routes by origin validation state: invalid, valid or not-found",
    ),
    query(
        "evpn_bindings",
        &[optional("mac", "text"), optional("ip", "inet")],
        "current MAC and MAC/IP advertisements",
    ),
    query("evpn_moves", &[SPAN], "MAC addresses that moved to another VTEP"),
    query("evpn_duplicates", &[], "MAC addresses currently behind several VTEPs"),
    query("peers", &[PEER], "RIB views of peers with state and counters"),
    query("peer_flaps", &[SPAN, PEER], "Peer Ups and Peer Downs, with reasons"),
    query("peer_capabilities", &[PEER], "capabilities in the OPEN messages of a peer"),
    query("peer_counters", &[PEER, SPAN], "newest counters of the Statistics Reports"),
    query(
        "completeness",
        &[PEER, optional("grace", "interval"), optional("share", "numeric")],
        "completeness of each table, and alarms for missing routes",
    ),
    query(
        "table_growth",
        &[SPAN, optional("bucket", "interval"), PEER],
        "number of current routes of each peer and family over time",
    ),
    query("routers", &[], "routers, each once, whichever collectors they are connected to"),
    query("collector_health", &[], "delivery, gaps and rejected records of each collector"),
    query("gaps", &[SPAN], "missing data, with reasons"),
];

/// A query with its arguments as text.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    query: &'static Query,
    arguments: Vec<(&'static Parameter, String)>,
}

/// Why a query could not be bound or run.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The catalogue has no query of this name.
    #[error("unknown query \"{0}\"; `holdfast query --list` lists the names")]
    Unknown(String),
    /// The arguments do not match the parameters of the query.
    #[error("{reason}\nusage: holdfast query {usage}")]
    Arguments {
        /// Description of the mismatch.
        reason: String,
        /// Usage line of the query.
        usage: String,
    },
    /// The server rejected an argument, or the connection failed.
    #[error("{}", explain(.0))]
    Database(#[from] tokio_postgres::Error),
}

impl Query {
    /// Usage line: the name, required parameters in capitals, the others in brackets.
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
    /// Binds arguments to the parameters of a query: `name=value` by name, the others in order.
    ///
    /// # Errors
    /// The query is unknown, or the arguments do not match its parameters.
    pub fn new(name: &str, arguments: &[String]) -> Result<Self, QueryError> {
        let query = QUERIES
            .iter()
            .find(|query| query.name == name)
            .ok_or_else(|| QueryError::Unknown(name.to_owned()))?;
        let mismatch = |reason: String| QueryError::Arguments { reason, usage: query.usage() };
        let mut bound: Vec<(&'static Parameter, String)> = Vec::new();
        for argument in arguments {
            let named = argument.split_once('=').and_then(|(name, value)| {
                Some((query.parameters.iter().find(|parameter| parameter.name == name)?, value))
            });
            let is_free = |parameter: &&Parameter| bound.iter().all(|(given, _)| given != parameter);
            let (parameter, value) = match named {
                Some(found) => found,
                None => match query.parameters.iter().find(is_free) {
                    Some(parameter) => (parameter, argument.as_str()),
                    None => return Err(mismatch(format!("unexpected argument \"{argument}\""))),
                },
            };
            if !is_free(&parameter) {
                return Err(mismatch(format!("argument {} is given twice", parameter.name)));
            }
            bound.push((parameter, literal(parameter, value)));
        }
        let missing = query
            .parameters
            .iter()
            .find(|parameter| parameter.is_required && bound.iter().all(|(given, _)| given != parameter));
        match missing {
            Some(parameter) => Err(mismatch(format!("missing argument {}", parameter.name.to_uppercase()))),
            None => Ok(Self { query, arguments: bound }),
        }
    }

    /// The function call, with a placeholder for each argument.
    fn call(&self) -> String {
        let arguments = self.arguments.iter().zip(1..).map(|((parameter, _), number)| {
            format!("{} => ${number}::text::{}", parameter.name, parameter.kind)
        });
        format!("{}({})", self.query.name, arguments.collect::<Vec<_>>().join(", "))
    }
}

/// Text of an array argument with braces, which the command line may omit.
fn literal(parameter: &Parameter, value: &str) -> String {
    if parameter.kind.ends_with("[]") && !value.starts_with('{') {
        format!("{{{value}}}")
    } else {
        value.to_owned()
    }
}

/// Form in which the server returns rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each column as text, with elements of arrays separated by blanks.
    Values,
    /// One JSON object per row, with keys in the order of the columns.
    Json,
}

/// Rows of a query, as a stream.
pub struct Rows {
    /// Name of each column, and whether its values are numbers.
    pub columns: Vec<(String, bool)>,
    /// `None` after the last row: a finished stream must not be polled again.
    stream: Option<Pin<Box<RowStream>>>,
}

impl Rows {
    /// Returns the columns of the next row, or its one JSON object; `None` after the last row.
    ///
    /// # Errors
    /// The query or the connection failed.
    pub async fn next(&mut self) -> Result<Option<Vec<Option<String>>>, QueryError> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let Some(row) = stream.try_next().await? else {
            self.stream = None;
            return Ok(None);
        };
        (0..row.len())
            .map(|index| row.try_get(index).map_err(QueryError::from))
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// Runs a query in a read-only session, with times in UTC. `limit` is the maximum number of rows.
///
/// # Errors
/// The server rejected an argument, or the connection failed.
pub async fn run_query(
    client: &Client,
    query: &BoundQuery,
    shape: Shape,
    limit: Option<i64>,
) -> Result<Rows, QueryError> {
    client
        .batch_execute("SET default_transaction_read_only = on; SET timezone = 'UTC'; SET jit = off")
        .await?;
    let call = query.call();
    let described = client.prepare(&format!("SELECT * FROM {call} q")).await?;
    let columns: Vec<(String, bool)> = described
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), is_number(column.type_())))
        .collect();
    let selected = match shape {
        Shape::Json => "row_to_json(q)::text".to_owned(),
        Shape::Values => {
            let columns = described.columns().iter().map(|column| match column.type_().kind() {
                Kind::Array(_) => format!("array_to_string(q.\"{}\", ' ')", column.name()),
                // A cast to text would append /32 or /128.
                _ if *column.type_() == Type::INET => format!("abbrev(q.\"{}\")", column.name()),
                _ => format!("q.\"{}\"::text", column.name()),
            });
            columns.collect::<Vec<_>>().join(", ")
        }
    };
    let limited = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let statement = client.prepare(&format!("SELECT {selected} FROM {call} q{limited}")).await?;
    let arguments = query.arguments.iter().map(|(_, value)| value as &(dyn ToSql + Sync));
    let stream = client.query_raw(&statement, arguments.collect::<Vec<_>>()).await?;
    Ok(Rows { columns, stream: Some(Box::pin(stream)) })
}

fn is_number(kind: &Type) -> bool {
    [Type::INT2, Type::INT4, Type::INT8, Type::NUMERIC].contains(kind)
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
        let bound = bind("as_path_search", &["adjacent=true", "1,2"]).unwrap();
        assert_eq!(bound.call(), "as_path_search(adjacent => $1::text::boolean, asns => $2::text::bigint[])");
        assert_eq!(bound.arguments[1].1, "{1,2}");
    }

    #[test]
    fn a_mismatch_is_reported_with_the_usage() {
        let usage = "\nusage: holdfast query prefix_lookup PREFIX [match=…]";
        for (arguments, reason) in [
            (&[] as &[&str], "missing argument PREFIX"),
            (&["::/0", "more", "x"], "unexpected argument \"x\""),
            (&["::/0", "prefix=::/0"], "argument prefix is given twice"),
        ] {
            assert_eq!(bind("prefix_lookup", arguments).unwrap_err(), format!("{reason}{usage}"));
        }
        assert!(bind("nothing", &[]).unwrap_err().contains("unknown query \"nothing\""));
    }
}
