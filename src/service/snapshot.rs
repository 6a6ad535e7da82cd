//! The status document, built from the published state of all components.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::completeness::{self, Alarm, MissingTables};
use super::health::{self, Condition};
use super::rates::{GrowthRate, RecordCounts, ratio};
use crate::committer::{LogState, Progress};
use crate::forwarder::{DeliveryStatus, LaneState, LaneStatus};
use crate::listener::{Registry, SessionView};
use crate::num::to_f64;
use crate::route::{PeerIdentity, PeerKey, Timestamp};
use crate::session::{PeerSummary, Summary};
use crate::state::{StateStore, TrackedPeer};
use crate::telemetry::clock;
use crate::telemetry::status::{
    self, Delivery, Document, FailedSegment, Family, Lane, Listener, Peer, PeerState, Router, StaleReason,
    StaleRoutes, Wal,
};

/// Delivery lag above which the daemon is degraded, in seconds.
const MAX_LAG_S: f64 = 60.0;

/// Share of the log in use above which the daemon is degraded.
const MAX_LOG_SHARE: f64 = 0.5;

/// The components from which the document is built.
pub(super) struct Snapshot {
    pub(super) collector: String,
    pub(super) address: SocketAddr,
    pub(super) connections_max: usize,
    pub(super) wal_dir: PathBuf,
    pub(super) log_id: String,
    /// Records that recovery copied into the first segment of this run. They are not counted as records of
    /// this run.
    pub(super) records_copied: u64,
    pub(super) started: Instant,
    pub(super) registry: Arc<Registry>,
    pub(super) state: Arc<StateStore>,
    pub(super) progress: watch::Receiver<Progress>,
    /// `None` in store-only mode.
    pub(super) delivered: Option<watch::Receiver<DeliveryStatus>>,
    pub(super) rates: Mutex<Rates>,
}

/// Estimates from samples over time.
pub(super) struct Rates {
    growth: GrowthRate,
    counts: RecordCounts,
    /// Sequence number of the last delivered batch when the delivery was first observed in this run.
    delivered_first: Option<u64>,
}

impl Rates {
    /// `last_seq` is the sequence number of the last batch of the run before.
    pub(super) fn new(last_seq: u64) -> Self {
        Self { growth: GrowthRate::default(), counts: RecordCounts::new(last_seq), delivered_first: None }
    }
}

impl Snapshot {
    /// The current status.
    pub(super) fn document(&self) -> Document {
        let now = clock::now();
        let progress = self.progress.borrow().clone();
        let wal = self.wal(&progress);
        let delivery =
            self.delivered.as_ref().map(|delivered| self.delivery(&delivered.borrow(), &progress, now));
        let routers = self.routers(now);
        let conditions = self.conditions(&progress, delivery.as_ref(), &routers);
        Document {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            collector: self.collector.clone(),
            pid: std::process::id(),
            time: clock::iso8601(now),
            uptime_s: self.started.elapsed().as_secs(),
            state: health::overall(&conditions),
            reasons: conditions.iter().map(Condition::to_string).collect(),
            listener: self.listener(),
            routers,
            wal,
            delivery,
        }
    }

    /// The missing tables that were not missing before.
    pub(super) fn missing_tables(&self, known: &mut MissingTables) -> Vec<Alarm> {
        let sessions = self.registry.sessions();
        known.observe(sessions.iter().map(|view| &view.summary), clock::now())
    }

    /// Samples the progress of the log. Returns the share of the log in use, and the hours until it is full.
    pub(super) fn sample(&self) -> (f64, Option<f64>) {
        let (usage, durable, records) = {
            let progress = self.progress.borrow();
            (progress.usage, progress.durable.0, self.records(&progress))
        };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.growth.sample(self.started.elapsed(), usage.undelivered_bytes);
        rates.counts.sample(durable, records);
        let available = usage.available_bytes;
        let share = 1.0 - ratio(available, available.saturating_add(usage.undelivered_bytes));
        (share, rates.growth.hours_until_full(available))
    }

    /// Durable records of this run.
    const fn records(&self, progress: &Progress) -> u64 {
        progress.records_durable.saturating_sub(self.records_copied)
    }

    fn wal(&self, progress: &Progress) -> Wal {
        let (_, hours_left) = self.sample();
        Wal {
            log_id: self.log_id.clone(),
            dir: self.wal_dir.display().to_string(),
            written: progress.written.0,
            durable: progress.durable.0,
            dropped: progress.usage.dropped,
            records_durable: self.records(progress),
            segments: progress.usage.segments,
            bytes: progress.usage.bytes,
            bytes_max: progress.usage.bytes_max,
            free_bytes: progress.usage.disk_free_bytes,
            hours_left,
            paused: match &progress.state {
                LogState::Paused(reason) => Some(reason.clone()),
                LogState::Running | LogState::Failed(_) | LogState::Stopped => None,
            },
            failed_segment: progress.segment_failure.as_ref().map(|failure| FailedSegment {
                segment: failure.segment,
                file: failure.file.clone(),
                error: failure.error.clone(),
                time: clock::iso8601(Timestamp(failure.time)),
            }),
        }
    }

    fn delivery(&self, delivered: &DeliveryStatus, progress: &Progress, now: Timestamp) -> Delivery {
        let (seq, durable) = (delivered.seq().0, progress.durable.0);
        let lag_batches = durable.saturating_sub(seq);
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *rates.delivered_first.get_or_insert(seq);
        let mean = ratio(delivered.rows(), seq.saturating_sub(first));
        let lag_routes = if lag_batches == 0 { 0 } else { rates.counts.records_after(seq, mean) };
        drop(rates);
        // Only lanes with undelivered batches have a lag.
        let behind = delivered.lanes.iter().filter(|lane| lane.delivered < progress.durable);
        let oldest = behind.map(|lane| lane.received).filter(|received| received.0 > 0).min();
        Delivery {
            delivered: seq,
            lag_batches,
            lag_routes,
            lag_s: oldest.map_or(0.0, |oldest| seconds_between(oldest, now)),
            rejected: delivered.lanes.iter().map(|lane| lane.rejected).sum(),
            lanes: (0..).zip(&delivered.lanes).map(|(number, published)| lane(number, published)).collect(),
            last_error: delivered.last_error.clone(),
        }
    }

    /// The conditions that need attention, the worst one first.
    fn conditions(
        &self,
        progress: &Progress,
        delivery: Option<&Delivery>,
        routers: &[Router],
    ) -> Vec<Condition> {
        let mut conditions = Vec::new();
        match &progress.state {
            LogState::Failed(reason) => conditions.push(Condition::LogFailed(reason.clone())),
            LogState::Stopped => conditions.push(Condition::Stopping),
            LogState::Paused(reason) => conditions.push(Condition::IngestPaused(reason.clone())),
            LogState::Running => {}
        }
        if self.registry.totals().held_off {
            conditions.push(Condition::ConnectionsRefused);
        }
        let (share, _) = self.sample();
        if share > MAX_LOG_SHARE {
            conditions.push(Condition::LogFilling(share * 100.0));
        }
        conditions.extend(self.registry.conflicts().into_iter().map(Condition::NameConflict));
        let limited = routers.iter().filter(|router| router.untracked_peers > 0);
        conditions.extend(limited.map(|router| Condition::PeerLimit(router.name.clone())));
        if let Some(delivery) = delivery {
            conditions.extend(delivery_conditions(delivery));
        }
        conditions
    }

    fn listener(&self) -> Listener {
        let totals = self.registry.totals();
        Listener {
            address: self.address.to_string(),
            connections: self.registry.connections(),
            connections_max: self.connections_max,
            accepted: totals.accepted,
            refused: totals.refused,
            accept_errors: totals.accept_errors,
            held_off: totals.held_off,
            hold_offs: totals.hold_offs,
        }
    }

    /// The routers with a session, and those without one that have stale peers.
    fn routers(&self, now: Timestamp) -> Vec<Router> {
        let mut known = self.state.routers();
        let live = self.registry.sessions();
        let mut routers: Vec<Router> = live
            .iter()
            .map(|view| connected(view, known.remove(&view.summary.router.name).unwrap_or_default(), now))
            .collect();
        routers.extend(known.into_iter().map(|(name, peers)| disconnected(name, &peers)));
        routers
    }
}

fn delivery_conditions(delivery: &Delivery) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if delivery.lag_s > MAX_LAG_S {
        conditions.push(Condition::DeliveryLag(delivery.lag_s));
    }
    let unhealthy = delivery.lanes.iter().filter(|lane| !lane.state.is_healthy());
    conditions.extend(unhealthy.map(|lane| Condition::Lane {
        lane: lane.lane,
        state: lane.state,
        last_error: lane.last_error.clone(),
    }));
    if delivery.rejected > 0 {
        conditions.push(Condition::Rejected(delivery.rejected));
    }
    if delivery.lanes.is_empty() {
        conditions.push(Condition::DatabaseNotReached(delivery.last_error.clone()));
    }
    conditions
}

/// Seconds from `start` to `end` with a resolution of a millisecond; 0 if `end` is earlier.
fn seconds_between(start: Timestamp, end: Timestamp) -> f64 {
    let milliseconds = end.0.saturating_sub(start.0).max(0) / 1_000;
    to_f64(milliseconds.cast_unsigned()) / 1_000.0
}

fn lane(lane: u16, published: &LaneStatus) -> Lane {
    let state = match published.state {
        LaneState::Connecting => status::LaneState::Connecting,
        LaneState::Draining => status::LaneState::Draining,
        LaneState::CaughtUp => status::LaneState::CaughtUp,
        LaneState::Retrying => status::LaneState::Retrying,
        LaneState::Blocked => status::LaneState::NeedsOperator,
        LaneState::Halted => status::LaneState::Halted,
        LaneState::Stopped => status::LaneState::Stopped,
    };
    Lane { lane, seq: published.delivered.0, state, last_error: published.last_error.clone() }
}

fn connected(
    SessionView { address, summary }: &SessionView,
    known: Vec<TrackedPeer>,
    now: Timestamp,
) -> Router {
    let announced =
        |peer: &PeerSummary| peer.views.iter().flat_map(|view| &view.families).any(|one| one.announced > 0);
    let mut reported: HashMap<PeerKey, Vec<PeerIdentity>> = HashMap::new();
    for PeerSummary { key, asn, bgp_id, .. } in &summary.peers {
        reported.entry(*key).or_default().push(PeerIdentity { key: *key, asn: *asn, bgp_id: *bgp_id });
    }
    let is_reported = |peer: &PeerIdentity| {
        reported.get(&peer.key).is_some_and(|same_key| same_key.iter().any(|other| peer.matches(other)))
    };
    let stale = known
        .iter()
        .filter(|known| !is_reported(&known.peer.identity()))
        .map(|known| stale_peer(known, StaleReason::NotReannounced));
    Router {
        name: summary.router.name.clone(),
        address: address.to_string(),
        session: clock::iso8601(summary.router.session),
        connected: true,
        sys_descr: summary.sys_descr.clone(),
        last_message_age_s: seconds_between(summary.last_message, now),
        bytes: summary.counters.bytes,
        messages: summary.counters.messages,
        routes: summary.counters.announced.saturating_add(summary.counters.withdrawn),
        errors: summary.counters.errors,
        untracked_peers: summary.counters.untracked_peers,
        untracked_dump_routes: summary.counters.untracked_dump_routes,
        dump_seen: summary.peers.iter().any(announced),
        peers: summary.peers.iter().map(|peer| live_peer(summary, peer, now)).chain(stale).collect(),
    }
}

fn live_peer(session: &Summary, peer: &PeerSummary, now: Timestamp) -> Peer {
    let mut views: BTreeMap<String, Vec<Family>> =
        peer.views.iter().map(|view| (view.view.to_string(), Vec::new())).collect();
    for table in completeness::tables(session, peer, now) {
        let received = table.received;
        views.entry(table.view.to_string()).or_default().push(Family {
            family: table.family.to_string(),
            end_of_rib: received.is_some_and(|one| one.end_of_rib.is_some()),
            suspect: received.is_some_and(|one| one.suspect),
            routes: received.map_or(0, |one| one.announced.saturating_add(one.withdrawn)),
            completeness: table.completeness,
            missing: table.is_missing,
            stale: received.filter(|one| one.awaits_sweep).map(|one| match one.end_of_rib {
                Some(_) => StaleRoutes::AwaitingQuiet,
                None => StaleRoutes::NoEndOfRib,
            }),
        });
    }
    Peer {
        address: peer.key.address.to_string(),
        peer_type: peer.key.peer_type,
        distinguisher: peer.key.distinguisher,
        asn: peer.asn,
        bgp_id: peer.bgp_id.to_string(),
        state: if peer.up { PeerState::Up } else { PeerState::Down },
        reason: None,
        views,
    }
}

/// A peer about which the router has not sent a message in its current session.
fn stale_peer(known: &TrackedPeer, reason: StaleReason) -> Peer {
    Peer {
        address: known.peer.key.address.to_string(),
        peer_type: known.peer.key.peer_type,
        distinguisher: known.peer.key.distinguisher,
        asn: known.peer.asn,
        bgp_id: known.peer.bgp_id.to_string(),
        state: PeerState::Stale,
        reason: Some(reason),
        views: BTreeMap::new(),
    }
}

fn disconnected(name: String, peers: &[TrackedPeer]) -> Router {
    let last = peers.iter().map(|known| known.session).max().unwrap_or_default();
    Router {
        name,
        session: clock::iso8601(last),
        peers: peers.iter().map(|known| stale_peer(known, StaleReason::RouterNotConnected)).collect(),
        ..Router::default()
    }
}
