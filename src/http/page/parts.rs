//! Parts that several pages have: tables, values, figures, times and state words.

use maud::{Markup, html};

use crate::http::uri::{encoded, link};
use crate::telemetry::status::{Health, LaneState, Peer, PeerState};

/// Maximum number of rows of a page.
pub(super) const ROWS_MAX: usize = 200;

/// The head of a column.
pub(super) struct Head {
    pub(super) title: &'static str,
    pub(super) is_number: bool,
    /// Address of the same page, sorted by this column.
    pub(super) sort: Option<String>,
    /// `ascending` or `descending` if the rows are sorted by this column.
    pub(super) sorted: Option<&'static str>,
}

/// The head of a column of text.
pub(super) const fn text(title: &'static str) -> Head {
    Head { title, is_number: false, sort: None, sorted: None }
}

/// The head of a column of numbers.
pub(super) const fn number(title: &'static str) -> Head {
    Head { title, is_number: true, sort: None, sorted: None }
}

/// A table in a box that scrolls and takes the focus. The label is unique in its page.
pub(super) fn table(label: &str, heads: &[Head], rows: &[Markup]) -> Markup {
    html! {
        div.table role="region" aria-label=(label) tabindex="0" {
            table {
                thead {
                    tr {
                        @for Head { title, is_number, sort, sorted } in heads {
                            th scope="col" class=[is_number.then_some("number")] aria-sort=[sorted] {
                                @match sort {
                                    Some(address) => a href=(address) { (title) },
                                    None => (title),
                                }
                                @match sorted {
                                    Some("ascending") => span aria-hidden="true" { " ▲" },
                                    Some(_) => span aria-hidden="true" { " ▼" },
                                    None => {},
                                }
                            }
                        }
                    }
                }
                tbody {
                    @for row in rows { tr { (row) } }
                    @if rows.is_empty() { tr { td colspan=(heads.len()) { "None." } } }
                }
            }
        }
    }
}

/// Values with their names.
pub(super) fn values(values: &[(&str, Markup)]) -> Markup {
    html! {
        dl.values {
            @for (name, value) in values { dt { (name) } dd { (value) } }
        }
    }
}

/// A figure: its name, its value, and a note.
pub(super) fn figure(name: &str, value: &str, note: &str) -> Markup {
    state_figure(name, value, "", note)
}

/// A figure whose value is a state word of a class.
pub(super) fn state_figure(name: &str, value: &str, class: &str, note: &str) -> Markup {
    html! {
        div {
            dt { (name) }
            dd class=(class) { (value) }
            @if !note.is_empty() { dd.note { (note) } }
        }
    }
}

/// A paragraph that stands out, as `ok`, `warn` or `bad`.
pub(super) fn notice(class: &str, body: &Markup) -> Markup {
    html! { div class=(format!("notice {class}")) { (body) } }
}

/// A time in ISO 8601, with a resolution of a second.
pub(super) fn time(iso8601: &str) -> Markup {
    html! { time.nowrap datetime=(iso8601) { (time_text(iso8601)) } }
}

/// The same as text.
pub(super) fn time_text(iso8601: &str) -> String {
    match (iso8601.get(..10), iso8601.get(10..11), iso8601.get(11..19)) {
        (Some(date), Some("T"), Some(time)) => format!("{date} {time} UTC"),
        _ => iso8601.to_owned(),
    }
}

/// The rows of a page of a list: `of` rows in all, from `first` on.
pub(super) struct Pager {
    pub(super) page: usize,
    pub(super) pages: usize,
    of: usize,
}

impl Pager {
    /// The page that was asked for, counted from 1; the last one if there are fewer.
    pub(super) fn new(wanted: Option<&str>, of: usize) -> Self {
        let pages = of.div_ceil(ROWS_MAX).max(1);
        let page = wanted.and_then(|page| page.parse().ok()).unwrap_or(1_usize).clamp(1, pages);
        Self { page, pages, of }
    }

    /// Number of rows before those of the page.
    pub(super) const fn skipped(&self) -> usize {
        (self.page - 1) * ROWS_MAX
    }

    /// The range of the rows, and links to the other pages. `address` is the address of a page.
    pub(super) fn markup(&self, noun: &str, address: impl Fn(usize) -> String) -> Markup {
        let (first, last) = (self.skipped() + 1, self.of.min(self.skipped() + ROWS_MAX));
        html! {
            p {
                @match self.of {
                    0 => { "No " (noun) "s." },
                    1 => { "1 " (noun) "." },
                    of if self.pages == 1 => { (of) " " (noun) "s." },
                    of => { "Showing " (first) " to " (last) " of " (of) " " (noun) "s." },
                }
            }
            @if self.pages > 1 {
                nav.pages aria-label=(format!("Pages of the {noun}s")) {
                    ul {
                        @if self.page > 1 {
                            li { a href=(address(self.page - 1)) rel="prev" { "Previous page" } }
                        }
                        li { "Page " (self.page) " of " (self.pages) }
                        @if self.page < self.pages {
                            li { a href=(address(self.page + 1)) rel="next" { "Next page" } }
                        }
                    }
                }
            }
        }
    }
}

/// The address of a router's page.
pub(super) fn router_address(name: &str) -> String {
    format!("/routers/{}", encoded(name))
}

/// The address of a peer's page.
pub(super) fn peer_address(router: &str, peer: &Peer) -> String {
    let path = format!("/peers/{}/{}", encoded(router), encoded(&peer.address));
    let distinguisher = if peer.distinguisher == "0:0" { "" } else { peer.distinguisher.as_str() };
    let (kind, asn) = (peer.peer_type.to_string(), peer.asn.to_string());
    let kind = if peer.peer_type == 0 { "" } else { kind.as_str() };
    link(&path, &[("rd", distinguisher), ("type", kind), ("as", &asn), ("id", &peer.bgp_id)])
}

/// The class of a state word.
pub(super) const fn health_class(health: Health) -> &'static str {
    match health {
        Health::Healthy => "ok",
        Health::Degraded => "warn",
        Health::Down => "bad",
    }
}

/// The class of a state word.
pub(super) const fn peer_class(state: PeerState) -> &'static str {
    match state {
        PeerState::Up => "ok",
        PeerState::Down => "bad",
        PeerState::Stale => "warn",
    }
}

/// The class of a state word.
pub(super) const fn lane_class(state: LaneState) -> &'static str {
    match state {
        LaneState::CaughtUp | LaneState::Draining => "ok",
        LaneState::Connecting | LaneState::Retrying | LaneState::Stopped => "warn",
        LaneState::NeedsOperator | LaneState::Halted => "bad",
    }
}

/// A number per second, or that it is unknown.
pub(super) fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(
        || "unknown".to_owned(),
        |rate| format!("{}/s", crate::telemetry::status::format::short(rate)),
    )
}

/// A word for whether something is so.
pub(super) const fn yes_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_does_not_exist_is_the_nearest_one() {
        let page = |wanted, of| {
            let pager = Pager::new(wanted, of);
            (pager.page, pager.pages, pager.skipped())
        };
        assert_eq!(page(None, 0), (1, 1, 0));
        assert_eq!(page(Some("2"), 200), (1, 1, 0));
        assert_eq!(page(Some("2"), 201), (2, 2, 200));
        for wanted in ["0", "-1", "x", "1e9"] {
            assert_eq!(page(Some(wanted), 1_000), (1, 5, 0), "{wanted}");
        }
        assert_eq!(page(Some("99999999999999999999"), 1_000), (1, 5, 0));
        assert_eq!(page(Some("9999"), 1_000), (5, 5, 800));
    }

    #[test]
    fn times_are_short_and_other_text_stays() {
        assert_eq!(time_text("2026-08-11T09:30:00.000000Z"), "2026-08-11 09:30:00 UTC");
        for other in ["", "9223372036854775807", "2026-08-11"] {
            assert_eq!(time_text(other), other);
        }
    }
}
