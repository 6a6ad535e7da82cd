//! HTTP for operators and monitoring: pages, metrics, health, and the status as JSON.
//!
//! ```text
//!  request ─► limits, token ─► responses: path ─► status::Document (at most a second old)
//!                                                  └─► page, JSON or metrics
//! ```
//!
//! Everything is computed from the status document when it is asked for. A request is therefore never on the
//! path of a route, and its cost does not depend on the number of routes.

mod api;
mod authorization;
mod health;
mod history;
mod metrics;
mod page;
mod reply;
mod responses;
mod server;
mod uri;

pub use api::DESCRIPTION;
pub use metrics::reference;
pub use server::{Options, Server};
