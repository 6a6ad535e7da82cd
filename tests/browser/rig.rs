//! The browser of `tools/testbed/browser`, and its verdict about a page.

use serde_json::Value;

use crate::common::process;

/// Runs the script; returns its exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = process::testbed("browser").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Whether there is a browser, which is unpacked first if necessary; false after a printed SKIPPED.
pub fn is_there() -> bool {
    let (code, _, message) = run(&["path"]);
    if code == Some(0) {
        return true;
    }
    let reason = message.lines().last().unwrap_or_default();
    let reason = reason.split_once("SKIPPED: ").map_or(reason, |(_, reason)| reason);
    println!("SKIPPED: no browser: {reason}");
    let is_required = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!is_required, "REQUIRE_ALL=1 is set, and there is no browser");
    false
}

/// A defect of a page that the browser found.
#[derive(Debug)]
pub struct Complaint {
    /// Kind of the defect: `console`, `script`, `request`, `status`, `foreign host`, `overflow`, `axe`,
    /// `focus` or `flow`.
    pub kind: String,
    pub text: String,
    /// Address of the page, with width and colour scheme; empty for a walk.
    pub page: String,
}

/// The complaints of one object of the result.
fn complaints(object: &Value, page: &str) -> Vec<Complaint> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let complaint =
        |one: &Value| Complaint { kind: text(&one["kind"]), text: text(&one["text"]), page: page.to_owned() };
    object["complaints"].as_array().unwrap().iter().map(complaint).collect()
}

/// Runs the script with a command that prints one JSON object.
fn result(arguments: &[&str]) -> Value {
    let (code, result, message) = run(arguments);
    assert!(matches!(code, Some(0 | 1)), "{message}");
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["isRight"].as_bool(), Some(code == Some(0)));
    result
}

/// Complaints about pages at both widths and in both colour schemes. `statuses` are the statuses that a page
/// may have, separated by commas.
pub fn check(urls: &[String], statuses: &str) -> Vec<Complaint> {
    let mut arguments = vec!["check", "--status", statuses];
    arguments.extend(urls.iter().map(String::as_str));
    let result = result(&arguments);
    let pages = result["pages"].as_array().unwrap();
    assert_eq!(pages.len(), urls.len() * 4, "every page at two widths in two schemes");
    let of_page = |page: &Value| {
        let (url, scheme) = (page["url"].as_str().unwrap(), page["scheme"].as_str().unwrap());
        complaints(page, &format!("{url} at {} pixels, {scheme}", page["width"]))
    };
    pages.iter().flat_map(of_page).collect()
}

/// Complaints about a walk by keyboard from the page at `url`, with a look-up of `route` if there is one.
pub fn walk(url: &str, route: Option<&str>) -> Vec<Complaint> {
    let mut arguments = vec!["flow", url];
    arguments.extend(route);
    let result = result(&arguments);
    assert!(result["steps"].as_array().unwrap().len() >= 4);
    complaints(&result, "")
}
