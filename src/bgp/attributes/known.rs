//! The attributes that are decoded: flags, and what a malformed one costs. Their names stand in `route`.

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
pub(super) const PMSI_TUNNEL: u8 = 22;
pub(super) const TUNNEL_ENCAPSULATION: u8 = 23;
pub(super) const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
pub(super) const AIGP: u8 = 26;
pub(super) const LINK_STATE: u8 = 29;
pub(super) const LARGE_COMMUNITIES: u8 = 32;
pub(super) const ONLY_TO_CUSTOMER: u8 = 35;
pub(super) const PREFIX_SID: u8 = 40;
pub(super) const ATTR_SET: u8 = 128;

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
        let (flags, malformed) = match code {
            ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF => (WELL_KNOWN, TreatAsWithdraw),
            ATOMIC_AGGREGATE => (WELL_KNOWN, Discard),
            MULTI_EXIT_DISC | ORIGINATOR_ID | CLUSTER_LIST => (OPTIONAL_NON_TRANSITIVE, TreatAsWithdraw),
            // RFC 7311 section 3.2, RFC 9552 section 8.2.2.
            AIGP | LINK_STATE => (OPTIONAL_NON_TRANSITIVE, Discard),
            // RFC 7606 sections 7.7, RFC 6793 section 6, RFC 8669 section 6.
            AGGREGATOR | AS4_PATH | AS4_AGGREGATOR | PREFIX_SID => (OPTIONAL_TRANSITIVE, Discard),
            // RFC 7606 sections 7.8, 7.14 to 7.16, RFC 8092 section 6, RFC 9234 section 5, RFC 9012 section 13; that of
            // RFC 6514 says nothing, and RFC 7606 section 2 then asks for the same.
            COMMUNITIES
            | EXTENDED_COMMUNITIES
            | IPV6_EXTENDED_COMMUNITIES
            | LARGE_COMMUNITIES
            | ONLY_TO_CUSTOMER
            | ATTR_SET
            | TUNNEL_ENCAPSULATION
            | PMSI_TUNNEL => (OPTIONAL_TRANSITIVE, TreatAsWithdraw),
            _ => return None,
        };
        // RFC 7311 section 3.2 and the sections on BGP-LS and Prefix-SID do mandate otherwise.
        let wrong_flags =
            if matches!(code, AIGP | LINK_STATE | PREFIX_SID) { Discard } else { TreatAsWithdraw };
        Some(Self { flags, malformed, wrong_flags })
    }

    pub(super) const fn has_flags(self, flags: u8) -> bool {
        flags & KIND_FLAGS == self.flags
    }
}
