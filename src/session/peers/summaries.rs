//! The state of the peers for operators.

use super::PeerState;
use super::views::{FamilyState, ViewState};
use crate::session::summary::{FamilySummary, PeerSummary, ViewSummary};

impl From<&PeerState> for PeerSummary {
    fn from(state: &PeerState) -> Self {
        let family = |family: &FamilyState| FamilySummary {
            family: family.family,
            announced: family.announced,
            withdrawn: family.withdrawn,
            end_of_rib: family.end_of_rib,
            suspect: family.is_suspect(),
            awaits_sweep: state.has_earlier_routes && !family.swept,
        };
        let view = |view: &ViewState| ViewSummary {
            view: view.view,
            families: view.families().iter().map(family).collect(),
        };
        Self {
            key: state.identity.key,
            asn: state.identity.asn,
            bgp_id: state.identity.bgp_id,
            table_name: state.table_name.clone(),
            up: state.up,
            up_since: state.up_since,
            negotiated: state.capabilities.families.iter().collect(),
            generation: state.generation,
            messages: state.messages,
            errors: state.errors,
            downs: state.downs,
            opens: state.history.opens(),
            last_downs: state.history.downs(),
            last_message: state.last_message,
            views: state.views.iter().map(view).collect(),
        }
    }
}
