//! The capabilities of both OPENs of a peer, compared. Pure.

use crate::route::Opens;

/// Which sides sent a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// Both.
    Both,
    /// Both, but no direction in which one side sends and the other one receives (ADD-PATH).
    NoDirection,
    /// The router alone.
    RouterOnly,
    /// The peer alone.
    PeerOnly,
}

impl Sides {
    /// Whether the capability has no effect, because one side lacks it.
    pub(super) const fn is_one_sided(self) -> bool {
        !matches!(self, Self::Both)
    }

    /// The sides in words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::NoDirection => "no matching direction",
            Self::RouterOnly => "router only",
            Self::PeerOnly => "peer only",
        }
    }
}

/// A capability, for one address family if it has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    pub(super) name: String,
    /// Value in the OPEN that the router sent; `None` if it is absent there.
    pub(super) sent: Option<String>,
    /// Value in the OPEN that the router received.
    pub(super) received: Option<String>,
}

impl Capability {
    pub(super) fn sides(&self) -> Sides {
        match (&self.sent, &self.received) {
            (Some(sent), Some(received)) => {
                let flows = |from: &str, to: &str| {
                    matches!(from, "send" | "both") && matches!(to, "receive" | "both")
                };
                let is_add_path = self.name.starts_with("add-path ");
                if is_add_path && !flows(sent, received) && !flows(received, sent) {
                    Sides::NoDirection
                } else {
                    Sides::Both
                }
            }
            (Some(_), None) => Sides::RouterOnly,
            (None, _) => Sides::PeerOnly,
        }
    }
}

/// Capabilities whose values are pairs of a family and a value.
const BY_FAMILY: [&str; 4] =
    ["add-path", "multiple-labels", "extended-next-hop", "long-lived-graceful-restart"];

/// The capabilities of both OPENs, by name.
pub(super) fn compared(opens: &Opens) -> Vec<Capability> {
    let mut found: Vec<Capability> = Vec::new();
    let sides = [(&opens.sent, true), (&opens.received, false)];
    for (open, is_sent) in sides {
        let texts = open.iter().flat_map(|open| &open.capabilities);
        for (name, value) in texts.flat_map(|text| parts(text)) {
            let index = found.iter().position(|known| known.name == name).unwrap_or_else(|| {
                found.push(Capability { name, sent: None, received: None });
                found.len() - 1
            });
            let Some(one) = found.get_mut(index) else { continue };
            let known = if is_sent { &mut one.sent } else { &mut one.received };
            match known {
                Some(known) if *known != value => known.push_str(&format!(", {value}")),
                Some(_) => {}
                None => *known = Some(value),
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The names and values in the text form of a capability.
fn parts(text: &str) -> Vec<(String, String)> {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    if BY_FAMILY.contains(&name) && !value.is_empty() {
        let families = value.split(' ').map(|part| match part.split_once(':') {
            Some((family, value)) => (format!("{name} {family}"), value.to_owned()),
            None => (format!("{name} {part}"), "yes".to_owned()),
        });
        return families.collect();
    }
    let (name, value) = match (name, value.split_once(' ')) {
        ("multiprotocol", _) => (text, ""),
        // A code without a name.
        ("capability", Some((code, value))) => {
            return vec![(format!("{name} {code}"), value.to_owned())];
        }
        ("capability", None) => (text, ""),
        _ => (name, value),
    };
    vec![(name.to_owned(), if value.is_empty() { "yes".to_owned() } else { value.to_owned() })]
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::route::OpenSummary;

    fn open(capabilities: &[&str]) -> Option<OpenSummary> {
        Some(OpenSummary {
            asn: 65_001,
            bgp_id: Ipv4Addr::LOCALHOST,
            hold_time_s: 90,
            capabilities: capabilities.iter().map(|text| (*text).to_owned()).collect(),
            is_damaged: false,
        })
    }

    #[test]
    fn each_capability_has_the_values_of_both_sides() {
        let sent = [
            "multiprotocol ipv4_unicast",
            "multiprotocol ipv6_unicast",
            "four-octet-as 65001",
            "add-path ipv4_unicast:receive ipv6_unicast:receive l2vpn_evpn:both",
            "graceful-restart 120s ipv4_unicast:preserved",
            "capability 200 0x01",
        ];
        let received = [
            "multiprotocol ipv4_unicast",
            "four-octet-as 65002",
            "add-path ipv4_unicast:receive l2vpn_evpn:send",
            "route-refresh",
            "route-refresh",
            "capability 201",
        ];
        let all = compared(&Opens { sent: open(&sent), received: open(&received) });
        let rows: Vec<_> = all
            .iter()
            .map(|one| (one.name.as_str(), one.sent.as_deref(), one.received.as_deref(), one.sides()))
            .collect();
        let expected = [
            ("add-path ipv4_unicast", Some("receive"), Some("receive"), Sides::NoDirection),
            ("add-path ipv6_unicast", Some("receive"), None, Sides::RouterOnly),
            ("add-path l2vpn_evpn", Some("both"), Some("send"), Sides::Both),
            ("capability 200", Some("0x01"), None, Sides::RouterOnly),
            ("capability 201", None, Some("yes"), Sides::PeerOnly),
            ("four-octet-as", Some("65001"), Some("65002"), Sides::Both),
            ("graceful-restart", Some("120s ipv4_unicast:preserved"), None, Sides::RouterOnly),
            ("multiprotocol ipv4_unicast", Some("yes"), Some("yes"), Sides::Both),
            ("multiprotocol ipv6_unicast", Some("yes"), None, Sides::RouterOnly),
            ("route-refresh", None, Some("yes"), Sides::PeerOnly),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn an_open_that_cannot_be_decoded_has_no_capabilities() {
        let opens = Opens { sent: None, received: open(&["route-refresh"]) };
        assert_eq!(compared(&opens)[0].sides(), Sides::PeerOnly);
        assert_eq!(compared(&Opens::default()), []);
    }
}
