//! Ten kinds of damage to a log, and the reports of every command of `walctl` and of the daemon.
//!
//! `tools/damages` prints the table.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::batches::{Builder, NOW, peer};
use crate::common::daemon::{self, Daemon};
use holdfast::codec;
use holdfast::route::RibView;
use holdfast::telemetry::status::LossReason;
use holdfast::wal::{Disk, LogId, Options, recover};
use serde_json::Value;

const BATCHES: u32 = 60;
/// Records of a batch.
const RECORDS: u32 = 3;

/// A log of [`BATCHES`] batches in segments of 64 KiB, which the daemon has closed.
fn intact(directory: &Path) {
    let options = Options {
        segment_bytes: 64 << 10,
        bytes_max: 4 << 20,
        free_percent_min: 0,
        ..Options::new(LogId([6; 16]), 17, NOW)
    };
    let (mut writer, _) = recover(Disk::create(directory).unwrap(), options).unwrap();
    for number in 0..BATCHES {
        let prefixes = number * RECORDS..(number + 1) * RECORDS;
        let batch =
            Builder::new("r1", 1).announce(&peer(1, RibView::AdjInPre, 1), prefixes, &[65_001]).build();
        let mut payload = Vec::new();
        codec::encode(&batch, &mut payload).unwrap();
        writer.append(&payload, RECORDS).unwrap();
        writer.sync(NOW).unwrap();
    }
    writer.close(NOW).unwrap();
}

fn segments(log: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    segments.sort();
    segments
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn middle(log: &Path) -> PathBuf {
    segments(log).remove(2)
}

fn last(log: &Path) -> PathBuf {
    segments(log).pop().unwrap()
}

/// Writes the marker file `name` with the number `number`.
fn mark(log: &Path, name: &str, number: u128) {
    let text = format!("holdfast-{name} 1 {} {number:032x}", "06".repeat(16));
    let crc = crc32fast::hash(text.as_bytes());
    fs::write(log.join(name), format!("{text} {crc:08x}\n")).unwrap();
}

/// Replaces a file by a link to itself, which nobody can open, the superuser included.
fn make_unopenable(path: &Path) {
    fs::remove_file(path).unwrap();
    symlink(path, path).unwrap();
}

/// One kind of damage, and what must be reported.
struct Case {
    name: &'static str,
    inflict: fn(&Path),
    /// Number of batches that are lost.
    lost: u64,
    /// Exit codes, in the order of [`COMMANDS`].
    codes: [i32; 8],
    /// Part of the output of each command that exits with another code than 0, and of those that note the
    /// damage although they lose nothing.
    report: &'static str,
    /// Part of a log line of the daemon.
    daemon: &'static str,
}

const COMMANDS: [&str; 8] =
    ["list", "stat", "verify", "verify --deep", "dump --batches", "export --format csv", "salvage", "repair"];

/// Every command that reads the end of the log, or only headers, reports a loss.
const LOSS: [i32; 8] = [2; 8];

const CASES: [Case; 14] = [
    Case { name: "none", inflict: |_| {}, lost: 0, codes: [0; 8], report: "", daemon: "log_opened" },
    Case {
        name: "bit flipped in a middle segment",
        inflict: |log| change(&middle(log), |bytes| bytes[8192 + 4096 + 60] ^= 1),
        lost: 1,
        // Without --deep only headers and the last segment are read.
        codes: [0, 0, 0, 2, 2, 2, 2, 0],
        report: "batches 23 to 23 ",
        daemon: "0000000000000003.wal",
    },
    Case {
        name: "first header copy overwritten",
        inflict: |log| change(&middle(log), |bytes| bytes[..4096].fill(0)),
        lost: 0,
        codes: [2, 2, 2, 2, 0, 0, 0, 2],
        report: "header copy at byte 0 is damaged",
        daemon: "0000000000000003.wal: the header copy at byte 0 is corrupt",
    },
    Case {
        name: "second header copy overwritten",
        inflict: |log| change(&middle(log), |bytes| bytes[4096..8192].fill(0)),
        lost: 0,
        codes: [2, 2, 2, 2, 0, 0, 0, 2],
        report: "header copy at byte 4096 is damaged",
        daemon: "0000000000000003.wal: the header copy at byte 4096 is corrupt",
    },
    Case {
        name: "both header copies overwritten",
        inflict: |log| change(&middle(log), |bytes| bytes[..8192].fill(0)),
        lost: 11,
        codes: [3, 3, 3, 3, 2, 2, 2, 2],
        report: "0000000000000003.wal",
        daemon: "0000000000000003.wal: both copies of the header are corrupt",
    },
    Case {
        name: "middle segment zeroed",
        inflict: |log| change(&middle(log), |bytes| bytes.fill(0)),
        lost: 11,
        codes: [3, 3, 3, 3, 2, 2, 2, 2],
        report: "0000000000000003.wal",
        daemon: "0000000000000003.wal: both copies of the header are corrupt",
    },
    Case {
        name: "middle segment truncated",
        inflict: |log| change(&middle(log), |bytes| bytes.truncate(20_480)),
        lost: 9,
        codes: LOSS,
        report: "truncated: the file has 20480 bytes",
        daemon: "0000000000000003.wal: truncated: the file has 20480 bytes",
    },
    Case {
        name: "middle segment deleted",
        inflict: |log| fs::remove_file(middle(log)).unwrap(),
        lost: 11,
        codes: LOSS,
        report: "0000000000000003.wal",
        daemon: "0000000000000003.wal: the file is missing",
    },
    Case {
        name: "middle segment renumbered",
        inflict: |log| fs::rename(middle(log), log.join("00000000000000ff.wal")).unwrap(),
        lost: 11,
        codes: LOSS,
        report: "00000000000000ff.wal",
        daemon: "0000000000000003.wal: the file is missing",
    },
    Case {
        name: "middle segment cannot be opened",
        inflict: |log| make_unopenable(&middle(log)),
        lost: 11,
        codes: [3, 3, 3, 3, 2, 2, 2, 2],
        report: "0000000000000003.wal",
        // It does not start: the file is not lost, and the cause can be removed.
        daemon: "",
    },
    Case {
        name: "last segment truncated to 0",
        inflict: |log| change(&last(log), Vec::clear),
        lost: 5,
        codes: [3, 3, 3, 3, 2, 2, 2, 1],
        report: "0000000000000006.wal",
        daemon: "0000000000000006.wal: both copies of the header are corrupt",
    },
    Case {
        name: "last segment truncated behind its first batch",
        inflict: |log| change(&last(log), |bytes| bytes.truncate(8192 + 8192)),
        lost: 4,
        codes: [2, 2, 2, 2, 2, 2, 2, 1],
        report: "truncated: the file has 16384 bytes",
        daemon: "0000000000000006.wal: truncated: the file has 16384 bytes",
    },
    Case {
        name: "last segment deleted, batch 58 was delivered",
        inflict: |log| {
            fs::remove_file(last(log)).unwrap();
            mark(log, "delivered", 58);
        },
        lost: 5,
        // `list` reads headers only.
        codes: [0, 2, 2, 2, 2, 2, 2, 1],
        report: "at least 3 batches are missing at its end",
        daemon: "\"batches\":3",
    },
    Case {
        name: "marker file `forked` damaged",
        inflict: |log| {
            mark(log, "forked", 77);
            change(&log.join("forked"), |bytes| bytes[60] ^= 1);
        },
        lost: 0,
        codes: [2, 2, 2, 2, 0, 0, 0, 2],
        report: "forked: malformed marker file",
        daemon: "log_opened",
    },
];

/// Runs a command of `walctl` on the log. Returns the exit code, standard output and standard error.
fn walctl(log: &Path, command: &str) -> (i32, String, String) {
    let (name, options) = command.split_once(' ').unwrap_or((command, ""));
    let mut walctl = Command::new(env!("CARGO_BIN_EXE_walctl"));
    walctl.arg(name).arg(log).args(options.split_whitespace());
    if name == "salvage" {
        walctl.arg(log.with_file_name("copy"));
    }
    let output = walctl.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Number of lost batches according to the output of `verify`, and whether it is exact.
fn lost_by_verify(log: &Path) -> (u64, bool) {
    let (_, out, _) = walctl(log, "verify --deep --json");
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    (summary["batches_lost"].as_u64().unwrap(), summary["is_exact"].as_bool().unwrap())
}

/// Prints one line of the table: exit code, and the line that reports the damage, or else the last one.
fn print_row(command: &str, code: i32, text: &str, report: &str) {
    let line = text.lines().find(|line| !report.is_empty() && line.contains(report));
    let line = line.or_else(|| text.lines().last()).unwrap_or_default();
    let short: String = line.chars().take(160).collect();
    println!("  {command:<20} {code}  {short}");
}

#[test]
fn each_damage_is_reported_by_each_command_and_by_the_daemon() {
    let mut wrong = Vec::new();
    for case in CASES {
        let root = tempfile::tempdir().unwrap();
        let log = root.path().join("wal");
        intact(&log);
        (case.inflict)(&log);
        let before = BATCHES * RECORDS;
        let readable = walctl(&log, "dump --json").1.matches("\"record\":\"route\"").count() as u64;
        println!("{}: {before} records, {} lost", case.name, u64::from(before) - readable);
        assert_eq!(u64::from(before) - readable, case.lost * u64::from(RECORDS), "{}", case.name);
        for (command, expected) in COMMANDS.into_iter().zip(case.codes) {
            let (code, out, err) = walctl(&log, command);
            let text = out + &err.replace(&root.path().display().to_string(), "");
            print_row(command, code, &text, case.report);
            let must_report = expected != 0 || case.codes[0] != 0;
            if code != expected || (must_report && !text.contains(case.report)) {
                wrong.push(format!("{}: {command}: exit code {code}\n{text}", case.name));
            }
        }
        let (lost, is_exact) = lost_by_verify(&log);
        assert!(if is_exact { lost == case.lost } else { lost <= case.lost }, "{}: {lost}", case.name);
        daemon_reports(&case, root.path());
    }
    assert!(wrong.is_empty(), "{} cells of the table are wrong\n{}", wrong.len(), wrong.join("\n"));
}

fn is_damage(line: &Value) -> bool {
    line["event"] == "log_damage"
}

/// Starts the daemon on the damaged log, without a database that it could reach, and waits until it has found
/// everything that is lost.
fn daemon_reports(case: &Case, folder: &Path) {
    let nowhere = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    if case.daemon.is_empty() {
        let output = daemon::command(folder, &nowhere).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        print_row("holdfast", output.status.code().unwrap(), &text, case.report);
        assert!(!output.status.success() && text.contains(case.report), "{}: {text}", case.name);
        return;
    }
    let mut daemon = Daemon::start(folder, &nowhere);
    let status = daemon.status_when(|status| {
        let lost = status.wal.lost_batches.iter();
        let exact: u64 =
            lost.clone().filter(|(why, _)| **why != LossReason::Skipped).map(|(_, one)| one).sum();
        exact == case.lost || lost.clone().any(|(why, _)| *why == LossReason::Skipped) || exact == 3
    });
    let must_report = case.codes[3] != 0 && case.daemon != "log_opened";
    // Beside the damaged file, the log line of a reader has the number of lost batches.
    let is_loss =
        |line: &Value| line.get("batches").or(line.get("batches_max")).is_some_and(|_| is_damage(line));
    while case.lost > 0 && !daemon.lines().iter().any(is_loss) {
        daemon.event("log_damage");
    }
    let events: Vec<Value> = daemon.lines().to_vec();
    for event in events.iter().filter(|event| is_damage(event)) {
        let field = |name: &str| event.get(name).map(|value| format!(" {name}={value}")).unwrap_or_default();
        let fields = ["damage", "file", "batches", "batches_max", "reason"].map(field).concat();
        println!("  {:<20} -  log_damage{fields}", "holdfast");
    }
    println!("  {:<20} -  lost batches: {:?}", "holdfast status", status.wal.lost_batches);
    let lines = events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    assert!(lines.contains(case.daemon), "{}: {lines}", case.name);
    assert_eq!(lines.contains("log_damage"), must_report, "{}: {lines}", case.name);
}

#[test]
fn a_directory_without_a_log_is_an_error_of_every_command() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    fs::create_dir(&state).unwrap();
    for command in COMMANDS {
        let (code, _, err) = walctl(&state, command);
        print_row(command, code, &err, "");
        assert!(code == 3 && err.contains("holds no segment file"), "{command}: {err}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_costs_the_salvage_only_its_own_batches() {
    let root = tempfile::tempdir().unwrap();
    let (log, copy) = (root.path().join("wal"), root.path().join("copy"));
    intact(&log);
    make_unopenable(&middle(&log));
    let (code, out, err) = walctl(&log, "salvage");
    assert!(code == 2 && out.contains("49 batches, 147 records"), "{out}{err}");
    let path = log.join("0000000000000003.wal");
    assert!(err.contains(&format!("{}: unreadable: the file cannot be opened: ", path.display())), "{err}");
    assert!(err.contains(&format!("{}: not copied", path.display())), "{err}");
    assert!(out.contains("batches 23 to 33 lost (unreadable)"), "{out}");
    assert_eq!(walctl(&copy, "verify --deep").0, 0);
    // Recovery does not treat it as lost.
    let (code, _, err) = walctl(&log, "repair --yes");
    assert!(code == 3 && err.contains("0000000000000003.wal: "), "{err}");
}

#[test]
fn numbers_that_a_lost_end_may_have_held_are_not_assigned_again() {
    let root = tempfile::tempdir().unwrap();
    let (log, copy) = (root.path().join("wal"), root.path().join("copy"));
    intact(&log);
    change(&last(&log), Vec::clear);
    mark(&log, "delivered", 58);
    assert_eq!(walctl(&log, "salvage").0, 2);
    assert_eq!(walctl(&log, "repair --yes").0, 2);
    for (directory, gaps) in [(&log, &["rot", "skipped"][..]), (&copy, &["skipped"][..])] {
        let (code, out, _) = walctl(directory, "dump --json --seq 56..");
        let found: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let reasons: Vec<&str> = found.iter().map(|gap| gap["reason"].as_str().unwrap()).collect();
        assert_eq!((code, reasons.as_slice()), (2, gaps), "{out}");
        assert!(found.last().unwrap()["seq_to"].as_u64().unwrap() > 60, "{out}");
    }
    let (_, out, _) = walctl(&log, "verify");
    assert!(out.contains("at least 3 batches lost, exact number unknown"), "{out}");
}
