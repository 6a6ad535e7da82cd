//! Sends the parts of a response, and drops clients that do not read them.

use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::mpsc;

use crate::http::body::Part;

/// Number of bytes that are collected before they are sent, unless they wait for [`TICK`].
const PART_BYTES: usize = 16 << 10;

/// Time after which collected bytes are sent while no further rows arrive.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Time limit for a client to read a part of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a response as a whole, from its first byte.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);

/// Why the rest of a response is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The client has closed the connection, or does not read.
    ClientGone,
    /// The response took too long as a whole.
    Late,
}

/// Sender of a response.
pub(super) struct Output {
    parts: mpsc::Sender<Part>,
    /// Text that is not sent yet.
    pub(super) text: String,
    began: Instant,
}

impl Output {
    pub(super) fn new(parts: mpsc::Sender<Part>) -> Self {
        Self { parts, text: String::new(), began: Instant::now() }
    }

    /// Time since the response began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Sends the collected text if there is enough of it.
    pub(super) async fn send_if_full(&mut self) -> Result<(), Stop> {
        if self.text.len() < PART_BYTES { Ok(()) } else { self.send().await }
    }

    /// Sends the collected text.
    pub(super) async fn send(&mut self) -> Result<(), Stop> {
        if self.elapsed() > RESPONSE_TIMEOUT {
            return Err(Stop::Late);
        }
        if self.parts.is_closed() {
            return Err(Stop::ClientGone);
        }
        if self.text.is_empty() {
            return Ok(());
        }
        let part = Part::Data(Bytes::from(std::mem::take(&mut self.text)));
        self.transfer(part).await
    }

    /// Sends the collected text and the end of the response. A client that does not read them is gone, which
    /// needs no further action.
    pub(super) async fn finish(mut self) {
        let rest = Part::Data(Bytes::from(std::mem::take(&mut self.text)));
        if self.transfer(rest).await.is_ok() {
            self.transfer(Part::End).await.unwrap_or_default();
        }
    }

    async fn transfer(&self, part: Part) -> Result<(), Stop> {
        match tokio::time::timeout(READ_TIMEOUT, self.parts.send(part)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stop::ClientGone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_are_sent_when_they_are_large_or_complete() {
        let (sender, mut parts) = mpsc::channel(4);
        let mut output = Output::new(sender);
        output.text.push_str("few");
        output.send_if_full().await.unwrap();
        assert!(parts.try_recv().is_err());
        output.text.push_str(&"x".repeat(PART_BYTES));
        output.send_if_full().await.unwrap();
        assert!(matches!(parts.try_recv(), Ok(Part::Data(bytes)) if bytes.len() == PART_BYTES + 3));
        output.text.push('y');
        output.finish().await;
        assert!(matches!(parts.try_recv(), Ok(Part::Data(bytes)) if bytes == "y"));
        assert!(matches!(parts.try_recv(), Ok(Part::End)));
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_client_that_is_gone() {
        let (sender, parts) = mpsc::channel(4);
        let mut output = Output::new(sender);
        drop(parts);
        assert_eq!(output.send().await, Err(Stop::ClientGone));
    }
}
