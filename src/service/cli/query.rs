//! `holdfast query`: runs a query of the catalogue, and prints a table, JSON or CSV.

use std::io::Write;

use clap::ValueEnum;

use super::database::EXIT_FAILED;
use super::{Failure, database};
use crate::config::Config;
use crate::sink::{BoundQuery, QUERIES, QueryError, Rows, Shape, run_query};
use crate::telemetry::printable;

/// Number of first rows that determine the column widths of a table, to bound memory; later rows may be
/// wider.
const WIDTH_ROWS: usize = 1000;

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
    /// Maximum number of rows to print
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(0..))]
    limit: Option<i64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Aligned text columns
    Table,
    /// A JSON array with one object per row
    Json,
    /// CSV (RFC 4180) with a header row
    Csv,
}

impl Arguments {
    /// True if the command lists queries, which needs no database.
    pub(super) const fn only_lists(&self) -> bool {
        self.name.is_none()
    }

    /// Prints the names of the queries, or usage and description of each.
    pub(super) fn print_list(&self, out: &mut impl Write) -> Result<(), Failure> {
        for query in QUERIES {
            if self.list {
                writeln!(out, "{}", query.name)?;
            } else {
                writeln!(out, "{}\n    {}", query.usage(), query.about)?;
            }
        }
        Ok(())
    }
}

/// Runs the query and prints its rows.
pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let query = BoundQuery::new(arguments.name.as_deref().unwrap_or_default(), &arguments.values)?;
    let shape = if matches!(arguments.format, Format::Json) { Shape::Json } else { Shape::Values };
    database::with_client(config, EXIT_FAILED, async |client| {
        let rows = run_query(&client, &query, shape, arguments.limit).await?;
        match arguments.format {
            Format::Table => table(rows, out).await,
            Format::Json => json(rows, out).await,
            Format::Csv => csv(rows, out).await,
        }
    })
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let code = if matches!(error, QueryError::Database(_)) { 1 } else { 2 };
        Self::Other(error.to_string(), code)
    }
}

async fn table(mut rows: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let header: Vec<Option<String>> = rows.columns.iter().map(|(name, _)| Some(name.clone())).collect();
    let mut first = vec![header];
    while first.len() <= WIDTH_ROWS {
        match rows.next().await? {
            Some(row) => first.push(row),
            None => break,
        }
    }
    let width =
        |index: usize| first.iter().filter_map(|row| Some(cell(row.get(index)?).chars().count())).max();
    let columns: Vec<(usize, bool)> = (0..)
        .zip(&rows.columns)
        .map(|(index, (_, is_number))| (width(index).unwrap_or(0), *is_number))
        .collect();
    for row in &first {
        line(row, &columns, out)?;
    }
    while let Some(row) = rows.next().await? {
        line(&row, &columns, out)?;
    }
    Ok(())
}

fn cell(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("-")
}

fn line(row: &[Option<String>], columns: &[(usize, bool)], out: &mut impl Write) -> Result<(), Failure> {
    let mut text = String::new();
    for (value, (width, is_number)) in row.iter().zip(columns) {
        let (value, width) = (cell(value), *width);
        text.push_str(&if *is_number { format!("{value:>width$}  ") } else { format!("{value:<width$}  ") });
    }
    writeln!(out, "{}", printable(text.trim_end()))?;
    Ok(())
}

async fn json(mut rows: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let mut separator = "[";
    while let Some(row) = rows.next().await? {
        write!(out, "{separator}\n{}", row.first().map_or("", cell))?;
        separator = ",";
    }
    writeln!(out, "{}", if separator == "[" { "[]" } else { "\n]" })?;
    Ok(())
}

async fn csv(mut rows: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let header: Vec<String> = rows.columns.iter().map(|(name, _)| field(name)).collect();
    write!(out, "{}\r\n", header.join(","))?;
    while let Some(row) = rows.next().await? {
        let row: Vec<String> =
            row.iter().map(|value| value.as_deref().map_or_else(String::new, field)).collect();
        write!(out, "{}\r\n", row.join(","))?;
    }
    Ok(())
}

/// A CSV field, quoted as RFC 4180 requires. An empty text is quoted as well, to distinguish it from null.
fn field(value: &str) -> String {
    if value.is_empty() || value.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_required() {
        for (value, text) in [("a", "a"), ("", "\"\""), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\"")] {
            assert_eq!(field(value), text);
        }
    }

    #[test]
    fn numbers_are_right_aligned_and_null_is_a_dash() {
        let mut out = Vec::new();
        line(&[Some("a".into()), Some("7".into()), None], &[(2, false), (3, true), (1, false)], &mut out)
            .unwrap();
        assert_eq!(out, b"a     7  -\n");
    }
}
