//! NLRI: the routes of one field.

mod evpn;
mod flowspec;
mod labelled;
mod link_state;
mod mup;
mod mvpn;
mod prefix;
mod small;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Error;
use crate::route::{Detail, Family, Nlri, NlriEntry, Other};
use crate::wire::{self, Cursor};

/// How the NLRI of a family are written.
#[derive(Clone, Copy, Debug)]
enum Form {
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

impl Form {
    const fn of(family: Family) -> Self {
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

/// How the routes of a family are written, as far as the two ends of a session agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Each route has a path identifier before it (RFC 7911 section 3).
    pub add_path: bool,
    /// A route may have several labels (RFC 8277 section 2.3). Without it each has one (section 2.2).
    pub multiple_labels: bool,
}

impl Encoding {
    /// What holds when nothing was agreed.
    pub const PLAIN: Self = Self { add_path: false, multiple_labels: false };
    /// Path identifiers, and one label where there are labels.
    pub const ADD_PATH: Self = Self { add_path: true, multiple_labels: false };
}

/// The routes of a field, one by one. Ends after the first error: what follows it cannot be found.
#[derive(Clone, Debug)]
pub struct NlriIter<'a> {
    cursor: Cursor<'a>,
    form: Form,
    encoding: Encoding,
    withdraw: bool,
}

/// Decodes one field of routes of one family. `withdraw`: they are withdrawn, and their labels say nothing. Offsets of
/// errors count from the start of the field.
///
/// Unicast and multicast prefixes take no memory. A route type that is not known comes as [`Nlri::Raw`], and so does the
/// whole field of a family that is not known.
#[inline]
#[must_use]
pub fn nlri(family: Family, bytes: &[u8], encoding: Encoding, withdraw: bool) -> NlriIter<'_> {
    let form = Form::of(family);
    NlriIter { cursor: Cursor::new(bytes), form, encoding, withdraw }
}

/// True when the field reads well this way: it decodes whole and, where it is prefixes, none has host bits and the
/// default route comes at most once. A field is to be believed as a whole or not at all (RFC 7606 section 5.3): read
/// with ADD-PATH decided wrongly, it begins with prefixes that nobody announced, `0.0.0.0/0` first of all. Path
/// identifiers that are read as prefixes, and prefixes as path identifiers, hardly ever read well. Cheap for one prefix,
/// which is what most messages have.
#[inline]
#[must_use]
pub fn nlri_plausible(family: Family, bytes: &[u8], encoding: Encoding, withdraw: bool) -> bool {
    let address_bytes = match Form::of(family) {
        Form::V4 => 4,
        Form::V6 => 16,
        _ => return nlri(family, bytes, encoding, withdraw).all(|entry| entry.is_ok()),
    };
    let skip = if encoding.add_path { 4 } else { 0 };
    if let Some(&length) = bytes.get(skip)
        && length > 0
        && bytes.len() == skip + 1 + usize::from(length.div_ceil(8))
    {
        return usize::from(length) <= address_bytes * 8 && !has_host_bits(length, bytes);
    }
    several_plausible(bytes, skip, address_bytes)
}

/// True when the field reads so well this way that the reading can be held against what was agreed: it is plausible, each
/// route is of a type that is known, and none stands in it twice.
#[must_use]
pub fn nlri_convincing(family: Family, bytes: &[u8], encoding: Encoding, withdraw: bool) -> bool {
    let mut seen = HashSet::new();
    nlri_plausible(family, bytes, encoding, withdraw)
        && nlri(family, bytes, encoding, withdraw).all(|entry| {
            entry.is_ok_and(|NlriEntry { path_id, nlri }| {
                let mut key = path_id.to_be_bytes().to_vec();
                nlri.key(&mut key);
                !matches!(nlri, Nlri::Raw(_)) && seen.insert(key)
            })
        })
}

/// Whether bits behind the length are set in the last octet.
#[inline]
fn has_host_bits(length: u8, octets: &[u8]) -> bool {
    let used = length % 8;
    used != 0 && octets.last().is_some_and(|last| last & (0xff >> used) != 0)
}

/// The same for several prefixes, or for one that is the default route: with path identifiers, that may come again.
fn several_plausible(bytes: &[u8], skip: usize, address_bytes: usize) -> bool {
    let mut rest = bytes;
    let mut defaults = 0;
    while !rest.is_empty() {
        let Some(([.., length], tail)) = rest.split_at_checked(skip + 1) else { return false };
        let Some((octets, tail)) = tail.split_at_checked(usize::from(length.div_ceil(8))) else {
            return false;
        };
        defaults += u32::from(*length == 0);
        if has_host_bits(*length, octets)
            || usize::from(*length) > address_bytes * 8
            || (defaults > 1 && skip == 0)
        {
            return false;
        }
        rest = tail;
    }
    true
}

impl NlriIter<'_> {
    #[inline(always)]
    fn read(&mut self) -> Result<NlriEntry, Error> {
        let has_path_id = self.encoding.add_path && !matches!(self.form, Form::Unknown);
        let path_id = if has_path_id { self.cursor.u32("path identifier")? } else { 0 };
        let nlri = match self.form {
            Form::V4 => Nlri::Prefix(prefix::v4(&mut self.cursor)?),
            Form::V6 => Nlri::Prefix(prefix::v6(&mut self.cursor)?),
            form => self.no_prefix(form)?,
        };
        Ok(NlriEntry { path_id, nlri })
    }

    /// What is no bare prefix, apart from the path that nearly all routes take.
    #[inline(never)]
    fn no_prefix(&mut self, form: Form) -> Result<Nlri, Error> {
        let cursor = &mut self.cursor;
        match form {
            Form::V4 | Form::V6 | Form::Unknown => {
                Ok(Nlri::Raw(cursor.take(cursor.remaining(), "NLRI")?.into()))
            }
            Form::Labelled { is_v6, has_rd } => {
                let head = labelled::Head { is_v6, has_rd, multiple_labels: self.encoding.multiple_labels };
                labelled::route(cursor, head, self.withdraw)
            }
            Form::VpnMulticast { is_v6 } => labelled::multicast(cursor, is_v6, self.withdraw),
            Form::Evpn => evpn::route(cursor, self.withdraw),
            Form::Vpls => small::vpls(cursor),
            Form::RouteTarget => small::route_target(cursor),
            Form::FlowSpec { is_v6, has_rd } => flowspec::route(cursor, is_v6, has_rd),
            Form::SrPolicy { is_v6 } => small::sr_policy(cursor, is_v6),
            Form::Mvpn => mvpn::route(cursor),
            Form::Mdt { is_v6 } => small::mdt(cursor, is_v6),
            Form::LinkState { has_rd } => link_state::route(cursor, has_rd),
            Form::Mup { is_v6 } => mup::route(cursor, is_v6),
        }
    }
}

/// A decoded route with the bytes that identify it.
fn other(bytes: &[u8], detail: Detail) -> Nlri {
    Nlri::Other(Box::new(Other { bytes: bytes.into(), detail }))
}

/// An address of the family that is known from elsewhere.
fn address_of(body: &mut Cursor<'_>, is_v6: bool, what: &'static str) -> Result<IpAddr, wire::Error> {
    Ok(if is_v6 {
        Ipv6Addr::from_bits(body.u128(what)?).into()
    } else {
        Ipv4Addr::from_bits(body.u32(what)?).into()
    })
}

/// An address with its length in bits before it: 0 for none, 32 or 128.
fn flow_address(body: &mut Cursor<'_>, what: &'static str) -> Result<Option<IpAddr>, Error> {
    let offset = body.offset();
    match body.u8(what)? {
        0 => Ok(None),
        length @ (32 | 128) => Ok(Some(address_of(body, length == 128, what)?)),
        length => Err(Error::Bits { what, length, offset }),
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
