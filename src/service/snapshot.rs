//! The status document, put together from what the parts publish.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::rates::{Ledger, Trend, ratio};
use crate::committer::{LogState, Progress};
use crate::forwarder::{DeliveryStatus, LaneState, LaneStatus};
use crate::listener::{Registry, SessionView};
use crate::route::Timestamp;
use crate::session::{FamilySummary, PeerSummary};
use crate::state::{StateStore, TrackedPeer};
use crate::telemetry::clock;
use crate::telemetry::status::{
    Delivery, Document, FailedSegment, Family, Health, Lane, Listener, Peer, Router, Wal,
};

/// A delivery that is this far behind needs a look.
const LAG_S_MAX: f64 = 60.0;

/// States of a lane that need no look.
const WELL: [&str; 2] = ["draining", "caught up"];

/// Everything the document is made of.
pub(super) struct Snapshot {
    pub(super) collector: String,
    pub(super) address: SocketAddr,
    pub(super) connections_max: usize,
    pub(super) wal_dir: PathBuf,
    pub(super) log_id: String,
    /// Records that the start copied into the new segment: made durable in this run, but not news.
    pub(super) records_copied: u64,
    pub(super) started: Instant,
    pub(super) registry: Arc<Registry>,
    pub(super) state: Arc<StateStore>,
    pub(super) progress: watch::Receiver<Progress>,
    /// Nothing in store-only mode.
    pub(super) delivered: Option<watch::Receiver<DeliveryStatus>>,
    pub(super) rates: Mutex<Rates>,
}

/// What is sampled over time.
pub(super) struct Rates {
    trend: Trend,
    ledger: Ledger,
    /// Where the delivery stood when it was first seen in this run.
    delivered_first: Option<u64>,
}

impl Rates {
    /// `before` is the last batch of the run before.
    pub(super) fn new(before: u64) -> Self {
        Self { trend: Trend::default(), ledger: Ledger::new(before), delivered_first: None }
    }
}

impl Snapshot {
    /// How the daemon is now.
    pub(super) fn document(&self) -> Document {
        let now = clock::now();
        let progress = self.progress.borrow().clone();
        let wal = self.wal(&progress);
        let delivery =
            self.delivered.as_ref().map(|delivered| self.delivery(&delivered.borrow(), &progress, now));
        let routers = self.routers(now);
        let (state, reasons) = self.health(&progress, &wal, delivery.as_ref(), &routers);
        Document {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            collector: self.collector.clone(),
            pid: std::process::id(),
            time: clock::iso8601(now),
            uptime_s: self.started.elapsed().as_secs(),
            state,
            reasons,
            listener: self.listener(),
            routers,
            wal,
            delivery,
        }
    }

    /// Notes how much waits for delivery. Returns the share of the log that is taken, and the hours left.
    pub(super) fn sample(&self) -> (f64, Option<f64>) {
        let (usage, durable, records) = {
            let progress = self.progress.borrow();
            (progress.usage, progress.durable.0, self.records(&progress))
        };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.trend.sample(self.started.elapsed(), usage.undelivered_bytes);
        rates.ledger.sample(durable, records);
        let room = usage.available_bytes;
        let share = 1.0 - ratio(room, room.saturating_add(usage.undelivered_bytes));
        (share, rates.trend.hours_until(room))
    }

    /// Records of this run that are durable.
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
                LogState::Paused(why) => Some(why.clone()),
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
        let lag_routes = if lag_batches == 0 { 0 } else { rates.ledger.records_behind(seq, mean) };
        drop(rates);
        // A lane that has passed everything is not behind, however long ago its last record came.
        let behind = delivered.lanes.iter().filter(|lane| lane.delivered < progress.durable);
        let oldest = behind.map(|lane| lane.received).filter(|received| received.0 > 0).min();
        let lag_ms = oldest.map_or(0, |oldest| now.0.saturating_sub(oldest.0).max(0) / 1_000);
        Delivery {
            delivered: seq,
            lag_batches,
            lag_routes,
            lag_s: f64::from(u32::try_from(lag_ms).unwrap_or(u32::MAX)) / 1_000.0,
            rejected: delivered.lanes.iter().map(|lane| lane.rejected).sum(),
            lanes: (0..).zip(&delivered.lanes).map(|(number, lane)| lane_of(number, lane)).collect(),
            last_error: delivered.last_error.clone(),
        }
    }

    fn health(
        &self,
        progress: &Progress,
        wal: &Wal,
        delivery: Option<&Delivery>,
        routers: &[Router],
    ) -> (Health, Vec<String>) {
        let mut reasons = Vec::new();
        let down = match &progress.state {
            LogState::Failed(why) => Some(format!("the log has failed: {why}")),
            LogState::Stopped => Some("the collector is stopping".to_owned()),
            LogState::Running | LogState::Paused(_) => None,
        };
        if let Some(why) = &wal.paused {
            reasons.push(format!("routers wait, because nothing can be logged: {why}"));
        }
        if self.registry.totals().held_off {
            reasons.push("routers that connect are refused until half of the log is free".to_owned());
        }
        let share = self.sample().0;
        if share > 0.5 {
            reasons.push(format!("the log is {:.0} % full", share * 100.0));
        }
        for name in self.registry.conflicts() {
            reasons.push(format!("two routers claim one name; the second is stored as {name}"));
        }
        for router in routers.iter().filter(|router| router.untracked_peers > 0) {
            reasons.push(format!("{} has more peers or families than can be followed", router.name));
        }
        if let Some(delivery) = delivery {
            if delivery.lag_s > LAG_S_MAX {
                reasons.push(format!("delivery is {:.0} s behind", delivery.lag_s));
            }
            let troubled = delivery.lanes.iter().filter(|lane| !WELL.contains(&lane.state.as_str()));
            reasons.extend(troubled.map(|lane| format!("lane {} is {}", lane.lane, lane.state)));
            if delivery.rejected > 0 {
                reasons.push(format!(
                    "the database refused {} records: see holdfast rejected",
                    delivery.rejected
                ));
            }
            if delivery.lanes.is_empty() {
                let why = delivery.last_error.as_deref().unwrap_or("not tried yet");
                reasons.push(format!("the database has not been reached since the start: {why}"));
            }
        }
        match down {
            Some(why) => {
                reasons.insert(0, why);
                (Health::Down, reasons)
            }
            None if reasons.is_empty() => (Health::Healthy, reasons),
            None => (Health::Degraded, reasons),
        }
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

    /// The live sessions, and the routers of which only stale peers are known.
    fn routers(&self, now: Timestamp) -> Vec<Router> {
        let mut known = self.state.routers();
        let live = self.registry.sessions();
        let mut routers: Vec<Router> = live
            .iter()
            .map(|view| connected(view, known.remove(&view.summary.router.name).unwrap_or_default(), now))
            .collect();
        routers.extend(known.into_iter().map(|(name, peers)| absent(name, &peers)));
        routers
    }
}

fn lane_of(lane: u16, status: &LaneStatus) -> Lane {
    let state = match status.state {
        LaneState::Connecting => "connecting",
        LaneState::Draining => "draining",
        LaneState::CaughtUp => "caught up",
        LaneState::Retrying => "retrying",
        LaneState::Blocked => "in need of help",
        LaneState::Halted => "halted until the next start",
        LaneState::Stopped => "stopped",
    };
    Lane { lane, seq: status.delivered.0, state: state.to_owned(), last_error: status.last_error.clone() }
}

fn connected(
    SessionView { address, summary }: &SessionView,
    known: Vec<TrackedPeer>,
    now: Timestamp,
) -> Router {
    let age = now.0.saturating_sub(summary.last_message.0).max(0);
    let age_ms = u32::try_from(age / 1_000).unwrap_or(u32::MAX);
    let announced =
        |peer: &PeerSummary| peer.views.iter().flat_map(|view| &view.families).any(|one| one.announced > 0);
    let spoken_of: HashSet<_> = summary.peers.iter().map(|peer| peer.key).collect();
    let stale = known
        .iter()
        .filter(|known| !spoken_of.contains(&known.peer.key))
        .map(|known| stale_peer(known, "not told again since the router connected"));
    Router {
        name: summary.router.name.clone(),
        address: address.to_string(),
        session: clock::iso8601(summary.router.session),
        connected: true,
        sys_descr: summary.sys_descr.clone(),
        last_message_age_s: f64::from(age_ms) / 1_000.0,
        bytes: summary.counters.bytes,
        messages: summary.counters.messages,
        routes: summary.counters.announced.saturating_add(summary.counters.withdrawn),
        errors: summary.counters.errors,
        untracked_peers: summary.counters.untracked_peers,
        dump_seen: summary.peers.iter().any(announced),
        peers: summary.peers.iter().map(live_peer).chain(stale).collect(),
    }
}

fn live_peer(peer: &PeerSummary) -> Peer {
    let family = |one: &FamilySummary| Family {
        family: one.family.to_string(),
        end_of_rib: one.end_of_rib.is_some(),
        suspect: one.suspect,
        routes: one.announced.saturating_add(one.withdrawn),
    };
    let views: BTreeMap<String, Vec<Family>> = peer
        .views
        .iter()
        .map(|view| (view.view.to_string(), view.families.iter().map(family).collect()))
        .collect();
    Peer {
        address: peer.key.address.to_string(),
        peer_type: peer.key.peer_type,
        distinguisher: peer.key.distinguisher,
        asn: peer.asn,
        bgp_id: peer.bgp_id.to_string(),
        state: if peer.up { "up" } else { "down" }.to_owned(),
        reason: None,
        views,
    }
}

/// A peer that the router has not spoken of in its present session.
fn stale_peer(known: &TrackedPeer, reason: &str) -> Peer {
    Peer {
        address: known.peer.key.address.to_string(),
        peer_type: known.peer.key.peer_type,
        distinguisher: known.peer.key.distinguisher,
        asn: known.peer.asn,
        bgp_id: known.peer.bgp_id.to_string(),
        state: "stale".to_owned(),
        reason: Some(reason.to_owned()),
        views: BTreeMap::new(),
    }
}

fn absent(name: String, peers: &[TrackedPeer]) -> Router {
    let last = peers.iter().map(|known| known.session).max().unwrap_or_default();
    Router {
        name,
        session: clock::iso8601(last),
        peers: peers.iter().map(|known| stale_peer(known, "the router is not connected")).collect(),
        ..Router::default()
    }
}
