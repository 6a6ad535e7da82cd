//! UPDATE (RFC 4271 section 4.3): cut into its fields.

use super::attribute_bytes::{Attribute, AttributeBytes};
use super::mp::{MP_REACH, MP_UNREACH, MpReach, MpUnreach};
use super::{Error, header};
use crate::route::Family;
use crate::wire::{self, Cursor};

/// Message type of an UPDATE.
const UPDATE: u8 = 2;

/// One UPDATE, cut but not decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Update<'a> {
    /// Withdrawn IPv4 unicast routes.
    pub withdrawn: &'a [u8],
    /// Announced IPv4 unicast routes.
    pub nlri: &'a [u8],
    /// Path attributes but the two below.
    pub attributes: AttributeBytes<'a>,
    /// Announced routes of any family.
    pub mp_reach: Option<MpReach<'a>>,
    /// Withdrawn routes of any family.
    pub mp_unreach: Option<MpUnreach<'a>>,
    /// Where the attribute section is cut short: an attribute runs past its end. What stands before it counts; all
    /// routes of the message are to be treated as withdrawn (RFC 7606 section 4), as [`super::attributes()`] says.
    pub malformed: Option<wire::Error>,
}

/// Cuts one BGP message into the fields of an UPDATE.
///
/// ```text
/// +-- 2 ---+-- - - ----+-- 2 ---+-- - - ---------+-- - -
/// | length | withdrawn | length | attributes     | NLRI
/// +--------+-----------+--------+----------------+-- - -
/// ```
///
/// # Errors
/// No UPDATE, or one whose routes cannot be found: a field length past the end of the message, or a malformed or
/// repeated MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 7606 sections 3.g, 4 and 5.3). Offsets count from the marker.
#[inline]
pub fn split(pdu: &[u8]) -> Result<Update<'_>, Error> {
    let (kind, mut cursor) = header::decode(pdu)?;
    if kind != UPDATE {
        return Err(Error::NotUpdate { kind });
    }
    let length = cursor.u16("withdrawn routes length")?;
    let withdrawn = cursor.take(usize::from(length), "withdrawn routes")?;
    let length = cursor.u16("total path attribute length")?;
    let attributes = cursor.sub(usize::from(length), "path attributes")?;
    let mut update = Update { withdrawn, nlri: cursor.rest(), ..Update::default() };
    update.cut_attributes(attributes)?;
    Ok(update)
}

/// Two attributes are taken out at most once each, so there are never more than three runs.
#[inline]
fn push_run<'a>(attributes: &mut AttributeBytes<'a>, run: Cursor<'a>) {
    if !run.is_empty()
        && let Some(free) = attributes.runs.iter_mut().find(|run| run.is_empty())
    {
        *free = run;
    }
}

impl<'a> Update<'a> {
    /// Walks over the attributes once, and takes out the two that carry routes.
    #[inline]
    fn cut_attributes(&mut self, mut cursor: Cursor<'a>) -> Result<(), Error> {
        let mut run = cursor;
        while !cursor.is_empty() {
            let attribute = match Attribute::read(&mut cursor) {
                Ok(attribute) => attribute,
                Err(error) => {
                    self.malformed = Some(error);
                    break;
                }
            };
            if !matches!(attribute.code, MP_REACH | MP_UNREACH) {
                continue;
            }
            self.take_routes(&attribute, cursor.offset())?;
            push_run(&mut self.attributes, run.sub(attribute.offset - run.offset(), "attributes")?);
            run = cursor;
        }
        push_run(&mut self.attributes, run);
        Ok(())
    }

    /// Keeps MP_REACH_NLRI or MP_UNREACH_NLRI, of which there is to be one each (RFC 7606 section 3.g).
    #[inline]
    fn take_routes(&mut self, attribute: &Attribute<'a>, end: usize) -> Result<(), Error> {
        let value = attribute.cursor(end);
        let is_repeated = if attribute.code == MP_REACH {
            self.mp_reach.replace(MpReach::decode(value)?).is_some()
        } else {
            self.mp_unreach.replace(MpUnreach::decode(value)?).is_some()
        };
        if is_repeated {
            return Err(Error::Repeated { code: attribute.code, offset: attribute.offset });
        }
        Ok(())
    }

    /// The family whose End-of-RIB this is (RFC 4724 section 2): an UPDATE without anything for IPv4 unicast, or with
    /// nothing but an MP_UNREACH_NLRI without routes.
    #[inline]
    #[must_use]
    pub fn end_of_rib(&self) -> Option<Family> {
        let is_bare = self.withdrawn.is_empty()
            && self.nlri.is_empty()
            && self.mp_reach.is_none()
            && self.attributes.is_empty();
        match self.mp_unreach {
            _ if !is_bare => None,
            None => Some(Family::IPV4_UNICAST),
            Some(unreach) => unreach.nlri.is_empty().then_some(unreach.family),
        }
    }

    /// Appends bytes that identify the attribute set: the next hop of MP_REACH_NLRI with its length, then all other
    /// attributes as they came. UPDATEs with equal keys decode to equal attributes at equal AS width, but for the
    /// places named in [`crate::route::Attributes::discarded`].
    #[inline]
    pub fn key(&self, out: &mut Vec<u8>) {
        let next_hop = self.mp_reach.map_or(&[][..], |reach| reach.next_hop);
        // Its length came from one octet.
        out.push(u8::try_from(next_hop.len()).unwrap_or(u8::MAX));
        if !next_hop.is_empty() {
            out.extend_from_slice(next_hop);
        }
        for run in &self.attributes.runs {
            if run.is_empty() {
                break;
            }
            out.extend_from_slice(run.rest());
        }
    }

    /// The same UPDATE as its IPv4 unicast field [`Update::nlri`] sees it. When an UPDATE also has an MP_REACH_NLRI,
    /// the two announce with different next hops, and so with different attribute sets.
    #[inline]
    #[must_use]
    pub const fn without_mp_reach(self) -> Self {
        Self { mp_reach: None, ..self }
    }
}
