//! UPDATE messages (RFC 4271 section 4.3), divided into their fields.

use super::attribute_bytes::{Attribute, AttributeBytes};
use super::error::Error;
use super::header;
use super::mp::{MpReach, MpUnreach};
use crate::route::Family;
use crate::route::attribute_code::{MP_REACH_NLRI, MP_UNREACH_NLRI};
use crate::wire::{self, Cursor};

/// Message type of an UPDATE.
const UPDATE: u8 = 2;

/// An UPDATE divided into its fields, which are not decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Update<'a> {
    /// Withdrawn IPv4 unicast routes (field "Withdrawn Routes").
    pub withdrawn: &'a [u8],
    /// Announced IPv4 unicast routes (field "NLRI").
    pub nlri: &'a [u8],
    /// Path attributes except MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub attributes: AttributeBytes<'a>,
    /// Announced routes of any address family.
    pub mp_reach: Option<MpReach<'a>>,
    /// Withdrawn routes of any address family.
    pub mp_unreach: Option<MpUnreach<'a>>,
    /// Set if an attribute extends past the end of the attribute section. The attributes before it are valid,
    /// but all routes of the message are to be treated as withdrawn (RFC 7606 section 4);
    /// [`super::attributes()`] reports this. Also set if bytes follow an attribute section of length zero,
    /// which says that there is no NLRI field (RFC 4271 section 4.3); `nlri` is then empty.
    pub malformed: Option<wire::Error>,
}

/// Divides a BGP message into the fields of an UPDATE.
///
/// ```text
/// +-- 2 ---+-- - - ----+-- 2 ---+-- - - ---------+-- - -
/// | length | withdrawn | length | attributes     | NLRI
/// +--------+-----------+--------+----------------+-- - -
/// ```
///
/// # Errors
/// The message is not an UPDATE, or its routes cannot be located: a field extends past the end of the
/// message, or MP_REACH_NLRI or MP_UNREACH_NLRI is malformed or present twice (RFC 7606 sections 3.g, 4 and
/// 5.3). Offsets count from the first octet of the marker.
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
    if length == 0 && !cursor.is_empty() {
        update.malformed = cursor.finish("bytes after an empty path attribute section").err();
        update.nlri = &[];
    }
    update.split_attributes(attributes)?;
    Ok(update)
}

/// Adds a run of attributes. There are at most three, because each of the two attributes is removed at most
/// once.
#[inline]
fn push_run<'a>(attributes: &mut AttributeBytes<'a>, run: Cursor<'a>) {
    if !run.is_empty()
        && let Some(free) = attributes.runs.iter_mut().find(|run| run.is_empty())
    {
        *free = run;
    }
}

impl<'a> Update<'a> {
    /// Separates MP_REACH_NLRI and MP_UNREACH_NLRI from the other attributes, in one pass.
    #[inline]
    fn split_attributes(&mut self, mut cursor: Cursor<'a>) -> Result<(), Error> {
        let mut run = cursor;
        while !cursor.is_empty() {
            let attribute = match Attribute::read(&mut cursor) {
                Ok(attribute) => attribute,
                Err(error) => {
                    self.malformed = Some(error);
                    break;
                }
            };
            if !matches!(attribute.code, MP_REACH_NLRI | MP_UNREACH_NLRI) {
                continue;
            }
            self.take_routes(&attribute, cursor.offset())?;
            push_run(&mut self.attributes, run.sub(attribute.offset - run.offset(), "attributes")?);
            run = cursor;
        }
        push_run(&mut self.attributes, run);
        Ok(())
    }

    /// Stores MP_REACH_NLRI or MP_UNREACH_NLRI; each may be present once (RFC 7606 section 3.g).
    #[inline]
    fn take_routes(&mut self, attribute: &Attribute<'a>, end: usize) -> Result<(), Error> {
        let value = attribute.cursor(end);
        let is_repeated = if attribute.code == MP_REACH_NLRI {
            self.mp_reach.replace(MpReach::decode(value)?).is_some()
        } else {
            self.mp_unreach.replace(MpUnreach::decode(value)?).is_some()
        };
        if is_repeated {
            return Err(Error::DuplicateAttribute { code: attribute.code, offset: attribute.offset });
        }
        Ok(())
    }

    /// The address family, if this UPDATE is an End-of-RIB marker (RFC 4724 section 2): an empty UPDATE for
    /// IPv4 unicast, or one that contains only an MP_UNREACH_NLRI without routes.
    #[inline]
    #[must_use]
    pub fn end_of_rib(&self) -> Option<Family> {
        let is_bare = self.malformed.is_none()
            && self.withdrawn.is_empty()
            && self.nlri.is_empty()
            && self.mp_reach.is_none()
            && self.attributes.is_empty();
        match self.mp_unreach {
            _ if !is_bare => None,
            None => Some(Family::IPV4_UNICAST),
            Some(unreach) => unreach.nlri.is_empty().then_some(unreach.family),
        }
    }

    /// Appends bytes that identify the attribute set: the rules about the next hop that apply, the next hop
    /// of MP_REACH_NLRI with its length, then all other attributes undecoded. UPDATEs with equal keys decode
    /// to equal attributes at equal AS number width, except for the byte offsets in
    /// [`crate::route::Attributes::discarded`].
    #[inline]
    pub fn key(&self, out: &mut Vec<u8>) {
        let (head, next_hop) = self.key_head();
        out.extend_from_slice(&head);
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

    /// Whether `key` is the key of this UPDATE, without copying it.
    #[inline]
    #[must_use]
    pub fn has_key(&self, key: &[u8]) -> bool {
        let (head, next_hop) = self.key_head();
        let Some(mut rest) = key.strip_prefix(&head).and_then(|rest| rest.strip_prefix(next_hop)) else {
            return false;
        };
        for run in &self.attributes.runs {
            if run.is_empty() {
                break;
            }
            let Some(after) = rest.strip_prefix(run.rest()) else { return false };
            rest = after;
        }
        rest.is_empty()
    }

    /// The first two octets of the key, and the next hop, which follows them.
    #[inline]
    fn key_head(&self) -> ([u8; 2], &[u8]) {
        let next_hop = self.mp_reach.map_or(&[][..], |reach| reach.next_hop);
        let rules = u8::from(self.mp_reach.is_some())
            | u8::from(self.ignores_next_hop()) << 1
            | u8::from(self.lacks_mp_next_hop()) << 2;
        // The length fits: it was decoded from one octet.
        ([rules, u8::try_from(next_hop.len()).unwrap_or(u8::MAX)], next_hop)
    }

    /// True if NEXT_HOP is to be ignored, because all announced routes are in MP_REACH_NLRI (RFC 4760 section
    /// 3).
    #[inline]
    pub(super) const fn ignores_next_hop(&self) -> bool {
        self.mp_reach.is_some() && self.nlri.is_empty()
    }

    /// True if MP_REACH_NLRI has no next hop although its family has one. A flow specification has none (RFC
    /// 8955 section 4).
    #[inline]
    pub(super) fn lacks_mp_next_hop(&self) -> bool {
        self.mp_reach.is_some_and(|reach| reach.next_hop.is_empty() && !reach.family.is_flow_specification())
    }

    /// The UPDATE that applies to its IPv4 unicast field [`Update::nlri`], without MP_REACH_NLRI: both fields
    /// announce routes with their own next hops, and therefore with different attribute sets.
    #[inline]
    #[must_use]
    pub const fn without_mp_reach(self) -> Self {
        Self { mp_reach: None, ..self }
    }
}
