//! Lanes: the drain is split so that no two connections store rows of the same peer at the same time.
//!
//! ```text
//!                  peers of shard 0   peers of shard 1   …
//!   class dump     lane 0             lane 1                 and, in lane 0, records that concern no peer
//!   class live     lane n             lane n + 1
//! ```
//!
//! The two lanes of a shard store the same peers, in the order of the log (docs/ARCHITECTURE.md,
//! "Classes"): a dump lane stores no batch before the live lane has stored those before it, and a live lane
//! no batch before the dump lane has stored [`Batch::after`]. Each peer is therefore stored in the order of
//! the log.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::log_id::LogId;
use crate::num;
use crate::route::{Batch, Class, PeerKey};

/// SipHash key of the lane assignment. Fixed: with another key, peers would change lanes in the middle of a
/// log.
const LANE_KEYS: (u64, u64) = (0x686f_6c64_6661_7374, 0x6c61_6e65_6b65_7930);

/// One lane of one log of one collector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// `COLLECTOR_ID` of the collector.
    pub collector: String,
    /// Identity of the log.
    pub log_id: LogId,
    /// Number of the lane, from 0: first the lanes of class dump, then those of class live.
    pub number: u32,
    /// Number of shards, and so of lanes of each class: at least 1; fixed for the lifetime of the log.
    pub count: u32,
}

impl Lane {
    /// The class of the batches that the lane stores.
    #[must_use]
    pub const fn class(&self) -> Class {
        if self.number < self.count { Class::Dump } else { Class::Live }
    }

    /// Number of the shard, whose peers the lane stores.
    #[must_use]
    pub const fn shard(&self) -> u32 {
        match self.class() {
            Class::Dump => self.number,
            Class::Live => self.number - self.count,
        }
    }

    /// Number of the lane of the same shard and the other class.
    #[must_use]
    pub const fn sibling(&self) -> u32 {
        match self.class() {
            Class::Dump => self.number + self.count,
            Class::Live => self.number - self.count,
        }
    }

    /// Whether the lane may store records of a batch of this class. If not, the batch need not be decoded.
    #[must_use]
    pub const fn reads(&self, class: Class) -> bool {
        self.owns_routers()
            || matches!((self.class(), class), (Class::Dump, Class::Dump) | (Class::Live, Class::Live))
    }

    /// Whether the lane stores the rows of this peer in a batch.
    #[must_use]
    pub fn owns(&self, batch: &Batch, key: &PeerKey) -> bool {
        batch.class == self.class() && lane_of(&batch.router.name, key, self.count) == self.shard()
    }

    /// Whether the lane stores the rows of routers and of the log. Lane 0 does, whatever the class of the
    /// batch.
    #[must_use]
    pub const fn owns_routers(&self) -> bool {
        self.number == 0
    }
}

/// Returns the number of the shard of a peer.
///
/// It depends only on router, distinguisher and peer address: all RIB views and peer types of an address are
/// in one shard, because a Peer Down concerns all of them.
#[must_use]
pub fn lane_of(router: &str, key: &PeerKey, count: u32) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(LANE_KEYS.0, LANE_KEYS.1);
    hasher.write(router.as_bytes());
    // A separator that cannot occur in a router name, because it is not valid UTF-8.
    hasher.write_u8(0xff);
    hasher.write(&key.distinguisher.to_be_bytes());
    match key.address {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    num::to_u32_saturating(num::to_usize(hasher.finish() % u64::from(count.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Router, Timestamp};

    fn key(last: u8) -> PeerKey {
        PeerKey { peer_type: 0, distinguisher: 0, address: [192, 0, 2, last].into() }
    }

    #[test]
    fn the_lane_of_a_peer_never_changes() {
        // Computed by another SipHash-1-3. A failure means that an update would split existing logs
        // differently.
        let lanes: Vec<u32> = (1..=12).map(|last| lane_of("r1", &key(last), 3)).collect();
        assert_eq!(lanes, [1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0, 1]);
    }

    #[test]
    fn every_record_has_exactly_one_lane() {
        let router = Router {
            name: "r1".to_owned(),
            address: [192, 0, 2, 254].into(),
            port: 0,
            session: Timestamp(1),
        };
        let lane = |number| Lane { collector: String::new(), log_id: LogId::default(), number, count: 4 };
        for class in [Class::Dump, Class::Live] {
            let batch = Batch { class, ..Batch::new(router.clone()) };
            for last in 0..=255 {
                let owners: Vec<Lane> =
                    (0..8).map(lane).filter(|lane| lane.owns(&batch, &key(last))).collect();
                let [owner] = owners.as_slice() else { panic!("{owners:?}") };
                assert!(owner.class() == class && owner.reads(class));
                assert_eq!(owner.shard(), lane_of("r1", &key(last), 4));
            }
            assert_eq!((0..8).map(lane).filter(Lane::owns_routers).count(), 1);
            assert!(
                lane(0).reads(class)
                    && (1..8).all(|number| lane(number).reads(class) == (lane(number).class() == class))
            );
        }
        assert!((0..8).all(|number| lane(lane(number).sibling()).sibling() == number));
        assert!((0..8).all(|number| lane(lane(number).sibling()).shard() == lane(number).shard()));
    }
}
