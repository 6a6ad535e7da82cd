//! Tests of the compiled program: start and stop, sessions with routers, a full log, a damaged log, and the
//! status.

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

mod admission;
mod away;
mod clock;
mod damage;
mod doctor;
mod documents;
mod fair_share;
mod file_modes;
mod full;
mod http;
mod http_tls;
mod log_budget;
mod logs;
mod metrics;
mod openapi;
mod operator_action;
mod page;
mod pooler;
mod program;
mod reload;
mod sessions;
mod signals;
mod status;
mod top;
mod transport;
mod transport_md5;
mod transport_proxy;
mod transport_tls;
