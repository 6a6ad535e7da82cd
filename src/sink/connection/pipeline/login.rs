//! The connector that negotiates TLS for a connection and keeps a handle of its stream.

use std::error::Error;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_postgres::Socket;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::stream::{ClientStream, Plain, SharedStream};

/// The message SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

type BoxError = Box<dyn Error + Send + Sync>;

/// A TLS connector for tokio-postgres that negotiates TLS itself, by `mode`, and shares the resulting stream.
/// The configuration must require direct negotiation, so that tokio-postgres passes every socket on.
#[derive(Clone)]
pub(in crate::sink::connection) struct Connector {
    tls: MakeRustlsConnect,
    mode: SslMode,
    stream: Arc<Mutex<Option<SharedStream>>>,
}

impl Connector {
    pub(in crate::sink::connection) fn new(tls: MakeRustlsConnect, mode: SslMode) -> Self {
        Self { tls, mode, stream: Arc::default() }
    }

    /// Takes the stream of the connection that was opened.
    pub(in crate::sink::connection) fn take_stream(&self) -> Option<SharedStream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = ClientStream;
    type TlsConnect = Negotiation;
    type Error = BoxError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Negotiation, BoxError> {
        Ok(Negotiation { connector: self.clone(), domain: domain.to_owned() })
    }
}

/// The negotiation of one connection.
pub(in crate::sink::connection) struct Negotiation {
    connector: Connector,
    domain: String,
}

impl TlsConnect<Socket> for Negotiation {
    type Stream = ClientStream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<ClientStream, BoxError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Self { mut connector, domain } = self;
            let stream = match negotiate(socket, connector.mode).await? {
                (socket, true) => {
                    let tls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::make_tls_connect(
                        &mut connector.tls,
                        &domain,
                    )?;
                    SharedStream::new(tls.connect(socket).await?)
                }
                (socket, false) => SharedStream::new(Plain(socket)),
            };
            let client = stream.for_client();
            *connector.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
            Ok(client)
        })
    }
}

/// Asks the server for TLS. Returns whether the connection uses it.
async fn negotiate(mut socket: Socket, mode: SslMode) -> Result<(Socket, bool), BoxError> {
    if mode == SslMode::Disable {
        return Ok((socket, false));
    }
    socket.write_all(&SSL_REQUEST).await?;
    let is_supported = socket.read_u8().await? == b'S';
    if !is_supported && mode == SslMode::Require {
        return Err("server does not support TLS".into());
    }
    Ok((socket, is_supported))
}

/// Connects to the server's Unix socket in a directory. Such a connection never uses TLS.
pub(in crate::sink::connection) async fn share_unix(
    directory: &Path,
    port: u16,
) -> io::Result<(SharedStream, ClientStream)> {
    let path = directory.join(format!(".s.PGSQL.{port}"));
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let socket = UnixStream::connect(&path).await.map_err(named)?;
    let stream = SharedStream::new(Plain(socket));
    let client = stream.for_client();
    Ok((stream, client))
}
