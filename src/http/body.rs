//! The body of a response: complete, or sent in parts as they are computed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::Full;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Maximum number of parts that wait for the client. The sender waits when there are more.
const PARTS_MAX: usize = 4;

/// A part of a streamed body.
pub(super) enum Part {
    /// The next bytes.
    Data(Bytes),
    /// The body is complete.
    End,
}

/// The body of a response.
pub(super) enum Body {
    /// All bytes are known.
    Whole(Full<Bytes>),
    /// The parts arrive one by one. If their sender is dropped before [`Part::End`], the connection is closed
    /// before the last chunk, which the client reports as an error.
    Streamed(mpsc::Receiver<Part>),
}

/// A streamed body ended before it was complete.
#[derive(Debug)]
pub(super) struct Incomplete;

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the response could not be completed")
    }
}

impl std::error::Error for Incomplete {}

impl Body {
    /// A streamed body and the sender of its parts.
    pub(super) fn streamed() -> (mpsc::Sender<Part>, Self) {
        let (sender, parts) = mpsc::channel(PARTS_MAX);
        (sender, Self::Streamed(parts))
    }
}

impl From<Full<Bytes>> for Body {
    fn from(whole: Full<Bytes>) -> Self {
        Self::Whole(whole)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Incomplete;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Incomplete>>> {
        match self.get_mut() {
            // The error of a complete body is uninhabited.
            Self::Whole(whole) => {
                Pin::new(whole).poll_frame(context).map(|frame| frame.map(|it| it.map_err(|_| Incomplete)))
            }
            Self::Streamed(parts) => Poll::Ready(match ready!(parts.poll_recv(context)) {
                Some(Part::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Part::End) => None,
                None => Some(Err(Incomplete)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
