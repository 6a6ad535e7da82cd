//! The transports of the status document.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Transports of the listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// TLS handshakes that failed since the start, and connections from proxies without an acceptable PROXY
    /// header.
    pub handshakes_failed: u64,
    /// The last one of them; `None` if there was none.
    pub last_handshake_failure: Option<HandshakeFailure>,
    /// Why the present files of TLS cannot be used; those read before are in use then. `None` if there is no
    /// error.
    pub tls_error: Option<String>,
    /// Routers to which the collector connects (BMP_CONNECT).
    pub remotes: Vec<Remote>,
}

/// A failed handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeFailure {
    /// Source address of the connection.
    pub address: String,
    /// Cause of the failure.
    pub cause: String,
    /// Time of the failure, in ISO 8601.
    pub time: String,
}

/// A router to which the collector connects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Host and port, as configured.
    pub remote: String,
    /// State of the connection.
    pub state: RemoteState,
    /// Consecutive attempts that failed, or whose connection ended within seconds.
    pub failures: u32,
    /// Error of the last attempt; `None` if there was none since the last connection.
    pub last_error: Option<String>,
}

/// State of a connection that the collector opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteState {
    /// An attempt is being made.
    #[default]
    #[serde(rename = "connecting")]
    Connecting,
    /// The connection is open.
    #[serde(rename = "connected")]
    Connected,
    /// The next attempt follows after a delay.
    #[serde(rename = "waiting")]
    Waiting,
    /// No attempt is made until log usage is below 50 %.
    #[serde(rename = "held off")]
    HeldOff,
}

impl RemoteState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Connecting, Self::Connected, Self::Waiting, Self::HeldOff];
}

impl fmt::Display for RemoteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
            Self::HeldOff => "held off",
        })
    }
}

/// Transport of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionTransport {
    /// Protection of the connection, such as `TLS 1.3, client certificate`; empty for plain TCP.
    pub security: String,
    /// Bytes that have arrived and were not read yet, at most about a second ago.
    pub receive_queue_bytes: u64,
    /// Seconds of this session during which nothing was read, because the log did not accept a batch.
    pub blocked_s: f64,
    /// Seconds of this session during which nothing was read, because the router reported new peers too fast.
    #[serde(default)]
    pub slowed_s: f64,
    /// Whether nothing is read for this reason now.
    #[serde(default)]
    pub slowed: bool,
}

impl Transport {
    /// The lines of the text form, without those that say nothing.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(HandshakeFailure { address, cause, time }) = &self.last_handshake_failure {
            lines.push(format!(
                "          {} handshakes failed since start, last {time} {address}: {cause}",
                self.handshakes_failed
            ));
        }
        let tls_error =
            |error| format!("          TLS files cannot be loaded, the previous ones stay in use: {error}");
        lines.extend(self.tls_error.iter().map(tls_error));
        for Remote { remote, state, last_error, .. } in &self.remotes {
            let error =
                last_error.as_ref().map_or_else(String::new, |error| format!(", last error: {error}"));
            lines.push(format!("          to {remote}: {state}{error}"));
        }
        lines
    }
}

impl SessionTransport {
    /// The line of the text form; `None` if everything is as usual.
    pub(super) fn line(&self) -> Option<String> {
        let mut parts = Vec::new();
        if !self.security.is_empty() {
            parts.push(self.security.clone());
        }
        if self.receive_queue_bytes > 0 {
            parts.push(format!("{} bytes not read yet", self.receive_queue_bytes));
        }
        if self.blocked_s > 0.0 {
            parts.push(format!("blocked by the log for {:.3} s", self.blocked_s));
        }
        if self.slowed_s > 0.0 {
            let now = if self.slowed { ", also now" } else { "" };
            parts.push(format!("not read for {:.3} s because of too many new peers{now}", self.slowed_s));
        }
        if parts.is_empty() { None } else { Some(format!("    {}", parts.join(", "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_alike_in_text_and_in_json() {
        for state in
            [RemoteState::Connecting, RemoteState::Connected, RemoteState::Waiting, RemoteState::HeldOff]
        {
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
        }
    }

    #[test]
    fn only_what_is_unusual_is_in_the_text() {
        assert!(Transport::default().lines().is_empty());
        assert_eq!(SessionTransport::default().line(), None);
        let blocked = SessionTransport { blocked_s: 0.25, receive_queue_bytes: 9, ..Default::default() };
        assert_eq!(blocked.line().unwrap(), "    9 bytes not read yet, blocked by the log for 0.250 s");
    }
}
