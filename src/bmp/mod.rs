//! The decoder of BMP (RFC 7854, 8671, 9069, 9736, 9972, and version 4 of draft-ietf-grow-bmp-tlv).
//!
//! [`frame()`] delimits one message in a byte stream, [`decode()`] decodes it. Only numbers are copied; BGP
//! PDUs stay bytes. An unknown message type, peer type, reason, statistic or TLV is not an error: it is kept
//! by its number.

mod decode;
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

pub use decode::decode;
pub use error::Error;
pub use frame::{FrameError, HEADER_BYTES, MESSAGE_BYTES_MAX, frame};
pub use message::{IndexedTlv, Message, PeerUp, Stat};
pub use peer_down::{down_reason_text, peer_down_reason};
pub use peer_header::PeerHeader;
pub use route_monitoring::RouteTlv;
pub use statistics::statistic_name;
pub use tlv::Tlv;
