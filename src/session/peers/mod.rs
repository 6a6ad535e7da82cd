//! The peers of one session: their capabilities, generation, RIB views and address families.

mod announced;
mod classes;
mod history;
mod memory_budget;
mod negotiated;
mod summaries;
mod views;

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr};

use super::builder::PeerSlot;
use super::summary::PeerSummary;
use crate::bmp::PeerHeader;
use crate::route::{Peer, PeerIdentity, PeerKey, RibView, Timestamp};
pub use classes::BULK_ROUTES_MIN;
use classes::{DumpProgress, Placement};
use history::PeerHistory;
pub use memory_budget::{DUMP_MEMORY_MAX_BYTES, HISTORY_MEMORY_MAX_BYTES, PEER_MEMORY_MAX_BYTES};
use memory_budget::{PeerBudgets, Reservation, TRACKED_PEERS_MIN_BYTES};
pub(super) use negotiated::{BgpSession, PeerCapabilities};
use views::ViewState;
pub(super) use views::{DumpCause, HeldPdu, SweepTimes};

/// Memory of a peer with all its RIB views, of which there are at most four. A vector may have twice the
/// capacity that it needs.
const PEER_BYTES: usize =
    2 * (size_of::<PeerState>() + size_of::<(PeerKey, usize)>()) + 4 * size_of::<ViewState>();
/// The peer key of a per-peer header. That of a Loc-RIB contains no address: it is zero by RFC 9069.
pub(super) fn key_of(header: &PeerHeader) -> PeerKey {
    let address =
        if header.peer_type == PeerKey::LOC_RIB { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { header.address };
    PeerKey { peer_type: header.peer_type, distinguisher: header.distinguisher, address }
}

/// The identity in a per-peer header.
pub(super) fn identity_of(header: &PeerHeader) -> PeerIdentity {
    PeerIdentity { key: key_of(header), asn: header.asn, bgp_id: header.bgp_id }
}

/// The RIB view of a per-peer header.
pub(super) const fn view_of(header: &PeerHeader) -> RibView {
    match (header.peer_type, header.is_adj_rib_out(), header.is_post_policy()) {
        (PeerKey::LOC_RIB, ..) => RibView::LocRib,
        (0..=2, false, false) => RibView::AdjInPre,
        (0..=2, false, true) => RibView::AdjInPost,
        (0..=2, true, false) => RibView::AdjOutPre,
        (0..=2, true, true) => RibView::AdjOutPost,
        _ => RibView::Unknown,
    }
}

/// State of one peer.
pub(super) struct PeerState {
    /// Identity by the last message whose AS number and BGP identifier are not zero.
    pub(super) identity: PeerIdentity,
    /// Identities with zeros under which the peer was recorded before `identity` was known. They belong to
    /// it until the session ends.
    earlier_identities: [Option<PeerIdentity>; 2],
    /// The next peer with the same key.
    next: Option<usize>,
    /// VRF or table name from the Peer Up; empty if absent.
    pub(super) table_name: String,
    /// Whether the Loc-RIB is filtered, by the F flag of the last message (RFC 9069 section 4.2).
    is_filtered: bool,
    /// Number of Peer Ups and Peer Downs of this peer in the session.
    pub(super) generation: u32,
    pub(super) up: bool,
    /// Time of the Peer Up that began the last BGP session; `None` if there was none.
    pub(super) up_since: Option<Timestamp>,
    /// The BGP session of the last Peer Up of this generation.
    pub(super) bgp_session: Option<BgpSession>,
    /// Whether routes of an earlier generation or session may still be current. Then a dump is a re-dump, and
    /// it is followed by a sweep.
    pub(super) has_earlier_routes: bool,
    pub(super) capabilities: PeerCapabilities,
    /// BMP messages about this peer.
    pub(super) messages: u64,
    /// PDUs that could not be decoded.
    pub(super) errors: u64,
    /// Peer Downs while the peer was up.
    pub(super) downs: u64,
    /// The OPENs and the last Peer Downs.
    history: PeerHistory,
    /// Time of the last message about this peer.
    pub(super) last_message: Timestamp,
    /// Whether a wrong AS number width has been reported in this generation.
    pub(super) width_reported: bool,
    /// Whether trailing bytes have been reported.
    pub(super) trailer_reported: bool,
    /// Whether a header without AS number and BGP identifier has been reported.
    pub(super) zeros_reported: bool,
    /// The delivery class.
    pub(super) placement: Placement,
    views: Vec<ViewState>,
    budget: PeerBudgets,
    /// The memory of the peer; `None` for the untracked peer, which the next untracked peer replaces.
    reservation: Option<Reservation>,
    /// The memory of the table name and the capabilities.
    details_reservation: Option<Reservation>,
}

impl PeerState {
    fn new(
        identity: PeerIdentity,
        has_earlier_routes: bool,
        generation: u32,
        (budget, reservation): (&PeerBudgets, Option<Reservation>),
    ) -> Self {
        Self {
            identity,
            earlier_identities: [None; 2],
            next: None,
            table_name: String::new(),
            is_filtered: false,
            generation,
            up: false,
            up_since: None,
            bgp_session: None,
            has_earlier_routes,
            capabilities: PeerCapabilities::default(),
            messages: 0,
            errors: 0,
            downs: 0,
            history: PeerHistory::default(),
            last_message: Timestamp(0),
            width_reported: false,
            trailer_reported: false,
            zeros_reported: false,
            placement: Placement::default(),
            views: Vec::new(),
            budget: budget.clone(),
            reservation,
            details_reservation: None,
        }
    }

    /// Reserves memory for the table name and the capabilities of a Peer Up. Discards them if there is not
    /// enough.
    pub(super) fn reserve_details(&mut self) {
        self.details_reservation = None;
        self.details_reservation =
            self.budget.state.reserve(self.table_name.len() + self.capabilities.heap_bytes());
        if self.details_reservation.is_none() {
            (self.table_name, self.capabilities) = (String::new(), PeerCapabilities::default());
        }
    }

    /// Begins a new generation with no views. If the earlier routes remain valid, their families remain
    /// suspect.
    pub(super) fn next_generation(&mut self, earlier_routes_remain: bool) {
        let before = self.generation;
        self.generation = before.saturating_add(1);
        self.width_reported = false;
        self.bgp_session = None;
        for old in std::mem::take(&mut self.views) {
            for family in old.families().iter().filter(|family| earlier_routes_remain && family.is_suspect())
            {
                let index = self.view(old.view);
                if let Some(state) = self.view_mut(index).and_then(|view| view.family(family.family)) {
                    state.suspect_since = family.suspect_since.or(Some(before));
                }
            }
        }
    }

    /// Takes AS number and BGP identifier from a message, unless they are zero there. Later records carry
    /// them.
    pub(super) fn update_identity(&mut self, newer: &PeerIdentity) {
        let before = self.identity;
        self.identity.complete(newer);
        if !before.is_same(&self.identity)
            && let Some(free) = self.earlier_identities.iter_mut().find(|earlier| earlier.is_none())
        {
            *free = Some(before);
        }
        if self.identity != before {
            self.renew_dictionary_entries();
        }
    }

    /// Whether the peer was recorded under this identity.
    fn had(&self, identity: &PeerIdentity) -> bool {
        self.earlier_identities.iter().flatten().any(|earlier| earlier.is_same(identity))
    }

    /// Takes the F flag from a message. Later records carry it.
    #[inline]
    pub(super) fn update_filter(&mut self, is_filtered: bool) {
        if std::mem::replace(&mut self.is_filtered, is_filtered) != is_filtered {
            self.renew_dictionary_entries();
        }
    }

    /// Makes later records use new dictionary entries, because a member of the entry has changed.
    pub(super) fn renew_dictionary_entries(&mut self) {
        self.views.iter_mut().for_each(|view| view.slot = PeerSlot::default());
    }

    /// The dictionary entry of a RIB view of this peer.
    pub(super) fn dictionary_entry(&self, view: RibView) -> Peer {
        Peer {
            key: self.identity.key,
            view,
            asn: self.identity.asn,
            bgp_id: self.identity.bgp_id,
            table_name: match (self.is_filtered, self.table_name.as_str()) {
                (false, name) => name.to_owned(),
                (true, "") => "(filtered)".to_owned(),
                (true, name) => format!("{name} (filtered)"),
            },
            generation: self.generation,
        }
    }

    /// Returns the index of a RIB view, which is created on first use.
    pub(super) fn view(&mut self, view: RibView) -> usize {
        self.views.iter().position(|state| state.view == view).unwrap_or_else(|| {
            let budget = self.budget.clone();
            self.views.push(ViewState::new(view, PeerSlot::default(), budget));
            self.views.len() - 1
        })
    }

    pub(super) fn view_mut(&mut self, index: usize) -> Option<&mut ViewState> {
        self.views.get_mut(index)
    }

    pub(super) fn views(&mut self) -> impl Iterator<Item = &mut ViewState> {
        self.views.iter_mut()
    }
}

/// The peers of a session.
///
/// All but the last are tracked. The last one may be an untracked peer, for which the memory budget was
/// exhausted; the next untracked peer replaces it. The generations of a peer must not decrease, so that a new
/// peer begins with the highest generation of the peers removed.
#[derive(Default)]
pub(super) struct Peers {
    states: Vec<PeerState>,
    /// Index of the first peer of each key. The others follow by [`PeerState::next`].
    index_by_key: HashMap<PeerKey, usize>,
    /// Index of the peer of the last message: routers send long runs of messages about one peer.
    last: usize,
    budget: PeerBudgets,
    /// First generation of a new peer.
    first_generation: u32,
    /// Whether a peer may be down, so that its memory can be reclaimed.
    some_may_be_down: bool,
    /// The progress of the dump batches, by which peers change their class.
    dumps: DumpProgress,
}

impl Peers {
    /// Returns the index of the peer of the last message, if it has this identity.
    #[inline]
    pub(super) fn last(&self, identity: &PeerIdentity) -> Option<usize> {
        self.states.get(self.last).is_some_and(|state| state.identity == *identity).then_some(self.last)
    }

    /// Returns the index of a peer.
    pub(super) fn find(&mut self, identity: &PeerIdentity) -> Option<usize> {
        let first = self.index_by_key.get(&identity.key).copied();
        if let Some(first) = first
            && self.states.get(first).is_some_and(|state| state.identity == *identity)
        {
            self.last = first;
            return Some(first);
        }
        let same_key: Vec<usize> =
            std::iter::successors(first, |index| self.states.get(*index)?.next).collect();
        let states = same_key.iter().filter_map(|index| self.states.get(*index));
        // The untracked peer is not in the index.
        let untracked = self.states.last().filter(|state| state.reservation.is_none());
        let known = states.chain(untracked);
        let found = match known.clone().position(|state| state.had(identity)) {
            Some(earlier) => earlier,
            None => identity.find(known.map(|state| &state.identity))?,
        };
        self.last = same_key.get(found).copied().unwrap_or(self.states.len() - 1);
        Some(self.last)
    }

    /// Adds a peer and returns its index. Replaces the untracked peer, if any.
    pub(super) fn add(&mut self, identity: PeerIdentity, has_earlier_routes: bool) -> usize {
        if self.states.last().is_some_and(|state| state.reservation.is_none())
            && let Some(untracked) = self.states.pop()
        {
            self.note_removed(&untracked);
        }
        let reservation = self.reserve_peer().or_else(|| self.reclaim_down_peers());
        let index = self.states.len();
        let is_tracked = reservation.is_some();
        let memory = (&self.budget, reservation);
        self.states.push(PeerState::new(identity, has_earlier_routes, self.first_generation, memory));
        if is_tracked {
            self.link(index);
            self.some_may_be_down = true;
        }
        self.last = index;
        self.demote(index);
        index
    }

    /// Returns the index of the untracked peer, if there is one and it is up.
    pub(super) fn untracked_live_peer(&self) -> Option<usize> {
        let index = self.states.len().checked_sub(1)?;
        self.states.get(index).is_some_and(|state| state.reservation.is_none() && state.up).then_some(index)
    }

    /// Removes the peers that are down, and reserves memory for a new one.
    fn reclaim_down_peers(&mut self) -> Option<Reservation> {
        if !std::mem::take(&mut self.some_may_be_down) {
            return None;
        }
        let (live, down) = std::mem::take(&mut self.states).into_iter().partition(|state| state.up);
        self.states = live;
        self.index_by_key.clear();
        (0..self.states.len()).for_each(|index| self.link(index));
        let down: Vec<PeerState> = down;
        down.iter().for_each(|state| self.note_removed(state));
        drop(down);
        self.reserve_peer()
    }

    /// Adds a peer to the index by key, before the other peers of its key.
    fn link(&mut self, index: usize) {
        if let Some(state) = self.states.get_mut(index) {
            state.next = self.index_by_key.insert(state.identity.key, index);
        }
    }

    fn reserve_peer(&self) -> Option<Reservation> {
        self.budget.state.reserve_above(TRACKED_PEERS_MIN_BYTES, PEER_BYTES)
    }

    fn note_removed(&mut self, state: &PeerState) {
        self.first_generation = state.generation.max(self.first_generation);
    }

    /// Notes that a peer went down.
    pub(super) const fn note_peer_down(&mut self) {
        self.some_may_be_down = true;
    }

    /// The hash of bytes received, by keys that no router can predict.
    pub(super) fn hash(&self, bytes: [&[u8]; 2]) -> u64 {
        self.budget.keys.hash_one(bytes)
    }

    /// How often a peer, a family, its details or a PDU was not kept.
    pub(super) fn refusals(&self) -> u64 {
        self.budget.state.refusals()
    }

    /// How often the set of routes announced during a dump could not grow.
    pub(super) fn dump_refusals(&self) -> u64 {
        self.budget.routes.refusals()
    }

    pub(super) fn get(&mut self, index: usize) -> Option<&mut PeerState> {
        self.states.get_mut(index)
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Indexes of the peers that are up.
    pub(super) fn live(&self) -> Vec<usize> {
        (0..).zip(&self.states).filter(|(_, state)| state.up).map(|(index, _)| index).collect()
    }

    pub(super) fn summaries(&self) -> Vec<PeerSummary> {
        self.states.iter().map(PeerSummary::from).collect()
    }
}
