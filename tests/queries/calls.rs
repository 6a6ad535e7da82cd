//! Calls of `holdfast query` with their output and exit codes, as a user sees them: tests/golden/queries.
//!
//! Each file is a list of calls. A line that begins with `$` is a call; the lines after it are its standard
//! output, its standard error (with `! ` in front) and its exit code. UPDATE=1 writes them anew.

use std::fs;
use std::path::PathBuf;

use crate::common::batches::{self, Builder, attributes, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::store::{self, Store};
use holdfast::route::{
    AsPath, AsPathSegment, Attributes, Batch, Cause, Esi, EvpnRoute, Family, Mac, Nlri, Peer, Prefix, Rd,
    RibView, SegmentKind,
};
use holdfast::sink::{load_vrps, parse_vrps};

const MINUTE: i64 = 60_000_000;

/// 2024-03-01 12:00 UTC, as an offset from the builder's time: before the present, whenever the test runs.
const NOON: i64 = 1_709_294_400_000_000 - batches::NOW;

fn neighbour(last: u8, asn: u32, view: RibView) -> Peer {
    Peer { asn, ..peer(last, view, 1) }
}

fn v4(text: &str) -> Nlri {
    let (address, length) = text.split_once('/').unwrap();
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    Nlri::Prefix(Prefix::v4(address.to_bits(), length.parse().unwrap()).unwrap())
}

fn with_set(path: &[u32], set: &[u32]) -> Attributes {
    let segment = |kind, count: usize| AsPathSegment { kind, count: u16::try_from(count).unwrap() };
    let segments = vec![segment(SegmentKind::Sequence, path.len()), segment(SegmentKind::Set, set.len())];
    Attributes { as_path: Some(AsPath { asns: [path, set].concat(), segments }), ..attributes(path) }
}

fn mac_route() -> (Attributes, Nlri) {
    let mut attributes = Attributes { communities: vec![0xffff_ff01], ..attributes(&[65_001]) };
    attributes.extended_communities = vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 100]];
    let route = EvpnRoute::MacIp {
        rd: Rd([0, 1, 192, 0, 2, 1, 0, 1]),
        esi: Esi([0; 10]),
        tag: 0,
        mac: Mac([0, 0x11, 0x22, 0x33, 0x44, 0x55]),
        ip: Some([10, 0, 0, 1].into()),
        label: 100,
        label2: None,
    };
    (attributes, Nlri::Evpn(Box::new(route)))
}

/// Two routers, three peers, an hour of history, and one of everything that a query reports.
fn content() -> Vec<Batch> {
    let at = |router: &str, minutes: i64| Builder::new(router, NOON).at(NOON + minutes * MINUTE);
    let routes = |builder: Builder, peer: &Peer, attributes: &Attributes, prefixes: &[&str]| {
        let entries = prefixes.iter().map(|text| (None, v4(text)));
        builder.routes(peer, Family::IPV4_UNICAST, Some(attributes), entries)
    };
    let (one, post) = (neighbour(1, 65_001, RibView::AdjInPre), neighbour(1, 65_001, RibView::AdjInPost));
    let (two, three) = (neighbour(2, 65_002, RibView::AdjInPre), neighbour(3, 65_546, RibView::AdjInPre));
    let first = attributes(&[65_001, 3356, 64_500]);
    let other_hop = Attributes { next_hop: Some([198, 51, 100, 253].into()), ..first.clone() };
    let dump = at("edge1", 0).event(Some(&one), peer_up()).event(Some(&post), peer_up());
    let dump = routes(dump, &one, &first, &["9.0.0.0/8", "10.0.0.0/8", "10.2.0.0/16", "192.0.2.0/24"]);
    let dump = routes(dump.because(Cause::InitialDump), &post, &first, &["9.0.0.0/8"]);
    let dump = dump.because(Cause::InitialDump).event(Some(&two), peer_up());
    let dump = routes(dump, &two, &attributes(&[65_002, 1299, 64_500]), &["10.0.0.0/8"]);
    let dump = routes(dump, &two, &other_hop, &["10.2.0.0/16"]);
    let dump = routes(dump, &two, &with_set(&[65_002], &[7, 8]), &["100.64.0.0/10"]);
    let (mac, nlri) = mac_route();
    let change = routes(at("edge1", 30), &one, &attributes(&[65_001, 64_666]), &["192.0.2.0/24"]);
    let change = change.routes(&one, Family::EVPN, Some(&mac), [(None, nlri)]);
    let core = at("core 2", 10).event(Some(&three), peer_up());
    let core = routes(core, &three, &attributes(&[65_546, 3356]), &["203.0.113.0/24"]);
    vec![
        dump.build(),
        core.build(),
        change.build(),
        at("core 2", 50).event(Some(&three), peer_down()).build(),
    ]
}

pub(crate) async fn database(test: &str) -> Option<Database> {
    let mut store = Store::open(Edition::Timescale, test).await?;
    for batch in content() {
        store.put(&[batch]).await;
    }
    let mut client = store.database.client().await;
    let vrps = parse_vrps(br#"{"roas": [{"asn": "AS64500", "prefix": "10.0.0.0/8", "maxLength": 8}]}"#);
    load_vrps(&mut client, &vrps.unwrap(), "vrps.json").await.unwrap();
    // A search path without the tables, and a second table of the same name before them.
    let sql = "CREATE SCHEMA other; CREATE TABLE other.bgp_peers (); CREATE TABLE other.rpki_vrps ()";
    client.batch_execute(sql).await.unwrap();
    let name = store.database.config.get_dbname().unwrap();
    client.batch_execute(&format!("ALTER DATABASE {name} SET search_path = other")).await.unwrap();
    Some(store.database)
}

/// Words of a command line: separated by blanks, except between single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words
}

/// The call with its output, as in the files.
fn run(database: &Database, call: &str) -> String {
    let words = words(call);
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let (code, output, error) = database.command(None, store::COLLECTOR, &words);
    let error: String = error.lines().map(|line| format!("! {line}\n")).collect();
    format!("$ {call}\n{}{error}exit code {}\n", output.replace('\r', ""), code.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_have_the_recorded_output() {
    let Some(database) = database("calls").await else { return };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/queries");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut count = 0;
    for path in paths {
        let recorded = fs::read_to_string(&path).unwrap();
        let (title, _) = recorded.split_once("\n\n").unwrap();
        let mut found = format!("{title}\n");
        for call in recorded.lines().filter_map(|line| line.strip_prefix("$ ")) {
            found.push('\n');
            found.push_str(&run(&database, call));
            count += 1;
        }
        if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
            fs::write(&path, &found).unwrap();
        } else {
            assert_eq!(found, recorded, "{}; UPDATE=1 writes it anew", path.display());
        }
    }
    assert!(count >= 100, "{count} calls");
    database.drop().await;
}
