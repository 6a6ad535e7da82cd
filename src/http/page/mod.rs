//! The pages for people: HTML from the status document, with embedded style and script.
//!
//! Every page is complete without its script, which draws the plots and reads the page again every few
//! seconds. Templates escape all that routers choose.

mod assets;
mod delivery;
mod layout;
mod log;
mod overview;
mod parts;
mod peer;
mod peers;
mod plots;
mod routers;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use maud::{Markup, html};

use super::history::History;
use super::reply::{Reply, html_reply, reply};
use super::uri::{Query, decoded};
use crate::telemetry::status::Document;
pub(in crate::http) use layout::{Section, layout};

/// Embedded files have a version in their path.
const ASSET_CACHE: &str = "private, max-age=31536000, immutable";

/// Folders and files of the pages.
const PAGES: [&str; 7] = ["", "routers", "peers", "log", "delivery", "lookup", "assets"];

/// Whether a path is one of the pages or their files, which browsers request.
pub(super) fn is_page(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    first.is_some_and(|first| PAGES.contains(&first))
}

/// The page at a path; `None` if there is no page.
pub(super) fn respond(path: &str, query: &str, document: &Document, history: &History) -> Option<Reply> {
    if let Some(asset) = assets::at(path) {
        let mut reply = reply(StatusCode::OK, asset.content_type, asset.bytes);
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(ASSET_CACHE));
        return Some(reply);
    }
    let path = path.strip_prefix('/')?;
    let segments: Vec<&str> = path.split('/').collect();
    let is_known = matches!(
        segments.as_slice(),
        ["" | "routers" | "peers" | "log" | "delivery"] | ["routers", _] | ["peers", _, _]
    );
    if !is_known {
        return None;
    }
    let segments: Option<Vec<String>> = segments.into_iter().map(decoded).collect();
    let (Some(segments), Some(query)) = (segments, Query::parse(query)) else {
        let text = "The address is not valid percent-encoded UTF-8.";
        return Some(refusal(StatusCode::BAD_REQUEST, "Malformed address", text));
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (title, section, body) = match segments.as_slice() {
        [""] => ("Overview".to_owned(), Section::Overview, overview::page(document, history)),
        ["routers"] => ("Routers".to_owned(), Section::Routers, routers::list(document, &query)),
        ["peers"] => ("Peers".to_owned(), Section::Peers, peers::list(document, &query)),
        ["log"] => ("Log and gaps".to_owned(), Section::Log, log::page(document)),
        ["delivery"] => ("Delivery".to_owned(), Section::Delivery, delivery::page(document, history)),
        ["routers", name] => {
            let Some(body) = routers::one(document, name) else {
                let text = format!("No router with the name \"{name}\" is connected, expected or stale.");
                return Some(refusal(StatusCode::NOT_FOUND, "Router not found", &text));
            };
            (format!("Router {name}"), Section::Routers, body)
        }
        ["peers", router, address] => {
            let Some(body) = peer::page(document, (router, address), &query) else {
                let text =
                    format!("The router \"{router}\" has no such peer with the address \"{address}\".");
                return Some(refusal(StatusCode::NOT_FOUND, "Peer not found", &text));
            };
            (format!("Peer {address} of {router}"), Section::Peers, body)
        }
        _ => return None,
    };
    Some(html_reply(StatusCode::OK, layout(&title, section, body)))
}

/// The page for a path that does not exist.
pub(super) fn unknown(path: &str) -> Reply {
    refusal(StatusCode::NOT_FOUND, "Page not found", &format!("There is no page at {path}."))
}

fn refusal(status: StatusCode, title: &str, text: &str) -> Reply {
    let body: Markup = html! {
        p { (text) }
        p { a href="/" { "Overview" } }
    };
    html_reply(status, layout(title, Section::Overview, body))
}
