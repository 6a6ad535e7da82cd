//! A connection on its way from the kernel to a session: PROXY header, admission, TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use super::TransportOptions;
use super::meter::Meter;
use super::proxy::{self, Header, Progress, ProxyError};
use super::status::TransportStatus;
use super::stream::Stream;
use super::tls;
use super::tls_error::HandshakeError;
use crate::telemetry::clock;
use crate::tls::{HANDSHAKE, TlsServer};

/// A connection that admission has to decide on.
#[derive(Debug)]
pub(in crate::listener) struct Incoming {
    /// The TCP connection, before TLS.
    pub(in crate::listener) stream: TcpStream,
    /// Address and port of the router: the source that the proxy states, if there is one.
    pub(in crate::listener) address: SocketAddr,
    /// The server side of TLS; `None` for plain TCP.
    pub(super) tls: Option<Arc<TlsServer>>,
    /// Set if the collector has opened the connection (`BMP_CONNECT`).
    pub(super) opened_by: Option<oneshot::Sender<()>>,
}

/// A connection from a proxy did not become one of a router.
#[derive(Debug, thiserror::Error)]
pub(in crate::listener) enum ProxyFailure {
    /// The header is not acceptable.
    #[error(transparent)]
    Header(#[from] ProxyError),
    /// The header did not arrive in time.
    #[error("no complete PROXY header within the time limit (BMP_HANDSHAKE_TIMEOUT_S)")]
    Timeout,
    /// The connection ended before its header did.
    #[error("the connection was closed before its PROXY header was complete: {0}")]
    Closed(#[from] io::Error),
}

impl Incoming {
    /// A connection that was accepted on a socket.
    pub(in crate::listener) fn new(
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<Arc<TlsServer>>,
    ) -> Self {
        // A dual-stack socket reports IPv4 addresses as ::ffff:a.b.c.d.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { stream, address, tls, opened_by: None }
    }

    /// Whether the collector has opened the connection.
    pub(in crate::listener) const fn is_outgoing(&self) -> bool {
        self.opened_by.is_some()
    }

    /// Reads the PROXY header and replaces the address by the source that it states. `None` if the proxy
    /// only checks whether the collector is alive.
    pub(in crate::listener) async fn read_proxy_header(
        mut self,
        limit: Duration,
    ) -> Result<Option<Self>, ProxyFailure> {
        let header = tokio::time::timeout(limit, read_header(&mut self.stream));
        match header.await.map_err(|_| ProxyFailure::Timeout)?? {
            Header::Local => Ok(None),
            Header::Source(address) => Ok(Some(Self { address, ..self })),
        }
    }

    /// Reads the TLS handshake, if the connection is TLS. Returns the stream of the session, and the router's
    /// name if its certificate decides it; `None` if the handshake failed.
    pub(in crate::listener) async fn establish(
        self,
        options: &TransportOptions,
        status: &TransportStatus,
        meter: &Meter,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<(Stream, Option<String>)> {
        let address = self.address.ip();
        let established = self.handshake(options.handshake_timeout, stop).await;
        let named = established.and_then(|(stream, name)| match name {
            None if stream.is_tls() && options.certificate_names => Err(HandshakeError::NoName),
            name => Ok((stream, name.filter(|_| options.certificate_names))),
        });
        match named {
            Ok((stream, name)) => {
                meter.set_security(stream.security());
                Some((stream, name))
            }
            Err(HandshakeError::Stopping) => None,
            Err(error) => {
                tracing::warn!(%error, "tls_handshake_failed");
                status.handshake_failed(address, error.to_string(), clock::now());
                None
            }
        }
    }

    async fn handshake(
        self,
        limit: Duration,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Stream, Option<String>), HandshakeError> {
        let Some(server) = self.tls else { return Ok((Stream::plain(self.stream, self.opened_by), None)) };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Err(HandshakeError::Stopping),
            accepted = tokio::time::timeout(limit, tls::accept(&server, self.stream)) => {
                let (stream, name) = accepted.map_err(|_| HandshakeError::Timeout)??;
                Ok((Stream::tls(stream), name))
            }
        }
    }
}

/// Reads a PROXY header, and no byte after it.
async fn read_header(stream: &mut TcpStream) -> Result<Header, ProxyFailure> {
    let mut bytes = Vec::new();
    loop {
        let wanted = match proxy::parse(&bytes)? {
            Progress::Complete { header, .. } => return Ok(header),
            Progress::Incomplete(wanted) => wanted,
        };
        let length = bytes.len();
        bytes.resize(wanted, 0);
        let read = stream.read(bytes.get_mut(length..).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        bytes.truncate(length + read);
    }
}

/// The protocol that a plain connection begins with instead of BMP, and what to do about it; `None` if it is
/// unknown.
pub(in crate::listener) fn foreign_protocol(first_bytes: &[u8]) -> Option<&'static str> {
    if first_bytes.first() == Some(&HANDSHAKE) {
        return Some(
            "a TLS handshake on a plain-text port: connect to a tls:// address of BMP_LISTEN, or configure \
             the router without TLS",
        );
    }
    let common = first_bytes.get(..proxy::MAGIC.len()).unwrap_or(first_bytes);
    let is_version_2 = !common.is_empty() && proxy::MAGIC.starts_with(common);
    if is_version_2 || proxy::parse(first_bytes) == Err(ProxyError::Version1) {
        return Some("a PROXY header from an address that is not in BMP_PROXY_FROM");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_named() {
        for (bytes, part) in [
            (&[0x16, 3, 1, 2][..], "TLS handshake on a plain-text port"),
            (b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c", "PROXY header from an address"),
            (b"PROXY TCP4 192.0.2.1", "PROXY header from an address"),
        ] {
            assert!(foreign_protocol(bytes).unwrap().contains(part));
        }
        assert_eq!(foreign_protocol(b"GET / HTTP/1.1"), None);
    }
}
