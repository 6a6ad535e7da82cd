//! Looks into a log without opening it for writing.
