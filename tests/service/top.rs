//! `holdfast top` in a real terminal: tmux runs the program, sends it keys, changes the size and reads the
//! screen.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::daemon::{Daemon, command, run, until};
use crate::common::messages::{PEER, initiation, open, plain_attributes, update, v4};

/// A terminal in which a shell runs the program and then reports how it left the terminal.
struct Screen {
    socket: PathBuf,
    pid: PathBuf,
}

impl Screen {
    /// Opens a terminal of 80 columns and 24 lines; `None` without tmux.
    fn open(folder: &Path, environment: &str) -> Option<Self> {
        if let Err(error) = Command::new("tmux").arg("-V").output() {
            println!("SKIPPED: no terminal for `holdfast top`: tmux: {error}");
            return None;
        }
        let screen = Self { socket: folder.join("tmux.sock"), pid: folder.join("top.pid") };
        let top = format!(
            "echo $$ > {}; exec env {environment} {} top --socket {}",
            screen.pid.display(),
            env!("CARGO_BIN_EXE_holdfast"),
            folder.join("status.sock").display()
        );
        let shell =
            format!("sh -c '{top}'; echo \"exit code $?\"; stty -a | grep -o -- '-*icanon'; exec cat");
        let started = screen
            .command(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", &shell])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(started.status.success(), "{started:?}");
        Some(screen)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        command.arg("-u").arg("-S").arg(&self.socket).args(arguments);
        command
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen fulfills the condition, and returns it.
    fn when(&self, wanted: impl Fn(&str) -> bool) -> String {
        until(|| Some(self.text()).filter(|text| wanted(text)), || self.text())
    }

    fn shows(&self, text: &str) -> String {
        self.when(|screen| screen.contains(text))
    }

    /// Presses keys, by their names in tmux.
    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits for the end of the program, and checks that the terminal is as before.
    fn is_restored(&self) {
        let text = self.shows("icanon");
        assert!(text.contains("exit code 0\nicanon"), "{text}");
        assert_eq!(self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]).trim(), "0 1");
    }
}

/// Ends the tmux server of this test.
impl Drop for Screen {
    fn drop(&mut self) {
        drop(self.command(&["kill-server"]).output());
    }
}

/// Initiation, Peer Up, and this number of routes.
fn session(name: &str, routes: u8) -> Vec<u8> {
    let up = PEER.peer_up(&open(65_001, &[]), &open(65_002, &[]), &[]);
    let route =
        |number| PEER.route_monitoring(&update(&[], &plain_attributes(&[65_001]), &v4(10, 0, number, 24)));
    [vec![initiation(name), up], (0..routes).map(route).collect()].concat().concat()
}

/// The names of the routers on the screen, in their order.
fn routers(screen: &str) -> Vec<&str> {
    let names = screen.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with("edge")).collect()
}

#[test]
fn top_shows_sorts_filters_and_survives_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[]);
    let _routers: Vec<_> =
        (1..=3_u8).map(|number| daemon.send(&session(&format!("edge{number}"), number))).collect();
    daemon.status_when(|document| document.routers.iter().filter(|one| one.routes > 0).count() == 3);
    let Some(screen) = Screen::open(folder.path(), "") else { return };
    let text = screen.when(|text| routers(text).len() == 3);
    assert!(text.contains("HEALTHY  holdfast") && text.contains("routers 3/3"), "{text}");
    assert!(text.contains("Routers 1–3 of 3, worst first"), "{text}");
    // A second document makes the rates known.
    screen.when(|text| !text.contains("unknown") && text.contains("records 0/s"));

    screen.press(&["s", "j", "Enter"]);
    assert_eq!(routers(&screen.shows("by Router, ascending")), ["edge1", "edge2", "edge3"]);
    screen.press(&["r"]);
    assert_eq!(routers(&screen.shows("by Router, descending")), ["edge3", "edge2", "edge1"]);
    screen.press(&["/", "e", "d", "g", "e", "2"]);
    screen.shows("filter: edge2");
    screen.press(&["Enter"]);
    assert_eq!(routers(&screen.shows("filter \"edge2\" (3 rows)")), ["edge2"]);
    screen.press(&["j", "Enter"]);
    let peers = screen.shows("of edge2");
    assert!(peers.contains("Peers 1–1 of 1") && peers.contains("192.0.2.1 "), "{peers}");
    screen.press(&["j", "Enter"]);
    screen.shows("ipv4_unicast");
    screen.press(&["5"]);
    screen.shows("directory   ");
    screen.press(&["?"]);
    screen.shows("┌Keys─");
    screen.press(&["?", "1"]);
    screen.when(|text| !text.contains("┌Keys─") && routers(text).len() == 3);

    screen.tmux(&["resize-window", "-x", "60", "-y", "20"]);
    let narrow = screen.when(|text| text.lines().count() == 20 && !text.contains("Peers up"));
    assert_eq!(routers(&narrow).len(), 3, "{narrow}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    screen.tmux(&["resize-window", "-x", "120", "-y", "30"]);
    screen.shows("Msgs/s");

    daemon.kill();
    let away = screen.shows("NO ANSWER since ");
    assert!(away.contains("the values are of") && routers(&away).len() == 3, "{away}");
    let daemon = Daemon::start(folder.path(), &[]);
    let back = screen.when(|text| !text.contains("NO ANSWER") && text.contains("routers 0/3"));
    assert!(back.contains("not connected"), "{back}");
    screen.press(&["q"]);
    screen.is_restored();
    drop(daemon);
}

#[test]
fn a_signal_ends_top_and_restores_the_terminal() {
    for (environment, signal) in [("NO_COLOR=1", "-TERM"), ("NO_COLOR=", "-HUP")] {
        let folder = tempfile::tempdir().unwrap();
        let Some(screen) = Screen::open(folder.path(), environment) else { return };
        screen.shows("NO ANSWER since ");
        // tmux writes colours as 30 to 37, 90 to 97, or 38 and 48 with a number.
        let escapes = screen.tmux(&["capture-pane", "-p", "-e"]);
        let is_color = |code: &str| {
            code.parse().is_ok_and(|code: u8| matches!(code, 30..=38 | 40..=48 | 90..=97 | 100..=107))
        };
        let codes = escapes.split("\u{1b}[").skip(1).filter_map(|part| part.split('m').next());
        let colors = codes.flat_map(|codes| codes.split(';')).filter(|code| is_color(code)).count();
        assert_eq!(colors > 0, environment == "NO_COLOR=", "{escapes:?}");
        let pid = std::fs::read_to_string(&screen.pid).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
        screen.is_restored();
    }
}

#[test]
fn top_needs_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["top"], &[]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("needs a terminal"), "{message}");
    let limits = command(folder.path(), &[]).args(["top", "--interval", "0"]).output().unwrap();
    assert_eq!(limits.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&limits.stderr).contains("--interval"));
}
