//! The routers of the status document.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::seconds_between;
use super::{completeness, transport};
use crate::listener::{Registry, SessionView};
use crate::num::to_millis;
use crate::route::{PeerIdentity, PeerKey, Rd, Timestamp};
use crate::session::{PeerSummary, Summary};
use crate::state::{StateStore, TrackedPeer};
use crate::telemetry::clock;
use crate::telemetry::status::{BgpSession, Family, Peer, PeerState, Router, StaleReason, StaleRoutes};

/// The routers with a session, those without one that have stale peers, and the expected ones, which
/// `expected` names or gives the address of. `clocks` are the wall clock, and the start of the daemon.
pub(super) fn routers(
    registry: &Registry,
    state: &StateStore,
    expected: &[String],
    clocks: (Timestamp, Instant),
) -> Vec<Router> {
    let mut known = state.routers();
    let live = registry.sessions();
    let mut routers: Vec<Router> = live
        .iter()
        .map(|view| connected(view, known.remove(&view.summary.router.name).unwrap_or_default(), clocks))
        .collect();
    routers.extend(known.into_iter().map(|(name, peers)| disconnected(name, &peers)));
    for wanted in expected {
        let is_wanted = |view: &SessionView| {
            let address = view.address.ip().to_canonical();
            view.summary.router.name == *wanted || wanted.parse() == Ok(address)
        };
        let mut names: Vec<&str> = vec![wanted];
        names.extend(live.iter().filter(|view| is_wanted(view)).map(|view| &*view.summary.router.name));
        let mut is_found = false;
        for router in routers.iter_mut().filter(|router| names.contains(&router.name.as_str())) {
            router.expected = true;
            is_found = true;
        }
        if !is_found {
            routers.push(Router { expected: true, ..disconnected(wanted.clone(), &[]) });
        }
    }
    routers
}

/// The names of the routers that are not connected and should be: the expected ones, or if none is
/// configured, all that are known.
pub(super) fn missing(routers: &[Router], expected: &[String]) -> Vec<String> {
    let is_missing = |router: &&Router| !router.connected && (router.expected || expected.is_empty());
    routers.iter().filter(is_missing).map(|router| router.name.clone()).collect()
}

fn connected(
    SessionView { address, summary, published, transport: measured }: &SessionView,
    known: Vec<TrackedPeer>,
    (now, started): (Timestamp, Instant),
) -> Router {
    let announced =
        |peer: &PeerSummary| peer.views.iter().flat_map(|view| &view.families).any(|one| one.announced > 0);
    let reported = reported(&summary.peers, &known);
    let stale = known
        .iter()
        .filter(|known| !reported.contains(&known.peer.identity()))
        .map(|known| stale_peer(known, StaleReason::NotReannounced));
    Router {
        name: summary.router.name.clone(),
        address: Some(address.to_string()),
        session: Some(clock::iso8601(summary.router.session)),
        connected: true,
        expected: false,
        sys_descr: summary.sys_descr.clone(),
        last_message_age_s: Some(seconds_between(summary.last_message, now)),
        counted_ms: Some(to_millis(published.saturating_duration_since(started))),
        bytes: summary.counters.bytes,
        messages: summary.counters.messages,
        routes: summary.counters.announced.saturating_add(summary.counters.withdrawn),
        errors: summary.counters.errors,
        ignored_initiations: summary.counters.ignored_initiations,
        untracked_peers: summary.counters.untracked_peers,
        untracked_dump_routes: summary.counters.untracked_dump_routes,
        skipped_messages: summary.counters.skipped_messages,
        route_tlvs: summary
            .counters
            .route_tlvs
            .named()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), count))
            .collect(),
        // [`super::log_use`] adds the use of the log.
        log_bytes: 0,
        log_bytes_per_s: 0,
        log_paused_s: None,
        dump_seen: summary.peers.iter().any(announced),
        transport: transport::session(measured),
        peers: summary.peers.iter().map(|peer| live_peer(summary, peer, now)).chain(stale).collect(),
    }
}

/// The known peers that the peers of the current session are, by the rule of [`PeerIdentity::find`]: zeros
/// that match several known peers are none of them.
fn reported(live: &[PeerSummary], known: &[TrackedPeer]) -> HashSet<PeerIdentity> {
    let mut by_key: HashMap<PeerKey, Vec<PeerIdentity>> = HashMap::new();
    for identity in known.iter().map(|known| known.peer.identity()) {
        by_key.entry(identity.key).or_default().push(identity);
    }
    let find = |PeerSummary { key, asn, bgp_id, .. }: &PeerSummary| {
        let same_key = by_key.get(key)?;
        let identity = PeerIdentity { key: *key, asn: *asn, bgp_id: *bgp_id };
        same_key.get(identity.find(same_key.iter())?).copied()
    };
    live.iter().filter_map(find).collect()
}

fn live_peer(session: &Summary, peer: &PeerSummary, now: Timestamp) -> Peer {
    let mut views: BTreeMap<String, Vec<Family>> =
        peer.views.iter().map(|view| (view.view.to_string(), Vec::new())).collect();
    for table in completeness::tables(session, peer, now) {
        let received = table.received;
        views.entry(table.view.to_string()).or_default().push(Family {
            family: table.family.to_string(),
            end_of_rib: received.is_some_and(|one| one.end_of_rib.is_some()),
            suspect: received.is_some_and(|one| one.suspect),
            routes: received.map_or(0, |one| one.announced.saturating_add(one.withdrawn)),
            completeness: table.completeness,
            missing: table.is_missing,
            stale: received.filter(|one| one.awaits_sweep).map(|one| match one.end_of_rib {
                Some(_) => StaleRoutes::AwaitingQuiet,
                None => StaleRoutes::NoEndOfRib,
            }),
        });
    }
    Peer {
        address: peer.key.address.to_string(),
        peer_type: peer.key.peer_type,
        distinguisher: distinguisher(peer.key),
        asn: peer.asn,
        bgp_id: peer.bgp_id.to_string(),
        state: if peer.up { PeerState::Up } else { PeerState::Down },
        reason: None,
        downs: peer.downs,
        bgp_session: BgpSession {
            table_name: peer.table_name.clone(),
            up_since: peer.up_since.map(clock::iso8601),
            opens: peer.opens.clone(),
            last_downs: Arc::clone(&peer.last_downs),
        },
        views,
    }
}

/// A peer about which the router has not sent a message in its current session.
fn stale_peer(known: &TrackedPeer, reason: StaleReason) -> Peer {
    Peer {
        address: known.peer.key.address.to_string(),
        peer_type: known.peer.key.peer_type,
        distinguisher: distinguisher(known.peer.key),
        asn: known.peer.asn,
        bgp_id: known.peer.bgp_id.to_string(),
        state: PeerState::Stale,
        reason: Some(reason),
        downs: 0,
        bgp_session: BgpSession { table_name: known.peer.table_name.clone(), ..BgpSession::default() },
        views: BTreeMap::new(),
    }
}

/// The peer distinguisher in the form of the database.
fn distinguisher(key: PeerKey) -> String {
    Rd(key.distinguisher.to_be_bytes()).to_string()
}

fn disconnected(name: String, peers: &[TrackedPeer]) -> Router {
    let last = peers.iter().map(|known| known.session).max();
    Router {
        name,
        session: last.map(clock::iso8601),
        peers: peers.iter().map(|known| stale_peer(known, StaleReason::RouterNotConnected)).collect(),
        ..Router::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::route::{Peer as PeerEntry, RibView};
    use crate::state::Liveness;

    const KEY: PeerKey =
        PeerKey { peer_type: 0, distinguisher: 0, address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)) };

    fn known(asn: u32) -> TrackedPeer {
        let peer = PeerEntry {
            key: KEY,
            view: RibView::AdjInPre,
            asn,
            bgp_id: Ipv4Addr::from_bits(asn),
            table_name: String::new(),
            generation: 1,
        };
        TrackedPeer { peer, session: Timestamp(1), liveness: Liveness::Stale }
    }

    fn live(asn: u32) -> PeerSummary {
        PeerSummary {
            key: KEY,
            asn,
            bgp_id: Ipv4Addr::from_bits(asn),
            table_name: String::new(),
            up: true,
            up_since: None,
            negotiated: Vec::new(),
            generation: 1,
            messages: 1,
            errors: 0,
            downs: 0,
            opens: None,
            last_downs: Arc::default(),
            last_message: Timestamp(1),
            views: Vec::new(),
        }
    }

    /// The AS numbers of the known peers that the live ones are.
    fn reported_asns(live_asns: &[u32], known_asns: &[u32]) -> Vec<u32> {
        let live: Vec<_> = live_asns.iter().map(|asn| live(*asn)).collect();
        let known: Vec<_> = known_asns.iter().map(|asn| known(*asn)).collect();
        let mut asns: Vec<u32> = reported(&live, &known).iter().map(|peer| peer.asn).collect();
        asns.sort_unstable();
        asns
    }

    #[test]
    fn a_live_peer_hides_the_stale_peer_that_it_is_and_no_other() {
        assert_eq!(reported_asns(&[65_001], &[65_001, 65_002]), [65_001]);
        assert_eq!(reported_asns(&[0], &[65_001]), [65_001], "the only match");
        assert_eq!(reported_asns(&[65_001], &[0]), [0]);
        // Zeros that match two neighbours are neither of them.
        assert_eq!(reported_asns(&[0], &[65_001, 65_002]), [0; 0]);
        assert_eq!(reported_asns(&[0, 65_002], &[65_001, 65_002]), [65_002]);
        assert_eq!(reported_asns(&[0], &[0, 65_001, 65_002]), [0]);
    }
}
