//! Every message but Route Monitoring, and the sweep.

use super::Session;
use super::negotiated::Agreed;
use super::peers;
use super::summary::Level;
use crate::bgp::{self, Open};
use crate::bmp::{self, Message, PeerHeader, Stat, Tlv};
use crate::route::{EventKind, Family, PeerUp, RibView, SessionEnd, Statistic, Timestamp};

/// Information TLVs (RFC 7854 section 4.4, RFC 9069 section 5.2.1).
const TLV_STRING: u16 = 0;
const TLV_SYS_DESCR: u16 = 1;
const TLV_SYS_NAME: u16 = 2;
const TLV_TABLE_NAME: u16 = 3;
/// Termination TLVs (RFC 7854 section 4.5).
const TERMINATION_REASON: u16 = 1;
/// Route Mirroring TLVs (RFC 7854 section 4.7).
const MIRROR_PDU: u16 = 0;
const MIRROR_CODE: u16 = 1;

impl Session {
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
                let text = format!("message of unknown type {kind} skipped by its length");
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
        let text = information(tlvs, &[TERMINATION_REASON]).join("; ");
        self.notice(Level::Info, "bmp_termination", None, format!("reason {reason:?} {text}"), &[]);
    }

    fn peer_up(&mut self, header: &PeerHeader, message: &Message<'_>, now: Timestamp) {
        let Message::PeerUp {
            local_address, local_port, remote_port, sent_open, received_open, tlvs, ..
        } = message
        else {
            return;
        };
        let place = self.place_of(header, now);
        let opens = (bgp::open(sent_open), bgp::open(received_open));
        for (open, bytes) in [(&opens.0, sent_open), (&opens.1, received_open)] {
            if let Err(error) = open {
                self.counters.errors += 1;
                let text = format!("OPEN in a Peer Up: {error}; its capabilities count as absent");
                self.notice(Level::Error, "bgp_parse_error", Some(peers::key_of(header)), text, bytes);
            }
        }
        // A Peer Up whose OPENs cannot both be read agrees on nothing but the RFC 7854 defaults.
        let opens = opens.0.ok().zip(opens.1.ok());
        let Some(peer) = self.peers.get(place) else { return };
        peer.known_before |= peer.up;
        peer.next_generation(true);
        peer.up = true;
        peer.asn = header.asn;
        peer.bgp_id = header.bgp_id;
        peer.table_name =
            tlvs.iter().find(|tlv| tlv.kind == TLV_TABLE_NAME).map(|tlv| text(tlv.value)).unwrap_or_default();
        peer.agreed = opens.as_ref().map(|(sent, received)| Agreed::by(sent, received)).unwrap_or_default();
        let agreed = peer.agreed.of(peers::view_of(header));
        let (four_octet_as, add_path) = (agreed.four_octet_as, agreed.add_path.iter().collect());
        let text = format!("AS {} BGP ID {} generation {}", peer.asn, peer.bgp_id, peer.generation);
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
        self.view_event(place, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
        if let Some(peer) = self.peers.get(place) {
            peer.keep_told();
        }
        self.notice(Level::Info, "bmp_peer_up", Some(peers::key_of(header)), text, &[]);
    }

    fn peer_down(&mut self, header: &PeerHeader, reason: u8, data: &[u8], now: Timestamp) {
        let place = self.place_of(header, now);
        let kind = EventKind::PeerDown { reason, data: data.to_vec() };
        self.view_event(place, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
        let mut unexpected = false;
        if let Some(peer) = self.peers.get(place) {
            unexpected = !peer.up;
            peer.next_generation(false);
            peer.up = false;
            peer.known_before = false;
        }
        self.peers.note_ended();
        if unexpected {
            // FRR tells of peers that were never up (RFC 7854 knows no such message); nothing depends on it.
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
        let place = self.place_of(header, now);
        let statistic = |stat: &Stat<'_>| Statistic {
            kind: stat.kind,
            family: stat.family().map(|(afi, safi)| Family { afi, safi }),
            value: stat.number(),
            raw: stat.value.to_vec(),
        };
        let kind = EventKind::Statistics(stats.iter().map(statistic).collect());
        self.view_event(place, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
    }

    fn mirror(&mut self, header: &PeerHeader, tlvs: &[Tlv<'_>], now: Timestamp) {
        let place = self.place_of(header, now);
        let of_kind = |kind| tlvs.iter().filter(move |tlv| tlv.kind == kind);
        let codes = of_kind(MIRROR_CODE)
            .filter_map(|tlv| tlv.value.try_into().ok())
            .map(u16::from_be_bytes)
            .collect();
        let pdus = of_kind(MIRROR_PDU).map(|tlv| tlv.value.to_vec()).collect();
        let kind = EventKind::Mirror { codes, pdus };
        self.view_event(place, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
    }

    pub(super) fn end_of_rib(
        &mut self,
        place: usize,
        view: RibView,
        family: Family,
        router_time: Timestamp,
        now: Timestamp,
    ) {
        let Some(peer) = self.peers.get(place) else { return };
        let (view_place, generation) = (peer.view(view), peer.generation);
        if let Some(state) = peer.view_mut(view_place).and_then(|view| view.family(family)) {
            state.dumping = false;
            state.end_of_rib = Some(now);
            // A PDU of this very table that could not be read is still missing.
            state.suspect = state.suspect.filter(|since| *since >= generation);
        }
        self.view_event(place, view, now, router_time, EventKind::EndOfRib { family });
    }

    /// Ends what an earlier generation left behind, once per generation, view and family: only after End-of-RIB, and
    /// only after a quiet time, because End-of-RIB may come before the last routes of the table (FRR).
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let quiet_us = self.options.sweep_quiet_us;
        let mut due = Vec::new();
        for place in 0..self.peers.len() {
            let Some(peer) = self.peers.get(place) else { continue };
            let known_before = peer.known_before;
            for view in peer.views() {
                let name = view.view;
                for family in view.families() {
                    let last = family.last_route.max(family.end_of_rib.unwrap_or_default());
                    let quiet = now.0.saturating_sub(last.0) >= quiet_us;
                    // A router that sends no End-of-RIB has told its table when it falls silent.
                    family.dumping &= !quiet;
                    if quiet && known_before && family.end_of_rib.is_some() && !family.swept {
                        family.swept = true;
                        due.push((place, name, family.family));
                    }
                }
            }
        }
        for (place, view, family) in due {
            self.view_event(place, view, now, Timestamp(0), EventKind::Sweep { family });
        }
    }

    /// Place of the peer of a header, made when it is new.
    pub(super) fn place_of(&mut self, header: &PeerHeader, now: Timestamp) -> usize {
        let key = peers::key_of(header);
        let place = match self.peers.find(&key) {
            Some(place) => place,
            None => {
                // What becomes of one that is not followed any more is not known.
                if let Some(stranger) = self.peers.live_stranger() {
                    let kind = EventKind::PeerStale { end: SessionEnd::Crowded };
                    self.peer_event(stranger, now, Timestamp(0), kind);
                }
                self.peers.add(key, header, self.prior.contains(&key))
            }
        };
        let is_zero = header.asn == 0 && header.bgp_id.is_unspecified();
        let mut tell = false;
        if let Some(peer) = self.peers.get(place) {
            peer.messages += 1;
            peer.last_message = now;
            tell = is_zero && !peer.zeros_told;
            peer.zeros_told |= is_zero;
        }
        if is_zero {
            self.counters.zero_identities += 1;
        }
        if tell {
            let text =
                "neither AS nor BGP identifier in the per-peer header; the peer is known by its address"
                    .to_owned();
            self.notice(Level::Info, "zero_identity", Some(key), text, &[]);
        }
        place
    }

    /// An event about one view of a peer.
    pub(super) fn view_event(
        &mut self,
        place: usize,
        view: RibView,
        now: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        self.builder.make_room();
        let Some(peer) = self.peers.get(place) else { return };
        let view_place = peer.view(view);
        let mut slot = peer.view_mut(view_place).map(|view| view.slot).unwrap_or_default();
        let index = self.builder.peer(&mut slot, || peer.entry(view));
        if let Some(state) = peer.view_mut(view_place) {
            state.slot = slot;
        }
        self.builder.event(Some(index), now, router_time, kind);
    }

    /// An event about a peer as a whole: it names the view that its peer type implies.
    pub(super) fn peer_event(
        &mut self,
        place: usize,
        now: Timestamp,
        router_time: Timestamp,
        kind: EventKind,
    ) {
        let Some(peer) = self.peers.get(place) else { return };
        let view = match peer.key.peer_type {
            0..=2 => RibView::AdjInPre,
            3 => RibView::LocRib,
            _ => RibView::Unknown,
        };
        self.view_event(place, view, now, router_time, kind);
    }
}

fn capabilities(open: &Open) -> Vec<String> {
    open.capabilities.iter().map(ToString::to_string).collect()
}

/// Families that both OPENs name.
fn common_families(sent: &Open, received: &Open) -> Vec<Family> {
    let received = received.families();
    sent.families().into_iter().filter(|family| received.contains(family)).collect()
}

/// Free-form strings as text, TLVs of unknown type as `type:hex`; those in `named` are told elsewhere.
fn information(tlvs: &[Tlv<'_>], named: &[u16]) -> Vec<String> {
    tlvs.iter()
        .filter(|tlv| !named.contains(&tlv.kind))
        .map(|tlv| match tlv.kind {
            TLV_STRING => text(tlv.value),
            kind => {
                let hex: String = tlv.value.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{kind}:{hex}")
            }
        })
        .collect()
}

/// Text as the router sent it, NULs and what is no UTF-8 replaced: a database text cannot hold a NUL.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace('\0', "\u{fffd}")
}
