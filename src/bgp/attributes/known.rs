//! The attributes that are decoded: names, flags, and what a malformed one costs.

pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
pub(super) const MULTI_EXIT_DISC: u8 = 4;
pub(super) const LOCAL_PREF: u8 = 5;
pub(super) const ATOMIC_AGGREGATE: u8 = 6;
pub(super) const AGGREGATOR: u8 = 7;
pub(super) const COMMUNITIES: u8 = 8;
pub(super) const ORIGINATOR_ID: u8 = 9;
pub(super) const CLUSTER_LIST: u8 = 10;
pub(super) const EXTENDED_COMMUNITIES: u8 = 16;
pub(super) const AS4_PATH: u8 = 17;
pub(super) const AS4_AGGREGATOR: u8 = 18;
pub(super) const AIGP: u8 = 26;
pub(super) const LARGE_COMMUNITIES: u8 = 32;
pub(super) const ONLY_TO_CUSTOMER: u8 = 35;

/// Flag bits that belong to the kind of an attribute (RFC 4271 section 4.3).
const KIND_FLAGS: u8 = 0xc0;

const WELL_KNOWN: u8 = 0x40;
const OPTIONAL_TRANSITIVE: u8 = 0xc0;
const OPTIONAL_NON_TRANSITIVE: u8 = 0x80;

/// What RFC 7606 asks for.
#[derive(Clone, Copy)]
pub(super) enum Penalty {
    /// The attribute is left out.
    Discard,
    /// The routes of the UPDATE are withdrawn.
    TreatAsWithdraw,
}

/// What is known of a type code.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// IANA name.
    pub(super) name: &'static str,
    /// Optional and Transitive bits.
    flags: u8,
    /// For a malformed value.
    pub(super) malformed: Penalty,
    /// For wrong Optional or Transitive bits: treat-as-withdraw, "unless the specification for the attribute mandates
    /// different handling" (RFC 7606 section 3.c).
    pub(super) wrong_flags: Penalty,
}

impl Known {
    pub(super) const fn of(code: u8) -> Option<Self> {
        use Penalty::{Discard, TreatAsWithdraw};
        let (name, flags, malformed) = match code {
            ORIGIN => ("ORIGIN", WELL_KNOWN, TreatAsWithdraw),
            AS_PATH => ("AS_PATH", WELL_KNOWN, TreatAsWithdraw),
            NEXT_HOP => ("NEXT_HOP", WELL_KNOWN, TreatAsWithdraw),
            MULTI_EXIT_DISC => ("MULTI_EXIT_DISC", OPTIONAL_NON_TRANSITIVE, TreatAsWithdraw),
            LOCAL_PREF => ("LOCAL_PREF", WELL_KNOWN, TreatAsWithdraw),
            ATOMIC_AGGREGATE => ("ATOMIC_AGGREGATE", WELL_KNOWN, Discard),
            AGGREGATOR => ("AGGREGATOR", OPTIONAL_TRANSITIVE, Discard),
            COMMUNITIES => ("COMMUNITIES", OPTIONAL_TRANSITIVE, TreatAsWithdraw),
            ORIGINATOR_ID => ("ORIGINATOR_ID", OPTIONAL_NON_TRANSITIVE, TreatAsWithdraw),
            CLUSTER_LIST => ("CLUSTER_LIST", OPTIONAL_NON_TRANSITIVE, TreatAsWithdraw),
            EXTENDED_COMMUNITIES => ("EXTENDED_COMMUNITIES", OPTIONAL_TRANSITIVE, TreatAsWithdraw),
            AS4_PATH => ("AS4_PATH", OPTIONAL_TRANSITIVE, Discard),
            AS4_AGGREGATOR => ("AS4_AGGREGATOR", OPTIONAL_TRANSITIVE, Discard),
            AIGP => ("AIGP", OPTIONAL_NON_TRANSITIVE, Discard),
            LARGE_COMMUNITIES => ("LARGE_COMMUNITIES", OPTIONAL_TRANSITIVE, TreatAsWithdraw),
            ONLY_TO_CUSTOMER => ("ONLY_TO_CUSTOMER", OPTIONAL_TRANSITIVE, TreatAsWithdraw),
            _ => return None,
        };
        // RFC 7311 section 3.2 does mandate otherwise.
        let wrong_flags = if code == AIGP { Discard } else { TreatAsWithdraw };
        Some(Self { name, flags, malformed, wrong_flags })
    }

    pub(super) const fn has_flags(self, flags: u8) -> bool {
        flags & KIND_FLAGS == self.flags
    }
}
