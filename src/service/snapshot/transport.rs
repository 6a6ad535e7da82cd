//! The transports of the status document.

use super::health::Condition;
use super::seconds;
use crate::listener::{RemoteState, SessionTransport, TransportStatus};
use crate::telemetry::clock;
use crate::telemetry::status::{self, HandshakeFailure, Remote};

pub(super) fn transport(status: &TransportStatus) -> status::Transport {
    let view = status.view();
    status::Transport {
        handshakes_failed: view.handshakes_failed,
        last_handshake_failure: view.last_failure.map(|failure| HandshakeFailure {
            address: failure.address.to_string(),
            cause: failure.cause,
            time: clock::iso8601(failure.time),
        }),
        tls_error: view.tls_error,
        remotes: view
            .remotes
            .into_iter()
            .map(|remote| Remote {
                remote: remote.remote,
                state: state(remote.state),
                failures: remote.failures,
                last_error: remote.last_error,
            })
            .collect(),
    }
}

const fn state(state: RemoteState) -> status::RemoteState {
    match state {
        RemoteState::Connecting => status::RemoteState::Connecting,
        RemoteState::Connected => status::RemoteState::Connected,
        RemoteState::Waiting => status::RemoteState::Waiting,
        RemoteState::HeldOff => status::RemoteState::HeldOff,
    }
}

pub(super) fn session(transport: &SessionTransport) -> status::SessionTransport {
    status::SessionTransport {
        security: transport.security.clone(),
        receive_queue_bytes: transport.receive_queue_bytes,
        blocked_s: seconds(transport.blocked),
        slowed_s: seconds(transport.slowed),
        slowed: transport.is_slowed,
    }
}

/// The condition of the routers that the collector connects to.
pub(super) fn conditions(transport: &status::Transport) -> Option<Condition> {
    let is_missing = |remote: &&Remote| remote.state != status::RemoteState::Connected;
    let missing: Vec<String> = transport
        .remotes
        .iter()
        .filter(is_missing)
        .map(|Remote { remote, last_error, .. }| match last_error {
            Some(error) => format!("{remote} ({error})"),
            None => remote.clone(),
        })
        .collect();
    Some(missing).filter(|missing| !missing.is_empty()).map(Condition::RemotesNotConnected)
}
