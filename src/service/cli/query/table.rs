//! A table of aligned columns, or a list of records if the table would be too wide.

use std::io::{self, Write};

use crate::telemetry::printable;

/// Number of first rows that determine the widths of the columns, to bound memory; later rows may be wider.
pub(super) const WIDTH_ROWS: usize = 1000;

/// Blanks between two columns.
const GAP: usize = 2;

/// Width below which a column is not cut.
const CUT_MIN: usize = 12;

/// A row of the result; null is shown as a dash.
type Row = [Option<String>];

/// A column of a table.
#[derive(Debug)]
struct Column {
    name: String,
    width: usize,
    is_number: bool,
}

/// Columns of a table and their widths.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<Column>,
    /// Whether values that are wider than their column are cut.
    is_limited: bool,
    /// Whether each row is a record with one line per column, because the table would be too wide.
    has_records: bool,
}

impl Layout {
    /// Widths for these columns (name, whether it has numbers) and first rows.
    ///
    /// If the table is wider than `width_max`, the widest columns are made narrower, but never one of
    /// numbers, because a number that is cut is another number. If that does not suffice, the layout is one
    /// of records.
    pub(super) fn new<'a>(
        columns: impl Iterator<Item = (&'a str, bool)>,
        rows: &[Vec<Option<String>>],
        width_max: Option<usize>,
    ) -> Self {
        let mut columns: Vec<Column> = columns
            .enumerate()
            .map(|(index, (name, is_number))| {
                let values = rows.iter().filter_map(|row| Some(cell(row.get(index)?).chars().count()));
                let width = values.max().unwrap_or(0).max(name.chars().count());
                Column { name: name.to_owned(), width, is_number }
            })
            .collect();
        let mut has_records = false;
        if let Some(width_max) = width_max {
            let gaps = GAP * columns.len().saturating_sub(1);
            let mut width = gaps + columns.iter().map(|column| column.width).sum::<usize>();
            while width > width_max {
                let texts = columns.iter_mut().filter(|column| !column.is_number && column.width > CUT_MIN);
                let Some(widest) = texts.max_by_key(|column| column.width) else {
                    has_records = true;
                    break;
                };
                widest.width -= 1;
                width -= 1;
            }
        }
        Self { columns, is_limited: width_max.is_some(), has_records }
    }
}

/// Prints rows by a layout.
pub(super) struct Table {
    layout: Layout,
    /// Number of rows printed so far.
    count: u64,
}

impl Table {
    pub(super) const fn new(layout: Layout) -> Self {
        Self { layout, count: 0 }
    }

    /// Prints the names of the columns. Records have them in each line instead.
    pub(super) fn header(&self, out: &mut impl Write) -> io::Result<()> {
        if self.layout.has_records {
            return Ok(());
        }
        let names: Vec<Option<String>> =
            self.layout.columns.iter().map(|column| Some(column.name.clone())).collect();
        self.line(&names, out)
    }

    pub(super) fn row(&mut self, row: &Row, out: &mut impl Write) -> io::Result<()> {
        self.count += 1;
        if !self.layout.has_records {
            return self.line(row, out);
        }
        writeln!(out, "-[ row {} ]", self.count)?;
        let columns = &self.layout.columns;
        let width = columns.iter().map(|column| column.name.len()).max().unwrap_or(0) + GAP;
        for (value, column) in row.iter().zip(columns) {
            writeln!(out, "{}", printable(&format!("{:<width$}{}", column.name, cell(value))))?;
        }
        Ok(())
    }

    fn line(&self, row: &Row, out: &mut impl Write) -> io::Result<()> {
        let mut text = String::new();
        for (value, column) in row.iter().zip(&self.layout.columns) {
            let (value, width) = (cell(value), column.width);
            let value = if self.layout.is_limited { cut(value, column) } else { value.to_owned() };
            let padded =
                if column.is_number { format!("{value:>width$}") } else { format!("{value:<width$}") };
            text.push_str(&padded);
            text.push_str(&" ".repeat(GAP));
        }
        writeln!(out, "{}", printable(text.trim_end()))
    }
}

fn cell(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("-")
}

/// The value, with an ellipsis for its end if it is wider than its column.
fn cut(value: &str, column: &Column) -> String {
    if column.is_number || value.chars().count() <= column.width {
        return value.to_owned();
    }
    value.chars().take(column.width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(columns: &[(&str, bool)], rows: &[&[Option<&str>]], width_max: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<Option<String>>> =
            rows.iter().map(|row| row.iter().map(|value| value.map(str::to_owned)).collect()).collect();
        let mut table = Table::new(Layout::new(columns.iter().copied(), &rows, width_max));
        let mut out = Vec::new();
        table.header(&mut out).unwrap();
        rows.iter().for_each(|row| table.row(row, &mut out).unwrap());
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn numbers_are_right_aligned_and_null_is_a_dash() {
        assert_eq!(
            lines(&[("a", false), ("number", true), ("z", false)], &[&[Some("b"), Some("7"), None]], None),
            ["a  number  z", "b       7  -"]
        );
    }

    #[test]
    fn wide_columns_are_cut_to_the_width_and_numbers_are_not() {
        let long = "1 2 3 4 5 6 7 8 9 10 11 12";
        let rows: &[&[Option<&str>]] = &[&[Some("edge1"), Some(long), Some("123456789012")]];
        let columns = [("router", false), ("path", false), ("med", true)];
        let found = lines(&columns, rows, Some(40));
        assert_eq!(found[1], "edge1   1 2 3 4 5 6 7 8 9…  123456789012");
        assert!(found.iter().all(|line| line.chars().count() <= 40), "{found:?}");
        assert_eq!(lines(&columns, rows, Some(200))[1], format!("edge1   {long}  123456789012"));
        // If it does not fit nevertheless, each row is a record.
        assert_eq!(
            lines(&columns, rows, Some(30)),
            ["-[ row 1 ]", "router  edge1", "path    1 2 3 4 5 6 7 8 9 10 11 12", "med     123456789012"]
        );
    }
}
