//! One router's BMP session: messages and time to batches. All semantics live here.
