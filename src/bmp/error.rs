//! Errors of decoding BMP messages.

use super::FrameError;
use crate::wire;

/// A message cannot be decoded. The next one can: framing does not depend on the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The common header is invalid.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A field extends beyond its parent, or bytes are left after its end.
    #[error("{0}")]
    Wire(#[from] wire::Error),
}
