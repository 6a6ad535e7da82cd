//! Tunnel Encapsulation (RFC 9012 section 2).

use crate::route::{Tunnel, TunnelTlv};
use crate::wire::{self, Cursor};

/// Decodes tunnels of `type 2, length 2, sub-TLVs`. A sub-TLV has `type 1, length, value`; the length has one
/// octet for types below 128, else two.
pub(super) fn decode(value: &[u8]) -> Result<Vec<Tunnel>, wire::Error> {
    let mut cursor = Cursor::new(value);
    let mut tunnels = Vec::new();
    while !cursor.is_empty() {
        let kind = cursor.u16("tunnel type")?;
        let length = cursor.u16("tunnel length")?;
        let mut body = cursor.sub(usize::from(length), "tunnel")?;
        let mut tlvs = Vec::new();
        while !body.is_empty() {
            let kind = body.u8("sub-TLV type")?;
            let length =
                if kind < 128 { u16::from(body.u8("sub-TLV length")?) } else { body.u16("sub-TLV length")? };
            let value = body.take(usize::from(length), "sub-TLV")?;
            tlvs.push(TunnelTlv { kind, value: value.to_vec() });
        }
        tunnels.push(Tunnel { kind, tlvs });
    }
    Ok(tunnels)
}
