//! The document for people.

use std::fmt::Write as _;

use super::{Delivery, Document, Peer, Router, Wal};
use crate::telemetry::printable;

/// A page of text.
#[must_use]
pub fn table(document: &Document) -> String {
    let mut page = String::new();
    let mut say = |text: String| {
        page.push_str(&printable(&text));
        page.push('\n');
    };
    say(format!(
        "{}  holdfast {} on {}, pid {}, up {}",
        document.state.to_string().to_uppercase(),
        document.version,
        document.collector,
        document.pid,
        duration(document.uptime_s)
    ));
    document.reasons.iter().for_each(|reason| say(format!("  ! {reason}")));
    let listener = &document.listener;
    say(format!(
        "listener  {}  {} of {} connections, {} accepted, {} refused, {} errors",
        listener.address,
        listener.connections,
        listener.connections_max,
        listener.accepted,
        listener.refused,
        listener.accept_errors
    ));
    wal(&document.wal, &mut say);
    match &document.delivery {
        Some(delivery) => lanes(delivery, &mut say),
        None => say("delivery  none: store-only mode".to_owned()),
    }
    say(format!("routers   {}", document.routers.len()));
    document.routers.iter().for_each(|one| router(one, &mut say));
    page
}

fn wal(wal: &Wal, say: &mut impl FnMut(String)) {
    say(format!("log       {}  id {}", wal.dir, wal.log_id));
    let left =
        wal.hours_left.map_or_else(String::new, |hours| format!(", full in {hours:.1} h at this rate"));
    say(format!(
        "          written {}, durable {} ({} records since the start); {} segments, {} of {}, {} free on disk{left}",
        wal.written,
        wal.durable,
        wal.records_durable,
        wal.segments,
        size(wal.bytes),
        size(wal.bytes_max),
        size(wal.free_bytes)
    ));
    if wal.dropped > 0 {
        say(format!("          GIVEN UP undelivered: {} batches since the start", wal.dropped));
    }
    wal.paused.iter().for_each(|why| say(format!("          PAUSED: {why}")));
    if let Some(failed) = &wal.failed_segment {
        say(format!("          segment {} abandoned at {}: {}", failed.file, failed.time, failed.error));
    }
}

fn lanes(delivery: &Delivery, say: &mut impl FnMut(String)) {
    say(format!(
        "delivery  delivered {}; behind by {} batches, {} records, {:.1} s; {} records rejected since the start",
        delivery.delivered, delivery.lag_batches, delivery.lag_routes, delivery.lag_s, delivery.rejected
    ));
    for lane in &delivery.lanes {
        let error =
            lane.last_error.as_ref().map_or_else(String::new, |error| format!("  last error: {error}"));
        say(format!("          lane {}  seq {}  {}{error}", lane.lane, lane.seq, lane.state));
    }
}

fn router(router: &Router, say: &mut impl FnMut(String)) {
    let state = match (router.connected, router.dump_seen) {
        (false, _) => "not connected",
        (true, true) => "connected",
        (true, false) => "connected, no table sent since it connected",
    };
    let name = &router.name;
    if !router.connected {
        say(format!("  {name} {state}, last session began {}", router.session));
    } else {
        say(format!("  {name} ({}) {state}, since {}", router.address, router.session));
        say(format!(
            "    {} messages, {}, {} routes, {} errors, last message {:.1} s ago  {}",
            router.messages,
            size(router.bytes),
            router.routes,
            router.errors,
            router.last_message_age_s,
            router.sys_descr
        ));
        if router.untracked_peers > 0 {
            say(format!(
                "    NO ROOM to follow all its peers and families: {} times",
                router.untracked_peers
            ));
        }
    }
    router.peers.iter().for_each(|one| peer(one, say));
}

fn peer(peer: &Peer, say: &mut impl FnMut(String)) {
    let distinguisher =
        if peer.distinguisher == 0 { String::new() } else { format!(" rd {:#x}", peer.distinguisher) };
    let mut views = String::new();
    for (view, families) in &peer.views {
        let families: Vec<String> = families
            .iter()
            .map(|one| {
                let end = if one.end_of_rib { " EoR" } else { "" };
                let suspect = if one.suspect { " SUSPECT" } else { "" };
                format!("{} {}{end}{suspect}", one.family, one.routes)
            })
            .collect();
        // Writing to a String has no way to fail.
        write!(views, "  {view} [{}]", families.join(", ")).unwrap_or_default();
    }
    let why = peer.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    say(format!("    {:<5} AS{} {}{distinguisher}{views}{why}", peer.state, peer.asn, peer.address));
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A number of bytes to one place after the point.
fn size(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..1_024 => return format!("{bytes} B"),
        1_024..1_048_576 => (10, "KiB"),
        1_048_576..1_073_741_824 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    let tenths = ((bytes >> (shift - 10)) * 10) >> 10;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(10 << 30), "10.0 GiB");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(3_660), "1 h 1 min");
        assert_eq!(duration(90_000), "1 d 1 h");
    }
}
