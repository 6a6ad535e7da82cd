//! Route Monitoring messages: from the BMP message to the recorded UPDATE, and the notices about it.

use super::Session;
use super::information::table_name;
use super::peers::{self, HeldPdu};
use super::route_tlvs::{NO_TLVS, RouteTlvs, SequenceStep, UpdateTlvs};
use super::summary::{ErrorKind, Level};
use super::update_recorder::{MonitoredUpdate, PduError, UpdateRecorder};
use crate::bgp::{self, Update};
use crate::bmp::{IndexedTlv, PeerHeader};
use crate::route::{Class, EventKind, Family, RibView, SuspectScope, Timestamp};

impl Session {
    /// Processes one Route Monitoring message (RFC 7854 section 4.6). `tlvs` are those of BMP version 4, with
    /// the type of the TLV that contains the UPDATE.
    pub(super) fn route_monitoring(
        &mut self,
        header: &PeerHeader,
        pdu: &[u8],
        trailer: &[u8],
        tlvs: (&[IndexedTlv<'_>], u16),
        now: Timestamp,
    ) {
        let peer = self.peer_index(header, now);
        self.note_trailer(peer, header, "the BGP message", trailer);
        let read;
        // Version 3 messages have no TLVs, and this runs for every message.
        let tlvs = if tlvs.0.is_empty() {
            &NO_TLVS
        } else {
            read = self.route_tlvs(peer, header, tlvs, now);
            &read
        };
        match bgp::split(pdu) {
            Ok(update) => self.update(peer, header, (&update, pdu), tlvs, now),
            Err(error) => {
                // OPEN, NOTIFICATION, KEEPALIVE and ROUTE-REFRESH contain no routes.
                let is_other_message = matches!(error, bgp::Error::NotUpdate { kind: 1 | 3..=5 });
                let suspect = (!is_other_message).then_some(SuspectScope::AllFamilies);
                let error = error.to_string();
                let from = (peers::view_of(header), Timestamp(header.timestamp_us));
                self.malformed(peer, from, error, suspect.as_slice(), pdu, now);
            }
        }
    }

    /// Processes the TLVs of a message of BMP version 4, and returns those that concern its routes.
    #[inline(never)]
    fn route_tlvs(
        &mut self,
        peer: usize,
        header: &PeerHeader,
        (tlvs, update_tlv): (&[IndexedTlv<'_>], u16),
        now: Timestamp,
    ) -> UpdateTlvs {
        let view = peers::view_of(header);
        let tlvs = RouteTlvs::read(tlvs, update_tlv, view, &mut self.counters.route_tlvs);
        for pdu in tlvs.further_pdus {
            let error = "another BGP message in a Route Monitoring message, which contains one".to_owned();
            let from = (view, Timestamp(header.timestamp_us));
            self.malformed(peer, from, error, &[SuspectScope::AllFamilies], pdu, now);
        }
        if let Some((kind, value)) = tlvs.uninterpreted.filter(|_| !self.foreign_tlv_reported) {
            self.foreign_tlv_reported = true;
            let text = format!("Route Monitoring TLV of type {kind:#06x} counted and not interpreted");
            self.notice(Level::Info, "route_tlv_not_interpreted", None, text, value);
        }
        if let Some((number, bits)) = tlvs.sequence {
            self.sequence_number(number, bits, now);
        }
        let name = tlvs.table_name.map(table_name);
        if let Some(peer) = self.peers.get(peer)
            && let Some(name) = name.filter(|name| *name != peer.table_name)
        {
            peer.table_name = name;
            peer.reserve_details();
            peer.renew_dictionary_entries();
        }
        tlvs.update
    }

    /// Records the gap if the number of a message shows that the router has skipped messages.
    fn sequence_number(&mut self, number: u64, bits: u32, now: Timestamp) {
        let from = std::mem::replace(&mut self.last_numbered, now);
        match self.sequence.note_number(number, bits) {
            SequenceStep::Next => {}
            SequenceStep::NotHigher => self.counters.sequence_repeats += 1,
            SequenceStep::Skipped(skipped) => {
                self.counters.sequence_gaps += 1;
                self.counters.skipped_messages = self.counters.skipped_messages.saturating_add(skipped);
                let reason = format!("router skipped {skipped} messages");
                self.notice(Level::Error, "bmp_sequence_gap", None, reason.clone(), &[]);
                self.mark_all_suspect(&reason, now);
                let kind = EventKind::Gap { reason, from, until: now };
                self.batches.session_event(now, Timestamp(0), kind);
            }
        }
    }

    /// Marks all tables of the session as suspect, and records that for each RIB view. Views that have been
    /// suspect in their generation are not recorded again, so that repeated gaps add no records.
    fn mark_all_suspect(&mut self, reason: &str, now: Timestamp) {
        let mut marked = Vec::new();
        for index in 0..self.peers.len() {
            let Some(peer) = self.peers.get(index) else { continue };
            let generation = peer.generation;
            for view in peer.views().filter(|view| !view.is_all_suspect()) {
                view.mark_suspect(SuspectScope::AllFamilies, generation);
                marked.push((index, view.view));
            }
        }
        for (index, view) in marked {
            let kind = EventKind::Suspect { reason: reason.to_owned(), scope: SuspectScope::AllFamilies };
            self.view_event(index, view, now, Timestamp(0), kind);
        }
    }

    /// Counts bytes after `what` and reports them once per peer. They are ignored.
    #[inline]
    pub(super) fn note_trailer(&mut self, peer: usize, header: &PeerHeader, what: &str, trailer: &[u8]) {
        if trailer.is_empty() {
            return;
        }
        self.counters.trailers += 1;
        let is_reported =
            self.peers.get(peer).is_none_or(|peer| std::mem::replace(&mut peer.trailer_reported, true));
        if !is_reported {
            let text = format!("{} trailing bytes after {what} ignored", trailer.len());
            self.notice(Level::Warning, "trailing_bytes", Some(peers::key_of(header)), text, trailer);
        }
    }

    /// As [`Self::note_trailer`], for the peer of a message that has been processed.
    pub(super) fn note_trailer_of(&mut self, header: &PeerHeader, what: &str, trailer: &[u8]) {
        if let Some(peer) = self.peers.find(&peers::identity_of(header)) {
            self.note_trailer(peer, header, what, trailer);
        }
    }

    /// Counts and reports bytes after the last complete TLV of a message that concerns no peer.
    pub(super) fn note_session_trailer(&mut self, what: &str, trailer: &[u8]) {
        if !trailer.is_empty() {
            self.counters.trailers += 1;
            let text = format!("{} trailing bytes after the TLVs of {what} ignored", trailer.len());
            self.notice(Level::Warning, "trailing_bytes", None, text, trailer);
        }
    }

    fn update(
        &mut self,
        index: usize,
        header: &PeerHeader,
        (update, pdu): (&Update<'_>, &[u8]),
        tlvs: &UpdateTlvs,
        now: Timestamp,
    ) {
        let view = peers::view_of(header);
        let router_time = Timestamp(header.timestamp_us);
        if let Some(family) = update.end_of_rib() {
            self.end_of_rib(index, view, family, router_time, now);
            return;
        }
        self.note_dump(index, view, update);
        let Some(peer) = self.peers.get(index) else { return };
        let was_up = peer.up;
        let (view_index, number) = (peer.view(view), peer.messages);
        let routes_before = self.counters.routes();
        let four_octet_as = self.overrides.four_octet_as.unwrap_or(!header.is_two_octet_as());
        let builder = self.batches.for_peer(peer);
        let recorder = UpdateRecorder::new(peer, view_index, builder, &mut self.counters, &self.overrides);
        let mut outcome = recorder.record(&MonitoredUpdate {
            update,
            pdu,
            number,
            received: now,
            router_time,
            four_octet_as,
            tlvs,
            only_family: None,
        });
        let routes = self.counters.routes().saturating_sub(routes_before);
        self.peers.count_recent(index, routes, self.options.bulk_routes_min);
        if let Some(error) = update.malformed {
            // There may be routes after the damage.
            let error = format!("path attributes: {error}");
            outcome.errors.push(PduError::new(error, Some(SuspectScope::AllFamilies)));
        }
        if !was_up {
            self.note_implicit_peer(index);
        }
        if outcome.width_changed {
            let (announced, used) = if four_octet_as { (4, 2) } else { (2, 4) };
            let text = format!(
                "AS_PATH announced with {announced}-octet AS numbers fits only {used}-octet ones; \
                 parsing it with {used}-octet AS numbers"
            );
            let key = Some(peers::key_of(header));
            self.notice(Level::Warning, "as_path_width_mismatch", key, text, pdu);
        }
        if let Some((family, path_ids)) = outcome.path_ids_changed {
            let text = if path_ids {
                format!(
                    "{family} {view}: ADD-PATH not negotiated but path IDs present; parsing with ADD-PATH"
                )
            } else {
                format!("{family} {view}: ADD-PATH negotiated but path IDs absent; parsing without ADD-PATH")
            };
            let key = Some(peers::key_of(header));
            self.notice(Level::Warning, "add_path_mismatch", key, text, pdu);
        }
        if !outcome.errors.is_empty() {
            self.malformed_fields(index, (view, router_time), outcome.errors, pdu, now);
        }
    }

    /// Moves a live or bulk peer to class dump if the UPDATE is of an address family that the RIB view did
    /// not have: its first routes begin a dump.
    #[inline]
    fn note_dump(&mut self, index: usize, view: RibView, update: &Update<'_>) {
        let Some(peer) = self.peers.get(index).filter(|peer| peer.placement.class != Class::Dump) else {
            return;
        };
        let view_index = peer.view(view);
        let known = peer.view_mut(view_index).map(|view| view.families()).unwrap_or_default();
        let is_new = |family| known.iter().all(|state| state.family != family);
        let has_ipv4 = !(update.withdrawn.is_empty() && update.nlri.is_empty());
        if has_ipv4 && is_new(Family::IPV4_UNICAST)
            || update.mp_reach.is_some_and(|reach| is_new(reach.family))
            || update.mp_unreach.is_some_and(|unreach| is_new(unreach.family))
        {
            self.peers.demote(index);
        }
    }

    /// Reports a peer that has become up by its first announcement instead of a Peer Up.
    fn note_implicit_peer(&mut self, index: usize) {
        let Some(peer) = self.peers.get(index).filter(|peer| peer.up) else { return };
        let key = peer.identity.key;
        self.counters.implicit_peers += 1;
        let text = "route received before Peer Up; assuming the peer is up".to_owned();
        self.notice(Level::Warning, "implicit_peer", Some(key), text, &[]);
    }

    /// Records the held PDUs of a peer that were received at `until` or earlier.
    ///
    /// To be called with the current time before a generation ends: no later message can decide their
    /// encoding.
    pub(super) fn settle_held(&mut self, index: usize, until: Timestamp, now: Timestamp) {
        let Some(peer) = self.peers.get(index) else { return };
        let mut due = Vec::new();
        for (view_index, view) in (0..).zip(peer.views()) {
            let rib_view = view.view;
            let is_due = |held: &HeldPdu| held.received <= until;
            let families = view.families().iter().filter(|family| family.held.first().is_some_and(is_due));
            due.extend(families.map(|family| (view_index, rib_view, family.family)));
        }
        for (view_index, view, family) in due {
            let Some(peer) = self.peers.get(index) else { return };
            let (builder, counters) = (self.batches.for_peer(peer), &mut self.counters);
            let recorder = UpdateRecorder::new(peer, view_index, builder, counters, &self.overrides);
            let errors = recorder.settle(family).errors;
            self.malformed_fields(index, (view, Timestamp(0)), errors, &[], now);
        }
    }

    /// Records PDUs raw that could not be decoded, or only in part: those held before, and the fields of
    /// `pdu`. `from` is the RIB view and the router's time.
    fn malformed_fields(
        &mut self,
        index: usize,
        from: (RibView, Timestamp),
        errors: Vec<PduError>,
        pdu: &[u8],
        now: Timestamp,
    ) {
        let (earlier, fields): (Vec<_>, Vec<_>) =
            errors.into_iter().partition(|error| error.earlier_pdu.is_some());
        for PduError { error, suspect, earlier_pdu } in earlier {
            let pdu = earlier_pdu.unwrap_or_default();
            self.malformed(index, from, error, suspect.as_slice(), &pdu, now);
        }
        if fields.is_empty() {
            return;
        }
        let mut suspects: Vec<SuspectScope> = fields.iter().filter_map(|field| field.suspect).collect();
        if suspects.contains(&SuspectScope::AllFamilies) {
            suspects = vec![SuspectScope::AllFamilies];
        }
        suspects.dedup();
        let errors: Vec<String> = fields.into_iter().map(|field| field.error).collect();
        self.malformed(index, from, errors.join("; "), &suspects, pdu, now);
    }

    /// Records a PDU raw that could not be decoded, or only in part. The session goes on.
    fn malformed(
        &mut self,
        index: usize,
        (view, router_time): (RibView, Timestamp),
        error: String,
        suspects: &[SuspectScope],
        pdu: &[u8],
        now: Timestamp,
    ) {
        self.counters.count_error(ErrorKind::Update);
        let mut key = None;
        if let Some(peer) = self.peers.get(index) {
            peer.errors += 1;
            key = Some(peer.identity.key);
            let (view_index, generation) = (peer.view(view), peer.generation);
            if let Some(view) = peer.view_mut(view_index) {
                suspects.iter().for_each(|scope| view.mark_suspect(*scope, generation));
            }
        }
        self.notice(Level::Error, "bgp_parse_error", key, error.clone(), pdu);
        let pdu = pdu.to_vec();
        let kind = match suspects {
            [] | [_] => EventKind::Malformed { error, pdu, suspect: suspects.first().copied() },
            _ => EventKind::MalformedFields { error, pdu, suspects: suspects.to_vec() },
        };
        self.view_event(index, view, now, router_time, kind);
    }
}
