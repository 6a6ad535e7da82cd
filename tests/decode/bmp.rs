//! BMP messages: decoded fields and refused messages.

use crate::common::encoder;
use std::net::{IpAddr, Ipv6Addr};

use holdfast::bmp::{self, Message, PeerUp, Stat, Tlv};

#[test]
fn peer_up_has_addresses_opens_and_tlvs() {
    let (sent, received) = (encoder::open(1, &[(2, vec![])], false), encoder::open(2, &[], true));
    let tlvs = [encoder::tlv(3, b"blue"), encoder::tlv(0, b"free")].concat();
    let message = encoder::peer_up(&encoder::peer_v4(), &sent, &received, &tlvs);
    let Ok(Message::PeerUp(PeerUp {
        peer,
        local_address,
        local_port,
        remote_port,
        sent_open,
        received_open,
        tlvs,
        trailer,
    })) = bmp::decode(&message)
    else {
        panic!("no Peer Up")
    };
    assert_eq!((peer.asn, peer.timestamp_us), (4_200_000_000, 1_700_000_000_000_005));
    assert_eq!((local_address, local_port, remote_port), (IpAddr::from([192, 0, 2, 1]), 179, 40_000));
    assert_eq!((sent_open, received_open), (sent.as_slice(), received.as_slice()));
    assert_eq!(tlvs, [Tlv { kind: 3, value: b"blue" }, Tlv { kind: 0, value: b"free" }]);
    assert!(trailer.is_empty());
}

#[test]
fn damage_after_the_opens_of_a_peer_up_keeps_the_opens() {
    let open = encoder::open(1, &[], false);
    let damaged = [&encoder::tlv(3, b"blue")[..], &[0, 0, 0, 9, 1]].concat();
    let message = encoder::peer_up(&encoder::peer_v4(), &open, &open, &damaged);
    let Ok(Message::PeerUp(PeerUp { tlvs, trailer, .. })) = bmp::decode(&message) else {
        panic!("no Peer Up")
    };
    assert_eq!((tlvs.len(), trailer), (1, [0, 0, 0, 9, 1].as_slice()));
}

#[test]
fn the_local_address_is_of_the_family_of_the_peer() {
    let local = |peer: &[u8]| {
        let open = encoder::open(1, &[], false);
        match bmp::decode(&encoder::peer_up(peer, &open, &open, &[])) {
            Ok(Message::PeerUp(PeerUp { local_address, .. })) => local_address,
            other => panic!("{other:?}"),
        }
    };
    let v6 = IpAddr::V6(Ipv6Addr::from_bits(0xc000_0201));
    assert_eq!(local(&encoder::peer(0, 0x80, v6)), v6);
    assert_eq!(local(&encoder::peer(3, 0x80, IpAddr::from([0; 4]))), IpAddr::from([192, 0, 2, 1]));
}

#[test]
fn statistics_of_any_type_and_length_are_kept() {
    let stats = [(0, vec![0, 0, 0, 5]), (9, vec![0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 7]), (65_531, vec![1, 2, 3])];
    let message = encoder::statistics(&stats);
    let Ok(Message::StatisticsReport { stats: decoded, .. }) = bmp::decode(&message) else {
        panic!("refused")
    };
    let expected: Vec<_> = stats.iter().map(|(kind, value)| Stat { kind: *kind, value }).collect();
    assert_eq!(decoded, expected);
    let read: Vec<_> = decoded.iter().map(|stat| (stat.family(), stat.number())).collect();
    assert_eq!(read, [(None, Some(5)), (Some((1, 1)), Some(7)), (None, None)]);
}

#[test]
fn complete_statistics_are_kept_whatever_number_is_stated() {
    let two = [encoder::tlv(0, &[0, 0, 0, 5]), encoder::tlv(7, &[0, 0, 0, 0, 0, 0, 0, 6])].concat();
    for (stated, cut, whole) in [(0, 0, 2), (1, 0, 2), (2, 0, 2), (u32::MAX, 0, 2), (2, 1, 1), (2, 12, 1)] {
        for version in [3, 4] {
            let stats = [&stated.to_be_bytes()[..], &two[..two.len() - cut]].concat();
            let body = if version == 4 { encoder::tlv(1, &stats) } else { stats };
            let mut message = encoder::bmp(1, &[&encoder::peer_v4(), &body]);
            message[0] = version;
            let Ok(Message::StatisticsReport { stats, count, trailer, .. }) = bmp::decode(&message) else {
                panic!("refused")
            };
            assert_eq!((stats.len(), count), (whole, stated), "version {version}, {cut} bytes cut");
            assert_eq!((stats[0].kind, stats[0].number()), (0, Some(5)));
            let rest = if cut == 0 || cut == 12 { 0 } else { 12 - cut };
            assert_eq!(trailer.len(), rest, "version {version}, {cut} bytes cut");
        }
    }
}

#[test]
fn damage_behind_the_tlvs_of_any_message_keeps_them() {
    let tlvs = encoder::tlv(2, b"r1");
    let expected = vec![Tlv { kind: 2, value: b"r1" }];
    for damage in [&[7][..], &[0, 1, 0], &[0, 1, 0, 9, 1]] {
        let bytes = [&tlvs[..], damage].concat();
        for kind in [4, 5, 6] {
            let peer = if kind == 6 { encoder::peer_v4() } else { Vec::new() };
            let message = encoder::bmp(kind, &[&peer, &bytes]);
            let (decoded, trailer) = match bmp::decode(&message) {
                Ok(Message::Initiation { tlvs, trailer } | Message::Termination { tlvs, trailer }) => {
                    (tlvs, trailer)
                }
                Ok(Message::RouteMirroring { tlvs, trailer, .. }) => (tlvs, trailer),
                other => panic!("{other:?}"),
            };
            assert_eq!((decoded, trailer), (expected.clone(), damage));
        }
    }
}

#[test]
fn an_open_that_cannot_be_delimited_does_not_hide_the_other() {
    let (sent, received) = (encoder::open(1, &[], false), encoder::open(2, &[], false));
    // The length of the sent OPEN is too small, or that of a BGP message too long for the message.
    for length in [[0, 18], [0xff, 0xff]] {
        let mut damaged = sent.clone();
        damaged[16..18].copy_from_slice(&length);
        let message = encoder::peer_up(&encoder::peer_v4(), &damaged, &received, &encoder::tlv(0, b"x"));
        let Ok(Message::PeerUp(PeerUp { sent_open, received_open, tlvs, trailer, .. })) =
            bmp::decode(&message)
        else {
            panic!("no Peer Up")
        };
        assert_eq!((sent_open, received_open), (damaged.as_slice(), received.as_slice()));
        assert_eq!((tlvs.len(), trailer.len()), (0, 5));
    }
    // The received OPEN is missing, or cut.
    for kept in [0, 7, 20] {
        let message = encoder::peer_up(&encoder::peer_v4(), &sent, &received[..kept], &[]);
        let Ok(Message::PeerUp(PeerUp { sent_open, received_open, .. })) = bmp::decode(&message) else {
            panic!("no Peer Up")
        };
        assert_eq!((sent_open, received_open), (sent.as_slice(), &received[..kept]));
    }
}

#[test]
fn an_update_that_cannot_be_delimited_is_kept_whole() {
    let update = encoder::update(&[], &[], &[24, 10, 1, 2]);
    for length in [[0, 18], [0, 0], [0xff, 0xff]] {
        let mut damaged = update.clone();
        damaged[16..18].copy_from_slice(&length);
        let message = encoder::bmp(0, &[&encoder::peer_v4(), &damaged]);
        let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else { panic!() };
        assert_eq!((pdu, trailer.len()), (damaged.as_slice(), 0));
        assert!(holdfast::bgp::split(pdu).is_err());
    }
}

#[test]
fn initiation_and_termination_have_tlvs() {
    let tlvs = [encoder::tlv(2, b"r1"), encoder::tlv(1, b"router")].concat();
    let expected = vec![Tlv { kind: 2, value: b"r1" }, Tlv { kind: 1, value: b"router" }];
    assert_eq!(
        bmp::decode(&encoder::bmp(4, &[&tlvs])),
        Ok(Message::Initiation { tlvs: expected.clone(), trailer: &[] })
    );
    assert_eq!(
        bmp::decode(&encoder::bmp(5, &[&tlvs])),
        Ok(Message::Termination { tlvs: expected, trailer: &[] })
    );
}

#[test]
fn a_bgp_message_that_is_only_a_header_is_one() {
    let message = encoder::bmp(0, &[&encoder::peer_v4(), &encoder::bgp(4, &[])]);
    let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else { panic!() };
    assert_eq!((pdu.len(), trailer.len()), (19, 0));
}

#[test]
fn an_error_in_a_field_names_its_cause() {
    let cause = |error: &dyn std::error::Error| error.source().map(ToString::to_string);
    let error = bmp::decode(&encoder::bmp(0, &[&[0; 9]])).unwrap_err();
    assert_eq!(cause(&error), Some("per-peer header at byte 6: expected 42 bytes, found 9".to_owned()));
    let error = holdfast::bgp::split(&encoder::bgp(2, &[0])).unwrap_err();
    assert_eq!(
        cause(&error),
        Some("withdrawn routes length at byte 19: expected 2 bytes, found 1".to_owned())
    );
    assert_eq!(cause(&holdfast::bgp::split(&encoder::bgp(4, &[])).unwrap_err()), None);
}

#[test]
fn a_message_cut_anywhere_is_refused_or_keeps_only_what_is_whole() {
    let open = encoder::open(1, &[], false);
    let pdu = encoder::update(&[], &[], &[]);
    for whole in [
        encoder::bmp(0, &[&encoder::peer_v4(), &pdu]),
        encoder::statistics(&[(0, vec![0; 4])]),
        encoder::peer_up(&encoder::peer_v4(), &open, &open, &[]),
        encoder::bmp(6, &[&encoder::peer_v4(), &encoder::tlv(0, &pdu)]),
    ] {
        for length in 0..whole.len() {
            assert!(bmp::decode(&whole[..length]).is_err(), "cut, its header says more");
            if length >= 6 && length != 48 {
                let mut shorter = whole[..length].to_vec();
                shorter[1..5].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
                let is_whole = match bmp::decode(&shorter) {
                    Err(_) => false,
                    Ok(Message::RouteMonitoring { pdu, .. }) => holdfast::bgp::split(pdu).is_ok(),
                    Ok(Message::StatisticsReport { stats, count, .. }) => {
                        assert_eq!(count, 1);
                        !stats.is_empty()
                    }
                    Ok(Message::PeerUp(PeerUp { sent_open, received_open, .. })) => {
                        [sent_open, received_open].into_iter().all(|open| holdfast::bgp::open(open).is_ok())
                    }
                    Ok(Message::RouteMirroring { tlvs, .. }) => !tlvs.is_empty(),
                    other => panic!("{other:?}"),
                };
                assert!(!is_whole, "type {} cut to {length}", whole[5]);
            }
        }
    }
}

#[test]
fn a_bgp_message_of_a_header_alone_is_cut_by_its_length() {
    let keepalive = [&[0xff; 16][..], &[0, 19, 4]].concat();
    let message = encoder::bmp(0, &[&encoder::peer_v4(), &keepalive, &[1, 2]]);
    let Ok(Message::RouteMonitoring { pdu, trailer, .. }) = bmp::decode(&message) else {
        panic!("no Route Monitoring")
    };
    assert_eq!((pdu, trailer), (keepalive.as_slice(), &[1, 2][..]));
}
