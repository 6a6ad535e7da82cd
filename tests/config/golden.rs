//! Configurations, right and wrong, with the answer of `holdfast check-config` to each.
//!
//! `tests/config/golden` has one text file per group. Each case has a title, its files and environment, and
//! below them the answer: exit code, standard error, and the effective values of the settings that are set.
//! `UPDATE=1` replaces the answers; the inputs are written by hand.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::common::process;

/// Begins the title of a case.
const TITLE: &str = "== ";

/// Begins the answer.
const EXIT_CODE: &str = "exit code: ";

/// One input file.
#[derive(Debug)]
struct InputFile {
    /// Its heading in the golden file.
    heading: String,
    lines: Vec<String>,
}

/// One case as written in a golden file.
#[derive(Debug, Default)]
struct Case {
    title: String,
    files: Vec<InputFile>,
    environment: Vec<String>,
}

/// Reads the cases of a golden file, without their answers, and the text before the first one.
fn parse(text: &str) -> (String, Vec<Case>) {
    let mut introduction = String::new();
    let mut cases: Vec<Case> = Vec::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix(TITLE) {
            cases.push(Case { title: title.to_owned(), ..Case::default() });
            section = "";
            continue;
        }
        let Some(case) = cases.last_mut() else {
            writeln!(introduction, "{line}").unwrap();
            continue;
        };
        match line.strip_prefix("    ") {
            Some(content) if section.starts_with("file") => {
                case.files.last_mut().unwrap().lines.push(content.to_owned());
            }
            Some(content) if section == "environment:" => case.environment.push(content.to_owned()),
            Some(_) => {}
            None if line.is_empty() => {}
            None => {
                section = line;
                if line.starts_with("file") {
                    case.files.push(InputFile { heading: line.to_owned(), lines: Vec::new() });
                }
            }
        }
    }
    (introduction, cases)
}

/// The bytes of an input file. A heading with `(escaped)` is for bytes that a text file cannot show: `\xNN`
/// is a byte, and only `\n` ends a line.
fn contents(file: &InputFile) -> Vec<u8> {
    if !file.heading.contains("(escaped)") {
        return file.lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
    }
    let text = file.lines.concat();
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some(letter) = rest.chars().next() {
        let (byte, length) = match rest.get(..2) {
            Some("\\n") => (b'\n', 2),
            Some("\\r") => (b'\r', 2),
            Some("\\x") => (u8::from_str_radix(&rest[2..4], 16).unwrap(), 4),
            _ => {
                assert!(letter.is_ascii());
                (u8::try_from(letter).unwrap(), 1)
            }
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes
}

/// Name and mode of an input file: `file:`, `file NAME:` or `file NAME (mode 0644):`; otherwise the mode is
/// 0600. A file that is
/// `(absent)` is named on the command line and does not exist.
fn name_and_mode(heading: &str) -> (&str, Option<u32>) {
    let words = heading.trim_end_matches(':').strip_prefix("file").unwrap();
    let name = words.split_whitespace().next().filter(|word| !word.starts_with('('));
    let mode = words.split_once("(mode ").map(|(_, mode)| mode.trim_end_matches(')'));
    (name.unwrap_or("holdfast.env"), mode.map(|mode| u32::from_str_radix(mode, 8).unwrap()))
}

/// Runs `holdfast check-config` and returns the answer.
fn answer(case: &Case) -> String {
    let folder = tempfile::tempdir().unwrap();
    for file in case.files.iter().filter(|file| !file.heading.contains("(absent)")) {
        let (name, mode) = name_and_mode(&file.heading);
        let path = folder.path().join(name);
        std::fs::write(&path, contents(file)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode.unwrap_or(0o600))).unwrap();
    }
    let mut command = process::command(env!("CARGO_BIN_EXE_holdfast"));
    command.env_clear().current_dir(folder.path());
    command.envs(case.environment.iter().map(|line| line.split_once('=').unwrap()));
    // A case without a file of this name tests `./.env`, or the environment alone.
    if case.files.iter().any(|file| name_and_mode(&file.heading).0 == "holdfast.env") {
        command.args(["--env-file", "holdfast.env"]);
    }
    let output = command.arg("check-config").output().unwrap();
    let mut text = format!("{EXIT_CODE}{}\n", output.status.code().unwrap());
    let stderr = String::from_utf8(output.stderr).unwrap();
    if !stderr.is_empty() {
        write!(text, "message:\n{}", indented(stderr.lines())).unwrap();
    }
    let stdout = String::from_utf8(output.stdout).unwrap();
    let is_set = |line: &&str| {
        let source = line.split_once("  # ").map_or("default", |(_, source)| source);
        !["default", "unused"].iter().any(|word| source.starts_with(word))
    };
    let mut set: Vec<String> = stdout.lines().filter(is_set).map(shortened).collect();
    set.extend(stdout.lines().filter(|line| line.starts_with("Delivery")).map(str::to_owned));
    if !set.is_empty() {
        write!(text, "effective:\n{}", indented(set.iter().map(String::as_str))).unwrap();
    }
    text
}

/// A line of `check-config` without the padding of its columns.
fn shortened(line: &str) -> String {
    let (setting, source) = line.split_once("  # ").unwrap();
    let (name, value) = setting.split_once('=').unwrap();
    format!("{} = {}  # {source}", name.trim(), value.trim())
}

fn indented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(|line| format!("    {line}\n")).collect()
}

fn written(introduction: &str, cases: &[Case]) -> String {
    let mut text = introduction.to_owned();
    for case in cases {
        writeln!(text, "{TITLE}{}", case.title).unwrap();
        for file in &case.files {
            let lines = indented(file.lines.iter().map(String::as_str));
            write!(text, "{}\n{lines}", file.heading).unwrap();
        }
        if !case.environment.is_empty() {
            let lines = indented(case.environment.iter().map(String::as_str));
            write!(text, "environment:\n{lines}").unwrap();
        }
        writeln!(text, "{}", answer(case)).unwrap();
    }
    text
}

fn golden_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/golden");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// With `UPDATE=1` the test writes the answers.
#[test]
fn every_configuration_has_the_recorded_answer() {
    let mut differing = Vec::new();
    for path in golden_files() {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let (introduction, cases) = parse(&recorded);
        let found = written(&introduction, &cases);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &found).unwrap();
        } else if let Some((line, (recorded, found))) =
            recorded.lines().zip(found.lines()).enumerate().find(|(_, (recorded, found))| recorded != found)
        {
            let name = path.display();
            differing.push(format!("{name}:{}\n  recorded: {recorded}\n  found:    {found}", line + 1));
        } else if recorded.len() != found.len() {
            differing.push(format!("{}: {} bytes, found {}", path.display(), recorded.len(), found.len()));
        }
    }
    assert!(differing.is_empty(), "{}\nUPDATE=1 replaces the answers", differing.join("\n"));
}

#[test]
fn there_are_a_hundred_configurations_and_no_two_have_one_title() {
    let texts = golden_files().into_iter().map(|path| std::fs::read_to_string(path).unwrap());
    let mut titles: Vec<String> = texts.flat_map(|text| parse(&text).1).map(|case| case.title).collect();
    assert!(titles.len() >= 100, "{}", titles.len());
    titles.sort();
    let count = titles.len();
    titles.dedup();
    assert_eq!(titles.len(), count);
}
