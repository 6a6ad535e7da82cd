//! The decision how an NLRI field is decoded where its bytes contradict the expected encoding.
//!
//! The expected encoding is the operator's override, else the one declared by the message itself (BMP version
//! 4), else the one negotiated in the OPENs. Some routers send path IDs without negotiating ADD-PATH, or omit
//! them although it was negotiated; and some damaged fields happen to decode in the other encoding. A single
//! message does not distinguish the two cases, two messages do, because damage does not repeat itself:
//!
//! ```text
//!               decodable only in the other encoding
//!   expected ─────────────────────────────────────────► uncertain: no rows; the PDU is raw and held
//!      ▲  ▲                                               │     │
//!      │  └── a message decodable only as expected: ──────┘     │ a second message decodable only
//!      │      the first held PDU was malformed                  │ in the other encoding: all held
//!      │                                                        ▼ PDUs are replayed in it
//!      └──────────────── the same, reversed ─────────────── other
//! ```
//!
//! A field is decodable as expected if [`bgp::nlri_plausible`] holds, and in the other encoding if the
//! stricter [`bgp::nlri_convincing`] holds. A message decodable in both encodings decides nothing; while a
//! PDU is held, it is held too. Held PDUs are replayed in order, with their own times of reception. At the
//! end of the generation, or after the quiet time, they are decoded as expected. Without OPENs no encoding
//! was negotiated, and the first message decides.
//!
//! False positives: a legal field is always plausible in the negotiated encoding, so no sequence of legal
//! UPDATEs changes it. A change takes two damaged messages, neither of them decodable as negotiated and both
//! convincing in the other encoding, without a message between them that is decodable only as negotiated.
//!
//! A route has several labels only if both OPENs contain the capability (RFC 8277 section 2.1). Without
//! OPENs, and in a Loc-RIB, whose OPENs are synthetic, a field that does not decode with one label per route
//! is tried with several.
//!
//! This module only judges. `update_recorder` holds, replays and records.

use std::fmt;

use crate::bgp::{self, Encoding};
use crate::route::Family;

/// Maximum number of held PDUs of one family and RIB view. At this number the first one is taken to be
/// malformed.
const HELD_MAX: usize = 16;

/// One NLRI field of an UPDATE.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) family: Family,
    pub(super) bytes: &'a [u8],
    pub(super) is_withdrawal: bool,
}

impl Field<'_> {
    #[inline]
    fn is_plausible(self, encoding: Encoding) -> bool {
        bgp::nlri_plausible(self.family, self.bytes, encoding, self.is_withdrawal)
    }

    fn is_convincing(self, encoding: Encoding) -> bool {
        bgp::nlri_convincing(self.family, self.bytes, encoding, self.is_withdrawal)
    }
}

/// Everything that determines the encoding of a family of a RIB view, except the bytes received.
pub(super) struct Expectation {
    /// The encoding negotiated in the OPENs; no ADD-PATH and one label per route without them.
    pub(super) negotiated: Encoding,
    /// Whether `negotiated` results from two OPENs.
    pub(super) from_opens: bool,
    /// Whether the message itself declares path IDs for the family (BMP version 4, stateless parsing).
    pub(super) declares_path_ids: bool,
    /// Whether a route may have several labels although that was not negotiated.
    pub(super) allows_several_labels: bool,
    /// The operator's ADD-PATH setting for the family.
    pub(super) add_path_override: Option<bool>,
}

impl Expectation {
    /// The first encoding with or without path IDs, as `add_path` says, for which `test` holds.
    #[inline]
    fn find(&self, add_path: bool, test: impl Fn(Encoding) -> bool) -> Option<Encoding> {
        let negotiated = self.encoding(add_path);
        if test(negotiated) {
            return Some(negotiated);
        }
        let several_labels = Encoding { add_path, multiple_labels: true };
        (self.allows_several_labels && !negotiated.multiple_labels && test(several_labels))
            .then_some(several_labels)
    }

    const fn encoding(&self, add_path: bool) -> Encoding {
        Encoding { add_path, multiple_labels: self.negotiated.multiple_labels }
    }
}

/// What earlier messages of the same family and RIB view have shown.
#[derive(Clone, Copy, Default)]
pub(super) struct History {
    /// Whether path IDs are present, if earlier messages have contradicted the negotiated encoding.
    pub(super) path_ids: Option<bool>,
    /// Number of held PDUs.
    pub(super) held: usize,
    /// Whether the first held PDU is that of the current message: an UPDATE may have two fields of one
    /// family.
    pub(super) first_held_is_current: bool,
}

/// How to proceed with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Decode the field in this encoding; if it does not decode, it is malformed.
    Read(Encoding),
    /// Record the PDU raw and hold it until another message decides its encoding.
    Hold(HoldReason),
    /// Decode the held PDUs in order of reception, then the field in `encoding`.
    Replay {
        /// The encoding of the field.
        encoding: Encoding,
        /// What the field shows about the first held PDU.
        first_held: FirstHeld,
    },
}

/// Why the encoding of a field is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldReason {
    /// Path IDs were not expected; the field decodes only with them.
    OnlyWithPathIds,
    /// Path IDs were expected; the field decodes only without them.
    OnlyWithoutPathIds,
    /// The field decodes in both encodings, and an earlier PDU is held.
    Ambiguous {
        /// The encoding to use if the PDU cannot be held.
        expected: Encoding,
    },
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyWithPathIds => "decodable only with path IDs, which were not expected",
            Self::OnlyWithoutPathIds => "decodable only without path IDs, which were expected",
            Self::Ambiguous { .. } => "decodable with and without path IDs, and an earlier PDU is held",
        })
    }
}

/// What a field shows about the first held PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstHeld {
    /// The router does send in the unexpected encoding, from the first held PDU on.
    Confirmed,
    /// The first held PDU was malformed.
    Malformed,
}

/// Judges one field.
#[inline]
pub(super) fn judge(field: Field<'_>, expectation: &Expectation, history: &History) -> Verdict {
    let path_ids_expected = expectation
        .add_path_override
        .or(history.path_ids)
        .unwrap_or(expectation.negotiated.add_path || expectation.declares_path_ids);
    let find_other = || expectation.find(!path_ids_expected, |encoding| field.is_convincing(encoding));
    if let Some(expected) = expectation.find(path_ids_expected, |encoding| field.is_plausible(encoding)) {
        return if history.held == 0 {
            Verdict::Read(expected)
        } else if history.held < HELD_MAX && find_other().is_some() {
            Verdict::Hold(HoldReason::Ambiguous { expected })
        } else {
            Verdict::Replay { encoding: expected, first_held: FirstHeld::Malformed }
        };
    }
    let malformed = Verdict::Read(expectation.encoding(path_ids_expected));
    if expectation.add_path_override.is_some() {
        return malformed;
    }
    let Some(encoding) = find_other() else { return malformed };
    let is_first = history.held == 0 || history.first_held_is_current;
    if is_first && (expectation.from_opens || expectation.declares_path_ids) {
        return Verdict::Hold(if path_ids_expected {
            HoldReason::OnlyWithoutPathIds
        } else {
            HoldReason::OnlyWithPathIds
        });
    }
    Verdict::Replay { encoding, first_held: FirstHeld::Confirmed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: Encoding = Encoding { add_path: true, multiple_labels: false };
    const WITHOUT: Encoding = Encoding { add_path: false, multiple_labels: false };
    /// 10.1.2.0/24 without a path ID.
    const PLAIN: &[u8] = &[24, 10, 1, 2];
    /// 10.1.2.0/24 with path ID 1.
    const WITH_ID: &[u8] = &[0, 0, 0, 1, 24, 10, 1, 2];
    /// Two /24 without path IDs, or one /24 with a path ID.
    const EITHER: &[u8] = &[24, 10, 1, 4, 24, 10, 1, 5];
    /// A prefix length above 32.
    const MALFORMED: &[u8] = &[33, 1, 2, 3, 4, 5];

    const NEGOTIATED_WITHOUT: Expectation = Expectation {
        negotiated: WITHOUT,
        from_opens: true,
        declares_path_ids: false,
        allows_several_labels: false,
        add_path_override: None,
    };

    fn verdict(bytes: &[u8], expectation: &Expectation, history: History) -> Verdict {
        judge(Field { family: Family::IPV4_UNICAST, bytes, is_withdrawal: false }, expectation, &history)
    }

    #[test]
    fn a_second_contradicting_message_replays_the_first() {
        let judge = |bytes, held| verdict(bytes, &NEGOTIATED_WITHOUT, History { held, ..History::default() });
        assert_eq!(judge(PLAIN, 0), Verdict::Read(WITHOUT));
        assert_eq!(judge(EITHER, 0), Verdict::Read(WITHOUT));
        assert_eq!(judge(MALFORMED, 0), Verdict::Read(WITHOUT));
        assert_eq!(judge(WITH_ID, 0), Verdict::Hold(HoldReason::OnlyWithPathIds));
        let ambiguous = HoldReason::Ambiguous { expected: WITHOUT };
        assert_eq!(judge(EITHER, 1), Verdict::Hold(ambiguous));
        let malformed = Verdict::Replay { encoding: WITHOUT, first_held: FirstHeld::Malformed };
        assert_eq!(judge(EITHER, HELD_MAX), malformed);
        assert_eq!(judge(PLAIN, 1), malformed);
        let confirmed = Verdict::Replay { encoding: WITH, first_held: FirstHeld::Confirmed };
        assert_eq!(judge(WITH_ID, 1), confirmed);
    }

    #[test]
    fn without_opens_one_message_decides_and_an_override_always() {
        let no_opens = Expectation { from_opens: false, ..NEGOTIATED_WITHOUT };
        let confirmed = Verdict::Replay { encoding: WITH, first_held: FirstHeld::Confirmed };
        assert_eq!(verdict(WITH_ID, &no_opens, History::default()), confirmed);
        let set = Expectation { add_path_override: Some(false), ..NEGOTIATED_WITHOUT };
        assert_eq!(verdict(WITH_ID, &set, History::default()), Verdict::Read(WITHOUT));
    }

    #[test]
    fn earlier_evidence_and_a_declaration_replace_the_negotiated_encoding() {
        let changed = History { path_ids: Some(true), ..History::default() };
        assert_eq!(verdict(WITH_ID, &NEGOTIATED_WITHOUT, changed), Verdict::Read(WITH));
        let without_ids = Verdict::Hold(HoldReason::OnlyWithoutPathIds);
        assert_eq!(verdict(PLAIN, &NEGOTIATED_WITHOUT, changed), without_ids);
        let declared = Expectation { declares_path_ids: true, ..NEGOTIATED_WITHOUT };
        assert_eq!(verdict(WITH_ID, &declared, History::default()), Verdict::Read(WITH));
    }

    #[test]
    fn a_field_does_not_confirm_another_field_of_its_message() {
        let current = History { held: 1, first_held_is_current: true, ..History::default() };
        let hold = Verdict::Hold(HoldReason::OnlyWithPathIds);
        assert_eq!(verdict(WITH_ID, &NEGOTIATED_WITHOUT, current), hold);
    }
}
