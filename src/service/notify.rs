//! systemd's notification protocol (sd_notify(3)): one datagram per message to the socket in `NOTIFY_SOCKET`.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{io, process};

use rustix::time::{ClockId, clock_gettime};

/// Sends notifications to the service manager. Without a service manager it sends nothing.
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
    /// Whether the service manager expects watchdog messages of this process.
    watchdog: bool,
}

impl Notifier {
    /// Connects to the socket in `NOTIFY_SOCKET`, if it is set.
    pub(super) fn from_env() -> Self {
        let address = env::var("NOTIFY_SOCKET").ok().filter(|address| !address.is_empty());
        let socket = address.and_then(|address| {
            connect(&address).inspect_err(|error| tracing::warn!(address, %error, "notify_socket_error")).ok()
        });
        // WATCHDOG_PID names the process that must send the watchdog messages, which may be another one of
        // the service.
        let pid = env::var("WATCHDOG_PID").ok();
        let for_this_process = pid.is_none_or(|pid| pid == process::id().to_string());
        Self { socket, watchdog: for_this_process && env::var("WATCHDOG_USEC").is_ok() }
    }

    /// Sends a message of `NAME=value` lines. Errors are logged at level DEBUG.
    pub(super) fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "notify_failed");
        }
    }

    /// Reports that the settings are read again; `READY=1` ends it. By the time, the service manager knows
    /// whether its last request was before or after the beginning of this reload.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// Resets the watchdog of the service manager.
    pub(super) fn reset_watchdog(&self) {
        if self.watchdog {
            self.send("WATCHDOG=1");
        }
    }
}

fn connect(address: &str) -> io::Result<UnixDatagram> {
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A service manager that does not read must not block the collector.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
