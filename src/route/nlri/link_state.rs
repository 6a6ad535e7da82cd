//! BGP-LS: nodes, links, prefixes and SRv6 SIDs of an IGP (RFC 9552 section 5.2, RFC 9514 section 6).

use std::fmt::{self, Display as _};
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::route::text::write_joined;
use crate::route::{Prefix, Rd};

/// Length of the type and length of a TLV.
const TLV_HEADER_OCTETS: usize = 4;

/// A BGP-LS route: one object of the link-state database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkStateRoute {
    /// Route distinguisher; `None` outside of BGP-LS-VPN (16388/72).
    pub rd: Option<Rd>,
    /// NLRI type: 1 node, 2 link, 3 IPv4 prefix, 4 IPv6 prefix, 6 SRv6 SID.
    pub kind: u16,
    /// Protocol-ID: 1 IS-IS level 1, 2 IS-IS level 2, 3 OSPFv2, 4 direct, 5 static, 6 OSPFv3, 7 BGP, others
    /// are kept.
    pub protocol: u8,
    /// Identifier of the IGP instance.
    pub identifier: u64,
    /// Descriptors in the order sent.
    pub descriptors: Vec<Descriptor>,
}

/// The object that a descriptor describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DescriptorScope {
    /// The node, or the local node of the link (Local Node Descriptors, TLV 256).
    LocalNode,
    /// The remote node of the link (Remote Node Descriptors, TLV 257).
    RemoteNode,
    /// The link, prefix or SID.
    Object,
}

/// One descriptor TLV of a BGP-LS route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// The object that the TLV describes.
    pub scope: DescriptorScope,
    /// TLV type (IANA "BGP-LS NLRI and Attribute TLVs").
    pub kind: u16,
    /// Value.
    pub value: DescriptorValue,
}

/// The value of a descriptor, decoded by its TLV type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DescriptorValue {
    /// A number. TLV 512: AS number; 513: BGP-LS Identifier; 514: OSPF Area-ID; 517: AS number of a
    /// confederation member; 264: OSPF route type.
    Number(u32),
    /// An address. TLVs 259 to 262: of a link; 516: BGP Router-ID.
    Address(IpAddr),
    /// TLV 515, IGP Router-ID: 4 octets for OSPF, 6 for IS-IS, 8 or 7 for their pseudonodes.
    RouterId(Vec<u8>),
    /// TLV 258, Link Local/Remote Identifiers.
    LinkIds(u32, u32),
    /// TLV 263, Multi-Topology Identifiers of 12 bits, below four reserved bits.
    Topologies(Vec<u16>),
    /// TLV 265, IP Reachability Information.
    Prefix(Prefix),
    /// TLV 518, SRv6 SID Information.
    Sids(Vec<IpAddr>),
    /// Undecoded value: of a type without a decoder, or of a length that does not fit the type.
    Raw(Vec<u8>),
}

/// A short name of a descriptor TLV; `None` for a type without a name.
#[must_use]
pub const fn descriptor_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        258 => "link-ids",
        259 => "ipv4-interface",
        260 => "ipv4-neighbor",
        261 => "ipv6-interface",
        262 => "ipv6-neighbor",
        263 => "mt-id",
        264 => "ospf-route-type",
        265 => "prefix",
        512 => "asn",
        513 => "ls-id",
        514 => "area",
        515 => "router-id",
        516 => "bgp-router-id",
        517 => "member-asn",
        518 => "sid",
        _ => return None,
    })
}

impl LinkStateRoute {
    /// The prefix of NLRI types 3 and 4; `None` for other types.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        self.descriptors.iter().find_map(|descriptor| match descriptor.value {
            DescriptorValue::Prefix(prefix) => Some(prefix),
            _ => None,
        })
    }
}

impl LinkStateRoute {
    /// The length of the NLRI in octets if each scope of node descriptors is one TLV that is not empty.
    ///
    /// A longer NLRI has empty or repeated TLVs, which neither the descriptors nor the text show.
    pub(super) fn minimal_octets(&self) -> usize {
        let has = |scope| self.descriptors.iter().any(|descriptor| descriptor.scope == scope);
        let nodes = [DescriptorScope::LocalNode, DescriptorScope::RemoteNode];
        // Type and length, RD, protocol and identifier, then TLVs.
        let fixed = TLV_HEADER_OCTETS + if self.rd.is_some() { 8 } else { 0 } + 9;
        let nodes = nodes.into_iter().filter(|scope| has(*scope)).count() * TLV_HEADER_OCTETS;
        let descriptors = self.descriptors.iter().map(|one| TLV_HEADER_OCTETS + one.value_octets());
        fixed + nodes + descriptors.sum::<usize>()
    }
}

impl Descriptor {
    /// Length of the value in octets.
    fn value_octets(&self) -> usize {
        match &self.value {
            // The OSPF route type, TLV 264, is the only number of one octet.
            DescriptorValue::Number(_) if self.kind == 264 => 1,
            DescriptorValue::Number(_) => 4,
            DescriptorValue::Address(IpAddr::V4(_)) => 4,
            DescriptorValue::Address(IpAddr::V6(_)) => 16,
            DescriptorValue::RouterId(bytes) | DescriptorValue::Raw(bytes) => bytes.len(),
            DescriptorValue::LinkIds(..) => 8,
            DescriptorValue::Topologies(ids) => 2 * ids.len(),
            DescriptorValue::Prefix(prefix) => 1 + usize::from(prefix.length().div_ceil(8)),
            DescriptorValue::Sids(sids) => 16 * sids.len(),
        }
    }
}

/// `[link][isis-l2][0][local asn=65000,router-id=0000.0000.0001][remote …][ipv4-interface=10.0.0.1]`.
impl fmt::Display for LinkStateRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rd) = self.rd {
            write!(f, "[{rd}]")?;
        }
        match self.kind {
            1 => f.write_str("[node]"),
            2 => f.write_str("[link]"),
            3 => f.write_str("[ipv4-prefix]"),
            4 => f.write_str("[ipv6-prefix]"),
            6 => f.write_str("[srv6-sid]"),
            kind => write!(f, "[type {kind}]"),
        }?;
        match self.protocol {
            1 => f.write_str("[isis-l1]"),
            2 => f.write_str("[isis-l2]"),
            3 => f.write_str("[ospfv2]"),
            4 => f.write_str("[direct]"),
            5 => f.write_str("[static]"),
            6 => f.write_str("[ospfv3]"),
            7 => f.write_str("[bgp]"),
            protocol => write!(f, "[protocol {protocol}]"),
        }?;
        write!(f, "[{}]", self.identifier)?;
        self.descriptors.chunk_by(|one, next| one.scope == next.scope).try_for_each(|descriptors| {
            f.write_str(match descriptors.first().map(|first| first.scope) {
                Some(DescriptorScope::LocalNode) => "[local ",
                Some(DescriptorScope::RemoteNode) => "[remote ",
                Some(DescriptorScope::Object) | None => "[",
            })?;
            write_joined(f, ",", descriptors)?;
            f.write_str("]")
        })
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match descriptor_name(self.kind) {
            Some(name) => write!(f, "{name}=")?,
            None => write!(f, "{}=", self.kind)?,
        }
        match &self.value {
            // OSPF Area-IDs have the text form of an IPv4 address.
            DescriptorValue::Number(area) if self.kind == 514 => Ipv4Addr::from_bits(*area).fmt(f),
            DescriptorValue::Number(number) => number.fmt(f),
            DescriptorValue::Address(address) => address.fmt(f),
            DescriptorValue::RouterId(bytes) => router_id(f, bytes),
            DescriptorValue::LinkIds(local, remote) => write!(f, "{local}/{remote}"),
            DescriptorValue::Topologies(ids) => write_joined(f, "+", ids.iter().copied().map(TopologyId)),
            DescriptorValue::Prefix(prefix) => prefix.fmt(f),
            DescriptorValue::Sids(sids) => write_joined(f, "+", sids),
            DescriptorValue::Raw(bytes) => write!(f, "0x{}", Hex(bytes)),
        }
    }
}

/// A Multi-Topology Identifier: `2`, and `2(0x8002)` if reserved bits are set, which distinguish routes.
struct TopologyId(u16);

impl fmt::Display for TopologyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0 & 0x0fff;
        if id == self.0 { id.fmt(f) } else { write!(f, "{id}({:#06x})", self.0) }
    }
}

/// The text form of the IGP: `192.0.2.1`, `0000.0000.0001`, `0000.0000.0001.02`, `192.0.2.1:198.51.100.1`.
fn router_id(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match *bytes {
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).fmt(f),
        [a, b, c, d, e, g] => write!(f, "{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{g:02x}"),
        [a, b, c, d, e, g, n] => write!(f, "{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{g:02x}.{n:02x}"),
        [a, b, c, d, e, g, h, i] => {
            write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, g, h, i))
        }
        _ => Hex(bytes).fmt(f),
    }
}
