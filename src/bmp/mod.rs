//! BMP (RFC 7854, 8671, 9069, 9736): bytes to messages.
//!
//! [`frame()`] cuts one message from a byte stream, [`decode`] says what is in it. Nothing is copied but numbers, the
//! BGP PDUs inside stay bytes, and what no RFC defines is kept by its number: an unknown message type, peer type,
//! reason, statistic or TLV is never an error.

mod error;
mod frame;
mod message;
mod mirroring;
mod peer_down;
mod peer_header;
mod peer_up;
mod route_monitoring;
mod statistics;
mod tlv;

pub use error::{Error, FrameError};
pub use frame::{HEADER_BYTES, MESSAGE_BYTES_MAX, frame};
pub use message::{Message, decode};
pub use peer_header::PeerHeader;
pub use statistics::Stat;
pub use tlv::Tlv;
