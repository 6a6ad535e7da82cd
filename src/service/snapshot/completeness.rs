//! How complete the tables of a session are, and which are missing. Pure.
//!
//! `holdfast query completeness` (migrations/functions/18_completeness.sql) applies the same rules and bounds
//! to the database, and also compares the tables with the Statistics Reports.

use std::collections::{BTreeMap, BTreeSet};

use crate::route::{Family, PeerIdentity, RibView, Timestamp};
use crate::session::{FamilySummary, PeerSummary, Summary};
use crate::telemetry::status::Completeness;

/// Time after Peer Up in which a table is expected, in microseconds. A dump of some million routes takes
/// less.
const GRACE_US: i64 = 300_000_000;

/// Time without a message after which a dump without End-of-RIB is over, in microseconds.
const QUIET_US: i64 = 60_000_000;

/// Names in the sysName or sysDescr of routers that send only changes of an Adj-RIB-Out, and no table. Both
/// programs send their name unless they are configured otherwise.
const SENDS_NO_SNAPSHOT: [&str; 2] = ["gobgp", "rustybgp"];

/// The table of an address family of a RIB view.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Table {
    pub(in crate::service) view: RibView,
    pub(in crate::service) family: Family,
    /// State of the family; `None` if nothing of it was received.
    pub(in crate::service) received: Option<FamilySummary>,
    pub(in crate::service) completeness: Completeness,
    /// Whether the family is negotiated, and neither routes nor End-of-RIB were received in time.
    pub(in crate::service) is_missing: bool,
}

/// The tables of a peer: of each family that is negotiated or that was received, in each of its RIB views.
pub(in crate::service) fn tables(session: &Summary, peer: &PeerSummary, now: Timestamp) -> Vec<Table> {
    let up_since = peer.up_since.unwrap_or(session.router.session);
    let is_late = peer.up && now.0.saturating_sub(up_since.0) > GRACE_US;
    let is_quiet = now.0.saturating_sub(peer.last_message.0) > QUIET_US;
    let has_data =
        |families: &[FamilySummary]| families.iter().any(|one| one.announced > 0 || one.end_of_rib.is_some());
    let is_peer_monitored = peer.views.iter().any(|view| has_data(&view.families));
    let mut tables = Vec::new();
    for view in &peer.views {
        let is_partial = is_partial(session, view.view);
        // A Peer Up names one RIB view, but the router may send the tables of others only.
        let is_expected = has_data(&view.families) || !is_peer_monitored;
        let silent = peer.negotiated.iter().copied();
        let silent = silent.filter(|family| view.families.iter().all(|one| one.family != *family));
        let received = view.families.iter().map(|one| (one.family, Some(*one)));
        for (family, received) in received.chain(silent.map(|family| (family, None))) {
            let announced = received.is_some_and(|one| one.announced > 0);
            let ended = received.is_some_and(|one| one.end_of_rib.is_some());
            let completeness = match () {
                () if !peer.up => Completeness::None,
                () if ended => Completeness::Complete,
                () if is_partial => Completeness::Partial,
                () if announced && (is_late || is_quiet) => Completeness::Assumed,
                () => Completeness::None,
            };
            let is_negotiated = peer.negotiated.contains(&family);
            let is_missing = is_late && is_expected && is_negotiated && !is_partial && !announced && !ended;
            tables.push(Table { view: view.view, family, received, completeness, is_missing });
        }
    }
    tables
}

/// Whether the router sends only the changes of the RIB view.
fn is_partial(session: &Summary, view: RibView) -> bool {
    let names = [&session.sys_name, &session.sys_descr].map(|name| name.to_ascii_lowercase());
    matches!(view, RibView::AdjOutPre | RibView::AdjOutPost)
        && SENDS_NO_SNAPSHOT.iter().any(|program| names.iter().any(|name| name.contains(program)))
}

/// A peer with tables that have been missing since the last observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::service) struct Alarm {
    pub(in crate::service) router: String,
    pub(in crate::service) peer: PeerIdentity,
    /// All missing tables of the peer, as RIB view and family.
    pub(in crate::service) tables: String,
}

/// The missing tables of all peers, to report each of them once.
#[derive(Default)]
pub(in crate::service) struct MissingTables {
    /// By router and peer.
    known: BTreeMap<(String, PeerIdentity), BTreeSet<String>>,
}

impl MissingTables {
    /// Observes all sessions; returns the peers with tables that were not missing before.
    pub(in crate::service) fn observe<'a>(
        &mut self,
        sessions: impl IntoIterator<Item = &'a Summary>,
        now: Timestamp,
    ) -> Vec<Alarm> {
        let before = std::mem::take(&mut self.known);
        let mut alarms = Vec::new();
        for session in sessions {
            for peer in &session.peers {
                let missing = tables(session, peer, now).into_iter().filter(|table| table.is_missing);
                let missing: BTreeSet<String> =
                    missing.map(|table| format!("{} {}", table.view, table.family)).collect();
                if missing.is_empty() {
                    continue;
                }
                let identity = PeerIdentity { key: peer.key, asn: peer.asn, bgp_id: peer.bgp_id };
                let key = (session.router.name.clone(), identity);
                if before.get(&key).is_none_or(|known| !missing.is_subset(known)) {
                    let tables = missing.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    alarms.push(Alarm { router: key.0.clone(), peer: identity, tables });
                }
                self.known.insert(key, missing);
            }
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::route::{PeerKey, Router};
    use crate::session::{Counters, ViewSummary};

    const V4: Family = Family::IPV4_UNICAST;
    const V6: Family = Family::IPV6_UNICAST;
    const MINUTE: i64 = 60_000_000;

    fn family(family: Family, announced: u64, ended: bool) -> FamilySummary {
        let end_of_rib = ended.then_some(Timestamp(1));
        FamilySummary { family, announced, withdrawn: 0, end_of_rib, suspect: false, awaits_sweep: false }
    }

    fn view(view: RibView, families: &[FamilySummary]) -> ViewSummary {
        ViewSummary { view, families: families.to_vec() }
    }

    /// A session of a peer that negotiated both families and came up at time 0, with a message a second ago.
    fn session(views: Vec<ViewSummary>, minutes: i64) -> (Summary, Timestamp) {
        let now = Timestamp(minutes * MINUTE);
        let peer = PeerSummary {
            key: PeerKey { peer_type: 0, distinguisher: 0, address: [198, 51, 100, 1].into() },
            asn: 65_001,
            bgp_id: Ipv4Addr::new(10, 0, 0, 1),
            table_name: String::new(),
            up: true,
            up_since: Some(Timestamp(0)),
            negotiated: vec![V4, V6],
            generation: 1,
            messages: 1,
            errors: 0,
            downs: 0,
            opens: None,
            last_downs: Arc::default(),
            last_message: Timestamp(now.0 - 1_000_000),
            views,
        };
        let router =
            Router { name: "r1".to_owned(), address: [192, 0, 2, 1].into(), port: 1, session: Timestamp(0) };
        let session = Summary {
            router,
            sys_name: "r1".to_owned(),
            sys_descr: String::new(),
            last_message: now,
            counters: Counters::default(),
            peers: vec![peer],
        };
        (session, now)
    }

    /// Each table as RIB view, family, completeness and whether it is missing.
    fn judged((session, now): &(Summary, Timestamp)) -> Vec<(RibView, Family, Completeness, bool)> {
        let tables = tables(session, &session.peers[0], *now);
        tables.iter().map(|one| (one.view, one.family, one.completeness, one.is_missing)).collect()
    }

    #[test]
    fn a_table_is_complete_assumed_or_missing() {
        let pre = RibView::AdjInPre;
        let of = |families: &[FamilySummary], minutes| judged(&session(vec![view(pre, families)], minutes));
        let begun = [family(V4, 5, false)];
        assert_eq!(
            of(&begun, 4),
            [(pre, V4, Completeness::None, false), (pre, V6, Completeness::None, false)]
        );
        let late = [(pre, V4, Completeness::Assumed, false), (pre, V6, Completeness::None, true)];
        assert_eq!(of(&begun, 6), late);
        let ended = [family(V4, 5, true), family(V6, 0, true)];
        let complete = [V4, V6].map(|family| (pre, family, Completeness::Complete, false));
        assert_eq!(of(&ended, 6), complete);
        assert_eq!(of(&[], 6), [V4, V6].map(|family| (pre, family, Completeness::None, true)));
        assert_eq!(of(&[], 4), [V4, V6].map(|family| (pre, family, Completeness::None, false)));
        let mut quiet = session(vec![view(pre, &begun)], 2);
        quiet.0.peers[0].last_message = Timestamp(0);
        assert_eq!(judged(&quiet)[0].2, Completeness::Assumed);
        let mut down = session(vec![view(pre, &ended)], 6);
        down.0.peers[0].up = false;
        assert_eq!(judged(&down), [V4, V6].map(|family| (pre, family, Completeness::None, false)));
    }

    #[test]
    fn a_family_that_was_not_negotiated_and_a_view_that_is_not_sent_are_not_missing() {
        let (pre, post) = (RibView::AdjInPre, RibView::AdjInPost);
        let mut other = session(vec![view(pre, &[family(V4, 5, true)])], 6);
        other.0.peers[0].negotiated = vec![V4];
        assert_eq!(judged(&other), [(pre, V4, Completeness::Complete, false)]);
        let both = session(vec![view(pre, &[]), view(post, &[family(V4, 1, true), family(V6, 0, true)])], 6);
        assert!(judged(&both).iter().all(|(.., is_missing)| !is_missing));
    }

    #[test]
    fn an_adj_rib_out_of_gobgp_and_rustybgp_is_partial() {
        let out = RibView::AdjOutPost;
        for (name, descr, completeness) in [
            ("GoBGP", "3.36.0", Completeness::Partial),
            ("edge1", "RustyBGP v0.2.0-abcdef", Completeness::Partial),
            ("edge1", "FRRouting 10.3", Completeness::Assumed),
        ] {
            let mut found = session(vec![view(out, &[family(V4, 5, false)])], 6);
            (found.0.sys_name, found.0.sys_descr) = (name.to_owned(), descr.to_owned());
            let is_partial = completeness == Completeness::Partial;
            let silent = if is_partial { completeness } else { Completeness::None };
            assert_eq!(judged(&found), [(out, V4, completeness, false), (out, V6, silent, !is_partial)]);
        }
    }

    #[test]
    fn the_query_has_the_same_bounds() {
        let sql = include_str!("../../../migrations/functions/18_completeness.sql");
        let minutes = |micros: i64| {
            assert_eq!(micros % 60_000_000, 0);
            micros / 60_000_000
        };
        for bound in [
            format!("grace interval DEFAULT '{} minutes'", minutes(GRACE_US)),
            format!("p.last_seen < p.clock - interval '{} minute'", minutes(QUIET_US)),
            format!("sys_descr) ~* '({})'", SENDS_NO_SNAPSHOT.join("|")),
        ] {
            assert_eq!(sql.matches(&bound).count(), 1, "{bound} in 18_completeness.sql");
        }
    }

    #[test]
    fn each_missing_table_is_reported_once() {
        let mut missing = MissingTables::default();
        let mut observe = |families: &[FamilySummary], minutes| {
            let (session, now) = session(vec![view(RibView::AdjInPre, families)], minutes);
            missing.observe([&session], now).into_iter().map(|alarm| alarm.tables).collect::<Vec<_>>()
        };
        let v4 = [family(V4, 5, true)];
        assert_eq!(observe(&v4, 4), [""; 0]);
        assert_eq!(observe(&v4, 6), ["adj-in-pre ipv6_unicast"]);
        assert_eq!(observe(&v4, 7), [""; 0]);
        assert_eq!(observe(&[], 8), ["adj-in-pre ipv4_unicast, adj-in-pre ipv6_unicast"]);
        assert_eq!(observe(&[family(V4, 5, true), family(V6, 1, false)], 9), [""; 0]);
        assert_eq!(observe(&v4, 10), ["adj-in-pre ipv6_unicast"], "missing again");
    }
}
