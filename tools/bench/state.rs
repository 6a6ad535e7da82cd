//! `bench state`: size of the local state after as many writes as a collector makes in 30 days.
//!
//! A collector writes the position of the state in the log once a second, and sled syncs twice a second, so
//! that each write of a second is synced alone. The same is done here without the pause: a write, a sync.
//! Peers go down and come up in between, and the state is closed and opened once in every simulated day.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use holdfast::route::{Batch, Event, EventKind, Family, Peer, PeerKey, PeerUp, RibView, Router, Timestamp};
use holdfast::state::{OpenOutcome, StateStore};
use serde_json::{Value, json};

use crate::Failure;

/// Writes of one day: one per second.
const DAY: u64 = 86_400;
/// Records a second in the simulated log; decides the size of the numbers that are written.
const RATE: u64 = 100;
/// Number of routers.
const ROUTERS: u64 = 4;
/// Size of a block in `st_blocks`.
const BLOCK_BYTES: u64 = 512;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directory of the state; must not exist. On a disk, each write waits for a sync
    #[arg(long, value_name = "FOLDER")]
    directory: PathBuf,
    /// Number of writes
    #[arg(long, value_name = "N", default_value_t = 30 * DAY)]
    writes: u64,
    /// Peers of each of the four routers
    #[arg(long, value_name = "N", default_value_t = 50)]
    peers: u8,
    /// Writes between two changes of a peer
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    change_every: u64,
}

pub(crate) fn state(arguments: &Arguments) -> Result<String, Failure> {
    if arguments.directory.exists() {
        return Err(format!("{} exists; expected a new directory", arguments.directory.display()).into());
    }
    let started = Instant::now();
    let mut store = open(&arguments.directory)?;
    for router in 0..ROUTERS {
        for peer in 1..=arguments.peers {
            store.observe(&batch(router, peer, 0, up()))?;
        }
    }
    let mut sizes = Vec::new();
    let mut changes = 0;
    for write in 1..=arguments.writes {
        if write.is_multiple_of(arguments.change_every) {
            changes += 1;
            store.observe(&change(arguments.peers, changes, write))?;
        }
        store.mark_observed(write * RATE, time(write))?;
        store.flush()?;
        if write.is_multiple_of(DAY) || write == arguments.writes {
            sizes.push(size(&arguments.directory, write)?);
            drop(store);
            store = open(&arguments.directory)?;
        }
    }
    if store.observed() != arguments.writes * RATE {
        return Err(
            format!("the state is at {}, expected {}", store.observed(), arguments.writes * RATE).into()
        );
    }
    Ok(json!({
        "writes": arguments.writes,
        "peer_changes": changes,
        "seconds": started.elapsed().as_secs_f64(),
        "sizes": sizes,
    })
    .to_string())
}

fn open(directory: &Path) -> Result<StateStore, Failure> {
    match StateStore::open(directory) {
        (store, OpenOutcome::Intact) => Ok(store),
        (_, OpenOutcome::Recreated { reason, .. } | OpenOutcome::InMemory { reason }) => Err(reason.into()),
    }
}

/// Bytes of the directory's files, and of the disk space that they use.
fn size(directory: &Path, writes: u64) -> Result<Value, Failure> {
    let (mut bytes, mut disk_bytes, mut files) = (0, 0, 0_u64);
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                bytes += metadata.len();
                disk_bytes += metadata.blocks() * BLOCK_BYTES;
                files += 1;
            }
        }
    }
    Ok(json!({"writes": writes, "bytes": bytes, "disk_bytes": disk_bytes, "files": files}))
}

/// The change with this number: one peer after the other goes down, and then comes up again.
fn change(peers: u8, number: u64, write: u64) -> Batch {
    let peers = u64::from(peers.max(1));
    let (round, index) = (number / (ROUTERS * peers), number % (ROUTERS * peers));
    let peer = u8::try_from(index % peers).unwrap_or_default() + 1;
    let kind =
        if round.is_multiple_of(2) { EventKind::PeerDown { reason: 4, data: Vec::new() } } else { up() };
    batch(index / peers, peer, write, kind)
}

fn up() -> EventKind {
    EventKind::PeerUp(Box::new(PeerUp {
        local_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        local_port: 179,
        remote_port: 40_179,
        sent_open: Vec::new(),
        received_open: Vec::new(),
        hold_time_s: 180,
        four_octet_as: true,
        add_path: Vec::new(),
        families: vec![Family::IPV4_UNICAST],
        information: Vec::new(),
        sent_capabilities: Vec::new(),
        received_capabilities: Vec::new(),
    }))
}

/// A batch with one event of one peer.
fn batch(router: u64, peer: u8, write: u64, kind: EventKind) -> Batch {
    let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, peer));
    let mut batch = Batch::new(Router {
        name: format!("edge{router}"),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 11_019,
        session: Timestamp(i64::try_from(router).unwrap_or_default() + 1),
    });
    batch.peers.push(Peer {
        key: PeerKey { peer_type: 0, distinguisher: 0, address },
        view: RibView::AdjInPre,
        asn: 65_001,
        bgp_id: Ipv4Addr::new(198, 51, 100, peer),
        table_name: String::new(),
        generation: u32::try_from(write).unwrap_or(u32::MAX),
    });
    batch.events.push(Event {
        index: 0,
        peer: Some(0),
        received: time(write),
        router_time: Timestamp(0),
        kind,
    });
    batch
}

/// Time of a write: one a second since 2026-01-01.
fn time(write: u64) -> Timestamp {
    Timestamp(1_767_225_600_000_000 + i64::try_from(write).unwrap_or_default() * 1_000_000)
}
