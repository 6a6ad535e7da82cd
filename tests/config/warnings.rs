//! Warnings do not prevent a start; the daemon logs them.

use std::fs;

use crate::common::daemon::Daemon;

#[test]
fn the_daemon_starts_with_warnings_and_logs_each_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = "LOG_LEVEL=INFO\nHOLDFAST_LOG_LEVEL=DEBUG\nSENTRY_ENVIRONMENT=$NOWHERE\n";
    fs::write(folder.path().join(".env"), file).unwrap();
    let mut daemon = Daemon::start(folder.path(), &[]);
    let line = daemon.event_since_start("config_warnings");
    assert_eq!(line["count"], 2);
    for part in ["HOLDFAST_LOG_LEVEL (.env line 2): ", "SENTRY_ENVIRONMENT (.env line 3): "] {
        assert!(line["warnings"].as_str().unwrap().contains(part), "{line}");
    }
    assert!(daemon.stop().success());
}
