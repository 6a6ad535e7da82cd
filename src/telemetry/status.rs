//! The status of the daemon, as served to `holdfast status`: one JSON document per connection to a local Unix
//! socket. It needs neither the database nor HTTP.

mod client;
mod document;
mod server;
mod text;

pub use client::{FetchError, fetch};
pub use document::{
    Completeness, Delivery, Document, FailedSegment, Family, Health, Lane, LaneState, Listener, Peer,
    PeerState, Router, StaleReason, StaleRoutes, Wal,
};
pub use server::{BindError, Server, bind};
pub use text::render;
