//! One router at two collectors: each answer counts an event once, and goes by the collector that had the
//! whole table.

use holdfast::route::{Batch, Cause, EventKind, Family, Peer, RibView, SessionEnd};
use holdfast::sink::{Connection, Lane, TransactionBuilder};
use holdfast::wal::LogId;

use crate::common::batches::{self, Builder, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::store::{self, Store};
use crate::known::{HOUR, now};

const MINUTE: i64 = 60_000_000;

/// A collector of its own beside that of the store.
pub(crate) struct Collector {
    lane: Lane,
    connection: Connection,
    next: u64,
}

impl Collector {
    pub(crate) async fn attach(database: &Database, name: &str) -> Self {
        let lane = Lane { collector: name.to_owned(), log_id: LogId([8; 16]), number: 0, count: 1 };
        let (connection, attached) =
            Connection::attach(&database.target, &lane, store::OWNER, None).await.unwrap();
        Self { lane, connection, next: attached.last_seq + 1 }
    }

    pub(crate) async fn put(&mut self, batch: Batch) {
        let mut transaction = TransactionBuilder::new(self.lane.clone(), self.next);
        transaction.push(self.next, b"payload", &batch).unwrap();
        self.connection.store(&transaction.build()).await.unwrap();
        self.next += 1;
    }
}

fn pre() -> Peer {
    peer(1, RibView::AdjInPre, 1)
}

fn at(router: &str, session: i64, time: i64) -> Builder {
    Builder::new(router, session).at(time)
}

fn end_of_rib() -> EventKind {
    EventKind::EndOfRib { family: Family::IPV4_UNICAST }
}

/// A table, changes, and a flap of the peer, as a collector receives them whose session began at `session`.
fn life(router: &str, session: i64, begin: i64) -> Vec<Batch> {
    let two = peer(1, RibView::AdjInPre, 2);
    vec![
        at(router, session, begin + MINUTE)
            .event(
                None,
                EventKind::SessionUp {
                    sys_name: String::new(),
                    sys_descr: String::new(),
                    information: Vec::new(),
                },
            )
            .event(Some(&pre()), peer_up())
            .announce(&pre(), 0..3, &[1])
            .because(Cause::InitialDump)
            .event(Some(&pre()), end_of_rib())
            .build(),
        at(router, session, begin + 20 * MINUTE).announce(&pre(), [0], &[2]).withdraw(&pre(), [1]).build(),
        at(router, session, begin + 30 * MINUTE).event(Some(&pre()), peer_down()).build(),
        at(router, session, begin + 31 * MINUTE)
            .event(Some(&two), peer_up())
            .announce(&two, 0..3, &[3])
            .because(Cause::InitialDump)
            .event(Some(&two), end_of_rib())
            .build(),
        at(router, session, begin + 40 * MINUTE).announce(&two, [2], &[4]).build(),
    ]
}

/// The answers about a router, as lines that do not name it.
async fn answers(database: &Database, router: &str, times: &[i64]) -> Vec<String> {
    let mut calls = vec![
        format!(
            "SELECT concat_ws(' ', route, is_ended) FROM (SELECT prefix AS route, * FROM route_state) s
            WHERE router = '{router}'"
        ),
        format!("SELECT concat_ws(' ', event, reason, was_up) FROM peer_flaps('1 day', '{router}')"),
        format!(
            "SELECT concat_ws(' ', at, event, cause, path)
            FROM prefix_timeline('1.0.2.0/24', '1 day', of_peer => '{router}')"
        ),
        format!(
            "SELECT concat_ws(' ', announcements, withdrawals, peers) FROM churn('peer', '1 day')
            WHERE subject LIKE '{router} %'"
        ),
        format!(
            "SELECT concat_ws(' ', changes, withdrawn, as_path, origin) FROM churn_causes('router', '1 day')
            WHERE subject = '{router}'"
        ),
        format!(
            "SELECT concat_ws(' ', at, prefix, old_origin, new_origin) FROM origin_changes('1 day')
            WHERE router = '{router}'"
        ),
        format!(
            "SELECT concat_ws(' ', withdrawals, prefixes) FROM withdraw_storms('1 day', '1 day', 1)
            WHERE router = '{router}'"
        ),
        format!(
            "SELECT concat_ws(' ', prefix, origin_as, path, first_at, is_current) FROM hijacks('1 day')
            WHERE router = '{router}'"
        ),
        format!(
            "SELECT concat_ws(' ', route, learned, withdrawn, is_withdrawn) FROM flapping_routes(1)
            WHERE router = '{router}' ORDER BY 1"
        ),
    ];
    calls.extend(times.iter().map(|time| {
        format!(
            "SELECT concat_ws(' ', route, path) FROM rib_at('{router}', holdfast_time({})) ORDER BY 1",
            batches::NOW + time
        )
    }));
    let mut lines = Vec::new();
    for call in calls {
        lines.push(format!("{}:", call.split_once("FROM ").unwrap().1.replace(router, "r")));
        lines.extend(database.texts(&call).await);
    }
    lines
}

#[tokio::test]
async fn two_collectors_of_a_router_count_each_event_once() {
    let Some(mut store) = Store::open(Edition::Timescale, "two_collectors").await else { return };
    let own = "INSERT INTO own_prefixes VALUES ('1.0.0.0/16', '{9}', 24)";
    store.database.client().await.batch_execute(own).await.unwrap();
    let mut second = Collector::attach(&store.database, "c2").await;
    let begin = now() - 2 * HOUR;
    for batch in life("one", begin, begin) {
        store.put(&[batch]).await;
    }
    // The second collector connects later, and loses the router before the last change.
    for batch in life("two", begin, begin) {
        store.put(&[batch]).await;
    }
    let of_second = life("two", begin + MINUTE, begin + 2);
    let count = of_second.len();
    for batch in of_second.into_iter().take(count - 1) {
        second.put(batch).await;
    }
    let lost = at("two", begin + MINUTE, begin + 35 * MINUTE)
        .event(None, EventKind::SessionDown { end: SessionEnd::Lost })
        .event(Some(&peer(1, RibView::AdjInPre, 2)), EventKind::PeerStale { end: SessionEnd::Lost });
    second.put(lost.build()).await;
    let times: Vec<i64> =
        [0, 2, 10, 21, 30, 33, 36, 50].iter().map(|minute| begin + minute * MINUTE + 5).collect();
    let [alone, both] =
        [answers(&store.database, "one", &times).await, answers(&store.database, "two", &times).await];
    assert_eq!(both, alone);
    let events = "SELECT string_agg(event, ' ') FROM peer_flaps('1 day', 'two', 'c2')";
    assert_eq!(store.database.texts(events).await, ["peer_up peer_down peer_up peer_stale"]);
    let table = format!(
        "SELECT count(*)::text FROM rib_at('two', holdfast_time({}), of_collector => 'c2')",
        batches::NOW + times[3]
    );
    assert_eq!(store.database.texts(&table).await, ["2"]);
    let updates = "SELECT concat_ws(' ', announcements, withdrawals)
        FROM churn('peer', '1 day', of_collector => 'c2')";
    assert_eq!(store.database.texts(updates).await, ["1 1"]);
    store.close().await;
}

#[tokio::test]
async fn a_collector_whose_dump_is_half_done_does_not_replace_one_with_the_whole_table() {
    let Some(mut store) = Store::open(Edition::Timescale, "half_dump").await else { return };
    let mut second = Collector::attach(&store.database, "c2").await;
    let begin = now() - 2 * HOUR;
    for batch in life("r1", begin, begin) {
        store.put(&[batch]).await;
    }
    let stop = begin + 50 * MINUTE;
    let (two, later) = (peer(1, RibView::AdjInPre, 2), now() - 10 * MINUTE);
    let stopped = at("r1", begin, stop)
        .event(None, EventKind::SessionDown { end: SessionEnd::Lost })
        .event(Some(&two), EventKind::PeerStale { end: SessionEnd::Lost });
    store.put(&[stopped.build()]).await;
    let dump = at("r1", later, later).event(Some(&pre()), peer_up()).announce(&pre(), [0], &[3]);
    second.put(dump.because(Cause::InitialDump).build()).await;
    let count = async |sql: &str| store.database.texts(sql).await[0].clone();
    let past = |time: i64| {
        format!("SELECT count(*)::text FROM rib_at('r1', holdfast_time({}))", batches::NOW + time)
    };
    let present = [
        "SELECT count(*)::text FROM current_routes",
        "SELECT count(*)::text FROM route_state",
        "SELECT count(*)::text FROM rib_at('r1', 'infinity')",
        "SELECT count(*)::text FROM rib_now('r1')",
    ];
    for sql in present {
        assert_eq!(count(sql).await, "3", "{sql}");
    }
    for (time, expected) in [(stop - 1, "3"), (stop + 1, "3"), (later + 1, "3"), (begin, "0")] {
        assert_eq!(count(&past(time)).await, expected, "at {time}");
    }
    let rest = at("r1", later, later + MINUTE).announce(&pre(), [1], &[3]).because(Cause::InitialDump);
    second.put(rest.event(Some(&pre()), end_of_rib()).build()).await;
    for sql in present {
        assert_eq!(count(sql).await, "2", "{sql}");
    }
    // The earlier tables remain those of the collector that received them.
    for (time, expected) in [(stop - 1, "3"), (later + 1, "3"), (later + 2 * MINUTE, "2")] {
        assert_eq!(count(&past(time)).await, expected, "at {time}");
    }
    let flaps = "SELECT string_agg(event, ' ' ORDER BY at) FROM peer_flaps('1 day')";
    assert_eq!(count(flaps).await, "peer_up peer_down peer_up peer_stale peer_up");
    store.close().await;
}
