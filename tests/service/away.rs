//! A database that can be made unreachable.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::common::daemon::Daemon;
use crate::common::db::{Database, Edition};
use crate::common::proxy::Proxy;

/// The database behind a proxy that can make it unreachable: connections stay without an answer.
pub struct Away {
    pub database: Database,
    proxy: Proxy,
    url: String,
}

impl Away {
    pub async fn new(test: &str) -> Option<Self> {
        let database = Database::migrated(Edition::Timescale, test).await?;
        let tokio_postgres::config::Host::Tcp(host) = &database.config.get_hosts()[0] else {
            panic!("no TCP host")
        };
        let server = SocketAddr::new(host.parse().unwrap(), database.config.get_ports()[0]);
        let proxy = Proxy::start(server).await;
        let (user, name) = (database.config.get_user().unwrap(), database.config.get_dbname().unwrap());
        let url = format!("postgres://{user}@{}/{name}?sslmode=disable", proxy.address);
        Some(Self { database, proxy, url })
    }

    pub fn is_away(&self, away: bool) {
        self.proxy.faults.swallow_below.store(if away { u64::MAX } else { 0 }, Ordering::SeqCst);
    }

    /// Makes new connections half-open. Those that are open end as the server ends them.
    pub fn refuses_new(&self) {
        self.proxy.faults.swallow_new.store(true, Ordering::SeqCst);
    }

    /// Loses the next responses to COMMIT.
    pub fn lose_commits(&self, count: u64) {
        self.proxy.faults.commits_to_lose.store(count, Ordering::SeqCst);
    }

    /// Number of responses to COMMIT that were lost.
    pub fn lost_commits(&self) -> u64 {
        self.proxy.faults.done.load(Ordering::SeqCst)
    }

    /// The daemon with this database; it gives up soon on one that does not answer.
    pub fn daemon(&self, folder: &Path, more: &[(&str, &str)]) -> Daemon {
        let own = [("DATABASE_URL", self.url.as_str()), ("DB_CONNECT_TIMEOUT_S", "1")];
        Daemon::start(folder, &[own.as_slice(), more].concat())
    }
}
