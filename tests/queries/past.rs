//! The past does not change: the table at an instant is what it was then, whatever came later.
//!
//! Random schedules of sessions, Peer Ups and Downs, re-dumps and sweeps are stored twice: record by record,
//! where the current table after each step is noted, and in transactions of random sizes. All later answers
//! about each instant must equal the note: those of `rib_at`, and the timelines of all prefixes.
//! `PAST_SCHEDULES=N` runs N schedules instead of 4, and `PAST_SEED=N` repeats one.

use holdfast::route::{Batch, Cause, EventKind, Family, Nlri, Peer, RibView, SessionEnd};
use holdfast::sink::Dedup;

use crate::collectors::Collector;
use crate::common::batches::{self, Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::Edition;
use crate::common::simdisk::Dice;
use crate::common::store::Store;

const SECOND: i64 = 1_000_000;
const STEPS: u64 = 40;
const PREFIXES: u32 = 4;
const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family { afi: 1, safi: 2 }];
const VIEWS: [RibView; 2] = [RibView::AdjInPre, RibView::AdjInPost];

/// A router with one peer, as a schedule makes it.
struct Run {
    dice: Dice,
    router: String,
    now: i64,
    session: i64,
    generation: u32,
    is_up: bool,
    /// The path of each standing route, by view, family and prefix.
    standing: Vec<(usize, usize, u32, u32)>,
}

impl Run {
    fn new(router: &str, seed: u64) -> Self {
        let dice = Dice::new(seed);
        let (now, session, generation) = (SECOND, 0, 0);
        Self { dice, router: router.to_owned(), now, session, generation, is_up: false, standing: Vec::new() }
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.dice.below(u64::from(bound))).unwrap()
    }

    fn builder(&self) -> Builder {
        Builder::new(&self.router, self.session).at(self.now)
    }

    fn peer(&self, view: usize) -> Peer {
        peer(1, VIEWS[view], self.generation)
    }

    /// The next batches, a second after those before them.
    fn step(&mut self) -> Vec<Batch> {
        self.now += SECOND;
        if !self.is_up {
            self.is_up = true;
            self.generation += 1;
            return vec![self.builder().event(Some(&self.peer(0)), peer_up()).build()];
        }
        match self.below(12) {
            0 => self.peer_down(),
            1..=2 => self.reconnect(),
            _ => self.update(),
        }
    }

    fn peer_down(&mut self) -> Vec<Batch> {
        self.is_up = false;
        self.standing.clear();
        vec![self.builder().event(Some(&self.peer(0)), peer_down()).build()]
    }

    /// Up to three routes change at the same time.
    fn update(&mut self) -> Vec<Batch> {
        let mut builder = self.builder();
        for _ in 0..=self.below(3) {
            let [view, family] = [self.below(2), self.below(2)].map(|index| index as usize);
            let (number, path) = (self.below(PREFIXES), 1 + self.below(3));
            self.standing.retain(|(v, f, n, _)| (*v, *f, *n) != (view, family, number));
            let is_announced = self.below(3) > 0;
            if is_announced {
                self.standing.push((view, family, number, path));
            }
            builder = route(builder, &self.peer(view), family, number, is_announced.then_some(path));
        }
        vec![builder.build()]
    }

    /// The session is lost, the router sends a part of its table again, and the rest is swept.
    fn reconnect(&mut self) -> Vec<Batch> {
        let stale = EventKind::PeerStale { end: SessionEnd::Lost };
        let builder = self.builder().event(None, EventKind::SessionDown { end: SessionEnd::Lost });
        let lost = builder.event(Some(&self.peer(0)), stale).build();
        self.session = self.now + SECOND / 4;
        self.generation = 1;
        let mut builder = self.builder().at(self.session).event(Some(&self.peer(0)), peer_up());
        for (view, family, number, path) in std::mem::take(&mut self.standing) {
            let kept = self.below(3) > 0;
            if kept {
                let path = path + self.below(4) / 3;
                builder = route(builder, &self.peer(view), family, number, Some(path)).because(Cause::ReDump);
                self.standing.push((view, family, number, path));
            }
        }
        for view in 0..VIEWS.len() {
            let peer = self.peer(view);
            for family in FAMILIES {
                builder = builder.event(Some(&peer), EventKind::EndOfRib { family });
                builder = builder.event(Some(&peer), EventKind::Sweep { family });
            }
        }
        vec![lost, builder.build()]
    }
}

fn route(builder: Builder, peer: &Peer, family: usize, number: u32, path: Option<u32>) -> Builder {
    let entries: [(Option<u32>, Nlri); 1] = [(None, prefix(number))];
    let attributes = path.map(|path| attributes(&[path]));
    builder.routes(peer, FAMILIES[family], attributes.as_ref(), entries)
}

/// The current table and the past one, as lines.
fn now(router: &str) -> String {
    format!("SELECT concat_ws(' ', rib, family, route, path) FROM rib_now('{router}') ORDER BY 1")
}

fn at(router: &str, at: i64) -> String {
    format!(
        "SELECT concat_ws(' ', rib, family, route, path) FROM rib_at('{router}', holdfast_time({}))
            ORDER BY 1",
        batches::NOW + at + SECOND / 2
    )
}

/// The table at a time, as the lines of all timelines up to then result in it.
async fn replayed(store: &Store, router: &str) -> Vec<(i64, String, String, Option<String>)> {
    let sql = format!(
        "SELECT concat_ws('|', (extract(epoch FROM t.at) * 1000000)::bigint - {}, t.event, t.rib, t.family,
            p.prefix, t.path)
        FROM generate_series(0, {} - 1) AS n
        CROSS JOIN LATERAL (SELECT set_masklen(inet '1.0.0.0' + n * 256, 24)::cidr AS prefix) p
        CROSS JOIN LATERAL prefix_timeline(p.prefix, '100 years', of_peer => '{router}')
            WITH ORDINALITY AS t (at, router, peer, peer_as, bgp_id, rib, vrf, event, cause, path_id, path,
                next_hop, med, local_pref, communities, family, line)
        ORDER BY n, t.line",
        batches::NOW,
        PREFIXES
    );
    let lines = store.database.texts(&sql).await;
    let mut changes = Vec::new();
    for line in &lines {
        let fields: Vec<&str> = line.split('|').collect();
        let (time, event) = (fields[0].parse().unwrap(), fields[1]);
        match (event, &fields[2..]) {
            ("announce", [rib, family, prefix, path]) => {
                let route = format!("{rib} {family} {prefix}");
                changes.push((time, event.to_owned(), route, Some((*path).to_owned())));
            }
            ("withdraw" | "sweep", [rib, family, prefix]) => {
                changes.push((time, event.to_owned(), format!("{rib} {family} {prefix}"), None));
            }
            ("peer_down", [_, prefix]) => {
                changes.push((time, event.to_owned(), (*prefix).to_owned(), None));
            }
            ("peer_up" | "peer_stale", _) => {}
            _ => panic!("{line}"),
        }
    }
    changes
}

/// The lines of [`now`] that the changes up to a time result in.
fn table(changes: &[(i64, String, String, Option<String>)], until: i64) -> Vec<String> {
    let mut table = std::collections::BTreeMap::new();
    for (_, event, route, path) in changes.iter().filter(|(time, ..)| *time <= until) {
        match path {
            Some(path) => drop(table.insert(route.clone(), path.clone())),
            None if event == "peer_down" => {
                table.retain(|known: &String, _| !known.ends_with(route.as_str()))
            }
            None => drop(table.remove(route)),
        }
    }
    table.into_iter().map(|(route, path)| format!("{route} {path}")).collect()
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("PAST_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("PAST_SCHEDULES").unwrap_or(4)).collect(),
    }
}

/// A batch as another collector receives it, a microsecond later.
fn later(mut batch: Batch) -> Batch {
    batch.router.session.0 += 1;
    batch.groups.iter_mut().for_each(|group| group.received.0 += 1);
    batch.events.iter_mut().for_each(|event| event.received.0 += 1);
    batch
}

fn has(batch: &Batch, is_kind: impl Fn(&EventKind) -> bool) -> bool {
    batch.events.iter().any(|event| is_kind(&event.kind))
}

/// The same schedule at two collectors, one of which now and then loses the router until it connects again.
async fn at_two_collectors(store: &mut Store, second: &mut Collector, run: &mut Run, first_is_lossy: bool) {
    let (mut dice, mut is_lost) = (Dice::new(7), false);
    for _ in 0..STEPS {
        let may_be_lost = run.is_up && dice.below(6) == 0;
        let (session, peer) = (run.session, run.peer(0));
        for batch in run.step() {
            if has(&batch, |kind| matches!(kind, EventKind::Sweep { .. })) {
                is_lost = false;
            }
            let [to_first, to_second] = [!(first_is_lossy && is_lost), first_is_lossy || !is_lost];
            if to_first {
                store.put(std::slice::from_ref(&batch)).await;
            }
            if to_second {
                second.put(later(batch)).await;
            }
        }
        if may_be_lost && !is_lost && session == run.session && run.is_up {
            is_lost = true;
            let lost = Builder::new(&run.router, session).at(run.now + SECOND / 8);
            let lost = lost.event(None, EventKind::SessionDown { end: SessionEnd::Lost });
            let lost = lost.event(Some(&peer), EventKind::PeerStale { end: SessionEnd::Lost }).build();
            if first_is_lossy {
                store.put(&[lost]).await;
            } else {
                second.put(later(lost)).await;
            }
        }
    }
}

#[tokio::test]
async fn the_past_is_that_of_the_collector_that_was_connected() {
    let Some(mut store) = Store::open(Edition::Timescale, "past_collectors").await else { return };
    let mut second = Collector::attach(&store.database, "c2").await;
    let (mut wrong, mut lines) = (Vec::new(), 0);
    for seed in seeds() {
        let mut single = Run::new(&format!("single{seed}"), seed);
        let mut notes = Vec::new();
        for _ in 0..STEPS {
            for batch in single.step() {
                store.put(&[batch]).await;
            }
            notes.push((single.now, store.database.texts(&now(&single.router)).await));
        }
        for first_is_lossy in [false, true] {
            let mut run = Run::new(&format!("lossy_{first_is_lossy}_{seed}"), seed);
            at_two_collectors(&mut store, &mut second, &mut run, first_is_lossy).await;
            let changes = replayed(&store, &run.router).await;
            for (time, note) in &notes {
                lines += note.len();
                let found = store.database.texts(&at(&run.router, *time)).await;
                let of_timeline = table(&changes, time + SECOND / 2);
                for (name, found) in [("table", found), ("timelines", of_timeline)] {
                    if found != *note {
                        let seconds = time / SECOND;
                        wrong.push(format!(
                            "{name} of {} after {seconds} s: {found:?}, it was {note:?}",
                            run.router
                        ));
                    }
                }
            }
        }
    }
    println!("{lines} lines compared twice");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    store.close().await;
}

#[tokio::test]
async fn the_past_does_not_change() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "past").await else { continue };
        let (mut wrong, mut lines) = (Vec::new(), 0);
        for seed in seeds() {
            store.dedup = [Dedup::Off, Dedup::ReDumps, Dedup::Always][usize::try_from(seed % 3).unwrap()];
            let [mut single, mut joined] =
                ["single", "joined"].map(|name| Run::new(&format!("{name}{seed}"), seed));
            let mut notes = Vec::new();
            for _ in 0..STEPS {
                for batch in single.step() {
                    store.put(&[batch]).await;
                }
                notes.push((single.now, store.database.texts(&now(&single.router)).await));
            }
            let (mut dice, mut steps) = (Dice::new(seed + 1), 0);
            while steps < STEPS {
                let together = (1 + dice.below(7)).min(STEPS - steps);
                let batches: Vec<Batch> = (0..together).flat_map(|_| joined.step()).collect();
                store.put(&batches).await;
                steps += together;
            }
            let [of_single, of_joined] =
                [replayed(&store, &single.router).await, replayed(&store, &joined.router).await];
            for (time, note) in &notes {
                lines += note.len();
                for (name, changes) in [("single", &of_single), ("joined", &of_joined)] {
                    let found = table(changes, time + SECOND / 2);
                    if found != *note {
                        let seconds = time / SECOND;
                        wrong.push(format!(
                            "timelines of {name}{seed} until {seconds} s: {found:?}, it was {note:?}"
                        ));
                    }
                }
                for router in [&single.router, &joined.router] {
                    let found = store.database.texts(&at(router, *time)).await;
                    if found != *note {
                        let seconds = time / SECOND;
                        wrong.push(format!("{router} after {seconds} s: {found:?}, it was {note:?}"));
                    }
                }
            }
        }
        println!("{edition:?}: {lines} lines compared twice");
        assert!(
            wrong.is_empty(),
            "{edition:?}: {} instants differ:\n{}",
            wrong.len(),
            wrong[..wrong.len().min(5)].join("\n")
        );
        store.close().await;
    }
}
