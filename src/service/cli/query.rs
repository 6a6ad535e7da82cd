//! `holdfast query`: runs a query of the catalogue, and prints a table, JSON or CSV.

mod pager;
mod table;

use std::io::{self, Write};

use clap::ValueEnum;

use self::pager::Pager;
use self::table::{Layout, Table};
use super::database::EXIT_FAILED;
use super::{Failure, database};
use crate::config::Config;
use crate::sink::{
    BoundQuery, QUERIES, Query, QueryError, Rows, RunOptions, Shape, append_csv, append_csv_header,
    append_json, count_line, run_query,
};
use crate::telemetry::printable;

/// Exit code for an unknown query or field, or an invalid argument.
const EXIT_USAGE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the query; if omitted, all queries are listed with their parameters
    name: Option<String>,
    /// Arguments of the query, in order or as name=value
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
    /// Print the names of the queries, one per line
    #[arg(long, conflicts_with = "name")]
    list: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Columns to print, in this order, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    /// Maximum number of rows to print
    #[arg(long, value_name = "ROWS")]
    limit: Option<u32>,
    /// Maximum width of a table: wider columns are cut, or rows are printed as records; 0 is unlimited
    /// [default: the terminal's, else 0]
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,
    /// Do not show a table on a terminal through a pager (HOLDFAST_PAGER, else PAGER, else less)
    #[arg(long)]
    no_pager: bool,
    /// Print help; after the name of a query its parameters, defaults and examples
    #[arg(short = 'h', long)]
    help: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Aligned text columns, and the number of rows
    Table,
    /// A JSON array with one object per row; durations in seconds, AS paths and lists as arrays
    Json,
    /// CSV (RFC 4180) with a header row
    Csv,
}

impl Arguments {
    /// Whether the help of the command as a whole is asked for.
    pub(super) const fn wants_help(&self) -> bool {
        self.help && self.name.is_none()
    }

    /// Prints the list or the help that the arguments ask for, neither of which needs a database. Returns
    /// false if they ask for a query to be run.
    pub(super) fn print_usage(&self, out: &mut impl Write) -> Result<bool, Failure> {
        match &self.name {
            None => {
                for query in QUERIES {
                    if self.list {
                        writeln!(out, "{}", query.name)?;
                    } else {
                        writeln!(out, "{}\n    {}", query.usage(), query.about)?;
                    }
                }
            }
            Some(name) if self.help => match Query::find(name) {
                Some(query) => write!(out, "{}", query.help())?,
                // The error names the most similar query.
                None => drop(BoundQuery::new(name, &[])?),
            },
            Some(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Binds the arguments to the parameters of the query.
    pub(super) fn bind(&self) -> Result<BoundQuery, Failure> {
        Ok(BoundQuery::new(self.name.as_deref().unwrap_or_default(), &self.values)?)
    }
}

/// Runs the query and prints its rows; notes about the result go to standard error.
pub(super) fn run(
    arguments: &Arguments,
    query: BoundQuery,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let shape = if matches!(arguments.format, Format::Json) { Shape::Json } else { Shape::Values };
    let (limit, fields) = (arguments.limit, arguments.fields.clone());
    let options = RunOptions { shape, limit, fields, time_limit: None };
    database::with_client(config, EXIT_FAILED, async |client| {
        let mut rows = run_query(&client, query, &options).await?;
        let notes = std::mem::take(&mut rows.notes);
        let mut is_cut = false;
        match arguments.format {
            Format::Table => table(arguments, rows, out).await?,
            Format::Json => is_cut = json(rows, out).await?,
            Format::Csv => is_cut = csv(rows, out).await?,
        }
        out.flush()?;
        for note in notes {
            print_note(&note);
        }
        if is_cut {
            print_note("there are more rows than --limit");
        }
        Ok(())
    })
}

/// Prints a note on standard error. If that fails, the result remains.
fn print_note(note: &str) {
    writeln!(io::stderr().lock(), "note: {}", printable(note)).unwrap_or_default();
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let code = if matches!(error, QueryError::Database(_)) { EXIT_FAILED } else { EXIT_USAGE };
        let lines: Vec<String> = error.to_string().lines().map(printable).collect();
        Self::Other(lines.join("\n"), code)
    }
}

/// Prints a table: on a terminal through the pager and cut to its width.
async fn table(arguments: &Arguments, rows: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let terminal_width = pager::terminal_width();
    let width_max = arguments.width.or(terminal_width).filter(|width| *width > 0);
    let mut pager = match terminal_width {
        Some(_) if !arguments.no_pager => Pager::start()?,
        _ => None,
    };
    let printed = match &mut pager {
        Some(pager) => print_table(rows, width_max, pager).await,
        None => print_table(rows, width_max, out).await,
    };
    if let Some(pager) = pager {
        pager.finish()?;
    }
    printed
}

async fn print_table(mut rows: Rows, width_max: Option<usize>, out: &mut impl Write) -> Result<(), Failure> {
    let mut first = Vec::new();
    while first.len() < table::WIDTH_ROWS {
        match rows.next().await? {
            Some(row) => first.push(row),
            None => break,
        }
    }
    let columns = rows.columns.iter().map(|column| (column.name.as_str(), column.is_number));
    let mut table = Table::new(Layout::new(columns, &first, width_max));
    table.header(out)?;
    for row in &first {
        table.row(row, out)?;
    }
    drop(first);
    while let Some(row) = rows.next().await? {
        table.row(&row, out)?;
    }
    writeln!(out, "{}", count_line(rows.count, rows.is_cut))?;
    Ok(())
}

/// Returns whether there are more rows than the limit.
async fn json(mut rows: Rows, out: &mut impl Write) -> Result<bool, Failure> {
    let (mut separator, mut line) = ("[", String::new());
    while let Some(row) = rows.next().await? {
        line.clear();
        append_json(&rows.columns, &row, &mut line);
        write!(out, "{separator}\n{line}")?;
        separator = ",";
    }
    writeln!(out, "{}", if separator == "[" { "[]" } else { "\n]" })?;
    Ok(rows.is_cut)
}

/// Returns whether there are more rows than the limit.
async fn csv(mut rows: Rows, out: &mut impl Write) -> Result<bool, Failure> {
    let mut line = String::new();
    append_csv_header(&rows.columns, &mut line);
    out.write_all(line.as_bytes())?;
    while let Some(row) = rows.next().await? {
        line.clear();
        append_csv(&row, &mut line);
        out.write_all(line.as_bytes())?;
    }
    Ok(rows.is_cut)
}
