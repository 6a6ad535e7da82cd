//! Connection slots: limits in total and per source, slots reserved for configured routers, and connections
//! that give up their slot because they have not identified themselves.
//!
//! A connection takes a slot of `BMP_MAX_CONNECTIONS`. One source may take many of them, because hundreds of
//! routers can stand behind one address; but the last tenth is for sources with few connections. Each
//! configured router that is not connected has one reserved, which no other sender gets. If no other slot is
//! free, a connection that has sent neither an Initiation nor a per-peer message is closed for
//!
//! * a further connection of a configured router, or
//! * a source that would have fewer connections than the source of the closed one has left.
//!
//! So a sender that opens many connections without being a router displaces its own connections, and not a
//! router. A connection that has identified itself is never closed for another one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::refusals::RefusalReason;
use super::source::Source;
use super::{Inner, LiveSession, Meter, Registry, SessionEntry};
use crate::route::Timestamp;
use crate::session::Counters;

/// One in this many slots is kept for sources with few connections.
const SLOTS_PER_KEPT: usize = 10;

/// Limits of connections, and the routers for which slots are reserved.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Maximum number of simultaneous connections.
    pub connections_max: usize,
    /// Number of simultaneous connections from one source above which it gets no slot of the last tenth. A
    /// source is an IPv4 address, the address of a configured router, or an IPv6 /64.
    pub per_source_max: usize,
    /// Addresses of configured routers.
    pub configured: BTreeSet<IpAddr>,
    /// Names of configured routers; their address is that of their last session.
    pub configured_names: Vec<String>,
}

impl Slots {
    /// The addresses of all configured routers. `last_address` returns the address of the last session of a
    /// router.
    pub(crate) fn addresses(&self, last_address: impl Fn(&str) -> Option<IpAddr>) -> BTreeSet<IpAddr> {
        let learned = self.configured_names.iter().filter_map(|name| last_address(name));
        self.configured.iter().copied().chain(learned).collect()
    }
}

/// Use of the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotUse {
    /// Open connections.
    pub connections: usize,
    /// Open connections that have not identified themselves as a router.
    pub unidentified: usize,
    /// Slots that only configured routers get.
    pub reserved: usize,
}

/// An admitted connection.
pub(in crate::listener) struct Admitted {
    pub(in crate::listener) entry: SessionEntry,
    /// The connection that was closed for it.
    pub(in crate::listener) displaced: Option<SocketAddr>,
}

impl Registry {
    /// Admits a connection, or counts it as refused. `configured` are the addresses of configured routers.
    pub(in crate::listener) fn admit(
        registry: &Arc<Self>,
        address: SocketAddr,
        (slots, configured): (&Slots, &BTreeSet<IpAddr>),
        now: Timestamp,
    ) -> Result<Admitted, RefusalReason> {
        let is_configured = configured.contains(&address.ip());
        let source = Source::new(address.ip(), is_configured);
        let mut inner = registry.lock();
        let own = inner.sources.get(&source).copied().unwrap_or_default();
        let free = slots.connections_max.saturating_sub(inner.live.len());
        if own >= slots.per_source_max && free <= slots.connections_max / SLOTS_PER_KEPT {
            inner.refusals.note(RefusalReason::PerAddress, source, is_configured);
            return Err(RefusalReason::PerAddress);
        }
        let reserved = if is_configured && own == 0 { 0 } else { inner.reserved(configured) };
        let mut displaced = None;
        if inner.live.len().saturating_add(reserved) >= slots.connections_max {
            let Some(victim) = inner.displaceable(is_configured, own, configured) else {
                inner.refusals.note(RefusalReason::Connections, source, is_configured);
                return Err(RefusalReason::Connections);
            };
            displaced = inner.remove(victim).map(|live| {
                live.displaced.notify_one();
                live.address
            });
            registry.displaced.fetch_add(1, Ordering::Relaxed);
        }
        registry.accepted.fetch_add(1, Ordering::Relaxed);
        let (session, meter, notify) = inner.insert(address, source, now);
        drop(inner);
        let registry = Arc::clone(registry);
        let entry = SessionEntry { registry, session, address, meter, displaced: notify, is_finished: false };
        Ok(Admitted { entry, displaced })
    }

    /// Counts a connection that is refused before it needs a slot.
    pub(in crate::listener) fn refuse(&self, reason: RefusalReason, address: IpAddr) {
        self.lock().refusals.note(reason, Source::new(address, false), false);
    }

    /// Use of the slots. `configured` are the addresses of configured routers.
    pub(crate) fn slot_use(&self, configured: &BTreeSet<IpAddr>) -> SlotUse {
        let inner = self.lock();
        SlotUse {
            connections: inner.live.len(),
            unidentified: inner.live.values().filter(|live| !live.is_identified).count(),
            reserved: inner.reserved(configured),
        }
    }
}

impl Inner {
    /// Adds a session. Its identity is the current time, or one more than the last identity if that is
    /// greater, so that identities increase even if the clock is set back.
    pub(super) fn insert(
        &mut self,
        address: SocketAddr,
        source: Source,
        now: Timestamp,
    ) -> (Timestamp, Arc<Meter>, Arc<Notify>) {
        let session = now.max(Timestamp(self.last_session.0.saturating_add(1)));
        self.last_session = session;
        let (meter, displaced) = (Arc::new(Meter::default()), Arc::new(Notify::new()));
        let live = LiveSession {
            address,
            source,
            is_identified: false,
            displaced: Arc::clone(&displaced),
            name: String::new(),
            has_conflict: false,
            overlaps: false,
            summary: None,
            counters: Counters::default(),
            logged_until: now,
            meter: Arc::clone(&meter),
        };
        self.live.insert(session, live);
        *self.sources.entry(source).or_default() += 1;
        (session, meter, displaced)
    }

    /// Removes a session.
    pub(super) fn remove(&mut self, session: Timestamp) -> Option<LiveSession> {
        let removed = self.live.remove(&session)?;
        self.ended += &removed.counters;
        if let Some(count) = self.sources.get_mut(&removed.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&removed.source);
            }
        }
        Some(removed)
    }

    /// Number of configured routers that are not connected.
    fn reserved(&self, configured: &BTreeSet<IpAddr>) -> usize {
        configured.iter().filter(|address| !self.sources.contains_key(&Source::new(**address, true))).count()
    }

    /// The connection that is closed for a newcomer whose source has `own` connections: the oldest one of the
    /// source with the most connections that have not identified themselves.
    fn displaceable(
        &self,
        is_configured: bool,
        own: usize,
        configured: &BTreeSet<IpAddr>,
    ) -> Option<Timestamp> {
        let mut oldest: BTreeMap<Source, (usize, Timestamp)> = BTreeMap::new();
        for (session, live) in &self.live {
            if !live.is_identified && !configured.contains(&live.address.ip()) {
                oldest.entry(live.source).or_insert((0, *session)).0 += 1;
            }
        }
        let (count, session) = oldest.into_values().max_by_key(|(count, _)| *count)?;
        (is_configured || own.saturating_add(1) < count).then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    /// A registry with these limits, and the addresses of configured routers.
    struct Door {
        registry: Arc<Registry>,
        slots: Slots,
        configured: BTreeSet<IpAddr>,
    }

    impl Door {
        fn new(connections_max: usize, per_source_max: usize, configured: &[&str]) -> Self {
            let configured: BTreeSet<IpAddr> = configured.iter().map(|text| text.parse().unwrap()).collect();
            let slots = Slots {
                connections_max,
                per_source_max,
                configured: configured.clone(),
                configured_names: vec![],
            };
            Self { registry: Registry::new(Timestamp(0)), slots, configured }
        }

        fn admit(&self, address: &str) -> Result<Admitted, RefusalReason> {
            Registry::admit(&self.registry, at(address), (&self.slots, &self.configured), Timestamp(1))
        }

        fn enter(&self, address: &str) -> SessionEntry {
            self.admit(address).map(|admitted| admitted.entry).unwrap()
        }

        fn refusal(&self, address: &str) -> Option<RefusalReason> {
            self.admit(address).err()
        }
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_configured_router_in_it_is_another() {
        let door = Door::new(10, 2, &["2001:db8::1"]);
        let _held = [door.enter("2001:db8::8"), door.enter("2001:db8::9")];
        let _others: Vec<_> = (1..=6).map(|number| door.enter(&format!("2001:db8:0:{number}::9"))).collect();
        let _first = door.enter("2001:db8::1");
        assert_eq!(door.refusal("2001:db8::a"), Some(RefusalReason::PerAddress));
        let _second = door.enter("2001:db8::1");
        assert_eq!(door.refusal("2001:db8::1"), Some(RefusalReason::PerAddress));
        let report = door.registry.refusals();
        assert_eq!((report.configured, report.by_reason.values().sum::<u64>()), (1, 2));
    }

    #[test]
    fn one_source_leaves_a_tenth_of_the_slots_to_others() {
        let door = Door::new(20, 2, &[]);
        let _crowd: Vec<_> = (0..18).map(|_| door.enter("192.0.2.9")).collect();
        assert_eq!(door.refusal("192.0.2.9"), Some(RefusalReason::PerAddress));
        let _others = [door.enter("192.0.2.1"), door.enter("192.0.2.1")];
    }

    #[test]
    fn a_slot_is_reserved_for_each_configured_router_that_is_not_connected() {
        let door = Door::new(3, 3, &["192.0.2.1", "192.0.2.2"]);
        let stranger = door.enter("192.0.2.9");
        assert!(stranger.identify());
        assert_eq!(door.refusal("192.0.2.8"), Some(RefusalReason::Connections));
        let first = door.enter("192.0.2.1");
        assert_eq!(door.refusal("192.0.2.1"), Some(RefusalReason::Connections), "that is for the other one");
        let expected = SlotUse { connections: 2, unidentified: 1, reserved: 1 };
        assert_eq!(door.registry.slot_use(&door.configured), expected);
        let _second = door.enter("192.0.2.2");
        first.finish();
        assert_eq!(door.refusal("192.0.2.8"), Some(RefusalReason::Connections), "reserved again");
        let _first = door.enter("192.0.2.1");
        assert_eq!(door.registry.slot_use(&door.configured).connections, 3);
    }

    #[test]
    fn a_connection_without_identity_gives_way_and_a_router_does_not() {
        let door = Door::new(4, 3, &["192.0.2.1"]);
        let _router = door.enter("192.0.2.1");
        let crowd = [door.enter("192.0.2.9"), door.enter("192.0.2.9"), door.enter("192.0.2.9")];
        assert!(crowd[0].identify());
        let newcomer = door.admit("192.0.2.8").unwrap();
        assert_eq!(newcomer.displaced, Some(at("192.0.2.9")));
        assert!(!crowd[1].identify() && crowd[2].identify(), "the oldest one without identity is closed");
        assert_eq!(door.refusal("192.0.2.7"), Some(RefusalReason::Connections));
    }

    #[test]
    fn only_a_configured_router_displaces_the_last_connection_of_a_source() {
        let door = Door::new(2, 2, &["192.0.2.1"]);
        let _router = door.enter("192.0.2.1");
        let stranger = door.enter("192.0.2.9");
        assert_eq!(door.refusal("192.0.2.8"), Some(RefusalReason::Connections));
        let again = door.admit("192.0.2.1").unwrap();
        assert_eq!(again.displaced, Some(at("192.0.2.9")));
        drop(stranger);
        let expected = SlotUse { connections: 2, unidentified: 2, reserved: 0 };
        assert_eq!(door.registry.slot_use(&door.configured), expected);
    }

    #[test]
    fn the_number_of_connections_of_a_source_is_that_of_its_open_ones() {
        let door = Door::new(1, 1, &[]);
        for _ in 0..3 {
            let entry = door.enter("192.0.2.9");
            assert_eq!(door.refusal("192.0.2.9"), Some(RefusalReason::PerAddress));
            entry.finish();
        }
        assert!(door.registry.lock().sources.is_empty());
    }
}
