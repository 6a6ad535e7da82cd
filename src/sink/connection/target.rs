//! The address of the database, and how connections to it are opened.

mod pooler;
mod tls;

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{BuildError, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{Host, SslNegotiation};
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::pipeline::{Connector, SharedStream, share_unix};
use crate::sink::Error;
use crate::sink::layout::Layout;

pub use tls::{SslMode, TlsError, TlsFiles};

/// `application_name` in pg_stat_activity.
const APPLICATION_NAME: &str = "holdfast";
/// Port of a server, if none is given.
const DEFAULT_PORT: u16 = 5432;
/// Default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Default time limit of one transaction.
const STORE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time without TCP acknowledgment after which a connection is closed. Ends half-open connections.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// No transaction may write.
const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// A database: address, credentials, schema, TLS settings and time limits.
#[derive(Clone)]
pub struct Target {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    store_timeout: Duration,
    layout: Layout,
}

/// The database settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Invalid TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection pool could not be created.
    #[error("creating the connection pool: {0}")]
    Pool(#[from] deadpool_postgres::BuildError),
}

/// Omits the password.
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
    /// A target with the address, user and database of `config`. Sets the TLS mode, application name and TCP
    /// time limits.
    ///
    /// # Errors
    /// The TLS settings are invalid.
    pub fn new(
        mut config: tokio_postgres::Config,
        mode: SslMode,
        files: &TlsFiles,
    ) -> Result<Self, TargetError> {
        let (tls, wire_mode) = tls::connector(mode, files)?;
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        config
            .ssl_mode(wire_mode)
            .application_name(APPLICATION_NAME)
            .connect_timeout(connect_timeout)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE);
        Ok(Self { config, tls, store_timeout: STORE_TIMEOUT, layout: Layout::default() })
    }

    /// Sets the time limit of one transaction.
    #[must_use]
    pub const fn with_store_timeout(mut self, limit: Duration) -> Self {
        self.store_timeout = limit;
        self
    }

    /// Sets the names of the objects.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Names of the objects in the database.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Time limit of one transaction.
    pub(super) const fn store_timeout(&self) -> Duration {
        self.store_timeout
    }

    /// Opens a connection outside the pool, with the schema of Holdfast as its search path, whatever that of
    /// the role or the database is. Its background task ends when the client is dropped.
    ///
    /// # Errors
    /// The server is unreachable or rejects the connection, or a pooler shares its server process.
    pub async fn connect(&self) -> Result<Client, Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        drive(connection);
        pooler::refuse_shared(&client, &self.config, &self.tls).await?;
        client.batch_execute(&self.layout.schema.search_path()).await?;
        Ok(client)
    }

    /// Opens a connection like [`Self::connect`], and returns its stream as well, for exchanges.
    pub(super) async fn connect_shared(&self) -> Result<(Client, SharedStream), Error> {
        let (client, stream) = self.open_shared().await?;
        pooler::refuse_shared(&client, &self.config, &self.tls).await?;
        client.batch_execute(&self.layout.schema.search_path()).await?;
        Ok((client, stream))
    }

    /// tokio-postgres refuses TLS connectors for Unix sockets, so that these are opened here, before those of
    /// any other hosts.
    async fn open_shared(&self) -> Result<(Client, SharedStream), Error> {
        let (hosts, ports) = (self.config.get_hosts(), self.config.get_ports());
        let mut last_error = None;
        for (index, host) in hosts.iter().enumerate() {
            let Host::Unix(directory) = host else { continue };
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            match share_unix(directory, port).await {
                Ok((stream, client_stream)) => {
                    let mut config = self.config.clone();
                    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
                    let (client, connection) = config.connect_raw(client_stream, NoTls).await?;
                    drive(connection);
                    return Ok((client, stream));
                }
                Err(error) => last_error = Some(error),
            }
        }
        if let Some(error) = last_error.filter(|_| !hosts.iter().any(|host| matches!(host, Host::Tcp(_)))) {
            return Err(Error::Connection(error));
        }
        let connector = Connector::new(self.tls.clone(), self.config.get_ssl_mode());
        let mut config = self.config.clone();
        config.ssl_mode(tokio_postgres::config::SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        let (client, connection) = config.connect(connector.clone()).await?;
        drive(connection);
        let missing = || Error::Connection(std::io::ErrorKind::NotConnected.into());
        Ok((client, connector.take_stream().ok_or_else(missing)?))
    }

    /// Names the server, the user and the database, for an error message.
    #[must_use]
    pub fn description(&self) -> String {
        let config = &self.config;
        let port = |index: usize| {
            config.get_ports().get(index).or(config.get_ports().first()).unwrap_or(&DEFAULT_PORT)
        };
        let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}", port(index)),
            Host::Tcp(host) => format!("{host}:{}", port(index)),
            Host::Unix(path) => format!("{}, port {}", path.display(), port(index)),
        });
        let hosts = hosts.collect::<Vec<_>>().join(" or ");
        let user = config.get_user().unwrap_or("of the operating system");
        format!("{hosts} (user {user}, database {})", config.get_dbname().unwrap_or(user))
    }

    /// Creates the pool for migrations, maintenance, health checks and queries. Its connections are opened on
    /// first use.
    ///
    /// # Errors
    /// The pool settings are invalid.
    pub fn pool(&self, size_max: usize) -> Result<Pool, TargetError> {
        Ok(self.build_pool(self.config.clone(), self.layout.schema.search_path(), size_max)?)
    }

    /// Creates a pool of connections that cannot write, with another `application_name`.
    pub(super) fn read_only_pool(&self, name: &str, size_max: usize) -> Result<Pool, BuildError> {
        let mut config = self.config.clone();
        config.application_name(name);
        self.build_pool(config, format!("{}; {READ_ONLY}", self.layout.schema.search_path()), size_max)
    }

    /// The TLS settings, for a request to cancel a query.
    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// A pool whose connections run the statements `setup` after they are opened.
    fn build_pool(
        &self,
        config: tokio_postgres::Config,
        setup: String,
        size_max: usize,
    ) -> Result<Pool, BuildError> {
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = Manager::from_config(config.clone(), self.tls.clone(), manager_config);
        let tls = self.tls.clone();
        let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let (config, tls, setup) = (config.clone(), tls.clone(), setup.clone());
            Box::pin(async move {
                pooler::refuse_shared(client, &config, &tls).await.map_err(|error| match error {
                    Error::Database(error) => HookError::Backend(error),
                    other => HookError::message(other.to_string()),
                })?;
                client.batch_execute(&setup).await.map_err(HookError::Backend)
            })
        });
        Pool::builder(manager).max_size(size_max).post_create(set_up).build()
    }
}

/// Runs the task of a connection, which ends when its client is dropped.
fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // The pending request reports the same error to its caller.
        if let Err(error) = connection.await {
            let error = Error::from(error);
            tracing::debug!(%error, "database_connection_ended");
        }
    });
}
