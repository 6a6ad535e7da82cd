//! Sends a result while its rows arrive from the database.

use std::time::Duration;

use maud::{Markup, html};

use super::database::Lease;
use super::links::{Row, text};
use super::output::{Output, Stop, TICK};
use super::request::{Format, LIMIT_MAX, Values, same_address};
use crate::sink::{
    PreparedQuery, Query, QueryError, ResultColumn, Rows, append_csv, append_csv_header, append_json,
    count_line,
};

/// Time limit of each statement of a query on the server.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval of the signs of life of a page whose query has not returned a row.
const PROGRESS_TICKS: u32 = 2;

/// Maximum length of a value that is not broken into lines.
const CELL_BYTES_UNBROKEN: usize = 40;

/// Why a result ends before its last row.
enum Broken {
    Query(QueryError),
    Output(Stop),
}

impl From<QueryError> for Broken {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<Stop> for Broken {
    fn from(stop: Stop) -> Self {
        Self::Output(stop)
    }
}

/// The result of a query as a page.
pub(super) struct PageResult {
    pub(super) query: &'static Query,
    pub(super) values: Values,
    pub(super) limit: u32,
    /// The page up to its result, and after it.
    pub(super) halves: (String, String),
}

impl PageResult {
    /// Sends the page: its head at once, signs of life while the query runs, its rows, and their number or
    /// the reason why they are incomplete.
    pub(super) async fn send(self, lease: Lease, prepared: PreparedQuery, mut output: Output) {
        output.text.push_str(&self.halves.0);
        output.text.push_str(&running().into_string());
        let sent = self.rows(&lease, prepared, &mut output).await;
        end(lease, &sent).await;
        let end = match &sent {
            Err(Broken::Output(Stop::ClientGone)) => return,
            Ok(end) => end.clone(),
            Err(Broken::Output(Stop::Late)) => failed(&format!(
                "The result is incomplete: the page took {} s; {}",
                output.elapsed().as_secs(),
                narrower(self.query)
            )),
            Err(Broken::Query(error)) => {
                failed(&format!("The query failed: {}", explained(error, self.query)))
            }
        };
        output.text.push_str(&end.into_string());
        output.text.push_str(&self.halves.1);
        output.finish().await;
    }

    /// Sends the table. Returns the end of it.
    async fn rows(
        &self,
        lease: &Lease,
        prepared: PreparedQuery,
        output: &mut Output,
    ) -> Result<Markup, Broken> {
        output.send().await?;
        let mut rows = started(lease, prepared, output).await?;
        let notes = std::mem::take(&mut rows.notes);
        output.text.push_str(&head(&rows.columns, &notes, self.query.name).into_string());
        let table = self.table(&mut rows, output).await;
        output.text.push_str("</tbody></table></div>");
        table?;
        let more = rows.is_cut && self.limit < LIMIT_MAX;
        let limit = self.limit.saturating_mul(10).min(LIMIT_MAX);
        Ok(html! {
            p.done role="status" {
                (count_line(rows.count, rows.is_cut))
                @if more {
                    " " a href=(same_address(self.query, "", &self.values, Some(limit))) {
                        "First " (limit) " rows"
                    }
                } @else if rows.is_cut {
                    " A page has at most " (LIMIT_MAX) " rows: " (narrower(self.query)) "."
                }
            }
        })
    }

    async fn table(&self, rows: &mut Rows, output: &mut Output) -> Result<(), Broken> {
        while let Some(values) = next(rows, output).await? {
            let row = Row { columns: &rows.columns, values: &values };
            let cells = html! {
                tr {
                    @for (column, value) in rows.columns.iter().zip(&values) {
                        td class=(cell_class(column, value.as_deref())) {
                            @match value { Some(value) => (row.cell(&column.name, value)), None => "-" }
                        }
                    }
                }
            };
            output.text.push_str(&cells.into_string());
            output.send_if_full().await?;
        }
        Ok(())
    }
}

/// The style of a cell: a short value is not broken into lines.
fn cell_class(column: &ResultColumn, value: Option<&str>) -> &'static str {
    match value {
        _ if column.is_number => "number",
        Some(value) if value.len() > CELL_BYTES_UNBROKEN => "text",
        _ => "nowrap",
    }
}

/// Sends the rows of a result as JSON or CSV. If they are incomplete, so is the response, and the client sees
/// that the connection was closed before its end.
pub(super) async fn send_file(lease: Lease, mut rows: Rows, format: Format, mut output: Output) {
    let sent = file(&mut rows, format, &mut output).await;
    end(lease, &sent).await;
    if sent.is_ok() {
        output.finish().await;
    }
}

/// Ends the use of a connection. If rows remain, it is not released: the query is cancelled, and the
/// connection is closed.
async fn end<T>(lease: Lease, sent: &Result<T, Broken>) {
    match sent {
        Err(Broken::Output(_)) => drop(lease),
        Ok(_) | Err(Broken::Query(_)) => lease.release().await,
    }
}

async fn file(rows: &mut Rows, format: Format, output: &mut Output) -> Result<(), Broken> {
    if format == Format::Csv {
        append_csv_header(&rows.columns, &mut output.text);
        while let Some(row) = next(rows, output).await? {
            append_csv(&row, &mut output.text);
            output.send_if_full().await?;
        }
        return Ok(());
    }
    let mut separator = "[";
    while let Some(row) = next(rows, output).await? {
        output.text.push_str(separator);
        output.text.push('\n');
        append_json(&rows.columns, &row, &mut output.text);
        output.send_if_full().await?;
        separator = ",";
    }
    output.text.push_str(if separator == "[" { "[]\n" } else { "\n]\n" });
    Ok(())
}

/// The next row. Sends what has been collected while there is none.
async fn next(rows: &mut Rows, output: &mut Output) -> Result<Option<Vec<Option<String>>>, Broken> {
    loop {
        match tokio::time::timeout(TICK, rows.next()).await {
            Ok(row) => return Ok(row?),
            Err(_) => output.send().await?,
        }
    }
}

/// Starts the query, and sends signs of life until it returns rows.
async fn started(lease: &Lease, prepared: PreparedQuery, output: &mut Output) -> Result<Rows, Broken> {
    let mut running = std::pin::pin!(prepared.run(lease.connection.client()));
    let mut ticks = 0_u32;
    loop {
        match tokio::time::timeout(TICK, running.as_mut()).await {
            Ok(rows) => {
                output.text.push_str("</p>");
                return Ok(rows?);
            }
            Err(_) => {
                ticks += 1;
                if ticks.is_multiple_of(PROGRESS_TICKS) {
                    output.text.push_str(&format!(" {} s …", output.elapsed().as_secs()));
                }
                output.send().await?;
            }
        }
    }
}

/// The begin of a paragraph, which [`started`] ends. The style hides it when the last line has arrived.
fn running() -> Markup {
    maud::PreEscaped(
        "<p class=\"quiet running\" role=\"status\">Running; the number of rows is in the last line …"
            .to_owned(),
    )
}

/// The notes, and the head of the table up to its first row.
fn head(columns: &[ResultColumn], notes: &[String], name: &str) -> Markup {
    let opened = "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"Result\"><table>";
    html! {
        @if !notes.is_empty() {
            div.notice.warn { ul { @for note in notes { li { "Note: " (text(note)) } } } }
        }
        (maud::PreEscaped(opened))
        caption { "Result of " code { (name) } "; times are in UTC, and " code { "-" } " is null" }
        thead {
            tr { @for column in columns { th.number[column.is_number] scope="col" { (text(&column.name)) } } }
        }
        (maud::PreEscaped("<tbody>"))
    }
}

/// The end of a result that is incomplete.
fn failed(reason: &str) -> Markup {
    html! { div.notice.bad.done role="alert" { p { (text(reason)) } } }
}

/// An error of the database, with the remedy for a query that took too long.
pub(super) fn explained(error: &QueryError, query: &Query) -> String {
    if error.is_timeout() { format!("{error}; {}", narrower(query)) } else { error.to_string() }
}

/// Advice for a query that is too large for a page.
pub(super) fn narrower(query: &Query) -> String {
    let narrowing = [
        ("span", "a shorter span"),
        ("peer", "a single peer"),
        ("rib", "one RIB view"),
        ("at_least", "a larger at_least"),
        ("mac", "a MAC address"),
        ("prefix", "a longer prefix"),
    ];
    let ways: Vec<&str> = narrowing
        .iter()
        .filter(|(name, _)| query.parameters.iter().any(|parameter| parameter.name == *name))
        .map(|(_, way)| *way)
        .collect();
    let shell = "run it with `holdfast query`, which has no time limit";
    if ways.is_empty() { shell.to_owned() } else { format!("narrow it ({}), or {shell}", ways.join(", ")) }
}
