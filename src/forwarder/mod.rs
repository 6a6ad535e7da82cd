//! The drain: read the log, store, advance.
