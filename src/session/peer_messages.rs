//! The peers of a session: Peer Up, Peer Down, and the peer that a message belongs to.

use super::Session;
use super::information::{TLV_TABLE_NAME, information, table_name as table_name_of, text};
use super::messages::PEER_DOWN;
use super::peers::{self, BgpSession, PeerCapabilities, PeerState};
use super::summary::{ErrorKind, Level};
use crate::bgp::{self, Open};
use crate::bmp::{self, PeerHeader, Tlv};
use crate::route::{
    EventKind, NAME_MAX_BYTES, OpenSummary, Opens, PeerDownRecord, PeerIdentity, PeerKey, PeerUp, RibView,
    SessionEnd, Timestamp, bounded_texts,
};

impl Session {
    /// Begins a generation of the peer, unless the Peer Up repeats an earlier one of the same BGP session.
    pub(super) fn peer_up(&mut self, message: &bmp::PeerUp<'_>, now: Timestamp) {
        let header = &message.peer;
        let index = self.peer_index(header, now);
        let key = peers::key_of(header);
        let sent = self.open(key, "sent", message.sent_open);
        let received = self.open(key, "received", message.received_open);
        self.note_trailer(index, header, "Peer Up", message.trailer);
        let bgp_session = BgpSession {
            opens: self.peers.hash([message.sent_open, message.received_open]),
            ports: (message.local_port, message.remote_port),
        };
        let Some(peer) = self.peers.get(index) else { return };
        let is_repeated = peer.up
            && peer.bgp_session.is_some_and(|last| {
                // The OPENs of a Loc-RIB are synthetic: one Peer Up for each of its families.
                key.peer_type == PeerKey::LOC_RIB || last.is_same(bgp_session)
            });
        if !is_repeated {
            self.settle_held(index, now, now);
            self.peers.demote(index);
        }
        let Some(peer) = self.peers.get(index) else { return };
        if !is_repeated {
            peer.has_earlier_routes |= peer.up;
            peer.next_generation(true);
            peer.up_since = Some(now);
        }
        peer.up = true;
        peer.bgp_session =
            Some(peer.bgp_session.map_or(bgp_session, |earlier| bgp_session.complete(earlier)));
        let both = sent.as_ref().zip(received.as_ref());
        update_details(peer, is_repeated, both, &message.tlvs);
        let view = peers::view_of(header);
        let negotiated = peer.capabilities.for_view(view);
        let up = Box::new(PeerUp {
            local_address: message.local_address,
            local_port: message.local_port,
            remote_port: message.remote_port,
            sent_open: message.sent_open.to_vec(),
            received_open: message.received_open.to_vec(),
            hold_time_s: received.as_ref().map_or(0, |received| received.hold_time_s),
            four_octet_as: negotiated.four_octet_as,
            add_path: negotiated.add_path.iter().collect(),
            sent_capabilities: sent.as_ref().map_or_else(Vec::new, capabilities),
            received_capabilities: received.as_ref().map_or_else(Vec::new, capabilities),
            families: peer.capabilities.families.iter().collect(),
            information: peer_up_information(message),
        });
        let PeerIdentity { asn, bgp_id, .. } = peer.identity;
        let repeated = if is_repeated { ", repeated" } else { "" };
        let text = format!("AS {asn}, BGP ID {bgp_id}, generation {}{repeated}", peer.generation);
        let kind = if is_repeated { EventKind::PeerUpRepeated(up) } else { EventKind::PeerUp(up) };
        self.view_event(index, view, now, Timestamp(header.timestamp_us), kind);
        if let Some(peer) = self.peers.get(index) {
            peer.reserve_details();
            if !is_repeated {
                peer.keep_opens(Opens {
                    sent: sent.as_ref().map(summary),
                    received: received.as_ref().map(summary),
                });
            }
        }
        self.notice(Level::Info, "bmp_peer_up", Some(key), text, &[]);
        self.complete_notice(asn, None);
    }

    /// Decodes one OPEN of a Peer Up; reports it if that fails.
    fn open(&mut self, key: PeerKey, which: &str, bytes: &[u8]) -> Option<Open> {
        match bgp::open(bytes) {
            Ok(open) => {
                if let Some(damage) = open.damage {
                    self.counters.count_error(ErrorKind::Open);
                    let text =
                        format!("Peer Up: damaged {which} OPEN: {damage}; capabilities before it apply");
                    self.notice(Level::Error, "bgp_parse_error", Some(key), text, bytes);
                }
                Some(open)
            }
            Err(error) => {
                self.counters.count_error(ErrorKind::Open);
                let text = format!("Peer Up: malformed {which} OPEN: {error}; assuming no capabilities");
                self.notice(Level::Error, "bgp_parse_error", Some(key), text, bytes);
                None
            }
        }
    }

    /// Ends all routes of the peer, and its generation.
    pub(super) fn peer_down(
        &mut self,
        header: &PeerHeader,
        (reason, data): (u8, &[u8]),
        tlvs: (&[Tlv<'_>], &[u8]),
        now: Timestamp,
    ) {
        let index = self.peer_index(header, now);
        self.settle_held(index, now, now);
        self.peers.demote(index);
        let kind = EventKind::PeerDown { reason, data: data.to_vec() };
        self.view_event(index, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
        self.message_tlvs(header, PEER_DOWN, tlvs, now);
        let (mut unexpected, mut asn) = (false, header.asn);
        if let Some(peer) = self.peers.get(index) {
            asn = peer.identity.asn;
            unexpected = !peer.up;
            if peer.up {
                peer.downs += 1;
                peer.keep_down(PeerDownRecord {
                    time: now,
                    up_since: peer.up_since,
                    reason_code: reason,
                    reason: bmp::down_reason_text(reason, data),
                });
            }
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
        let text = match bmp::peer_down_reason(reason) {
            Some(name) => format!("reason {reason}: {name}"),
            None => format!("reason {reason}"),
        };
        self.notice(Level::Info, "bmp_peer_down", Some(peers::key_of(header)), text, data);
        self.complete_notice(asn, Some(reason));
    }

    /// Returns the index of the peer of a per-peer header, which is added if it is new, and counts the
    /// message.
    pub(super) fn peer_index(&mut self, header: &PeerHeader, now: Timestamp) -> usize {
        let identity = peers::identity_of(header);
        let index = match self.peers.last(&identity) {
            Some(index) => index,
            None => self.other_peer(&identity, now),
        };
        let is_zero = header.asn == 0 && header.bgp_id.is_unspecified();
        let mut is_first = false;
        if let Some(peer) = self.peers.get(index) {
            peer.update_filter(header.is_filtered_loc_rib());
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
            self.notice(Level::Info, "zero_identity", Some(identity.key), text, &[]);
        }
        index
    }

    /// Returns the index of a peer that is not that of the message before, which is added if it is new.
    #[inline(never)]
    fn other_peer(&mut self, identity: &PeerIdentity, now: Timestamp) -> usize {
        let index = self.peers.find(identity).unwrap_or_else(|| {
            // Adding a peer removes the untracked one, whose later state is unknown.
            if let Some(untracked) = self.peers.untracked_live_peer() {
                let kind = EventKind::PeerStale { end: SessionEnd::PeerLimitExceeded };
                self.peer_event(untracked, now, Timestamp(0), kind);
            }
            self.count_new_peer(now);
            let has_earlier_routes = self.prior.iter().any(|prior| prior.matches(identity));
            self.peers.add(*identity, has_earlier_routes)
        });
        if let Some(peer) = self.peers.get(index) {
            peer.update_identity(identity);
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
        // All other events have an order with the routes of the peer.
        if !matches!(kind, EventKind::Statistics(_)) {
            self.peers.end_bulk(peer);
        }
        let Some(peer) = self.peers.get(peer) else { return };
        let view_index = peer.view(view);
        let slot = peer.view_mut(view_index).map(|view| view.slot).unwrap_or_default();
        let entry = |peer: &PeerState| peer.dictionary_entry(view);
        let slot = self.batches.peer_event(peer, slot, entry, (now, router_time, kind));
        if let Some(state) = peer.view_mut(view_index) {
            state.slot = slot;
        }
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
        let view = match peer.identity.key.peer_type {
            0..=2 => RibView::AdjInPre,
            3 => RibView::LocRib,
            _ => RibView::Unknown,
        };
        self.view_event(index, view, now, router_time, kind);
    }
}

/// Stores the contents of a Peer Up that concern later messages: capabilities if both OPENs were decoded, and
/// the table name. A repeated Peer Up adds to the ones before.
fn update_details(peer: &mut PeerState, is_repeated: bool, opens: Option<(&Open, &Open)>, tlvs: &[Tlv<'_>]) {
    // Unless both OPENs can be decoded, the defaults of RFC 7854 apply.
    let capabilities = opens.map(|(sent, received)| PeerCapabilities::from_opens(sent, received));
    let table_name = tlvs.iter().find(|tlv| tlv.kind == TLV_TABLE_NAME).map(|tlv| table_name_of(tlv.value));
    if is_repeated {
        peer.capabilities.extend(capabilities.unwrap_or_default());
        if let Some(name) = table_name.filter(|name| *name != peer.table_name) {
            peer.table_name = name;
            peer.renew_dictionary_entries();
        }
    } else {
        peer.capabilities = capabilities.unwrap_or_default();
        peer.table_name = table_name.unwrap_or_default();
    }
}

/// Information of a Peer Up without a member of its own: TLVs, and bytes after the last one.
fn peer_up_information(message: &bmp::PeerUp<'_>) -> Vec<String> {
    let is_table_name = |tlv: &&Tlv<'_>| tlv.kind == TLV_TABLE_NAME;
    let mut all = information(&message.tlvs, &[TLV_TABLE_NAME], message.trailer);
    // The first name is that of the table; RFC 9069 section 5.2.1 provides for one.
    let mut names = message.tlvs.iter().filter(is_table_name).map(|tlv| text(tlv.value));
    let first = names.next().filter(|name| name.len() > NAME_MAX_BYTES);
    all.extend(first.map(|name| format!("whole VRF/table name: {name}")));
    all.extend(names.map(|name| format!("another VRF/table name: {name}")));
    all
}

/// An OPEN as operators look it up.
fn summary(open: &Open) -> OpenSummary {
    OpenSummary {
        asn: open.asn,
        bgp_id: open.bgp_id,
        hold_time_s: open.hold_time_s,
        capabilities: bounded_texts(&capabilities(open)),
        is_damaged: open.damage.is_some(),
    }
}

fn capabilities(open: &Open) -> Vec<String> {
    open.capabilities.iter().map(ToString::to_string).collect()
}
