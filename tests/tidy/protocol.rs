//! docs/PROTOCOL.md names code and tests: both exist, and what is said to be tested is a test.

use std::fs;
use std::path::Path;

/// What is wrong with one name in backticks: a file, or `file::function`.
fn complaint(name: &str) -> Option<String> {
    let (path, function) =
        name.split_once("::").map_or((name, None), |(path, function)| (path, Some(function)));
    if !(path.starts_with("src/") || path.starts_with("tests/") || path.starts_with("tools/")) {
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let Some(function) = function else { return (!file.exists()).then(|| format!("{path} does not exist")) };
    let Ok(text) = fs::read_to_string(&file) else { return Some(format!("{path} does not exist")) };
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let names_it = |line: &str| line.trim_start_matches("async ").starts_with(&format!("fn {function}("));
    let place = lines.iter().position(|line| names_it(line));
    let is_mark = |line: &&str| matches!(*line, "#[test]" | "#[tokio::test]");
    let is_test = place.is_some_and(|place| lines[..place].iter().rev().take(3).any(is_mark));
    (!is_test).then(|| format!("{path} has no test {function}"))
}

#[test]
fn every_file_and_test_that_the_page_names_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md");
    let page = fs::read_to_string(page).unwrap();
    let names: Vec<_> = page.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 100, "the page was not understood: {} names", names.len());
    let complaints: Vec<_> = names.into_iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_row_of_the_page_has_a_test_unless_it_says_so() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PROTOCOL.md");
    for line in fs::read_to_string(page).unwrap().lines().filter(|line| line.starts_with("| ")) {
        let last = line.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        assert!(last == "test" || last == "–" || last.contains("::"), "no test: {line}");
    }
}

#[test]
fn a_name_that_is_wrong_is_seen() {
    assert_eq!(complaint("src/bmp/frame.rs"), None);
    assert_eq!(complaint("no path"), None);
    assert!(complaint("src/bmp/no.rs").is_some());
    assert!(complaint("src/bmp/frame.rs::no_such_test").is_some());
    assert!(complaint("tests/tidy/protocol.rs::complaint").is_some(), "a function that is no test");
}
