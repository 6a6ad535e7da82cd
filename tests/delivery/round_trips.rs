//! The number of round trips of a transaction: how often the client waits for the server.

use std::sync::atomic::Ordering;

use crate::common::batches::{Builder, attributes, peer, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::proxy::Proxy;
use crate::common::source::{server_address, target_through};
use crate::common::store::{OWNER, Store, lane};
use holdfast::route::{Attributes, Batch, Cause, Family, RibView};
use holdfast::sink::{Connection, Dedup};

/// Delay in each direction. It must be longer than the pauses of a client that does not wait for a response.
const DELAY_MS: u64 = 60;
/// Number of transactions of each kind. The least of their numbers is that of a client without pauses.
const TRANSACTIONS: u32 = 3;
/// Routes of a transaction.
const ROUTES: u32 = 600;

/// A transaction of a peer: a Peer Up with `with_event`, and a block of routes.
fn batch(at: i64, block: u32, path: u32, cause: Cause, with_event: bool) -> Batch {
    let from = peer(1, RibView::AdjInPre, 1);
    let set = Attributes { med: Some(path), ..attributes(&[path]) };
    let prefixes = (block * ROUTES..(block + 1) * ROUTES).map(crate::common::batches::prefix);
    let builder = Builder::new("r1", 0).at(at);
    let builder = if with_event { builder.event(Some(&from), peer_up()) } else { builder };
    builder
        .routes(&from, Family::IPV4_UNICAST, Some(&set), prefixes.map(|prefix| (None, prefix)))
        .because(cause)
        .build()
}

/// The least number of round trips of a transaction for each of the numbers.
async fn round_trips(
    store: &mut Store,
    proxy: &Proxy,
    numbers: std::ops::Range<u32>,
    batch: impl Fn(u32) -> Batch,
) -> u64 {
    let mut least = u64::MAX;
    for number in numbers {
        let before = proxy.faults.round_trips.load(Ordering::SeqCst);
        store.put(&[batch(number)]).await;
        least = least.min(proxy.faults.round_trips.load(Ordering::SeqCst) - before);
    }
    least
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_has_few_round_trips() {
    let Some(database) = Database::migrated(Edition::Plain, "round_trips").await else { return };
    let proxy = Proxy::start(server_address(&database).await).await;
    let mut store = Store::with(database).await;
    let target = target_through(&store.database, proxy.address);
    store.connection = Connection::attach(&target, &lane(), OWNER, None).await.unwrap().0;
    store.dedup = Dedup::Always;
    proxy.faults.delay_ms.store(DELAY_MS, Ordering::SeqCst);
    let (blocks, load) = (0..TRANSACTIONS, Cause::InitialDump);
    let new_peer = round_trips(&mut store, &proxy, 0..1, |block| batch(1, block, 1, load, true)).await;
    let first_load =
        round_trips(&mut store, &proxy, 1..TRANSACTIONS, |block| batch(2, block, 1, load, true)).await;
    let update = |block| batch(3, block, 2, Cause::Update, false);
    let update = round_trips(&mut store, &proxy, blocks.clone(), update).await;
    let unchanged = |block| batch(4, block, 2, Cause::ReDump, true);
    let unchanged = round_trips(&mut store, &proxy, blocks, unchanged).await;
    println!(
        "round trips of a transaction: first of a peer {new_peer}, first load {first_load}, update {update}, \
         unchanged re-dump {unchanged}"
    );
    let stored = "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged)) FROM ingest_ledger";
    assert_eq!(store.database.texts(stored).await, ["5400 3600 1800"]);
    proxy.faults.delay_ms.store(0, Ordering::SeqCst);
    store.close().await;
    assert!(new_peer <= 2 && first_load <= 1 && update <= 2 && unchanged <= 2, "too many round trips");
}
