//! Causes of failed handshakes, as an operator needs them.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsLibraryError};

use crate::tls::AcceptError;

/// First byte of a BMP message of version 3.
const BMP: u8 = 3;

/// A connection did not become a BMP session because of its transport.
#[derive(Debug, thiserror::Error)]
pub(in crate::listener) enum HandshakeError {
    /// Nothing, or not enough, was received in time.
    #[error("no complete TLS handshake within the time limit (BMP_HANDSHAKE_TIMEOUT_S)")]
    Timeout,
    /// The collector stops.
    #[error("the collector stops")]
    Stopping,
    /// The connection was closed or reset.
    #[error("the connection was closed during the handshake: {0}")]
    Closed(io::Error),
    /// The first byte is the version of BMP.
    #[error("BMP in plain text on a TLS port: configure the router for TLS, or connect to another port")]
    PlainBmp,
    /// The first byte is not that of a TLS handshake.
    #[error("no TLS handshake on a TLS port (first byte 0x{0:02x})")]
    NotTls(u8),
    /// The certificate has no name to identify the router by.
    #[error(
        "the router's certificate has no DNS name (subjectAltName), which BMP_TLS_IDENTITY=certificate \
         requires"
    )]
    NoName,
    /// The handshake failed.
    #[error("{}", cause(.0))]
    Tls(TlsLibraryError),
}

impl From<AcceptError> for HandshakeError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::Closed(error) => Self::Closed(error),
            AcceptError::NotTls(BMP) => Self::PlainBmp,
            AcceptError::NotTls(first) => Self::NotTls(first),
            AcceptError::Tls(error) => Self::Tls(error),
        }
    }
}

/// The cause of an error of the TLS library.
fn cause(error: &TlsLibraryError) -> String {
    match error {
        TlsLibraryError::NoCertificatesPresented => {
            "the router presented no certificate, which BMP_TLS_CLIENT_CA requires".to_owned()
        }
        TlsLibraryError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the router's certificate has expired".to_owned(),
        TlsLibraryError::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the router's certificate is not valid yet".to_owned(),
        TlsLibraryError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "the router's certificate is not signed by an authority in BMP_TLS_CLIENT_CA".to_owned(),
        TlsLibraryError::InvalidCertificate(other) => format!("the router's certificate is invalid: {other}"),
        TlsLibraryError::AlertReceived(AlertDescription::UnknownCA) => {
            "the router does not trust the authority of this collector's certificate (BMP_TLS_CERT)"
                .to_owned()
        }
        TlsLibraryError::AlertReceived(AlertDescription::CertificateExpired) => {
            "the router reports that this collector's certificate (BMP_TLS_CERT) has expired".to_owned()
        }
        TlsLibraryError::AlertReceived(alert) => format!("the router ended the handshake: alert {alert:?}"),
        TlsLibraryError::PeerIncompatible(reason) => {
            format!("no common TLS version or cipher ({reason:?}); TLS 1.2 or later is required")
        }
        other => format!("TLS: {other}"),
    }
}
