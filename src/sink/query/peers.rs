//! Peers as arguments: each notation is matched with the peers of the database before the query is run.

use std::net::{IpAddr, Ipv4Addr};

use tokio_postgres::{Client, Row};

use super::bind::{BoundQuery, QueryError};
use super::kind::{Kind, as_number};

/// Number of known names that an error lists.
const NAMES_MAX: usize = 5;

/// Queries of history, which has peers that were forgotten, and no ids.
const OF_HISTORY: [&str; 3] = ["prefix_timeline", "peer_flaps", "peer_counters"];

/// Peers by the AS numbers that they have. The last column is false: see [`StoredPeer::is_past`].
const CURRENT: &str = "
    SELECT id, router, host(address), asn, host(bgp_id), false FROM chosen_peers ORDER BY id";
const HISTORY: &str = "
    SELECT p.id, i.router, host(i.address), CASE WHEN i.asn = 0 THEN coalesce(p.asn, 0) ELSE i.asn END,
        host(i.bgp_id), false
    FROM peer_identities i LEFT JOIN bgp_peers p ON p.peer_number = i.peer_number
    ORDER BY i.peer_number, p.id";
/// Loc-RIBs by the AS numbers that they had: the AS number is not part of their identity.
const PAST: &str = "
    SELECT DISTINCT p.id, p.router, host(p.address), n.bgp_peer_asn, host(p.bgp_id), true
    FROM chosen_peers p JOIN incarnations n ON n.router = p.router
        AND n.bgp_peer_ip = p.address AND n.peer_type = p.peer_type AND n.bgp_id = p.bgp_id
        AND n.peer_distinguisher = p.peer_distinguisher
    WHERE p.peer_type = 3 AND n.bgp_peer_asn NOT IN (0, p.asn) ORDER BY 1, 4";

/// A peer of the database, or one RIB view of it.
struct StoredPeer {
    id: Option<i64>,
    router: String,
    /// Text of the address as the server has it.
    address: String,
    asn: u32,
    bgp_id: String,
    /// Whether the peer had the AS number earlier, and now has another one.
    is_past: bool,
}

impl TryFrom<&Row> for StoredPeer {
    type Error = tokio_postgres::Error;

    fn try_from(row: &Row) -> Result<Self, Self::Error> {
        let asn: i64 = row.try_get(3)?;
        Ok(Self {
            id: row.try_get(0)?,
            router: row.try_get(1)?,
            address: row.try_get(2)?,
            asn: u32::try_from(asn).unwrap_or(0),
            bgp_id: row.try_get(4)?,
            is_past: row.try_get(5)?,
        })
    }
}

/// One meaning of a word of a selector.
#[derive(Clone, Copy)]
enum Word<'a> {
    Address(IpAddr),
    Asn(u32),
    BgpId(Ipv4Addr),
    Id(i64),
    Router(&'a str),
}

impl Word<'_> {
    fn matches(self, peer: &StoredPeer) -> bool {
        match self {
            Self::Address(address) => peer.address.parse::<IpAddr>() == Ok(address),
            Self::Asn(asn) => peer.asn == asn,
            Self::BgpId(bgp_id) => peer.bgp_id.parse::<Ipv4Addr>() == Ok(bgp_id),
            Self::Id(id) => peer.id == Some(id),
            Self::Router(name) => peer.router == name,
        }
    }

    /// The word as the query understands it, for a peer that it matches.
    fn canonical(self, peer: &StoredPeer, of_history: bool) -> String {
        match self {
            Self::Address(_) => peer.address.clone(),
            Self::Asn(asn) => match peer.id.filter(|_| peer.is_past && !of_history) {
                Some(id) => id.to_string(),
                None => format!("AS{asn}"),
            },
            Self::BgpId(_) => format!("bgp-id={}", peer.bgp_id),
            Self::Id(_) if of_history => {
                format!("{} AS{} bgp-id={}", peer.address, peer.asn, peer.bgp_id)
            }
            Self::Id(id) => id.to_string(),
            Self::Router(name) => name.to_owned(),
        }
    }
}

/// The meanings of a word, the most probable first.
fn meanings(word: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let lower = word.to_lowercase();
    if let Some(bgp_id) = lower.strip_prefix("bgp-id=") {
        found.extend(bgp_id.parse().ok().map(Word::BgpId));
    } else if let Ok(address) = word.parse::<IpAddr>() {
        found.push(Word::Address(address));
        found.extend(word.parse().ok().map(Word::BgpId));
    } else {
        found.extend(word.parse().ok().map(Word::Id));
        found.extend(as_number(word).map(Word::Asn));
    }
    found.push(Word::Router(word));
    found
}

/// Replaces each peer selector of a query by the form that its function understands.
///
/// # Errors
/// A selector matches no peer, or the database failed.
pub(super) async fn resolve(client: &Client, query: &mut BoundQuery) -> Result<(), QueryError> {
    if query.peers().next().is_none() {
        return Ok(());
    }
    let of_history = OF_HISTORY.contains(&query.query.name);
    let rows = client.query(if of_history { HISTORY } else { CURRENT }, &[]).await?;
    let past = client.query(PAST, &[]).await?;
    let known = rows.iter().chain(&past).map(StoredPeer::try_from).collect::<Result<Vec<_>, _>>()?;
    let mut unknown = None;
    for (parameter, selector) in query.peers() {
        match canonical(&known, selector, of_history) {
            Ok(text) => *selector = text,
            Err(reason) => {
                unknown = unknown.or(Some((parameter, format!("invalid {} {reason}", parameter.name))));
            }
        }
    }
    unknown.map_or(Ok(()), |(parameter, reason)| Err(query.mismatch(Some(parameter), reason)))
}

/// The selector as the queries understand it; else the reason.
fn canonical(known: &[StoredPeer], selector: &str, of_history: bool) -> Result<String, String> {
    if known.iter().any(|peer| peer.router == selector) {
        return Ok(selector.to_owned());
    }
    if let Some(peer) = known.iter().find(|peer| peer.router.eq_ignore_ascii_case(selector)) {
        return Ok(peer.router.clone());
    }
    let mut matching: Vec<&StoredPeer> = known.iter().collect();
    let mut words = Vec::new();
    for word in selector.split_whitespace() {
        let found = meanings(word)
            .into_iter()
            .find_map(|meaning| known.iter().find(|peer| meaning.matches(peer)).map(|peer| (meaning, peer)));
        let Some((meaning, peer)) = found else { return Err(no_match(known, word)) };
        matching.retain(|peer| meaning.matches(peer));
        words.push(meaning.canonical(peer, of_history));
    }
    if matching.is_empty() {
        return Err(format!(
            "\"{selector}\": each of the words names a peer, but no peer matches all of them"
        ));
    }
    Ok(words.join(" "))
}

fn no_match(known: &[StoredPeer], word: &str) -> String {
    if known.is_empty() {
        return format!("\"{word}\": the database has no peers yet");
    }
    let mut names: Vec<String> = known
        .iter()
        .flat_map(|peer| {
            let bgp_id = format!("bgp-id={}", peer.bgp_id);
            [peer.address.clone(), format!("AS{}", peer.asn), bgp_id, peer.router.clone()]
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.sort_by_cached_key(|name| strsim::osa_distance(&word.to_lowercase(), &name.to_lowercase()));
    names.truncate(NAMES_MAX);
    format!(
        "\"{word}\": no such peer; similar names are {}; expected {}",
        names.join(", "),
        Kind::Peer.accepted()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<StoredPeer> {
        [(17, "edge1", "198.51.100.1", 65_001, "10.0.0.1"), (18, "Core 2", "2001:db8::1", 65_546, "10.0.0.2")]
            .map(|(id, router, address, asn, bgp_id)| StoredPeer {
                id: Some(id),
                router: router.to_owned(),
                address: address.to_owned(),
                asn,
                bgp_id: bgp_id.to_owned(),
                is_past: false,
            })
            .into()
    }

    #[test]
    fn an_as_number_that_a_peer_had_earlier_names_the_peer() {
        let mut known = known();
        let past = StoredPeer { asn: 64_500, is_past: true, ..known.remove(0) };
        assert_eq!(canonical(&[past], "AS64500", false).as_deref(), Ok("17"));
        let past = StoredPeer { asn: 64_500, is_past: true, ..self::known().remove(0) };
        assert_eq!(canonical(&[past], "AS64500", true).as_deref(), Ok("AS64500"));
    }

    #[test]
    fn each_notation_of_a_peer_is_understood() {
        for (selector, sent) in [
            ("198.51.100.1", "198.51.100.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("as65001", "AS65001"),
            ("65001", "AS65001"),
            ("1.10", "AS65546"),
            ("AS1.10", "AS65546"),
            ("17", "17"),
            ("bgp-id=10.0.0.2", "bgp-id=10.0.0.2"),
            ("10.0.0.2", "bgp-id=10.0.0.2"),
            ("edge1 as65001", "edge1 AS65001"),
            ("EDGE1", "edge1"),
            ("core 2", "Core 2"),
        ] {
            assert_eq!(canonical(&known(), selector, false).as_deref(), Ok(sent), "{selector}");
        }
        let id = canonical(&known(), "17", true);
        assert_eq!(id.as_deref(), Ok("198.51.100.1 AS65001 bgp-id=10.0.0.1"));
    }

    #[test]
    fn an_unknown_peer_is_an_error_with_similar_names() {
        let error = canonical(&known(), "198.51.100.2", false).unwrap_err();
        let start = "\"198.51.100.2\": no such peer; similar names are 198.51.100.1, ";
        assert!(error.starts_with(start), "{error}");
        let error = canonical(&known(), "198.51.100.1 AS65546", false).unwrap_err();
        assert!(error.ends_with("no peer matches all of them"), "{error}");
        assert!(canonical(&[], "x", false).unwrap_err().ends_with("the database has no peers yet"));
    }
}
