//! The write-ahead log: opaque bytes, durable, in order.
