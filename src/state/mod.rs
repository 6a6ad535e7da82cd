//! Rebuildable local state in sled.
