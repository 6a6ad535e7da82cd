//! The tables do not depend on how a log is cut into transactions, whatever zeros its peers have.

use std::net::Ipv4Addr;

use crate::common::batches::{Builder, peer, peer_down, peer_up};
use crate::common::db::{Database, Edition};
use crate::common::simdisk::Dice;
use crate::common::store::OWNER;
use holdfast::route::{Batch, Cause, EventKind, Family, Peer, RibView, SessionEnd};
use holdfast::sink::{Connection, Dedup, Lane, TransactionBuilder, rebuild_state};
use holdfast::wal::LogId;

/// Random logs of a run that does not name one by CUTS_SEED.
const LOGS: u64 = 8;

/// Everything that delivery derives from a log. Ids and numbers depend on how many transactions were stored
/// before, and are left out.
const TABLES: [(&str, &str); 7] = [
    (
        "history",
        "SELECT concat_ws(' ', seq, idx, bgp_peer_asn, host(bgp_id), rib, prefix) FROM route_updates
        WHERE collector = $1 ORDER BY seq, idx",
    ),
    (
        "current routes",
        "SELECT concat_ws(' ', p.asn, host(p.bgp_id), p.rib, e.prefix, e.is_withdrawn, e.first_seen,
            e.last_seen, e.session, e.generation, e.seq, e.idx, s.is_withdrawn, s.is_stale,
            CASE WHEN NOT e.is_withdrawn THEN array_to_string(s.as_path, ',') END)
        FROM rib_entries e JOIN bgp_peers p ON p.id = e.peer_id
            JOIN stored_routes s ON s.peer_id = e.peer_id AND s.prefix = e.prefix
        WHERE p.collector = $1 ORDER BY 1",
    ),
    (
        "RIB views",
        "SELECT concat_ws(' ', asn, host(bgp_id), rib, valid_session, valid_generation, first_seen,
            last_seen, announced, withdrawn, ups, downs)
        FROM bgp_peers WHERE collector = $1 ORDER BY 1",
    ),
    (
        STATES,
        "SELECT concat_ws(' ', asn, host(bgp_id), rib, state, session, generation, state_seq, state_idx)
        FROM bgp_peers WHERE collector = $1 ORDER BY 1",
    ),
    (
        "families",
        "SELECT concat_ws(' ', p.asn, host(p.bgp_id), p.rib, f.valid_session, f.valid_generation)
        FROM peer_families f JOIN bgp_peers p ON p.id = f.peer_id WHERE p.collector = $1 ORDER BY 1",
    ),
    (
        "identities",
        "SELECT concat_ws(' ', peer_type, asn, host(bgp_id), since, until, decided_in,
            dense_rank() OVER (ORDER BY peer_number)) FROM peer_identities
        WHERE collector = $1 ORDER BY 1",
    ),
    (
        COUNTERS,
        "SELECT concat_ws(' ', p.asn, host(p.bgp_id), p.rib, e.prefix, e.learn_count, e.withdraw_count,
            e.last_state_change)
        FROM rib_entries e JOIN bgp_peers p ON p.id = e.peer_id WHERE p.collector = $1 ORDER BY 1",
    ),
];

/// The table of states. A RIB view that is first seen with a withdrawal may have the state of the other ones.
const STATES: &str = "states of RIB views";
/// The table of how often routes were learned. Late records of an older session may count or not.
const COUNTERS: &str = "counters of routes";

/// Stores the log in transactions of these numbers of batches, each by a lane of its own collector.
async fn tables(database: &Database, collector: &str, log: &[Batch], sizes: &[usize]) -> Vec<Vec<String>> {
    let lane = Lane { collector: collector.to_owned(), log_id: LogId([7; 16]), number: 0, count: 1 };
    let (mut connection, _) = Connection::attach(&database.target, &lane, OWNER, None).await.unwrap();
    let (mut rest, mut next) = (log, 1);
    for size in sizes {
        let (batches, after) = rest.split_at(*size);
        rest = after;
        let mut transaction = TransactionBuilder::new(lane.clone(), next).with_dedup(Dedup::Always);
        for batch in batches {
            transaction.push(transaction.next_seq(), b"payload", batch).unwrap();
        }
        connection.store(&transaction.build()).await.unwrap();
        next += u64::try_from(*size).unwrap();
    }
    let mut client = database.client().await;
    let found = rebuild_state(&mut client, collector, false).await.unwrap();
    assert!(found.iter().all(|one| one.is_consistent()), "{collector}, transactions {sizes:?}: {found:?}");
    let mut tables = Vec::new();
    for (_, sql) in TABLES {
        let rows = client.query(sql, &[&collector]).await.unwrap();
        tables.push(rows.iter().map(|row| row.get(0)).collect());
    }
    tables
}

/// Compares the tables after the log in one transaction per batch with those after every cut into two, after
/// transactions of two and three batches, and after the whole log in one.
async fn compare_cuts(database: &Database, name: &str, log: &[Batch]) {
    let has_views = log.iter().flat_map(|batch| &batch.peers).any(|peer| peer.view == RibView::AdjInPost);
    let is_ordered = log.is_sorted_by_key(|batch| batch.router.session);
    let each = vec![1; log.len()];
    let by_size = |size| log.chunks(size).map(<[Batch]>::len).collect::<Vec<_>>();
    let mut cuts: Vec<Vec<usize>> = (1..log.len()).map(|at| vec![at, log.len() - at]).collect();
    cuts.extend([by_size(2), by_size(3), vec![log.len()]]);
    let expected = tables(database, &format!("{name}-each"), log, &each).await;
    for (number, cut) in cuts.iter().enumerate() {
        let stored = tables(database, &format!("{name}-{number}"), log, cut).await;
        for (((table, _), expected), stored) in TABLES.iter().zip(&expected).zip(&stored) {
            if *table == COUNTERS && !is_ordered || *table == STATES && has_views {
                continue;
            }
            assert_eq!(expected, stored, "{table} of {name} in transactions of {cut:?} batches");
        }
    }
}

/// A neighbour behind one address.
fn neighbour(asn: u32, bgp_id: u8, view: RibView, generation: u32) -> Peer {
    let mut peer = peer(1, view, generation);
    (peer.asn, peer.bgp_id) = (asn, Ipv4Addr::new(bgp_id, 0, 0, bgp_id));
    peer
}

/// A log about neighbours at one address, with any zeros, in sessions that may overlap.
fn random_log(seed: u64) -> Vec<Batch> {
    let mut dice = Dice::new(seed);
    let mut pick = |limit: u32| u32::try_from(dice.below(u64::from(limit))).unwrap();
    let overlap = pick(2);
    let views: &[RibView] = match pick(4) {
        0 => &[RibView::LocRib],
        1 => &[RibView::AdjInPre],
        _ => &[RibView::AdjInPre, RibView::AdjInPre, RibView::AdjInPost],
    };
    let (mut newest, mut generation) = (0, 0);
    let mut log = Vec::new();
    for number in 0..5 + pick(4) {
        newest += pick(2);
        let session = newest - (pick(2) * overlap).min(newest);
        let mut batch = Builder::new("r1", i64::from(session) * 1_000_000).at(i64::from(number) * 60_000_000);
        for _ in 0..=pick(4) {
            let asn = [0, 65_101, 65_101, 65_102][pick(4) as usize];
            let id = [0, 1, 1, 2][pick(4) as usize];
            let view = views[pick(u32::try_from(views.len()).unwrap()) as usize];
            let peer = neighbour(asn, id, view, generation);
            let route = pick(3);
            batch = match pick(10) {
                0..=4 => batch.announce(&peer, route..=route + pick(2), &[65_000 + pick(2)]),
                5 => batch.withdraw(&peer, [route]),
                6 => batch.event(Some(&peer), peer_down()),
                7 => batch.event(Some(&peer), EventKind::Sweep { family: Family::IPV4_UNICAST }),
                8 => batch.event(Some(&peer), EventKind::PeerStale { end: SessionEnd::Lost }),
                _ => batch.event(Some(&peer), peer_up()),
            };
            // A Peer Down ends the generation.
            generation += u32::from(batch.batch.events.last().is_some_and(|event| {
                event.index + 1 == batch_len(&batch.batch) && event.kind.name() == "peer_down"
            }));
        }
        log.push(batch.build());
    }
    log
}

fn batch_len(batch: &Batch) -> u32 {
    u32::try_from(batch.records()).unwrap()
}

#[tokio::test]
async fn random_logs_give_the_same_tables_however_they_are_cut() {
    let seed = std::env::var("CUTS_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = seed.map_or_else(|| (1..=LOGS).collect(), |seed| vec![seed]);
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "cuts").await else { continue };
        for seed in &seeds {
            compare_cuts(&database, &format!("log{seed}"), &random_log(*seed)).await;
        }
        database.drop().await;
    }
}

#[tokio::test]
async fn zeros_belong_to_the_same_peer_wherever_the_log_is_cut() {
    let pre = |asn, id, generation| neighbour(asn, id, RibView::AdjInPre, generation);
    let (zeros, a, b) = (pre(65_101, 0, 0), pre(65_101, 1, 0), pre(65_101, 2, 0));
    let logs = [
        // A stored second neighbour makes zeros ambiguous that agree with the first one alone.
        vec![
            Builder::new("r1", 0).announce(&a, 0..2, &[1]).announce(&b, 0..2, &[2]).build(),
            Builder::new("r1", 0).at(1).announce(&a, 2..3, &[1]).build(),
            Builder::new("r1", 0).at(2).withdraw(&zeros, [0]).event(Some(&zeros), peer_down()).build(),
            Builder::new("r1", 0).at(3).announce(&a, 0..2, &[1]).build(),
        ],
        // Decided before there was a second one, and for the rest of the session.
        vec![
            Builder::new("r1", 0).announce(&zeros, 0..3, &[1]).build(),
            Builder::new("r1", 0).at(1).announce(&a, 0..1, &[3]).announce(&b, 0..1, &[2]).build(),
            Builder::new("r1", 0).at(2).withdraw(&zeros, [0, 1]).build(),
            Builder::new("r1", 1).at(3).announce(&zeros, 0..2, &[4]).build(),
            Builder::new("r1", 0).at(4).announce(&zeros, 1..2, &[5]).build(),
        ],
        // A Peer Down with zeros ends the routes of the neighbour, which then announces them again.
        vec![
            Builder::new("r1", 0).announce(&a, 0..2, &[1]).build(),
            Builder::new("r1", 1).at(1).event(Some(&zeros), peer_down()).build(),
            Builder::new("r1", 1)
                .at(2)
                .announce(&pre(65_101, 1, 1), 0..1, &[1])
                .because(Cause::ReDump)
                .build(),
        ],
    ];
    for edition in Edition::ALL {
        let Some(database) = Database::migrated(edition, "cuts_zeros").await else { continue };
        for (number, log) in logs.iter().enumerate() {
            compare_cuts(&database, &format!("case{number}"), log).await;
        }
        database.drop().await;
    }
}
