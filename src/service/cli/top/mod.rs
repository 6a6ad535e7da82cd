//! The command `holdfast top`: the status of the daemon on the whole terminal, refreshed once per second.
//!
//! ```text
//! feed (thread) ─► document ─┐
//! terminal (thread) ─► key ──┼─► State ─► screen::draw
//! signals (thread) ─► stop ──┘
//! ```
//!
//! One thread reads the status socket, so that the keys work while the daemon does not answer. [`state`] and
//! everything that it uses is pure, and knows the terminal only by its size.

#[cfg(test)]
mod fixtures;
mod sample;
mod screen;
#[cfg(test)]
mod screens;
mod state;
mod table;
mod tables;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, status};
use crate::telemetry::clock;
use crate::telemetry::status::{Document, fetch};
use screen::Theme;
use state::{Flow, State};

/// Time after which the screen is drawn again without news, for the times on it.
const REDRAW: Duration = Duration::from_secs(1);

/// Accepted values of `--interval`. The daemon is never asked more often than once per second.
const INTERVAL_S: std::ops::RangeInclusive<i64> = 1..=3_600;

/// Exit code if the program cannot use the terminal.
const EXIT_TERMINAL: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Seconds between two reads of the status, from 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(INTERVAL_S))]
    interval: u16,
    /// Status socket of the daemon [default: STATUS_SOCKET of the settings]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// News for the main thread.
enum Message {
    /// A document, or the reason why there is none.
    Answer(Box<Result<Document, String>>),
    Input(Event),
    /// A signal asks the program to stop.
    Stop,
    /// A thread has ended, which it does only after an error.
    Ended(String),
}

/// Shows the status until the user quits.
pub(super) fn run(arguments: &Arguments, env_file: Option<&Path>) -> Result<u8, Failure> {
    let socket = status::socket(arguments.socket.as_deref(), env_file)?;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let text = "`holdfast top` needs a terminal; `holdfast status` prints the status once";
        return Err(Failure::Other(text.to_owned(), EXIT_TERMINAL));
    }
    let interval = Duration::from_secs(arguments.interval.into());
    let failed = |error: io::Error| Failure::Other(format!("terminal: {error}"), EXIT_TERMINAL);
    let (send, receive) = mpsc::channel();
    // The handlers exist before the terminal is changed: their default action would leave it so.
    let signals = Signals::install().map_err(failed)?;
    spawn("signals", &send, move |send| signals.wait(send));
    let terminal = Terminal::open().map_err(failed)?;
    spawn("status", &send, move |send| feed(&socket, interval, send));
    spawn("keys", &send, keys);
    let result = show(terminal, &receive, interval);
    result.map(|()| 0).map_err(failed)
}

/// The terminal in the state that the program needs; dropping it restores the terminal. A panic restores it
/// as well, before its message is printed.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.0.show_cursor().unwrap_or_default();
        ratatui::restore();
    }
}

/// Draws the state until the user or a signal ends the program.
fn show(mut terminal: Terminal, news: &Receiver<Message>, interval: Duration) -> io::Result<()> {
    let theme = Theme::from_environment();
    let mut state = State::new(interval);
    loop {
        terminal.0.draw(|frame| screen::draw(frame, &mut state, &theme, clock::now()))?;
        let first = match news.recv_timeout(REDRAW) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        // All that has arrived is applied before the screen is drawn, so that repeated keys do not lag.
        for message in first.into_iter().chain(news.try_iter()) {
            match message {
                Message::Answer(answer) => state.received(*answer, clock::now()),
                Message::Input(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    match state.key(key) {
                        Flow::Continue => {}
                        // `clear` would ask the terminal for the cursor, and its answer is read by `keys`.
                        Flow::Redraw => terminal.0.size().and_then(|size| terminal.0.resize(size.into()))?,
                        Flow::Quit => return Ok(()),
                    }
                }
                // Drawing reads the size of the terminal.
                Message::Input(_) => {}
                Message::Stop => return Ok(()),
                Message::Ended(thread) => return Err(io::Error::other(thread)),
            }
        }
    }
}

/// Starts a thread that sends messages until the program ends. Its end is a message too.
fn spawn(name: &'static str, send: &Sender<Message>, run: impl FnOnce(&Sender<Message>) + Send + 'static) {
    /// Sends the message also if the thread panics.
    struct End(&'static str, Sender<Message>);
    impl Drop for End {
        fn drop(&mut self) {
            // The main thread may have ended already.
            drop(self.1.send(Message::Ended(format!("the thread for {} has ended", self.0))));
        }
    }
    let end = End(name, send.clone());
    std::thread::spawn(move || run(&end.1));
}

/// Reads the status, and again after each interval.
fn feed(socket: &Path, interval: Duration, send: &Sender<Message>) {
    loop {
        let answer = fetch(socket).map_err(|error| error.to_string());
        if send.send(Message::Answer(Box::new(answer))).is_err() {
            return;
        }
        std::thread::sleep(interval);
    }
}

/// Reads the keys and the changes of the size of the terminal.
fn keys(send: &Sender<Message>) {
    loop {
        let message = match event::read() {
            Ok(event) => Message::Input(event),
            Err(error) => Message::Ended(format!("cannot read the keys: {error}")),
        };
        let is_end = matches!(message, Message::Ended(_));
        if send.send(message).is_err() || is_end {
            return;
        }
    }
}

/// The signals that end the program.
struct Signals {
    runtime: Runtime,
    signals: [Signal; 3],
}

impl Signals {
    fn install() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let signals = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
        ];
        drop(guard);
        Ok(Self { runtime, signals })
    }

    /// Waits for a signal, and sends [`Message::Stop`].
    fn wait(mut self, send: &Sender<Message>) {
        let [terminate, hangup, interrupt] = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        drop(send.send(Message::Stop));
    }
}
