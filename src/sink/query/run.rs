//! Running a query: its rows as texts, or as JSON values.

use std::pin::Pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{Client, Column, RowStream, Statement};

use super::bind::{BoundQuery, QueryError, nearest};
use super::json::Form;
use super::notes::notes;
use super::peers;

/// Form in which the server returns rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each column as text, with elements of arrays separated by blanks.
    Values,
    /// Each column as a JSON value.
    Json,
}

/// Order of the rows of queries whose functions have none, because other functions read all their rows. The
/// first key is a prefix, which PostgreSQL sorts several times faster than texts that are mostly equal.
const ORDER: &str = " ORDER BY CASE WHEN q.family IN ('ipv4_unicast', 'ipv6_unicast', 'ipv4_multicast',
    'ipv6_multicast') THEN q.route::cidr END, q.route COLLATE \"C\", q.router COLLATE \"C\", q.peer, q.rib,
    q.vrf, q.path";

/// Queries to which [`ORDER`] applies.
const UNORDERED: [&str; 3] = ["rib_at", "as_path_search", "community_search"];

/// How a query is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Form of the rows.
    pub shape: Shape,
    /// Maximum number of rows.
    pub limit: Option<u32>,
    /// Names of the columns to return, in this order; all columns if empty.
    pub fields: Vec<String>,
    /// Time limit of each statement on the server, if the role has no shorter one; `None` leaves that of the
    /// role.
    pub time_limit: Option<Duration>,
}

/// A column of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    /// Name of the column. A JSON value that is a number of seconds has `_s` at its end.
    pub name: String,
    /// Whether the values are numbers.
    pub is_number: bool,
    form: Form,
}

/// Rows of a query, as a stream.
pub struct Rows {
    /// The columns, in order.
    pub columns: Vec<ResultColumn>,
    /// Notes about what the query goes by: an empty table, a period without history.
    pub notes: Vec<String>,
    /// Number of rows returned so far.
    pub count: u64,
    /// Whether there are more rows than the limit. Known after the last row.
    pub is_cut: bool,
    limit: Option<u32>,
    /// `None` after the last row: a finished stream must not be polled again.
    stream: Option<Pin<Box<RowStream>>>,
}

impl Rows {
    /// Returns the columns of the next row, as text or JSON; `None` after the last row.
    ///
    /// # Errors
    /// The query or the connection failed.
    pub async fn next(&mut self) -> Result<Option<Vec<Option<String>>>, QueryError> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let row = stream.try_next().await?;
        if row.is_some() && self.limit.is_some_and(|limit| self.count >= u64::from(limit)) {
            self.is_cut = true;
            self.stream = None;
            return Ok(None);
        }
        let Some(row) = row else {
            self.stream = None;
            return Ok(None);
        };
        self.count += 1;
        let mut values = Vec::with_capacity(row.len());
        for (index, column) in self.columns.iter().enumerate() {
            let text: Option<String> = row.try_get(index)?;
            values.push(text.map(|text| column.form.convert(text)));
        }
        Ok(Some(values))
    }
}

/// A query whose arguments are resolved and whose result is described, in an open transaction.
pub struct PreparedQuery {
    query: BoundQuery,
    columns: Vec<ResultColumn>,
    statement: Statement,
    limit: Option<u32>,
}

/// Runs a query in a read-only transaction, with times in UTC.
///
/// # Errors
/// An argument names no peer, a field is unknown, the server rejected the query, or the connection failed.
pub async fn run_query(client: &Client, query: BoundQuery, options: &RunOptions) -> Result<Rows, QueryError> {
    prepare_query(client, query, options).await?.run(client).await
}

/// Begins a read-only transaction, with times in UTC, and prepares a query in it. The duration does not
/// depend on the number of routes.
///
/// # Errors
/// An argument names no peer, a field is unknown, the server rejected the query, or the connection failed.
pub async fn prepare_query(
    client: &Client,
    mut query: BoundQuery,
    options: &RunOptions,
) -> Result<PreparedQuery, QueryError> {
    // One transaction, and no settings beyond it: a pooler may give each transaction another connection.
    let mut begin = "BEGIN READ ONLY; SET LOCAL timezone = 'UTC'; SET LOCAL jit = off".to_owned();
    if let Some(limit) = options.time_limit {
        let milliseconds = limit.as_millis().max(1);
        begin.push_str(&format!(
            "; SELECT set_config('statement_timeout', '{milliseconds}', true) FROM pg_settings
            WHERE name = 'statement_timeout' AND setting::bigint NOT BETWEEN 1 AND {milliseconds}"
        ));
    }
    client.batch_execute(&begin).await?;
    peers::resolve(client, &mut query).await?;
    let call = query.call();
    let described = client.prepare(&format!("SELECT * FROM {call} q")).await?;
    let (mut columns, mut selected) = (Vec::new(), Vec::new());
    for column in choose(described.columns(), &options.fields)? {
        let (expression, column) = expression(column, options.shape);
        selected.push(expression);
        columns.push(column);
    }
    // One row more shows whether the result is cut.
    let limited = options.limit.map_or_else(String::new, |limit| format!(" LIMIT {}", u64::from(limit) + 1));
    let is_unordered = UNORDERED.contains(&query.query.name) && !query.is_current_table();
    let order = if is_unordered { ORDER } else { "" };
    let sql = format!("SELECT {} FROM {call} q{order}{limited}", selected.join(", "));
    let statement = client.prepare(&sql).await?;
    Ok(PreparedQuery { query, columns, statement, limit: options.limit })
}

impl PreparedQuery {
    /// Runs the query. Returns when the server has sent the first rows, or the end of the result.
    ///
    /// # Errors
    /// The server rejected the query, or the connection failed.
    pub async fn run(self, client: &Client) -> Result<Rows, QueryError> {
        let notes = notes(client, &self.query).await?;
        let arguments = self.query.texts().map(|text| text as &(dyn ToSql + Sync));
        let stream = client.query_raw(&self.statement, arguments.collect::<Vec<_>>()).await?;
        let (columns, stream) = (self.columns, Some(Box::pin(stream)));
        Ok(Rows { columns, notes, count: 0, is_cut: false, limit: self.limit, stream })
    }
}

/// The columns that the fields name.
fn choose<'a>(columns: &'a [Column], fields: &[String]) -> Result<Vec<&'a Column>, QueryError> {
    if fields.is_empty() {
        return Ok(columns.iter().collect());
    }
    let find = |field: &String| {
        columns.iter().find(|column| column.name() == field).ok_or_else(|| QueryError::Field {
            name: field.clone(),
            nearest: nearest(field, columns.iter().map(Column::name)),
            fields: columns.iter().map(|column| column.name().to_owned()).collect(),
        })
    };
    fields.iter().map(find).collect()
}

/// SQL expression for a column of the result `q`.
fn expression(column: &Column, shape: Shape) -> (String, ResultColumn) {
    let (name, kind) = (column.name(), column.type_());
    let value = format!("q.\"{name}\"");
    let is_number = [Type::INT2, Type::INT4, Type::INT8, Type::NUMERIC].contains(kind);
    let result = |name: &str, form| ResultColumn { name: name.to_owned(), is_number, form };
    match shape {
        Shape::Json if *kind == Type::INTERVAL => {
            let seconds = format!("trim_scale(extract(epoch FROM {value}))::text");
            (seconds, result(&format!("{name}_s"), Form::Plain))
        }
        Shape::Json => match Form::of_column(name).filter(|_| *kind == Type::TEXT) {
            Some(form) => (value, result(name, form)),
            None => (format!("to_json({value})::text"), result(name, Form::Plain)),
        },
        Shape::Values => {
            let text = match kind.kind() {
                Kind::Array(_) => format!("array_to_string({value}, ' ')"),
                // A cast to text would append /32 or /128.
                _ if *kind == Type::INET => format!("abbrev({value})"),
                _ => format!("{value}::text"),
            };
            (text, result(name, Form::Plain))
        }
    }
}
