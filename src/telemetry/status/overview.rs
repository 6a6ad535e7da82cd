//! The status on one screen, and the parts of it that an operator asks for: problems, and one router.

use super::findings::{Finding, RouterContext, router_state};
use super::format::{age, counted, cut, size, wrapped};
use super::text::{headline, log_output, not_started, router, totals};
use super::{Delivery, Document, Lane, LaneState, Peer, PeerState, Router, Wal};
use crate::num::to_u64;
use crate::telemetry::printable;

/// Lines of the overview. The prompt of the shell is the 24th line of a small terminal.
const LINES_MAX: usize = 23;

/// Columns of the overview.
const COLUMNS_MAX: usize = 80;

/// Lines of the overview that the conditions may take.
const CONDITION_LINES_MAX: usize = 7;

/// Lines that one condition may take.
const LINES_PER_CONDITION: usize = 3;

/// The last line of the overview.
const MORE: &str = "more: --problems, --router NAME, --all, --json; live: holdfast top";

/// The status in at most 23 lines of 80 columns: the health and its conditions, the numbers of routers, peers
/// and tables, the log, the delivery, and as many routers as fit, the worst ones first.
#[must_use]
pub fn overview(document: &Document) -> String {
    let mut lines = vec![headline(document)];
    lines.extend(conditions(&document.reasons));
    lines.extend(totals(document));
    let listener = &document.listener;
    lines.push(format!(
        "listener  {} of {} connections, {} refused since start; {}",
        listener.connections, listener.connections_max, listener.refused, listener.address
    ));
    lines.extend(wal(&document.wal, document.delivery.as_ref()));
    match &document.delivery {
        Some(one) => lines.extend(delivery(one)),
        None => lines.push("delivery  disabled (store-only mode)".to_owned()),
    }
    log_output(&document.log_output, &mut |line| lines.push(line));
    lines.extend(document.reload.waiting_line());
    lines.extend(routers(document, LINES_MAX.saturating_sub(lines.len() + 1)));
    lines.push(MORE.to_owned());
    page(lines.iter().map(|line| cut(line, COLUMNS_MAX)))
}

/// All conditions and findings in full: those of the daemon, the lanes, the routers, their peers and tables.
#[must_use]
pub fn problems(document: &Document) -> String {
    let mut lines = vec![headline(document)];
    lines.extend(document.reasons.iter().map(|reason| format!("  ! {reason}")));
    let lanes = document.delivery.iter().flat_map(|delivery| &delivery.lanes);
    let unhealthy = lanes.filter(|lane| !lane.state.is_healthy());
    lines.extend(unhealthy.map(|Lane { lane, class, state, lag_s, last_error, .. }| {
        let error = last_error.as_deref().unwrap_or("no error");
        format!("lane {lane} {class}  {state}, lag {}, last error: {error}", age(*lag_s))
    }));
    for (router, findings) in RouterContext::from_document(document).worst_first(&document.routers) {
        if findings.is_empty() {
            continue;
        }
        let findings: Vec<String> = findings.iter().map(Finding::to_string).collect();
        lines.push(format!("{}  {}", router.name, findings.join(", ")));
        lines.extend(router.peers.iter().flat_map(|peer| peer_problems(router, peer)));
    }
    if lines.len() == 1 {
        lines.push("no problems".to_owned());
    }
    page(lines)
}

/// A router with its peers and tables, by its name or address; `None` if the document does not have it.
#[must_use]
pub fn one_router(document: &Document, name: &str) -> Option<String> {
    let is_named = |router: &Router| {
        let address = router.address.as_deref().and_then(|address| address.parse().ok());
        let address = address.map(|address: std::net::SocketAddr| address.ip().to_canonical());
        router.name == name || (address.is_some() && address == name.parse().ok())
    };
    let context = RouterContext::from_document(document);
    let found = document.routers.iter().filter(|one| is_named(one));
    let mut lines = Vec::new();
    for one in found {
        router(one, &context.findings(one), &mut |line| lines.push(line));
        let sources = document.delivery.iter().flat_map(|delivery| &delivery.quarantined_sources);
        for source in sources.filter(|source| source.router == one.name) {
            let peer = source.peer.as_ref().map_or_else(String::new, |peer| format!(" of peer {peer}"));
            lines.push(format!("    records{peer} set aside in rejected_routes: {}", source.error));
        }
    }
    (!lines.is_empty()).then(|| page(std::iter::once(headline(document)).chain(lines)))
}

fn page(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| printable(&line) + "\n").collect()
}

/// As many conditions as fit, each in few lines.
fn conditions(reasons: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (index, reason) in reasons.iter().enumerate() {
        let mut parts = wrapped(reason, COLUMNS_MAX - 4);
        if parts.len() > LINES_PER_CONDITION {
            parts.truncate(LINES_PER_CONDITION);
            parts.iter_mut().skip(LINES_PER_CONDITION - 1).for_each(|last| last.push_str(" …"));
        }
        // One line remains for the number of the others.
        let is_last = index + 1 == reasons.len();
        if lines.len() + parts.len() + usize::from(!is_last) > CONDITION_LINES_MAX {
            lines.push(format!("    and {} more: holdfast status --problems", reasons.len() - index));
            return lines;
        }
        let heads = std::iter::once("  ! ").chain(std::iter::repeat("    "));
        lines.extend(heads.zip(parts).map(|(head, part)| format!("{head}{part}")));
    }
    lines
}

fn wal(wal: &Wal, delivery: Option<&Delivery>) -> Vec<String> {
    let full_in = wal.hours_left.map_or_else(String::new, |hours| format!(", full in {hours:.1} h"));
    let delivered = delivery.map_or_else(String::new, |delivery| match delivery.delivered {
        Some(seq) => format!(", delivered {seq}"),
        None => ", delivered unknown".to_owned(),
    });
    let mut lines = vec![
        format!(
            "log       {} of {} used, {} free on disk{full_in}",
            size(wal.bytes),
            size(wal.bytes_max),
            size(wal.free_bytes)
        ),
        format!("          last batch: written {}, fsynced {}{delivered}", wal.written, wal.durable),
    ];
    if wal.unsynced_records > 0 {
        lines.push(format!(
            "          a power loss now costs {} records of the last {:.1} s",
            wal.unsynced_records, wal.unsynced_s
        ));
    }
    lines
}

fn delivery(delivery: &Delivery) -> [String; 2] {
    let states = [
        LaneState::Halted,
        LaneState::NeedsOperator,
        LaneState::Retrying,
        LaneState::Stopped,
        LaneState::Connecting,
        LaneState::Draining,
        LaneState::CaughtUp,
    ];
    let count = |state: &LaneState| delivery.lanes.iter().filter(|lane| lane.state == *state).count();
    let lanes: Vec<String> = states
        .iter()
        .map(|state| (count(state), state))
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    let lanes = not_started(delivery).map_or_else(|| lanes.join(", "), str::to_owned);
    [
        format!(
            "delivery  lag: {} batches, {} records, {}; {} records rejected",
            delivery.lag_batches,
            delivery.lag_routes,
            age(delivery.lag_s),
            delivery.rejected
        ),
        format!("lanes     {lanes}"),
    ]
}

/// The worst routers, one in each line, in at most `lines_max` lines.
fn routers(document: &Document, lines_max: usize) -> Vec<String> {
    if document.routers.is_empty() || lines_max < 2 {
        return Vec::new();
    }
    let routers = RouterContext::from_document(document).worst_first(&document.routers);
    let rest = lines_max - 1;
    let shown = if routers.len() <= rest { routers.len() } else { rest - 1 };
    let mut lines = vec![row(["router", "state", "peers up", "records", "queue"].map(str::to_owned))];
    lines.extend(routers.iter().take(shown).map(|(router, findings)| {
        let up = router.peers.iter().filter(|peer| peer.state == PeerState::Up).count();
        row([
            router.name.clone(),
            router_state(router, findings),
            format!("{up}/{}", router.peers.len()),
            router.routes.to_string(),
            size(router.transport.receive_queue_bytes),
        ])
    }));
    let others = routers.get(shown..).unwrap_or_default();
    if !others.is_empty() {
        let bad = to_u64(others.iter().filter(|(_, findings)| !findings.is_empty()).count());
        let bad = if bad == 0 { String::new() } else { format!(", {bad} of them need attention") };
        lines.push(format!("  and {}{bad}", counted(to_u64(others.len()), "more router")));
    }
    lines
}

fn row([router, state, peers, records, queue]: [String; 5]) -> String {
    let router = cut(&router, 24);
    format!("  {router:<24} {state:<24} {peers:>8} {records:>8} {queue:>9}")
}

/// The peer of a router and its tables, if something about them needs attention.
fn peer_problems(router: &Router, peer: &Peer) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |text: String| {
        lines.push(format!("  AS{} {} rd {}  {text}", peer.asn, peer.address, peer.distinguisher));
    };
    if peer.state == PeerState::Down {
        add("down".to_owned());
    }
    // All peers of a router that is not connected are stale.
    if let Some(reason) = peer.reason.filter(|_| router.connected) {
        add(format!("stale: {reason}"));
    }
    for (view, table) in peer.tables() {
        let family = &table.family;
        if table.missing {
            add(format!("{view} {family} missing: neither routes nor End-of-RIB since Peer Up"));
        }
        if table.suspect {
            add(format!("{view} {family} suspect: a PDU could not be decoded"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{BgpSession, Reload};
    use super::*;
    use crate::telemetry::status::{Completeness, Family, Health, Listener, LogOutput, StaleReason};

    /// A document with this number of routers, of which every tenth is not connected.
    fn document(routers: usize, reasons: usize) -> Document {
        let peer = |number: usize| Peer {
            address: format!("192.0.2.{number}"),
            peer_type: 0,
            distinguisher: "0:0".to_owned(),
            asn: 65_001,
            bgp_id: "192.0.2.1".to_owned(),
            state: PeerState::Up,
            reason: None,
            downs: 0,
            bgp_session: BgpSession::default(),
            views: [(
                "adj-in-pre".to_owned(),
                vec![Family {
                    family: "ipv4_unicast".to_owned(),
                    completeness: Completeness::Complete,
                    missing: number == 2,
                    ..Family::default()
                }],
            )]
            .into(),
        };
        let router = |number: usize| Router {
            name: format!("a-router-with-a-rather-long-name-{number}.example.net"),
            address: Some(format!("198.51.100.1:{number}")),
            connected: !number.is_multiple_of(10),
            dump_seen: true,
            peers: vec![peer(1), peer(if number == 7 { 2 } else { 3 })],
            ..Router::default()
        };
        let long = "a condition with a text that is longer than a line of a terminal with its eighty columns";
        Document {
            version: "0.1.0".to_owned(),
            collector: "test".to_owned(),
            pid: 1,
            time: String::new(),
            uptime_s: 61,
            uptime_ms: 61_000,
            state: Health::Degraded,
            reasons: (0..reasons).map(|number| format!("{long} {number} {long} {long}")).collect(),
            conditions: Vec::new(),
            listener: Listener { address: "127.0.0.1:11019".to_owned(), ..Listener::default() },
            routers: (1..=routers).map(router).collect(),
            wal: Wal { unsynced_records: 1, hours_left: Some(1.0), ..Wal::default() },
            delivery: Some(Delivery { lanes: vec![Lane::default(); 4], ..Delivery::default() }),
            reload: Reload { waiting: vec!["DRAIN_LANES".to_owned(); 9], ..Reload::default() },
            log_output: LogOutput { lines_dropped: 1, ..LogOutput::default() },
            ..Document::default()
        }
    }

    #[test]
    fn the_overview_fits_on_a_screen_whatever_happens() {
        for routers in [0, 1, 5, 6, 7, 8, 9, 10, 11, 12, 2_000] {
            for reasons in [0, 1, 2, 3, 40] {
                let text = overview(&document(routers, reasons));
                let lines: Vec<&str> = text.lines().collect();
                assert!(lines.len() <= LINES_MAX, "{routers} routers, {reasons} conditions:\n{text}");
                assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS_MAX), "{text}");
                assert_eq!(text.contains("holdfast status --problems"), reasons > 2, "{text}");
                assert!(text.contains("routers   "), "{text}");
                assert_eq!(lines.last(), Some(&MORE));
            }
        }
        let text = overview(&document(2_000, 0));
        let first = text.lines().position(|line| line.starts_with("  router")).unwrap() + 1;
        assert!(text.lines().nth(first).unwrap().contains("not connected"), "{text}");
        assert!(text.contains("more routers, 19"), "{text}");
        assert!(!overview(&document(3, 0)).contains("more router"));
    }

    #[test]
    fn the_problems_name_all_that_needs_attention() {
        let mut document = document(20, 1);
        document.routers[6].peers[0].reason = Some(StaleReason::NotReannounced);
        let text = problems(&document);
        assert!(text.lines().any(|line| line.starts_with("  ! a condition") && line.len() > 200), "{text}");
        assert!(text.contains("lane 0   connecting, lag unknown age, last error: no error"), "{text}");
        assert!(text.contains("name-20.example.net  not connected"), "{text}");
        assert!(text.contains("name-7.example.net  1 table missing, 1 peer stale"), "{text}");
        assert!(
            text.contains("AS65001 192.0.2.2 rd 0:0  adj-in-pre ipv4_unicast missing: neither"),
            "{text}"
        );
        assert!(text.contains("stale: not re-announced since reconnect"), "{text}");
        assert!(!text.contains("name-6.example.net"), "{text}");
        (document.reasons, document.delivery) = (Vec::new(), None);
        document.routers.truncate(1);
        assert!(problems(&document).ends_with("\nno problems\n"));
    }

    #[test]
    fn a_router_is_found_by_its_name_or_address() {
        let document = document(20, 0);
        let name = "a-router-with-a-rather-long-name-7.example.net";
        let text = one_router(&document, name).unwrap();
        assert!(text.starts_with("DEGRADED") && text.contains(&format!("\n  {name} (")), "{text}");
        assert!(text.contains("    ! 1 table missing\n") && !text.contains("name-6"), "{text}");
        assert!(one_router(&document, "198.51.100.1").unwrap().contains("name-6"));
        assert_eq!(one_router(&document, "198.51.100.2"), None);
        assert_eq!(one_router(&document, "name-7"), None);
    }
}
