//! UPDATE messages: fields, End-of-RIB, routes at their limits, and refused messages.

use crate::common::encoder;
use holdfast::bgp::{self, Encoding, Error};
use holdfast::route::{Family, Nlri};
use holdfast::wire;

#[test]
fn an_update_without_routes_is_the_end_of_a_rib() {
    let end = |withdrawn: &[u8], section: &[u8], nlri: &[u8]| {
        bgp::split(&encoder::update(withdrawn, section, nlri)).unwrap().end_of_rib()
    };
    let med = encoder::attribute(0x80, 4, &[0; 4]);
    let unreach = encoder::mp_unreach(Family::EVPN, &[]);
    assert_eq!(end(&[], &[], &[]), Some(Family::IPV4_UNICAST));
    assert_eq!(end(&[], &unreach, &[]), Some(Family::EVPN));
    assert_eq!(
        end(&[], &encoder::mp_unreach(Family { afi: 1, safi: 128 }, &[]), &[]),
        Some(Family { afi: 1, safi: 128 })
    );
    for (withdrawn, section, nlri) in [
        ([8, 10].as_slice(), &[][..], [].as_slice()),
        (&[], &[], &[8, 10]),
        (&[8, 10], &unreach, &[]),
        (&[], &unreach, &[8, 10]),
        (&[], &med, &[]),
        (&[], &[&unreach[..], &med].concat(), &[]),
        (&[], &encoder::mp_unreach(Family::EVPN, &[0]), &[]),
        (&[], &encoder::mp_reach(Family::IPV6_UNICAST, &[], &[]), &[]),
        (&[], &[0x50], &[]),
    ] {
        assert_eq!(end(withdrawn, section, nlri), None, "{withdrawn:?} {section:?} {nlri:?}");
    }
}

#[test]
fn a_message_other_than_update_is_reported_with_its_type() {
    for kind in [0, 1, 3, 4, 5, 9, 255] {
        assert_eq!(bgp::split(&encoder::bgp(kind, &[])).unwrap_err(), Error::NotUpdate { kind });
    }
}

#[test]
fn a_wrong_header_is_refused() {
    let good = encoder::update(&[], &[], &[8, 10]);
    let mut marker = good.clone();
    marker[15] = 0xfe;
    assert_eq!(bgp::split(&marker).unwrap_err(), Error::InvalidMarker);
    let longer = [&good[..], &[0]].concat();
    assert_eq!(bgp::split(&longer).unwrap_err(), Error::LengthMismatch { stated: 25, available: 26 });
    assert_eq!(bgp::split(&good[..24]).unwrap_err(), Error::LengthMismatch { stated: 25, available: 24 });
    let error = wire::Error { what: "BGP message header", offset: 0, needed: 19, available: 18 };
    assert_eq!(bgp::split(&good[..18]).unwrap_err(), Error::Wire(error));
}

#[test]
fn a_field_past_the_message_is_refused_with_its_offset() {
    for (body, what, offset, needed, available) in [
        ([0].as_slice(), "withdrawn routes length", 19, 2, 1),
        (&[0, 3, 8, 10], "withdrawn routes", 21, 3, 2),
        (&[0, 2, 8, 10, 0], "total path attribute length", 23, 2, 1),
        (&[0, 0, 0, 1], "path attributes", 23, 1, 0),
        (&[0, 0, 0, 5, 0x80, 14, 2, 0, 1], "AFI and SAFI", 26, 3, 2),
        (&[0, 0, 0, 8, 0x80, 14, 5, 0, 1, 1, 2, 9], "MP_REACH_NLRI next hop", 30, 2, 1),
        (&[0, 0, 0, 8, 0x80, 14, 5, 0, 1, 1, 1, 9], "MP_REACH_NLRI reserved octet", 31, 1, 0),
        (&[0, 0, 0, 5, 0x80, 15, 2, 0, 1], "AFI and SAFI", 26, 3, 2),
    ] {
        let expected = wire::Error { what, offset, needed, available };
        assert_eq!(bgp::split(&encoder::bgp(2, body)).unwrap_err(), Error::Wire(expected));
    }
}

/// The routes of an NLRI field, then its error if there is one.
fn field(family: Family, bytes: &[u8], add_path: bool) -> (usize, Option<String>) {
    let mut good = 0;
    for entry in bgp::nlri(family, bytes, Encoding { add_path, ..Encoding::PLAIN }, false) {
        match entry {
            Ok(_) => good += 1,
            Err(error) => return (good, Some(error.to_string())),
        }
    }
    (good, None)
}

#[test]
fn an_impossible_route_ends_its_field_with_its_offset() {
    let v6 = Family::IPV6_UNICAST;
    for (family, bytes, add_path, good, error) in [
        (
            Family::IPV4_UNICAST,
            [8, 10, 33, 1, 2, 3, 4, 5].as_slice(),
            false,
            1,
            "IPv4 prefix at byte 2: invalid length of 33 bits",
        ),
        (Family::IPV4_MULTICAST, &[255], false, 0, "IPv4 prefix at byte 0: invalid length of 255 bits"),
        (v6, &[129; 20], false, 0, "IPv6 prefix at byte 0: invalid length of 129 bits"),
        (v6, &[0, 24, 10], false, 1, "prefix at byte 2: expected 3 bytes, found 1"),
        (v6, &[0, 0, 0, 1], true, 0, "prefix length at byte 4: expected 1 byte, found 0"),
        (v6, &[0, 0, 0], true, 0, "path identifier at byte 0: expected 4 bytes, found 3"),
        (Family::EVPN, &[2], false, 0, "EVPN route type and length at byte 0: expected 2 bytes, found 1"),
        (Family::EVPN, &[12, 0, 12, 4, 1], false, 1, "EVPN route at byte 4: expected 4 bytes, found 1"),
        (Family::EVPN, &[2, 0, 2, 0], false, 0, "EVPN route of type 2 at byte 0: invalid length of 0 bytes"),
    ] {
        assert_eq!(field(family, bytes, add_path), (good, Some(error.to_owned())), "{bytes:?}");
    }
}

#[test]
fn lengths_inside_an_evpn_route_are_checked() {
    let head = [&[0; 22][..]].concat();
    let wrong_mac = [&[2, 33][..], &head, &[40], &[0; 10]].concat();
    assert_eq!(
        field(Family::EVPN, &wrong_mac, false).1.unwrap(),
        "EVPN MAC address at byte 24: invalid length of 40 bits"
    );
    let wrong_ip = [&[2, 33][..], &head, &[48], &[0; 6], &[33], &[0; 3]].concat();
    assert_eq!(
        field(Family::EVPN, &wrong_ip, false).1.unwrap(),
        "EVPN IP address at byte 31: invalid length of 33 bits"
    );
    let no_originator = [&[3, 13][..], &[0; 12], &[0]].concat();
    assert_eq!(
        field(Family::EVPN, &no_originator, false).1.unwrap(),
        "EVPN IP address at byte 14: invalid length of 0 bits"
    );
    for (length, bits) in [(34, 33), (58, 129)] {
        let mut wrong_prefix = vec![0; 2 + usize::from(length)];
        (wrong_prefix[0], wrong_prefix[1], wrong_prefix[24]) = (5, length, bits);
        let error = format!("EVPN prefix at byte 24: invalid length of {bits} bits");
        assert_eq!(field(Family::EVPN, &wrong_prefix, false).1.unwrap(), error);
    }
}

#[test]
fn prefixes_of_every_length_are_read() {
    for length in 0..=32_u8 {
        let bytes = [&[length][..], &[0xff; 4][..usize::from(length).div_ceil(8)]].concat();
        let entry = bgp::nlri(Family::IPV4_UNICAST, &bytes, Encoding::PLAIN, false).next().unwrap().unwrap();
        let Nlri::Prefix(prefix) = entry.nlri else { panic!("no prefix") };
        assert_eq!(encoder::prefix(&prefix).len(), bytes.len());
        assert_eq!(prefix, holdfast::route::Prefix::v4(u32::MAX, length).unwrap());
    }
    for length in 0..=128_u8 {
        let bytes = [&[length][..], &[0xff; 16][..usize::from(length).div_ceil(8)]].concat();
        let entry = bgp::nlri(Family::IPV6_UNICAST, &bytes, Encoding::PLAIN, false).next().unwrap().unwrap();
        assert_eq!(entry.nlri, Nlri::Prefix(holdfast::route::Prefix::v6(u128::MAX, length).unwrap()));
    }
}

#[test]
fn a_family_without_a_decoder_is_kept_raw_as_one() {
    let family = Family { afi: 1, safi: 200 };
    let entries: Vec<_> =
        bgp::nlri(family, &[1, 2, 3], Encoding::ADD_PATH, false).map(Result::unwrap).collect();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].path_id, &entries[0].nlri), (0, &Nlri::Raw([1, 2, 3].into())));
    assert_eq!(bgp::nlri(family, &[], Encoding::PLAIN, false).count(), 0);
}

#[test]
fn an_update_may_have_65535_bytes() {
    // The header has 19 bytes, the two length fields 4 and ORIGIN 4; the rest are routes of four bytes each.
    let routes: Vec<u8> = (0..16_377_u16)
        .flat_map(|number| {
            let [a, b] = number.to_be_bytes();
            [24, 10, a, b]
        })
        .collect();
    let attributes = encoder::attribute(0x40, 1, &[0]);
    let pdu = encoder::update(&[], &attributes, &routes);
    assert_eq!(pdu.len(), 65_535);
    assert_eq!(field(Family::IPV4_UNICAST, bgp::split(&pdu).unwrap().nlri, false), (16_377, None));
}
