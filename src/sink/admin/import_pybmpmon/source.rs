//! Reads the tables of pybmpmon, in one snapshot.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::{Stream, TryStreamExt as _};
use tokio_postgres::{Client, Row};

use crate::route::Timestamp;

use super::convert::SourceRoute;
use super::{ImportError, Window};

/// Microseconds of a timestamp. The multiplication is exact, because the seconds are `numeric`.
const MICROSECONDS: &str = "(extract(epoch FROM time) * 1000000)::bigint";

/// Condition of a window: parameters are its ends in microseconds.
const IN_WINDOW: &str = "time > timestamptz 'epoch' + $1::bigint * interval '1 microsecond'
    AND time <= timestamptz 'epoch' + $2::bigint * interval '1 microsecond'";

/// Tables that pybmpmon and Holdfast both have, in different shapes.
const TABLES: [&str; 3] = ["route_updates", "peer_events", "bmp_peers"];

/// What the tables contain of one router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceRouter {
    /// Time of the first row, or the time at which pybmpmon first saw the router.
    pub(super) first: Timestamp,
    /// Time of the last row.
    pub(super) last: Timestamp,
    /// Number of rows of `peer_events`.
    pub(super) events: u64,
    /// Number of rows of `route_updates` by day since the Unix epoch.
    pub(super) days: BTreeMap<i64, u64>,
}

/// A row of `peer_events`. It does not name the BGP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceEvent {
    pub(super) time: Timestamp,
    pub(super) event_type: String,
    pub(super) reason: Option<i32>,
}

/// A connection to the database of pybmpmon, in a transaction that reads one snapshot.
pub(super) struct Source {
    client: Client,
    /// The schema, quoted.
    schema: String,
    /// `extended_communities`, or null in a database of before its migration 4.
    extended_communities: &'static str,
}

impl Source {
    /// Begins the transaction and recognizes the tables.
    pub(super) async fn open(client: Client, schema: &str) -> Result<Self, ImportError> {
        client
            .batch_execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog",
            )
            .await
            .map_err(ImportError::Source)?;
        let columns = "SELECT table_name::text || '.' || column_name::text FROM information_schema.columns
            WHERE table_schema = $1 AND table_name = ANY ($2)";
        let tables: Vec<&str> = TABLES.to_vec();
        let found: Vec<String> = client
            .query(columns, &[&schema, &tables])
            .await
            .and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
            .map_err(ImportError::Source)?;
        let has = |name: &str| found.iter().any(|column| column == name);
        let missing = TABLES.iter().find(|table| !found.iter().any(|column| column.starts_with(*table)));
        if let Some(table) = missing {
            return Err(ImportError::NoTables {
                schema: schema.to_owned(),
                found: format!("there is no table {table}"),
            });
        }
        if has("route_updates.log_id") {
            return Err(ImportError::NoTables {
                schema: schema.to_owned(),
                found: "its tables are those of Holdfast".to_owned(),
            });
        }
        let extended_communities = if has("route_updates.extended_communities") {
            "extended_communities::text[]"
        } else {
            "NULL::text[]"
        };
        let quoted = client.query_one("SELECT quote_ident($1)", &[&schema]).await;
        let schema = quoted.and_then(|row| row.try_get(0)).map_err(ImportError::Source)?;
        Ok(Self { client, schema, extended_communities })
    }

    /// Time of the last row of both tables; `None` if they are empty.
    pub(super) async fn last_time(&self) -> Result<Option<Timestamp>, tokio_postgres::Error> {
        let schema = &self.schema;
        let sql = format!(
            "SELECT (extract(epoch FROM greatest((SELECT max(time) FROM {schema}.route_updates),
                (SELECT max(time) FROM {schema}.peer_events),
                (SELECT max(first_seen) FROM {schema}.bmp_peers))) * 1000000)::bigint"
        );
        Ok(self.client.query_one(&sql, &[]).await?.try_get::<_, Option<i64>>(0)?.map(Timestamp))
    }

    /// The routers with rows in a window, and in the first window those without rows.
    pub(super) async fn routers(
        &self,
        window: Window,
    ) -> Result<BTreeMap<IpAddr, SourceRouter>, ImportError> {
        let schema = &self.schema;
        let sql = format!(
            "SELECT host(bmp_peer_ip), floor(extract(epoch FROM time) / 86400)::bigint, count(*),
                min({MICROSECONDS}), max({MICROSECONDS})
            FROM {schema}.route_updates WHERE {IN_WINDOW} GROUP BY 1, 2
            UNION ALL SELECT host(peer_ip), NULL, count(*), min({MICROSECONDS}), max({MICROSECONDS})
            FROM {schema}.peer_events WHERE {IN_WINDOW} GROUP BY 1
            UNION ALL SELECT host(peer_ip), NULL, 0, t, t FROM
                (SELECT peer_ip, first_seen AS time FROM {schema}.bmp_peers) p,
                LATERAL (SELECT {MICROSECONDS} AS t) AS times WHERE {IN_WINDOW}"
        );
        let rows = self.client.query(&sql, &[&window.after(), &window.until.0]).await;
        let mut routers: BTreeMap<IpAddr, SourceRouter> = BTreeMap::new();
        for row in rows.map_err(ImportError::Source)? {
            let (router, counted) = counted(&row).map_err(ImportError::Source)?;
            let address = router.parse().map_err(|_| ImportError::Router(router))?;
            let entry = routers.entry(address).or_insert_with(|| SourceRouter {
                first: counted.first,
                last: counted.last,
                events: 0,
                days: BTreeMap::new(),
            });
            entry.first = entry.first.min(counted.first);
            entry.last = entry.last.max(counted.last);
            match counted.day {
                Some(day) => drop(entry.days.insert(day, counted.rows)),
                None => entry.events += counted.rows,
            }
        }
        Ok(routers)
    }

    /// The events of a router, in order.
    pub(super) async fn events(
        &self,
        router: IpAddr,
        window: Window,
    ) -> Result<Vec<SourceEvent>, tokio_postgres::Error> {
        let schema = &self.schema;
        let sql = format!(
            "SELECT {MICROSECONDS}, event_type::text, reason_code::integer FROM {schema}.peer_events
            WHERE {IN_WINDOW} AND host(peer_ip) = $3
            ORDER BY time, event_type COLLATE \"C\", reason_code"
        );
        let rows = self.client.query(&sql, &[&window.after(), &window.until.0, &router.to_string()]).await?;
        let event = |row: &Row| {
            Ok(SourceEvent {
                time: Timestamp(row.try_get(0)?),
                event_type: row.try_get(1)?,
                reason: row.try_get(2)?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// The routes of a router on one day, in an order that depends only on their contents.
    pub(super) async fn routes(
        &self,
        router: IpAddr,
        day: i64,
        window: Window,
    ) -> Result<impl Stream<Item = Result<SourceRoute, tokio_postgres::Error>> + use<>, tokio_postgres::Error>
    {
        let (schema, extended) = (&self.schema, self.extended_communities);
        let sql = format!(
            "SELECT {MICROSECONDS}, host(bgp_peer_ip), bgp_peer_asn::bigint, family::text, prefix::text,
                host(next_hop), as_path::bigint[], communities::text[], {extended}, med::bigint,
                local_pref::bigint, coalesce(is_withdrawn, false), evpn_route_type::integer, evpn_rd::text,
                evpn_esi::text, mac_address::text
            FROM {schema}.route_updates WHERE {IN_WINDOW}
                AND time >= to_timestamp($3::bigint) AND time < to_timestamp($3::bigint + 86400)
                AND bmp_peer_ip = $4::text::inet
            ORDER BY time, bgp_peer_ip, bgp_peer_asn, prefix, is_withdrawn, family COLLATE \"C\",
                mac_address COLLATE \"C\", evpn_rd COLLATE \"C\", evpn_esi COLLATE \"C\", evpn_route_type,
                next_hop, as_path, communities, {extended}, med, local_pref"
        );
        let statement = self.client.prepare(&sql).await?;
        let (after, from, address) = (window.after(), day * 86_400, router.to_string());
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&after, &window.until.0, &from, &address];
        let rows = self.client.query_raw(&statement, parameters).await?;
        Ok(rows.and_then(|row| std::future::ready(route(&row))))
    }
}

/// One row of the query of [`Source::routers`].
struct Counted {
    /// Day of the routes; `None` for events and routers.
    day: Option<i64>,
    rows: u64,
    first: Timestamp,
    last: Timestamp,
}

fn counted(row: &Row) -> Result<(String, Counted), tokio_postgres::Error> {
    let counted = Counted {
        day: row.try_get(1)?,
        rows: row.try_get::<_, i64>(2)?.max(0).cast_unsigned(),
        first: Timestamp(row.try_get(3)?),
        last: Timestamp(row.try_get(4)?),
    };
    Ok((row.try_get(0)?, counted))
}

fn route(row: &Row) -> Result<SourceRoute, tokio_postgres::Error> {
    Ok(SourceRoute {
        time: Timestamp(row.try_get(0)?),
        peer: row.try_get(1)?,
        peer_asn: row.try_get(2)?,
        family: row.try_get(3)?,
        prefix: row.try_get(4)?,
        next_hop: row.try_get(5)?,
        as_path: row.try_get(6)?,
        communities: row.try_get(7)?,
        extended_communities: row.try_get(8)?,
        med: row.try_get(9)?,
        local_pref: row.try_get(10)?,
        is_withdrawn: row.try_get(11)?,
        evpn_route_type: row.try_get(12)?,
        evpn_rd: row.try_get(13)?,
        evpn_esi: row.try_get(14)?,
        mac_address: row.try_get(15)?,
    })
}
