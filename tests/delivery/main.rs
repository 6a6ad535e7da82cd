//! The database side, against real servers: what is stored, what stands, and what happens when something goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "test code; what is shared is used in part by each test program"
)]

#[path = "../common/batches.rs"]
mod batches;
#[path = "../common/messages.rs"]
mod build;
#[path = "../common/daemon.rs"]
mod daemon;
#[path = "../common/db.rs"]
mod db;
#[path = "../common/nlri_samples.rs"]
mod families;
#[path = "../common/proxy.rs"]
mod proxy;
#[path = "../common/source.rs"]
mod source;
#[path = "../common/store.rs"]
mod store;

mod backup;
mod columns;
mod community;
mod exactly_once;
mod faults;
mod first_tables;
mod forks;
mod migrations;
mod processes;
mod rebuild;
mod redump;
mod rejected;
mod retention;
mod roles;
mod state;
mod upkeep;
