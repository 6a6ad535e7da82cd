//! The byte stream of a session, over TCP or TLS.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::server::TlsStream;

/// The byte stream from a router.
#[derive(Debug)]
pub(in crate::listener) struct Stream {
    inner: Inner,
    /// Dropped with the connection, which tells the task that opened it.
    opened_by: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Closed,
}

impl Stream {
    pub(super) const fn plain(stream: TcpStream, opened_by: Option<oneshot::Sender<()>>) -> Self {
        Self { inner: Inner::Plain(stream), opened_by }
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { inner: Inner::Tls(Box::new(stream)), opened_by: None }
    }

    /// Reads bytes into a buffer that is not empty. Returns 0 at the end of the stream.
    ///
    /// Cancel safe: no byte is lost if the future is dropped.
    pub(in crate::listener) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.read(buffer).await,
            Inner::Tls(stream) => stream.read(buffer).await,
            Inner::Closed => Ok(0),
        }
    }

    /// Reads the bytes that are there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there are none, or an error of the connection.
    pub(in crate::listener) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.try_read(buffer),
            Inner::Tls(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                let mut context = Context::from_waker(Waker::noop());
                match pin!(stream).poll_read(&mut context, &mut buffer) {
                    Poll::Ready(result) => result.map(|()| buffer.filled().len()),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            Inner::Closed => Ok(0),
        }
    }

    /// Whether a read of `bytes` bytes into a buffer with space for `space` bytes took everything that had
    /// arrived by then.
    pub(in crate::listener) fn is_emptied_by(&mut self, bytes: usize, space: usize) -> bool {
        match &mut self.inner {
            Inner::Plain(_) | Inner::Closed => bytes < space,
            // A read returns one TLS record at most, however many have arrived.
            Inner::Tls(stream) => {
                let (socket, session) = stream.get_mut();
                let has_plaintext =
                    session.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0);
                !has_plaintext && queued(socket) == 0
            }
        }
    }

    /// Bytes that have arrived and wait in the receive queue of the socket.
    pub(in crate::listener) fn queued_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Plain(stream) => queued(stream),
            Inner::Tls(stream) => queued(stream.get_ref().0),
            Inner::Closed => 0,
        }
    }

    /// Whether the connection is TLS.
    pub(in crate::listener) const fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }

    /// How the connection is protected; empty for plain TCP.
    pub(in crate::listener) fn security(&self) -> String {
        let Inner::Tls(stream) = &self.inner else { return String::new() };
        let session = stream.get_ref().1;
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let certificate = if session.peer_certificates().is_some() { ", client certificate" } else { "" };
        format!("{version}{certificate}")
    }

    /// Closes the connection.
    pub(in crate::listener) fn close(&mut self) {
        self.inner = Inner::Closed;
        self.opened_by = None;
    }
}

/// Bytes in the receive queue of a socket (FIONREAD); 0 if the kernel does not say.
fn queued(socket: &TcpStream) -> u64 {
    rustix::io::ioctl_fionread(socket).unwrap_or(0)
}
