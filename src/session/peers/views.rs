//! The RIB views of a peer, their address families, and the PDUs that are held until their encoding is known.

use super::memory_budget::{MemoryBudget, Reservation};
use crate::route::{Family, RibView, SuspectScope, Timestamp};
use crate::session::builder::PeerSlot;

/// Memory of an address family of a RIB view.
const FAMILY_BYTES: usize = 2 * size_of::<FamilyState>();

/// Maximum number of tracked address families of a RIB view: more than IANA has registered, and few enough
/// for a linear search.
const VIEW_MAX_FAMILIES: usize = 64;

/// State of one address family of a RIB view in the current generation.
pub(in crate::session) struct FamilyState {
    pub(in crate::session) family: Family,
    /// Routes announced.
    pub(in crate::session) announced: u64,
    /// Routes withdrawn.
    pub(in crate::session) withdrawn: u64,
    /// Whether routes belong to an initial dump or a re-dump: until End-of-RIB or the quiet time.
    pub(in crate::session) dumping: bool,
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
    /// Time of the last announcement or withdrawal.
    pub(in crate::session) last_route: Timestamp,
    /// The memory of this value.
    _reservation: Reservation,
}

impl FamilyState {
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
    budget: MemoryBudget,
}

impl ViewState {
    /// A view without families, whose memory is reserved from `budget`.
    pub(in crate::session) const fn new(view: RibView, slot: PeerSlot, budget: MemoryBudget) -> Self {
        Self { view, slot, families: Vec::new(), budget }
    }

    /// Returns the state of a family, which is created on first use; `None` if the family is not tracked,
    /// because [`VIEW_MAX_FAMILIES`] or the memory budget is exhausted.
    pub(in crate::session) fn family(&mut self, family: Family) -> Option<&mut FamilyState> {
        if let Some(index) = self.families.iter().position(|state| state.family == family) {
            return self.families.get_mut(index);
        }
        if self.families.len() == VIEW_MAX_FAMILIES {
            self.budget.count_refusal();
            return None;
        }
        self.families.push(FamilyState {
            family,
            announced: 0,
            withdrawn: 0,
            dumping: true,
            end_of_rib: None,
            swept: false,
            path_ids: None,
            held: Vec::new(),
            suspect_since: None,
            last_route: Timestamp(0),
            _reservation: self.budget.reserve(FAMILY_BYTES)?,
        });
        self.families.last_mut()
    }

    /// Reserves memory for a held PDU.
    pub(in crate::session) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.budget.reserve(bytes)
    }

    /// Marks one family, or all tracked families, as suspect since `generation`.
    pub(in crate::session) fn mark_suspect(&mut self, scope: SuspectScope, generation: u32) {
        match scope {
            SuspectScope::AllFamilies => {
                self.families.iter_mut().for_each(|state| state.suspect_since = Some(generation));
            }
            SuspectScope::Family(family) => {
                if let Some(state) = self.family(family) {
                    state.suspect_since = Some(generation);
                }
            }
        }
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
    /// The memory of this value.
    _reservation: Reservation,
}

impl HeldPdu {
    /// Memory in bytes that holding a PDU takes.
    pub(in crate::session) const fn memory_bytes(pdu: &[u8]) -> usize {
        pdu.len() + size_of::<Self>()
    }

    /// Copies a PDU. `reservation` covers [`HeldPdu::memory_bytes`].
    pub(in crate::session) fn new(
        number: u64,
        pdu: &[u8],
        (received, router_time): (Timestamp, Timestamp),
        four_octet_as: bool,
        reservation: Reservation,
    ) -> Self {
        Self { number, pdu: pdu.into(), received, router_time, four_octet_as, _reservation: reservation }
    }
}
