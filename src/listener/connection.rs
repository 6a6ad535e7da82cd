//! One router's connection: socket to session to log.
//!
//! The loop waits for five things at once: the order to stop, the age of the open batch, the second hand, the first
//! message, and bytes. Whatever a read brought is taken apart without waiting, except where the log is behind.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, Sleep};
use tracing::Instrument as _;

use super::registry::{Claim, Entry};
use super::stats::Stats;
use super::{Buffer, Shared, micros, since, stopped};
use crate::route::{Batch, SessionEnd, Timestamp};
use crate::session::{Introduce, Introduced, Level, Notice, Options, Overrides, Session};
use crate::telemetry::clock;

/// Time passes for a session this often.
const TICK: Duration = Duration::from_secs(1);

/// How long a stop goes on reading what routers have already sent.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A batch is closed when the messages in it have this many bytes, however few routes they hold. It bounds the size of a
/// record in the log: encoding makes at most about ten bytes of one.
const BATCH_BYTES_MAX: usize = 512 << 10;

/// Bytes of an undecodable message that are shown.
const SHOWN_BYTES: usize = 256;

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// As the log is to say it.
    Session(SessionEnd, &'static str),
    /// There was no BMP message within the time for the first.
    Silent,
    /// The log takes nothing any more: nothing can be logged about it either.
    LogEnded,
}

struct Connection {
    shared: Arc<Shared>,
    entry: Entry,
    session: Session,
    buffer: Buffer,
    stats: Stats,
    began: Timestamp,
    /// Everything that the router's bytes said before this time has been taken from the socket and the buffer.
    drained: Timestamp,
    /// When time last passed for the session.
    ticked: Timestamp,
    /// Bytes have come since then.
    heard: bool,
    /// The first message has come.
    known: bool,
    /// Bytes of messages in the open batch.
    batch_bytes: usize,
    /// Bytes of the last payload: the next is about as long.
    payload_bytes: usize,
}

/// Serves a connection until it ends, and logs the end.
pub(super) async fn run(shared: Arc<Shared>, stream: TcpStream, entry: Entry, stop: watch::Receiver<bool>) {
    let address = entry.address();
    let span = tracing::info_span!("session", peer = %address.ip(), port = address.port());
    let options = Options {
        router_name: shared.options.router_names.get(&address.ip()).cloned(),
        address: address.ip(),
        port: address.port(),
        session: entry.session(),
        batch_records_max: shared.options.batch_routes_max,
        sweep_quiet_us: micros(shared.options.sweep_quiet),
    };
    let session = Session::new(options, introduce(&shared, &entry));
    let now = clock::now();
    let connection = Connection {
        session,
        buffer: Buffer::default(),
        stats: Stats::new(std::time::Instant::now()),
        began: now,
        drained: now,
        ticked: now,
        heard: false,
        known: false,
        batch_bytes: 0,
        payload_bytes: 0,
        shared,
        entry,
    };
    connection.serve(stream, stop).instrument(span).await;
}

/// Finds the name that a session is to have, and what is known of that router.
fn introduce(shared: &Arc<Shared>, entry: &Entry) -> Introduce {
    let (shared, session) = (Arc::clone(shared), entry.session());
    Box::new(move |claimed| {
        let claim = shared.registry.claim(session, claimed);
        let name = claim.name().to_owned();
        match claim {
            Claim::Own(_) => {}
            Claim::Again(_) => tracing::warn!(router = name, "router_session_overlaps"),
            Claim::Taken(_) => tracing::error!(router = claimed, stored_as = name, "router_name_conflict"),
        }
        let prior = shared.state.peers(&name);
        let overrides = shared.options.overrides.get(&name).cloned().unwrap_or_default();
        if overrides != Overrides::default() {
            tracing::info!(router = name, overrides = %overrides, "router_overrides");
        }
        Introduced { name, prior, overrides }
    })
}

impl Connection {
    async fn serve(mut self, mut stream: TcpStream, mut stop: watch::Receiver<bool>) {
        tracing::debug!("connection_opened");
        let mut end = self.receive(&mut stream, &mut stop).await;
        let mut until = clock::now();
        if let End::Session(SessionEnd::CollectorStop, _) = end {
            match self.drain(&stream).await {
                Ok(all) => until = if all { clock::now() } else { self.drained },
                Err(other) => end = other,
            }
        }
        drop(stream);
        let duration_seconds = since(self.began, clock::now()).as_secs_f64();
        match end {
            End::Session(end, reason) => {
                let logged = self.end(&end, until).await;
                if self.known {
                    let router = self.session.summary().router.name;
                    tracing::info!(router, reason, duration_seconds, "peer_disconnected");
                } else {
                    tracing::debug!(reason, "connection_closed");
                }
                if !logged {
                    tracing::error!("session_end_not_logged");
                }
            }
            End::Silent => tracing::debug!(reason = "no message", duration_seconds, "connection_closed"),
            End::LogEnded => tracing::error!(duration_seconds, "session_cut_off_by_the_log"),
        }
        self.entry.finish();
    }

    async fn receive(&mut self, stream: &mut TcpStream, stop: &mut watch::Receiver<bool>) -> End {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let first_message = Instant::now() + self.shared.options.first_message;
        let batch_timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(batch_timer);
        let mut batch_open = false;
        loop {
            let step = tokio::select! {
                biased;
                () = stopped(stop) => return End::Session(SessionEnd::CollectorStop, "collector_stop"),
                () = &mut batch_timer, if batch_open => self.flush("timeout").await,
                _ = tick.tick() => self.tick().await,
                () = tokio::time::sleep_until(first_message), if !self.known => return End::Silent,
                read = stream.read(self.buffer.room()) => match read {
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

    /// Takes what the kernel still has, so that nothing that a router sent before the stop is lost. `false`: it sends
    /// faster than this comes to an end.
    async fn drain(&mut self, stream: &TcpStream) -> Result<bool, End> {
        let give_up = Instant::now() + DRAIN_TIME;
        while Instant::now() < give_up {
            match stream.try_read(self.buffer.room()) {
                // Nothing there now, the router has closed, or the connection is broken.
                Ok(0) | Err(_) => return Ok(true),
                Ok(bytes) => self.received(bytes).await?,
            }
        }
        Ok(false)
    }

    /// Takes in what a read brought.
    async fn received(&mut self, bytes: usize) -> Result<(), End> {
        let emptied = bytes < self.buffer.room_bytes();
        let now = clock::now();
        self.buffer.filled(bytes);
        self.heard = true;
        self.messages(now).await?;
        // A read that could have brought more left nothing in the kernel.
        if emptied && self.buffer.unread().is_empty() {
            self.drained = now;
        }
        Ok(())
    }

    /// Starts the clock of a batch with its first record. Without one nothing wakes the task.
    fn arm(&self, timer: Pin<&mut Sleep>, open: bool) -> bool {
        let has_records = self.session.has_records();
        if has_records && !open {
            timer.reset(Instant::now() + self.shared.options.batch_delay_max);
        }
        has_records
    }

    /// How a session ends whose router closed TCP.
    fn eof(&self) -> SessionEnd {
        self.session.terminated().cloned().unwrap_or(SessionEnd::Lost)
    }

    /// Takes every whole message out of the buffer.
    async fn messages(&mut self, now: Timestamp) -> Result<(), End> {
        loop {
            let message = match self.buffer.message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    // What the bytes before it said comes first.
                    self.notices();
                    let data_hex = hex(self.buffer.unread());
                    tracing::error!(%error, data_hex, "bmp_parse_error");
                    return Err(End::Session(SessionEnd::Protocol, "protocol_error"));
                }
            };
            if !self.known {
                self.known = true;
                tracing::info!("peer_connected");
            }
            tracing::debug!(length = message.len(), data_hex = %Hex(message), "bmp_message_received");
            self.session.message(message, now);
            self.batch_bytes += message.len();
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
        self.session.tick(now);
        self.flush("tick").await?;
        self.notices();
        // What had come before the last tick would have been read by now.
        if !std::mem::take(&mut self.heard) && self.buffer.unread().is_empty() {
            self.drained = self.drained.max(self.ticked);
        }
        self.ticked = now;
        if !self.known {
            self.entry.publish(None, self.drained);
            return Ok(());
        }
        let summary = self.session.summary();
        let interval = self.shared.options.stats_interval;
        self.stats.tick(&summary.router.name, summary.counters, interval, std::time::Instant::now());
        self.entry.publish(Some(summary), self.drained);
        Ok(())
    }

    /// Hands what there is to the log. Waits while the log is behind.
    async fn flush(&mut self, flush_trigger: &'static str) -> Result<(), End> {
        self.batch_bytes = 0;
        for batch in self.session.take_batches() {
            // Before the log has it: see the head of the state module.
            self.observe(&batch);
            if !self.log(&batch).await {
                return Err(End::LogEnded);
            }
            let (routes, events) = (batch.nlri.len(), batch.events.len());
            tracing::debug!(routes, events, bytes = self.payload_bytes, flush_trigger, "batch_flushed");
        }
        Ok(())
    }

    /// Logs the end of the session; nothing that came before `until` is missing.
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

    async fn log(&mut self, batch: &Batch) -> bool {
        self.stats.add(batch);
        self.shared.log(batch, &mut self.payload_bytes).await.is_ok()
    }

    fn observe(&self, batch: &Batch) {
        if let Err(error) = self.shared.state.observe(batch) {
            tracing::error!(%error, "state_error");
        }
    }

    fn notices(&mut self) {
        for notice in self.session.take_notices() {
            say(&notice);
        }
    }
}

/// Writes the log line of a notice. Whom it concerns is in the span.
fn say(Notice { level, event, peer, text, bytes }: &Notice) {
    let bgp_peer = peer.map(|peer| peer.address.to_string());
    let bgp_peer = bgp_peer.as_deref();
    let distinguisher = peer.map(|peer| peer.distinguisher).filter(|distinguisher| *distinguisher != 0);
    match level {
        Level::Debug => {
            tracing::debug!(bgp_peer, distinguisher, detail = text, data_hex = %Hex(bytes), "{event}")
        }
        Level::Info => tracing::info!(bgp_peer, distinguisher, detail = text, "{event}"),
        Level::Warning => tracing::warn!(bgp_peer, distinguisher, detail = text, "{event}"),
        Level::Error => {
            tracing::error!(bgp_peer, distinguisher, error = text, data_hex = %Hex(bytes), "{event}")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// The first bytes in hexadecimal, written only when somebody reads it.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().take(SHOWN_BYTES).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
