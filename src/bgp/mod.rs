//! BGP (RFC 4271, 4760 and others): one PDU to routes and attributes.
//!
//! ```text
//! split(pdu) ─► Update ─┬─ key()          which attribute set this is, as bytes: the hot path stops here
//!                       ├─ attributes()   the set, decoded (once per set), with a verdict by RFC 7606
//!                       └─ nlri()         the routes of one field, one by one
//! open(pdu)  ─► Open ───── negotiate()    how the UPDATEs of the session are to be read
//! ```
//!
//! What the session negotiated comes in as arguments; nothing here remembers anything. What the router sent is
//! stored, not judged: only a malformed *encoding* gets a verdict.

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
pub use attributes::{Verdict, as_path_width_fits, attributes};
pub use capability::{AddPath, Capability, capability};
pub use error::Error;
pub use family_set::FamilySet;
pub use header::HEADER_BYTES;
pub use mp::{MpReach, MpUnreach};
pub use negotiate::{Direction, Negotiated, negotiate};
pub use nlri::{Encoding, NlriIter, nlri, nlri_convincing, nlri_plausible};
pub use open::{Open, open};
pub use update::{Update, split};
