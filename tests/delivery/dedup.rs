//! Deduplication (HISTORY_DEDUP): what is history in each mode, however the log is cut into transactions.

use std::collections::BTreeMap;

use crate::common::batches::{Builder, attributes, peer, peer_down, prefix};
use crate::common::db::Edition;
use crate::common::store::{COLLECTOR, Store};
use holdfast::route::{Batch, Cause, EventKind, Family, LabelledPrefix, Nlri, Peer, RibView};
use holdfast::sink::{Dedup, rebuild_state};

const MODES: [Dedup; 3] = [Dedup::Off, Dedup::ReDumps, Dedup::Always];
const LABELLED: Family = Family { afi: 1, safi: 4 };
const VIEWS: [RibView; 2] = [RibView::AdjInPre, RibView::AdjInPost];

fn pre(generation: u32) -> Peer {
    peer(1, RibView::AdjInPre, generation)
}

fn announced(session: i64, at: i64, cause: Cause, path: &[u32]) -> Batch {
    Builder::new("r1", session).at(at).announce(&pre(1), [0], path).because(cause).build()
}

/// Stores the batches each way, and compares the causes of the rows of history and the sums of the ledger.
async fn history(test: &str, dedup: Dedup, batches: &[Batch], expected: &[&str], ledger: &str) {
    for edition in Edition::ALL {
        for together in [false, true] {
            let Some(mut store) = Store::open(edition, &format!("{test}_{together}")).await else { continue };
            store.dedup = dedup;
            for part in batches.chunks(if together { batches.len() } else { 1 }) {
                store.put(part).await;
            }
            let causes = store.database.texts("SELECT cause FROM route_updates ORDER BY seq, idx").await;
            assert_eq!(causes, expected, "{edition:?}, in one transaction: {together}");
            let sums = "SELECT concat_ws(' ', sum(routes), sum(stored), sum(unchanged)) FROM ingest_ledger";
            assert_eq!(store.database.texts(sums).await, [ledger], "{edition:?}, together: {together}");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_table_that_is_sent_again_within_a_session_adds_no_history() {
    let batches = [
        announced(0, 0, Cause::InitialDump, &[1]),
        announced(0, 1, Cause::Update, &[1]),
        announced(0, 2, Cause::Update, &[2]),
        announced(0, 3, Cause::Update, &[2]),
        announced(0, 4, Cause::Update, &[1]),
    ];
    let changes = ["initial-dump", "update", "update"];
    history("in_session_always", Dedup::Always, &batches, &changes, "5 3 2").await;
    let all = ["initial-dump", "update", "update", "update", "update"];
    history("in_session_re_dumps", Dedup::ReDumps, &batches, &all, "5 5 0").await;
    history("in_session_off", Dedup::Off, &batches, &all, "5 5 0").await;
}

#[tokio::test]
async fn an_identical_initial_dump_after_a_lost_state_adds_no_history() {
    let batches = [announced(0, 0, Cause::InitialDump, &[1]), announced(5, 1, Cause::InitialDump, &[1])];
    history("initial_again", Dedup::Always, &batches, &["initial-dump"], "2 1 1").await;
}

#[tokio::test]
async fn a_repetition_after_a_withdrawal_or_a_peer_down_is_history() {
    let again = |generation, at| {
        let builder = Builder::new("r1", 0).at(at).announce(&pre(generation), [0], &[1]);
        builder.because(Cause::Update).build()
    };
    let withdrawn = Builder::new("r1", 0).at(1).withdraw(&pre(1), [0]).build();
    let down = Builder::new("r1", 0).at(3).event(Some(&pre(1)), peer_down()).build();
    let batches = [again(1, 0), withdrawn, again(1, 2), down, again(2, 4), again(2, 5)];
    let expected = ["update", "withdraw", "update", "update"];
    history("between", Dedup::Always, &batches, &expected, "5 4 1").await;
}

#[tokio::test]
async fn a_peer_down_ends_the_views_that_the_transaction_names_only_later() {
    let post = |generation| peer(1, RibView::AdjInPost, generation);
    let first = Builder::new("r1", 0).announce(&post(1), [0], &[1]).because(Cause::InitialDump).build();
    let again = Builder::new("r1", 0).at(1).event(Some(&pre(1)), peer_down());
    let again = again.announce(&post(2), [0], &[1]).because(Cause::ReDump).build();
    for (test, dedup) in [("later_re_dumps", Dedup::ReDumps), ("later_always", Dedup::Always)] {
        let batches = [first.clone(), again.clone()];
        history(test, dedup, &batches, &["initial-dump", "re-dump"], "2 2 0").await;
    }
}

#[tokio::test]
async fn a_repetition_is_no_churn_and_is_seen() {
    let Some(mut store) = Store::open(Edition::Timescale, "no_churn").await else { return };
    store.dedup = Dedup::Always;
    store.put(&[announced(0, 0, Cause::InitialDump, &[1])]).await;
    store.put(&[announced(0, 60_000_000, Cause::Update, &[1])]).await;
    let churn = "SELECT count(*) FROM churn('prefix', '1 day', '2026-11-24')";
    assert_eq!(store.database.value::<i64>(churn).await, 0);
    let state = "SELECT concat_ws(' ', learn_count, withdraw_count, last_seen - first_seen) FROM route_state";
    assert_eq!(store.database.texts(state).await, ["1 0 00:01:00"]);
    let found = rebuild_state(&mut store.database.client().await, COLLECTOR, false).await.unwrap();
    let found: Vec<_> = found.iter().map(|verdict| (verdict.name.as_str(), verdict.routes)).collect();
    assert_eq!(found, [("refreshed", 1)]);
    store.close().await;
}

/// Position of a record in the model: session, generation, number of the batch.
type Place = (i64, u32, usize);
/// Family and number of a route.
type RouteId = (Family, u32);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// View, route, content (path and label) and cause.
    Announce(usize, RouteId, u32, Cause),
    Withdraw(usize, RouteId),
    Down,
    Sweep(usize, Family),
}

/// A schedule: session and generation of the peer, and what it does.
type Schedule = Vec<(i64, u32, Step)>;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(limit.into())).unwrap()
    }

    fn view(&mut self) -> usize {
        usize::try_from(self.below(2)).unwrap()
    }
}

/// A random schedule. With `late`, old sessions go on beside the newest one.
fn schedule(random: &mut Random, late: bool) -> Schedule {
    let mut sessions = vec![(0_i64, 1_u32)];
    let mut steps = Schedule::new();
    for _ in 0..24 {
        if random.below(10) == 0 {
            sessions.push((sessions.last().unwrap().0 + 10, 1));
        }
        let back = if late && random.below(4) == 0 { random.below(sessions.len() as u64) } else { 0 };
        let index = sessions.len() - 1 - usize::try_from(back).unwrap();
        let (session, generation) = sessions[index];
        let route = ([Family::IPV4_UNICAST, LABELLED][random.view()], random.small(2));
        let cause = [Cause::InitialDump, Cause::ReDump, Cause::Update][random.small(3) as usize];
        let step = match random.below(20) {
            0 => Step::Down,
            1 => Step::Sweep(random.view(), route.0),
            2 | 3 => Step::Withdraw(random.view(), route),
            _ => Step::Announce(random.view(), route, random.small(2), cause),
        };
        if matches!(step, Step::Down) {
            sessions[index].1 += 1;
        }
        steps.push((session, generation, step));
    }
    steps
}

fn batch(router: &str, number: usize, (session, generation, step): (i64, u32, Step)) -> Batch {
    let at = i64::try_from(number).unwrap() * 1_000_000;
    let builder = Builder::new(router, session).at(at);
    let peer = |view: usize| peer(1, VIEWS[view], generation);
    let entry = |(family, number): RouteId, label| {
        let Nlri::Prefix(plain) = prefix(number) else { unreachable!() };
        let labelled = LabelledPrefix { rd: None, labels: vec![label], prefix: plain };
        [(None, if family == LABELLED { Nlri::Labelled(Box::new(labelled)) } else { prefix(number) })]
    };
    match step {
        Step::Announce(view, route, content, cause) => {
            // Of a labelled route only the label differs.
            let path = if route.0 == LABELLED { 1 } else { content };
            let set = attributes(&[path]);
            builder.routes(&peer(view), route.0, Some(&set), entry(route, content)).because(cause).build()
        }
        Step::Withdraw(view, route) => builder.routes(&peer(view), route.0, None, entry(route, 0)).build(),
        Step::Down => builder.event(Some(&peer(0)), peer_down()).build(),
        Step::Sweep(view, family) => builder.event(Some(&peer(view)), EventKind::Sweep { family }).build(),
    }
}

/// The batches whose route has a row of history, from one record after the other.
fn model(dedup: Dedup, steps: &Schedule) -> Vec<usize> {
    struct Route {
        place: Place,
        content: Option<u32>,
    }
    let mut routes: BTreeMap<(usize, u16, u8, u32), Route> = BTreeMap::new();
    let mut down = (i64::MIN, 0);
    let mut swept: BTreeMap<(usize, u8), (i64, u32)> = BTreeMap::new();
    let mut rows = Vec::new();
    for (number, &(session, generation, step)) in steps.iter().enumerate() {
        let place = (session, generation, number);
        let (view, (family, prefix), content, cause) = match step {
            Step::Down => {
                down = down.max((session, generation + 1));
                continue;
            }
            Step::Sweep(view, family) => {
                let known = swept.entry((view, family.safi)).or_insert((i64::MIN, 0));
                *known = (*known).max((session, generation));
                continue;
            }
            Step::Announce(view, route, content, cause) => (view, route, Some(content), cause),
            Step::Withdraw(view, route) => (view, route, None, Cause::Update),
        };
        let key = (view, family.afi, family.safi, prefix);
        let valid = swept.get(&(view, family.safi)).map_or(down, |swept| down.max(*swept));
        let known = routes.get(&key);
        let is_compared = content.is_some()
            && match dedup {
                Dedup::Off => false,
                Dedup::ReDumps => cause == Cause::ReDump,
                Dedup::Always => true,
            };
        let stands = |route: &Route| {
            route.content == content && (route.place.0, route.place.1) >= valid && route.place < place
        };
        if !(is_compared && known.is_some_and(stands)) {
            rows.push(number);
        }
        if known.is_none_or(|route| route.place < place) {
            routes.insert(key, Route { place, content });
        }
    }
    rows
}

/// Stores the schedule of a router in transactions of these numbers of batches; returns the batches in
/// history and the current table.
async fn stored(
    store: &mut Store,
    router: &str,
    steps: &Schedule,
    mut cut: impl FnMut() -> usize,
) -> (Vec<usize>, Vec<String>) {
    let batches: Vec<_> =
        steps.iter().enumerate().map(|(number, step)| batch(router, number, *step)).collect();
    let first = store.next;
    let mut rest = batches.as_slice();
    while !rest.is_empty() {
        let (part, tail) = rest.split_at(cut().clamp(1, rest.len()));
        store.put(part).await;
        rest = tail;
    }
    let database = &store.database;
    let sql =
        format!("SELECT (seq - {first})::text FROM route_updates WHERE router = '{router}' ORDER BY seq");
    let rows = database.texts(&sql).await.iter().map(|row| row.parse().unwrap()).collect();
    let sql = format!(
        "SELECT concat_ws(' ', rib, afi, safi, prefix, labels, as_path, is_withdrawn, is_ended, session,
            generation, seq - {first}, first_seen, last_seen, last_state_change, learn_count, withdraw_count)
        FROM route_state WHERE router = '{router}' ORDER BY 1"
    );
    (rows, database.texts(&sql).await)
}

/// Columns of the current table that a late event of an old session may change, if it is in one transaction
/// with an event of a newer one: the counters, and the time of the last change.
fn without_counters(table: &[String]) -> Vec<String> {
    table.iter().map(|row| row.split(' ').take(11).collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test]
async fn the_result_does_not_depend_on_how_the_log_is_cut_into_transactions() {
    let cases = std::env::var("DEDUP_CASES").map_or(16, |cases| cases.parse().unwrap());
    for dedup in MODES {
        let test = format!("cuts_{dedup:?}").to_lowercase();
        let Some(mut store) = Store::open(Edition::Plain, &test).await else { return };
        store.dedup = dedup;
        for seed in 0..cases {
            let mut random = Random(seed);
            let late = seed % 2 == 1;
            let steps = schedule(&mut random, late);
            let expected = model(dedup, &steps);
            let said = format!("{dedup:?}, seed {seed}: {steps:?}");
            let single = stored(&mut store, &format!("r{seed}-single"), &steps, || 1).await;
            assert_eq!(single.0, expected, "one batch per transaction, {said}");
            let whole = stored(&mut store, &format!("r{seed}-whole"), &steps, || usize::MAX).await;
            let cuts = || usize::try_from(1 + random.below(6)).unwrap();
            let parts = stored(&mut store, &format!("r{seed}-parts"), &steps, cuts).await;
            for (rows, table) in [whole, parts] {
                assert_eq!(rows, expected, "{said}");
                if late {
                    assert_eq!(without_counters(&table), without_counters(&single.1), "{said}");
                } else {
                    assert_eq!(table, single.1, "{said}");
                }
            }
        }
        let sums = "SELECT bool_and(routes = stored + unchanged + rejected)
            AND sum(stored) = (SELECT count(*) FROM route_updates) FROM ingest_ledger";
        assert!(store.database.value::<bool>(sums).await);
        store.close().await;
    }
}
