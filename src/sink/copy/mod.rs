//! Binary COPY: encodes records as rows of the database's tables. Pure: no I/O.
//!
//! * `columns`: the columns of each table, in the order in which they are written
//! * `copy_rows`: the rows of routes and events
//! * `pg_field`: one field of a row
//! * `reserved`: vectors that become large
//! * `table_buffer`: the rows of one table, and the finished COPY stream

pub mod columns;
pub(super) mod copy_rows;
pub(super) mod pg_field;
mod reserved;
mod table_buffer;

pub(super) use reserved::Reserved;
pub(super) use table_buffer::{CopyRows, TableBuffer};
