//! BMP (RFC 7854, 8671, 9069, 9736, 9972; version 4 of draft-ietf-grow-bmp-tlv): bytes to messages.
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
pub use peer_down::peer_down_reason;
pub use peer_header::PeerHeader;
pub use route_monitoring::IndexedTlv;
pub use statistics::{Stat, statistic_name};
pub use tlv::Tlv;
