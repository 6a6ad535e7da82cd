//! A batch: the unit that is logged, and that gets a sequence number.
//!
//! ```text
//! Batch ─┬─ router                        one BMP session
//!        ├─ peers      [ Peer, … ]        dictionary: each peer × view × generation once
//!        ├─ attributes [ Attributes, … ]  dictionary: each attribute set once
//!        ├─ groups     [ Group, … ]       rows that share everything but the NLRI
//!        ├─ nlri       [ NlriEntry, … ]   the rows, group after group
//!        └─ events     [ Event, … ]       peer events, each with its place among all records
//! ```
//!
//! Record `index` counts routes and events together, in the order in which the router said them.

use super::{Attributes, Event, Family, Nlri, Peer, Router, Timestamp};

/// In [`Group::attributes`]: the group has none, as withdrawals do that the router has told itself.
pub const NO_ATTRIBUTES: u16 = u16::MAX;

/// What a route record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The route is there, with these attributes.
    Announce,
    /// The route is gone.
    Withdraw,
}

/// Why a route record is there, so that a re-dump is never mistaken for churn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// The router told a change.
    Update = 0,
    /// Part of the first table after a Peer Up of a peer that was not known.
    InitialDump = 1,
    /// Part of a table that is sent again, because the BMP session was lost or a peer came up again.
    ReDump = 2,
    /// An UPDATE with a malformed attribute, treated as a withdrawal (RFC 7606).
    TreatAsWithdraw = 3,
}

impl Cause {
    /// The name that the database and the tools use; an explicit withdrawal is told from an announcement.
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

/// Rows that follow each other and share everything but the NLRI: in practice the announced or the withdrawn part of
/// one UPDATE in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Index into [`Batch::peers`].
    pub peer: u16,
    /// Index into [`Batch::attributes`], or [`NO_ATTRIBUTES`].
    pub attributes: u16,
    /// Address family of every row.
    pub family: Family,
    /// Announced or withdrawn.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// The rows carry path identifiers (RFC 7911).
    pub add_path: bool,
    /// Record index of the first row.
    pub index: u32,
    /// How many rows, at least 1.
    pub rows: u32,
    /// When the collector received the message.
    pub received: Timestamp,
    /// The router's own time; 0 when it gave none.
    pub router_time: Timestamp,
}

/// One row: what is announced or withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NlriEntry {
    /// Path identifier (RFC 7911); 0 in a group without ADD-PATH.
    pub path_id: u32,
    /// The route.
    pub nlri: Nlri,
}

/// Everything that one router said within one batch window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which router, in which BMP session.
    pub router: Router,
    /// Dictionary of peers.
    pub peers: Vec<Peer>,
    /// Dictionary of attribute sets.
    pub attributes: Vec<Attributes>,
    /// Groups of rows; their `rows` sum to `nlri.len()`, and their `index` grows.
    pub groups: Vec<Group>,
    /// The rows of all groups.
    pub nlri: Vec<NlriEntry>,
    /// Peer and session events, their `index` growing.
    pub events: Vec<Event>,
}

/// One record of a batch, in the order in which the router said it.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A route.
    Route(RouteRecord<'a>),
    /// An event.
    Event(&'a Event),
}

/// One route with all that it shares with its group.
#[derive(Clone, Copy, Debug)]
pub struct RouteRecord<'a> {
    /// Place among all records of the batch.
    pub index: u32,
    /// What it shares.
    pub group: &'a Group,
    /// The route.
    pub entry: &'a NlriEntry,
}

impl Batch {
    /// An empty batch of one BMP session.
    #[must_use]
    pub const fn new(router: Router) -> Self {
        Self {
            router,
            peers: Vec::new(),
            attributes: Vec::new(),
            groups: Vec::new(),
            nlri: Vec::new(),
            events: Vec::new(),
        }
    }

    /// How many records there are, routes and events together.
    #[must_use]
    pub fn records(&self) -> usize {
        self.nlri.len() + self.events.len()
    }

    /// True when there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nlri.is_empty() && self.events.is_empty()
    }

    /// The attribute set of a group; `None` for a group without one.
    #[must_use]
    pub fn attributes_of(&self, group: &Group) -> Option<&Attributes> {
        self.attributes.get(usize::from(group.attributes))
    }

    /// The peer of a group.
    #[must_use]
    pub fn peer_of(&self, group: &Group) -> Option<&Peer> {
        self.peers.get(usize::from(group.peer))
    }

    /// A batch with this record alone, at its own index.
    #[must_use]
    pub fn only(&self, record: &Record<'_>) -> Self {
        let mut only = Self::new(self.router.clone());
        let peer = match record {
            Record::Route(route) => Some(route.group.peer),
            Record::Event(event) => event.peer,
        };
        only.peers.extend(peer.and_then(|peer| self.peers.get(usize::from(peer))).cloned());
        match record {
            Record::Route(route) => {
                only.attributes.extend(self.attributes_of(route.group).cloned());
                let attributes = if only.attributes.is_empty() { NO_ATTRIBUTES } else { 0 };
                only.groups.push(Group { peer: 0, attributes, index: route.index, rows: 1, ..*route.group });
                only.nlri.push(route.entry.clone());
            }
            Record::Event(event) => {
                only.events.push(Event { peer: event.peer.and(Some(0)), ..(*event).clone() });
            }
        }
        only
    }

    /// All routes, in order.
    pub fn routes(&self) -> impl Iterator<Item = RouteRecord<'_>> {
        let mut rest = self.nlri.as_slice();
        self.groups.iter().flat_map(move |group| {
            let rows = usize::try_from(group.rows).unwrap_or(usize::MAX).min(rest.len());
            let (rows, tail) = rest.split_at(rows);
            rest = tail;
            (group.index..).zip(rows).map(move |(index, entry)| RouteRecord { index, group, entry })
        })
    }

    /// All records, in the order in which the router said them.
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
