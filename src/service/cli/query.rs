//! `holdfast query`: asks the database, and prints a table, JSON or CSV.

use std::io::Write;

use clap::ValueEnum;

use super::{Failure, database};
use crate::config::Config;
use crate::sink::{BoundQuery, QUERIES, QueryError, Rows, Shape, ask};
use crate::telemetry::printable;

/// Rows from which a table learns the widths of its columns; later rows may be wider, and memory stays bounded.
const WIDTH_ROWS: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which query; without it all are listed with their arguments
    name: Option<String>,
    /// Its arguments, in order or as name=value
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
    /// Print the names of the queries, one per line
    #[arg(long, conflicts_with = "name")]
    list: bool,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print at most so many rows
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(0..))]
    limit: Option<i64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Columns with blanks between
    Table,
    /// One array of objects
    Json,
    /// RFC 4180, with a head
    Csv,
}

impl Arguments {
    /// Whether the answer needs no database.
    pub(super) const fn only_lists(&self) -> bool {
        self.name.is_none()
    }

    /// The names of the queries, or how each is called.
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

/// Asks, and prints.
pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let call = BoundQuery::new(arguments.name.as_deref().unwrap_or_default(), &arguments.values)?;
    let shape = if matches!(arguments.format, Format::Json) { Shape::Json } else { Shape::Values };
    database::with_client(config, async |client| {
        let answer = ask(&client, &call, shape, arguments.limit).await?;
        match arguments.format {
            Format::Table => table(answer, out).await,
            Format::Json => json(answer, out).await,
            Format::Csv => csv(answer, out).await,
        }
    })
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let code = if matches!(error, QueryError::Database(_)) { 1 } else { 2 };
        Self::Other(error.to_string(), code)
    }
}

async fn table(mut answer: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let head: Vec<Option<String>> = answer.columns.iter().map(|(name, _)| Some(name.clone())).collect();
    let mut first = vec![head];
    while first.len() <= WIDTH_ROWS {
        match answer.next().await? {
            Some(row) => first.push(row),
            None => break,
        }
    }
    let width =
        |place: usize| first.iter().filter_map(|row| Some(cell(row.get(place)?).chars().count())).max();
    let columns: Vec<(usize, bool)> = (0..)
        .zip(&answer.columns)
        .map(|(place, (_, is_number))| (width(place).unwrap_or(0), *is_number))
        .collect();
    for row in &first {
        line(row, &columns, out)?;
    }
    while let Some(row) = answer.next().await? {
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

async fn json(mut answer: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let mut before = "[";
    while let Some(row) = answer.next().await? {
        write!(out, "{before}\n{}", row.first().map_or("", cell))?;
        before = ",";
    }
    writeln!(out, "{}", if before == "[" { "[]" } else { "\n]" })?;
    Ok(())
}

async fn csv(mut answer: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let head: Vec<String> = answer.columns.iter().map(|(name, _)| field(name)).collect();
    write!(out, "{}\r\n", head.join(","))?;
    while let Some(row) = answer.next().await? {
        let row: Vec<String> =
            row.iter().map(|value| value.as_deref().map_or_else(String::new, field)).collect();
        write!(out, "{}\r\n", row.join(","))?;
    }
    Ok(())
}

/// A field of CSV; quoted where RFC 4180 asks for it. An empty text is quoted, so that it is not taken for no value.
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
    fn fields_of_csv_are_quoted_where_needed() {
        for (value, text) in [("a", "a"), ("", "\"\""), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\"")] {
            assert_eq!(field(value), text);
        }
    }

    #[test]
    fn numbers_stand_right_and_what_is_absent_is_a_dash() {
        let mut out = Vec::new();
        line(&[Some("a".into()), Some("7".into()), None], &[(2, false), (3, true), (1, false)], &mut out)
            .unwrap();
        assert_eq!(out, b"a     7  -\n");
    }
}
