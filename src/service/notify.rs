//! systemd's notify protocol (sd_notify(3)): one datagram per message to the socket in `NOTIFY_SOCKET`.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{io, process};

/// Tells the service manager how the service is. Without one it tells nobody.
pub(super) struct Notifier {
    socket: Option<UnixDatagram>,
    watchdog: bool,
}

impl Notifier {
    /// As the environment of this process says.
    pub(super) fn of_process() -> Self {
        let address = env::var("NOTIFY_SOCKET").ok().filter(|address| !address.is_empty());
        let socket = address.and_then(|address| {
            connect(&address).inspect_err(|error| tracing::warn!(address, %error, "notify_socket_error")).ok()
        });
        // A watchdog may be meant for another process of the same service.
        let pid = env::var("WATCHDOG_PID").ok();
        let for_us = pid.is_none_or(|pid| pid == process::id().to_string());
        Self { socket, watchdog: for_us && env::var("WATCHDOG_USEC").is_ok() }
    }

    /// Sends `NAME=value` lines.
    pub(super) fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!(%error, "notify_failed");
        }
    }

    /// Says that the service makes progress.
    pub(super) fn alive(&self) {
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
    // A manager that does not read must not hold up the collector.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
