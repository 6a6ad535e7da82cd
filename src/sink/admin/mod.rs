//! Work on the database outside the drain: migrations, retention, rebuilding the current table, rejected records and
//! forked logs.

pub(super) mod fork;
pub(super) mod maintain;
pub(super) mod migrate;
pub(super) mod rebuild;
pub(super) mod rejected;
