//! The source address from which each router was last recorded. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::route::{Router, Timestamp};

/// Maximum number of routers whose address is kept. Their names are chosen by the routers.
const ADDRESSES_MAX: usize = 16_384;

/// The source address of the last session of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastAddress {
    /// Source address of the TCP connection.
    pub(super) address: IpAddr,
    /// Identity of the session.
    pub(super) session: Timestamp,
}

/// The last addresses, by the router's name.
pub(super) type Addresses = BTreeMap<String, LastAddress>;

/// Notes the address of a router, unless a later session of the router is known. Returns true if its entry
/// changed.
///
/// If there are too many entries, the oldest one of a router that is not `kept` is removed, and its name is
/// returned. If all are kept, a new router is not noted.
pub(super) fn note(
    addresses: &mut Addresses,
    router: &Router,
    kept: impl Fn(&str) -> bool,
) -> (bool, Option<String>) {
    let last = LastAddress { address: router.address, session: router.session };
    if let Some(known) = addresses.get_mut(&router.name) {
        let is_later = known.session < last.session;
        if is_later {
            *known = last;
        }
        return (is_later, None);
    }
    let mut removed = None;
    if addresses.len() >= ADDRESSES_MAX {
        let candidates = addresses.iter().filter(|(name, _)| !kept(name));
        let oldest = candidates.min_by_key(|(_, last)| last.session).map(|(name, _)| name.clone());
        let Some(oldest) = oldest else { return (false, None) };
        addresses.remove(&oldest);
        removed = Some(oldest);
    }
    addresses.insert(router.name.clone(), last);
    (true, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(name: &str, last_octet: u8, session: i64) -> Router {
        let address = IpAddr::from([192, 0, 2, last_octet]);
        Router { name: name.to_owned(), address, port: 1, session: Timestamp(session) }
    }

    #[test]
    fn the_address_is_that_of_the_latest_session() {
        let mut addresses = Addresses::new();
        for (last_octet, session, is_changed) in [(1, 5, true), (1, 5, false), (2, 4, false), (3, 6, true)] {
            let noted = note(&mut addresses, &router("edge1", last_octet, session), |_| false);
            assert_eq!(noted, (is_changed, None));
        }
        assert_eq!(addresses["edge1"].address, IpAddr::from([192, 0, 2, 3]));
    }

    #[test]
    fn the_number_of_addresses_is_bounded_and_routers_with_peers_are_kept() {
        let mut addresses = Addresses::new();
        for (number, session) in (0..ADDRESSES_MAX).zip(1..) {
            note(&mut addresses, &router(&format!("r{number}"), 1, session), |_| false);
        }
        let (is_noted, removed) = note(&mut addresses, &router("new", 1, 1 << 40), |name| name == "r0");
        assert_eq!((is_noted, removed.as_deref()), (true, Some("r1")));
        assert!(addresses.contains_key("r0") && addresses.len() == ADDRESSES_MAX);
        assert_eq!(note(&mut addresses, &router("newer", 1, 1 << 41), |_| true), (false, None));
        assert_eq!(addresses.len(), ADDRESSES_MAX);
    }
}
