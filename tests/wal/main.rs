//! The write-ahead log: its guarantees on failing disks, and `walctl`.

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

mod basics;
mod committer;
mod credentials;
mod damages;
mod database;
mod faults;
mod follow;
mod golden;
mod model;
mod rescue;
mod runbook;
mod space;
mod walctl;
