//! What a query goes by, if that is empty, incomplete or old: an empty result is then no answer.

use tokio_postgres::Client;

use super::bind::{BoundQuery, QueryError};

/// Tables that the operator fills in or loads: queries, condition that it is empty, and the note.
const BASES: &[(&[&str], &str, &str)] = &[
    (
        &["hijacks"],
        "NOT EXISTS (SELECT FROM own_prefixes)",
        "the table own_prefixes is empty: nothing was checked; INSERT your prefixes and origins \
         (docs/QUERIES.md)",
    ),
    (
        &["leaks"],
        "NOT EXISTS (SELECT FROM peer_roles)",
        "the table peer_roles is empty: nothing was checked; INSERT the roles of your neighbours \
         (docs/QUERIES.md)",
    ),
    (
        &["rpki"],
        "NOT EXISTS (SELECT FROM rpki_vrps)",
        "no VRPs are loaded: every route counts as not-found; run `holdfast rpki load FILE`",
    ),
    (
        &["rpki"],
        "(SELECT max(loaded_at) FROM rpki_loads) < now() - interval '1 day'",
        "the VRPs are older than a day; run `holdfast rpki load FILE`",
    ),
    (
        &["evpn_bindings", "evpn_duplicates", "evpn_moves"],
        "NOT EXISTS (SELECT FROM rib_entries WHERE mac_address IS NOT NULL)",
        "no router has sent a MAC address (EVPN route type 2)",
    ),
    (&["peer_counters"], "NOT EXISTS (SELECT FROM peer_stats)", "no router has sent a Statistics Report"),
    (
        &["table_growth"],
        "NOT EXISTS (SELECT FROM rib_sizes)",
        "there are no samples of table sizes yet; the collector takes one every six hours",
    ),
    (
        &["prefix_timeline", "churn", "origin_changes", "withdraw_storms"],
        "NOT EXISTS (SELECT FROM route_records)",
        "the history of routes is empty",
    ),
    (
        &["gaps", "collector_health", "routers"],
        "NOT EXISTS (SELECT FROM ingest_checkpoint)",
        "no collector has delivered to this database yet",
    ),
];

/// Queries of the current tables, which are as old as the last report of the collector.
const OF_PRESENT: &[&str] = &[
    "route_lookup",
    "prefix_lookup",
    "moas",
    "flapping_routes",
    "as_path_search",
    "community_search",
    "policy_effect",
    "hijacks",
    "leaks",
    "rpki",
    "evpn_bindings",
    "evpn_duplicates",
    "peers",
    "peer_capabilities",
    "completeness",
    "routers",
];

/// Queries of a period, and the table that they read.
const OF_PERIOD: &[(&str, &str)] = &[
    ("prefix_timeline", "route_records"),
    ("churn", "route_records"),
    ("origin_changes", "route_records"),
    ("withdraw_storms", "route_records"),
    ("hijacks", "route_records"),
    ("evpn_moves", "route_records"),
    ("peer_flaps", "peer_events"),
    ("peer_counters", "peer_stats"),
];

/// Notes about peers that lack the RIB views of the query.
fn missing_views(query: &BoundQuery) -> Vec<String> {
    let mut parts = Vec::new();
    if query.query.name == "policy_effect" {
        let peer = query.expression("peer").unwrap_or_else(|| "NULL".to_owned());
        parts.push(format!(
            "SELECT 'no such peer is monitored both before and after policy: nothing was compared'
            WHERE NOT EXISTS (SELECT FROM holdfast_peers({peer}) a
                JOIN bgp_peers b ON b.peer_number = a.peer_number
                WHERE (a.rib, b.rib) IN (('adj-in-pre', 'adj-in-post'), ('adj-out-pre', 'adj-out-post')))"
        ));
    }
    let Some(rib) = query.expression("rib") else { return parts };
    for peer in ["peer", "peer_a", "peer_b"].iter().filter_map(|name| query.expression(name)) {
        parts.push(format!(
            "SELECT format('%s has no RIB view %s; it has %s', {peer}, {rib},
                string_agg(DISTINCT p.rib, ', '))
            FROM holdfast_peers({peer}) p HAVING NOT bool_or(p.rib = {rib})"
        ));
    }
    parts
}

/// Whether the database is a hub over regional ones (deploy/hub.sql).
const IS_HUB: &str = "SELECT to_regclass('hub.regions') IS NOT NULL";

/// Notes about the regions of a hub. A region that does not answer is an error of the query itself.
fn regions() -> [String; 2] {
    [
        format!(
            "SELECT format('the region %s is left out since %s (%s): its routes are missing', name,
                to_char(left_out AT TIME ZONE 'UTC', '{TIME}'), reason)
            FROM hub.regions WHERE left_out IS NOT NULL"
        ),
        "SELECT format('the collector %s is in %s regions: the result is wrong; rename it in all but one',
            collector, count(*))
        FROM collector_reports GROUP BY collector HAVING count(*) > 1"
            .to_owned(),
    ]
}

const TIME: &str = "YYYY-MM-DD HH24:MI:SS\"Z\"";

/// Notes about what a query goes by, to be shown beside its result.
pub(super) async fn notes(client: &Client, query: &BoundQuery) -> Result<Vec<String>, QueryError> {
    let name = query.query.name;
    let mut parts: Vec<String> = Vec::new();
    for (queries, condition, note) in BASES {
        if queries.contains(&name) {
            parts.push(format!("SELECT '{note}' WHERE {condition}"));
        }
    }
    if OF_PRESENT.contains(&name) {
        parts.push(
            "SELECT 'the database has no peers yet' WHERE NOT EXISTS (SELECT FROM bgp_peers)".to_owned(),
        );
        parts.push(format!(
            "SELECT format('collector %s has not reported since %s: its tables are as of %s', collector,
                to_char(reported_at AT TIME ZONE 'UTC', '{TIME}'),
                to_char(as_of AT TIME ZONE 'UTC', '{TIME}'))
            FROM collector_reports WHERE reported_at < now() - interval '5 minutes'"
        ));
    }
    let table = OF_PERIOD.iter().find(|(period, _)| *period == name).map(|(_, table)| table);
    if let (Some(table), Some(span)) = (table, query.expression("span")) {
        let until = query.expression("until").unwrap_or_else(|| "now()".to_owned());
        parts.push(format!(
            "SELECT format('there is no history before %s (RETENTION_*_DAYS): the result begins then',
                to_char(dropped_before AT TIME ZONE 'UTC', '{TIME}'))
            FROM partitioned_tables
            WHERE name = '{table}' AND {span} > '0' AND dropped_before > least({until}, now()) - {span}"
        ));
        parts.push(format!(
            "SELECT 'until is in the future: the result ends now' WHERE {until} > now()
            AND {until} <> 'infinity'"
        ));
    }
    for time in ["at", "at_a", "at_b"] {
        if let Some(at) = query.expression(time) {
            parts.push(format!(
                "SELECT '{time} is in the future: this is the current table' WHERE {at} > now()
                AND {at} <> 'infinity'"
            ));
        }
    }
    parts.extend(missing_views(query));
    if client.query_one(IS_HUB, &[]).await?.try_get(0)? {
        parts.extend(regions());
    }
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let rows = client.query(&parts.join(" UNION ALL "), &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
