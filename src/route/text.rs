//! Helpers for the text forms of routes and attributes.

use std::fmt;
use std::net::IpAddr;

/// Writes `items` with `separator` between them.
pub(super) fn write_joined<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    separator: &str,
    items: impl IntoIterator<Item = T>,
) -> fmt::Result {
    items.into_iter().enumerate().try_for_each(|(index, item)| {
        f.write_str(if index == 0 { "" } else { separator })?;
        item.fmt(f)
    })
}

/// A multicast source or group, `*` when it is a wildcard.
pub(super) struct OrWildcard(pub(super) Option<IpAddr>);

impl fmt::Display for OrWildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("*"),
        }
    }
}

/// A range of labels or indexes as `first+size`.
pub(super) struct LabelRange(pub(super) (u32, u32));

impl fmt::Display for LabelRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, size) = self.0;
        write!(f, "{first}+{size}")
    }
}

/// The AS number of a four-octet field, such as that of a route distinguisher of type 2: `4200000000`, but
/// `65000L` if two octets could hold it, which distinguishes it from the same number in a two-octet field.
pub(super) struct FourOctetAs(pub(super) u32);

impl fmt::Display for FourOctetAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.0 <= u32::from(u16::MAX) { "L" } else { "" };
        write!(f, "{}{mark}", self.0)
    }
}
