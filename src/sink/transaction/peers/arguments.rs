//! The arguments of `holdfast_merge_peers`. Pure.

use serde_json::Value;

use crate::num;

/// JSON arguments of `holdfast_merge_peers`.
pub(crate) struct PeerArguments {
    /// `peers`: one element per RIB view.
    pub(crate) views: Value,
    /// For each RIB view a text that identifies it among those of all transactions. It contains the session,
    /// because zeros in an identity are resolved once per session.
    pub(crate) keys: Vec<String>,
    /// For each RIB view whether all its records are of class bulk.
    pub(super) bulk: Vec<bool>,
    /// `changes`: one element per peer whose state changes.
    pub(crate) states: Value,
    /// `families`: one element per RIB view and address family that changes.
    pub(crate) families: Value,
}

impl PeerArguments {
    /// Whether all records of a RIB view are of class bulk, by the index of the view.
    pub(crate) fn is_bulk(&self, view_index: u32) -> bool {
        self.bulk.get(num::u32_to_usize(view_index)).is_some_and(|is_bulk| *is_bulk)
    }

    /// Whether the state of a peer or of an address family changes.
    pub(crate) fn has_changes(&self) -> bool {
        [&self.states, &self.families]
            .iter()
            .any(|changes| changes.as_array().is_none_or(|of| !of.is_empty()))
    }
}

/// The fields of both objects.
pub(super) fn merged(mut first: Value, mut second: Value) -> Value {
    if let (Some(fields), Some(more)) = (first.as_object_mut(), second.as_object_mut()) {
        fields.append(more);
    }
    first
}
