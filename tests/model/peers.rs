//! The model of one BMP session: its peers, their generations and their tables.
//!
//! Written from the RFCs and from the rules in docs/ARCHITECTURE.md, without the code of `holdfast::session`.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{At, Cause, Record, RouteKey, What};
use crate::schedule::{BgpSession, Family, Offer, PeerId, QUIET_S, Route, Target, Update, View};
use crate::wire::{self, Encoding};

const QUIET_US: i64 = QUIET_S as i64 * 1_000_000;
/// Longest time between the first End-of-RIB and the end of the dump.
const LONGEST_US: i64 = 10 * QUIET_US;

/// One family of one view of one peer, in one generation.
#[derive(Default)]
struct Table {
    /// Routes that were announced in this generation.
    announced: BTreeSet<RouteKey>,
    /// When a route was announced for the first time in this generation, the last time this happened.
    last_first: Option<i64>,
    /// When End-of-RIB came, the first time and the last time.
    first_end: Option<i64>,
    last_end: Option<i64>,
    is_complete: bool,
    is_swept: bool,
}

/// Whether End-of-RIB ends the dump at once, so that routes behind it are updates. Otherwise routes that are
/// new within the quiet time still belong to the dump: FRR sends the rest of its table behind End-of-RIB.
const ENDS_WITH_END_OF_RIB: bool = true;

impl Table {
    /// Whether nothing new has come for this time, or End-of-RIB is too long ago.
    fn is_quiet(&self, now: i64, quiet_us: i64) -> bool {
        let last = self.last_first.max(self.last_end);
        last.is_some_and(|last| now - last >= quiet_us)
            || self.first_end.is_some_and(|at| now - at >= LONGEST_US)
    }

    /// Completes the dump if it is over.
    fn pass_time(&mut self, now: i64) {
        self.is_complete |= self.is_quiet(now, QUIET_US);
    }

    /// Whether the routes that the router has not announced again end now: after End-of-RIB, or without it
    /// after a time that the operator has set.
    fn is_sweep_due(&self, now: i64, without_end_us: Option<i64>) -> bool {
        !self.is_swept
            && match (self.first_end, without_end_us) {
                (Some(_), _) => self.is_quiet(now, QUIET_US),
                (None, Some(time)) => self.is_quiet(now, time.max(QUIET_US)),
                (None, None) => false,
            }
    }
}

/// One peer.
struct Peer {
    id: PeerId,
    /// Identities with zeros under which the peer was recorded. They belong to it until the session ends.
    earlier: Vec<PeerId>,
    generation: u32,
    is_up: bool,
    /// The Peer Up of this generation.
    session: Option<BgpSession>,
    /// The last Peer Up of any generation: routes after a Peer Down are still encoded as it says.
    encoded_as: Option<BgpSession>,
    /// Routes of an earlier generation or BMP session may be valid.
    has_earlier: bool,
    tables: BTreeMap<(View, Family), Table>,
}

impl Peer {
    fn next_generation(&mut self) {
        self.generation += 1;
        self.session = None;
        self.tables.clear();
    }
}

/// One BMP session.
pub struct Session {
    pub router: usize,
    pub start: i64,
    peers: Vec<Peer>,
    /// Peers of the router whose routes may be valid since an earlier BMP session.
    prior: Vec<PeerId>,
    /// Time after which routes are swept without End-of-RIB.
    without_end_us: Option<i64>,
}

impl Session {
    pub const fn new(router: usize, start: i64, prior: Vec<PeerId>, without_end_us: Option<i64>) -> Self {
        Self { router, start, peers: Vec::new(), prior, without_end_us }
    }

    fn record(&self, now: i64, at: Option<At>, what: What) -> Record {
        Record { router: self.router, session: self.start, time: now, at, what }
    }

    /// The peer of a message, which is added if it is new.
    fn find(&mut self, named: PeerId) -> usize {
        let had = |peer: &Peer| peer.earlier.iter().any(|earlier| earlier.is_same(&named));
        if let Some(index) = self.peers.iter().position(had) {
            self.peers[index].id.complete(&named);
            return index;
        }
        let mut known: Vec<PeerId> = self.peers.iter().map(|peer| peer.id).collect();
        let index = resolve(&mut known, &named);
        if let Some(peer) = self.peers.get_mut(index) {
            if !peer.id.is_same(&known[index]) {
                peer.earlier.push(peer.id);
            }
            peer.id = known[index];
            return index;
        }
        self.peers.push(Peer {
            id: named,
            earlier: Vec::new(),
            generation: 0,
            is_up: false,
            session: None,
            encoded_as: None,
            has_earlier: self.prior.iter().any(|prior| prior.agrees(&named)),
            tables: BTreeMap::new(),
        });
        index
    }

    fn at(&self, index: usize, target: &Target) -> Option<At> {
        let peer = &self.peers[index];
        Some(At { peer: peer.id, view: target.view, generation: peer.generation })
    }

    /// A repetition of the Peer Up of this generation is no new BGP session. A Loc-RIB may have one Peer Up
    /// per family (RFC 9069 section 4.4); all their capabilities count.
    pub fn peer_up(&mut self, target: &Target, session: &BgpSession, now: i64) -> Record {
        let index = self.find(target.named());
        let peer = &mut self.peers[index];
        let known = peer.session.as_mut().filter(|known| peer.is_up && is_repeated(&peer.id, known, session));
        let what = if known.is_some() { What::PeerUpRepeated } else { What::PeerUp };
        if let Some(known) = known {
            unite(&mut known.sent, &session.sent);
            unite(&mut known.received, &session.received);
            // What one Peer Up lacks another one may have.
            for (known, port) in
                [(&mut known.local_port, session.local_port), (&mut known.remote_port, session.remote_port)]
            {
                *known = if *known == 0 { port } else { *known };
            }
        } else {
            peer.has_earlier |= peer.is_up;
            peer.next_generation();
            peer.is_up = true;
            peer.session = Some(session.clone());
        }
        peer.encoded_as.clone_from(&peer.session);
        self.record(now, self.at(index, target), what)
    }

    /// Peer Down ends all routes of the peer.
    pub fn peer_down(&mut self, target: &Target, now: i64) -> Record {
        let index = self.find(target.named());
        let record = self.record(now, self.at(index, target), What::PeerDown);
        let peer = &mut self.peers[index];
        peer.next_generation();
        peer.is_up = false;
        peer.has_earlier = false;
        record
    }

    pub fn statistics(&mut self, target: &Target, now: i64) -> Record {
        let index = self.find(target.named());
        self.record(now, self.at(index, target), What::Statistics)
    }

    pub fn end_of_rib(&mut self, target: &Target, family: Family, now: i64) -> Record {
        let index = self.find(target.named());
        let table = self.peers[index].tables.entry((target.view, family)).or_default();
        table.first_end = table.first_end.or(Some(now));
        table.last_end = Some(now);
        table.is_complete |= ENDS_WITH_END_OF_RIB;
        self.record(now, self.at(index, target), What::EndOfRib(family))
    }

    /// Withdrawals first, then announcements (RFC 4271 section 3.1). Returns the message and its records.
    pub fn update(&mut self, update: &Update, now: i64) -> (Vec<u8>, Vec<Record>) {
        let (target, family) = (&update.target, update.family);
        let index = self.find(target.named());
        let peer = &mut self.peers[index];
        let encoding = Encoding {
            path_ids: peer.encoded_as.as_ref().is_some_and(|agreed| agreed.has_path_ids(target.view, family)),
            is_agreed: peer.encoded_as.is_some(),
        };
        let key = |route: &Route| RouteKey {
            rd: (family.1 == 128).then_some(route.rd),
            prefix: route.prefix,
            path_id: encoding.path_ids.then_some(route.path_id),
        };
        // An UPDATE should not have a route in both fields (RFC 4271 section 4.3), nor twice in one.
        let mut update = update.clone();
        let mut seen = BTreeSet::new();
        update.withdrawn.retain(|route| seen.insert(key(route)));
        update.announced.retain(|route| seen.insert(key(route)));
        let mut whats: Vec<What> =
            update.withdrawn.iter().map(|route| What::Withdraw(update.family, key(route))).collect();
        if !update.announced.is_empty() {
            peer.is_up = true;
        }
        let dump = if peer.has_earlier { Cause::ReDump } else { Cause::InitialDump };
        let table = peer.tables.entry((target.view, update.family)).or_default();
        table.pass_time(now);
        for route in &update.announced {
            let is_first = table.announced.insert(key(route));
            if is_first {
                table.last_first = Some(now);
            }
            whats.push(What::Announce {
                family: update.family,
                route: key(route),
                label: matches!(update.family.1, 4 | 128).then_some(route.label),
                med: update.med,
                cause: if is_first && !table.is_complete { dump } else { Cause::Update },
            });
        }
        let at = self.at(index, target);
        let records = whats.into_iter().map(|what| self.record(now, at, what)).collect();
        (wire::update(&update, encoding), records)
    }

    /// After End-of-RIB and the quiet time, the routes that the router has not announced again end.
    pub fn tick(&mut self, now: i64) -> Vec<Record> {
        let mut swept = Vec::new();
        for peer in &mut self.peers {
            for ((view, family), table) in &mut peer.tables {
                table.pass_time(now);
                if peer.has_earlier && table.is_sweep_due(now, self.without_end_us) {
                    table.is_swept = true;
                    let at = At { peer: peer.id, view: *view, generation: peer.generation };
                    swept.push((at, *family));
                }
            }
        }
        swept.into_iter().map(|(at, family)| self.record(now, Some(at), What::Sweep(family))).collect()
    }

    /// The end of the BMP session ends no route.
    pub fn end(&self, reason: &str, now: i64) -> Vec<Record> {
        let up = self.peers.iter().filter(|peer| peer.is_up);
        let stale = |peer: &Peer| {
            let at = At { peer: peer.id, view: own_view(&peer.id), generation: peer.generation };
            self.record(now, Some(at), What::PeerStale)
        };
        let mut records: Vec<Record> = up.map(stale).collect();
        records.push(self.record(now, None, What::SessionDown(reason.to_owned())));
        records
    }
}

/// The index of the peer of a message among those known. Zero stands for any value: a message without AS
/// number or BGP identifier is about the only known peer that agrees, and a peer that was known without them
/// gets those of the first message that has them. If several peers agree, the message is about a peer of its
/// own, which is added as one that is new.
pub fn resolve(known: &mut Vec<PeerId>, named: &PeerId) -> usize {
    let agreeing: Vec<usize> = (0..known.len()).filter(|index| known[*index].agrees(named)).collect();
    let exact = agreeing.iter().find(|index| known[**index].is_same(named));
    let index = match (exact, &agreeing[..]) {
        (Some(index), _) | (None, [index]) => *index,
        _ => {
            known.push(*named);
            known.len() - 1
        }
    };
    known[index].complete(named);
    index
}

/// The view of an event about all views of a peer.
pub const fn own_view(peer: &PeerId) -> View {
    if peer.is_loc_rib() { View::Loc } else { View::InPre }
}

/// Whether a Peer Up describes the BGP session that an earlier one has described. A router that does not know
/// a port sends zero. A Loc-RIB has no BGP session, so that another Peer Up can only add to the first one.
fn is_repeated(peer: &PeerId, known: &BgpSession, session: &BgpSession) -> bool {
    let same_port = |a: u16, b: u16| a == b || a == 0 || b == 0;
    peer.is_loc_rib()
        || (same_port(known.local_port, session.local_port)
            && same_port(known.remote_port, session.remote_port)
            && known.sent == session.sent
            && known.received == session.received)
}

fn unite(known: &mut Offer, offer: &Offer) {
    for family in &offer.families {
        if !known.families.contains(family) {
            known.families.push(*family);
        }
    }
    for capability in &offer.add_path {
        if !known.add_path.contains(capability) {
            known.add_path.push(*capability);
        }
    }
}
