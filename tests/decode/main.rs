//! Tests of the decoder: each rule of the RFCs separately, and streams of real routers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "test code; what is shared is used in part by each test program"
)]

#[path = "../common/mod.rs"]
mod common;

mod attributes;
mod bmp;
mod corpus;
mod distinct;
mod families;
mod hostile;
mod mandatory;
mod more;
mod open;
mod refused;
mod regressions;
mod roundtrip;
mod text;
mod update;
