//! `holdfast status`: one JSON document per connection over a local Unix socket, without database or HTTP.

mod client;
mod document;
mod server;
mod table;

pub use client::{Unreachable, ask};
pub use document::{Delivery, Document, FailedSegment, Family, Health, Lane, Listener, Peer, Router, Wal};
pub use server::{Server, bind};
pub use table::table;
