//! Batches to bytes and back: the only thing that both sides of the log share.
