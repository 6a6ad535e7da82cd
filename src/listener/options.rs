//! Settings of the listener.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::registry::Slots;
use super::transport::TransportOptions;
use crate::route::Prefix;
use crate::session::Overrides;

/// How connections are accepted and sessions are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Source prefixes that may connect. If empty, any address may.
    pub allow: Vec<Prefix>,
    /// Limits of connections.
    pub slots: Slots,
    /// Router names by source address, in place of the sysName that the router sends.
    pub router_names: BTreeMap<IpAddr, String>,
    /// If true, a router that claims a name which was last recorded from another address gets another name.
    pub moves_denied: bool,
    /// Encodings set by the operator, by the router's name.
    pub overrides: BTreeMap<String, Overrides>,
    /// Time limit for the first Initiation or per-peer message of a connection.
    pub first_message: Duration,
    /// Idle time before TCP keepalive probes are sent.
    pub keepalive: Duration,
    /// Time without an acknowledgement after which a connection is closed (TCP_USER_TIMEOUT).
    pub user_timeout: Duration,
    /// Time without a first announcement of a route, after which, with End-of-RIB, routes that were not
    /// re-announced are swept.
    pub sweep_quiet: Duration,
    /// The same time without End-of-RIB; `None` for no such sweep.
    pub sweep_without_end_of_rib: Option<Duration>,
    /// Number of routes at which a batch is closed.
    pub batch_routes_max: usize,
    /// Age of its first record at which a batch is closed.
    pub batch_delay_max: Duration,
    /// Interval of the `route_stats` log event of each session.
    pub stats_interval: Duration,
    /// If true, new connections of routers that are paused at their share of the log are held, and, from the
    /// time at which the log is paused until log usage is below 50 %, those of unknown routers.
    pub hold_off: bool,
    /// Sockets, TLS, PROXY protocol, TCP-MD5 and active mode.
    pub transport: TransportOptions,
}
