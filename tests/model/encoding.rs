//! Legal UPDATEs are read as the OPENs agree: random ones of all families, with and without path identifiers,
//! with trailing bits, with few and many routes. `MODEL_UPDATES=10000000` sets their number.
//!
//! Zero wrong readings among N UPDATEs bound the rate of wrong readings to 3/N (95 % confidence).

use std::net::IpAddr;

use holdfast::route::{Batch, Nlri, Timestamp};
use holdfast::session::Session;

use crate::common::messages::{
    self, ADJ_RIB_OUT, Header, PEER, four_octet_as, initiation, mp_reach, mp_unreach, multiprotocol, open,
    plain_attributes,
};
use crate::common::nlri_samples::{Sample, samples};
use crate::common::sessions::{options, session};
use crate::common::simdisk::Dice;
use crate::schedule::Family;

/// UPDATEs of a run that does not say how many.
const UPDATES: u64 = 40_000;
/// UPDATEs of one BGP session: a wrong reading of one would also affect later ones.
const PER_SESSION: u64 = 500;
/// Octets of routes in one UPDATE, of at most 4,096.
const FIELD_MAX: usize = 3_800;
/// Families whose routes are prefixes, with labels or without.
const PREFIX_FAMILIES: [Family; 10] =
    [(1, 1), (2, 1), (1, 2), (2, 2), (1, 4), (2, 4), (1, 128), (2, 128), (1, 1), (2, 1)];

/// A route as it was encoded: path identifier, and for a prefix its length and address.
type Expected = (u32, Option<(u8, u128)>);

struct Updates {
    dice: Dice,
    samples: Vec<Sample>,
    read: u64,
    routes: u64,
}

pub fn check() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("MODEL_UPDATES").unwrap_or(UPDATES);
    let seed = number("MODEL_SEED").unwrap_or_else(crate::new_seed);
    println!("updates: MODEL_SEED={seed}");
    let is_prefix = |sample: &Sample| PREFIX_FAMILIES.contains(&(sample.family.afi, sample.family.safi));
    let samples: Vec<Sample> = samples().into_iter().filter(|sample| !is_prefix(sample)).collect();
    let mut updates = Updates { dice: Dice::new(seed), samples, read: 0, routes: 0 };
    while updates.read < count {
        updates.session();
    }
    println!("{} UPDATEs with {} routes were read as agreed", updates.read, updates.routes);
}

impl Updates {
    /// One BGP session of one family.
    fn session(&mut self) {
        let is_sample = self.dice.below(4) == 0;
        let family = if is_sample {
            let sample = self.dice.below(self.samples.len() as u64) as usize;
            (self.samples[sample].family.afi, self.samples[sample].family.safi)
        } else {
            PREFIX_FAMILIES[self.dice.below(PREFIX_FAMILIES.len() as u64) as usize]
        };
        let path_ids = self.dice.below(2) == 0;
        let is_out = self.dice.below(2) == 0;
        let header = Header { flags: if is_out { ADJ_RIB_OUT } else { 0 }, ..PEER };
        let mut session = peer(&header, family, path_ids, is_out);
        for _ in 0..PER_SESSION {
            let is_withdrawal = self.dice.below(4) == 0;
            let (field, expected) = if is_sample {
                self.sampled(family, path_ids)
            } else {
                self.prefixes(family, path_ids, is_withdrawal)
            };
            let pdu = self.pdu(family, is_withdrawal, &field);
            session.message(&header.route_monitoring(&pdu), Timestamp(1_790_000_000_000_000));
            let made: Vec<Expected> = session.take_batches().flat_map(|batch| routes(&batch)).collect();
            let counters = session.counters();
            let is_agreed = counters.add_path_mismatches == 0 && counters.errors == 0;
            assert!(
                made == expected && is_agreed,
                "{family:?}, path IDs: {path_ids}, withdrawal: {is_withdrawal}\n{field:02x?}\n\
                 encoded {expected:x?}\n\
                 read    {made:x?}\n{:?}",
                session.take_notices()
            );
            self.read += 1;
            self.routes += expected.len() as u64;
        }
    }

    /// IPv4 unicast has fields of its own.
    fn pdu(&mut self, family: Family, is_withdrawal: bool, field: &[u8]) -> Vec<u8> {
        let (afi, safi) = family;
        let attributes = plain_attributes(&[65_001]);
        match (is_withdrawal, family == (1, 1) && self.dice.below(4) > 0) {
            (true, true) => messages::update(field, &[], &[]),
            (false, true) => messages::update(&[], &attributes, field),
            (true, false) => messages::update(&[], &mp_unreach(afi, safi, field), &[]),
            (false, false) => {
                let next_hop = [0x20; 16];
                let reach = mp_reach(afi, safi, &next_hop[..if afi == 2 { 16 } else { 4 }], field);
                messages::update(&[], &[attributes, reach].concat(), &[])
            }
        }
    }

    /// How many routes an UPDATE has: mostly few.
    fn count(&mut self) -> u64 {
        match self.dice.below(16) {
            0 => 1 + self.dice.below(400),
            1..=3 => 1 + self.dice.below(20),
            _ => 1 + self.dice.below(4),
        }
    }

    /// Path identifiers are small, or such that they look like prefixes, or any number.
    fn path_id(&mut self) -> u32 {
        match self.dice.below(4) {
            0 | 1 => self.dice.below(8) as u32,
            2 => (self.dice.below(33) as u32) << 24 | self.dice.below(1 << 24) as u32,
            _ => self.dice.roll() as u32,
        }
    }

    fn prefixes(&mut self, family: Family, path_ids: bool, is_withdrawal: bool) -> (Vec<u8>, Vec<Expected>) {
        let width: u8 = if family.0 == 1 { 32 } else { 128 };
        let (mut field, mut routes) = (Vec::new(), Vec::new());
        let (kind, common) = (self.dice.below(4), self.dice.below(u64::from(width) + 1) as u8);
        for _ in 0..self.count() {
            let path_id = if path_ids { self.path_id() } else { 0 };
            let length = match kind {
                0 => self.dice.below(u64::from(width) + 1) as u8,
                1 => self.dice.below(9) as u8,
                2 => common,
                _ => width / 4 * 3,
            };
            // Zeros in the address read as path identifiers or default routes, and ones as long prefixes.
            let any = u128::from(self.dice.roll()) << 64 | u128::from(self.dice.roll());
            let bits =
                if self.dice.below(3) == 0 { any & any.rotate_left(37) & any.rotate_left(71) } else { any };
            let behind = if length == 128 { 0 } else { u128::MAX >> length };
            let has_trailing = self.dice.below(2) == 0;
            let sent = if has_trailing { bits } else { bits & !behind };
            let route = (path_id, Some((length, bits & !behind)));
            // The key has no label, and each route distinguisher is one.
            if routes.contains(&route) {
                continue;
            }
            let mut body = Vec::new();
            if matches!(family.1, 4 | 128) {
                let label = (self.dice.below(1 << 20) as u32) << 4 | 1;
                let label =
                    if is_withdrawal { [0x80_0000, 0, label][self.dice.below(3) as usize] } else { label };
                body.extend(&label.to_be_bytes()[1..]);
            }
            if family.1 == 128 {
                body.extend([0, 0, 0xfd, 0xe8, 0, 0, 0, self.dice.below(4) as u8]);
            }
            if path_ids {
                field.extend(path_id.to_be_bytes());
            }
            field.push((body.len() * 8) as u8 + length);
            field.extend(body);
            field.extend(&sent.to_be_bytes()[..usize::from(length.div_ceil(8))]);
            routes.push(route);
            if field.len() > FIELD_MAX {
                break;
            }
        }
        (field, routes)
    }

    /// Routes of a family that has more than prefixes.
    fn sampled(&mut self, family: Family, path_ids: bool) -> (Vec<u8>, Vec<Expected>) {
        let of_family = |sample: &&Sample| (sample.family.afi, sample.family.safi) == family;
        let known: Vec<Vec<u8>> =
            self.samples.iter().filter(of_family).map(|sample| sample.bytes.clone()).collect();
        let (mut field, mut routes) = (Vec::new(), Vec::new());
        for _ in 0..self.count() {
            let path_id = if path_ids { self.path_id() } else { 0 };
            if path_ids {
                field.extend(path_id.to_be_bytes());
            }
            field.extend(&known[self.dice.below(known.len() as u64) as usize]);
            routes.push((path_id, None));
            if field.len() > FIELD_MAX - 200 {
                break;
            }
        }
        (field, routes)
    }
}

/// A session with one peer whose OPENs agree on path identifiers in one direction, or on none.
fn peer(header: &Header, (afi, safi): Family, path_ids: bool, is_out: bool) -> Session {
    let mut session = session(options(Timestamp(1_790_000_000_000_000)));
    let open = |asn, mode| {
        let mut capabilities = vec![four_octet_as(asn), multiprotocol(afi, safi)];
        if path_ids {
            capabilities.push(messages::add_path(afi, safi, mode));
        }
        open(asn, &capabilities)
    };
    let (sent, received) = if is_out { (2, 1) } else { (1, 2) };
    session.message(&initiation("r1"), Timestamp(1));
    session.message(&header.peer_up(&open(65_000, sent), &open(65_001, received), &[]), Timestamp(1));
    session.take_batches().for_each(drop);
    session
}

fn routes(batch: &Batch) -> Vec<Expected> {
    let route = |record: holdfast::route::RouteRecord<'_>| {
        let prefix = match &record.entry.nlri {
            Nlri::Prefix(prefix) => Some(prefix),
            Nlri::Labelled(labelled) if labelled_is_prefix(record.group.family.safi) => {
                Some(&labelled.prefix)
            }
            _ => None,
        };
        let prefix = prefix.map(|prefix| match prefix.address() {
            IpAddr::V4(v4) => (prefix.length(), u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (prefix.length(), v6.to_bits()),
        });
        (record.entry.path_id, prefix)
    };
    batch.routes().map(route).collect()
}

const fn labelled_is_prefix(safi: u8) -> bool {
    matches!(safi, 4 | 128)
}
