//! The tables of `holdfast top`: their columns, and their rows from a sample. Pure.

mod families;
mod lanes;
mod peers;
mod routers;

use super::sample::Sample;
use super::table::{Column, Row};

/// The router and the peer to which the tables are restricted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Name of the router; `None` for all routers.
    pub(super) router: Option<String>,
    /// Key of the peer of the router, and its text; `None` for all peers.
    pub(super) peer: Option<(String, String)>,
}

impl Scope {
    fn has_router(&self, name: &str) -> bool {
        self.router.as_ref().is_none_or(|router| router == name)
    }

    fn has_peer(&self, key: &str) -> bool {
        self.peer.as_ref().is_none_or(|(peer, _)| peer == key)
    }
}

/// A screen that is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Routers,
    Peers,
    Families,
    Lanes,
}

impl Kind {
    /// The columns of the table.
    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Routers => &routers::COLUMNS,
            Self::Peers => &peers::COLUMNS,
            Self::Families => &families::COLUMNS,
            Self::Lanes => &lanes::COLUMNS,
        }
    }

    /// The rows of the table, each with one cell for each column.
    pub(super) fn rows(self, sample: &Sample, scope: &Scope) -> Vec<Row> {
        match self {
            Self::Routers => routers::rows(sample),
            Self::Peers => peers::rows(sample, scope),
            Self::Families => families::rows(sample, scope),
            Self::Lanes => lanes::rows(sample),
        }
    }
}
