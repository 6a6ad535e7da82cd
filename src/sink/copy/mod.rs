//! COPY BINARY: the encoding of one field, the column lists, and one row per record. Pure.

pub mod columns;
pub(super) mod copy_rows;
pub(super) mod pg_field;
