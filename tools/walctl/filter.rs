//! Selection of records by the options of `dump` and `export`.

use std::net::IpAddr;

use clap::Args;
use holdfast::route::{Batch, EventKind, Family, Peer, Prefix, Record, RibView, Timestamp};
use holdfast::wal::inspect::{overview, totals};
use holdfast::wal::{Disk, SeqNo};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::Failure;

/// Tolerance between the receive time of a record and the commit time of its sync group, microseconds.
const CLOCK_TOLERANCE_US: i64 = 60_000_000;

/// Conditions on a record; all that are given must hold.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Selection of records")]
pub(crate) struct Filter {
    /// Batches with these sequence numbers, inclusive: `7..9`, `7..`, `..9`, `7`
    #[arg(long, value_name = "A..B", value_parser = range)]
    pub(crate) seq: Option<(SeqNo, SeqNo)>,
    /// Records of the router with this name or address
    #[arg(long, value_name = "NAME")]
    pub(crate) router: Option<String>,
    /// Records of the peer with this address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) peer: Option<IpAddr>,
    /// Records of this RIB view: adj-in-pre, adj-in-post, adj-out-pre, adj-out-post, loc-rib
    #[arg(long, value_name = "VIEW")]
    pub(crate) rib: Option<String>,
    /// Routes to this prefix or a more specific one
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<Prefix>,
    /// Records of this address family: ipv4_unicast, evpn, …, or AFI/SAFI as numbers, such as 1/1
    #[arg(long, value_name = "FAMILY")]
    pub(crate) family: Option<String>,
    /// Records received at or after this time: RFC 3339, a date, or a time ago (`90s`, `15m`, `2h`, `3d`)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Records received at or before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
}

impl Filter {
    /// First and last batch to read. Segments that were closed before `--since` or created after `--until`
    /// are skipped by the times in their seals, so that the last minutes of a large log are found at once.
    pub(crate) fn range(&self, disk: &Disk) -> Result<(SeqNo, SeqNo), Failure> {
        let overview = overview(disk)?;
        // Batches before the first segment were delivered and recycled, or dropped on purpose.
        let first = overview.first_seq().unwrap_or(SeqNo(1));
        let (mut from, mut to) = self.seq.unwrap_or((first, SeqNo::MAX));
        if self.since.is_none() && self.until.is_none() {
            return Ok((from, to));
        }
        let mut is_before = true;
        for segment in overview.segments {
            let Some((header, totals)) = segment.header.zip(totals(disk, &segment)?) else {
                is_before = false;
                continue;
            };
            if is_before {
                from = from.max(header.first_seq);
                is_before = totals.sealed
                    && self
                        .since
                        .is_some_and(|since| totals.time_max.saturating_add(CLOCK_TOLERANCE_US) < since.0);
            }
            if self.until.is_some_and(|until| totals.time_min.saturating_sub(CLOCK_TOLERANCE_US) > until.0) {
                to = to.min(header.first_seq.prev());
                break;
            }
        }
        Ok((from, to))
    }

    /// Returns true if a record of this batch can match.
    pub(crate) fn matches_batch(&self, batch: &Batch) -> bool {
        let router = &batch.router;
        self.router.as_ref().is_none_or(|name| *name == router.name || *name == router.address.to_string())
    }

    /// Returns true if this record of a matching batch matches.
    pub(crate) fn matches(&self, batch: &Batch, record: &Record<'_>) -> bool {
        let (time, peer, families) = match record {
            Record::Route(route) => {
                (route.group.received, batch.peer_of(route.group), vec![route.group.family])
            }
            Record::Event(event) => {
                let peer = event.peer.and_then(|peer| batch.peers.get(usize::from(peer)));
                (event.received, peer, families_of(&event.kind))
            }
        };
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until)
            && self.matches_peer(peer)
            && self.matches_family(&families)
            && self.prefix.is_none_or(|wanted| is_inside(record, wanted))
    }

    fn matches_peer(&self, peer: Option<&Peer>) -> bool {
        let view = |view: RibView, name: &str| view.to_string() == name;
        self.peer.is_none_or(|address| peer.is_some_and(|peer| peer.key.address == address))
            && self.rib.as_ref().is_none_or(|name| peer.is_some_and(|peer| view(peer.view, name)))
    }

    fn matches_family(&self, families: &[Family]) -> bool {
        let is = |family: Family, name: &str| {
            family.to_string() == name || format!("{}/{}", family.afi, family.safi) == name
        };
        self.family.as_ref().is_none_or(|name| families.iter().any(|family| is(*family, name)))
    }
}

/// The families that an event is about.
fn families_of(kind: &EventKind) -> Vec<Family> {
    match kind {
        EventKind::EndOfRib { family } | EventKind::Sweep { family } => vec![*family],
        _ => {
            let suspects = kind.malformed().map(|malformed| malformed.suspects).unwrap_or_default();
            suspects.iter().copied().map(Family::from).collect()
        }
    }
}

fn is_inside(record: &Record<'_>, wanted: Prefix) -> bool {
    let Record::Route(route) = record else { return false };
    route.entry.nlri.columns().prefix.is_some_and(|prefix| wanted.covers(&prefix))
}

fn range(text: &str) -> Result<(SeqNo, SeqNo), String> {
    let number = |text: &str, default: SeqNo| match text {
        "" => Ok(default),
        digits => digits.parse().map(SeqNo).map_err(|_| format!("invalid sequence number \"{digits}\"")),
    };
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let range = (number(from, SeqNo(1))?, number(to.trim_start_matches('='), SeqNo::MAX)?);
    if range.0 > range.1 {
        return Err("invalid range: the first number is greater than the last".to_owned());
    }
    Ok(range)
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let ago = units.iter().find_map(|(unit, seconds)| {
        text.strip_suffix(*unit)?.parse::<i64>().ok()?.checked_mul(*seconds)?.checked_mul(1_000_000)
    });
    if let Some(ago) = ago {
        return Ok(Timestamp(crate::output::now().saturating_sub(ago)));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = OffsetDateTime::parse(&whole, &Rfc3339).map_err(|_| {
        "expected a time such as 2026-01-31T12:00:00Z, 2026-01-31, or a time ago: 90s, 15m, 2h, 3d".to_owned()
    })?;
    Ok(Timestamp(i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)))
}
