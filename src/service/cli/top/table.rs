//! Rows that are filtered, sorted and cut to the width of the terminal. Pure.

use std::cmp::Ordering;

use crate::num::{floor_to_u64, to_f64};
use crate::telemetry::printable;
use crate::telemetry::status::format::{short, size};

/// Columns between two columns of a table.
const SPACING: u16 = 1;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Width, or the least width of a column that grows.
    pub(super) width: u16,
    /// Part of the free width that the column gets; 0 for a fixed width.
    pub(super) grows: u16,
    /// On a narrow terminal, columns with higher numbers are left out first; one with 0 is never left out.
    pub(super) leave: u8,
    pub(super) is_number: bool,
}

/// A column of text.
pub(super) const fn text(title: &'static str, width: u16, grows: u16, leave: u8) -> Column {
    Column { title, width, grows, leave, is_number: false }
}

/// A column of numbers.
pub(super) const fn number(title: &'static str, width: u16, leave: u8) -> Column {
    Column { title, width, grows: 0, leave, is_number: true }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The number by which rows are sorted; `None` if it is unknown, or for text.
    number: Option<f64>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: printable(&text.into()), number: None }
    }

    /// A value that the row does not have.
    pub(super) fn none() -> Self {
        Self::text("–")
    }

    pub(super) fn unknown() -> Self {
        Self::text("unknown")
    }

    /// A number with its own text.
    pub(super) fn number(text: String, number: f64) -> Self {
        Self { text, number: Some(number) }
    }

    pub(super) fn count(count: u64) -> Self {
        Self::number(short(to_f64(count)), to_f64(count))
    }

    pub(super) fn bytes(bytes: u64) -> Self {
        Self::number(size(bytes), to_f64(bytes))
    }

    /// A number per second.
    pub(super) fn rate(rate: Option<f64>) -> Self {
        rate.map_or_else(Self::unknown, |rate| Self::number(short(rate), rate))
    }

    /// Bytes per second.
    pub(super) fn byte_rate(rate: Option<f64>) -> Self {
        rate.map_or_else(Self::unknown, |rate| Self::number(size(floor_to_u64(rate)), rate))
    }

    /// A time in seconds.
    pub(super) fn seconds(seconds: Option<f64>) -> Self {
        seconds.map_or_else(Self::unknown, |seconds| Self::number(format!("{seconds:.1} s"), seconds))
    }
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Identifies the row in the next document.
    pub(super) key: String,
    /// The router of the row, and the key of its peer; empty for lanes.
    pub(super) router: String,
    pub(super) peer: String,
    /// Seriousness of the worst finding; 0 if there is none.
    pub(super) rank: u8,
    /// Rows of the same rank with more load come first. It is coarse, so that rows do not change their order
    /// with each document.
    pub(super) load: u64,
    /// One cell for each column.
    pub(super) cells: Vec<Cell>,
}

impl Row {
    fn text(&self, column: usize) -> &str {
        self.cells.get(column).map_or("", |cell| &cell.text)
    }

    fn number(&self, column: usize) -> Option<f64> {
        self.cells.get(column).and_then(|cell| cell.number)
    }
}

/// The load of this number of waiting bytes: 0 below 64 KiB, and one more with each doubling.
pub(super) fn load(bytes: u64) -> u64 {
    u64::from(u64::BITS - (bytes >> 16).leading_zeros())
}

/// By what the rows of a table are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortBy {
    /// Findings, then the load.
    #[default]
    Worst,
    /// The values of a column: numbers descending, text ascending; unknown numbers are last.
    Column(usize),
}

/// The order of the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: SortBy,
    pub(super) reversed: bool,
}

impl Order {
    fn compare(self, columns: &[Column], one: &Row, other: &Row) -> Ordering {
        let directed = |ordering: Ordering| if self.reversed { ordering.reverse() } else { ordering };
        let ordering = match self.by {
            SortBy::Worst => directed(other.rank.cmp(&one.rank).then_with(|| other.load.cmp(&one.load))),
            SortBy::Column(column) if columns.get(column).is_some_and(|column| column.is_number) => {
                match (one.number(column), other.number(column)) {
                    (Some(one), Some(other)) => directed(other.total_cmp(&one)),
                    (one, other) => other.is_some().cmp(&one.is_some()),
                }
            }
            SortBy::Column(column) => directed(one.text(column).cmp(other.text(column))),
        };
        ordering.then_with(|| one.key.cmp(&other.key))
    }
}

/// The indices of the rows that match the filter, sorted. The filter has words that must all occur in the
/// text of a row, in upper or lower case.
pub(super) fn arranged(columns: &[Column], rows: &[Row], filter: &str, order: Order) -> Vec<usize> {
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let matches = |row: &Row| {
        let texts = columns.iter().zip(&row.cells).filter(|(column, _)| !column.is_number);
        let texts: Vec<String> = texts.map(|(_, cell)| cell.text.to_lowercase()).collect();
        words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    };
    let mut found: Vec<(usize, &Row)> =
        rows.iter().enumerate().filter(|(_, row)| words.is_empty() || matches(row)).collect();
    found.sort_by(|(_, one), (_, other)| order.compare(columns, one, other));
    found.into_iter().map(|(index, _)| index).collect()
}

/// The columns from index `first` that fit into `width`, each with its index and its width.
pub(super) fn fitting(columns: &[Column], first: usize, width: u16) -> Vec<(usize, u16)> {
    let mut shown: Vec<(usize, &Column)> = columns.iter().enumerate().skip(first).collect();
    let needed = |shown: &[(usize, &Column)]| -> u16 {
        shown.iter().map(|(_, column)| column.width.saturating_add(SPACING)).fold(0, u16::saturating_add)
    };
    while needed(&shown) > width.saturating_add(SPACING) {
        let Some(left) = shown.iter().map(|(_, column)| column.leave).max().filter(|leave| *leave > 0) else {
            break;
        };
        shown.retain(|(_, column)| column.leave != left);
    }
    let free = width.saturating_add(SPACING).saturating_sub(needed(&shown));
    let shares = shown.iter().map(|(_, column)| column.grows).fold(0, u16::saturating_add);
    let more = |grows: u16| free.saturating_mul(grows).checked_div(shares).unwrap_or_default();
    shown
        .into_iter()
        .map(|(index, column)| (index, column.width.saturating_add(more(column.grows))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [text("Name", 10, 1, 0), number("Rate", 7, 0), text("State", 10, 3, 1)];

    fn row(name: &str, rate: Option<f64>, state: &str, rank: u8, load: u64) -> Row {
        Row {
            key: name.to_owned(),
            router: name.to_owned(),
            peer: String::new(),
            rank,
            load,
            cells: vec![Cell::text(name), Cell::rate(rate), Cell::text(state)],
        }
    }

    fn rows() -> [Row; 4] {
        [
            row("edge1", Some(5.0), "up", 0, load(70_000)),
            row("edge2", None, "down", 3, 0),
            row("Core1", Some(9.0), "up", 0, load(140_000)),
            row("core2", Some(0.0), "stale", 5, 0),
        ]
    }

    fn names(filter: &str, by: SortBy, reversed: bool) -> Vec<String> {
        let rows = rows();
        let found = arranged(&COLUMNS, &rows, filter, Order { by, reversed });
        found.into_iter().map(|index| rows[index].key.clone()).collect()
    }

    #[test]
    fn the_worst_rows_are_first_and_unknown_numbers_last() {
        assert_eq!(names("", SortBy::Worst, false), ["core2", "edge2", "Core1", "edge1"]);
        assert_eq!(names("", SortBy::Worst, true), ["edge1", "Core1", "edge2", "core2"]);
        assert_eq!(names("", SortBy::Column(1), false), ["Core1", "edge1", "core2", "edge2"]);
        assert_eq!(names("", SortBy::Column(1), true), ["core2", "edge1", "Core1", "edge2"]);
        assert_eq!(names("", SortBy::Column(2), false), ["edge2", "core2", "Core1", "edge1"]);
    }

    #[test]
    fn all_words_of_a_filter_occur_in_the_text_of_a_row() {
        assert_eq!(names("CORE", SortBy::Worst, false), ["core2", "Core1"]);
        assert_eq!(names(" 1  up ", SortBy::Worst, false), ["Core1", "edge1"]);
        assert_eq!(names("9", SortBy::Worst, false), [""; 0], "numbers are not searched");
    }

    #[test]
    fn columns_leave_a_narrow_terminal_and_grow_on_a_wide_one() {
        assert_eq!(fitting(&COLUMNS, 0, 29), [(0, 10), (1, 7), (2, 10)]);
        assert_eq!(fitting(&COLUMNS, 0, 28), [(0, 20), (1, 7)]);
        assert_eq!(fitting(&COLUMNS, 0, 5), [(0, 10), (1, 7)]);
        assert_eq!(fitting(&COLUMNS, 0, 69), [(0, 20), (1, 7), (2, 40)]);
        assert_eq!(fitting(&COLUMNS, 1, 28), [(1, 7), (2, 20)]);
    }

    #[test]
    fn a_load_is_coarse() {
        assert_eq!([0, 65_535, 65_536, 131_071, 131_072, u64::MAX].map(load), [0, 0, 1, 1, 2, 48]);
    }
}
