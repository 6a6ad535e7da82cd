//! The listener in the status document, and the conditions of connections.

use std::collections::BTreeMap;

use super::health::Condition;
use super::{REFUSAL_REPORTED, Snapshot, seconds, transport};
use crate::listener::{self, NameAlarm, Slots, SourceReport};
use crate::telemetry::status::{Listener, Source};

impl Snapshot {
    /// The state of the listener.
    pub(super) fn listener(&self, slots: &Slots) -> Listener {
        let totals = self.registry.totals();
        let refusals = self.registry.refusals();
        let configured = slots.addresses(|name| self.state.last_address(name));
        let slot_use = self.registry.slot_use(&configured);
        let refused_age = self.observed().refused.age(self.started.elapsed());
        let by_reason = |(reason, count): (&'static str, u64)| (reason.to_owned(), count);
        let source = |SourceReport { source, connections, refused }| Source {
            source: source.to_string(),
            connections,
            refused,
        };
        Listener {
            address: listener::listed(&self.endpoints),
            listening: totals.listening,
            connections: slot_use.connections,
            connections_max: slots.connections_max,
            connections_per_address_max: slots.per_source_max,
            unidentified: slot_use.unidentified,
            reserved: slot_use.reserved,
            accepted: totals.accepted,
            refused: refusals.by_reason.values().sum(),
            refused_age_s: refused_age.map(seconds),
            refused_by: refusals.by_reason.into_iter().map(by_reason).collect(),
            configured_refused: refusals.configured,
            sources: refusals.sources.into_iter().map(source).collect(),
            displaced: totals.displaced,
            not_identified: totals.not_identified,
            accept_errors: totals.accept_errors,
            held_off: totals.held_off,
            hold_offs: totals.hold_offs,
            transport: transport::transport(self.registry.transport()),
        }
    }

    /// The conditions of connections and of the names that routers claim.
    pub(super) fn connection_conditions(&self, listener: &Listener) -> Vec<Condition> {
        let mut conditions = Vec::new();
        if listener.connections >= listener.connections_max {
            conditions.push(Condition::ConnectionsFull(listener.connections_max));
        }
        let configured_age = self.observed().configured_refused.age(self.started.elapsed());
        if configured_age.is_some_and(|age| age < REFUSAL_REPORTED) {
            conditions.push(Condition::ConfiguredRefused(format!(
                "connections of configured routers refused: {} since start, the last one within 10 minutes \
                 (BMP_MAX_CONNECTIONS, BMP_MAX_CONNECTIONS_PER_ADDRESS)",
                listener.configured_refused
            )));
        }
        if listener.refused_age_s.is_some_and(|age| age < REFUSAL_REPORTED.as_secs_f64()) {
            conditions.push(Condition::ConnectionsRefused(refused(listener)));
        }
        conditions.extend(self.registry.name_alarms(REFUSAL_REPORTED).iter().map(name_alarm));
        conditions
    }
}

/// The number of refused connections, by reason, and the source with the most of them.
fn refused(Listener { refused, refused_by, sources, .. }: &Listener) -> String {
    let by_reason = |reasons: &BTreeMap<String, u64>| -> String {
        reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
    };
    let most = sources.first().map_or_else(String::new, |source| {
        format!("; most from {} ({}, {} connected)", source.source, source.refused, source.connections)
    });
    format!(
        "{refused} connections refused since start, the last one within 10 minutes: {}{most}",
        by_reason(refused_by)
    )
}

/// The condition of a router that claimed the name of another address.
fn name_alarm(alarm: &NameAlarm) -> Condition {
    let NameAlarm { name, stored_as, address, other, is_reserved } = alarm;
    if *is_reserved {
        return Condition::NameReserved(format!(
            "{address} claims the name {name}, which belongs to {other}; it is stored as {stored_as}"
        ));
    }
    let denied = if name == stored_as {
        String::new()
    } else {
        format!(", which BMP_ROUTER_MOVES denies; the router at {address} is stored as {stored_as}")
    };
    Condition::RouterMoved(format!("{name} moved from {other} to {address}{denied}"))
}
