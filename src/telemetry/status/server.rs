//! The daemon's end of the status socket.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

use super::Document;

/// How long a client may take to read its answer.
const CLIENT_TIME: Duration = Duration::from_secs(5);

/// Rest after an error of accept, so that a lack of file descriptors does not become a busy loop.
const ERROR_REST: Duration = Duration::from_millis(200);

/// A bound status socket. Its file is removed when this is dropped.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

/// Binds the socket. What a dead daemon left there is removed; a live one's socket is not.
///
/// # Errors
/// When a daemon answers there already, when the path is something else than a socket, or when the folder cannot be
/// written to.
pub fn bind(path: &Path) -> io::Result<Server> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) if StdStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers there"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // Group too: an operator in the service's group may ask, nobody else.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Server { listener, path: path.to_owned() })
}

impl Server {
    /// Answers for ever.
    pub async fn run(self, answer: impl Fn() -> Document) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let document = answer();
                    tokio::spawn(async move {
                        match tokio::time::timeout(CLIENT_TIME, send(stream, &document)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%error, "status_client_gone"),
                            Err(_) => tracing::debug!("status_client_too_slow"),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "status_accept_error");
                    tokio::time::sleep(ERROR_REST).await;
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
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}
