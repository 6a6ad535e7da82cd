//! The model of the database: history and current table after the records of a log, as lines of text.

use std::collections::BTreeMap;

use holdfast::sink::Dedup;

use crate::peers::resolve;
use crate::record::{At, Cause, Record, RouteKey, What};
use crate::schedule::{Family, PeerId, View};

/// The contents of the tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub history: Vec<String>,
    pub events: Vec<String>,
    pub current: Vec<String>,
}

/// BMP session and generation.
type Incarnation = (i64, u32);

/// The newest record of a route.
struct Entry {
    incarnation: Incarnation,
    /// Attribute set and label; none if it is a withdrawal.
    announced: Option<(u32, Option<u32>)>,
}

/// A peer of a router, known under an AS number and a BGP identifier that may be completed later.
type PeerKey = (usize, usize);

type EntryKey = (PeerKey, View, Family, RouteKey);

#[derive(Default)]
struct Model {
    /// The identities of each router's peers.
    peers: BTreeMap<usize, Vec<PeerId>>,
    /// The peers of identities with zeros, with the sessions that have decided so, in their order.
    decisions: BTreeMap<(usize, PeerId), BTreeMap<i64, usize>>,
    entries: BTreeMap<EntryKey, Entry>,
    /// The oldest incarnation of each peer that its Peer Downs have left valid.
    left_by_down: BTreeMap<PeerKey, Incarnation>,
    /// The oldest incarnation of each table that its sweeps have left valid.
    left_by_sweep: BTreeMap<(PeerKey, View, Family), Incarnation>,
    /// The newest incarnation of each peer by its events, and whether its BMP session has ended.
    newest: BTreeMap<PeerKey, (Incarnation, bool)>,
    /// The newest incarnation of each view that has an announcement.
    newest_in_view: BTreeMap<(PeerKey, View), Incarnation>,
    tables: Tables,
}

/// Predicts the tables.
pub fn predict(records: &[Record], dedup: Dedup) -> Tables {
    let mut model = Model::default();
    for record in records {
        match record.at {
            Some(at) => model.peer_record(record, at, dedup),
            None => model.tables.events.extend(session_event(record)),
        }
    }
    model.current();
    let mut tables = model.tables;
    tables.history.sort();
    tables.events.sort();
    tables.current.sort();
    tables
}

fn session_event(record: &Record) -> Option<String> {
    // Gaps have a table of their own.
    let is_event = matches!(record.what, What::SessionUp | What::SessionDown(_));
    is_event.then(|| format!("{} {} {}", record.router, record.time, record.what.name()))
}

impl Model {
    /// The peer of a record. Zeros are decided at their first record of a session; an older session without a
    /// decision of its own has that of the session before it, or of the first one.
    fn find(&mut self, record: &Record, at: At) -> usize {
        let known = self.peers.entry(record.router).or_default();
        if !at.peer.has_zeros() {
            return resolve(known, &at.peer);
        }
        let asn = if at.peer.is_loc_rib() { 0 } else { at.peer.asn };
        let zeros = PeerId { asn, ..at.peer };
        let decided = self.decisions.entry((record.router, zeros)).or_default();
        if decided.keys().any(|session| *session >= record.session) {
            let before = decided.range(..=record.session).next_back();
            let index = *before.or(decided.first_key_value()).unwrap().1;
            known[index].complete(&at.peer);
            return index;
        }
        let index = resolve(known, &at.peer);
        decided.insert(record.session, index);
        index
    }

    fn peer_record(&mut self, record: &Record, at: At, dedup: Dedup) {
        let index = self.find(record, at);
        let peer = (record.router, index);
        let incarnation = (record.session, at.generation);
        match &record.what {
            // An announcement without Peer Up says nothing about the other views of the peer.
            What::Announce { .. } => {
                let newest = self.newest_in_view.entry((peer, at.view)).or_insert(incarnation);
                *newest = (*newest).max(incarnation);
            }
            What::PeerUp | What::PeerUpRepeated => {
                let newest = self.newest.entry(peer).or_insert((incarnation, false));
                if newest.0 < incarnation {
                    *newest = (incarnation, false);
                }
            }
            _ => {}
        }
        match &record.what {
            What::Announce { family, route, label, med, cause } => {
                let compares = match dedup {
                    Dedup::Off => false,
                    Dedup::ReDumps => *cause == Cause::ReDump,
                    Dedup::Always => true,
                };
                let announced = Some((*med, *label));
                let key = (peer, at.view, *family, *route);
                let is_unchanged = self.entries.get(&key).is_some_and(|entry| {
                    entry.announced == announced
                        && entry.incarnation <= incarnation
                        && self.is_valid(&key, entry)
                });
                self.replace(key, Entry { incarnation, announced });
                if !(compares && is_unchanged) {
                    self.tables.history.push(history_line(record, at, *family, route));
                }
            }
            What::Withdraw(family, route) => {
                self.replace((peer, at.view, *family, *route), Entry { incarnation, announced: None });
                self.tables.history.push(history_line(record, at, *family, route));
            }
            other => {
                self.event(other, peer, at, incarnation);
                if !matches!(other, What::Statistics) {
                    self.tables.events.push(event_line(record, at));
                }
            }
        }
    }

    /// A late record of an old session does not replace a newer one.
    fn replace(&mut self, key: EntryKey, entry: Entry) {
        if self.entries.get(&key).is_none_or(|newer| newer.incarnation <= entry.incarnation) {
            self.entries.insert(key, entry);
        }
    }

    /// Whether the route is announced, and neither a Peer Down nor a sweep has ended it.
    fn is_valid(&self, (peer, view, family, _): &EntryKey, entry: &Entry) -> bool {
        let is_left = |oldest: Option<&Incarnation>| oldest.is_none_or(|oldest| *oldest <= entry.incarnation);
        entry.announced.is_some()
            && is_left(self.left_by_down.get(peer))
            && is_left(self.left_by_sweep.get(&(*peer, *view, *family)))
    }

    fn event(&mut self, what: &What, peer: PeerKey, at: At, incarnation: Incarnation) {
        let raise = |oldest: &mut Incarnation, to: Incarnation| *oldest = (*oldest).max(to);
        match what {
            What::PeerDown => {
                let next = (incarnation.0, incarnation.1 + 1);
                raise(self.left_by_down.entry(peer).or_insert(next), next);
                let newest = self.newest.entry(peer).or_insert((next, false));
                if newest.0 < next {
                    *newest = (next, false);
                }
            }
            What::Sweep(family) => {
                let table = (peer, at.view, *family);
                raise(self.left_by_sweep.entry(table).or_insert(incarnation), incarnation);
            }
            What::PeerStale => {
                let newest = self.newest.entry(peer).or_insert((incarnation, true));
                if newest.0 <= incarnation {
                    *newest = (incarnation, true);
                }
            }
            _ => {}
        }
    }

    fn current(&mut self) {
        for (key, entry) in &self.entries {
            let ((router, index), view, family, route) = key;
            let Some((med, label)) = entry.announced.filter(|_| self.is_valid(key, entry)) else { continue };
            let peer = self.peers[router][*index];
            let of_view = self.newest_in_view.get(&((*router, *index), *view)).copied();
            let of_peer = self.newest.get(&(*router, *index)).copied();
            let is_ended = of_peer.is_some_and(|(of_peer, ended)| ended && Some(of_peer) >= of_view);
            let newest = of_view.max(of_peer.map(|(of_peer, _)| of_peer));
            let stale = if is_ended || Some(entry.incarnation) < newest { "stale" } else { "" };
            let label = label.map_or_else(String::new, |label| format!("{{{label}}}"));
            let route = route_text(route);
            let view = view.name();
            self.tables.current.push(format!(
                "{router} {} {view} {}/{} {route} {med} {label} {stale}",
                peer_text(&peer),
                family.0,
                family.1
            ));
        }
    }
}

fn history_line(record: &Record, at: At, family: Family, route: &RouteKey) -> String {
    let (med, label) = match record.what {
        What::Announce { med, label, .. } => (med.to_string(), label),
        _ => (String::new(), None),
    };
    let label = label.map_or_else(String::new, |label| format!("{{{label}}}"));
    format!(
        "{} {} {} {} g{} {}/{} {} {} {med} {label}",
        record.router,
        record.time,
        peer_text(&at.peer),
        at.view.name(),
        at.generation,
        family.0,
        family.1,
        route_text(route),
        record.what.name(),
    )
}

fn event_line(record: &Record, at: At) -> String {
    let family = match record.what {
        What::EndOfRib((afi, safi)) | What::Sweep((afi, safi)) => format!("{afi}/{safi}"),
        _ => String::new(),
    };
    // A stale mark is about all views of its peer.
    let view = if record.what == What::PeerStale { "" } else { at.view.name() };
    let peer = peer_text(&at.peer);
    format!(
        "{} {} {peer} {view} g{} {} {family}",
        record.router,
        record.time,
        at.generation,
        record.what.name()
    )
}

fn peer_text(peer: &PeerId) -> String {
    let id = std::net::Ipv4Addr::from_bits(peer.bgp_id);
    format!("{} {} {} {} {id}", peer.kind, rd_text(peer.distinguisher), peer.address, peer.asn)
}

fn route_text(route: &RouteKey) -> String {
    let rd = route.rd.map_or_else(String::new, rd_text);
    let path_id = route.path_id.map_or_else(String::new, |id| id.to_string());
    format!("{rd} {} {path_id}", route.prefix)
}

/// A route distinguisher of type 0 or 2 (RFC 4364 section 4.2).
fn rd_text(rd: u64) -> String {
    match rd >> 48 {
        0 => format!("{}:{}", rd >> 32 & 0xffff, rd & 0xffff_ffff),
        _ => format!("{}:{}", rd >> 16 & 0xffff_ffff, rd & 0xffff),
    }
}
