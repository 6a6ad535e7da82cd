//! Links of a cell to other queries, by the name of its column.

use maud::{Markup, PreEscaped, Render as _, html};

use super::request::address;
use crate::sink::{Kind, ResultColumn};
use crate::telemetry::printable;

/// A row with its columns.
pub(super) struct Row<'a> {
    pub(super) columns: &'a [ResultColumn],
    pub(super) values: &'a [Option<String>],
}

impl Row<'_> {
    /// The value of the column with this name.
    fn get(&self, name: &str) -> Option<&str> {
        let index = self.columns.iter().position(|column| column.name == name)?;
        self.values.get(index)?.as_deref()
    }

    /// The contents of a cell.
    pub(super) fn cell(&self, column: &str, value: &str) -> Markup {
        match column {
            "prefix" | "own_prefix" | "route" => prefix(value),
            "subject" => subject(value),
            "peer" => self.peer(value),
            "router" => link(&address("peers", "", [("peer", value)]), value),
            "path" | "old_path" | "new_path" | "path_after" | "path_a" | "path_b" | "peer_as"
            | "origin_as" | "old_origin" | "new_origin" | "leaked_as" | "origins" => numbers(value),
            "communities" => communities(value),
            "next_hop" if Kind::Address.accepts(value) => {
                link(&address("route_lookup", "", [("address", value)]), value)
            }
            "mac_address" => link(&address("evpn_bindings", "", [("mac", value)]), value),
            _ => text(value),
        }
    }

    /// A peer with a link to its current table.
    fn peer(&self, value: &str) -> Markup {
        let mut selector = value.to_owned();
        let asn = self.get("peer_as").filter(|asn| *asn != "0");
        selector.extend(asn.into_iter().flat_map(|asn| [" AS", asn]));
        // A name that is one word, and cannot be taken for an address or a number.
        let router = self.get("router").filter(|name| {
            !name.contains(char::is_whitespace)
                && !Kind::Address.accepts(name)
                && !Kind::AsNumbers.accepts(name)
        });
        selector.extend(router.into_iter().flat_map(|name| [" ", name]));
        let rib = self.get("rib").map(|rib| ("rib", rib));
        let arguments = [("peer", selector.as_str()), ("at", "now")].into_iter().chain(rib);
        link(&address("rib_at", "", arguments), value)
    }
}

/// Text without control characters, escaped.
pub(super) fn text(value: &str) -> Markup {
    PreEscaped(printable(value).render().into_string())
}

fn link(address: &str, value: &str) -> Markup {
    html! { a href=(address) { (text(value)) } }
}

/// A prefix with links to its routes and to its timeline; a route of another family as it is.
fn prefix(value: &str) -> Markup {
    if !value.contains('/') || !Kind::Prefix.accepts(value) {
        return text(value);
    }
    html! {
        (link(&address("prefix_lookup", "", [("prefix", value)]), value)) " "
        a.quiet href=(address("prefix_timeline", "", [("prefix", value)]))
            title={ "Timeline of " (value) } { "timeline" }
    }
}

/// The subject of a count: a route, an AS number, or the words of a peer.
fn subject(value: &str) -> Markup {
    match value.strip_prefix("AS") {
        Some(number) if Kind::AsNumbers.accepts(value) && !number.is_empty() => as_number(number, value),
        _ => prefix(value),
    }
}

fn as_number(number: &str, shown: &str) -> Markup {
    link(&address("as_path_search", "", [("asns", number)]), shown)
}

/// AS numbers of a path or a list, each with a link to the routes through it.
fn numbers(value: &str) -> Markup {
    let is_digit = |letter: char| letter.is_ascii_digit();
    let mut rest = value;
    let parts = std::iter::from_fn(|| {
        let is_number = rest.chars().next().map(is_digit)?;
        let end = rest.find(|letter| is_digit(letter) != is_number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        Some((is_number, part))
    });
    html! {
        @for (is_number, part) in parts {
            @if is_number { (as_number(part, part)) } @else { (text(part)) }
        }
    }
}

fn communities(value: &str) -> Markup {
    html! {
        @for (index, word) in value.split_whitespace().enumerate() {
            @if index > 0 { " " }
            @if Kind::Community.accepts(word) {
                (link(&address("community_search", "", [("community", word)]), word))
            } @else { (text(word)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(column: &str, value: &str) -> String {
        Row { columns: &[], values: &[] }.cell(column, value).into_string()
    }

    #[test]
    fn cells_link_to_further_queries() {
        assert_eq!(
            cell("route", "10.0.0.0/8"),
            "<a href=\"/lookup/prefix_lookup?prefix=10.0.0.0/8\">10.0.0.0/8</a> <a class=\"quiet\" \
             href=\"/lookup/prefix_timeline?prefix=10.0.0.0/8\" title=\"Timeline of 10.0.0.0/8\">timeline</a>"
        );
        assert_eq!(cell("route", "[2][0][00:11:22:33:44:55]"), "[2][0][00:11:22:33:44:55]");
        let one = "<a href=\"/lookup/as_path_search?asns=1\">1</a>";
        assert_eq!(cell("path", "1 {1,x} | 1"), format!("{one} {{{one},x}} | {one}"));
        assert_eq!(cell("subject", "AS1"), one.replace(">1<", ">AS1<"));
        assert_eq!(cell("peer", "::1"), "<a href=\"/lookup/rib_at?peer=::1&amp;at=now\">::1</a>");
        assert!(cell("communities", "65000:1 <b>").ends_with("65000:1</a> &lt;b&gt;"));
    }

    #[test]
    fn hostile_text_is_escaped() {
        let hostile = "<script>\"'&\u{1b}[31m";
        for column in ["router", "peer", "route", "subject", "path", "communities", "next_hop", "reason"] {
            let found = cell(column, hostile);
            assert!(!found.contains("<script") && !found.contains('\u{1b}'), "{column}: {found}");
        }
    }
}
