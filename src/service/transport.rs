//! The transports of the listener and the HTTP server from the configuration: files of TLS and keys of
//! TCP-MD5 are read.

use std::sync::Arc;

use super::Error;
use crate::config::{Address, Http, Tls, Transport};
use crate::listener::{Endpoint, Md5Key, SocketOptions, TransportOptions};
use crate::tls::{TlsFiles, TlsServer};

/// Addresses in the form of the listener.
pub(super) fn endpoints(addresses: &[Address]) -> Vec<Endpoint> {
    let endpoint = |Address { host, port, is_tls }: &Address| Endpoint {
        host: host.clone(),
        port: *port,
        is_tls: *is_tls,
    };
    addresses.iter().map(endpoint).collect()
}

/// Reads the files of the transports.
///
/// # Errors
/// A certificate, a private key or a key of TCP-MD5 cannot be used.
pub(super) fn options(config: &Transport) -> Result<TransportOptions, Error> {
    let Transport { handshake_timeout, certificate_names, receive_buffer, .. } = *config;
    let mut md5 = Vec::with_capacity(config.md5.len());
    for (prefix, file) in &config.md5 {
        md5.push(Md5Key::read(*prefix, file)?);
    }
    Ok(TransportOptions {
        tls: config.tls.as_ref().map(|tls| server("BMP_TLS", tls)).transpose()?,
        certificate_names,
        handshake_timeout,
        sockets: SocketOptions { receive_buffer, md5 },
        proxies: config.proxies.clone(),
        remotes: endpoints(&config.remotes),
    })
}

/// Reads the files of TLS again, and takes over what can be changed while the listener runs. The options of
/// the sockets and the routers to connect to are those in use.
///
/// # Errors
/// A certificate or a private key cannot be used.
pub(super) fn reloaded(config: &Transport, in_use: &TransportOptions) -> Result<TransportOptions, Error> {
    Ok(TransportOptions {
        tls: config.tls.as_ref().map(|tls| server("BMP_TLS", tls)).transpose()?,
        certificate_names: config.certificate_names,
        handshake_timeout: config.handshake_timeout,
        sockets: in_use.sockets.clone(),
        proxies: config.proxies.clone(),
        remotes: in_use.remotes.clone(),
    })
}

/// Reads the files of TLS of the HTTP server; `None` if it has none, or is off.
///
/// # Errors
/// The certificate or the private key cannot be used.
pub(super) fn http(config: Option<&Http>) -> Result<Option<Arc<TlsServer>>, Error> {
    config.and_then(|http| http.tls.as_ref()).map(|tls| server("HTTP_TLS", tls)).transpose()
}

/// Reads files of TLS. `prefix` is what the names of their settings begin with.
fn server(prefix: &'static str, Tls { certificate, key, client_ca }: &Tls) -> Result<Arc<TlsServer>, Error> {
    let (certificate, key, client_ca) = (certificate.clone(), key.clone(), client_ca.clone());
    Ok(Arc::new(TlsServer::new(TlsFiles { prefix, certificate, key, client_ca })?))
}
