//! RIB views whose state in the database is known from the transactions of this connection before.
//!
//! Rows that contain peer ids can only be encoded once these are known. If all RIB views of a transaction are
//! known, its rows are sent together with `holdfast_merge_known_peers`, which fails unless the database has
//! the state that was expected. Otherwise the rows wait for the reply of `holdfast_merge_peers`. Known peers
//! are dropped with the connection, so that after any failure the database is asked again.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tokio_postgres::types::Type;

use crate::num;
use crate::sink::error::Error;
use crate::sink::transaction::{PeerArguments, StoredPeer, StoredPeers};

use super::pipeline::Row;
use super::stored_peers::stored_peers;

/// Largest number of remembered RIB views, which take about 10 MB.
const VIEWS_MAX: usize = 20_000;

/// A RIB view after a transaction.
struct KnownView {
    peer: StoredPeer,
    /// The state as `holdfast_peer_states` returns it.
    state: String,
}

/// RIB views by [`PeerArguments::keys`].
#[derive(Default)]
pub(super) struct KnownPeers(HashMap<String, KnownView>);

/// All RIB views of a transaction, as they are in the database.
pub(super) struct KnownViews {
    /// The peers, by the index of the RIB view.
    pub(super) peers: StoredPeers,
    /// The argument `known` of `holdfast_merge_known_peers`.
    pub(super) states: Value,
}

impl KnownPeers {
    /// Returns the RIB views with these keys, if all of them are known.
    pub(super) fn find(&self, keys: &[String]) -> Option<KnownViews> {
        let (mut peers, mut states) = (HashMap::new(), serde_json::Map::new());
        for (index, key) in (0_u32..).zip(keys) {
            let view = self.0.get(key)?;
            peers.insert(index, view.peer.clone());
            states.insert(index.to_string(), Value::from(view.state.as_str()));
        }
        Some(KnownViews { peers: StoredPeers(peers), states: Value::Object(states) })
    }

    /// Forgets the RIB views of peers, by their numbers.
    pub(super) fn forget(&mut self, peers: &HashSet<i64>) {
        self.0.retain(|_, view| !peers.contains(&view.peer.peer_number));
    }

    /// Remembers the RIB views of a stored transaction. `rows` are the reply of `holdfast_peer_states`.
    ///
    /// A Peer Down or a sweep of the transaction may have changed other RIB views of the same peers, or the
    /// same ones under another identity. These are forgotten.
    pub(super) fn learn<'a>(
        &mut self,
        arguments: &PeerArguments,
        rows: impl Iterator<Item = &'a Row> + Clone,
    ) -> Result<(), Error> {
        let mut states = HashMap::new();
        for row in rows.clone() {
            let index = row.get::<i32>(0, &Type::INT4).map_err(Error::Connection)?.cast_unsigned();
            states.insert(index, row.get::<String>(7, &Type::TEXT).map_err(Error::Connection)?);
        }
        let peers = stored_peers(rows)?.0;
        if arguments.has_changes() {
            let changed: HashSet<i64> = peers.values().map(|peer| peer.peer_number).collect();
            self.forget(&changed);
        }
        for (index, mut peer) in peers {
            let (key, state) = (arguments.keys.get(num::u32_to_usize(index)), states.remove(&index));
            let Some((key, state)) = key.zip(state) else { continue };
            if self.0.len() >= VIEWS_MAX {
                self.0.clear();
            }
            peer.is_new = false;
            self.0.insert(key.clone(), KnownView { peer, state });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::transaction::StoredIncarnation;

    #[test]
    fn a_transaction_is_known_if_all_its_views_are() {
        let valid_from = StoredIncarnation::BEFORE_ALL;
        let peer = StoredPeer { id: 7, peer_number: 1, is_new: false, valid_from, families: Vec::new() };
        let view = KnownView { peer, state: "7 1".to_owned() };
        let known = KnownPeers(HashMap::from([("a".to_owned(), view)]));
        let found = known.find(&["a".to_owned()]).unwrap();
        assert_eq!((found.peers.0[&0].id, found.states), (7, serde_json::json!({"0": "7 1"})));
        assert!(known.find(&["a".to_owned(), "b".to_owned()]).is_none());
        assert!(known.find(&[]).is_some(), "a transaction without peers needs no reply");
    }
}
