//! The known disagreements between decoders, each with a verdict.

use crate::streams::Stream;
use crate::{Counts, Key};

/// Release series of tshark whose disagreements the table lists; another series decodes other messages
/// differently.
pub(crate) const TSHARK_SERIES: &str = "4.4";

/// One kind of disagreement with one decoder.
pub(crate) struct Disagreement {
    /// Name of the other decoder.
    judge: &'static str,
    /// Name of the stream; a trailing `*` matches any suffix.
    stream: &'static str,
    /// `refused only by the other`, `refused only by Holdfast`, `routes FAMILY`, or the name of an attribute.
    kind: &'static str,
    /// Number of affected messages.
    messages: usize,
    /// The decoder that is right, and the section of the RFC.
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

const ONLY_HOLDFAST: &str = "refused only by Holdfast";
const ONLY_OTHER: &str = "refused only by the other";

const PATH_ID: &str =
    "Holdfast: no path identifiers without ADD-PATH in the OPENs (RFC 7911 section 5); the other guesses";
const EVIDENCE: &str = "Holdfast: the field can only be parsed with path identifiers (RFC 7911 section 3); \
                        the stream has no OPENs that negotiate them";
const WIDTH: &str = "Holdfast: the path can only be parsed with two-octet AS numbers, although the A flag \
                     (RFC 7854 section 4.2) indicates four octets";
const WITHDRAW: &str = "Holdfast: treat-as-withdraw (RFC 7606 section 7); the other announces";
const MARKER: &str = "Holdfast: the marker must be all ones (RFC 4271 section 4.1)";
const LENGTH: &str = "Holdfast: the length field exceeds the PDU (RFC 4271 section 4.1)";
const FIRST: &str = "Holdfast: the first of two attributes is used (RFC 7606 section 3.g)";

const OWN_NEXT_HOP: &str =
    "Holdfast: routes of MP_REACH_NLRI have its next hop, not NEXT_HOP (RFC 4760 section 3)";
const ATTR_SET: &str = "Holdfast: attributes inside ATTR_SET are the customer's (RFC 6368 section 5); the \
                        script reads those";

/// One line per kind of disagreement.
#[rustfmt::skip]
const TABLE: &[Disagreement] = &[
    // Our own captures.
    line("bgpkit", "gobgp/1", "routes ipv4_unicast", 2, PATH_ID),
    // Malformed messages of our own.
    line("bgpkit", "own-as-path-*", ONLY_HOLDFAST, 2, WITHDRAW),
    line("bgpkit", "own-origin-twice", "origin", 1, FIRST),
    line("bgpkit", "own-origin-value-7", ONLY_HOLDFAST, 1,
        "Holdfast: treat-as-withdraw (RFC 7606 section 7.1)"),
    line("bgpkit", "own-pdu-longer-than-message", ONLY_HOLDFAST, 1, LENGTH),
    line("bgpkit", "own-prefix-*", ONLY_HOLDFAST, 2,
        "Holdfast: routes of a malformed NLRI field are not used (RFC 7606 section 5.3)"),
    line("netgauze", "own-origin-twice", "origin", 1, FIRST),
    line("tshark", "own-as-path-empty-segment", ONLY_HOLDFAST, 1,
        "Holdfast: a segment without AS numbers is malformed (RFC 7606 section 7.2)"),
    line("tshark", "own-origin-twice", "origin", 1, FIRST),
    line("tshark", "own-pdu-type-9", ONLY_HOLDFAST, 1,
        "Holdfast: Route Monitoring contains UPDATEs (RFC 7854 section 4.6)"),
    // Hostile streams.
    line("bgpkit", "gobgp-fuzz-*", ONLY_HOLDFAST, 3, MARKER),
    line("netgauze", "issue-gobgp-2879-locrib-addpath", ONLY_OTHER, 1, EVIDENCE),
    line("netgauze", "real-rm-trailing-tlv-8", ONLY_OTHER, 1, EVIDENCE),
    line("bgpkit", "upd-ext-attr-65535-empty", ONLY_HOLDFAST, 1,
        "Holdfast: the attribute exceeds the attribute section (RFC 7606 section 4)"),
    line("bgpkit", "upd-cve-2023-38802-tunnel-encap-corrupt", ONLY_HOLDFAST, 1,
        "Holdfast: treat-as-withdraw (RFC 9012 section 13)"),
    line("netgauze", "upd-cve-2023-38802-tunnel-encap-corrupt", ONLY_HOLDFAST, 1,
        "Holdfast: treat-as-withdraw (RFC 9012 section 13)"),
    line("bgpkit", "unknown-peer-type", ONLY_OTHER, 1,
        "Holdfast: all peer types have the same header (RFC 7854 section 4.2); the type is part of the key"),
    line("netgauze", "unknown-peer-type", ONLY_OTHER, 1, "Holdfast: as for bgpkit, RFC 7854 section 4.2"),
    line("bgpkit", "upd-aspath-*", ONLY_HOLDFAST, 2, WITHDRAW),
    line("bgpkit", "upd-bgp-len-beyond-bmp", ONLY_HOLDFAST, 1, LENGTH),
    line("bgpkit", "upd-dup-origin", "origin", 1, FIRST),
    line("netgauze", "upd-dup-origin", "origin", 1, FIRST),
    line("bgpkit", "upd-labels-no-bottom", "routes ipv4_labelled_unicast", 1,
        "Holdfast: one label was negotiated, and its S bit is ignored (RFC 8277 section 2.2)"),
    line("bgpkit", "upd-prefix-len-129-v6", ONLY_HOLDFAST, 1,
        "Holdfast: a prefix of 129 bits is malformed (RFC 7606 section 5.3); ADD-PATH was not negotiated"),
    line("bgpkit", "upd-nlri-truncated", ONLY_HOLDFAST, 1,
        "Holdfast: routes of a malformed NLRI field are not used (RFC 7606 section 5.3)"),
    line("bgpkit", "upd-origin-value-7", ONLY_HOLDFAST, 1,
        "Holdfast: treat-as-withdraw (RFC 7606 section 7.1)"),
    line("bgpkit", "upd-otc-bad-length", ONLY_HOLDFAST, 1,
        "Holdfast: treat-as-withdraw (RFC 9234 section 5)"),
    line("netgauze", "issue-libparsebgp-71-two-bgp-pdus", ONLY_OTHER, 1,
        "Holdfast: the message contains one PDU (RFC 7854 section 4.6); the rest is trailing"),
    line("tshark", "real-rm-trailing-tlv-8", ONLY_OTHER, 1, EVIDENCE),
    line("tshark", "tcpdump-bgpsec_invalid_signature_block_length_pcap_1_0", "next_hop", 1, OWN_NEXT_HOP),
    line("tshark", "upd-aspath-seg-len-0", ONLY_HOLDFAST, 1,
        "Holdfast: a segment without AS numbers is malformed (RFC 7606 section 7.2)"),
    line("tshark", "upd-bgp-len-beyond-bmp", ONLY_HOLDFAST, 1, LENGTH),
    line("tshark", "upd-bgp-type-9", ONLY_HOLDFAST, 1,
        "Holdfast: Route Monitoring contains UPDATEs (RFC 7854 section 4.6)"),
    line("tshark", "upd-dup-origin", "origin", 1, FIRST),
    // Vectors.
    line("tshark", "tcpdump-bgpsec_invalid_signature_block_length.pcap-1-0", "next_hop", 1, OWN_NEXT_HOP),
    line("tshark", "exabgp-conf-addpath.ci-1", ONLY_OTHER, 1, EVIDENCE),
    line("tshark", "gobmp-l3vpn-l3vpn-71", ONLY_OTHER, 1, EVIDENCE),
    line("tshark", "gobmp-l3vpn-rfc4364-517", ONLY_OTHER, 1, EVIDENCE),
    line("tshark", "exabgp-conf-new-v4.ci-3", "communities", 1,
        "Holdfast: community 0:0 is reserved (RFC 1997) but valid; tshark's output omits its parts"),
    line("tshark", "exabgp-extended-nexthop.ci-1", ONLY_OTHER, 1,
        "Holdfast: as for NetGauze, RFC 8950 section 3"),
    line("tshark", "gobmp-l3vpn-l3vpn-152", "routes ipv4_vpn", 1,
        "Holdfast: an RD of a type not in RFC 4364 section 4.2 is shown as a number"),
    line("tshark", "gobmp-l3vpn-rfc4364-698", "routes ipv4_vpn", 1,
        "Holdfast: 0x800000 in an announcement is label 524288 (RFC 8277 section 2.2)"),
    line("tshark", "netgauze-bgp-pkt-update-test_update_bad_length-*", ONLY_HOLDFAST, 1,
        "Holdfast: the attribute section exceeds the message (RFC 4271 section 6.3)"),
    line("tshark", "tcpdump-bgp-4byte-asn.pcap-*", "as_path", 4,
        "Holdfast: AS4_PATH replaces AS_TRANS (RFC 6793 section 4.2.3); tshark prints both paths"),
    line("tshark", "tcpdump-bgp_vpn_attrset.pcap-1-0", "as_path", 1, ATTR_SET),
    line("tshark", "tcpdump-bgp_vpn_attrset.pcap-1-0", "local_pref", 1, ATTR_SET),
    line("netgauze", "exabgp-conf-addpath.ci-1", ONLY_OTHER, 1, EVIDENCE),
    line("netgauze", "exabgp-conf-path-information.ci-*", ONLY_OTHER, 3, EVIDENCE),
    line("netgauze", "gobmp-l3vpn-l3vpn-71", ONLY_OTHER, 1, EVIDENCE),
    line("netgauze", "gobmp-l3vpn-rfc4364-517", ONLY_OTHER, 1, EVIDENCE),
    line("netgauze", "netgauze-bgp-pkt-mod-test_bgp_add_path*", ONLY_OTHER, 3, EVIDENCE),
    line("bgpkit", "netgauze-bgp-pkt-mod-test_bgp_rfc7606_attr-good_wire", ONLY_HOLDFAST, 1,
        "Holdfast: ORIGIN 255, treat-as-withdraw (RFC 7606 section 7.1)"),
    line("bgpkit", "tcpdump-bgp-addpath.pcap-1-0", ONLY_HOLDFAST, 1,
        "Holdfast: two MP_REACH_NLRI attributes (RFC 7606 section 3.g)"),
    line("bgpkit", "exabgp-conf-no-asn4.ci-0", "as_path", 1, WIDTH),
    line("bgpkit", "tcpdump-bgp-4byte-asn.pcap-*", "as_path", 4, WIDTH),
    line("bgpkit", "tcpdump-bgp-aigp-2.pcap-1-0", "as_path", 1, WIDTH),
    line("bgpkit", "tcpdump-mpbgp-linklocal-nexthop.pcap-1-0", "as_path", 1, WIDTH),
    line("bgpkit", "tcpdump-bgp-as-path-oobr.pcap-1-*", ONLY_HOLDFAST, 2,
        "Holdfast: an attribute exceeds the attribute section and may hide routes (RFC 7606 section 4)"),
    line("bgpkit", "tcpdump-bgp-as-path-oobr.pcap-3-6", ONLY_HOLDFAST, 1, LENGTH),
    line("netgauze", "exabgp-conf-no-asn4.ci-0", ONLY_OTHER, 1, WIDTH),
    line("netgauze", "tcpdump-bgp-4byte-asn.pcap-*", ONLY_OTHER, 4, WIDTH),
    line("netgauze", "tcpdump-bgp-aigp-2.pcap-1-0", ONLY_OTHER, 1, WIDTH),
    line("netgauze", "tcpdump-bgp-rt-prefix.pcap-*", ONLY_OTHER, 8, WIDTH),
    line("netgauze", "tcpdump-mpbgp-linklocal-nexthop.pcap-1-0", ONLY_OTHER, 1, WIDTH),
    line("netgauze", "exabgp-extended-nexthop.ci-1", ONLY_OTHER, 1,
        "Holdfast: the length of the next hop determines its family (RFC 8950 section 3)"),
    line("netgauze", "gobmp-rtc-rtc-259", ONLY_OTHER, 1,
        "Holdfast: a prefix of 89 bits has 12 octets, not 11 (RFC 4684 section 4)"),
    line("netgauze", "netgauze-bgp-pkt-update-test_update_non_unicast_nlri-*", ONLY_OTHER, 1,
        "Holdfast: 224.1.1.0/24 is well formed (RFC 4271 section 4.3)"),
    line("netgauze", "tcpdump-bgp-lu-multiple-labels.pcap-18-8", ONLY_OTHER, 1,
        "Holdfast: four labels were negotiated in the OPENs of that session (RFC 8277 section 2.1)"),
];

/// Streams that another decoder reads correctly and Holdfast does not, according to the verdicts.
pub(crate) fn lost(found: &Counts) -> impl Iterator<Item = &str> {
    let is_lost = |key: &Key| {
        let line = TABLE.iter().find(|line| line.covers(key));
        line.is_some_and(|line| !line.verdict.starts_with("Holdfast:"))
    };
    found.keys().filter(move |key| is_lost(key)).map(|(_, stream, _)| stream.as_str())
}

/// Differences between the found disagreements and the table, each with the key of an example.
pub(crate) fn check(found: &Counts, streams: &[Stream], has_tshark: bool) -> Vec<(Key, String)> {
    let unlisted = found.iter().filter(|(key, _)| !TABLE.iter().any(|line| line.covers(key)));
    let mut complaints: Vec<_> = unlisted
        .map(|(key, messages)| (key.clone(), format!("{key:?}: {messages} messages, not listed")))
        .collect();
    let present = |line: &&Disagreement| {
        (has_tshark || line.judge != "tshark") && streams.iter().any(|stream| line.is_of(&stream.name))
    };
    for line in TABLE.iter().filter(present) {
        assert!(line.verdict.contains("RFC"), "verdict without an RFC: {}", line.verdict);
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
