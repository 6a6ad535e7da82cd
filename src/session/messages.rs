//! All BMP messages except Route Monitoring, and the sweep of stale routes.

use super::Session;
use super::information::{TLV_SYS_DESCR, TLV_SYS_NAME, information, numbered, peer_information, text};
use super::peers::{self, SweepTimes};
use super::summary::{ErrorKind, Level};
use crate::bmp::{Message, PeerHeader, Stat, Tlv};
use crate::num;
use crate::route::{
    EventKind, Family, NAME_MAX_BYTES, RibView, SessionEnd, Statistic, TEXT_MAX_BYTES, Timestamp,
    bounded_name,
};

/// Message types (RFC 7854 section 4.1).
const STATISTICS_REPORT: u8 = 1;
pub(super) const PEER_DOWN: u8 = 2;
const ROUTE_MIRRORING: u8 = 6;
/// Types of Termination TLVs (RFC 7854 section 4.5).
const TERMINATION_REASON: u16 = 1;
/// Types of Route Mirroring TLVs (RFC 7854 section 4.7).
const MIRROR_PDU: u16 = 0;
const MIRROR_CODE: u16 = 1;

impl Session {
    /// Processes one decoded message. `bytes` is the whole message.
    pub(super) fn dispatch(&mut self, message: &Message<'_>, bytes: &[u8], now: Timestamp) {
        match message {
            Message::RouteMonitoring { peer, pdu, trailer, tlvs, update_tlv } => {
                self.route_monitoring(peer, pdu, trailer, (tlvs, *update_tlv), now);
            }
            Message::PeerUp(up) => self.peer_up(up, now),
            Message::PeerDown { peer, reason, data, tlvs, trailer } => {
                self.peer_down(peer, (*reason, data), (tlvs, trailer), now);
                self.note_trailer_of(peer, "Peer Down", trailer);
            }
            Message::StatisticsReport { peer, stats, count, tlvs, trailer } => {
                self.statistics(peer, stats, *count, now);
                self.message_tlvs(peer, STATISTICS_REPORT, (tlvs, trailer), now);
                self.note_trailer_of(peer, "Statistics Report", trailer);
            }
            Message::RouteMirroring { peer, tlvs, trailer } => {
                self.mirror(peer, (tlvs, trailer), now);
                self.note_trailer_of(peer, "Route Mirroring", trailer);
            }
            Message::Initiation { tlvs, trailer } => self.initiation(tlvs, trailer, now),
            Message::Termination { tlvs, trailer } => self.termination(tlvs, trailer),
            Message::Unknown { kind, body } => self.unknown_message(*kind, body, bytes, now),
        }
    }

    fn initiation(&mut self, tlvs: &[Tlv<'_>], trailer: &[u8], now: Timestamp) {
        if !self.may_record_initiation(now) {
            return;
        }
        self.note_session_trailer("Initiation", trailer);
        let text_of = |wanted| tlvs.iter().find(|tlv| tlv.kind == wanted).map(|tlv| text(tlv.value));
        let (sys_name, sys_descr) = (text_of(TLV_SYS_NAME), text_of(TLV_SYS_DESCR));
        self.set_sys_name(bounded_name(sys_name.clone().unwrap_or_default(), NAME_MAX_BYTES));
        if let Some(sys_descr) = sys_descr.clone() {
            self.sys_descr = bounded_name(sys_descr, TEXT_MAX_BYTES);
        }
        let information = information(tlvs, &[TLV_SYS_DESCR, TLV_SYS_NAME], trailer);
        // The event has the whole texts.
        let kind = EventKind::SessionUp {
            sys_name: sys_name.unwrap_or_else(|| self.sys_name.clone()),
            sys_descr: sys_descr.unwrap_or_else(|| self.sys_descr.clone()),
            information,
        };
        self.batches.session_event(now, Timestamp(0), kind);
        let text = format!("{} {}", self.sys_name, self.sys_descr);
        self.notice(Level::Info, "bmp_session_up", None, text, &[]);
    }

    /// Names the router by its sysName. A later Initiation, which may have another sysName or none, does not
    /// divide the peers of the session among two names.
    fn set_sys_name(&mut self, sys_name: String) {
        let is_renamed = !sys_name.is_empty() && self.peers.len() == 0;
        if self.sys_name.is_empty() || is_renamed {
            self.sys_name = sys_name.clone();
            return self.introduce_as(sys_name);
        }
        if !sys_name.is_empty() && sys_name != self.sys_name {
            let text = format!(
                "sysName changed from {} to {sys_name}; the router's name changes with its next session",
                self.sys_name
            );
            self.notice(Level::Warning, "sys_name_changed", None, text, &[]);
            self.sys_name = sys_name;
        }
    }

    fn termination(&mut self, tlvs: &[Tlv<'_>], trailer: &[u8]) {
        self.note_session_trailer("Termination", trailer);
        let reason = tlvs
            .iter()
            .find(|tlv| tlv.kind == TERMINATION_REASON)
            .and_then(|tlv| tlv.value.try_into().ok())
            .map(u16::from_be_bytes);
        self.terminated = Some(SessionEnd::Terminated(reason));
        let reason = reason.map_or_else(|| "no reason".to_owned(), |reason| format!("reason {reason}"));
        let mut text = vec![reason];
        text.extend(information(tlvs, &[TERMINATION_REASON], trailer));
        self.notice(Level::Info, "bmp_termination", None, text.join("; "), &[]);
    }

    /// Records all complete statistics, even if the message states another number of them.
    fn statistics(&mut self, header: &PeerHeader, stats: &[Stat<'_>], count: u32, now: Timestamp) {
        let index = self.peer_index(header, now);
        if num::to_u64(stats.len()) != u64::from(count) {
            self.counters.count_error(ErrorKind::Statistics);
            let text = format!("Statistics Report states {count} statistics but has {}", stats.len());
            self.notice(Level::Warning, "bmp_parse_error", Some(peers::key_of(header)), text, &[]);
        }
        let statistic = |stat: &Stat<'_>| Statistic {
            kind: stat.kind,
            family: stat.family().map(|(afi, safi)| Family { afi, safi }),
            value: stat.number(),
            raw: stat.value.to_vec(),
        };
        let kind = EventKind::Statistics(stats.iter().map(statistic).collect());
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
    }

    fn mirror(&mut self, header: &PeerHeader, (tlvs, trailer): (&[Tlv<'_>], &[u8]), now: Timestamp) {
        let index = self.peer_index(header, now);
        let (mut codes, mut pdus, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for tlv in tlvs {
            match (tlv.kind, tlv.value) {
                (MIRROR_PDU, pdu) => pdus.push(pdu.to_vec()),
                (MIRROR_CODE, &[high, low]) => codes.push(u16::from_be_bytes([high, low])),
                _ => others.push(*tlv),
            }
        }
        let kind = EventKind::RouteMirroring { codes, pdus };
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
        self.message_tlvs(header, ROUTE_MIRRORING, (&others, trailer), now);
    }

    /// Records and counts the TLVs of a message that its own event does not contain, and the bytes after the
    /// last one.
    pub(super) fn message_tlvs(
        &mut self,
        header: &PeerHeader,
        message_type: u8,
        (tlvs, trailer): (&[Tlv<'_>], &[u8]),
        now: Timestamp,
    ) {
        if tlvs.is_empty() && trailer.is_empty() {
            return;
        }
        self.counters.message_tlvs += num::to_u64(tlvs.len());
        let information = match message_type {
            PEER_DOWN => peer_information(tlvs, trailer),
            _ => numbered(tlvs, trailer),
        };
        let Some(index) = self.peers.find(&peers::identity_of(header)) else { return };
        let kind = EventKind::MessageTlvs { message_type, information };
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
    }

    /// Records End-of-RIB of a family: the dump is complete, and the family is no longer suspect.
    pub(super) fn end_of_rib(
        &mut self,
        index: usize,
        view: RibView,
        family: Family,
        router_time: Timestamp,
        now: Timestamp,
    ) {
        let Some(peer) = self.peers.get(index) else { return };
        let (view_index, generation) = (peer.view(view), peer.generation);
        let has_earlier_routes = peer.has_earlier_routes;
        if let Some(state) = peer.view_mut(view_index).and_then(|view| view.family(family)) {
            state.dumping = false;
            state.end_of_rib = Some(now);
            if !has_earlier_routes {
                state.forget_announced();
            }
            // If a PDU of this dump could not be decoded, its routes are missing from the table.
            state.suspect_since = state.suspect_since.filter(|since| *since >= generation);
        }
        self.view_event(index, view, now, router_time, EventKind::EndOfRib { family });
    }

    /// Ends the dumps that are over, and records a sweep of each family whose routes of earlier generations
    /// are no longer valid, once per generation.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let limits = SweepTimes {
            quiet_us: self.options.sweep_quiet_us,
            without_end_of_rib_us: self.options.sweep_without_end_of_rib_us,
        };
        let mut due = Vec::new();
        for index in 0..self.peers.len() {
            let Some(peer) = self.peers.get(index) else { continue };
            let has_earlier_routes = peer.has_earlier_routes;
            for view in peer.views() {
                let rib_view = view.view;
                for family in view.families_mut() {
                    if family.advance(has_earlier_routes, limits, now) {
                        due.push((index, rib_view, family.family));
                    }
                }
            }
        }
        for (index, view, family) in due {
            self.view_event(index, view, now, Timestamp(0), EventKind::Sweep { family });
        }
    }
}
