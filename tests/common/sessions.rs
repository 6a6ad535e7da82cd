//! Sessions without a listener.

use holdfast::route::Timestamp;
use holdfast::session::{BULK_ROUTES_MIN, Introduced, Options, Session};

/// Options of a session with a router at 192.0.2.254, as the collector has them without settings.
pub fn options(session: Timestamp) -> Options {
    Options {
        router_name: None,
        address: [192, 0, 2, 254].into(),
        port: 40_000,
        session,
        batch_records_max: 1000,
        sweep_quiet_us: 60_000_000,
        sweep_without_end_of_rib_us: None,
        bulk_routes_min: BULK_ROUTES_MIN,
    }
}

/// A session with a router that has not been connected before.
pub fn session(options: Options) -> Session {
    let introduce = |name: &str| Introduced { name: name.to_owned(), ..Introduced::default() };
    Session::new(options, Box::new(introduce))
}
