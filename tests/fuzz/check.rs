//! Invariants of every result of the decoder.

use holdfast::bgp::{self, AttributeOutcome, Direction, Encoding};
use holdfast::bmp::{self, Message, PeerUp, Tlv};
use holdfast::listener::proxy::{self, Header, Progress};
use holdfast::route::{Attributes, Family, Nlri};

use crate::common::encoder;
use crate::generate;
use crate::mutate::Rng;

/// False for families whose NLRI have two encodings: the lengths of flow specifications and of MDT routes,
/// and the optional label of multicast VPN prefixes.
const fn is_canonical(family: Family) -> bool {
    !matches!(family.safi, 66 | 129 | 133 | 134)
}

/// Corrects the BMP length, so that damaged messages pass the header check.
pub(crate) fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    if let Some(field) = bytes.get_mut(1..5) {
        field.copy_from_slice(&length);
    }
    bytes
}

/// Corrects the BGP marker and length.
pub(crate) fn with_pdu_length(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(header) = bytes.get_mut(..18) {
        header[..16].fill(0xff);
        header[16..].copy_from_slice(&length);
    }
    bytes
}

/// Whether `part` is a subslice of `whole` in memory, not a copy.
fn is_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.is_empty() || (whole.start <= part.start && part.end <= whole.end)
}

pub(crate) fn framing(stream: &[u8], arrived: usize) {
    let mut rest = stream;
    while let Ok(Some(message)) = bmp::frame(rest) {
        assert!(is_within(message, rest) && message.len() >= bmp::HEADER_BYTES);
        assert!(rest.starts_with(message));
        rest = &rest[message.len()..];
    }
    // A prefix of the stream gives the same result as the whole, or none yet.
    match (bmp::frame(&stream[..arrived]), bmp::frame(stream)) {
        (Ok(None), _) => {}
        (part, whole) => assert_eq!(part, whole),
    }
    if let Ok(Some(message)) = bmp::frame(stream) {
        assert_eq!(bmp::frame(&stream[..message.len() - 1]), Ok(None));
    }
}

pub(crate) fn bmp(message: &[u8]) {
    let within = |part: &[u8]| assert!(is_within(part, message));
    let check_tlvs = |tlvs: &[Tlv<'_>]| {
        assert!(tlvs.len() * 4 <= message.len());
        tlvs.iter().for_each(|tlv| within(tlv.value));
    };
    match bmp::decode(message) {
        Err(bmp::Error::Wire(error)) => {
            assert!(error.offset <= message.len());
            assert!(error.needed > error.available || error.needed == 0 || error.what == "BMP message");
        }
        Err(bmp::Error::Frame(_)) => {}
        Ok(Message::RouteMonitoring { pdu, trailer, tlvs, .. }) => {
            within(pdu);
            tlvs.iter().for_each(|tlv| within(tlv.value));
            let values: usize = tlvs.iter().map(|tlv| tlv.value.len()).sum();
            let parts = 6 + 42 + values + pdu.len() + trailer.len();
            if message[0] == 4 {
                // Each part has a TLV header, unless there is no BGP message or damage behind it.
                assert!(parts <= message.len());
            } else {
                assert_eq!(parts, message.len());
            }
            update(pdu);
        }
        Ok(Message::StatisticsReport { stats, tlvs, trailer, .. }) => {
            assert!((stats.len() + tlvs.len()) * 4 <= message.len());
            check_tlvs(&tlvs);
            stats.iter().for_each(|stat| within(stat.value));
            within(trailer);
        }
        Ok(Message::PeerDown { data, tlvs, trailer, .. }) => {
            assert_eq!(6 + 42 + 1 + data.len(), message.len());
            check_tlvs(&tlvs);
            let tlv_bytes: usize = tlvs.iter().map(|tlv| 4 + tlv.value.len()).sum();
            assert!(tlv_bytes + trailer.len() <= data.len());
        }
        Ok(Message::PeerUp(PeerUp { sent_open, received_open, tlvs, trailer, .. })) => {
            check_tlvs(&tlvs);
            let tlv_bytes: usize = tlvs.iter().map(|tlv| 4 + tlv.value.len()).sum();
            let parts = [sent_open.len(), received_open.len(), tlv_bytes, trailer.len()];
            assert_eq!(6 + 42 + 20 + parts.iter().sum::<usize>(), message.len());
            if let (Ok(sent), Ok(received)) = (bgp::open(sent_open), bgp::open(received_open)) {
                negotiation(&sent, &received);
            }
        }
        Ok(
            Message::Initiation { tlvs, trailer }
            | Message::Termination { tlvs, trailer }
            | Message::RouteMirroring { tlvs, trailer, .. },
        ) => {
            check_tlvs(&tlvs);
            within(trailer);
        }
        Ok(Message::Unknown { body, .. }) => assert_eq!(body, &message[6..]),
    }
}

/// Checks that the negotiation is symmetric: the send side equals the receive side of the other OPEN.
fn negotiation(sent: &bgp::Open, received: &bgp::Open) {
    let incoming = bgp::negotiate(sent, received, Direction::In);
    assert_eq!(incoming, bgp::negotiate(received, sent, Direction::Out));
    let local = bgp::negotiate(sent, received, Direction::Local);
    assert!(incoming.add_path.iter().all(|family| local.add_path.contains(family)));
}

pub(crate) fn open(pdu: &[u8]) {
    match bgp::open(pdu) {
        Ok(open) => {
            assert!(open.capabilities.len() * 2 <= pdu.len());
            assert!(open.add_path().count() * 4 <= pdu.len());
            assert!(!open.families().is_empty());
            negotiation(&open, &open);
        }
        Err(bgp::Error::Wire(error)) => assert!(error.offset <= pdu.len()),
        Err(_) => {}
    }
}

pub(crate) fn update(pdu: &[u8]) {
    let update = match bgp::split(pdu) {
        Ok(update) => update,
        Err(bgp::Error::Wire(error)) => return assert!(error.offset <= pdu.len()),
        Err(bgp::Error::DuplicateAttribute { offset, .. }) => return assert!(offset < pdu.len()),
        Err(_) => return,
    };
    let (reach, unreach) = (update.mp_reach, update.mp_unreach);
    let fields = [
        Some((Family::IPV4_UNICAST, update.withdrawn)),
        Some((Family::IPV4_UNICAST, update.nlri)),
        reach.map(|reach| (reach.family, reach.nlri)),
        unreach.map(|unreach| (unreach.family, unreach.nlri)),
    ];
    for (family, bytes) in fields.into_iter().flatten() {
        assert!(is_within(bytes, pdu));
        nlri(family, bytes, false);
        nlri(family, bytes, true);
    }
    for attribute in &update.attributes {
        assert!(is_within(attribute.value, pdu));
        assert!(attribute.offset + 3 + attribute.value.len() <= pdu.len());
        assert!(![14, 15].contains(&attribute.code));
    }
    let mut key = Vec::new();
    update.key(&mut key);
    assert!(key.len() <= pdu.len());
    assert!(update.has_key(&key) && !update.has_key(&[key.as_slice(), &[0]].concat()));
    assert!((0..key.len()).all(|length| !update.has_key(&key[..length])));
    if update.end_of_rib().is_some() {
        assert!(update.withdrawn.is_empty() && update.nlri.is_empty() && reach.is_none());
        assert_eq!(key, [0, 0]);
    }
    for four_octet_as in [false, true] {
        let (set, verdict) = bgp::attributes(&update, four_octet_as);
        attributes(&set, &verdict, pdu.len());
        assert!(update.malformed.is_none() || matches!(verdict, AttributeOutcome::TreatAsWithdraw(_)));
        if !bgp::as_path_width_fits(&update, four_octet_as) {
            assert_eq!(set.as_path, None);
            assert!(matches!(verdict, AttributeOutcome::TreatAsWithdraw(_)));
        }
    }
}

/// Checks that memory is bounded by the input length, and that the parts are consistent.
fn attributes(set: &Attributes, verdict: &AttributeOutcome, pdu_bytes: usize) {
    let path = set.as_path.iter();
    let path_bytes: usize = path.map(|path| path.segments.len() * 2 + path.asns.len() * 2).sum();
    let rows =
        set.communities.len() * 4 + set.extended_communities.len() * 8 + set.large_communities.len() * 12;
    let raw: usize = set.raw.iter().map(|raw| 3 + raw.value.len()).sum();
    // AS4_PATH replaces two octets by at most four of its own.
    assert!(path_bytes + rows + raw + set.cluster_list.len() * 4 <= 2 * pdu_bytes);
    if let Some(path) = &set.as_path {
        let counted: usize = path.segments.iter().map(|segment| usize::from(segment.count)).sum();
        assert_eq!(counted, path.asns.len());
        assert!(path.segments.iter().all(|segment| segment.count > 0));
    }
    assert!(set.origin.is_none_or(|origin| origin <= 2));
    match verdict {
        AttributeOutcome::Accepted => assert!(set.discarded.is_empty()),
        AttributeOutcome::Discarded => assert!(!set.discarded.is_empty()),
        AttributeOutcome::TreatAsWithdraw(reason) => assert!(!reason.is_empty()),
    }
}

pub(crate) fn nlri(family: Family, bytes: &[u8], add_path: bool) {
    let encoding = Encoding { add_path, multiple_labels: true };
    let mut entries = Vec::new();
    let mut error = None;
    for entry in bgp::nlri(family, bytes, encoding, false) {
        assert_eq!(error, None, "an error ends the field");
        match entry {
            Ok(entry) => entries.push(entry),
            Err(other) => error = Some(other),
        }
        assert!(entries.len() <= bytes.len(), "the iterator ends");
    }
    // A family that is not decoded is one entry without a path identifier.
    let written = encoder::nlri(&entries, add_path && generate::is_decoded(family));
    match error {
        None if !is_canonical(family) => assert!(written.len() <= bytes.len()),
        None => assert_eq!(written.len(), bytes.len()),
        Some(bgp::Error::Wire(error)) => {
            // Too few bytes, or bytes after the expected end.
            assert!(error.offset <= bytes.len() && (error.needed > error.available || error.needed == 0));
        }
        Some(
            bgp::Error::InvalidBitLength { offset, .. }
            | bgp::Error::OutOfOrder { offset, .. }
            | bgp::Error::EvpnLength { offset, .. },
        ) => {
            assert!(offset < bytes.len() && offset >= written.len());
        }
        Some(other) => panic!("{other} is no error of a field of routes"),
    }
    for entry in &entries {
        let fields = entry.nlri.columns();
        assert!(fields.raw.is_some() || fields.prefix.is_some() || entry.nlri.text().is_some());
    }
    // Host bits and reserved bits may have been cleared; nothing else differs from what was read.
    let has_prefixes = entries.iter().any(|entry| !matches!(entry.nlri, Nlri::Raw(_)));
    for (written, read) in written.iter().zip(bytes).filter(|_| is_canonical(family)) {
        assert_eq!(written & read, *written);
        assert!(has_prefixes || written == read);
    }
    // The re-encoded bytes decode to the same routes.
    let again: Vec<_> = bgp::nlri(family, &written, encoding, false).map(|entry| entry.unwrap()).collect();
    assert_eq!(again, entries);
}

/// A header is whole or incomplete, whatever follows it, and its beginnings are incomplete.
pub(crate) fn proxy(bytes: &[u8], rng: &mut Rng) {
    match proxy::parse(bytes) {
        Ok(Progress::Complete { header, bytes: length }) => {
            let part = &bytes[..length];
            assert_eq!(proxy::parse(part), Ok(Progress::Complete { header, bytes: length }));
            let beginning = proxy::parse(&part[..rng.below(length)]);
            assert!(matches!(beginning, Ok(Progress::Incomplete(_))), "{beginning:?}");
            if let Header::Source(source) = header {
                assert_eq!(source.ip(), source.ip().to_canonical());
            }
        }
        Ok(Progress::Incomplete(wanted)) => {
            assert!(wanted > bytes.len() && wanted <= proxy::HEADER_BYTES_MAX);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
