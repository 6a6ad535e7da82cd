//! AS_PATH (RFC 4271 section 4.3, RFC 5065).

use std::fmt;

use serde::{Deserialize, Serialize};

/// An AS path. The AS numbers of all segments are stored in one vector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AsPath {
    /// AS numbers of all segments, segment after segment.
    pub asns: Vec<u32>,
    /// The segments. Their counts sum to `asns.len()`. The empty path of a locally originated route has none.
    pub segments: Vec<AsPathSegment>,
}

/// One segment of an AS path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AsPathSegment {
    /// Segment type.
    pub kind: SegmentKind,
    /// Number of AS numbers in the segment. On the wire, 1 to 255; more after AS4_PATH has been merged in.
    pub count: u16,
}

/// AS path segment types with their numbers on the wire (RFC 4271 section 4.3, RFC 5065 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum SegmentKind {
    /// AS_SET.
    Set = 1,
    /// AS_SEQUENCE.
    Sequence = 2,
    /// AS_CONFED_SEQUENCE.
    ConfedSequence = 3,
    /// AS_CONFED_SET.
    ConfedSet = 4,
}

impl From<SegmentKind> for u8 {
    fn from(kind: SegmentKind) -> Self {
        kind as Self
    }
}

impl TryFrom<u8> for SegmentKind {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            1 => Self::Set,
            2 => Self::Sequence,
            3 => Self::ConfedSequence,
            4 => Self::ConfedSet,
            _ => return Err("invalid AS path segment type: expected 1 to 4"),
        })
    }
}

impl AsPath {
    /// The segments, each with its AS numbers.
    pub fn iter(&self) -> impl Iterator<Item = (SegmentKind, &[u32])> {
        let mut rest = self.asns.as_slice();
        self.segments.iter().map(move |segment| {
            let (head, tail) = rest.split_at_checked(usize::from(segment.count)).unwrap_or((rest, &[]));
            rest = tail;
            (segment.kind, head)
        })
    }

    /// The AS that originated the route: the last AS number if the path ends in an AS_SEQUENCE. `None` for an
    /// empty path, and for one that ends in a set or a confederation segment, which do not name a single
    /// origin.
    #[must_use]
    pub fn origin_as(&self) -> Option<u32> {
        let (kind, asns) = self.iter().last()?;
        (kind == SegmentKind::Sequence).then_some(asns.last().copied()).flatten()
    }
}

/// `65001 65002 {65003,65004} (65005 65006) [65007,65008]`: braces for AS_SET, parentheses for
/// AS_CONFED_SEQUENCE, brackets for AS_CONFED_SET.
impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (segment_index, (kind, asns)) in self.iter().enumerate() {
            let (open, separator, close) = match kind {
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::ConfedSequence => ("(", " ", ")"),
                SegmentKind::ConfedSet => ("[", ",", "]"),
            };
            f.write_str(if segment_index == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (index, asn) in asns.iter().enumerate() {
                write!(f, "{}{asn}", if index == 0 { "" } else { separator })?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}
