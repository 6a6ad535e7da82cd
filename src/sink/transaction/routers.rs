//! The state changes of routers in one transaction, one row per router. Pure.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::route::{
    Batch, EventKind, NAME_MAX_BYTES, Router, TEXT_MAX_BYTES, Timestamp, bounded_name, bounded_texts,
};
use crate::sink::copy::pg_field::replace_nul;

/// The newest session of a router in the transaction.
struct RouterChange {
    router: Router,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// sysName, sysDescr and the other strings of the Initiation message.
    initiation: Option<(String, String, Vec<String>)>,
    /// Time and reason of the end of the session.
    ended: Option<(Timestamp, String)>,
}

/// All routers of one transaction, by name.
#[derive(Default)]
pub(super) struct RouterChanges(HashMap<String, RouterChange>);

impl RouterChanges {
    /// Adds the router of a batch and its session events.
    pub(super) fn push(&mut self, batch: &Batch) {
        let times = batch.groups.iter().map(|group| group.received);
        let mut times = times.chain(batch.events.iter().map(|event| event.received));
        let first = times.next().unwrap_or(batch.router.session);
        let last = times.fold(first, Timestamp::max);
        let name = batch.router.name.clone();
        let change = self.0.entry(name).or_insert_with(|| RouterChange::new(&batch.router, first));
        if batch.router.session > change.router.session {
            *change =
                RouterChange { first_seen: change.first_seen, ..RouterChange::new(&batch.router, first) };
        }
        if batch.router.session < change.router.session {
            return;
        }
        change.last_seen = change.last_seen.max(last);
        for event in &batch.events {
            match &event.kind {
                EventKind::SessionUp { sys_name, sys_descr, information } => {
                    // The event has the whole texts.
                    let sys_name = bounded_name(sys_name.clone(), NAME_MAX_BYTES);
                    let sys_descr = bounded_name(sys_descr.clone(), TEXT_MAX_BYTES);
                    change.initiation = Some((sys_name, sys_descr, bounded_texts(information)));
                }
                EventKind::SessionDown { end } => change.ended = Some((event.received, end.to_string())),
                _ => {}
            }
        }
    }

    /// Returns the argument `routers` of `holdfast_merge_routers`.
    pub(super) fn argument(&self) -> Value {
        let mut routers = self.0.values().map(RouterChange::json).collect();
        replace_nul(&mut routers);
        routers
    }
}

impl RouterChange {
    fn new(router: &Router, first_seen: Timestamp) -> Self {
        Self { router: router.clone(), first_seen, last_seen: first_seen, initiation: None, ended: None }
    }

    fn json(&self) -> Value {
        let initiation = self.initiation.as_ref();
        json!({
            "router": self.router.name,
            "peer_ip": self.router.address,
            "port": self.router.port,
            "session": self.router.session.0,
            "first_seen": self.first_seen.0,
            "last_seen": self.last_seen.0,
            "sys_name": initiation.map(|(name, ..)| name),
            "sys_descr": initiation.map(|(_, descr, _)| descr),
            "information": initiation.map(|(.., information)| information),
            "ended_at": self.ended.as_ref().map(|(at, _)| at.0),
            "end_reason": self.ended.as_ref().map(|(_, reason)| reason),
        })
    }
}
