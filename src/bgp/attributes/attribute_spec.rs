//! Flags and error handling of the attributes that are decoded.

use crate::route::attribute_code::{
    AGGREGATOR, AIGP, AS_PATH, AS4_AGGREGATOR, AS4_PATH, ATOMIC_AGGREGATE, ATTR_SET, BGP_LS, CLUSTER_LIST,
    COMMUNITIES, EXTENDED_COMMUNITIES, IPV6_EXTENDED_COMMUNITIES, LARGE_COMMUNITIES, LOCAL_PREF,
    MULTI_EXIT_DISC, NEXT_HOP, ONLY_TO_CUSTOMER, ORIGIN, ORIGINATOR_ID, PMSI_TUNNEL, PREFIX_SID,
    TUNNEL_ENCAPSULATION,
};

/// The Optional and Transitive flag bits (RFC 4271 section 4.3).
const CATEGORY_FLAGS: u8 = 0xc0;

const WELL_KNOWN: u8 = 0x40;
const OPTIONAL_TRANSITIVE: u8 = 0xc0;
const OPTIONAL_NON_TRANSITIVE: u8 = 0x80;

/// Handling of a malformed attribute (RFC 7606 section 2).
#[derive(Clone, Copy)]
pub(super) enum ErrorHandling {
    /// The attribute is left out.
    AttributeDiscard,
    /// All routes of the UPDATE count as withdrawn.
    TreatAsWithdraw,
}

/// Properties of an attribute type.
#[derive(Clone, Copy)]
pub(super) struct AttributeSpec {
    /// Required Optional and Transitive bits.
    flags: u8,
    /// Handling of a malformed value.
    pub(super) malformed: ErrorHandling,
    /// Handling of wrong Optional or Transitive bits: treat-as-withdraw, "unless the specification for the
    /// attribute mandates different handling" (RFC 7606 section 3.c).
    pub(super) wrong_flags: ErrorHandling,
}

impl AttributeSpec {
    /// The properties of a type code; `None` for an attribute that is not decoded.
    pub(super) const fn for_code(code: u8) -> Option<Self> {
        use ErrorHandling::{AttributeDiscard, TreatAsWithdraw};
        let (flags, malformed) = match code {
            ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF => (WELL_KNOWN, TreatAsWithdraw),
            ATOMIC_AGGREGATE => (WELL_KNOWN, AttributeDiscard),
            MULTI_EXIT_DISC | ORIGINATOR_ID | CLUSTER_LIST => (OPTIONAL_NON_TRANSITIVE, TreatAsWithdraw),
            // RFC 7311 section 3.2, RFC 9552 section 8.2.2.
            AIGP | BGP_LS => (OPTIONAL_NON_TRANSITIVE, AttributeDiscard),
            // RFC 7606 sections 7.7, RFC 6793 section 6, RFC 8669 section 6.
            AGGREGATOR | AS4_PATH | AS4_AGGREGATOR | PREFIX_SID => (OPTIONAL_TRANSITIVE, AttributeDiscard),
            // RFC 7606 sections 7.8, 7.14 to 7.16, RFC 8092 section 6, RFC 9234 section 5, RFC 9012 section
            // 13. RFC 6514 does not specify the handling; RFC 7606 section 2 then requires treat-as-withdraw.
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
        // RFC 7311 section 3.2, RFC 9552 section 8.2.2 and RFC 8669 section 6 mandate attribute-discard.
        let wrong_flags =
            if matches!(code, AIGP | BGP_LS | PREFIX_SID) { AttributeDiscard } else { TreatAsWithdraw };
        Some(Self { flags, malformed, wrong_flags })
    }

    /// The properties of the same attribute in an UPDATE to whose routes it does not apply: an error in it
    /// affects no route.
    pub(super) const fn discarded(self) -> Self {
        let handling = ErrorHandling::AttributeDiscard;
        Self { malformed: handling, wrong_flags: handling, ..self }
    }

    /// True if the Optional and Transitive bits of `flags` are those of the attribute type.
    pub(super) const fn has_flags(self, flags: u8) -> bool {
        flags & CATEGORY_FLAGS == self.flags
    }
}
