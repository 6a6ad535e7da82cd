//! The options of the components, from the configuration: at a start, and at a reload.

use std::net::IpAddr;

use super::super::Error;
use crate::committer;
use crate::config::{self, Config, Database};
use crate::forwarder;
use crate::listener::{self, TransportOptions};
use crate::num::to_u64;
use crate::sink::Retention;

pub(super) fn committer(wal: &config::Wal) -> committer::Options {
    committer::Options {
        sync_interval: wal.sync_interval,
        router_share_percent: limits(wal).router_share_percent,
        ..committer::Options::default()
    }
}

/// The limits of the log.
pub(super) const fn limits(wal: &config::Wal) -> committer::Limits {
    committer::Limits {
        bytes_max: wal.max_bytes,
        free_percent_min: wal.min_free_percent,
        // A log that drops its oldest batches makes no router wait.
        router_share_percent: if wal.drop_oldest { 100 } else { wal.router_share_percent },
    }
}

/// The limits of connections. A configured router is one with a name, an address, or both.
pub(super) fn slots(config: &Config) -> listener::Slots {
    let is_name = |router: &&String| router.parse::<IpAddr>().is_err();
    listener::Slots {
        connections_max: config.listen.max_connections,
        per_source_max: config.listen.max_connections_per_address,
        configured: config.listen.configured_addresses(),
        configured_names: config.listen.expected_routers.iter().filter(is_name).cloned().collect(),
    }
}

pub(super) fn listener(config: &Config, transport: TransportOptions) -> listener::Options {
    listener::Options {
        allow: config.listen.allow.clone(),
        slots: slots(config),
        moves_denied: config.listen.moves_denied,
        router_names: config.listen.router_names.clone(),
        overrides: config.listen.overrides.clone(),
        first_message: config.listen.first_message,
        keepalive: config.listen.keepalive,
        user_timeout: config.listen.user_timeout,
        sweep_quiet: config.listen.sweep_quiet,
        sweep_without_end_of_rib: config.listen.sweep_without_end_of_rib,
        batch_routes_max: config.delivery.batch_max_routes,
        batch_delay_max: config.delivery.batch_max_delay,
        stats_interval: config.logging.stats_interval,
        hold_off: !config.wal.drop_oldest,
        transport,
    }
}

/// The settings of the delivery.
///
/// # Errors
/// A certificate or key file of the database is unusable.
pub(super) fn delivery(config: &Config, database: &Database) -> Result<forwarder::Settings, Error> {
    let options = forwarder::Options {
        lanes: Some(u32::from(config.delivery.lanes)),
        rows_max: to_u64(config.delivery.drain_max_rows),
        delay: config.delivery.drain_max_delay,
        dedup: config.delivery.history_dedup,
        direct_compress: config.delivery.history_direct_compress,
        chunk_interval_days: config.delivery.chunk_interval_days,
        retention: Retention {
            routes_days: config.delivery.retention_routes_days,
            events_days: config.delivery.retention_events_days,
        },
        forget_after_days: config.delivery.forget_after_days,
        pool_size_max: database.pool_max_size,
        directory: Some(config.wal.dir.clone()),
        ..forwarder::Options::default()
    };
    Ok(forwarder::Settings { options, target: database.target().map_err(Error::Tls)? })
}
