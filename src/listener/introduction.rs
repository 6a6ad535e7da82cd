//! Introduction of a router: the name under which it is stored, its tracked peers, and its overrides.

use std::sync::Arc;

use super::registry::{Claim, ClaimedName, SessionEntry};
use super::shared::Shared;
use crate::session::{Introduce, Introduced, Overrides};

/// Returns the callback that claims a router's name for the session and looks up the router's tracked peers
/// and overrides. `assigned` is the router's name by its certificate or by the configuration.
pub(super) fn introduce(shared: &Arc<Shared>, entry: &SessionEntry, assigned: Option<String>) -> Introduce {
    let (shared, session) = (Arc::clone(shared), entry.session());
    Box::new(move |claimed| {
        let options = shared.options();
        let names = &options.router_names;
        let claim = shared.registry.claim(
            session,
            ClaimedName {
                name: claimed,
                is_assigned: assigned.as_deref() == Some(claimed),
                owner: names.iter().find(|(_, name)| *name == claimed).map(|(owner, _)| *owner),
                last_address: shared.state.last_address(claimed),
                moves_denied: options.moves_denied,
            },
        );
        report(claimed, &claim);
        let name = claim.name().to_owned();
        let prior = shared.state.peers(&name);
        let overrides = options.overrides.get(&name).cloned().unwrap_or_default();
        if overrides != Overrides::default() {
            tracing::info!(router = name, overrides = %overrides, "router_overrides");
        }
        Introduced { name, prior, overrides }
    })
}

/// Logs a claim that an operator should know of. The router's address is a field of the span.
fn report(claimed: &str, claim: &Claim) {
    match claim {
        Claim::Exclusive(_) => {}
        Claim::Overlapping(name) => tracing::warn!(router = name, "router_session_overlaps"),
        Claim::Conflicting(stored_as) => {
            tracing::error!(router = claimed, stored_as, "router_name_conflict");
        }
        Claim::Reserved { stored_as, owner } => {
            tracing::error!(router = claimed, stored_as, %owner, "router_name_reserved");
        }
        Claim::Moved { stored_as, from } if stored_as == claimed => {
            tracing::warn!(router = claimed, stored_as, %from, "router_moved");
        }
        Claim::Moved { stored_as, from } => {
            tracing::error!(router = claimed, stored_as, %from, "router_moved");
        }
    }
}
