//! HTTP for operators and monitoring: pages, metrics, health, and the status as JSON.
//!
//! ```text
//!  request ─► limits, token ─► responses: path ─► status::Document (at most a second old)
//!                                                  └─► page, JSON or metrics
//! ```
//!
//! Everything but look-ups is computed from the status document when it is asked for. A request is therefore
//! never on the path of a route, and its cost does not depend on the number of routes. Look-ups (`lookup`)
//! run queries of the database, with connections of their own.

mod api;
mod authorization;
mod body;
mod capabilities;
mod health;
mod history;
mod lookup;
mod metrics;
mod page;
mod reply;
mod responses;
mod server;
mod uri;

pub use api::DESCRIPTION;
pub use lookup::Lookup;
pub use metrics::reference;
pub use server::{Options, Server};
