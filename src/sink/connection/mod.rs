//! The connection of a lane: where it goes, its TLS, the statements of a transaction, and the isolation of
//! records that the server rejects.

pub(super) mod bisect;
pub(super) mod isolate;
pub(super) mod statements;
pub(super) mod store;
pub(super) mod target;
pub(super) mod tls;
