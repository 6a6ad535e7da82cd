//! docs/LOGS.md lists every log event with its levels and fields: those of the sources, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::source::product;

/// Levels and fields of one event.
#[derive(Debug, Default, PartialEq)]
struct Event {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

type Events = BTreeMap<String, Event>;

/// The macros of the `tracing` crate, with the levels as they are logged.
const MACROS: [(&str, &str); 5] = [
    ("tracing::error!(", "ERROR"),
    ("tracing::warn!(", "WARNING"),
    ("tracing::info!(", "INFO"),
    ("tracing::debug!(", "DEBUG"),
    ("tracing::trace!(", "TRACE"),
];

/// Function that logs the notices of sessions under the names that these have.
const OF_NOTICES: &str = "fn log_notice(";

/// Offsets of the first and the last byte between a bracket at `open` and its partner, in blanked code.
fn inside(code: &str, open: usize) -> (usize, usize) {
    let mut depth = 0;
    for (offset, sign) in code[open..].char_indices() {
        match sign {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (open + 1, open + offset);
        }
    }
    panic!("a bracket is not closed");
}

/// The arguments of a macro or function, as they are written. `code` is `text` with literals blanked.
fn arguments<'a>(text: &'a str, code: &str, open: usize) -> Vec<&'a str> {
    let (first, end) = inside(code, open);
    let (mut depth, mut start, mut found) = (0, first, Vec::new());
    for (offset, sign) in code[first..end].char_indices() {
        match sign {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..first + offset].trim());
                start = first + offset + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..end].trim());
    found.retain(|argument| !argument.is_empty());
    found
}

/// The text of a string literal.
fn literal(argument: &str) -> Option<&str> {
    argument.strip_prefix('"')?.strip_suffix('"')
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// The name of a field in a macro's argument: `name = value`, `%name`, or `name`.
fn field(argument: &str) -> String {
    let name = argument.split('=').next().unwrap().trim().trim_start_matches(['%', '?']);
    assert!(is_name(name), "unexpected argument of a log event: {argument}");
    name.to_owned()
}

/// Adds the events that a file logs with the macros, as notices of a session, or under a name in a
/// constant.
fn collect(path: &str, text: &str, code: &str, events: &mut Events) {
    let of_notices = code.find(OF_NOTICES).map(|start| {
        let open = start + code[start..].find('{').unwrap();
        // The parameters have brackets as well.
        let open = open + code[open..].find(") {").unwrap() + 2;
        inside(code, open)
    });
    for (name, level) in MACROS {
        for (start, _) in code.match_indices(name) {
            if of_notices.is_some_and(|(first, end)| (first..end).contains(&start)) {
                continue;
            }
            let arguments = arguments(text, code, start + name.len() - 1);
            let (event, fields) = arguments.split_last().unwrap();
            let event = literal(event).filter(|event| is_name(event));
            let event = event.unwrap_or_else(|| panic!("{path}: {arguments:?}: the name must be a literal"));
            let known = events.entry(event.to_owned()).or_default();
            known.levels.insert(level.to_owned());
            known.fields.extend(fields.iter().map(|argument| field(argument)));
        }
    }
    for (start, _) in code.match_indices("notice(Level::") {
        let arguments = arguments(text, code, start + "notice".len());
        let level = arguments[0].trim_start_matches("Level::").to_uppercase();
        let event = literal(arguments[1]).unwrap_or_else(|| panic!("{path}: {arguments:?}"));
        events.entry(event.to_owned()).or_default().levels.insert(level);
    }
    for (start, _) in code.match_indices("_EVENT: &str =") {
        events.entry(text[start..].split('"').nth(1).unwrap().to_owned()).or_default();
    }
}

/// The events of the page: lines of tables with name, levels, fields, and meaning.
fn documented(page: &str) -> Events {
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut events = Events::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, levels, fields, meaning] = cells.as_slice() else { panic!("not four cells: {line}") };
        assert!(!meaning.is_empty(), "no meaning: {line}");
        let event = Event { levels: levels.split(", ").map(str::to_owned).collect(), fields: names(fields) };
        let name = name.trim_matches('`').to_owned();
        assert!(events.insert(name, event).is_none(), "listed twice: {line}");
    }
    events
}

#[test]
fn the_page_lists_every_log_event_with_its_levels_and_fields() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut logged = Events::new();
    for source in product(root, "src") {
        let text: String = source.product_lines().map(|line| format!("{line}\n")).collect();
        collect(&source.path, &text, &source.product_code(), &mut logged);
    }
    assert!(logged.len() > 80, "only {} events found", logged.len());
    let documented = documented(&fs::read_to_string(root.join("docs/LOGS.md")).unwrap());
    let mut complaints = Vec::new();
    for (name, event) in &logged {
        let Some(row) = documented.get(name) else {
            complaints.push(format!("{name} is not in docs/LOGS.md: {event:?}"));
            continue;
        };
        if !event.levels.is_empty() && event.levels != row.levels {
            complaints.push(format!("{name}: logged as {:?}, documented as {:?}", event.levels, row.levels));
        }
        let missing: Vec<_> = event.fields.difference(&row.fields).collect();
        if !missing.is_empty() {
            complaints.push(format!("{name}: fields {missing:?} are not documented"));
        }
        let unknown: Vec<_> = row.fields.difference(&event.fields).collect();
        if !event.fields.is_empty() && !unknown.is_empty() {
            complaints.push(format!("{name}: fields {unknown:?} are documented and not logged"));
        }
    }
    let unknown = documented.keys().filter(|name| !logged.contains_key(*name));
    complaints.extend(unknown.map(|name| format!("{name} is in docs/LOGS.md and nowhere logged")));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn events_are_found_in_code() {
    let text = r#"
        fn a() { tracing::warn!(%error, count = values(1, "x"), name, "first_event"); }
        fn log_notice(Notice { level }: &Notice) { match level { _ => tracing::info!(text, "{event}") } }
        fn b(&mut self) { self.notice(Level::Warning, "second_event", None, text, &[]); }
        const THIRD_EVENT: &str = "third_event";
    "#;
    let code = text.replace("\"x\"", "   ").replace("\"first_event\"", "             ");
    let mut events = Events::new();
    collect("test", text, &code, &mut events);
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let event = |levels: &[&str], fields: &[&str]| Event { levels: set(levels), fields: set(fields) };
    let expected = [
        ("first_event".to_owned(), event(&["WARNING"], &["error", "count", "name"])),
        ("second_event".to_owned(), event(&["WARNING"], &[])),
        ("third_event".to_owned(), event(&[], &[])),
    ];
    assert_eq!(events, expected.into());
}
