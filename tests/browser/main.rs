//! The web page in a real browser: every page at two widths and in both colour schemes, and a walk by
//! keyboard. Chromium and its driver come from `tools/testbed/browser`; where they cannot be had, the tests
//! print SKIPPED and the reason.

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

mod pages;
mod planted;
mod rig;
mod site;
