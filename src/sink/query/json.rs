//! Typed JSON values of columns that the queries return as text.

use serde_json::{Value, json};

/// How the text of a column is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all.
    Plain,
    /// An AS path: an array of AS numbers, with an object for each other segment.
    Path,
    /// Several AS paths, separated by bars.
    Paths,
    /// An array of words.
    Words,
    /// An array of texts separated by commas.
    List,
}

impl Form {
    /// The form of a column of type text; `None` if its text is the value.
    pub(super) fn of_column(name: &str) -> Option<Self> {
        match name {
            "path" | "old_path" | "new_path" | "path_after" => Some(Self::Path),
            "path_a" | "path_b" => Some(Self::Paths),
            "next_hop_a" | "next_hop_b" | "families" | "add_path" | "vteps" | "hosts" | "route_targets"
            | "collectors" | "changed" => Some(Self::Words),
            "vrps" => Some(Self::List),
            _ => None,
        }
    }

    pub(super) fn convert(self, text: String) -> String {
        match self {
            Self::Plain => text,
            Self::Path => path(&text).to_string(),
            Self::Paths => Value::from(text.split(" | ").map(path).collect::<Vec<_>>()).to_string(),
            Self::Words => Value::from(text.split_whitespace().collect::<Vec<_>>()).to_string(),
            Self::List => Value::from(text.split(", ").collect::<Vec<_>>()).to_string(),
        }
    }
}

/// The segments other than AS_SEQUENCE, by their brackets (`route::AsPath`).
const SEGMENTS: [(char, char, &str); 3] =
    [('{', '}', "set"), ('(', ')', "confed_sequence"), ('[', ']', "confed_set")];

/// An AS path as an array; a text that is no path remains a text.
fn path(text: &str) -> Value {
    let mut members = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let segment = SEGMENTS.iter().find(|(open, _, _)| rest.starts_with(*open));
        let (part, after) = match segment {
            Some((open, close, _)) => {
                let Some((part, after)) = rest.trim_start_matches(*open).split_once(*close) else {
                    return Value::from(text);
                };
                (part, after)
            }
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        let numbers: Result<Vec<u32>, _> =
            part.split([' ', ',']).filter(|number| !number.is_empty()).map(str::parse).collect();
        let Ok(numbers) = numbers else { return Value::from(text) };
        match segment {
            Some((_, _, name)) => members.push(json!({ *name: numbers })),
            None => members.extend(numbers.into_iter().map(Value::from)),
        }
        rest = after.trim_start();
    }
    Value::from(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_lists_are_typed() {
        for (form, text, value) in [
            (Form::Path, "65001 3356", "[65001,3356]"),
            (Form::Path, "", "[]"),
            (
                Form::Path,
                "1 {3,4} (5 6) [7]",
                r#"[1,{"set":[3,4]},{"confed_sequence":[5,6]},{"confed_set":[7]}]"#,
            ),
            (Form::Path, "1 x", "\"1 x\""),
            (Form::Path, "1 {2", "\"1 {2\""),
            (Form::Paths, "1 2 | 3", "[[1,2],[3]]"),
            (Form::Words, "a b", r#"["a","b"]"#),
            (Form::List, "AS1 ::/0-0, AS2 ::/0-1", r#"["AS1 ::/0-0","AS2 ::/0-1"]"#),
            (Form::Plain, "7", "7"),
        ] {
            assert_eq!(form.convert(text.to_owned()), value, "{text}");
        }
    }
}
