//! The model of a whole run: routers that connect, a collector that is killed or stopped, and its log.
//!
//! Yields the actions by which Holdfast is driven through the same run, and the records that it must make.

use std::collections::{BTreeMap, BTreeSet};

use crate::peers::{Session, own_view, resolve};
use crate::record::{At, Record, What};
use crate::schedule::{PeerId, Schedule, Step};
use crate::wire;

/// Microseconds between two messages.
const STEP_US: i64 = 1_000;
const SECOND_US: i64 = 1_000_000;

/// What happens to Holdfast at a time.
#[derive(Clone, Debug)]
pub enum Action {
    /// Time passes: every session is asked for what is due.
    Tick,
    Connect(usize),
    Message(usize, Vec<u8>),
    /// The session ends: by a Termination, or by the loss of the connection.
    End {
        router: usize,
        is_terminated: bool,
    },
    Flush,
    Kill,
    Stop,
}

/// The result of the model.
#[derive(Default)]
pub struct Prediction {
    pub actions: Vec<(i64, Action)>,
    /// The records in the log, in no particular order between routers.
    pub records: Vec<Record>,
}

/// A peer that is up or stale according to the log.
struct Tracked {
    router: usize,
    peer: PeerId,
    session: i64,
    generation: u32,
    is_up: bool,
}

/// The model.
#[derive(Default)]
struct Run {
    now: i64,
    sessions: BTreeMap<usize, Session>,
    /// Records that are not in the log yet, by router.
    pending: BTreeMap<usize, Vec<Record>>,
    tracked: Vec<Tracked>,
    /// Sessions that have a record in the log, and no end.
    open: BTreeSet<(usize, i64)>,
    without_end_us: Option<i64>,
    out: Prediction,
}

/// Predicts the run of a schedule. At its end everything is in the log, and the connections are lost or not.
pub fn predict(schedule: &Schedule) -> Prediction {
    let without_end_us = schedule.sweep_without_end_s.map(|seconds| i64::from(seconds) * SECOND_US);
    let mut run = Run { without_end_us, ..Run::default() };
    for step in &schedule.steps {
        run.step(step);
    }
    if schedule.is_lost_at_end {
        for router in run.sessions.keys().copied().collect::<Vec<_>>() {
            run.step(&Step::Lose(router));
        }
    }
    run.step(&Step::Flush);
    run.out
}

impl Run {
    fn act(&mut self, action: Action) {
        self.out.actions.push((self.now, action));
    }

    fn tick(&mut self) {
        self.act(Action::Tick);
        let now = self.now;
        for (router, session) in &mut self.sessions {
            self.pending.entry(*router).or_default().extend(session.tick(now));
        }
    }

    fn step(&mut self, step: &Step) {
        self.now += STEP_US;
        self.tick();
        match step {
            Step::Wait(seconds) => {
                for _ in 0..*seconds {
                    self.now += SECOND_US;
                    self.tick();
                }
            }
            Step::Connect(router) => self.connect(*router),
            Step::Lose(router) => self.end(*router, false),
            Step::Terminate(router) => self.end(*router, true),
            Step::Flush => {
                self.act(Action::Flush);
                self.flush_all();
            }
            Step::Kill => self.kill(),
            Step::Stop => self.stop(),
            Step::PeerUp(target, session) => {
                let bytes = wire::peer_up(target, session);
                self.message(target.router, |model, now| (bytes, vec![model.peer_up(target, session, now)]));
            }
            Step::PeerDown(target) => self.message(target.router, |model, now| {
                (wire::peer_down(target), vec![model.peer_down(target, now)])
            }),
            Step::Statistics(target) => self.message(target.router, |model, now| {
                (wire::statistics(target), vec![model.statistics(target, now)])
            }),
            Step::EndOfRib(target, family) => self.message(target.router, |model, now| {
                (wire::end_of_rib(target, *family), vec![model.end_of_rib(target, *family, now)])
            }),
            Step::Update(update) => {
                self.message(update.target.router, |model, now| model.update(update, now));
            }
        }
    }

    fn message(&mut self, router: usize, of: impl FnOnce(&mut Session, i64) -> (Vec<u8>, Vec<Record>)) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&router) else { return };
        let (bytes, records) = of(session, now);
        self.pending.entry(router).or_default().extend(records);
        self.act(Action::Message(router, bytes));
    }

    fn connect(&mut self, router: usize) {
        if self.sessions.contains_key(&router) {
            return;
        }
        let known = self.tracked.iter().filter(|tracked| tracked.router == router);
        let prior = known.map(|tracked| tracked.peer).collect();
        self.sessions.insert(router, Session::new(router, self.now, prior, self.without_end_us));
        let up = Record { router, session: self.now, time: self.now, at: None, what: What::SessionUp };
        self.pending.entry(router).or_default().push(up);
        self.act(Action::Connect(router));
    }

    fn end(&mut self, router: usize, is_terminated: bool) {
        let Some(session) = self.sessions.remove(&router) else { return };
        let reason = if is_terminated { "terminated by the router, reason 0" } else { "connection lost" };
        self.pending.entry(router).or_default().extend(session.end(reason, self.now));
        self.act(Action::End { router, is_terminated });
        self.flush(router);
    }

    fn flush_all(&mut self) {
        for router in self.pending.keys().copied().collect::<Vec<_>>() {
            self.flush(router);
        }
    }

    /// Puts the records of a router into the log.
    fn flush(&mut self, router: usize) {
        for record in self.pending.remove(&router).unwrap_or_default() {
            self.log(record);
        }
    }

    fn log(&mut self, record: Record) {
        let session = (record.router, record.session);
        match &record.what {
            What::SessionDown(_) => drop(self.open.remove(&session)),
            What::Gap(_) => {}
            _ => drop(self.open.insert(session)),
        }
        let is_up = match record.what {
            What::PeerUp | What::PeerUpRepeated | What::Announce { .. } => Some(true),
            What::PeerStale => Some(false),
            _ => None,
        };
        if let Some(At { peer, generation, .. }) = record.at
            && (is_up.is_some() || record.what == What::PeerDown)
        {
            let of_router = |tracked: &Tracked| tracked.router == record.router;
            let mut known: Vec<PeerId> = self
                .tracked
                .iter()
                .filter(|tracked| of_router(tracked))
                .map(|tracked| tracked.peer)
                .collect();
            let before = known.clone();
            let index = resolve(&mut known, &peer);
            if let Some(before) = before.get(index) {
                self.tracked.retain(|tracked| !(of_router(tracked) && tracked.peer == *before));
            }
            let (router, session, peer) = (record.router, record.session, known[index]);
            self.tracked.extend(is_up.map(|is_up| Tracked { router, peer, session, generation, is_up }));
        }
        self.out.records.push(record);
    }

    /// The collector is killed. Its next start ends every session that the log has left open.
    fn kill(&mut self) {
        self.act(Action::Kill);
        self.pending.clear();
        self.sessions.clear();
        for (router, session) in self.open.clone() {
            let record = |at, what| Record { router, session, time: self.now, at, what };
            let up = self
                .tracked
                .iter()
                .filter(|tracked| tracked.router == router && tracked.session == session && tracked.is_up);
            let stale = |Tracked { peer, generation, .. }: &Tracked| {
                let at = At { peer: *peer, view: own_view(peer), generation: *generation };
                record(Some(at), What::PeerStale)
            };
            let mut records: Vec<Record> = up.map(stale).collect();
            records.push(record(None, What::SessionDown("collector died".to_owned())));
            records.push(record(None, What::Gap("crash".to_owned())));
            records.into_iter().for_each(|record| self.log(record));
        }
    }

    /// The collector is stopped, which ends its sessions, and starts again, which records the gaps.
    fn stop(&mut self) {
        self.act(Action::Stop);
        let now = self.now;
        for (router, session) in std::mem::take(&mut self.sessions) {
            let start = session.start;
            self.pending.entry(router).or_default().extend(session.end("collector stopped", now));
            self.flush(router);
            let what = What::Gap("stop".to_owned());
            self.log(Record { router, session: start, time: now, at: None, what });
        }
    }
}
