//! The log in a real directory: appended payloads are read back in order, after an orderly end and after a
//! crash.
use holdfast::wal::{
    Disk, GapReason, Item, LogId, OpenError, Options, Reader, SeqNo, Storage, WriteError, recover,
};

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        bytes_max: 4 << 20,
        free_percent_min: 0,
        ..Options::new(LogId([7; 16]), 42, 1_000_000)
    }
}

fn payload(seq: u64) -> Vec<u8> {
    format!("payload {seq} ").repeat(1 + usize::try_from(seq % 50).unwrap()).into_bytes()
}

fn read_all<S: Storage>(reader: &mut Reader<S>) -> Vec<Result<u64, (u64, u64, GapReason)>> {
    let mut items = Vec::new();
    while let Some(item) = reader.next(SeqNo::MAX).unwrap() {
        items.push(match item {
            Item::Data { seq, payload: bytes, .. } => {
                assert_eq!(bytes, payload(seq.0), "payload {seq} is not what was appended");
                Ok(seq.0)
            }
            Item::Gap { from, to, reason } => Err((from.0, to.0, reason)),
        });
    }
    items
}

#[test]
fn payloads_are_read_back_across_restarts_and_segments() {
    let directory = tempfile::tempdir().unwrap();
    let mut next = 1;
    for run in 0..4 {
        let disk = Disk::create(&directory.path().join("wal")).unwrap();
        let (mut writer, recovered) = recover(disk, options()).unwrap();
        assert_eq!(recovered.next, SeqNo(next), "run {run}: {recovered:?}");
        assert_eq!(recovered.damage, []);
        assert_eq!(recovered.is_new, run == 0);
        for _ in 0..300 {
            assert_eq!(writer.append(&payload(next), 1).unwrap(), SeqNo(next));
            next += 1;
            if next.is_multiple_of(7) {
                writer.sync(2_000_000).unwrap();
            }
        }
        let mut reader = writer.log().reader(SeqNo(1));
        let durable = writer.durable().0;
        assert_eq!(
            read_all(&mut reader),
            (1..=durable).map(Ok).collect::<Vec<_>>(),
            "a reader returns durable payloads only"
        );
        writer.sync(2_000_000).unwrap();
        assert_eq!(read_all(&mut reader), (durable + 1..next).map(Ok).collect::<Vec<_>>());
        if run % 2 == 0 {
            writer.close(3_000_000).unwrap();
        }
    }
    let disk = Disk::open(&directory.path().join("wal")).unwrap();
    let mut reader = Reader::open(disk, SeqNo(1)).unwrap();
    assert_eq!(read_all(&mut reader), (1..next).map(Ok).collect::<Vec<_>>());
}

#[test]
fn a_second_daemon_on_the_same_directory_gets_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::create(directory.path()).unwrap();
    let (writer, _) = recover(disk.clone(), options()).unwrap();
    let error = recover(disk.clone(), options()).err().unwrap();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert_eq!(error.to_string(), format!("the log is in use by process {}", std::process::id()));
    drop(writer);
    recover(disk, options()).unwrap();
}

#[test]
fn a_payload_that_is_too_large_is_rejected_with_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), options()).unwrap();
    let bytes_max = options().payload_bytes_max();
    let error = writer.append(&vec![0; bytes_max + 1], 1).unwrap_err();
    assert_eq!(error, WriteError::TooLarge { bytes: bytes_max + 1, bytes_max });
    assert_eq!(writer.append(&vec![1; bytes_max], 1), Ok(SeqNo(1)));
}

#[test]
fn compressed_payloads_are_read_back_unchanged_also_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let long = |seq: u64| format!("payload {seq} ").repeat(400).into_bytes();
    let packed = Options { compress: true, ..options() };
    let disk = || Disk::create(&directory.path().join("wal")).unwrap();
    let (mut writer, _) = recover(disk(), packed.clone()).unwrap();
    let mut plain_bytes = 0;
    for seq in 1..=100 {
        plain_bytes += long(seq).len();
        writer.append(&long(seq), 1).unwrap();
    }
    assert!(writer.group_bytes() < plain_bytes / 10, "{} of {plain_bytes}", writer.group_bytes());
    writer.sync(2_000_000).unwrap();
    // After a crash the group is copied as stored, and a log can continue without compression.
    drop(writer);
    let (mut writer, recovered) = recover(disk(), options()).unwrap();
    assert_eq!(recovered.copied, 100);
    writer.append(&long(101), 1).unwrap();
    writer.sync(2_000_000).unwrap();
    let log = writer.log();
    let mut reader = log.reader(SeqNo(1));
    for expected in 1..=101 {
        match reader.next(SeqNo::MAX).unwrap() {
            Some(Item::Data { seq, payload, .. }) => {
                assert_eq!((seq.0, payload == long(seq.0)), (expected, true));
            }
            other => panic!("expected payload {expected}, found {other:?}"),
        }
    }
}
