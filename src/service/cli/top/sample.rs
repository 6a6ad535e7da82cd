//! Two status documents in a row, and the rates between them. Pure.

use std::collections::HashMap;

use crate::num::to_f64;
use crate::telemetry::status::{Document, Health, Lane, Peer, Router, RouterContext, Totals};

/// Age of the counters of a session from which its rates are unknown, in milliseconds. They are read once per
/// second, unless the session waits for the log.
const COUNTERS_AGE_MAX_MS: u64 = 3_000;

/// A router, and its previous counters.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) now: Router,
    /// The last counters of the same session that were read earlier; `None` if there are none.
    before: Option<Router>,
    /// Whether the counters of `now` are too old for rates.
    is_old: bool,
}

/// Numbers of the daemon that rates are computed from.
#[derive(Clone, Debug)]
struct Counters {
    pid: u32,
    uptime_ms: u64,
    records_durable: u64,
    wal_durable: u64,
    delivered: Option<u64>,
    lanes: HashMap<u16, u64>,
    /// Seconds for which each router was not read, by name and start of the session.
    blocked: HashMap<(String, Option<String>), f64>,
}

impl Counters {
    fn from_document(document: &Document) -> Self {
        let lanes = document.delivery.iter().flat_map(|delivery| &delivery.lanes);
        let blocked =
            |router: &Router| ((router.name.clone(), router.session.clone()), router.transport.blocked_s);
        Self {
            pid: document.pid,
            uptime_ms: document.uptime_ms,
            records_durable: document.wal.records_durable,
            wal_durable: document.wal.durable,
            delivered: document.delivery.as_ref().and_then(|delivery| delivery.delivered),
            lanes: lanes.filter_map(|lane| Some((lane.lane, lane.seq?))).collect(),
            blocked: document.routers.iter().map(blocked).collect(),
        }
    }
}

/// The last status document and the counters before it.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The document, without its routers.
    pub(super) document: Document,
    pub(super) routers: Vec<Observed>,
    pub(super) context: RouterContext,
    pub(super) totals: Totals,
    now: Counters,
    /// `None` without an earlier document of the same daemon.
    before: Option<Counters>,
}

impl Sample {
    /// The sample of a document; `last` is the sample before it.
    pub(super) fn new(mut document: Document, last: Option<Self>) -> Self {
        let now = Counters::from_document(&document);
        let last = last.filter(|last| last.now.pid == now.pid && last.now.uptime_ms < now.uptime_ms);
        let context = RouterContext::from_document(&document);
        let totals = Totals::from_routers(&document.routers);
        let (before, known) = last.map_or((None, Vec::new()), |last| (Some(last.now), last.routers));
        let mut known: HashMap<String, Observed> =
            known.into_iter().map(|one| (one.now.name.clone(), one)).collect();
        let routers = std::mem::take(&mut document.routers).into_iter().map(|router| {
            let before = known.remove(&router.name).and_then(|known| earlier(known, &router));
            let counted = router.counted_ms.unwrap_or_default();
            let is_old = now.uptime_ms.saturating_sub(counted) > COUNTERS_AGE_MAX_MS;
            Observed { now: router, before, is_old }
        });
        let routers = routers.collect();
        Self { document, routers, context, totals, now, before }
    }

    /// Whether the daemon needs attention.
    pub(super) const fn health(&self) -> Health {
        self.document.state
    }

    /// The rate of a counter of the daemon per second; `None` if it is unknown.
    fn rate(&self, counter: impl Fn(&Counters) -> Option<f64>) -> Option<f64> {
        let before = self.before.as_ref()?;
        per_second(counter(&self.now)? - counter(before)?, before.uptime_ms, self.now.uptime_ms)
    }

    /// Records that became durable, per second.
    pub(super) fn durable_records(&self) -> Option<f64> {
        self.rate(|counters| Some(to_f64(counters.records_durable)))
    }

    /// Batches that became durable, per second.
    pub(super) fn durable_batches(&self) -> Option<f64> {
        self.rate(|counters| Some(to_f64(counters.wal_durable)))
    }

    /// Bytes that the routers append to the log per second, averaged over about 10 s.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.routers.iter().map(|one| one.now.log_bytes_per_s).fold(0, u64::saturating_add)
    }

    /// Batches that all lanes have delivered, per second.
    pub(super) fn delivered_batches(&self) -> Option<f64> {
        self.rate(|counters| counters.delivered.map(to_f64))
    }

    /// Batches that a lane has passed, per second.
    pub(super) fn lane_batches(&self, lane: &Lane) -> Option<f64> {
        self.rate(|counters| counters.lanes.get(&lane.lane).copied().map(to_f64))
    }

    /// Share of the time for which a session was not read, because the log did not accept a batch; from 0 to
    /// 1. `None` if it is unknown.
    pub(super) fn blocked_share(&self, router: &Router) -> Option<f64> {
        let key = (router.name.clone(), router.session.clone());
        self.rate(|counters| counters.blocked.get(&key).copied()).map(|share| share.clamp(0.0, 1.0))
    }

    /// Sum of a rate of the connected routers; `None` if that of no router is known.
    pub(super) fn sum(&self, rate: impl Fn(&Observed) -> Option<f64>) -> Option<f64> {
        let connected = self.routers.iter().filter(|one| one.now.connected);
        if self.totals.connected == 0 {
            return Some(0.0);
        }
        let known: Vec<f64> = connected.filter_map(rate).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    }
}

/// The counters before those of `router` in the same session.
fn earlier(Observed { now, before, .. }: Observed, router: &Router) -> Option<Router> {
    if now.session != router.session || now.counted_ms.is_none() {
        None
    } else if now.counted_ms < router.counted_ms {
        Some(now)
    } else {
        before
    }
}

impl Observed {
    fn rate(&self, counter: impl Fn(&Router) -> Option<u64>) -> Option<f64> {
        let before = self.before.as_ref().filter(|_| !self.is_old)?;
        let grown = counter(&self.now)?.checked_sub(counter(before)?)?;
        per_second(to_f64(grown), before.counted_ms?, self.now.counted_ms?)
    }

    /// Messages per second.
    pub(super) fn messages(&self) -> Option<f64> {
        self.rate(|router| Some(router.messages))
    }

    /// Bytes per second.
    pub(super) fn bytes(&self) -> Option<f64> {
        self.rate(|router| Some(router.bytes))
    }

    /// Route records per second.
    pub(super) fn records(&self) -> Option<f64> {
        self.rate(|router| Some(router.routes))
    }

    /// The route records of each table per second, by [`table_key`]; without those that are unknown.
    pub(super) fn tables(&self) -> HashMap<String, f64> {
        let (Some(before), Some(now)) = (self.before.as_ref().filter(|_| !self.is_old), &self.now.counted_ms)
        else {
            return HashMap::new();
        };
        let counts = |router: &Router| -> HashMap<String, u64> {
            let tables = router.peers.iter().flat_map(|peer| peer.tables().map(move |table| (peer, table)));
            tables.map(|(peer, (view, one))| (table_key(peer, view, &one.family), one.routes)).collect()
        };
        let earlier = counts(before);
        let rates = counts(&self.now).into_iter().filter_map(|(key, routes)| {
            let grown = routes.checked_sub(*earlier.get(&key)?)?;
            let rate = per_second(to_f64(grown), before.counted_ms?, *now)?;
            Some((key, rate))
        });
        rates.collect()
    }
}

/// Identifies a peer of a router.
pub(super) fn peer_key(peer: &Peer) -> String {
    let Peer { address, distinguisher, asn, bgp_id, peer_type, .. } = peer;
    format!("{address} {distinguisher} {asn} {bgp_id} {peer_type}")
}

/// Identifies a table of a router.
pub(super) fn table_key(peer: &Peer, view: &str, family: &str) -> String {
    format!("{} {view} {family}", peer_key(peer))
}

/// A difference between two times in milliseconds, per second.
fn per_second(difference: f64, from_ms: u64, to_ms: u64) -> Option<f64> {
    let elapsed = to_ms.checked_sub(from_ms).filter(|elapsed| *elapsed > 0)?;
    Some(difference * 1_000.0 / to_f64(elapsed))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{document, router};
    use super::*;

    /// A sample after documents with one router; each has the uptime, the time of the counters, the session
    /// and the number of messages.
    fn after(documents: &[(u64, u64, &str, u64)]) -> Sample {
        let mut sample = None;
        for (uptime_ms, counted_ms, session, messages) in documents {
            let router = Router {
                session: Some((*session).to_owned()),
                counted_ms: Some(*counted_ms),
                messages: *messages,
                ..router("edge1")
            };
            let document = Document { uptime_ms: *uptime_ms, ..document(vec![router]) };
            sample = Some(Sample::new(document, sample));
        }
        sample.unwrap()
    }

    fn messages(documents: &[(u64, u64, &str, u64)]) -> Option<f64> {
        after(documents).routers[0].messages()
    }

    #[test]
    fn a_rate_belongs_to_the_times_at_which_the_counters_were_read() {
        assert_eq!(messages(&[(1_000, 900, "a", 5)]), None, "one document");
        assert_eq!(messages(&[(1_000, 900, "a", 5), (2_000, 1_400, "a", 10)]), Some(10.0));
        // Counters that were not read again keep their rate.
        let same = [(1_000, 900, "a", 5), (2_000, 1_900, "a", 10), (2_500, 1_900, "a", 10)];
        assert_eq!(messages(&same), Some(5.0));
        let old = [(1_000, 900, "a", 5), (2_000, 1_900, "a", 10), (4_901, 1_900, "a", 10)];
        assert_eq!(messages(&old), None, "too old");
    }

    #[test]
    fn a_new_session_and_a_new_daemon_have_no_rates_yet() {
        assert_eq!(messages(&[(1_000, 900, "a", 5), (2_000, 1_900, "b", 10)]), None);
        assert_eq!(messages(&[(9_000, 8_900, "a", 5), (2_000, 1_900, "a", 10)]), None, "restarted");
        let sample = after(&[(9_000, 8_900, "a", 5), (2_000, 1_900, "a", 10)]);
        assert_eq!((sample.durable_records(), sample.sum(Observed::messages)), (None, None));
        assert_eq!(Sample::new(document(Vec::new()), None).sum(Observed::messages), Some(0.0));
    }
}
