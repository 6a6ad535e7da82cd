//! The TLVs of Route Monitoring messages of BMP version 4: path markings of routes, declared path
//! identifiers, sequence numbers, and counters.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::summary::RouteTlvCounters;
use crate::bgp::{self, FamilySet};
use crate::bmp::{IndexedTlv, RouteTlv};
use crate::num;
use crate::route::{Family, PathMarking, RibView};

/// The contents of the TLVs of one message that concern its routes.
#[derive(Clone, Debug, Default)]
pub(super) struct UpdateTlvs {
    /// Families for which the message itself declares path IDs (stateless parsing).
    pub(super) path_ids: FamilySet,
    /// Path markings of the routes.
    pub(super) markings: PathMarkings,
}

/// The TLVs of a message that has none.
pub(super) static NO_TLVS: UpdateTlvs = UpdateTlvs {
    path_ids: FamilySet::new(),
    markings: PathMarkings { all: None, by_route: BTreeMap::new() },
};

impl UpdateTlvs {
    /// Upper bound of the heap memory in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        // A node of the map may be half empty.
        2 * self.markings.by_route.len() * size_of::<(u16, PathMarking)>()
            + self.path_ids.len() * size_of::<Family>()
    }
}

/// Path markings of the routes of one UPDATE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PathMarkings {
    /// Marking of all routes (index 0).
    pub(super) all: Option<PathMarking>,
    /// Markings of single routes, by their index from 1. The index counts the routes of all fields in the
    /// order of the message. A marking of a single route takes precedence over that of its group, and both
    /// over that of all routes.
    by_route: BTreeMap<u16, PathMarking>,
}

impl PathMarkings {
    /// Whether there are markings of single routes.
    pub(super) fn is_indexed(&self) -> bool {
        !self.by_route.is_empty()
    }

    /// The marking of the route with an index of its own, if it has one.
    pub(super) fn of_route(&self, index: u32) -> Option<PathMarking> {
        self.by_route.get(&u16::try_from(index).ok()?).copied()
    }
}

/// The contents of the TLVs of one message that the session uses. Its size is bounded by that of the message.
#[derive(Default)]
pub(super) struct RouteTlvs<'a> {
    pub(super) update: UpdateTlvs,
    /// VRF or table name of all routes.
    pub(super) table_name: Option<&'a [u8]>,
    /// Number of the message, and the width of the number in bits.
    pub(super) sequence: Option<(u64, u32)>,
    /// BGP messages beside the one of the message.
    pub(super) further_pdus: Vec<&'a [u8]>,
    /// Type and value of the first TLV that is of a vendor or of an unknown type.
    pub(super) uninterpreted: Option<(u16, &'a [u8])>,
}

impl<'a> RouteTlvs<'a> {
    /// Reads the TLVs of a message of this RIB view, and counts them by type. Of TLVs that contradict each
    /// other the first one applies.
    pub(super) fn read(
        tlvs: &[IndexedTlv<'a>],
        update_tlv: u16,
        view: RibView,
        counters: &mut RouteTlvCounters,
    ) -> Self {
        let mut out = Self::default();
        let mut statuses: BTreeMap<u16, PathMarking> = BTreeMap::new();
        let mut groups: BTreeMap<u16, &[u8]> = BTreeMap::new();
        for tlv in tlvs {
            let mut is_repeated = false;
            match tlv.content(update_tlv) {
                RouteTlv::SequenceNumber { number, bits } => {
                    counters.sequence_numbers += 1;
                    is_repeated = out.sequence.is_some();
                    out.sequence.get_or_insert((number, bits));
                }
                RouteTlv::ExtendedFlags => counters.extended_flags += 1,
                RouteTlv::Timestamp => counters.timestamps += 1,
                RouteTlv::Group(indexes) => {
                    counters.groups += 1;
                    is_repeated = groups.contains_key(&tlv.index);
                    groups.entry(tlv.index).or_insert(indexes);
                }
                RouteTlv::TableName(name) => {
                    counters.table_names += 1;
                    if tlv.index == 0 {
                        is_repeated = out.table_name.is_some();
                        out.table_name.get_or_insert(name);
                    }
                }
                RouteTlv::StatelessParsing => {
                    counters.stateless_parsing += 1;
                    declared_path_ids(tlv, view, &mut out.update.path_ids);
                }
                RouteTlv::PathStatus { status, reason } => {
                    counters.path_statuses += 1;
                    match statuses.entry(tlv.index) {
                        Entry::Vacant(vacant) => drop(vacant.insert(PathMarking { status, reason })),
                        Entry::Occupied(_) => is_repeated = true,
                    }
                }
                RouteTlv::BgpMessage(pdu) => {
                    is_repeated = true;
                    out.further_pdus.push(pdu);
                }
                RouteTlv::Vendor => {
                    counters.vendor += 1;
                    out.uninterpreted.get_or_insert((tlv.kind, tlv.value));
                }
                content @ (RouteTlv::Unknown | RouteTlv::Malformed) => {
                    let is_unknown = content == RouteTlv::Unknown;
                    *(if is_unknown { &mut counters.unknown } else { &mut counters.malformed }) += 1;
                    // The type number of stateless parsing depends on the revision of the draft.
                    if !declared_path_ids(tlv, view, &mut out.update.path_ids) && is_unknown {
                        out.uninterpreted.get_or_insert((tlv.kind, tlv.value));
                    }
                }
            }
            counters.repeated += u64::from(is_repeated);
        }
        out.update.markings = resolve(statuses, &groups, counters);
        // Until their routes are recorded.
        counters.unapplied += num::to_u64(out.update.markings.by_route.len());
        out
    }
}

/// Adds the families whose routes carry path IDs according to a TLV, and returns whether it is an ADD-PATH
/// capability: a stateless-parsing TLV contains one capability as in an OPEN (draft-ietf-grow-bmp-tlv
/// section 5.2.3). The capability is that of the router: what it receives is in Adj-RIB-In, what it sends in
/// Adj-RIB-Out.
fn declared_path_ids(tlv: &IndexedTlv<'_>, view: RibView, families: &mut FamilySet) -> bool {
    let Some(bgp::Capability::AddPath(declared)) = bgp::capability(tlv.value) else { return false };
    let applies = |one: &&bgp::AddPath| match view {
        RibView::AdjInPre | RibView::AdjInPost => one.receive,
        RibView::AdjOutPre | RibView::AdjOutPost => one.send,
        RibView::LocRib | RibView::Unknown => true,
    };
    declared.iter().filter(applies).for_each(|one| families.insert(one.family));
    true
}

/// Assigns the statuses of groups to the routes of the groups.
fn resolve(
    statuses: BTreeMap<u16, PathMarking>,
    groups: &BTreeMap<u16, &[u8]>,
    counters: &mut RouteTlvCounters,
) -> PathMarkings {
    let mut markings = PathMarkings::default();
    // In ascending order: all routes, single routes, groups.
    for (index, marking) in statuses {
        if index == 0 {
            markings.all = Some(marking);
        } else if index & IndexedTlv::GROUP == 0 {
            markings.by_route.insert(index, marking);
        } else if let Some(indexes) = groups.get(&index) {
            let members = indexes.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
            for route in members.map(u16::from_be_bytes).filter(|route| route & IndexedTlv::GROUP == 0) {
                markings.by_route.entry(route).or_insert(marking);
            }
        } else {
            counters.unapplied += 1;
        }
    }
    markings
}

/// Detects messages that the router has skipped, by their numbers.
#[derive(Default)]
pub(super) struct SequenceTracker {
    /// The last number.
    last: Option<u64>,
    /// Messages since then whose number is not known, because they have no such TLV.
    unnumbered: u64,
    /// Whether the router numbers Route Monitoring messages only. Until this is known, the other messages
    /// count as numbered.
    numbers_routes_only: bool,
    /// The last number, if it was lower than `last`: the router may have begun to count anew.
    restart: Option<u64>,
}

/// What the number of a message shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SequenceStep {
    /// No message is missing, or it is the first number.
    Next,
    /// This number of messages is missing.
    Skipped(u64),
    /// The number is not higher than that of an earlier message.
    NotHigher,
}

impl SequenceTracker {
    /// Counts a message, before its number is known.
    pub(super) const fn note_message(&mut self) {
        self.unnumbered = self.unnumbered.saturating_add(1);
    }

    /// Processes the number of the last message that was counted.
    pub(super) fn note_number(&mut self, number: u64, bits: u32) -> SequenceStep {
        let between = std::mem::take(&mut self.unnumbered).saturating_sub(1);
        let mask = u64::MAX >> (u64::BITS.saturating_sub(bits));
        let Some(last) = self.last else {
            self.last = Some(number);
            return SequenceStep::Next;
        };
        let distance = number.wrapping_sub(last) & mask;
        if distance == 0 || distance > mask >> 1 {
            let is_restart = self.restart.replace(number).is_some_and(|earlier| number > earlier);
            if is_restart {
                (self.last, self.restart) = (Some(number), None);
            }
            return SequenceStep::NotHigher;
        }
        (self.last, self.restart) = (Some(number), None);
        let missing = distance - 1;
        if missing == 0 && between > 0 {
            self.numbers_routes_only = true;
        }
        let explained = if self.numbers_routes_only { 0 } else { between };
        match missing.saturating_sub(explained) {
            0 => SequenceStep::Next,
            skipped => SequenceStep::Skipped(skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(numbers: &[u64], bits: u32) -> Vec<SequenceStep> {
        let mut tracker = SequenceTracker::default();
        let step = |number: &u64| {
            tracker.note_message();
            tracker.note_number(*number, bits)
        };
        numbers.iter().map(step).collect()
    }

    #[test]
    fn a_hole_is_skipped_messages_and_a_wrap_is_none() {
        use SequenceStep::{Next, NotHigher, Skipped};
        assert_eq!(steps(&[7, 8, 11, 12], 32), [Next, Next, Skipped(2), Next]);
        let top = u64::from(u32::MAX);
        assert_eq!(steps(&[top - 1, top, 0, 1, 3], 32), [Next, Next, Next, Next, Skipped(1)]);
        assert_eq!(steps(&[u64::MAX, 0, 1], 64), [Next, Next, Next]);
        assert_eq!(steps(&[5, 5, 4, 6], 32), [Next, NotHigher, NotHigher, Next]);
        assert_eq!(steps(&[900, 1, 2, 5], 32), [Next, NotHigher, NotHigher, Skipped(2)], "a restart");
    }

    #[test]
    fn messages_without_a_number_explain_a_hole_unless_the_router_does_not_number_them() {
        let mut tracker = SequenceTracker::default();
        let mut after = |others: u64, number: u64| {
            (0..=others).for_each(|_| tracker.note_message());
            tracker.note_number(number, 32)
        };
        assert_eq!(after(3, 4), SequenceStep::Next, "the first number");
        assert_eq!(after(2, 7), SequenceStep::Next);
        assert_eq!(after(1, 10), SequenceStep::Skipped(1));
        assert_eq!(after(1, 11), SequenceStep::Next, "only routes have numbers");
        assert_eq!(after(1, 13), SequenceStep::Skipped(1));
    }

    #[test]
    fn the_memory_of_tlvs_grows_with_each_family_and_each_marking() {
        let mut tlvs = UpdateTlvs::default();
        assert_eq!(tlvs.heap_bytes(), 0);
        let marking = PathMarking { status: 1, reason: None };
        tlvs.markings.by_route.extend([(1, marking), (2, marking), (3, marking)]);
        let markings = 2 * 3 * size_of::<(u16, PathMarking)>();
        assert_eq!(tlvs.heap_bytes(), markings);
        tlvs.path_ids.extend([Family { afi: 1, safi: 1 }, Family { afi: 2, safi: 1 }]);
        assert_eq!(tlvs.heap_bytes(), markings + 2 * size_of::<Family>());
    }
}
