//! TCP-MD5 with the compiled program, against clients of Python whose sockets have a key or none.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::daemon::Daemon;
use crate::common::messages::initiation;
use holdfast::telemetry::status::{Document, RemoteState};

/// Python code that makes a socket with a key for 127.0.0.1, if there is one: `struct tcp_md5sig` of Linux.
const SOCKET: &str = "\
import socket, struct, sys, time
key, source, port, data = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if key:
    address = struct.pack('=HH4s120x', socket.AF_INET, 0, socket.inet_aton('127.0.0.1'))
    s.setsockopt(6, 14, address + struct.pack('=BBHi80s', 0, 0, len(key), 0, key))
";

/// Connects from an address with a key, and sends bytes.
const CLIENT: &str = "\
s.bind((source, 0))
s.settimeout(2)
try:
    s.connect(('127.0.0.1', port))
except TimeoutError:
    sys.exit(3)
s.sendall(data)
print('sent', flush=True)
time.sleep(600)
";

/// Listens, and sends bytes on the first connection.
const SERVER: &str = "\
s.bind((source, port))
s.listen()
print('listening', flush=True)
c, _ = s.accept()
c.sendall(data)
time.sleep(600)
";

/// The number of connected routers.
fn connected(document: &Document) -> usize {
    document.routers.iter().filter(|router| router.connected).count()
}

struct Python(Child);

impl Python {
    fn start(code: &str, key: &str, source: &str, port: u16, data: &[u8]) -> Option<Self> {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let child = Command::new("python3")
            .args(["-c", &format!("{SOCKET}{code}"), key, source, &port.to_string(), &hex])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        child.ok().map(Self)
    }

    /// The exit code; `None` if the program has been killed.
    fn end(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether python3 runs and the kernel has TCP-MD5.
fn is_possible() -> bool {
    let possible = Python::start("", "key", "", 0, &[]).is_some_and(|mut python| python.end() == Some(0));
    if !possible {
        println!("SKIPPED: TCP-MD5: no python3, or a kernel without it");
    }
    possible
}

fn key_file(folder: &Path, name: &str, key: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("{key}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn only_a_router_with_the_key_of_its_prefix_connects() {
    if !is_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (wide, own) =
        (key_file(folder.path(), "wide", "swordfish"), key_file(folder.path(), "own", "marlin"));
    let keys = format!("127.0.0.0/8={},127.0.0.3={}", wide.display(), own.display());
    let mut daemon = Daemon::start(folder.path(), &[("BMP_MD5", &keys), ("LOG_LEVEL", "DEBUG")]);
    let client =
        |key, source, name| Python::start(CLIENT, key, source, daemon.port, &initiation(name)).unwrap();
    let _good = client("swordfish", "127.0.0.2", "edge2");
    let _own = client("marlin", "127.0.0.3", "edge3");
    daemon.status_when(|document| connected(document) == 2);
    let mut others = [
        client("", "127.0.0.2", "without"),
        client("marlin", "127.0.0.2", "wrong"),
        client("swordfish", "127.0.0.3", "wider"),
    ];
    for other in &mut others {
        assert_eq!(other.end(), Some(3), "the kernel drops the SYN");
    }
    let mut names: Vec<String> = daemon.status().routers.into_iter().map(|router| router.name).collect();
    // The order is that of the accepts, and the two clients race.
    names.sort();
    assert_eq!(names, ["edge2", "edge3"]);
    for line in daemon.lines() {
        assert!(!line.to_string().contains("swordfish"), "{line}");
    }
}

#[test]
fn the_collector_signs_the_connections_that_it_opens() {
    if !is_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let key = format!("127.0.0.1={}", key_file(folder.path(), "key", "swordfish").display());
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _router = Python::start(SERVER, "swordfish", "127.0.0.1", port, &initiation("edge1")).unwrap();
    let remote = format!("127.0.0.1:{port}");
    let daemon = Daemon::start(folder.path(), &[("BMP_MD5", &key), ("BMP_CONNECT", &remote)]);
    let document = daemon.status_when(|document| connected(document) == 1);
    assert_eq!(document.routers[0].name, "edge1");
    assert_eq!(document.listener.transport.remotes[0].state, RemoteState::Connected);
}

#[test]
fn a_key_that_others_can_read_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = key_file(folder.path(), "key", "swordfish");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let key = format!("192.0.2.0/24={}", path.display());
    let mut command = crate::common::daemon::command(folder.path(), &[("BMP_MD5", &key)]);
    let daemon = Daemon::start_until("startup_error", &mut command, folder.path());
    let error = daemon.heard.last().unwrap()["error"].as_str().unwrap();
    assert!(
        error.starts_with("BMP_MD5: ") && error.contains("accessible to other users (mode 0644)"),
        "{error}"
    );
}
