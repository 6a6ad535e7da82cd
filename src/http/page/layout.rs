//! The frame of every page: head, navigation, content and foot.

use maud::{DOCTYPE, Markup, html};

use super::assets;

/// The part of the site that a page belongs to; the navigation marks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Section {
    /// Health, totals and plots.
    Overview,
    /// Routers.
    Routers,
    /// Peers.
    Peers,
    /// Write-ahead log and gaps.
    Log,
    /// Delivery to the database.
    Delivery,
    /// Queries of the database: prefixes, AS numbers and history.
    Lookup,
}

impl Section {
    /// All sections, in the order of the navigation.
    const ALL: [Self; 6] =
        [Self::Overview, Self::Routers, Self::Peers, Self::Log, Self::Delivery, Self::Lookup];

    const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Routers => "Routers",
            Self::Peers => "Peers",
            Self::Log => "Log and gaps",
            Self::Delivery => "Delivery",
            Self::Lookup => "Lookup",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Routers => "/routers",
            Self::Peers => "/peers",
            Self::Log => "/log",
            Self::Delivery => "/delivery",
            Self::Lookup => "/lookup",
        }
    }

    /// Whether the script reads the page again every few seconds. A page that queries the database is read
    /// again on request only.
    const fn is_refreshed(self) -> bool {
        !matches!(self, Self::Lookup)
    }
}

/// A whole page as HTML. The title becomes the heading of level 1 of the page; the body follows it, so that
/// its own headings begin at level 2.
pub(in crate::http) fn layout(title: &str, section: Section, body: Markup) -> String {
    let is_refreshed = section.is_refreshed();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Holdfast" }
                @if section == Section::Overview {
                    link rel="stylesheet" href=(assets::path("uplot.css"));
                    script defer src=(assets::path("uplot.js")) {}
                }
                link rel="stylesheet" href=(assets::path("style.css"));
                link rel="icon" type="image/svg+xml" href=(assets::path("icon.svg"));
                script defer src=(assets::path("page.js")) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "Holdfast" }
                    nav aria-label="Pages" {
                        ul {
                            @for one in Section::ALL {
                                li {
                                    a href=(one.path()) aria-current=[(one == section).then_some("page")] {
                                        (one.title())
                                    }
                                }
                            }
                        }
                    }
                    // The script adds its button here.
                    @if is_refreshed { div #refresh {} }
                }
                main #main tabindex="-1" data-refresh[is_refreshed] {
                    h1 { (title) }
                    (body)
                }
                footer {
                    p {
                        "As data: " a href="/api/v1/openapi.json" { "JSON API" } ", "
                        a href="/metrics" { "metrics" } ", " a href="/health" { "health" } "."
                    }
                }
            }
        }
    };
    page.into_string()
}
