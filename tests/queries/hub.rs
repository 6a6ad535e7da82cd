//! A hub over three real servers (deploy/hub.sql): every query of the catalogue returns what it returns for
//! one database with the records of all three, and a region that is down is never left out silently.

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::batches::{Builder, peer, peer_up};
use crate::common::db::{Database, Edition, testbed};
use crate::common::store;
use crate::known::{HOUR, history};
use holdfast::route::{Batch, RibView};
use holdfast::sink::{Connection, Lane, QUERIES, Query, Target, TransactionBuilder};
use holdfast::wal::LogId;

/// Name of the region, its collector, and the number of its log.
const REGIONS: [(&str, &str, u8); 3] = [("north", "c1", 1), ("east", "c2", 2), ("south", "c3", 3)];

/// Results that differ between two databases with the same records: ids, and times of the delivery.
const OF_THE_DATABASE: [&str; 4] = ["id", "last_commit", "silent_for", "changes_per_day"];

/// The records of a region. The first two receive the same router, the third another one.
fn batches(region: usize) -> Vec<Batch> {
    if region < 2 {
        return history();
    }
    let (one, two) = (peer(1, RibView::AdjInPre, 1), peer(2, RibView::AdjInPost, 1));
    vec![
        Builder::new("r9", 0).at(HOUR).event(Some(&one), peer_up()).announce(&one, 0..4, &[7, 8]).build(),
        Builder::new("r9", 0).at(2 * HOUR).event(Some(&two), peer_up()).announce(&two, 1..3, &[9]).build(),
        Builder::new("r9", 0).at(3 * HOUR).withdraw(&one, [2]).announce(&one, [3], &[9]).build(),
    ]
}

async fn deliver(target: &Target, region: usize) {
    let (_, collector, number) = REGIONS[region];
    let lane = Lane { collector: collector.to_owned(), log_id: LogId([number; 16]), number: 0, count: 1 };
    let (mut connection, attached) = Connection::attach(target, &lane, store::OWNER, None).await.unwrap();
    let mut transaction = TransactionBuilder::new(lane, attached.last_seq + 1);
    for batch in batches(region) {
        transaction.push(transaction.next_seq(), b"payload", &batch).unwrap();
    }
    connection.store(&transaction.build()).await.unwrap();
}

fn psql(database: &Database, arguments: &[&str]) {
    let output = Command::new("psql").args(["-Xq", "-d", &database.url()]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A hub of these regions, on the server of the first.
async fn hub(regions: &[&Database]) -> Option<Database> {
    let hub = Database::migrated(Edition::Plain, "hub").await?;
    psql(&hub, &["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/hub.sql")]);
    for ((name, _, _), region) in REGIONS.iter().zip(regions) {
        let add = format!(
            "SELECT hub.add_region('{name}', '127.0.0.1', {}, '{}', '{}')",
            region.config.get_ports()[0],
            region.config.get_dbname().unwrap(),
            region.config.get_user().unwrap(),
        );
        psql(&hub, &["-c", &add]);
    }
    psql(&hub, &["-c", "SELECT hub.build()"]);
    let applied = holdfast::sink::migrate(&mut hub.client().await, &holdfast::sink::Layout::default(), 7)
        .await
        .unwrap();
    assert!(applied.has_replaced_functions, "{applied}");
    psql(&hub, &["-c", "SELECT hub.join_regions()"]);
    Some(hub)
}

/// The call of a query with arguments for every required parameter, over all times.
fn call(query: &Query) -> String {
    let arguments = query.parameters.iter().filter_map(|parameter| {
        let value = match (parameter.name, parameter.sql_type) {
            ("span", _) => "'9000 days'",
            ("at", _) => "'infinity'",
            (_, "bigint[]") => "'{3}'",
            ("prefix", _) => "'1.0.1.0/24'",
            ("address", _) => "'1.0.1.1'",
            ("peer_a" | "peer_b" | "peer", _) if parameter.is_required() => "'198.51.100.1'",
            ("at_least", _) => "1",
            ("bucket", _) => "'1 hour'",
            _ if parameter.is_required() => "'65000:1'",
            _ => return None,
        };
        Some(format!("{} => {value}", parameter.sql_name))
    });
    format!("{}({})", query.name, arguments.collect::<Vec<_>>().join(", "))
}

/// The rows of every query, sorted, without what is of the database.
async fn answers(database: &Database) -> BTreeMap<String, Vec<String>> {
    let left_out = OF_THE_DATABASE.map(|name| format!("- '{name}'")).join(" ");
    let mut answers = BTreeMap::new();
    for query in QUERIES {
        let call = call(query);
        let sql = format!("SELECT (to_jsonb(q) {left_out})::text FROM {call} q ORDER BY 1");
        answers.insert(call, database.texts(&sql).await);
    }
    answers
}

#[tokio::test]
async fn a_hub_answers_as_one_database_and_names_a_region_that_is_down() {
    let Some(north) = Database::migrated(Edition::Plain, "north").await else { return };
    let Some(east) = Database::migrated(Edition::Timescale, "east").await else { return };
    let server = format!("hub-south-{}", std::process::id());
    let Some(south) = Database::named(Edition::Plain, &server, "south").await else { return };
    let Some(all) = Database::migrated(Edition::Plain, "of_all").await else { return };
    for (region, database) in [&north, &east, &south].into_iter().enumerate() {
        deliver(&database.target, region).await;
        deliver(&all.target, region).await;
    }
    let Some(hub) = hub(&[&north, &east, &south]).await else { return };

    let expected = answers(&all).await;
    assert_eq!(answers(&hub).await, expected);
    let with_rows = expected.values().filter(|rows| !rows.is_empty()).count();
    assert!(with_rows >= 15, "{expected:#?}");
    let ids = hub.texts("SELECT string_agg(DISTINCT (id % 100)::text, ' ') FROM bgp_peers").await;
    assert_eq!(ids, ["1 2 3"]);
    let plan = hub.texts("EXPLAIN SELECT * FROM route_lookup('1.0.1.1')").await.join("\n");
    assert!(plan.contains("Async Foreign Scan on bgp_peers"), "{plan}");
    let states = "SELECT concat_ws(' ', region, state, collectors) FROM hub.state()";
    assert_eq!(hub.texts(states).await, ["north joined c1", "east joined c2", "south joined c3"]);

    // A region that is down: an error that names it, and then an answer without it that says so.
    testbed(&["stop", "--name", &server]).unwrap();
    let (code, output, error) = hub.command(None, "c1", &["query", "peers"]);
    assert_eq!((code, output.as_str()), (Some(1), ""), "{error}");
    for part in ["could not connect to server \"south\"", "hub.state()", "hub.leave_out"] {
        assert!(error.contains(part), "{error}");
    }
    let states = "SELECT concat_ws(' ', region, state) FROM hub.state()";
    assert_eq!(hub.texts(states).await, ["north joined", "east joined", "south unreachable"]);
    psql(&hub, &["-c", "SELECT hub.leave_out('south', 'cable cut')"]);
    let (code, output, error) = hub.command(None, "c1", &["query", "peers", "--fields", "router,peer"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(output.contains("r1") && !output.contains("r9"), "{output}");
    let note = "the region south is left out since";
    assert!(error.contains(note) && error.contains("(cable cut)"), "{error}");
    let warned = Command::new("psql")
        .args(["-X", "-d", &hub.url(), "-c", "SELECT count(*) FROM holdfast.route_lookup('1.0.1.1')"])
        .output()
        .unwrap();
    let warning = String::from_utf8(warned.stderr).unwrap();
    assert_eq!(warning.matches("the region \"south\" is left out of this result").count(), 1, "{warning}");

    testbed(&["start", "--name", &server]).unwrap();
    psql(&hub, &["-c", "SELECT hub.take_in('south')"]);
    assert_eq!(answers(&hub).await, expected);
    hub.drop().await;
    all.drop().await;
    east.drop().await;
    north.drop().await;
    south.destroy();
}
