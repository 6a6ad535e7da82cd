//! The list of peers: filtered and sorted by the query, in pages.

use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;

use maud::{Markup, html};

use super::parts::{Head, Pager, ROWS_MAX, peer_address, peer_class, router_address, table, time};
use crate::http::uri::{Query, link};
use crate::num::{to_f64, to_u64};
use crate::telemetry::status::format::short;
use crate::telemetry::status::{Document, Finding, Peer, PeerState, Router, peer_attention, peer_findings};

/// A column of the list.
pub(super) struct Column {
    title: &'static str,
    /// Name in the parameter `sort`; empty if rows cannot be sorted by the column.
    sort: &'static str,
    is_number: bool,
    compare: fn(&Entry<'_>, &Entry<'_>) -> Ordering,
}

/// The columns of the list.
pub(super) const COLUMNS: [Column; 10] = [
    Column {
        title: "Peer",
        sort: "peer",
        is_number: false,
        compare: |one, other| one.key().cmp(&other.key()),
    },
    Column {
        title: "Router",
        sort: "router",
        is_number: false,
        compare: |one, other| one.router.cmp(other.router),
    },
    Column {
        title: "AS",
        sort: "as",
        is_number: true,
        compare: |one, other| one.peer.asn.cmp(&other.peer.asn),
    },
    Column {
        title: "State",
        sort: "state",
        is_number: false,
        compare: |one, other| one.state_rank().cmp(&other.state_rank()),
    },
    Column {
        title: "Flaps",
        sort: "flaps",
        is_number: true,
        compare: |one, other| one.peer.downs.cmp(&other.peer.downs),
    },
    Column {
        title: "Records",
        sort: "records",
        is_number: true,
        compare: |one, other| one.records.cmp(&other.records),
    },
    Column {
        title: "Up since",
        sort: "since",
        is_number: false,
        compare: |one, other| one.peer.bgp_session.up_since.cmp(&other.peer.bgp_session.up_since),
    },
    Column { title: "VRF or table", sort: "", is_number: false, compare: |_, _| Ordering::Equal },
    Column { title: "RIB views", sort: "", is_number: false, compare: |_, _| Ordering::Equal },
    Column { title: "Attention", sort: "", is_number: false, compare: |_, _| Ordering::Equal },
];

impl Column {
    /// The head of the column in a list that cannot be sorted.
    pub(super) const fn head(&self) -> Head {
        Head { title: self.title, is_number: self.is_number, sort: None, sorted: None }
    }
}

/// A peer of the list.
pub(super) struct Entry<'a> {
    router: &'a str,
    peer: &'a Peer,
    findings: Vec<Finding>,
    /// Address of the peer, for the order.
    ip: Option<IpAddr>,
    /// Route records of the session.
    records: u64,
}

impl<'a> Entry<'a> {
    fn new(router: &'a Router, peer: &'a Peer) -> Self {
        let records = peer.tables().map(|(_, one)| one.routes).fold(0, u64::saturating_add);
        let findings = peer_findings(peer, router.connected);
        Self { router: &router.name, peer, findings, ip: peer.address.parse().ok(), records }
    }

    fn key(&self) -> (Option<IpAddr>, &str, u8, u32, &str) {
        let Peer { distinguisher, peer_type, asn, bgp_id, .. } = self.peer;
        (self.ip, distinguisher, *peer_type, *asn, bgp_id)
    }

    const fn state_rank(&self) -> u8 {
        match self.peer.state {
            PeerState::Down => 0,
            PeerState::Stale => 1,
            PeerState::Up => 2,
        }
    }

    /// Whether all words occur in the texts of the row, which is in lower case.
    fn matches(&self, words: &[String]) -> bool {
        let Peer { asn, bgp_id, state, bgp_session, .. } = self.peer;
        let attention = peer_attention(self.peer, &self.findings);
        let views: Vec<&str> = self.peer.views.keys().map(String::as_str).collect();
        let text = format!(
            "{} AS{asn} {bgp_id} {state} {} {} {} {attention}",
            self.peer.name(),
            self.router,
            bgp_session.table_name,
            views.join(" ")
        );
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    }
}

/// All peers of the routers.
pub(super) fn entries<'a>(routers: impl IntoIterator<Item = &'a Router>) -> Vec<Entry<'a>> {
    let routers = routers.into_iter();
    routers.flat_map(|router| router.peers.iter().map(move |peer| Entry::new(router, peer))).collect()
}

/// The peers with the most serious findings first, then those with the most flaps.
pub(super) fn worst_first(mut entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    entries.sort_by(|one, other| {
        let rank = |entry: &Entry<'_>| {
            Reverse((entry.findings.first().map_or(0, |finding| finding.rank()), entry.peer.downs))
        };
        rank(one).cmp(&rank(other)).then_with(|| (one.router, one.key()).cmp(&(other.router, other.key())))
    });
    entries
}

/// What the query asks for.
struct Selection<'a> {
    filter: &'a str,
    router: &'a str,
    state: &'a str,
    sort: &'a str,
    is_descending: bool,
}

impl<'a> Selection<'a> {
    fn new(query: &'a Query) -> Self {
        let value = |name| query.get(name).unwrap_or_default();
        Self {
            filter: value("q"),
            router: value("router"),
            state: value("state"),
            sort: value("sort"),
            is_descending: value("order") == "descending",
        }
    }

    fn selected<'d>(&self, document: &'d Document) -> Vec<Entry<'d>> {
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let routers =
            document.routers.iter().filter(|router| self.router.is_empty() || router.name == self.router);
        let mut entries = worst_first(entries(routers));
        entries.retain(|entry| {
            let state = entry.peer.state.to_string();
            (self.state.is_empty() || state == self.state) && (words.is_empty() || entry.matches(&words))
        });
        // The sort is stable, so that equal rows keep the order by seriousness.
        if let Some(column) = self.column() {
            entries.sort_by(|one, other| {
                let ordering = (column.compare)(one, other);
                if self.is_descending { ordering.reverse() } else { ordering }
            });
        }
        entries
    }

    /// The column that the rows are sorted by; `None` for the order by seriousness.
    fn column(&self) -> Option<&'static Column> {
        COLUMNS.iter().find(|column| !column.sort.is_empty() && column.sort == self.sort)
    }

    /// The address of a page of the list in another order.
    fn address(&self, sort: &str, is_descending: bool, page: usize) -> String {
        let order = if is_descending { "descending" } else { "" };
        let page = if page == 1 { String::new() } else { page.to_string() };
        link(
            "/peers",
            &[
                ("q", self.filter),
                ("router", self.router),
                ("state", self.state),
                ("sort", sort),
                ("order", order),
                ("page", &page),
            ],
        )
    }

    /// The head of a column, with a link that sorts by it, or reverses the order. Numbers are descending
    /// first.
    fn head(&self, column: &Column) -> Head {
        let is_sorted = !column.sort.is_empty() && column.sort == self.sort;
        let next = if is_sorted { !self.is_descending } else { column.is_number };
        let direction = if self.is_descending { "descending" } else { "ascending" };
        Head {
            sort: (!column.sort.is_empty()).then(|| self.address(column.sort, next, 1)),
            sorted: is_sorted.then_some(direction),
            ..column.head()
        }
    }
}

/// The list.
pub(super) fn list(document: &Document, query: &Query) -> Markup {
    let selection = Selection::new(query);
    let entries = selection.selected(document);
    let pager = Pager::new(query.get("page"), entries.len());
    let rows: Vec<Markup> = entries.iter().skip(pager.skipped()).take(ROWS_MAX).map(row).collect();
    let heads: Vec<Head> = COLUMNS.iter().map(|column| selection.head(column)).collect();
    html! {
        (form(&selection))
        p {
            "Order: "
            @match selection.column() {
                Some(column) => {
                    "by " (column.title) ", "
                    @if selection.is_descending { "descending" } @else { "ascending" }
                    ". " a href=(selection.address("", false, 1)) { "Sort by what needs attention" } "."
                }
                None => "those that need attention first, then those with the most flaps.",
            }
        }
        (pager.markup("peer", |page| selection.address(selection.sort, selection.is_descending, page)))
        (table("Peers", &heads, &rows))
    }
}

fn form(selection: &Selection<'_>) -> Markup {
    html! {
        form action="/peers" method="get" role="search" {
            label { "Filter" input type="search" name="q" value=(selection.filter); }
            label { "Router" input type="text" name="router" value=(selection.router); }
            label {
                "State"
                select name="state" {
                    @for (value, title) in [("", "any"), ("up", "up"), ("down", "down"), ("stale", "stale")] {
                        option value=(value) selected[value == selection.state] { (title) }
                    }
                }
            }
            @if !selection.sort.is_empty() { input type="hidden" name="sort" value=(selection.sort); }
            @if selection.is_descending { input type="hidden" name="order" value="descending"; }
            button { "Show" }
            a href="/peers" { "Show all" }
        }
    }
}

/// The row of a peer.
pub(super) fn row(entry: &Entry<'_>) -> Markup {
    let Entry { router, peer, findings, records, .. } = entry;
    let views: Vec<&str> = peer.views.keys().map(String::as_str).collect();
    // A stale peer has no values of the session.
    let of_session = |text: String| if peer.state == PeerState::Stale { "–".to_owned() } else { text };
    let attention = match peer.bgp_session.last_downs.last() {
        Some(down) if peer.state == PeerState::Down => down.reason.clone(),
        _ => peer_attention(peer, findings),
    };
    let missing = to_u64(peer.tables().filter(|(_, table)| table.missing).count());
    let class = if missing > 0 { "bad" } else { "warn" };
    html! {
        th.nowrap scope="row" { a href=(peer_address(router, peer)) { (peer.name()) } }
        td { a href=(router_address(router)) { (router) } }
        td.number { (peer.asn) }
        td { span class=(peer_class(peer.state)) { (peer.state) } }
        td.number { (of_session(peer.downs.to_string())) }
        td.number { (of_session(short(to_f64(*records)))) }
        td {
            @match peer.bgp_session.up_since.as_deref().filter(|_| peer.state == PeerState::Up) {
                Some(since) => (time(since)),
                None => "–",
            }
        }
        td { (peer.bgp_session.table_name) }
        td { (of_session(views.join(" "))) }
        td.text { span class=(class) { (attention) } }
    }
}
