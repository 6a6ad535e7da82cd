//! Signals that stop the daemon, and signals that must not.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::daemon::{Daemon, command, gaps, logged_events};
use crate::common::messages::{PEER, initiation, tlv};
use holdfast::route::Timestamp;
use holdfast::telemetry::clock::iso8601;

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_that_is_not_a_stop_is_logged_and_the_collector_goes_on() {
    for signal in ["USR1", "USR2", "ALRM", "XCPU", "XFSZ", "VTALRM", "PROF", "PWR"] {
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

/// A daemon whose log is full, with a router that sends more.
fn paused(folder: &std::path::Path) -> (Daemon, std::net::TcpStream) {
    let mut daemon = Daemon::start(folder, &[("ROUTER_LOG_SHARE", "100")]);
    let mut stream = daemon.send(&initiation("edge1"));
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let tlvs: Vec<u8> = (0..15).flat_map(|_| tlv(0, &[0xaa; 60_000])).collect();
    let (bulk, enough) = (PEER.mirror(&tlvs), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&enough);
    let feeder = std::thread::spawn(move || {
        let mut sent = 0;
        while !told.load(Ordering::Relaxed) {
            sent = (sent + stream.write(&bulk[sent..]).unwrap_or(0)) % bulk.len();
        }
        stream
    });
    daemon.event("log_paused");
    enough.store(true, Ordering::Relaxed);
    (daemon, feeder.join().unwrap())
}

#[test]
fn a_stop_while_the_log_is_full_counts_what_was_not_logged_and_the_next_start_records_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, router) = paused(folder.path());
    let pid = daemon.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let line = daemon.event("records_not_logged");
    assert_eq!(line["level"], "ERROR");
    assert!(line["records"].as_u64().unwrap() > 0, "{line}");
    assert!(line["reason"].as_str().unwrap().contains("limit"), "{line}");
    assert_eq!(daemon.stop().code(), Some(1));
    drop(router);
    assert_eq!(gaps(folder.path()).len(), 0);
    let daemon = Daemon::start(folder.path(), &[("WAL_MAX_BYTES", "192MiB")]);
    daemon.durable(1);
    assert_eq!(daemon.stop().code(), Some(0));
    let gaps = gaps(folder.path());
    let [(router, _, from, _)] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!(
        (router.as_str(), iso8601(Timestamp(*from))),
        ("edge1", line["gap_from"].as_str().unwrap().to_owned())
    );
}

#[test]
fn a_stop_at_any_time_of_a_start_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    for event in ["log_opened", "state_opened", "store_only_mode", "bmp_listener_started"] {
        let daemon = Daemon::start_until(event, &mut command(folder.path(), &[]), folder.path());
        assert_eq!(daemon.stop().code(), Some(0), "after {event}");
    }
}
