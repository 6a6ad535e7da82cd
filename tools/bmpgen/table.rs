//! `bmpgen table`: simulates a router with a synthetic full table: initial dump, changes, and a re-dump after
//! a reconnect.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::builder::RangedU64ValueParser;
use holdfast::num::{to_u32_saturating, u32_to_usize};

use crate::encode::{Encoder, Peer};
use crate::failure::Failure;
use crate::link::{Link, Target};
use crate::report::Totals;
use crate::routes::{AttributeSet, IPV4_MAX, Prefix, Random, View};

/// Time of the first message of a stream written to a file, 2026-01-01 00:00:00 UTC. It is fixed, so that the
/// same arguments produce the same bytes.
const FILE_TIME_US: u64 = 1_767_225_600_000_000;
/// Number of /48 prefixes that fit into the largest BGP message (RFC 4271 section 4.1) beside the header and
/// the attributes.
const ROUTES_PER_MESSAGE_MAX: u64 = 400;

/// AS number of the router.
const ROUTER_ASN: u32 = 64_500;

/// Arguments of `table`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// IPv4 prefixes per peer
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = RangedU64ValueParser::<u32>::new().range(..=u64::from(IPV4_MAX)))]
    prefixes: u32,
    /// IPv6 prefixes per peer
    #[arg(long, value_name = "N", default_value_t = 0)]
    ipv6: u32,
    /// Peers of the router
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=250))]
    peers: u16,
    /// RIB views to send, separated by commas; the Loc-RIB holds the first peer's table
    #[arg(long, value_delimiter = ',', default_value = "pre")]
    views: Vec<View>,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Routes per second during the initial dump [default: unlimited]
    #[arg(long, value_name = "ROUTES/S")]
    rate: Option<f64>,
    /// Changes per second after the dump: new attributes, withdrawals, and re-announcements
    #[arg(long, value_name = "ROUTES/S", default_value_t = 0)]
    churn: u64,
    /// Time after the dump, with changes if --churn is set
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    duration: u64,
    /// Neighbouring prefixes that share one attribute set
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    attributes_share: u32,
    /// Maximum number of prefixes per message
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = RangedU64ValueParser::<u32>::new().range(1..=ROUTES_PER_MESSAGE_MAX))]
    routes_per_message: u32,
    /// sysName of the router
    #[arg(long, value_name = "NAME", default_value = "bmpgen")]
    router: String,
    /// Write the ground truth for `compare`: every route sent, in order, as JSON lines
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write the byte stream to a file instead of sending it
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    out: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// Sends the table and its changes, with `--reconnect` over several connections.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut router = Router::new(arguments)?;
    let started = Instant::now();
    let mut totals = Totals { routes: Some(0), ..Totals::default() };
    loop {
        let mut link = match &arguments.out {
            Some(path) => Link::file(create(path)?),
            None => arguments.target.connect(arguments.rate)?,
        };
        link.totals.routes = Some(0);
        let sent = router.session(&mut link);
        totals.add(&link.totals);
        match sent {
            Ok(()) => break,
            Err(Failure::Lost(_)) if arguments.target.reconnect => totals.lost += 1,
            Err(failure) => return Err(failure),
        }
    }
    if let Some(truth) = &mut router.truth {
        truth.file.flush().map_err(|error| Failure::io("ground truth", error))?;
    }
    totals.seconds = started.elapsed().as_secs_f64();
    totals.print(arguments.target.json)?;
    Ok(true)
}

fn create(path: &PathBuf) -> Result<File, Failure> {
    File::create(path).map_err(|error| Failure::io(path.display().to_string(), error))
}

/// State of one prefix of one peer: the number of attribute changes, and whether the prefix is withdrawn.
#[derive(Clone, Copy, Default)]
struct Cell {
    version: u32,
    withdrawn: bool,
}

/// The simulated router: its current table, and the changes left to send.
struct Router<'a> {
    arguments: &'a Arguments,
    encoder: Encoder,
    /// The table of each peer: IPv4 prefixes, then IPv6 prefixes.
    tables: Vec<Vec<Cell>>,
    random: Random,
    changes_left: u64,
    /// End of the time without changes after the dump; set after the first dump.
    idle_until: Option<Instant>,
    truth: Option<Truth>,
    cache: AttributeCache,
}

impl<'a> Router<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, Failure> {
        let prefixes = u32_to_usize(arguments.prefixes) + u32_to_usize(arguments.ipv6);
        let truth = arguments.truth.as_ref().map(create).transpose()?;
        Ok(Self {
            arguments,
            encoder: Encoder {
                router: Ipv4Addr::new(192, 0, 2, 254),
                asn: ROUTER_ASN,
                time_us: FILE_TIME_US,
            },
            tables: vec![vec![Cell::default(); prefixes]; usize::from(arguments.peers)],
            random: Random(arguments.seed),
            changes_left: arguments.churn.saturating_mul(arguments.duration),
            idle_until: None,
            truth: truth.map(|file| Truth {
                file: BufWriter::with_capacity(1 << 20, file),
                connection: 0,
                message: 0,
            }),
            cache: AttributeCache::default(),
        })
    }

    /// Sends one BMP session from Initiation to Termination.
    fn session(&mut self, link: &mut Link) -> Result<(), Failure> {
        if let Some(truth) = &mut self.truth {
            truth.connection += 1;
        }
        self.encoder.initiation(&self.arguments.router, link.buffer());
        link.sent(1)?;
        for (_, peer) in self.sources() {
            self.encoder.peer_up(&peer, link.buffer());
            link.sent(1)?;
        }
        self.dump(link)?;
        self.end_of_rib(link)?;
        if self.changes_left > 0 {
            link.set_rate(self.arguments.churn as f64);
            self.churn(link)?;
        } else {
            let until = Instant::now() + Duration::from_secs(self.arguments.duration);
            let until = *self.idle_until.get_or_insert(until);
            link.hold(until.saturating_duration_since(Instant::now()))?;
        }
        self.encoder.termination(link.buffer());
        link.sent(1)?;
        link.finish()
    }

    /// The peers in each of their views: peer number and per-peer header.
    fn sources(&self) -> Vec<(u16, Peer)> {
        let views = &self.arguments.views;
        (0..self.arguments.peers)
            .flat_map(|number| views.iter().map(move |view| (number, *view)))
            .filter(|(number, view)| *view != View::Loc || *number == 0)
            .map(|(number, view)| (number, peer(number, view)))
            .collect()
    }

    /// Sends the current table.
    fn dump(&mut self, link: &mut Link) -> Result<(), Failure> {
        for (number, peer) in self.sources() {
            let mut index = 0;
            while let Some(cell) = self.cell(number, index) {
                if cell.withdrawn {
                    index += 1;
                    continue;
                }
                let prefixes = self.message_prefixes(number, index, cell.version);
                let set = self.cache.set(self.arguments, number, index, cell.version);
                self.send(link, &peer, &prefixes, Some(&set))?;
                index += to_u32_saturating(prefixes.len());
            }
        }
        Ok(())
    }

    /// State of prefix number `index` of a peer; `None` beyond the table.
    fn cell(&self, number: u16, index: u32) -> Option<Cell> {
        self.tables.get(usize::from(number))?.get(u32_to_usize(index)).copied()
    }

    /// Prefix number `index` of the table.
    fn prefix(&self, index: u32) -> Prefix {
        match index.checked_sub(self.arguments.prefixes) {
            None => Prefix::v4(index),
            Some(index) => Prefix::v6(index),
        }
    }

    /// The prefixes from `index` on that fit into one message: of the same family, group and version.
    fn message_prefixes(&self, number: u16, index: u32, version: u32) -> Vec<Prefix> {
        let first = self.prefix(index);
        let group = index / self.arguments.attributes_share;
        (index..index.saturating_add(self.arguments.routes_per_message))
            .take_while(|&next| {
                next / self.arguments.attributes_share == group
                    && self.cell(number, next).is_some_and(|cell| !cell.withdrawn && cell.version == version)
            })
            .map(|next| self.prefix(next))
            .take_while(|prefix| prefix.is_ipv6() == first.is_ipv6())
            .collect()
    }

    /// Sends End-of-RIB of every family of every peer.
    fn end_of_rib(&self, link: &mut Link) -> Result<(), Failure> {
        for (_, peer) in self.sources() {
            for (ipv6, prefixes) in [(false, self.arguments.prefixes), (true, self.arguments.ipv6)] {
                if prefixes > 0 {
                    self.encoder.end_of_rib(&peer, ipv6, link.buffer());
                    link.sent(1)?;
                }
            }
        }
        link.flush()
    }

    /// Changes random prefixes until no change is left. One change in ten withdraws a prefix.
    fn churn(&mut self, link: &mut Link) -> Result<(), Failure> {
        let prefixes = self.arguments.prefixes.saturating_add(self.arguments.ipv6);
        let sources = self.sources();
        while self.changes_left > 0 && prefixes > 0 {
            let number =
                u16::try_from(self.random.below(u32::from(self.arguments.peers))).unwrap_or_default();
            let index = self.random.below(prefixes);
            let withdraw = self.random.below(10) == 0;
            let Some(cell) = usize::try_from(index)
                .ok()
                .and_then(|index| self.tables.get_mut(usize::from(number))?.get_mut(index))
            else {
                break;
            };
            cell.withdrawn = withdraw && !cell.withdrawn;
            cell.version += u32::from(!cell.withdrawn);
            let version = (!cell.withdrawn).then_some(cell.version);
            let set = version.map(|version| self.cache.set(self.arguments, number, index, version));
            let prefix = [self.prefix(index)];
            for (_, peer) in sources.iter().filter(|(source, _)| *source == number) {
                // If the connection is lost here, the dump of the next connection includes the change.
                self.changes_left = self.changes_left.saturating_sub(1);
                self.send(link, peer, &prefix, set.as_deref())?;
            }
        }
        Ok(())
    }

    /// Sends one message: an announcement with the attributes `set`, or a withdrawal if it is `None`.
    fn send(
        &mut self,
        link: &mut Link,
        peer: &Peer,
        prefixes: &[Prefix],
        set: Option<&AttributeSet>,
    ) -> Result<(), Failure> {
        let routes = prefixes.len() as u64;
        link.wait(routes)?;
        self.set_time(link);
        match (set, prefixes) {
            (Some(set), _) => self.encoder.announce(peer, set, prefixes, link.buffer()),
            (None, [prefix, ..]) => self.encoder.withdraw(peer, *prefix, link.buffer()),
            (None, []) => return Ok(()),
        }
        if let Some(truth) = &mut self.truth {
            truth.write(&self.encoder, &self.arguments.router, peer, prefixes, set)?;
        }
        link.totals.routes = link.totals.routes.map(|total| total + routes);
        link.sent(1)
    }

    /// Sets the time of the next message: the current time, read once per write; in a file, one microsecond
    /// per message.
    fn set_time(&mut self, link: &mut Link) {
        if self.arguments.out.is_some() {
            self.encoder.time_us += 1;
        } else if link.buffer().is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.encoder.time_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        }
    }
}

/// Per-peer header of peer number `number` in a view.
fn peer(number: u16, view: View) -> Peer {
    // Every second peer has a 4-octet AS number above 2^31.
    let asn =
        if number.is_multiple_of(2) { 65_001 + u32::from(number) } else { 4_200_000_000 + u32::from(number) };
    let [high, low] = number.to_be_bytes();
    match view {
        View::Pre | View::Post => Peer { address: Ipv4Addr::new(198, 51, 100 + high, low + 1), asn, view },
        View::Loc => Peer { address: Ipv4Addr::UNSPECIFIED, asn: ROUTER_ASN, view },
    }
}

/// The attribute set used last. Neighbouring prefixes share it.
#[derive(Default)]
struct AttributeCache {
    last: Option<((u16, u32, u32), Arc<AttributeSet>)>,
}

impl AttributeCache {
    /// The attribute set of prefix number `index` of a peer after `version` changes.
    fn set(&mut self, arguments: &Arguments, number: u16, index: u32, version: u32) -> Arc<AttributeSet> {
        let group = index / arguments.attributes_share;
        let key = (number, group, version);
        match &self.last {
            Some((last, set)) if *last == key => Arc::clone(set),
            _ => {
                let asn = peer(number, View::Pre).asn;
                let set = Arc::new(AttributeSet::new(arguments.seed, asn, number, group, version));
                self.last = Some((key, Arc::clone(&set)));
                set
            }
        }
    }
}

/// Writer of the ground truth. Each route is written before it is encoded.
struct Truth {
    file: BufWriter<File>,
    /// Number of the connection, from 1.
    connection: u32,
    /// Number of the next message.
    message: u64,
}

impl Truth {
    /// Writes one line per prefix, in the format of the ground truth of the recorded captures.
    fn write(
        &mut self,
        encoder: &Encoder,
        router: &str,
        peer: &Peer,
        prefixes: &[Prefix],
        set: Option<&AttributeSet>,
    ) -> Result<(), Failure> {
        let Some(first) = prefixes.first() else { return Ok(()) };
        let action = if set.is_some() { "announce" } else { "withdraw" };
        let attributes =
            set.map(|set| format!(",{}", set.json(first.is_ipv6(), peer.view))).unwrap_or_default();
        let (peer_type, asn, id) = encoder.identity(peer);
        for prefix in prefixes {
            writeln!(
                self.file,
                "{{\"router\":\"{router}\",\"connection\":{},\"msg_index\":{},\"peer_type\":{peer_type},\
                 \"peer_distinguisher\":\"0000000000000000\",\"peer_address\":\"{}\",\"peer_asn\":{asn},\
                 \"peer_bgp_id\":\"{id}\",\"rib\":\"{}\",\"timestamp\":{},\"afi\":{},\"safi\":1,\
                 \"action\":\"{action}\",\"prefix\":\"{prefix}\"{attributes}}}",
                self.connection,
                self.message,
                peer.address,
                peer.view.name(),
                encoder.time_us,
                if prefix.is_ipv6() { 2 } else { 1 },
            )
            .map_err(|error| Failure::io("ground truth", error))?;
        }
        self.message += 1;
        Ok(())
    }
}
