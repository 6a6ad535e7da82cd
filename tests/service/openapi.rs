//! The server against its own description, judged by schemathesis: every response has a status, a type and a
//! schema that the description has.

use std::path::Path;

use crate::common::daemon::Daemon;
use crate::common::messages::{PEER, initiation, open, plain_attributes, update, v4};
use crate::common::process;
use crate::common::web::{LISTEN, address, get};
use holdfast::http;

/// Checks of every response, besides that it is no error of the server.
const CHECKS: &str = "status_code_conformance,content_type_conformance,response_schema_conformance,\
    response_headers_conformance,unsupported_method,allow_header_conformance";

/// The result of schemathesis with the description in a file.
fn judged(folder: &Path, server: &str, description: &str) -> (bool, String) {
    let file = folder.join("openapi.json");
    std::fs::write(&file, description).unwrap();
    // /health reports errors of components with 503.
    let checks = format!("not_a_server_error,{CHECKS}");
    let (is_conforming, text) = run(&file, server, &["--exclude-path", "/health", "--checks", &checks]);
    let (is_health, of_health) = run(&file, server, &["--include-path", "/health", "--checks", CHECKS]);
    (is_conforming && is_health, text + &of_health)
}

/// The result of one run of schemathesis.
fn run(file: &Path, server: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = process::testbed("schemathesis");
    command.arg("run").arg(file).arg(format!("http://{server}"));
    // Paths with one parameter need few requests. What an unknown query or header may do is no concern here:
    // the server ignores both.
    command.args(["--max-examples", "20", "--seed", "1", "--generation-database", "none"]);
    let output = command.args(arguments).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn the_server_is_as_its_description_says() {
    let installed = process::testbed("schemathesis").arg("path").output().unwrap();
    if !installed.status.success() {
        println!("SKIPPED: no schemathesis: {}", String::from_utf8_lossy(&installed.stderr).trim());
        let is_required = std::env::var_os("REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!is_required, "REQUIRE_ALL=1 is set, and there is no schemathesis");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &[LISTEN]);
    let server = address(&mut daemon);
    let up = PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    let route = PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, 1, 24)));
    // With a flap, so that the examples of the description find OPENs and flaps.
    let down = PEER.peer_down(4, &[]);
    let _router = daemon.send(&[initiation("edge1"), up.clone(), down, up, route].concat());
    daemon.status_when(|document| document.routers.iter().any(|router| router.routes == 1));
    let served = get(server, "/api/v1/openapi.json").body;
    assert_eq!(served, http::DESCRIPTION);
    let (is_conforming, text) = judged(folder.path(), &server.to_string(), &served);
    assert!(is_conforming, "{text}");
    // A description that promises something else is not met.
    let fields = [("segments", "integer"), ("damaged", "boolean")];
    let wrong = fields.iter().fold(served, |text, (field, kind)| {
        let promise = |kind: &str| format!("\"{field}\": {{\"type\": \"{kind}\"");
        assert!(text.contains(&promise(kind)), "{field}");
        text.replace(&promise(kind), &promise("string"))
    });
    let (is_conforming, text) = judged(folder.path(), &server.to_string(), &wrong);
    assert!(!is_conforming && fields.iter().all(|(field, _)| text.contains(field)), "{text}");
}
