//! What needs attention about the routers and their tables, and how many there are of each kind. Pure.

use std::collections::HashSet;
use std::fmt;

use super::format::counted;
use super::{Completeness, Document, Family, Peer, PeerState, Router, StaleReason};
use crate::num::to_u64;

/// What needs attention about a router; the variants are in the order of their seriousness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Number of messages that the router skipped.
    SkippedMessages(u64),
    /// Number of Initiations that were not recorded.
    IgnoredInitiations(u64),
    /// Number of announcements that exceeded the memory for dumps.
    DumpMemory(u64),
    /// Number of messages and PDUs that could not be decoded.
    DecodeErrors(u64),
    /// Number of peers that are down.
    PeersDown(u64),
    /// Number of peers that were not re-announced since the router reconnected.
    PeersStale(u64),
    /// The router has not announced a route in this session.
    NoInitialDump,
    /// Number of tables that may be incomplete, because a PDU could not be decoded.
    TablesSuspect(u64),
    /// Number of tables of which nothing was received.
    TablesMissing(u64),
    /// Number of peers and families beyond the tracked peer/family limit.
    PeerLimit(u64),
    /// The database rejects records of the router or of one of its peers.
    SetAside,
    /// The router is not read for now, because it reports new peers too fast.
    Slowed,
    /// Seconds since the router was stopped at its share of the log.
    Paused(f64),
    /// The router should be connected and is not.
    NotConnected,
}

impl Finding {
    /// Seriousness: from 1, higher numbers are more serious.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::SkippedMessages(_) => 1,
            Self::IgnoredInitiations(_) => 2,
            Self::DumpMemory(_) => 3,
            Self::DecodeErrors(_) => 4,
            Self::PeersDown(_) => 5,
            Self::PeersStale(_) => 6,
            Self::NoInitialDump => 7,
            Self::TablesSuspect(_) => 8,
            Self::TablesMissing(_) => 9,
            Self::PeerLimit(_) => 10,
            Self::SetAside => 11,
            Self::Slowed => 12,
            Self::Paused(_) => 13,
            Self::NotConnected => 14,
        }
    }

    /// Whether the daemon is degraded because of it. Other findings are notices.
    #[must_use]
    pub const fn is_problem(self) -> bool {
        is_problem(self.rank())
    }
}

/// Whether the daemon is degraded because of a finding of this rank.
#[must_use]
pub const fn is_problem(rank: u8) -> bool {
    rank >= Finding::PeerLimit(0).rank()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedMessages(count) => write!(f, "{} skipped", counted(*count, "message")),
            Self::IgnoredInitiations(count) => write!(f, "{} ignored", counted(*count, "Initiation")),
            Self::DumpMemory(_) => f.write_str("memory for dumps full"),
            Self::DecodeErrors(count) => f.write_str(&counted(*count, "decode error")),
            Self::PeersDown(count) => write!(f, "{} down", counted(*count, "peer")),
            Self::PeersStale(count) => write!(f, "{} stale", counted(*count, "peer")),
            Self::NoInitialDump => f.write_str("no initial dump received"),
            Self::TablesSuspect(count) => write!(f, "{} suspect", counted(*count, "table")),
            Self::TablesMissing(count) => write!(f, "{} missing", counted(*count, "table")),
            Self::PeerLimit(_) => f.write_str("peer limit exceeded"),
            Self::SetAside => f.write_str("records set aside"),
            Self::Slowed => f.write_str("slowed: new peers"),
            Self::Paused(seconds) => write!(f, "paused for {seconds:.0} s"),
            Self::NotConnected => f.write_str("not connected"),
        }
    }
}

/// What the findings of a router depend on besides the router.
#[derive(Clone, Debug, Default)]
pub struct RouterContext {
    /// Whether EXPECTED_ROUTERS names routers. Without it, every known router should be connected.
    names_expected: bool,
    /// Names of routers whose records are set aside.
    set_aside: HashSet<String>,
}

impl RouterContext {
    /// The context of the routers of a document.
    #[must_use]
    pub fn from_document(document: &Document) -> Self {
        let sources = document.delivery.iter().flat_map(|delivery| &delivery.quarantined_sources);
        Self {
            names_expected: document.routers.iter().any(|router| router.expected),
            set_aside: sources.map(|source| source.router.clone()).collect(),
        }
    }

    /// The findings of a router, the most serious first.
    #[must_use]
    pub fn findings(&self, router: &Router) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !router.connected && (router.expected || !self.names_expected) {
            findings.push(Finding::NotConnected);
        }
        findings.extend(router.log_paused_s.map(Finding::Paused));
        findings.extend((router.connected && router.transport.slowed).then_some(Finding::Slowed));
        if self.set_aside.contains(&router.name) {
            findings.push(Finding::SetAside);
        }
        let tables = |is: fn(&Family) -> bool| {
            to_u64(router.peers.iter().flat_map(Peer::tables).filter(|(_, table)| is(table)).count())
        };
        let peers = |is: fn(&Peer) -> bool| to_u64(router.peers.iter().filter(|peer| is(peer)).count());
        let counts = [
            (router.untracked_peers, Finding::PeerLimit as fn(u64) -> Finding),
            (tables(|table| table.missing), Finding::TablesMissing),
            (tables(|table| table.suspect), Finding::TablesSuspect),
            (u64::from(router.connected && !router.dump_seen), |_| Finding::NoInitialDump),
            (peers(|peer| peer.reason == Some(StaleReason::NotReannounced)), Finding::PeersStale),
            (peers(|peer| peer.state == PeerState::Down), Finding::PeersDown),
            (router.errors, Finding::DecodeErrors),
            (router.untracked_dump_routes, Finding::DumpMemory),
            (router.ignored_initiations, Finding::IgnoredInitiations),
            (router.skipped_messages, Finding::SkippedMessages),
        ];
        findings.extend(counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| kind(count)));
        findings
    }

    /// The routers with their findings: the most serious ones first, then those with the longest receive
    /// queue and the most undelivered bytes.
    #[must_use]
    pub fn worst_first<'a>(&self, routers: &'a [Router]) -> Vec<(&'a Router, Vec<Finding>)> {
        let mut found: Vec<_> = routers.iter().map(|router| (router, self.findings(router))).collect();
        found.sort_by_cached_key(|(router, findings)| {
            let rank = findings.first().map_or(0, |finding| finding.rank());
            let load = (router.transport.receive_queue_bytes, router.log_bytes);
            (std::cmp::Reverse((rank, load)), router.name.clone())
        });
        found
    }
}

/// The findings of a peer, the most serious first.
#[must_use]
pub fn peer_findings(peer: &Peer, is_router_connected: bool) -> Vec<Finding> {
    let count = |is: fn(&Family) -> bool| to_u64(peer.tables().filter(|(_, one)| is(one)).count());
    let (missing, suspect) = (count(|one| one.missing), count(|one| one.suspect));
    let findings = [
        (missing > 0).then_some(Finding::TablesMissing(missing)),
        (suspect > 0).then_some(Finding::TablesSuspect(suspect)),
        (peer.state == PeerState::Stale && is_router_connected).then_some(Finding::PeersStale(1)),
        (peer.state == PeerState::Down).then_some(Finding::PeersDown(1)),
    ];
    findings.into_iter().flatten().collect()
}

/// What needs attention about a peer besides its state, in a few words; empty if nothing does.
#[must_use]
pub fn peer_attention(peer: &Peer, findings: &[Finding]) -> String {
    let in_tables = |one: &&Finding| matches!(one, Finding::TablesMissing(_) | Finding::TablesSuspect(_));
    let reason = peer.reason.map(|reason| reason.to_string());
    let tables = findings.iter().filter(in_tables).map(Finding::to_string);
    reason.into_iter().chain(tables).collect::<Vec<_>>().join(", ")
}

/// The state of a router in a few words: its most serious finding, or whether it is connected.
#[must_use]
pub fn router_state(router: &Router, findings: &[Finding]) -> String {
    match findings.first() {
        Some(finding) => finding.to_string(),
        None if router.connected => "connected".to_owned(),
        None => "not connected".to_owned(),
    }
}

/// Numbers of routers, peers and tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Routers.
    pub routers: u64,
    /// Connected routers.
    pub connected: u64,
    /// Routers that wait at their share of the log.
    pub paused: u64,
    /// Routers that are not read for now, because they report new peers too fast.
    pub slowed: u64,
    /// Bytes that have arrived and were not read yet.
    pub queue_bytes: u64,
    /// Peers that are up.
    pub peers_up: u64,
    /// Peers that are down.
    pub peers_down: u64,
    /// Stale peers.
    pub peers_stale: u64,
    /// Tables that are complete.
    pub complete: u64,
    /// Tables that are assumed to be complete.
    pub assumed: u64,
    /// Tables of which only changes are received.
    pub partial: u64,
    /// Tables that are not complete, without the missing ones.
    pub incomplete: u64,
    /// Tables of which nothing was received.
    pub missing: u64,
    /// Tables that may be incomplete, because a PDU could not be decoded.
    pub suspect: u64,
}

impl Totals {
    /// Counts the routers, and their peers and tables.
    #[must_use]
    pub fn from_routers<'a>(routers: impl IntoIterator<Item = &'a Router>) -> Self {
        let mut totals = Self::default();
        for router in routers {
            totals.routers += 1;
            totals.connected += u64::from(router.connected);
            totals.paused += u64::from(router.log_paused_s.is_some());
            totals.slowed += u64::from(router.connected && router.transport.slowed);
            totals.queue_bytes = totals.queue_bytes.saturating_add(router.transport.receive_queue_bytes);
            for peer in &router.peers {
                match peer.state {
                    PeerState::Up => totals.peers_up += 1,
                    PeerState::Down => totals.peers_down += 1,
                    PeerState::Stale => totals.peers_stale += 1,
                }
                peer.tables().for_each(|(_, table)| totals.add(table));
            }
        }
        totals
    }

    fn add(&mut self, table: &Family) {
        self.suspect += u64::from(table.suspect);
        if table.missing {
            self.missing += 1;
            return;
        }
        match table.completeness {
            Completeness::Complete => self.complete += 1,
            Completeness::Assumed => self.assumed += 1,
            Completeness::Partial => self.partial += 1,
            Completeness::None => self.incomplete += 1,
        }
    }

    /// The routers in one line.
    #[must_use]
    pub fn routers_text(&self) -> String {
        let mut text = format!("{} of {} connected", self.connected, self.routers);
        if self.paused > 0 {
            text.push_str(&format!(", {} paused at their share of the log", self.paused));
        }
        if self.slowed > 0 {
            text.push_str(&format!(", {} slowed because of new peers", self.slowed));
        }
        if self.queue_bytes > 0 {
            text.push_str(&format!(", {} in receive queues", super::format::size(self.queue_bytes)));
        }
        text
    }

    /// The peers in one line.
    #[must_use]
    pub fn peers_text(&self) -> String {
        format!("{} up, {} down, {} stale", self.peers_up, self.peers_down, self.peers_stale)
    }

    /// The tables in one line, without the numbers that are 0.
    #[must_use]
    pub fn tables_text(&self) -> String {
        let kinds = [
            (self.complete, "complete"),
            (self.assumed, "assumed complete"),
            (self.partial, "changes only"),
            (self.incomplete, "incomplete"),
            (self.missing, "MISSING"),
            (self.suspect, "SUSPECT"),
        ];
        let kinds = kinds.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = kinds.map(|(count, kind)| format!("{count} {kind}")).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(name: &str) -> Router {
        Router { name: name.to_owned(), connected: true, dump_seen: true, ..Router::default() }
    }

    #[test]
    fn findings_are_in_the_order_of_their_seriousness() {
        let context = RouterContext::default();
        assert_eq!(context.findings(&router("a")), []);
        let bad = Router {
            connected: false,
            log_paused_s: Some(3.4),
            untracked_peers: 1,
            errors: 2,
            untracked_dump_routes: 3,
            ignored_initiations: 4,
            skipped_messages: 5,
            ..router("b")
        };
        let findings = context.findings(&bad);
        assert!(findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.rank())), "{findings:?}");
        assert_eq!(findings.len(), 7);
        assert_eq!(router_state(&bad, &findings), "not connected");
        assert_eq!(findings.iter().filter(|finding| finding.is_problem()).count(), 3);
        assert_eq!(findings[1].to_string(), "paused for 3 s");
    }

    #[test]
    fn a_router_that_is_read_slowly_is_a_problem_while_it_is_connected() {
        let mut slow = router("a");
        slow.transport.slowed = true;
        let context = RouterContext::default();
        let findings = context.findings(&slow);
        assert_eq!(findings, [Finding::Slowed]);
        assert!(findings[0].is_problem());
        assert_eq!(router_state(&slow, &findings), "slowed: new peers");
        assert_eq!(
            Totals::from_routers([&slow]).routers_text(),
            "1 of 1 connected, 1 slowed because of new peers"
        );
        // The share of the log is the more serious cause.
        slow.log_paused_s = Some(2.0);
        assert_eq!(context.findings(&slow), [Finding::Paused(2.0), Finding::Slowed]);
        let gone = Router { connected: false, log_paused_s: None, ..slow };
        assert_eq!(context.findings(&gone), [Finding::NotConnected]);
        assert_eq!(Totals::from_routers([&gone]).slowed, 0);
    }

    #[test]
    fn a_router_that_is_not_expected_may_be_away() {
        let away = Router { connected: false, ..router("a") };
        let context = RouterContext { names_expected: true, ..RouterContext::default() };
        assert_eq!(context.findings(&away), []);
        assert_eq!(router_state(&away, &[]), "not connected");
        let expected = Router { expected: true, ..away };
        assert_eq!(context.findings(&expected), [Finding::NotConnected]);
    }

    #[test]
    fn the_worst_routers_come_first_and_then_the_longest_queues() {
        let queue = |name: &str, bytes| {
            let mut router = router(name);
            router.transport.receive_queue_bytes = bytes;
            router
        };
        let routers = [
            router("fine"),
            queue("short", 1),
            queue("long", 9),
            Router { errors: 1, ..router("errors") },
            Router { connected: false, ..router("away") },
        ];
        let worst = RouterContext::default().worst_first(&routers);
        let names: Vec<&str> = worst.iter().map(|(router, _)| router.name.as_str()).collect();
        assert_eq!(names, ["away", "errors", "long", "short", "fine"]);
    }
}
