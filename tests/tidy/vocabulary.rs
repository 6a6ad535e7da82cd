//! Names and phrases that were replaced by the terms of the RFCs, of PostgreSQL and of the storage literature
//! do not return.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{Source, files, words};

/// A folder, an identifier that is not used in its code, and the term to use instead.
const NAMES: [(&str, &str, &str); 33] = [
    ("src", "TypedValue", "RawValue"),
    ("src/config", "Typed", "RawSettings"),
    ("src/sink", "Chunk", "TransactionBuilder"),
    ("src/sink", "Sealed", "Transaction"),
    ("src/sink", "Span", "RecordRange"),
    ("src/sink", "Decision", "ErrorAction"),
    ("src/sink", "Call", "BoundQuery"),
    ("src/sink", "Answer", "Rows"),
    ("src", "KnownPeer", "StoredPeer or TrackedPeer"),
    ("src", "uuid_text", "LogId"),
    ("src/session", "Room", "MemoryBudget"),
    ("src/session", "Share", "Reservation"),
    ("src/session", "live_stranger", "untracked_live_peer"),
    ("src/session", "room_of_the_ended", "reclaim_down_peers"),
    ("src/session", "zeros_told", "zeros_reported"),
    ("src/session", "width_news", "width_changed"),
    ("src/session", "tell_of_room", "a verb that names the report"),
    ("src", "not_kept", "untracked_peers"),
    ("src/state", "Under", "PendingEnd"),
    ("src/route", "More", "RareAttribute"),
    ("src/route", "Other", "StructuredNlri"),
    ("src/route", "Detail", "NlriDetail"),
    ("src/route", "Fields", "NlriColumns"),
    ("src/route", "Group", "RowGroup"),
    ("src/forwarder", "be_patient", "set_timeout_factor"),
    ("src/forwarder", "chance", "jitter"),
    ("src/forwarder", "Hand", "LaneResources"),
    ("src/wal", "witness", "external_high_water"),
    ("src/wal", "BEACON", "DURABILITY_MARK"),
    ("src/wal", "CONTEXT", "SNAPSHOT"),
    ("src", "of_process", "from_process"),
    ("src", "place", "index, slot, offset or position"),
    ("tools", "place", "index, slot, offset or position"),
];

/// Files and folders that have a new name.
const PATHS: [&str; 21] = [
    "src/record",
    "src/config/ready.rs",
    "src/config/value.rs",
    "src/forwarder/notes.rs",
    "src/service/start.rs",
    "src/service/trend.rs",
    "src/session/agreed.rs",
    "src/session/events.rs",
    "src/session/evidence.rs",
    "src/session/room.rs",
    "src/session/routes.rs",
    "src/sink/answers.rs",
    "src/sink/binary.rs",
    "src/sink/chunk.rs",
    "src/sink/repeats.rs",
    "src/telemetry/limit.rs",
    "src/telemetry/reports.rs",
    "src/wal/pool.rs",
    "src/wal/refusal.rs",
    "src/wal/survey.rs",
    "tests/answers",
];

/// Phrases that no text uses; each has a plain replacement.
const PHRASES: [&str; 29] = [
    "in need of help",
    "the disk takes nothing",
    "is no override",
    "that is no socket",
    "it has not an id and a number",
    "GIVEN UP undelivered",
    "NO ROOM to follow",
    "are no sound frame",
    "durable bytes are not what was written",
    "nothing is mended",
    "no byte that is there is changed",
    "have both had this log",
    "the peer counts as up",
    "none was agreed, they are there",
    "they are counted and left alone",
    "What was said before has been dropped",
    "not told again since",
    "no table sent since it connected",
    "payloads are lost",
    "is what a power cut may cost",
    "Only `verify-full` knows whom",
    "is seen by many",
    "and its kin",
    "Columns with blanks between",
    "CSV, with a head",
    "at most so many rows",
    "Taken for the sake of",
    "than can be followed",
    "until half of the log is free",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn replaced_names_are_not_used() {
    let mut complaints = Vec::new();
    for (folder, name, term) in NAMES {
        for path in files(&root().join(folder), ".rs") {
            let source = Source::read(&root(), &path);
            let uses = words(&source.code).filter(|(_, word)| *word == name).count();
            if uses > 0 {
                complaints.push(format!("{}: {name} {uses} times; the term is {term}", source.path));
            }
        }
    }
    complaints.extend(
        PATHS.iter().filter(|path| root().join(path).exists()).map(|path| format!("{path} has a new name")),
    );
    assert!(complaints.is_empty(), "{} uses\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn replaced_phrases_are_not_used() {
    let mut complaints = Vec::new();
    let folders = ["src", "tools", "tests", "docs", "deploy", "migrations"];
    let mut paths: Vec<PathBuf> = folders.iter().flat_map(|folder| files(&root().join(folder), "")).collect();
    paths.extend(["README.md", "CHANGELOG.md", ".env.example"].map(|name| root().join(name)));
    for path in paths {
        let name = relative(&path);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if name == "tests/tidy/vocabulary.rs" {
            continue;
        }
        for phrase in PHRASES {
            if text.contains(phrase) {
                complaints.push(format!("{name}: \"{phrase}\""));
            }
        }
    }
    assert!(complaints.is_empty(), "{} uses\n{}", complaints.len(), complaints.join("\n"));
}
