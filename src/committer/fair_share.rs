//! The routers' accounts of the log, shared by the callers of [`super::Committer::append_from`], the log
//! thread and the status. The rule is in [`super::accounts`].

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::accounts::{Accounts, Change, QUEUE_KIB_MAX, RouterUse};
use crate::num::{to_u32_saturating, to_u64};
use crate::wal::{SeqNo, Usage};

/// A router whose batch is appended.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Name under which the router is stored.
    pub router: &'a str,
    /// Source address of its session.
    pub address: IpAddr,
    /// Whether the batch is appended although the router is at its limit: it ends a session, and is small.
    pub is_exempt: bool,
}

/// Use of the log by each router.
#[derive(Debug)]
pub struct FairShare {
    accounts: Mutex<Accounts>,
    /// Wakes the callers that wait at their limit.
    space: Notify,
    /// The limits no longer apply: the collector stops.
    is_lifted: AtomicBool,
}

/// Bytes of one router in the queue. Dropping it releases them.
#[derive(Debug)]
pub(super) struct Reservation {
    fair_share: Arc<FairShare>,
    router: Arc<str>,
    bytes: u64,
    /// The router's part of the queue; `None` while waiting for it.
    _queue: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Moves the batch from the queue to the log, where it takes `bytes`.
    pub(super) fn appended(self, seq: SeqNo, bytes: u64) {
        self.fair_share.accounts().appended(&self.router, seq, bytes, Instant::now());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.fair_share.accounts().release(&self.router, self.bytes);
    }
}

impl FairShare {
    pub(super) fn new(share: u8, usage: &Usage) -> Arc<Self> {
        let accounts = Mutex::new(Accounts::new(share, usage));
        Arc::new(Self { accounts, space: Notify::new(), is_lifted: AtomicBool::new(false) })
    }

    /// Waits until the router may queue a payload of `bytes`: until it is below its limit, and its earlier
    /// payloads have left enough of the queue.
    pub(super) async fn reserve(self: &Arc<Self>, source: Source<'_>, bytes: usize) -> Reservation {
        let Source { router, address, is_exempt } = source;
        let mut space = std::pin::pin!(self.space.notified());
        let (mut reservation, queue) = loop {
            // Enabled before the check, so that no notification is missed.
            space.as_mut().enable();
            if let Some(reserved) = self.try_reserve(router, address, to_u64(bytes), is_exempt) {
                break reserved;
            }
            space.as_mut().await;
            space.set(self.space.notified());
        };
        let kib = to_u32_saturating(bytes.div_ceil(1 << 10)).min(QUEUE_KIB_MAX);
        // If it is closed, the caller learns of the stop at the queue of all routers.
        reservation._queue = queue.acquire_many_owned(kib).await.ok();
        reservation
    }

    fn try_reserve(
        self: &Arc<Self>,
        router: &str,
        address: IpAddr,
        bytes: u64,
        is_exempt: bool,
    ) -> Option<(Reservation, Arc<tokio::sync::Semaphore>)> {
        let is_exempt = is_exempt || self.is_lifted.load(Ordering::Acquire);
        let now = Instant::now();
        let mut accounts = self.accounts();
        let router = accounts.open(router, address, now);
        let queue = accounts.reserve(&router, bytes, is_exempt, now)?;
        drop(accounts);
        Some((Reservation { fair_share: Arc::clone(self), router, bytes, _queue: None }, queue))
    }

    /// Lifts all limits, so that no caller waits at one any more. Used at a stop.
    pub fn lift(&self) {
        self.is_lifted.store(true, Ordering::Release);
        self.space.notify_waiters();
    }

    /// Lifts all limits, and ends all waits for a part of the queue. Used when the log is stopped.
    pub(super) fn close(&self) {
        self.lift();
        self.accounts().close_queues();
    }

    /// Changes the percentage of the log that one router may hold.
    pub(super) fn set_share(&self, share: u8) {
        self.accounts().set_share(share);
    }

    /// Releases what was delivered. Returns whether a router holds less than before.
    pub(super) fn delivered(&self, up_to: SeqNo) -> bool {
        self.accounts().delivered(up_to)
    }

    /// Takes over the free space of the log, wakes those that wait, and logs the pauses that began or ended.
    pub(super) fn sample(&self, usage: &Usage) {
        let mut accounts = self.accounts();
        accounts.sample(usage);
        let free_bytes = accounts.free();
        let changes = accounts.review(Instant::now());
        drop(accounts);
        self.space.notify_waiters();
        for change in &changes {
            log_change(change, free_bytes);
        }
    }

    /// The routers that hold bytes of the log or are paused, the heaviest first.
    #[must_use]
    pub fn routers(&self) -> Vec<RouterUse> {
        let mut routers = self.accounts().routers(Instant::now());
        routers.sort_by_key(|one| std::cmp::Reverse(one.bytes));
        routers
    }

    /// Whether there is a limit at all.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.accounts().is_limited()
    }

    /// Whether the router holds as much of the log as it may, or more.
    #[must_use]
    pub fn is_at_limit(&self, router: &str) -> bool {
        self.accounts().is_at_limit(router)
    }

    /// Whether a router with this source address is paused.
    #[must_use]
    pub fn is_paused(&self, address: IpAddr) -> bool {
        self.accounts().is_paused(address)
    }

    /// Whether a router with this source address holds bytes of the log, or appended within the last minute.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        self.accounts().knows(address)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_change(change: &Change, free_bytes: u64) {
    match change {
        Change::Paused(RouterUse { router, bytes, bytes_per_s, .. }) => {
            let router = &**router;
            let detail = "the router waits at its share of the log (ROUTER_LOG_SHARE); others continue";
            tracing::warn!(router, bytes, bytes_per_s, free_bytes, detail, "router_paused");
        }
        Change::Resumed(RouterUse { router, bytes, paused, .. }) => {
            let (router, seconds) = (&**router, paused.as_ref().map(Duration::as_secs));
            tracing::info!(router, bytes, seconds, "router_resumed");
        }
    }
}
