//! The peers of one session: what is negotiated, which generation, which views and families.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use super::builder::PeerSlot;
use super::encoding_evidence::Evidence;
use super::memory_budget::{MemoryBudget, PEER_MEMORY_MAX_BYTES, RESERVE_BYTES, Reservation};
use super::negotiated::Agreed;
use super::summary::{FamilySummary, PeerSummary, ViewSummary};
use crate::bmp::PeerHeader;
use crate::route::{Family, Peer, PeerKey, RibView, Timestamp};

/// What a peer takes with all its views, of which there are four at most; vectors may be twice as long as what is in them.
const PEER_BYTES: usize =
    2 * (size_of::<PeerState>() + size_of::<(PeerKey, usize)>()) + 4 * size_of::<ViewState>();
/// What a family of a view takes.
const FAMILY_BYTES: usize = 2 * size_of::<FamilyState>();

/// Families of one view that are kept in mind: more than are registered, and few enough to be looked through.
const FAMILIES_MAX: usize = 64;

/// Peer type of a Loc-RIB instance (RFC 9069 section 4.1).
const LOC_RIB: u8 = 3;

/// Identity of the peer in a per-peer header. A Loc-RIB is keyed without its address, which is zero by RFC 9069.
pub(super) fn key_of(header: &PeerHeader) -> PeerKey {
    let address =
        if header.peer_type == LOC_RIB { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { header.address };
    PeerKey { peer_type: header.peer_type, distinguisher: header.distinguisher, address }
}

/// The RIB view that a per-peer header speaks of.
pub(super) const fn view_of(header: &PeerHeader) -> RibView {
    match (header.peer_type, header.is_adj_rib_out(), header.is_post_policy()) {
        (LOC_RIB, ..) => RibView::LocRib,
        (0..=2, false, false) => RibView::AdjInPre,
        (0..=2, false, true) => RibView::AdjInPost,
        (0..=2, true, false) => RibView::AdjOutPre,
        (0..=2, true, true) => RibView::AdjOutPost,
        _ => RibView::Unknown,
    }
}

/// One family of one view, in the current generation.
pub(super) struct FamilyState {
    pub(super) family: Family,
    pub(super) announced: u64,
    pub(super) withdrawn: u64,
    /// Routes are part of a first or repeated table until End-of-RIB, or a long silence, says otherwise.
    pub(super) dumping: bool,
    pub(super) end_of_rib: Option<Timestamp>,
    pub(super) swept: bool,
    /// What its bytes say against what was agreed.
    pub(super) evidence: Evidence,
    /// In this generation a PDU could not be read: the table may be wrong until the whole of a later one is told.
    pub(super) suspect: Option<u32>,
    pub(super) last_route: Timestamp,
    _share: Reservation,
}

impl FamilyState {
    /// Routes may be missing or too many.
    fn is_suspect(&self) -> bool {
        self.suspect.is_some() || self.evidence.is_doubted()
    }
}

pub(super) struct ViewState {
    pub(super) view: RibView,
    pub(super) slot: PeerSlot,
    families: Vec<FamilyState>,
    room: MemoryBudget,
}

impl ViewState {
    /// The state of a family, made when it is first seen; `None` when there is no room for it.
    pub(super) fn family(&mut self, family: Family) -> Option<&mut FamilyState> {
        if let Some(place) = self.families.iter().position(|state| state.family == family) {
            return self.families.get_mut(place);
        }
        if self.families.len() == FAMILIES_MAX {
            self.room.refuse();
            return None;
        }
        self.families.push(FamilyState {
            family,
            announced: 0,
            withdrawn: 0,
            dumping: true,
            end_of_rib: None,
            swept: false,
            evidence: Evidence::default(),
            suspect: None,
            last_route: Timestamp(0),
            _share: self.room.share(FAMILY_BYTES)?,
        });
        self.families.last_mut()
    }

    /// MemoryBudget for a PDU of this view to wait.
    pub(super) fn share(&self, bytes: usize) -> Option<Reservation> {
        self.room.share(bytes)
    }

    /// Marks a family, or all that are known when it could not be told which.
    pub(super) fn suspect(&mut self, family: Family, generation: u32) {
        if family == super::ANY_FAMILY {
            self.families.iter_mut().for_each(|state| state.suspect = Some(generation));
        } else if let Some(state) = self.family(family) {
            state.suspect = Some(generation);
        }
    }

    pub(super) fn families(&mut self) -> impl Iterator<Item = &mut FamilyState> {
        self.families.iter_mut()
    }
}

pub(super) struct PeerState {
    pub(super) key: PeerKey,
    pub(super) asn: u32,
    pub(super) bgp_id: Ipv4Addr,
    pub(super) table_name: String,
    pub(super) generation: u32,
    pub(super) up: bool,
    /// Routes from before this generation may still be held as current: what is sent now may be a repetition.
    pub(super) known_before: bool,
    pub(super) agreed: Agreed,
    pub(super) messages: u64,
    pub(super) errors: u64,
    pub(super) last_message: Timestamp,
    /// The odd AS path width of this peer has been told once.
    pub(super) width_told: bool,
    /// Bytes behind its PDUs have been told once.
    pub(super) trailer_told: bool,
    /// A header without AS and BGP identifier has been told once.
    pub(super) zeros_told: bool,
    views: Vec<ViewState>,
    room: MemoryBudget,
    /// For the peer itself; none when it is forgotten with the next one that has none.
    share: Option<Reservation>,
    /// For its table name and what its OPENs agree on.
    told: Option<Reservation>,
}

impl PeerState {
    fn new(
        key: PeerKey,
        header: &PeerHeader,
        known_before: bool,
        generation: u32,
        (room, share): (&MemoryBudget, Option<Reservation>),
    ) -> Self {
        Self {
            key,
            asn: header.asn,
            bgp_id: header.bgp_id,
            table_name: String::new(),
            generation,
            up: false,
            known_before,
            agreed: Agreed::default(),
            messages: 0,
            errors: 0,
            last_message: Timestamp(0),
            width_told: false,
            trailer_told: false,
            zeros_told: false,
            views: Vec::new(),
            room: room.clone(),
            share,
            told: None,
        }
    }

    /// Keeps what a Peer Up has told beyond this message, where there is room; else the peer is one without a Peer Up.
    pub(super) fn keep_told(&mut self) {
        self.told = None;
        self.told = self.room.share(self.table_name.len() + self.agreed.bytes());
        if self.told.is_none() {
            (self.table_name, self.agreed) = (String::new(), Agreed::default());
        }
    }

    /// A new generation begins: nothing of the old one is known any more, but which families were suspect. Those are of
    /// interest while their routes stand.
    pub(super) fn next_generation(&mut self, routes_stand: bool) {
        let before = self.generation;
        self.generation = before.saturating_add(1);
        self.width_told = false;
        for old in std::mem::take(&mut self.views) {
            for family in old.families.iter().filter(|family| routes_stand && family.is_suspect()) {
                let place = self.view(old.view);
                if let Some(state) = self.view_mut(place).and_then(|view| view.family(family.family)) {
                    state.suspect = family.suspect.or(Some(before));
                }
            }
        }
    }

    /// The dictionary entry for one view.
    pub(super) fn entry(&self, view: RibView) -> Peer {
        Peer {
            key: self.key,
            view,
            asn: self.asn,
            bgp_id: self.bgp_id,
            table_name: self.table_name.clone(),
            generation: self.generation,
        }
    }

    /// The state of a view and its place, made when it is first seen.
    pub(super) fn view(&mut self, view: RibView) -> usize {
        self.views.iter().position(|state| state.view == view).unwrap_or_else(|| {
            let room = self.room.clone();
            self.views.push(ViewState { view, slot: PeerSlot::default(), families: Vec::new(), room });
            self.views.len() - 1
        })
    }

    pub(super) fn view_mut(&mut self, place: usize) -> Option<&mut ViewState> {
        self.views.get_mut(place)
    }

    pub(super) fn views(&mut self) -> impl Iterator<Item = &mut ViewState> {
        self.views.iter_mut()
    }
}

/// All peers of a session. The last one is remembered: routers speak of one peer for long runs.
///
/// A peer for which there is no room takes the place of the one before it for which there was none. Generations of one
/// peer must not go back, so that one that was forgotten begins where the highest of the forgotten ones ended.
pub(super) struct Peers {
    states: Vec<PeerState>,
    places: HashMap<PeerKey, usize>,
    last: usize,
    room: MemoryBudget,
    generation_min: u32,
    /// Some of them may be down: without them there may be room again.
    some_ended: bool,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            places: HashMap::new(),
            last: 0,
            room: MemoryBudget::of(PEER_MEMORY_MAX_BYTES),
            generation_min: 0,
            some_ended: false,
        }
    }
}

impl Peers {
    /// Place of a known peer.
    pub(super) fn find(&mut self, key: &PeerKey) -> Option<usize> {
        if self.states.get(self.last).is_some_and(|state| state.key == *key) {
            return Some(self.last);
        }
        let place = self.places.get(key).copied()?;
        self.last = place;
        Some(place)
    }

    pub(super) fn add(&mut self, key: PeerKey, header: &PeerHeader, known_before: bool) -> usize {
        // The one without room stands last.
        if self.states.last().is_some_and(|state| state.share.is_none()) {
            let stranger = self.states.pop();
            self.forget(stranger.as_ref());
        }
        let share = self.room_for_one().or_else(|| self.room_of_the_ended());
        let place = self.states.len();
        let is_kept = share.is_some();
        let room = (&self.room, share);
        self.states.push(PeerState::new(key, header, known_before, self.generation_min, room));
        if is_kept {
            self.places.insert(key, place);
            self.some_ended = true;
        }
        self.last = place;
        place
    }

    /// Place of the peer for which there was no room, while it is up.
    pub(super) fn live_stranger(&self) -> Option<usize> {
        let place = self.states.len().checked_sub(1)?;
        self.states.get(place).is_some_and(|state| state.share.is_none() && state.up).then_some(place)
    }

    /// Forgets the peers that are down, and says whether there is room for one now.
    fn room_of_the_ended(&mut self) -> Option<Reservation> {
        if !std::mem::take(&mut self.some_ended) {
            return None;
        }
        let (live, ended) = std::mem::take(&mut self.states).into_iter().partition(|state| state.up);
        self.states = live;
        self.places = (0..).zip(&self.states).map(|(place, state)| (state.key, place)).collect();
        let ended: Vec<PeerState> = ended;
        ended.iter().for_each(|state| self.forget(Some(state)));
        drop(ended);
        self.room_for_one()
    }

    fn room_for_one(&self) -> Option<Reservation> {
        self.room.share_beside(RESERVE_BYTES, PEER_BYTES)
    }

    fn forget(&mut self, state: Option<&PeerState>) {
        self.generation_min = state.map_or(0, |state| state.generation).max(self.generation_min);
    }

    /// Notes that a peer is down.
    pub(super) const fn note_ended(&mut self) {
        self.some_ended = true;
    }

    /// How often something found no room.
    pub(super) fn refused(&self) -> u64 {
        self.room.refused()
    }

    pub(super) fn get(&mut self, place: usize) -> Option<&mut PeerState> {
        self.states.get_mut(place)
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Places of the peers that are up.
    pub(super) fn live(&self) -> Vec<usize> {
        (0..).zip(&self.states).filter(|(_, state)| state.up).map(|(place, _)| place).collect()
    }

    pub(super) fn summaries(&self) -> Vec<PeerSummary> {
        self.states.iter().map(PeerSummary::from).collect()
    }
}

impl From<&PeerState> for PeerSummary {
    fn from(state: &PeerState) -> Self {
        let family = |family: &FamilyState| FamilySummary {
            family: family.family,
            announced: family.announced,
            withdrawn: family.withdrawn,
            end_of_rib: family.end_of_rib,
            suspect: family.is_suspect(),
        };
        let view = |view: &ViewState| ViewSummary {
            view: view.view,
            families: view.families.iter().map(family).collect(),
        };
        Self {
            key: state.key,
            asn: state.asn,
            bgp_id: state.bgp_id,
            table_name: state.table_name.clone(),
            up: state.up,
            generation: state.generation,
            messages: state.messages,
            errors: state.errors,
            last_message: state.last_message,
            views: state.views.iter().map(view).collect(),
        }
    }
}
