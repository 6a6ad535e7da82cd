//! The counters of a session, their names, and their sums.

use std::ops::AddAssign;

/// Names of the message types 0 to 6 (RFC 7854 section 4.1).
const MESSAGE_TYPES: [&str; 7] = [
    "route_monitoring",
    "statistics_report",
    "peer_down",
    "peer_up",
    "initiation",
    "termination",
    "route_mirroring",
];

/// Name of all other message types.
const OTHER_MESSAGES: &str = "other";

/// What could not be decoded.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) enum ErrorKind {
    /// The common header of a message, which ends the session.
    Framing,
    /// A BMP message.
    Message,
    /// An OPEN of a Peer Up.
    Open,
    /// The number of statistics of a Statistics Report.
    Statistics,
    /// An UPDATE, or a part of it.
    Update,
}

/// Names of the values of `ErrorKind`, in their order.
const ERROR_KINDS: [&str; 5] = ["framing", "message", "open", "statistics", "update"];

/// Counters of one BMP session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// BMP messages of all types.
    pub messages: u64,
    /// The same by type; see [`Counters::messages_named`].
    pub messages_by_type: [u64; MESSAGE_TYPES.len() + 1],
    /// Bytes of these messages.
    pub bytes: u64,
    /// Routes announced.
    pub announced: u64,
    /// Routes withdrawn, explicitly or by treat-as-withdraw.
    pub withdrawn: u64,
    /// Messages and PDUs that could not be decoded.
    pub errors: u64,
    /// The same by kind; see [`Counters::errors_named`].
    pub errors_by_kind: [u64; ERROR_KINDS.len()],
    /// Messages of an unknown type, which are recorded raw.
    pub unknown_messages: u64,
    /// Initiations that were not recorded, because there were too many.
    pub ignored_initiations: u64,
    /// New peers that were reported faster than the session may report them, so that it was not read for a
    /// while.
    pub excess_peers: u64,
    /// Announcements treated as withdrawals (RFC 7606).
    pub treated_as_withdraw: u64,
    /// Attributes discarded (RFC 7606).
    pub attributes_discarded: u64,
    /// Messages with bytes after their BGP PDU.
    pub trailers: u64,
    /// Attribute sets whose AS_PATH was decoded with the AS number width that was not announced.
    pub as_width_mismatches: u64,
    /// NLRI fields that changed a family to the encoding opposite to the expected one: with or without path
    /// IDs.
    pub add_path_mismatches: u64,
    /// Peers that announced routes without a Peer Up.
    pub implicit_peers: u64,
    /// Peer Downs of peers that were not up.
    pub unexpected_peer_downs: u64,
    /// Messages whose per-peer header contains neither an AS number nor a BGP identifier.
    pub zero_identities: u64,
    /// How often a peer, an address family, a VRF name or a PDU was not tracked, because the session exceeded
    /// its limit ([`crate::session::PEER_MEMORY_MAX_BYTES`], or 64 families per RIB view).
    pub untracked_peers: u64,
    /// Announcements during dumps whose routes were not remembered, because the session exceeded
    /// [`crate::session::DUMP_MEMORY_MAX_BYTES`].
    pub untracked_dump_routes: u64,
    /// Holes in the router's sequence numbers (BMP version 4), each recorded as a gap.
    pub sequence_gaps: u64,
    /// Messages that the router skipped, by its sequence numbers.
    pub skipped_messages: u64,
    /// Sequence numbers that were not higher than an earlier one.
    pub sequence_repeats: u64,
    /// TLVs without a meaning of their own of Statistics Reports, Peer Downs and Route Mirroring messages,
    /// which are recorded by number.
    pub message_tlvs: u64,
    /// TLVs of Route Monitoring messages (BMP version 4).
    pub route_tlvs: RouteTlvCounters,
}

impl Counters {
    /// Routes announced and withdrawn.
    pub(in crate::session) const fn routes(&self) -> u64 {
        self.announced.saturating_add(self.withdrawn)
    }

    /// Counts a message by the type in its common header.
    pub(in crate::session) fn count_type(&mut self, message: &[u8]) {
        let kind = message.get(5).copied().map_or(MESSAGE_TYPES.len(), usize::from);
        if let Some(count) = self.messages_by_type.get_mut(kind.min(MESSAGE_TYPES.len())) {
            *count += 1;
        }
    }

    /// Counts a message or PDU that could not be decoded.
    pub(in crate::session) fn count_error(&mut self, kind: ErrorKind) {
        self.errors += 1;
        if let Some(count) = self.errors_by_kind.get_mut(kind as usize) {
            *count += 1;
        }
    }

    /// BMP messages by the name of their type.
    pub fn messages_named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        MESSAGE_TYPES.into_iter().chain([OTHER_MESSAGES]).zip(self.messages_by_type)
    }

    /// Messages and PDUs that could not be decoded, by kind.
    pub fn errors_named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ERROR_KINDS.into_iter().zip(self.errors_by_kind)
    }

    /// What was decoded otherwise than negotiated, because the data was evidence for it.
    #[must_use]
    pub const fn overridden_named(&self) -> [(&'static str, u64); 2] {
        [("as_width", self.as_width_mismatches), ("add_path", self.add_path_mismatches)]
    }

    /// Deviations from the RFCs that lose no route, and limits that were exceeded.
    #[must_use]
    pub const fn irregularities_named(&self) -> [(&'static str, u64); 13] {
        [
            ("treated_as_withdraw", self.treated_as_withdraw),
            ("attribute_discarded", self.attributes_discarded),
            ("trailing_bytes", self.trailers),
            ("implicit_peer", self.implicit_peers),
            ("unexpected_peer_down", self.unexpected_peer_downs),
            ("zero_identity", self.zero_identities),
            ("ignored_initiation", self.ignored_initiations),
            ("excess_peer", self.excess_peers),
            ("untracked_peer", self.untracked_peers),
            ("untracked_dump_route", self.untracked_dump_routes),
            ("sequence_gap", self.sequence_gaps),
            ("skipped_message", self.skipped_messages),
            ("sequence_repeat", self.sequence_repeats),
        ]
    }
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        // Without `..`, so that a new counter is not forgotten.
        let Self {
            messages,
            bytes,
            announced,
            withdrawn,
            errors,
            unknown_messages,
            ignored_initiations,
            excess_peers,
            treated_as_withdraw,
            attributes_discarded,
            trailers,
            as_width_mismatches,
            add_path_mismatches,
            implicit_peers,
            unexpected_peer_downs,
            zero_identities,
            untracked_peers,
            untracked_dump_routes,
            sequence_gaps,
            skipped_messages,
            sequence_repeats,
            message_tlvs,
            messages_by_type,
            errors_by_kind,
            route_tlvs,
        } = other;
        self.messages += messages;
        self.bytes += bytes;
        self.announced += announced;
        self.withdrawn += withdrawn;
        self.errors += errors;
        self.unknown_messages += unknown_messages;
        self.ignored_initiations += ignored_initiations;
        self.excess_peers += excess_peers;
        self.treated_as_withdraw += treated_as_withdraw;
        self.attributes_discarded += attributes_discarded;
        self.trailers += trailers;
        self.as_width_mismatches += as_width_mismatches;
        self.add_path_mismatches += add_path_mismatches;
        self.implicit_peers += implicit_peers;
        self.unexpected_peer_downs += unexpected_peer_downs;
        self.zero_identities += zero_identities;
        self.untracked_peers += untracked_peers;
        self.untracked_dump_routes += untracked_dump_routes;
        self.sequence_gaps += sequence_gaps;
        self.skipped_messages += skipped_messages;
        self.sequence_repeats += sequence_repeats;
        self.message_tlvs += message_tlvs;
        self.messages_by_type.iter_mut().zip(messages_by_type).for_each(|(sum, count)| *sum += count);
        self.errors_by_kind.iter_mut().zip(errors_by_kind).for_each(|(sum, count)| *sum += count);
        self.route_tlvs += route_tlvs;
    }
}

/// Counters of the TLVs of Route Monitoring messages (BMP version 4), except those that contain an UPDATE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTlvCounters {
    /// Sequence number.
    pub sequence_numbers: u64,
    /// Extended flags, which are not interpreted.
    pub extended_flags: u64,
    /// Timestamp, which is not interpreted.
    pub timestamps: u64,
    /// Group of NLRI.
    pub groups: u64,
    /// VRF or table name.
    pub table_names: u64,
    /// Stateless parsing.
    pub stateless_parsing: u64,
    /// Path status.
    pub path_statuses: u64,
    /// TLVs of a vendor (enterprise bit), which are not interpreted.
    pub vendor: u64,
    /// TLVs of an unknown type.
    pub unknown: u64,
    /// TLVs with an invalid value.
    pub malformed: u64,
    /// TLVs whose type and index an earlier TLV of the message has; the first one applies. Further BGP
    /// messages are recorded raw.
    pub repeated: u64,
    /// Path statuses of routes that were not recorded as announced: their index names no announced route of
    /// the UPDATE, or their group is not defined. Those of held PDUs are included until they are recorded.
    pub unapplied: u64,
}

impl RouteTlvCounters {
    /// The counters with their names in `holdfast status`.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("sequence-number", self.sequence_numbers),
            ("extended-flags", self.extended_flags),
            ("timestamp", self.timestamps),
            ("group", self.groups),
            ("table-name", self.table_names),
            ("stateless-parsing", self.stateless_parsing),
            ("path-status", self.path_statuses),
            ("vendor", self.vendor),
            ("unknown", self.unknown),
            ("malformed", self.malformed),
            ("repeated", self.repeated),
            ("unapplied", self.unapplied),
        ]
    }
}

impl AddAssign<&Self> for RouteTlvCounters {
    fn add_assign(&mut self, other: &Self) {
        // Without `..`, so that a new counter is not forgotten.
        let Self {
            sequence_numbers,
            extended_flags,
            timestamps,
            groups,
            table_names,
            stateless_parsing,
            path_statuses,
            vendor,
            unknown,
            malformed,
            repeated,
            unapplied,
        } = other;
        self.sequence_numbers += sequence_numbers;
        self.extended_flags += extended_flags;
        self.timestamps += timestamps;
        self.groups += groups;
        self.table_names += table_names;
        self.stateless_parsing += stateless_parsing;
        self.path_statuses += path_statuses;
        self.vendor += vendor;
        self.unknown += unknown;
        self.malformed += malformed;
        self.repeated += repeated;
        self.unapplied += unapplied;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_errors_are_counted_by_name_and_summed() {
        let mut counters = Counters::default();
        for kind in [0, 0, 4, 6, 7, 255] {
            counters.count_type(&[3, 0, 0, 0, 6, kind]);
        }
        counters.count_error(ErrorKind::Update);
        let mut sum = counters;
        sum += &counters;
        let named: Vec<_> = sum.messages_named().filter(|(_, count)| *count > 0).collect();
        assert_eq!(named, [("route_monitoring", 4), ("initiation", 2), ("route_mirroring", 2), ("other", 4)]);
        let errors: Vec<_> = sum.errors_named().filter(|(_, count)| *count > 0).collect();
        assert_eq!((errors, sum.errors), (vec![("update", 2)], 2));
    }
}
