//! Signals: SIGTERM and SIGINT stop the daemon, and SIGHUP reloads its settings. Signals that are sent by
//! mistake, or because of a limit, have no effect.
//!
//! The handlers are installed before the log is opened, because the default action of each of these signals
//! ends the process like a crash. SIGQUIT and the signals of a defect keep their default action, which writes
//! a core dump.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that are logged and change nothing, with their names. The numbers are those of Linux on x86, ARM
/// and RISC-V.
///
/// SIGXFSZ is sent for a write beyond the limit for the size of a file (RLIMIT_FSIZE). With a handler the
/// write fails with EFBIG, which the log reports like a full disk. SIGXCPU is sent at the soft limit for CPU
/// time.
const WITHOUT_EFFECT: [(i32, &str); 9] = [
    (10, "SIGUSR1"),
    (12, "SIGUSR2"),
    (14, "SIGALRM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
];

/// The installed handlers.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers. Must be called in the context of a runtime. Returns the signals that stop the
    /// daemon, and SIGHUP.
    ///
    /// # Errors
    /// Fails if the kernel refuses a handler, or the runtime cannot watch for signals.
    pub(super) fn install() -> io::Result<(Self, Signal)> {
        for (number, name) in WITHOUT_EFFECT {
            let mut ignored = signal(SignalKind::from_raw(number))?;
            tokio::spawn(async move {
                while ignored.recv().await.is_some() {
                    tracing::warn!(signal = name, detail = "this signal has no effect", "signal_ignored");
                }
            });
        }
        let hangup = signal(SignalKind::hangup())?;
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok((Self { terminate, interrupt }, hangup))
    }

    /// Waits for a signal that stops the daemon, and returns its name.
    pub(super) async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
