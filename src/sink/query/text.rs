//! Rows of a query as text: JSON and CSV, and the line with their number.

use super::run::ResultColumn;

/// Appends a row as a JSON object. Its values are those of [`super::run::Shape::Json`].
pub fn append_json(columns: &[ResultColumn], row: &[Option<String>], text: &mut String) {
    let mut separator = '{';
    for (column, value) in columns.iter().zip(row) {
        text.push(separator);
        text.push('"');
        text.push_str(&column.name);
        text.push_str("\":");
        text.push_str(value.as_deref().unwrap_or("null"));
        separator = ',';
    }
    text.push_str(if columns.is_empty() { "{}" } else { "}" });
}

/// Appends the header row of a CSV file, with its line end.
pub fn append_csv_header(columns: &[ResultColumn], text: &mut String) {
    append_fields(columns.iter().map(|column| Some(column.name.as_str())), text);
}

/// Appends a row of a CSV file, with its line end. Null is an empty field, and an empty text is quoted.
pub fn append_csv(row: &[Option<String>], text: &mut String) {
    append_fields(row.iter().map(Option::as_deref), text);
}

fn append_fields<'a>(fields: impl Iterator<Item = Option<&'a str>>, text: &mut String) {
    for (index, value) in fields.enumerate() {
        if index > 0 {
            text.push(',');
        }
        match value {
            None => {}
            // As RFC 4180 requires.
            Some(value) if value.is_empty() || value.contains([',', '"', '\r', '\n']) => {
                text.push('"');
                text.push_str(&value.replace('"', "\"\""));
                text.push('"');
            }
            Some(value) => text.push_str(value),
        }
    }
    text.push_str("\r\n");
}

/// The number of rows as the last line of a table. `is_cut`: there are more rows than the limit.
#[must_use]
pub fn count_line(count: u64, is_cut: bool) -> String {
    match (count, is_cut) {
        (1, true) => "(first row; there are more)".to_owned(),
        (count, true) => format!("(first {count} rows; there are more)"),
        (1, false) => "(1 row)".to_owned(),
        (count, false) => format!("({count} rows)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_required() {
        let row = [Some("a"), Some(""), Some("a,b"), Some("a\"b"), None].map(|text| text.map(str::to_owned));
        let mut text = String::new();
        append_csv(&row, &mut text);
        assert_eq!(text, "a,\"\",\"a,b\",\"a\"\"b\",\r\n");
    }
}
