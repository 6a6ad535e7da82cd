//! `walctl` on an intact, a live and a damaged directory, interactively and from scripts.
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::logs::{count, options, payload};
use holdfast::wal::{Disk, SeqNo, Writer, recover};
use serde_json::Value;

const PAYLOADS: u64 = 40;

/// A log of several segments; the last segment is not sealed.
fn live(directory: &Path) -> Writer<Disk> {
    let (mut writer, _) = recover(Disk::create(directory).unwrap(), options()).unwrap();
    for seq in 1..=PAYLOADS {
        writer.append(&payload(seq), count(seq)).unwrap();
        writer.sync(1_700_000_000_000_000).unwrap();
    }
    writer
}

fn closed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    live(directory.path()).close(1_700_000_001_000_000).unwrap();
    directory
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    segments.sort();
    assert!(segments.len() >= 3);
    segments
}

fn tamper(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn walctl(command: &str, directory: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_walctl")).arg(command).arg(directory).args(more).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text)
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_clean_log_is_listed_verified_and_dumped_and_not_touched() {
    let directory = closed();
    let before = contents(directory.path());
    let (code, text) = walctl("list", directory.path(), &[]);
    assert_eq!((code, text.lines().count()), (Some(0), 1 + segments(directory.path()).len()), "{text}");
    let (code, text) = walctl("verify", directory.path(), &["--deep"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("clean: "), "{text}");
    let (code, text) = walctl("stat", directory.path(), &["--json"]);
    let stat: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &stat["first_seq"], &stat["last_seq"]),
        (Some(0), &1.into(), &PAYLOADS.into()),
        "{text}"
    );
    assert_eq!((&stat["sealed"], &stat["last_commit"]), (&true.into(), &"2023-11-14T22:13:21Z".into()));
    let (code, text) = walctl("dump", directory.path(), &["--batches", "--seq", "7..9"]);
    let numbers: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!((code, numbers), (Some(0), vec!["7", "8", "9"]));
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn it_works_beside_a_daemon_that_holds_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = live(directory.path());
    assert_eq!(walctl("verify", directory.path(), &["--deep"]).0, Some(0));
    let (code, text) = walctl("dump", directory.path(), &["--json"]);
    // These payloads are no records.
    assert_eq!((code, text.lines().count()), (Some(2), usize::try_from(PAYLOADS).unwrap()));
    assert!(text.lines().all(|line| line.contains("undecodable")), "{text}");
    assert_eq!(writer.append(&payload(PAYLOADS + 1), 1), Ok(SeqNo(PAYLOADS + 1)), "the daemon goes on");
}

#[test]
fn the_exit_code_tells_a_torn_tail_from_rot_and_from_what_cannot_be_read() {
    let torn = tempfile::tempdir().unwrap();
    let mut writer = live(torn.path());
    writer.append(&payload(PAYLOADS + 1), 1).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let (code, text) = walctl("verify", torn.path(), &[]);
    assert_eq!(code, Some(1), "{text}");

    let rotten = closed();
    let first = segments(rotten.path()).remove(0);
    tamper(&first, |bytes| bytes[12288 + 60] ^= 1);
    assert_eq!(
        walctl("verify", rotten.path(), &[]).0,
        Some(0),
        "without --deep only headers and the last segment"
    );
    let (code, text) = walctl("verify", rotten.path(), &["--deep"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("batches 1 to 1 lost (rot)") && text.contains(", 1 batches lost"), "{text}");
    let (code, text) = walctl("dump", rotten.path(), &["--json", "--seq", "1"]);
    let gap: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (code, &gap["record"], &gap["seq"], &gap["reason"]),
        (Some(2), &"gap".into(), &1.into(), &"rot".into())
    );

    let headless = closed();
    tamper(&segments(headless.path()).remove(1), |bytes| bytes[..8192].fill(0));
    let (code, text) = walctl("verify", headless.path(), &["--json"]);
    assert_eq!(code, Some(3), "{text}");
    assert_eq!(walctl("list", headless.path(), &[]).0, Some(3));

    let cut = closed();
    tamper(&segments(cut.path()).remove(0), |bytes| bytes.truncate(40_000));
    assert_eq!(
        walctl("verify", cut.path(), &["--deep"]).0,
        Some(2),
        "a segment that was synced has lost its end"
    );
    assert_eq!(walctl("verify", &cut.path().join("nowhere"), &[]).0, Some(3));
}

/// Runs `verify` with and without `--deep`; both must exit with `code` and print `finding`.
fn verify_reports(directory: &Path, code: i32, finding: &str) {
    for more in [&[][..], &["--deep"]] {
        let (found, text) = walctl("verify", directory, more);
        assert!(found == Some(code) && text.contains(finding), "{more:?} {found:?} {text}");
    }
}

#[test]
fn a_missing_renamed_or_truncated_segment_is_reported_as_a_loss() {
    let deleted = closed();
    fs::remove_file(segments(deleted.path()).remove(1)).unwrap();
    verify_reports(deleted.path(), 2, "0000000000000002.wal  missing: ");
    let (_, text) = walctl("verify", deleted.path(), &[]);
    assert!(!text.contains(", 0 batches lost"), "{text}");

    let renamed = closed();
    fs::rename(segments(renamed.path()).remove(1), renamed.path().join("away")).unwrap();
    verify_reports(renamed.path(), 2, "0000000000000002.wal  missing: ");

    let numbered = closed();
    fs::rename(segments(numbered.path()).remove(1), numbered.path().join("00000000000000ff.wal")).unwrap();
    verify_reports(numbered.path(), 2, "00000000000000ff.wal  foreign: ");

    for index in [1, segments(closed().path()).len() - 1] {
        let cut = closed();
        tamper(&segments(cut.path()).remove(index), |bytes| bytes.truncate(20_480));
        verify_reports(cut.path(), 2, "truncated: the file has 20480 bytes");
        let (_, text) = walctl("list", cut.path(), &[]);
        assert!(text.contains(" truncated"), "{text}");
    }
}

#[test]
fn a_last_segment_without_a_header_is_neither_salvaged_nor_repaired_in_silence() {
    for change in [|bytes: &mut Vec<u8>| bytes.clear(), |bytes: &mut Vec<u8>| bytes.fill(0)] {
        let directory = closed();
        tamper(segments(directory.path()).last().unwrap(), change);
        let (code, text) = walctl("repair", directory.path(), &[]);
        assert!(code == Some(1) && text.contains("last segment unreadable"), "{text}");
        let copy = directory.path().join("copy");
        let (code, text) = walctl("salvage", directory.path(), &[copy.to_str().unwrap()]);
        assert!(code == Some(2) && text.contains("not copied"), "{text}");
    }
}

#[test]
fn a_directory_without_a_log_is_an_error_that_names_the_log_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let (wal, state) = (root.path().join("wal"), root.path().join("state"));
    live(&wal).close(1_700_000_001_000_000).unwrap();
    fs::create_dir(&state).unwrap();
    for command in ["verify", "list", "stat", "dump", "repair"] {
        for wrong in [state.as_path(), root.path()] {
            let (code, text) = walctl(command, wrong, &[]);
            assert_eq!(code, Some(3), "{command}: {text}");
            assert!(text.contains("did you mean") && text.contains("/wal?"), "{command}: {text}");
        }
    }
    let empty = tempfile::tempdir().unwrap();
    let inside = empty.path().join("one");
    fs::create_dir(&inside).unwrap();
    assert_eq!(walctl("verify", &inside, &[]).0, Some(3));
    assert_eq!(walctl("verify", &wal, &["--unknown"]).0, Some(64));
}

#[test]
fn a_reader_that_closes_its_end_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let wal = holdfast::wal::Options { segment_bytes: 4 << 20, bytes_max: 64 << 20, ..options() };
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), wal).unwrap();
    for seq in 1..=20_000 {
        writer.append(&payload(seq), count(seq)).unwrap();
    }
    writer.close(0).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_walctl"))
        .arg("dump")
        .arg(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn the_help_of_each_command_is_there_and_has_examples() {
    let help = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_walctl")).args(arguments).arg("--help").output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(help(&[]).contains("Examples:\n  walctl list"));
    assert!(help(&["dump"]).contains("--seq 7..9"));
    assert!(help(&["verify"]).contains("Exit codes:"));
    help(&["list"]);
    help(&["stat"]);
}
