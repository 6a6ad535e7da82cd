//! Log events of a session.

use crate::hex::Hex;
use crate::session::{Level, Notice};

/// Number of bytes of an undecodable message in a log event.
const SHOWN_BYTES: usize = 256;

/// Writes the log event of a notice. The router is a field of the span.
pub(super) fn log_notice(Notice { level, event, peer, asn, reason_code, text, bytes }: &Notice) {
    let bgp_peer = peer.map(|peer| peer.address.to_string());
    let bgp_peer = bgp_peer.as_deref();
    let distinguisher = peer.map(|peer| peer.distinguisher).filter(|distinguisher| *distinguisher != 0);
    let data_hex = Hex(truncated(bytes));
    match level {
        Level::Debug => {
            tracing::debug!(bgp_peer, distinguisher, detail = text, %data_hex, "{event}")
        }
        Level::Info => {
            tracing::info!(bgp_peer, bgp_peer_asn = asn, distinguisher, reason_code, detail = text, "{event}")
        }
        Level::Warning => tracing::warn!(bgp_peer, distinguisher, detail = text, "{event}"),
        Level::Error => {
            tracing::error!(bgp_peer, distinguisher, error = text, %data_hex, "{event}")
        }
    }
}

/// The bytes to show in a log event.
pub(super) fn truncated(bytes: &[u8]) -> &[u8] {
    bytes.get(..SHOWN_BYTES).unwrap_or(bytes)
}
