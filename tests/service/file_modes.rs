//! Modes of the files and directories of the daemon, whatever the umask is, and its defense against users who
//! can write to a directory of it or have planted a link there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::daemon::{self, Daemon};
use crate::common::messages::initiation;

/// A command for the program with this umask.
fn command_with_umask(umask: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("umask {umask}; exec \"$0\"")).arg(env!("CARGO_BIN_EXE_holdfast"));
    let plain = daemon::command(folder, &[]);
    let environment = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.current_dir(folder).env_clear().envs(environment);
    shell
}

/// Everything below a folder, with its mode.
fn modes(folder: &Path) -> Vec<(PathBuf, fs::FileType, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        found.push((entry.path(), metadata.file_type(), metadata.mode() & 0o7777));
        if metadata.is_dir() {
            found.extend(modes(&entry.path()));
        }
    }
    found
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs the daemon, which must not start. Returns its last log line.
fn refused(folder: &Path, environment: &[(&str, &str)]) -> String {
    let Output { status, stdout, .. } = daemon::command(folder, environment).output().unwrap();
    let lines = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(1), "{lines}");
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "startup_error", "{last}");
    last["error"].as_str().unwrap().to_owned()
}

#[test]
fn modes_are_the_same_under_every_umask() {
    for umask in ["000", "022", "077", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut command = command_with_umask(umask, folder.path());
        let mut daemon = Daemon::start_as(command.env("STATE_DIR", &state), &state);
        let _router = daemon.send(&initiation("edge1"));
        daemon.durable(1);
        let running = modes(folder.path());
        assert!(running.len() >= 7, "{running:?}");
        for (path, kind, mode) in running {
            let expected = match kind {
                kind if kind.is_dir() => 0o750,
                kind if kind.is_socket() => 0o660,
                _ => 0o640,
            };
            assert_eq!(mode, expected, "{} with umask {umask}: {mode:o}", path.display());
        }
        daemon.event_since_start("bmp_listener_started");
        assert_eq!(daemon.stop().code(), Some(0));
    }
}

#[test]
fn wider_modes_of_an_earlier_version_are_corrected() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Daemon::start(folder.path(), &[]).stop().code(), Some(0));
    for (path, kind, _) in modes(folder.path()) {
        set_mode(&path, if kind.is_dir() { 0o755 } else { 0o666 });
    }
    let other = folder.path().join("wal/notes.txt");
    fs::write(&other, "not of Holdfast").unwrap();
    set_mode(&other, 0o666);
    let mut daemon = Daemon::start(folder.path(), &[]);
    let line = daemon.event_since_start("permissions_corrected");
    assert!(line["count"].as_u64().unwrap() > 3, "{line}");
    assert_eq!(daemon.stop().code(), Some(0));
    for (path, kind, mode) in modes(folder.path()) {
        let expected = match kind {
            _ if path == other => 0o666,
            kind if kind.is_dir() => 0o750,
            _ => 0o640,
        };
        assert_eq!(mode, expected, "{}", path.display());
    }
    let mut daemon = Daemon::start(folder.path(), &[]);
    daemon.event_since_start("bmp_listener_started");
    assert!(daemon.heard.iter().all(|line| line["event"] != "permissions_corrected"));
}

#[test]
fn narrower_modes_of_the_administrator_remain() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Daemon::start(folder.path(), &[]).stop().code(), Some(0));
    set_mode(&folder.path().join("wal"), 0o700);
    assert_eq!(Daemon::start(folder.path(), &[]).stop().code(), Some(0));
    assert_eq!(fs::metadata(folder.path().join("wal")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_directory_that_every_user_can_write_to_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    let open_text = open.to_str().unwrap();
    let error = refused(folder.path(), &[("STATE_DIR", open_text)]);
    assert!(error.starts_with("STATE_DIR: every user can write to "), "{error}");
    assert!(error.contains("(mode 0777)") && error.contains(&format!("chmod o-w {open_text}")), "{error}");
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0, "nothing is created before the check");
    // The directory above it, where the directory itself could be replaced, and one that does not exist yet.
    let inner = open.join("inner");
    let below = [("STATE_DIR", inner.to_str().unwrap())];
    assert!(refused(folder.path(), &below).contains("chmod o-w "));
    fs::create_dir(&inner).unwrap();
    assert!(refused(folder.path(), &below).contains("chmod o-w "));
    let log = [("WAL_DIR", open_text)];
    assert!(refused(folder.path(), &log).starts_with("WAL_DIR: "));
    let socket = open.join("status.sock");
    let socket = [("STATUS_SOCKET", socket.to_str().unwrap())];
    assert!(refused(folder.path(), &socket).starts_with("STATUS_SOCKET: "));
    // As in /tmp.
    set_mode(&open, 0o1777);
    let environment = [("STATE_DIR", inner.to_str().unwrap())];
    let daemon = Daemon::start_as(&mut daemon::command(folder.path(), &environment), &inner);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_directory_of_another_user_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    if let Err(error) = std::os::unix::fs::chown(&foreign, Some(4_242), None) {
        println!("SKIPPED: changing the owner of a directory needs root: {error}");
        return;
    }
    let error = refused(folder.path(), &[("STATE_DIR", foreign.to_str().unwrap())]);
    assert!(error.contains("belongs to uid 4242") && error.contains("run: chown 0 "), "{error}");
    let inner = foreign.join("inner");
    fs::create_dir(&inner).unwrap();
    let error = refused(folder.path(), &[("STATE_DIR", inner.to_str().unwrap())]);
    assert!(error.contains("belongs to uid 4242"), "{error}");
}

#[test]
fn planted_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let environment = [("STATE_DIR", state.to_str().unwrap())];
    let daemon = Daemon::start_as(&mut daemon::command(folder.path(), &environment), &state);
    assert_eq!(daemon.stop().code(), Some(0));
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    set_mode(&victim, 0o600);
    let link = "is a symbolic link; expected a regular file";
    // The error that stops the start, or the event of a daemon that starts without the file.
    for (name, outcome) in [
        ("wal/LOCK", Err(link)),
        ("wal/next", Err(link)),
        ("wal/0000000000000001.wal", Err(link)),
        ("wal/delivered", Ok("delivered_marker_not_read")),
        ("sled/db", Err(link)),
        ("status.sock", Err("exists and is not a socket")),
    ] {
        let (path, aside) = (state.join(name), state.join("aside"));
        let existed = fs::rename(&path, &aside).is_ok();
        symlink(&victim, &path).unwrap();
        match outcome {
            Err(expected) => {
                let error = refused(folder.path(), &environment);
                assert!(error.contains(expected), "{name}: {error}");
            }
            Ok(event) => {
                let mut command = daemon::command(folder.path(), &environment);
                let mut daemon = Daemon::start_as(&mut command, &state);
                let line = daemon.event_since_start(event);
                assert!(line["error"].as_str().unwrap().contains(link), "{line}");
                assert_eq!(daemon.stop().code(), Some(0));
            }
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o600, "{name}");
        fs::remove_file(&path).unwrap();
        if existed {
            fs::rename(&aside, &path).unwrap();
        }
    }
}

#[test]
fn a_file_in_the_place_of_the_state_is_moved_aside_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("sled"), "not a directory").unwrap();
    let mut command = command_with_umask("027", folder.path());
    let mut daemon = Daemon::start_as(command.env("STATE_DIR", &state), &state);
    daemon.event_since_start("state_moved_aside");
    let _router = daemon.send(&initiation("edge1"));
    daemon.durable(1);
    assert!(fs::metadata(state.join("sled")).unwrap().is_dir());
}
