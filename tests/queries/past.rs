//! The past does not change: the table at an instant is what it was then, whatever came later.
//!
//! Random schedules of sessions, Peer Ups and Downs, re-dumps and sweeps are stored twice: record by record,
//! where the current table after each step is noted, and in transactions of random sizes. All later answers
//! about each instant must equal the note. `PAST_SCHEDULES=N` runs N schedules instead of 4, and
//! `PAST_SEED=N` repeats one.

use holdfast::route::{Batch, Cause, EventKind, Family, Nlri, Peer, RibView, SessionEnd};
use holdfast::sink::Dedup;

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
        self.session = self.now;
        self.generation = 1;
        let mut builder = self.builder().event(Some(&self.peer(0)), peer_up());
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

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("PAST_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("PAST_SCHEDULES").unwrap_or(4)).collect(),
    }
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
            for (time, note) in &notes {
                lines += note.len();
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
