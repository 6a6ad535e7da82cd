//! Sends requests over a borrowed stream, and reads the replies at the same time.
//!
//! Reading and writing must not wait for each other: the server stops reading while it cannot send, and then
//! both sides would block.

use std::io;
use std::pin::pin;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::types::Type;

use crate::sink::error::Error;
use crate::sink::error_reply::ErrorReply;

use super::message::{Message, Row, next_message};
use super::request::{Request, Statement};
use super::stream::{Borrowed, Handle, SharedStream};

/// Bytes that are read at a time.
const READ_BYTES: usize = 16 << 10;

/// The reply to one statement.
struct Reply {
    statement: &'static str,
    rows: Vec<Row>,
    affected: u64,
}

/// Requests up to the Sync that ends them, and their replies.
///
/// If it is dropped before [`Self::finish`] has returned, the connection is closed.
pub(in crate::sink::connection) struct Exchange {
    stream: Borrowed,
    reader: Handle,
    input: BytesMut,
    /// Names of the statements that were sent.
    sent: Vec<&'static str>,
    replies: Vec<Reply>,
    /// Rows of the statement that has not replied yet.
    rows: Vec<Row>,
    /// Parameter types of prepared statements.
    parameters: Vec<Vec<Type>>,
    /// The first error, after which the server discards all further messages.
    error: Option<ErrorReply>,
    /// Whether a COPY was sent since the last call of [`Self::settle`].
    has_unconfirmed_rows: bool,
    is_ready: bool,
}

impl Exchange {
    /// Begins an exchange. tokio-postgres must have no pending request on the stream.
    pub(in crate::sink::connection) fn begin(stream: &SharedStream) -> Self {
        let stream = stream.borrow();
        let reader = stream.handle();
        Self {
            stream,
            reader,
            input: BytesMut::new(),
            sent: Vec::new(),
            replies: Vec::new(),
            rows: Vec::new(),
            parameters: Vec::new(),
            error: None,
            has_unconfirmed_rows: false,
            is_ready: false,
        }
    }

    /// Sends a request, without waiting for its replies.
    ///
    /// # Errors
    /// The connection is lost. An error reply is not returned yet.
    pub(in crate::sink::connection) async fn send(&mut self, request: Request) -> Result<(), Error> {
        self.has_unconfirmed_rows |= request.has_rows();
        let (parts, statements) = request.into_parts();
        self.sent.extend(statements);
        let mut writer = self.stream.handle();
        let writing = async move {
            for part in parts {
                writer.write_all(&part).await?;
            }
            writer.flush().await
        };
        match self.while_reading(writing).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(error).await),
        }
    }

    /// Waits for something else, and reads the replies meanwhile.
    ///
    /// # Errors
    /// The connection is lost.
    pub(in crate::sink::connection) async fn while_reading<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                read = self.read() => read?,
            }
        }
    }

    /// Waits for the reply to a statement. The server must have been asked to send it.
    ///
    /// # Errors
    /// A statement failed, or the connection is lost.
    pub(in crate::sink::connection) async fn wait_for(&mut self, statement: &Statement) -> Result<(), Error> {
        while self.error.is_none() && self.replies_of(statement).next().is_none() {
            self.read().await?;
        }
        self.check()
    }

    /// Waits for the replies to all statements that were sent.
    ///
    /// # Errors
    /// One of them failed, or the connection is lost.
    pub(in crate::sink::connection) async fn settle(&mut self) -> Result<(), Error> {
        let mut request = Request::default();
        request.flush();
        self.send(request).await?;
        while self.error.is_none() && self.replies.len() < self.sent.len() {
            self.read().await?;
        }
        self.has_unconfirmed_rows = false;
        self.check()
    }

    /// Ends the exchange and waits for all replies. The server is then ready for another one, also after an
    /// error reply.
    ///
    /// # Errors
    /// A statement failed, or the connection is lost.
    pub(in crate::sink::connection) async fn finish(&mut self) -> Result<(), Error> {
        let mut request = Request::default();
        request.sync();
        self.send(request).await?;
        // The start of a message that follows would be lost for tokio-postgres.
        while !self.is_ready || !self.input.is_empty() {
            self.read().await?;
        }
        self.stream.give_back();
        self.check()
    }

    /// Whether the numbers of rows that the server has stored are not all known.
    pub(in crate::sink::connection) const fn has_unconfirmed_rows(&self) -> bool {
        self.has_unconfirmed_rows
    }

    /// Number of rows that the executions of a statement have affected.
    pub(in crate::sink::connection) fn affected(&self, statement: &Statement) -> u64 {
        self.replies_of(statement).map(|reply| reply.affected).sum()
    }

    /// Rows that the executions of a statement have returned.
    pub(in crate::sink::connection) fn rows(
        &self,
        statement: &Statement,
    ) -> impl Iterator<Item = &Row> + Clone {
        self.replies_of(statement).flat_map(|reply| &reply.rows)
    }

    /// Parameter types of the prepared statements, in their order.
    pub(in crate::sink::connection) fn into_parameters(self) -> Vec<Vec<Type>> {
        self.parameters
    }

    /// Whether the first error is that of this statement.
    pub(in crate::sink::connection) fn has_failed(&self, statement: &Statement) -> bool {
        self.error.is_some() && self.sent.get(self.replies.len()) == Some(&statement.name())
    }

    fn replies_of(&self, statement: &Statement) -> impl Iterator<Item = &Reply> + Clone {
        let name = statement.name();
        self.replies.iter().filter(move |reply| reply.statement == name)
    }

    fn check(&self) -> Result<(), Error> {
        self.error.clone().map_or(Ok(()), |error| Err(Error::Reply(error)))
    }

    /// Reads once, and decodes the messages that are complete. Can be cancelled.
    async fn read(&mut self) -> Result<(), Error> {
        self.input.reserve(READ_BYTES);
        let read = self.reader.read_buf(&mut self.input).await;
        if let Some(error) = read.map_or_else(Some, |bytes| (bytes == 0).then(unexpected_end)) {
            return Err(self.error.take().map_or(Error::Connection(error), Error::Reply));
        }
        while let Some(message) = next_message(&mut self.input).map_err(Error::Connection)? {
            self.receive(message)?;
        }
        Ok(())
    }

    fn receive(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Row(row) => self.rows.push(row),
            Message::Complete(affected) => {
                let Some(&statement) = self.sent.get(self.replies.len()) else {
                    let error = "a reply to a statement that was not sent";
                    return Err(Error::Connection(io::Error::new(io::ErrorKind::InvalidData, error)));
                };
                let rows = std::mem::take(&mut self.rows);
                self.replies.push(Reply { statement, rows, affected });
            }
            Message::Parameters(types) => self.parameters.push(types),
            Message::Error(error) => drop(self.error.get_or_insert(error)),
            Message::Ready => self.is_ready = true,
            Message::Other => {}
        }
        Ok(())
    }

    /// The reason why the connection is lost: an error reply that the server has sent before it closed the
    /// connection, or the error of writing.
    async fn lost(&mut self, error: io::Error) -> Error {
        loop {
            match self.read().await {
                Ok(()) => {}
                Err(Error::Connection(_)) => return Error::Connection(error),
                Err(reply) => return reply,
            }
        }
    }
}

fn unexpected_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}
