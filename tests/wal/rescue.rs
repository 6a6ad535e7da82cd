//! `walctl` on real records: filters, exports, a copy of a damaged log, the daemon's recovery by hand.
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::batches::{Builder, NOW, attributes, peer, peer_down, peer_up, prefix};
use bgpkit_parser::BgpkitParser;
use bgpkit_parser::models::ElemType;
use holdfast::codec;
use holdfast::route::{Batch, Class, Family, Nlri, Prefix, RibView};
use holdfast::wal::{Disk, LogId, Options, SeqNo, StateSnapshot, Writer, recover};
use serde_json::Value;

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        bytes_max: 4 << 20,
        free_percent_min: 0,
        ..Options::new(LogId([9; 16]), 7, NOW)
    }
}

fn append(writer: &mut Writer<Disk>, batch: &Batch) -> SeqNo {
    let mut payload = Vec::new();
    codec::encode(batch, &mut payload).unwrap();
    let seq = writer.append(&payload, u32::try_from(batch.records()).unwrap()).unwrap();
    writer.sync(NOW).unwrap();
    seq
}

/// Thirty batches of two routers: a peer up, announcements (one table of them too large for one UPDATE),
/// IPv6, paths, a withdrawal, a peer down.
fn log(directory: &Path) -> Writer<Disk> {
    let (mut writer, _) = recover(Disk::create(directory).unwrap(), options()).unwrap();
    let (one, out) = (peer(1, RibView::AdjInPre, 1), peer(2, RibView::AdjOutPost, 1));
    append(&mut writer, &Builder::new("r1", 1).event(Some(&one), peer_up()).build());
    append(&mut writer, &Builder::new("r1", 1).announce(&one, 0..1500, &[65_001, 65_002]).build());
    let six = |number: u128| Nlri::Prefix(Prefix::v6((0x2001_0db8_u128 << 96) | (number << 80), 48).unwrap());
    let mut hop = attributes(&[65_001]);
    hop.next_hop = Some("2001:db8::1".parse().unwrap());
    let entries = (0..3).map(|number| (None, six(number)));
    let batch = Builder::new("r1", 1).routes(&one, Family::IPV6_UNICAST, Some(&hop), entries).build();
    append(&mut writer, &batch);
    let paths = (0..2).map(|path| (Some(path + 1), prefix(7)));
    let path = attributes(&[65_003, 70_000]);
    let batch = Builder::new("r2", 2).routes(&out, Family::IPV4_UNICAST, Some(&path), paths).build();
    append(&mut writer, &batch);
    append(&mut writer, &Builder::new("r1", 1).at(60_000_000).withdraw(&one, [7]).build());
    append(&mut writer, &Builder::new("r1", 1).at(61_000_000).event(Some(&one), peer_down()).build());
    for number in 0..24 {
        append(&mut writer, &Builder::new("r2", 2).announce(&out, [9000 + number], &[65_001]).build());
    }
    writer
}

fn walctl(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_walctl")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn lines(directory: &Path, arguments: &[&str]) -> Vec<Value> {
    let (code, out, err) = walctl(&[&["dump", directory.to_str().unwrap(), "--json"], arguments].concat());
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has_gap = lines.iter().any(|line| line["record"] == "gap");
    assert_eq!((code, err.as_str()), (if has_gap { 2 } else { 0 }, ""));
    lines
}

fn tampered(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn each_filter_selects_its_records() {
    let directory = tempfile::tempdir().unwrap();
    log(directory.path()).close(NOW).unwrap();
    for (arguments, records) in [
        (&["--seq", "3"][..], 3),
        (&["--router", "r2"], 26),
        (&["--router", "192.0.2.1"], 1533 - 2 + 1),
        (&["--peer", "198.51.100.2"], 26),
        (&["--rib", "adj-in-pre", "--seq", "1..6"], 1506),
        (&["--prefix", "1.0.7.0/24"], 4),
        (&["--prefix", "1.0.0.0/21"], 8 + 2 + 1),
        (&["--prefix", "2001:db8::/32"], 3),
        (&["--family", "ipv6_unicast"], 3),
        (&["--family", "2/1"], 3),
        (&["--family", "1/2"], 0),
        (&["--family", "2/1", "--peer", "198.51.100.2"], 0),
        (&["--since", "2026-11-23T00:01:00Z"], 2),
        (&["--until", "2026-11-23T00:00:59Z", "--seq", "5..6"], 0),
        (&["--since", "2026-11-23", "--until", "2026-11-23T00:01:00Z", "--seq", "5.."], 25),
    ] {
        assert_eq!(lines(directory.path(), arguments).len(), records, "{arguments:?}");
    }
    let (code, _, err) = walctl(&["dump", directory.path().to_str().unwrap(), "--since", "yesterday"]);
    assert!(code == 64 && err.contains("2026-01-31T12:00:00Z"), "{err}");
    let (_, table, _) = walctl(&["dump", directory.path().to_str().unwrap(), "--prefix", "1.0.7.0/24"]);
    assert!(table.lines().next().unwrap().trim_start().starts_with("SEQ"), "{table}");
    assert!(table.contains("path 2 via 198.51.100.254 65003 70000"), "{table}");
}

/// A child process that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn dump_follows_a_log_that_is_being_written_from_segment_to_segment() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = log(directory.path());
    let mut child = Running(
        Command::new(env!("CARGO_BIN_EXE_walctl"))
            .args(["dump", directory.path().to_str().unwrap(), "--json", "--follow"])
            .args(["--seq", "29..", "--peer", "198.51.100.2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!([next()["seq"].clone(), next()["seq"].clone()], [29, 30]);
    // Each matching batch is printed before the next one is appended, others are not. The tables of the other
    // peer fill segments.
    let (one, out) = (peer(1, RibView::AdjInPre, 1), peer(2, RibView::AdjOutPost, 1));
    let mut segments = 0;
    for number in 0..20 {
        append(&mut writer, &Builder::new("r1", 1).announce(&one, 0..1500, &[65_001]).build());
        let seq = append(&mut writer, &Builder::new("r2", 2).announce(&out, [number], &[65_001]).build());
        let line = next();
        assert_eq!((&line["seq"], &line["prefix"]), (&seq.0.into(), &format!("1.0.{number}.0/24").into()));
        writer.retire(SeqNo(seq.0 - 1));
        segments = files(directory.path()).iter().filter(|(path, _)| path.extension().is_some()).count();
    }
    assert!(segments > 3, "{segments} segments: it never had to go on in another");
}

/// The subtype of each record of an MRT file, and what follows its addresses: a BGP message or two states.
fn mrt_messages(path: &Path) -> Vec<(u16, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut found) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_be_bytes(rest[8..12].try_into().unwrap())).unwrap();
        let (record, behind) = rest.split_at(12 + length);
        // Microseconds, two AS numbers, interface, address family, two addresses.
        let addresses = if record[27] == 1 { 8 } else { 32 };
        found.push((u16::from_be_bytes([record[6], record[7]]), record[28 + addresses..].to_vec()));
        rest = behind;
    }
    found
}

#[test]
fn an_exported_mrt_file_is_read_by_another_program_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    log(directory.path()).close(NOW).unwrap();
    let (wal, out) = (directory.path().to_str().unwrap(), directory.path().join("out.mrt"));
    let (code, _, err) = walctl(&["export", wal, "--format", "mrt", "--out", out.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    let elements: Vec<_> = BgpkitParser::from_reader(fs::File::open(&out).unwrap()).into_iter().collect();
    assert_eq!(elements.len(), 1500 + 3 + 2 + 1 + 24);
    let mut expected = lines(directory.path(), &[]);
    expected.retain(|line| line["record"] == "route");
    for (element, line) in elements.iter().zip(&expected) {
        assert_eq!(element.prefix.prefix.to_string(), line["prefix"], "{line}");
        assert_eq!(element.peer_ip.to_string(), line["bgp_peer_ip"]);
        assert_eq!(element.peer_asn.to_u32(), 65_001);
        assert_eq!(element.prefix.path_id.map(Value::from).unwrap_or_default(), line["path_id"]);
        assert_eq!(element.elem_type == ElemType::WITHDRAW, line["is_withdrawn"] == true);
        if element.elem_type == ElemType::ANNOUNCE {
            assert_eq!(element.next_hop.unwrap().to_string(), line["next_hop"]);
            assert_eq!(element.as_path.as_ref().unwrap().to_string(), line["as_path_text"]);
            let communities: Vec<_> = element.communities.iter().flatten().map(ToString::to_string).collect();
            assert_eq!(communities, ["65000:100", "65000:101", "4200000000:1:2"]);
        }
    }
    assert!((elements[0].timestamp - 1_795_392_000.0).abs() < 1e-6, "{}", elements[0].timestamp);
    // Only the subtype shows path identifiers (RFC 8050); 5 is a state change.
    let subtypes: Vec<u16> = mrt_messages(&out).into_iter().map(|(subtype, _)| subtype).collect();
    let (up, tables, paths, changes) = (&subtypes[..1], &subtypes[1..3], &subtypes[4..5], &subtypes[5..7]);
    assert_eq!((up, tables, paths, changes), (&[5][..], &[4, 4][..], &[9][..], &[4, 5][..]), "{subtypes:?}");
    assert!(subtypes[7..].iter().all(|subtype| *subtype == 4), "{subtypes:?}");
    // An existing file is not overwritten.
    let (code, _, err) = walctl(&["export", wal, "--format", "mrt", "--out", out.to_str().unwrap()]);
    assert!(code == 3 && err.contains("exists"), "{err}");
}

#[test]
fn an_ipv4_route_with_an_ipv6_next_hop_keeps_both_in_mrt() {
    // RFC 8950: such a route is encoded in MP_REACH_NLRI.
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), options()).unwrap();
    let one = peer(1, RibView::AdjInPre, 1);
    let mut hop = attributes(&[65_001, 65_002]);
    for (next, link_local) in [("2001:db8::1", None), ("2001:db8::2", Some("fe80::2"))] {
        hop.next_hop = Some(next.parse().unwrap());
        hop.next_hop_link_local = link_local.map(|address| address.parse().unwrap());
        let entries = (0..2).map(|number| (None, prefix(number)));
        let batch = Builder::new("r1", 1).routes(&one, Family::IPV4_UNICAST, Some(&hop), entries).build();
        append(&mut writer, &batch);
    }
    append(&mut writer, &Builder::new("r1", 1).withdraw(&one, [1]).build());
    writer.close(NOW).unwrap();
    let (wal, out) = (directory.path().to_str().unwrap(), directory.path().join("out.mrt"));
    let (code, _, err) = walctl(&["export", wal, "--format", "mrt", "--out", out.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    let elements: Vec<_> = BgpkitParser::from_reader(fs::File::open(&out).unwrap()).into_iter().collect();
    let items: Vec<_> = elements
        .iter()
        .map(|element| (element.prefix.prefix.to_string(), element.next_hop.map(|hop| hop.to_string())))
        .collect();
    let announced = |number: u32, hop: &str| (format!("1.0.{number}.0/24"), Some(hop.to_owned()));
    let mut expected = Vec::new();
    for hop in ["2001:db8::1", "2001:db8::2"] {
        expected.extend((0..2).map(|number| announced(number, hop)));
    }
    expected.push(("1.0.1.0/24".to_owned(), None));
    assert_eq!(items, expected);
    assert!(
        elements[..4].iter().all(|element| element.as_path.as_ref().unwrap().to_string() == "65001 65002")
    );
    assert_eq!(elements[4].elem_type, ElemType::WITHDRAW);
}

#[test]
fn a_bgp_message_in_mrt_exceeds_4096_bytes_only_if_one_prefix_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let roomy = Options { segment_bytes: 256 << 10, ..options() };
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), roomy).unwrap();
    let one = peer(1, RibView::AdjInPre, 1);
    append(&mut writer, &Builder::new("r1", 1).announce(&one, 0..3000, &[65_001]).build());
    append(&mut writer, &Builder::new("r1", 1).withdraw(&one, 0..3000).build());
    // Four bytes per AS number: more than 4,096 bytes, and more than the 65,535 of RFC 8654.
    append(&mut writer, &Builder::new("r1", 1).announce(&one, [1, 2], &[65_002; 1200]).build());
    append(&mut writer, &Builder::new("r1", 1).announce(&one, [3], &[65_003; 16_400]).build());
    writer.close(NOW).unwrap();
    let (wal, out) = (directory.path().to_str().unwrap(), directory.path().join("out.mrt"));
    let (code, _, err) = walctl(&["export", wal, "--format", "mrt", "--out", out.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, "walctl: 1 records cannot be represented in this format\n"));
    let messages = mrt_messages(&out);
    let (short, long) = messages.split_at(messages.len() - 2);
    assert!(short.iter().all(|(_, message)| message.len() <= 4096));
    // 4 bytes per prefix: four messages with attributes, three without.
    assert_eq!(short.len(), 4 + 3);
    assert!(long.iter().all(|(_, message)| message.len() > 4800), "the two with the long path");
    for (_, message) in &messages {
        assert_eq!(usize::from(u16::from_be_bytes([message[16], message[17]])), message.len());
    }
    let elements: Vec<_> = BgpkitParser::from_reader(fs::File::open(&out).unwrap()).into_iter().collect();
    assert_eq!(elements.len(), 6000 + 2);
    let last = &elements[6001];
    assert_eq!(last.prefix.prefix.to_string(), "1.0.2.0/24");
    assert_eq!(last.as_path.as_ref().unwrap().to_string(), ["65002"; 1200].join(" "));
}

/// Parses CSV (RFC 4180).
fn csv_fields(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut field, mut is_quoted) = (vec![], vec![], String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match (next, is_quoted) {
            ('"', true) if rest.next_if_eq(&'"').is_some() => field.push('"'),
            ('"', _) => is_quoted = !is_quoted,
            (',', false) => line.push(std::mem::take(&mut field)),
            ('\r', false) if rest.next_if_eq(&'\n').is_some() => {
                line.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut line));
            }
            ('\r' | '\n', false) => panic!("a line that ends in a field: {line:?} {field:?}"),
            _ => field.push(next),
        }
    }
    assert!(field.is_empty() && line.is_empty() && !is_quoted, "the last line has its end");
    lines
}

#[test]
fn a_name_cannot_draw_on_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = log(directory.path());
    let one = peer(1, RibView::AdjInPre, 1);
    append(&mut writer, &Builder::new("edge\u{1b}[2J\n1", 1).announce(&one, [1], &[65_001]).build());
    let (code, table, _) = walctl(&["dump", directory.path().to_str().unwrap()]);
    let last = table.lines().last().unwrap();
    assert!(code == 0 && last.contains("edge [2J 1") && last.contains("1.0.1.0/24"), "{table:?}");
    assert!(!table.contains('\u{1b}'));
}

#[test]
fn special_characters_round_trip_through_csv() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), options()).unwrap();
    // One special character per name, so that each causes quoting by itself.
    let names = ["r1, rack 2", "r1 \"west\"", "r1\nrack", "r1\rrack", "\"", "r1 rack"];
    for name in names {
        let one = peer(1, RibView::AdjInPre, 1);
        append(&mut writer, &Builder::new(name, 1).announce(&one, [1], &[65_001]).build());
    }
    writer.close(NOW).unwrap();
    let (code, out, _) = walctl(&["export", directory.path().to_str().unwrap(), "--format", "csv"]);
    let lines = csv_fields(&out);
    let column = lines[0].iter().position(|name| name == "router").unwrap();
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{lines:?}");
    let routers: Vec<&str> = lines[1..].iter().map(|line| line[column].as_str()).collect();
    assert_eq!((code, routers), (0, names.to_vec()));
    assert!(out.contains(",r1 rack,"), "what needs no quotes has none: {out}");
}

#[test]
fn csv_has_one_line_for_each_record() {
    let directory = tempfile::tempdir().unwrap();
    log(directory.path()).close(NOW).unwrap();
    let (code, out, _) =
        walctl(&["export", directory.path().to_str().unwrap(), "--format", "csv", "--seq", "4..6"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (0, 5), "{out}");
    assert!(lines[0].starts_with("seq,idx,time,router_time,router,"));
    assert!(lines[1].contains(",65003 70000,198.51.100.254,") && lines[1].contains(",65000:100 65000:101,"));
    assert!(lines[4].contains(",peer_down,"), "{}", lines[4]);
}

#[test]
fn a_salvaged_log_has_everything_readable_and_the_source_is_not_modified() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    log(source.path()).close(NOW).unwrap();
    let expected = lines(source.path(), &[]);
    let first = source.path().join("0000000000000001.wal");
    // One byte of the batch of 1,500 routes.
    tampered(&first, |bytes| bytes[8192 + 3 * 4096] ^= 4);
    let before = files(source.path());
    let (from, to) = (source.path().to_str().unwrap(), target.path().join("copy"));
    let (code, out, err) = walctl(&["salvage", from, to.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (2, ""), "{out}");
    assert!(out.contains("batches 2 to 2 lost (rot)") && out.contains("29 batches"), "{out}");
    assert_eq!(files(source.path()), before, "the source was touched");
    let mut copied = lines(&to, &[]);
    let gap = copied.remove(1);
    assert_eq!((&gap["record"], &gap["seq"], &gap["seq_to"]), (&"gap".into(), &2.into(), &2.into()));
    let kept: Vec<_> = expected.into_iter().filter(|line| line["seq"] != 2).collect();
    assert_eq!(copied, kept);
    // A daemon continues it under the same log id, and salvage does not overwrite it.
    let (writer, recovered) = recover(Disk::open(&to).unwrap(), options()).unwrap();
    assert_eq!((recovered.log_id, recovered.next), (LogId([9; 16]), SeqNo(31)));
    assert!(recovered.was_closed && recovered.damage.is_empty());
    drop(writer);
    assert_eq!(walctl(&["salvage", from, to.to_str().unwrap()]).0, 3);
    assert_eq!(walctl(&["verify", to.to_str().unwrap(), "--deep"]).0, 0);
}

#[test]
fn a_salvaged_log_has_the_last_readable_snapshot() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writer = log(source.path());
    let one = peer(1, RibView::AdjInPre, 1);
    let mut snapshots = Vec::new();
    // Each snapshot is at the head of several segments.
    for byte in [1_u8, 2] {
        writer.set_snapshot(vec![byte; 1000]).unwrap();
        snapshots.push(StateSnapshot { next: writer.next(), bytes: vec![byte; 1000] });
        for _ in 0..20 {
            append(&mut writer, &Builder::new("r1", 1).announce(&one, 0..1500, &[65_001]).build());
        }
    }
    let next = SeqNo(writer.close(NOW).unwrap().0 + 1);
    let copy = |damaged: &[&PathBuf], name: &str| {
        for path in damaged {
            tampered(path, |bytes| bytes[8192 + 60] ^= 1);
        }
        let (from, to) = (source.path().to_str().unwrap(), target.path().join(name));
        let (code, out, _) = walctl(&["salvage", from, to.to_str().unwrap()]);
        assert_eq!((code, walctl(&["verify", to.to_str().unwrap(), "--deep"]).0), (0, 0), "{out}");
        let (mut writer, recovered) = recover(Disk::open(&to).unwrap(), options()).unwrap();
        assert_eq!(recovered.next, next);
        // Later segments have it as well.
        for _ in 0..20 {
            append(&mut writer, &Builder::new("r1", 1).announce(&one, 0..1500, &[65_001]).build());
        }
        writer.close(NOW).unwrap();
        let (_, again) = recover(Disk::open(&to).unwrap(), options()).unwrap();
        assert_eq!(again.snapshot, recovered.snapshot);
        recovered.snapshot
    };
    assert_eq!(copy(&[], "whole"), Some(snapshots[1].clone()));
    let segments = files(source.path()).into_iter().map(|(path, _)| path);
    let segments: Vec<_> = segments.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    let (last, older) = segments.split_last().unwrap();
    assert_eq!(copy(&[last], "last"), Some(snapshots[1].clone()), "the segment before has it as well");
    // Without the second snapshot the first one is used, with its own sequence number.
    let with_second: Vec<_> = older.iter().filter(|path| fs::read(path).unwrap()[8192 + 48] == 2).collect();
    assert_eq!(copy(&with_second, "older"), Some(snapshots[0].clone()));
}

#[test]
fn the_copy_of_a_compressed_log_is_compressed() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let packed = Options { compress: true, ..options() };
    let (mut writer, _) = recover(Disk::create(source.path()).unwrap(), packed).unwrap();
    let one = peer(1, RibView::AdjInPre, 1);
    // The first payload is too short to be compressed.
    append(&mut writer, &Builder::new("r1", 1).withdraw(&one, [1]).build());
    append(&mut writer, &Builder::new("r1", 1).announce(&one, 0..100, &[65_001; 200]).build());
    writer.close(NOW).unwrap();
    let (from, to) = (source.path().to_str().unwrap(), target.path().join("copy"));
    assert_eq!(walctl(&["salvage", from, to.to_str().unwrap()]).0, 0);
    let (_, out, _) = walctl(&["dump", to.to_str().unwrap(), "--batches"]);
    let codecs: Vec<&str> = out.lines().map(|line| line.split("codec ").nth(1).unwrap()).collect();
    assert_eq!(codecs, ["1  class dump", "2  class dump"], "{out}");
    assert_eq!(lines(&to, &[]), lines(source.path(), &[]));
}

#[test]
fn a_dump_shows_the_class_of_each_batch_and_the_batch_that_it_follows() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), options()).unwrap();
    let one = peer(1, RibView::AdjInPre, 1);
    let classes = [(Class::Dump, 0), (Class::Bulk, 1), (Class::Dump, 2), (Class::Live, 3)];
    for (class, after) in classes {
        let batch = Builder::new("r1", 1).announce(&one, [1], &[65_001]).build();
        append(&mut writer, &Batch { class, after, ..batch });
    }
    writer.close(NOW).unwrap();
    let (_, out, _) = walctl(&["dump", directory.path().to_str().unwrap(), "--batches"]);
    let orders: Vec<&str> = out.lines().map(|line| line.split("class ").nth(1).unwrap()).collect();
    assert_eq!(orders, ["dump", "bulk, after batch 1", "dump, after batch 2", "live, after batch 3"]);
    let records = lines(directory.path(), &[]);
    let orders: Vec<_> =
        records.iter().map(|line| (line["class"].as_str().unwrap(), &line["after"])).collect();
    let null = serde_json::Value::Null;
    assert_eq!(orders, [("dump", &null), ("bulk", &1.into()), ("dump", &2.into()), ("live", &3.into())]);
}

/// Ten minutes in each of three hours.
const TIMES: [i64; 3] = [0, 3_600_000_000, 7_200_000_000];

#[test]
fn a_time_filter_skips_whole_segments_and_no_matching_record() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = recover(Disk::create(directory.path()).unwrap(), options()).unwrap();
    let one = peer(1, RibView::AdjInPre, 1);
    for hour in TIMES {
        for minute in 0..10 {
            let at = hour + minute * 60_000_000;
            // As large as a table of 1,500 routes, and one line of output.
            let batch = Builder::new("r1", 1).at(at).announce(&one, [7], &[65_001; 1500]).build();
            let mut payload = Vec::new();
            codec::encode(&batch, &mut payload).unwrap();
            writer.append(&payload, 1).unwrap();
            // The clock was set back by one second between receipt and sync.
            writer.sync(NOW + at - 1_000_000).unwrap();
        }
    }
    writer.close(NOW + 8_000_000_000).unwrap();
    let segments = files(directory.path()).iter().filter(|(path, _)| path.extension().is_some()).count();
    assert!(segments > 3, "{segments} segments");
    let batches = |arguments: &[&str]| {
        let mut seen: Vec<u64> =
            lines(directory.path(), arguments).iter().map(|line| line["seq"].as_u64().unwrap()).collect();
        seen.dedup();
        seen
    };
    for (arguments, expected) in [
        (&["--since", "2026-11-23T00:05:00Z"][..], 6..=30),
        (&["--since", "2026-11-23T01:00:00Z"], 11..=30),
        (&["--since", "2026-11-23T02:09:00Z"], 30..=30),
        (&["--until", "2026-11-23T01:00:00Z"], 1..=11),
        (&["--until", "2026-11-23T00:00:00Z"], 1..=1),
        (&["--until", "2026-11-23T02:08:00Z"], 1..=29),
        (&["--until", "2026-11-23T03:00:00Z"], 1..=30),
        (&["--since", "2026-11-23T00:09:00Z", "--until", "2026-11-23T01:01:00Z"], 10..=12),
        (&["--since", "2026-11-23T00:09:00Z", "--seq", "20.."], 20..=30),
    ] {
        assert_eq!(batches(arguments), expected.collect::<Vec<_>>(), "{arguments:?}");
    }
    assert!(batches(&["--since", "2026-11-24"]).is_empty());
    // Each time is the end of one range and the start of another, wherever the segments end.
    for (number, hour, minute) in (0..30).map(|number| (number + 1, number / 10, number % 10)) {
        let time = format!("2026-11-23T{hour:02}:{minute:02}:00Z");
        let found = ["--until", "--since"].map(|side| batches(&[side, &time]));
        assert_eq!(found, [(1..=number).collect(), (number..=30).collect::<Vec<u64>>()], "{time}");
    }
    // Segments outside the range are not read.
    let segments = files(directory.path()).into_iter().map(|(path, _)| path);
    let segments: Vec<_> = segments.filter(|path| path.extension().is_some()).collect();
    for segment in [segments.first(), segments.last()] {
        tampered(segment.unwrap(), |bytes| bytes[8192 + 4096 + 60] ^= 1);
    }
    let gaps = |arguments: &[&str]| {
        lines(directory.path(), arguments).iter().filter(|line| line["record"] == "gap").count()
    };
    let (since, until) = (["--since", "2026-11-23T02:00:00Z"], ["--until", "2026-11-23T00:59:00Z"]);
    assert_eq!([gaps(&[]), gaps(&since), gaps(&until), gaps(&[since, until].concat())], [2, 1, 1, 0]);
}

#[test]
fn repair_reports_first_and_changes_no_existing_byte() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = log(directory.path());
    let mut payload = Vec::new();
    codec::encode(
        &Builder::new("r1", 1).announce(&peer(1, RibView::AdjInPre, 1), [1], &[1]).build(),
        &mut payload,
    )
    .unwrap();
    writer.append(&payload, 1).unwrap();
    writer.flush().unwrap();
    let wal = directory.path().to_str().unwrap();
    let (code, _, err) = walctl(&["repair", wal, "--yes"]);
    assert!(code == 3 && err.contains("in use by process"), "{err}");
    drop(writer);
    let before = files(directory.path());
    let (code, out, _) = walctl(&["repair", wal]);
    assert!(code == 1 && out.contains("torn tail") && out.contains("--yes"), "{out}");
    assert_eq!(files(directory.path()), before, "it only said");
    let (code, out, _) = walctl(&["repair", wal, "--yes"]);
    assert!(code == 0 && out.contains("the log contains batches 1 to 31"), "{out}");
    for (path, bytes) in before.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "wal")) {
        assert_eq!(&fs::read(path).unwrap(), bytes, "{} was changed", path.display());
    }
    assert_eq!(walctl(&["repair", wal]).0, 0);
    assert_eq!(lines(directory.path(), &["--seq", "31"]).len(), 1);
}

#[test]
fn stat_counts_all_records_without_walking_sealed_segments() {
    let directory = tempfile::tempdir().unwrap();
    log(directory.path()).close(NOW + 3_600_000_000).unwrap();
    let wal = directory.path().to_str().unwrap();
    let (code, out, _) = walctl(&["stat", wal, "--json"]);
    let stat: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &stat["batches"], &stat["records"]), (0, &30.into(), &1532.into()), "{out}");
    assert!(stat["backlog"].is_null() && stat["hours_left"].as_f64().unwrap() > 0.0, "{out}");
    let (_, text, _) = walctl(&["stat", wal]);
    assert!(text.contains("records       1532, ") && text.contains("full in "), "{text}");
}

#[test]
fn bench_measures_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (code, out, err) = walctl(&["bench", directory.path().to_str().unwrap(), "--seconds", "1", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let figures: Value = serde_json::from_str(&out).unwrap();
    for key in ["sync_4k_p50_ms", "sync_4k_p99_ms", "log_to_bare", "sync_interval_ms"] {
        assert!(figures[key].as_f64().unwrap() > 0.0, "{key} in {out}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
