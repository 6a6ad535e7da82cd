//! Measurements of one connection: bytes that wait in the kernel, and time for which they were not read.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::num::to_micros;

/// Interval at which the receive queue is measured during a wait.
const QUEUE_INTERVAL: Duration = Duration::from_secs(1);

/// Transport of a session in the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTransport {
    /// Protection of the connection, such as `TLS 1.3, client certificate`; empty for plain TCP.
    pub security: String,
    /// Bytes in the receive queue of the socket, at most about a second old.
    pub receive_queue_bytes: u64,
    /// Time for which the session did not read because the log did not accept its batch, including the
    /// present wait.
    pub blocked: Duration,
    /// Time for which the session was not read because it reported new peers too fast, including the present
    /// wait.
    pub slowed: Duration,
    /// Whether the session is not read for this reason now.
    pub is_slowed: bool,
}

/// Measures one connection. Written by its task, read by the status.
#[derive(Debug, Default)]
pub(in crate::listener) struct Meter {
    receive_queue_bytes: AtomicU64,
    /// Waits for the log.
    blocked: WaitClock,
    /// Waits because of new peers.
    slowed: WaitClock,
    security: Mutex<String>,
}

/// Time spent in waits.
#[derive(Debug, Default)]
struct WaitClock {
    /// Total time of the waits that have ended, in microseconds.
    ended_us: AtomicU64,
    /// Start of the present wait.
    since: Mutex<Option<Instant>>,
}

impl WaitClock {
    fn begin(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn end(&self) {
        let began = self.since.lock().unwrap_or_else(PoisonError::into_inner).take();
        let waited = began.map(|began| began.elapsed()).unwrap_or_default();
        self.ended_us.fetch_add(u64::try_from(to_micros(waited)).unwrap_or(0), Ordering::Relaxed);
    }

    /// The total time, and whether a wait is under way.
    fn read(&self) -> (Duration, bool) {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let present = since.map(|since| since.elapsed()).unwrap_or_default();
        let ended = Duration::from_micros(self.ended_us.load(Ordering::Relaxed));
        (ended.saturating_add(present), since.is_some())
    }
}

impl Meter {
    /// Sets how the connection is protected.
    pub(in crate::listener) fn set_security(&self, security: String) {
        *self.security.lock().unwrap_or_else(PoisonError::into_inner) = security;
    }

    /// Sets the number of bytes in the receive queue.
    pub(in crate::listener) fn set_queued(&self, bytes: u64) {
        self.receive_queue_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Waits for a future, and adds the time to the time blocked. A future that is ready at once adds
    /// nothing. During the wait, `queued` measures the receive queue once a second.
    pub(in crate::listener) async fn blocked_by<T>(
        &self,
        future: impl Future<Output = T>,
        queued: impl Fn() -> u64,
    ) -> T {
        let mut future = pin!(future);
        let first = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(output) = first.await {
            return output;
        }
        self.blocked.begin();
        let output = loop {
            self.set_queued(queued());
            if let Ok(output) = tokio::time::timeout(QUEUE_INTERVAL, future.as_mut()).await {
                break output;
            }
        };
        self.blocked.end();
        output
    }

    /// Notes that the session is not read because of new peers.
    pub(in crate::listener) fn begin_slowed(&self) {
        self.slowed.begin();
    }

    /// Notes that the session is read again.
    pub(in crate::listener) fn end_slowed(&self) {
        self.slowed.end();
    }

    /// The measurements now.
    pub(in crate::listener) fn view(&self) -> SessionTransport {
        let (slowed, is_slowed) = self.slowed.read();
        SessionTransport {
            security: self.security.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            receive_queue_bytes: self.receive_queue_bytes.load(Ordering::Relaxed),
            blocked: self.blocked.read().0,
            slowed,
            is_slowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_future_that_waits_counts_as_blocked() {
        let meter = Meter::default();
        assert_eq!(meter.blocked_by(std::future::ready(7), || 1).await, 7);
        assert_eq!(meter.view(), SessionTransport::default(), "there was no wait");
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let waits = meter.blocked_by(receive, || 9);
        let observes = async {
            // The other future of the join has been polled, so that the wait has begun.
            tokio::task::yield_now().await;
            let first = meter.view().blocked;
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(2) {
                tokio::task::yield_now().await;
            }
            assert!(meter.view().blocked > first, "the present wait counts");
            send.send(()).unwrap();
        };
        let (waited, ()) = tokio::join!(waits, observes);
        waited.unwrap();
        let blocked = meter.view().blocked;
        assert!(blocked >= Duration::from_millis(2));
        assert_eq!(meter.view().blocked, blocked, "the wait has ended");
        assert_eq!(meter.view().receive_queue_bytes, 9);
    }
}
