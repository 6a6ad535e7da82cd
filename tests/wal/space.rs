//! The log and its space: the cap, what is delivered and used again, and what earlier lives of a file leave
//! behind.
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
fn a_full_log_refuses_until_something_is_delivered_and_then_goes_on_by_itself() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let full_at = fill(&mut writer);
    assert!(writer.usage().bytes <= small().bytes_max, "{:?}", writer.usage());
    assert!(matches!(append(&mut writer), Err(WriteError::Full(_))), "nothing was taken");
    assert_eq!(writer.next(), full_at.next());
    // Two delivered segments are kept, the third one's space is used.
    writer.retire(SeqNo(12));
    assert!(matches!(append(&mut writer), Err(WriteError::Full(_))));
    writer.retire(SeqNo(full_at.0 - 20));
    assert_eq!(append(&mut writer), Ok(full_at.next()));
    writer.sync(2_000_000).unwrap();
    let told = read_all(&mut writer.log().reader(SeqNo(1)));
    let (to, lost) = check_dense(&told);
    assert_eq!(to, full_at.0 + 1);
    assert!(matches!(told[0], Err((1, _, GapReason::Dropped))), "what is gone is told: {:?}", told[0]);
    assert!(lost.iter().all(|(seq, _)| *seq <= full_at.0 - 20), "nothing undelivered is given up");
}

#[test]
fn the_room_that_is_told_is_none_when_the_log_is_full_and_what_is_taken_until_it_is() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    // One of six is kept back for a group that has to move, one is being written.
    assert_eq!(writer.usage().available_bytes, 4 * (64 << 10), "{:?}", writer.usage());
    let full_at = fill(&mut writer);
    assert_eq!(writer.usage().available_bytes, 0, "{:?}", writer.usage());
    writer.retire(full_at);
    // Two delivered ones always stay.
    let before = writer.usage();
    assert_eq!(before.available_bytes, 2 * (64 << 10), "{before:?}");
    fill(&mut writer);
    let after = writer.usage();
    assert_eq!(
        (after.available_bytes, after.undelivered_bytes - before.undelivered_bytes),
        (0, before.available_bytes)
    );
    drop(writer);
    // Where the disk is the limit: what it has, less what must stay free, our own files included.
    let disk = SimDisk::new();
    disk.set_capacity(10 * (64 << 10));
    let (writer, _) = recover(disk, Options { free_percent_min: 50, ..options() }).unwrap();
    let free = 10 * (64 << 10) / 100 * 50;
    assert_eq!(writer.usage().available_bytes, 9 * (64 << 10) - free, "{:?}", writer.usage());
}

#[test]
fn a_log_that_is_full_at_the_start_opens_and_waits() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let full_at = fill(&mut writer);
    drop(writer);
    let disk = disk.after_kill();
    let (mut writer, recovered) = recover(disk.clone(), small()).unwrap();
    assert_eq!(recovered.next, full_at.next());
    // All that was taken can be drained: one segment is kept back for the group that has to move.
    let mut reader = writer.log().reader(SeqNo(1));
    let (readable, _) = check_dense(&read_all(&mut reader));
    assert_eq!(readable, full_at.0);
    let full_at = fill(&mut writer);
    assert!(writer.usage().bytes <= small().bytes_max, "{:?}", writer.usage());
    drop(writer);
    // The second start finds even that one used up, and still opens.
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
fn a_disk_without_room_is_a_state_and_ends_when_there_is_room() {
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
fn the_free_space_that_others_need_is_left_alone() {
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
fn a_segment_under_an_open_reader_is_not_used_again() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    let mut reader = writer.log().reader(SeqNo(1));
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    assert_eq!(read_all(&mut reader), [Ok(1)]);
    let full_at = fill(&mut writer);
    writer.retire(full_at);
    assert!(matches!(append(&mut writer), Err(WriteError::Full(_))), "the reader holds the oldest");
    assert_eq!(check_dense_from(&read_all(&mut reader), 2), full_at.0);
    assert_eq!(append(&mut writer), Ok(full_at.next()));
}

fn check_dense_from(told: &[logs::Told], first: u64) -> u64 {
    told.iter().fold(first, |next, item| {
        assert_eq!(*item, Ok(next));
        next + 1
    }) - 1
}

/// A log that has used its files many times; the last group is open.
fn many_lives() -> (SimDisk, u64, u64) {
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
fn what_an_earlier_life_of_a_file_left_is_never_taken_for_ours() {
    let (image, durable, oldest) = many_lives();
    let names = segments(&image);
    let lives: Vec<Vec<u8>> = names.iter().map(|name| image.bytes(name)).collect();
    let last = names.last().unwrap();
    let mut tried = 0;
    // Any page of any segment, and of the end of the last one: as a lost, a misdirected or a duplicated write
    // leaves it.
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
                // read_all checks each byte, and this the order: a stale or misplaced payload would fail one
                // of them.
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

/// The payloads' frames of a segment, and where they are.
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

/// The numbers whose frames touch a page of a segment.
fn in_page(bytes: &[u8], page: usize) -> Vec<u64> {
    let touches = |place: &Range<usize>| place.start < (page + 1) * 4096 && place.end > page * 4096;
    frames(bytes).into_iter().filter(|(_, place)| touches(place)).map(|(header, _)| header.seq.0).collect()
}

#[test]
fn a_page_that_was_meant_for_another_place_costs_only_what_it_covers() {
    let (image, durable, oldest) = many_lives();
    let names = segments(&image);
    let lives: Vec<Vec<u8>> = names.iter().map(|name| image.bytes(name)).collect();
    let mut tried = 0;
    for (target, old) in lives.iter().enumerate().take(lives.len() - 1) {
        for page in 2..16 {
            let covered = in_page(old, page);
            // Of this segment and of every newer one, from the same place and from another.
            for (life, place) in lives.iter().skip(target).flat_map(|life| [(life, page), (life, 17 - page)])
            {
                let disk = image.after_kill();
                disk.tamper(&names[target], |bytes| {
                    bytes[page * 4096..(page + 1) * 4096]
                        .copy_from_slice(&life[place * 4096..(place + 1) * 4096]);
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
fn what_moved_is_read_from_where_it_went_whatever_becomes_of_its_old_place() {
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
    // The start copies the last group, 6 to 8, into a segment of its own.
    let disk = disk.after_kill();
    let (_, recovered) = recover(disk.clone(), Options { salt_seed: 5, ..options() }).unwrap();
    assert_eq!(recovered.copied, 3);
    // The payload on this side of the bound rots, and the one on the other.
    disk.tamper(&segments(&disk)[0], |bytes| {
        for seq in [5, 6] {
            let frame = frames(bytes).into_iter().find(|(header, _)| header.seq.0 == seq).unwrap().1;
            bytes[frame.start + FRAME_HEADER_BYTES] ^= 1;
        }
    });
    let mut reader = Reader::open(disk, SeqNo(1)).unwrap();
    let mut expected: Vec<logs::Told> = (1..=8).map(Ok).collect();
    expected[4] = Err((5, 5, GapReason::Rot));
    assert_eq!(read_all(&mut reader), expected);
}

#[test]
fn a_power_cut_in_the_middle_of_any_life_leaves_what_was_durable() {
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
        let told = read_all(&mut writer.log().reader(SeqNo(1)));
        check_dense(&told);
        for seq in retired + 1..=durable {
            assert!(
                told.contains(&Ok(seq)),
                "seed={seed}: {seq} was durable and not delivered: {recovered:?} {told:?}"
            );
        }
    }
}

#[test]
fn a_looker_on_survives_that_its_segment_is_used_again() {
    let disk = SimDisk::new();
    let (mut writer, _) = recover(disk.clone(), small()).unwrap();
    append(&mut writer).unwrap();
    writer.sync(2_000_000).unwrap();
    let mut looker = Reader::open(disk.clone(), SeqNo(1)).unwrap();
    assert_eq!(read_all(&mut looker), [Ok(1)]);
    for _ in 0..300 {
        append(&mut writer).unwrap();
        let durable = writer.sync(2_000_000).unwrap();
        writer.retire(durable);
    }
    let told = read_all(&mut looker);
    let Err((2, to, GapReason::Dropped)) = told[0] else { panic!("{:?}", &told[..2]) };
    assert_eq!(check_dense_from(&told[1..], to + 1), 301);
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
fn numbers_that_another_place_has_seen_are_not_given_again() {
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
    let told = read_all(&mut writer.log().reader(SeqNo(1)));
    assert_eq!(told, [Ok(1), Err((2, 5, GapReason::Rot)), Ok(6)]);
    let other = Some((LogId([8; 16]), SeqNo(500)));
    let (_, recovered) =
        recover(disk.after_kill(), Options { external_high_water: other, ..options() }).unwrap();
    assert_eq!(recovered.next, SeqNo(2), "another log's external_high_water says nothing");
}

#[test]
fn the_last_context_is_found_with_the_number_it_belongs_to() {
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
        "recovery carries it on"
    );
    // Where the head of the last segment is rotten, that of the one before counts.
    drop(writer);
    let disk = disk.after_kill();
    disk.tamper(segments(&disk).last().unwrap(), |bytes| bytes[8192 + FRAME_HEADER_BYTES] ^= 1);
    let (_, older) = recover(disk, small()).unwrap();
    assert_eq!(older.snapshot, Some(StateSnapshot { next: since, bytes: vec![2; 100] }));
}

#[test]
fn a_log_of_a_later_version_is_refused_politely() {
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
fn a_crash_while_a_file_is_used_again_never_leaves_an_old_name_on_a_new_header() {
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
fn at_the_cap_the_oldest_is_given_up_and_told_when_that_is_wanted() {
    let disk = SimDisk::new();
    let wanted = Options { drop_oldest: true, ..small() };
    let (mut writer, _) = recover(disk.clone(), wanted.clone()).unwrap();
    for _ in 0..200 {
        append(&mut writer).expect("the log never pauses");
        let durable = writer.sync(2_000_000).unwrap();
        assert!(writer.usage().bytes <= wanted.bytes_max, "{:?}", writer.usage());
        // Each time it is the oldest that goes: what stands behind the one gap is whole.
        let told = read_all(&mut writer.log().reader(SeqNo(1)));
        let given_up = match told[0] {
            Err((1, to, GapReason::Dropped)) => to,
            _ => 0,
        };
        let kept = &told[usize::from(given_up > 0)..];
        assert_eq!(check_dense_from(kept, given_up + 1), durable.0);
        assert_eq!(writer.usage().dropped, given_up);
    }
    assert!(writer.usage().dropped > 100, "{:?}", writer.usage());
}

#[test]
fn the_newest_segment_is_not_given_up_even_when_all_others_are_being_read() {
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
            // One that stays in the segment before.
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
    assert_eq!(append(&mut writer), Ok(full_at.next()), "it goes on when nobody reads the oldest any more");
}

#[test]
fn a_segment_that_is_being_read_is_passed_over_and_the_gap_stands_behind_it() {
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
    let mut told = vec![Ok(1)];
    told.extend(read_all(&mut reader));
    let (last, lost) = check_dense(&told);
    assert_eq!((last, lost.len() as u64), (200, writer.usage().dropped));
    assert!(told[1] == Ok(2) && lost[0].0 > 2, "what was being read was read to its end: {:?}", &told[..5]);
    assert!(lost.iter().all(|(_, why)| *why == GapReason::Dropped), "{lost:?}");
    // Another life, and a person who looks on, are told the same.
    drop((reader, writer));
    let overview = holdfast::wal::inspect::overview(&disk).unwrap();
    for segment in &overview.segments {
        let examined = holdfast::wal::inspect::examine(&disk, segment).unwrap().unwrap();
        assert_eq!(examined.verdict(), None, "{examined:?}");
    }
    let (writer, recovered) = recover(disk.after_kill(), wanted).unwrap();
    assert!(recovered.damage.is_empty());
    assert_eq!(read_all(&mut writer.log().reader(SeqNo(1))), told);
}
