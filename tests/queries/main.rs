//! Results of the catalogue's queries over a known history of routes.

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

mod calls;
mod collectors;
mod completeness;
mod corner_cases;
mod current_table;
mod dashboards;
mod documented;
mod failures;
mod hub;
mod known;
mod lookup;
mod lookup_failures;
mod monitoring;
mod past;
mod vrfs;
