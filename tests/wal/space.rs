//! Disk space of the log: the size limit, recycling of delivered segments, and old frames in recycled files.
use std::io;
use std::ops::Range;

use crate::common::logs::{self, check_dense, count, options, payload, read_all};
use crate::common::simdisk::{Dice, Fate, Fault, SimDisk};
use holdfast::wal::format::{FRAME_HEADER_BYTES, FrameHeader, SegmentHeader, kind};
use holdfast::wal::{
    Damage, Full, GapReason, LogId, Options, Reader, SeqNo, StateSnapshot, WriteError, Writer, recover,
};

fn small() -> Options {
    Options { bytes_max: 6 * (64 << 10), keep_segments_min: 2, ..options() }
}

fn append(writer: &mut Writer<SimDisk>) -> Result<SeqNo, WriteError> {
    let seq = writer.next().0;
    writer.append(&payload(seq), count(seq))
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".wal")).collect()
}

/// Appends groups of one until the log is full; returns the last durable number.
fn fill(writer: &mut Writer<SimDisk>) -> SeqNo {
    loop {
        match append(writer) {
            Ok(_) => writer.sync(2_000_000).map(drop).unwrap(),
            Err(WriteError::Full(Full::Cap { bytes_max })) => {
                assert_eq!(bytes_max, small().bytes_max);
                return writer.durable();
            }
            Err(error) => panic!("{error}"),
        };
    }
}

#[test]
fn a_full_log_rejects_payloads_until_a_segment_is_delivered() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let full_at = fill(&mut writer);
    assert!(writer.usage().bytes <= small().bytes_max, "{:?}", writer.usage());
    assert!(matches!(append(&mut writer), Err(WriteError::Full(_))), "nothing was appended");
    assert_eq!(writer.next(), full_at.next());
    // Two delivered segments are kept; the third one is recycled.
    writer.retire(SeqNo(12));
    assert!(matches!(append(&mut writer), Err(WriteError::Full(_))));
    writer.retire(SeqNo(full_at.0 - 20));
    assert_eq!(append(&mut writer), Ok(full_at.next()));
    writer.sync(2_000_000).unwrap();
    let items = read_all(&mut writer.log().reader(SeqNo(1)));
    let (to, lost) = check_dense(&items);
    assert_eq!(to, full_at.0 + 1);
    assert!(matches!(items[0], Err((1, _, GapReason::Dropped))), "dropped numbers are a gap: {:?}", items[0]);
    assert!(lost.iter().all(|(seq, _)| *seq <= full_at.0 - 20), "nothing undelivered is dropped");
}

#[test]
fn available_bytes_is_what_can_be_appended_until_the_log_is_full() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    // Of six segments one is open, and one is reserved for relocation.
    assert_eq!(writer.usage().available_bytes, 4 * (64 << 10), "{:?}", writer.usage());
    let full_at = fill(&mut writer);
    assert_eq!(writer.usage().available_bytes, 0, "{:?}", writer.usage());
    writer.retire(full_at);
    // Two delivered segments are always kept.
    let before = writer.usage();
    assert_eq!(before.available_bytes, 2 * (64 << 10), "{before:?}");
    fill(&mut writer);
    let after = writer.usage();
    assert_eq!(
        (after.available_bytes, after.undelivered_bytes - before.undelivered_bytes),
        (0, before.available_bytes)
    );
    drop(writer);
    // If the file system is the limit: its size less the part that must stay free.
    let disk = SimDisk::new();
    disk.set_capacity(10 * (64 << 10));
    let (writer, _) = recover(disk, Options { free_percent_min: 50, ..options() }).unwrap();
    let free = 10 * (64 << 10) / 100 * 50;
    assert_eq!(writer.usage().available_bytes, 9 * (64 << 10) - free, "{:?}", writer.usage());
}

#[test]
fn a_log_that_is_full_at_the_start_opens() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let full_at = fill(&mut writer);
    drop(writer);
    let disk = disk.after_kill();
    let (mut writer, recovered) = recover(disk.clone(), small()).unwrap();
    assert_eq!(recovered.next, full_at.next());
    // Everything can be drained: the reserved segment holds the relocated group.
    let mut reader = writer.log().reader(SeqNo(1));
    let (readable, _) = check_dense(&read_all(&mut reader));
    assert_eq!(readable, full_at.0);
    let full_at = fill(&mut writer);
    assert!(writer.usage().bytes <= small().bytes_max, "{:?}", writer.usage());
    drop(writer);
    // The second start has no reserved segment left, and opens as well.
    let (mut writer, recovered) = recover(disk.after_kill(), small()).unwrap();
    let mut reader = writer.log().reader(SeqNo(1));
    let (readable, _) = check_dense(&read_all(&mut reader));
    assert!(readable < recovered.next.0 && readable >= full_at.0.min(recovered.next.0) - 1);
    assert!(matches!(append(&mut writer), Err(WriteError::Full(_))));
    writer.retire(SeqNo(readable));
    let next = recovered.next;
    assert_eq!(append(&mut writer), Ok(next));
    writer.sync(2_000_000).unwrap();
    assert_eq!(read_all(&mut reader).last(), Some(&Ok(next.0)));
}

#[test]
fn a_full_file_system_pauses_the_log_until_space_is_free() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    disk.set_capacity(3 * (64 << 10));
    let mut last = SeqNo::NONE;
    while let Ok(seq) = append(&mut writer) {
        last = writer.sync(2_000_000).unwrap();
        assert_eq!(last, seq);
    }
    assert!(matches!(append(&mut writer), Err(WriteError::Full(Full::Disk(_)))));
    disk.set_capacity(1 << 30);
    assert_eq!(append(&mut writer), Ok(last.next()));
    assert_eq!(writer.sync(2_000_000), Ok(last.next()));
    assert_eq!(check_dense(&read_all(&mut writer.log().reader(SeqNo(1)))), (last.0 + 1, vec![]));
}

#[test]
fn the_free_space_reserve_is_not_used() {
    let disk = SimDisk::new();
    disk.set_capacity(10 * (64 << 10));
    let (mut writer, _) = recover(disk.clone(), Options { free_percent_min: 50, ..options() }).unwrap();
    let refused = loop {
        match append(&mut writer) {
            Ok(_) => drop(writer.sync(2_000_000).unwrap()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, WriteError::Full(Full::FreeSpace { .. })), "{refused}");
    assert!(writer.usage().disk_free_bytes >= 5 * (64 << 10));
}

#[test]
fn a_segment_with_an_open_reader_is_not_recycled() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let mut reader = writer.log().reader(SeqNo(1));
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    assert_eq!(read_all(&mut reader), [Ok(1)]);
    let full_at = fill(&mut writer);
    writer.retire(full_at);
    assert!(
        matches!(append(&mut writer), Err(WriteError::Full(_))),
        "the reader has the oldest segment open"
    );
    assert_eq!(check_dense_from(&read_all(&mut reader), 2), full_at.0);
    assert_eq!(append(&mut writer), Ok(full_at.next()));
}

fn check_dense_from(items: &[logs::ReadItem], first: u64) -> u64 {
    items.iter().fold(first, |next, item| {
        assert_eq!(*item, Ok(next));
        next + 1
    }) - 1
}

/// A log that has recycled its files several times; the last group is open.
fn recycled_log() -> (SimDisk, u64, u64) {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let mut dice = Dice::new(9);
    for _ in 0..400 {
        append(&mut writer).unwrap();
        if dice.below(3) == 0 {
            let durable = writer.sync(2_000_000).unwrap();
            writer.retire(SeqNo(durable.0.saturating_sub(10)));
        }
    }
    let durable = writer.sync(2_000_000).unwrap();
    append(&mut writer).unwrap();
    writer.flush().unwrap();
    assert!(SegmentHeader::decode(&disk.bytes(segments(&disk).last().unwrap())).unwrap().number > 8);
    (disk, durable.0, writer.usage().oldest.0)
}

#[test]
fn frames_of_an_earlier_use_of_a_file_are_never_accepted() {
    let (image, durable, oldest) = recycled_log();
    let names = segments(&image);
    let lives: Vec<Vec<u8>> = names.iter().map(|name| image.bytes(name)).collect();
    let last = names.last().unwrap();
    let mut tried = 0;
    // Overwrites each page of the last segment with each page of every segment, as a lost, misdirected or
    // duplicated write does.
    for (source, life) in lives.iter().enumerate() {
        for page in 2..16 {
            for target in 2..16 {
                if source == names.len() - 1 && page == target {
                    continue;
                }
                let disk = image.after_kill();
                disk.tamper(last, |bytes| {
                    let copy = life[page * 4096..(page + 1) * 4096].to_vec();
                    bytes[target * 4096..(target + 1) * 4096].copy_from_slice(&copy);
                });
                let (writer, _) = recover(disk, Options { salt_seed: 77, ..small() }).unwrap();
                // read_all checks the bytes and this loop the order: a stale or misplaced payload fails one
                // check.
                let mut next = oldest;
                for item in read_all(&mut writer.log().reader(SeqNo(oldest))) {
                    next = match item {
                        Ok(seq) => {
                            assert_eq!(seq, next);
                            seq + 1
                        }
                        Err((from, to, _)) => {
                            assert_eq!(from, next);
                            to + 1
                        }
                    };
                }
                assert!(next <= durable + 2);
                tried += 1;
            }
        }
    }
    assert!(tried > 500);
}

/// The DATA frames of a segment with their byte ranges.
fn frames(bytes: &[u8]) -> Vec<(FrameHeader, Range<usize>)> {
    let salt = SegmentHeader::decode(bytes).unwrap().salt;
    let (mut at, mut found) = (8192, Vec::new());
    while let Some(header) = bytes.get(at..).and_then(|bytes| FrameHeader::decode(bytes, salt)) {
        found.push((header, at..at + usize::try_from(header.frame_bytes()).unwrap()));
        at = usize::try_from(header.end(at as u64)).unwrap();
    }
    found.retain(|(header, _)| header.kind == kind::DATA);
    found
}

/// The sequence numbers whose frames overlap a page of a segment.
fn in_page(bytes: &[u8], page: usize) -> Vec<u64> {
    let touches = |range: &Range<usize>| range.start < (page + 1) * 4096 && range.end > page * 4096;
    frames(bytes).into_iter().filter(|(_, range)| touches(range)).map(|(header, _)| header.seq.0).collect()
}

#[test]
fn a_misdirected_page_costs_only_the_payloads_it_overwrites() {
    let (image, durable, oldest) = recycled_log();
    let names = segments(&image);
    let lives: Vec<Vec<u8>> = names.iter().map(|name| image.bytes(name)).collect();
    let mut tried = 0;
    for (target, old) in lives.iter().enumerate().take(lives.len() - 1) {
        for page in 2..16 {
            let covered = in_page(old, page);
            // The page of this segment and of every newer one, from the same offset and from another.
            for (life, source_page) in
                lives.iter().skip(target).flat_map(|life| [(life, page), (life, 17 - page)])
            {
                let disk = image.after_kill();
                disk.tamper(&names[target], |bytes| {
                    bytes[page * 4096..(page + 1) * 4096]
                        .copy_from_slice(&life[source_page * 4096..(source_page + 1) * 4096]);
                });
                let (writer, _) = recover(disk, Options { salt_seed: 78, ..small() }).unwrap();
                let mut next = oldest;
                for item in read_all(&mut writer.log().reader(SeqNo(oldest))) {
                    let (from, to) = item.map_or_else(|(from, to, _)| (from, to), |seq| (seq, seq));
                    assert_eq!(from, next);
                    let lost = item.is_err() && from <= durable;
                    assert!(
                        !lost || (from..=to).all(|seq| covered.contains(&seq)),
                        "page {page} of {}: {from} to {to} are lost, {covered:?} were in it",
                        names[target]
                    );
                    next = to + 1;
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn a_relocated_group_is_read_from_its_new_segment_only() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    for seq in 1..=8 {
        append(&mut writer).unwrap();
        if seq == 5 {
            writer.sync(2_000_000).unwrap();
        }
    }
    writer.sync(2_000_000).unwrap();
    drop(writer);
    // The start copies the last group, 6 to 8, to a new segment.
    let disk = disk.after_kill();
    let (_, recovered) = recover(disk.clone(), Options { salt_seed: 5, ..options() }).unwrap();
    assert_eq!(recovered.copied, 3);
    // Bit rot in the old segment: in the last payload before the copied group, and in the first one of it.
    disk.tamper(&segments(&disk)[0], |bytes| {
        for seq in [5, 6] {
            let frame = frames(bytes).into_iter().find(|(header, _)| header.seq.0 == seq).unwrap().1;
            bytes[frame.start + FRAME_HEADER_BYTES] ^= 1;
        }
    });
    let mut reader = Reader::open(disk, SeqNo(1)).unwrap();
    let mut expected: Vec<logs::ReadItem> = (1..=8).map(Ok).collect();
    expected[4] = Err((5, 5, GapReason::Rot));
    assert_eq!(read_all(&mut reader), expected);
}

#[test]
fn a_power_cut_at_any_time_keeps_durable_payloads() {
    for seed in 0..60 {
        let disk = SimDisk::new();
        let (mut writer, _) = recover(disk.clone(), small()).unwrap();
        let mut dice = Dice::new(seed);
        let mut retired = 0;
        for _ in 0..100 + dice.below(200) {
            append(&mut writer).unwrap();
            match dice.below(4) {
                0 => {
                    retired = writer.sync(2_000_000).unwrap().0.saturating_sub(dice.below(10));
                    writer.retire(SeqNo(retired));
                }
                1 => drop(writer.flush().unwrap()),
                2 => drop(writer.prepare()),
                _ => {}
            }
        }
        let durable = writer.durable().0;
        drop(writer);
        let mut names = Dice::new(seed + 1);
        let fate = || [Fate::Lost, Fate::Survives, Fate::Garbage][usize::try_from(dice.below(3)).unwrap()];
        let disk = disk.after_power_cut(fate, || names.below(2) == 0);
        let (writer, recovered) = recover(disk, Options { salt_seed: seed, ..small() }).unwrap();
        assert_eq!(recovered.damage.iter().filter(|damage| matches!(damage, Damage::Rot { .. })).count(), 0);
        let items = read_all(&mut writer.log().reader(SeqNo(1)));
        check_dense(&items);
        for seq in retired + 1..=durable {
            assert!(
                items.contains(&Ok(seq)),
                "seed={seed}: {seq} was durable and not delivered: {recovered:?} {items:?}"
            );
        }
    }
}

#[test]
fn a_reader_in_another_process_survives_recycling_of_its_segment() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    let mut reader = Reader::open(disk.clone(), SeqNo(1)).unwrap();
    assert_eq!(read_all(&mut reader), [Ok(1)]);
    for _ in 0..300 {
        append(&mut writer).unwrap();
        let durable = writer.sync(2_000_000).unwrap();
        writer.retire(durable);
    }
    let items = read_all(&mut reader);
    let Err((2, to, GapReason::Dropped)) = items[0] else { panic!("{:?}", &items[..2]) };
    assert_eq!(check_dense_from(&items[1..], to + 1), 301);
}

#[test]
fn crashes_in_a_row_do_not_fill_the_log_with_empty_segments() {
    let mut disk = SimDisk::new();
    for run in 1..40 {
        let (mut writer, recovered) = recover(disk.clone(), Options { salt_seed: run, ..small() }).unwrap();
        assert_eq!(recovered.next, SeqNo(1));
        assert_eq!(writer.usage().undelivered_bytes, 64 << 10, "run {run}: {:?}", writer.usage());
        assert!(append(&mut writer).is_ok());
        disk = disk.after_kill();
    }
}

#[test]
fn numbers_up_to_the_external_high_water_are_not_assigned_again() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), options()).unwrap();
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    drop(writer);
    let external_high_water = Some((LogId([7; 16]), SeqNo(5)));
    let (mut writer, recovered) =
        recover(disk.after_kill(), Options { external_high_water, ..options() }).unwrap();
    assert_eq!(recovered.next, SeqNo(6));
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    let items = read_all(&mut writer.log().reader(SeqNo(1)));
    assert_eq!(items, [Ok(1), Err((2, 5, GapReason::Rot)), Ok(6)]);
    let other = Some((LogId([8; 16]), SeqNo(500)));
    let (_, recovered) =
        recover(disk.after_kill(), Options { external_high_water: other, ..options() }).unwrap();
    assert_eq!(recovered.next, SeqNo(2), "the high water of another log is ignored");
}

#[test]
fn the_last_snapshot_is_recovered_with_its_sequence_number() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    for round in 0..3_u8 {
        for _ in 0..30 {
            append(&mut writer).unwrap();
            let durable = writer.sync(2_000_000).unwrap();
            writer.retire(durable);
        }
        writer.set_snapshot(vec![round; 100]).unwrap();
    }
    let since = writer.next();
    for _ in 0..40 {
        append(&mut writer).unwrap();
        writer.sync(2_000_000).unwrap();
        writer.retire(writer.durable());
    }
    let next = writer.next();
    drop(writer);
    let (mut writer, recovered) = recover(disk.after_kill(), small()).unwrap();
    assert_eq!(recovered.snapshot, Some(StateSnapshot { next: since, bytes: vec![2; 100] }));
    assert_eq!(recovered.next, next);
    writer.retire(next.prev());
    append(&mut writer).unwrap();
    let (_, again) = recover(disk.after_kill(), small()).unwrap();
    assert_eq!(
        again.snapshot,
        Some(StateSnapshot { next: since, bytes: vec![2; 100] }),
        "recovery copies it to its new segment"
    );
    // If the snapshot of the last segment is corrupt, that of the one before is used.
    drop(writer);
    let disk = disk.after_kill();
    disk.tamper(segments(&disk).last().unwrap(), |bytes| bytes[8192 + FRAME_HEADER_BYTES] ^= 1);
    let (_, older) = recover(disk, small()).unwrap();
    assert_eq!(older.snapshot, Some(StateSnapshot { next: since, bytes: vec![2; 100] }));
}

#[test]
fn a_log_of_a_later_version_is_rejected_with_its_version() {
    let disk = SimDisk::new();
    let (writer, _) = recover(disk.clone(), options()).unwrap();
    writer.close(2_000_000).unwrap();
    let name = segments(&disk).remove(0);
    disk.tamper(&name, |bytes| {
        for copy in [0, 4096] {
            bytes[copy + 8..copy + 12].copy_from_slice(&[9, 0, 9, 0]);
            let crc = crc32fast::hash(&bytes[copy..copy + 124]);
            bytes[copy + 124..copy + 128].copy_from_slice(&crc.to_le_bytes());
        }
    });
    let error = recover(disk, options()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "segment 1 has format version 9, which needs a reader of version 9 or later"
    );
}

#[test]
fn a_crash_while_a_file_is_recycled_never_leaves_an_old_name_on_a_new_header() {
    let mut reused = 0;
    for at in 1..40 {
        for renamed in [false, true] {
            let disk = SimDisk::new();
            let (mut writer, _) = recover(disk.clone(), small()).unwrap();
            let full_at = fill(&mut writer);
            writer.retire(full_at);
            disk.set_fault(Some(Fault { at: disk.ops() + at, kind: io::ErrorKind::Other, forever: true }));
            while append(&mut writer).is_ok_and(|seq| seq.0 < full_at.0 + 20)
                && writer.sync(2_000_000).is_ok()
            {}
            reused += usize::from(writer.usage().oldest > SeqNo(1));
            let disk = disk.after_power_cut(|| Fate::Survives, || renamed);
            let (writer, recovered) = recover(disk, small()).unwrap();
            let wrong = recovered.damage.iter().find(|damage| matches!(damage, Damage::Foreign { .. }));
            assert_eq!(wrong, None, "crash at call {at}, names survive: {renamed}");
            assert!(read_all(&mut writer.log().reader(SeqNo(1))).contains(&Ok(full_at.0)));
        }
    }
    assert!(reused > 20, "{reused}");
}

#[test]
fn a_full_log_with_drop_oldest_drops_its_oldest_segment_and_has_a_gap() {
    let disk = SimDisk::new();
    let wanted = Options { drop_oldest: true, ..small() };
    let (mut writer, _) = recover(disk.clone(), wanted.clone()).unwrap();
    for _ in 0..200 {
        append(&mut writer).expect("the log never pauses");
        let durable = writer.sync(2_000_000).unwrap();
        assert!(writer.usage().bytes <= wanted.bytes_max, "{:?}", writer.usage());
        // The oldest segment is dropped each time: behind the one gap nothing is missing.
        let items = read_all(&mut writer.log().reader(SeqNo(1)));
        let dropped_to = match items[0] {
            Err((1, to, GapReason::Dropped)) => to,
            _ => 0,
        };
        let kept = &items[usize::from(dropped_to > 0)..];
        assert_eq!(check_dense_from(kept, dropped_to + 1), durable.0);
        assert_eq!(writer.usage().dropped, dropped_to);
    }
    assert!(writer.usage().dropped > 100, "{:?}", writer.usage());
}

#[test]
fn the_newest_segment_is_not_dropped_even_if_all_others_have_readers() {
    let disk = SimDisk::new();
    let wanted = Options { drop_oldest: true, ..small() };
    let (mut writer, _) = recover(disk.clone(), wanted).unwrap();
    let (mut readers, mut segments) = (Vec::new(), writer.usage().segments);
    let refused = (0..200).find_map(|_| {
        let seq = match append(&mut writer) {
            Ok(seq) => writer.sync(2_000_000).map(|_| seq).unwrap(),
            Err(error) => return Some(error),
        };
        if writer.usage().segments > segments {
            // This reader stays in the previous segment.
            let mut reader = writer.log().reader(seq.prev());
            assert!(reader.next(SeqNo::MAX).unwrap().is_some());
            readers.push(reader);
            segments = writer.usage().segments;
        }
        None
    });
    assert!(matches!(refused, Some(WriteError::Full(Full::Cap { .. }))), "{refused:?}");
    let full_at = writer.durable();
    assert_eq!((readers.len() as u64, writer.usage().dropped), (segments - 1, 0));
    assert_eq!(check_dense(&read_all(&mut writer.log().reader(SeqNo(1)))), (full_at.0, vec![]));
    drop(readers);
    assert_eq!(
        append(&mut writer),
        Ok(full_at.next()),
        "the log continues once the oldest segment has no reader"
    );
}

#[test]
fn a_segment_with_a_reader_is_not_dropped_and_the_gap_follows_it() {
    let disk = SimDisk::new();
    let wanted = Options { drop_oldest: true, ..small() };
    let (mut writer, _) = recover(disk.clone(), wanted.clone()).unwrap();
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    let mut reader = writer.log().reader(SeqNo(1));
    assert!(reader.next(SeqNo::MAX).unwrap().is_some());
    for _ in 1..200 {
        append(&mut writer).expect("the log never pauses");
        writer.sync(2_000_000).unwrap();
    }
    let mut items = vec![Ok(1)];
    items.extend(read_all(&mut reader));
    let (last, lost) = check_dense(&items);
    assert_eq!((last, lost.len() as u64), (200, writer.usage().dropped));
    assert!(items[1] == Ok(2) && lost[0].0 > 2, "the open segment is read to its end: {:?}", &items[..5]);
    assert!(lost.iter().all(|(_, why)| *why == GapReason::Dropped), "{lost:?}");
    // Inspection and the next start find the same.
    drop((reader, writer));
    let overview = holdfast::wal::inspect::overview(&disk).unwrap();
    for segment in &overview.segments {
        let examined = holdfast::wal::inspect::examine(&disk, segment).unwrap().unwrap();
        assert_eq!(examined.verdict(), None, "{examined:?}");
    }
    let (writer, recovered) = recover(disk.after_kill(), wanted).unwrap();
    assert!(recovered.damage.is_empty());
    assert_eq!(read_all(&mut writer.log().reader(SeqNo(1))), items);
}
