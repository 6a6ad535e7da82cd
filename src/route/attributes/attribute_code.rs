//! Path attribute type codes and their names (IANA "BGP Path Attributes").

/// ORIGIN (RFC 4271).
pub const ORIGIN: u8 = 1;
/// AS_PATH (RFC 4271).
pub const AS_PATH: u8 = 2;
/// NEXT_HOP (RFC 4271).
pub const NEXT_HOP: u8 = 3;
/// MULTI_EXIT_DISC (RFC 4271).
pub const MULTI_EXIT_DISC: u8 = 4;
/// LOCAL_PREF (RFC 4271).
pub const LOCAL_PREF: u8 = 5;
/// ATOMIC_AGGREGATE (RFC 4271).
pub const ATOMIC_AGGREGATE: u8 = 6;
/// AGGREGATOR (RFC 4271).
pub const AGGREGATOR: u8 = 7;
/// COMMUNITIES (RFC 1997).
pub const COMMUNITIES: u8 = 8;
/// ORIGINATOR_ID (RFC 4456).
pub const ORIGINATOR_ID: u8 = 9;
/// CLUSTER_LIST (RFC 4456).
pub const CLUSTER_LIST: u8 = 10;
/// MP_REACH_NLRI (RFC 4760).
pub const MP_REACH_NLRI: u8 = 14;
/// MP_UNREACH_NLRI (RFC 4760).
pub const MP_UNREACH_NLRI: u8 = 15;
/// EXTENDED_COMMUNITIES (RFC 4360).
pub const EXTENDED_COMMUNITIES: u8 = 16;
/// AS4_PATH (RFC 6793).
pub const AS4_PATH: u8 = 17;
/// AS4_AGGREGATOR (RFC 6793).
pub const AS4_AGGREGATOR: u8 = 18;
/// PMSI_TUNNEL (RFC 6514).
pub const PMSI_TUNNEL: u8 = 22;
/// TUNNEL_ENCAPSULATION (RFC 9012).
pub const TUNNEL_ENCAPSULATION: u8 = 23;
/// IPV6_EXTENDED_COMMUNITIES (RFC 5701).
pub const IPV6_EXTENDED_COMMUNITIES: u8 = 25;
/// AIGP (RFC 7311).
pub const AIGP: u8 = 26;
/// BGP_LS (RFC 9552).
pub const BGP_LS: u8 = 29;
/// LARGE_COMMUNITIES (RFC 8092).
pub const LARGE_COMMUNITIES: u8 = 32;
/// ONLY_TO_CUSTOMER (RFC 9234).
pub const ONLY_TO_CUSTOMER: u8 = 35;
/// PREFIX_SID (RFC 8669).
pub const PREFIX_SID: u8 = 40;
/// ATTR_SET (RFC 6368).
pub const ATTR_SET: u8 = 128;

/// The name of a path attribute; `None` for a type code without a name.
#[must_use]
pub const fn attribute_name(code: u8) -> Option<&'static str> {
    Some(match code {
        ORIGIN => "ORIGIN",
        AS_PATH => "AS_PATH",
        NEXT_HOP => "NEXT_HOP",
        MULTI_EXIT_DISC => "MULTI_EXIT_DISC",
        LOCAL_PREF => "LOCAL_PREF",
        ATOMIC_AGGREGATE => "ATOMIC_AGGREGATE",
        AGGREGATOR => "AGGREGATOR",
        COMMUNITIES => "COMMUNITIES",
        ORIGINATOR_ID => "ORIGINATOR_ID",
        CLUSTER_LIST => "CLUSTER_LIST",
        MP_REACH_NLRI => "MP_REACH_NLRI",
        MP_UNREACH_NLRI => "MP_UNREACH_NLRI",
        EXTENDED_COMMUNITIES => "EXTENDED_COMMUNITIES",
        AS4_PATH => "AS4_PATH",
        AS4_AGGREGATOR => "AS4_AGGREGATOR",
        PMSI_TUNNEL => "PMSI_TUNNEL",
        TUNNEL_ENCAPSULATION => "TUNNEL_ENCAPSULATION",
        24 => "TRAFFIC_ENGINEERING",
        IPV6_EXTENDED_COMMUNITIES => "IPV6_EXTENDED_COMMUNITIES",
        AIGP => "AIGP",
        27 => "PE_DISTINGUISHER_LABELS",
        BGP_LS => "BGP_LS",
        LARGE_COMMUNITIES => "LARGE_COMMUNITIES",
        33 => "BGPSEC_PATH",
        34 => "COMMUNITY_CONTAINER",
        ONLY_TO_CUSTOMER => "ONLY_TO_CUSTOMER",
        36 => "D_PATH",
        37 => "SFP",
        38 => "BFD_DISCRIMINATOR",
        39 => "ROUTER_CAPABILITIES",
        PREFIX_SID => "PREFIX_SID",
        41 => "BIER",
        ATTR_SET => "ATTR_SET",
        _ => return None,
    })
}
