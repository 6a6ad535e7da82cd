//! Route Monitoring: one UPDATE to rows.

use super::Session;
use super::builder::Builder;
use super::peers::{self, PeerState};
use super::summary::{Counters, Level};
use crate::bgp::{self, MpReach, Update, Verdict};
use crate::bmp::PeerHeader;
use crate::route::{Action, Cause, EventKind, Family, Group, NO_ATTRIBUTES, PeerKey, Timestamp};

/// What all groups of one UPDATE share.
struct Context<'a> {
    peer: &'a mut PeerState,
    builder: &'a mut Builder,
    counters: &'a mut Counters,
    /// Place of the view among the peer's views.
    view: usize,
    received: Timestamp,
    router_time: Timestamp,
    /// How wide this message says AS numbers are.
    four_octet_as: bool,
    /// The PDU or a part of it could not be used: why.
    trouble: Option<String>,
    /// First news about the AS path width, if there is any.
    width_news: bool,
}

impl Session {
    /// One Route Monitoring message (RFC 7854 section 4.6).
    pub(super) fn route_monitoring(
        &mut self,
        header: &PeerHeader,
        pdu: &[u8],
        trailer: &[u8],
        now: Timestamp,
    ) {
        let place = self.place_of(header, now);
        self.counters.trailers += u64::from(!trailer.is_empty());
        match bgp::split(pdu) {
            Ok(update) => self.update(place, header, &update, pdu, now),
            Err(error) => self.malformed(place, header, error.to_string(), pdu, now),
        }
    }

    fn update(&mut self, place: usize, header: &PeerHeader, update: &Update<'_>, pdu: &[u8], now: Timestamp) {
        let view = peers::view_of(header);
        let router_time = Timestamp(header.timestamp_us);
        if let Some(family) = update.end_of_rib() {
            self.end_of_rib(place, view, family, router_time, now);
            return;
        }
        let Some(peer) = self.peers.get(place) else { return };
        let was_up = peer.up;
        let view_place = peer.view(view);
        let mut context = Context {
            peer,
            builder: &mut self.builder,
            counters: &mut self.counters,
            view: view_place,
            received: now,
            router_time,
            four_octet_as: !header.is_two_octet_as(),
            trouble: None,
            width_news: false,
        };
        context.rows_of(update);
        let (trouble, width_news) = (context.trouble, context.width_news);
        if !was_up {
            self.note_implicit(place);
        }
        if width_news {
            let key = peers::key_of(header);
            let text =
                "the AS path fits only the width that was not announced; that width is used".to_owned();
            self.notice(Level::Warning, "as_path_width_mismatch", Some(key), text, pdu);
        }
        if let Some(error) = trouble {
            self.malformed(place, header, error, pdu, now);
        }
    }

    /// A peer that sends routes while it is not known to be up counts as up from here on.
    fn note_implicit(&mut self, place: usize) {
        let Some(peer) = self.peers.get(place).filter(|peer| peer.up) else { return };
        let key: PeerKey = peer.key;
        self.counters.implicit_peers += 1;
        let text = "routes without a Peer Up before them; the peer counts as up".to_owned();
        self.notice(Level::Warning, "implicit_peer", Some(key), text, &[]);
    }

    /// A PDU that cannot be read is kept raw; the BMP session goes on.
    fn malformed(&mut self, place: usize, header: &PeerHeader, error: String, pdu: &[u8], now: Timestamp) {
        self.counters.errors += 1;
        if let Some(peer) = self.peers.get(place) {
            peer.errors += 1;
        }
        self.notice(Level::Error, "bgp_parse_error", Some(peers::key_of(header)), error.clone(), pdu);
        let kind = EventKind::Malformed { error, pdu: pdu.to_vec() };
        self.view_event(place, peers::view_of(header), now, Timestamp(header.timestamp_us), kind);
    }
}

impl Context<'_> {
    /// Withdrawals first: a prefix that one UPDATE withdraws and announces is announced (RFC 4271 section 3.1).
    fn rows_of(&mut self, update: &Update<'_>) {
        if !update.withdrawn.is_empty() {
            self.withdraw(Family::IPV4_UNICAST, update.withdrawn, Cause::Update);
        }
        if let Some(unreach) = &update.mp_unreach {
            self.withdraw(unreach.family, unreach.nlri, Cause::Update);
        }
        if !update.nlri.is_empty() {
            // The classic field goes with NEXT_HOP, MP_REACH_NLRI with its own next hop: two attribute sets.
            let classic = update.without_mp_reach();
            self.announce(Family::IPV4_UNICAST, update.nlri, &classic);
        }
        if let Some(MpReach { family, nlri, .. }) = update.mp_reach {
            self.announce(family, nlri, update);
        }
    }

    fn withdraw(&mut self, family: Family, nlri: &[u8], cause: Cause) {
        let rows = self.group(family, nlri, Action::Withdraw, cause, NO_ATTRIBUTES);
        self.counters.withdrawn += u64::from(rows);
        if let Some(state) = self.peer.view_mut(self.view).and_then(|view| view.family(family)) {
            state.withdrawn += u64::from(rows);
            state.last_route = self.received;
        }
    }

    fn announce(&mut self, family: Family, nlri: &[u8], update: &Update<'_>) {
        let width = self.four_octet_as;
        let (counters, peer) = (&mut *self.counters, &mut *self.peer);
        let mut width_news = false;
        let attributes = self.builder.attributes(update, width, || {
            let other_width =
                !bgp::as_path_width_fits(update, width) && bgp::as_path_width_fits(update, !width);
            if other_width {
                counters.as_width_mismatches += 1;
                width_news = !std::mem::replace(&mut peer.width_told, true);
            }
            let (attributes, verdict) = bgp::attributes(update, width != other_width);
            counters.attributes_discarded += u64::try_from(attributes.discarded.len()).unwrap_or(0);
            match verdict {
                Verdict::TreatAsWithdraw(reason) => Err(reason),
                Verdict::Good | Verdict::Discarded => Ok(attributes),
            }
        });
        self.width_news |= width_news;
        match attributes {
            Ok(index) => {
                let cause = self.cause(family);
                let rows = self.group(family, nlri, Action::Announce, cause, index);
                self.counters.announced += u64::from(rows);
                self.peer.up |= rows > 0;
                if let Some(state) = self.peer.view_mut(self.view).and_then(|view| view.family(family)) {
                    state.announced += u64::from(rows);
                    state.last_route = self.received;
                }
            }
            Err(reason) => {
                self.counters.treated_as_withdraw += 1;
                self.trouble = Some(format!("treated as withdrawal: {reason}"));
                self.withdraw(family, nlri, Cause::TreatAsWithdraw);
            }
        }
    }

    /// Whether an announcement is news, or part of a table that is told for the first time or again.
    fn cause(&mut self, family: Family) -> Cause {
        let known_before = self.peer.known_before;
        match self.peer.view_mut(self.view).and_then(|view| view.family(family)) {
            Some(state) if state.dumping && known_before => Cause::ReDump,
            Some(state) if state.dumping => Cause::InitialDump,
            _ => Cause::Update,
        }
    }

    fn group(&mut self, family: Family, nlri: &[u8], action: Action, cause: Cause, attributes: u16) -> u32 {
        let Some(view) = self.peer.view_mut(self.view).map(|view| view.view) else { return 0 };
        let add_path = self.peer.agreed.of(view).add_path.contains(family);
        let Some(state) = self.peer.view_mut(self.view) else { return 0 };
        let mut slot = state.slot;
        let index = self.builder.peer(&mut slot, || self.peer.entry(view));
        if let Some(state) = self.peer.view_mut(self.view) {
            state.slot = slot;
        }
        let group = Group {
            peer: index,
            attributes,
            family,
            action,
            cause,
            add_path,
            index: 0,
            rows: 0,
            received: self.received,
            router_time: self.router_time,
        };
        let rows = bgp::nlri(family, nlri, add_path, action == Action::Withdraw);
        self.builder.rows(group, rows).unwrap_or_else(|error| {
            self.trouble = Some(format!("NLRI of {family}: {error}"));
            0
        })
    }
}
