//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760), divided into their fields.

use crate::route::Family;
use crate::wire::{self, Cursor};

/// MP_REACH_NLRI (RFC 4760 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpReach<'a> {
    /// Address family of the routes.
    pub family: Family,
    /// Undecoded next hop field.
    pub next_hop: &'a [u8],
    /// Announced routes, undecoded.
    pub nlri: &'a [u8],
}

/// MP_UNREACH_NLRI (RFC 4760 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpUnreach<'a> {
    /// Address family of the routes.
    pub family: Family,
    /// Withdrawn routes, undecoded.
    pub nlri: &'a [u8],
}

/// Reads AFI and SAFI.
#[inline]
fn family(cursor: &mut Cursor<'_>) -> Result<Family, wire::Error> {
    let [a, b, safi] = cursor.array("AFI and SAFI")?;
    Ok(Family { afi: u16::from_be_bytes([a, b]), safi })
}

impl<'a> MpReach<'a> {
    /// Divides an attribute value into its fields.
    ///
    /// ```text
    /// +-- 2 --+-- 1 --+-- 1 ---+-- length -+-- 1 ------+-- - -
    /// |  AFI  | SAFI  | length | next hop  | reserved  | NLRI
    /// +-------+-------+--------+-----------+-----------+-- - -
    /// ```
    #[inline]
    pub(super) fn decode(mut cursor: Cursor<'a>) -> Result<Self, wire::Error> {
        let family = family(&mut cursor)?;
        let length = cursor.u8("MP_REACH_NLRI next hop length")?;
        let next_hop = cursor.take(usize::from(length), "MP_REACH_NLRI next hop")?;
        cursor.u8("MP_REACH_NLRI reserved octet")?;
        Ok(Self { family, next_hop, nlri: cursor.rest() })
    }
}

impl<'a> MpUnreach<'a> {
    /// Divides an attribute value into its fields: `AFI 2, SAFI 1, NLRI`.
    #[inline]
    pub(super) fn decode(mut cursor: Cursor<'a>) -> Result<Self, wire::Error> {
        let family = family(&mut cursor)?;
        Ok(Self { family, nlri: cursor.rest() })
    }
}
