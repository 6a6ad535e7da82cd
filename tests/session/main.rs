//! A BMP session: what its messages become.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]

#[path = "../common/mod.rs"]
mod common;

mod evidence;
mod messages;
