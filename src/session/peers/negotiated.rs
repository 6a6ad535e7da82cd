//! The BGP session of a Peer Up: its identity, and what its two OPENs negotiate for each direction.

use crate::bgp::{self, Direction, FamilySet, Negotiated, Open};
use crate::route::{Family, RibView};

/// The BGP session of a Peer Up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::session) struct BgpSession {
    /// Hash of both OPENs.
    pub(in crate::session) opens: u64,
    /// Local and remote TCP port; 0 if the router sent none.
    pub(in crate::session) ports: (u16, u16),
}

impl BgpSession {
    /// Whether both Peer Ups are of the same BGP session: the OPENs are equal, and so are the ports that both
    /// have.
    pub(in crate::session) const fn is_same(self, other: Self) -> bool {
        const fn fits(port: u16, other: u16) -> bool {
            port == other || port == 0 || other == 0
        }
        self.opens == other.opens && fits(self.ports.0, other.ports.0) && fits(self.ports.1, other.ports.1)
    }

    /// This BGP session with the ports of an earlier Peer Up of it where this one has none.
    pub(in crate::session) const fn complete(mut self, earlier: Self) -> Self {
        if self.ports.0 == 0 {
            self.ports.0 = earlier.ports.0;
        }
        if self.ports.1 == 0 {
            self.ports.1 = earlier.ports.1;
        }
        self
    }
}

/// The negotiated capabilities of one peer. Without a Peer Up they are the defaults of [`Negotiated`].
///
/// The AS number width of an UPDATE is not taken from here: the A flag of each message announces it (RFC 7854
/// section 4.2).
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct PeerCapabilities {
    /// Families that both OPENs contain (RFC 4760 section 8).
    pub(in crate::session) families: FamilySet,
    /// Whether a Peer Up carried two OPENs that could be decoded.
    pub(in crate::session) from_opens: bool,
    /// For Adj-RIB-In: from the peer to the router.
    inbound: Negotiated,
    /// For Adj-RIB-Out: from the router to the peer.
    outbound: Negotiated,
    /// For Loc-RIB, whose Peer Up carries the same OPEN twice (RFC 9069 section 5.2).
    local: Negotiated,
}

impl PeerCapabilities {
    /// Negotiates the capabilities of the OPEN that the router sent and the one that it received.
    pub(in crate::session) fn from_opens(sent: &Open, received: &Open) -> Self {
        let towards = |direction| bgp::negotiate(sent, received, direction);
        let of_received = received.families();
        Self {
            families: sent.families().into_iter().filter(|family| of_received.contains(family)).collect(),
            from_opens: true,
            inbound: towards(Direction::In),
            outbound: towards(Direction::Out),
            local: towards(Direction::Local),
        }
    }

    /// Adds the capabilities of another Peer Up of the same generation.
    pub(in crate::session) fn extend(&mut self, other: Self) {
        self.from_opens |= other.from_opens;
        self.families.extend(other.families.iter());
        let pairs = [
            (&mut self.inbound, other.inbound),
            (&mut self.outbound, other.outbound),
            (&mut self.local, other.local),
        ];
        for (known, other) in pairs {
            known.four_octet_as |= other.four_octet_as;
            known.add_path.extend(other.add_path.iter());
            known.multiple_labels.extend(other.multiple_labels.iter());
        }
    }

    /// The capabilities that apply to the UPDATEs of a RIB view.
    pub(in crate::session) const fn for_view(&self, view: RibView) -> &Negotiated {
        match view {
            RibView::AdjInPre | RibView::AdjInPost | RibView::Unknown => &self.inbound,
            RibView::AdjOutPre | RibView::AdjOutPost => &self.outbound,
            RibView::LocRib => &self.local,
        }
    }

    /// Heap memory in bytes: twice the size of the families, because a vector may have twice the capacity it
    /// needs.
    pub(in crate::session) fn heap_bytes(&self) -> usize {
        let families = |negotiated: &Negotiated| negotiated.add_path.len() + negotiated.multiple_labels.len();
        let families: usize = [&self.inbound, &self.outbound, &self.local].map(families).iter().sum();
        2 * (families + self.families.len()) * size_of::<Family>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_memory_is_twice_the_size_of_the_families() {
        let families = |safis: std::ops::Range<u8>| safis.map(|safi| Family { afi: 1, safi }).collect();
        let mut capabilities = PeerCapabilities::default();
        assert_eq!(capabilities.heap_bytes(), 0);
        capabilities.inbound.add_path = families(1..4);
        capabilities.local.multiple_labels = families(1..3);
        assert_eq!(capabilities.heap_bytes(), 2 * 5 * size_of::<Family>());
    }

    #[test]
    fn another_peer_up_without_readable_opens_takes_nothing_away() {
        let read = || PeerCapabilities { from_opens: true, ..PeerCapabilities::default() };
        for (mut known, other) in
            [(read(), PeerCapabilities::default()), (PeerCapabilities::default(), read())]
        {
            known.extend(other);
            assert!(known.from_opens);
        }
    }
}
