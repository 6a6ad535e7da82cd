//! TLS to the database, with libpq's `sslmode`, `sslrootcert`, `sslcert` and `sslkey`.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Encryption and authentication of the server (libpq `sslmode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server supports it; the server is not authenticated.
    #[default]
    Prefer,
    /// TLS; the server is not authenticated.
    Require,
    /// TLS; the certificate must be signed by a trusted authority.
    VerifyCa,
    /// TLS; the certificate must be signed by a trusted authority and match the host name.
    VerifyFull,
}

impl std::str::FromStr for SslMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => {
                return Err(format!(
                    "invalid TLS mode {other:?}: expected disable, prefer, require, verify-ca or verify-full"
                ));
            }
        })
    }
}

/// The files of libpq's `sslrootcert`, `sslcert` and `sslkey`, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate authorities that are trusted to sign the server's certificate; `None` for those of the
    /// system.
    pub root: Option<PathBuf>,
    /// The client's certificate chain and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of trusted authorities cannot be read.
    #[error("DB_SSLROOTCERT: reading certificate authorities from {}: {source}", path.display())]
    RootFile {
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        source: pem::Error,
    },
    /// The client's certificate or key cannot be read.
    #[error("reading the client certificate or key {}: {source}", path.display())]
    ClientFile {
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        source: pem::Error,
    },
    /// The client's key is accessible to other users.
    #[error(
        "the private key {} is accessible to other users (mode {mode:04o}): set mode 0600, \
         or 0640 if root owns it",
        path.display()
    )]
    InsecureKeyFile {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// No trusted authority is configured or installed.
    #[error("no trusted certificate authority found: set DB_SSLROOTCERT or install ca-certificates")]
    NoRoots,
    /// The TLS library rejects a setting.
    #[error("TLS settings: {0}")]
    Rustls(#[from] rustls::Error),
    /// The TLS library rejects the trusted authorities.
    #[error("trusted certificate authorities: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Returns the TLS connector, and the mode that the client library negotiates with the server.
///
/// # Errors
/// A certificate or key file cannot be used, or there is no trusted authority.
pub(super) fn connector(
    mode: SslMode,
    files: &TlsFiles,
) -> Result<(MakeRustlsConnect, tokio_postgres::config::SslMode), TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let wire = match mode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        _ => tokio_postgres::config::SslMode::Require,
    };
    let builder = match mode {
        SslMode::VerifyFull => builder.with_root_certificates(roots(files.root.as_deref())?),
        SslMode::VerifyCa => {
            let roots = Arc::new(roots(files.root.as_deref())?);
            let inner = WebPkiServerVerifier::builder_with_provider(roots, provider).build()?;
            let verifier = Arc::new(Verifier::AnyName(inner));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
        SslMode::Disable | SslMode::Prefer | SslMode::Require => {
            let verifier = Arc::new(Verifier::AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let config = match &files.client {
        Some((certificate, key)) => {
            let (chain, key) = client(certificate, key)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok((MakeRustlsConnect::new(config), wire))
}

/// Reads the client's certificate chain and its key. As in libpq, a key that other users can read is an
/// error.
fn client(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::ClientFile { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(certificate))?;
    let io = |error| unreadable(key)(pem::Error::Io(error));
    let metadata = File::open(key).and_then(|file| file.metadata()).map_err(io)?;
    let forbidden = if metadata.uid() == 0 { 0o137 } else { 0o177 };
    if metadata.mode() & forbidden != 0 {
        return Err(TlsError::InsecureKeyFile { path: key.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match file {
        Some(path) => {
            let unreadable = |source| TlsError::RootFile { path: path.to_owned(), source };
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                store.add(certificate.map_err(unreadable)?)?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

/// Certificate verification for the modes that rustls does not provide.
#[derive(Debug)]
enum Verifier {
    /// Any certificate of a trusted authority, regardless of the host name (`verify-ca`).
    AnyName(Arc<WebPkiServerVerifier>),
    /// Any certificate (`prefer`, `require`). As in libpq, this does not protect against an active attacker.
    AnyCertificate(Arc<CryptoProvider>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Self::AnyName(inner) = self else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // rustls verifies the chain before the host name.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Self::AnyName(inner) => inner.verify_tls12_signature(message, certificate, signature),
            Self::AnyCertificate(provider) => rustls::crypto::verify_tls12_signature(
                message,
                certificate,
                signature,
                &provider.signature_verification_algorithms,
            ),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match self {
            Self::AnyName(inner) => inner.verify_tls13_signature(message, certificate, signature),
            Self::AnyCertificate(provider) => rustls::crypto::verify_tls13_signature(
                message,
                certificate,
                signature,
                &provider.signature_verification_algorithms,
            ),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Self::AnyName(inner) => inner.supported_verify_schemes(),
            Self::AnyCertificate(provider) => provider.signature_verification_algorithms.supported_schemes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_the_names_of_libpq() {
        assert_eq!("verify-full".parse(), Ok(SslMode::VerifyFull));
        assert!("yes".parse::<SslMode>().is_err());
    }

    #[test]
    fn encryption_without_proof_needs_no_authorities() {
        assert!(connector(SslMode::Require, &TlsFiles::default()).is_ok());
    }

    #[test]
    fn a_missing_file_of_authorities_is_named() {
        let files = TlsFiles { root: Some(PathBuf::from("/nowhere/roots.pem")), client: None };
        let error = connector(SslMode::VerifyFull, &files).err().unwrap();
        assert!(error.to_string().contains("/nowhere/roots.pem"));
    }
}
