//! The known disagreements between decoders, each with a verdict.

use crate::streams::Stream;
use crate::{Counts, Key};

/// Release series of tshark whose disagreements the table lists; another series decodes other messages differently.
pub(crate) const TSHARK_SERIES: &str = "4.4";

/// One kind of disagreement with one judge.
pub(crate) struct Disagreement {
    judge: &'static str,
    /// The stream; with `*` at its end, all whose names begin so.
    stream: &'static str,
    /// `only they refuse`, `only we refuse`, `routes FAMILY`, or the name of an attribute.
    kind: &'static str,
    messages: usize,
    /// Who is right, and by which sentence.
    verdict: &'static str,
}

impl Disagreement {
    fn is_of(&self, stream: &str) -> bool {
        match self.stream.strip_suffix('*') {
            Some(head) => stream.starts_with(head),
            None => stream == self.stream,
        }
    }

    fn covers(&self, (judge, stream, kind): &Key) -> bool {
        self.judge == *judge && self.kind == kind && self.is_of(stream)
    }
}

const fn line(
    judge: &'static str,
    stream: &'static str,
    kind: &'static str,
    messages: usize,
    verdict: &'static str,
) -> Disagreement {
    Disagreement { judge, stream, kind, messages, verdict }
}

const ONLY_WE: &str = "only we refuse";
const ONLY_THEY: &str = "only they refuse";

const PATH_ID: &str =
    "we: without ADD-PATH in the OPENs there are no path identifiers (RFC 7911 section 5); it guesses";
const EVIDENCE: &str = "we: the field parses only with path identifiers (RFC 7911 section 3), though no OPEN was there to \
                        agree on them; who made the vector meant them";
const WIDTH: &str = "we: the path fits only two-octet AS numbers, though the flag says four: RFC 7854 section 4.2 has the \
                     flag speak of the message, and a monitor keeps what can be read in one way only";
const WITHDRAW: &str = "we: treat-as-withdraw (RFC 7606 section 7); it announces";
const MARKER: &str = "we: the marker is all ones (RFC 4271 section 4.1)";
const FIRST: &str = "we: the first of two stands (RFC 7606 section 3.g)";

const OWN_NEXT_HOP: &str =
    "we: the routes of MP_REACH_NLRI go by its own next hop, whatever NEXT_HOP says (RFC 4760 section 3)";
const ATTR_SET: &str = "we: what is inside ATTR_SET belongs to the customer's route (RFC 6368 section 5); the script reads the \
                        innermost";

/// One line per kind of disagreement.
#[rustfmt::skip]
const TABLE: &[Disagreement] = &[
    // Our own captures.
    line("bgpkit", "gobgp/1", "routes ipv4_unicast", 2, PATH_ID),
    // Hostile streams.
    line("bgpkit", "gobgp-fuzz-*", ONLY_WE, 3, MARKER),
    line("netgauze", "issue-gobgp-2879-locrib-addpath", ONLY_THEY, 1, EVIDENCE),
    line("netgauze", "real-rm-trailing-tlv-8", ONLY_THEY, 1, EVIDENCE),
    line("bgpkit", "upd-ext-attr-65535-empty", ONLY_WE, 1, "we: the attribute runs past its section (RFC 7606 section 4) and hides what may be behind it"),
    line("bgpkit", "upd-cve-2023-38802-tunnel-encap-corrupt", ONLY_WE, 1, "we: treat-as-withdraw (RFC 9012 section 13)"),
    line("netgauze", "upd-cve-2023-38802-tunnel-encap-corrupt", ONLY_WE, 1, "we: treat-as-withdraw (RFC 9012 section 13)"),
    line("bgpkit", "unknown-peer-type", ONLY_THEY, 1, "we: RFC 7854 section 4.2 gives every peer type the same header; the route is stored under its type, which is part of the key"),
    line("netgauze", "unknown-peer-type", ONLY_THEY, 1, "we: as for bgpkit, RFC 7854 section 4.2"),
    line("bgpkit", "upd-aspath-*", ONLY_WE, 2, WITHDRAW),
    line("bgpkit", "upd-bgp-len-beyond-bmp", ONLY_WE, 1, "we: a PDU longer than what is there is no PDU (RFC 4271 section 4.1)"),
    line("bgpkit", "upd-dup-origin", "origin", 1, FIRST),
    line("netgauze", "upd-dup-origin", "origin", 1, FIRST),
    line("bgpkit", "upd-labels-no-bottom", "routes ipv4_labelled_unicast", 1, "we: the OPENs agreed on one label, whose bit S is to be ignored (RFC 8277 section 2.2)"),
    line("bgpkit", "upd-prefix-len-129-v6", ONLY_WE, 1, "we: a prefix of 129 bits (RFC 7606 section 5.3); that the field also parses with path identifiers, on which the OPENs did not agree, is chance"),
    line("bgpkit", "upd-nlri-truncated", ONLY_WE, 1, "we: a field of routes that does not parse is an error, not a part of a table (RFC 7606 section 5.3)"),
    line("bgpkit", "upd-origin-value-7", ONLY_WE, 1, "we: treat-as-withdraw (RFC 7606 section 7.1)"),
    line("bgpkit", "upd-otc-bad-length", ONLY_WE, 1, "we: treat-as-withdraw (RFC 9234 section 5)"),
    line("netgauze", "issue-libparsebgp-71-two-bgp-pdus", ONLY_THEY, 1, "we: the first PDU is the message (RFC 7854 section 4.6), what follows is a counted trailer"),
    line("tshark", "real-rm-trailing-tlv-8", ONLY_THEY, 1, EVIDENCE),
    line("tshark", "tcpdump-bgpsec_invalid_signature_block_length_pcap_1_0", "next_hop", 1, OWN_NEXT_HOP),
    line("tshark", "upd-aspath-seg-len-0", ONLY_WE, 1, "we: a segment without AS numbers is malformed (RFC 7606 section 7.2)"),
    line("tshark", "upd-bgp-len-beyond-bmp", ONLY_WE, 1, "we: a PDU longer than what is there is no PDU (RFC 4271 section 4.1)"),
    line("tshark", "upd-bgp-type-9", ONLY_WE, 1, "we: Route Monitoring holds UPDATEs (RFC 7854 section 4.6)"),
    line("tshark", "upd-dup-origin", "origin", 1, FIRST),
    // Vectors.
    line("tshark", "tcpdump-bgpsec_invalid_signature_block_length.pcap-1-0", "next_hop", 1, OWN_NEXT_HOP),
    line("tshark", "exabgp-conf-addpath.ci-1", ONLY_THEY, 1, EVIDENCE),
    line("tshark", "gobmp-l3vpn-l3vpn-71", ONLY_THEY, 1, EVIDENCE),
    line("tshark", "gobmp-l3vpn-rfc4364-517", ONLY_THEY, 1, EVIDENCE),
    line("tshark", "exabgp-conf-new-v4.ci-3", "communities", 1, "we: 0:0 is reserved (RFC 1997), and stored as it came; tshark's output has no parts for it"),
    line("tshark", "exabgp-extended-nexthop.ci-1", ONLY_THEY, 1, "we: as for NetGauze, RFC 8950 section 3"),
    line("tshark", "gobmp-l3vpn-l3vpn-152", "routes ipv4_vpn", 1, "we: an RD of a type that RFC 4364 section 4.2 does not name stays a number; they spell it in words"),
    line("tshark", "gobmp-l3vpn-rfc4364-698", "routes ipv4_vpn", 1, "we: in an announcement 0x800000 is the label 524288 (RFC 8277 section 2.2); it prints the 0 of a withdrawal"),
    line("tshark", "netgauze-bgp-pkt-update-test_update_bad_length-*", ONLY_WE, 1, "we: attributes that end behind the message leave no routes to find (RFC 4271 section 6.3)"),
    line("tshark", "tcpdump-bgp-4byte-asn.pcap-*", "as_path", 4, "we: AS4_PATH takes the place of AS_TRANS (RFC 6793 section 4.2.3); tshark prints the two apart"),
    line("tshark", "tcpdump-bgp_vpn_attrset.pcap-1-0", "as_path", 1, ATTR_SET),
    line("tshark", "tcpdump-bgp_vpn_attrset.pcap-1-0", "local_pref", 1, ATTR_SET),
    line("bgpkit", "exabgp-conf-addpath.ci-0", "routes ipv4_unicast", 1, EVIDENCE),
    line("netgauze", "exabgp-conf-addpath.ci-0", "routes ipv4_unicast", 1, EVIDENCE),
    line("netgauze", "exabgp-conf-addpath.ci-1", ONLY_THEY, 1, EVIDENCE),
    line("netgauze", "exabgp-conf-path-information.ci-*", ONLY_THEY, 3, EVIDENCE),
    line("netgauze", "gobmp-l3vpn-l3vpn-71", ONLY_THEY, 1, EVIDENCE),
    line("netgauze", "gobmp-l3vpn-rfc4364-517", ONLY_THEY, 1, EVIDENCE),
    line("netgauze", "netgauze-bgp-pkt-mod-test_bgp_add_path*", ONLY_THEY, 3, EVIDENCE),
    line("bgpkit", "netgauze-bgp-pkt-mod-test_bgp_rfc7606_attr-good_wire", ONLY_WE, 1, "we: ORIGIN 255, treat-as-withdraw (RFC 7606 section 7.1)"),
    line("bgpkit", "tcpdump-bgp-addpath.pcap-1-0", ONLY_WE, 1, "we: MP_REACH_NLRI twice (RFC 7606 section 3.g)"),
    line("bgpkit", "exabgp-conf-no-asn4.ci-0", "as_path", 1, WIDTH),
    line("bgpkit", "tcpdump-bgp-4byte-asn.pcap-*", "as_path", 4, WIDTH),
    line("bgpkit", "tcpdump-bgp-aigp-2.pcap-1-0", "as_path", 1, WIDTH),
    line("bgpkit", "tcpdump-mpbgp-linklocal-nexthop.pcap-1-0", "as_path", 1, WIDTH),
    line("bgpkit", "tcpdump-bgp-as-path-oobr.pcap-1-*", ONLY_WE, 2, "we: an attribute runs past its section (RFC 7606 section 4) and hides the routes behind it"),
    line("bgpkit", "tcpdump-bgp-as-path-oobr.pcap-3-6", ONLY_WE, 1, "we: a PDU longer than what is there is no PDU (RFC 4271 section 4.1)"),
    line("netgauze", "exabgp-conf-no-asn4.ci-0", ONLY_THEY, 1, WIDTH),
    line("netgauze", "tcpdump-bgp-4byte-asn.pcap-*", ONLY_THEY, 4, WIDTH),
    line("netgauze", "tcpdump-bgp-aigp-2.pcap-1-0", ONLY_THEY, 1, WIDTH),
    line("netgauze", "tcpdump-bgp-rt-prefix.pcap-*", ONLY_THEY, 8, WIDTH),
    line("netgauze", "tcpdump-mpbgp-linklocal-nexthop.pcap-1-0", ONLY_THEY, 1, WIDTH),
    line("netgauze", "exabgp-extended-nexthop.ci-1", ONLY_THEY, 1, "we: the length of a next hop says which address it is (RFC 8950 section 3); the other way round of that RFC is no reason to lose the route"),
    line("netgauze", "gobmp-rtc-rtc-259", ONLY_THEY, 1, "we: a membership is a prefix of 0, or of 32 to 96 bits (RFC 4684 section 4); 89 bits are 12 octets, not 11"),
    line("netgauze", "netgauze-bgp-pkt-update-test_update_non_unicast_nlri-*", ONLY_THEY, 1, "we: 224.1.1.0/24 is well formed (RFC 4271 section 4.3); whether it may be a unicast route is the router's affair"),
    line("netgauze", "tcpdump-bgp-lu-multiple-labels.pcap-18-8", ONLY_THEY, 1, "we: four labels, as the OPENs of that session agreed (RFC 8277 section 2.1); only without those OPENs it may read one"),
];

/// The streams of which other decoders say more than ours, by our own verdict.
pub(crate) fn lost(found: &Counts) -> impl Iterator<Item = &str> {
    let is_ours = |key: &Key| {
        let line = TABLE.iter().find(|line| line.covers(key));
        line.is_some_and(|line| !line.verdict.starts_with("we:"))
    };
    found.keys().filter(move |key| is_ours(key)).map(|(_, stream, _)| stream.as_str())
}

/// What the table does not say, with the key of an example.
pub(crate) fn check(found: &Counts, streams: &[Stream], has_tshark: bool) -> Vec<(Key, String)> {
    let unlisted = found.iter().filter(|(key, _)| !TABLE.iter().any(|line| line.covers(key)));
    let mut complaints: Vec<_> = unlisted
        .map(|(key, messages)| (key.clone(), format!("{key:?}: {messages} messages, not listed")))
        .collect();
    let present = |line: &&Disagreement| {
        (has_tshark || line.judge != "tshark") && streams.iter().any(|stream| line.is_of(&stream.name))
    };
    for line in TABLE.iter().filter(present) {
        assert!(line.verdict.contains("RFC"), "a verdict by no sentence: {}", line.verdict);
        let found: Vec<_> = found.iter().filter(|(key, _)| line.covers(key)).collect();
        let messages: usize = found.iter().map(|(_, messages)| **messages).sum();
        if messages != line.messages {
            let key = found.first().map_or_else(
                || (line.judge, line.stream.to_owned(), line.kind.to_owned()),
                |(key, _)| (*key).clone(),
            );
            complaints
                .push((key.clone(), format!("{key:?}: {} messages listed, found {messages}", line.messages)));
        }
    }
    complaints
}
