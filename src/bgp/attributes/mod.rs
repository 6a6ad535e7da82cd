//! Path attributes: bytes to [`Attributes`], with the verdict of RFC 7606.
//!
//! The table in [`known`] says what an attribute is called, which flags it has and what a malformed one costs; one
//! file per group says how its value is read. Whatever is not in the table is kept raw.

mod as4;
mod as_path;
mod communities;
mod known;
mod more;
mod numbers;

use self::known::{Known, Penalty};
use super::attribute_bytes::Attribute;
use super::{Update, mp};
use crate::route::{Aggregator, AsPath, Attributes, More, RawAttribute, attribute_name};

pub use self::as_path::as_path_width_fits;

/// What RFC 7606 makes of an UPDATE. Only the encoding is judged: an attribute that is absent, or that stands where
/// policy would not want it, is stored as the router sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is malformed.
    Good,
    /// Attributes were left out; [`Attributes::discarded`] says which and why. The routes stand.
    Discarded,
    /// Why all routes of the UPDATE are to be treated as withdrawn.
    TreatAsWithdraw(String),
}

/// Decodes the attributes of an UPDATE. `four_octet_as` is the width of AS numbers in AS_PATH and AGGREGATOR;
/// AS4_PATH and AS4_AGGREGATOR count only when they are two octets wide (RFC 6793).
#[must_use]
pub fn attributes(update: &Update<'_>, four_octet_as: bool) -> (Attributes, Verdict) {
    let mut decoder = Decoder { four_octet_as, ..Decoder::default() };
    for attribute in &update.attributes {
        decoder.attribute(&attribute);
    }
    if let Some(error) = update.malformed {
        decoder.withdraw(error.to_string());
    }
    decoder.merge_four_octet();
    if let Some(reach) = &update.mp_reach {
        decoder.next_hop(reach.next_hop);
    }
    decoder.tell_missing(update);
    decoder.finish()
}

/// The attributes so far.
#[derive(Default)]
struct Decoder {
    four_octet_as: bool,
    /// In how many ATTR_SETs this stands.
    depth: u8,
    out: Attributes,
    seen: Seen,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
    withdraw: Option<String>,
}

/// The type codes that were there.
#[derive(Default)]
struct Seen([u128; 2]);

impl Seen {
    fn contains(&self, code: u8) -> bool {
        let mut seen = Self(self.0);
        !seen.insert(code)
    }

    /// True when `code` is new.
    fn insert(&mut self, code: u8) -> bool {
        let [low, high] = &mut self.0;
        let (half, bit) = (if code < 128 { low } else { high }, 1 << (code % 128));
        let is_new = *half & bit == 0;
        *half |= bit;
        is_new
    }
}

impl Decoder {
    fn attribute(&mut self, attribute: &Attribute<'_>) {
        let known = Known::of(attribute.code);
        // All occurrences but the first are discarded (RFC 7606 section 3.g).
        if !self.seen.insert(attribute.code) {
            return self.discard(attribute, "there is one already");
        }
        let Some(known) = known else {
            return self.raw(attribute);
        };
        if !known.has_flags(attribute.flags) {
            return self.penalise(attribute, known.wrong_flags, "wrong Optional or Transitive flag");
        }
        if let Err(reason) = self.value(attribute) {
            self.penalise(attribute, known.malformed, &reason);
        }
    }

    /// Reads the value of a known attribute.
    fn value(&mut self, attribute: &Attribute<'_>) -> Result<(), String> {
        let Attribute { code, value, .. } = *attribute;
        let out = &mut self.out;
        match code {
            known::ORIGIN => out.origin = Some(numbers::origin(value)?),
            known::AS_PATH => out.as_path = Some(as_path::decode(value, self.four_octet_as)?),
            known::NEXT_HOP => out.next_hop = Some(numbers::address(value)?.into()),
            known::MULTI_EXIT_DISC => out.med = Some(numbers::u32(value)?),
            known::LOCAL_PREF => out.local_pref = Some(numbers::u32(value)?),
            known::ATOMIC_AGGREGATE => out.atomic_aggregate = numbers::empty(value)?,
            known::AGGREGATOR => out.aggregator = Some(numbers::aggregator(value, self.four_octet_as)?),
            known::COMMUNITIES => out.communities = communities::standard(value)?,
            known::ORIGINATOR_ID => out.originator_id = Some(numbers::address(value)?),
            known::CLUSTER_LIST => out.cluster_list = communities::cluster_list(value)?,
            known::EXTENDED_COMMUNITIES => out.extended_communities = communities::extended(value)?,
            known::AS4_PATH => self.as4_path = Some(as4::path(value)?),
            known::AS4_AGGREGATOR => self.as4_aggregator = Some(numbers::aggregator(value, true)?),
            known::LARGE_COMMUNITIES => out.large_communities = communities::large(value)?,
            known::ONLY_TO_CUSTOMER => out.only_to_customer = Some(numbers::u32(value)?),
            known::PMSI_TUNNEL => self.more(attribute, more::pmsi_tunnel(value)?),
            known::TUNNEL_ENCAPSULATION => self.more(attribute, more::tunnel_encapsulation(value)?),
            known::IPV6_EXTENDED_COMMUNITIES => {
                self.more(attribute, more::ipv6_extended_communities(value)?);
            }
            known::LINK_STATE => self.more(attribute, more::link_state(value)?),
            known::PREFIX_SID => self.more(attribute, more::prefix_sid(value)?),
            known::ATTR_SET => match more::attr_set(value, self.depth)? {
                Some(set) => self.more(attribute, set),
                None => self.raw(attribute),
            },
            known::AIGP => {
                let aigp = numbers::aigp(value)?;
                out.aigp = aigp.metric;
                if aigp.has_more {
                    self.raw(attribute);
                }
            }
            _ => self.raw(attribute),
        }
        Ok(())
    }

    /// Typed, and as it came.
    fn more(&mut self, attribute: &Attribute<'_>, more: More) {
        self.out.more.push(more);
        self.raw(attribute);
    }

    /// Mandatory attributes that are not there (RFC 4271 section 5, RFC 4760 section 3). A monitor is told of the route
    /// all the same, so this is said and nothing is withdrawn.
    fn tell_missing(&mut self, update: &Update<'_>) {
        if update.nlri.is_empty() && update.mp_reach.is_none() {
            return;
        }
        let missing = |code: u8, is_there: bool| (!is_there && !self.seen.contains(code)).then_some(code);
        let next_hop = update.nlri.is_empty() || update.mp_reach.is_some();
        self.out.missing = [
            missing(known::ORIGIN, false),
            missing(known::AS_PATH, false),
            missing(known::NEXT_HOP, next_hop),
        ]
        .into_iter()
        .flatten()
        .collect();
    }

    fn raw(&mut self, attribute: &Attribute<'_>) {
        let Attribute { flags, code, value, .. } = *attribute;
        self.out.raw.push(RawAttribute { flags, code, value: value.to_vec() });
    }

    #[cold]
    fn penalise(&mut self, attribute: &Attribute<'_>, penalty: Penalty, reason: &str) {
        match penalty {
            Penalty::Discard => self.discard(attribute, reason),
            Penalty::TreatAsWithdraw => self.withdraw(text(attribute, reason)),
        }
    }

    #[cold]
    fn discard(&mut self, attribute: &Attribute<'_>, reason: &str) {
        self.out.discarded.push(text(attribute, reason));
    }

    /// The first reason is told; one is enough.
    #[cold]
    fn withdraw(&mut self, reason: String) {
        self.withdraw.get_or_insert(reason);
    }

    /// RFC 6793 sections 4.1 and 4.2.3.
    fn merge_four_octet(&mut self) {
        let (path, aggregator) = (self.as4_path.take(), self.as4_aggregator.take());
        if path.is_none() && aggregator.is_none() {
            return;
        }
        if self.four_octet_as {
            self.out
                .discarded
                .push("AS4_PATH or AS4_AGGREGATOR where AS numbers have four octets".to_owned());
        } else {
            as4::merge(&mut self.out, path, aggregator);
        }
    }

    /// The next hop of MP_REACH_NLRI is that of its routes, whatever NEXT_HOP says; an empty one (flow
    /// specifications) is none.
    fn next_hop(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let decoded = mp::next_hop(bytes);
        if decoded.is_none() {
            self.out.discarded.push(format!("MP_REACH_NLRI next hop: {} bytes long", bytes.len()));
        }
        let (global, link_local) = decoded.unzip();
        self.out.next_hop = global;
        self.out.next_hop_link_local = link_local.flatten();
    }

    fn finish(self) -> (Attributes, Verdict) {
        let verdict = match self.withdraw {
            Some(reason) => Verdict::TreatAsWithdraw(reason),
            None if self.out.discarded.is_empty() => Verdict::Good,
            None => Verdict::Discarded,
        };
        (self.out, verdict)
    }
}

fn text(attribute: &Attribute<'_>, reason: &str) -> String {
    let name = attribute_name(attribute.code).unwrap_or("attribute");
    format!("{name} ({}) at byte {}: {reason}", attribute.code, attribute.offset)
}
