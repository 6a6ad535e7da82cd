//! AS_PATH (RFC 4271 section 4.3, RFC 5065, RFC 6793, RFC 7606 section 7.2).

use crate::bgp::attribute_bytes::AttributeBytes;
use crate::route::attribute_code::AS_PATH;
use crate::route::{AsPath, AsPathSegment, SegmentKind};
use crate::wire::Cursor;

/// Decodes segments. AS numbers have four octets if `four_octet_as`, else two.
///
/// ```text
/// +-- 1 --+-- 1 ----------+-- 2 or 4 each -- - -
/// | type  | AS numbers, n | n AS numbers
/// +-------+---------------+--------------- - -
/// ```
pub(super) fn decode(value: &[u8], four_octet_as: bool) -> Result<AsPath, String> {
    let mut path = AsPath::default();
    path.asns.reserve_exact(value.len() / width(four_octet_as));
    for segment in (Segments { cursor: Cursor::new(value), four_octet_as }) {
        let (kind, count, asns) = segment?;
        if four_octet_as {
            let (asns, _) = asns.as_chunks::<4>();
            path.asns.extend(asns.iter().map(|asn| u32::from_be_bytes(*asn)));
        } else {
            let (asns, _) = asns.as_chunks::<2>();
            path.asns.extend(asns.iter().map(|asn| u32::from(u16::from_be_bytes(*asn))));
        }
        path.segments.push(AsPathSegment { kind, count: u16::from(count) });
    }
    Ok(path)
}

/// Returns an error if the path contains AS number 0: it is malformed then (RFC 7607 section 2).
pub(super) fn refuse_as_0(path: &AsPath) -> Result<(), String> {
    if path.asns.contains(&0) { Err("AS number 0 (RFC 7607)".to_owned()) } else { Ok(()) }
}

/// True if `attributes` have no AS_PATH, or one whose segments fill it exactly at this AS number width.
pub(super) fn width_fits(attributes: &AttributeBytes<'_>, four_octet_as: bool) -> bool {
    let Some(path) = attributes.iter().find(|attribute| attribute.code == AS_PATH) else {
        return true;
    };
    Segments { cursor: Cursor::new(path.value), four_octet_as }.all(|segment| segment.is_ok())
}

/// Octets of an AS number.
const fn width(four_octet_as: bool) -> usize {
    if four_octet_as { 4 } else { 2 }
}

/// Iterator over segments. Ends after the first malformed one: of unassigned type, without AS numbers, or
/// truncated.
struct Segments<'a> {
    cursor: Cursor<'a>,
    four_octet_as: bool,
}

impl<'a> Segments<'a> {
    /// Reads segment type, count and AS numbers.
    fn read(&mut self) -> Result<(SegmentKind, u8, &'a [u8]), String> {
        let offset = self.cursor.offset();
        let [kind, count] = self.cursor.array("segment header").map_err(|error| error.to_string())?;
        let Ok(kind) = SegmentKind::try_from(kind) else {
            return Err(format!(
                "segment at byte {offset} of the value: invalid type {kind}, expected 1 to 4"
            ));
        };
        if count == 0 {
            return Err(format!("segment at byte {offset} of the value: empty"));
        }
        let bytes = usize::from(count) * width(self.four_octet_as);
        let asns = self.cursor.take(bytes, "segment").map_err(|error| error.to_string())?;
        Ok((kind, count, asns))
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<(SegmentKind, u8, &'a [u8]), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let segment = self.read();
        if segment.is_err() {
            self.cursor = Cursor::default();
        }
        Some(segment)
    }
}
