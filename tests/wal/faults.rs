//! The log under faults: torn writes, bit flips, lost sectors, failing calls, crashes during recovery.
//!
//! `WAL_EVERY_BIT=1 cargo test --release --test wal -- --nocapture faults::any` flips every bit of two
//! segments of 64 KiB and cuts one at every byte in three ways; without it, one bit of every 37th byte, and
//! as many cuts. Both print the loss per part of the segment.
use std::io;

use crate::common::logs::{check_dense, count, options, payload, read_all};
use crate::common::simdisk::{Dice, Fate, Fault, SECTOR, SimDisk};
use holdfast::wal::format::{FRAME_HEADER_BYTES, FrameHeader, SegmentHeader};
use holdfast::wal::{Damage, GapReason, IoCause, Options, Recovered, SeqNo, WriteError, Writer, recover};

fn append(writer: &mut Writer<SimDisk>, payloads: u64) {
    for _ in 0..payloads {
        let seq = writer.next().0;
        assert_eq!(writer.append(&payload(seq), count(seq)), Ok(SeqNo(seq)));
    }
}

fn opened(disk: &SimDisk) -> (Writer<SimDisk>, Recovered) {
    recover(disk.clone(), Options { salt_seed: 43, ..options() }).expect("a damaged log opens")
}

/// A sealed and an open segment, in groups of three payloads; the last group is not synced.
fn two_segments() -> SimDisk {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    writer.set_snapshot(b"snapshot".to_vec()).unwrap();
    while disk.names().iter().filter(|name| name.ends_with(".wal")).count() < 2
        || !writer.next().0.is_multiple_of(3)
    {
        append(&mut writer, 3);
        writer.sync(2_000_000).unwrap();
        append(&mut writer, 1);
        writer.sync(2_000_000).unwrap();
    }
    append(&mut writer, 9);
    writer.sync(2_000_000).unwrap();
    append(&mut writer, 3);
    writer.flush().unwrap();
    // Prepares the file for the segment that recovery creates, so that not each test zeroes one.
    while writer.prepare() {}
    disk.after_kill()
}

/// Opens the log, reads it, appends, and reads it again after another start. Returns the last sequence number
/// and the lost ones.
fn survives(disk: &SimDisk) -> (u64, Vec<(u64, GapReason)>, Recovered) {
    let (mut writer, recovered) = opened(disk);
    let first = check_dense(&read_all(&mut writer.log().reader(SeqNo(1))));
    assert_eq!(recovered.next.0, first.0 + 1, "the next number follows the last one");
    append(&mut writer, 2);
    writer.sync(3_000_000).unwrap();
    drop(writer);
    let (writer, again) = opened(disk);
    assert!(again.damage.is_empty(), "what recovery wrote is intact: {:?}", again.damage);
    let second = check_dense(&read_all(&mut writer.log().reader(SeqNo(1))));
    assert_eq!(second.0, first.0 + 2);
    assert_eq!(second.1, first.1, "the second start loses nothing more");
    (first.0, first.1, recovered)
}

/// Two segments whose groups fill their blocks, so that nearly every byte is in use; the last group is not
/// synced.
fn dense() -> SimDisk {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    let mut groups = 0;
    while groups < GROUPS_DENSE {
        append(&mut writer, 1);
        if writer.group_bytes() > 3800 {
            writer.sync(2_000_000).unwrap();
            groups += 1;
        }
    }
    append(&mut writer, 20);
    writer.flush().unwrap();
    while writer.prepare() {}
    assert_eq!(segments(&disk).len(), 2);
    disk.after_kill()
}

/// Number of groups that fill one segment and half of the next.
const GROUPS_DENSE: usize = 18;

fn segments(disk: &SimDisk) -> Vec<String> {
    let mut names: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect();
    names.sort();
    names
}

/// Part of a segment, by what damage to it can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A segment header.
    Header,
    /// A group that is durable: the first one of the segment, and all others but the last one of the log.
    Middle,
    /// The last group of the log, whose durability is undecided.
    LastGroup,
    /// Unused: between two groups, or behind the last one.
    Unused,
}

/// The part of each byte of a segment.
fn parts(bytes: &[u8], is_last: bool) -> Vec<Part> {
    let salt = SegmentHeader::decode(bytes).unwrap().salt;
    let mut parts = vec![Part::Unused; bytes.len()];
    for header in [0..128, 4096..4224] {
        parts[header].fill(Part::Header);
    }
    let (mut at, mut groups) = (8192, Vec::new());
    while let Some(header) = bytes.get(at..).and_then(|bytes| FrameHeader::decode(bytes, salt)) {
        let end = at + usize::try_from(header.frame_bytes()).unwrap();
        parts[at..end].fill(Part::Middle);
        groups.push((header.group, at, end));
        at = usize::try_from(header.end(at as u64)).unwrap();
    }
    let last = groups.last().unwrap().0;
    for (_, at, end) in groups.into_iter().filter(|(group, ..)| is_last && *group == last) {
        parts[at..end].fill(Part::LastGroup);
    }
    parts
}

/// Number of damages per part, and the payloads lost by them.
#[derive(Default)]
struct Cost {
    parts: [(u64, u64, u64); 4],
}

impl Cost {
    fn add(&mut self, part: Part, lost: u64) {
        let (tried, payloads, most) = &mut self.parts[part as usize];
        *tried += 1;
        *payloads += lost;
        *most = lost.max(*most);
    }

    fn tried(&self, part: Part) -> u64 {
        self.parts[part as usize].0
    }

    fn lost(&self, part: Part) -> u64 {
        self.parts[part as usize].1
    }

    fn print(&self, what: &str) {
        for part in [Part::Header, Part::Middle, Part::LastGroup, Part::Unused] {
            let (tried, payloads, most) = self.parts[part as usize];
            println!(
                "{what}, {part:?}: {tried} tried, 0 wrong bytes, {payloads} payloads lost, \
                 {most} at most at once"
            );
        }
    }
}

/// Whether every bit and byte is tested (WAL_EVERY_BIT=1) instead of a sample.
fn thorough() -> bool {
    std::env::var_os("WAL_EVERY_BIT").is_some()
}

/// Distance of sampled bytes; coprime to the alignments of the format, so that all offsets in a block are
/// hit.
const SAMPLE: usize = 37;

#[test]
fn any_cut_leaves_a_valid_prefix_and_a_log_that_opens() {
    let image = dense();
    let name = segments(&image).remove(1);
    let bytes = image.bytes(&name);
    let (whole, lost, _) = survives(&image.after_kill());
    assert_eq!(lost, []);
    let parts = parts(&bytes, true);
    let first_group = 8192 + FRAME_HEADER_BYTES;
    let mut cost = Cost::default();
    for cut in (0..bytes.len()).step_by(if thorough() { 1 } else { SAMPLE }) {
        for mode in 0..3 {
            let disk = image.after_kill();
            let mut dice = Dice::new(cut as u64);
            disk.tamper(&name, |bytes| match mode {
                0 => bytes[cut..].fill(0),
                1 => bytes.truncate(cut),
                _ => bytes[cut..].iter_mut().for_each(|byte| *byte = dice.roll().to_le_bytes()[3]),
            });
            let (mut writer, recovered) = opened(&disk);
            let items = read_all(&mut writer.log().reader(SeqNo(1)));
            let (last, lost) = check_dense(&items);
            assert_eq!(recovered.next.0, last + 1);
            let is_headless = recovered.damage.iter().any(|damage| matches!(damage, Damage::Header { .. }));
            let is_rotten = recovered.damage.iter().any(|damage| matches!(damage, Damage::Rot { .. }));
            if is_headless {
                // The contents are unknown: the gap is as long as they can have been.
                assert!(
                    cut < 128 && last >= whole && lost.iter().all(|(_, why)| *why == GapReason::Skipped),
                    "cut at {cut}"
                );
            } else if mode == 1 {
                // The file shows that it was truncated: the numbers behind the cut are skipped.
                assert!(last >= whole, "cut at {cut}: {last}");
                assert!(recovered.damage.iter().any(|damage| matches!(damage, Damage::Truncated { .. })));
                let kept = items.iter().filter_map(|item| item.ok()).max().unwrap_or(0);
                let is_skipped = |(seq, why): &(u64, GapReason)| *seq > kept && *why != GapReason::Dropped;
                assert!(lost.iter().all(is_skipped) || cut < first_group + 200, "cut at {cut}: {lost:?}");
            } else {
                // Nothing before the cut is missing. The payload that is cut is a gap if its header is
                // intact.
                let torn = lost.iter().all(|(seq, why)| *seq == last && *why == GapReason::Torn);
                let in_head = is_rotten && cut < first_group + 200;
                assert!(in_head || torn && lost.len() <= 1, "cut at {cut}, mode {mode}: lost {lost:?}");
                assert!(last <= whole, "cut at {cut}, mode {mode}: {last}");
                // Only the head was synced before the segment got its name; damage to it is bit rot.
                assert!(!is_rotten || cut < 12288, "false alarm at {cut}");
            }
            let undecided = whole.saturating_sub(last) + lost.len() as u64;
            cost.add(parts[cut], undecided);
            append(&mut writer, 1);
            writer.sync(3_000_000).unwrap();
            assert_eq!(check_dense(&read_all(&mut writer.log().reader(SeqNo(1)))).0, last + 1);
        }
    }
    cost.print("torn");
    assert!(cost.tried(Part::Middle) > 500 && cost.tried(Part::LastGroup) > 100);
}

#[test]
fn any_flipped_bit_is_found_and_costs_at_most_one_payload() {
    let image = dense();
    let (whole, _, _) = survives(&image.after_kill());
    let mut cost = Cost::default();
    for (number, name) in segments(&image).iter().enumerate() {
        let bytes = image.bytes(name);
        let parts = parts(&bytes, number == 1);
        for (at, part) in parts.into_iter().enumerate() {
            let bits = match part {
                _ if thorough() => 0..8,
                Part::Header => at % 8..at % 8 + 1,
                _ if at % SAMPLE == 0 => at % 8..at % 8 + 1,
                _ => continue,
            };
            for bit in bits {
                let disk = image.after_kill();
                disk.tamper(name, |bytes| bytes[at] ^= 1 << bit);
                let (mut writer, recovered) = opened(&disk);
                let (last, lost) = check_dense(&read_all(&mut writer.log().reader(SeqNo(1))));
                // An unsynced payload at the end can disappear without a gap.
                let missing = lost.len() as u64 + (whole - last);
                let position = format!("{name} {at}.{bit}: {lost:?}, last {last}");
                match part {
                    // The other copy of the header is used.
                    Part::Header | Part::Unused => assert_eq!(missing, 0, "{position}"),
                    Part::Middle => {
                        assert!(
                            missing <= 1 && lost.iter().all(|(_, why)| *why == GapReason::Rot),
                            "{position}"
                        );
                    }
                    Part::LastGroup => {
                        assert!(
                            missing <= 1 && lost.iter().all(|(_, why)| *why == GapReason::Torn),
                            "{position}"
                        );
                    }
                }
                cost.add(part, missing);
                assert_eq!(recovered.next.0, last + 1);
                append(&mut writer, 1);
            }
        }
    }
    cost.print("flipped");
    // Nearly every byte in these parts belongs to a payload, and flipping it costs that payload.
    for part in [Part::Middle, Part::LastGroup] {
        assert!(cost.lost(part) * 10 > cost.tried(part) * 9, "{part:?}");
    }
}

#[test]
fn no_subset_of_lost_sectors_touches_what_was_synced() {
    let image = SimDisk::new();
    let (mut writer, _) = recover(image.clone(), options()).unwrap();
    append(&mut writer, 11);
    writer.sync(2_000_000).unwrap();
    append(&mut writer, 17);
    writer.flush().unwrap();
    let dirty = image.dirty_sectors();
    assert!((5..=10).contains(&dirty), "{dirty} sectors of {SECTOR} bytes are open");
    for subset in 0_u32..1 << dirty {
        for lost_as in [Fate::Lost, Fate::Garbage] {
            let mut sector = 0;
            let fate = || {
                sector += 1;
                if subset >> (sector - 1) & 1 == 1 { Fate::Survives } else { lost_as }
            };
            let disk = image.after_power_cut(fate, || false);
            let (last, lost, recovered) = survives(&disk);
            assert!(
                last >= 11 && lost.iter().all(|(seq, why)| *seq > 11 && *why == GapReason::Torn),
                "{lost:?}"
            );
            assert!(
                !recovered.damage.iter().any(|damage| matches!(damage, Damage::Rot { .. })),
                "false alarm"
            );
        }
    }
}

/// Power loss after which unsynced sectors are lost, kept or garbage at random.
fn cut(disk: &SimDisk, dice: &mut Dice) -> SimDisk {
    let mode = dice.below(4);
    let mut names = Dice::new(dice.roll());
    let fate = || match (mode, dice.below(3)) {
        (0, _) | (2, 0) | (3, 0) => Fate::Lost,
        (1, _) | (2, _) | (3, 1) => Fate::Survives,
        _ => Fate::Garbage,
    };
    disk.after_power_cut(fate, || names.below(2) == 0)
}

#[test]
fn a_crash_at_any_call_inside_recovery_changes_nothing() {
    let image = two_segments();
    let (whole, _, _) = survives(&image.after_kill());
    for power_cut in [false, true] {
        let mut at = 1;
        loop {
            let disk = image.after_kill();
            let before = disk.ops();
            disk.set_fault(Some(Fault { at: before + at, kind: io::ErrorKind::Other, forever: true }));
            let crashed = recover(disk.clone(), Options { salt_seed: 50, ..options() }).is_err();
            let mut dice = Dice::new(at);
            // The second start crashes as well, at another call.
            let disk = if power_cut { cut(&disk, &mut dice) } else { disk.after_kill() };
            disk.set_fault(Some(Fault {
                at: disk.ops() + 1 + dice.below(6),
                kind: io::ErrorKind::Other,
                forever: true,
            }));
            drop(recover(disk.clone(), Options { salt_seed: 51, ..options() }));
            let disk = if power_cut { cut(&disk, &mut dice) } else { disk.after_kill() };
            let (last, lost, _) = survives(&disk);
            if power_cut {
                // Only the last group was not synced.
                let torn = lost.iter().all(|(seq, why)| *seq > whole - 3 && *why == GapReason::Torn);
                assert!(last >= whole - 3 && torn, "power cut at call {at} of recovery: {last}, {lost:?}");
            } else {
                assert_eq!((last, lost), (whole, vec![]), "crash at call {at} of recovery");
            }
            if !crashed {
                break;
            }
            at += 1;
        }
        assert!(at > 4, "recovery makes {at} calls only: nothing was tried");
    }
}

/// Appends, syncs, delivers and reads up to sequence number `until` or to an error. Returns the last durable
/// number.
fn work(writer: &mut Writer<SimDisk>, until: u64) -> (SeqNo, Option<WriteError>) {
    let mut reader = writer.log().reader(SeqNo(1));
    while writer.next().0 < until {
        let seq = writer.next().0;
        let step = writer.append(&payload(seq), count(seq)).and_then(|_| match seq % 5 {
            0 => writer.sync(2_000_000),
            2 => writer.flush(),
            _ => Ok(SeqNo::NONE),
        });
        if let Err(error) = step {
            return (writer.durable(), Some(error));
        }
        read_all(&mut reader);
        if seq.is_multiple_of(50) {
            writer.retire(SeqNo(seq - 40));
        }
        if seq.is_multiple_of(3) {
            writer.prepare();
        }
    }
    (writer.durable(), None)
}

#[test]
fn no_failing_call_loses_durable_payloads_in_a_following_power_cut() {
    let small = Options { bytes_max: 6 * (64 << 10), keep_segments_min: 1, ..options() };
    let (mut failed, mut moved, mut full) = (0, 0, 0);
    for (forever, kind) in [
        (false, io::ErrorKind::Other),
        (true, io::ErrorKind::Other),
        (false, io::ErrorKind::StorageFull),
        (true, io::ErrorKind::ReadOnlyFilesystem),
    ] {
        let mut at = 1;
        loop {
            let disk = SimDisk::new();
            let (mut writer, _) = recover(disk.clone(), small.clone()).unwrap();
            let before = disk.ops();
            disk.set_fault(Some(Fault { at: before + at, kind, forever }));
            let (durable, error) = work(&mut writer, 600);
            match error {
                None => moved += 1,
                Some(WriteError::Full(_)) => full += 1,
                Some(WriteError::Failed(_)) => failed += 1,
                Some(other) => panic!("{other}"),
            }
            let fired = disk.ops() >= before + at;
            drop(writer);
            let disk = cut(&disk, &mut Dice::new(at));
            let (writer, recovered) = recover(disk.clone(), small.clone()).unwrap();
            assert!(
                recovered.next > durable,
                "call {at} {kind}: {durable} was durable, next is {}",
                recovered.next
            );
            let foreign = recovered.damage.iter().any(|damage| matches!(damage, Damage::Foreign { .. }));
            assert!(
                !foreign,
                "call {at} {kind}: a file has the name of one segment and the header of another"
            );
            let items = read_all(&mut writer.log().reader(recovered.oldest));
            for seq in recovered.oldest.0..=durable.0 {
                assert!(
                    items.contains(&Ok(seq)),
                    "call {at} {kind}: {seq} was durable and is not there: {items:?}"
                );
            }
            if !fired {
                break;
            }
            at += 5;
        }
    }
    assert!(failed > 0 && moved > 0 && full > 0, "{failed} {moved} {full}");
}

#[test]
fn payloads_reported_durable_by_a_start_on_a_full_disk_survive_a_power_cut() {
    // A start relocates the undecided group to a new segment and ends before the directory is synced. The
    // next one finds that segment intact and has no space for another, which would sync the directory.
    let found = two_segments();
    let mut ended = 0;
    for at in 1.. {
        let disk = found.after_kill();
        disk.set_fault(Some(Fault { at: disk.ops() + at, kind: io::ErrorKind::Other, forever: false }));
        if recover(disk.clone(), options()).is_ok() {
            break;
        }
        ended += 1;
        let disk = disk.after_kill();
        disk.set_capacity(0);
        let (writer, _) = opened(&disk);
        let durable = writer.durable();
        drop(writer);
        let (_, recovered) = opened(&disk.after_power_cut(|| Fate::Lost, || false));
        assert!(recovered.next > durable, "call {at}: {durable} was durable, next is {}", recovered.next);
    }
    assert!(ended > 3, "only {ended} calls ended the start");
}

#[test]
fn a_sync_that_fails_once_is_never_repeated_and_its_group_is_logged_again() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    append(&mut writer, 4);
    writer.sync(2_000_000).unwrap();
    append(&mut writer, 5);
    writer.flush().unwrap();
    // The next call writes the COMMIT frame, and the one after it is the sync.
    disk.set_fault(Some(Fault { at: disk.ops() + 2, kind: io::ErrorKind::Other, forever: false }));
    assert_eq!(writer.sync(2_000_000), Ok(SeqNo(9)));
    let disk = disk.after_power_cut(|| Fate::Lost, || false);
    let (last, lost, recovered) = survives(&disk);
    assert_eq!((last, lost, recovered.damage), (9, vec![], vec![]));
}

#[test]
fn the_error_that_made_the_writer_abandon_a_segment_is_kept_once() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    append(&mut writer, 4);
    assert!(writer.take_abandoned().is_empty());
    // First the write fails, then the sync in the next segment.
    for (number, call) in [(1, 1), (2, 2)] {
        disk.set_fault(Some(Fault { at: disk.ops() + call, kind: io::ErrorKind::Other, forever: false }));
        writer.sync(2_000_000).unwrap();
        let abandoned = writer.take_abandoned();
        let seen: Vec<_> =
            abandoned.iter().map(|one| (one.number, one.file_name(), one.error.kind())).collect();
        assert_eq!(seen, [(number, format!("{number:016x}.wal"), io::ErrorKind::Other)]);
        assert!(writer.take_abandoned().is_empty(), "each is reported once");
        append(&mut writer, 1);
    }
    // Lack of space is a state: the segment stays in use.
    disk.set_fault(Some(Fault { at: disk.ops() + 1, kind: io::ErrorKind::StorageFull, forever: false }));
    let full = writer.sync(2_000_000).unwrap_err();
    assert!(matches!(full, WriteError::Full(_)) && writer.take_abandoned().is_empty(), "{full}");
    assert!(full.to_string().starts_with("the file system is full: "), "{full}");
    let cause = std::error::Error::source(&full).and_then(|cause| cause.downcast_ref::<IoCause>());
    assert_eq!(cause.map(IoCause::kind), Some(io::ErrorKind::StorageFull));
    assert_eq!(writer.sync(2_000_000), Ok(SeqNo(6)));
}

#[test]
fn a_disk_that_fails_for_good_ends_the_writer_with_an_error() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    append(&mut writer, 4);
    disk.set_fault(Some(Fault { at: 0, kind: io::ErrorKind::Other, forever: true }));
    assert!(matches!(writer.sync(2_000_000), Err(WriteError::Failed(_))));
    disk.set_fault(None);
    assert!(matches!(writer.append(b"x", 1), Err(WriteError::Failed(_))), "the failure is permanent");
}

#[test]
fn short_writes_are_continued() {
    let disk = SimDisk::new();
    disk.set_write_bytes_max(100);
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    append(&mut writer, 50);
    writer.sync(2_000_000).unwrap();
    assert_eq!(survives(&disk.after_power_cut(|| Fate::Lost, || false)).0, 50);
}

#[test]
fn an_unreadable_sector_costs_its_payloads_and_is_a_gap() {
    let image = two_segments();
    let first = image.names().into_iter().filter(|name| name.ends_with(".wal")).min().unwrap();
    image.break_sector(&first, 12288);
    let (_, lost, _) = survives(&image);
    assert!(!lost.is_empty() && lost.len() < 80, "a read error costs at most 4 KiB: {lost:?}");
    assert!(lost.iter().all(|(_, why)| *why == GapReason::Unreadable), "{lost:?}");
}

#[test]
fn a_segment_without_headers_is_a_gap_and_no_number_is_assigned_twice() {
    for which in 0..2 {
        let image = two_segments();
        let mut names: Vec<_> = image.names().into_iter().filter(|name| name.ends_with(".wal")).collect();
        names.sort();
        let before = image.after_kill();
        let (whole, _, _) = survives(&before);
        image.tamper(&names[which], |bytes| bytes[..8192].fill(0));
        let (writer, recovered) = opened(&image);
        assert!(recovered.damage.iter().any(|damage| matches!(damage, Damage::Header { .. })));
        assert!(recovered.next.0 > whole, "{} was in use up to {whole}", recovered.next);
        if which == 1 {
            let (last, lost) = check_dense(&read_all(&mut writer.log().reader(SeqNo(1))));
            assert!(last >= whole && lost.iter().all(|(_, why)| *why == GapReason::Skipped));
        }
    }
}
