//! Bounds-checked reading of big-endian bytes; errors carry the place.
