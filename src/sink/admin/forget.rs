//! Removes routers and peers that will not return from the current tables. Their history remains.
//!
//! Which records a peer had by then is recorded in `forgotten_peers`, so that a comparison of the current
//! table with history does not expect their routes. The lanes wait meanwhile: each locks its row of
//! `ingest_checkpoint` before it stores anything.

use std::net::IpAddr;

use tokio_postgres::{Client, Row, Transaction};
use uuid::Uuid;

use crate::num;
use crate::route::PeerKey;
use crate::sink::error::{Error, explain};
use crate::sink::lanes::lane_of;

/// A router, or some of its peers, to be forgotten.
#[derive(Clone, Copy, Debug)]
pub struct ForgetRequest<'a> {
    /// Name of the router.
    pub router: &'a str,
    /// Peers of the router, in the form of the parameter `peer` of queries; all peers and the router itself
    /// if `None`.
    pub peer: Option<&'a str>,
    /// Whether a router that is connected, and a peer that is up, is forgotten as well.
    pub force: bool,
}

/// A peer that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenPeer {
    /// Name of the router.
    pub router: String,
    /// Address, AS number and BGP identifier.
    pub peer: String,
    /// Number of RIB views.
    pub views: u64,
    /// Number of routes in the current table, withdrawn ones included.
    pub routes: u64,
}

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The collector has no such router.
    #[error("unknown router \"{router}\"; {}", list("routers of this collector", known))]
    UnknownRouter {
        /// The name.
        router: String,
        /// Names of the collector's routers.
        known: Vec<String>,
    },
    /// The router has no such peer.
    #[error("router \"{router}\" has no peer \"{peer}\"; {}", list("its peers", known))]
    UnknownPeer {
        /// Name of the router.
        router: String,
        /// The selector that names no peer.
        peer: String,
        /// Peers of the router.
        known: Vec<String>,
    },
    /// The router is connected, or a peer is up.
    #[error("{what} is {state} in the database{as_of}; use --force to forget it nevertheless")]
    Live {
        /// The router or peer.
        what: String,
        /// `connected` or `up`.
        state: &'static str,
        /// How current that is, if known.
        as_of: String,
    },
    /// The database cannot be reached.
    #[error("{}", .0.explain())]
    Connect(#[from] Error),
    /// A statement failed.
    #[error("{}", explain(.0))]
    Database(#[from] tokio_postgres::Error),
}

fn list(what: &str, known: &[String]) -> String {
    if known.is_empty() { format!("{what}: none") } else { format!("{what}: {}", known.join(", ")) }
}

/// Peers of a collector whose router is `$2`, or any if null: one row each, with its RIB views.
const PEERS: &str = "
    SELECT peer_number, router, min(peer_type), min(encode(distinguisher, 'hex')), min(address),
        concat_ws(' ', host(min(address)), 'AS' || max(asn), nullif(host(max(bgp_id)), '0.0.0.0')),
        bool_or(state = 'up'), array_agg(id)
    FROM bgp_peers
    WHERE collector = $1 AND ($2::text IS NULL OR router = $2)
        AND ($3::text IS NULL OR id::text = $3 OR holdfast_is_selected($3, router, address, asn, bgp_id))
    GROUP BY peer_number, router
    HAVING $4::int IS NULL OR (NOT bool_or(state = 'up') AND greatest(max(last_seen), max(down_at),
        max(stale_since)) < now() - make_interval(days => $4))
    ORDER BY router, min(address), max(asn), max(bgp_id)";

/// A row of [`PEERS`].
struct Candidate {
    number: i64,
    router: String,
    key: PeerKey,
    text: String,
    is_up: bool,
    views: Vec<i64>,
}

impl TryFrom<&Row> for Candidate {
    type Error = tokio_postgres::Error;

    fn try_from(row: &Row) -> Result<Self, Self::Error> {
        let peer_type: i16 = row.try_get(2)?;
        let address: IpAddr = row.try_get(4)?;
        let distinguisher: String = row.try_get(3)?;
        Ok(Self {
            number: row.try_get(0)?,
            router: row.try_get(1)?,
            key: PeerKey {
                peer_type: u8::try_from(peer_type).unwrap_or(u8::MAX),
                distinguisher: u64::from_str_radix(&distinguisher, 16).unwrap_or(0),
                address,
            },
            text: row.try_get(5)?,
            is_up: row.try_get(6)?,
            views: row.try_get(7)?,
        })
    }
}

/// Forgets a router or peers of a router, and returns the peers.
///
/// # Errors
/// The router or peer is unknown, or is live and `force` is not set, or a statement failed; nothing is
/// changed then.
pub async fn forget(
    client: &mut Client,
    collector: &str,
    request: ForgetRequest<'_>,
) -> Result<Vec<ForgottenPeer>, ForgetError> {
    let transaction = locked(client).await?;
    let ForgetRequest { router, peer, force } = request;
    let row = "SELECT is_active FROM bmp_peers WHERE collector = $1 AND router = $2";
    let is_connected = transaction.query_opt(row, &[&collector, &router]).await?;
    let is_connected = is_connected.map(|row| row.try_get::<_, bool>(0)).transpose()?;
    let all = candidates(&transaction, collector, Some(router), None, None).await?;
    if is_connected.is_none() && all.is_empty() {
        let sql = "SELECT router FROM bmp_peers WHERE collector = $1 ORDER BY 1";
        let rows = transaction.query(sql, &[&collector]).await?;
        let known = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        return Err(ForgetError::UnknownRouter { router: router.to_owned(), known });
    }
    let peers = match peer {
        None => all,
        Some(peer) => {
            let peers = candidates(&transaction, collector, Some(router), Some(peer), None).await?;
            if peers.is_empty() {
                let known = all.into_iter().map(|candidate| candidate.text).collect();
                let (router, peer) = (router.to_owned(), peer.to_owned());
                return Err(ForgetError::UnknownPeer { router, peer, known });
            }
            peers
        }
    };
    if !force {
        let connected = is_connected == Some(true) && peer.is_none();
        let up = peers.iter().find(|candidate| candidate.is_up);
        let what = match (connected, up) {
            (true, _) => Some((format!("router \"{router}\""), "connected")),
            (false, Some(up)) => Some((format!("peer {} of \"{router}\"", up.text), "up")),
            (false, None) => None,
        };
        if let Some((what, state)) = what {
            return Err(ForgetError::Live { what, state, as_of: as_of(&transaction, collector).await? });
        }
    }
    let forgotten = remove(&transaction, collector, &peers).await?;
    if peer.is_none() {
        let delete = "DELETE FROM bmp_peers WHERE collector = $1 AND router = $2";
        transaction.execute(delete, &[&collector, &router]).await?;
    }
    transaction.commit().await?;
    Ok(forgotten)
}

/// Forgets the peers that have been down, stale or unknown for this many days, and the routers without peers
/// that have been disconnected for as long. Returns the peers and the number of routers.
///
/// # Errors
/// A statement failed; nothing is changed then.
pub async fn forget_older(
    client: &mut Client,
    collector: &str,
    days: u32,
) -> Result<(Vec<ForgottenPeer>, u64), ForgetError> {
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let routers = "FROM bmp_peers b WHERE collector = $1 AND NOT is_active
        AND greatest(last_seen, ended_at) < now() - make_interval(days => $2)
        AND NOT EXISTS (SELECT FROM bgp_peers p WHERE p.collector = b.collector AND p.router = b.router)";
    // Most runs find nothing, and need not keep the lanes waiting.
    let no_routers: i64 =
        client.query_one(&format!("SELECT count(*) {routers}"), &[&collector, &days]).await?.try_get(0)?;
    let found = client.query(PEERS, &[&collector, &None::<&str>, &None::<&str>, &Some(days)]).await?;
    if no_routers == 0 && found.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let transaction = locked(client).await?;
    let peers = candidates(&transaction, collector, None, None, Some(days)).await?;
    let forgotten = remove(&transaction, collector, &peers).await?;
    let routers = transaction.execute(&format!("DELETE {routers}"), &[&collector, &days]).await?;
    transaction.commit().await?;
    Ok((forgotten, routers))
}

/// Begins a transaction during which no lane stores anything.
async fn locked(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("LOCK TABLE ingest_checkpoint IN EXCLUSIVE MODE").await?;
    Ok(transaction)
}

async fn candidates(
    transaction: &Transaction<'_>,
    collector: &str,
    router: Option<&str>,
    peer: Option<&str>,
    days: Option<i32>,
) -> Result<Vec<Candidate>, tokio_postgres::Error> {
    let rows = transaction.query(PEERS, &[&collector, &router, &peer, &days]).await?;
    rows.iter().map(Candidate::try_from).collect()
}

/// How current the database is, as a part of a sentence.
async fn as_of(transaction: &Transaction<'_>, collector: &str) -> Result<String, tokio_postgres::Error> {
    let sql = "SELECT to_char(as_of AT TIME ZONE 'UTC', ' (as of YYYY-MM-DD\"T\"HH24:MI:SS\"Z)\"')
        FROM collector_reports WHERE collector = $1";
    let row = transaction.query_opt(sql, &[&collector]).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.try_get(0))
}

/// Removes the peers from the current tables, and records which of their records these had included.
async fn remove(
    transaction: &Transaction<'_>,
    collector: &str,
    peers: &[Candidate],
) -> Result<Vec<ForgottenPeer>, tokio_postgres::Error> {
    // Both lanes of each shard.
    let sql = "SELECT log_id, lane % lanes, lanes, min(last_seq), max(last_seq) FROM ingest_checkpoint
        WHERE collector = $1 GROUP BY 1, 2, 3";
    let mut checkpoints: Vec<(Uuid, u32, u32, i64, i64)> = Vec::new();
    for row in transaction.query(sql, &[&collector]).await? {
        let [shard, shards] = [row.try_get::<_, i32>(1)?, row.try_get(2)?].map(i32::cast_unsigned);
        checkpoints.push((row.try_get(0)?, shard, shards, row.try_get(3)?, row.try_get(4)?));
    }
    let mut forgotten = Vec::with_capacity(peers.len());
    for peer in peers {
        for (log_id, shard, shards, slowest, fastest) in &checkpoints {
            if lane_of(&peer.router, &peer.key, *shards) != *shard || *fastest == 0 {
                continue;
            }
            let stored = if slowest == fastest { None } else { Some((*slowest, *fastest)) };
            let last_seq = match stored {
                None => *slowest,
                Some(range) => last_stored(transaction, collector, peer, log_id, range).await?,
            };
            if last_seq > 0 {
                let insert = "INSERT INTO forgotten_peers VALUES ($1, $2, $3, now())";
                transaction.execute(insert, &[&peer.number, log_id, &last_seq]).await?;
            }
        }
        let delete = "DELETE FROM rib_entries WHERE peer_id = ANY ($1)";
        let routes = transaction.execute(delete, &[&peer.views]).await?;
        transaction.execute("DELETE FROM swept_routes WHERE peer_id = ANY ($1)", &[&peer.views]).await?;
        transaction.execute("DELETE FROM peer_families WHERE peer_id = ANY ($1)", &[&peer.views]).await?;
        transaction.execute("DELETE FROM bgp_peers WHERE id = ANY ($1)", &[&peer.views]).await?;
        forgotten.push(ForgottenPeer {
            router: peer.router.clone(),
            peer: peer.text.clone(),
            views: num::to_u64(peer.views.len()),
            routes,
        });
    }
    Ok(forgotten)
}

/// The last batch of the log of which a route of the peer is stored, between the checkpoints of the two lanes
/// of its shard. The peer is stored in the order of the log, so that all its routes up to that batch are.
async fn last_stored(
    transaction: &Transaction<'_>,
    collector: &str,
    peer: &Candidate,
    log_id: &Uuid,
    (slowest, fastest): (i64, i64),
) -> Result<i64, tokio_postgres::Error> {
    // The time excludes most chunks: these routes are among the last ones of the peer.
    let sql = "SELECT greatest($5::bigint, max(u.seq)) FROM route_updates u
        WHERE u.collector = $1 AND u.log_id = $2 AND u.router = $3 AND u.bgp_peer_ip = $4
            AND u.seq > $5 AND u.seq <= $6
            AND u.time >= (SELECT max(last_seen) - interval '1 day' FROM bgp_peers WHERE id = ANY ($7))";
    let address = peer.key.address;
    let row = transaction
        .query_one(sql, &[&collector, log_id, &peer.router, &address, &slowest, &fastest, &peer.views])
        .await?;
    row.try_get(0)
}
