//! State of the transports for the status: failed handshakes, the certificate, and outgoing connections.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::route::Timestamp;
use crate::tls::TlsServer;

/// Counters and states of the transports. Shared by the listener and the status.
#[derive(Debug, Default)]
pub struct TransportStatus {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    handshakes_failed: u64,
    last_failure: Option<HandshakeFailure>,
    remotes: Vec<RemoteStatus>,
    tls: Option<Arc<TlsServer>>,
}

/// A failed TLS handshake, or a missing or unacceptable PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeFailure {
    /// Source of the connection.
    pub address: IpAddr,
    /// Cause of the failure.
    pub cause: String,
    /// Time of the failure.
    pub time: Timestamp,
}

/// A router to which the collector connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStatus {
    /// Host and port as configured.
    pub remote: String,
    /// State of the connection.
    pub state: RemoteState,
    /// Attempts in a row that failed, or whose connection ended within seconds.
    pub failures: u32,
    /// Error of the last attempt; `None` if there was none since the last connection.
    pub last_error: Option<String>,
}

/// State of an outgoing connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteState {
    /// No attempt has ended yet, or one is being made.
    #[default]
    Connecting,
    /// Connected.
    Connected,
    /// The next attempt follows after a delay.
    Waiting,
    /// No attempt is made, because the log was full and its usage is not below 50 % yet.
    HeldOff,
}

/// The state at one time.
#[derive(Clone, Debug, Default)]
pub struct TransportView {
    /// Failed handshakes and PROXY headers since the start.
    pub handshakes_failed: u64,
    /// The last one.
    pub last_failure: Option<HandshakeFailure>,
    /// Outgoing connections, in the order of `BMP_CONNECT`.
    pub remotes: Vec<RemoteStatus>,
    /// Why the present files of TLS cannot be used; `None` if they are in use, or TLS is not configured.
    pub tls_error: Option<String>,
}

impl TransportStatus {
    /// The state now.
    #[must_use]
    pub fn view(&self) -> TransportView {
        let inner = self.lock();
        TransportView {
            handshakes_failed: inner.handshakes_failed,
            last_failure: inner.last_failure.clone(),
            remotes: inner.remotes.clone(),
            tls_error: inner.tls.as_ref().and_then(|tls| tls.error()),
        }
    }

    /// The TLS server; `None` if TLS is not configured.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<TlsServer>> {
        self.lock().tls.clone()
    }

    /// Sets the TLS server whose state is shown.
    pub(in crate::listener) fn set_tls(&self, tls: Option<Arc<TlsServer>>) {
        self.lock().tls = tls;
    }

    /// Counts a failed handshake or PROXY header.
    pub(in crate::listener) fn handshake_failed(&self, address: IpAddr, cause: String, time: Timestamp) {
        let mut inner = self.lock();
        inner.handshakes_failed += 1;
        inner.last_failure = Some(HandshakeFailure { address, cause, time });
    }

    /// Adds an outgoing connection. Returns its index.
    pub(super) fn add_remote(&self, remote: String) -> usize {
        let mut inner = self.lock();
        let state = RemoteState::Connecting;
        inner.remotes.push(RemoteStatus { remote, state, failures: 0, last_error: None });
        inner.remotes.len() - 1
    }

    /// Changes the state of an outgoing connection.
    pub(super) fn update_remote(&self, index: usize, update: impl FnOnce(&mut RemoteStatus)) {
        if let Some(remote) = self.lock().remotes.get_mut(index) {
            update(remote);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
