//! The real daemon for a test, started in its own folder and observed through its log lines, its status
//! socket and its write-ahead log. Tests poll for a condition instead of sleeping; a wait fails after
//! [`PATIENCE`].

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use holdfast::codec;
use holdfast::route::{Batch, Event, EventKind};
use holdfast::telemetry::status::{Document, fetch};
use holdfast::wal::{Disk, Item, Reader, SeqNo};
use serde_json::Value;

/// Limit of every wait, long enough for a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub struct Daemon {
    child: Child,
    lines: Receiver<Value>,
    /// The log lines that have been read.
    pub heard: Vec<Value>,
    pub port: u16,
    folder: PathBuf,
}

/// A command for the program with a clean environment and its state in `folder`.
pub fn command(folder: &Path, environment: &[(&str, &str)]) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_holdfast")), folder, environment)
}

/// A command for the program with a limit of `files` open files.
pub fn command_with_files(files: u32, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_holdfast"));
    prepared(shell, folder, &[])
}

/// A command for the program with a soft limit of 2 or 4 MiB (by the shell's unit) for the size of a file.
pub fn command_with_small_files(folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\""]).arg(env!("CARGO_BIN_EXE_holdfast"));
    prepared(shell, folder, &[])
}

fn prepared(mut command: Command, folder: &Path, environment: &[(&str, &str)]) -> Command {
    command
        .current_dir(folder)
        .env_clear()
        .env("BMP_LISTEN_HOST", "127.0.0.1")
        .env("BMP_LISTEN_PORT", "0")
        .env("STATE_DIR", folder)
        .env("COLLECTOR_ID", "test")
        .env("LOG_FORMAT", "json")
        .env("WAL_SEGMENT_BYTES", "16MiB")
        .env("WAL_MAX_BYTES", "96MiB")
        .env("WAL_MIN_FREE_PERCENT", "0")
        .envs(environment.iter().copied());
    command
}

/// Runs a subcommand of the program and waits for its end.
pub fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(folder, environment).args(arguments).output().unwrap()
}

impl Daemon {
    /// Starts the daemon and waits until it listens.
    pub fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_as(&mut command(folder, environment), folder)
    }

    /// Starts the daemon with a command of the test, and waits until it listens.
    pub fn start_as(command: &mut Command, folder: &Path) -> Self {
        let mut daemon = Self::start_until("bmp_listener_started", command, folder);
        let started = daemon.heard.last().unwrap();
        daemon.port = u16::try_from(started["port"].as_u64().unwrap()).unwrap();
        daemon
    }

    /// Starts the daemon, and waits for its first log line with this event.
    pub fn start_until(event: &str, command: &mut Command, folder: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (send, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Self { child, lines, heard: Vec::new(), port: 0, folder: folder.to_owned() };
        daemon.event(event);
        daemon
    }

    /// Waits for the next log line with this event.
    pub fn event(&mut self, name: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line["event"] == name;
                    self.heard.push(line.clone());
                    if found {
                        return line;
                    }
                }
                Err(error) => panic!("no log line with event {name} ({error}); lines: {:#?}", self.heard),
            }
        }
    }

    /// The first log line with this event since the start; waits for it if there is none yet. For an event
    /// that may come before the daemon listens.
    pub fn event_since_start(&mut self, name: &str) -> Value {
        let known = self.heard.iter().find(|line| line["event"] == name).cloned();
        known.unwrap_or_else(|| self.event(name))
    }

    /// All log lines so far.
    pub fn lines(&mut self) -> &[Value] {
        self.heard.extend(self.lines.try_iter());
        &self.heard
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn status(&self) -> Document {
        fetch(&self.folder.join("status.sock")).unwrap()
    }

    /// Waits until the status fulfills the condition, and returns it.
    pub fn status_when(&self, wanted: impl Fn(&Document) -> bool) -> Document {
        until(|| Some(self.status()).filter(&wanted), || format!("{:#?}", self.status()))
    }

    /// Waits until at least `records` records of this run are durable.
    pub fn durable(&self, records: u64) -> Document {
        self.status_when(|document| document.wal.records_durable >= records)
    }

    pub fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap()
    }

    /// Connects from another loopback address.
    pub fn connect_from(&self, source: [u8; 4]) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).into()).unwrap();
        socket.into()
    }

    /// Connects and sends `bytes`.
    pub fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        stream
    }

    /// Kills the daemon with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the daemon with SIGTERM and waits for its end.
    pub fn stop(mut self) -> ExitStatus {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        until(|| self.child.try_wait().unwrap(), || "the daemon does not stop".to_owned())
    }
}

/// Kills the daemon, also when a test fails.
impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Polls until `answer` returns a value; panics with `otherwise` after [`PATIENCE`].
pub fn until<T>(mut answer: impl FnMut() -> Option<T>, otherwise: impl Fn() -> String) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = answer() {
            return found;
        }
        assert!(Instant::now() < give_up, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All batches in the log of a folder, whether or not a daemon is running there.
pub fn logged(folder: &Path) -> Vec<Batch> {
    let mut reader = Reader::open(Disk::open(&folder.join("wal")).unwrap(), SeqNo(1)).unwrap();
    let mut batches = Vec::new();
    while let Some(item) = reader.next(SeqNo::MAX).unwrap() {
        match item {
            Item::Data { payload, .. } => batches.push(codec::decode(payload).unwrap()),
            gap @ Item::Gap { .. } => panic!("a gap in the log: {gap:?}"),
        }
    }
    batches
}

/// All events in the log, each with the name of its router.
pub fn logged_events(folder: &Path) -> Vec<(String, Event)> {
    let with_router = |batch: Batch| {
        let router = batch.router.name;
        batch.events.into_iter().map(move |event| (router.clone(), event))
    };
    logged(folder).into_iter().flat_map(with_router).collect()
}

/// The names of the events of one router, in order.
pub fn event_names(folder: &Path, router: &str) -> Vec<&'static str> {
    logged_events(folder)
        .iter()
        .filter(|(name, _)| name == router)
        .map(|(_, event)| event.kind.name())
        .collect()
}

/// The gaps in the log: router, reason, from, until.
pub fn gaps(folder: &Path) -> Vec<(String, String, i64, i64)> {
    let gap = |(router, event): (String, Event)| match event.kind {
        EventKind::Gap { reason, from, until } => Some((router, reason, from.0, until.0)),
        _ => None,
    };
    logged_events(folder).into_iter().filter_map(gap).collect()
}
