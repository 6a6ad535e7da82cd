//! Sends requests over a borrowed stream, and reads the replies at the same time.
//!
//! Reading and writing must not wait for each other: the server stops reading while it cannot send, and then
//! both sides would block.
//!
//! ```text
//!   sent      │ section 1 … Sync │ section 2 … Sync │
//!   received        │ replies of 1 … Ready │ replies of 2 …
//! ```
//!
//! The next section can be sent before the replies of the current one are complete. After an error the server
//! discards what follows up to the Sync, and no more.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
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

/// Requests up to a Sync, and their replies.
#[derive(Default)]
struct Section {
    /// Names of the statements that were sent.
    sent: Vec<&'static str>,
    replies: Vec<Reply>,
    /// Rows of the statement that has not replied yet.
    rows: Vec<Row>,
    /// Parameter types of prepared statements.
    parameters: Vec<Vec<Type>>,
    /// The first error, after which the server discards all further messages of the section.
    error: Option<ErrorReply>,
    is_ready: bool,
}

/// Requests in sections, and their replies.
///
/// The methods that wait or return replies are about the first section, those that send about the last one.
/// If an exchange is dropped before all sections have ended, the connection is closed.
pub(in crate::sink::connection) struct Exchange {
    stream: Borrowed,
    reader: Handle,
    writer: Handle,
    input: BytesMut,
    /// What is still to be written.
    output: VecDeque<Bytes>,
    must_flush: bool,
    current: Section,
    /// Sections that were begun after the current one.
    later: VecDeque<Section>,
    /// An error that the server has sent without a request, before it closes the connection.
    farewell: Option<ErrorReply>,
}

impl Exchange {
    /// Begins an exchange with one section. tokio-postgres must have no pending request on the stream.
    pub(in crate::sink::connection) fn begin(stream: &SharedStream) -> Self {
        let stream = stream.borrow();
        let (reader, writer) = (stream.handle(), stream.handle());
        Self {
            stream,
            reader,
            writer,
            input: BytesMut::new(),
            output: VecDeque::new(),
            must_flush: false,
            current: Section::default(),
            later: VecDeque::new(),
            farewell: None,
        }
    }

    /// Begins a section after the last one, which must have been ended by [`Self::sync`].
    pub(in crate::sink::connection) fn begin_section(&mut self) {
        self.later.push_back(Section::default());
    }

    /// Sends a request, without waiting for its replies.
    ///
    /// # Errors
    /// The connection is lost. An error reply is not returned yet.
    pub(in crate::sink::connection) async fn send(&mut self, request: Request) -> Result<(), Error> {
        self.queue(request);
        while !self.output.is_empty() || self.must_flush {
            self.progress().await?;
        }
        Ok(())
    }

    /// Begins to send a request, which continues whenever the exchange waits for something.
    pub(in crate::sink::connection) fn queue(&mut self, request: Request) {
        let section = self.later.back_mut().unwrap_or(&mut self.current);
        let (parts, statements) = request.into_parts();
        section.sent.extend(statements);
        self.output.extend(parts.into_iter().filter(|part| !part.is_empty()));
        self.must_flush = true;
    }

    /// Waits for something else, and reads and writes meanwhile.
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
                progress = self.progress() => progress?,
            }
        }
    }

    /// Waits for the reply to a statement. The server must have been asked to send it.
    ///
    /// # Errors
    /// A statement failed, or the connection is lost.
    pub(in crate::sink::connection) async fn wait_for(&mut self, statement: &Statement) -> Result<(), Error> {
        while self.current.error.is_none() && self.replies_of(statement.name()).next().is_none() {
            self.progress().await?;
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
        while self.current.error.is_none() && self.current.replies.len() < self.current.sent.len() {
            self.progress().await?;
        }
        self.check()
    }

    /// Ends the last section: begins to send its Sync.
    pub(in crate::sink::connection) fn sync(&mut self) {
        let mut request = Request::default();
        request.sync();
        self.queue(request);
    }

    /// Waits for all replies of the section, whose Sync was sent. Can be cancelled.
    ///
    /// # Errors
    /// A statement failed, or the connection is lost.
    pub(in crate::sink::connection) async fn ready(&mut self) -> Result<(), Error> {
        while !self.current.is_ready {
            self.progress().await?;
        }
        self.check()
    }

    /// Reads and writes for as long as the connection lasts.
    pub(in crate::sink::connection) async fn keep_going(&mut self) {
        while self.progress().await.is_ok() {}
    }

    /// Ends the exchange of a single section and waits for all replies. The server is then ready for another
    /// one, also after an error reply.
    ///
    /// # Errors
    /// A statement failed, or the connection is lost.
    pub(in crate::sink::connection) async fn finish(&mut self) -> Result<(), Error> {
        self.sync();
        while !self.current.is_ready || self.is_within_message() {
            self.progress().await?;
        }
        self.stream.give_back();
        self.check()
    }

    /// Passes to the next section, once the current one is ready. Returns `None` if there is none: the
    /// exchange has ended.
    ///
    /// # Errors
    /// The connection is lost.
    pub(in crate::sink::connection) async fn into_next(mut self) -> Result<Option<Self>, Error> {
        if let Some(next) = self.later.pop_front() {
            self.current = next;
            return Ok(Some(self));
        }
        while self.is_within_message() {
            self.progress().await?;
        }
        self.stream.give_back();
        Ok(None)
    }

    /// Whether the start of a message has been read, which tokio-postgres would miss.
    fn is_within_message(&self) -> bool {
        !self.input.is_empty()
    }

    /// Number of rows that the executions of a statement have affected.
    pub(in crate::sink::connection) fn affected(&self, statement: &'static str) -> u64 {
        self.replies_of(statement).map(|reply| reply.affected).sum()
    }

    /// Rows that the executions of a statement have returned.
    pub(in crate::sink::connection) fn rows(
        &self,
        statement: &Statement,
    ) -> impl Iterator<Item = &Row> + Clone {
        self.replies_of(statement.name()).flat_map(|reply| &reply.rows)
    }

    /// Parameter types of the prepared statements, in their order.
    pub(in crate::sink::connection) fn into_parameters(self) -> Vec<Vec<Type>> {
        self.current.parameters
    }

    /// Whether the first error is that of this statement.
    pub(in crate::sink::connection) fn has_failed(&self, statement: &Statement) -> bool {
        let failed = self.current.sent.get(self.current.replies.len());
        self.current.error.is_some() && failed == Some(&statement.name())
    }

    fn replies_of(&self, name: &'static str) -> impl Iterator<Item = &Reply> + Clone {
        self.current.replies.iter().filter(move |reply| reply.statement == name)
    }

    fn check(&self) -> Result<(), Error> {
        self.current.error.clone().map_or(Ok(()), |error| Err(Error::Reply(error)))
    }

    /// Reads or writes once, and decodes the messages that are complete. Can be cancelled.
    async fn progress(&mut self) -> Result<(), Error> {
        self.input.reserve(READ_BYTES);
        while self.output.front().is_some_and(Bytes::is_empty) {
            self.output.pop_front();
        }
        let (must_flush, output) = (self.must_flush, &mut self.output);
        let written = async {
            match output.front_mut() {
                Some(part) => self.writer.write_buf(part).await.map(|_| true),
                None => self.writer.flush().await.map(|()| false),
            }
        };
        tokio::select! {
            biased;
            read = self.reader.read_buf(&mut self.input) => {
                if let Some(error) = read.map_or_else(Some, |bytes| (bytes == 0).then(unexpected_end)) {
                    return Err(self.closed(error));
                }
                while let Some(message) = next_message(&mut self.input).map_err(Error::Connection)? {
                    self.receive(message)?;
                }
                Ok(())
            }
            written = written, if must_flush => match written {
                Ok(has_more) => {
                    self.must_flush = has_more;
                    Ok(())
                }
                Err(error) => {
                    self.output.clear();
                    self.must_flush = false;
                    Err(self.lost(error).await)
                }
            },
        }
    }

    fn receive(&mut self, message: Message) -> Result<(), Error> {
        let section =
            [&mut self.current].into_iter().chain(&mut self.later).find(|section| !section.is_ready);
        let Some(section) = section else {
            if let Message::Error(error) = message {
                self.farewell = Some(error);
            }
            return Ok(());
        };
        match message {
            Message::Row(row) => section.rows.push(row),
            Message::Complete(affected) => {
                let Some(&statement) = section.sent.get(section.replies.len()) else {
                    let error = "a reply to a statement that was not sent";
                    return Err(Error::Connection(io::Error::new(io::ErrorKind::InvalidData, error)));
                };
                let rows = std::mem::take(&mut section.rows);
                section.replies.push(Reply { statement, rows, affected });
            }
            Message::Parameters(types) => section.parameters.push(types),
            Message::Error(error) => drop(section.error.get_or_insert(error)),
            Message::Ready => section.is_ready = true,
            Message::Other => {}
        }
        Ok(())
    }

    /// The reason why the server has closed the connection: an error reply that it has sent before, or the
    /// error of reading.
    fn closed(&self, error: io::Error) -> Error {
        let open = [&self.current].into_iter().chain(&self.later).find(|section| !section.is_ready);
        let reply = open.and_then(|section| section.error.clone()).or_else(|| self.farewell.clone());
        reply.map_or(Error::Connection(error), Error::Reply)
    }

    /// The reason why the connection is lost after an error of writing.
    async fn lost(&mut self, error: io::Error) -> Error {
        loop {
            self.input.reserve(READ_BYTES);
            match self.reader.read_buf(&mut self.input).await {
                Ok(1..) => {}
                _ => return self.closed(error),
            }
            while let Ok(Some(message)) = next_message(&mut self.input) {
                if let Err(error) = self.receive(message) {
                    return error;
                }
            }
        }
    }
}

fn unexpected_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}
