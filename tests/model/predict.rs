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
    /// The router connects; a connection that it has becomes an old one.
    Connect(usize),
    Message(usize, Vec<u8>),
    /// The session ends: by a Termination, or by the loss of the connection.
    End {
        router: usize,
        is_terminated: bool,
    },
    /// The old connections of the router are lost.
    EndOld(usize),
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

/// State of a peer according to the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Stale,
    /// Known only as long as an older session of the router may still have records of the peer.
    Down,
}

/// A peer according to the log.
struct Tracked {
    router: usize,
    peer: PeerId,
    session: i64,
    generation: u32,
    state: State,
}

/// A BMP session, with the records that are not in the log yet.
struct Live {
    session: Session,
    pending: Vec<Record>,
    /// Whether the router has connected again.
    is_old: bool,
}

/// The model.
#[derive(Default)]
struct Run {
    now: i64,
    /// In the order of their starts.
    sessions: Vec<Live>,
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
        let routers: BTreeSet<usize> = run.sessions.iter().map(|live| live.session.router).collect();
        for router in routers {
            run.step(&Step::EndOld(router));
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
        for live in &mut self.sessions {
            live.pending.extend(live.session.tick(now));
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
            Step::Connect(router) => {
                if self.current(*router).is_none() {
                    self.connect(*router);
                }
            }
            Step::Reconnect(router) => {
                if let Some(live) = self.current(*router) {
                    live.is_old = true;
                    self.act(Action::Flush);
                    self.flush_all();
                    self.connect(*router);
                }
            }
            Step::EndOld(router) => {
                self.act(Action::EndOld(*router));
                self.end_sessions(|live| live.is_old && live.session.router == *router, "connection lost");
            }
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

    fn current(&mut self, router: usize) -> Option<&mut Live> {
        self.sessions.iter_mut().find(|live| live.session.router == router && !live.is_old)
    }

    fn message(&mut self, router: usize, of: impl FnOnce(&mut Session, i64) -> (Vec<u8>, Vec<Record>)) {
        let now = self.now;
        let Some(live) = self.current(router) else { return };
        let (bytes, records) = of(&mut live.session, now);
        live.pending.extend(records);
        self.act(Action::Message(router, bytes));
    }

    fn connect(&mut self, router: usize) {
        let known = self.tracked.iter().filter(|tracked| tracked.router == router);
        let known = known.filter(|tracked| tracked.state != State::Down);
        let prior = known.map(|tracked| tracked.peer).collect();
        let session = Session::new(router, self.now, prior, self.without_end_us);
        let up = Record { router, session: self.now, time: self.now, at: None, what: What::SessionUp };
        self.sessions.push(Live { session, pending: vec![up], is_old: false });
        self.act(Action::Connect(router));
    }

    fn end(&mut self, router: usize, is_terminated: bool) {
        if self.current(router).is_none() {
            return;
        }
        self.act(Action::End { router, is_terminated });
        let reason = if is_terminated { "terminated by the router, reason 0" } else { "connection lost" };
        self.end_sessions(|live| live.session.router == router && !live.is_old, reason);
    }

    /// Ends sessions, and puts their records into the log.
    fn end_sessions(&mut self, is_ended: impl Fn(&Live) -> bool, reason: &str) {
        let (ended, rest) = std::mem::take(&mut self.sessions).into_iter().partition(is_ended);
        self.sessions = rest;
        let ended: Vec<Live> = ended;
        for Live { session, pending, .. } in ended {
            let records = pending.into_iter().chain(session.end(reason, self.now));
            records.for_each(|record| self.log(record));
        }
    }

    fn flush_all(&mut self) {
        let pending: Vec<Record> =
            self.sessions.iter_mut().flat_map(|live| std::mem::take(&mut live.pending)).collect();
        pending.into_iter().for_each(|record| self.log(record));
    }

    fn log(&mut self, record: Record) {
        let session = (record.router, record.session);
        match &record.what {
            What::SessionDown(_) => drop(self.open.remove(&session)),
            What::Gap(_) => {}
            _ => drop(self.open.insert(session)),
        }
        let state = match record.what {
            What::PeerUp | What::PeerUpRepeated | What::Announce { .. } => Some(State::Up),
            What::PeerStale => Some(State::Stale),
            What::PeerDown => Some(State::Down),
            _ => None,
        };
        if let (Some(at), Some(state)) = (record.at, state) {
            self.track(&record, at, state);
        }
        let open = &self.open;
        self.tracked.retain(|tracked| {
            let is_older =
                |(router, start): &(usize, i64)| *router == tracked.router && *start < tracked.session;
            tracked.state != State::Down || open.iter().any(is_older)
        });
        self.out.records.push(record);
    }

    /// Takes over the state of a peer, unless a newer session has set it.
    fn track(&mut self, record: &Record, at: At, state: State) {
        let of_router = |tracked: &Tracked| tracked.router == record.router;
        let known = self.tracked.iter().filter(|tracked| of_router(tracked));
        let mut known: Vec<PeerId> = known.map(|tracked| tracked.peer).collect();
        let before = known.clone();
        let index = resolve(&mut known, &at.peer);
        if let Some(before) = before.get(index) {
            let is_same = |tracked: &Tracked| of_router(tracked) && tracked.peer == *before;
            if self.tracked.iter().any(|tracked| is_same(tracked) && tracked.session > record.session) {
                return;
            }
            self.tracked.retain(|tracked| !is_same(tracked));
        }
        let (router, session, peer) = (record.router, record.session, known[index]);
        self.tracked.push(Tracked { router, peer, session, generation: at.generation, state });
    }

    /// The collector is killed. Its next start ends every session that the log has left open.
    fn kill(&mut self) {
        self.act(Action::Kill);
        self.sessions.clear();
        for (router, session) in self.open.clone() {
            let record = |at, what| Record { router, session, time: self.now, at, what };
            let up = self.tracked.iter().filter(|tracked| {
                tracked.router == router && tracked.session == session && tracked.state == State::Up
            });
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

    /// The collector is stopped, which ends its sessions, and starts again, which records a gap per router.
    fn stop(&mut self) {
        self.act(Action::Stop);
        let last: BTreeMap<usize, i64> =
            self.sessions.iter().map(|live| (live.session.router, live.session.start)).collect();
        self.end_sessions(|_| true, "collector stopped");
        for (router, session) in last {
            let what = What::Gap("stop".to_owned());
            self.log(Record { router, session, time: self.now, at: None, what });
        }
    }
}
