//! HTTP for operators and monitoring: metrics, health, and the status as JSON.
//!
//! ```text
//!  request ─► limits, token ─► responses: path ─► status::Document (at most a second old) ─► JSON or metrics
//! ```
//!
//! Everything is computed from the status document when it is asked for. A request is therefore never on the
//! path of a route, and its cost does not depend on the number of routes.

mod api;
mod health;
mod metrics;
mod page;
mod responses;
mod server;

pub use api::DESCRIPTION;
pub use metrics::reference;
pub use server::{Options, Server};
