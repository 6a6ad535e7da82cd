//! Path markings of single routes (BMP version 4): the rows of a field receive those of their indexes.

use super::{Field, MonitoredUpdate, UpdateRecorder, Verdict, judge};
use crate::bgp::{self, MpReach};
use crate::route::Family;

impl UpdateRecorder<'_> {
    /// Sets the path markings of single routes of a field whose rows were just added.
    #[cold]
    pub(super) fn mark_routes(&mut self, message: &MonitoredUpdate<'_>, field: Field<'_>, rows: u32) {
        let Some(before) = self.routes_before(message, field.bytes) else { return };
        let markings = &message.tlvs.markings;
        let mut applied = 0;
        self.builder.mark(rows, |position| {
            let own = markings.of_route(before.saturating_add(position).saturating_add(1));
            applied += u64::from(own.is_some());
            own.or(markings.all)
        });
        let unapplied = &mut self.counters.route_tlvs.unapplied;
        *unapplied = unapplied.saturating_sub(applied);
    }

    /// Number of routes of the UPDATE before those of a field, in the order of its octets; `None` if they
    /// cannot be counted, because another field is malformed or its encoding is uncertain.
    fn routes_before(&mut self, message: &MonitoredUpdate<'_>, field: &[u8]) -> Option<u32> {
        let update = message.update;
        let withdrawal = |(family, bytes)| Field { family, bytes, is_withdrawal: true };
        let unreach = update.mp_unreach.map(|unreach| (unreach.family, unreach.nlri));
        let reach = update.mp_reach.map(|MpReach { family, nlri, .. }| (family, nlri));
        let reach = reach.map(|(family, bytes)| Field { family, bytes, is_withdrawal: false });
        let earlier =
            [Some(withdrawal((Family::IPV4_UNICAST, update.withdrawn))), unreach.map(withdrawal), reach];
        let mut routes = 0_u32;
        for other in earlier.into_iter().flatten().filter(|other| other.bytes.as_ptr() < field.as_ptr()) {
            let (expectation, history) = self.expectation(message, other.family)?;
            let Verdict::Read(encoding) = judge(other, &expectation, &history) else { return None };
            for route in bgp::nlri(other.family, other.bytes, encoding, other.is_withdrawal) {
                route.ok()?;
                routes = routes.saturating_add(1);
            }
        }
        Some(routes)
    }
}
