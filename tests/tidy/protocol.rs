//! Checks that the files and tests that the documents name exist.

use std::fs;
use std::path::Path;

/// The error of one name in backticks, a file or `file::function`; `None` if it is valid.
fn complaint(name: &str) -> Option<String> {
    let (path, function) =
        name.split_once("::").map_or((name, None), |(path, function)| (path, Some(function)));
    let folders = ["src/", "tests/", "tools/", "migrations/", "deploy/", "docs/"];
    // `NNNN` stands for a number, and other names with blanks or stars for several files.
    let is_path = folders.iter().any(|folder| path.starts_with(folder));
    if !is_path || path.contains([' ', '*', '{', '<']) || path.contains("NNNN") {
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let Some(function) = function else { return (!file.exists()).then(|| format!("{path} does not exist")) };
    let Ok(text) = fs::read_to_string(&file) else { return Some(format!("{path} does not exist")) };
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let names_it = |line: &str| line.trim_start_matches("async ").starts_with(&format!("fn {function}("));
    let index = lines.iter().position(|line| names_it(line));
    let is_mark = |line: &&str| *line == "#[test]" || line.starts_with("#[tokio::test");
    let is_test = index.is_some_and(|index| lines[..index].iter().rev().take(3).any(is_mark));
    (!is_test).then(|| format!("{path} has no test {function}"))
}

#[test]
fn every_file_and_test_that_the_page_names_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md");
    let page = fs::read_to_string(page).unwrap();
    let names: Vec<_> = page.split('`').skip(1).step_by(2).collect();
    assert!(
        names.len() > 100,
        "docs/PROTOCOL.md has only {} names in backticks, expected more than 100",
        names.len()
    );
    let complaints: Vec<_> = names.into_iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_file_and_test_that_any_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.is_file());
    let others = ["README.md", "CHANGELOG.md", "SECURITY.md", "tools/README.md", "tests/mutants.md"];
    let mut complaints = Vec::new();
    for page in docs.chain(others.map(|name| root.join(name))) {
        let text = fs::read_to_string(&page).unwrap();
        // A block of code has three backticks before and after it; its lines are commands, not names.
        let prose: Vec<_> = text.split("```").step_by(2).collect();
        for part in prose {
            let wrong = part.split('`').skip(1).step_by(2).filter_map(complaint);
            complaints.extend(wrong.map(|wrong| format!("{}: {wrong}", page.display())));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_row_of_the_page_names_a_test_or_none_explicitly() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md");
    for line in fs::read_to_string(page).unwrap().lines().filter(|line| line.starts_with("| ")) {
        let last = line.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        assert!(last == "test" || last == "–" || last.contains("::"), "no test: {line}");
    }
}

#[test]
fn every_threat_of_the_security_page_names_a_test() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SECURITY.md");
    let page = fs::read_to_string(page).unwrap();
    // The tables whose last column is headed "test".
    let tables: Vec<_> = page.split("| test |\n").skip(1).collect();
    assert!(tables.len() >= 5, "docs/SECURITY.md has {} tables of threats, expected 5 or more", tables.len());
    for table in tables {
        for line in table.lines().skip(1).take_while(|line| line.starts_with("| ")) {
            let last = line.trim_end_matches('|').rsplit('|').next().unwrap();
            assert!(last.contains("::"), "no test: {line}");
        }
    }
}

#[test]
fn a_wrong_name_is_detected() {
    assert_eq!(complaint("src/bmp/frame.rs"), None);
    assert_eq!(complaint("no path"), None);
    assert!(complaint("src/bmp/no.rs").is_some());
    assert!(complaint("src/bmp/frame.rs::no_such_test").is_some());
    assert!(complaint("tests/tidy/protocol.rs::complaint").is_some(), "a function that is no test");
}
