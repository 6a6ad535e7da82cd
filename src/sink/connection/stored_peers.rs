//! The reply of `holdfast_merge_peers`: ids of peers, and their state before the transaction.

use std::collections::HashMap;
use std::error::Error as StdError;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::route::Family;
use crate::sink::error::Error;
use crate::sink::transaction::{StoredIncarnation, StoredPeer, StoredPeers};

/// A timestamptz in microseconds since 2000. Infinity is `i64::MAX`, minus infinity `i64::MIN`, as on the
/// wire.
struct PostgresMicros(i64);

impl<'a> FromSql<'a> for PostgresMicros {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        i64::from_sql(&Type::INT8, raw).map(Self)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TIMESTAMPTZ
    }
}

/// Reads the rows of `holdfast_merge_peers`.
///
/// A view that existed before the transaction has a row with its old state, and one more for each address
/// family that a sweep has set apart. Every view has one further row. A view with only one row has thus been
/// created just now.
pub(super) fn stored_peers(rows: &[Row]) -> Result<StoredPeers, Error> {
    let mut peers: HashMap<u32, StoredPeer> = HashMap::new();
    for row in rows {
        let view_index = row.try_get::<_, i32>(0)?.cast_unsigned();
        let id: i64 = row.try_get(1)?;
        let (afi, safi): (Option<i32>, Option<i16>) = (row.try_get(2)?, row.try_get(3)?);
        let session: PostgresMicros = row.try_get(4)?;
        let valid_from = StoredIncarnation { session: session.0, generation: row.try_get(5)? };
        let peer_number: i64 = row.try_get(6)?;
        let peer = peers.entry(view_index).and_modify(|peer| peer.is_new = false).or_insert_with(|| {
            let valid_from = StoredIncarnation::BEFORE_ALL;
            StoredPeer { id, peer_number, is_new: true, valid_from, families: Vec::new() }
        });
        match afi.and_then(|afi| u16::try_from(afi).ok()).zip(safi.and_then(|safi| u8::try_from(safi).ok())) {
            Some((afi, safi)) => peer.families.push((Family { afi, safi }, valid_from)),
            None => peer.valid_from = peer.valid_from.max(valid_from),
        }
    }
    Ok(StoredPeers(peers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_infinity_is_before_all() {
        let wire = i64::MIN.to_be_bytes();
        let micros = PostgresMicros::from_sql(&Type::TIMESTAMPTZ, &wire).unwrap();
        assert_eq!(micros.0, StoredIncarnation::BEFORE_ALL.session);
        assert!(!PostgresMicros::accepts(&Type::TIMESTAMP));
    }
}
