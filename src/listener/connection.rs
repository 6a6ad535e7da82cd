//! One router's connection: reads the socket, runs the session, and appends its batches to the log.
//!
//! The loop waits for the stop signal, a timer, or bytes. The messages of a read are processed at once.

mod drained;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, Sleep};
use tracing::Instrument as _;

use drained::Drained;

use super::buffer::Buffer;
use super::hold::stopped;
use super::introduction::introduce;
use super::notices::{log_notice, truncated};
use super::options::Options as Settings;
use super::registry::SessionEntry;
use super::shared::Shared;
use super::stats::Stats;
use super::transport::{Incoming, Stream, foreign_protocol};
use crate::committer::{AppendError, DumpProgress};
use crate::hex::{Hex, hex};
use crate::num::to_micros;
use crate::route::{Batch, Class, SessionEnd, Timestamp};
use crate::session::{BULK_ROUTES_MIN, Options, Session, UNIDENTIFIED_BYTES_MAX};
use crate::telemetry::clock;

/// Interval of session timers and of published summaries.
const TICK: Duration = Duration::from_secs(1);

/// Time limit for reading the bytes that a router sent before a stop.
const REMAINING_TIMEOUT: Duration = Duration::from_secs(2);

/// Size of its messages at which a batch is closed, whatever its number of routes. It bounds the size of a
/// payload in the log: encoding expands a message to at most about ten times its size.
const BATCH_BYTES_MAX: usize = 512 << 10;

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The end of the session, to be logged, and the reason for the `peer_disconnected` event.
    Session(SessionEnd, &'static str),
    /// The sender has not identified itself as a router within this limit.
    NotIdentified(&'static str),
    /// The sender had not identified itself, and another connection has its slot.
    Displaced,
    /// The log has stopped; the end of the session cannot be logged.
    LogStopped,
}

struct Connection {
    shared: Arc<Shared>,
    /// The settings at the last tick.
    settings: Arc<Settings>,
    entry: SessionEntry,
    session: Session,
    stream: Stream,
    buffer: Buffer,
    stats: Stats,
    /// Time of the connection.
    began: Instant,
    drained: Drained,
    /// True once the sender has identified itself as a router, by an Initiation or a per-peer message.
    is_router: bool,
    /// Bytes received before the sender identified itself.
    unidentified_bytes: usize,
    /// Time at which the session is read again, if it reports new peers too fast.
    read_again: Option<Instant>,
    /// Bytes of messages in the open batch.
    batch_bytes: usize,
    /// Size of the last payload, used as the initial capacity of the next one.
    payload_bytes: usize,
}

/// Serves a connection until it ends, and logs the end.
pub(super) async fn run(
    shared: Arc<Shared>,
    incoming: Incoming,
    entry: SessionEntry,
    mut stop: watch::Receiver<bool>,
) {
    let address = entry.address();
    let span = tracing::info_span!("session", peer = %address.ip(), port = address.port());
    let (settings, status) = (shared.options(), shared.registry.transport());
    let established = incoming.establish(&settings.transport, status, entry.meter(), &mut stop);
    let established = established.instrument(span.clone()).await;
    let Some((stream, certificate_name)) = established else { return entry.finish() };
    let options = Options {
        router_name: certificate_name.or_else(|| settings.router_names.get(&address.ip()).cloned()),
        address: address.ip(),
        port: address.port(),
        session: entry.session(),
        batch_records_max: settings.batch_routes_max,
        sweep_quiet_us: to_micros(settings.sweep_quiet),
        sweep_without_end_of_rib_us: settings.sweep_without_end_of_rib.map(to_micros),
        bulk_routes_min: BULK_ROUTES_MIN,
    };
    let introduce = introduce(&shared, &entry, options.router_name.clone());
    let now = clock::now();
    let connection = Connection {
        session: Session::new(options, introduce),
        stream,
        buffer: Buffer::default(),
        stats: Stats::new(std::time::Instant::now()),
        began: Instant::now(),
        drained: Drained::new(now),
        is_router: false,
        unidentified_bytes: 0,
        read_again: None,
        batch_bytes: 0,
        payload_bytes: 0,
        settings,
        shared,
        entry,
    };
    connection.serve(stop).instrument(span).await;
}

impl Connection {
    async fn serve(mut self, mut stop: watch::Receiver<bool>) {
        tracing::debug!("connection_opened");
        if !self.shared.hold.admit(&self.entry, &mut stop).await {
            return self.entry.finish();
        }
        self.drained = Drained::new(clock::now());
        let mut end = self.receive(&mut stop).await;
        let mut until = clock::now();
        if let End::Session(SessionEnd::CollectorStop, _) = end {
            match self.read_remaining().await {
                Ok(all) => until = if all { clock::now() } else { self.drained.until() },
                Err(other) => end = other,
            }
        }
        self.stream.close();
        let duration_seconds = self.began.elapsed().as_secs_f64();
        match end {
            End::Session(end, reason) => {
                let logged = self.end(&end, until).await;
                if self.is_router {
                    let router = self.session.summary().router.name;
                    tracing::info!(router, reason, duration_seconds, "peer_disconnected");
                } else {
                    tracing::debug!(reason, "connection_closed");
                }
                if !logged {
                    tracing::error!("session_end_not_logged");
                }
            }
            End::NotIdentified(limit) => self.report_not_identified(limit, duration_seconds),
            End::Displaced => tracing::debug!(reason = "displaced", duration_seconds, "connection_closed"),
            End::LogStopped => tracing::error!(duration_seconds, "session_ended_log_stopped"),
        }
        self.entry.finish_with(*self.session.counters());
    }

    /// Counts and logs a connection whose sender has not identified itself as a router within the limit.
    fn report_not_identified(&self, limit: &'static str, duration_seconds: f64) {
        self.shared.registry.not_identified();
        let (messages, bytes) = (self.session.counters().messages, self.unidentified_bytes);
        tracing::warn!(limit, messages, bytes, duration_seconds, "connection_not_identified");
    }

    async fn receive(&mut self, stop: &mut watch::Receiver<bool>) -> End {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first_message = Instant::now() + self.settings.first_message;
        let batch_timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(batch_timer);
        let mut batch_open = false;
        loop {
            let step = tokio::select! {
                biased;
                () = stopped(stop) => return End::Session(SessionEnd::CollectorStop, "collector_stop"),
                () = &mut batch_timer, if batch_open => self.flush("timeout").await,
                _ = tick.tick() => self.tick().await,
                () = tokio::time::sleep_until(first_message), if !self.is_router => {
                    return End::NotIdentified("BMP_FIRST_MESSAGE_S");
                }
                () = self.entry.displaced(), if !self.is_router => return End::Displaced,
                () = until(self.read_again) => {
                    self.read_again = None;
                    self.drained.resume();
                    self.entry.meter().end_slowed();
                    Ok(())
                }
                read = self.stream.read(self.buffer.free()), if self.read_again.is_none() => match read {
                    Ok(0) if self.buffer.unread().is_empty() => {
                        return End::Session(self.eof(), "connection_closed");
                    }
                    Ok(0) => return End::Session(self.eof(), "incomplete_read"),
                    Ok(bytes) => self.received(bytes).await,
                    Err(error) => {
                        tracing::debug!(%error, "connection_error");
                        return End::Session(SessionEnd::Lost, "connection_reset");
                    }
                },
            };
            if let Err(end) = step {
                return end;
            }
            batch_open = self.arm(batch_timer.as_mut(), batch_open);
        }
    }

    /// Reads the bytes that the kernel still holds, so that no message sent before the stop is lost. Returns
    /// false if the router sends faster than they can be processed within the time limit, or is at its share
    /// of the log: the space that is left is for the others.
    async fn read_remaining(&mut self) -> Result<bool, End> {
        if self.shared.committer.fair_share().is_at_limit(&self.session.summary().router.name) {
            return Ok(false);
        }
        let deadline = Instant::now() + REMAINING_TIMEOUT;
        while Instant::now() < deadline {
            match self.stream.try_read(self.buffer.free()) {
                // No more bytes, closed by the router, or an error.
                Ok(0) | Err(_) => return Ok(true),
                Ok(bytes) => self.received(bytes).await?,
            }
        }
        Ok(false)
    }

    /// Processes the bytes of a read.
    async fn received(&mut self, bytes: usize) -> Result<(), End> {
        let emptied = self.stream.is_emptied_by(bytes, self.buffer.free_bytes());
        let now = clock::now();
        self.buffer.filled(bytes);
        self.drained.read(now, false);
        self.messages(now).await?;
        let wait = self.session.new_peers_wait(now);
        if !wait.is_zero() {
            self.read_again = Some(Instant::now() + wait);
            self.entry.meter().begin_slowed();
        }
        self.unidentified_bytes += if self.is_router { 0 } else { bytes };
        if !self.is_router && self.unidentified_bytes > UNIDENTIFIED_BYTES_MAX {
            return Err(End::NotIdentified("256 KiB"));
        }
        // A read that did not fill the buffer left no bytes in the kernel.
        self.drained.read(now, emptied && self.buffer.unread().is_empty());
        Ok(())
    }

    /// Starts the timer of a batch at its first record. Returns true if the batch has records, so that the
    /// timer runs.
    fn arm(&self, timer: Pin<&mut Sleep>, open: bool) -> bool {
        let has_records = self.session.has_records();
        if has_records && !open {
            timer.reset(Instant::now() + self.settings.batch_delay_max);
        }
        has_records
    }

    /// The end of a session whose router closed the connection.
    fn eof(&self) -> SessionEnd {
        self.session.terminated().cloned().unwrap_or(SessionEnd::Lost)
    }

    /// Processes every whole message in the buffer.
    async fn messages(&mut self, now: Timestamp) -> Result<(), End> {
        loop {
            let message = match self.buffer.message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    // Notices of the messages before the error are logged first.
                    self.notices();
                    let data_hex = hex(truncated(self.buffer.unread()));
                    if self.is_router {
                        self.session.count_framing_error();
                        tracing::error!(%error, data_hex, "bmp_parse_error");
                    } else {
                        // Not a router, such as a port scan or an HTTP client.
                        let detail = foreign_protocol(self.buffer.unread());
                        tracing::warn!(%error, data_hex, detail, "connection_without_bmp");
                    }
                    return Err(End::Session(SessionEnd::Protocol, "protocol_error"));
                }
            };
            let data_hex = Hex(truncated(message));
            tracing::debug!(length = message.len(), %data_hex, "bmp_message_received");
            self.session.message(message, now);
            self.batch_bytes += message.len();
            if !self.is_router && self.session.is_identified() {
                if !self.entry.identify() {
                    return Err(End::Displaced);
                }
                self.is_router = true;
                self.shared.hold.learn(self.entry.address().ip());
                tracing::info!("peer_connected");
            }
            if self.session.is_full() || self.batch_bytes >= BATCH_BYTES_MAX {
                self.flush("size").await?;
            }
            if let Some(end) = self.session.terminated().cloned() {
                return Err(End::Session(end, "terminated"));
            }
        }
        self.notices();
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), End> {
        let now = clock::now();
        self.settings = self.shared.options();
        self.entry.meter().set_queued(self.stream.queued_bytes());
        let DumpProgress { delivered, is_nearly_complete } = self.shared.committer.dump_progress();
        self.session.dump_delivered(delivered.0, is_nearly_complete);
        self.session.tick(now);
        if self.shared.registry.shares_name(self.entry.session()) {
            self.session.suspend_live();
        }
        self.flush("tick").await?;
        self.notices();
        self.drained.tick(now, self.buffer.unread().is_empty(), self.read_again.is_some());
        if !self.is_router {
            self.entry.publish(None, self.drained.until());
            return Ok(());
        }
        let summary = self.session.summary();
        let interval = self.settings.stats_interval;
        self.stats.tick(&summary.router.name, summary.counters, interval, std::time::Instant::now());
        self.entry.publish(Some(summary), self.drained.until());
        Ok(())
    }

    /// Appends the session's batches to the log. Waits while the queue of the log is full.
    async fn flush(&mut self, flush_trigger: &'static str) -> Result<(), End> {
        self.batch_bytes = 0;
        let (mut batches, mut last_dump) = (self.session.take_batches(), None);
        while let Some(mut batch) = batches.next() {
            let class = batch.class;
            if class != Class::Dump && self.shared.registry.shares_name(self.entry.session()) {
                (batch.class, batch.after, batch.follows_bulk) = (Class::Dump, 0, true);
                self.session.suspend_live();
            }
            // A batch is observed before it is appended: see the documentation of the state module.
            self.observe(&batch);
            let Ok(seq) = self.log(&batch).await else {
                let rest: usize = batches.map(|batch| batch.records()).sum();
                self.shared.registry.records_refused(batch.records() + rest);
                return Err(End::LogStopped);
            };
            last_dump = if class == Class::Live { last_dump } else { Some(seq) };
            let (routes, events) = (batch.nlri.len(), batch.events.len());
            tracing::debug!(routes, events, bytes = self.payload_bytes, flush_trigger, "batch_flushed");
        }
        last_dump.into_iter().for_each(|seq| self.session.dump_logged(seq));
        Ok(())
    }

    /// Logs the end of the session. Every message that the router sent before `until` has been processed.
    /// Returns false if the log has stopped.
    async fn end(&mut self, end: &SessionEnd, until: Timestamp) -> bool {
        if self.flush("session_end").await.is_err() {
            return false;
        }
        self.session.end(end, until);
        self.notices();
        for batch in self.session.take_batches() {
            self.stats.add(&batch);
            if !self.shared.log_end(&batch, &mut self.payload_bytes).await {
                return false;
            }
        }
        true
    }

    async fn log(&mut self, batch: &Batch) -> Result<Option<u64>, AppendError> {
        self.stats.add(batch);
        let logged = self.shared.log(batch, &mut self.payload_bytes);
        let stream = &self.stream;
        self.entry.meter().blocked_by(logged, || stream.queued_bytes()).await
    }

    fn observe(&self, batch: &Batch) {
        if let Err(error) = self.shared.state.observe(batch) {
            tracing::error!(%error, "state_error");
        }
    }

    fn notices(&mut self) {
        for notice in self.session.take_notices() {
            log_notice(&notice);
        }
    }
}

/// Waits until `time`; for ever without one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
