//! The search box: the form of a text determines the query.

use crate::sink::Kind;

use super::request::{SEARCH, address};

/// One meaning of a text, and the query for it.
pub(super) struct Reading {
    /// The meaning, with its article.
    pub(super) meaning: &'static str,
    /// Name of the query.
    pub(super) query: &'static str,
    /// Arguments of the query.
    arguments: Vec<(&'static str, String)>,
}

impl Reading {
    fn new(meaning: &'static str, query: &'static str, parameter: &'static str, value: &str) -> Self {
        Self { meaning, query, arguments: vec![(parameter, value.to_owned())] }
    }

    /// The address of the query, with the text so that its page names the other readings.
    pub(super) fn address(&self, text: &str) -> String {
        let arguments = self.arguments.iter().map(|(name, value)| (*name, value.as_str()));
        address(self.query, "", arguments.chain([(SEARCH, text)]))
    }
}

/// The readings of a text, the most probable first. There is always one.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let text = text.trim();
    let bare = text.split_once('/').map(|(bare, _)| bare);
    if bare.is_some_and(|bare| Kind::Address.accepts(bare)) {
        // The query names the mistake in a prefix with host bits.
        return vec![
            Reading::new("a prefix", "prefix_lookup", "prefix", text),
            Reading::new("a prefix and its history", "prefix_timeline", "prefix", text),
        ];
    }
    if Kind::Address.accepts(text) {
        return vec![
            Reading::new("an address", "route_lookup", "address", text),
            Reading::new("a peer", "peers", "peer", text),
            Reading::new("a host behind a MAC address", "evpn_bindings", "ip", text),
        ];
    }
    let mut found = Vec::new();
    if Kind::Mac.accepts(text) {
        found.push(Reading::new("a MAC address", "evpn_bindings", "mac", text));
    } else if Kind::AsNumbers.accepts(text) {
        found.push(Reading::new("an AS number in a path", "as_path_search", "asns", text));
    } else if Kind::Community.accepts(text) {
        found.push(Reading::new("a community", "community_search", "community", text));
    }
    // Any text may be the name of a router.
    let peer = if found.is_empty() { "the name of a router or a peer" } else { "a peer or a router" };
    found.push(Reading::new(peer, "peers", "peer", text));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Query;

    #[test]
    fn the_form_of_a_text_determines_the_query() {
        for (text, query) in [
            ("192.0.2.1", "route_lookup"),
            ("2001:db8::1", "route_lookup"),
            ("192.0.2.0/24", "prefix_lookup"),
            ("192.0.2.1/24", "prefix_lookup"),
            ("2001:db8::/32", "prefix_lookup"),
            ("AS3356", "as_path_search"),
            ("3356", "as_path_search"),
            ("3356, 1299", "as_path_search"),
            ("1.10", "as_path_search"),
            ("65000:100", "community_search"),
            ("65000:1:2", "community_search"),
            ("RT:65000:100", "community_search"),
            ("no-export", "community_search"),
            ("00:11:22:33:44:55", "evpn_bindings"),
            ("0011.2233.4455", "evpn_bindings"),
            ("001122334455", "evpn_bindings"),
            ("bgp-id=192.0.2.1", "peers"),
            ("edge1", "peers"),
            ("core 2", "peers"),
            ("edge1/0", "peers"),
        ] {
            let found = readings(text);
            assert_eq!(found.first().map(|reading| reading.query), Some(query), "{text}");
            for Reading { query, arguments, .. } in &found {
                let parameters = Query::find(query).unwrap().parameters;
                assert!(arguments.iter().all(|(name, _)| parameters.iter().any(|it| it.name == *name)));
            }
        }
    }

    #[test]
    fn the_address_has_the_argument_and_the_text() {
        let address = readings(" core 2").first().map(|reading| reading.address("core 2"));
        assert_eq!(address.as_deref(), Some("/lookup/peers?peer=core%202&q=core%202"));
    }
}
