//! The list of the queries, and the search box.

use maud::{Markup, html};

use super::links::text;
use super::request::SEARCH;
use super::search::Reading;
use crate::http::page::{Section, layout};
use crate::sink::Query;

/// The queries by subject, in the order of the page.
const SUBJECTS: [(&str, &[&str]); 7] = [
    ("Routes", &["route_lookup", "prefix_lookup", "as_path_search", "community_search", "moas"]),
    ("Tables of peers", &["rib_at", "peer_differences", "policy_effect", "completeness", "table_growth"]),
    ("History", &["prefix_timeline", "churn", "origin_changes", "withdraw_storms", "flapping_routes"]),
    ("Routing security", &["hijacks", "leaks", "rpki"]),
    ("EVPN", &["evpn_bindings", "evpn_moves", "evpn_duplicates"]),
    ("Peers and routers", &["peers", "peer_flaps", "peer_capabilities", "peer_counters", "routers"]),
    ("Collectors", &["collector_health", "gaps"]),
];

/// The page; with a sentence that says why queries fail at present, if they do.
pub(super) fn page(problem: Option<&str>) -> String {
    let body = html! {
        @if let Some(problem) = problem {
            div.notice.warn role="status" { p { (text(problem)) } }
        }
        (search_form(""))
        p.quiet {
            "Each query is a query of " code { "holdfast query" } ", with the same parameters and the same \
             result. Times are in UTC."
        }
        @for (subject, names) in SUBJECTS {
            h2 { (subject) }
            dl.values {
                @for query in names.iter().filter_map(|name| Query::find(name)) {
                    dt { a href={ "/lookup/" (query.name) } { (query.name) } }
                    dd { (query.about) }
                }
            }
        }
    };
    layout("Lookup", Section::Lookup, body)
}

/// The page for a name that no query has.
pub(super) fn unknown(error: &str) -> String {
    let body = html! {
        div.notice.bad role="alert" { p { (text(error)) } }
        p { a href="/lookup" { "All queries" } }
    };
    layout("Unknown query", Section::Lookup, body)
}

/// The form that chooses a query by the form of a text.
pub(super) fn search_form(given: &str) -> Markup {
    html! {
        form action="/lookup" method="get" role="search" {
            label {
                "Address, prefix, AS number, peer, router, community or MAC address"
                input type="search" name=(SEARCH) value=(given) size="40" required autocomplete="off"
                    spellcheck="false";
            }
            button type="submit" { "Search" }
        }
    }
}

/// How a text of the search box was read, and how else it can be.
pub(super) fn chosen(given: &str, readings: &[Reading], query: &str) -> Markup {
    let chosen = readings.iter().find(|reading| reading.query == query);
    html! {
        @if let Some(chosen) = chosen {
            p {
                "“" (text(given)) "” was read as " (chosen.meaning) ": " code { (query) } "."
                @for other in readings.iter().filter(|other| other.query != query) {
                    " Look it up as " a href=(other.address(given)) { (other.meaning) } "."
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sink::QUERIES;

    #[test]
    fn each_query_belongs_to_one_subject() {
        let listed: Vec<&str> = SUBJECTS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let distinct: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(listed.len(), distinct.len());
        assert_eq!(distinct, QUERIES.iter().map(|query| query.name).collect());
        let page = page(None);
        for query in QUERIES {
            assert!(page.contains(&format!("<a href=\"/lookup/{0}\">{0}</a>", query.name)), "{}", query.name);
        }
    }
}
