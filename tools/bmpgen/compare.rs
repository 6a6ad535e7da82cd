//! `bmpgen compare`: are the rows of a database exactly the ground truth, in order?
//!
//! Both sides are JSON lines: the truth in the form that tshark's decode is written down in (see truth.rs), the rows
//! with the names of the columns of `route_updates`. `router`, `connection`, `session` and `msg_index` say where a line
//! belongs; all other keys are what must be equal. Keys that are null or empty count as absent, and the order of keys
//! does not matter. Neither BMP nor BGP nor the collector's code is involved.
//!
//! Each BMP session in the rows must be a connection of the truth: the same routes, as often, message after message
//! in the same order (within one message the order is free). A session that a crash of the collector cut off may be
//! a beginning of it, and only as many as `--cut-sessions` says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::Failure;
use crate::truth::{self, Object};

/// Differing lines that are shown.
const EXAMPLES: usize = 5;

/// Arguments of `compare`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ground truth, JSON lines in the order of sending; `.gz` is unpacked. Without a key `connection`, every session
    /// of that router must be the whole of it.
    #[arg(long, required = true, value_name = "FILE")]
    truth: Vec<PathBuf>,
    /// Router that the truth is about, for truth lines that do not name one: one per --truth, in their order.
    #[arg(long, value_name = "NAME")]
    router: Vec<String>,
    /// Rows, JSON lines ordered by router, session and place in the log.
    #[arg(long, value_name = "FILE")]
    rows: PathBuf,
    /// Sessions of each router, at most, that a kill of the collector may have cut off.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cut_sessions: usize,
}

/// Keys that say where a line belongs, not what it is.
const PLACE: [&str; 4] = ["router", "connection", "session", "msg_index"];

/// Brings a line into the form that is compared.
type Form = fn(Object) -> Object;

fn as_it_is(row: Object) -> Object {
    row
}

/// One line without its place: a hash that tells lines apart.
type Content = u128;

/// One connection of the truth or one session of the rows.
#[derive(Default)]
struct Sequence {
    /// The key `connection` or `session`, as text.
    name: String,
    /// Message and content of each line, in order.
    lines: Vec<(u64, Content)>,
}

/// Sequences by router.
type Side = BTreeMap<String, Vec<Sequence>>;

/// What one session turned out to be.
enum Verdict {
    Whole,
    Beginning { sent: usize, allowed: bool },
    Differs { missing: Vec<Content>, extra: Vec<Content>, at: usize },
    Nobodys,
}

/// Compares, says what it found, and returns whether all is as it must be.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut truth = Side::new();
    for (number, path) in arguments.truth.iter().enumerate() {
        let name = arguments.router.get(number).map(String::as_str);
        read(path, "connection", name, truth::canonical, &mut truth)?;
    }
    let mut rows = Side::new();
    read(&arguments.rows, "session", None, as_it_is, &mut rows)?;

    let mut good = true;
    let mut examples = Vec::new();
    for (router, connections) in &truth {
        let sessions = rows.remove(router).unwrap_or_default();
        good &= router_is_right(router, connections, &sessions, arguments.cut_sessions, &mut examples)?;
    }
    for (router, sessions) in &rows {
        let count: usize = sessions.iter().map(|session| session.lines.len()).sum();
        say(&format!("{router}: {count} rows of a router that sent nothing"))?;
        good = false;
    }
    show(arguments, &examples)?;
    Ok(good)
}

/// Holds the sessions of one router against its connections, both in order.
fn router_is_right(
    router: &str,
    connections: &[Sequence],
    sessions: &[Sequence],
    cut_sessions: usize,
    examples: &mut Vec<Content>,
) -> Result<bool, Failure> {
    let mut good = true;
    let mut left = connections;
    let mut cuts_left = cut_sessions;
    for session in sessions {
        let rows = session.lines.len();
        let verdict = match_up(&mut left, &mut cuts_left, session);
        let what = match verdict {
            Verdict::Whole => format!("all {rows} sent routes, each once, in order"),
            Verdict::Beginning { sent, allowed: true } => {
                format!("cut off by the kill: the first {rows} of {sent}, each once, in order")
            }
            Verdict::Beginning { sent, allowed: false } => {
                format!("WRONG: ends early, {} of {sent} are missing", sent - rows)
            }
            Verdict::Nobodys => format!("WRONG: a session that nobody made, {rows} rows"),
            Verdict::Differs { ref missing, ref extra, at } => {
                examples.extend(missing.iter().take(EXAMPLES).chain(extra.iter().take(EXAMPLES)));
                let order =
                    if missing.is_empty() && extra.is_empty() { " (only the order is wrong)" } else { "" };
                let (missing, extra) = (missing.len(), extra.len());
                format!(
                    "WRONG: {missing} missing, {extra} too many or altered, first difference at row {at}{order}"
                )
            }
        };
        good &= matches!(verdict, Verdict::Whole | Verdict::Beginning { allowed: true, .. });
        say(&format!("{router}, session {}: {what}", session.name))?;
    }
    for connection in left.iter().filter(|connection| !connection.lines.is_empty()) {
        good = false;
        say(&format!("{router}: WRONG: a connection is missing, {} routes", connection.lines.len()))?;
    }
    Ok(good)
}

/// Finds the connection that the session is, among those not yet used up.
///
/// A connection without routes leaves no rows. One whose truth is its own may have died before anything of it was
/// logged, and the router's next connection is another; a recording that was cut off is sent again.
fn match_up(left: &mut &[Sequence], cuts_left: &mut usize, session: &Sequence) -> Verdict {
    let (mut first, mut skipped) = (None, 0);
    for (place, connection) in left.iter().enumerate() {
        let numbered = !connection.name.is_empty();
        match verdict_on(connection, session) {
            Verdict::Whole => {
                *left = left.get(place + 1..).unwrap_or_default();
                *cuts_left -= skipped;
                return Verdict::Whole;
            }
            Verdict::Beginning { sent, .. } if skipped < *cuts_left => {
                *left = left.get(place + usize::from(numbered)..).unwrap_or_default();
                *cuts_left -= skipped + 1;
                return Verdict::Beginning { sent, allowed: true };
            }
            verdict => drop(first.get_or_insert(verdict)),
        }
        if !connection.lines.is_empty() {
            skipped += 1;
            if !numbered || skipped > *cuts_left {
                break;
            }
        }
    }
    *left = left.get(1..).unwrap_or_default();
    first.unwrap_or(Verdict::Nobodys)
}

fn verdict_on(connection: &Sequence, session: &Sequence) -> Verdict {
    let mut at = 0;
    for message in connection.lines.chunk_by(|one, other| one.0 == other.0) {
        let there = session.lines.get(at..).unwrap_or_default();
        let there = there.get(..message.len()).unwrap_or(there);
        if there.is_empty() {
            return Verdict::Beginning { sent: connection.lines.len(), allowed: false };
        }
        let whole = there.len() == message.len();
        let (missing, extra) = difference(message, there);
        if !extra.is_empty() || (whole && !missing.is_empty()) {
            return differs(connection, session, at);
        }
        at += there.len();
        if !whole {
            return Verdict::Beginning { sent: connection.lines.len(), allowed: false };
        }
    }
    if at == session.lines.len() { Verdict::Whole } else { differs(connection, session, at) }
}

fn differs(connection: &Sequence, session: &Sequence, at: usize) -> Verdict {
    let (missing, extra) = difference(&connection.lines, &session.lines);
    Verdict::Differs { missing, extra, at }
}

/// What is in one multiset only: lines of `truth` that are missing, and lines of `rows` that are too many.
fn difference(truth: &[(u64, Content)], rows: &[(u64, Content)]) -> (Vec<Content>, Vec<Content>) {
    if let ([one], [other]) = (truth, rows)
        && one.1 == other.1
    {
        return Default::default();
    }
    let mut balance: HashMap<Content, i64> = HashMap::with_capacity(truth.len());
    truth.iter().for_each(|(_, content)| *balance.entry(*content).or_default() += 1);
    rows.iter().for_each(|(_, content)| *balance.entry(*content).or_default() -= 1);
    let often = |wanted: i64| {
        let some = balance.iter().filter(move |(_, count)| count.signum() == wanted);
        let lines = some.flat_map(|(content, count)| {
            std::iter::repeat_n(*content, usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX))
        });
        lines.collect::<Vec<_>>()
    };
    (often(1), often(-1))
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    let file = File::open(path).map_err(|error| Failure::at(&path.display().to_string(), &error))?;
    let reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    Ok(Box::new(BufReader::with_capacity(1 << 20, reader)))
}

/// Adds the lines of a file to one side. `part` names the key that tells sequences apart.
fn read(path: &Path, part: &str, router: Option<&str>, form: Form, side: &mut Side) -> Result<(), Failure> {
    let place = path.display().to_string();
    let mut fresh = true;
    if let Some(name) = router {
        // A recording without routes is a connection too.
        side.entry(name.to_owned()).or_default().push(Sequence::default());
        fresh = false;
    }
    for (number, line) in open(path)?.lines().enumerate() {
        let line = line.map_err(|error| Failure::at(&place, &error))?;
        let mut object: Object = serde_json::from_str(&line)
            .map_err(|error| Failure::Other(format!("{place}, line {}: {error}", number + 1)))?;
        let name = object.get("router").and_then(Value::as_str).or(router).unwrap_or_default().to_owned();
        let sequence = object.get(part).map(ToString::to_string).unwrap_or_default();
        let message = object.get("msg_index").and_then(Value::as_u64).unwrap_or(number as u64);
        PLACE.iter().for_each(|key| drop(object.remove(*key)));
        let content = content(form(object));
        let sequences = match side.get_mut(&name) {
            Some(sequences) => sequences,
            None => side.entry(name).or_default(),
        };
        match sequences.last_mut() {
            Some(last) if last.name == sequence && !fresh => last.lines.push((message, content)),
            _ => sequences.push(Sequence { name: sequence, lines: vec![(message, content)] }),
        }
        fresh = false;
    }
    Ok(())
}

fn content(object: Object) -> Content {
    let mut hasher = SipHasher13::new();
    // Keys come out sorted: serde_json keeps objects in a BTreeMap.
    hasher.write(tidy(Value::Object(object)).to_string().as_bytes());
    hasher.finish128().as_u128()
}

/// Without what is null or empty, at any depth.
fn tidy(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| (key, tidy(value)))
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

/// Shows the first differing lines in full, as they stand in their files.
fn show(arguments: &Arguments, examples: &[Content]) -> Result<(), Failure> {
    let wanted: HashSet<_> = examples.iter().copied().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let truth = arguments.truth.iter().map(|path| (path, "sent", truth::canonical as Form));
    for (path, what, form) in truth.chain([(&arguments.rows, "stored", as_it_is as Form)]) {
        let mut left = EXAMPLES;
        for line in open(path)?.lines().map_while(Result::ok) {
            let Ok(mut object) = serde_json::from_str::<Object>(&line) else { continue };
            PLACE.iter().for_each(|key| drop(object.remove(*key)));
            if left > 0 && wanted.contains(&content(form(object))) {
                left -= 1;
                say(&format!("  {what}: {line}"))?;
            }
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(|error| Failure::at("stdout", &error))
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

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Whole => "whole",
            Verdict::Beginning { allowed: true, .. } => "cut",
            Verdict::Beginning { allowed: false, .. } => "beginning",
            Verdict::Nobodys => "nobody's",
            Verdict::Differs { missing, extra, .. } => match (missing.len(), extra.len()) {
                (0, 0) => "order",
                (0, _) => "doubled",
                (_, 0) => "lost",
                _ => "altered",
            },
        }
    }

    #[test]
    fn rows_are_held_against_the_truth() {
        let truth = sequence("", &[(1, 10), (2, 20), (3, 30), (3, 31), (4, 20)]);
        for (stored, expected) in [
            (&[10, 20, 30, 31, 20][..], "whole"),
            (&[10, 20, 31, 30, 20], "whole"), // within one message the order is free
            (&[10, 20, 31], "beginning"),
            (&[], "beginning"),
            (&[10, 20, 20, 30, 31, 20], "doubled"),
            (&[10, 20, 30, 31, 20, 20], "doubled"),
            (&[10, 30, 31, 20], "lost"),
            (&[10, 20, 30, 20], "lost"),
            (&[10, 20, 30, 32, 20], "altered"),
            (&[20, 10, 30, 31, 20], "order"),
        ] {
            assert_eq!(word(&verdict_on(&truth, &rows(stored))), expected, "{stored:?}");
        }
    }

    #[test]
    fn sessions_are_connections_in_their_order() {
        let recordings =
            [sequence("", &[(1, 1), (2, 2)]), sequence("", &[]), sequence("", &[(1, 3), (2, 4)])];
        let numbered =
            [sequence("1", &[(1, 1), (2, 2)]), sequence("2", &[(1, 3), (2, 4)]), sequence("3", &[(1, 5)])];
        for (connections, cuts, sessions, expected, left) in [
            (&recordings, 0, &[&[1, 2][..], &[3, 4]][..], &["whole", "whole"][..], 0),
            (&recordings, 1, &[&[1], &[1, 2], &[3, 4]], &["cut", "whole", "whole"], 0),
            (&recordings, 0, &[&[1], &[3, 4]], &["beginning", "whole"], 0),
            (&recordings, 1, &[&[1, 2], &[3]], &["whole", "cut"], 1), // never sent to its end
            (&recordings, 0, &[&[1, 2], &[1, 2], &[3, 4]], &["whole", "doubled", "whole"], 0), // stored twice
            (&numbered, 1, &[&[1], &[3, 4], &[5]], &["cut", "whole", "whole"], 0),
            (&numbered, 2, &[&[3], &[5]], &["cut", "whole"], 0), // the first died before anything was logged
            (&numbered, 1, &[&[3, 4], &[5]], &["whole", "whole"], 0),
            (&numbered, 0, &[&[3, 4], &[5]], &["altered", "altered"], 1),
        ] {
            let (mut rest, mut cuts_left) = (&connections[..], cuts);
            let words: Vec<_> = sessions
                .iter()
                .map(|session| word(&match_up(&mut rest, &mut cuts_left, &rows(session))))
                .collect();
            assert_eq!(words, expected, "{sessions:?}");
            assert_eq!(
                rest.iter().filter(|connection| !connection.lines.is_empty()).count(),
                left,
                "{sessions:?}"
            );
        }
    }

    #[test]
    fn null_and_empty_count_as_absent_and_key_order_does_not_matter() {
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
