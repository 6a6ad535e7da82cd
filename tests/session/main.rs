//! Tests of `holdfast::session`: the records and notices that BMP messages result in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should panic")]

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod classes;
mod dumps;
mod evidence;
mod field;
mod identification;
mod messages;
mod peers;
mod version_4;
