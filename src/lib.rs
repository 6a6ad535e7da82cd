//! Holdfast: a BMP (RFC 7854) collector with a crash-safe local log and exactly-once delivery.
//!
//! The modules are listed in the order of the data, which is also the order of reading. The leaves `num`,
//! `hex`, `log_id` and `backoff` come first.
//!
//! ```text
//! router ─TCP─► listener ─► bmp ─► session ─► Batch ─► codec ─► committer ─► wal (disk)
//!                                    │ bgp                                      │
//! TimescaleDB ◄── sink (rows + checkpoint, one transaction) ◄── forwarder ◄── wal::Reader
//! ```

pub mod num;
pub mod hex;
pub mod log_id;
pub mod backoff;

pub mod wire;
pub mod bmp;
pub mod bgp;
pub mod route;
pub mod session;
pub mod codec;
pub mod wal;
pub mod committer;
pub mod state;
pub mod tls;
pub mod listener;
pub mod sink;
pub mod forwarder;
pub mod config;
pub mod telemetry;
pub mod http;
pub mod manual;
pub mod service;
