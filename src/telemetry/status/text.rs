//! The text form of the status document.

use std::fmt::Write as _;

use super::findings::{Finding, RouterContext, Totals};
use super::format::{age, counted, duration, size};
use super::{
    Completeness, Damage, Delivery, DeliveryState, Document, Listener, LogOutput, Peer, Router, Source, Wal,
};
use crate::telemetry::printable;

/// Seconds from which a blocked log output is shown. A shorter time is that of any write.
const LOG_BLOCKED_SHOWN_S: f64 = 1.0;

/// Undelivered bytes of a router from which they are shown.
const LOG_USE_SHOWN_BYTES: u64 = 1 << 20;

/// Length of a summary in bytes from which further reasons are only counted. systemd accepts datagrams of
/// 4,096 bytes.
const SUMMARY_MAX_BYTES: usize = 1_000;

/// The whole status document as text for a terminal, a summary first.
#[must_use]
pub fn render(document: &Document) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&printable(&text));
        out.push('\n');
    };
    line(headline(document));
    document.reasons.iter().for_each(|reason| line(format!("  ! {reason}")));
    totals(document).into_iter().for_each(&mut line);
    let listener = &document.listener;
    line(format!(
        "listener  {}  {} of {} connections; since start: {} accepted, {} refused, {} accept errors",
        listener.address,
        listener.connections,
        listener.connections_max,
        listener.accepted,
        listener.refused,
        listener.accept_errors
    ));
    listener.transport.lines().into_iter().for_each(&mut line);
    connections(listener, &mut line);
    wal(&document.wal, document.delivery.as_ref(), &mut line);
    match &document.delivery {
        Some(delivery) => lanes(delivery, &mut line),
        None => line("delivery  disabled (store-only mode)".to_owned()),
    }
    log_output(&document.log_output, &mut line);
    document.reload.line().into_iter().for_each(&mut line);
    let context = RouterContext::from_document(document);
    let routers = context.worst_first(&document.routers);
    routers.iter().for_each(|(one, findings)| router(one, findings, &mut line));
    out
}

/// The health of the daemon, and which daemon it is.
pub(super) fn headline(document: &Document) -> String {
    format!(
        "{}  holdfast {} on {}, pid {}, up {}",
        document.state.to_string().to_uppercase(),
        document.version,
        document.collector,
        document.pid,
        duration(document.uptime_s)
    )
}

/// The numbers of routers, peers and tables.
pub(super) fn totals(document: &Document) -> [String; 3] {
    let totals = Totals::from_routers(&document.routers);
    [
        format!("routers   {}", totals.routers_text()),
        format!("peers     {}", totals.peers_text()),
        format!("tables    {}", totals.tables_text()),
    ]
}

/// The health and its reasons in one line, for the service manager.
#[must_use]
pub fn summary(document: &Document) -> String {
    let percent_full = document.wal.percent_full;
    let mut out = format!(
        "{}, {} connections, last batch fsynced {}, log {} full, {}",
        document.state,
        document.listener.connections,
        document.wal.durable,
        percent_full.map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.0} %")),
        document.delivery.as_ref().map_or_else(|| "no database".to_owned(), delivery_summary)
    );
    for (index, reason) in document.reasons.iter().enumerate() {
        out.push_str(if index == 0 { ": " } else { "; " });
        if index > 0 && out.len() + reason.len() > SUMMARY_MAX_BYTES {
            // Writing to a String cannot fail.
            write!(out, "{} more reasons", document.reasons.len() - index).unwrap_or_default();
            break;
        }
        out.extend(reason.chars().take(SUMMARY_MAX_BYTES));
    }
    printable(&out)
}

/// The state of the database and the lag, in one line.
fn delivery_summary(delivery: &Delivery) -> String {
    let lag = delivery.lag_s.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.1} s"));
    let worst = delivery.lanes.iter().map(|lane| lane.state).max();
    match (DeliveryState::from_delivery(delivery), worst) {
        (DeliveryState::Away, _) => format!("database not reached, lag {lag}"),
        (_, Some(worst)) => format!("database {worst}, lag {lag}"),
        (DeliveryState::Blocked, None) => {
            format!("delivery not started, needs operator action, lag {lag}")
        }
        (_, None) => format!("delivery not started, lag {lag}"),
    }
}

/// The state of a delivery that has no lanes yet; `None` if it has some.
pub(super) fn not_started(delivery: &Delivery) -> Option<&'static str> {
    let state = if delivery.needs_operator {
        "the delivery has not started yet: needs operator action"
    } else {
        "the delivery has not started yet"
    };
    delivery.lanes.is_empty().then_some(state)
}

/// Connections that do not or did not serve a router, and reserved slots, if there are any.
fn connections(listener: &Listener, line: &mut impl FnMut(String)) {
    let Listener { unidentified, reserved, displaced, not_identified, .. } = listener;
    if *unidentified > 0 || *reserved > 0 {
        line(format!(
            "          {reserved} slots reserved, {unidentified} connections without an Initiation"
        ));
    }
    if *displaced > 0 || *not_identified > 0 {
        line(format!(
            "          closed without an Initiation: {not_identified} by time or size, {displaced} for others"
        ));
    }
    if !listener.refused_by.is_empty() {
        let reasons = listener.refused_by.iter().map(|(reason, count)| format!("{count} by {reason}"));
        line(format!("          refused: {}", reasons.collect::<Vec<_>>().join(", ")));
    }
    for Source { source, connections, refused } in &listener.sources {
        line(format!("            {source}: {connections} connections, {refused} refused"));
    }
}

fn wal(wal: &Wal, delivery: Option<&Delivery>, line: &mut impl FnMut(String)) {
    line(format!("log       {}  id {}", wal.dir, wal.log_id));
    let delivered = delivery.map_or_else(String::new, |delivery| match delivery.delivered {
        Some(seq) => format!(", delivered {seq}"),
        None => ", delivered unknown".to_owned(),
    });
    line(format!(
        "          last batch: written {}, fsynced {}{delivered}; {} records fsynced since start",
        wal.written, wal.durable, wal.records_durable
    ));
    if wal.unsynced_records > 0 {
        line(format!(
            "          a power loss now costs {} records of the last {:.1} s",
            wal.unsynced_records, wal.unsynced_s
        ));
    }
    let full_in = wal
        .hours_left
        .map_or_else(String::new, |hours| format!(", full in {hours:.1} h at the current rate"));
    line(format!(
        "          {} segments, {} of {} used, {} free on disk{full_in}",
        wal.segments,
        size(wal.bytes),
        size(wal.bytes_max),
        size(wal.free_bytes)
    ));
    if wal.dropped > 0 {
        line(format!("          dropped undelivered batches: {} since start", wal.dropped));
    }
    if !wal.lost_batches.is_empty() {
        let lost: Vec<String> =
            wal.lost_batches.iter().map(|(reason, batches)| format!("{batches} {reason}")).collect();
        line(format!("          lost batches: {} since start", lost.join(", ")));
    }
    if let Some(Damage { file, from_byte, to_byte, first_seq, last_seq, time, .. }) = &wal.damage {
        let file = file.as_deref().unwrap_or("unknown segment");
        let bytes = match (from_byte, to_byte) {
            (Some(from), Some(to)) => format!(" at bytes {from}–{to}"),
            _ => String::new(),
        };
        line(format!(
            "          last damage: {file}{bytes}, batches {first_seq} to {last_seq}, found {time}"
        ));
    }
    if let Some(failed) = &wal.failed_segment {
        line(format!("          segment {} abandoned at {}: {}", failed.file, failed.time, failed.error));
    }
    wal.paused.iter().for_each(|reason| line(format!("          PAUSED, not writable: {reason}")));
}

fn lanes(delivery: &Delivery, line: &mut impl FnMut(String)) {
    line(format!(
        "delivery  lag: {} batches, {} records, {}; rejected records: {} since start",
        delivery.lag_batches,
        delivery.lag_routes,
        age(delivery.lag_s),
        delivery.rejected
    ));
    if let Some(history) = &delivery.history {
        line(format!("          history is stored {history}"));
    }
    if let Some(state) = not_started(delivery) {
        let error = delivery.last_error.as_deref().unwrap_or("none");
        line(format!("          {state}, last error: {error}"));
    }
    for lane in &delivery.lanes {
        let error =
            lane.last_error.as_ref().map_or_else(String::new, |error| format!("  last error: {error}"));
        let seq = lane.seq.map_or_else(|| "unknown".to_owned(), |seq| seq.to_string());
        line(format!(
            "          lane {} {}  batch {seq}  lag {}  {}{error}",
            lane.lane,
            lane.class,
            age(lane.lag_s),
            lane.state
        ));
    }
}

/// The output of log lines, if something is wrong with it.
pub(super) fn log_output(output: &LogOutput, line: &mut impl FnMut(String)) {
    let LogOutput { lines_dropped, lines_suppressed, reports_suppressed, blocked_s, error } = output;
    if *lines_suppressed > 0 {
        line(format!("log lines {lines_suppressed} suppressed since start by LOG_MAX_BYTES_PER_SECOND"));
    }
    if *reports_suppressed > 0 {
        line(format!("Sentry    {reports_suppressed} error reports suppressed since start"));
    }
    if *lines_dropped == 0 && *blocked_s < LOG_BLOCKED_SHOWN_S && error.is_none() {
        return;
    }
    let blocked = if *blocked_s < LOG_BLOCKED_SHOWN_S {
        String::new()
    } else {
        format!(", blocked for {blocked_s:.0} s")
    };
    let error = error.as_ref().map_or_else(String::new, |error| format!(", last error: {error}"));
    line(format!("log lines {lines_dropped} dropped since start{blocked}{error}"));
}

/// A router with its peers and tables.
pub(super) fn router(router: &Router, findings: &[Finding], line: &mut impl FnMut(String)) {
    let name = &router.name;
    let session = router.session.as_deref().unwrap_or("unknown");
    if router.connected {
        let dump = if router.dump_seen { "" } else { ", no initial dump received" };
        let address = router.address.as_deref().unwrap_or("unknown address");
        line(format!("  {name} ({address}) connected{dump}, since {session}"));
        let silent = age(router.last_message_age_s);
        line(format!(
            "    {} messages, {}, {} route records, {} decode errors, last message {silent} ago  {}",
            router.messages,
            size(router.bytes),
            router.routes,
            router.errors,
            router.sys_descr
        ));
        router.transport.line().into_iter().for_each(&mut *line);
        if router.untracked_peers > 0 {
            line(format!("    peer/family limit exceeded {} times", router.untracked_peers));
        }
        if router.ignored_initiations > 0 {
            let count = counted(router.ignored_initiations, "Initiation");
            line(format!("    {count} ignored: a router may send ten at once, and then one per minute"));
        }
        if router.untracked_dump_routes > 0 {
            let count = router.untracked_dump_routes;
            line(format!("    memory for dumps exceeded, {count} announcements not remembered"));
        }
        if router.skipped_messages > 0 {
            line(format!("    the router skipped {} messages (sequence numbers)", router.skipped_messages));
        }
        if !router.route_tlvs.is_empty() {
            let counts = router.route_tlvs.iter().map(|(name, count)| format!("{name} {count}"));
            line(format!("    TLVs of Route Monitoring: {}", counts.collect::<Vec<_>>().join(", ")));
        }
    } else {
        let expected = if router.expected { " (expected)" } else { "" };
        line(format!("  {name} not connected{expected}, start of the last session {session}"));
    }
    if !findings.is_empty() {
        let findings: Vec<String> = findings.iter().map(Finding::to_string).collect();
        line(format!("    ! {}", findings.join(", ")));
    }
    log_use(router, line);
    router.peers.iter().for_each(|one| peer(one, line));
}

/// The router's part of the log, if it is not small or the router is paused.
fn log_use(router: &Router, line: &mut impl FnMut(String)) {
    if router.log_bytes < LOG_USE_SHOWN_BYTES && router.log_paused_s.is_none() {
        return;
    }
    let paused = router.log_paused_s.map_or_else(String::new, |seconds| {
        format!("  PAUSED for {seconds:.0} s at its share of the log (ROUTER_LOG_SHARE)")
    });
    line(format!(
        "    {} of the log not delivered, appends {}/s{paused}",
        size(router.log_bytes),
        size(router.log_bytes_per_s)
    ));
}

fn peer(peer: &Peer, line: &mut impl FnMut(String)) {
    let distinguisher = match peer.distinguisher.as_str() {
        "0:0" => String::new(),
        distinguisher => format!(" rd {distinguisher}"),
    };
    let mut views = String::new();
    for (view, families) in &peer.views {
        let families: Vec<String> = families
            .iter()
            .map(|one| {
                let end = match one.completeness {
                    _ if one.end_of_rib => " EoR",
                    Completeness::Assumed => " assumed complete",
                    Completeness::Partial => " changes only",
                    Completeness::Complete | Completeness::None => "",
                };
                let suspect = if one.suspect { " SUSPECT" } else { "" };
                let missing = if one.missing { " MISSING" } else { "" };
                format!("{} {}{end}{suspect}{missing}", one.family, one.routes)
            })
            .collect();
        // Writing to a String cannot fail.
        write!(views, "  {view} [{}]", families.join(", ")).unwrap_or_default();
    }
    let reason = peer.reason.map(|reason| format!("  {reason}")).unwrap_or_default();
    line(format!("    {:<5} AS{} {}{distinguisher}{views}{reason}", peer.state, peer.asn, peer.address));
    let missing = peer.views.iter().flat_map(|(view, families)| families.iter().map(move |one| (view, one)));
    for (view, one) in missing.filter(|(_, one)| one.missing) {
        line(format!("      ! {view} {}: neither routes nor End-of-RIB since Peer Up", one.family));
    }
    for (view, families) in &peer.views {
        for (one, reason) in families.iter().filter_map(|one| Some((one, one.stale?))) {
            line(format!(
                "      {view} {}: routes not re-announced, if any, stay stale: {reason}",
                one.family
            ));
        }
    }
}
