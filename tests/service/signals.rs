//! Signals that stop the daemon, and signals that must not.

use std::process::Command;

use crate::common::daemon::{Daemon, command, logged_events};
use crate::common::messages::initiation;

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_that_is_not_a_stop_is_logged_and_the_collector_goes_on() {
    for signal in ["HUP", "USR1", "USR2", "ALRM", "XFSZ"] {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = Daemon::start(folder.path(), &[]);
        for _ in 0..20 {
            kill(&format!("-{signal}"), daemon.pid());
        }
        let line = daemon.event("signal_ignored");
        assert_eq!((&line["signal"], &line["level"]), (&format!("SIG{signal}").into(), &"WARNING".into()));
        let _router = daemon.send(&initiation("edge1"));
        daemon.durable(1);
        assert_eq!(daemon.stop().code(), Some(0), "after SIG{signal}");
        assert!(logged_events(folder.path()).iter().any(|(router, _)| router == "edge1"));
    }
}

#[test]
fn a_stop_at_any_time_of_a_start_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    for event in ["log_opened", "state_opened", "store_only_mode", "bmp_listener_started"] {
        let daemon = Daemon::start_until(event, &mut command(folder.path(), &[]), folder.path());
        assert_eq!(daemon.stop().code(), Some(0), "after {event}");
    }
}
