//! What the OPENs of a Peer Up agree on.

use crate::bgp::{self, Direction, Negotiated, Open};
use crate::route::{Family, RibView};

/// What the two OPENs agree on, for each direction. Without a Peer Up nothing is; the AS number width is told by each
/// message's A flag (RFC 7854 section 4.2).
#[derive(Clone, Debug, Default)]
pub(super) struct Agreed {
    /// There were two OPENs that could be read.
    pub(super) by_opens: bool,
    /// For Adj-RIB-In: what the router receives.
    pub(super) inbound: Negotiated,
    /// For Adj-RIB-Out: what the router sends.
    pub(super) outbound: Negotiated,
    /// For a Loc-RIB, whose Peer Up carries one OPEN twice (RFC 9069 section 5.2).
    pub(super) local: Negotiated,
}

impl Agreed {
    pub(super) fn by(sent: &Open, received: &Open) -> Self {
        let towards = |direction| bgp::negotiate(sent, received, direction);
        Self {
            by_opens: true,
            inbound: towards(Direction::In),
            outbound: towards(Direction::Out),
            local: towards(Direction::Local),
        }
    }

    pub(super) const fn of(&self, view: RibView) -> &Negotiated {
        match view {
            RibView::AdjInPre | RibView::AdjInPost | RibView::Unknown => &self.inbound,
            RibView::AdjOutPre | RibView::AdjOutPost => &self.outbound,
            RibView::LocRib => &self.local,
        }
    }

    /// What the families in it take.
    pub(super) fn bytes(&self) -> usize {
        let families = |agreed: &Negotiated| agreed.add_path.len() + agreed.multiple_labels.len();
        let families: usize = [&self.inbound, &self.outbound, &self.local].map(families).iter().sum();
        2 * families * size_of::<Family>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_twice_their_size_because_sets_keep_room() {
        let families = |safis: std::ops::Range<u8>| safis.map(|safi| Family { afi: 1, safi }).collect();
        let mut agreed = Agreed::default();
        assert_eq!(agreed.bytes(), 0);
        agreed.inbound.add_path = families(1..4);
        agreed.local.multiple_labels = families(1..3);
        assert_eq!(agreed.bytes(), 2 * 5 * size_of::<Family>());
    }
}
