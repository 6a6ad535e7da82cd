//! Flow specifications (RFC 8955, RFC 8956).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::route::text::write_joined;
use crate::route::{Prefix, Rd};

/// A flow specification: it selects the packets that match all components.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowSpec {
    /// Route distinguisher; `None` outside of the VPN families.
    pub rd: Option<Rd>,
    /// Components, ordered by type.
    pub components: Vec<FlowSpecComponent>,
}

/// One component of a flow specification (RFC 8955 section 4.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FlowSpecComponent {
    /// Type 1, Destination Prefix.
    Destination {
        /// Bits that the address must have.
        prefix: Prefix,
        /// Number of leading bits that are not compared; 0 for IPv4 (RFC 8956 section 3.1).
        offset: u8,
    },
    /// Type 2, Source Prefix.
    Source {
        /// Bits that the address must have.
        prefix: Prefix,
        /// Number of leading bits that are not compared; 0 for IPv4 (RFC 8956 section 3.1).
        offset: u8,
    },
    /// Types 3 to 13: a field of the packet must match the expression formed by the values.
    Values {
        /// Component type, 3 to 13.
        kind: u8,
        /// Operators and values, in the order sent.
        values: Vec<OperatorValue>,
    },
}

/// One value with its operator (RFC 8955 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperatorValue {
    /// Undecoded operator octet.
    pub operator: u8,
    /// Value to compare with.
    pub value: u64,
}

/// Operator bit: joined to the previous value by AND instead of OR.
const AND: u8 = 0x40;

impl FlowSpec {
    /// The destination prefix; `None` if absent, or if leading bits are not compared.
    #[must_use]
    pub fn destination(&self) -> Option<Prefix> {
        self.components.iter().find_map(|component| match component {
            FlowSpecComponent::Destination { prefix, offset: 0 } => Some(*prefix),
            _ => None,
        })
    }

    /// True if a value has more octets than it needs. The text does not show this, but the key of a route is
    /// opaque (RFC 8955 section 4): another number of octets is another route.
    #[must_use]
    pub fn has_padded_values(&self) -> bool {
        self.components.iter().any(|component| match component {
            FlowSpecComponent::Values { values, .. } => values.iter().any(|value| value.is_padded()),
            _ => false,
        })
    }
}

/// True for the types whose values are bit masks: TCP flags and fragment flags.
const fn is_bitmask(kind: u8) -> bool {
    matches!(kind, 9 | 12)
}

/// A short name of a component type (RFC 8955 section 4.2.2, RFC 8956 section 3.7).
const fn name(kind: u8) -> &'static str {
    match kind {
        3 => "protocol",
        4 => "port",
        5 => "dst-port",
        6 => "src-port",
        7 => "icmp-type",
        8 => "icmp-code",
        9 => "tcp-flags",
        10 => "length",
        11 => "dscp",
        12 => "fragment",
        13 => "flow-label",
        _ => "unknown",
    }
}

/// `65000:1 dst 192.0.2.0/24 protocol =6 dst-port >=80&<=90,=443`, where a comma is OR and an ampersand AND.
/// Bit masks are written `=0x2` (exact match) or `0x2` (any of these bits), negated with `!`.
impl fmt::Display for FlowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rd) = self.rd {
            write!(f, "{rd} ")?;
        }
        write_joined(f, " ", &self.components)
    }
}

impl fmt::Display for FlowSpecComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, prefix, offset) = match self {
            Self::Destination { prefix, offset } => ("dst", prefix, *offset),
            Self::Source { prefix, offset } => ("src", prefix, *offset),
            Self::Values { kind, values } => {
                write!(f, "{} ", name(*kind))?;
                return values.iter().enumerate().try_for_each(|(index, value)| {
                    f.write_str(match (index, value.operator & AND) {
                        (0, _) => "",
                        (_, 0) => ",",
                        _ => "&",
                    })?;
                    value.write(f, is_bitmask(*kind), index == 0)
                });
            }
        };
        write!(f, "{word} {prefix}")?;
        if offset == 0 { Ok(()) } else { write!(f, " from bit {offset}") }
    }
}

impl OperatorValue {
    /// True if the value would fit in fewer octets than the operator specifies (bits 0x30: 1, 2, 4 or 8).
    const fn is_padded(self) -> bool {
        match (self.operator >> 4) & 3 {
            0 => false,
            1 => self.value <= 0xff,
            2 => self.value <= 0xffff,
            _ => self.value <= 0xffff_ffff,
        }
    }

    /// Writes operator and value. The whole operator follows if bits without meaning are set, because they
    /// distinguish flow specifications: the key of a route is opaque (RFC 8955 section 4).
    fn write(self, f: &mut fmt::Formatter<'_>, is_bitmask: bool, is_first: bool) -> fmt::Result {
        if is_bitmask {
            let not = if self.operator & 2 == 0 { "" } else { "!" };
            let exact = if self.operator & 1 == 0 { "" } else { "=" };
            write!(f, "{not}{exact}{:#x}", self.value)?;
        } else {
            write!(f, "{}{}", self.comparison(), self.value)?;
        }
        let meaningless = if is_bitmask { 0x0c } else { 0x08 } | if is_first { AND } else { 0 };
        if self.operator & meaningless == 0 {
            return Ok(());
        }
        write!(f, "(operator {:#04x})", self.operator)
    }

    const fn comparison(self) -> &'static str {
        match self.operator & 7 {
            0 => "false",
            1 => "=",
            2 => ">",
            3 => ">=",
            4 => "<",
            5 => "<=",
            6 => "!=",
            _ => "true",
        }
    }
}
