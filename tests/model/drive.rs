//! Drives Holdfast's sessions and its local state through a run, without a network, a log or a database.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use holdfast::route::{
    self, Action as RouteAction, Batch, EventKind, Nlri, NlriEntry, RibView, RouteRecord, SessionEnd,
    Timestamp,
};
use holdfast::session::{Introduced, Options, Session};
use holdfast::state::StateStore;

use crate::common::messages;
use crate::common::sessions::options;
use crate::predict::Action;
use crate::record::{At, Cause, Record, RouteKey, What};
use crate::schedule::{PeerId, Prefix, QUIET_S, Schedule, View};
use crate::wire;

/// Time at which every run begins.
pub const START: i64 = 1_790_000_000_000_000;

/// The collector.
struct Collector {
    state: Arc<StateStore>,
    sessions: BTreeMap<usize, Session>,
    /// Sessions whose router has connected again, with their routers.
    old: Vec<(usize, Session)>,
    log: Vec<Batch>,
    sweep_without_end_us: Option<i64>,
}

/// Performs the actions, and returns the log.
pub fn drive(schedule: &Schedule, actions: &[(i64, Action)]) -> Vec<Batch> {
    // No directory can be created there, so that the state is in memory.
    let (state, _) = StateStore::open(Path::new("/dev/null/state"));
    let mut collector = Collector {
        state: Arc::new(state),
        sessions: BTreeMap::new(),
        old: Vec::new(),
        log: Vec::new(),
        sweep_without_end_us: schedule.sweep_without_end_s.map(|seconds| i64::from(seconds) * 1_000_000),
    };
    for (time, action) in actions {
        collector.act(action, Timestamp(START + time));
    }
    collector.log
}

impl Collector {
    fn act(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Tick => self.all().for_each(|session| session.tick(now)),
            Action::Connect(router) => {
                let mut session = self.session(*router, now);
                session.message(&messages::initiation(&format!("r{router}")), now);
                let old = self.sessions.insert(*router, session);
                self.old.extend(old.map(|session| (*router, session)));
            }
            Action::Message(router, bytes) => self.sessions.get_mut(router).unwrap().message(bytes, now),
            Action::End { router, is_terminated } => {
                let mut session = self.sessions.remove(router).unwrap();
                if *is_terminated {
                    session.message(&wire::termination(), now);
                }
                let end = session.terminated().cloned().unwrap_or(SessionEnd::Lost);
                self.end(&mut session, &end, now);
            }
            Action::EndOld(router) => self.end_old(|of| of == *router, &SessionEnd::Lost, now),
            Action::Flush => {
                let batches: Vec<Batch> = self.all().flat_map(|session| session.take_batches()).collect();
                batches.into_iter().for_each(|batch| self.append(batch));
            }
            Action::Kill => {
                self.sessions.clear();
                self.old.clear();
                self.start(now);
            }
            Action::Stop => {
                self.end_old(|_| true, &SessionEnd::CollectorStop, now);
                for (_, mut session) in std::mem::take(&mut self.sessions) {
                    self.end(&mut session, &SessionEnd::CollectorStop, now);
                }
                self.start(now);
            }
        }
    }

    /// All sessions, old ones first.
    fn all(&mut self) -> impl Iterator<Item = &mut Session> {
        self.old.iter_mut().map(|(_, session)| session).chain(self.sessions.values_mut())
    }

    fn end_old(&mut self, is_ended: impl Fn(usize) -> bool, end: &SessionEnd, now: Timestamp) {
        let (ended, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.old).into_iter().partition(|(router, _)| is_ended(*router));
        self.old = rest;
        for (_, mut session) in ended {
            self.end(&mut session, end, now);
        }
    }

    fn session(&self, router: usize, now: Timestamp) -> Session {
        let options = Options {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(router).unwrap())),
            sweep_quiet_us: i64::from(QUIET_S) * 1_000_000,
            sweep_without_end_of_rib_us: self.sweep_without_end_us,
            ..options(now)
        };
        let state = Arc::clone(&self.state);
        let introduce = move |name: &str| Introduced {
            name: name.to_owned(),
            prior: state.peers(name),
            ..Introduced::default()
        };
        Session::new(options, Box::new(introduce))
    }

    fn end(&mut self, session: &mut Session, end: &SessionEnd, now: Timestamp) {
        session.end(end, now);
        session.take_batches().for_each(|batch| self.append(batch));
    }

    fn append(&mut self, batch: Batch) {
        self.state.observe(&batch).unwrap();
        self.log.push(batch);
    }

    fn start(&mut self, now: Timestamp) {
        self.state.startup_batches(now).into_iter().for_each(|batch| self.append(batch));
    }
}

/// The records of the log in the form of the model.
pub fn records(log: &[Batch]) -> Vec<Record> {
    log.iter().flat_map(|batch| batch.iter().map(|record| convert(batch, &record))).collect()
}

fn convert(batch: &Batch, record: &route::Record<'_>) -> Record {
    let router = batch.router.name.strip_prefix('r').and_then(|number| number.parse().ok()).unwrap_or(99);
    let session = batch.router.session.0 - START;
    let (received, peer, what) = match record {
        route::Record::Route(route) => (route.group.received, Some(route.group.peer), route_of(batch, route)),
        route::Record::Event(event) => (event.received, event.peer, event_of(&event.kind)),
    };
    let peer = peer.and_then(|index| batch.peers.get(usize::from(index)));
    let mut at = peer.map(|peer| At {
        peer: PeerId {
            kind: peer.key.peer_type,
            distinguisher: peer.key.distinguisher,
            address: peer.key.address,
            asn: peer.asn,
            bgp_id: peer.bgp_id.to_bits(),
        },
        view: view(peer.view),
        generation: peer.generation,
    });
    if let Some(at) = at.as_mut().filter(|_| what == What::PeerStale) {
        // The event is about all views of the peer.
        at.view = crate::peers::own_view(&at.peer);
    }
    Record { router, session, time: received.0 - START, at, what }
}

fn view(view: RibView) -> View {
    match view {
        RibView::AdjInPre | RibView::Unknown => View::InPre,
        RibView::AdjInPost => View::InPost,
        RibView::AdjOutPre => View::OutPre,
        RibView::AdjOutPost => View::OutPost,
        RibView::LocRib => View::Loc,
    }
}

fn route_of(batch: &Batch, record: &RouteRecord<'_>) -> What {
    let RouteRecord { group, entry: NlriEntry { path_id, nlri }, .. } = record;
    let family = (group.family.afi, group.family.safi);
    let (rd, label, prefix) = match nlri {
        Nlri::Prefix(prefix) => (None, None, prefix),
        Nlri::Labelled(labelled) => {
            let label = labelled.labels.first().copied();
            (labelled.rd.map(|rd| u64::from_be_bytes(rd.0)), label, &labelled.prefix)
        }
        other => return What::Other(format!("{other:?}")),
    };
    let bits = match prefix.address() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let prefix = Prefix { is_v6: !prefix.is_ipv4(), bits, length: prefix.length() };
    let route = RouteKey { rd, prefix, path_id: group.add_path.then_some(*path_id) };
    let cause = match group.cause {
        route::Cause::Update => Cause::Update,
        route::Cause::InitialDump => Cause::InitialDump,
        route::Cause::ReDump => Cause::ReDump,
        route::Cause::TreatAsWithdraw => return What::Other(format!("{route} treated as withdrawal")),
    };
    if group.action == RouteAction::Withdraw {
        return What::Withdraw(family, route);
    }
    let med = batch.attributes_of(group).and_then(|set| set.med).unwrap_or_default();
    What::Announce { family, route, label, med, cause }
}

fn event_of(kind: &EventKind) -> What {
    match kind {
        EventKind::SessionUp { .. } => What::SessionUp,
        EventKind::SessionDown { end } => What::SessionDown(end.to_string()),
        EventKind::PeerUp(_) => What::PeerUp,
        EventKind::PeerUpRepeated(_) => What::PeerUpRepeated,
        EventKind::PeerDown { .. } => What::PeerDown,
        EventKind::PeerStale { .. } => What::PeerStale,
        EventKind::EndOfRib { family } => What::EndOfRib((family.afi, family.safi)),
        EventKind::Sweep { family } => What::Sweep((family.afi, family.safi)),
        EventKind::Statistics(_) => What::Statistics,
        EventKind::Gap { reason, .. } => What::Gap(reason.clone()),
        EventKind::Malformed { error, .. } => What::Other(format!("malformed: {error}")),
        EventKind::RouteMirroring { .. } => What::Other("route mirroring".to_owned()),
        #[allow(unreachable_patterns, reason = "kinds that are added later")]
        other => What::Other(other.name().to_owned()),
    }
}
