//! Records as the model predicts them and as Holdfast made them, in one form so that they can be compared.

use std::fmt;

use crate::schedule::{Family, PeerId, Prefix, View};

/// The fields that identify a route within its view and family. Labels are not part of them (RFC 8277 section
/// 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    pub rd: Option<u64>,
    pub prefix: Prefix,
    pub path_id: Option<u32>,
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rd.iter().try_for_each(|rd| write!(f, "{rd:x}:"))?;
        write!(f, "{}", self.prefix)?;
        self.path_id.iter().try_for_each(|id| write!(f, " path {id}"))
    }
}

/// Why a route is in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    InitialDump,
    ReDump,
    Update,
}

impl Cause {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InitialDump => "initial-dump",
            Self::ReDump => "re-dump",
            Self::Update => "update",
        }
    }
}

/// The contents of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Withdraw(Family, RouteKey),
    Announce {
        family: Family,
        route: RouteKey,
        label: Option<u32>,
        med: u32,
        cause: Cause,
    },
    PeerUp,
    /// A Peer Up of a BGP session that an earlier one has reported.
    PeerUpRepeated,
    PeerDown,
    PeerStale,
    Statistics,
    EndOfRib(Family),
    Sweep(Family),
    SessionUp,
    SessionDown(String),
    Gap(String),
    /// A record of a kind that the model never predicts.
    Other(String),
}

impl What {
    /// The cause of an announcement, or the name of another kind.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Withdraw(..) => "withdraw",
            Self::Announce { cause, .. } => cause.name(),
            Self::PeerUp | Self::PeerUpRepeated => "peer_up",
            Self::PeerDown => "peer_down",
            Self::PeerStale => "peer_stale",
            Self::Statistics => "statistics",
            Self::EndOfRib(_) => "end_of_rib",
            Self::Sweep(_) => "sweep",
            Self::SessionUp => "session_up",
            Self::SessionDown(_) => "session_down",
            Self::Gap(_) => "gap",
            Self::Other(_) => "other",
        }
    }
}

/// RIB view of a peer in one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    pub peer: PeerId,
    pub view: View,
    pub generation: u32,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub router: usize,
    /// Start of the BMP session, in microseconds since the beginning of the run.
    pub session: i64,
    /// Time of reception, in microseconds since the beginning of the run.
    pub time: i64,
    pub at: Option<At>,
    pub what: What,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9.3} s r{} ", self.time as f64 / 1e6, self.router)?;
        if let Some(At { peer, view, generation }) = self.at {
            write!(f, "{peer} {} g{generation} ", view.name())?;
        }
        match &self.what {
            What::Withdraw(family, route) => write!(f, "-{route} {family:?}"),
            What::Announce { family, route, label, med, cause } => {
                write!(f, "+{route} {family:?} med {med} {}", cause.name())?;
                label.iter().try_for_each(|label| write!(f, " label {label}"))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// Orders records by session and time. Records of one instant come from one message or one tick, and their
/// order is free.
pub fn sort(records: &mut [Record]) {
    records.sort_by(|a, b| {
        (a.router, a.session, a.time, &a.what, &a.at).cmp(&(b.router, b.session, b.time, &b.what, &b.at))
    });
}
