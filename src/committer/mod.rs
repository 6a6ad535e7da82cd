//! The one owner of the log writer: queue, append, sync once, answer all.
