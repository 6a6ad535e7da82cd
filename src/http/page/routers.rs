//! The routers, and one of them with its connection and its peers.

use maud::{Markup, html};

use super::parts::{Pager, ROWS_MAX, number, router_address, table, text, time, values, yes_no};
use super::peers;
use crate::http::uri::{Query, link};
use crate::num::to_f64;
use crate::telemetry::status::format::{age, duration, short, size};
use crate::telemetry::status::{
    Document, Finding, Listener, PeerState, Router, RouterContext, Totals, router_state,
};

/// Number of peers on the page of a router.
const PEERS_SHOWN: usize = 50;

pub(super) fn list(document: &Document, query: &Query) -> Markup {
    let context = RouterContext::from_document(document);
    let filter = query.get("q").unwrap_or_default();
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let mut routers = context.worst_first(&document.routers);
    routers.retain(|(router, findings)| {
        let text = format!(
            "{} {} {} {}",
            router.name,
            router_state(router, findings),
            router.address.as_deref().unwrap_or_default(),
            router.sys_descr
        );
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    });
    let totals = Totals::from_routers(&document.routers);
    let pager = Pager::new(query.get("page"), routers.len());
    let shown = routers.iter().skip(pager.skipped()).take(ROWS_MAX);
    let rows: Vec<Markup> = shown.map(|(router, findings)| row(router, findings)).collect();
    let heads = [
        text("Router"),
        text("State"),
        number("Peers up"),
        number("Records"),
        number("Receive queue"),
        number("Undelivered"),
        number("Appended"),
        number("Last message"),
        number("Errors"),
        text("Address"),
        text("Transport"),
        text("Description"),
    ];
    html! {
        p { (totals.routers_text()) "; those that need attention come first." }
        form action="/routers" method="get" role="search" {
            label { "Filter" input type="search" name="q" value=(filter); }
            button { "Show" }
        }
        (pager.markup("router", |page| link("/routers", &[("q", filter), ("page", &page.to_string())])))
        (table("Routers", &heads, &rows))
        h2 { "Connections" }
        (listener(&document.listener))
    }
}

fn row(router: &Router, findings: &[Finding]) -> Markup {
    let up = router.peers.iter().filter(|peer| peer.state == PeerState::Up).count();
    let security = router.transport.security.as_str();
    // The values of a session that does not exist are neither 0 nor unknown.
    let of_session = |text: String| if router.connected { text } else { "–".to_owned() };
    html! {
        th scope="row" { a href=(router_address(&router.name)) { (router.name) } }
        td.nowrap { (state(router, findings)) }
        td.number { (up) "/" (router.peers.len()) }
        td.number { (of_session(short(to_f64(router.routes)))) }
        td.number { (of_session(size(router.transport.receive_queue_bytes))) }
        td.number { (size(router.log_bytes)) }
        td.number { (of_session(format!("{}/s", size(router.log_bytes_per_s)))) }
        td.number { (of_session(age(router.last_message_age_s))) }
        td.number { (of_session(router.errors.to_string())) }
        td.nowrap { (router.address.as_deref().unwrap_or("–")) }
        td { (of_session(if security.is_empty() { "TCP".to_owned() } else { security.to_owned() })) }
        td.text { (router.sys_descr) }
    }
}

/// The state of a router, and whether it is a problem.
fn state(router: &Router, findings: &[Finding]) -> Markup {
    let class = match findings.first() {
        Some(finding) if finding.is_problem() => "bad",
        Some(_) => "warn",
        None if router.connected => "ok",
        None => "quiet",
    };
    html! { span class=(class) { (router_state(router, findings)) } }
}

/// Connections that are accepted and opened, and those that were refused.
fn listener(listener: &Listener) -> Markup {
    let refused: Vec<String> =
        listener.refused_by.iter().map(|(reason, count)| format!("{count} by {reason}")).collect();
    let refused = if refused.is_empty() { listener.refused.to_string() } else { refused.join(", ") };
    let since = listener.refused_age_s.map_or_else(String::new, |age| {
        format!(", the last one {} ago", duration(crate::num::floor_to_u64(age)))
    });
    let transport = &listener.transport;
    let remotes: Vec<Markup> = transport
        .remotes
        .iter()
        .map(|remote| {
            html! {
                th scope="row" { (remote.remote) }
                td { (remote.state) }
                td.number { (remote.failures) }
                td.text { (remote.last_error.as_deref().unwrap_or("–")) }
            }
        })
        .collect();
    html! {
        (values(&[
            ("Address", html! { (listener.address) @if !listener.listening { " (not listening yet)" } }),
            ("Open", html! { (listener.connections) " of at most " (listener.connections_max) }),
            ("Refused since start", html! { (refused) (since) }),
            ("Handshakes failed", html! {
                (transport.handshakes_failed)
                @if let Some(last) = &transport.last_handshake_failure {
                    ", the last one at " (time(&last.time)) " from " (last.address) ": " (last.cause)
                }
            }),
        ]))
        @if listener.held_off {
            p.warn { "New connections of unknown routers wait until log usage is below 50 %." }
        }
        @if !remotes.is_empty() {
            (table("Routers that the collector connects to",
                &[text("Remote"), text("State"), number("Failures in a row"), text("Last error")], &remotes))
        }
    }
}

/// The page of a router; `None` if there is none with this name.
pub(super) fn one(document: &Document, name: &str) -> Option<Markup> {
    let router = document.routers.iter().find(|router| router.name == name)?;
    let findings = RouterContext::from_document(document).findings(router);
    let totals = Totals::from_routers([router]);
    let sources = document.delivery.iter().flat_map(|delivery| &delivery.quarantined_sources);
    let set_aside: Vec<_> = sources.filter(|source| source.router == name).collect();
    let all = link("/peers", &[("router", name)]);
    let entries = peers::entries([router]);
    let heads: Vec<_> = peers::COLUMNS.iter().map(|column| column.head()).collect();
    let rows: Vec<Markup> = peers::worst_first(entries).iter().take(PEERS_SHOWN).map(peers::row).collect();
    Some(html! {
        p { (state(router, &findings)) }
        @if !findings.is_empty() {
            h2 { "Needs attention" }
            ul { @for finding in &findings { li { (finding) } } }
        }
        @for source in set_aside {
            p.bad {
                "Records" @if let Some(peer) = &source.peer { " of peer " (peer) }
                " are set aside in rejected_routes: " (source.error)
            }
        }
        h2 { "Session" }
        (session(router))
        h2 { "Peers" }
        p { (totals.peers_text()) ". Tables: " (totals.tables_text()) "." }
        @if router.peers.len() > PEERS_SHOWN {
            p { "The first " (PEERS_SHOWN) ": " a href=(all) { "all " (router.peers.len()) " peers" } "." }
        }
        (table("Peers", &heads, &rows))
    })
}

fn session(router: &Router) -> Markup {
    let transport = &router.transport;
    let security = if transport.security.is_empty() { "TCP" } else { transport.security.as_str() };
    let tlvs = router.route_tlvs.iter().map(|(name, count)| format!("{name} {count}"));
    let tlvs = tlvs.collect::<Vec<_>>().join(", ");
    let mut pairs = vec![
        ("Address", html! { (router.address.as_deref().unwrap_or("not connected")) }),
        (
            "Session since",
            html! {
                @match &router.session { Some(start) => (time(start)), None => "unknown" }
            },
        ),
        ("Expected", html! { (yes_no(router.expected)) }),
        (
            "Description",
            html! {
                @if router.sys_descr.is_empty() { "none" } @else { (router.sys_descr) }
            },
        ),
        (
            "Undelivered in the log",
            html! {
                (size(router.log_bytes))
                @if let Some(seconds) = router.log_paused_s {
                    ", paused at its share of the log for " (age(Some(seconds)))
                }
            },
        ),
    ];
    if router.connected {
        pairs.extend([
            ("Transport", html! { (security) }),
            ("Last message", html! { (age(router.last_message_age_s)) " ago" }),
            (
                "Received",
                html! {
                    (router.messages) " messages, " (size(router.bytes)) ", " (router.routes) " route records"
                },
            ),
            ("Appended to the log", html! { (size(router.log_bytes_per_s)) "/s" }),
            ("Receive queue", html! { (size(transport.receive_queue_bytes)) }),
            (
                "Not read",
                html! {
                    (age(Some(transport.blocked_s))) " because the log accepted nothing, "
                    (age(Some(transport.slowed_s))) " because of too many new peers"
                },
            ),
            ("Decode errors", html! { (router.errors) }),
            ("Skipped messages", html! { (router.skipped_messages) }),
            ("TLVs of Route Monitoring", html! { @if tlvs.is_empty() { "none" } @else { (tlvs) } }),
        ]);
    }
    values(&pairs)
}
