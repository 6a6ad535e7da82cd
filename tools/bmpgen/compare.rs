//! `bmpgen compare`: compares the rows of a database with the ground truth.
//!
//! Both inputs are JSON lines: the ground truth in the format of tshark's decode (see truth.rs), the rows
//! with the column names of `route_updates`. The keys `router`, `connection`, `session` and `msg_index` give
//! the position of a line; all other keys must be equal. Keys that are null or empty count as absent, and the
//! order of keys does not matter. The comparison uses no BMP or BGP decoder and no code of the collector.
//!
//! Each BMP session in the rows must match one connection of the ground truth: the same routes, each as
//! often, in the same order of messages. Within a message the order is not compared. A session that a crash
//! of the collector interrupted may match the beginning of a connection; `--cut-sessions` limits the number
//! of such sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::failure::Failure;
use crate::truth::{self, Object};

/// Maximum number of differing lines shown per input file.
const EXAMPLES: usize = 5;

/// Arguments of `compare`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ground truth: JSON lines in the order of sending; files ending in .gz are decompressed. In a file
    /// without the key "connection", every session of the router must match the whole file
    #[arg(long, required = true, value_name = "FILE")]
    truth: Vec<PathBuf>,
    /// Router name for ground truth without the key "router": one per --truth, in the same order
    #[arg(long, value_name = "NAME")]
    router: Vec<String>,
    /// Rows: JSON lines ordered by router, session and position in the log
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// Maximum number of sessions per router that a crash of the collector may have interrupted
    #[arg(long, value_name = "N", default_value_t = 0)]
    cut_sessions: usize,
}

/// Keys that give the position of a line and are not compared.
const POSITION_KEYS: [&str; 4] = ["router", "connection", "session", "msg_index"];

/// Converts a line to the format that is compared.
type Convert = fn(Object) -> Object;

fn unchanged(row: Object) -> Object {
    row
}

/// Hash of a line without its position.
type Content = u128;

/// One connection of the ground truth, or one session of the rows.
#[derive(Default)]
struct Sequence {
    /// Value of the key `connection` or `session`, as text.
    name: String,
    /// Message index and content of each line, in order.
    lines: Vec<(u64, Content)>,
}

/// Sequences by router.
type Side = BTreeMap<String, Vec<Sequence>>;

/// Result of comparing a session with the ground truth.
enum Verdict {
    /// The session is equal to a connection.
    Complete,
    /// The session is equal to the beginning of a connection that sent `sent` routes.
    Interrupted { sent: usize, is_allowed: bool },
    /// The session differs from a connection, first at row `at`.
    Differs { missing: Vec<Content>, extra: Vec<Content>, at: usize },
    /// No connection is left for the session.
    Unmatched,
}

/// Compares and prints the results. Returns true if every session matches.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut truth = Side::new();
    for (number, path) in arguments.truth.iter().enumerate() {
        let name = arguments.router.get(number).map(String::as_str);
        read(path, "connection", name, truth::canonical, &mut truth)?;
    }
    let mut rows = Side::new();
    read(&arguments.rows, "session", None, unchanged, &mut rows)?;

    let mut is_equal = true;
    let mut examples = Vec::new();
    for (router, connections) in &truth {
        let sessions = rows.remove(router).unwrap_or_default();
        is_equal &= compare_router(router, connections, &sessions, arguments.cut_sessions, &mut examples)?;
    }
    for (router, sessions) in &rows {
        let count: usize = sessions.iter().map(|session| session.lines.len()).sum();
        print_line(&format!("{router}: {count} rows of a router that the ground truth does not have"))?;
        is_equal = false;
    }
    print_examples(arguments, &examples)?;
    Ok(is_equal)
}

/// Compares the sessions of one router with its connections, both in order.
fn compare_router(
    router: &str,
    connections: &[Sequence],
    sessions: &[Sequence],
    cut_sessions: usize,
    examples: &mut Vec<Content>,
) -> Result<bool, Failure> {
    let mut is_equal = true;
    let mut left = connections;
    let mut cuts_left = cut_sessions;
    for session in sessions {
        let rows = session.lines.len();
        let verdict = match_session(&mut left, &mut cuts_left, session);
        let what = match verdict {
            Verdict::Complete => format!("all {rows} routes sent, each exactly once, in order"),
            Verdict::Interrupted { sent, is_allowed: true } => {
                format!("interrupted: the first {rows} of {sent} routes, each exactly once, in order")
            }
            Verdict::Interrupted { sent, is_allowed: false } => {
                format!("WRONG: incomplete, the last {} of {sent} routes are missing", sent - rows)
            }
            Verdict::Unmatched => {
                format!("WRONG: {rows} rows of a session that the ground truth does not have")
            }
            Verdict::Differs { ref missing, ref extra, at } => {
                examples.extend(missing.iter().take(EXAMPLES).chain(extra.iter().take(EXAMPLES)));
                let order =
                    if missing.is_empty() && extra.is_empty() { " (only the order differs)" } else { "" };
                let (missing, extra) = (missing.len(), extra.len());
                format!(
                    "WRONG: {missing} missing, {extra} extra or altered, first difference at row {at}{order}"
                )
            }
        };
        is_equal &= matches!(verdict, Verdict::Complete | Verdict::Interrupted { is_allowed: true, .. });
        print_line(&format!("{router}, session {}: {what}", session.name))?;
    }
    for connection in left.iter().filter(|connection| !connection.lines.is_empty()) {
        is_equal = false;
        print_line(&format!(
            "{router}: WRONG: no session for a connection of {} routes",
            connection.lines.len()
        ))?;
    }
    Ok(is_equal)
}

/// Finds the connection that matches a session, among the connections that are left, and removes it from
/// them.
///
/// A connection without routes has no rows. A numbered connection may have been interrupted before any of its
/// routes was logged; the router's next connection is then another one. A recording that was interrupted is
/// sent again.
fn match_session(left: &mut &[Sequence], cuts_left: &mut usize, session: &Sequence) -> Verdict {
    let (mut first, mut skipped) = (None, 0);
    for (index, connection) in left.iter().enumerate() {
        let is_numbered = !connection.name.is_empty();
        match compare_session(connection, session) {
            Verdict::Complete => {
                *left = left.get(index + 1..).unwrap_or_default();
                *cuts_left -= skipped;
                return Verdict::Complete;
            }
            Verdict::Interrupted { sent, .. } if skipped < *cuts_left => {
                *left = left.get(index + usize::from(is_numbered)..).unwrap_or_default();
                *cuts_left -= skipped + 1;
                return Verdict::Interrupted { sent, is_allowed: true };
            }
            verdict => drop(first.get_or_insert(verdict)),
        }
        if !connection.lines.is_empty() {
            skipped += 1;
            if !is_numbered || skipped > *cuts_left {
                break;
            }
        }
    }
    *left = left.get(1..).unwrap_or_default();
    first.unwrap_or(Verdict::Unmatched)
}

/// Compares a session with one connection, message by message.
fn compare_session(connection: &Sequence, session: &Sequence) -> Verdict {
    let mut at = 0;
    for message in connection.lines.chunk_by(|one, other| one.0 == other.0) {
        let rows = session.lines.get(at..).unwrap_or_default();
        let rows = rows.get(..message.len()).unwrap_or(rows);
        if rows.is_empty() {
            return Verdict::Interrupted { sent: connection.lines.len(), is_allowed: false };
        }
        let is_complete = rows.len() == message.len();
        let (missing, extra) = difference(message, rows);
        if !extra.is_empty() || (is_complete && !missing.is_empty()) {
            return differs(connection, session, at);
        }
        at += rows.len();
        if !is_complete {
            return Verdict::Interrupted { sent: connection.lines.len(), is_allowed: false };
        }
    }
    if at == session.lines.len() { Verdict::Complete } else { differs(connection, session, at) }
}

fn differs(connection: &Sequence, session: &Sequence, at: usize) -> Verdict {
    let (missing, extra) = difference(&connection.lines, &session.lines);
    Verdict::Differs { missing, extra, at }
}

/// The difference of two multisets: lines that are missing in `rows`, and lines of `rows` that are not in
/// `truth`.
fn difference(truth: &[(u64, Content)], rows: &[(u64, Content)]) -> (Vec<Content>, Vec<Content>) {
    if let ([one], [other]) = (truth, rows)
        && one.1 == other.1
    {
        return Default::default();
    }
    let mut balance: HashMap<Content, i64> = HashMap::with_capacity(truth.len());
    truth.iter().for_each(|(_, content)| *balance.entry(*content).or_default() += 1);
    rows.iter().for_each(|(_, content)| *balance.entry(*content).or_default() -= 1);
    let of_sign = |sign: i64| {
        let some = balance.iter().filter(move |(_, count)| count.signum() == sign);
        let lines = some.flat_map(|(content, count)| {
            std::iter::repeat_n(*content, usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX))
        });
        lines.collect::<Vec<_>>()
    };
    (of_sign(1), of_sign(-1))
}

/// Opens a file, with decompression if its name ends in `.gz`.
fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    let file = File::open(path).map_err(|error| Failure::io(path.display().to_string(), error))?;
    let reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    Ok(Box::new(BufReader::with_capacity(1 << 20, reader)))
}

/// Adds the lines of a file to one side. A new sequence begins where the value of the key `part` changes.
fn read(
    path: &Path,
    part: &str,
    router: Option<&str>,
    convert: Convert,
    side: &mut Side,
) -> Result<(), Failure> {
    let name_of_file = path.display().to_string();
    let mut begins_sequence = true;
    if let Some(name) = router {
        // A recording without routes counts as a connection.
        side.entry(name.to_owned()).or_default().push(Sequence::default());
        begins_sequence = false;
    }
    for (number, line) in open(path)?.lines().enumerate() {
        let line = line.map_err(|error| Failure::io(&name_of_file, error))?;
        let mut object: Object = serde_json::from_str(&line)
            .map_err(|error| Failure::Other(format!("{name_of_file}, line {}: {error}", number + 1)))?;
        let name = object.get("router").and_then(Value::as_str).or(router).unwrap_or_default().to_owned();
        let sequence = object.get(part).map(ToString::to_string).unwrap_or_default();
        let message = object.get("msg_index").and_then(Value::as_u64).unwrap_or(number as u64);
        POSITION_KEYS.iter().for_each(|key| drop(object.remove(*key)));
        let content = content(convert(object));
        let sequences = match side.get_mut(&name) {
            Some(sequences) => sequences,
            None => side.entry(name).or_default(),
        };
        match sequences.last_mut() {
            Some(last) if last.name == sequence && !begins_sequence => last.lines.push((message, content)),
            _ => sequences.push(Sequence { name: sequence, lines: vec![(message, content)] }),
        }
        begins_sequence = false;
    }
    Ok(())
}

/// Hash of a line that was converted and has no position keys.
fn content(object: Object) -> Content {
    let mut hasher = SipHasher13::new();
    // The keys are sorted, because serde_json keeps objects in a BTreeMap.
    hasher.write(without_empty(Value::Object(object)).to_string().as_bytes());
    hasher.finish128().as_u128()
}

/// Removes members that are null or empty, at any depth.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| (key, without_empty(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect(),
        ),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Prints the first differing lines in full, as they are in their files.
fn print_examples(arguments: &Arguments, examples: &[Content]) -> Result<(), Failure> {
    let wanted: HashSet<_> = examples.iter().copied().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let truth = arguments.truth.iter().map(|path| (path, "sent", truth::canonical as Convert));
    for (path, label, convert) in truth.chain([(&arguments.rows, "stored", unchanged as Convert)]) {
        let mut left = EXAMPLES;
        for line in open(path)?.lines().map_while(Result::ok) {
            let Ok(mut object) = serde_json::from_str::<Object>(&line) else { continue };
            POSITION_KEYS.iter().for_each(|key| drop(object.remove(*key)));
            if left > 0 && wanted.contains(&content(convert(object))) {
                left -= 1;
                print_line(&format!("  {label}: {line}"))?;
            }
        }
    }
    Ok(())
}

fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(|error| Failure::io("stdout", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(name: &str, lines: &[(u64, Content)]) -> Sequence {
        Sequence { name: name.to_owned(), lines: lines.to_vec() }
    }

    fn rows(contents: &[Content]) -> Sequence {
        let lines: Vec<_> = contents.iter().map(|content| (0, *content)).collect();
        sequence("", &lines)
    }

    fn name(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Complete => "complete",
            Verdict::Interrupted { is_allowed: true, .. } => "interrupted",
            Verdict::Interrupted { is_allowed: false, .. } => "incomplete",
            Verdict::Unmatched => "unmatched",
            Verdict::Differs { missing, extra, .. } => match (missing.len(), extra.len()) {
                (0, 0) => "order",
                (0, _) => "duplicate",
                (_, 0) => "missing",
                _ => "altered",
            },
        }
    }

    #[test]
    fn rows_are_compared_with_the_ground_truth() {
        let truth = sequence("", &[(1, 10), (2, 20), (3, 30), (3, 31), (4, 20)]);
        for (stored, expected) in [
            (&[10, 20, 30, 31, 20][..], "complete"),
            (&[10, 20, 31, 30, 20], "complete"), // the order within a message is not compared
            (&[10, 20, 31], "incomplete"),
            (&[], "incomplete"),
            (&[10, 20, 20, 30, 31, 20], "duplicate"),
            (&[10, 20, 30, 31, 20, 20], "duplicate"),
            (&[10, 30, 31, 20], "missing"),
            (&[10, 20, 30, 20], "missing"),
            (&[10, 20, 30, 32, 20], "altered"),
            (&[20, 10, 30, 31, 20], "order"),
        ] {
            assert_eq!(name(&compare_session(&truth, &rows(stored))), expected, "{stored:?}");
        }
    }

    #[test]
    fn sessions_match_connections_in_order() {
        let recordings =
            [sequence("", &[(1, 1), (2, 2)]), sequence("", &[]), sequence("", &[(1, 3), (2, 4)])];
        let numbered =
            [sequence("1", &[(1, 1), (2, 2)]), sequence("2", &[(1, 3), (2, 4)]), sequence("3", &[(1, 5)])];
        for (connections, cuts, sessions, expected, left) in [
            (&recordings, 0, &[&[1, 2][..], &[3, 4]][..], &["complete", "complete"][..], 0),
            (&recordings, 1, &[&[1], &[1, 2], &[3, 4]], &["interrupted", "complete", "complete"], 0),
            (&recordings, 0, &[&[1], &[3, 4]], &["incomplete", "complete"], 0),
            (&recordings, 1, &[&[1, 2], &[3]], &["complete", "interrupted"], 1), // never sent completely
            (&recordings, 0, &[&[1, 2], &[1, 2], &[3, 4]], &["complete", "duplicate", "complete"], 0),
            (&numbered, 1, &[&[1], &[3, 4], &[5]], &["interrupted", "complete", "complete"], 0),
            (&numbered, 2, &[&[3], &[5]], &["interrupted", "complete"], 0), // the first has no rows
            (&numbered, 1, &[&[3, 4], &[5]], &["complete", "complete"], 0),
            (&numbered, 0, &[&[3, 4], &[5]], &["altered", "altered"], 1),
        ] {
            let (mut rest, mut cuts_left) = (&connections[..], cuts);
            let names: Vec<_> = sessions
                .iter()
                .map(|session| name(&match_session(&mut rest, &mut cuts_left, &rows(session))))
                .collect();
            assert_eq!(names, expected, "{sessions:?}");
            assert_eq!(
                rest.iter().filter(|connection| !connection.lines.is_empty()).count(),
                left,
                "{sessions:?}"
            );
        }
    }

    #[test]
    fn null_and_empty_values_and_the_order_of_keys_are_ignored() {
        let line = |text: &str| content(serde_json::from_str(text).unwrap());
        let plain = line(r#"{"nlri":"10.0.0.0/8","path_id":0,"attributes":{"med":1}}"#);
        assert_eq!(
            plain,
            line(r#"{"attributes":{"communities":[],"med":1,"x":null},"path_id":0,"nlri":"10.0.0.0/8"}"#)
        );
        assert_ne!(plain, line(r#"{"nlri":"10.0.0.0/8","path_id":0,"attributes":{"med":2}}"#));
        assert_ne!(plain, line(r#"{"nlri":"10.0.0.0/8","attributes":{"med":1}}"#));
    }
}
