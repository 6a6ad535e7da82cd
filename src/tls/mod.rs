//! The server side of TLS, for the listener and the HTTP server, and files with secrets.

pub mod secret_file;

mod server;

pub use secret_file::SecretFileError;
pub use server::{AcceptError, HANDSHAKE, TlsFiles, TlsServer, TlsSetupError};
