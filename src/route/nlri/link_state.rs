//! BGP-LS: nodes, links, prefixes and SRv6 SIDs of an IGP (RFC 9552 section 5.2, RFC 9514 section 6).

use std::fmt::{self, Display as _};
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::Rd;
use crate::route::Prefix;

/// One object of the link-state database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkState {
    /// Route distinguisher, in 16388/72.
    pub rd: Option<Rd>,
    /// NLRI type: 1 node, 2 link, 3 IPv4 prefix, 4 IPv6 prefix, 6 SRv6 SID.
    pub kind: u16,
    /// Protocol-ID: 1 IS-IS level 1, 2 IS-IS level 2, 3 OSPFv2, 4 direct, 5 static, 6 OSPFv3, 7 BGP, others by number.
    pub protocol: u8,
    /// Identifier of the routing instance.
    pub identifier: u64,
    /// All descriptors, in the order sent.
    pub descriptors: Vec<Descriptor>,
}

/// Of what a descriptor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// The node itself, or the near end of the link.
    Local,
    /// The far end of the link.
    Remote,
    /// The link, the prefix or the SID.
    Object,
}

/// One descriptor TLV.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// Of what it speaks.
    pub scope: Scope,
    /// TLV type.
    pub kind: u16,
    /// What it says.
    pub value: DescriptorValue,
}

/// The value of a descriptor, typed by its TLV type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DescriptorValue {
    /// 512 Autonomous System, 513 BGP-LS Identifier, 514 OSPF Area-ID, 517 confederation member, 264 OSPF route type.
    Number(u32),
    /// 259 to 262 addresses of a link, 516 BGP Router-ID.
    Address(IpAddr),
    /// 515 IGP Router-ID: 4 octets of OSPF, 6 of IS-IS, 7 and 8 of a pseudonode.
    RouterId(Vec<u8>),
    /// 258 Link Local/Remote Identifiers.
    LinkIds(u32, u32),
    /// 263 Multi-Topology Identifiers.
    Topologies(Vec<u16>),
    /// 265 IP Reachability Information.
    Prefix(Prefix),
    /// 518 SRv6 SID Information.
    Sids(Vec<IpAddr>),
    /// A type that is not known, or whose length is not that of its type.
    Raw(Vec<u8>),
}

/// The name of a descriptor TLV (IANA "BGP-LS NLRI and Attribute TLVs"), short; `None` for those that are not known.
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

impl LinkState {
    /// The prefix of types 3 and 4.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        self.descriptors.iter().find_map(|descriptor| match descriptor.value {
            DescriptorValue::Prefix(prefix) => Some(prefix),
            _ => None,
        })
    }

    fn write_scope(&self, f: &mut fmt::Formatter<'_>, scope: Scope, word: &str) -> fmt::Result {
        let mut before = word;
        for descriptor in self.descriptors.iter().filter(|descriptor| descriptor.scope == scope) {
            f.write_str(if before == word { "[" } else { "," })?;
            f.write_str(if before == word { word } else { "" })?;
            descriptor.fmt(f)?;
            before = ",";
        }
        f.write_str(if before == word { "" } else { "]" })
    }
}

/// `[link][isis-l2][0][local asn=65000,router-id=0000.0000.0001][remote …][ipv4-interface=10.0.0.1]`.
impl fmt::Display for LinkState {
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
        self.write_scope(f, Scope::Local, "local ")?;
        self.write_scope(f, Scope::Remote, "remote ")?;
        self.write_scope(f, Scope::Object, "")
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match descriptor_name(self.kind) {
            Some(name) => write!(f, "{name}=")?,
            None => write!(f, "{}=", self.kind)?,
        }
        match &self.value {
            // An area is written like an address.
            DescriptorValue::Number(area) if self.kind == 514 => Ipv4Addr::from_bits(*area).fmt(f),
            DescriptorValue::Number(number) => number.fmt(f),
            DescriptorValue::Address(address) => address.fmt(f),
            DescriptorValue::RouterId(bytes) => router_id(f, bytes),
            DescriptorValue::LinkIds(local, remote) => write!(f, "{local}/{remote}"),
            DescriptorValue::Topologies(ids) => joined(f, ids),
            DescriptorValue::Prefix(prefix) => prefix.fmt(f),
            DescriptorValue::Sids(sids) => joined(f, sids),
            DescriptorValue::Raw(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, values: &[T]) -> fmt::Result {
    values.iter().enumerate().try_for_each(|(place, value)| {
        f.write_str(if place == 0 { "" } else { "+" })?;
        value.fmt(f)
    })
}

/// As the IGP writes it: `192.0.2.1`, `0000.0000.0001`, `0000.0000.0001.02`, `192.0.2.1:198.51.100.1`.
fn router_id(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    match *bytes {
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).fmt(f),
        [a, b, c, d, e, g] => write!(f, "{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{g:02x}"),
        [a, b, c, d, e, g, n] => write!(f, "{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{g:02x}.{n:02x}"),
        [a, b, c, d, e, g, h, i] => {
            write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, g, h, i))
        }
        _ => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
    }
}
