//! The BMP listener of the status document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::transport::Transport;

/// Reasons in [`Listener::refused_by`].
pub const REFUSAL_REASONS: [&str; 4] =
    ["BMP_ALLOW", "BMP_MAX_CONNECTIONS", "BMP_MAX_CONNECTIONS_PER_ADDRESS", "PROXY headers awaited"];

/// BMP listener.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Listener {
    /// Addresses and ports that routers connect to, in the form of BMP_LISTEN.
    pub address: String,
    /// Whether connections are accepted: the records of the start are in the log.
    #[serde(default)]
    pub listening: bool,
    /// Open connections.
    pub connections: usize,
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Number of open connections from one address, or from one IPv6 /64, above which further ones are
    /// refused once less than a tenth of `connections_max` is free.
    #[serde(default)]
    pub connections_per_address_max: usize,
    /// Open connections that have sent neither an Initiation nor a per-peer message.
    #[serde(default)]
    pub unidentified: usize,
    /// Slots reserved for configured routers that are not connected.
    #[serde(default)]
    pub reserved: usize,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Connections refused since the start.
    pub refused: u64,
    /// Seconds since the last connection was refused; `None` if none was.
    #[serde(default)]
    pub refused_age_s: Option<f64>,
    /// Connections refused since the start, by the setting that refused them.
    #[serde(default)]
    pub refused_by: BTreeMap<String, u64>,
    /// Connections of configured routers refused since the start.
    #[serde(default)]
    pub configured_refused: u64,
    /// Up to five sources with the most refused connections since the start, most first.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Connections closed since the start for another one, because they had sent neither an Initiation nor a
    /// per-peer message.
    #[serde(default)]
    pub displaced: u64,
    /// Connections closed since the start, because they had sent neither an Initiation nor a per-peer message
    /// within BMP_FIRST_MESSAGE_S or within 256 KiB.
    #[serde(default)]
    pub not_identified: u64,
    /// Failed accept calls since the start.
    pub accept_errors: u64,
    /// New connections of unknown routers wait, because the log was full and its usage is not yet below 50 %.
    pub held_off: bool,
    /// Number of periods with `held_off` since the start.
    pub hold_offs: u64,
    /// Handshakes, TLS files, and connections that the collector opens.
    #[serde(default)]
    pub transport: Transport,
}

/// Connections of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Address, or IPv6 /64.
    pub source: String,
    /// Open connections.
    pub connections: usize,
    /// Connections refused since the start.
    pub refused: u64,
}
