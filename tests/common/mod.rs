//! Helpers shared by the test programs. Every program includes this one tree as `mod common;`.
//!
//! Modules behind `cfg(test)` need the package's binaries or its dev-dependencies. `tools/fuzz` also builds
//! the others, outside the package.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of the helpers")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test helper that fails should panic, and prints why a test is skipped"
)]

#[cfg(test)]
pub mod batches;
#[cfg(test)]
pub mod certificates;
#[cfg(test)]
pub mod daemon;
#[cfg(test)]
pub mod db;
pub mod encoder;
#[cfg(test)]
pub mod extremes;
#[cfg(test)]
pub mod logs;
#[cfg(test)]
pub mod messages;
pub mod nlri_samples;
#[cfg(test)]
pub mod pooler;
#[cfg(test)]
pub mod process;
#[cfg(test)]
pub mod proxy;
pub mod sessions;
#[cfg(test)]
pub mod secrets;
#[cfg(test)]
pub mod simdisk;
#[cfg(test)]
pub mod source;
#[cfg(test)]
pub mod store;
#[cfg(test)]
pub mod web;
