//! Flow specifications (RFC 8955, RFC 8956).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Rd;
use crate::route::Prefix;

/// Which packets: all components must match.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowSpec {
    /// Route distinguisher, in the VPN families.
    pub rd: Option<Rd>,
    /// The components, in the order of their types.
    pub components: Vec<Component>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Component {
    /// Type 1: destination.
    Destination {
        /// The prefix.
        prefix: Prefix,
        /// IPv6: how many leading bits are skipped.
        offset: u8,
    },
    /// Type 2: source.
    Source {
        /// The prefix.
        prefix: Prefix,
        /// IPv6: how many leading bits are skipped.
        offset: u8,
    },
    /// Types 3 to 13 by their number: values, of which one must match.
    Values {
        /// The type.
        kind: u8,
        /// How they are joined, and the values.
        matches: Matches,
    },
}

/// The values of a component.
pub type Matches = Vec<Match>;

/// One value with its operator octet (RFC 8955 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Match {
    /// The operator octet as it came.
    pub operator: u8,
    /// The value.
    pub value: u64,
}

/// Bit of the operator: joined to the one before by AND.
const AND: u8 = 0x40;

impl FlowSpec {
    /// The destination prefix, unless a part of it is skipped.
    #[must_use]
    pub fn destination(&self) -> Option<Prefix> {
        self.components.iter().find_map(|component| match component {
            Component::Destination { prefix, offset: 0 } => Some(*prefix),
            _ => None,
        })
    }
}

/// TCP flags and fragment flags are bits; all other values are numbers.
const fn is_bitmask(kind: u8) -> bool {
    matches!(kind, 9 | 12)
}

/// The names of RFC 8955 section 4.2.2, short.
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

/// `65000:1 dst 192.0.2.0/24 protocol =6 dst-port >=80&<=90,=443`: a comma is OR, an ampersand AND. Bit masks as
/// `=0x2` (all and only), `0x2` (any), with `!` for not.
impl fmt::Display for FlowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rd) = self.rd {
            write!(f, "{rd} ")?;
        }
        for (place, component) in self.components.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { " " })?;
            component.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, prefix, offset) = match self {
            Self::Destination { prefix, offset } => ("dst", prefix, *offset),
            Self::Source { prefix, offset } => ("src", prefix, *offset),
            Self::Values { kind, matches } => {
                write!(f, "{} ", name(*kind))?;
                return matches.iter().enumerate().try_for_each(|(place, one)| {
                    f.write_str(match (place, one.operator & AND) {
                        (0, _) => "",
                        (_, 0) => ",",
                        _ => "&",
                    })?;
                    one.write(f, is_bitmask(*kind))
                });
            }
        };
        write!(f, "{word} {prefix}")?;
        if offset == 0 { Ok(()) } else { write!(f, " from bit {offset}") }
    }
}

impl Match {
    fn write(self, f: &mut fmt::Formatter<'_>, is_bitmask: bool) -> fmt::Result {
        if is_bitmask {
            let not = if self.operator & 2 == 0 { "" } else { "!" };
            let exact = if self.operator & 1 == 0 { "" } else { "=" };
            return write!(f, "{not}{exact}{:#x}", self.value);
        }
        let comparison = match self.operator & 7 {
            0 => "false",
            1 => "=",
            2 => ">",
            3 => ">=",
            4 => "<",
            5 => "<=",
            6 => "!=",
            _ => "true",
        };
        write!(f, "{comparison}{}", self.value)
    }
}
