//! PMSI_TUNNEL (RFC 6514 section 5).

use crate::route::PmsiTunnel;
use crate::wire::{self, Cursor};

/// Decodes `flags 1, tunnel type 1, label 3, identifier`.
pub(super) fn decode(value: &[u8]) -> Result<PmsiTunnel, wire::Error> {
    let mut cursor = Cursor::new(value);
    let [flags, kind, a, b, c] = cursor.array("PMSI tunnel flags, type and label")?;
    let label = u32::from_be_bytes([0, a, b, c]);
    Ok(PmsiTunnel { flags, kind, label, identifier: cursor.rest().to_vec() })
}
