//! The server side of TLS: the certificate, its reload when the files change, and the handshake.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::secret_file::{self, SecretFileError};

/// First byte of a TLS record that begins a handshake (RFC 8446 section 5.1).
pub const HANDSHAKE: u8 = 0x16;

/// The files of TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// What the names of the settings begin with, such as `BMP_TLS`: `_CERT`, `_KEY` and `_CLIENT_CA` follow.
    pub prefix: &'static str,
    /// Certificate chain of the collector.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities that sign the certificates of clients; `None` if clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// The files of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// A file of certificates cannot be read, or contains none.
    #[error("{setting}: cannot read certificates from {}: {source}", path.display())]
    Certificates {
        /// Name of the setting.
        setting: String,
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        source: pem::Error,
    },
    /// The file of the key cannot be read.
    #[error("{prefix}_KEY: {source}")]
    KeyFile {
        /// What the names of the settings begin with.
        prefix: &'static str,
        /// The error of reading it.
        source: SecretFileError,
    },
    /// The file of the key contains none.
    #[error("{prefix}_KEY: cannot read a private key from {}: {source}", path.display())]
    Key {
        /// What the names of the settings begin with.
        prefix: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of reading it.
        source: pem::Error,
    },
    /// An authority cannot be used.
    #[error("{prefix}_CLIENT_CA: {}: {source}", path.display())]
    Authority {
        /// What the names of the settings begin with.
        prefix: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the TLS library.
        source: rustls::Error,
    },
    /// The authorities cannot be used.
    #[error("{prefix}_CLIENT_CA: {source}")]
    Verifier {
        /// What the names of the settings begin with.
        prefix: &'static str,
        /// The error of the TLS library.
        source: VerifierBuilderError,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("{prefix}_CERT and {prefix}_KEY: {source}")]
    Pair {
        /// What the names of the settings begin with.
        prefix: &'static str,
        /// The error of the TLS library.
        source: rustls::Error,
    },
}

/// A connection did not become a TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The connection was closed or reset.
    #[error("the connection was closed during the handshake: {0}")]
    Closed(io::Error),
    /// The first byte is not that of a TLS handshake.
    #[error("no TLS handshake on a TLS port (first byte 0x{0:02x})")]
    NotTls(u8),
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => Self::Tls(inner.clone()),
            None => Self::Closed(error),
        }
    }
}

/// State of a file, which changes with its contents, its mode and its owner: device, inode, time of the last
/// change of the inode in seconds and nanoseconds, size.
type Stamp = (u64, u64, i64, i64, u64);

/// The TLS server side. The files are read again when they change.
#[derive(Debug)]
pub struct TlsServer {
    files: TlsFiles,
    inner: Mutex<Inner>,
}

struct Inner {
    config: Arc<ServerConfig>,
    /// End of the validity of the certificate in use; `None` if it cannot be read.
    not_after: Option<UnixTime>,
    /// The files when they were last read, usable or not.
    stamps: Vec<Option<Stamp>>,
    /// Why the present files cannot be used; `None` if they are in use.
    error: Option<String>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("error", &self.error).finish_non_exhaustive()
    }
}

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or its contents cannot be used.
    pub fn new(files: TlsFiles) -> Result<Self, TlsSetupError> {
        let stamps = files.stamps();
        let Loaded { config, not_after } = files.load()?;
        Ok(Self { files, inner: Mutex::new(Inner { config, not_after, stamps, error: None }) })
    }

    /// Why the present files cannot be used; the ones read before are in use then.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.lock().error.clone()
    }

    /// Why the server does not work as configured, each reason with its setting: the present files cannot be
    /// used, or the certificate has expired. Handshakes are accepted all the same.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let (error, not_after) = {
            let inner = self.lock();
            (inner.error.clone(), inner.not_after)
        };
        let unusable = |error| format!("TLS files cannot be loaded, the previous ones stay in use: {error}");
        let has_expired = not_after.is_some_and(|not_after| not_after < UnixTime::now());
        let expired = has_expired.then(|| {
            let TlsFiles { prefix, certificate, .. } = &self.files;
            format!("{prefix}_CERT: the certificate in {} has expired: replace it", certificate.display())
        });
        error.map(unusable).into_iter().chain(expired).collect()
    }

    /// Reads the files again if they have changed. Files that cannot be used leave the former ones in use.
    /// Reads files, which blocks.
    pub fn reload(&self) {
        let stamps = self.files.stamps();
        if self.lock().stamps == stamps {
            return;
        }
        let loaded = self.files.load();
        let mut inner = self.lock();
        inner.stamps = stamps;
        match loaded {
            Ok(Loaded { config, not_after }) => {
                (inner.config, inner.not_after) = (config, not_after);
                inner.error = None;
                self.log_reload();
            }
            Err(error) => {
                let detail = "the previous certificate and key stay in use";
                tracing::error!(%error, detail, "tls_reload_failed");
                inner.error = Some(error.to_string());
            }
        }
    }

    /// Logs that this server replaces another one, unless that one has read the same files.
    pub fn log_replacement_of(&self, former: &Self) {
        // One lock at a time: both may be the same server.
        let stamps = former.lock().stamps.clone();
        if self.files != former.files || self.lock().stamps != stamps {
            self.log_reload();
        }
    }

    fn log_reload(&self) {
        tracing::info!(file = %self.files.certificate.display(), "tls_certificate_reloaded");
    }

    /// Reads the handshake of a connection. It has no time limit of its own.
    ///
    /// # Errors
    /// The connection does not begin with a handshake, or the handshake fails.
    pub async fn accept(self: &Arc<Self>, stream: TcpStream) -> Result<TlsStream<TcpStream>, AcceptError> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => return Err(AcceptError::Closed(io::ErrorKind::UnexpectedEof.into())),
            _ if first == [HANDSHAKE] => {}
            _ => return Err(AcceptError::NotTls(first[0])),
        }
        let server = Arc::clone(self);
        // A failure to run it leaves the configuration as it is.
        drop(tokio::task::spawn_blocking(move || server.reload()).await);
        let config = Arc::clone(&self.lock().config);
        Ok(TlsAcceptor::from(config).accept(stream).await?)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The contents of the files.
struct Loaded {
    config: Arc<ServerConfig>,
    /// End of the validity of the certificate.
    not_after: Option<UnixTime>,
}

/// End of the validity of a certificate; `None` if it cannot be read.
fn not_after(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    // The library shows this time only in its error for a certificate that has expired by `time`.
    let time = UnixTime::since_unix_epoch(Duration::MAX);
    let usage = webpki::KeyUsage::server_auth();
    match certificate.verify_for_usage(&[], &[], &[], time, usage, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after),
        _ => None,
    }
}

impl TlsFiles {
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec(), file.size()))
        };
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(stamp)
            .collect()
    }

    fn load(&self) -> Result<Loaded, TlsSetupError> {
        let prefix = self.prefix;
        let pair = |source| TlsSetupError::Pair { prefix, source };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(pair)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in self.certificates("CLIENT_CA", path)? {
                    let unusable = |source| TlsSetupError::Authority { prefix, path: path.clone(), source };
                    roots.add(authority).map_err(unusable)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let unusable = |source| TlsSetupError::Verifier { prefix, source };
                builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
            }
        };
        let chain = self.certificates("CERT", &self.certificate)?;
        let not_after = chain.first().and_then(not_after);
        let pem = secret_file::read(&self.key).map_err(|source| TlsSetupError::KeyFile { prefix, source })?;
        let unreadable = |source| TlsSetupError::Key { prefix, path: self.key.clone(), source };
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(unreadable)?;
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        // A resumed session would skip the verification of the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Loaded { config: Arc::new(config), not_after })
    }

    /// Reads the certificates of a file, at least one. `setting` is the end of the name of its setting.
    fn certificates(
        &self,
        setting: &str,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
        let setting = format!("{}_{setting}", self.prefix);
        let unreadable = |source| TlsSetupError::Certificates { setting, path: path.to_owned(), source };
        let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match found {
            Ok(found) if found.is_empty() => Err(unreadable(pem::Error::NoItemsFound)),
            Ok(found) => Ok(found),
            Err(error) => Err(unreadable(error)),
        }
    }
}
