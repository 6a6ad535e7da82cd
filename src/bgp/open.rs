//! OPEN messages (RFC 4271 section 4.2, RFC 5492, RFC 9072).

use std::net::Ipv4Addr;

use super::capability::{AddPath, Capability};
use super::error::Error;
use super::header;
use crate::route::Family;
use crate::wire::{self, Cursor};

/// Message type of an OPEN.
const OPEN: u8 = 1;
/// Optional parameter type: capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// First parameter type that selects parameter lengths of two octets (RFC 9072 section 2).
const EXTENDED: u8 = 255;

/// A decoded OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// BGP version.
    pub version: u8,
    /// AS number: from the four-octet AS number capability if present, else from the field My Autonomous
    /// System.
    pub asn: u32,
    /// Proposed hold time in seconds.
    pub hold_time_s: u16,
    /// BGP identifier.
    pub bgp_id: Ipv4Addr,
    /// Capabilities of all parameters, in the order sent, up to the first damage.
    pub capabilities: Vec<Capability>,
    /// The first damage of the optional parameters; capabilities after it are unknown.
    pub damage: Option<wire::Error>,
}

/// Decodes one BGP message as an OPEN. A capability or parameter that exceeds its parent does not discard the
/// capabilities before it.
///
/// # Errors
/// The message is not an OPEN, or ends before its optional parameters. Offsets count from the first octet of
/// the marker.
pub fn open(pdu: &[u8]) -> Result<Open, Error> {
    let (kind, mut cursor) = header::decode(pdu)?;
    if kind != OPEN {
        return Err(Error::NotOpen { kind });
    }
    let version = cursor.u8("BGP version")?;
    let two_octet_as = cursor.u16("My Autonomous System")?;
    let hold_time_s = cursor.u16("hold time")?;
    let bgp_id = Ipv4Addr::from_bits(cursor.u32("BGP identifier")?);
    let mut capabilities = Vec::new();
    let damage = parameters(cursor, &mut capabilities).err();
    let four_octet_as = capabilities.iter().find_map(|capability| match capability {
        Capability::FourOctetAs(asn) => Some(*asn),
        _ => None,
    });
    let asn = four_octet_as.unwrap_or_else(|| u32::from(two_octet_as));
    Ok(Open { version, asn, hold_time_s, bgp_id, capabilities, damage })
}

/// Adds the capabilities of all optional parameters.
///
/// A first parameter of type 255 selects the extended format; the preceding one-octet length is then ignored,
/// unless it is 0 (RFC 9072 section 2).
fn parameters(mut cursor: Cursor<'_>, capabilities: &mut Vec<Capability>) -> Result<(), wire::Error> {
    let length = cursor.u8("optional parameters length")?;
    let is_extended = length != 0 && cursor.rest().first() == Some(&EXTENDED);
    let length = if is_extended {
        cursor.u8("extended parameters mark")?;
        cursor.u16("extended optional parameters length")?
    } else {
        u16::from(length)
    };
    let whole = cursor;
    let (mut parameters, excess) = match cursor.sub(usize::from(length), "optional parameters") {
        Ok(parameters) => (parameters, cursor.finish("bytes after the optional parameters")),
        // The length exceeds the message: the parameters are what there is of them.
        Err(error) => (whole, Err(error)),
    };
    while !parameters.is_empty() {
        let kind = parameters.u8("optional parameter type")?;
        let length = if is_extended {
            parameters.u16("optional parameter length")?
        } else {
            u16::from(parameters.u8("optional parameter length")?)
        };
        let whole = parameters;
        let (mut parameter, excess) = match parameters.sub(usize::from(length), "optional parameter") {
            Ok(parameter) => (parameter, Ok(())),
            Err(error) => (whole, Err(error)),
        };
        while kind == CAPABILITIES && !parameter.is_empty() {
            capabilities.push(Capability::read(&mut parameter)?);
        }
        excess?;
    }
    excess
}

impl Open {
    /// Address families in Multiprotocol capabilities; IPv4 unicast if there are none (RFC 4760 section 8).
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = Vec::new();
        for capability in &self.capabilities {
            if let Capability::Multiprotocol(family) = capability
                && !families.contains(family)
            {
                families.push(*family);
            }
        }
        if families.is_empty() {
            families.push(Family::IPV4_UNICAST);
        }
        families
    }

    /// True if the speaker supports four-octet AS numbers (RFC 6793).
    #[must_use]
    pub fn four_octet_as(&self) -> bool {
        self.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAs(_)))
    }

    /// Address families for which the speaker can send or receive several paths (RFC 7911).
    pub fn add_path(&self) -> impl Iterator<Item = AddPath> + '_ {
        self.capabilities
            .iter()
            .flat_map(|capability| match capability {
                Capability::AddPath(families) => families.as_slice(),
                _ => &[],
            })
            .copied()
    }

    /// Address families for which the speaker can receive several labels per route (RFC 8277).
    pub fn multiple_labels(&self) -> impl Iterator<Item = Family> + '_ {
        self.capabilities
            .iter()
            .flat_map(|capability| match capability {
                Capability::MultipleLabels(families) => families.as_slice(),
                _ => &[],
            })
            .map(|(family, _)| *family)
    }
}
