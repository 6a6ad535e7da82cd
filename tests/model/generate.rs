//! Random schedules. Everything follows from the seed.

use crate::catalogue::peers;
use crate::common::simdisk::Dice;
use crate::schedule::{
    BgpSession, FAMILIES, Family, IPV4, Offer, PeerId, Prefix, QUIET_S, Route, Schedule, Step, Target,
    Update, View, Zeros,
};

/// Kinds of steps that a run may do without: `MODEL_WITHOUT=zeros,repeats` leaves these out of all schedules,
/// to find out which kind a disagreement needs.
#[derive(Clone, Debug, Default)]
pub struct Without(Vec<String>);

impl Without {
    /// The kinds of the environment, else none.
    pub fn from_environment() -> Self {
        let kinds = std::env::var("MODEL_WITHOUT").unwrap_or_default();
        Self(kinds.split(',').map(str::to_owned).collect())
    }

    fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|without| without == kind)
    }
}

/// A peer as its router sees it.
struct Neighbour {
    id: PeerId,
    views: Vec<View>,
    /// The BGP session, while it is established.
    session: Option<BgpSession>,
    /// Whether this BMP session has sent a Peer Up of the BGP session.
    is_reported: bool,
}

struct Generator {
    dice: Dice,
    without: Without,
    steps: Vec<Step>,
    /// The peers of each router, and whether the router is connected.
    routers: Vec<(bool, Vec<Neighbour>)>,
    med: u32,
    /// Number of prefixes that were made for one announcement.
    fresh: u32,
}

/// The schedule of a seed.
pub fn generate(seed: u64, without: &Without) -> Schedule {
    let mut generator = Generator {
        dice: Dice::new(seed),
        without: without.clone(),
        steps: Vec::new(),
        routers: Vec::new(),
        med: 0,
        fresh: 0,
    };
    for _ in 0..=generator.dice.below(2) {
        let peers = generator.neighbours();
        generator.routers.push((false, peers));
    }
    for _ in 0..20 + generator.dice.below(60) {
        generator.step();
    }
    let sweep_without_end_s = generator.one_in(3).then(|| generator.pick(&[1, QUIET_S, 3 * QUIET_S]));
    let is_lost_at_end = generator.one_in(2);
    Schedule { seed, sweep_without_end_s, is_lost_at_end, steps: generator.steps }
}

impl Generator {
    fn one_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let count = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.dice.below(count)).unwrap()].clone()
    }

    fn some<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        let chosen: Vec<T> = from.iter().filter(|_| self.dice.below(2) == 0).cloned().collect();
        if chosen.is_empty() { vec![self.pick(from)] } else { chosen }
    }

    fn neighbours(&mut self) -> Vec<Neighbour> {
        let mut ids = peers();
        if self.without.has("unnumbered") {
            ids.retain(|id| ![12, 13, 253].contains(&(id.bgp_id & 0xff)));
        }
        let mut chosen: Vec<PeerId> = Vec::new();
        for _ in 0..2 + self.dice.below(4) {
            let id = self.pick(&ids);
            if !chosen.contains(&id) {
                chosen.push(id);
            }
        }
        let views = [View::InPre, View::InPost, View::OutPre, View::OutPost];
        chosen
            .into_iter()
            .map(|id| Neighbour {
                id,
                views: if id.is_loc_rib() { vec![View::Loc] } else { self.some(&views) },
                session: None,
                is_reported: false,
            })
            .collect()
    }

    fn offer(&mut self, families: &[Family]) -> Offer {
        let mut add_path = Vec::new();
        for family in families {
            if self.one_in(2) && !self.without.has("add-path") {
                add_path.push((*family, u8::try_from(1 + self.dice.below(3)).unwrap()));
            }
        }
        Offer { hold_time: self.pick(&[90, 180]), families: families.to_vec(), add_path }
    }

    fn bgp_session(&mut self, id: &PeerId) -> BgpSession {
        let mut families = self.some(&FAMILIES);
        if !families.contains(&IPV4) && !self.one_in(3) {
            families.push(IPV4);
        }
        let sent = self.offer(&families);
        if id.is_loc_rib() {
            // The OPENs of a Loc-RIB are made up by the router: it sends the same one twice.
            return BgpSession { received: sent.clone(), sent, ..BgpSession::default() };
        }
        let remote_port = u16::try_from(30_000 + self.dice.below(30_000)).unwrap();
        BgpSession { local_port: 179, remote_port, sent, received: self.offer(&families) }
    }

    fn step(&mut self) {
        let router = usize::try_from(self.dice.below(self.routers.len() as u64)).unwrap();
        if !self.routers[router].0 && !self.one_in(8) {
            self.connect(router);
            return;
        }
        let count = self.routers[router].1.len() as u64;
        let peer = usize::try_from(self.dice.below(count)).unwrap();
        match self.dice.below(100) {
            0..=15 => self.up_or_down(router, peer),
            16..=24 => self.repeat_peer_up(router, peer),
            25..=44 => self.dump(router, peer),
            45..=64 => self.change(router, peer),
            65..=71 => self.wait(),
            72..=76 => self.steady(router, peer),
            77..=82 => self.disconnect(router),
            83..=85 => self.restart(),
            86..=91 => self.steps.push(Step::Flush),
            92 => self.steps.push(Step::EndOld(router)),
            93..=95 => self.early_peer_down(router, peer),
            _ => {
                let target = self.target(router, peer);
                self.steps.push(Step::Statistics(target));
            }
        }
    }

    fn target(&mut self, router: usize, peer: usize) -> Target {
        let views = self.routers[router].1[peer].views.clone();
        let view = self.pick(&views);
        Target { router, peer: self.routers[router].1[peer].id, view, zeros: Zeros::None }
    }

    /// A target whose header lacks AS number or BGP identifier now and then.
    fn target_with_zeros(&mut self, router: usize, peer: usize) -> Target {
        let mut target = self.target(router, peer);
        if self.one_in(6) && self.may_have_zeros(&target) {
            target.zeros = self.pick(&[Zeros::Asn, Zeros::BgpId, Zeros::Both]);
        }
        target
    }

    /// Whether zeros are among the kinds, also those that several peers at one address agree with.
    fn may_have_zeros(&self, target: &Target) -> bool {
        let of = |id: &PeerId| (id.kind, id.distinguisher, id.address);
        let (_, peers) = &self.routers[target.router];
        let is_ambiguous = peers.iter().filter(|peer| of(&peer.id) == of(&target.peer)).count() > 1;
        !(self.without.has("zeros") || is_ambiguous && self.without.has("ambiguous-zeros"))
    }

    /// The router connects, and reports the peers whose BGP sessions are established, most of them with their
    /// tables.
    fn connect(&mut self, router: usize) {
        self.steps.push(Step::Connect(router));
        self.report_all(router);
    }

    fn report_all(&mut self, router: usize) {
        self.routers[router].0 = true;
        for peer in 0..self.routers[router].1.len() {
            if self.routers[router].1[peer].session.is_some() && !self.one_in(5) {
                self.report(router, peer);
                if !self.one_in(3) {
                    self.dump(router, peer);
                }
            }
        }
    }

    fn report(&mut self, router: usize, peer: usize) {
        let target = self.target(router, peer);
        let neighbour = &mut self.routers[router].1[peer];
        neighbour.is_reported = true;
        let session = neighbour.session.clone().unwrap();
        self.steps.push(Step::PeerUp(target, session));
    }

    fn up_or_down(&mut self, router: usize, peer: usize) {
        if self.routers[router].1[peer].session.is_none() {
            let id = self.routers[router].1[peer].id;
            self.routers[router].1[peer].session = Some(self.bgp_session(&id));
            self.report(router, peer);
            self.dump(router, peer);
        } else if self.one_in(2) {
            let target = self.target_with_zeros(router, peer);
            self.steps.push(Step::PeerDown(target));
            self.routers[router].1[peer].session = None;
            self.routers[router].1[peer].is_reported = false;
        }
    }

    /// A second Peer Up without Peer Down: a repetition, a further family of a Loc-RIB, or a new BGP session.
    fn repeat_peer_up(&mut self, router: usize, peer: usize) {
        let Some(mut session) = self.routers[router].1[peer].session.clone() else { return };
        let target = self.target(router, peer);
        if self.one_in(3) && !self.without.has("new-sessions") {
            // A new BGP session often has the OPENs of the last one.
            let new = self.bgp_session(&target.peer);
            session =
                if self.one_in(2) { BgpSession { remote_port: new.remote_port, ..session } } else { new };
        } else if self.without.has("repeats") {
            return;
        } else if target.peer.is_loc_rib() && self.one_in(2) {
            let family = self.pick(&FAMILIES);
            let hold_time = session.sent.hold_time;
            session.sent = Offer { hold_time, ..self.offer(&[family]) };
            session.received = session.sent.clone();
        } else if self.one_in(6) && !self.without.has("zero-ports") {
            (session.local_port, session.remote_port) = (0, 0);
        }
        self.routers[router].1[peer].session = Some(session);
        self.report(router, peer);
    }

    /// FRR reports peers as down that have not been up, without their BGP identifier.
    fn early_peer_down(&mut self, router: usize, peer: usize) {
        if self.routers[router].1[peer].session.is_none() && !self.without.has("early-downs") {
            let mut target = self.target(router, peer);
            if self.may_have_zeros(&target) {
                target.zeros = self.pick(&[Zeros::None, Zeros::BgpId]);
            }
            self.steps.push(Step::PeerDown(target));
        }
    }

    /// The table of one view and family, in part, with or without End-of-RIB, which FRR sends before the last
    /// routes.
    fn dump(&mut self, router: usize, peer: usize) {
        for _ in 0..=self.dice.below(2) {
            let target = self.target_with_zeros(router, peer);
            let family = self.family(router, peer);
            for _ in 0..self.dice.below(4) {
                self.update(target, family, false);
            }
            if self.one_in(2) {
                self.steps.push(Step::EndOfRib(target, family));
                if self.one_in(4) {
                    self.update(target, family, false);
                }
            }
        }
    }

    fn change(&mut self, router: usize, peer: usize) {
        let target = self.target_with_zeros(router, peer);
        let family = self.family(router, peer);
        for _ in 0..=self.dice.below(3) {
            self.update(target, family, true);
        }
    }

    /// Updates without a pause of the quiet time, of one known prefix or of new ones.
    fn steady(&mut self, router: usize, peer: usize) {
        if self.without.has("steady") {
            return;
        }
        let target = self.target(router, peer);
        let family = self.family(router, peer);
        let known = self.route(family);
        let is_fresh = self.one_in(3);
        let pause = self.pick(&[1, QUIET_S / 2, QUIET_S - 1]);
        let until = self.pick(&[QUIET_S / pause + 3, 11 * QUIET_S / pause]);
        for _ in 0..until.min(40) {
            let mut route = known;
            if is_fresh {
                self.fresh += 1;
                route.prefix.bits = u128::from(0x6400_0000 + (self.fresh << 8)) << 96;
                route.prefix.length = 24;
            }
            let update = self.update_of(target, family, Vec::new(), vec![route]);
            self.steps.extend([Step::Update(update), Step::Wait(pause)]);
        }
    }

    fn wait(&mut self) {
        let seconds = self.pick(&[1, QUIET_S / 2, QUIET_S - 1, QUIET_S + 1, 2 * QUIET_S, 11 * QUIET_S]);
        self.steps.push(Step::Wait(seconds));
    }

    fn disconnect(&mut self, router: usize) {
        if self.one_in(3) && !self.without.has("overlaps") {
            self.steps.push(Step::Reconnect(router));
            self.disconnected(router);
            self.report_all(router);
            return;
        }
        let step = if self.one_in(3) { Step::Terminate(router) } else { Step::Lose(router) };
        self.steps.push(step);
        self.disconnected(router);
    }

    fn disconnected(&mut self, router: usize) {
        let restarted = self.one_in(3);
        self.routers[router].0 = false;
        for peer in &mut self.routers[router].1 {
            peer.is_reported = false;
            if restarted {
                peer.session = None;
            }
        }
    }

    fn restart(&mut self) {
        let step = if self.one_in(3) { Step::Stop } else { Step::Kill };
        if self.without.has("restarts") {
            return;
        }
        self.steps.push(step);
        (0..self.routers.len()).for_each(|router| self.disconnected(router));
    }

    fn family(&mut self, router: usize, peer: usize) -> Family {
        let session = self.routers[router].1[peer].session.as_ref();
        let families = session.map(|session| session.sent.families.clone()).unwrap_or_default();
        if families.is_empty() || self.one_in(8) { self.pick(&FAMILIES) } else { self.pick(&families) }
    }

    fn update(&mut self, target: Target, family: Family, may_withdraw: bool) {
        // A peer that the router has not reported: routes without a Peer Up, now and then.
        let (_, peers) = &self.routers[target.router];
        let is_reported = peers.iter().any(|peer| peer.id == target.peer && peer.is_reported);
        if !is_reported && (self.without.has("implicit") || !self.one_in(8)) {
            return;
        }
        let mut routes: Vec<Route> = (0..=self.dice.below(4)).map(|_| self.route(family)).collect();
        let withdrawn = if may_withdraw && self.one_in(2) {
            let keep = usize::try_from(self.dice.below(routes.len() as u64 + 1)).unwrap();
            routes.split_off(keep)
        } else {
            Vec::new()
        };
        let update = self.update_of(target, family, withdrawn, routes);
        self.steps.push(Step::Update(update));
    }

    fn update_of(
        &mut self,
        target: Target,
        family: Family,
        withdrawn: Vec<Route>,
        announced: Vec<Route>,
    ) -> Update {
        // A half of the announcements repeats the attributes of the last one.
        self.med += u32::from(self.one_in(2));
        let noise = if self.without.has("noise") { 0 } else { self.dice.roll() };
        Update { target, family, withdrawn, announced, med: self.med, noise }
    }

    /// A route of a small pool, so that schedules often come back to the same one.
    fn route(&mut self, family: Family) -> Route {
        let lengths: &[u8] =
            if family.0 == 1 { &[0, 1, 8, 23, 24, 25, 31, 32] } else { &[0, 3, 32, 47, 64, 127, 128] };
        let length = self.pick(lengths);
        let (is_v6, network) = if family.0 == 1 {
            (false, u128::from(self.pick(&[0x0a00_0100_u32, 0xc000_0200, 0x0000_0100])) << 96)
        } else {
            (true, self.pick(&[0x2001_0db8_u128 << 96, 0x2001_0db8_0001_u128 << 80 | 0x11]))
        };
        let bits = if length == 0 { 0 } else { network & (u128::MAX << (128 - length)) };
        Route {
            prefix: Prefix { is_v6, bits, length },
            path_id: self.pick(&[1, 2, 0x1800_0001]),
            rd: self.pick(&[0x0000_fde8_0000_0001, 0x0002_fa56_ea01_0001]),
            label: self.pick(&[16, 100, 0xf_ffff]),
        }
    }
}
