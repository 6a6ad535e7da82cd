//! Fair use of the log: how many undelivered bytes of it each router may hold. Pure: the time is an argument.
//!
//! A router may append while
//!
//! ```text
//!    bytes held by the router  <  ratio × free bytes of the log          ratio = share / (100 − share)
//!
//!    ├─────────────── heavy ───────────────┼ light ┼──── free ────┤      share 75 %, ratio 3:
//!    heavy ≥ 3 × free: waits                 light < 3 × free: continues
//! ```
//!
//! The bytes held are those queued and those undelivered. At any moment the right side is the same for all
//! routers, from which three properties follow:
//!
//! * **The heaviest waits first.** If a router waits, every router that holds more waits as well. No router
//!   waits for space while one that holds more is let through.
//! * **A router alone fills its share.** It waits at ratio × free, which is `share` percent of the log.
//! * **Those that wait leave space.** N waiting routers hold ratio × free each, so that 1 / (1 + N × ratio)
//!   of the log is free for those that hold less. The limit adapts to N, without a list of who competes.
//!
//! A router exceeds the limit by at most the batch that it is let through with. A router that holds nothing
//! is always let through; it then waits only if the log accepts no batch at all.
//!
//! A router that was stopped is *paused* until it holds less than half of the limit. This decides what is
//! reported, and whether a new connection of the router is read (`listener::hold`).
//!
//! Undelivered bytes are counted in blocks, each a stretch of the log with its bytes per router, and released
//! when a whole block is delivered: the log's space is recycled in segments, and the memory for the count is
//! bounded whatever the size of the batches.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::num::{floor_to_u64, to_f64};
use crate::wal::{SeqNo, Usage};

/// Number of blocks in a log of maximum size.
const BLOCKS: u64 = 128;

/// Maximum number of routers with an account of their own; all others share one.
const ACCOUNTS_MAX: usize = 16_384;

/// Name of the account that further routers share.
const OTHERS: &str = "(others)";

/// Time constant of the write rates.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Time after its last batch at which a router that holds nothing loses its account.
const IDLE: Duration = Duration::from_secs(60);

/// Bytes of one router that may be queued at the same time, in KiB. A larger batch is queued alone.
pub(super) const QUEUE_KIB_MAX: u32 = 4 << 10;

/// Use of the log by one router.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterUse {
    /// Name under which the router is stored.
    pub router: Arc<str>,
    /// Bytes of the router that are queued, or in the log and not delivered.
    pub bytes: u64,
    /// Bytes per second that the router appends, averaged over about 10 s.
    pub bytes_per_s: u64,
    /// Time since the router was stopped at its limit; `None` if it is not paused.
    pub paused: Option<Duration>,
}

/// A router that became paused, or ceased to be.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// The router waits at its limit.
    Paused(RouterUse),
    /// The router holds less than half of its limit again.
    Resumed(RouterUse),
}

/// The accounts of all routers.
#[derive(Debug)]
pub(super) struct Accounts {
    /// Percentage of the log that one router may hold; 100 for no limit.
    share: u64,
    /// Bytes that the log could take if it held nothing of `undelivered`, by the last sample.
    capacity: u64,
    /// Size of a complete block.
    block_bytes: u64,
    queued: u64,
    undelivered: u64,
    by_router: BTreeMap<Arc<str>, Account>,
    /// Undelivered stretches of the log, oldest first.
    blocks: VecDeque<Block>,
}

#[derive(Debug)]
struct Account {
    /// Source address of the last batch.
    address: IpAddr,
    queued: u64,
    undelivered: u64,
    rate: Rate,
    paused_since: Option<Instant>,
    /// Whether the pause was reported.
    is_reported: bool,
    /// One permit per KiB that may be queued.
    queue: Arc<Semaphore>,
}

/// Batches with consecutive sequence numbers.
#[derive(Debug)]
struct Block {
    last: SeqNo,
    bytes: u64,
    routers: BTreeMap<Arc<str>, u64>,
}

/// Exponentially weighted average of bytes per second.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes_per_s: f64,
    updated: Instant,
}

impl Rate {
    fn at(self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.bytes_per_s * (-elapsed / RATE_WINDOW.as_secs_f64()).exp()
    }

    fn add(&mut self, bytes: u64, now: Instant) {
        self.bytes_per_s = self.at(now) + to_f64(bytes) / RATE_WINDOW.as_secs_f64();
        self.updated = now;
    }
}

impl Account {
    const fn held(&self) -> u64 {
        self.queued.saturating_add(self.undelivered)
    }

    fn usage(&self, router: &Arc<str>, now: Instant) -> RouterUse {
        RouterUse {
            router: Arc::clone(router),
            bytes: self.held(),
            bytes_per_s: floor_to_u64(self.rate.at(now)),
            paused: self.paused_since.map(|since| now.saturating_duration_since(since)),
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        let last = now.saturating_duration_since(self.rate.updated);
        self.held() == 0 && self.paused_since.is_none() && !self.is_reported && last >= IDLE
    }
}

impl Accounts {
    /// Accounts in which one router may hold `share` percent of the log.
    pub(super) fn new(share: u8, usage: &Usage) -> Self {
        let mut accounts = Self {
            share: 100,
            capacity: 0,
            block_bytes: (usage.bytes_max / BLOCKS).max(1),
            queued: 0,
            undelivered: 0,
            by_router: BTreeMap::new(),
            blocks: VecDeque::new(),
        };
        accounts.set_share(share);
        accounts.sample(usage);
        accounts
    }

    /// Changes the percentage of the log that one router may hold.
    pub(super) fn set_share(&mut self, share: u8) {
        self.share = u64::from(share.clamp(1, 100));
    }

    /// Takes over the free space of the log. Everything appended before is in `usage`.
    pub(super) fn sample(&mut self, usage: &Usage) {
        // A log that is full may drop its oldest batches.
        self.delivered(usage.oldest.prev());
        self.capacity =
            usage.available_bytes.saturating_add(usage.open_bytes).saturating_add(self.undelivered);
    }

    /// Bytes that the log can take beyond those that are queued.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.undelivered).saturating_sub(self.queued)
    }

    /// The name of the router's account, which is created if there is none. `address` is the router's source
    /// address.
    pub(super) fn open(&mut self, router: &str, address: IpAddr, now: Instant) -> Arc<str> {
        let is_new = !self.by_router.contains_key(router);
        let router = if is_new && self.by_router.len() >= ACCOUNTS_MAX { OTHERS } else { router };
        if let Some((name, _)) = self.by_router.get_key_value(router) {
            let name = Arc::clone(name);
            if let Some(account) = self.by_router.get_mut(router) {
                account.address = address;
            }
            return name;
        }
        let name: Arc<str> = router.into();
        let account = Account {
            address,
            queued: 0,
            undelivered: 0,
            rate: Rate { bytes_per_s: 0.0, updated: now },
            paused_since: None,
            is_reported: false,
            queue: Arc::new(Semaphore::new(crate::num::u32_to_usize(QUEUE_KIB_MAX))),
        };
        self.by_router.insert(Arc::clone(&name), account);
        name
    }

    /// Reserves `bytes` of the queue for the router, if it may append. `is_exempt` skips the limit.
    pub(super) fn reserve(
        &mut self,
        router: &str,
        bytes: u64,
        is_exempt: bool,
        now: Instant,
    ) -> Option<Arc<Semaphore>> {
        let (free, share) = (self.free(), self.share);
        let account = self.by_router.get_mut(router)?;
        if !is_exempt && !is_below(account.held(), share, free) {
            account.paused_since.get_or_insert(now);
            return None;
        }
        account.queued = account.queued.saturating_add(bytes);
        self.queued = self.queued.saturating_add(bytes);
        Some(Arc::clone(&account.queue))
    }

    /// Takes back a reservation: the batch left the queue.
    pub(super) fn release(&mut self, router: &str, bytes: u64) {
        self.queued = self.queued.saturating_sub(bytes);
        if let Some(account) = self.by_router.get_mut(router) {
            account.queued = account.queued.saturating_sub(bytes);
        }
    }

    /// Adds a batch that was appended to the log with `bytes`.
    pub(super) fn appended(&mut self, router: &Arc<str>, seq: SeqNo, bytes: u64, now: Instant) {
        let Some(account) = self.by_router.get_mut(router) else { return };
        account.rate.add(bytes, now);
        account.undelivered = account.undelivered.saturating_add(bytes);
        self.undelivered = self.undelivered.saturating_add(bytes);
        if let Some(block) = self.blocks.back_mut().filter(|block| block.bytes < self.block_bytes) {
            block.last = seq;
            block.bytes = block.bytes.saturating_add(bytes);
            let held = block.routers.entry(Arc::clone(router)).or_default();
            *held = held.saturating_add(bytes);
        } else {
            let routers = BTreeMap::from([(Arc::clone(router), bytes)]);
            self.blocks.push_back(Block { last: seq, bytes, routers });
        }
    }

    /// Releases the blocks up to `delivered`. Returns whether there were any.
    pub(super) fn delivered(&mut self, delivered: SeqNo) -> bool {
        let mut is_any = false;
        while let Some(block) = self.blocks.pop_front_if(|block| block.last <= delivered) {
            is_any = true;
            self.undelivered = self.undelivered.saturating_sub(block.bytes);
            for (router, bytes) in block.routers {
                if let Some(account) = self.by_router.get_mut(&router) {
                    account.undelivered = account.undelivered.saturating_sub(bytes);
                }
            }
        }
        is_any
    }

    /// Ends the pauses of routers that hold less than half of their limit, removes idle accounts, and returns
    /// the pauses that began or ended since the last call.
    pub(super) fn review(&mut self, now: Instant) -> Vec<Change> {
        let (free, share) = (self.free(), self.share);
        let mut changes = Vec::new();
        for (router, account) in &mut self.by_router {
            if account.paused_since.is_some() && !account.is_reported {
                account.is_reported = true;
                changes.push(Change::Paused(account.usage(router, now)));
            }
            if account.paused_since.is_some() && is_below(account.held().saturating_mul(2), share, free) {
                changes.push(Change::Resumed(account.usage(router, now)));
                (account.paused_since, account.is_reported) = (None, false);
            }
        }
        self.by_router.retain(|_, account| !account.is_idle(now));
        changes
    }

    /// Ends all waits for a part of the queue.
    pub(super) fn close_queues(&self) {
        self.by_router.values().for_each(|account| account.queue.close());
    }

    /// The routers that hold bytes or are paused.
    pub(super) fn routers(&self, now: Instant) -> Vec<RouterUse> {
        let is_active = |account: &Account| account.held() > 0 || account.paused_since.is_some();
        let active = self.by_router.iter().filter(|(_, account)| is_active(account));
        active.map(|(router, account)| account.usage(router, now)).collect()
    }

    /// Whether there is a limit at all.
    pub(super) const fn is_limited(&self) -> bool {
        self.share < 100
    }

    /// Whether the router holds as much as it may, or more.
    pub(super) fn is_at_limit(&self, router: &str) -> bool {
        let held = self.by_router.get(router).map_or(0, Account::held);
        !is_below(held, self.share, self.free())
    }

    /// Whether a router with this source address is paused.
    pub(super) fn is_paused(&self, address: IpAddr) -> bool {
        self.by_router.values().any(|account| account.address == address && account.paused_since.is_some())
    }

    /// Whether a router with this source address has an account.
    pub(super) fn knows(&self, address: IpAddr) -> bool {
        self.by_router.values().any(|account| account.address == address)
    }
}

/// The rule: whether a router that holds `held` bytes may append, with `free` bytes in the log.
fn is_below(held: u64, share: u64, free: u64) -> bool {
    let (held, share, free) = (u128::from(held), u128::from(share), u128::from(free));
    held == 0 || share >= 100 || held * (100 - share) < share * free
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MIB: u64 = 1 << 20;
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn usage(free: u64) -> Usage {
        Usage { bytes_max: 256 * MIB, available_bytes: free, ..Usage::default() }
    }

    /// Accounts with a sequence number, so that a test can append.
    struct Log {
        accounts: Accounts,
        seq: SeqNo,
        now: Instant,
    }

    impl Log {
        fn new(share: u8, bytes: u64) -> Self {
            let accounts = Accounts::new(share, &usage(bytes));
            Self { accounts, seq: SeqNo::NONE, now: Instant::now() }
        }

        /// Appends a batch if the router may.
        fn append(&mut self, router: &str, bytes: u64) -> bool {
            let name = self.accounts.open(router, ADDRESS, self.now);
            if self.accounts.reserve(&name, bytes, false, self.now).is_none() {
                return false;
            }
            self.seq = self.seq.next();
            self.accounts.release(&name, bytes);
            self.accounts.appended(&name, self.seq, bytes, self.now);
            true
        }

        /// Appends until the router waits. Returns what it holds then.
        fn fill(&mut self, router: &str) -> u64 {
            while self.append(router, MIB) {}
            self.held(router)
        }

        fn held(&self, router: &str) -> u64 {
            self.accounts.by_router[router].held() / MIB
        }
    }

    #[test]
    fn a_router_alone_fills_its_share_and_the_next_ones_find_space() {
        let mut log = Log::new(75, 200 * MIB);
        assert_eq!(log.fill("heavy"), 150);
        assert!(log.append("light", 10 * MIB));
        assert_eq!(log.fill("second"), 30);
        assert!(log.append("light", MIB), "it holds less than those that wait");
        assert!(log.append("new", MIB));
        assert!(!log.append("heavy", 1) && !log.append("second", 1));
        assert!(log.accounts.free() >= 5 * MIB, "{}", log.accounts.free());
    }

    #[test]
    fn routers_that_fill_the_log_together_get_the_same_and_leave_space() {
        for (share, each) in [(50, 20), (75, 23)] {
            let mut log = Log::new(share, 100 * MIB);
            let names = ["a", "b", "c", "d"];
            while names.iter().filter(|name| log.append(name, MIB)).count() > 0 {}
            let held = names.map(|name| log.held(name));
            assert!(held.iter().all(|held| (each..=each + 1).contains(held)), "share {share} %: {held:?}");
            assert!(log.append("light", MIB));
        }
    }

    #[test]
    fn with_a_share_of_100_the_log_is_filled() {
        let mut log = Log::new(100, 9 * MIB);
        assert!((0..20).all(|_| log.append("heavy", MIB)));
        assert_eq!(log.accounts.review(log.now), []);
    }

    #[test]
    fn a_router_that_holds_nothing_never_waits() {
        let mut log = Log::new(50, 0);
        assert!(log.append("light", MIB), "the log itself decides");
        assert!(!log.append("light", MIB));
    }

    #[test]
    fn delivery_releases_whole_blocks_and_ends_a_pause_at_half_of_the_limit() {
        let mut log = Log::new(50, 100 * MIB);
        assert_eq!(log.fill("heavy"), 50);
        let paused = log.accounts.review(log.now);
        assert!(matches!(&paused[..], [Change::Paused(one)] if &*one.router == "heavy"), "{paused:?}");
        assert!(log.accounts.is_paused(ADDRESS) && log.accounts.is_at_limit("heavy"));
        assert!(!log.accounts.delivered(SeqNo(1)), "a block has two batches");
        assert!(log.accounts.delivered(SeqNo(10)));
        assert_eq!(log.held("heavy"), 40);
        assert!(log.append("heavy", MIB), "it continues at once");
        assert_eq!(log.accounts.review(log.now), [], "and is paused until it holds less than half");
        assert!(log.accounts.delivered(SeqNo(20)));
        let resumed = log.accounts.review(log.now);
        assert!(matches!(&resumed[..], [Change::Resumed(one)] if one.bytes == 31 * MIB), "{resumed:?}");
        assert!(!log.accounts.is_paused(ADDRESS));
    }

    #[test]
    fn queued_bytes_count_until_they_are_in_the_log_or_dropped() {
        let mut log = Log::new(50, 100 * MIB);
        let name = log.accounts.open("edge1", ADDRESS, log.now);
        assert!(log.accounts.reserve(&name, 60 * MIB, false, log.now).is_some());
        assert_eq!(log.accounts.free(), 40 * MIB);
        assert!(log.accounts.reserve(&name, 1, false, log.now).is_none());
        assert!(log.accounts.reserve(&name, 1, true, log.now).is_some(), "exempt");
        log.accounts.release(&name, 60 * MIB + 1);
        assert_eq!((log.held("edge1"), log.accounts.free()), (0, 100 * MIB));
    }

    #[test]
    fn accounts_of_idle_routers_are_removed_and_their_number_is_bounded() {
        let mut log = Log::new(50, 1 << 40);
        for number in 0..ACCOUNTS_MAX + 10 {
            assert!(log.append(&format!("r{number}"), 1));
        }
        assert_eq!(log.accounts.by_router.len(), ACCOUNTS_MAX + 1);
        assert_eq!(log.accounts.by_router[OTHERS].held(), 10);
        log.accounts.delivered(SeqNo(u64::MAX));
        log.accounts.review(log.now + IDLE);
        assert!(log.accounts.by_router.is_empty());
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate { bytes_per_s: 0.0, updated: start };
        for tenth in 0..1_000 {
            rate.add(100, start + Duration::from_millis(100 * tenth));
        }
        let now = start + Duration::from_secs(100);
        assert!((990.0..1_010.0).contains(&rate.at(now)), "{}", rate.at(now));
        assert!(rate.at(now + Duration::from_secs(60)) < 5.0);
    }
}
