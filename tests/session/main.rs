//! A BMP session: what its messages become.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]

#[path = "../common/messages.rs"]
mod build;

mod evidence;
mod messages;
