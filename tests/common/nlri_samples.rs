//! Valid routes of every family whose NLRI is more than a prefix: the bytes, written by hand from the RFCs'
//! diagrams, with the expected decoded value and text.

use std::net::{IpAddr, Ipv4Addr};

use holdfast::route::{
    Descriptor, DescriptorScope, DescriptorValue, Esi, EvpnRoute, Family, FlowSpec, FlowSpecComponent,
    LabelledPrefix, LinkStateRoute, MdtRoute, MulticastFlow, MupKind, MupRoute, MvpnRoute, Nlri, NlriDetail,
    OperatorValue, Prefix, Rd, RouteTargetMembership, SrPolicyRoute, VplsRoute,
};

/// One route.
pub struct Sample {
    pub family: Family,
    pub bytes: Vec<u8>,
    /// The expected value; only the detail of an [`Nlri::Structured`].
    pub says: Says,
    /// The expected text, or prefix and labels for a family without a text form.
    pub text: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    Nlri(Nlri),
    Detail(NlriDetail),
}

/// The route distinguisher `65000:1`.
pub const RD: Rd = Rd([0, 0, 0xfd, 0xe8, 0, 0, 0, 1]);
/// A route distinguisher of type 2, with a four-octet AS number: `4200000000:1`.
const RD_4: [u8; 8] = [0, 2, 0xfa, 0x56, 0xea, 0, 0, 1];
const ESI: Esi = Esi([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);

pub const fn family(afi: u16, safi: u8) -> Family {
    Family { afi, safi }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn v6(last: u8) -> IpAddr {
    IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn net4(bits: u32, length: u8) -> Prefix {
    Prefix::v4(bits, length).unwrap()
}

fn net6(upper: u32, length: u8) -> Prefix {
    Prefix::v6(u128::from(upper) << 96, length).unwrap()
}

/// A TLV with 16-bit type and length.
pub fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
}

fn labelled(
    afi: u16,
    safi: u8,
    bytes: Vec<u8>,
    labels: &[u32],
    rd: Option<Rd>,
    prefix: Prefix,
    text: &'static str,
) -> Sample {
    let route = LabelledPrefix { rd, labels: labels.to_vec(), prefix };
    Sample { family: family(afi, safi), bytes, says: Says::Nlri(Nlri::Labelled(Box::new(route))), text }
}

fn evpn(route: EvpnRoute, body: &[&[u8]], text: &'static str) -> Sample {
    let body = body.concat();
    let bytes = [&[route.route_type(), u8::try_from(body.len()).unwrap()], &body[..]].concat();
    Sample { family: Family::EVPN, bytes, says: Says::Nlri(Nlri::Evpn(Box::new(route))), text }
}

fn other(afi: u16, safi: u8, bytes: Vec<u8>, detail: NlriDetail, text: &'static str) -> Sample {
    Sample { family: family(afi, safi), bytes, says: Says::Detail(detail), text }
}

fn mvpn(route: MvpnRoute, body: &[&[u8]], text: &'static str) -> Sample {
    let body = body.concat();
    let bytes = [&[route.route_type(), u8::try_from(body.len()).unwrap()], &body[..]].concat();
    other(1, 5, bytes, NlriDetail::Mvpn(route), text)
}

fn mup(afi: u16, route_type: u8, kind: MupKind, body: &[&[u8]], text: &'static str) -> Sample {
    let body = [&[&RD.0[..]], body].concat().concat();
    let bytes = [&[1, 0, route_type, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    other(afi, 85, bytes, NlriDetail::Mup(MupRoute { rd: RD, kind }), text)
}

fn flow(
    afi: u16,
    safi: u8,
    rd: Option<Rd>,
    components: Vec<FlowSpecComponent>,
    body: &[u8],
    text: &'static str,
) -> Sample {
    let body = [&rd.map_or(vec![], |rd| rd.0.to_vec())[..], body].concat();
    let bytes = [&[u8::try_from(body.len()).unwrap()], &body[..]].concat();
    other(afi, safi, bytes, NlriDetail::FlowSpec(FlowSpec { rd, components }), text)
}

fn link_state(
    safi: u8,
    kind: u16,
    protocol: u8,
    tlvs: &[&[u8]],
    descriptors: Vec<Descriptor>,
    text: &'static str,
) -> Sample {
    let rd = (safi == 72).then_some(RD);
    let head = [&rd.map_or(vec![], |rd| rd.0.to_vec())[..], &[protocol], &7_u64.to_be_bytes()].concat();
    let bytes = tlv(kind, &[&head[..], &tlvs.concat()].concat());
    let says = LinkStateRoute { rd, kind, protocol, identifier: 7, descriptors };
    other(16_388, safi, bytes, NlriDetail::LinkState(says), text)
}

/// Labelled unicast and VPN.
pub fn labelled_samples() -> Vec<Sample> {
    let rd = &RD.0[..];
    vec![
        // Label 24001, bottom of stack: 0x05dc1 << 4 | 1.
        labelled(
            1,
            4,
            vec![48, 0x05, 0xdc, 0x11, 10, 1, 2],
            &[24_001],
            None,
            net4(0x0a01_0200, 24),
            "10.1.2.0/24 [24001]",
        ),
        labelled(
            1,
            4,
            vec![56, 0x00, 0x06, 0x40, 0x05, 0xdc, 0x11, 10],
            &[100, 24_001],
            None,
            net4(0x0a00_0000, 8),
            "10.0.0.0/8 [100, 24001]",
        ),
        labelled(
            2,
            4,
            vec![56, 0, 0, 0x21, 0x20, 1, 0xd, 0xb8],
            &[2],
            None,
            net6(0x2001_0db8, 32),
            "2001:db8::/32 [2]",
        ),
        labelled(1, 4, vec![24, 0, 0x01, 0x01], &[16], None, net4(0, 0), "0.0.0.0/0 [16]"),
        labelled(
            1,
            128,
            [&[112, 0x05, 0xdc, 0x11], rd, &[10, 1, 2]].concat(),
            &[24_001],
            Some(RD),
            net4(0x0a01_0200, 24),
            "10.1.2.0/24 [24001]",
        ),
        labelled(
            2,
            128,
            [&[216, 0xff, 0xff, 0xf1], rd, &octets(v6(1))].concat(),
            &[0xf_ffff],
            Some(RD),
            Prefix::v6(0x2001_0db8 << 96 | 1, 128).unwrap(),
            "2001:db8::1/128 [1048575]",
        ),
    ]
}

/// Multicast VPN prefixes, with the label that most implementations encode, and without.
pub fn vpn_multicast_samples() -> Vec<Sample> {
    let rd = &RD.0[..];
    vec![
        labelled(
            1,
            129,
            [&[112, 0x05, 0xdc, 0x11], rd, &[10, 1, 2]].concat(),
            &[24_001],
            Some(RD),
            net4(0x0a01_0200, 24),
            "10.1.2.0/24 [24001]",
        ),
        labelled(
            1,
            129,
            [&[88], rd, &[10, 1, 3]].concat(),
            &[],
            Some(RD),
            net4(0x0a01_0300, 24),
            "10.1.3.0/24 []",
        ),
        // A label with the first octets of an RD, and RDs of type 2, whose third octet may be odd.
        labelled(
            1,
            129,
            [&[112, 0, 0, 0x11], rd, &[10, 1, 4]].concat(),
            &[1],
            Some(RD),
            net4(0x0a01_0400, 24),
            "10.1.4.0/24 [1]",
        ),
        labelled(
            1,
            129,
            [&[112, 0x05, 0xdc, 0x11], &RD_4[..], &[10, 1, 2]].concat(),
            &[24_001],
            Some(Rd(RD_4)),
            net4(0x0a01_0200, 24),
            "10.1.2.0/24 [24001]",
        ),
        labelled(
            1,
            129,
            [&[88], &RD_4[..], &[10, 1, 3]].concat(),
            &[],
            Some(Rd(RD_4)),
            net4(0x0a01_0300, 24),
            "10.1.3.0/24 []",
        ),
        labelled(
            2,
            129,
            [&[120, 0x05, 0xdc, 0x11], rd, &[0x20, 1, 0xd, 0xb8]].concat(),
            &[24_001],
            Some(RD),
            net6(0x2001_0db8, 32),
            "2001:db8::/32 [24001]",
        ),
        labelled(
            2,
            129,
            [&[192], rd, &octets(v6(1))].concat(),
            &[],
            Some(RD),
            Prefix::v6(0x2001_0db8 << 96 | 1, 128).unwrap(),
            "2001:db8::1/128 []",
        ),
    ]
}

/// EVPN route types 6 to 11; tests/decode/regressions.rs has 1 to 5.
pub fn evpn_samples() -> Vec<Sample> {
    let (rd, esi, tag) = (&RD.0[..], &ESI.0[..], &[0, 0, 0, 9][..]);
    let any = MulticastFlow { source: None, group: Some(v4(232)), originator: v4(1) };
    let any_bytes = &[0, 32, 192, 0, 2, 232, 32, 192, 0, 2, 1][..];
    let full = MulticastFlow { source: Some(v6(1)), group: Some(v6(2)), originator: v6(3) };
    let with_length = |address| [&[128][..], &octets(address)].concat();
    let full_bytes = [with_length(v6(1)), with_length(v6(2)), with_length(v6(3))].concat();
    let key = [&[3, 17][..], rd, tag, &[32, 192, 0, 2, 1]].concat();
    vec![
        evpn(
            EvpnRoute::SelectiveMulticast { rd: RD, tag: 9, multicast: any, flags: 2 },
            &[rd, tag, any_bytes, &[2]],
            "[6][9][*][192.0.2.232][192.0.2.1]",
        ),
        evpn(
            EvpnRoute::MembershipSynch {
                leave: false,
                rd: RD,
                esi: ESI,
                tag: 9,
                multicast: full,
                response_time: 0,
                flags: 8,
            },
            &[rd, esi, tag, &full_bytes, &[8]],
            "[7][00:01:02:03:04:05:06:07:08:09][9][2001:db8::1][2001:db8::2][2001:db8::3]",
        ),
        evpn(
            EvpnRoute::MembershipSynch {
                leave: true,
                rd: RD,
                esi: ESI,
                tag: 9,
                multicast: any,
                response_time: 100,
                flags: 4,
            },
            &[rd, esi, tag, any_bytes, &[0, 0, 0, 0, 100, 4]],
            "[8][00:01:02:03:04:05:06:07:08:09][9][*][192.0.2.232][192.0.2.1]",
        ),
        evpn(
            EvpnRoute::PerRegion { rd: RD, tag: 9, region: [0, 2, 0xfd, 0xe8, 0, 0, 0, 5] },
            &[rd, tag, &[0, 2, 0xfd, 0xe8, 0, 0, 0, 5]],
            "[9][9][RT:65000:5]",
        ),
        evpn(
            EvpnRoute::SelectivePmsi { rd: RD, tag: 9, multicast: full },
            &[rd, tag, &full_bytes],
            "[10][9][2001:db8::1][2001:db8::2][2001:db8::3]",
        ),
        evpn(
            EvpnRoute::Leaf { key: key.clone(), originator: v4(7) },
            &[&key, &[32, 192, 0, 2, 7]],
            "[11][0x03110000fde8000000010000000920c0000201][192.0.2.7]",
        ),
    ]
}

/// VPLS, route targets, SR policies, MDT.
pub fn small_samples() -> Vec<Sample> {
    let rd = &RD.0[..];
    let target = [0, 2, 0xfd, 0xe8, 0, 0, 0, 100];
    let wants =
        |bits, origin_as, target| NlriDetail::RouteTarget(RouteTargetMembership { bits, origin_as, target });
    let policy = |endpoint| NlriDetail::SrPolicy(SrPolicyRoute { distinguisher: 5, color: 100, endpoint });
    vec![
        other(
            25,
            65,
            [&[0, 17][..], rd, &[0, 3, 0, 1, 0, 8, 0x05, 0xdc, 0x11]].concat(),
            NlriDetail::Vpls(VplsRoute::Block { rd: RD, ve_id: 3, offset: 1, size: 8, label_base: 24_001 }),
            "[65000:1][ve 3][offset 1][size 8][base 24001]",
        ),
        other(
            25,
            65,
            [&[0, 12][..], rd, &[192, 0, 2, 1]].concat(),
            NlriDetail::Vpls(VplsRoute::Discovery { rd: RD, pe: Ipv4Addr::new(192, 0, 2, 1) }),
            "[65000:1][pe 192.0.2.1]",
        ),
        other(1, 132, vec![0], wants(0, 0, [0; 8]), "0/0"),
        other(1, 132, vec![32, 0, 0, 0xfd, 0xe8], wants(32, 65_000, [0; 8]), "65000:*"),
        other(
            1,
            132,
            [&[96, 0, 0, 0xfd, 0xe8][..], &target].concat(),
            wants(96, 65_000, target),
            "65000:RT:65000:100",
        ),
        // 16 bits of the target: matches every target of the AS-specific type.
        other(
            1,
            132,
            vec![48, 0xfa, 0x56, 0xea, 0, 0, 2],
            wants(48, 4_200_000_000, [0, 2, 0, 0, 0, 0, 0, 0]),
            "4200000000:RT:0:0/48",
        ),
        other(
            1,
            73,
            [&[96, 0, 0, 0, 5, 0, 0, 0, 100][..], &octets(v4(9))].concat(),
            policy(v4(9)),
            "[5][color 100][192.0.2.9]",
        ),
        other(
            2,
            73,
            [&[192, 0, 0, 0, 5, 0, 0, 0, 100][..], &octets(v6(9))].concat(),
            policy(v6(9)),
            "[5][color 100][2001:db8::9]",
        ),
        other(
            1,
            66,
            [&[128][..], rd, &octets(v4(1)), &[232, 0, 0, 1]].concat(),
            NlriDetail::Mdt(MdtRoute { rd: RD, pe: v4(1), group: [232, 0, 0, 1].into() }),
            "[65000:1][192.0.2.1][232.0.0.1]",
        ),
        other(
            2,
            66,
            [&[40][..], rd, &octets(v6(1)), &octets(v6(2))].concat(),
            NlriDetail::Mdt(MdtRoute { rd: RD, pe: v6(1), group: v6(2) }),
            "[65000:1][2001:db8::1][2001:db8::2]",
        ),
    ]
}

/// MVPN route types 1 to 7.
pub fn mvpn_samples() -> Vec<Sample> {
    let (rd, source_as) = (&RD.0[..], &65_000_u32.to_be_bytes()[..]);
    let (source, group) = (&[32, 10, 0, 0, 1][..], &[32, 232, 1, 1, 1][..]);
    let (from, to): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [232, 1, 1, 1].into());
    let key = [&[3, 22][..], rd, source, group, &octets(v4(1))].concat();
    let join =
        |shared, source| MvpnRoute::Join { shared, rd: RD, source_as: 65_000, source, group: Some(to) };
    vec![
        mvpn(
            MvpnRoute::IntraAs { rd: RD, originator: v4(1) },
            &[rd, &octets(v4(1))],
            "[1][65000:1][192.0.2.1]",
        ),
        mvpn(
            MvpnRoute::IntraAs { rd: RD, originator: v6(1) },
            &[rd, &octets(v6(1))],
            "[1][65000:1][2001:db8::1]",
        ),
        mvpn(MvpnRoute::InterAs { rd: RD, source_as: 65_000 }, &[rd, source_as], "[2][65000:1][65000]"),
        mvpn(
            MvpnRoute::Selective { rd: RD, source: Some(from), group: Some(to), originator: v4(1) },
            &[rd, source, group, &octets(v4(1))],
            "[3][65000:1][10.0.0.1][232.1.1.1][192.0.2.1]",
        ),
        mvpn(
            MvpnRoute::Selective { rd: RD, source: None, group: None, originator: v4(1) },
            &[rd, &[0], &[0], &octets(v4(1))],
            "[3][65000:1][*][*][192.0.2.1]",
        ),
        mvpn(
            MvpnRoute::Leaf { key: key.clone(), originator: v4(2) },
            &[&key, &octets(v4(2))],
            "[4][0x03160000fde800000001200a00000120e8010101c0000201][192.0.2.2]",
        ),
        mvpn(
            MvpnRoute::SourceActive { rd: RD, source: Some(from), group: Some(to) },
            &[rd, source, group],
            "[5][65000:1][10.0.0.1][232.1.1.1]",
        ),
        mvpn(join(true, None), &[rd, source_as, &[0], group], "[6][65000:1][65000][*][232.1.1.1]"),
        mvpn(
            join(false, Some(from)),
            &[rd, source_as, source, group],
            "[7][65000:1][65000][10.0.0.1][232.1.1.1]",
        ),
    ]
}

/// Flow specifications of all component types.
pub fn flow_samples() -> Vec<Sample> {
    let values = |kind, pairs: &[(u8, u64)]| FlowSpecComponent::Values {
        kind,
        values: pairs.iter().map(|&(operator, value)| OperatorValue { operator, value }).collect(),
    };
    let destination = |prefix, offset| FlowSpecComponent::Destination { prefix, offset };
    let source = |prefix, offset| FlowSpecComponent::Source { prefix, offset };
    vec![
        flow(
            1,
            133,
            None,
            vec![
                destination(net4(0xc000_0200, 24), 0),
                source(net4(0x0a00_0000, 8), 0),
                values(3, &[(0x81, 6)]),
                values(5, &[(0x03, 80), (0x45, 90), (0x91, 443)]),
            ],
            &[1, 24, 192, 0, 2, 2, 8, 10, 3, 0x81, 6, 5, 0x03, 80, 0x45, 90, 0x91, 1, 0xbb],
            "dst 192.0.2.0/24 src 10.0.0.0/8 protocol =6 dst-port >=80&<=90,=443",
        ),
        flow(
            1,
            133,
            None,
            vec![
                values(9, &[(0x01, 2), (0xc2, 1)]),
                values(10, &[(0xa4, 0x1_0000)]),
                values(12, &[(0x80, 1)]),
            ],
            &[9, 0x01, 2, 0xc2, 1, 10, 0xa4, 0, 1, 0, 0, 12, 0x80, 1],
            "tcp-flags =0x2&!0x1 length <65536 fragment 0x1",
        ),
        flow(
            2,
            133,
            None,
            vec![
                destination(net6(0x2001_0db8, 32), 0),
                source(Prefix::v6(0x12 << 64, 64).unwrap(), 56),
                values(13, &[(0xb6, 0x1_0000_0000)]),
            ],
            &[1, 32, 0, 0x20, 1, 0xd, 0xb8, 2, 64, 56, 0x12, 13, 0xb6, 0, 0, 0, 1, 0, 0, 0, 0],
            "dst 2001:db8::/32 src 0:0:0:12::/64 from bit 56 flow-label !=4294967296",
        ),
        flow(
            1,
            134,
            Some(RD),
            vec![values(4, &[(0x82, 1)]), values(6, &[(0x80, 1)]), values(11, &[(0x87, 1)])],
            &[4, 0x82, 1, 6, 0x80, 1, 11, 0x87, 1],
            "65000:1 port >1 src-port false1 dscp true1",
        ),
        flow(
            2,
            134,
            Some(RD),
            vec![values(7, &[(0x81, 8)]), values(8, &[(0x81, 0)])],
            &[7, 0x81, 8, 8, 0x81, 0],
            "65000:1 icmp-type =8 icmp-code =0",
        ),
    ]
}

/// BGP-LS NLRI of all types.
pub fn link_state_samples() -> Vec<Sample> {
    use DescriptorValue::{Address, LinkIds, Number, Prefix as Reaches, Raw, RouterId, Sids, Topologies};
    let of = |scope, kind, value| Descriptor { scope, kind, value };
    let system = [0, 0, 0, 0, 0, 1];
    let local =
        tlv(256, &[tlv(512, &65_000_u32.to_be_bytes()), tlv(513, &[0; 4]), tlv(515, &system)].concat());
    let near = || {
        vec![
            of(DescriptorScope::LocalNode, 512, Number(65_000)),
            of(DescriptorScope::LocalNode, 513, Number(0)),
            of(DescriptorScope::LocalNode, 515, RouterId(system.to_vec())),
        ]
    };
    let far = tlv(257, &[tlv(514, &[0, 0, 0, 1]), tlv(515, &[192, 0, 2, 1, 192, 0, 2, 2])].concat());
    let link_tlvs = [
        tlv(258, &[0, 0, 0, 5, 0, 0, 0, 6]),
        tlv(259, &octets(v4(1))),
        tlv(262, &octets(v6(2))),
        tlv(263, &[0, 2]),
        tlv(999, &[1, 2]),
    ]
    .concat();
    let mut link = near();
    link.extend([
        of(DescriptorScope::RemoteNode, 514, Number(1)),
        of(DescriptorScope::RemoteNode, 515, RouterId(vec![192, 0, 2, 1, 192, 0, 2, 2])),
        of(DescriptorScope::Object, 258, LinkIds(5, 6)),
        of(DescriptorScope::Object, 259, Address(v4(1))),
        of(DescriptorScope::Object, 262, Address(v6(2))),
        of(DescriptorScope::Object, 263, Topologies(vec![2])),
        of(DescriptorScope::Object, 999, Raw(vec![1, 2])),
    ]);
    let with = |more: &[Descriptor]| [near(), more.to_vec()].concat();
    let reach4 = [tlv(264, &[3]), tlv(265, &[24, 10, 1, 2])].concat();
    let reach6 = tlv(265, &[32, 0x20, 1, 0xd, 0xb8]);
    vec![
        link_state(
            71,
            1,
            1,
            &[&local],
            near(),
            "[node][isis-l1][7][local asn=65000,ls-id=0,router-id=0000.0000.0001]",
        ),
        link_state(
            72,
            2,
            2,
            &[&local, &far, &link_tlvs],
            link,
            "[65000:1][link][isis-l2][7][local asn=65000,ls-id=0,router-id=0000.0000.0001]\
             [remote area=0.0.0.1,router-id=192.0.2.1:192.0.2.2]\
             [link-ids=5/6,ipv4-interface=192.0.2.1,ipv6-neighbor=2001:db8::2,mt-id=2,999=0x0102]",
        ),
        link_state(
            71,
            3,
            3,
            &[&local, &reach4],
            with(&[
                of(DescriptorScope::Object, 264, Number(3)),
                of(DescriptorScope::Object, 265, Reaches(net4(0x0a01_0200, 24))),
            ]),
            "[ipv4-prefix][ospfv2][7][local asn=65000,ls-id=0,router-id=0000.0000.0001]\
             [ospf-route-type=3,prefix=10.1.2.0/24]",
        ),
        link_state(
            71,
            4,
            6,
            &[&local, &reach6],
            with(&[of(DescriptorScope::Object, 265, Reaches(net6(0x2001_0db8, 32)))]),
            "[ipv6-prefix][ospfv3][7][local asn=65000,ls-id=0,router-id=0000.0000.0001]\
             [prefix=2001:db8::/32]",
        ),
        link_state(
            71,
            6,
            9,
            &[&local, &tlv(518, &octets(v6(5)))],
            with(&[of(DescriptorScope::Object, 518, Sids(vec![v6(5)]))]),
            "[srv6-sid][protocol 9][7][local asn=65000,ls-id=0,router-id=0000.0000.0001][sid=2001:db8::5]",
        ),
    ]
}

/// MUP routes of the 3GPP 5G architecture.
pub fn mup_samples() -> Vec<Sample> {
    let session = |source| MupKind::Session1 {
        prefix: net4(0x0a00_0001, 32),
        teid: 0x1234,
        qfi: 9,
        endpoint: v4(1),
        source,
    };
    let user = &[32, 10, 0, 0, 1, 0, 0, 0x12, 0x34, 9][..];
    vec![
        mup(1, 1, MupKind::InterworkSegment(net4(0x0a00_0000, 8)), &[&[8, 10]], "[isd][65000:1][10.0.0.0/8]"),
        mup(2, 2, MupKind::DirectSegment(v6(1)), &[&octets(v6(1))], "[dsd][65000:1][2001:db8::1]"),
        mup(
            1,
            3,
            session(None),
            &[user, &[32, 192, 0, 2, 1, 0]],
            "[t1st][65000:1][10.0.0.1/32][teid 4660][qfi 9][192.0.2.1]",
        ),
        mup(
            1,
            3,
            session(Some(v4(2))),
            &[user, &[32, 192, 0, 2, 1, 32, 192, 0, 2, 2]],
            "[t1st][65000:1][10.0.0.1/32][teid 4660][qfi 9][192.0.2.1][from 192.0.2.2]",
        ),
        mup(
            1,
            4,
            MupKind::Session2 { endpoint: v4(1), teid: 0x1230_0000, teid_bits: 12 },
            &[&[44, 192, 0, 2, 1, 0x12, 0x30]],
            "[t2st][65000:1][192.0.2.1][teid 0x12300000/12]",
        ),
    ]
}

/// All samples.
pub fn samples() -> Vec<Sample> {
    [
        labelled_samples(),
        vpn_multicast_samples(),
        evpn_samples(),
        small_samples(),
        mvpn_samples(),
        flow_samples(),
        link_state_samples(),
        mup_samples(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
