//! Route Monitoring: one UPDATE to rows.

use super::Session;
use super::builder::{Builder, Set};
use super::peers::{self, PeerState};
use super::summary::{Counters, Level};
use super::{ANY_FAMILY, Overrides};
use crate::bgp::{self, FamilySet, MpReach, Update, Verdict};
use crate::bmp::{IndexedTlv, PeerHeader};
use crate::route::{Action, Cause, EventKind, Family, Group, NO_ATTRIBUTES, PeerKey, Timestamp};

/// A PDU, or a part of one, that could not be used.
pub(super) struct Trouble {
    pub(super) error: String,
    /// The family whose table may now be wrong; `None` when all routes could be read.
    pub(super) suspect: Option<Family>,
    /// The PDU, where it is that of an earlier message.
    pub(super) pdu: Option<Box<[u8]>>,
}

impl Trouble {
    pub(super) const fn new(error: String, suspect: Option<Family>) -> Self {
        Self { error, suspect, pdu: None }
    }
}

/// What all groups of one UPDATE share.
pub(super) struct Context<'a> {
    pub(super) peer: &'a mut PeerState,
    pub(super) builder: &'a mut Builder,
    pub(super) counters: &'a mut Counters,
    pub(super) overrides: &'a Overrides,
    /// Place of the view among the peer's views.
    pub(super) view: usize,
    pub(super) received: Timestamp,
    pub(super) router_time: Timestamp,
    pub(super) pdu: &'a [u8],
    /// Number of the message among those of its peer.
    pub(super) peer_message: u64,
    /// How wide this message says AS numbers are.
    pub(super) four_octet_as: bool,
    /// Families that this message itself says carry path identifiers (BMP version 4, stateless parsing).
    pub(super) stateless: FamilySet,
    /// The one family whose rows are wanted, where the message is read again.
    pub(super) only: Option<Family>,
    pub(super) trouble: Option<Trouble>,
    /// First news about the AS path width, if there is any.
    pub(super) width_news: bool,
    /// First news about path identifiers: of which family, and how it is read from now on.
    pub(super) path_id_news: Option<(Family, bool)>,
}

impl Session {
    /// One Route Monitoring message (RFC 7854 section 4.6).
    pub(super) fn route_monitoring(
        &mut self,
        header: &PeerHeader,
        pdu: &[u8],
        trailer: &[u8],
        tlvs: &[IndexedTlv<'_>],
        now: Timestamp,
    ) {
        let place = self.place_of(header, now);
        if !trailer.is_empty() {
            self.trailer(place, header, trailer);
        }
        match bgp::split(pdu) {
            Ok(update) => self.update(place, header, &update, pdu, stateless(tlvs), now),
            Err(error) => {
                let trouble = Trouble::new(error.to_string(), Some(ANY_FAMILY));
                self.malformed(place, header, trouble, pdu, now);
            }
        }
    }

    /// Bytes behind the PDU are counted, and told once per peer.
    fn trailer(&mut self, place: usize, header: &PeerHeader, trailer: &[u8]) {
        self.counters.trailers += 1;
        let told = self.peers.get(place).is_none_or(|peer| std::mem::replace(&mut peer.trailer_told, true));
        if !told {
            let text =
                format!("{} bytes behind the BGP message; they are counted and left alone", trailer.len());
            self.notice(Level::Warning, "trailing_bytes", Some(peers::key_of(header)), text, trailer);
        }
    }

    fn update(
        &mut self,
        place: usize,
        header: &PeerHeader,
        update: &Update<'_>,
        pdu: &[u8],
        stateless: FamilySet,
        now: Timestamp,
    ) {
        let view = peers::view_of(header);
        let router_time = Timestamp(header.timestamp_us);
        if let Some(family) = update.end_of_rib() {
            self.end_of_rib(place, view, family, router_time, now);
            return;
        }
        let Some(peer) = self.peers.get(place) else { return };
        let was_up = peer.up;
        let (view_place, peer_message) = (peer.view(view), peer.messages);
        let mut context = Context {
            peer,
            builder: &mut self.builder,
            counters: &mut self.counters,
            overrides: &self.overrides,
            view: view_place,
            received: now,
            router_time,
            pdu,
            peer_message,
            four_octet_as: self.overrides.four_octet_as.unwrap_or(!header.is_two_octet_as()),
            stateless,
            only: None,
            trouble: None,
            width_news: false,
            path_id_news: None,
        };
        context.rows_of(update);
        if let Some(error) = update.malformed.filter(|_| context.trouble.is_none()) {
            // No routes were found that could be withdrawn for it, and there may be some behind the cut.
            let error = format!("path attributes: {error}");
            context.trouble = Some(Trouble::new(error, Some(ANY_FAMILY)));
        }
        let Context { trouble, width_news, path_id_news, .. } = context;
        if !was_up {
            self.note_implicit(place);
        }
        let key = peers::key_of(header);
        if width_news {
            let text =
                "the AS path fits only the width that was not announced; that width is used".to_owned();
            self.notice(Level::Warning, "as_path_width_mismatch", Some(key), text, pdu);
        }
        if let Some((family, add_path)) = path_id_news {
            let said =
                if add_path { "none was agreed, they are there" } else { "agreed, they are not there" };
            let text = format!("path identifiers of {family} {view}: {said}; read so from now on");
            self.notice(Level::Warning, "add_path_mismatch", Some(key), text, pdu);
        }
        if let Some(trouble) = trouble {
            self.malformed(place, header, trouble, pdu, now);
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
    fn malformed(&mut self, place: usize, header: &PeerHeader, trouble: Trouble, pdu: &[u8], now: Timestamp) {
        let Trouble { error, suspect, pdu: earlier } = trouble;
        let pdu = earlier.as_deref().unwrap_or(pdu);
        self.counters.errors += 1;
        let view = peers::view_of(header);
        if let Some(peer) = self.peers.get(place) {
            peer.errors += 1;
            let (view_place, generation) = (peer.view(view), peer.generation);
            if let Some((view, family)) = peer.view_mut(view_place).zip(suspect) {
                view.suspect(family, generation);
            }
        }
        self.notice(Level::Error, "bgp_parse_error", Some(peers::key_of(header)), error.clone(), pdu);
        let kind = EventKind::Malformed { error, pdu: pdu.to_vec(), suspect };
        self.view_event(place, view, now, Timestamp(header.timestamp_us), kind);
    }
}

/// The families for which the TLVs of the message name ADD-PATH: a stateless-parsing TLV holds one capability as in an
/// OPEN (draft-ietf-grow-bmp-tlv section 5.2.3). Which type it has depends on the revision of the draft.
fn stateless(tlvs: &[IndexedTlv<'_>]) -> FamilySet {
    // Version 3 has none, and this is said of every message.
    if tlvs.is_empty() {
        return FamilySet::new();
    }
    let add_path = |tlv: &IndexedTlv<'_>| match bgp::capability(tlv.value) {
        Some(bgp::Capability::AddPath(families)) => families,
        _ => Vec::new(),
    };
    tlvs.iter().flat_map(add_path).map(|one| one.family).collect()
}

impl Context<'_> {
    /// Withdrawals first: a prefix that one UPDATE withdraws and announces is announced (RFC 4271 section 3.1).
    pub(super) fn rows_of(&mut self, update: &Update<'_>) {
        let only = self.only;
        let is_wanted = |family| only.is_none_or(|only| only == family);
        if !update.withdrawn.is_empty() && is_wanted(Family::IPV4_UNICAST) {
            self.withdraw(Family::IPV4_UNICAST, update.withdrawn, Cause::Update, NO_ATTRIBUTES);
        }
        if let Some(unreach) = update.mp_unreach.filter(|unreach| is_wanted(unreach.family)) {
            self.withdraw(unreach.family, unreach.nlri, Cause::Update, NO_ATTRIBUTES);
        }
        if !update.nlri.is_empty() && is_wanted(Family::IPV4_UNICAST) {
            // The classic field goes with NEXT_HOP, MP_REACH_NLRI with its own next hop: two attribute sets.
            let classic = update.without_mp_reach();
            self.announce(Family::IPV4_UNICAST, update.nlri, &classic);
        }
        if let Some(MpReach { family, nlri, .. }) = update.mp_reach.filter(|reach| is_wanted(reach.family)) {
            self.announce(family, nlri, update);
        }
    }

    fn withdraw(&mut self, family: Family, nlri: &[u8], cause: Cause, attributes: u16) {
        let rows = self.group(family, nlri, Action::Withdraw, cause, attributes);
        self.counters.withdrawn += u64::from(rows);
        if let Some(state) = self.peer.view_mut(self.view).and_then(|view| view.family(family)) {
            state.withdrawn += u64::from(rows);
            state.last_route = self.received;
        }
    }

    fn announce(&mut self, family: Family, nlri: &[u8], update: &Update<'_>) {
        let Set { index, withdraws } = self.attributes(update);
        if withdraws {
            self.counters.treated_as_withdraw += 1;
            let reason = self.builder.last_flaw(index);
            self.trouble = Some(Trouble::new(format!("treated as withdrawal: {reason}"), None));
            self.withdraw(family, nlri, Cause::TreatAsWithdraw, index);
            return;
        }
        let cause = self.cause(family);
        let rows = self.group(family, nlri, Action::Announce, cause, index);
        self.counters.announced += u64::from(rows);
        self.peer.up |= rows > 0;
        if let Some(state) = self.peer.view_mut(self.view).and_then(|view| view.family(family)) {
            state.announced += u64::from(rows);
            state.last_route = self.received;
        }
    }

    /// The attribute set of the UPDATE, decoded when the open batch does not have it yet.
    fn attributes(&mut self, update: &Update<'_>) -> Set {
        let width = self.four_octet_as;
        let is_set = self.overrides.four_octet_as.is_some();
        let (counters, peer) = (&mut *self.counters, &mut *self.peer);
        let mut width_news = false;
        let set = self.builder.attributes(update, width, || {
            let other_width =
                !is_set && !bgp::as_path_width_fits(update, width) && bgp::as_path_width_fits(update, !width);
            if other_width {
                counters.as_width_mismatches += 1;
                width_news = !std::mem::replace(&mut peer.width_told, true);
            }
            let (mut attributes, verdict) = bgp::attributes(update, width != other_width);
            counters.attributes_discarded += u64::try_from(attributes.discarded.len()).unwrap_or(0);
            let withdraws = if let Verdict::TreatAsWithdraw(reason) = verdict {
                attributes.discarded.push(reason);
                true
            } else {
                false
            };
            (attributes, withdraws)
        });
        self.width_news |= width_news;
        set
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
        let is_withdrawal = action == Action::Withdraw;
        let Some(encoding) = self.encoding(family, nlri, is_withdrawal) else { return 0 };
        let Some(state) = self.peer.view_mut(self.view) else { return 0 };
        let (view, mut slot) = (state.view, state.slot);
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
            add_path: encoding.add_path,
            index: 0,
            rows: 0,
            received: self.received,
            router_time: self.router_time,
        };
        let rows = bgp::nlri(family, nlri, encoding, is_withdrawal);
        self.builder.rows(group, rows).unwrap_or_else(|error| {
            self.trouble = Some(Trouble::new(format!("NLRI of {family}: {error}"), Some(family)));
            0
        })
    }
}
