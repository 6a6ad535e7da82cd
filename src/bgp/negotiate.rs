//! The session parameters that two OPENs agree on.

use super::family_set::FamilySet;
use super::nlri::Encoding;
use super::open::Open;
use crate::route::Family;

/// Encoding of the UPDATEs of one RIB view of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// True if AS numbers have four octets (RFC 6793).
    pub four_octet_as: bool,
    /// Address families whose routes have path identifiers (RFC 7911).
    pub add_path: FamilySet,
    /// Address families whose routes may have several labels (RFC 8277).
    pub multiple_labels: FamilySet,
}

/// The encoding without OPENs: four-octet AS numbers and no optional feature.
impl Default for Negotiated {
    fn default() -> Self {
        Self { four_octet_as: true, add_path: FamilySet::new(), multiple_labels: FamilySet::new() }
    }
}

impl Negotiated {
    /// The NLRI encoding of an address family.
    #[inline]
    #[must_use]
    pub fn encoding(&self, family: Family) -> Encoding {
        Encoding {
            add_path: self.add_path.contains(family),
            multiple_labels: self.multiple_labels.contains(family),
        }
    }
}

/// Direction in which the routes of a RIB view pass over the monitored BGP session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Adj-RIB-In: from the peer to the router.
    In,
    /// Adj-RIB-Out: from the router to the peer.
    Out,
    /// Loc-RIB: no session exists; the router generates the OPENs of the Peer Up to signal the encoding (RFC
    /// 9069 section 5.2).
    Local,
}

/// Derives the encoding of a RIB view from the two OPENs of a Peer Up: `sent` by the router, `received` from
/// its peer.
///
/// ADD-PATH is directional (RFC 7911 section 5): it is in use from one side to the other if the first can
/// send and the second can receive. Multiple labels are in use in both directions if both OPENs contain the
/// family (RFC 8277 section 2.1).
#[must_use]
pub fn negotiate(sent: &Open, received: &Open, direction: Direction) -> Negotiated {
    let can_send = |open: &Open| -> FamilySet {
        open.add_path().filter(|add_path| add_path.send).map(|add_path| add_path.family).collect()
    };
    let can_receive = |open: &Open| -> FamilySet {
        open.add_path().filter(|add_path| add_path.receive).map(|add_path| add_path.family).collect()
    };
    let both = |sender: &Open, receiver: &Open| -> FamilySet {
        let receiver = can_receive(receiver);
        can_send(sender).iter().filter(|family| receiver.contains(*family)).collect()
    };
    let labels = |open: &Open| -> FamilySet { open.multiple_labels().collect() };
    let add_path = match direction {
        Direction::In => both(received, sent),
        Direction::Out => both(sent, received),
        Direction::Local => {
            sent.add_path().chain(received.add_path()).map(|add_path| add_path.family).collect()
        }
    };
    let multiple_labels = if direction == Direction::Local {
        sent.multiple_labels().chain(received.multiple_labels()).collect()
    } else {
        let received_labels = labels(received);
        labels(sent).iter().filter(|family| received_labels.contains(*family)).collect()
    };
    // Loc-RIB UPDATEs always have four-octet AS numbers (RFC 9069 section 5.4.1).
    let four_octet_as = direction == Direction::Local || (sent.four_octet_as() && received.four_octet_as());
    Negotiated { four_octet_as, add_path, multiple_labels }
}
