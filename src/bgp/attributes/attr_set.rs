//! ATTR_SET (RFC 6368 section 5).

use crate::bgp::attribute_bytes::{Attribute, AttributeBytes};
use crate::wire::{self, Cursor};

/// Divides the value into the origin AS number (4 octets) and the nested attributes.
///
/// An attribute that extends past the end makes the whole ATTR_SET malformed.
pub(super) fn split(value: &[u8]) -> Result<(u32, AttributeBytes<'_>), wire::Error> {
    let mut cursor = Cursor::new(value);
    let origin_as = cursor.u32("origin AS")?;
    let nested = AttributeBytes::from_run(cursor);
    while !cursor.is_empty() {
        Attribute::read(&mut cursor)?;
    }
    Ok((origin_as, nested))
}
