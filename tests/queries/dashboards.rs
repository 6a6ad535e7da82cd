//! Every SQL panel of the dashboards in deploy/grafana returns rows from a database with routes of every
//! family and events of every kind. `tools/dashboards run` sends the queries as Grafana would.

use std::path::Path;

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::{Database, Edition};
use crate::common::nlri_samples::samples;
use crate::common::process;
use crate::common::store::Store;
use crate::known::{HOUR, mac_route, now};
use holdfast::bgp;
use holdfast::route::{
    Attributes, Batch, Cause, EventKind, Family, Peer, RibView, SessionEnd, Statistic, SuspectScope,
    Timestamp,
};
use holdfast::sink::{load_vrps, parse_vrps};

const MINUTE: i64 = HOUR / 60;
/// AS number that originates most routes.
const ORIGIN: u32 = 64_496;

/// The RIB view of most routes; its AS number is 65001.
fn main_view() -> Peer {
    peer(1, RibView::AdjInPre, 1)
}

fn session_up(name: &str) -> EventKind {
    EventKind::SessionUp { sys_name: name.to_owned(), sys_descr: "FRR".to_owned(), information: vec![] }
}

/// Counters of every type that a panel shows.
fn statistics() -> EventKind {
    let of = |kind, family| Statistic { kind, family, value: Some(5), raw: vec![] };
    EventKind::Statistics(vec![of(0, None), of(7, None), of(35, Some(Family::IPV4_UNICAST))])
}

/// Routes of every family, with a route target.
fn every_family(mut builder: Builder) -> Builder {
    let with_target = Attributes {
        extended_communities: vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 1]],
        ..attributes(&[65_001, ORIGIN])
    };
    let stack = bgp::Encoding { add_path: false, multiple_labels: true };
    for sample in samples() {
        let routes = bgp::nlri(sample.family, &sample.bytes, stack, false);
        let routes: Vec<_> = routes.map(|entry| (None, entry.unwrap().nlri)).collect();
        builder = builder.routes(&main_view(), sample.family, Some(&with_target), routes);
    }
    builder
}

/// A table, changes of every kind, a leak, and a policy that rejects and changes routes.
fn changes() -> Vec<Batch> {
    let begin = now() - 3 * HOUR;
    let at = |minutes: i64| Builder::new("r1", begin).at(begin + minutes * MINUTE);
    let (one, post) = (main_view(), peer(1, RibView::AdjInPost, 1));
    let two = Peer { asn: 65_002, ..peer(2, RibView::AdjInPre, 1) };
    let tagged = Attributes { local_pref: Some(200), ..attributes(&[65_001, ORIGIN]) };
    let entry = |number| [(None, prefix(number))];
    let gap = EventKind::Gap {
        reason: "crash".to_owned(),
        from: Timestamp(crate::common::batches::NOW + begin - MINUTE),
        until: Timestamp(crate::common::batches::NOW + begin),
    };
    let malformed = EventKind::Malformed {
        error: "ORIGIN at 30: length 2, expected 1".to_owned(),
        suspect: Some(SuspectScope::Family(Family::IPV6_UNICAST)),
        pdu: vec![0xff; 30],
    };
    let families = every_family(at(2).event(Some(&one), malformed).event(Some(&one), statistics()));
    let mut batches = vec![
        at(0)
            .event(None, session_up("r1"))
            .event(None, gap)
            .event(Some(&one), peer_up())
            .announce(&one, 0..5, &[65_001, ORIGIN])
            .because(Cause::InitialDump)
            .event(Some(&one), EventKind::EndOfRib { family: Family::IPV4_UNICAST })
            .build(),
        at(1)
            .routes(&post, Family::IPV4_UNICAST, Some(&tagged), entry(1))
            .announce(&post, [2], &[65_001, ORIGIN])
            .event(Some(&two), peer_up())
            .announce(&two, [1], &[65_002, 64_499])
            .build(),
        families.build(),
        at(3).announce(&one, [3], &[65_001, 64_500, ORIGIN]).build(),
    ];
    // The busiest prefix, whose origin changes within the last hour.
    for (minutes, path) in [(4, &[65_001, ORIGIN][..]), (5, &[65_001, 7, ORIGIN]), (150, &[65_001, 64_497])] {
        batches.push(at(minutes).announce(&one, [1], path).build());
    }
    batches.push(at(170).withdraw(&one, [1]).announce(&one, [1], &[65_001, ORIGIN]).build());
    for (minutes, vtep) in [(10, 1), (11, 2)] {
        let (attributes, nlri) = mac_route(vtep, [0; 10], vtep);
        batches.push(at(minutes).routes(&one, Family::EVPN, Some(&attributes), [(None, nlri)]).build());
    }
    batches
}

/// A router whose peer flaps and withdraws many routes at once, and one whose BMP session is lost.
fn troubles() -> Vec<Batch> {
    let begin = now() - 2 * HOUR;
    let at = |name: &str, minutes: i64| Builder::new(name, begin).at(begin + minutes * MINUTE);
    let (flapping, again) = (peer(3, RibView::AdjInPre, 1), peer(3, RibView::AdjInPre, 3));
    let lost = peer(4, RibView::AdjInPre, 1);
    vec![
        at("r2", 0).event(None, session_up("r2")).event(Some(&flapping), peer_up()).build(),
        at("r2", 1).event(Some(&flapping), peer_down()).build(),
        at("r2", 2)
            .event(Some(&again), peer_up())
            .announce(&again, 100..230, &[65_001, ORIGIN])
            .withdraw(&again, 100..220)
            .build(),
        at("r3", 0)
            .event(None, session_up("r3"))
            .event(Some(&lost), peer_up())
            .announce(&lost, 0..3, &[65_001, ORIGIN])
            .build(),
        at("r3", 5)
            .event(None, EventKind::SessionDown { end: SessionEnd::Lost })
            .event(Some(&lost), EventKind::PeerStale { end: SessionEnd::Lost })
            .build(),
    ]
}

/// The tables that the operator, the housekeeping and the error policy fill.
const OTHER_TABLES: &str = "
    INSERT INTO own_prefixes VALUES ('1.0.0.0/16', '{64496}', 24);
    INSERT INTO peer_roles VALUES (65001, 'customer'), (64500, 'provider');
    INSERT INTO rib_sizes SELECT now() - n * interval '6 hours', id, 1, 1, 5
        FROM bgp_peers, generate_series(0, 3) n;
    INSERT INTO collector_reports VALUES ('c1', now(), now());
    INSERT INTO rejected_routes (collector, log_id, seq, idx, lane, sqlstate, error, record, payload)
        SELECT collector, log_id, 1000, 0, 0, '22P02', 'invalid input', '{}', '\\x00' FROM ingest_checkpoint";

async fn fill(store: &mut Store) {
    for batch in [changes(), troubles()].concat() {
        store.put(&[batch]).await;
    }
    let mut client = store.database.client().await;
    let vrps = br#"{"roas": [{"asn": 64496, "prefix": "1.0.0.0/16", "maxLength": 24, "ta": "x"}]}"#;
    load_vrps(&mut client, &parse_vrps(vrps).unwrap(), "test").await.unwrap();
    client.batch_execute(OTHER_TABLES).await.unwrap();
}

/// Words of the panels' SQL that are tables: panels read views and functions, whose columns are kept.
async fn tables_in_panels(database: &Database) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboards");
    let texts: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(texts.len() > 10, "the dashboards were not found");
    let tables = database
        .texts(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'holdfast'::regnamespace
            AND relkind IN ('r', 'p')",
        )
        .await;
    assert!(tables.iter().any(|table| table == "route_records"), "{tables:?}");
    let is_read = |table: &&String| {
        texts.iter().any(|text| {
            ["FROM ", "JOIN "].iter().any(|before| {
                text.split(&format!("{before}{table}")).skip(1).any(|rest| {
                    !rest.starts_with(|sign: char| sign.is_alphanumeric() || "_(`.".contains(sign))
                })
            })
        })
    };
    tables.iter().filter(is_read).cloned().collect()
}

#[tokio::test]
async fn every_panel_of_the_dashboards_returns_rows() {
    if process::command("python3").arg("--version").output().is_err() {
        println!("SKIPPED: python3 not found");
        return;
    }
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "dashboards").await else { continue };
        fill(&mut store).await;
        assert_eq!(tables_in_panels(&store.database).await, Vec::<String>::new());
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/dashboards");
        let output = process::command(tool).args(["run", &store.database.url(), "--quiet"]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        if output.status.code() == Some(3) {
            println!("SKIPPED: {text}");
        } else {
            assert!(output.status.success(), "{edition:?}\n{text}");
        }
        drop(store.connection);
        store.database.drop().await;
    }
}
