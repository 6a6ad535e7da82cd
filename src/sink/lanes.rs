//! Lanes: the drain is split so that no two connections ever store rows of the same peer.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::log_id::LogId;
use crate::num;
use crate::route::PeerKey;

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
    /// Number of the lane, from 0.
    pub number: u32,
    /// Number of lanes of the log, at least 1; fixed for the lifetime of the log.
    pub count: u32,
}

impl Lane {
    /// Whether the lane stores the rows of this peer.
    #[must_use]
    pub fn owns(&self, router: &str, key: &PeerKey) -> bool {
        lane_of(router, key, self.count) == self.number
    }

    /// Whether the lane stores the rows of routers and of the log. Lane 0 does.
    #[must_use]
    pub const fn owns_routers(&self) -> bool {
        self.number == 0
    }
}

/// Returns the number of the lane that stores the rows of a peer.
///
/// It depends only on router, distinguisher and peer address: all RIB views and peer types of an address are
/// in one lane, because a Peer Down concerns all of them.
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
    fn every_peer_has_exactly_one_lane() {
        for last in 0..=255 {
            let owners = (0..4)
                .map(|number| Lane { collector: String::new(), log_id: LogId::default(), number, count: 4 })
                .filter(|lane| lane.owns("r1", &key(last)))
                .count();
            assert_eq!(owners, 1);
        }
    }
}
