//! Parsers of setting values.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::route::{Family, NAME_MAX_BYTES, Prefix, ROUTER_NAME_MAX_BYTES};
use crate::session::Overrides;

/// A text whose `Debug` form is masked: a password, or a URL that contains one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret in clear text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Units of sizes in lower case, each with its number of bytes. A letter alone is a binary unit, as for
/// systemd and Docker.
const UNITS: [(&str, u64); 14] = [
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
    ("", 1),
];

/// Parses a size in bytes, such as `10GiB`, `10G`, `500 MB` or `4096`. `None` if the text is not a size, or
/// exceeds 2^64 - 1.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Parses an integer, perhaps with a fraction of zero (`30.0`) and its unit (`30s`, `90 days`).
pub(super) fn integer(text: &str, unit: &str) -> Option<u64> {
    let abbreviation = if unit == "days" { "d" } else { unit };
    let number = [unit, abbreviation]
        .iter()
        .filter(|unit| matches!(**unit, "s" | "ms" | "%" | "days" | "d"))
        .find_map(|unit| text.strip_suffix(unit))
        .map_or(text, str::trim_end);
    let whole = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0') => {
            whole
        }
        _ => number,
    };
    // `u64::from_str` accepts a plus sign.
    whole.parse().ok().filter(|_| !whole.starts_with('+'))
}

/// A host and perhaps a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostPort {
    /// Host name, or IP address without brackets.
    pub(super) host: String,
    /// Port, if the text contains one.
    pub(super) port: Option<u16>,
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port`. An IPv6 address without brackets has no port.
pub(super) fn host_and_port(text: &str) -> Option<HostPort> {
    let port = |text: &str| {
        let digits = text.bytes().all(|letter| letter.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits).map(Some)
    };
    if text.parse::<IpAddr>().is_ok() {
        return Some(HostPort { host: text.to_owned(), port: None });
    }
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        address.parse::<std::net::Ipv6Addr>().ok()?;
        let port = if rest.is_empty() { None } else { port(rest.strip_prefix(':')?)? };
        return Some(HostPort { host: address.to_owned(), port });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, digits)) => (host, port(digits)?),
        None => (text, None),
    };
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(is_valid)).then(|| HostPort { host: host.to_owned(), port })
}

/// A size in bytes, in the largest binary unit that divides it exactly.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// Parses a comma-separated list of IP prefixes. An address without a length is a host prefix.
pub(super) fn prefixes(text: &str) -> Result<Vec<Prefix>, String> {
    items(text)
        .map(|item| item.parse().map_err(|error| format!("invalid IP prefix \"{item}\": {error}")))
        .collect()
}

/// Parses comma-separated `address=name` pairs. Addresses and names must be unique: two routers with the same
/// name would overwrite each other's routes.
pub(super) fn router_names(text: &str) -> Result<BTreeMap<IpAddr, String>, String> {
    let mut names = BTreeMap::new();
    for item in items(text) {
        let (address, name) =
            item.split_once('=').ok_or_else(|| format!("invalid entry \"{item}\": expected address=name"))?;
        let address: IpAddr =
            address.trim().parse().map_err(|_| format!("invalid IP address \"{}\"", address.trim()))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(format!("empty name for {address}"));
        }
        check_length(name, NAME_MAX_BYTES)?;
        // Such a name is that of a router at the other address whose own name is in use.
        let other = name.rsplit_once('@').and_then(|(_, address)| address.parse::<IpAddr>().ok());
        if other.is_some_and(|other| other != address.to_canonical()) {
            return Err(format!("the name \"{name}\" ends with the address of another router"));
        }
        if names.values().any(|known| known == name) {
            return Err(format!("two addresses have the name \"{name}\""));
        }
        if names.insert(address.to_canonical(), name.to_owned()).is_some() {
            return Err(format!("{address} has two names"));
        }
    }
    Ok(names)
}

/// Parses a comma-separated list of router names or addresses. Each may occur once.
pub(super) fn routers(text: &str) -> Result<Vec<String>, String> {
    let mut routers: Vec<String> = Vec::new();
    for item in items(text) {
        let address = item.parse::<IpAddr>().ok();
        if address.is_none() && item.parse::<Prefix>().is_ok() {
            return Err(format!("\"{item}\" is a prefix"));
        }
        let router = address.map_or_else(|| item.to_owned(), |address| address.to_canonical().to_string());
        check_length(&router, ROUTER_NAME_MAX_BYTES)?;
        if routers.contains(&router) {
            return Err(format!("\"{item}\" is listed twice"));
        }
        routers.push(router);
    }
    Ok(routers)
}

/// Parses comma-separated entries of the forms `router:as-width=2|4` and `router[/family]:add-path=on|off`,
/// by router name. Entries are split from the right, because the name of a router may be an IPv6 address.
pub(super) fn overrides(text: &str) -> Result<BTreeMap<String, Overrides>, String> {
    let mut all: BTreeMap<String, Overrides> = BTreeMap::new();
    for item in items(text) {
        let invalid = |reason: &str| format!("invalid entry \"{item}\": {reason}");
        let split = item.rsplit_once('=').and_then(|(left, value)| {
            let (target, option) = left.rsplit_once(':')?;
            Some((target.trim(), option.trim(), value.trim()))
        });
        let (target, option, value) = split.ok_or_else(|| invalid("no option"))?;
        let (router, family) = match target.rsplit_once('/') {
            None => (target, None),
            Some((router, name)) => {
                let unknown = || invalid(&format!("unknown address family \"{name}\""));
                (router, Some(Family::from_name(name).ok_or_else(unknown)?))
            }
        };
        if router.is_empty() {
            return Err(invalid("no router"));
        }
        check_length(router, ROUTER_NAME_MAX_BYTES)?;
        let overrides = all.entry(router.to_owned()).or_default();
        match (option, value, family) {
            ("as-width", "2" | "4", None) => {
                if overrides.four_octet_as.replace(value == "4").is_some() {
                    return Err(invalid("as-width is set twice"));
                }
            }
            ("as-width", "2" | "4", Some(_)) => {
                return Err(invalid("as-width applies to all address families of a router"));
            }
            ("add-path", "on" | "off", _) => {
                overrides.set_add_path(family, value == "on").map_err(&invalid)?;
            }
            _ => return Err(invalid("unknown option or value")),
        }
    }
    Ok(all)
}

/// Checks the length of a name. Names are part of index keys of the database.
pub(super) fn check_length(name: &str, max: usize) -> Result<(), String> {
    if name.len() <= max {
        return Ok(());
    }
    let beginning = name.get(..name.floor_char_boundary(40)).unwrap_or_default();
    Err(format!("name \"{beginning}…\" has {} octets, more than {max}", name.len()))
}

/// The items of a comma-separated list, without surrounding white space; empty items are skipped.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, value) in [
            ("10GiB", Some(10 << 30)),
            ("64 mib", Some(64 << 20)),
            ("1kB", Some(1_000)),
            ("4096", Some(4_096)),
            ("20G", Some(20 << 30)),
            ("64m", Some(64 << 20)),
            ("12B", Some(12)),
            ("", None),
            ("GiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("10 parsecs", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(bytes(text), value, "{text}");
        }
    }

    #[test]
    fn sizes_are_written_so_that_they_can_be_read_again() {
        for (value, text) in
            [(0, "0"), (1_500, "1500"), (10 << 30, "10GiB"), (1 << 20, "1MiB"), (3 << 10, "3KiB")]
        {
            assert_eq!(bytes_text(value), text);
            assert_eq!(bytes(text), Some(value));
        }
    }

    #[test]
    fn integers_may_have_their_unit_and_a_fraction_of_zero() {
        for (text, unit, value) in [
            ("30", "s", Some(30)),
            ("30.0", "s", Some(30)),
            ("30s", "s", Some(30)),
            ("30.00 s", "s", Some(30)),
            ("90d", "days", Some(90)),
            ("90 days", "days", Some(90)),
            ("5%", "%", Some(5)),
            ("500ms", "ms", Some(500)),
            ("1s", "ms", None),
            ("5m", "s", None),
            ("2.5", "s", None),
            ("2.", "s", None),
            ("+2", "s", None),
            ("10rows", "rows", None),
            ("s", "s", None),
            ("", "", None),
        ] {
            assert_eq!(integer(text, unit), value, "{text}");
        }
    }

    #[test]
    fn a_host_may_have_brackets_and_a_port() {
        for (text, expected) in [
            ("::", Some(("::", None))),
            ("[::]", Some(("::", None))),
            ("[2001:db8::1]:1790", Some(("2001:db8::1", Some(1_790)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("192.0.2.1:1790", Some(("192.0.2.1", Some(1_790)))),
            ("db.example", Some(("db.example", None))),
            ("db.example:5432", Some(("db.example", Some(5_432)))),
            ("[192.0.2.1]", None),
            ("[::]1790", None),
            ("db:65536", None),
            ("db:+1", None),
            ("db:", None),
            (":5432", None),
            ("tcp://db:5432", None),
            ("a b", None),
            ("", None),
        ] {
            let found = host_and_port(text);
            let expected = expected.map(|(host, port)| HostPort { host: host.to_owned(), port });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_bare_address_is_a_prefix_of_full_length() {
        let list = prefixes("192.0.2.1, 2001:db8::/32,").unwrap();
        assert_eq!(
            list.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["192.0.2.1/32", "2001:db8::/32"]
        );
        assert!(prefixes("192.0.2.0/33").is_err());
        assert!(prefixes("edge1").is_err());
    }

    #[test]
    fn a_name_belongs_to_one_address() {
        assert_eq!(router_names("192.0.2.1=edge1, 2001:db8::1 = edge2").unwrap().len(), 2);
        for wrong in [
            "192.0.2.1",
            "edge1=192.0.2.1",
            "192.0.2.1=",
            "192.0.2.1=a,192.0.2.2=a",
            "192.0.2.1=a,192.0.2.1=b",
        ] {
            assert!(router_names(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let (longest, longer) = ("n".repeat(NAME_MAX_BYTES), "n".repeat(NAME_MAX_BYTES + 1));
        assert!(router_names(&format!("192.0.2.1={longest}")).is_ok());
        let error = router_names(&format!("192.0.2.1={longer}")).unwrap_err();
        assert_eq!(error, format!("name \"{}…\" has 256 octets, more than 255", "n".repeat(40)));
        // A router whose name another one has is stored as name@address.
        assert!(routers(&longer).is_ok() && overrides(&format!("{longer}:as-width=2")).is_ok());
        let longer = "é".repeat(ROUTER_NAME_MAX_BYTES / 2 + 1);
        assert!(routers(&longer).is_err() && overrides(&format!("{longer}:as-width=2")).is_err());
    }

    #[test]
    fn routers_are_names_or_addresses() {
        assert_eq!(routers("edge1, ::ffff:192.0.2.1,").unwrap(), ["edge1", "192.0.2.1"]);
        for wrong in ["192.0.2.0/24", "edge1,edge1", "192.0.2.1,::ffff:192.0.2.1"] {
            assert!(routers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn overrides_are_read_by_router_and_family() {
        let text = "edge1:as-width=2, edge1:add-path=off,edge1/evpn:add-path=on,\
                    2001:db8::1/ipv6_unicast:add-path=on";
        let all = overrides(text).unwrap();
        assert_eq!(all["edge1"].to_string(), "as-width=2 evpn:add-path=on add-path=off");
        assert_eq!(
            all["edge1"].add_path_of(Family::EVPN),
            Some(true),
            "the entry with a family takes precedence"
        );
        assert_eq!(all["edge1"].add_path_of(Family::IPV4_UNICAST), Some(false));
        let v6 = &all["2001:db8::1"];
        assert_eq!(v6.add_path_of(Family::IPV6_UNICAST), Some(true));
        assert_eq!((v6.add_path_of(Family::EVPN), v6.four_octet_as), (None, None));
        for wrong in [
            "edge1",
            "edge1:as-width",
            "edge1:as-width=3",
            "edge1:as-width=on",
            "edge1:add-path=2",
            "edge1:path-add=on",
            "edge1/evpn:as-width=2",
            "edge1/ipv5:add-path=on",
            ":add-path=on",
            "/evpn:add-path=on",
            "edge1:as-width=2,edge1:as-width=4",
            "edge1/evpn:add-path=on,edge1/evpn:add-path=on",
        ] {
            assert!(overrides(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_does_not_show() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "***");
    }
}
