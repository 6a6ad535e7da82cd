//! TLS of the listener: the handshake of a router, and the name in its certificate.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::tls_error::HandshakeError;
use crate::tls::TlsServer;

/// Reads the handshake of a connection. Returns the stream, and the first DNS name of the router's
/// certificate.
pub(super) async fn accept(
    server: &Arc<TlsServer>,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Option<String>), HandshakeError> {
    let stream = server.accept(stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let name = certificate.and_then(dns_name);
    Ok((stream, name))
}

/// The first DNS name of a certificate (subjectAltName); `None` if it has none.
fn dns_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    certificate.valid_dns_names().next().map(str::to_owned)
}
