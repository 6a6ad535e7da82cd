//! The replies of `holdfast_merge_peers` and `holdfast_peer_states`: ids of peers, and their state before or
//! after the transaction.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;

use tokio_postgres::types::{FromSql, Type};

use crate::route::Family;
use crate::sink::error::Error;
use crate::sink::transaction::{StoredIncarnation, StoredPeer, StoredPeers};

use super::pipeline::Row;

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
pub(super) fn stored_peers<'a>(rows: impl Iterator<Item = &'a Row>) -> Result<StoredPeers, Error> {
    read(rows).map_err(Error::Connection)
}

fn read<'a>(rows: impl Iterator<Item = &'a Row>) -> io::Result<StoredPeers> {
    let mut peers: HashMap<u32, StoredPeer> = HashMap::new();
    for row in rows {
        let view_index = row.get::<i32>(0, &Type::INT4)?.cast_unsigned();
        let id: i64 = row.get(1, &Type::INT8)?;
        let afi: Option<i32> = row.get(2, &Type::INT4)?;
        let safi: Option<i16> = row.get(3, &Type::INT2)?;
        let session: PostgresMicros = row.get(4, &Type::TIMESTAMPTZ)?;
        let valid_from = StoredIncarnation { session: session.0, generation: row.get(5, &Type::INT8)? };
        let peer_number: i64 = row.get(6, &Type::INT8)?;
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
