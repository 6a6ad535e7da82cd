//! The text form of capabilities.

use std::fmt;

use super::capability::{AddPath, Capability};
use crate::hex::Hex;
use crate::route::Family;

/// The name of a capability code (IANA "Capability Codes"); `None` for a code without a name.
const fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "multiprotocol",
        2 => "route-refresh",
        3 => "outbound-route-filtering",
        5 => "extended-next-hop",
        6 => "extended-message",
        7 => "bgpsec",
        8 => "multiple-labels",
        9 => "role",
        64 => "graceful-restart",
        65 => "four-octet-as",
        67 => "dynamic",
        68 => "multisession",
        69 => "add-path",
        70 => "enhanced-route-refresh",
        71 => "long-lived-graceful-restart",
        72 => "routing-policy-distribution",
        73 => "fqdn",
        74 => "bfd-strict",
        75 => "software-version",
        76 => "paths-limit",
        128 => "route-refresh-cisco",
        _ => return None,
    })
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiprotocol(family) => write!(f, "multiprotocol {family}"),
            Self::FourOctetAs(asn) => write!(f, "four-octet-as {asn}"),
            Self::AddPath(families) => {
                f.write_str("add-path")?;
                families.iter().try_for_each(|one| write!(f, " {one}"))
            }
            Self::MultipleLabels(families) => {
                f.write_str("multiple-labels")?;
                families.iter().try_for_each(|(family, count)| write!(f, " {family}:{count}"))
            }
            Self::Other { code, value } => {
                match name(*code) {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "capability {code}")?,
                }
                if !value.is_empty() && !write_value(f, *code, value)? {
                    write!(f, " 0x{}", Hex(value))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for AddPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match (self.send, self.receive) {
            (true, true) => "both",
            (true, false) => "send",
            (false, true) => "receive",
            (false, false) => "neither",
        };
        write!(f, "{}:{mode}", self.family)
    }
}

/// Writes the decoded value. Returns false, and writes nothing, for a code without a decoder and for a length
/// that does not fit the code.
fn write_value(f: &mut fmt::Formatter<'_>, code: u8, value: &[u8]) -> Result<bool, fmt::Error> {
    match (code, value) {
        // RFC 9234 section 4.1.
        (9, [role]) => match role {
            0 => f.write_str(" provider"),
            1 => f.write_str(" route-server"),
            2 => f.write_str(" route-server-client"),
            3 => f.write_str(" customer"),
            4 => f.write_str(" peer"),
            role => write!(f, " {role}"),
        },
        // RFC 4724 section 3: flags and restart time, then families with the flag "forwarding state
        // preserved".
        (64, [a, b, families @ ..]) if families.len().is_multiple_of(4) => {
            let flags_and_time = u16::from_be_bytes([*a, *b]);
            write!(
                f,
                " {}s{}",
                flags_and_time & 0x0fff,
                if flags_and_time & 0x8000 == 0 { "" } else { " restarted" }
            )?;
            families.as_chunks::<4>().0.iter().try_for_each(|&[a, b, safi, flags]| {
                let kept = if flags & 0x80 == 0 { "" } else { ":preserved" };
                write!(f, " {}{kept}", Family { afi: u16::from_be_bytes([a, b]), safi })
            })
        }
        // RFC 9494 section 3.1: families with flags and a stale time of three octets in seconds.
        (71, _) if value.len().is_multiple_of(7) => {
            value.as_chunks::<7>().0.iter().try_for_each(|&[a, b, safi, _, x, y, z]| {
                let family = Family { afi: u16::from_be_bytes([a, b]), safi };
                write!(f, " {family}:{}s", u32::from_be_bytes([0, x, y, z]))
            })
        }
        // RFC 8950 section 4: families, each with the AFI of its next hops.
        (5, _) if value.len().is_multiple_of(6) => {
            value.as_chunks::<6>().0.iter().try_for_each(|&[a, b, _, safi, c, d]| {
                let family = Family { afi: u16::from_be_bytes([a, b]), safi };
                write!(f, " {family}:afi{}", u16::from_be_bytes([c, d]))
            })
        }
        (73, [length, rest @ ..]) => {
            let Some((host, [_, domain @ ..])) = rest.split_at_checked(usize::from(*length)) else {
                return Ok(false);
            };
            write!(f, " {}", printable(host))?;
            if domain.is_empty() { Ok(()) } else { write!(f, ".{}", printable(domain)) }
        }
        (75, [_, version @ ..]) => write!(f, " {}", printable(version)),
        _ => return Ok(false),
    }?;
    Ok(true)
}

/// Text sent by a router, with NUL and invalid UTF-8 replaced by U+FFFD.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}
