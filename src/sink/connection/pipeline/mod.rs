//! Statements and COPY streams that are sent without waiting for the responses before them.
//!
//! tokio-postgres waits for the response to the start of each COPY. The server does not need that: it reads
//! the messages of the extended protocol in turn, and after an error it discards all of them up to the next
//! Sync. So a whole transaction is one sequence of messages, and the client waits only where it needs a
//! reply.
//!
//! ```text
//! client   BEGIN · fence · COPY · rows · … · Flush          advance · COMMIT · Sync
//! server                                        ─► replies                         ─► replies · ready
//! ```
//!
//! tokio-postgres logs in, and remains the client of the connection for all that is not urgent. The stream is
//! shared: while an exchange borrows it, tokio-postgres can neither read nor write.
//!
//! * `quiet_client`: the requests of tokio-postgres that leave nothing behind on the connection
//! * `login`: the connector that negotiates TLS and keeps a handle of the stream
//! * `stream`: the stream that tokio-postgres and an exchange use in turn
//! * `request`: encodes statements and COPY streams
//! * `message`: decodes the messages of the server
//! * `exchange`: sends requests, and reads the replies at the same time

mod exchange;
mod login;
mod message;
mod quiet_client;
mod request;
mod stream;

pub(super) use exchange::Exchange;
pub(super) use login::{Connector, share_unix};
pub(super) use message::Row;
pub(crate) use quiet_client::{QuietClient, Typed};
pub(super) use request::{Request, Statement};
pub(super) use stream::SharedStream;
