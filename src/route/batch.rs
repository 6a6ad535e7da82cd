//! A batch: the unit that is appended to the log under one sequence number.
//!
//! ```text
//! Batch ─┬─ router                        one BMP session
//!        ├─ peers      [ Peer, … ]        dictionary: each peer × view × generation once
//!        ├─ attributes [ Attributes, … ]  dictionary: each attribute set once
//!        ├─ groups     [ RowGroup, … ]    rows that share everything but path identifier and NLRI
//!        ├─ nlri       [ NlriEntry, … ]   the rows, group after group
//!        └─ events     [ Event, … ]       peer and session events, each with its record index
//! ```
//!
//! The record index counts routes and events together from 0, in the order in which the router sent them.

use super::{Attributes, Event, Family, Nlri, PathMarking, Peer, Router, Timestamp};
use crate::num;

/// Value of [`RowGroup::attributes`] for a group without an attribute set, such as explicit withdrawals.
pub const NO_ATTRIBUTES: u16 = u16::MAX;

/// Whether a route record announces or withdraws its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The route is announced with the attribute set of its group.
    Announce,
    /// The route is withdrawn.
    Withdraw,
}

/// The cause of a route record. It separates changes from re-dumps, which must not be counted as churn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// A change announced or withdrawn by the router.
    Update = 0,
    /// Part of the initial dump after the first Peer Up of a peer.
    InitialDump = 1,
    /// Part of a re-dump: the table is sent again because the BMP session was lost or the peer came up again.
    ReDump = 2,
    /// Treat-as-withdraw: an UPDATE with a malformed attribute (RFC 7606 section 2).
    TreatAsWithdraw = 3,
}

impl Cause {
    /// The name in the database and the tools. An update has the name `withdraw` if it is a withdrawal.
    #[must_use]
    pub const fn name(self, action: Action) -> &'static str {
        match self {
            Self::Update if matches!(action, Action::Withdraw) => "withdraw",
            Self::Update => "update",
            Self::InitialDump => "initial-dump",
            Self::ReDump => "re-dump",
            Self::TreatAsWithdraw => "treat-as-withdraw",
        }
    }
}

impl From<Cause> for u8 {
    fn from(cause: Cause) -> Self {
        cause as Self
    }
}

impl TryFrom<u8> for Cause {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            0 => Self::Update,
            1 => Self::InitialDump,
            2 => Self::ReDump,
            3 => Self::TreatAsWithdraw,
            _ => return Err("cause out of range 0..=3"),
        })
    }
}

/// Which lanes deliver a batch. Tables and changes have lanes of their own, so that changes do not wait
/// behind tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Records of peers whose table is being sent, and records that concern no peer. Each peer has one dump
    /// lane.
    #[default]
    Dump,
    /// Records of peers whose table has been delivered. Each peer has one live lane.
    Live,
    /// Routes of peers that send many in a short time, divided among all dump lanes by their route keys. No
    /// events.
    Bulk,
}

impl Class {
    /// The name in status and tools.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Live => "live",
            Self::Bulk => "bulk",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Consecutive rows that share everything but path identifier and NLRI: the routes that one UPDATE announces
/// or withdraws in one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowGroup {
    /// Index into [`Batch::peers`].
    pub peer: u16,
    /// Index into [`Batch::attributes`], or [`NO_ATTRIBUTES`].
    pub attributes: u16,
    /// Address family of every row.
    pub family: Family,
    /// Whether the rows are announced or withdrawn.
    pub action: Action,
    /// Cause of every row.
    pub cause: Cause,
    /// True if the rows have path identifiers (ADD-PATH, RFC 7911).
    pub add_path: bool,
    /// Record index of the first row; the indexes of the other rows follow without gaps.
    pub index: u32,
    /// Number of rows, at least 1.
    pub rows: u32,
    /// Time at which the collector received the message.
    pub received: Timestamp,
    /// Timestamp of the BMP per-peer header; 0 if the router sent none (RFC 7854 section 4.2).
    pub router_time: Timestamp,
    /// Path status of every row (BMP version 4); `None` if the router sent none, and for withdrawals.
    pub marking: Option<PathMarking>,
}

/// One row: the route that is announced or withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NlriEntry {
    /// Path identifier (RFC 7911); 0 in a group without ADD-PATH.
    pub path_id: u32,
    /// The key part of the NLRI.
    pub nlri: Nlri,
}

/// The records of one BMP session within one batch window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The router and its BMP session.
    pub router: Router,
    /// The lanes that deliver the batch.
    pub class: Class,
    /// Sequence number up to which all dump lanes must have delivered before this batch is delivered; 0 if it
    /// need not wait. For class live, at least that of the last dump or bulk batch with a record of the same
    /// peers; for class bulk, that of the last dump batch with a record of them.
    pub after: u64,
    /// Whether `after` must be set to the last bulk batch of the log when this batch is logged: the batch may
    /// have records of a peer whose records before were of class bulk. Not encoded.
    pub follows_bulk: bool,
    /// Dictionary of peers.
    pub peers: Vec<Peer>,
    /// Dictionary of attribute sets.
    pub attributes: Vec<Attributes>,
    /// Groups of rows, ordered by `index`. Their `rows` sum to `nlri.len()`.
    pub groups: Vec<RowGroup>,
    /// The rows of all groups, group after group.
    pub nlri: Vec<NlriEntry>,
    /// Peer and session events, ordered by `index`.
    pub events: Vec<Event>,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A route.
    Route(RouteRecord<'a>),
    /// An event.
    Event(&'a Event),
}

/// One route together with its group.
#[derive(Clone, Copy, Debug)]
pub struct RouteRecord<'a> {
    /// Record index within the batch, from 0.
    pub index: u32,
    /// The group of the row.
    pub group: &'a RowGroup,
    /// Path identifier and NLRI.
    pub entry: &'a NlriEntry,
}

impl Batch {
    /// An empty batch of one BMP session, of class dump.
    #[must_use]
    pub const fn new(router: Router) -> Self {
        Self {
            router,
            class: Class::Dump,
            after: 0,
            follows_bulk: false,
            peers: Vec::new(),
            attributes: Vec::new(),
            groups: Vec::new(),
            nlri: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Number of records, routes and events together.
    #[must_use]
    pub fn records(&self) -> usize {
        self.nlri.len() + self.events.len()
    }

    /// True if the batch has no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nlri.is_empty() && self.events.is_empty()
    }

    /// The attribute set of a group; `None` if the group has none.
    #[must_use]
    pub fn attributes_of(&self, group: &RowGroup) -> Option<&Attributes> {
        self.attributes.get(usize::from(group.attributes))
    }

    /// The peer of a group.
    #[must_use]
    pub fn peer_of(&self, group: &RowGroup) -> Option<&Peer> {
        self.peers.get(usize::from(group.peer))
    }

    /// A batch that contains only `record`, which keeps its record index.
    #[must_use]
    pub fn extract(&self, record: &Record<'_>) -> Self {
        let mut single = Self::new(self.router.clone());
        (single.class, single.after) = (self.class, self.after);
        let peer = match record {
            Record::Route(route) => Some(route.group.peer),
            Record::Event(event) => event.peer,
        };
        single.peers.extend(peer.and_then(|peer| self.peers.get(usize::from(peer))).cloned());
        match record {
            Record::Route(route) => {
                single.attributes.extend(self.attributes_of(route.group).cloned());
                let attributes = if single.attributes.is_empty() { NO_ATTRIBUTES } else { 0 };
                single.groups.push(RowGroup {
                    peer: 0,
                    attributes,
                    index: route.index,
                    rows: 1,
                    ..*route.group
                });
                single.nlri.push(route.entry.clone());
            }
            Record::Event(event) => {
                single.events.push(Event { peer: event.peer.and(Some(0)), ..(*event).clone() });
            }
        }
        single
    }

    /// All routes, ordered by record index.
    pub fn routes(&self) -> impl Iterator<Item = RouteRecord<'_>> {
        let mut rest = self.nlri.as_slice();
        self.groups.iter().flat_map(move |group| {
            let rows = num::u32_to_usize(group.rows).min(rest.len());
            let (rows, tail) = rest.split_at(rows);
            rest = tail;
            (group.index..).zip(rows).map(move |(index, entry)| RouteRecord { index, group, entry })
        })
    }

    /// All records, ordered by record index.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut routes = self.routes().peekable();
        let mut events = self.events.iter().peekable();
        std::iter::from_fn(move || {
            let event_first = match (events.peek(), routes.peek()) {
                (Some(event), Some(route)) => event.index < route.index,
                (event, _) => event.is_some(),
            };
            if event_first { events.next().map(Record::Event) } else { routes.next().map(Record::Route) }
        })
    }
}
