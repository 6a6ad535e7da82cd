//! How a field of routes is read, where its bytes speak against what was agreed.
//!
//! What was agreed is what the operator set, else what the message itself says (BMP version 4), else what the OPENs
//! say. Some routers send otherwise than their OPENs say about path identifiers; and some damaged fields happen to parse
//! otherwise than they were meant. One message cannot tell the two apart. Two can, because damage does not repeat itself:
//!
//! ```text
//!                badly as agreed, and convincing otherwise
//!   as agreed ─────────────────────────────────────────────► doubt: no rows; the PDU is kept raw, and aside
//!      ▲  ▲                                                    │     │
//!      │  └── a message reads well as agreed and only so: ─────┘     │ a second message as the first:
//!      │      the first was malformed                                │ all that is aside is read otherwise
//!      │                                                             ▼
//!      └────────────────── the same, the other way round ─────── otherwise
//! ```
//!
//! "Badly": it does not parse whole, or names impossible routes, see [`bgp::nlri_plausible`]. "Convincing":
//! [`bgp::nlri_convincing`]. A message that reads well both ways decides nothing, and in doubt goes aside with the first;
//! the rows of all that is aside are made in order, each with the time at which it came. Where no OPENs were seen nothing
//! was agreed, and the first message decides.
//!
//! Several labels of a route are only in use where both OPENs say so (RFC 8277 section 2.1). Where they are not known, or
//! made up as those of a Loc-RIB are, a field that does not parse with one label each is read with several.

use super::memory_budget::Reservation;
use super::route_monitoring::{Context, Trouble};
use crate::bgp::{self, Encoding, FamilySet};
use crate::route::{Family, RibView, Timestamp};

/// How many messages are put aside before the first is taken for malformed.
const ASIDE_MAX: usize = 16;

/// What the fields of one family of one view have said so far.
#[derive(Default)]
pub(super) struct Evidence {
    /// Whether path identifiers are there, where it is not as agreed.
    path_ids: Option<bool>,
    /// The first that reads well only otherwise, and those behind it that read well both ways.
    aside: Vec<Message>,
}

/// A message aside.
struct Message {
    /// Among those of its peer.
    number: u64,
    pdu: Box<[u8]>,
    received: Timestamp,
    router_time: Timestamp,
    four_octet_as: bool,
    _share: Reservation,
}

impl Evidence {
    /// A message waits for another that confirms how it is to be read.
    pub(super) const fn is_doubted(&self) -> bool {
        !self.aside.is_empty()
    }
}

/// The ways in which a field can be read with path identifiers, or without.
#[derive(Clone, Copy)]
struct Ways {
    multiple_labels: bool,
    /// Labels may be several without an agreement.
    labels_are_open: bool,
}

impl Ways {
    /// The first of them that a field passes.
    fn find(self, add_path: bool, passes: impl Fn(Encoding) -> bool) -> Option<Encoding> {
        let agreed = Encoding { add_path, multiple_labels: self.multiple_labels };
        let stack = Encoding { add_path, multiple_labels: true };
        let other = (self.labels_are_open && !self.multiple_labels).then_some(stack);
        [Some(agreed), other].into_iter().flatten().find(|encoding| passes(*encoding))
    }
}

impl Context<'_> {
    /// How this field is read; `None` when it is in doubt.
    pub(super) fn encoding(&mut self, family: Family, nlri: &[u8], withdraw: bool) -> Option<Encoding> {
        let view = self.peer.view_mut(self.view)?.view;
        let by_opens = self.peer.agreed.by_opens;
        let agreed = self.peer.agreed.of(view).encoding(family);
        let says_itself = self.stateless.contains(family);
        let ways = Ways {
            multiple_labels: agreed.multiple_labels,
            labels_are_open: !by_opens || view == RibView::LocRib,
        };
        let reads_well = |encoding| bgp::nlri_plausible(family, nlri, encoding, withdraw);
        let convinces = |encoding| bgp::nlri_convincing(family, nlri, encoding, withdraw);
        let set = self.overrides.add_path_of(family);
        // A family for which there is no room has nothing aside, and what was found out about it is not kept.
        let state = self.peer.view_mut(self.view)?.family(family);
        let (path_ids, waiting, first) = state.map_or((None, 0, None), |state| {
            let aside = &state.evidence.aside;
            (state.evidence.path_ids, aside.len(), aside.first().map(|first| first.number))
        });
        let expected = set.or(path_ids).unwrap_or(agreed.add_path || says_itself);
        let as_agreed = Encoding { add_path: expected, multiple_labels: ways.multiple_labels };
        if let Some(encoding) = ways.find(expected, reads_well) {
            if waiting == 0 {
                return Some(encoding);
            }
            let both = "reads well with path identifiers and without, behind a message in doubt";
            let may_wait = waiting < ASIDE_MAX && ways.find(!expected, convinces).is_some();
            if may_wait && self.put_aside(family, both) {
                return None;
            }
            return self.read_aside(family, false).then_some(encoding);
        }
        if set.is_some() {
            return Some(as_agreed);
        }
        let Some(otherwise) = ways.find(!expected, convinces) else { return Some(as_agreed) };
        let is_first = first.is_none_or(|first| first == self.peer_message);
        if is_first && (by_opens || says_itself) {
            let what = if expected {
                "reads well only without path identifiers, which were agreed on"
            } else {
                "reads well only with path identifiers, which were not agreed on"
            };
            if !self.put_aside(family, what) {
                let error =
                    format!("NLRI of {family}: {what}; kept raw, there is no room to wait for another");
                self.trouble = Some(Trouble::new(error, Some(family)));
            }
            return None;
        }
        self.believe(family, !expected);
        self.read_aside(family, true).then_some(otherwise)
    }

    /// Keeps the message until another one decides how it is to be read; false when there is no room for it.
    fn put_aside(&mut self, family: Family, what: &str) -> bool {
        let Some(view) = self.peer.view_mut(self.view) else { return false };
        // Another field of the same message may be there already.
        let last = view.family(family).map(|state| state.evidence.aside.last().map(|last| last.number));
        let Some(last) = last else { return false };
        let error = format!("NLRI of {family}: {what}; kept raw until another message decides");
        if last == Some(self.peer_message) {
            self.trouble = Some(Trouble::new(error, None));
            return true;
        }
        let Some(share) = view.share(self.pdu.len() + size_of::<Message>()) else { return false };
        let message = Message {
            number: self.peer_message,
            pdu: self.pdu.into(),
            received: self.received,
            router_time: self.router_time,
            four_octet_as: self.four_octet_as,
            _share: share,
        };
        if let Some(state) = view.family(family) {
            state.evidence.aside.push(message);
        }
        self.trouble = Some(Trouble::new(error, None));
        true
    }

    /// Makes the rows of what is aside; of the first only when it is `confirmed`, else it was malformed. False when this
    /// very message was among it.
    fn read_aside(&mut self, family: Family, confirmed: bool) -> bool {
        let state = self.peer.view_mut(self.view).and_then(|view| view.family(family));
        let mut aside = state.map(|state| std::mem::take(&mut state.evidence.aside)).unwrap_or_default();
        let has_this = aside.last().is_some_and(|last| last.number == self.peer_message);
        if !confirmed && !aside.is_empty() {
            let error = format!("NLRI of {family}: a message that was in doubt is malformed");
            let pdu = Some(aside.remove(0).pdu);
            self.trouble = Some(Trouble { error, suspect: Some(family), pdu });
        }
        aside.iter().for_each(|message| self.read_again(family, message));
        !has_this
    }

    /// From now on this family is read so.
    fn believe(&mut self, family: Family, add_path: bool) {
        self.counters.add_path_mismatches += 1;
        let state = self.peer.view_mut(self.view).and_then(|view| view.family(family));
        let is_news = state.is_some_and(|state| state.evidence.path_ids.replace(add_path).is_none());
        self.path_id_news = self.path_id_news.or_else(|| is_news.then_some((family, add_path)));
    }

    /// Makes the rows of a message that was aside, as if it had been understood when it came.
    fn read_again(&mut self, family: Family, message: &Message) {
        let Ok(update) = bgp::split(&message.pdu) else { return };
        let mut again = Context {
            peer: &mut *self.peer,
            builder: &mut *self.builder,
            counters: &mut *self.counters,
            overrides: self.overrides,
            view: self.view,
            received: message.received,
            router_time: message.router_time,
            pdu: &message.pdu,
            peer_message: message.number,
            four_octet_as: message.four_octet_as,
            stateless: FamilySet::new(),
            only: Some(family),
            trouble: None,
            width_news: false,
            path_id_news: None,
        };
        again.rows_of(&update);
        // What was odd about the AS path was told when the message came.
        let Context { trouble, .. } = again;
        self.trouble = self.trouble.take().or(trouble);
    }
}
