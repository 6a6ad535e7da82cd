//! Names of routers: which session is stored under which name.
//!
//! A name identifies a router in the database, so that no sender may get the name of another router:
//!
//! * A name of `BMP_ROUTER_NAMES` belongs to its address, whether or not its owner is connected, and so does
//!   a name that ends with `@` and an address, which is that of a router whose name was in use.
//! * A name that a connected router at another address has is in use.
//! * A name whose router was last recorded from another address has moved, which is permitted by default,
//!   because routers change their source address.
//!
//! A router that does not get its name is stored as `NAME@ADDRESS`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Registry;
use crate::route::Timestamp;

/// Maximum number of alarms that are kept.
const ALARMS_MAX: usize = 16;

/// The name that a session claims.
#[derive(Clone, Copy, Debug)]
pub(in crate::listener) struct ClaimedName<'a> {
    /// The configured name of the router, else its sysName, else its address.
    pub(in crate::listener) name: &'a str,
    /// True if the name is that of this router by its certificate or by the configuration.
    pub(in crate::listener) is_assigned: bool,
    /// The address to which the configuration assigns the name.
    pub(in crate::listener) owner: Option<IpAddr>,
    /// The address from which the router of this name was last recorded.
    pub(in crate::listener) last_address: Option<IpAddr>,
    /// If true, a router that has moved gets another name.
    pub(in crate::listener) moves_denied: bool,
}

/// Result of claiming a router name.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::listener) enum Claim {
    /// No other live session has the name.
    Exclusive(String),
    /// A live session from the same address has the name too. Usually that connection is dead and has not
    /// timed out yet, for example after a power failure of the router. Both sessions keep the name; records
    /// of the newer session take precedence, because its identity is greater.
    Overlapping(String),
    /// A live session from another address has the name. This is the distinct name under which the second
    /// router is stored.
    Conflicting(String),
    /// The name belongs to another address.
    Reserved {
        /// The name under which the router is stored.
        stored_as: String,
        /// The address to which the name belongs.
        owner: IpAddr,
    },
    /// The router of this name was last recorded from another address.
    Moved {
        /// The name under which the router is stored; another one if moves are denied.
        stored_as: String,
        /// The address from which it was last recorded.
        from: IpAddr,
    },
}

/// A router that claimed the name of another address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAlarm {
    /// The claimed name.
    pub name: String,
    /// The name under which the router is stored.
    pub stored_as: String,
    /// Address of the router.
    pub address: IpAddr,
    /// The address to which the name belongs, or from which the router was last recorded.
    pub other: IpAddr,
    /// True if the name belongs to the other address by configuration.
    pub is_reserved: bool,
}

/// An alarm with its session and its time.
#[derive(Debug)]
pub(super) struct RaisedAlarm {
    alarm: NameAlarm,
    session: Timestamp,
    raised: Instant,
}

/// The alarms of the last sessions, oldest first.
pub(super) type Alarms = VecDeque<RaisedAlarm>;

impl Claim {
    /// The name under which the router is stored.
    pub(in crate::listener) fn name(&self) -> &str {
        match self {
            Self::Exclusive(name) | Self::Overlapping(name) | Self::Conflicting(name) => name,
            Self::Reserved { stored_as, .. } | Self::Moved { stored_as, .. } => stored_as,
        }
    }

    /// The alarm that the claim of `name` from `address` raises.
    fn alarm(&self, name: &str, address: IpAddr) -> Option<NameAlarm> {
        let (stored_as, other, is_reserved) = match self {
            Self::Exclusive(_) | Self::Overlapping(_) | Self::Conflicting(_) => return None,
            Self::Reserved { stored_as, owner } => (stored_as.clone(), *owner, true),
            Self::Moved { stored_as, from } => (stored_as.clone(), *from, false),
        };
        Some(NameAlarm { name: name.to_owned(), stored_as, address, other, is_reserved })
    }
}

/// The address at the end of a name of the form `NAME@ADDRESS`.
fn address_in(name: &str) -> Option<IpAddr> {
    name.rsplit_once('@')?.1.parse().ok()
}

impl Registry {
    /// Claims a router name for a session.
    pub(in crate::listener) fn claim(&self, session: Timestamp, claimed: ClaimedName<'_>) -> Claim {
        let ClaimedName { name, is_assigned, owner, last_address, moves_denied } = claimed;
        let mut inner = self.lock();
        let Some(own) = inner.live.get(&session).map(|live| live.address.ip()) else {
            return Claim::Exclusive(name.to_owned());
        };
        let another = || format!("{name}@{own}");
        let is_other = |address: &IpAddr| *address != own;
        let owner = owner.or_else(|| address_in(name)).filter(is_other).filter(|_| !is_assigned);
        let moved_from = last_address.filter(is_other).filter(|_| !is_assigned);
        let mut others =
            inner.live.iter().filter(|(id, live)| **id != session && live.name == name).peekable();
        let claim = if let Some(owner) = owner {
            Claim::Reserved { stored_as: another(), owner }
        } else if others.peek().is_some() {
            if others.any(|(_, live)| live.address.ip() == own) {
                Claim::Overlapping(name.to_owned())
            } else {
                Claim::Conflicting(another())
            }
        } else if let Some(from) = moved_from {
            let stored_as = if moves_denied { another() } else { name.to_owned() };
            Claim::Moved { stored_as, from }
        } else {
            Claim::Exclusive(name.to_owned())
        };
        if let Some(live) = inner.live.get_mut(&session) {
            claim.name().clone_into(&mut live.name);
            live.has_conflict = matches!(claim, Claim::Conflicting(_));
        }
        if let Claim::Overlapping(name) = &claim {
            inner.live.values_mut().filter(|live| live.name == *name).for_each(|live| live.overlaps = true);
        }
        if let Some(alarm) = claim.alarm(name, own) {
            inner.alarms.retain(|raised| raised.alarm != alarm);
            if inner.alarms.len() >= ALARMS_MAX {
                inner.alarms.pop_front();
            }
            inner.alarms.push_back(RaisedAlarm { alarm, session, raised: Instant::now() });
        }
        claim
    }

    /// Whether another live session is stored under the name of this one.
    pub(in crate::listener) fn shares_name(&self, session: Timestamp) -> bool {
        let mut inner = self.lock();
        let Some(live) = inner.live.get(&session).filter(|live| live.overlaps) else { return false };
        let overlaps = inner.live.iter().any(|(id, other)| *id != session && other.name == live.name);
        if let Some(live) = inner.live.get_mut(&session) {
            live.overlaps = overlaps;
        }
        overlaps
    }

    /// The last alarms that were raised within `max_age`, or whose session is connected under another name
    /// than it claimed.
    #[must_use]
    pub fn name_alarms(&self, max_age: Duration) -> Vec<NameAlarm> {
        let inner = self.lock();
        let is_current = |raised: &&RaisedAlarm| {
            let NameAlarm { name, stored_as, .. } = &raised.alarm;
            let is_live = inner.live.get(&raised.session).is_some_and(|live| live.name == *stored_as);
            raised.raised.elapsed() < max_age || (is_live && name != stored_as)
        };
        inner.alarms.iter().filter(is_current).map(|raised| raised.alarm.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::super::{SessionEntry, tests};
    use super::*;

    /// A session from 192.0.2.`last_octet`.
    fn begin(registry: &Arc<Registry>, last_octet: u8) -> SessionEntry {
        let address = SocketAddr::new(ip(last_octet), 1);
        tests::begin(registry, address, Timestamp(0))
    }

    fn ip(last_octet: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last_octet])
    }

    fn unpinned(name: &str) -> ClaimedName<'_> {
        ClaimedName { name, is_assigned: false, owner: None, last_address: None, moves_denied: false }
    }

    #[test]
    fn two_routers_that_claim_one_name_stay_two() {
        let registry = Registry::new(Timestamp(0));
        let (first, second) = (begin(&registry, 1), begin(&registry, 2));
        let exclusive = || Claim::Exclusive("edge1".to_owned());
        assert_eq!(registry.claim(first.session(), unpinned("edge1")), exclusive());
        assert_eq!(registry.claim(first.session(), unpinned("edge1")), exclusive(), "claimed twice");
        let conflict = Claim::Conflicting("edge1@192.0.2.2".to_owned());
        assert_eq!(registry.claim(second.session(), unpinned("edge1")), conflict);
        assert_eq!(registry.conflicts(), ["edge1@192.0.2.2"]);
        drop(first);
        let third = begin(&registry, 3);
        assert_eq!(registry.claim(third.session(), unpinned("edge1")), exclusive(), "released by the first");
    }

    #[test]
    fn a_router_that_reconnects_before_its_old_connection_times_out_keeps_its_name() {
        let registry = Registry::new(Timestamp(0));
        let (old, new) = (begin(&registry, 1), begin(&registry, 1));
        registry.claim(old.session(), unpinned("edge1"));
        let overlapping = Claim::Overlapping("edge1".to_owned());
        assert_eq!(registry.claim(new.session(), unpinned("edge1")), overlapping);
        assert!(registry.conflicts().is_empty());
    }

    #[test]
    fn a_reserved_name_is_that_of_its_owner_alone() {
        let registry = Registry::new(Timestamp(0));
        let (stranger, owner) = (begin(&registry, 9), begin(&registry, 5));
        let pinned = ClaimedName { owner: Some(ip(5)), ..unpinned("edge1") };
        let reserved = Claim::Reserved { stored_as: "edge1@192.0.2.9".to_owned(), owner: ip(5) };
        assert_eq!(registry.claim(stranger.session(), pinned), reserved);
        let assigned = ClaimedName { is_assigned: true, last_address: Some(ip(9)), ..pinned };
        assert_eq!(registry.claim(owner.session(), assigned), Claim::Exclusive("edge1".to_owned()));
        // The distinct name of a router belongs to its address.
        let other = begin(&registry, 8);
        let derived = Claim::Reserved { stored_as: "edge1@192.0.2.9@192.0.2.8".to_owned(), owner: ip(9) };
        assert_eq!(registry.claim(other.session(), unpinned("edge1@192.0.2.9")), derived);
        let own = Claim::Overlapping("edge1@192.0.2.9".to_owned());
        let again = begin(&registry, 9);
        assert_eq!(registry.claim(again.session(), unpinned("edge1@192.0.2.9")), own);
    }

    #[test]
    fn a_router_at_another_address_has_moved_unless_its_name_is_in_use() {
        let registry = Registry::new(Timestamp(0));
        let router = begin(&registry, 2);
        let moved = ClaimedName { last_address: Some(ip(1)), ..unpinned("edge1") };
        let denied = ClaimedName { moves_denied: true, ..moved };
        let stored = |stored_as: &str| Claim::Moved { stored_as: stored_as.to_owned(), from: ip(1) };
        assert_eq!(registry.claim(router.session(), denied), stored("edge1@192.0.2.2"));
        assert_eq!(registry.claim(router.session(), moved), stored("edge1"));
        let late = begin(&registry, 3);
        let conflict = Claim::Conflicting("edge1@192.0.2.3".to_owned());
        assert_eq!(registry.claim(late.session(), moved), conflict);
        let same = begin(&registry, 1);
        let home = ClaimedName { moves_denied: true, ..unpinned("edge2") };
        let home = ClaimedName { last_address: Some(ip(1)), ..home };
        assert_eq!(registry.claim(same.session(), home), Claim::Exclusive("edge2".to_owned()));
    }

    #[test]
    fn an_alarm_lasts_for_its_time_and_as_long_as_the_stranger_is_connected() {
        let registry = Registry::new(Timestamp(0));
        let hour = Duration::from_hours(1);
        let stranger = begin(&registry, 9);
        let pinned = ClaimedName { owner: Some(ip(5)), ..unpinned("edge1") };
        registry.claim(stranger.session(), pinned);
        registry.claim(stranger.session(), pinned);
        let shown = registry.name_alarms(Duration::ZERO);
        assert_eq!(
            shown.iter().map(|alarm| alarm.stored_as.as_str()).collect::<Vec<_>>(),
            ["edge1@192.0.2.9"]
        );
        drop(stranger);
        assert_eq!((registry.name_alarms(Duration::ZERO).len(), registry.name_alarms(hour).len()), (0, 1));
        // A move that is permitted needs attention for its time only.
        let moved = begin(&registry, 2);
        let claimed = ClaimedName { last_address: Some(ip(1)), ..unpinned("edge2") };
        registry.claim(moved.session(), claimed);
        assert_eq!((registry.name_alarms(Duration::ZERO).len(), registry.name_alarms(hour).len()), (0, 2));
        for number in 0..100 {
            let name = format!("edge{number}");
            registry.claim(moved.session(), ClaimedName { owner: Some(ip(5)), ..unpinned(&name) });
        }
        assert_eq!(registry.name_alarms(hour).len(), ALARMS_MAX);
    }
}
