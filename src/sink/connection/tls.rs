//! TLS to the database, by the names that libpq gives the modes.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How far the server must prove who it is (libpq `sslmode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it; no proof.
    #[default]
    Prefer,
    /// TLS; no proof.
    Require,
    /// TLS; the certificate must come from a trusted authority.
    VerifyCa,
    /// TLS; the certificate must come from a trusted authority and name the host.
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
                return Err(format!("{other:?} is none of disable, prefer, require, verify-ca, verify-full"));
            }
        })
    }
}

/// The files of libpq's `sslrootcert`, `sslcert` and `sslkey`, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that may have signed the server's certificate; `None` is those of the system.
    pub root: Option<PathBuf>,
    /// The client's certificate with those in between, and its key, which nobody else may read.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why no TLS client could be made.
#[derive(Debug)]
pub enum TlsError {
    /// The file with the authorities cannot be read.
    RootFile(PathBuf, rustls::pki_types::pem::Error),
    /// The client's certificate or key cannot be read.
    ClientFile(PathBuf, rustls::pki_types::pem::Error),
    /// Others may read the client's key.
    KeyIsOpen(PathBuf, u32),
    /// There is no authority to trust.
    NoRoots,
    /// The TLS library refuses.
    Rustls(String),
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RootFile(path, error) => {
                write!(f, "certificate authorities in {}: {error}", path.display())
            }
            Self::ClientFile(path, error) => write!(f, "{}: {error}", path.display()),
            Self::KeyIsOpen(path, mode) => write!(
                f,
                "the key {} is readable by others (mode {mode:04o}); accepted are 0600, and 0640 when root owns it",
                path.display()
            ),
            Self::NoRoots => f.write_str(
                "no certificate authority is known: set DB_SSLROOTCERT or install ca-certificates",
            ),
            Self::Rustls(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for TlsError {}

/// The TLS side of a connection, and what the client library must ask the server for.
///
/// # Errors
/// The authorities cannot be read, or there are none.
pub(in crate::sink) fn connector(
    mode: SslMode,
    files: &TlsFiles,
) -> Result<(MakeRustlsConnect, tokio_postgres::config::SslMode), TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let wire = match mode {
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        _ => tokio_postgres::config::SslMode::Require,
    };
    let builder = match mode {
        SslMode::VerifyFull => builder.with_root_certificates(roots(files.root.as_deref())?),
        SslMode::VerifyCa => {
            let roots = Arc::new(roots(files.root.as_deref())?);
            let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| TlsError::Rustls(error.to_string()))?;
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
            builder.with_client_auth_cert(chain, key).map_err(refused)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok((MakeRustlsConnect::new(config), wire))
}

fn refused(error: rustls::Error) -> TlsError {
    TlsError::Rustls(error.to_string())
}

/// The client's certificates and its key. The key is refused as libpq refuses it: when others may read it.
fn client(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let broken = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::ClientFile(path, error)
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(broken(certificate))?;
    let io = |error| broken(key)(rustls::pki_types::pem::Error::Io(error));
    let about = File::open(key).and_then(|file| file.metadata()).map_err(io)?;
    let forbidden = if about.uid() == 0 { 0o137 } else { 0o177 };
    if about.mode() & forbidden != 0 {
        return Err(TlsError::KeyIsOpen(key.to_owned(), about.mode() & 0o7777));
    }
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(broken(key))?))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match file {
        Some(path) => {
            let broken = |error| TlsError::RootFile(path.to_owned(), error);
            for certificate in CertificateDer::pem_file_iter(path).map_err(broken)? {
                store
                    .add(certificate.map_err(broken)?)
                    .map_err(|error| TlsError::Rustls(error.to_string()))?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

/// The two modes that rustls itself does not have.
#[derive(Debug)]
enum Verifier {
    /// A trusted authority, whatever the name (verify-ca).
    AnyName(Arc<WebPkiServerVerifier>),
    /// Encryption only (prefer, require): as libpq does, and as weak.
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
            // The chain is verified before the name is looked at.
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
