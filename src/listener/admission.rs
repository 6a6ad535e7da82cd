//! Admission: checks an accepted connection against the limits, and starts its task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use super::options::Options;
use super::registry::{Admitted, RefusalReason, Registry, SessionEntry, Slots};
use super::shared::Shared;
use super::transport::Incoming;
use crate::telemetry::clock;

impl Shared {
    /// Checks an accepted connection against the limits and starts its task.
    pub(super) fn accepted(
        self: &Arc<Self>,
        incoming: Incoming,
        tasks: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) {
        let address = incoming.address;
        let options = self.options();
        let allow = &options.allow;
        let is_allowed = incoming.is_outgoing() || allow.is_empty();
        if !is_allowed && !allow.iter().any(|prefix| prefix.contains(address.ip())) {
            self.registry.refuse(RefusalReason::NotAllowed, address.ip());
            tracing::warn!(peer = %address.ip(), reason = "not in BMP_ALLOW", "connection_refused");
            return;
        }
        let Some(entry) = self.admit(address, incoming.is_outgoing(), &options.slots) else { return };
        if let Err(error) = set_socket_options(&incoming.stream, &options) {
            tracing::warn!(peer = %address.ip(), %error, "socket_option_error");
        }
        let shared = Arc::clone(self);
        tasks.spawn(connection::run(shared, incoming, entry, stop.clone()));
    }

    /// Gives a slot to a connection, or logs its refusal.
    fn admit(&self, address: SocketAddr, is_outgoing: bool, slots: &Slots) -> Option<SessionEntry> {
        let peer = address.ip();
        let mut configured = slots.addresses(|name| self.state.last_address(name));
        if is_outgoing {
            configured.insert(peer);
        }
        match Registry::admit(&self.registry, address, (slots, &configured), clock::now()) {
            Ok(Admitted { entry, displaced }) => {
                if let Some(displaced) = displaced {
                    let detail = "the connection had sent neither an Initiation nor a per-peer message";
                    tracing::warn!(
                        peer = %displaced.ip(),
                        displaced_by = %peer,
                        detail,
                        "connection_displaced"
                    );
                }
                Some(entry)
            }
            Err(reason) => {
                let limit = match reason {
                    RefusalReason::PerAddress => slots.per_source_max,
                    RefusalReason::Connections | RefusalReason::NotAllowed | RefusalReason::ProxyHeaders => {
                        slots.connections_max
                    }
                };
                let (reason, is_configured) = (reason.setting(), configured.contains(&peer));
                tracing::error!(%peer, reason, limit, is_configured, "connection_refused");
                None
            }
        }
    }
}

fn set_socket_options(stream: &TcpStream, options: &Options) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let Options { keepalive, user_timeout, .. } = *options;
    let interval = (user_timeout.saturating_sub(keepalive) / 3).max(Duration::from_secs(1));
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(keepalive).with_interval(interval).with_retries(3),
    )?;
    socket.set_tcp_user_timeout(Some(user_timeout))
}
