//! Statistics Report (RFC 7854 section 4.8).

use super::{Error, Message, PeerHeader};
use crate::wire::Cursor;

/// One counter or gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Its type by the IANA number, unknown ones too.
    pub kind: u16,
    /// Its bytes.
    pub value: &'a [u8],
}

impl Stat<'_> {
    /// AFI and SAFI of a per-family statistic, which is told by its length: types 9 and 10 of RFC 7854, 16 and 17 of
    /// RFC 8671, and those that came later, have eleven bytes.
    #[must_use]
    pub fn family(&self) -> Option<(u16, u8)> {
        match *self.value {
            [a, b, safi, _, _, _, _, _, _, _, _] => Some((u16::from_be_bytes([a, b]), safi)),
            _ => None,
        }
    }

    /// The number: a 32-bit counter, a 64-bit gauge, or the 64-bit gauge of one family. `None` for any other length.
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

/// Smallest statistic: type and length.
const STAT_BYTES_MIN: usize = 4;

pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Message<'_>, Error> {
    let peer = PeerHeader::decode(&mut cursor)?;
    let count = usize::try_from(cursor.u32("statistics count")?).unwrap_or(usize::MAX);
    // The count is a claim of the sender: memory is taken for what can be there.
    let mut stats = Vec::with_capacity(count.min(cursor.remaining() / STAT_BYTES_MIN));
    for _ in 0..count {
        let kind = cursor.u16("statistic type")?;
        let length = cursor.u16("statistic length")?;
        stats.push(Stat { kind, value: cursor.take(usize::from(length), "statistic")? });
    }
    cursor.finish("bytes after the last statistic")?;
    Ok(Message::StatisticsReport { peer, stats })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_tells_what_a_statistic_is() {
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
