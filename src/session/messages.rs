//! All BMP messages except Route Monitoring, and the sweep of stale routes.

use super::Session;
use super::peers::{self, PeerCapabilities, SweepTimes};
use super::summary::Level;
use crate::bgp::{self, Open};
use crate::bmp::{self, Message, PeerHeader, Stat, Tlv};
use crate::hex::Hex;
use crate::route::{EventKind, Family, PeerUp, RibView, SessionEnd, Statistic, Timestamp};

/// Types of information TLVs (RFC 7854 section 4.4, RFC 9069 section 5.2.1).
const TLV_STRING: u16 = 0;
const TLV_SYS_DESCR: u16 = 1;
const TLV_SYS_NAME: u16 = 2;
const TLV_TABLE_NAME: u16 = 3;
/// Types of Termination TLVs (RFC 7854 section 4.5).
const TERMINATION_REASON: u16 = 1;
/// Types of Route Mirroring TLVs (RFC 7854 section 4.7).
const MIRROR_PDU: u16 = 0;
const MIRROR_CODE: u16 = 1;

impl Session {
    /// Processes one decoded message. `bytes` is the whole message.
    pub(super) fn dispatch(&mut self, message: &Message<'_>, bytes: &[u8], now: Timestamp) {
        match message {
            Message::RouteMonitoring { peer, pdu, trailer, tlvs } => {
                self.route_monitoring(peer, pdu, trailer, tlvs, now);
            }
            Message::PeerUp { peer, .. } => self.peer_up(peer, message, now),
            Message::PeerDown { peer, reason, data } => self.peer_down(peer, *reason, data, now),
            Message::StatisticsReport { peer, stats } => self.statistics(peer, stats, now),
            Message::RouteMirroring { peer, tlvs } => self.mirror(peer, tlvs, now),
            Message::Initiation { tlvs } => self.initiation(tlvs, now),
            Message::Termination { tlvs } => self.termination(tlvs),
            Message::Unknown { kind, .. } => {
                self.counters.unknown_messages += 1;
                let text = format!("message of unknown type {kind} ignored");
                self.notice(Level::Debug, "bmp_unknown_message", None, text, bytes);
            }
        }
    }

    fn initiation(&mut self, tlvs: &[Tlv<'_>], now: Timestamp) {
        let text_of = |wanted| tlvs.iter().find(|tlv| tlv.kind == wanted).map(|tlv| text(tlv.value));
        self.sys_name = text_of(TLV_SYS_NAME).unwrap_or_default();
        self.sys_descr = text_of(TLV_SYS_DESCR).unwrap_or_default();
        self.introduce_as(self.sys_name.clone());
        let information = information(tlvs, &[TLV_SYS_DESCR, TLV_SYS_NAME]);
        let kind = EventKind::SessionUp {
            sys_name: self.sys_name.clone(),
            sys_descr: self.sys_descr.clone(),
            information,
        };
        self.builder.event(None, now, Timestamp(0), kind);
        let text = format!("{} {}", self.sys_name, self.sys_descr);
        self.notice(Level::Info, "bmp_session_up", None, text, &[]);
    }

    fn termination(&mut self, tlvs: &[Tlv<'_>]) {
        let reason = tlvs
            .iter()
            .find(|tlv| tlv.kind == TERMINATION_REASON)
            .and_then(|tlv| tlv.value.try_into().ok())
            .map(u16::from_be_bytes);
        self.terminated = Some(SessionEnd::Terminated(reason));
        let reason = reason.map_or_else(|| "no reason".to_owned(), |reason| format!("reason {reason}"));
        let mut text = vec![reason];
        text.extend(information(tlvs, &[TERMINATION_REASON]));
        self.notice(Level::Info, "bmp_termination", None, text.join("; "), &[]);
    }

    fn peer_up(&mut self, header: &PeerHeader, message: &Message<'_>, now: Timestamp) {
        let Message::PeerUp {
            local_address, local_port, remote_port, sent_open, received_open, tlvs, ..
        } = message
        else {
            return;
        };
        let index = self.peer_index(header, now);
        self.settle_held(index, now, now);
        let opens = (bgp::open(sent_open), bgp::open(received_open));
        for (open, bytes) in [(&opens.0, sent_open), (&opens.1, received_open)] {
            if let Err(error) = open {
                self.counters.errors += 1;
                let text = format!("Peer Up: malformed OPEN: {error}; assuming no capabilities");
                self.notice(Level::Error, "bgp_parse_error", Some(peers::key_of(header)), text, bytes);
            }
        }
        // Unless both OPENs can be decoded, the defaults of RFC 7854 apply.
        let opens = opens.0.ok().zip(opens.1.ok());
        let Some(peer) = self.peers.get(index) else { return };
        peer.has_earlier_routes |= peer.up;
        peer.next_generation(true);
        peer.up = true;
        peer.asn = header.asn;
        peer.bgp_id = header.bgp_id;
        peer.table_name =
            tlvs.iter().find(|tlv| tlv.kind == TLV_TABLE_NAME).map(|tlv| text(tlv.value)).unwrap_or_default();
        peer.capabilities = opens
            .as_ref()
            .map(|(sent, received)| PeerCapabilities::from_opens(sent, received))
            .unwrap_or_default();
        let negotiated = peer.capabilities.for_view(peers::view_of(header));
        let (four_octet_as, add_path) = (negotiated.four_octet_as, negotiated.add_path.iter().collect());
        let text = format!("AS {}, BGP ID {}, generation {}", peer.asn, peer.bgp_id, peer.generation);
        let kind = EventKind::PeerUp(Box::new(PeerUp {
            local_address: *local_address,
            local_port: *local_port,
            remote_port: *remote_port,
            sent_open: sent_open.to_vec(),
            received_open: received_open.to_vec(),
            hold_time_s: opens.as_ref().map_or(0, |(_, received)| received.hold_time_s),
            four_octet_as,
            add_path,
            sent_capabilities: opens.as_ref().map_or_else(Vec::new, |(sent, _)| capabilities(sent)),
            received_capabilities: opens
                .as_ref()
                .map_or_else(Vec::new, |(_, received)| capabilities(received)),
            families: opens.map(|(sent, received)| common_families(&sent, &received)).unwrap_or_default(),
            information: information(tlvs, &[TLV_TABLE_NAME]),
        }));
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
        if let Some(peer) = self.peers.get(index) {
            peer.reserve_details();
        }
        self.notice(Level::Info, "bmp_peer_up", Some(peers::key_of(header)), text, &[]);
    }

    fn peer_down(&mut self, header: &PeerHeader, reason: u8, data: &[u8], now: Timestamp) {
        let index = self.peer_index(header, now);
        self.settle_held(index, now, now);
        let kind = EventKind::PeerDown { reason, data: data.to_vec() };
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
        let mut unexpected = false;
        if let Some(peer) = self.peers.get(index) {
            unexpected = !peer.up;
            peer.next_generation(false);
            peer.up = false;
            peer.has_earlier_routes = false;
        }
        self.peers.note_peer_down();
        if unexpected {
            // FRR sends Peer Downs of peers that were never up, which RFC 7854 does not provide for. They are
            // harmless.
            self.counters.unexpected_peer_downs += 1;
        }
        self.notice(
            Level::Info,
            "bmp_peer_down",
            Some(peers::key_of(header)),
            match bmp::peer_down_reason(reason) {
                Some(name) => format!("reason {reason}: {name}"),
                None => format!("reason {reason}"),
            },
            data,
        );
    }

    fn statistics(&mut self, header: &PeerHeader, stats: &[Stat<'_>], now: Timestamp) {
        let index = self.peer_index(header, now);
        let statistic = |stat: &Stat<'_>| Statistic {
            kind: stat.kind,
            family: stat.family().map(|(afi, safi)| Family { afi, safi }),
            value: stat.number(),
            raw: stat.value.to_vec(),
        };
        let kind = EventKind::Statistics(stats.iter().map(statistic).collect());
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
    }

    fn mirror(&mut self, header: &PeerHeader, tlvs: &[Tlv<'_>], now: Timestamp) {
        let index = self.peer_index(header, now);
        let of_kind = |kind| tlvs.iter().filter(move |tlv| tlv.kind == kind);
        let codes = of_kind(MIRROR_CODE)
            .filter_map(|tlv| tlv.value.try_into().ok())
            .map(u16::from_be_bytes)
            .collect();
        let pdus = of_kind(MIRROR_PDU).map(|tlv| tlv.value.to_vec()).collect();
        let kind = EventKind::RouteMirroring { codes, pdus };
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

    /// Returns the index of the peer of a per-peer header, which is added if it is new, and counts the
    /// message.
    pub(super) fn peer_index(&mut self, header: &PeerHeader, now: Timestamp) -> usize {
        let key = peers::key_of(header);
        let index = match self.peers.find(&key) {
            Some(index) => index,
            None => {
                // Adding a peer removes the untracked one, whose later state is unknown.
                if let Some(untracked) = self.peers.untracked_live_peer() {
                    let kind = EventKind::PeerStale { end: SessionEnd::PeerLimitExceeded };
                    self.peer_event(untracked, now, Timestamp(0), kind);
                }
                self.peers.add(key, header, self.prior.contains(&key))
            }
        };
        let is_zero = header.asn == 0 && header.bgp_id.is_unspecified();
        let mut is_first = false;
        if let Some(peer) = self.peers.get(index) {
            peer.messages += 1;
            peer.last_message = now;
            is_first = is_zero && !peer.zeros_reported;
            peer.zeros_reported |= is_zero;
        }
        if is_zero {
            self.counters.zero_identities += 1;
        }
        if is_first {
            let text = "per-peer header contains neither AS number nor BGP identifier; \
                        the peer is identified by its address"
                .to_owned();
            self.notice(Level::Info, "zero_identity", Some(key), text, &[]);
        }
        index
    }

    /// Records an event of one RIB view of a peer.
    pub(super) fn view_event(
        &mut self,
        peer: usize,
        view: RibView,
        now: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        self.builder.close_if_dictionary_full();
        let Some(peer) = self.peers.get(peer) else { return };
        let view_index = peer.view(view);
        let mut slot = peer.view_mut(view_index).map(|view| view.slot).unwrap_or_default();
        let index = self.builder.peer(&mut slot, || peer.dictionary_entry(view));
        if let Some(state) = peer.view_mut(view_index) {
            state.slot = slot;
        }
        self.builder.event(Some(index), now, router_time, kind);
    }

    /// Records an event of a peer as a whole, under the RIB view that its peer type implies.
    pub(super) fn peer_event(
        &mut self,
        index: usize,
        now: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        let Some(peer) = self.peers.get(index) else { return };
        let view = match peer.key.peer_type {
            0..=2 => RibView::AdjInPre,
            3 => RibView::LocRib,
            _ => RibView::Unknown,
        };
        self.view_event(index, view, now, router_time, kind);
    }
}

fn capabilities(open: &Open) -> Vec<String> {
    open.capabilities.iter().map(ToString::to_string).collect()
}

/// Families that both OPENs contain.
fn common_families(sent: &Open, received: &Open) -> Vec<Family> {
    let received = received.families();
    sent.families().into_iter().filter(|family| received.contains(family)).collect()
}

/// The TLVs except those of the types `excluded`: free-form strings as text, others as `type:hex`.
fn information(tlvs: &[Tlv<'_>], excluded: &[u16]) -> Vec<String> {
    tlvs.iter()
        .filter(|tlv| !excluded.contains(&tlv.kind))
        .map(|tlv| match tlv.kind {
            TLV_STRING => text(tlv.value),
            kind => format!("{kind}:{}", Hex(tlv.value)),
        })
        .collect()
}

/// A string as text, with U+FFFD in place of invalid UTF-8 and of NUL, which PostgreSQL's `text` cannot
/// store.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace('\0', "\u{fffd}")
}
