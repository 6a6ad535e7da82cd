//! The server of the status socket.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

use super::Document;

/// Maximum time for which a client may take to read one part of its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Size of a part of an answer, in bytes. The document of thousands of peers has megabytes, which a client on
/// a loaded machine does not read within the time limit.
const PART_BYTES: usize = 64 << 10;

/// Pause after an error of accept, so that a lack of file descriptors does not cause a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// The status socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path is a file of another type, which is not removed.
    #[error("STATUS_SOCKET: {} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Another daemon listens on the socket.
    #[error("STATUS_SOCKET: another daemon is listening on {}", .0.display())]
    InUse(PathBuf),
    /// The file system or the kernel refused.
    #[error("STATUS_SOCKET: cannot create {}: {source}", path.display())]
    Io {
        /// Path of the socket.
        path: PathBuf,
        /// Error of the operation that failed.
        source: io::Error,
    },
}

/// A bound status socket. Dropping it removes the socket's file.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

/// Binds the status socket. A socket on which no daemon listens is removed first.
///
/// # Errors
/// Fails if a daemon listens on the socket, if the path is not a socket, or if it cannot be created.
pub fn bind(path: &Path) -> Result<Server, BindError> {
    remove_abandoned(path)?;
    let listener = create(path).map_err(|source| BindError::Io { path: path.to_owned(), source })?;
    Ok(Server { listener, path: path.to_owned() })
}

/// Removes the socket of a daemon that no longer runs.
fn remove_abandoned(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) if StdStream::connect(path).is_ok() => Err(BindError::InUse(path.to_owned())),
        Ok(_) => std::fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn create(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(path)?;
    // The members of the service's group may read the status.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

impl Server {
    /// Sends the result of `document` to each client. Never returns.
    pub async fn run(self, document: impl Fn() -> Document) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let document = document();
                    tokio::spawn(async move {
                        match send(stream, &document).await {
                            Ok(()) => {}
                            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                                tracing::debug!("status_client_timeout");
                            }
                            Err(error) => tracing::debug!(%error, "status_client_disconnected"),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "status_accept_error");
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "status_socket_not_removed");
        }
    }
}

async fn send(mut stream: UnixStream, document: &Document) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(document)?;
    bytes.push(b'\n');
    for part in bytes.chunks(PART_BYTES) {
        tokio::time::timeout(CLIENT_TIMEOUT, stream.write_all(part)).await??;
    }
    stream.shutdown().await
}
