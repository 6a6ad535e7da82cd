//! Decoding of path attributes into [`Attributes`], with the error handling of RFC 7606.
//!
//! [`attribute_spec`] lists flags and error handling of each attribute; one file per attribute or group of
//! attributes decodes its value. All other attributes are kept undecoded.

mod as4_path;
mod as_path;
mod attr_set;
mod attribute_spec;
mod communities;
mod ipv6_extended_communities;
mod link_state;
mod pmsi_tunnel;
mod prefix_sid;
mod scalar;
mod tunnel_encapsulation;

use self::attribute_spec::{AttributeSpec, ErrorHandling};
use super::address;
use super::attribute_bytes::Attribute;
use super::update::Update;
use crate::route::{
    Aggregator, AsPath, Attributes, RareAttribute, RawAttribute, attribute_code, attribute_name,
};
use crate::wire;

/// Maximum nesting of ATTR_SETs: an ATTR_SET within an ATTR_SET is kept undecoded.
const ATTR_SET_DEPTH_MAX: u8 = 1;

/// Error handling of an UPDATE (RFC 7606). Only the encoding is checked: absent attributes, and attributes
/// that a policy would reject, are stored as the router sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeOutcome {
    /// No attribute is malformed.
    Accepted,
    /// Attributes were left out (attribute-discard); [`Attributes::discarded`] has the reasons. The routes
    /// are valid.
    Discarded,
    /// All routes of the UPDATE count as withdrawn, for this reason.
    TreatAsWithdraw(String),
}

/// Decodes the attributes of an UPDATE.
///
/// AS numbers in AS_PATH and AGGREGATOR have four octets if `four_octet_as`, else two. AS4_PATH and
/// AS4_AGGREGATOR are used in the latter case only (RFC 6793 section 4.1).
#[must_use]
pub fn attributes(update: &Update<'_>, four_octet_as: bool) -> (Attributes, AttributeOutcome) {
    let ignores_next_hop = update.ignores_next_hop();
    let mut decoder = Decoder { four_octet_as, ignores_next_hop, ..Decoder::default() };
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
    decoder.record_missing(update);
    decoder.finish()
}

/// True if `update` has no AS_PATH, or one whose segments fill it exactly at this AS number width.
///
/// Some routers send two-octet AS numbers although the A flag of the per-peer header signals four (FRR
/// 8.0.1). The width that fits is then the actual one.
#[must_use]
pub fn as_path_width_fits(update: &Update<'_>, four_octet_as: bool) -> bool {
    as_path::width_fits(&update.attributes, four_octet_as)
}

/// Decoder of one attribute set.
#[derive(Default)]
struct Decoder {
    four_octet_as: bool,
    /// True if NEXT_HOP is to be ignored (RFC 4760 section 3).
    ignores_next_hop: bool,
    /// Number of enclosing ATTR_SETs.
    depth: u8,
    out: Attributes,
    seen: SeenCodes,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
    /// Reason for treat-as-withdraw.
    withdraw: Option<String>,
}

/// The set of type codes that have been decoded, as a bitmap.
#[derive(Default)]
struct SeenCodes([u128; 2]);

impl SeenCodes {
    fn contains(&self, code: u8) -> bool {
        let mut seen = Self(self.0);
        !seen.insert(code)
    }

    /// Adds `code`. Returns true if it was not in the set.
    fn insert(&mut self, code: u8) -> bool {
        let [low, high] = &mut self.0;
        let (half, bit) = (if code < 128 { low } else { high }, 1 << (code % 128));
        let is_new = *half & bit == 0;
        *half |= bit;
        is_new
    }
}

impl Decoder {
    /// Decodes one attribute.
    fn attribute(&mut self, attribute: &Attribute<'_>) {
        // All occurrences but the first are discarded (RFC 7606 section 3.g).
        if !self.seen.insert(attribute.code) {
            return self.discard(attribute, "duplicate attribute");
        }
        let Some(spec) = AttributeSpec::for_code(attribute.code) else {
            return self.raw(attribute);
        };
        let spec = if attribute.code == attribute_code::NEXT_HOP && self.ignores_next_hop {
            spec.discarded()
        } else {
            spec
        };
        if !spec.has_flags(attribute.flags) {
            return self.handle_error(attribute, spec.wrong_flags, "wrong Optional or Transitive flag");
        }
        if let Err(reason) = self.value(attribute) {
            self.handle_error(attribute, spec.malformed, &reason);
        }
    }

    /// Decodes the value of an attribute that has an [`AttributeSpec`].
    fn value(&mut self, attribute: &Attribute<'_>) -> Result<(), String> {
        let Attribute { code, value, .. } = *attribute;
        let out = &mut self.out;
        match code {
            attribute_code::ORIGIN => out.origin = Some(scalar::origin(value)?),
            attribute_code::AS_PATH => {
                let path = out.as_path.insert(as_path::decode(value, self.four_octet_as)?);
                as_path::refuse_as_0(path)?;
            }
            attribute_code::NEXT_HOP => out.next_hop = Some(scalar::address(value)?.into()),
            attribute_code::MULTI_EXIT_DISC => out.med = Some(scalar::u32(value)?),
            attribute_code::LOCAL_PREF => out.local_pref = Some(scalar::u32(value)?),
            attribute_code::ATOMIC_AGGREGATE => out.atomic_aggregate = scalar::empty(value)?,
            attribute_code::AGGREGATOR => {
                out.aggregator = Some(scalar::aggregator(value, self.four_octet_as)?)
            }
            attribute_code::COMMUNITIES => out.communities = communities::standard(value)?,
            attribute_code::ORIGINATOR_ID => out.originator_id = Some(scalar::address(value)?),
            attribute_code::CLUSTER_LIST => out.cluster_list = communities::cluster_list(value)?,
            attribute_code::EXTENDED_COMMUNITIES => out.extended_communities = communities::extended(value)?,
            attribute_code::AS4_PATH => self.as4_path = Some(as4_path::decode(value)?),
            attribute_code::AS4_AGGREGATOR => self.as4_aggregator = Some(scalar::aggregator(value, true)?),
            attribute_code::LARGE_COMMUNITIES => out.large_communities = communities::large(value)?,
            attribute_code::ONLY_TO_CUSTOMER => out.only_to_customer = Some(scalar::u32(value)?),
            attribute_code::AIGP => {
                let aigp = scalar::aigp(value)?;
                out.aigp = aigp.metric;
                if aigp.has_other_tlvs {
                    self.raw(attribute);
                }
            }
            _ => {
                let rare = self.rare(code, value)?;
                self.out.rare.extend(rare);
                self.raw(attribute);
            }
        }
        Ok(())
    }

    /// Decodes the value of an attribute that few routes have; `None` if it is to be kept undecoded only.
    fn rare(&self, code: u8, value: &[u8]) -> Result<Option<RareAttribute>, String> {
        let text = |error: wire::Error| error.to_string();
        Ok(Some(match code {
            attribute_code::PMSI_TUNNEL => {
                RareAttribute::PmsiTunnel(pmsi_tunnel::decode(value).map_err(text)?)
            }
            attribute_code::TUNNEL_ENCAPSULATION => {
                RareAttribute::TunnelEncapsulation(tunnel_encapsulation::decode(value).map_err(text)?)
            }
            attribute_code::IPV6_EXTENDED_COMMUNITIES => {
                RareAttribute::Ipv6ExtendedCommunities(ipv6_extended_communities::decode(value)?)
            }
            attribute_code::BGP_LS => RareAttribute::LinkState(link_state::decode(value).map_err(text)?),
            attribute_code::PREFIX_SID => RareAttribute::PrefixSid(prefix_sid::decode(value).map_err(text)?),
            attribute_code::ATTR_SET if self.depth < ATTR_SET_DEPTH_MAX => self.attr_set(value)?,
            _ => return Ok(None),
        }))
    }

    /// Decodes ATTR_SET. It is malformed if an attribute in it leads to treat-as-withdraw (RFC 7606 section
    /// 7.16).
    fn attr_set(&self, value: &[u8]) -> Result<RareAttribute, String> {
        let (origin_as, nested) = attr_set::split(value).map_err(|error| error.to_string())?;
        // RFC 6368 implies the width of the session; RFC 6793 section 3 requires four octets, but speakers
        // without four-octet support write two.
        let four_octet_as = as_path::width_fits(&nested, true);
        let mut decoder = Self { four_octet_as, depth: self.depth + 1, ..Self::default() };
        nested.iter().for_each(|attribute| decoder.attribute(&attribute));
        match decoder.withdraw {
            Some(reason) => Err(reason),
            None => Ok(RareAttribute::AttrSet { origin_as, attributes: Box::new(decoder.out) }),
        }
    }

    /// Records absent mandatory attributes (RFC 4271 section 5, RFC 4760 section 3). Their routes are still
    /// valid, because the router itself has accepted them.
    fn record_missing(&mut self, update: &Update<'_>) {
        if update.nlri.is_empty() && update.mp_reach.is_none() {
            return;
        }
        let missing = |code: u8| (!self.seen.contains(code)).then_some(code);
        let has_next_hop = if update.mp_reach.is_some() {
            !update.lacks_mp_next_hop()
        } else {
            self.seen.contains(attribute_code::NEXT_HOP)
        };
        self.out.missing = [
            missing(attribute_code::ORIGIN),
            missing(attribute_code::AS_PATH),
            (!has_next_hop).then_some(attribute_code::NEXT_HOP),
        ]
        .into_iter()
        .flatten()
        .collect();
    }

    /// Keeps an attribute undecoded.
    fn raw(&mut self, attribute: &Attribute<'_>) {
        let Attribute { flags, code, value, .. } = *attribute;
        self.out.raw.push(RawAttribute { flags, code, value: value.to_vec() });
    }

    #[cold]
    fn handle_error(&mut self, attribute: &Attribute<'_>, handling: ErrorHandling, reason: &str) {
        match handling {
            ErrorHandling::AttributeDiscard => self.discard(attribute, reason),
            ErrorHandling::TreatAsWithdraw => self.withdraw(error_text(attribute, reason)),
        }
    }

    #[cold]
    fn discard(&mut self, attribute: &Attribute<'_>, reason: &str) {
        self.out.discarded.push(error_text(attribute, reason));
    }

    /// Marks the routes as withdrawn. The first reason is kept.
    #[cold]
    fn withdraw(&mut self, reason: String) {
        self.withdraw.get_or_insert(reason);
    }

    /// Merges AS4_PATH and AS4_AGGREGATOR on sessions with two-octet AS numbers; ignores them on others (RFC
    /// 6793 sections 4.1 and 4.2.3).
    fn merge_four_octet(&mut self) {
        let (path, aggregator) = (self.as4_path.take(), self.as4_aggregator.take());
        if path.is_none() && aggregator.is_none() {
            return;
        }
        if self.four_octet_as {
            self.out
                .discarded
                .push("AS4_PATH or AS4_AGGREGATOR ignored: AS numbers have four octets".to_owned());
        } else {
            as4_path::merge(&mut self.out, path, aggregator);
        }
    }

    /// Decodes the next hop of MP_REACH_NLRI, which replaces NEXT_HOP. It is empty in flow specifications.
    fn next_hop(&mut self, bytes: &[u8]) {
        let decoded = address::next_hop(bytes);
        if decoded.is_none() && !bytes.is_empty() {
            self.out
                .discarded
                .push(format!("MP_REACH_NLRI next hop ignored: invalid length {}", bytes.len()));
        }
        let (global, link_local) = decoded.unzip();
        self.out.next_hop = global;
        self.out.next_hop_link_local = link_local.flatten();
    }

    fn finish(self) -> (Attributes, AttributeOutcome) {
        let outcome = match self.withdraw {
            Some(reason) => AttributeOutcome::TreatAsWithdraw(reason),
            None if self.out.discarded.is_empty() => AttributeOutcome::Accepted,
            None => AttributeOutcome::Discarded,
        };
        (self.out, outcome)
    }
}

/// The reason of an error together with name, type code and byte offset of the attribute.
fn error_text(attribute: &Attribute<'_>, reason: &str) -> String {
    let name = attribute_name(attribute.code).unwrap_or("attribute");
    format!("{name} ({}) at byte {}: {reason}", attribute.code, attribute.offset)
}
