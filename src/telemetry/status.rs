//! The status of the daemon, as served to `holdfast status`: one JSON document per connection to a local Unix
//! socket. It needs neither the database nor HTTP.

mod client;
mod counters;
mod document;
mod findings;
pub mod format;
mod listener;
mod overview;
mod reload;
mod routers;
mod server;
mod text;
mod transport;

pub use client::{FetchError, fetch};
pub use counters::{Gaps, LogOutput, PAUSE_REASONS, Sessions, Syncs, Transactions};
pub use document::{
    ConditionKind, Damage, Delivery, DeliveryState, Document, FailedSegment, Health, HistoryStorage, Lane,
    LaneState, LossReason, NOT_REACHED, Quarantined, Wal,
};
pub use findings::{Finding, RouterContext, Totals, is_problem, peer_attention, peer_findings, router_state};
pub use listener::{Listener, REFUSAL_REASONS, Source};
pub use overview::{one_router, overview, problems};
pub use reload::Reload;
pub use routers::{BgpSession, Completeness, Family, Peer, PeerState, Router, StaleReason, StaleRoutes};
pub use server::{BindError, Server, bind};
pub use text::{render, summary};
pub use transport::{HandshakeFailure, Remote, RemoteState, SessionTransport, Transport};
