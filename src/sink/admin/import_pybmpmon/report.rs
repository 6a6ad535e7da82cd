//! Counts of an import.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::route::Timestamp;

use super::convert::{ImportedRoute, Unusable};

/// Counts of an import, of all its runs together unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Routers of the source.
    pub routers: BTreeMap<IpAddr, ImportedRouter>,
    /// Peers, each as its router, address and AS number.
    pub peers: BTreeSet<(IpAddr, IpAddr, u32)>,
    /// Rows of `route_updates` that were read.
    pub routes_read: u64,
    /// Rows of `peer_events` that were read.
    pub events_read: u64,
    /// Routes that are stored, or would be without a dry run.
    pub routes_stored: u64,
    /// Records, routes and events, that this run stored.
    pub records_stored_now: u64,
    /// Rows that repeat the row before them in every column, of which one is stored. pybmpmon writes such
    /// rows when several routers send at once.
    pub duplicates: u64,
    /// Stored routes whose row has another family than its prefix.
    pub families_corrected: u64,
    /// Extended communities whose text does not contain all their octets. Their routes are stored without
    /// them, and name them in the column `discarded`.
    pub communities_lost: u64,
    /// Rows that are not stored, by reason.
    pub not_stored: BTreeMap<String, u64>,
    /// Time of the first row; `None` if there are no rows.
    pub first: Option<Timestamp>,
    /// Time of the last row.
    pub last: Option<Timestamp>,
}

/// Counts of one router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedRouter {
    /// Name under which the router is stored.
    pub name: String,
    /// Rows of `route_updates`.
    pub routes: u64,
    /// Rows of `peer_events`.
    pub events: u64,
}

impl ImportReport {
    /// Number of rows that are not stored.
    #[must_use]
    pub fn rows_not_stored(&self) -> u64 {
        self.not_stored.values().sum()
    }

    pub(super) fn refuse(&mut self, reason: Unusable) {
        *self.not_stored.entry(reason.to_string()).or_default() += 1;
    }

    pub(super) fn count(&mut self, route: &ImportedRoute) {
        self.routes_stored += 1;
        self.families_corrected += u64::from(route.is_family_corrected);
        let lost = route.attributes.as_ref().map_or(0, |attributes| attributes.discarded.len());
        self.communities_lost += crate::num::to_u64(lost);
    }
}
