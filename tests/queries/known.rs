//! Results of the catalogue's queries over a known history of routes.

use std::net::IpAddr;

use crate::common::batches::{self, Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::{Database, Edition};
use crate::common::store::{self, Store};
use holdfast::route::{
    Attributes, Cause, Esi, EventKind, EvpnRoute, Family, Mac, Nlri, Peer, Prefix, Rd, RibView, SessionEnd,
};
use holdfast::sink::{Connection, Lane, QUERIES, Query, TransactionBuilder, load_vrps, parse_vrps};
use holdfast::wal::LogId;

pub(crate) const HOUR: i64 = 3_600_000_000;

fn pre() -> Peer {
    peer(1, RibView::AdjInPre, 1)
}

fn v4(address: [u8; 4], length: u8) -> Nlri {
    Nlri::Prefix(Prefix::v4(u32::from_be_bytes(address), length).unwrap())
}

/// A batch of announcements of single prefixes with paths of their own.
fn announce(builder: Builder, peer: &Peer, routes: &[([u8; 4], u8, &[u32])]) -> Builder {
    routes.iter().fold(builder, |builder, (address, length, path)| {
        let entries = [(None, v4(*address, *length))];
        builder.routes(peer, Family::IPV4_UNICAST, Some(&attributes(path)), entries)
    })
}

/// The present as an offset from the builder's epoch: spans of queries end at the server's clock.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap() - batches::NOW
}

#[tokio::test]
async fn the_catalogue_names_the_functions_that_are_there() {
    let Some(database) = Database::migrated(Edition::Plain, "catalogue").await else { return };
    let sql =
        "SELECT proname || ' ' || coalesce(string_agg(name || ' ' || kind || ' ' || (place <= pronargs \
        - pronargdefaults), ', '
            ORDER BY place), '')
        FROM pg_proc CROSS JOIN LATERAL (
            SELECT place, format_type(proargtypes[place - 1], NULL) AS kind, proargnames[place] AS name
            FROM generate_series(1, pronargs) AS place) a
        WHERE pronamespace = 'holdfast'::regnamespace GROUP BY proname, oid
        UNION ALL SELECT proname || ' ' FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace \
        AND pronargs = 0";
    let there = database.texts(sql).await;
    for query in QUERIES {
        let parameters = query.parameters.iter().map(|parameter| {
            let kind = match parameter.sql_type {
                "timestamptz" => "timestamp with time zone",
                kind => kind,
            };
            format!("{} {kind} {}", parameter.sql_name, parameter.is_required())
        });
        let line = format!("{} {}", query.name, parameters.collect::<Vec<_>>().join(", "));
        assert!(there.contains(&line), "{line}\n{there:#?}");
        for (parameter, number) in query.parameters.iter().zip(1..) {
            let sql =
                format!("SELECT pg_get_function_arg_default('holdfast.{}'::regproc, {number})", query.name);
            let stored = database.texts(&sql).await;
            let stored = stored[0].split("::").next().unwrap().trim_matches('\'');
            let shown = match parameter.default {
                None => "null",
                Some(shown) if shown.starts_with("all ") => "NULL",
                Some("now") => "infinity",
                Some("0") => "00:00:00",
                Some(shown) => shown,
            };
            let is_equal = stored == shown
                || database
                    .texts(&format!("SELECT ('{stored}'::interval = '{shown}'::interval)::text"))
                    .await
                    == ["true"];
            assert!(is_equal, "{} {}: {stored} {shown}", query.name, parameter.name);
        }
    }
    database.drop().await;
}

/// Inlined functions have no search path of their own: each object in them must be named with its schema.
#[tokio::test]
async fn every_query_runs_with_an_empty_search_path() {
    let Some(mut store) = Store::open(Edition::Timescale, "search_path").await else { return };
    for batch in history() {
        store.put(&[batch]).await;
    }
    let client = store.database.client().await;
    client.batch_execute("SET search_path = ''").await.unwrap();
    for query in QUERIES {
        let arguments =
            query.parameters.iter().filter(|parameter| parameter.is_required()).map(|parameter| {
                match (parameter.name, parameter.sql_type) {
                    ("at", _) => "'infinity'",
                    (_, "bigint[]") => "'{1}'",
                    (_, "cidr") => "'1.0.1.0/24'",
                    (_, "inet") => "'1.0.1.1'",
                    _ => "'198.51.100.1'",
                }
            });
        let call = format!("holdfast.{}({})", query.name, arguments.collect::<Vec<_>>().join(", "));
        if let Err(error) = client.query(&format!("SELECT * FROM {call}"), &[]).await {
            panic!("{call}: {error:?}");
        }
    }
    for call in [
        "holdfast_verify('c1')",
        "prefix_lookup('1.0.0.0/16', 'more')",
        "hijacks('1 day')",
        "churn_causes('rd')",
        "rpki_states('198.51.100.1')",
    ] {
        client.query(&format!("SELECT * FROM holdfast.{call}"), &[]).await.unwrap();
    }
    drop(client);
    store.close().await;
}

#[tokio::test]
async fn an_address_is_looked_up_by_the_longest_match_of_each_peer() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "lookup").await else { continue };
        let two = peer(2, RibView::AdjInPre, 1);
        let builder = announce(
            Builder::new("r1", 0),
            &pre(),
            &[
                ([0, 0, 0, 0], 0, &[1]),
                ([10, 0, 0, 0], 8, &[2]),
                ([10, 1, 0, 0], 16, &[3]),
                ([10, 1, 2, 0], 24, &[4]),
            ],
        );
        store.put(&[announce(builder, &two, &[([10, 0, 0, 0], 8, &[5])]).withdraw(&two, [9]).build()]).await;
        let found = |address: &str| {
            format!("SELECT concat_ws(' ', host(peer), prefix, path) FROM route_lookup('{address}')")
        };
        let texts = async |sql: String| store.database.texts(&sql).await;
        assert_eq!(
            texts(found("10.1.2.3")).await,
            ["198.51.100.1 10.1.2.0/24 4", "198.51.100.2 10.0.0.0/8 5"]
        );
        assert_eq!(texts(found("11.0.0.1")).await, ["198.51.100.1 0.0.0.0/0 1"]);
        assert_eq!(texts(found("2001:db8::1")).await, Vec::<String>::new());
        let prefixes = |prefix: &str, how: &str| {
            format!(
                "SELECT route FROM prefix_lookup('{prefix}', '{how}') WHERE peer = '198.51.100.1' \
                    ORDER BY route"
            )
        };
        assert_eq!(texts(prefixes("10.1.0.0/16", "exact")).await, ["10.1.0.0/16"]);
        assert_eq!(texts(prefixes("10.1.0.0/16", "less")).await, ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"]);
        assert_eq!(texts(prefixes("10.1.0.0/16", "more")).await, ["10.1.0.0/16", "10.1.2.0/24"]);
        assert_eq!(texts(prefixes("0.0.0.0/0", "more")).await.len(), 4);
        store.close().await;
    }
}

/// The history behind the tests of past tables; each batch is an hour after the previous one.
pub(crate) fn history() -> Vec<holdfast::route::Batch> {
    let at = |hours: i64, session| Builder::new("r1", session).at(hours * HOUR);
    let (two, again) = (peer(1, RibView::AdjInPre, 2), peer(1, RibView::AdjInPre, 1));
    let later = 7 * HOUR;
    let mut redump = at(8, later).event(Some(&again), peer_up()).announce(&again, 0..2, &[3]).build();
    redump.groups.iter_mut().for_each(|group| group.cause = Cause::ReDump);
    vec![
        at(1, 0).event(Some(&pre()), peer_up()).announce(&pre(), 0..3, &[1]).build(),
        at(2, 0).withdraw(&pre(), [1]).announce(&pre(), [2], &[2]).build(),
        at(3, 0).event(Some(&pre()), peer_down()).build(),
        at(4, 0).event(Some(&two), peer_up()).announce(&two, 0..3, &[3]).build(),
        at(7, 0)
            .event(None, EventKind::SessionDown { end: SessionEnd::Lost })
            .event(Some(&two), EventKind::PeerStale { end: SessionEnd::Lost })
            .build(),
        redump,
        at(9, later)
            .event(Some(&again), EventKind::EndOfRib { family: Family::IPV4_UNICAST })
            .event(Some(&again), EventKind::Sweep { family: Family::IPV4_UNICAST })
            .build(),
        at(10, later).announce(&again, [1], &[4]).build(),
    ]
}

async fn table_at(store: &Store, hours: i64) -> Vec<String> {
    let sql = format!(
        "SELECT split_part(route, '.', 3) || ':' || path FROM rib_at('198.51.100.1', holdfast_time({})) \
            ORDER BY 1",
        batches::NOW + hours * HOUR + 1
    );
    store.database.texts(&sql).await
}

#[tokio::test]
async fn the_table_at_a_past_time_has_the_updates_until_then() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "rib_at").await else { continue };
        for batch in history() {
            store.put(&[batch]).await;
        }
        for (hours, expected) in [
            (0, &[] as &[&str]),
            (1, &["0:1", "1:1", "2:1"]),
            (2, &["0:1", "2:2"]),
            (3, &[]),
            (4, &["0:3", "1:3", "2:3"]),
            (8, &["0:3", "1:3", "2:3"]),
            // Prefix 2 was not re-announced and is swept; prefix 1 was re-announced unchanged before it
            // changed.
            (9, &["0:3", "1:3"]),
            (10, &["0:3", "1:4"]),
        ] {
            assert_eq!(table_at(&store, hours).await, expected, "{edition:?}, after {hours} h");
        }
        let events = "SELECT concat_ws(' ', event, path) FROM prefix_timeline('1.0.1.0/24', '100 years')";
        assert_eq!(
            store.database.texts(events).await,
            [
                "peer_up",
                "announce 1",
                "withdraw",
                "peer_down",
                "peer_up",
                "announce 3",
                "peer_stale",
                "peer_up",
                "announce 4"
            ],
            "the sweep did not end the route"
        );
        let swept = "SELECT concat_ws(' ', event, path) FROM prefix_timeline('1.0.2.0/24', '100 years')";
        assert_eq!(store.database.texts(swept).await.last().unwrap(), "sweep");
        let times = [4, 10].map(|hours| format!("holdfast_time({})", batches::NOW + hours * HOUR + 1));
        let differences = format!(
            "SELECT concat_ws(' ', route, difference, path_a, path_b)
            FROM peer_differences('198.51.100.1', '198.51.100.1', {}, {})",
            times[0], times[1]
        );
        assert_eq!(store.database.texts(&differences).await, ["1.0.1.0/24 path 3 4", "1.0.2.0/24 only a 3"]);
        store.close().await;
    }
}

#[tokio::test]
async fn two_peers_differ_by_path_and_by_next_hop() {
    let Some(mut store) = Store::open(Edition::Timescale, "next_hop").await else { return };
    let two = peer(2, RibView::AdjInPre, 1);
    let other_hop = Attributes { next_hop: Some(IpAddr::from([198, 51, 100, 253])), ..attributes(&[1]) };
    let both = Attributes { as_path: attributes(&[2]).as_path, ..other_hop.clone() };
    let entry = |number| [(None, prefix(number))];
    let builder = Builder::new("r1", 0).announce(&pre(), 0..12, &[1]).announce(&two, [0], &[1]);
    let builder = builder.announce(&two, [1], &[2]);
    let builder = builder.routes(&two, Family::IPV4_UNICAST, Some(&other_hop), entry(10));
    store.put(&[builder.routes(&two, Family::IPV4_UNICAST, Some(&both), entry(2)).build()]).await;
    let sql = "SELECT concat_ws(' ', route, difference, next_hop_b) \
        FROM peer_differences('198.51.100.1', '198.51.100.2') WHERE difference <> 'only a'";
    assert_eq!(
        store.database.texts(sql).await,
        [
            "1.0.1.0/24 path 198.51.100.254",
            "1.0.2.0/24 path, next hop 198.51.100.253",
            "1.0.10.0/24 next hop 198.51.100.253"
        ],
        "in the order of prefixes"
    );
    store.close().await;
}

#[tokio::test]
async fn a_word_that_a_function_does_not_know_is_an_error_in_sql_as_well() {
    let Some(database) = Database::migrated(Edition::Plain, "words").await else { return };
    let client = database.client().await;
    for (call, message) in [
        ("prefix_lookup('::/0', 'longer')", "invalid match \"longer\": expected one of exact, more, less"),
        ("churn('origin')", "invalid by \"origin\": expected one of prefix, peer, as"),
        ("rpki('unknown')", "invalid state \"unknown\": expected one of invalid, valid, not-found"),
        (
            "rib_at('1', now(), 'rib')",
            "invalid rib \"rib\": expected one of adj-in-pre, adj-in-post, adj-out-pre, adj-out-post, \
            loc-rib",
        ),
    ] {
        let error = client.query(&format!("SELECT * FROM {call}"), &[]).await.unwrap_err();
        assert_eq!(error.as_db_error().unwrap().message(), message);
    }
    drop(client);
    database.drop().await;
}

#[tokio::test]
async fn churn_counts_changes_but_not_dumps() {
    let Some(mut store) = Store::open(Edition::Timescale, "churn").await else { return };
    let mut dump = Builder::new("r1", 0).at(now()).announce(&pre(), 0..5, &[1]).build();
    dump.groups[0].cause = Cause::InitialDump;
    let news =
        Builder::new("r1", 0).at(now()).announce(&pre(), [1, 1, 2], &[7]).withdraw(&pre(), [1]).build();
    store.put(&[dump, news]).await;
    let churn = |by: &str| {
        format!("SELECT concat_ws(' ', subject, announcements, withdrawals, peers) FROM churn('{by}')")
    };
    assert_eq!(store.database.texts(&churn("prefix")).await, ["1.0.1.0/24 1 1 1", "1.0.2.0/24 1 0 1"]);
    assert_eq!(
        store.database.texts(&churn("peer")).await,
        ["r1 198.51.100.1 AS65001 10.0.0.1 adj-in-pre 2 1 1"]
    );
    assert_eq!(store.database.texts(&churn("as")).await, ["AS7 2 1 1"]);
    let storms =
        "SELECT concat_ws(' ', host(peer), withdrawals, prefixes) FROM withdraw_storms(at_least => 1)";
    assert_eq!(store.database.texts(storms).await, ["198.51.100.1 1 1"]);
    let flapping =
        "SELECT concat_ws(' ', route, learned, withdrawn, changes_per_day) FROM flapping_routes(2)";
    assert_eq!(store.database.texts(flapping).await, ["1.0.1.0/24 1 1 48.0"]);
    store.close().await;
}

#[tokio::test]
async fn origins_that_change_conflict_or_are_not_permitted_are_found() {
    let Some(mut store) = Store::open(Edition::Timescale, "origins").await else { return };
    let two = peer(2, RibView::AdjInPre, 1);
    let old = announce(Builder::new("r1", 0).at(now() - 2 * HOUR), &pre(), &[([10, 0, 0, 0], 16, &[1, 2])]);
    let new = announce(
        Builder::new("r1", 0).at(now()),
        &pre(),
        &[([10, 0, 0, 0], 16, &[1, 3]), ([10, 0, 1, 0], 24, &[1, 2]), ([10, 0, 0, 0], 16, &[9, 3])],
    );
    let other = announce(new, &two, &[([10, 0, 0, 0], 16, &[2]), ([10, 9, 0, 0], 16, &[2])]);
    store.put(&[old.build(), other.build()]).await;
    let texts = async |sql: &str| store.database.texts(sql).await;
    let changes = "SELECT concat_ws(' ', host(peer), prefix, old_origin, new_origin) FROM origin_changes()";
    assert_eq!(texts(changes).await, ["198.51.100.1 10.0.0.0/16 2 3"]);
    assert_eq!(
        texts("SELECT concat_ws(' ', prefix, origins, peers) FROM moas()").await,
        ["10.0.0.0/16 {2,3} 2"]
    );
    let client = store.database.client().await;
    client
        .batch_execute(
            "INSERT INTO own_prefixes VALUES ('10.0.0.0/16', '{2}', NULL), ('10.0.0.0/8', '{2}', 16)",
        )
        .await
        .unwrap();
    let hijacks =
        "SELECT concat_ws(' ', own_prefix, prefix, problem, origin_as, host(peer), is_current) FROM hijacks(";
    assert_eq!(
        texts(&format!("{hijacks})")).await,
        [
            "10.0.0.0/16 10.0.0.0/16 origin 3 198.51.100.1 t",
            "10.0.0.0/16 10.0.1.0/24 more specific 2 198.51.100.1 t"
        ]
    );
    // With a span, past announcements count too, once per path.
    assert_eq!(texts(&format!("{hijacks}'1 hour')")).await.len(), 3);
    drop(client);
    store.close().await;
}

#[tokio::test]
async fn paths_communities_and_policy_are_searched() {
    let Some(mut store) = Store::open(Edition::Timescale, "search").await else { return };
    let post = peer(1, RibView::AdjInPost, 1);
    let plain = Attributes { communities: vec![], large_communities: vec![], ..attributes(&[1, 2, 3]) };
    let tagged = Attributes { communities: vec![0xfde8_0001], med: Some(5), ..plain.clone() };
    let entry = |number| [(None, prefix(number))];
    store
        .put(&[Builder::new("r1", 0)
            .routes(&pre(), Family::IPV4_UNICAST, Some(&plain), (0..3).map(|number| (None, prefix(number))))
            .routes(&post, Family::IPV4_UNICAST, Some(&plain), entry(0))
            .routes(&post, Family::IPV4_UNICAST, Some(&tagged), entry(1))
            .build()])
        .await;
    let texts = async |sql: &str| store.database.texts(sql).await;
    for (sql, count) in [
        ("as_path_search('{1,3}')", 5),
        ("as_path_search('{1,3}', true)", 0),
        ("as_path_search('{2,3}', true)", 5),
        ("as_path_search('{4}')", 0),
        ("community_search('65000:1')", 1),
        ("community_search('65000:2')", 0),
    ] {
        assert_eq!(texts(&format!("SELECT route FROM {sql}")).await.len(), count, "{sql}");
    }
    assert_eq!(
        texts("SELECT concat_ws('|', route, effect, changed) FROM policy_effect()").await,
        ["1.0.1.0/24|changed|med communities", "1.0.2.0/24|rejected"]
    );
    store.close().await;
}

#[tokio::test]
async fn leaks_are_found_by_roles_and_by_the_otc_attribute() {
    let Some(mut store) = Store::open(Edition::Timescale, "leaks").await else { return };
    let (customer, provider) = (pre(), Peer { asn: 65_002, ..peer(2, RibView::AdjInPre, 1) });
    let mut marked = attributes(&[65_001, 8]);
    marked.only_to_customer = Some(65_001);
    let builder = announce(
        Builder::new("r1", 0),
        &customer,
        &[([10, 0, 0, 0], 16, &[65_001, 65_002, 9]), ([10, 1, 0, 0], 16, &[65_001, 9])],
    )
    .routes(&customer, Family::IPV4_UNICAST, Some(&marked), [(None, v4([10, 2, 0, 0], 16))]);
    store.put(&[announce(builder, &provider, &[([10, 3, 0, 0], 16, &[65_002, 65_001])]).build()]).await;
    let client = store.database.client().await;
    client
        .batch_execute("INSERT INTO peer_roles VALUES (65001, 'customer'), (65002, 'provider')")
        .await
        .unwrap();
    assert_eq!(
        store.database.texts("SELECT concat_ws(' ', route, role, leaked_as, reason) FROM leaks()").await,
        ["10.0.0.0/16 customer 65002 path", "10.2.0.0/16 customer otc 65001"]
    );
    drop(client);
    store.close().await;
}

#[tokio::test]
async fn routes_are_valid_invalid_or_not_found_by_rfc_6811() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "rpki").await else { continue };
        let routes: &[([u8; 4], u8, &[u32])] = &[
            ([10, 0, 0, 0], 16, &[1]),
            ([10, 0, 1, 0], 24, &[1]),
            ([10, 1, 0, 0], 16, &[2]),
            ([10, 2, 0, 0], 16, &[]),
            ([11, 0, 0, 0], 16, &[1]),
            ([12, 0, 0, 0], 16, &[0]),
        ];
        store.put(&[announce(Builder::new("r1", 0), &pre(), routes).build()]).await;
        let first = br#"{"roas": [{"asn": "AS1", "prefix": "10.0.0.0/8", "maxLength": 16, "ta": "x"},
            {"asn": 65001, "prefix": "10.2.0.0/16"}, {"asn": 0, "prefix": "12.0.0.0/8", "maxLength": 32}]}"#;
        let mut client = store.database.client().await;
        let mut load = async |json: &[u8]| {
            let loaded = load_vrps(&mut client, &parse_vrps(json).unwrap(), "test").await.unwrap();
            (loaded.added, loaded.removed)
        };
        assert_eq!(load(first).await, (3, 0));
        assert_eq!(load(first).await, (0, 0));
        assert_eq!(
            store
                .database
                .texts("SELECT concat_ws(' ', prefix, state) FROM rpki_routes ORDER BY prefix")
                .await,
            [
                "10.0.0.0/16 valid",
                "10.0.1.0/24 invalid",
                "10.1.0.0/16 invalid",
                "10.2.0.0/16 valid",
                "11.0.0.0/16 not-found",
                "12.0.0.0/16 invalid"
            ]
        );
        let of_peer = "SELECT concat_ws(' ', prefix, state) FROM rpki_states('198.51.100.1') ORDER BY 1";
        let of_routes = "SELECT concat_ws(' ', prefix, state) FROM rpki_routes ORDER BY 1";
        assert_eq!(store.database.texts(of_peer).await, store.database.texts(of_routes).await);
        assert_eq!(load(br#"{"roas": [{"asn": 2, "prefix": "10.1.0.0/16"}]}"#).await, (1, 3));
        assert_eq!(store.database.texts("SELECT prefix::text FROM rpki('valid')").await, ["10.1.0.0/16"]);
        drop(client);
        store.close().await;
    }
}

pub(crate) fn mac_route(vtep: u8, esi: [u8; 10], mobility: u8) -> (Attributes, Nlri) {
    let mut attributes = Attributes { next_hop: Some(IpAddr::from([192, 0, 2, vtep])), ..attributes(&[1]) };
    attributes.extended_communities = vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 1], [6, 0, 0, 0, 0, 0, 0, mobility]];
    let route = EvpnRoute::MacIp {
        rd: Rd([0, 1, 192, 0, 2, vtep, 0, 1]),
        esi: Esi(esi),
        tag: 0,
        mac: Mac([2, 0, 0, 0, 0, 1]),
        ip: Some(IpAddr::from([10, 0, 0, 1])),
        label: 100,
        label2: None,
    };
    (attributes, Nlri::Evpn(Box::new(route)))
}

#[tokio::test]
async fn mac_addresses_are_found_where_they_are_moved_to_and_where_they_are_twice() {
    let Some(mut store) = Store::open(Edition::Timescale, "evpn").await else { return };
    let put = async |store: &mut Store, at, vtep, esi, mobility| {
        let (attributes, nlri) = mac_route(vtep, esi, mobility);
        let builder = Builder::new("r1", 0).at(at);
        store.put(&[builder.routes(&pre(), Family::EVPN, Some(&attributes), [(None, nlri)]).build()]).await;
    };
    put(&mut store, now() - 72 * HOUR, 1, [0; 10], 0).await;
    put(&mut store, now(), 2, [0; 10], 1).await;
    let duplicates = "SELECT concat_ws(' ', mac_address, route_targets, vteps) FROM evpn_duplicates()";
    assert_eq!(store.database.texts(duplicates).await, ["02:00:00:00:00:01 RT:65000:1 192.0.2.1 192.0.2.2"]);
    let (_, old) = mac_route(1, [0; 10], 0);
    let gone = Builder::new("r1", 0).at(now()).routes(&pre(), Family::EVPN, None, [(None, old)]);
    store.put(&[gone.build()]).await;
    assert!(store.database.texts(duplicates).await.is_empty());
    assert_eq!(
        store
            .database
            .texts("SELECT concat_ws(' ', host(vtep), host(host), labels, mobility) FROM evpn_bindings()")
            .await,
        ["192.0.2.2 10.0.0.1 {100} 1"]
    );
    let labels = "SELECT concat_ws(' ', labels, mpls_labels) FROM route_state WHERE NOT is_withdrawn";
    assert_eq!(store.database.texts(labels).await, ["{100} {6}"]);
    let moves = "SELECT concat_ws(' ', host(old_vtep), host(new_vtep), mobility) FROM evpn_moves()";
    assert_eq!(
        store.database.texts(moves).await,
        ["192.0.2.1 192.0.2.2 1"],
        "the VTEP before the span counts"
    );
    let longer = "SELECT concat_ws(' ', host(old_vtep), host(new_vtep), mobility) FROM evpn_moves('9 days')";
    assert_eq!(store.database.texts(longer).await, ["192.0.2.1 192.0.2.2 1"]);
    // Two VTEPs of one Ethernet segment are neither a move nor a duplicate.
    put(&mut store, now(), 2, [1; 10], 1).await;
    put(&mut store, now(), 3, [1; 10], 1).await;
    assert_eq!(store.database.texts(moves).await.len(), 1);
    assert!(store.database.texts(duplicates).await.is_empty());
    store.close().await;
}

/// RFC 7854 section 4.9: the BGP session may continue, but the router no longer reports it.
#[tokio::test]
async fn a_peer_that_is_no_longer_monitored_has_a_cause_of_its_own() {
    let Some(mut store) = Store::open(Edition::Timescale, "unmonitored").await else { return };
    let down = |reason| EventKind::PeerDown { reason, data: Vec::new() };
    let mut batches = Vec::new();
    for (number, reason) in (0..).zip([5, 4]) {
        let router = format!("r{number}");
        let at = now() - HOUR;
        batches.push(Builder::new(&router, 0).at(at).event(Some(&pre()), peer_up()).build());
        let announced = announce(Builder::new(&router, 0).at(at), &pre(), &[([1, 0, 1, 0], 24, &[1])]);
        batches.push(announced.build());
        batches.push(Builder::new(&router, 0).at(now()).event(Some(&pre()), down(reason)).build());
    }
    store.put(&batches).await;
    let texts = async |sql: &str| store.database.texts(sql).await;
    let reasons = ["r0|no longer monitored", "r1|connection lost"];
    for sql in [
        "SELECT router || '|' || down_reason FROM peers()",
        "SELECT router || '|' || reason FROM peer_flaps() WHERE event = 'peer_down' ORDER BY 1",
        "SELECT router || '|' || cause FROM prefix_timeline('1.0.1.0/24') WHERE event = 'peer_down' \
            ORDER BY 1",
    ] {
        assert_eq!(texts(sql).await, reasons, "{sql}");
    }
    let raw = "SELECT reason_code::text FROM peer_events WHERE event_type = 'peer_down' ORDER BY router";
    assert_eq!(texts(raw).await, ["5", "4"]);
    assert!(
        texts("SELECT route FROM current_routes").await.is_empty(),
        "routes of a peer that is no longer monitored are not current"
    );
    store.close().await;
}

#[tokio::test]
async fn peers_are_listed_with_capabilities_flaps_and_reasons() {
    let Some(mut store) = Store::open(Edition::Timescale, "peers").await else { return };
    let notification =
        EventKind::PeerDown { reason: 3, data: [vec![0xff; 16], vec![0, 21, 3, 6, 2]].concat() };
    store
        .put(&[
            Builder::new("r1", 0).at(now() - HOUR).event(Some(&pre()), peer_up()).build(),
            Builder::new("r1", 0).at(now()).event(Some(&pre()), notification).build(),
        ])
        .await;
    let texts = async |sql: &str| store.database.texts(sql).await;
    assert_eq!(
        texts(
            "SELECT concat_ws('|', event, reason, date_trunc('minute', was_up + '1 second')) \
            FROM peer_flaps()"
        )
        .await,
        ["peer_up", "peer_down|closed by the peer: cease, administrative shutdown|01:00:00"]
    );
    assert_eq!(
        texts(
            "SELECT concat_ws(' ', router, state, ups, downs, families, hold_time_s) FROM peers('as65001')"
        )
        .await,
        ["r1 down 1 1 ipv4_unicast 90"]
    );
    assert_eq!(
        texts("SELECT concat_ws(' ', capability, is_sent, is_received) FROM peer_capabilities()").await,
        ["route-refresh t f"]
    );
    assert_eq!(
        texts(
            "SELECT concat_ws(' ', collector, lanes, delivered_seq, routers_active, gaps) \
            FROM collector_health()"
        )
        .await,
        ["c1 1 2 1 0"]
    );
    store.close().await;
}

#[tokio::test]
async fn a_router_that_two_collectors_see_counts_once() {
    let Some(mut store) = Store::open(Edition::Timescale, "twice").await else { return };
    let batch = || Builder::new("r1", 0).event(Some(&pre()), peer_up()).announce(&pre(), 0..3, &[1]);
    store.put(&[batch().build()]).await;
    let lane = Lane { collector: "c2".to_owned(), log_id: LogId([8; 16]), number: 0, count: 1 };
    let (mut connection, _) =
        Connection::attach(&store.database.target, &lane, store::OWNER, None).await.unwrap();
    let mut chunk = TransactionBuilder::new(lane, 1);
    chunk.push(1, b"payload", &batch().at(1).event(Some(&pre()), peer_down()).build()).unwrap();
    connection.store(&chunk.build()).await.unwrap();
    // One collector reports the peer as down; the other still receives it.
    for (sql, expected) in [
        ("SELECT count(*)::text FROM route_state WHERE NOT is_withdrawn", "3"),
        ("SELECT count(*)::text FROM current_routes", "3"),
        ("SELECT string_agg(state || collector, ' ') FROM peers()", "upc1"),
        ("SELECT concat_ws(' ', router, peers, peers_up, collectors) FROM routers()", "r1 1 1 c1 c2"),
    ] {
        assert_eq!(store.database.texts(sql).await, [expected], "{sql}");
    }
    let client = store.database.client().await;
    client.batch_execute("UPDATE bgp_peers SET state = 'up', valid_session = '-infinity'").await.unwrap();
    assert_eq!(store.database.value::<i64>("SELECT count(*) FROM stored_routes").await, 6);
    assert_eq!(store.database.value::<i64>("SELECT count(*) FROM route_state").await, 3);
    assert_eq!(store.database.value::<i64>("SELECT count(*) FROM current_routes").await, 3);
    drop((client, connection));
    store.close().await;
}

/// Runs `holdfast query` on this database: exit code, standard output, standard error.
fn query(database: &Database, words: &[&str]) -> (Option<i32>, String, String) {
    database.command(None, store::COLLECTOR, &[&["query"], words].concat())
}

#[tokio::test]
async fn the_command_prints_tables_json_and_csv() {
    let Some(mut store) = Store::open(Edition::Plain, "command").await else { return };
    store.put(&[announce(Builder::new("r1", 0), &pre(), &[([10, 0, 0, 0], 8, &[1, 2])]).build()]).await;
    let ask = |words: &[&str]| query(&store.database, words);
    let (code, table, _) = ask(&["route_lookup", "10.1.1.1"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3));
    assert_eq!(lines[2], "(1 row)");
    assert!(
        lines[0].starts_with("router  peer          peer_as  rib         vrf  prefix      path_id  path"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("r1      198.51.100.1    65001  adj-in-pre  -    10.0.0.0/8        -  1 2"),
        "{table}"
    );
    let (_, json, _) = ask(&["--format", "json", "prefix_lookup", "prefix=10.0.0.0/8"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["communities"], serde_json::json!(["65000:100", "65000:101"]));
    let (_, csv, _) = ask(&["as_path_search", "1,2", "--format=csv", "--limit", "1"]);
    let mut csv = csv.split("\r\n");
    assert_eq!(csv.next(), Some("router,peer,rib,vrf,family,route,path,next_hop,since"));
    assert!(csv.next().unwrap().starts_with("r1,198.51.100.1,adj-in-pre,,ipv4_unicast,10.0.0.0/8,1 2,"));
    let (_, names, _) = ask(&["--list"]);
    assert_eq!(names.lines().collect::<Vec<_>>(), QUERIES.iter().map(|query| query.name).collect::<Vec<_>>());
    for (words, code, what) in [
        (&["nothing"] as &[&str], 2, "holdfast: unknown query \"nothing\""),
        (&["route_lookup"], 2, "holdfast: missing argument ADDRESS: expected an IPv4 or IPv6 address"),
        (&["route_lookup", "10.0.0"], 2, "holdfast: invalid address \"10.0.0\"; expected an IPv4 or IPv6"),
    ] {
        let (found, _, error) = ask(words);
        assert!(found == Some(code) && error.starts_with(what), "{found:?} {error}");
    }
    let is_optional = |query: &&Query| query.parameters.iter().all(|parameter| !parameter.is_required());
    for name in QUERIES.iter().filter(is_optional) {
        let (code, _, error) = ask(&[name.name]);
        let are_notes = error.lines().all(|line| line.starts_with("note: "));
        assert!(code == Some(0) && are_notes, "{}: {code:?} {error}", name.name);
    }
    store.close().await;
}

/// A period that begins before the history does must not look like a quiet one.
#[tokio::test]
async fn a_period_that_begins_before_the_history_has_a_note() {
    let Some(store) = Store::open(Edition::Plain, "begins").await else { return };
    let dropped = "UPDATE partitioned_tables SET dropped_before = now() - interval '2 days'";
    store.database.client().await.batch_execute(dropped).await.unwrap();
    for words in [
        "prefix_timeline 10.0.0.0/8",
        "churn",
        "origin_changes",
        "withdraw_storms",
        "hijacks",
        "evpn_moves",
        "peer_flaps",
        "peer_counters",
    ] {
        for (span, has_note) in [("span=30d", true), ("span=1d", false)] {
            let words: Vec<&str> = words.split(' ').chain([span]).collect();
            let (code, _, error) = query(&store.database, &words);
            let notes = error.matches("note: there is no history before ").count();
            assert!(code == Some(0) && notes == usize::from(has_note), "{words:?}: {code:?} {error}");
        }
    }
    store.close().await;
}
