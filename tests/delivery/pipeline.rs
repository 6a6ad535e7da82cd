//! A transaction is sent without waiting for the server: what the client has assumed is checked, and errors
//! and replies may come at any time.

use crate::common::batches::{Builder, peer, peer_down};
use crate::common::db::{Database, Edition};
use crate::common::store::{COLLECTOR, OWNER, Store, lane};
use holdfast::route::{Batch, RibView};
use holdfast::sink::{Connection, Dedup, Error, ErrorAction, Transaction, TransactionBuilder};

fn routes(at: i64, numbers: std::ops::Range<u32>, path: u32) -> Batch {
    Builder::new("r1", 0).at(at).announce(&peer(1, RibView::AdjInPre, 1), numbers, &[path]).build()
}

fn transaction(first: u64, batch: &Batch) -> Transaction {
    let mut transaction = TransactionBuilder::new(lane(), first).with_dedup(Dedup::Always);
    transaction.push(first, b"payload", batch).unwrap();
    transaction.build()
}

/// Attaches again, as a lane does after an error.
async fn attach_again(store: &mut Store) {
    let (connection, attached) =
        Connection::attach(&store.database.target, &lane(), OWNER, None).await.unwrap();
    assert_eq!(attached.last_seq + 1, store.next, "nothing of the failed transaction is stored");
    store.connection = connection;
}

#[tokio::test]
async fn a_peer_that_another_writer_has_changed_is_not_assumed_to_be_known() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "pipeline_known").await else { continue };
        let client = store.database.client().await;
        for (change, at) in [
            ("UPDATE bgp_peers SET valid_generation = valid_generation + 1", 1),
            ("UPDATE bgp_peers SET valid_session = '2020-01-01'", 2),
            (
                "INSERT INTO peer_families (peer_id, afi, safi, valid_session, valid_generation)
                SELECT id, 1, 1, '2020-01-01', 0 FROM bgp_peers",
                3,
            ),
            ("DELETE FROM bgp_peers", 4),
        ] {
            store.put(&[routes(at, 0..5, 1)]).await;
            client.execute(change, &[]).await.unwrap();
            let changed = routes(at, 0..9, 7);
            let error = store.connection.store(&transaction(store.next, &changed)).await.unwrap_err();
            let Error::Reply(reply) = &error else { panic!("{change}: {error}") };
            assert_eq!((reply.code.code(), error.action()), ("BM004", ErrorAction::Retry), "{error}");
            attach_again(&mut store).await;
            store.put(&[changed]).await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn peers_that_this_connection_changes_remain_known() {
    let Some(mut store) = Store::open(Edition::Plain, "pipeline_remain").await else { return };
    let from = |generation| peer(1, RibView::AdjInPre, generation);
    for (at, generation) in (0..).zip(1..5) {
        store
            .put(&[Builder::new("r1", 0)
                .at(at)
                .announce(&from(generation), 0..3, &[1])
                .event(Some(&from(generation)), peer_down())
                .build()])
            .await;
    }
    let counts = "SELECT DISTINCT concat_ws(' ', learn_count, is_ended) FROM route_state";
    assert_eq!(store.database.texts(counts).await, ["4 t"]);
    store.close().await;
}

#[tokio::test]
async fn a_peer_down_changes_the_other_views_of_a_known_peer() {
    let Some(mut store) = Store::open(Edition::Plain, "pipeline_views").await else { return };
    let from = |view, generation| peer(1, view, generation);
    let (pre, post) = (RibView::AdjInPre, RibView::AdjInPost);
    let announce = |at, view, generation| {
        Builder::new("r1", 0).at(at).announce(&from(view, generation), 0..3, &[1]).build()
    };
    store.put(&[announce(0, pre, 1)]).await;
    store.put(&[announce(1, post, 1)]).await;
    store.put(&[Builder::new("r1", 0).at(2).event(Some(&from(pre, 1)), peer_down()).build()]).await;
    store.put(&[announce(3, post, 2)]).await;
    let counts = "SELECT DISTINCT concat_ws(' ', rib, learn_count, is_ended) FROM route_state ORDER BY 1";
    assert_eq!(store.database.texts(counts).await, ["adj-in-post 2 f", "adj-in-pre 1 t"]);
    store.close().await;
}

#[tokio::test]
async fn rows_that_the_server_drops_prevent_the_commit() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "pipeline_drops").await else { continue };
        store.put(&[routes(1, 0..5, 1)]).await;
        let client = store.database.client().await;
        let drops = "CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.idx = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$";
        client.batch_execute(drops).await.unwrap();
        // The first table drops rows of the history, the second one those of the initial load of a new peer.
        let second = peer(2, RibView::AdjInPre, 1);
        let of_second = Builder::new("r1", 0).at(4).announce(&second, 10..15, &[1]).build();
        let batches = [routes(2, 10..15, 1), of_second];
        for (table, batch) in ["route_records", "rib_entries"].into_iter().zip(batches) {
            let trigger = format!(
                "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION drop_some()"
            );
            client.batch_execute(&trigger).await.unwrap();
            // A lane that does not count its rows yet notices the trigger, and does so from then on.
            let error = store.connection.store(&transaction(store.next, &batch)).await.unwrap_err();
            assert!(
                error.to_string().contains(&format!("the trigger t on {table} may drop rows")),
                "{error}"
            );
            assert_eq!(error.action(), ErrorAction::Retry);
            attach_again(&mut store).await;
            let error = store.connection.store(&transaction(store.next, &batch)).await;
            let Err(Error::RowCount { table: of_table, sent: 5, stored: 4 }) = error else {
                panic!("{table}: {error:?}")
            };
            assert_eq!(of_table, table);
            attach_again(&mut store).await;
            client.batch_execute(&format!("DROP TRIGGER t ON {table}")).await.unwrap();
            attach_again(&mut store).await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_server_that_replies_while_it_reads_does_not_block() {
    let Some(database) = Database::migrated(Edition::Plain, "pipeline_warnings").await else { return };
    let warn = "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE WARNING '%', repeat('x', 4000); RETURN NEW; END $$;
        CREATE TRIGGER t BEFORE INSERT ON route_records FOR EACH ROW EXECUTE FUNCTION warn()";
    database.client().await.batch_execute(warn).await.unwrap();
    let mut store = Store::with(database).await;
    // 40 MB of warnings, and more rows than fit into the buffers of the sockets.
    for at in 0..2 {
        let numbers = 10_000 * u32::try_from(at).unwrap()..10_000 * u32::try_from(at + 1).unwrap();
        store.put(&[routes(at, numbers, 1)]).await;
    }
    assert_eq!(store.database.missing_and_doubled(COLLECTOR).await, (0, 0));
    store.close().await;
}
