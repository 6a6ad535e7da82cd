//! Route Monitoring PDUs that are held until a later message decides how they are decoded.

use super::memory_budget::Reservation;
use crate::route::Timestamp;

/// A held PDU with everything that its rows need.
pub(super) struct HeldPdu {
    /// Number of the message among those of its peer, from 1.
    pub(super) number: u64,
    /// The BGP UPDATE.
    pub(super) pdu: Box<[u8]>,
    /// Time of reception.
    pub(super) received: Timestamp,
    /// Time in the per-peer header; 0 if absent.
    pub(super) router_time: Timestamp,
    /// AS number width that the message announced: four octets or two.
    pub(super) four_octet_as: bool,
    /// The memory of this value.
    _reservation: Reservation,
}

impl HeldPdu {
    /// Memory in bytes that holding a PDU takes.
    pub(super) const fn memory_bytes(pdu: &[u8]) -> usize {
        pdu.len() + size_of::<Self>()
    }

    /// Copies a PDU. `reservation` covers [`HeldPdu::memory_bytes`].
    pub(super) fn new(
        number: u64,
        pdu: &[u8],
        (received, router_time): (Timestamp, Timestamp),
        four_octet_as: bool,
        reservation: Reservation,
    ) -> Self {
        Self { number, pdu: pdu.into(), received, router_time, four_octet_as, _reservation: reservation }
    }
}
