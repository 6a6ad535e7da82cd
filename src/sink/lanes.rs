//! Lanes: how the drain is split so that two connections never touch the same peer.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::route::PeerKey;

/// Fixed for ever: with another key, the rows of a peer would change lanes in the middle of a log.
const LANE_KEYS: (u64, u64) = (0x686f_6c64_6661_7374, 0x6c61_6e65_6b65_7930);

/// One lane of one log of one collector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The collector's identity.
    pub collector: String,
    /// The log's identity.
    pub log_id: [u8; 16],
    /// Number, from 0.
    pub number: u32,
    /// How many lanes the log has; fixed for its life.
    pub count: u32,
}

impl Lane {
    /// Whether the rows of this peer are this lane's.
    #[must_use]
    pub fn owns(&self, router: &str, key: &PeerKey) -> bool {
        lane_of(router, key, self.count) == self.number
    }

    /// Whether what concerns a router as a whole, or the log, is this lane's.
    #[must_use]
    pub const fn owns_routers(&self) -> bool {
        self.number == 0
    }

    /// The log's identity as PostgreSQL reads it.
    #[must_use]
    pub fn log_id_text(&self) -> String {
        uuid_text(self.log_id)
    }
}

/// The lane of a peer. Views and peer types of one address share it, because a Peer Down concerns all of them.
#[must_use]
pub fn lane_of(router: &str, key: &PeerKey, count: u32) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(LANE_KEYS.0, LANE_KEYS.1);
    hasher.write(router.as_bytes());
    // No router name has this byte (it is no UTF-8), so name and distinguisher cannot run into each other.
    hasher.write_u8(0xff);
    hasher.write(&key.distinguisher.to_be_bytes());
    match key.address {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    u32::try_from(hasher.finish() % u64::from(count.max(1))).unwrap_or(0)
}

/// `8-4-4-4-12` in hex.
#[must_use]
pub fn uuid_text(bytes: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let mut text = String::with_capacity(36);
    for (place, digit) in hex.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> PeerKey {
        PeerKey { peer_type: 0, distinguisher: 0, address: [192, 0, 2, last].into() }
    }

    #[test]
    fn the_lane_of_a_peer_never_changes() {
        // Computed by another SipHash-1-3; a failure here means that logs in the field would be split differently after an update.
        let lanes: Vec<u32> = (1..=12).map(|last| lane_of("r1", &key(last), 3)).collect();
        assert_eq!(lanes, [1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0, 1]);
    }

    #[test]
    fn every_peer_has_exactly_one_lane() {
        for last in 0..=255 {
            let owners = (0..4)
                .map(|number| Lane { collector: String::new(), log_id: [0; 16], number, count: 4 })
                .filter(|lane| lane.owns("r1", &key(last)))
                .count();
            assert_eq!(owners, 1);
        }
    }

    #[test]
    fn uuids_read_as_usual() {
        let bytes = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
        assert_eq!(uuid_text(bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
