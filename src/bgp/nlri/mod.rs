//! Decoding of NLRI: the routes of one field.

mod evpn;
mod flowspec;
mod labelled;
mod link_state;
mod mdt;
mod mup;
mod mvpn;
mod prefix;
mod route_target;
mod sr_policy;
mod vpls;

use std::collections::HashSet;

use super::error::Error;
use crate::route::{Family, Nlri, NlriEntry};
use crate::wire::Cursor;

/// NLRI format of an address family.
#[derive(Clone, Copy, Debug)]
enum NlriFormat {
    V4,
    V6,
    Labelled { is_v6: bool, has_rd: bool },
    VpnMulticast { is_v6: bool },
    Evpn,
    Vpls,
    RouteTarget,
    FlowSpec { is_v6: bool, has_rd: bool },
    SrPolicy { is_v6: bool },
    Mvpn,
    Mdt { is_v6: bool },
    LinkState { has_rd: bool },
    Mup { is_v6: bool },
    Unknown,
}

impl NlriFormat {
    const fn for_family(family: Family) -> Self {
        match (family.afi, family.safi) {
            (1, 1 | 2) => Self::V4,
            (2, 1 | 2) => Self::V6,
            (1 | 2, 4 | 128) => Self::Labelled { is_v6: family.afi == 2, has_rd: family.safi == 128 },
            (1 | 2, 5) => Self::Mvpn,
            (1 | 2, 129) => Self::VpnMulticast { is_v6: family.afi == 2 },
            (1 | 2, 66) => Self::Mdt { is_v6: family.afi == 2 },
            (1 | 2, 73) => Self::SrPolicy { is_v6: family.afi == 2 },
            (1 | 2, 85) => Self::Mup { is_v6: family.afi == 2 },
            (1 | 2, 133 | 134) => Self::FlowSpec { is_v6: family.afi == 2, has_rd: family.safi == 134 },
            (1, 132) => Self::RouteTarget,
            (25, 65) => Self::Vpls,
            (25, 70) => Self::Evpn,
            (16_388, 71 | 72) => Self::LinkState { has_rd: family.safi == 72 },
            _ => Self::Unknown,
        }
    }
}

/// Negotiated encoding of the routes of an address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// True if each route is preceded by a path identifier (RFC 7911 section 3).
    pub add_path: bool,
    /// True if a route may have several labels (RFC 8277 section 2.3), false if it has one (section 2.2).
    pub multiple_labels: bool,
}

impl Encoding {
    /// The encoding without negotiated features.
    pub const PLAIN: Self = Self { add_path: false, multiple_labels: false };
    /// The encoding with path identifiers, and with one label per labelled route.
    pub const ADD_PATH: Self = Self { add_path: true, multiple_labels: false };
}

/// Iterator over the routes of a field. Ends after the first error, because the start of the next route is
/// unknown.
#[derive(Clone, Debug)]
pub struct NlriIter<'a> {
    cursor: Cursor<'a>,
    format: NlriFormat,
    encoding: Encoding,
    withdraw: bool,
}

/// Decodes one field of routes of one address family. `withdraw` is true for withdrawn routes, whose labels
/// have no meaning. Offsets of errors count from the start of the field.
///
/// Prefixes of unicast and multicast families need no heap memory. A route of an unassigned type is returned
/// as [`Nlri::Raw`], and so is the whole field of a family without a decoder.
#[inline]
#[must_use]
pub fn nlri(family: Family, bytes: &[u8], encoding: Encoding, withdraw: bool) -> NlriIter<'_> {
    let format = NlriFormat::for_family(family);
    NlriIter { cursor: Cursor::new(bytes), format, encoding, withdraw }
}

/// True if the field is plausible in this encoding: all routes decode, and without path identifiers the
/// default route occurs at most once.
///
/// Every legal field is plausible in its own encoding. The bits of a prefix beyond its length are irrelevant
/// (RFC 4271 section 4.3) and are not checked. Decoding with the wrong ADD-PATH setting yields prefixes that
/// were never announced, often beginning with several `0.0.0.0/0`. A field is valid as a whole or not at all
/// (RFC 7606 section 5.3). The check is cheap for a single prefix, the most common case.
#[inline]
#[must_use]
pub fn nlri_plausible(family: Family, bytes: &[u8], encoding: Encoding, withdraw: bool) -> bool {
    let address_bytes = match NlriFormat::for_family(family) {
        NlriFormat::V4 => 4,
        NlriFormat::V6 => 16,
        _ => return nlri(family, bytes, encoding, withdraw).all(|entry| entry.is_ok()),
    };
    let skip = if encoding.add_path { 4 } else { 0 };
    if let Some(&length) = bytes.get(skip)
        && length > 0
        && bytes.len() == skip + 1 + usize::from(length.div_ceil(8))
    {
        return usize::from(length) <= address_bytes * 8;
    }
    let mut defaults = 0;
    all_prefixes(bytes, skip, |length, _| {
        defaults += u32::from(length == 0);
        usize::from(length) <= address_bytes * 8 && (defaults <= 1 || skip > 0)
    })
}

/// True if the field is so plausible in this encoding that it outweighs the expected encoding: each route is
/// of an assigned type, no route occurs twice, and no prefix has bits set beyond its length.
#[must_use]
pub fn nlri_convincing(family: Family, bytes: &[u8], encoding: Encoding, withdraw: bool) -> bool {
    let skip = if encoding.add_path { 4 } else { 0 };
    let may_have_host_bits = !matches!(
        NlriFormat::for_family(family),
        NlriFormat::V4 | NlriFormat::V6 | NlriFormat::Labelled { .. } | NlriFormat::VpnMulticast { .. }
    );
    let mut seen = HashSet::new();
    nlri_plausible(family, bytes, encoding, withdraw)
        && (may_have_host_bits || all_prefixes(bytes, skip, |length, octets| !has_host_bits(length, octets)))
        && nlri(family, bytes, encoding, withdraw).all(|entry| {
            entry.is_ok_and(|NlriEntry { path_id, nlri }| {
                let mut key = path_id.to_be_bytes().to_vec();
                nlri.key(&mut key);
                !matches!(nlri, Nlri::Raw(_)) && seen.insert(key)
            })
        })
}

/// True if the last octet has bits set beyond the prefix length.
fn has_host_bits(length: u8, octets: &[u8]) -> bool {
    let used = length % 8;
    used != 0 && octets.last().is_some_and(|last| last & (0xff >> used) != 0)
}

/// True if the field consists of prefixes, each of `skip` octets, a length in bits and that many bits, and
/// `test` holds for the length and octets of each.
fn all_prefixes(bytes: &[u8], skip: usize, mut test: impl FnMut(u8, &[u8]) -> bool) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(([.., length], tail)) = rest.split_at_checked(skip + 1) else { return false };
        let Some((octets, tail)) = tail.split_at_checked(usize::from(length.div_ceil(8))) else {
            return false;
        };
        if !test(*length, octets) {
            return false;
        }
        rest = tail;
    }
    true
}

impl NlriIter<'_> {
    /// Reads one route.
    #[inline(always)]
    fn read(&mut self) -> Result<NlriEntry, Error> {
        let has_path_id = self.encoding.add_path && !matches!(self.format, NlriFormat::Unknown);
        let path_id = if has_path_id { self.cursor.u32("path identifier")? } else { 0 };
        let nlri = match self.format {
            NlriFormat::V4 => Nlri::Prefix(prefix::v4(&mut self.cursor)?),
            NlriFormat::V6 => Nlri::Prefix(prefix::v6(&mut self.cursor)?),
            format => self.other(format)?,
        };
        Ok(NlriEntry { path_id, nlri })
    }

    /// Reads one route that is not a plain prefix. Kept out of line, because nearly all routes are prefixes.
    #[inline(never)]
    fn other(&mut self, format: NlriFormat) -> Result<Nlri, Error> {
        let cursor = &mut self.cursor;
        match format {
            NlriFormat::V4 | NlriFormat::V6 | NlriFormat::Unknown => {
                Ok(Nlri::Raw(cursor.take(cursor.remaining(), "NLRI")?.into()))
            }
            NlriFormat::Labelled { is_v6, has_rd } => {
                let format = labelled::LabelledFormat {
                    is_v6,
                    has_rd,
                    multiple_labels: self.encoding.multiple_labels,
                };
                labelled::decode(cursor, format, self.withdraw)
            }
            NlriFormat::VpnMulticast { is_v6 } => {
                labelled::decode_vpn_multicast(cursor, is_v6, self.withdraw)
            }
            NlriFormat::Evpn => evpn::decode(cursor, self.withdraw),
            NlriFormat::Vpls => vpls::decode(cursor),
            NlriFormat::RouteTarget => route_target::decode(cursor),
            NlriFormat::FlowSpec { is_v6, has_rd } => flowspec::decode(cursor, is_v6, has_rd),
            NlriFormat::SrPolicy { is_v6 } => sr_policy::decode(cursor, is_v6),
            NlriFormat::Mvpn => mvpn::decode(cursor),
            NlriFormat::Mdt { is_v6 } => mdt::decode(cursor, is_v6),
            NlriFormat::LinkState { has_rd } => link_state::decode(cursor, has_rd),
            NlriFormat::Mup { is_v6 } => mup::decode(cursor, is_v6),
        }
    }
}

impl Iterator for NlriIter<'_> {
    type Item = Result<NlriEntry, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_err() {
            self.cursor = Cursor::default();
        }
        Some(entry)
    }
}

impl std::iter::FusedIterator for NlriIter<'_> {}
