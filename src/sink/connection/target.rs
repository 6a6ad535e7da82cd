//! Where the database is, and how connections to it are made.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::sink::connection::tls::{self, SslMode, TlsError, TlsFiles};

/// Shown in pg_stat_activity.
const APPLICATION_NAME: &str = "holdfast";
/// Unless the address says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that does not finish a transaction in this time is treated as gone, unless told otherwise.
const STORE_TIMEOUT: Duration = Duration::from_secs(120);
/// A peer that does not acknowledge for so long is gone: half-open connections end here.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);

/// A database to deliver to.
#[derive(Clone)]
pub struct Target {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    store_timeout: Duration,
}

/// Why a connection could not be made.
#[derive(Debug)]
pub enum TargetError {
    /// TLS is not possible as configured.
    Tls(TlsError),
    /// The pool cannot be made.
    Pool(deadpool_postgres::BuildError),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => write!(f, "{error}"),
            Self::Pool(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for TargetError {}

/// Without the password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("hosts", &self.config.get_hosts())
            .field("ports", &self.config.get_ports())
            .field("database", &self.config.get_dbname())
            .field("user", &self.config.get_user())
            .finish_non_exhaustive()
    }
}

impl Target {
    /// A target with the given address, user and database; time limits and TLS are set here.
    ///
    /// # Errors
    /// TLS is not possible as configured.
    pub fn new(
        mut config: tokio_postgres::Config,
        mode: SslMode,
        files: &TlsFiles,
    ) -> Result<Self, TargetError> {
        let (tls, wire_mode) = tls::connector(mode, files).map_err(TargetError::Tls)?;
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        config
            .ssl_mode(wire_mode)
            .application_name(APPLICATION_NAME)
            .connect_timeout(connect_timeout)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE);
        Ok(Self { config, tls, store_timeout: STORE_TIMEOUT })
    }

    /// The same target with another limit for one transaction.
    #[must_use]
    pub const fn with_store_timeout(mut self, limit: Duration) -> Self {
        self.store_timeout = limit;
        self
    }

    /// How long one transaction may take.
    pub(in crate::sink) const fn store_timeout(&self) -> Duration {
        self.store_timeout
    }

    /// A connection of its own, with the task that drives it; the task ends with the client.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        tokio::spawn(async move {
            // What ends a connection reaches its user through the request that was under way.
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "database_connection_ended");
            }
        });
        Ok(client)
    }

    /// The pool for everything but the lanes: migrations, maintenance, health, queries. Connects on first use.
    ///
    /// # Errors
    /// The pool cannot be made as configured.
    pub fn pool(&self, size_max: usize) -> Result<Pool, TargetError> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), config);
        Pool::builder(manager).max_size(size_max).build().map_err(TargetError::Pool)
    }
}
