//! Operations on the database outside the drain.
//!
//! * `migrate`: creates and upgrades the schema
//! * `convert_history`: moves the history of an earlier release into the present form
//! * `examine`: examines a database without changing it
//! * `maintain`: partitions, retention and clean-up, about once an hour
//! * `forget`: removes routers and peers that will not return from the current tables
//! * `fork`: the delivery state by which a copied log is recognized
//! * `rebuild`: compares the current table with history and repairs it
//! * `rejected`: retries rejected records
//! * `pybmpmon_schema`: recognizes a database of pybmpmon
//! * `import_pybmpmon`: copies the history of such a database

mod convert_history;
pub(super) mod examine;
pub(super) mod forget;
pub(super) mod fork;
pub(super) mod import_pybmpmon;
pub(super) mod maintain;
pub(super) mod migrate;
mod pybmpmon_schema;
pub(super) mod rebuild;
pub(super) mod rejected;
