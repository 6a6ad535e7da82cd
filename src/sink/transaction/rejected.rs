//! Records that the database rejects. Pure.
//!
//! * `quarantine`: the sources whose records are set aside, because the database rejects them
//! * `record_range`: the records of a rejected transaction, to be stored in parts
//! * `probe`: ordinary records, which distinguish a fault of the schema from one of the records
//! * `rows`: rows of `rejected_routes`

mod probe;
pub(super) mod quarantine;
pub(super) mod record_range;
pub(super) mod rows;
