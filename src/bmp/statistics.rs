//! Statistics Report (RFC 7854 section 4.8).

use super::{Error, Message, PeerHeader, Stat, Tlv, tlv};
use crate::num;
use crate::wire::Cursor;

impl Stat<'_> {
    /// AFI and SAFI of a per-family statistic; `None` for another one.
    ///
    /// A per-family statistic is recognized by its length: those of RFC 7854 (types 9 and 10), RFC 8671 (16
    /// and 17) and later ones have 11 bytes.
    #[must_use]
    pub fn family(&self) -> Option<(u16, u8)> {
        match *self.value {
            [a, b, safi, _, _, _, _, _, _, _, _] => Some((u16::from_be_bytes([a, b]), safi)),
            _ => None,
        }
    }

    /// The value of a 32-bit counter, a 64-bit gauge or a 64-bit per-family gauge; `None` for another length.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match *self.value {
            [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
            [a, b, c, d, e, f, g, h] | [_, _, _, a, b, c, d, e, f, g, h] => {
                Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => None,
        }
    }
}

/// The name of a statistics type (IANA "BMP Statistics Types": RFC 7854, RFC 8671, RFC 9972); `None` if it is
/// not registered.
#[must_use]
pub const fn statistic_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        0 => "prefixes rejected by inbound policy",
        1 => "duplicate prefix advertisements",
        2 => "duplicate withdraws",
        3 => "updates invalidated, CLUSTER_LIST loop",
        4 => "updates invalidated, AS_PATH loop",
        5 => "updates invalidated, ORIGINATOR_ID",
        6 => "updates invalidated, AS_CONFED loop",
        7 => "routes in Adj-RIB-In",
        8 => "routes in Loc-RIB",
        9 => "routes in Adj-RIB-In, per family",
        10 => "routes in Loc-RIB, per family",
        11 => "updates treated as withdraw",
        12 => "prefixes treated as withdraw",
        13 => "duplicate update messages",
        14 => "routes in pre-policy Adj-RIB-Out",
        15 => "routes in post-policy Adj-RIB-Out",
        16 => "routes in pre-policy Adj-RIB-Out, per family",
        17 => "routes in post-policy Adj-RIB-Out, per family",
        18 => "routes in pre-policy Adj-RIB-In",
        19 => "routes in pre-policy Adj-RIB-In, per family",
        20 => "routes in post-policy Adj-RIB-In",
        21 => "routes in post-policy Adj-RIB-In, per family",
        22 => "routes rejected by inbound policy, per family",
        23 => "routes accepted by inbound policy, per family",
        26 => "routes suppressed by damping, per family",
        27 => "routes stale by graceful restart, per family",
        28 => "routes stale by long-lived graceful restart, per family",
        29 => "routes left until the received-route threshold",
        30 => "routes left until the received-route threshold, per family",
        31 => "routes left until the licence threshold",
        32 => "routes left until the licence threshold, per family",
        33 => "routes rejected for AS_PATH length",
        34 => "routes rejected for AS_PATH length, per family",
        35 => "RPKI-invalid routes in post-policy Adj-RIB-In, per family",
        36 => "RPKI-valid routes in post-policy Adj-RIB-In, per family",
        37 => "RPKI-not-found routes in post-policy Adj-RIB-In, per family",
        38 => "routes rejected by outbound policy, per family",
        39 => "routes filtered outbound for AS_PATH length",
        40 => "routes filtered outbound for AS_PATH length, per family",
        41 => "RPKI-invalid routes in post-policy Adj-RIB-Out, per family",
        42 => "RPKI-valid routes in post-policy Adj-RIB-Out, per family",
        43 => "RPKI-not-found routes in post-policy Adj-RIB-Out, per family",
        _ => return None,
    })
}

/// Type of the TLV of version 4 that contains the body of version 3 (draft-ietf-grow-bmp-tlv section 5.4).
const STATS_TLV: u16 = 1;

/// Decodes a message of version 4. Before revision 20 of the draft its body is that of version 3, which is
/// used if it fits and the body is not one of TLVs.
pub(super) fn decode_tlvs(cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let message = contained(cursor)?;
    let Message::StatisticsReport { stats, trailer, .. } = &message else { return Ok(message) };
    if stats.is_empty() || !trailer.is_empty() {
        let is_whole = |other: &Message<'_>| match other {
            Message::StatisticsReport { stats, count, trailer, .. } => {
                trailer.is_empty() && num::to_u64(stats.len()) == u64::from(*count)
            }
            _ => false,
        };
        if let Some(other) = decode(cursor).ok().filter(is_whole) {
            return Ok(other);
        }
    }
    Ok(message)
}

/// Decodes a message whose statistics are in a TLV.
fn contained(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let (mut all, mut total): (Vec<Stat<'_>>, u32) = (Vec::new(), 0);
    let (mut tlvs, mut trailer) = tlv::decode(cursor);
    for tlv in tlvs.extract_if(.., |tlv| tlv.kind == STATS_TLV) {
        let mut value = Cursor::new(tlv.value);
        let (stats, rest) = match value.u32("statistics count") {
            Ok(count) => {
                total = total.saturating_add(count);
                tlv::decode(value)
            }
            Err(_) => (Vec::new(), tlv.value),
        };
        all.extend(stats.iter().map(Stat::from));
        trailer = if trailer.is_empty() { rest } else { trailer };
    }
    Ok(Message::StatisticsReport { peer, stats: all, count: total, tlvs, trailer })
}

pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let count = cursor.u32("statistics count")?;
    let (stats, trailer) = tlv::decode(cursor);
    let stats = stats.iter().map(Stat::from).collect();
    Ok(Message::StatisticsReport { peer, stats, count, tlvs: Vec::new(), trailer })
}

impl<'a> From<&Tlv<'a>> for Stat<'a> {
    /// A statistic has the form of a TLV.
    fn from(tlv: &Tlv<'a>) -> Self {
        Self { kind: tlv.kind, value: tlv.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_statistic_determines_its_form() {
        let stat = |value| Stat { kind: 9, value };
        let family = stat(&[0, 2, 1, 0, 0, 0, 1, 0, 0, 0, 5]);
        assert_eq!((family.family(), family.number()), (Some((2, 1)), Some((1 << 32) + 5)));
        let counter = stat(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!((counter.family(), counter.number()), (None, Some(u64::from(u32::MAX))));
        assert_eq!(stat(&[0, 0, 0, 0, 0, 0, 0, 9]).number(), Some(9));
        for odd in [[].as_slice(), &[1, 2, 3], &[0; 12]] {
            assert_eq!((stat(odd).family(), stat(odd).number()), (None, None));
        }
    }
}
