//! Delivery to real servers: stored history, current table, errors and recovery.

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

mod backup;
mod bounds;
mod classes;
mod columns;
mod community;
mod cuts;
mod dedup;
mod direct_compress;
mod exactly_once;
mod faults;
mod first_tables;
mod forget;
mod forks;
mod idle;
mod identity;
mod import;
mod in_flight;
mod liveness;
mod migrations;
mod names;
mod path_marking;
mod pipeline;
mod plans;
mod pooler;
mod processes;
mod quarantine;
mod rebuild;
mod redump;
mod rejected;
mod retention;
mod roles;
mod round_trips;
mod schema;
mod slim_history;
mod state;
mod tls;
mod upkeep;
