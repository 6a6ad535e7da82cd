//! The page of a peer: its state, both OPENs side by side, its flaps and its tables.

use maud::{Markup, html};

use super::parts::{
    ROWS_MAX, notice, number, peer_address, peer_class, router_address, table, text, time, values, yes_no,
};
use crate::http::capabilities::{Sides, compared};
use crate::http::uri::Query;
use crate::num::floor_to_u64;
use crate::route::{OpenSummary, Opens, PeerDownRecord, Timestamp};
use crate::telemetry::clock;
use crate::telemetry::status::format::{counted, duration};
use crate::telemetry::status::{Document, Peer, PeerState, Router};

/// The page of a peer by its router and address, and if there are several, by the query; `None` if there is
/// none.
pub(super) fn page(document: &Document, (router, address): (&str, &str), query: &Query) -> Option<Markup> {
    let router = document.routers.iter().find(|one| one.name == router)?;
    let is_wanted = |peer: &&Peer| {
        let is = |name, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
        peer.address == address
            && is("rd", &peer.distinguisher)
            && is("type", &peer.peer_type.to_string())
            && is("as", &peer.asn.to_string())
            && is("id", &peer.bgp_id)
    };
    let found: Vec<&Peer> = router.peers.iter().filter(is_wanted).collect();
    match found.as_slice() {
        [] => None,
        [peer] => Some(one(router, peer)),
        several => Some(choice(router, several)),
    }
}

/// The peers with the same address, to choose from.
fn choice(router: &Router, peers: &[&Peer]) -> Markup {
    let rows: Vec<Markup> = peers
        .iter()
        .take(ROWS_MAX)
        .map(|peer| {
            html! {
                th scope="row" { a href=(peer_address(&router.name, peer)) { (peer.name()) } }
                td.number { (peer.asn) }
                td { (peer.bgp_id) }
                td.number { (peer.peer_type) }
                td { span class=(peer_class(peer.state)) { (peer.state) } }
            }
        })
        .collect();
    let heads = [text("Peer"), number("AS"), text("BGP identifier"), number("Peer type"), text("State")];
    html! {
        p { (peers.len()) " peers have this address; at most " (ROWS_MAX) " of them follow." }
        (table("Peers with this address", &heads, &rows))
    }
}

fn one(router: &Router, peer: &Peer) -> Markup {
    let session = &peer.bgp_session;
    html! {
        p {
            span class=(peer_class(peer.state)) { (peer.state) }
            @if let Some(reason) = peer.reason { ": " (reason) }
        }
        (values(&[
            ("Router", html! { a href=(router_address(&router.name)) { (router.name) } }),
            ("AS", html! { (peer.asn) }),
            ("BGP identifier", html! { (peer.bgp_id) }),
            ("Distinguisher", html! { (peer.distinguisher) }),
            ("Peer type", html! { (peer.peer_type) " (" (peer_type(peer.peer_type)) ")" }),
            ("VRF or table", html! {
                @if session.table_name.is_empty() { "none" } @else { (session.table_name) }
            }),
            ("Last Peer Up", html! {
                @match &session.up_since { Some(time_up) => (time(time_up)), None => "none in this session" }
            }),
        ]))
        h2 { "Capabilities of both OPENs" }
        (opens(peer))
        h2 { "Flaps" }
        (flaps(peer))
        h2 { "Tables" }
        (tables(peer))
    }
}

/// The meaning of a BMP peer type (RFC 7854 section 4.2, RFC 9069 section 4.1).
const fn peer_type(kind: u8) -> &'static str {
    match kind {
        0 => "global instance",
        1 => "RD instance",
        2 => "local instance",
        3 => "Loc-RIB",
        _ => "unknown",
    }
}

fn opens(peer: &Peer) -> Markup {
    let session = &peer.bgp_session;
    match &session.opens {
        Some(opens) => side_by_side(opens, peer),
        None if session.up_since.is_some() => html! {
            p { "The OPENs are not kept: the peers of this router exceed the memory for them." }
        },
        None if peer.state == PeerState::Stale => html! {
            p { "Unknown: there is no BMP session with messages about this peer." }
        },
        None => html! {
            p { "Unknown: the router has sent no Peer Up of this peer since it connected." }
        },
    }
}

fn side_by_side(opens: &Opens, peer: &Peer) -> Markup {
    let capabilities = compared(opens);
    let one_sided: Vec<_> = capabilities.iter().filter(|one| one.sides().is_one_sided()).collect();
    let rows: Vec<Markup> = general(opens)
        .into_iter()
        .chain(capabilities.iter().map(|one| {
            let sides = one.sides();
            html! {
                th scope="row" { (one.name) }
                td.mark { span class=(if sides.is_one_sided() { "warn" } else { "ok" }) { (result(sides)) } }
                td { (one.sent.as_deref().unwrap_or("–")) }
                td { (one.received.as_deref().unwrap_or("–")) }
            }
        }))
        .collect();
    let heads = [text("Capability"), text("Result"), text("Sent by the router"), text("Sent by the peer")];
    html! {
        @if peer.state != PeerState::Up { p { "Those of the last BGP session; the peer is not up now." } }
        @for (side, open) in [("router", &opens.sent), ("peer", &opens.received)] {
            @match open {
                None => { (notice("bad", &html! { p { "The OPEN of the " (side) " cannot be decoded." } })) },
                Some(open) if open.is_damaged => {
                    (notice("bad", &html! {
                        p { "The OPEN of the " (side) " is damaged: further capabilities are unknown." }
                    }))
                },
                Some(_) => {},
            }
        }
        @if one_sided.is_empty() {
            p { "No capability is one-sided." }
        } @else {
            p {
                strong.warn { (one_sided.len()) " one-sided" }
                ": "
                @for (index, one) in one_sided.iter().enumerate() {
                    @if index > 0 { ", " }
                    (one.name) " (" (one.sides().name()) ")"
                }
                "."
            }
        }
        (table("Both OPENs", &heads, &rows))
    }
}

/// The result of a capability in words.
fn result(sides: Sides) -> String {
    if sides.is_one_sided() { format!("ONE-SIDED: {}", sides.name()) } else { sides.name().to_owned() }
}

/// The text of a field of an OPEN.
type Value = fn(&OpenSummary) -> String;

/// The fixed fields of the OPENs.
fn general(opens: &Opens) -> Vec<Markup> {
    let shown = |value: Value| {
        [&opens.sent, &opens.received].map(|open| open.as_ref().map_or_else(|| "unknown".to_owned(), value))
    };
    let fields: [(&str, Value); 3] = [
        ("AS", |open| open.asn.to_string()),
        ("BGP identifier", |open| open.bgp_id.to_string()),
        ("Hold time", |open| format!("{} s", open.hold_time_s)),
    ];
    let hold_time = opens.sent.as_ref().zip(opens.received.as_ref());
    let negotiated = hold_time.map(|(sent, received)| sent.hold_time_s.min(received.hold_time_s));
    let row = |(name, value): (&str, Value)| {
        let [sent, received] = shown(value);
        html! {
            th scope="row" { (name) }
            td {
                @if let (Some(seconds), "Hold time") = (negotiated, name) { (seconds) " s in use" }
                @else { "–" }
            }
            td { (sent) }
            td { (received) }
        }
    };
    fields.into_iter().map(row).collect()
}

fn flaps(peer: &Peer) -> Markup {
    let downs = &peer.bgp_session.last_downs;
    if peer.state == PeerState::Stale {
        return html! { p { "Unknown: there is no BMP session with messages about this peer." } };
    }
    if peer.downs == 0 {
        return html! { p { "None since the router connected." } };
    }
    if downs.is_empty() {
        return html! {
            p {
                (counted(peer.downs, "flap")) " since the router connected. The reasons are not kept: the "
                "peers of this router exceed the memory for them. All are in the database: "
                code { "holdfast query peer_flaps" } "."
            }
        };
    }
    let rows: Vec<Markup> = downs.iter().rev().map(flap).collect();
    let heads = [text("Peer Down at"), text("Reason"), number("Reason code"), text("Had been up for")];
    html! {
        p {
            (counted(peer.downs, "flap")) " since the router connected; the last ones are listed. "
            "All are in the database: " code { "holdfast query peer_flaps" } "."
        }
        (table("Flaps", &heads, &rows))
    }
}

fn flap(down: &PeerDownRecord) -> Markup {
    let up_s = |since: Timestamp| {
        let micros = down.time.0.saturating_sub(since.0).max(0).cast_unsigned();
        duration(floor_to_u64(crate::num::to_f64(micros) / 1e6))
    };
    html! {
        td { (time(&clock::iso8601(down.time))) }
        td.text { (down.reason) }
        td.number { (down.reason_code) }
        td.nowrap { (down.up_since.map_or_else(|| "unknown".to_owned(), up_s)) }
    }
}

fn tables(peer: &Peer) -> Markup {
    let rows: Vec<Markup> = peer
        .tables()
        .map(|(view, one)| {
            let class = if one.missing {
                "bad"
            } else if one.suspect {
                "warn"
            } else {
                ""
            };
            html! {
                td { (view) }
                th scope="row" { (one.family) }
                td { @if one.missing { span.bad { "MISSING" } } @else { (one.completeness) } }
                td { (yes_no(one.end_of_rib)) }
                td.number { (one.routes) }
                td.text {
                    span class=(class) {
                        @if one.missing { "neither routes nor End-of-RIB since Peer Up. " }
                        @if one.suspect { "suspect: a PDU could not be decoded. " }
                    }
                    @if let Some(stale) = one.stale {
                        "Routes not re-announced, if any, stay stale: " (stale) "."
                    }
                }
            }
        })
        .collect();
    let heads = [
        text("RIB view"),
        text("Address family"),
        text("Table"),
        text("End-of-RIB"),
        number("Records"),
        text("Attention"),
    ];
    table("Tables", &heads, &rows)
}
