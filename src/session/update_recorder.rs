//! Recording of one UPDATE: its fields become rows of the open batch, or are held, or replayed.
//!
//! [`encoding_evidence::judge`](super::encoding_evidence::judge) decides the encoding of each NLRI field;
//! this module acts on the verdict.

mod path_marking;

use super::builder::{BatchBuilder, InternedSet};
use super::encoding_evidence::{Expectation, Field, FirstHeld, History, HoldReason, Verdict, judge};
use super::overrides::Overrides;
use super::peers::{DumpCause, HeldPdu, PeerState};
use super::route_tlvs::UpdateTlvs;
use super::summary::Counters;
use crate::bgp::{self, Encoding, MpReach, Update};
use crate::num;
use crate::route::{
    Action, Cause, Family, NO_ATTRIBUTES, NlriEntry, RibView, RowGroup, SuspectScope, Timestamp,
};

/// A PDU that could not be decoded, or only in part.
pub(super) struct PduError {
    /// What was found and what was expected, with the byte offset.
    pub(super) error: String,
    /// The families whose current table may be incomplete; `None` if every route of the PDU was decoded or is
    /// held.
    pub(super) suspect: Option<SuspectScope>,
    /// The PDU, if it is that of an earlier message.
    pub(super) earlier_pdu: Option<Box<[u8]>>,
}

impl PduError {
    pub(super) const fn new(error: String, suspect: Option<SuspectScope>) -> Self {
        Self { error, suspect, earlier_pdu: None }
    }
}

/// One UPDATE and everything that its rows take from the message around it.
pub(super) struct MonitoredUpdate<'a> {
    /// The fields of the UPDATE.
    pub(super) update: &'a Update<'a>,
    /// The bytes of the UPDATE.
    pub(super) pdu: &'a [u8],
    /// Number of the message among those of its peer, from 1.
    pub(super) number: u64,
    /// Time of reception.
    pub(super) received: Timestamp,
    /// Time in the per-peer header; 0 if absent.
    pub(super) router_time: Timestamp,
    /// AS number width according to the A flag or the operator's override: four octets or two.
    pub(super) four_octet_as: bool,
    /// The TLVs that concern its routes (BMP version 4).
    pub(super) tlvs: &'a UpdateTlvs,
    /// The only family to record, and whether its dump continued when the UPDATE was received; `None` for all
    /// families. Set when a held PDU is replayed.
    pub(super) only_family: Option<(Family, bool)>,
}

impl MonitoredUpdate<'_> {
    fn includes(&self, family: Family) -> bool {
        self.only_family.is_none_or(|(only, _)| only == family)
    }
}

/// The result of recording one UPDATE, apart from its rows.
#[derive(Default)]
pub(super) struct Outcome {
    /// The errors of the PDU, and of held PDUs that it decides.
    pub(super) errors: Vec<PduError>,
    /// The first AS_PATH of this generation was decoded with the AS number width that was not announced.
    pub(super) width_changed: bool,
    /// From this UPDATE on, routes of this family are decoded with path IDs (`true`) or without.
    pub(super) path_ids_changed: Option<(Family, bool)>,
}

/// Adds the rows of UPDATEs of one peer and RIB view to the open batch.
pub(super) struct UpdateRecorder<'a> {
    peer: &'a mut PeerState,
    /// Index of the RIB view among the peer's views.
    view: usize,
    builder: &'a mut BatchBuilder,
    counters: &'a mut Counters,
    overrides: &'a Overrides,
    /// The result for the UPDATE that is being recorded.
    outcome: Outcome,
}

impl<'a> UpdateRecorder<'a> {
    /// Returns a recorder for the RIB view at index `view` of `peer`.
    pub(super) fn new(
        peer: &'a mut PeerState,
        view: usize,
        builder: &'a mut BatchBuilder,
        counters: &'a mut Counters,
        overrides: &'a Overrides,
    ) -> Self {
        Self { peer, view, builder, counters, overrides, outcome: Outcome::default() }
    }

    /// Records one UPDATE, withdrawals first: a prefix that one UPDATE withdraws and announces is announced
    /// (RFC 4271 section 3.1).
    pub(super) fn record(mut self, message: &MonitoredUpdate<'_>) -> Outcome {
        self.record_fields(message);
        self.outcome
    }

    /// Records the held PDUs of a family at the end of their generation, when no message can decide their
    /// encoding any more: the first one is malformed, the others are decoded as expected.
    pub(super) fn settle(mut self, family: Family) -> Outcome {
        let state = self.peer.view_mut(self.view).and_then(|view| view.family(family));
        let held = state.map(|state| std::mem::take(&mut state.held)).unwrap_or_default();
        self.replay_after_malformed(family, held);
        self.outcome
    }

    #[inline]
    fn record_fields(&mut self, message: &MonitoredUpdate<'_>) {
        let update = message.update;
        if !update.withdrawn.is_empty() && message.includes(Family::IPV4_UNICAST) {
            self.withdraw(message, Family::IPV4_UNICAST, update.withdrawn, Cause::Update, NO_ATTRIBUTES);
        }
        if let Some(unreach) = update.mp_unreach.filter(|unreach| message.includes(unreach.family)) {
            self.withdraw(message, unreach.family, unreach.nlri, Cause::Update, NO_ATTRIBUTES);
        }
        if !update.nlri.is_empty() && message.includes(Family::IPV4_UNICAST) {
            // The NLRI field uses NEXT_HOP, MP_REACH_NLRI its own next hop: two attribute sets.
            let without_mp_reach = update.without_mp_reach();
            self.announce(message, Family::IPV4_UNICAST, update.nlri, &without_mp_reach);
        }
        if let Some(MpReach { family, nlri, .. }) =
            update.mp_reach.filter(|reach| message.includes(reach.family))
        {
            self.announce(message, family, nlri, update);
        }
    }

    fn withdraw(
        &mut self,
        message: &MonitoredUpdate<'_>,
        family: Family,
        nlri: &[u8],
        cause: Cause,
        attributes: u16,
    ) {
        let field = Field { family, bytes: nlri, is_withdrawal: true };
        let rows = self.add_rows(message, field, cause, attributes);
        self.counters.withdrawn += u64::from(rows);
    }

    fn announce(&mut self, message: &MonitoredUpdate<'_>, family: Family, nlri: &[u8], update: &Update<'_>) {
        let InternedSet { index, treat_as_withdraw } = self.attributes(message, update);
        if treat_as_withdraw {
            self.counters.treated_as_withdraw += 1;
            let reason = self.builder.last_discard_reason(index);
            self.outcome.errors.push(PduError::new(format!("treated as withdrawal: {reason}"), None));
            self.withdraw(message, family, nlri, Cause::TreatAsWithdraw, index);
            return;
        }
        let field = Field { family, bytes: nlri, is_withdrawal: false };
        let rows = self.add_rows(message, field, Cause::Update, index);
        self.counters.announced += u64::from(rows);
        self.peer.up |= rows > 0;
    }

    /// Returns the attribute set of an UPDATE; decodes it unless the open batch contains it.
    fn attributes(&mut self, message: &MonitoredUpdate<'_>, update: &Update<'_>) -> InternedSet {
        let width = message.four_octet_as;
        let is_overridden = self.overrides.four_octet_as.is_some();
        let (counters, peer, outcome) = (&mut *self.counters, &mut *self.peer, &mut self.outcome);
        self.builder.attributes(update, width, || {
            let use_other_width = !is_overridden
                && !bgp::as_path_width_fits(update, width)
                && bgp::as_path_width_fits(update, !width);
            if use_other_width {
                counters.as_width_mismatches += 1;
                outcome.width_changed |= !std::mem::replace(&mut peer.width_reported, true);
            }
            let (mut attributes, verdict) = bgp::attributes(update, width != use_other_width);
            counters.attributes_discarded += num::to_u64(attributes.discarded.len());
            let treat_as_withdraw = if let bgp::AttributeOutcome::TreatAsWithdraw(reason) = verdict {
                attributes.discarded.push(reason);
                true
            } else {
                false
            };
            (attributes, treat_as_withdraw)
        })
    }

    /// Adds the rows of one field. Returns their number, which is 0 if the field is held or malformed.
    /// `cause` applies to withdrawals; that of an announcement depends on its route.
    fn add_rows(
        &mut self,
        message: &MonitoredUpdate<'_>,
        field: Field<'_>,
        cause: Cause,
        attributes: u16,
    ) -> u32 {
        let Some(encoding) = self.encoding(message, field) else { return 0 };
        let Some(state) = self.peer.view_mut(self.view) else { return 0 };
        let (view, mut slot) = (state.view, state.slot);
        let peer = self.builder.peer(&mut slot, || self.peer.dictionary_entry(view));
        if let Some(state) = self.peer.view_mut(self.view) {
            state.slot = slot;
        }
        let Field { family, bytes, is_withdrawal } = field;
        let group = RowGroup {
            peer,
            attributes,
            family,
            action: if is_withdrawal { Action::Withdraw } else { Action::Announce },
            cause,
            add_path: encoding.add_path,
            index: 0,
            rows: 0,
            received: message.received,
            router_time: message.router_time,
            marking: message.tlvs.markings.all.filter(|_| !is_withdrawal),
        };
        let rows = bgp::nlri(family, bytes, encoding, is_withdrawal);
        let dump = DumpCause {
            cause: if self.peer.has_earlier_routes { Cause::ReDump } else { Cause::InitialDump },
            was_dumping: message.only_family.map(|(_, was_dumping)| was_dumping),
        };
        let mut state = self.peer.view_mut(self.view).and_then(|view| view.family(family));
        let cause_of = |route: &NlriEntry| match &mut state {
            Some(state) if !is_withdrawal => state.cause(route, dump, message.received),
            _ => cause,
        };
        let rows = self.builder.rows(group, rows, cause_of).unwrap_or_else(|error| {
            let error = format!("NLRI of {family}: {error}");
            self.outcome.errors.push(PduError::new(error, Some(family.into())));
            0
        });
        let mark_routes = !is_withdrawal && message.tlvs.markings.is_indexed();
        if let Some(state) = state {
            let count = if is_withdrawal { &mut state.withdrawn } else { &mut state.announced };
            *count += u64::from(rows);
        }
        if mark_routes {
            self.mark_routes(message, field, rows);
        }
        rows
    }

    /// Returns the encoding in which to decode a field, or `None` if the field adds no rows of its own: its
    /// PDU is held, or has just been replayed.
    #[inline]
    fn encoding(&mut self, message: &MonitoredUpdate<'_>, field: Field<'_>) -> Option<Encoding> {
        let family = field.family;
        let (expectation, history) = self.expectation(message, family)?;
        match judge(field, &expectation, &history) {
            Verdict::Read(encoding) => Some(encoding),
            Verdict::Hold(reason) => self.hold(message, family, reason),
            Verdict::Replay { encoding, first_held } => self.replay(message, family, encoding, first_held),
        }
    }

    /// The expected encoding of the fields of a family, and the history of the family, which is empty if the
    /// family is not tracked.
    #[inline]
    fn expectation(
        &mut self,
        message: &MonitoredUpdate<'_>,
        family: Family,
    ) -> Option<(Expectation, History)> {
        let view = self.peer.view_mut(self.view)?;
        let rib_view = view.view;
        let history = view.family(family).map_or_else(History::default, |state| History {
            path_ids: state.path_ids,
            held: state.held.len(),
            first_held_is_current: state.held.first().is_some_and(|first| first.number == message.number),
        });
        let capabilities = &self.peer.capabilities;
        let expectation = Expectation {
            negotiated: capabilities.for_view(rib_view).encoding(family),
            from_opens: capabilities.from_opens,
            declares_path_ids: message.tlvs.path_ids.contains(family),
            allows_several_labels: !capabilities.from_opens || rib_view == RibView::LocRib,
            add_path_override: self.overrides.add_path_of(family),
        };
        Some((expectation, history))
    }

    /// Holds the message, or decides at once if it cannot be held.
    fn hold(
        &mut self,
        message: &MonitoredUpdate<'_>,
        family: Family,
        reason: HoldReason,
    ) -> Option<Encoding> {
        if self.try_hold(message, family) {
            let error = format!("NLRI of {family}: {reason}; recorded raw until another message decides");
            self.outcome.errors.push(PduError::new(error, None));
            return None;
        }
        if let HoldReason::Ambiguous { expected } = reason {
            return self.replay(message, family, expected, FirstHeld::Malformed);
        }
        let error =
            format!("NLRI of {family}: {reason}; recorded raw and not held: peer/family limit exceeded");
        self.outcome.errors.push(PduError::new(error, Some(family.into())));
        None
    }

    /// Holds the message. Returns `false` if the family is not tracked or the memory budget is exhausted.
    fn try_hold(&mut self, message: &MonitoredUpdate<'_>, family: Family) -> bool {
        let Some(view) = self.peer.view_mut(self.view) else { return false };
        let Some(state) = view.family(family) else { return false };
        // Another field of the same UPDATE may have caused it to be held.
        if state.held.last().is_some_and(|last| last.number == message.number) {
            return true;
        }
        let bytes = HeldPdu::memory_bytes(message.pdu, message.tlvs);
        let Some(reservation) = view.reserve(bytes) else { return false };
        let MonitoredUpdate { number, pdu, received, router_time, four_octet_as, tlvs, .. } = *message;
        if let Some(state) = view.family(family) {
            let times = (received, router_time);
            let context = (four_octet_as, tlvs);
            state.held.push(HeldPdu::new(number, pdu, times, context, state.dumping, reservation));
        }
        true
    }

    /// Records the held PDUs of a family. Returns `encoding`, or `None` if the current message was one of
    /// them, so that its field has been recorded.
    fn replay(
        &mut self,
        message: &MonitoredUpdate<'_>,
        family: Family,
        encoding: Encoding,
        first_held: FirstHeld,
    ) -> Option<Encoding> {
        if first_held == FirstHeld::Confirmed {
            self.change_path_ids(family, encoding.add_path);
        }
        let state = self.peer.view_mut(self.view).and_then(|view| view.family(family));
        let held = state.map(|state| std::mem::take(&mut state.held)).unwrap_or_default();
        let includes_current = held.last().is_some_and(|last| last.number == message.number);
        match first_held {
            FirstHeld::Malformed => self.replay_after_malformed(family, held),
            FirstHeld::Confirmed => held.iter().for_each(|pdu| self.replay_pdu(family, pdu)),
        }
        (!includes_current).then_some(encoding)
    }

    /// Records the held PDUs of a family, of which the first one is malformed.
    fn replay_after_malformed(&mut self, family: Family, held: Vec<HeldPdu>) {
        let mut held = held.into_iter();
        if let Some(first) = held.next() {
            let error = format!("NLRI of {family}: no later message confirms the encoding of a held PDU");
            let earlier_pdu = Some(first.pdu);
            self.outcome.errors.push(PduError { error, suspect: Some(family.into()), earlier_pdu });
        }
        held.for_each(|pdu| self.replay_pdu(family, &pdu));
    }

    /// From now on the routes of `family` are decoded with path IDs, or without.
    fn change_path_ids(&mut self, family: Family, path_ids: bool) {
        self.counters.add_path_mismatches += 1;
        let state = self.peer.view_mut(self.view).and_then(|view| view.family(family));
        let is_first = state.is_some_and(|state| state.path_ids.replace(path_ids).is_none());
        let first = is_first.then_some((family, path_ids));
        self.outcome.path_ids_changed = self.outcome.path_ids_changed.or(first);
    }

    /// Records one family of a held PDU as if it had been decoded when it was received.
    fn replay_pdu(&mut self, family: Family, held: &HeldPdu) {
        let Ok(update) = bgp::split(&held.pdu) else { return };
        // A replay records a held UPDATE within another one.
        let outer = std::mem::take(&mut self.outcome);
        self.record_fields(&MonitoredUpdate {
            update: &update,
            pdu: &held.pdu,
            number: held.number,
            received: held.received,
            router_time: held.router_time,
            four_octet_as: held.four_octet_as,
            tlvs: &held.tlvs,
            only_family: Some((family, held.was_dumping)),
        });
        let replayed = std::mem::replace(&mut self.outcome, outer);
        // The AS number width was reported when the PDU was received, and so were its attributes.
        let errors = replayed.errors.into_iter().filter(|error| error.suspect.is_some());
        self.outcome.errors.extend(errors.map(|error| {
            let pdu = error.earlier_pdu.unwrap_or_else(|| held.pdu.clone());
            PduError { earlier_pdu: Some(pdu), ..error }
        }));
    }
}
