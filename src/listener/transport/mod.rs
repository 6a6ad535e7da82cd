//! Transports below BMP: listening sockets, TLS, the PROXY protocol, TCP-MD5, and connections that the
//! collector opens.
//!
//! ```text
//! Sockets::accept ─► PROXY header, if the source is a proxy ─► admission ─► task: TLS handshake ─► Stream
//! active::spawn ───────────────────────────────────────────────────▲
//! ```
//!
//! Nothing here waits in the accept loop: a PROXY header and a handshake are read in tasks with a time limit.

pub mod proxy;

mod active;
mod incoming;
mod meter;
mod sockets;
mod status;
mod stream;
mod tcp_md5;
mod tls;
mod tls_error;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::route::Prefix;
use crate::tls::TlsServer;

pub(super) use active::spawn as spawn_connectors;
pub(super) use incoming::{Incoming, foreign_protocol};
pub(super) use meter::Meter;
pub use meter::SessionTransport;
pub use sockets::{BindError, Endpoint, SocketOptions, Sockets};
pub use status::{HandshakeFailure, RemoteState, RemoteStatus, TransportStatus, TransportView};
pub(super) use stream::Stream;
pub use tcp_md5::{Md5Key, Md5KeyError};

/// Settings of the transports.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// Server side of TLS; `None` if no endpoint is TLS.
    pub tls: Option<Arc<TlsServer>>,
    /// If true, the first DNS name of a router's certificate is the router's name.
    pub certificate_names: bool,
    /// Time limit for a PROXY header, and for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Options of the sockets.
    pub sockets: SocketOptions,
    /// Sources whose connections must begin with a PROXY header.
    pub proxies: Vec<Prefix>,
    /// Routers to which the collector connects.
    pub remotes: Vec<Endpoint>,
}

impl TransportOptions {
    /// Whether connections from this address must begin with a PROXY header.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|prefix| prefix.contains(address))
    }
}
