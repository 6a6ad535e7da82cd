//! Runs every command of the documents for operators against a collector with a router and a database.

use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Instant;

use crate::common::daemon::{Daemon, PATIENCE, command};
use crate::common::db::{Database, Edition};

/// Pages whose commands are run, in this order; a router is removed at the end of the last one.
const PAGES: [&str; 3] = ["TROUBLESHOOTING.md", "SIZING.md", "FAQ.md"];

/// The commands of a page: the lines of its blocks of shell commands.
fn commands(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let mut is_shell = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(language) => is_shell = language == "sh",
            None if is_shell => commands.push(line.to_owned()),
            None => {}
        }
    }
    commands
}

/// A sender that is killed at the end of the test.
struct Router(Child);

impl Router {
    fn connect(port: u16) -> Self {
        let mut sender = Command::new(env!("CARGO_BIN_EXE_bmpgen"));
        sender.args(["table", "--to", &format!("127.0.0.1:{port}"), "--router", "edge1"]);
        Self(sender.args(["--prefixes", "100", "--duration", "3600"]).spawn().unwrap())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// Runs a line of a page with the settings of the collector.
fn run(line: &str, folder: &Path, settings: &[(&str, &str)]) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_holdfast")).parent().unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).current_dir(folder).env_clear();
    for (name, value) in command(folder, settings).get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_succeeds() {
    let Some(database) = Database::migrated(Edition::Plain, "documents").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str())];
    let daemon = Daemon::start(folder.path(), &settings);
    let _router = Router::connect(daemon.port);
    let deadline = Instant::now() + PATIENCE;
    while database.value::<i64>("SELECT count(*) FROM current_routes").await < 100 {
        assert!(Instant::now() < deadline, "the routes did not arrive");
    }
    let peers = "SELECT DISTINCT host(address) FROM bgp_peers WHERE router = 'edge1'";
    let peer = database.texts(peers).await.remove(0);
    let lines: Vec<String> = PAGES.iter().flat_map(|page| commands(page)).collect();
    assert!(lines.len() > 18, "{lines:?}");
    for line in &lines {
        let here = line
            .replace("/var/lib/holdfast", folder.path().to_str().unwrap())
            .replace("postgres://holdfast@db/holdfast", &url)
            .replace("192.0.2.1", &peer);
        let output = run(&here, folder.path(), &settings);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = format!("{here}\n{}{}", text(&output.stdout), text(&output.stderr));
        // 1 is a degraded collector: its disk may be small on this machine.
        let is_status = line.starts_with("holdfast status");
        let code = output.status.code().unwrap();
        assert!(code == 0 || is_status && code == 1, "exit code {code} of {shown}");
        if line.contains("--router edge1") {
            assert!(shown.contains("edge1"), "{shown}");
        }
    }
    drop(daemon);
    database.drop().await;
}
