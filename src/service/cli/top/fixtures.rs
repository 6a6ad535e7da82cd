//! Status documents for the tests.

use crate::telemetry::status::{
    BgpSession, Completeness, Delivery, Document, Family, Health, Lane, LaneState, Listener, Peer, PeerState,
    Quarantined, Reload, Router, SessionTransport, StaleReason, Wal,
};

/// A connected router without peers, a second after the start of the daemon.
pub(super) fn router(name: &str) -> Router {
    Router {
        name: name.to_owned(),
        address: Some("192.0.2.1:40001".to_owned()),
        session: Some("2026-08-11T09:00:00.000000Z".to_owned()),
        connected: true,
        sys_descr: "FRRouting 10.3".to_owned(),
        last_message_age_s: Some(0.4),
        counted_ms: Some(1_000),
        dump_seen: true,
        ..Router::default()
    }
}

/// A peer with a complete table.
pub(super) fn peer(number: u32) -> Peer {
    let table = Family {
        family: "ipv4_unicast".to_owned(),
        end_of_rib: true,
        routes: u64::from(number) * 100,
        completeness: Completeness::Complete,
        ..Family::default()
    };
    Peer {
        address: format!("198.51.100.{}", number % 250),
        peer_type: 0,
        distinguisher: "0:0".to_owned(),
        asn: 65_000 + number,
        bgp_id: "10.0.0.1".to_owned(),
        state: PeerState::Up,
        reason: None,
        downs: 0,
        bgp_session: BgpSession::default(),
        views: [("adj-in-pre".to_owned(), vec![table])].into(),
    }
}

/// A healthy daemon, a second after its start, which delivers with two lanes.
pub(super) fn document(routers: Vec<Router>) -> Document {
    let lane = |lane, class: &str| Lane {
        lane,
        class: class.to_owned(),
        seq: Some(500),
        lag_s: Some(0.0),
        state: LaneState::CaughtUp,
        ..Lane::default()
    };
    Document {
        reload: Reload::default(),
        version: "0.1.0".to_owned(),
        collector: "test".to_owned(),
        pid: 4_242,
        time: "2026-08-11T09:30:01.000000Z".to_owned(),
        uptime_s: 1,
        uptime_ms: 1_000,
        state: Health::Healthy,
        reasons: Vec::new(),
        conditions: Vec::new(),
        listener: Listener::default(),
        routers,
        wal: Wal {
            log_id: "0f8fad5b-d9cb-469f-a165-70867728950e".to_owned(),
            dir: "/var/lib/holdfast/wal".to_owned(),
            written: 500,
            durable: 500,
            records_durable: 12_000,
            segments: 3,
            bytes: 48 << 20,
            bytes_max: 1 << 30,
            free_bytes: 20 << 30,
            ..Wal::default()
        },
        delivery: Some(Delivery {
            delivered: Some(500),
            lag_s: Some(0.0),
            lanes: vec![lane(0, "dump"), lane(1, "live")],
            ..Delivery::default()
        }),
        ..Document::default()
    }
}

/// Adds two seconds of work to a document and its routers.
pub(super) fn later(mut document: Document) -> Document {
    document.uptime_ms += 2_000;
    document.uptime_s += 2;
    document.time = "2026-08-11T09:30:03.000000Z".to_owned();
    document.wal.durable += 20;
    document.wal.written += 21;
    document.wal.records_durable += 4_000;
    document.wal.bytes += 3 << 20;
    for (router, number) in document.routers.iter_mut().zip(1_u64..) {
        router.counted_ms = router.counted_ms.map(|counted| counted + 2_000);
        router.messages += number * 20;
        router.bytes += number * 5_000;
        router.routes += number * 200;
        router.transport.blocked_s += if router.transport.receive_queue_bytes > 0 { 0.5 } else { 0.0 };
        router
            .peers
            .iter_mut()
            .flat_map(|peer| peer.views.values_mut())
            .flatten()
            .for_each(|one| one.routes += 60);
    }
    document
}

/// Two routers that send nothing.
pub(super) fn idle() -> Document {
    let routers = ["edge1", "edge2"].map(|name| Router { peers: vec![peer(1), peer(2)], ..router(name) });
    document(routers.to_vec())
}

/// Routers with all kinds of findings, and a delivery that lags.
pub(super) fn loaded() -> Document {
    let with = |name: &str, peers: u32| Router { peers: (1..=peers).map(peer).collect(), ..router(name) };
    let mut down = with("edge1", 3);
    down.peers[1].state = PeerState::Down;
    let mut queued = with("edge2", 3);
    queued.transport = SessionTransport {
        security: "TLS 1.3".to_owned(),
        receive_queue_bytes: 250_000,
        blocked_s: 12.0,
        ..SessionTransport::default()
    };
    let mut paused = with("edge3", 4);
    (paused.log_paused_s, paused.log_bytes) = (Some(34.0), 80 << 20);
    paused.transport.receive_queue_bytes = 4 << 20;
    let mut tables = with("a-router-with-a-long-name.example.net", 2);
    let families = tables.peers[0].views.get_mut("adj-in-pre").unwrap();
    let missing = Family { family: "ipv6_unicast".to_owned(), missing: true, ..Family::default() };
    (families[0].suspect, families[0].end_of_rib) = (true, false);
    families.push(missing);
    tables.peers[1] = Peer {
        address: "2001:db8:0:1234:5678:9abc:def0:1".to_owned(),
        distinguisher: "192.0.2.1:7".to_owned(),
        state: PeerState::Stale,
        reason: Some(StaleReason::NotReannounced),
        views: [].into(),
        ..peer(7)
    };
    let gone = Router {
        address: None,
        connected: false,
        last_message_age_s: None,
        counted_ms: None,
        ..router("core\u{1b}[2J1")
    };
    let mut document = document(vec![down, queued, paused, tables, gone, with("edge4", 1)]);
    document.state = Health::Degraded;
    document.reasons = vec![
        "routers not connected: core [2J1".to_owned(),
        "routers wait (ROUTER_LOG_SHARE): edge3 (80.0 MiB, 1.2 MiB/s)".to_owned(),
        "delivery lag 75 s".to_owned(),
        "records set aside in rejected_routes, of edge4: value too long (22001); see `holdfast rejected`"
            .to_owned(),
        "12 records rejected by the database; see `holdfast rejected`".to_owned(),
    ];
    (document.wal.bytes, document.wal.unsynced_records, document.wal.unsynced_s) = (600 << 20, 17, 0.02);
    document.wal.hours_left = Some(3.25);
    let delivery = document.delivery.as_mut().unwrap();
    (delivery.lag_s, delivery.lag_batches, delivery.lag_routes) = (Some(75.2), 120, 98_000);
    (delivery.rejected, delivery.quarantined) = (12, 1);
    let (router, error) = ("edge4".to_owned(), "value too long (22001)".to_owned());
    delivery.quarantined_sources = vec![Quarantined { router, peer: None, error }];
    delivery.lanes[1] =
        Lane { lag_s: Some(75.2), state: LaneState::Draining, seq: Some(380), ..delivery.lanes[1].clone() };
    document
}

/// The database was not reached since the start.
pub(super) fn database_away() -> Document {
    let mut document = idle();
    document.state = Health::Degraded;
    let error = "connection to 192.0.2.9:5432 refused".to_owned();
    document.reasons =
        vec!["delivery lag 4000 s".to_owned(), format!("database not reached since start: {error}")];
    document.delivery = Some(Delivery {
        lag_batches: 500,
        lag_routes: 12_000,
        last_error: Some(error),
        last_error_class: Some("connection".to_owned()),
        ..Delivery::default()
    });
    document
}

/// 2,000 routers with three peers each; 40 are not connected, and one is paused.
pub(super) fn many() -> Document {
    let routers = (0..2_000_u32).map(|number| {
        let is_connected = number % 50 > 0;
        Router {
            connected: is_connected,
            address: is_connected.then(|| format!("10.0.{}.{}:40000", number / 250, number % 250)),
            log_paused_s: (number == 777).then_some(12.0),
            log_bytes: u64::from(number) << 10,
            peers: (0..3).map(|index| peer(number % 100 + index)).collect(),
            ..router(&format!("edge{number:04}"))
        }
    });
    let mut document = document(routers.collect());
    document.state = Health::Degraded;
    document.reasons = vec![
        "routers not connected: edge0000, edge0050, edge0100, edge0150, edge0200 and 35 more".to_owned(),
        "routers wait (ROUTER_LOG_SHARE): edge0777 (0.8 MiB, 0.0 MiB/s)".to_owned(),
    ];
    document
}
