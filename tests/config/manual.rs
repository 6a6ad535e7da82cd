//! The manual pages, the completions and the configuration reference are those of the programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 3] =
    [env!("CARGO_BIN_EXE_holdfast"), env!("CARGO_BIN_EXE_walctl"), env!("CARGO_BIN_EXE_bmpgen")];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files that `verb` of all programs writes, by name.
fn written(verb: &str) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    for program in PROGRAMS {
        let output = Command::new(program).arg(verb).arg(directory.path()).output().unwrap();
        assert!(output.status.success(), "{program} {verb}: {}", String::from_utf8_lossy(&output.stderr));
    }
    read(directory.path())
}

fn read(directory: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// With `UPDATE=1` the test writes the pages.
#[test]
fn the_manual_pages_are_current() {
    let (kept, pages) = (repository("deploy/man"), written("man"));
    if std::env::var_os("UPDATE").is_some() {
        fs::remove_dir_all(&kept).unwrap_or_default();
        fs::create_dir_all(&kept).unwrap();
        for (name, text) in &pages {
            fs::write(kept.join(name), text).unwrap();
        }
    }
    let committed = read(&kept);
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&pages), "deploy/man: run this test with UPDATE=1");
    for (name, text) in &pages {
        assert!(committed[name] == *text, "deploy/man/{name} is old: run this test with UPDATE=1");
    }
}

#[test]
fn every_page_has_examples_and_exit_codes() {
    let pages = written("man");
    for name in ["holdfast.1", "walctl.1", "bmpgen.1", "holdfast.env.5", "holdfast-queries.7"] {
        assert!(pages.contains_key(name), "{name} is missing");
    }
    for (name, text) in &pages {
        assert!(text.contains("\n.SH \"EXIT STATUS\"\n"), "{name} has no exit codes");
        let has_examples = text.contains("\n.SH EXAMPLES\n") || text.contains("\nExamples:\n");
        assert!(has_examples, "{name} has no examples");
        // A hidden command is not one of a user.
        assert!(!text.contains("completions") || !name.starts_with("holdfast.1"), "{name}");
    }
}

#[test]
fn every_setting_and_query_is_in_its_page() {
    let pages = written("man");
    for setting in holdfast::config::all() {
        assert!(
            pages["holdfast.env.5"].contains(&format!("\n\\fB{}\\fR\n", setting.name)),
            "{}",
            setting.name
        );
    }
    for query in holdfast::sink::QUERIES {
        assert!(pages["holdfast-queries.7"].contains(&format!("\n.SS {}\n", query.name)), "{}", query.name);
    }
}

#[test]
fn the_completions_of_each_shell_name_the_commands() {
    let files = written("completions");
    for name in ["holdfast.bash", "_holdfast", "holdfast.fish", "walctl.bash", "_walctl", "bmpgen.fish"] {
        assert!(files.contains_key(name), "{name} is missing in {:?}", files.keys());
    }
    for name in ["holdfast.bash", "_holdfast", "holdfast.fish"] {
        for command in ["check-config", "rebuild-state", "query"] {
            assert!(files[name].contains(command), "{name} lacks {command}");
        }
    }
}

/// With `UPDATE=1` the test writes the page.
#[test]
fn the_configuration_reference_is_equal_to_the_table() {
    let (path, expected) = (repository("docs/CONFIGURATION.md"), holdfast::config::reference());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "docs/CONFIGURATION.md differs from the table: run this test with UPDATE=1");
}
