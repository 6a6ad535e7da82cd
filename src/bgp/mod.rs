//! BGP (RFC 4271, RFC 4760 and others): decodes one message into routes and attributes.
//!
//! ```text
//! split(pdu) ─► Update ─┬─ key()          bytes that identify the attribute set without decoding it
//!                       ├─ attributes()   the decoded attribute set and its error handling by RFC 7606
//!                       └─ nlri()         the routes of one field, one by one
//! open(pdu)  ─► Open ───── negotiate()    the encoding of the UPDATEs of the session
//! ```
//!
//! `attributes/NAME.rs` decodes the types of `route/attributes/NAME.rs`, and `nlri/NAME.rs` those of
//! `route/nlri/NAME.rs`.
//!
//! The functions are stateless: negotiated parameters are arguments. Attributes are stored as the router sent
//! them; only a malformed encoding leads to an error.

mod address;
mod attribute_bytes;
mod attributes;
mod capability;
mod capability_text;
mod error;
mod family_set;
mod header;
mod mp;
mod negotiate;
mod nlri;
mod open;
mod update;

pub use attribute_bytes::{Attribute, AttributeBytes, AttributeIter};
pub use attributes::{AttributeOutcome, as_path_width_fits, attributes};
pub use capability::{AddPath, Capability, capability};
pub use error::Error;
pub use family_set::FamilySet;
pub use header::HEADER_BYTES;
pub use mp::{MpReach, MpUnreach};
pub use negotiate::{Direction, Negotiated, negotiate};
pub use nlri::{Encoding, NlriIter, nlri, nlri_convincing, nlri_plausible};
pub use open::{Open, open};
pub use update::{Update, split};
