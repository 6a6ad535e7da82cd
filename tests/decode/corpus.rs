//! The decoder against recorded byte streams of real routers and their independent decodes.
//!
//! The recordings are not part of the repository; without them these tests print SKIPPED and check nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast::bgp::{self, AttributeOutcome, Direction, Encoding, Negotiated, Open, Update};
use holdfast::bmp::{self, Message, PeerHeader, PeerUp};
use holdfast::route::{Attributes, Family, Nlri, large_community_text};
use serde_json::Value;

const DECODED: [Family; 3] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST, Family::EVPN];

/// Every NLRI encoding that two OPENs can negotiate.
const ENCODINGS: [Encoding; 4] = [
    Encoding::PLAIN,
    Encoding::ADD_PATH,
    Encoding { add_path: false, multiple_labels: true },
    Encoding { add_path: true, multiple_labels: true },
];

/// A folder of the corpus, or `None` after a printed SKIPPED.
fn corpus(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIPPED: no corpus at {}", path.display());
    None
}

/// The files of a folder with this ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|other| other == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "no *.{ending} in {}", folder.display());
    files
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The messages of a stream, and their total length in bytes.
fn messages(stream: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut messages, mut rest) = (Vec::new(), stream);
    while let Ok(Some(message)) = bmp::frame(rest) {
        messages.push(message);
        rest = &rest[message.len()..];
    }
    (messages, stream.len() - rest.len())
}

#[test]
fn recorded_streams_frame_and_decode_with_the_counts_of_other_decoders() {
    let Some(folder) = corpus("streams") else { return };
    for path in files(&folder, "bmp") {
        let (stream, expected) = (fs::read(&path).unwrap(), json(&path.with_extension("json")));
        let (messages, framed) = messages(&stream);
        assert_eq!(Value::from(framed), expected["framed_bytes"], "{}", path.display());
        assert!(bmp::frame(&stream[framed..]).is_ok(), "{}", path.display());
        let mut types: BTreeMap<String, u64> = BTreeMap::new();
        for message in messages {
            *types.entry(format!("v3:{}", message[5])).or_default() += 1;
            let decoded = bmp::decode(message).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(matches!(decoded, Message::Unknown { .. }), message[5] > 6);
        }
        assert_eq!(serde_json::to_value(&types).unwrap(), expected["message_types"], "{}", path.display());
    }
}

/// The part of a session that is needed to decode routes: the OPENs of each peer.
#[derive(Default)]
struct Session {
    opens: HashMap<(u8, u64, IpAddr), (Open, Open)>,
}

impl Session {
    fn peer_up(&mut self, peer: &PeerHeader, sent: &[u8], received: &[u8]) {
        let opens = (bgp::open(sent).unwrap(), bgp::open(received).unwrap());
        self.opens.insert((peer.peer_type, peer.distinguisher, peer.address), opens);
    }

    fn negotiated(&self, peer: &PeerHeader) -> Negotiated {
        let direction = match (peer.is_loc_rib(), peer.is_adj_rib_out()) {
            (true, _) => Direction::Local,
            (_, true) => Direction::Out,
            _ => Direction::In,
        };
        let opens = self.opens.get(&(peer.peer_type, peer.distinguisher, peer.address));
        let mut negotiated = match opens {
            Some((sent, received)) => bgp::negotiate(sent, received, direction),
            None => Negotiated::default(),
        };
        // The A flag describes the encoding of the messages (RFC 7854 section 4.2), the OPENs that of the
        // monitored session.
        if !peer.is_loc_rib() {
            negotiated.four_octet_as = !peer.is_two_octet_as();
        }
        negotiated
    }
}

/// One line per route of the decoded families, sorted: a multiset.
fn routes(update: &Update<'_>, negotiated: &Negotiated) -> Vec<String> {
    let v4 = Family::IPV4_UNICAST;
    let fields = [
        ("withdraw", Some((v4, update.withdrawn))),
        ("announce", Some((v4, update.nlri))),
        ("withdraw", update.mp_unreach.map(|mp| (mp.family, mp.nlri))),
        ("announce", update.mp_reach.map(|mp| (mp.family, mp.nlri))),
    ];
    let mut lines = Vec::new();
    for (action, (family, bytes)) in fields.into_iter().filter_map(|(action, field)| Some((action, field?))) {
        if !DECODED.contains(&family) {
            continue;
        }
        let encoding = negotiated.encoding(family);
        for entry in bgp::nlri(family, bytes, encoding, action == "withdraw") {
            let entry = entry.unwrap();
            let path_id = if encoding.add_path { entry.path_id.to_string() } else { "-".to_owned() };
            let route = match entry.nlri {
                Nlri::Prefix(prefix) => prefix.to_string(),
                Nlri::Evpn(route) => format!("type {} rd {}", route.route_type(), route.rd().unwrap()),
                other => panic!("{other:?}"),
            };
            lines.push(format!("{action} {}/{} {path_id} {route}", family.afi, family.safi));
        }
    }
    lines.sort();
    lines
}

/// The same lines from the output of the other decoder.
fn expected_routes(lines: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_decoded = |line: &&Value| {
        DECODED
            .iter()
            .any(|family| line["afi"] == u64::from(family.afi) && line["safi"] == u64::from(family.safi))
    };
    let mut routes: Vec<_> = lines
        .iter()
        .filter(is_decoded)
        .map(|line| {
            let route = match line.get("route_type") {
                Some(kind) => format!("type {kind} rd {}", text(&line["rd"])),
                None => text(&line["prefix"]),
            };
            let path_id = line["path_id"].as_u64().map_or_else(|| "-".to_owned(), |id| id.to_string());
            format!("{} {}/{} {path_id} {route}", text(&line["action"]), line["afi"], line["safi"])
        })
        .collect();
    routes.sort();
    routes
}

/// Compares both decodes of the attributes of an announcement.
fn check_attributes(decoded: &Attributes, expected: &Value, place: &str) {
    let origin = decoded.origin.map(|origin| ["IGP", "EGP", "Incomplete"][usize::from(origin)]);
    assert_eq!(expected["origin"].as_str(), origin, "{place}");
    let path = expected["as_path"].as_array().map(|segments| {
        let asns = segments.iter().flat_map(|segment| segment["asns"].as_array().unwrap());
        asns.map(|asn| u32::try_from(asn.as_u64().unwrap()).unwrap()).collect::<Vec<_>>()
    });
    let decoded_path = decoded.as_path.as_ref().map(|path| path.asns.clone());
    assert_eq!(path.unwrap_or_default(), decoded_path.unwrap_or_default(), "{place}");
    assert_eq!(expected["med"].as_u64(), decoded.med.map(u64::from), "{place}");
    assert_eq!(expected["local_pref"].as_u64(), decoded.local_pref.map(u64::from), "{place}");
    let next_hop = expected["next_hop"].as_str().map(|text| text.parse::<IpAddr>().unwrap());
    assert_eq!(next_hop, decoded.next_hop, "{place}");
    let row = |key: &str| expected[key].as_array().cloned().unwrap_or_default();
    let communities: Vec<_> = decoded.communities.iter().map(|community| Value::from(*community)).collect();
    assert_eq!(row("communities"), communities, "{place}");
    let large =
        decoded.large_communities.iter().map(|community| Value::from(large_community_text(*community)));
    assert_eq!(row("large_communities"), large.collect::<Vec<_>>(), "{place}");
    assert_eq!(row("ext_communities").len(), decoded.extended_communities.len(), "{place}");
}

/// Checks one UPDATE against the lines that another decoder has for it.
fn check_update(update: &Update<'_>, negotiated: &Negotiated, expected: &[Value], place: &str) {
    let end = expected.iter().find(|line| line["action"] == "eor").map(|line| &line["family"]);
    let family = update.end_of_rib().map(|family| serde_json::json!([family.afi, family.safi]));
    assert_eq!(end, family.as_ref(), "{place}");
    assert_eq!(routes(update, negotiated), expected_routes(expected), "{place}");
    let Some(announced) = expected.iter().find(|line| line["action"] == "announce") else { return };
    assert!(bgp::as_path_width_fits(update, negotiated.four_octet_as), "{place}");
    let (attributes, verdict) = bgp::attributes(update, negotiated.four_octet_as);
    assert_eq!(verdict, AttributeOutcome::Accepted, "{place}");
    check_attributes(&attributes, announced, place);
}

#[test]
fn routes_of_recorded_streams_are_those_of_another_decoder() {
    let Some(folder) = corpus("streams") else { return };
    let (mut compared, mut lines_compared) = (0, 0);
    for path in files(&folder, "bmp") {
        let routes = folder.join("../routes").join(path.with_extension("jsonl").file_name().unwrap());
        let mut expected: HashMap<u64, Vec<Value>> = HashMap::new();
        for line in fs::read_to_string(routes).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            expected.entry(line["msg_index"].as_u64().unwrap()).or_default().push(line);
        }
        let stream = fs::read(&path).unwrap();
        let mut session = Session::default();
        for (index, message) in (0..).zip(messages(&stream).0) {
            match bmp::decode(message).unwrap() {
                Message::PeerUp(PeerUp { peer, sent_open, received_open, .. }) => {
                    session.peer_up(&peer, sent_open, received_open);
                }
                Message::RouteMonitoring { peer, pdu, .. } => {
                    let lines = expected.remove(&index).unwrap_or_default();
                    let place = format!("{} message {index}", path.display());
                    check_update(&bgp::split(pdu).unwrap(), &session.negotiated(&peer), &lines, &place);
                    compared += 1;
                    lines_compared += lines.len();
                }
                _ => {}
            }
        }
        assert!(expected.is_empty(), "{}: routes in messages that are none", path.display());
    }
    println!("compared {compared} messages, {lines_compared} lines");
    assert!(lines_compared > 6000);
}

/// Decodes all parts of a message, with and without ADD-PATH, at both widths of AS numbers.
fn decode_all(message: &[u8]) -> usize {
    let Ok(Message::RouteMonitoring { pdu, .. }) = bmp::decode(message) else { return 0 };
    let Ok(update) = bgp::split(pdu) else { return 0 };
    let fields = [
        Some((Family::IPV4_UNICAST, update.withdrawn)),
        Some((Family::IPV4_UNICAST, update.nlri)),
        update.mp_reach.map(|mp| (mp.family, mp.nlri)),
        update.mp_unreach.map(|mp| (mp.family, mp.nlri)),
    ];
    let mut routes = 0;
    for (family, bytes) in fields.into_iter().flatten() {
        for encoding in ENCODINGS {
            let entries = bgp::nlri(family, bytes, encoding, false).count();
            assert!(entries <= bytes.len());
            routes += entries;
        }
    }
    for four_octet_as in [false, true] {
        let (attributes, _) = bgp::attributes(&update, four_octet_as);
        assert!(attributes.raw.len() <= pdu.len());
    }
    routes
}

#[test]
fn hostile_streams_end_or_go_on_but_never_panic_or_hang() {
    let Some(folder) = corpus("bad") else { return };
    let mut after_damage = 0;
    for path in files(&folder, "bmp") {
        let stream = fs::read(&path).unwrap();
        let (messages, framed) = messages(&stream);
        assert!(framed <= stream.len());
        let good_route = [24, 198, 51, 100];
        after_damage += usize::from(messages.last().is_some_and(|last| last.ends_with(&good_route)));
        let decoded: usize = messages.iter().map(|message| decode_all(message)).sum();
        println!("{}: {} messages, {decoded} routes", path.display(), messages.len());
        // Only a damaged common header ends a stream; damage inside a message ends that message.
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_header_damaged = name.starts_with("hdr-") || name == "issue-gobmp-221-version-241";
        assert_eq!(bmp::frame(&stream[framed..]).is_err(), is_header_damaged, "{name}");
    }
    assert!(after_damage > 10, "the good message behind the bad one is reached, {after_damage} times");
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

/// True when an OPEN, or an UPDATE with all of its routes and attributes, decodes without complaint.
fn decodes_well(pdu: &[u8]) -> bool {
    if pdu[18] == 1 {
        return bgp::open(pdu).is_ok();
    }
    let Ok(update) = bgp::split(pdu) else { return false };
    let v4 = Family::IPV4_UNICAST;
    let fields = [
        Some((v4, update.withdrawn)),
        Some((v4, update.nlri)),
        update.mp_reach.map(|mp| (mp.family, mp.nlri)),
        update.mp_unreach.map(|mp| (mp.family, mp.nlri)),
    ];
    // The vectors contain neither the negotiated capabilities nor the width of AS numbers.
    let fits = |encoding| {
        let mut entries = fields
            .into_iter()
            .flatten()
            .flat_map(|(family, bytes)| bgp::nlri(family, bytes, encoding, false));
        entries.all(|entry| entry.is_ok())
    };
    let is_good = |four_octet_as| bgp::attributes(&update, four_octet_as).1 == AttributeOutcome::Accepted;
    ENCODINGS.into_iter().any(fits) && (is_good(true) || is_good(false))
}

/// Vectors on which Holdfast disagrees with their authors, with the section of the RFC.
const ARGUED: [(&str, &str); 4] = [
    (
        "exabgp-conf-flow.ci-6",
        "an IPv6 source with offset 120 has a pattern of 8 bits, one octet, and not the whole address \
         (RFC 8956 section 3.1)",
    ),
    ("gobmp-flowspec-flowspec_nlri-82", "a prefix of 16 bits in one octet: its own test expects an error"),
    ("gobmp-vpls-vpls-539", "17 octets said, 15 there: its own test expects an error"),
    ("gobmp-vpls-vpls-551", "12 octets said, 10 there: its own test expects an error"),
];

/// Vectors whose NLRI are extended communities: they were wrapped into an UPDATE as NLRI by mistake.
const NO_ROUTES: &str = "gobmp-vpls-layer2_extcomm-";

#[test]
fn vectors_that_three_other_decoders_accept_are_accepted() {
    let Some(folder) = corpus("updates") else { return };
    let mut compared = 0;
    for path in files(&folder, "jsonl") {
        for line in fs::read_to_string(path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let Some(hex) = line["hex_message"].as_str() else { continue };
            let pdu = from_hex(hex);
            let verdicts = line["verdicts"].as_object().unwrap();
            let is_checked = matches!(pdu.get(18), Some(1 | 2))
                && line["expects_error"] != true
                && verdicts.values().all(|verdict| verdict == "ok");
            let id = line["id"].as_str().unwrap();
            if id.starts_with(NO_ROUTES) {
                decodes_well(&pdu);
            } else if ARGUED.iter().any(|(argued, _)| *argued == id) {
                assert!(!decodes_well(&pdu), "{id} is argued about and decodes");
            } else if is_checked {
                assert!(decodes_well(&pdu), "{id}");
                compared += 1;
            } else if pdu.len() > 18 {
                decodes_well(&pdu);
            }
        }
    }
    println!("compared {compared} messages");
    assert!(compared > 200);
}

/// A table, and the key of a route in it.
type Table = (IpAddr, &'static str, Family);

/// The tables at the end of a stream; a Peer Down empties those of its peer.
fn final_tables(stream: &[u8]) -> BTreeMap<(String, &'static str, Family), usize> {
    let mut tables: HashMap<Table, HashSet<Vec<u8>>> = HashMap::new();
    for message in messages(stream).0 {
        let (peer, pdu) = match bmp::decode(message).unwrap() {
            Message::RouteMonitoring { peer, pdu, .. } => (peer, pdu),
            Message::PeerDown { peer, .. } => {
                tables.retain(|(address, ..), _| *address != peer.address);
                continue;
            }
            _ => continue,
        };
        let view = match (peer.is_loc_rib(), peer.is_post_policy()) {
            (true, _) => "loc",
            (_, true) => "post",
            _ => "pre",
        };
        let update = bgp::split(pdu).unwrap();
        assert_eq!(bgp::attributes(&update, true).1, AttributeOutcome::Accepted);
        let v4 = Family::IPV4_UNICAST;
        for (announce, field) in [
            (false, Some((v4, update.withdrawn))),
            (true, Some((v4, update.nlri))),
            (false, update.mp_unreach.map(|mp| (mp.family, mp.nlri))),
            (true, update.mp_reach.map(|mp| (mp.family, mp.nlri))),
        ] {
            let Some((family, bytes)) = field else { continue };
            let table = tables.entry((peer.address, view, family)).or_default();
            for entry in bgp::nlri(family, bytes, Encoding::PLAIN, !announce) {
                let mut key = Vec::new();
                entry.unwrap().nlri.key(&mut key);
                if announce {
                    table.insert(key)
                } else {
                    table.remove(&key)
                };
            }
        }
    }
    let count = |((address, view, family), routes): (Table, HashSet<_>)| {
        (!routes.is_empty()).then(|| ((address.to_string(), view, family), routes.len()))
    };
    tables.into_iter().filter_map(count).collect()
}

/// The figures are those of the announcers' configuration, recorded with the capture.
#[test]
fn the_tables_after_the_frr_churn_are_those_of_its_announcers() {
    let Some(folder) = corpus("frr") else { return };
    let unpacked = Command::new("zstd").args(["-dcq"]).arg(folder.join("frr-churn.bmp.zst")).output();
    let Ok(unpacked) = unpacked else {
        println!("SKIPPED: no zstd command to unpack the capture");
        return;
    };
    assert!(unpacked.status.success() && bmp::frame(&unpacked.stdout).is_ok());
    let (a, b, router) = ("127.0.0.21", "127.0.0.22", "0.0.0.0");
    let (v4, v6, evpn) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST, Family::EVPN);
    let expected = [
        (a, "pre", v4, 5000),
        (a, "pre", v6, 2000),
        (a, "post", v4, 4999),
        (a, "post", v6, 2000),
        (b, "pre", v4, 200),
        (b, "pre", v6, 100),
        (b, "pre", evpn, 304),
        (b, "post", v4, 200),
        (b, "post", v6, 100),
        (b, "post", evpn, 304),
        (router, "loc", v4, 5199),
        (router, "loc", v6, 2100),
        (router, "loc", evpn, 304),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(peer, view, family, routes)| ((peer.to_owned(), view, family), routes))
        .collect();
    assert_eq!(final_tables(&unpacked.stdout), expected);
}
