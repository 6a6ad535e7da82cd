//! Communities as arguments: standard, well-known, large and extended.

use std::net::Ipv4Addr;

/// Well-known standard communities (IANA "Border Gateway Protocol (BGP) Well-known Communities").
const WELL_KNOWN: &[(&str, &str)] = &[
    ("graceful-shutdown", "65535:0"),
    ("accept-own", "65535:1"),
    ("llgr-stale", "65535:6"),
    ("no-llgr", "65535:7"),
    ("blackhole", "65535:666"),
    ("no-export", "65535:65281"),
    ("no-advertise", "65535:65282"),
    ("no-export-subconfed", "65535:65283"),
    ("no-peer", "65535:65284"),
    ("nopeer", "65535:65284"),
];

/// Other names of extended communities, in lower case, with the name in the database.
const ALIASES: &[(&str, &str)] = &[
    ("rt", "RT"),
    ("target", "RT"),
    ("route-target", "RT"),
    ("ro", "RO"),
    ("soo", "RO"),
    ("origin", "RO"),
    ("color", "Color"),
];

/// The community as the database has it; else the reason, which may be empty.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    let name = lower.replace('_', "-");
    if let Some((_, value)) = WELL_KNOWN.iter().find(|(known, _)| *known == name) {
        return Ok((*value).to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| number(part)).collect();
    match (numbers.as_deref(), parts.as_slice()) {
        (Some([high, low]), _) if (*high).max(*low) <= u32::from(u16::MAX) => Ok(format!("{high}:{low}")),
        (Some([_, _]), _) => Err("each half of a standard community is at most 65535".to_owned()),
        (Some([administrator, first, second]), _) => Ok(format!("{administrator}:{first}:{second}")),
        (Some(_), _) => Err(String::new()),
        (None, [kind, rest @ ..])
            if !rest.is_empty() && kind.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            let known = kind.to_lowercase();
            let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == known) else {
                // The other names are compared as they are.
                return Ok(text.to_owned());
            };
            extended(name, rest)
        }
        (None, _) => Err(names()),
    }
}

/// A route target, route origin or color: an administrator (AS number or IPv4 address) and a number.
fn extended(name: &str, parts: &[&str]) -> Result<String, String> {
    match parts {
        [color] if name == "Color" => {
            let color = number(color).ok_or_else(|| "a color is a number".to_owned())?;
            Ok(format!("{name}:{color}"))
        }
        [administrator, value] if name != "Color" => {
            let value = number(value).ok_or_else(|| format!("\"{value}\" is no number"))?;
            // The mark of an AS number of two octets in a field of four (`route::attributes`).
            let (digits, mark) = administrator.strip_suffix('L').map_or((*administrator, ""), |it| (it, "L"));
            let administrator = match number(digits) {
                Some(asn) => format!("{asn}{mark}"),
                None => match administrator.parse::<Ipv4Addr>() {
                    Ok(address) => address.to_string(),
                    Err(_) => {
                        return Err(format!(
                            "\"{administrator}\" is neither an AS number nor an IPv4 address"
                        ));
                    }
                },
            };
            Ok(format!("{name}:{administrator}:{value}"))
        }
        _ => Err(String::new()),
    }
}

/// A number without sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn names() -> String {
    let names: Vec<&str> =
        WELL_KNOWN.iter().map(|(name, _)| *name).filter(|name| *name != "nopeer").collect();
    format!("the names are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation_has_the_form_of_the_database() {
        for (text, sent) in [
            ("65000:100", "65000:100"),
            ("065000:0100", "65000:100"),
            ("no-export", "65535:65281"),
            ("NO_EXPORT", "65535:65281"),
            ("4200000000:1:2", "4200000000:1:2"),
            ("rt:65000:100", "RT:65000:100"),
            ("RT:65000L:1", "RT:65000L:1"),
            ("target:192.0.2.1:5", "RT:192.0.2.1:5"),
            ("SoO:65000:1", "RO:65000:1"),
            ("color:7", "Color:7"),
            ("EVPN-MAC-Mobility:1", "EVPN-MAC-Mobility:1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(sent), "{text}");
        }
    }

    #[test]
    fn what_is_no_community_has_a_reason() {
        for (text, reason) in [
            ("65536:1", "each half of a standard community is at most 65535"),
            ("1", ""),
            ("1:2:3:4", ""),
            ("RT:65000:x", "\"x\" is no number"),
            ("RT:x:1", "\"x\" is neither an AS number nor an IPv4 address"),
            (
                "-1:5",
                "the names are graceful-shutdown, accept-own, llgr-stale, no-llgr, blackhole, no-export, \
                no-advertise, no-export-subconfed, no-peer",
            ),
        ] {
            assert_eq!(parse(text), Err(reason.to_owned()), "{text}");
        }
        assert!(parse("no-exprot").unwrap_err().contains("no-export"));
    }
}
