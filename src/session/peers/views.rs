//! The RIB views of a peer, their address families, and the PDUs that are held until their encoding is known.

use super::announced::AnnouncedRoutes;
use super::memory_budget::{PeerBudgets, Reservation};
use crate::route::{Cause, Family, NlriEntry, RibView, SuspectScope, Timestamp};
use crate::session::builder::PeerSlot;
use crate::session::route_tlvs::UpdateTlvs;

/// Memory of an address family of a RIB view.
const FAMILY_BYTES: usize = 2 * size_of::<FamilyState>();

/// Maximum number of tracked address families of a RIB view: more than IANA has registered, and few enough
/// for a linear search.
const VIEW_MAX_FAMILIES: usize = 64;

/// Upper bound of the time between End-of-RIB and the sweep, in quiet times: a router that goes on to
/// announce new routes does not delay the sweep for ever.
const SWEEP_MAX_QUIET_TIMES: i64 = 10;

/// The times that end a dump.
#[derive(Clone, Copy)]
pub(in crate::session) struct SweepTimes {
    /// Quiet time in microseconds.
    pub(in crate::session) quiet_us: i64,
    /// Time in microseconds after which routes are swept without End-of-RIB; `None` for never.
    pub(in crate::session) without_end_of_rib_us: Option<i64>,
}

/// The cause of the announcements of a dump.
#[derive(Clone, Copy)]
pub(in crate::session) struct DumpCause {
    /// The cause of a first announcement during the dump.
    pub(in crate::session) cause: Cause,
    /// Whether the dump continued when the announcement was received; `None` if it was received just now.
    pub(in crate::session) was_dumping: Option<bool>,
}

/// State of one address family of a RIB view in the current generation.
pub(in crate::session) struct FamilyState {
    pub(in crate::session) family: Family,
    /// Routes announced.
    pub(in crate::session) announced: u64,
    /// Routes withdrawn.
    pub(in crate::session) withdrawn: u64,
    /// Whether first announcements belong to an initial dump or a re-dump: until End-of-RIB, or until no
    /// route has been announced for the first time during the quiet time.
    pub(in crate::session) dumping: bool,
    /// The routes announced in this generation; `None` when neither the dump nor the sweep needs them.
    announced_routes: Option<Box<AnnouncedRoutes>>,
    /// Time of the last announcement of a route that had not been announced in this generation.
    pub(in crate::session) last_first: Option<Timestamp>,
    /// Time of the last End-of-RIB.
    pub(in crate::session) end_of_rib: Option<Timestamp>,
    /// Whether the sweep of this generation has been recorded.
    pub(in crate::session) swept: bool,
    /// Whether path IDs are present, if received messages have contradicted the negotiated encoding.
    pub(in crate::session) path_ids: Option<bool>,
    /// PDUs whose encoding is uncertain, in order of reception.
    pub(in crate::session) held: Vec<HeldPdu>,
    /// Generation of the last PDU that could not be decoded. The table is suspect until End-of-RIB of a later
    /// one.
    pub(in crate::session) suspect_since: Option<u32>,
    /// The memory of this value.
    _reservation: Reservation,
}

impl FamilyState {
    /// Returns the cause of an announcement received at `at`: `dump` if it is the first one of its route in
    /// this generation and the dump continued then, else an update.
    pub(in crate::session) fn cause(&mut self, route: &NlriEntry, dump: DumpCause, at: Timestamp) -> Cause {
        let Some(announced) = &mut self.announced_routes else { return Cause::Update };
        if !announced.insert(route) {
            return Cause::Update;
        }
        // A held PDU is older than others that were recorded before it.
        self.last_first = self.last_first.max(Some(at));
        let DumpCause { cause, was_dumping } = dump;
        if was_dumping.unwrap_or(self.dumping) { cause } else { Cause::Update }
    }

    /// Ends the dump if it is over at `now`. Returns whether the routes of earlier generations are to be
    /// swept now, which happens once per generation.
    ///
    /// After End-of-RIB the sweep waits for the quiet time, because End-of-RIB can precede the last routes of
    /// a dump (FRR), but not longer than [`SWEEP_MAX_QUIET_TIMES`] of them.
    pub(in crate::session) fn advance(
        &mut self,
        has_earlier_routes: bool,
        times: SweepTimes,
        now: Timestamp,
    ) -> bool {
        let age_us = |since: Timestamp| now.0.saturating_sub(since.0);
        let Some(last) = self.last_first.max(self.end_of_rib) else { return false };
        let is_quiet = age_us(last) >= times.quiet_us;
        self.dumping &= !is_quiet;
        let ended = match self.end_of_rib {
            Some(end) => is_quiet || age_us(end) >= times.quiet_us.saturating_mul(SWEEP_MAX_QUIET_TIMES),
            None => times.without_end_of_rib_us.is_some_and(|limit| is_quiet && age_us(last) >= limit),
        };
        // A held PDU may announce the routes again; it is recorded after the quiet time at the latest.
        let is_due = ended && has_earlier_routes && !self.swept && self.held.is_empty();
        self.swept |= is_due;
        if !self.dumping && (self.swept || !has_earlier_routes) {
            self.forget_announced();
        }
        is_due
    }

    /// Discards the set of announced routes, unless held PDUs need it.
    pub(in crate::session) fn forget_announced(&mut self) {
        if self.held.is_empty() {
            self.announced_routes = None;
        }
    }

    /// Whether routes may be missing from the current table, or be outdated.
    pub(in crate::session) fn is_suspect(&self) -> bool {
        self.suspect_since.is_some() || !self.held.is_empty()
    }
}

/// State of one RIB view of a peer in the current generation.
pub(in crate::session) struct ViewState {
    pub(in crate::session) view: RibView,
    pub(in crate::session) slot: PeerSlot,
    families: Vec<FamilyState>,
    /// This generation if routes of unknown families may have been lost in it; else `None`. Families that
    /// appear later are suspect too.
    all_suspect_since: Option<u32>,
    budget: PeerBudgets,
}

impl ViewState {
    /// A view without families, whose memory is reserved from `budget`.
    pub(in crate::session) const fn new(view: RibView, slot: PeerSlot, budget: PeerBudgets) -> Self {
        Self { view, slot, families: Vec::new(), all_suspect_since: None, budget }
    }

    /// Returns the state of a family, which is created on first use; `None` if the family is not tracked,
    /// because [`VIEW_MAX_FAMILIES`] or the memory budget is exhausted.
    pub(in crate::session) fn family(&mut self, family: Family) -> Option<&mut FamilyState> {
        if let Some(index) = self.families.iter().position(|state| state.family == family) {
            return self.families.get_mut(index);
        }
        if self.families.len() == VIEW_MAX_FAMILIES {
            self.budget.state.count_refusal();
            return None;
        }
        let PeerBudgets { state, routes, keys, .. } = &self.budget;
        self.families.push(FamilyState {
            family,
            announced: 0,
            withdrawn: 0,
            dumping: true,
            end_of_rib: None,
            swept: false,
            path_ids: None,
            held: Vec::new(),
            suspect_since: self.all_suspect_since,
            announced_routes: Some(Box::new(AnnouncedRoutes::new(keys.clone(), routes))),
            last_first: None,
            _reservation: state.reserve(FAMILY_BYTES)?,
        });
        self.families.last_mut()
    }

    /// Reserves memory for a held PDU.
    pub(in crate::session) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.budget.state.reserve(bytes)
    }

    /// Marks one family, or all tracked families, as suspect since `generation`.
    pub(in crate::session) fn mark_suspect(&mut self, scope: SuspectScope, generation: u32) {
        match scope {
            SuspectScope::AllFamilies => {
                self.all_suspect_since = Some(generation);
                self.families.iter_mut().for_each(|state| state.suspect_since = Some(generation));
            }
            SuspectScope::Family(family) => {
                if let Some(state) = self.family(family) {
                    state.suspect_since = Some(generation);
                }
            }
        }
    }

    /// Whether all families have been marked as suspect in this generation.
    pub(in crate::session) const fn is_all_suspect(&self) -> bool {
        self.all_suspect_since.is_some()
    }

    pub(in crate::session) fn families(&self) -> &[FamilyState] {
        &self.families
    }

    pub(in crate::session) fn families_mut(&mut self) -> impl Iterator<Item = &mut FamilyState> {
        self.families.iter_mut()
    }
}

/// A held PDU with everything that its rows need.
pub(in crate::session) struct HeldPdu {
    /// Number of the message among those of its peer, from 1.
    pub(in crate::session) number: u64,
    /// The BGP UPDATE.
    pub(in crate::session) pdu: Box<[u8]>,
    /// Time of reception.
    pub(in crate::session) received: Timestamp,
    /// Time in the per-peer header; 0 if absent.
    pub(in crate::session) router_time: Timestamp,
    /// AS number width that the message announced: four octets or two.
    pub(in crate::session) four_octet_as: bool,
    /// The TLVs of its message (BMP version 4).
    pub(in crate::session) tlvs: UpdateTlvs,
    /// Whether the dump of its family continued when it was received.
    pub(in crate::session) was_dumping: bool,
    /// The memory of this value.
    _reservation: Reservation,
}

impl HeldPdu {
    /// Memory in bytes that holding a PDU and its TLVs takes.
    pub(in crate::session) fn memory_bytes(pdu: &[u8], tlvs: &UpdateTlvs) -> usize {
        pdu.len() + size_of::<Self>() + tlvs.heap_bytes()
    }

    /// Copies a PDU and its TLVs. `reservation` covers [`HeldPdu::memory_bytes`].
    pub(in crate::session) fn new(
        number: u64,
        pdu: &[u8],
        (received, router_time): (Timestamp, Timestamp),
        (four_octet_as, tlvs): (bool, &UpdateTlvs),
        was_dumping: bool,
        reservation: Reservation,
    ) -> Self {
        Self {
            number,
            pdu: pdu.into(),
            received,
            router_time,
            four_octet_as,
            tlvs: tlvs.clone(),
            was_dumping,
            _reservation: reservation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_of_a_dump_are_forgotten_at_its_end() {
        let family = Family { afi: 1, safi: 1 };
        let mut view = ViewState::new(RibView::AdjInPre, PeerSlot::default(), PeerBudgets::default());
        let state = view.family(family).unwrap();
        state.last_first = Some(Timestamp(0));
        let times = SweepTimes { quiet_us: 10, without_end_of_rib_us: None };
        assert!(!state.advance(true, times, Timestamp(20)));
        assert!(state.announced_routes.is_some(), "the sweep of earlier routes needs them");
        assert!(!state.advance(false, times, Timestamp(20)));
        assert!(state.announced_routes.is_none());
    }
}
