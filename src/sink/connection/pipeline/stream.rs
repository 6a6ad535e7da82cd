//! A stream that tokio-postgres and an exchange use in turn.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// A socket, perhaps with TLS.
trait Io: TlsStream + Unpin + Send {}

impl<T: TlsStream + Unpin + Send> Io for T {}

/// Who may use the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Client,
    Exchange,
    /// An exchange has ended before the server was ready for another one.
    Nobody,
}

struct Shared {
    io: Box<dyn Io>,
    user: User,
    /// The task of tokio-postgres, if it waits for the socket or for its turn.
    client: Option<Waker>,
}

/// A handle of the stream. The stream is closed once all handles are dropped.
#[derive(Clone)]
pub(in crate::sink::connection) struct SharedStream(Arc<Mutex<Shared>>);

impl SharedStream {
    pub(super) fn new(io: impl TlsStream + Unpin + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Shared { io: Box::new(io), user: User::Client, client: None })))
    }

    /// The stream as tokio-postgres uses it.
    pub(super) fn for_client(&self) -> ClientStream {
        ClientStream(self.clone())
    }

    /// Borrows the stream. tokio-postgres must have no pending request.
    pub(super) fn borrow(&self) -> Borrowed {
        self.shared().user = User::Exchange;
        Borrowed { stream: self.clone(), is_returned: false }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // A panic of another user leaves the stream in a state that the server rejects.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_to(&self, user: User) {
        let mut shared = self.shared();
        shared.user = user;
        shared.client.take().into_iter().for_each(Waker::wake);
    }
}

/// The stream as tokio-postgres uses it.
pub(in crate::sink::connection) struct ClientStream(SharedStream);

impl ClientStream {
    fn poll<T>(
        &self,
        context: &mut Context<'_>,
        operation: impl FnOnce(Pin<&mut dyn Io>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut shared = self.0.shared();
        match shared.user {
            User::Client => {
                let result = operation(Pin::new(&mut *shared.io), context);
                // An exchange replaces the waker that the socket has.
                if result.is_pending() {
                    shared.client = Some(context.waker().clone());
                }
                result
            }
            User::Exchange => {
                shared.client = Some(context.waker().clone());
                Poll::Pending
            }
            User::Nobody => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(context, |io, context| io.poll_read(context, buffer))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(context, |io, context| io.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |io, context| io.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |io, context| io.poll_shutdown(context))
    }
}

impl TlsStream for ClientStream {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.shared().io.channel_binding()
    }
}

/// The stream while an exchange uses it. If it is dropped before it is returned, nobody can use the stream
/// any more.
pub(super) struct Borrowed {
    stream: SharedStream,
    is_returned: bool,
}

impl Borrowed {
    /// One more handle, to read and write at the same time.
    pub(super) fn handle(&self) -> Handle {
        Handle(self.stream.clone())
    }

    /// Returns the stream to tokio-postgres. The server must be ready for a query.
    pub(super) fn give_back(&mut self) {
        self.is_returned = true;
        self.stream.pass_to(User::Client);
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if !self.is_returned {
            self.stream.pass_to(User::Nobody);
        }
    }
}

/// A handle of a borrowed stream.
pub(super) struct Handle(SharedStream);

impl AsyncRead for Handle {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.shared().io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Handle {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.shared().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.shared().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.shared().io).poll_shutdown(context)
    }
}

/// A socket without TLS.
pub(super) struct Plain<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Plain<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_client_reads_only_while_the_stream_is_not_borrowed() {
        let (mut server, socket) = tokio::io::duplex(64);
        let stream = SharedStream::new(Plain(socket));
        let mut client = stream.for_client();
        let mut borrowed = stream.borrow();
        let reading = tokio::spawn(async move { client.read_u8().await.map(|byte| (byte, client)) });
        server.write_all(b"ab").await.unwrap();
        assert_eq!(borrowed.handle().read_u8().await.unwrap(), b'a');
        borrowed.give_back();
        let (byte, mut client) = reading.await.unwrap().unwrap();
        assert_eq!(byte, b'b');
        drop(borrowed);
        client.write_all(b"c").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'c');
    }

    #[tokio::test]
    async fn a_stream_that_is_not_given_back_ends() {
        let (mut server, socket) = tokio::io::duplex(64);
        let stream = SharedStream::new(Plain(socket));
        let mut client = stream.for_client();
        let borrowed = stream.borrow();
        let reading = tokio::spawn(async move { client.read_u8().await });
        drop((borrowed, stream));
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "all handles are dropped");
    }
}
