//! Holdfast: a BMP (RFC 7854) collector that logs first and delivers later.
//!
//! The modules stand in the order of the data, which is the order of reading:
//!
//! ```text
//! router ─TCP─► listener ─► bmp ─► session ─► Batch ─► record ─► committer ─► wal (disk)
//!                                    │ bgp                                       │
//! TimescaleDB ◄── sink (rows + checkpoint, one transaction) ◄── forwarder ◄── wal::Reader
//! ```

pub mod num;
pub mod hex;
pub mod log_id;

pub mod wire;
pub mod bmp;
pub mod bgp;
pub mod route;
pub mod session;
pub mod codec;
pub mod wal;
pub mod committer;
pub mod state;
pub mod listener;
pub mod sink;
pub mod forwarder;
pub mod config;
pub mod telemetry;
pub mod service;
