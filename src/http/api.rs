//! The paths below `/api/v1/`: parts of the status document as JSON. `openapi.json` describes them.

use serde::Serialize;
use serde_json::{Value, json};

use super::capabilities::{Capability, compared};
use super::history::History;
use super::uri::decoded;
use crate::route::{OpenSummary, Opens, PeerDownRecord};
use crate::telemetry::clock;
use crate::telemetry::status::{Document, Family, Peer, Router};

/// The description of the paths (OpenAPI 3.1).
pub const DESCRIPTION: &str = include_str!("openapi.json");

const PREFIX: &str = "/api/v1/";

/// The result of a request.
pub(super) enum Outcome {
    /// The response.
    Found(Value),
    /// The response, as JSON text.
    Text(&'static str),
    /// The request is malformed, for this reason.
    Malformed(&'static str),
    /// The resource does not exist, for this reason.
    Missing(&'static str),
    /// No such path.
    UnknownPath,
}

/// The response to a request for `path`.
pub(super) fn respond(path: &str, document: &Document, history: &History) -> Outcome {
    let Some(path) = path.strip_prefix(PREFIX) else { return Outcome::UnknownPath };
    match path {
        "openapi.json" => Outcome::Text(DESCRIPTION),
        "status" => Outcome::Found(json!(document)),
        "listener" => Outcome::Found(json!(document.listener)),
        "routers" => Outcome::Found(document.routers.iter().map(without_peers).collect()),
        "peers" => Outcome::Found(json!(peers(document).collect::<Vec<_>>())),
        "families" => Outcome::Found(json!(families(document).collect::<Vec<_>>())),
        "log" => Outcome::Found(json!(document.wal)),
        "history" => Outcome::Found(json!(history.past().series())),
        "gaps" => Outcome::Found(gaps(document)),
        "delivery" | "lanes" => match &document.delivery {
            Some(delivery) if path == "lanes" => Outcome::Found(json!(delivery.lanes)),
            Some(delivery) => Outcome::Found(json!(delivery)),
            None => Outcome::Missing("no database is configured (store-only mode)"),
        },
        _ => match path.split('/').collect::<Vec<_>>().as_slice() {
            ["routers", name] if !name.is_empty() => router(name, document),
            ["peers", router, address] if !router.is_empty() && !address.is_empty() => {
                peer(router, address, document)
            }
            _ => Outcome::UnknownPath,
        },
    }
}

fn router(name: &str, document: &Document) -> Outcome {
    let Some(name) = decoded(name) else {
        return Outcome::Malformed("the router's name is not valid percent-encoded UTF-8");
    };
    match document.routers.iter().find(|router| router.name == name) {
        Some(router) => Outcome::Found(json!(router)),
        None => Outcome::Missing("no router has this name; see /api/v1/routers"),
    }
}

/// The peers of a router with one address, with their OPENs and flaps.
fn peer(router: &str, address: &str, document: &Document) -> Outcome {
    let (Some(router), Some(address)) = (decoded(router), decoded(address)) else {
        return Outcome::Malformed("the router's name or the address is not valid percent-encoded UTF-8");
    };
    let is_wanted = |one: &RouterPeer<'_>| one.router == router && one.peer.address == address;
    let found: Vec<Value> = peers(document).filter(is_wanted).map(with_session).collect();
    if found.is_empty() {
        return Outcome::Missing("the router has no peer with this address; see /api/v1/peers");
    }
    Outcome::Found(json!(found))
}

/// A peer with its OPENs and its last flaps, the newest first.
fn with_session(one: RouterPeer<'_>) -> Value {
    let session = &one.peer.bgp_session;
    let (opens, flaps) = (session.opens.as_deref().map(opens), session.last_downs.iter().rev().map(flap));
    let flaps: Vec<Value> = flaps.collect();
    let mut value = json!(one);
    if let Some(fields) = value.as_object_mut() {
        fields.extend([("opens".to_owned(), json!(opens)), ("flaps".to_owned(), json!(flaps))]);
    }
    value
}

fn opens(opens: &Opens) -> Value {
    let open = |open: &OpenSummary| {
        json!({
            "asn": open.asn,
            "bgp_id": open.bgp_id,
            "hold_time_s": open.hold_time_s,
            "capabilities": open.capabilities,
            "damaged": open.is_damaged,
        })
    };
    let capability = |one: &Capability| {
        let sides = one.sides();
        json!({
            "name": one.name,
            "sent": one.sent,
            "received": one.received,
            "sides": sides.name(),
            "one_sided": sides.is_one_sided(),
        })
    };
    json!({
        "sent": opens.sent.as_ref().map(open),
        "received": opens.received.as_ref().map(open),
        "capabilities": compared(opens).iter().map(capability).collect::<Vec<_>>(),
    })
}

fn flap(down: &PeerDownRecord) -> Value {
    json!({
        "time": clock::iso8601(down.time),
        "reason": down.reason,
        "reason_code": down.reason_code,
        "up_since": down.up_since.map(clock::iso8601),
    })
}

/// A peer with its router.
#[derive(Serialize)]
struct RouterPeer<'a> {
    router: &'a str,
    #[serde(flatten)]
    peer: &'a Peer,
}

/// An address family with its router, peer and RIB view.
#[derive(Serialize)]
struct PeerFamily<'a> {
    router: &'a str,
    peer: &'a str,
    distinguisher: &'a str,
    peer_type: u8,
    view: &'a str,
    #[serde(flatten)]
    family: &'a Family,
}

/// A router with the number of its peers in place of the peers.
fn without_peers(router: &Router) -> Value {
    let peers = router.peers.len();
    let mut value = json!(Router { peers: Vec::new(), ..router.clone() });
    if let Some(fields) = value.as_object_mut() {
        fields.insert("peers".to_owned(), json!(peers));
    }
    value
}

fn peers(document: &Document) -> impl Iterator<Item = RouterPeer<'_>> {
    document
        .routers
        .iter()
        .flat_map(|router| router.peers.iter().map(|peer| RouterPeer { router: &router.name, peer }))
}

fn families(document: &Document) -> impl Iterator<Item = PeerFamily<'_>> {
    peers(document).flat_map(|RouterPeer { router, peer }| {
        peer.tables().map(move |(view, family)| PeerFamily {
            router,
            peer: &peer.address,
            distinguisher: &peer.distinguisher,
            peer_type: peer.peer_type,
            view,
            family,
        })
    })
}

/// Everything that is missing: batches of the log, and times in which messages were not recorded.
fn gaps(document: &Document) -> Value {
    json!({
        "lost_batches": document.wal.lost_batches,
        "last_damage": document.wal.damage,
        "dropped_batches": document.wal.dropped,
        "recorded": document.sessions.gaps,
    })
}
