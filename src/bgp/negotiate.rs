//! What two OPENs agree on.

use super::{Encoding, FamilySet, Open};
use crate::route::Family;

/// How the UPDATEs of a session, as one view shows them, are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// AS numbers have four octets.
    pub four_octet_as: bool,
    /// Families whose routes carry path identifiers.
    pub add_path: FamilySet,
    /// Families whose routes may carry several labels.
    pub multiple_labels: FamilySet,
}

/// What holds without OPENs: four octets, and nothing that must be agreed on.
impl Default for Negotiated {
    fn default() -> Self {
        Self { four_octet_as: true, add_path: FamilySet::new(), multiple_labels: FamilySet::new() }
    }
}

impl Negotiated {
    /// How the routes of a family are written.
    #[inline]
    #[must_use]
    pub fn encoding(&self, family: Family) -> Encoding {
        Encoding {
            add_path: self.add_path.contains(family),
            multiple_labels: self.multiple_labels.contains(family),
        }
    }
}

/// Which way the routes of a view went over the monitored BGP session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Adj-RIB-In: from the peer to the router.
    In,
    /// Adj-RIB-Out: from the router to the peer.
    Out,
    /// Loc-RIB: over no session; the OPENs of its Peer Up are made up to tell the encoding (RFC 9069 section 5.2).
    Local,
}

/// Reads the two OPENs of a Peer Up: `sent` by the router, `received` from its peer.
///
/// ADD-PATH has a direction (RFC 7911 section 5): paths come in when the peer sends and the router receives, they go
/// out when the router sends and the peer receives. Multiple labels have none: they are in use, both ways, when both
/// name the family (RFC 8277 section 2.1). One side alone changes nothing.
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
        let theirs = labels(received);
        labels(sent).iter().filter(|family| theirs.contains(*family)).collect()
    };
    // A Loc-RIB is always four octets wide (RFC 9069 section 5.4.1).
    let four_octet_as = direction == Direction::Local || (sent.four_octet_as() && received.four_octet_as());
    Negotiated { four_octet_as, add_path, multiple_labels }
}
