//! The committer: queued payloads become durable, a full log pauses and continues, a stop seals the log.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::common::logs::{check_dense, count, options, payload, read_all};
use crate::common::simdisk::{Fate, Fault, SimDisk};
use holdfast::committer::fair_share::Source;
use holdfast::committer::machine::{Event, Machine, Step};
use holdfast::committer::{AppendError, Committer, LogState, Options, Outcome, Progress, spawn};
use holdfast::wal::{Item, Log, SeqNo, recover};

type Thread = std::thread::JoinHandle<Outcome>;

fn started(
    disk: &SimDisk,
    wal: holdfast::wal::Options,
    options: Options,
) -> (Committer, Thread, Arc<Log<SimDisk>>) {
    let (writer, _) = recover(disk.clone(), wal).unwrap();
    let log = writer.log();
    let (committer, thread) = spawn(writer, options).unwrap();
    (committer, thread, log)
}

async fn append(committer: &Committer, seq: u64) {
    assert_eq!(
        committer.append(payload(seq), count(seq)).await,
        Ok(SeqNo(seq)),
        "the sequence number of the payload"
    );
}

async fn until(committer: &Committer, what: impl FnMut(&Progress) -> bool) -> Progress {
    let mut progress = committer.progress();
    let reached = tokio::time::timeout(Duration::from_secs(60), progress.wait_for(what)).await;
    reached.expect("the committer reaches the state").unwrap().clone()
}

#[tokio::test]
async fn a_single_payload_becomes_durable_without_a_successor() {
    for sync_interval in [Duration::ZERO, Duration::from_millis(20)] {
        let disk = SimDisk::new();
        let (committer, thread, _) =
            started(&disk, options(), Options { sync_interval, ..Options::default() });
        append(&committer, 1).await;
        let progress = until(&committer, |progress| progress.durable == SeqNo(1)).await;
        assert_eq!(
            (progress.written, progress.records_durable, progress.state),
            (SeqNo(1), 1, LogState::Running)
        );
        // A power loss that drops all unsynced data.
        let after = disk.after_power_cut(|| Fate::Lost, || false);
        let (writer, _) = recover(after, options()).unwrap();
        assert_eq!(read_all(&mut writer.log().reader(SeqNo(1))), [Ok(1)]);
        drop(committer);
        assert_eq!(thread.join().unwrap().error, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_caller_gets_the_number_of_its_own_payload() {
    let disk = SimDisk::new();
    let (committer, thread, log) = started(&disk, options(), Options::default());
    let callers = (0..4_u8).map(|caller| {
        let committer = committer.clone();
        tokio::spawn(async move {
            let mut items = Vec::new();
            for number in 0..100_u8 {
                items.push((committer.append(vec![caller, number], 1).await.unwrap(), vec![caller, number]));
            }
            items
        })
    });
    let mut items = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        items.extend(caller.await.unwrap());
    }
    items.sort();
    committer.stop();
    assert_eq!(thread.join().unwrap().durable, SeqNo(400));
    let mut reader = log.reader(SeqNo(1));
    let mut logged = Vec::new();
    while let Some(Item::Data { seq, payload, .. }) = reader.next(SeqNo::MAX).unwrap() {
        logged.push((seq, payload.to_vec()));
    }
    assert_eq!(items, logged);
}

#[tokio::test]
async fn an_orderly_stop_makes_all_durable_and_seals() {
    let disk = SimDisk::new();
    // The interval is so long that only the stop can have synced.
    let sync_interval = Duration::from_secs(3600);
    let (committer, thread, _) = started(&disk, options(), Options { sync_interval, ..Options::default() });
    for seq in 1..=50 {
        append(&committer, seq).await;
    }
    committer.stop();
    assert_eq!(committer.append(vec![1], 1).await, Err(AppendError::Stopped));
    let outcome = thread.join().unwrap();
    assert_eq!(
        outcome,
        Outcome { durable: SeqNo(50), lost_batches: 0, lost_records: 0, paused: None, error: None }
    );
    assert_eq!(committer.progress().borrow().state, LogState::Stopped);
    let (writer, recovered) = recover(disk.after_power_cut(|| Fate::Lost, || false), options()).unwrap();
    assert!(recovered.was_closed);
    assert_eq!(check_dense(&read_all(&mut writer.log().reader(SeqNo(1)))), (50, vec![]));
}

#[tokio::test]
async fn a_full_log_pauses_and_continues_after_a_delivery() {
    let disk = SimDisk::new();
    let wal = holdfast::wal::Options { bytes_max: 6 * (64 << 10), ..options() };
    let settings = Options { sync_interval: Duration::ZERO, queue_batches: 4, ..Options::default() };
    let (committer, thread, log) = started(&disk, wal, settings);
    let feeder = committer.clone();
    let feeding = tokio::spawn(async move {
        for seq in 1..=3000 {
            append(&feeder, seq).await;
        }
    });
    let mut pauses = 0;
    let mut reader = log.reader(SeqNo(1));
    let mut items = Vec::new();
    let mut delivered = SeqNo::NONE;
    while delivered < SeqNo(3000) {
        // Deliver only when the log is full or complete.
        let progress = until(&committer, |progress| {
            matches!(progress.state, LogState::Paused(_)) || progress.durable == SeqNo(3000)
        })
        .await;
        if let LogState::Paused(why) = &progress.state {
            assert_eq!(why, "the log has reached its limit of 393216 bytes");
            // At the end the queue can hold all remaining payloads.
            assert!(!feeding.is_finished() || progress.durable >= SeqNo(2990));
            let beat = progress.beat;
            until(&committer, |progress| progress.beat > beat).await;
            pauses += 1;
        }
        items.extend(read_all(&mut reader));
        delivered = progress.durable;
        committer.retire(delivered);
        until(&committer, |progress| progress.durable > delivered || delivered == SeqNo(3000)).await;
    }
    assert!(pauses > 1, "{pauses} pauses");
    assert_eq!(check_dense(&items), (3000, vec![]));
    feeding.await.unwrap();
    committer.stop();
    assert_eq!(thread.join().unwrap().lost_batches, 0);
}

fn source(router: &str) -> Source<'_> {
    Source { router, address: [192, 0, 2, 1].into(), is_exempt: false }
}

/// A committer with a log of eight segments of 4 MiB, one of which is reserved.
fn with_share(router_share_percent: u8) -> (Committer, Thread) {
    let wal = holdfast::wal::Options { segment_bytes: 4 << 20, bytes_max: 32 << 20, ..options() };
    let settings = Options { sync_interval: Duration::ZERO, router_share_percent, ..Options::default() };
    let (committer, thread, _) = started(&SimDisk::new(), wal, settings);
    (committer, thread)
}

#[tokio::test]
async fn a_router_at_its_share_waits_alone_and_continues_after_a_delivery() {
    let (committer, thread) = with_share(75);
    let batch = || vec![0x55; 500 << 10];
    let feeder = committer.clone();
    let mut heavy = tokio::spawn(async move {
        for _ in 0..100 {
            feeder.append_from(source("heavy"), batch(), 1).await.unwrap();
        }
    });
    let fair_share = committer.fair_share();
    while !fair_share.routers().iter().any(|one| one.paused.is_some()) {
        assert!(!heavy.is_finished());
        tokio::task::yield_now().await;
    }
    let used = fair_share.routers();
    // 75 % of seven segments, with the granularity of a batch and the ends of the segments.
    assert!((19 << 20..=22 << 20).contains(&used[0].bytes), "{used:?}");
    for router in ["light", "light", "new"] {
        let seq = committer.append_from(source(router), batch(), 1).await.unwrap();
        let progress = until(&committer, |progress| progress.durable >= seq).await;
        assert_eq!(progress.state, LogState::Running);
    }
    assert!(!heavy.is_finished());
    let waits = tokio::time::timeout(Duration::ZERO, &mut heavy).await;
    assert!(waits.is_err(), "the heavy router waits");
    while !heavy.is_finished() {
        committer.retire(committer.progress().borrow().durable);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    heavy.await.unwrap();
    committer.stop();
    assert_eq!(thread.join().unwrap().lost_batches, 0);
}

#[tokio::test]
async fn a_stop_ends_the_wait_of_a_router_at_its_share() {
    let (committer, thread) = with_share(50);
    let feeder = committer.clone();
    let heavy = tokio::spawn(async move {
        while feeder.append_from(source("heavy"), vec![0x55; 500 << 10], 1).await.is_ok() {}
    });
    while !committer.fair_share().is_at_limit("heavy") {
        tokio::task::yield_now().await;
    }
    committer.stop();
    heavy.await.unwrap();
    assert_eq!(thread.join().unwrap().lost_batches, 0);
}

#[tokio::test]
async fn a_router_queues_a_part_of_the_queue_and_leaves_the_rest_to_others() {
    // Without a limit for the log, which one router fills.
    let (committer, thread) = with_share(100);
    let batch = || vec![0x55; 500 << 10];
    let feeder = committer.clone();
    let heavy =
        tokio::spawn(async move { while feeder.append_from(source("heavy"), batch(), 1).await.is_ok() {} });
    until(&committer, |progress| matches!(progress.state, LogState::Paused(_))).await;
    // The log accepts nothing, and each other router still finds space in the queue.
    for router in ["a", "b", "c", "d", "e"] {
        committer.append_from(source(router), batch(), 1).await.unwrap();
    }
    let used = committer.fair_share().routers();
    let queued = used.iter().filter(|one| &*one.router != "heavy").map(|one| one.bytes);
    assert!(queued.eq([500 << 10; 5]), "{used:?}");
    committer.stop();
    heavy.await.unwrap();
    assert!(thread.join().unwrap().paused.is_some());
}

/// Fills a log of six segments with groups of one payload, by two processes: the next start has no space to
/// relocate the last group.
fn crowded() -> (SimDisk, holdfast::wal::Options) {
    let small = holdfast::wal::Options { bytes_max: 6 * (64 << 10), keep_segments_min: 2, ..options() };
    let mut disk = SimDisk::new();
    for _ in 0..2 {
        let (mut writer, _) = recover(disk.clone(), small.clone()).unwrap();
        while writer.append(&payload(writer.next().0), count(writer.next().0)).is_ok() {
            writer.sync(2_000_000).unwrap();
        }
        drop(writer);
        disk = disk.after_kill();
    }
    (disk, small)
}

#[tokio::test]
async fn a_group_without_space_at_the_start_becomes_durable_once_space_is_free() {
    let (disk, small) = crowded();
    let (committer, thread, log) = started(&disk, small, Options::default());
    let first = committer.progress().borrow().clone();
    assert!(first.durable < first.end, "the last group is in the log and not visible: {first:?}");
    committer.retire(first.durable);
    let progress = until(&committer, |progress| progress.durable == first.end).await;
    assert_eq!(progress.durable, progress.end);
    assert_eq!(read_all(&mut log.reader(first.end)), [Ok(first.end.0)]);
    drop(committer);
    assert_eq!(thread.join().unwrap().error, None);
}

#[tokio::test]
async fn a_broken_disk_ends_the_thread_and_all_waiting_callers() {
    let disk = SimDisk::new();
    let settings = Options { sync_interval: Duration::ZERO, queue_batches: 2, ..Options::default() };
    let (committer, thread, _) = started(&disk, options(), settings);
    append(&committer, 1).await;
    until(&committer, |progress| progress.durable == SeqNo(1)).await;
    disk.set_fault(Some(Fault { at: 0, kind: io::ErrorKind::Other, forever: true }));
    // Every waiting call returns an error.
    while committer.append(payload(2), count(2)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let outcome = thread.join().unwrap();
    assert!(outcome.error.is_some() && outcome.durable == SeqNo(1), "{outcome:?}");
    assert!(matches!(committer.progress().borrow().state, LogState::Failed(_)));
}

#[tokio::test]
async fn an_abandoned_segment_is_published_with_its_error_and_the_log_goes_on() {
    let disk = SimDisk::new();
    let settings = Options { sync_interval: Duration::ZERO, ..Options::default() };
    let (committer, thread, log) = started(&disk, options(), settings);
    append(&committer, 1).await;
    let progress = until(&committer, |progress| progress.durable == SeqNo(1)).await;
    assert_eq!(progress.segment_failure, None);
    // The next segment is prepared and the durability mark written: the next call is the write of the next
    // group.
    let mut ops = 0;
    while std::mem::replace(&mut ops, disk.ops()) != disk.ops() {
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    disk.set_fault(Some(Fault { at: ops + 1, kind: io::ErrorKind::Other, forever: false }));
    append(&committer, 2).await;
    let progress = until(&committer, |progress| progress.durable == SeqNo(2)).await;
    let failure = progress.segment_failure.expect("the failure is published with the progress");
    assert_eq!((failure.segment, failure.file.as_str()), (1, "0000000000000001.wal"));
    assert_eq!(failure.error, io::Error::from(io::ErrorKind::Other).to_string());
    assert!(failure.time > 1_600_000_000_000_000, "{failure:?}");
    assert_eq!(progress.state, LogState::Running);
    committer.stop();
    assert_eq!(thread.join().unwrap().error, None);
    assert!(committer.progress().borrow().segment_failure.is_some(), "it stays visible after the end");
    assert_eq!(check_dense(&read_all(&mut log.reader(SeqNo(1)))), (2, vec![]));
}

#[tokio::test]
async fn a_payload_that_is_too_large_is_rejected_before_it_is_queued() {
    let (committer, thread, _) = started(&SimDisk::new(), options(), Options::default());
    let bytes_max = options().payload_bytes_max();
    let refused = committer.append(vec![0; bytes_max + 1], 1).await;
    assert_eq!(refused, Err(AppendError::TooLarge { bytes: bytes_max + 1, bytes_max }));
    drop(committer);
    assert_eq!(thread.join().unwrap().error, None);
}

const MS: Duration = Duration::from_millis(1);

fn idle_machine(sync_interval: Duration) -> Machine {
    let mut machine = Machine::new(sync_interval, 1000);
    machine.on(Event::Prepared { more: false }, Duration::ZERO);
    machine
}

#[test]
fn queued_payloads_share_one_sync_and_an_empty_queue_ends_the_group() {
    let mut machine = idle_machine(Duration::ZERO);
    let now = MS;
    assert_eq!(machine.next(2, now), Step::Append);
    machine.on(Event::Appended { unflushed_bytes: 100, group_bytes: 100 }, now);
    assert_eq!(machine.next(1, now), Step::Append);
    machine.on(Event::Appended { unflushed_bytes: 200, group_bytes: 200 }, now);
    assert_eq!(machine.next(0, now), Step::Sync);
}

#[test]
fn a_group_is_synced_when_it_is_old_or_large() {
    let mut machine = idle_machine(200 * MS);
    machine.on(Event::Appended { unflushed_bytes: 100, group_bytes: 100 }, 10 * MS);
    assert_eq!(machine.next(0, 10 * MS), Step::Flush);
    machine.on(Event::Flushed, 10 * MS);
    assert_eq!(machine.next(0, 10 * MS), Step::Wait(200 * MS));
    assert_eq!(machine.next(5, 209 * MS), Step::Append);
    assert_eq!(machine.next(5, 210 * MS), Step::Sync);
    machine.on(Event::Synced, 212 * MS);
    machine.on(Event::Appended { unflushed_bytes: 1000, group_bytes: 1000 }, 213 * MS);
    assert_eq!(machine.next(5, 213 * MS), Step::Sync);
}

#[test]
fn the_next_segment_is_prepared_step_by_step_under_load() {
    let mut machine = idle_machine(200 * MS);
    machine.on(Event::Appended { unflushed_bytes: 1000, group_bytes: 1000 }, MS);
    assert_eq!(machine.next(9, MS), Step::Sync);
    machine.on(Event::Synced, 2 * MS);
    assert_eq!(machine.next(9, 2 * MS), Step::Prepare);
    machine.on(Event::Prepared { more: true }, 3 * MS);
    assert_eq!(machine.next(9, 3 * MS), Step::Append, "one step per sync under load");
    assert_eq!(machine.next(0, 3 * MS), Step::Prepare, "all steps when idle");
}

#[test]
fn the_last_group_gets_one_durability_mark_after_an_idle_second() {
    let mut machine = idle_machine(Duration::ZERO);
    machine.on(Event::Synced, 100 * MS);
    assert_eq!(machine.next(0, 100 * MS), Step::Prepare);
    machine.on(Event::Prepared { more: false }, 100 * MS);
    assert_eq!(machine.next(0, 900 * MS), Step::Wait(200 * MS));
    assert_eq!(machine.next(0, 1100 * MS), Step::MarkDurable);
    machine.on(Event::DurabilityMarkWritten, 1101 * MS);
    assert_eq!(machine.next(0, 9000 * MS), Step::Wait(500 * MS));
}

#[test]
fn a_paused_machine_retries_periodically_and_at_once_after_a_delivery() {
    let mut machine = idle_machine(Duration::ZERO);
    machine.on(Event::Full, 10 * MS);
    assert!(machine.is_paused());
    assert_eq!(machine.next(3, 10 * MS), Step::Wait(100 * MS));
    assert_eq!(machine.next(3, 110 * MS), Step::Append);
    machine.on(Event::Full, 110 * MS);
    machine.on(Event::Space, 111 * MS);
    assert_eq!(machine.next(3, 111 * MS), Step::Append);
    machine.on(Event::Appended { unflushed_bytes: 1, group_bytes: 1 }, 112 * MS);
    assert!(!machine.is_paused());
}

#[test]
fn a_stop_finishes_the_queue_and_times_out_on_a_full_log() {
    let mut machine = idle_machine(200 * MS);
    machine.on(Event::Stop, 10 * MS);
    assert_eq!(machine.next(1, 10 * MS), Step::Append);
    machine.on(Event::Appended { unflushed_bytes: 9, group_bytes: 9 }, 10 * MS);
    assert_eq!(machine.next(0, 10 * MS), Step::Sync);
    machine.on(Event::Full, 10 * MS);
    assert_eq!(machine.next(0, 20 * MS), Step::Wait(90 * MS));
    assert_eq!(machine.next(0, 2009 * MS), Step::Sync);
    assert_eq!(machine.next(0, 2010 * MS), Step::End);
}
