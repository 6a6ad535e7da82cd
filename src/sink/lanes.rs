//! Lanes: the drain is split so that no two connections store the same route at the same time.
//!
//! ```text
//!                  peers of shard 0    peers of shard 1    …
//!   class dump     lane 0              lane 1                 and, in lane 0, records that concern no peer
//!   class live     lane n              lane n + 1
//!
//!                  routes of shard 0   routes of shard 1   …
//!   class bulk     lane 0              lane 1
//! ```
//!
//! The lanes store each route in the order of the log, and no route before an earlier event of its peer or
//! after a later one (docs/ARCHITECTURE.md, "Classes"): no lane stores a batch before the dump lanes have
//! stored [`Batch::after`], and a dump lane stores no batch before the live lane of its shard has stored
//! those before it.

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
    /// Dump for a lane that stores batches of class dump and bulk, live for one that stores those of class
    /// live.
    #[must_use]
    pub const fn class(&self) -> Class {
        if self.number < self.count { Class::Dump } else { Class::Live }
    }

    /// Number of the shard, whose peers the lane stores.
    #[must_use]
    pub const fn shard(&self) -> u32 {
        if self.number < self.count { self.number } else { self.number - self.count }
    }

    /// Number of the live lane of the same shard.
    #[must_use]
    pub const fn live_lane(&self) -> u32 {
        self.shard() + self.count
    }

    /// Numbers of the dump lanes without this one.
    pub fn other_dump_lanes(&self) -> impl Iterator<Item = u32> + Clone {
        let own = self.number;
        (0..self.count).filter(move |number| *number != own)
    }

    /// Whether batches of this class have records that a lane of this class stores.
    #[must_use]
    pub const fn stores(&self, class: Class) -> bool {
        matches!((self.class(), class), (Class::Dump, Class::Dump | Class::Bulk) | (Class::Live, Class::Live))
    }

    /// Whether the lane may store records of a batch of this class. If not, the batch need not be decoded.
    #[must_use]
    pub const fn reads(&self, class: Class) -> bool {
        self.owns_routers() || self.stores(class)
    }

    /// Whether the lane stores the events of this peer in a batch, and its routes unless the batch is of
    /// class bulk.
    #[must_use]
    pub fn owns(&self, batch: &Batch, key: &PeerKey) -> bool {
        self.stores(batch.class) && lane_of(&batch.router.name, key, self.count) == self.shard()
    }

    /// Whether the lane stores a route in a batch of class bulk, by the route's key in the current table.
    #[must_use]
    pub fn owns_bulk_route(&self, route_key: &[u8]) -> bool {
        // Each lane stores the attribute sets of its routes for itself, and neighbouring prefixes often share
        // one: of a unicast route, the first 16 bits of an IPv4 prefix and 32 of an IPv6 prefix count.
        let significant = match route_key {
            [0, 1, 1, ..] => route_key.get(..5),
            [0, 2, 1, ..] => route_key.get(..7),
            _ => None,
        };
        let mut hasher = SipHasher13::new_with_keys(LANE_KEYS.0, LANE_KEYS.1);
        hasher.write(significant.unwrap_or(route_key));
        self.class() == Class::Dump && shard_of_hash(hasher.finish(), self.count) == self.shard()
    }

    /// Whether the lane stores a route of this peer in a batch.
    #[must_use]
    pub fn owns_route(&self, batch: &Batch, peer: &PeerKey, route_key: impl FnOnce() -> Vec<u8>) -> bool {
        match batch.class {
            Class::Bulk => self.owns_bulk_route(&route_key()),
            Class::Dump | Class::Live => self.owns(batch, peer),
        }
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
    shard_of_hash(hasher.finish(), count)
}

fn shard_of_hash(hash: u64, count: u32) -> u32 {
    num::to_u32_saturating(num::to_usize(hash % u64::from(count.max(1))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        for class in [Class::Dump, Class::Live, Class::Bulk] {
            let batch = Batch { class, ..Batch::new(router.clone()) };
            for last in 0..=255 {
                let owners = |owns: &dyn Fn(&Lane) -> bool| {
                    let owners: Vec<Lane> = (0..8).map(lane).filter(|lane| owns(lane)).collect();
                    let [owner] = owners.as_slice() else { panic!("{owners:?}") };
                    assert!(owner.stores(class) && owner.reads(class));
                    owner.shard()
                };
                assert_eq!(owners(&|lane| lane.owns(&batch, &key(last))), lane_of("r1", &key(last), 4));
                let of_route = owners(&|lane| lane.owns_route(&batch, &key(last), || vec![last]));
                assert!(class == Class::Bulk || of_route == lane_of("r1", &key(last), 4));
            }
            assert!(
                (0..8).all(|number| lane(number).reads(class) == (number == 0 || lane(number).stores(class)))
            );
        }
        assert_eq!((0..8).map(lane).filter(Lane::owns_routers).count(), 1);
        let bulk = Batch { class: Class::Bulk, ..Batch::new(router) };
        let owner = |route| (0..4).find(|number| lane(*number).owns_route(&bulk, &key(1), || vec![route]));
        let shards: BTreeSet<u32> = (0..64).filter_map(owner).collect();
        assert_eq!(
            shards,
            BTreeSet::from([0, 1, 2, 3]),
            "the routes of one peer are divided among all lanes"
        );
        assert_eq!((lane(2).live_lane(), lane(6).shard()), (6, 2));
        assert_eq!(lane(2).other_dump_lanes().collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(lane(6).other_dump_lanes().count(), 4);
    }
}
