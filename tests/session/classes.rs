//! The delivery class of a peer's records: when it changes, and the order of the batches around a change.

use std::net::Ipv4Addr;

use crate::common::messages::*;
use crate::common::sessions::{options, session};
use holdfast::route::{Batch, Class, EventKind, Record, Timestamp};
use holdfast::session::{Options, Session};

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

/// A router, and the log that its batches are appended to.
struct Router {
    session: Session,
    now: Timestamp,
    /// Sequence number of the last batch.
    logged: u64,
}

fn header(last: u8) -> Header {
    Header { address: Ipv4Addr::new(198, 51, 100, last), ..PEER }
}

/// Class, `after`, and number of records of each batch.
fn shape(batches: &[Batch]) -> Vec<(Class, u64, usize)> {
    batches.iter().map(|batch| (batch.class, batch.after, batch.records())).collect()
}

impl Router {
    fn new() -> Self {
        let options = Options { batch_records_max: 1_000_000, ..options(NOW) };
        Self { session: session(options), now: NOW, logged: 100 }
    }

    fn sends(&mut self, message: &[u8]) -> &mut Self {
        self.session.message(message, self.now);
        self
    }

    fn peer_up(&mut self, last: u8, port: u16) -> &mut Self {
        let open = |asn| open(asn, &[four_octet_as(asn), multiprotocol(1, 1)]);
        self.sends(&from_port(header(last).peer_up(&open(65_000), &open(65_001), &[]), port))
    }

    fn announces(&mut self, last: u8, third: u8) -> &mut Self {
        let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 0, third, 24));
        self.sends(&header(last).route_monitoring(&pdu))
    }

    /// Messages with 100 routes each.
    fn announces_many(&mut self, last: u8, messages: u8) -> &mut Self {
        for message in 0..messages {
            let nlri: Vec<u8> = (0..100_u8).flat_map(|third| v4(11, message, third, 24)).collect();
            let pdu = update(&[], &plain_attributes(&[65_001]), &nlri);
            self.sends(&header(last).route_monitoring(&pdu));
        }
        self
    }

    fn announces_ipv6(&mut self, last: u8) -> &mut Self {
        let ipv6 = [48, 0x20, 0x01, 0x0d, 0xb8, 0, 1];
        let next_hop = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let attributes = [plain_attributes(&[65_001]), mp_reach(2, 1, &next_hop, &ipv6)].concat();
        self.sends(&header(last).route_monitoring(&update(&[], &attributes, &[])))
    }

    fn end_of_rib(&mut self, last: u8) -> &mut Self {
        self.sends(&header(last).route_monitoring(&update(&[], &[], &[])))
    }

    /// A Peer Up with a dump of one route.
    fn dumps(&mut self, last: u8, port: u16) -> &mut Self {
        self.peer_up(last, port).announces(last, 1).end_of_rib(last)
    }

    /// Logs all batches.
    fn logs(&mut self) -> Vec<Batch> {
        let batches: Vec<Batch> = self.session.take_batches().collect();
        let mut last_dump = None;
        for batch in &batches {
            self.logged += 1;
            last_dump = if batch.class == Class::Live { last_dump } else { Some(self.logged) };
        }
        if last_dump.is_some() {
            self.session.dump_logged(last_dump);
        }
        batches
    }

    /// A second passes, after which the dump lanes have delivered all batches up to `delivered`.
    fn ticks(&mut self, delivered: u64, is_nearly_complete: bool) -> &mut Self {
        self.now.0 += 1_000_000;
        self.session.dump_delivered(delivered, is_nearly_complete);
        self.session.tick(self.now);
        self
    }

    /// A router whose peer 1 is in class live, since batch 101 is delivered.
    fn live() -> Self {
        let mut router = Self::new();
        router.dumps(1, 1).logs();
        router.ticks(101, false);
        router
    }
}

#[test]
fn a_peer_is_live_once_its_dump_is_over_and_delivered() {
    let mut router = Router::new();
    router.peer_up(1, 1).announces(1, 1);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 2)]);
    router.ticks(101, true).announces(1, 2);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 1)], "the dump goes on");
    router.end_of_rib(1).ticks(101, false).announces(1, 3);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 2)], "102 is not delivered");
    router.ticks(102, false).announces(1, 4);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 1)], "103 is not delivered");
    router.ticks(104, false).announces(1, 5);
    assert_eq!(shape(&router.logs()), [(Class::Live, 104, 1)]);
    router.ticks(1_000, false).announces(1, 6);
    assert_eq!(shape(&router.logs()), [(Class::Live, 104, 1)], "the barrier stays");
}

#[test]
fn a_peer_that_is_never_silent_is_live_when_little_is_left_to_deliver() {
    let mut router = Router::new();
    router.dumps(1, 1).logs();
    for third in 2..5 {
        router.announces(1, third).ticks(100, false).logs();
    }
    router.announces(1, 9).ticks(100, true).announces(1, 5);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 2)], "a record of the open batch is not logged yet");
    router.ticks(100, true).announces(1, 6);
    assert_eq!(shape(&router.logs()), [(Class::Live, 105, 1)], "the live lane waits for batch 105");
}

#[test]
fn a_peer_without_routes_and_a_peer_that_is_down_are_not_live() {
    let mut router = Router::new();
    router.peer_up(1, 1).logs();
    router.ticks(101, true).sends(&header(1).statistics(&[]));
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 1)]);
    let mut router = Router::live();
    router.sends(&header(1).peer_down(1, &[])).logs();
    router.ticks(1_000, true).sends(&header(1).statistics(&[]));
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 1)]);
}

#[test]
fn a_new_dump_is_logged_behind_the_live_records_of_its_peer() {
    let mut router = Router::live();
    router.announces(1, 2).sends(&header(1).peer_down(1, &[])).peer_up(1, 2).announces(1, 3);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Live, 101, 1), (Class::Dump, 0, 3)]);
    assert!(matches!(batches[1].events[0].kind, EventKind::PeerDown { .. }));
    let mut router = Router::live();
    router.announces(1, 2).peer_up(1, 2).announces(1, 3);
    assert_eq!(shape(&router.logs()), [(Class::Live, 101, 1), (Class::Dump, 0, 2)]);
}

#[test]
fn a_new_family_begins_a_dump() {
    let mut router = Router::live();
    router.announces(1, 2).announces_ipv6(1).announces(1, 3);
    assert_eq!(shape(&router.logs()), [(Class::Live, 101, 1), (Class::Dump, 0, 2)]);
}

#[test]
fn the_peers_of_an_address_change_their_class_together() {
    let mut router = Router::live();
    router.dumps(2, 1).logs();
    let other = Header { asn: 65_009, ..header(1) };
    let pdu = update(&[], &plain_attributes(&[65_001]), &v4(10, 9, 9, 24));
    router.ticks(102, false).announces(1, 2).sends(&other.route_monitoring(&pdu));
    router.announces(1, 3).announces(2, 4);
    assert_eq!(
        shape(&router.logs()),
        [(Class::Live, 102, 2), (Class::Dump, 0, 2)],
        "peer 2 stays live; of peer 1, what follows the other peer of its address is of class dump"
    );
    router.ticks(1_000, true).announces(1, 4);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 1)], "the dump of the other peer goes on");
}

#[test]
fn updates_in_bulk_are_of_class_bulk_until_they_end() {
    let mut router = Router::live();
    router.announces_many(1, 101);
    assert_eq!(shape(&router.logs()), [(Class::Live, 101, 10_000), (Class::Dump, 0, 100)]);
    router.announces(1, 1);
    assert_eq!(shape(&router.logs()), [(Class::Bulk, 103, 1)], "behind the records of class dump");
    router.ticks(1_000, true).announces(1, 2);
    assert_eq!(shape(&router.logs()), [(Class::Bulk, 103, 1)], "not quiet in the last second");
    router.ticks(104, false).announces(1, 3);
    assert_eq!(shape(&router.logs()), [(Class::Bulk, 103, 1)], "105 is not delivered");
    router.ticks(1_000, true).announces(1, 4);
    assert_eq!(shape(&router.logs()), [(Class::Live, 106, 1)]);
}

#[test]
fn a_table_is_of_class_bulk_until_the_next_event_of_its_peer() {
    let mut router = Router::new();
    router.dumps(2, 2).peer_up(1, 1).announces_many(1, 100);
    let first = router.logs();
    assert_eq!(shape(&first), [(Class::Dump, 0, 10_004)]);
    assert!(first[0].follows_bulk, "another session of the router may have sent routes in bulk before");
    router.announces(1, 1).announces(2, 1).sends(&header(1).statistics(&[])).announces(1, 2);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Bulk, 101, 2), (Class::Dump, 0, 2)]);
    assert!(batches[0].events.is_empty() && !batches[1].follows_bulk, "a report concerns no route");
    router.announces(1, 3).end_of_rib(1).announces(1, 4);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Bulk, 101, 1), (Class::Dump, 0, 2)]);
    assert!(batches[1].follows_bulk);
    router.announces(1, 5);
    assert_eq!(shape(&router.logs()), [(Class::Bulk, 105, 1)], "the routes are still many");
    router.ticks(0, false).sends(&header(1).peer_down(1, &[])).announces(1, 6);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Dump, 0, 2)]);
    assert!(batches[0].follows_bulk && !router.announces(1, 7).logs()[0].follows_bulk);
}

#[test]
fn a_peer_that_was_live_without_a_record_follows_its_routes_in_bulk() {
    let mut router = Router::new();
    router.peer_up(1, 1).announces_many(1, 100).end_of_rib(1).logs();
    router.announces(1, 1);
    assert_eq!(shape(&router.logs()), [(Class::Bulk, 101, 1)]);
    router.ticks(0, false).ticks(1_000, true).sends(&header(1).peer_down(1, &[]));
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Dump, 0, 1)]);
    assert!(batches[0].follows_bulk);
}

#[test]
fn the_end_of_a_session_follows_its_routes_in_bulk() {
    let mut router = Router::new();
    router.peer_up(1, 1).announces_many(1, 100).logs();
    router.announces(1, 1).logs();
    router.session.end(&holdfast::route::SessionEnd::Lost, router.now);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Dump, 0, 2)]);
    assert!(batches[0].follows_bulk);
}

#[test]
fn a_new_family_ends_the_bulk() {
    let mut router = Router::new();
    router.peer_up(1, 1).announces_many(1, 100).logs();
    router.announces(1, 1).announces_ipv6(1).announces(1, 2);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Bulk, 101, 1), (Class::Dump, 0, 2)]);
    assert!(batches[1].follows_bulk);
}

#[test]
fn records_that_concern_no_peer_and_the_end_of_the_session_are_of_class_dump() {
    let mut router = Router::live();
    router.announces(1, 2).sends(&initiation("edge1"));
    assert_eq!(shape(&router.logs()), [(Class::Live, 101, 1), (Class::Dump, 0, 1)]);
    router.session.end(&holdfast::route::SessionEnd::Lost, router.now);
    let batches = router.logs();
    assert_eq!(shape(&batches), [(Class::Dump, 0, 2)]);
    let stale = batches[0].iter().next();
    assert!(matches!(stale, Some(Record::Event(event)) if matches!(event.kind, EventKind::PeerStale { .. })));
}

#[test]
fn a_session_that_shares_its_name_has_no_live_records() {
    let mut router = Router::live();
    router.session.suspend_live();
    router.announces(1, 2);
    router.ticks(102, false);
    assert_eq!(
        shape(&router.logs()),
        [(Class::Dump, 0, 1)],
        "of a later batch than those that are delivered"
    );
    router.ticks(102, false).announces(1, 3);
    assert_eq!(shape(&router.logs()), [(Class::Live, 102, 1)]);
}

#[test]
fn dump_batches_that_are_long_undelivered_are_remembered_in_bounded_memory() {
    let mut router = Router::new();
    router.dumps(1, 1).logs();
    for _ in 0..5_000 {
        router.announces(1, 1).logs();
    }
    router.ticks(100, false).ticks(5_100, false).announces(1, 2);
    assert_eq!(shape(&router.logs()), [(Class::Dump, 0, 1)], "the last of the batches is not delivered");
    router.ticks(5_102, false).announces(1, 3);
    assert_eq!(shape(&router.logs()), [(Class::Live, 5_102, 1)]);
}
