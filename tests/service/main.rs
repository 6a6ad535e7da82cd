//! Tests of the compiled program: start and stop, sessions with routers, and a full log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "test code; what is shared is used in part by each test program"
)]

#[path = "../common/mod.rs"]
mod common;

mod full;
mod program;
mod sessions;
