//! Schedules: what the routers of a run do, step by step, and what happens to the collector.
//!
//! A schedule is valid whatever steps it has: a step of a router that is not connected does nothing. That is
//! what allows the steps of a failing schedule to be removed one by one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// AFI and SAFI.
pub type Family = (u16, u8);

pub const IPV4: Family = (1, 1);
pub const IPV6: Family = (2, 1);
/// The families of the schedules: unicast, labelled unicast and VPN.
pub const FAMILIES: [Family; 6] = [IPV4, IPV6, (1, 4), (2, 4), (1, 128), (2, 128)];

/// A RIB view (RFC 7854, RFC 8671, RFC 9069).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    InPre,
    InPost,
    OutPre,
    OutPost,
    Loc,
}

impl View {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InPre => "adj-in-pre",
            Self::InPost => "adj-in-post",
            Self::OutPre => "adj-out-pre",
            Self::OutPost => "adj-out-post",
            Self::Loc => "loc-rib",
        }
    }
}

/// The per-peer header's identification of a peer (RFC 7854 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// 0 global instance, 1 RD instance, 2 local instance, 3 Loc-RIB.
    pub kind: u8,
    pub distinguisher: u64,
    pub address: IpAddr,
    pub asn: u32,
    pub bgp_id: u32,
}

impl PeerId {
    pub const fn is_loc_rib(&self) -> bool {
        self.kind == 3
    }

    /// Whether both may be the same peer: zero stands for any AS number and for any BGP identifier. A Loc-RIB
    /// is identified by distinguisher and BGP identifier (RFC 9069 section 6.1.1).
    pub fn agrees(&self, other: &Self) -> bool {
        let same = |a: u32, b: u32| a == 0 || b == 0 || a == b;
        (self.kind, self.distinguisher, self.address) == (other.kind, other.distinguisher, other.address)
            && same(self.bgp_id, other.bgp_id)
            && (self.is_loc_rib() || same(self.asn, other.asn))
    }

    /// Whether a part of the identity is unknown.
    pub const fn has_zeros(&self) -> bool {
        self.bgp_id == 0 || (self.asn == 0 && !self.is_loc_rib())
    }

    /// Whether both are the same, zeros included. The AS number of a Loc-RIB is free.
    pub fn is_same(&self, other: &Self) -> bool {
        self.agrees(other) && self.bgp_id == other.bgp_id && (self.is_loc_rib() || self.asn == other.asn)
    }

    /// Takes over what the same peer's message has and this has not.
    pub const fn complete(&mut self, named: &Self) {
        if named.asn != 0 {
            self.asn = named.asn;
        }
        if named.bgp_id != 0 {
            self.bgp_id = named.bgp_id;
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = Ipv4Addr::from_bits(self.bgp_id);
        write!(f, "{}/{:x}/{}/AS{}/{id}", self.kind, self.distinguisher, self.address, self.asn)
    }
}

/// One side's OPEN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    pub hold_time: u16,
    pub families: Vec<Family>,
    /// ADD-PATH capabilities: 1 can receive, 2 can send, 3 both (RFC 7911 section 4).
    pub add_path: Vec<(Family, u8)>,
}

impl Offer {
    fn can(&self, family: Family, bit: u8) -> bool {
        self.add_path.iter().any(|(of, mode)| *of == family && mode & bit != 0)
    }
}

/// One BGP session of a router with a peer, as a Peer Up describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BgpSession {
    pub local_port: u16,
    pub remote_port: u16,
    /// The OPEN that the router sent.
    pub sent: Offer,
    /// The OPEN that the router received.
    pub received: Offer,
}

impl BgpSession {
    /// Whether the routes of a view and family carry path identifiers: one side can send them and the other
    /// can receive them (RFC 7911 section 5). A Loc-RIB signals them in either OPEN (RFC 9069 section 4.2).
    pub fn has_path_ids(&self, view: View, family: Family) -> bool {
        let passes = |from: &Offer, to: &Offer| from.can(family, 2) && to.can(family, 1);
        match view {
            View::InPre | View::InPost => passes(&self.received, &self.sent),
            View::OutPre | View::OutPost => passes(&self.sent, &self.received),
            View::Loc => self.sent.can(family, 3) || self.received.can(family, 3),
        }
    }
}

/// The fields of a per-peer header that are zero although the peer has an AS number and a BGP identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeros {
    #[default]
    None,
    Asn,
    BgpId,
    Both,
}

/// The router, peer and view that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub router: usize,
    pub peer: PeerId,
    pub view: View,
    pub zeros: Zeros,
}

impl Target {
    /// The peer as the header of the message names it.
    pub const fn named(&self) -> PeerId {
        let mut peer = self.peer;
        if matches!(self.zeros, Zeros::Asn | Zeros::Both) {
            peer.asn = 0;
        }
        if matches!(self.zeros, Zeros::BgpId | Zeros::Both) {
            peer.bgp_id = 0;
        }
        peer
    }
}

/// A prefix of either address family; the bits of an IPv4 prefix are the highest 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    pub is_v6: bool,
    pub bits: u128,
    pub length: u8,
}

impl Prefix {
    /// The address with `extra` in the bits behind the prefix length.
    pub const fn octets(&self, extra: u128) -> [u8; 16] {
        let behind = if self.length >= 128 { 0 } else { u128::MAX >> self.length };
        ((self.bits & !behind) | (extra & behind)).to_be_bytes()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.octets(0);
        let [a, b, c, d, ..] = octets;
        let address = if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from(octets))
        } else {
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        };
        write!(f, "{address}/{}", self.length)
    }
}

/// One route of an UPDATE. Path identifier, route distinguisher and label are on the wire only where the view
/// and the family have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub prefix: Prefix,
    pub path_id: u32,
    pub rd: u64,
    pub label: u32,
}

/// One UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub target: Target,
    pub family: Family,
    pub withdrawn: Vec<Route>,
    pub announced: Vec<Route>,
    /// MULTI_EXIT_DISC of the announced routes: the number of the attribute set.
    pub med: u32,
    /// Source of what the protocol leaves free: bits behind the prefix length, labels of withdrawals, the
    /// attribute that carries IPv4 routes. 0 is the plain form.
    pub noise: u64,
}

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The router connects and sends an Initiation.
    Connect(usize),
    /// The router connects again before the collector has noticed the loss of the old connection.
    Reconnect(usize),
    /// The collector notices the loss of old connections.
    EndOld(usize),
    /// The connection is lost.
    Lose(usize),
    /// The router sends a Termination.
    Terminate(usize),
    PeerUp(Target, BgpSession),
    PeerDown(Target),
    Statistics(Target),
    EndOfRib(Target, Family),
    Update(Update),
    /// Seconds without a message.
    Wait(u32),
    /// The records of all sessions are in the log.
    Flush,
    /// The collector is killed and starts again: records that are not in the log are lost.
    Kill,
    /// The collector is stopped and starts again.
    Stop,
}

/// Seconds after which a family counts as quiet in all runs (SWEEP_QUIET_S).
pub const QUIET_S: u32 = 10;

/// All steps of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    /// The setting SWEEP_WITHOUT_END_OF_RIB_S.
    pub sweep_without_end_s: Option<u32>,
    /// Whether all connections are lost at the end.
    pub is_lost_at_end: bool,
    pub steps: Vec<Step>,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seconds) = self.sweep_without_end_s {
            writeln!(f, "      SWEEP_WITHOUT_END_OF_RIB_S={seconds}")?;
        }
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {number:3} {}", Short(step))?;
        }
        Ok(())
    }
}

/// One step on one line.
struct Short<'a>(&'a Step);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = |target: &Target| format!("r{} {} {}", target.router, target.named(), target.view.name());
        match self.0 {
            Step::PeerUp(target, session) => {
                let offer = |offer: &Offer| {
                    format!("{}s {:?} add-path {:?}", offer.hold_time, offer.families, offer.add_path)
                };
                write!(f, "PeerUp {} ports {} {}", about(target), session.local_port, session.remote_port)?;
                write!(f, ", sent {}, received {}", offer(&session.sent), offer(&session.received))
            }
            Step::PeerDown(target) => write!(f, "PeerDown {}", about(target)),
            Step::Statistics(target) => write!(f, "Statistics {}", about(target)),
            Step::EndOfRib(target, family) => write!(f, "EndOfRib {} {family:?}", about(target)),
            Step::Update(update) => {
                write!(f, "Update {} {:?}", about(&update.target), update.family)?;
                let name = |route: &Route| format!(" {:x}:{} path {}", route.rd, route.prefix, route.path_id);
                update.withdrawn.iter().try_for_each(|route| write!(f, " -{}", name(route)))?;
                update.announced.iter().try_for_each(|route| write!(f, " +{}", name(route)))?;
                write!(f, " med {} noise {:x}", update.med, update.noise)
            }
            other => write!(f, "{other:?}"),
        }
    }
}
