//! Rows that rows of `route_records` refer to: attribute sets and incarnations, each once per transaction.
//! Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use bytes::Bytes;

use crate::route::Timestamp;
use crate::sink::copy::pg_field as field;
use crate::sink::copy::{Reserved as _, TableBuffer, columns};

use super::error::{EncodeError, part};

/// Key of an attribute set or of an incarnation.
pub(super) type RowHash = [u8; 16];

const WEEK_MICROS: i64 = 7 * 86_400_000_000;

/// Start of the week of a record, as `holdfast_week` computes it.
fn week(received: Timestamp) -> Timestamp {
    Timestamp(received.0.div_euclid(WEEK_MICROS).saturating_mul(WEEK_MICROS))
}

/// A use of an attribute set by a history row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetUse {
    pub(super) hash: RowHash,
    /// Time of the record.
    pub(super) received: Timestamp,
}

/// The attribute sets of a transaction, and the weeks in which stored history rows use them.
#[derive(Default)]
pub(crate) struct AttributeSets {
    /// Encoded columns of all sets, without the hash.
    bytes: Vec<u8>,
    sets: HashMap<RowHash, AttributeSet>,
}

/// The range refers to [`AttributeSets::bytes`].
struct AttributeSet {
    columns: Range<usize>,
    weeks: Vec<Timestamp>,
}

impl AttributeSets {
    /// Adds a set, unless the transaction has it.
    pub(super) fn add(&mut self, hash: RowHash, columns: &[u8]) {
        if let Entry::Vacant(vacant) = self.sets.entry(hash) {
            let start = self.bytes.len();
            self.bytes.reserved().extend_from_slice(columns);
            vacant.insert(AttributeSet { columns: start..self.bytes.len(), weeks: Vec::new() });
        }
    }

    /// Appends the encoded columns of a set; NULL in all of them for `None`.
    pub(super) fn append_columns(&self, hash: Option<RowHash>, out: &mut Vec<u8>) {
        let set = hash.and_then(|hash| self.sets.get(&hash));
        match set.and_then(|set| self.bytes.get(set.columns.clone())) {
            Some(columns) => out.extend_from_slice(columns),
            None => columns::ATTRIBUTES.iter().chain(columns::MARKING).for_each(|_| field::null(out)),
        }
    }

    /// Notes that a history row refers to a set.
    pub(super) fn note(&mut self, used: SetUse) {
        let week = week(used.received);
        if let Some(set) = self.sets.get_mut(&used.hash)
            && !set.weeks.contains(&week)
        {
            set.weeks.push(week);
        }
    }

    /// Memory of the encoded sets, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the rows of `staged_attributes`: one for each week in which history refers to the set, `uses`
    /// included, and one without a week for a set that only the current table refers to.
    pub(crate) fn rows(&self, uses: &[SetUse]) -> Result<Bytes, EncodeError> {
        let mut more: HashMap<RowHash, Vec<Timestamp>> = HashMap::new();
        for used in uses {
            let (weeks, week) = (more.entry(used.hash).or_default(), week(used.received));
            if !weeks.contains(&week) {
                weeks.push(week);
            }
        }
        let mut out = TableBuffer::large();
        let mut sets: Vec<_> = self.sets.iter().collect();
        sets.sort_unstable_by_key(|(hash, _)| **hash);
        for (hash, set) in sets {
            let columns = part(&self.bytes, &set.columns)?;
            let later = more.get(hash).into_iter().flatten().filter(|week| !set.weeks.contains(week));
            let mut weeks = set.weeks.iter().chain(later).copied().peekable();
            if weeks.peek().is_none() {
                append_set(&mut out, None, *hash, columns);
            }
            weeks.for_each(|week| append_set(&mut out, Some(week), *hash, columns));
        }
        Ok(out.finish().bytes)
    }
}

fn append_set(out: &mut TableBuffer, week: Option<Timestamp>, hash: RowHash, columns: &[u8]) {
    field::row(&mut out.bytes, columns::count(columns::ATTRIBUTE_SETS));
    field::optional(&mut out.bytes, week, field::timestamp);
    field::uuid(&mut out.bytes, hash);
    out.bytes.extend_from_slice(columns);
    out.rows += 1;
}

/// The incarnations of a transaction.
#[derive(Default)]
pub(super) struct Incarnations(HashMap<RowHash, (Vec<u8>, Timestamp)>);

impl Incarnations {
    /// Adds an incarnation with its encoded columns, unless the transaction has it.
    pub(super) fn add(&mut self, id: RowHash, columns: &[u8]) {
        self.0.entry(id).or_insert_with(|| (columns.to_vec(), Timestamp(i64::MIN)));
    }

    /// Notes that a history row of this time refers to an incarnation.
    pub(super) fn note(&mut self, id: RowHash, received: Timestamp) {
        if let Some((_, used_at)) = self.0.get_mut(&id) {
            *used_at = (*used_at).max(received);
        }
    }

    /// Returns the rows of `staged_incarnations`.
    pub(super) fn rows(self) -> Bytes {
        let mut out = TableBuffer::default();
        let mut incarnations: Vec<_> = self.0.into_iter().collect();
        incarnations.sort_unstable_by_key(|(id, _)| *id);
        for (id, (columns, used_at)) in incarnations {
            field::row(&mut out.bytes, columns::count(columns::INCARNATIONS));
            field::uuid(&mut out.bytes, id);
            out.bytes.extend_from_slice(&columns);
            field::timestamp(&mut out.bytes, used_at);
            out.rows += 1;
        }
        out.finish().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weeks of the rows, in microseconds since 2000; `None` without a week.
    fn weeks(bytes: &[u8]) -> Vec<Option<i64>> {
        let mut rest = bytes.get(19..).unwrap_or_default();
        let mut weeks = Vec::new();
        while let Some(after) = rest.strip_prefix(&[0, 27]) {
            let (length, value) = after.split_at(4);
            let length = usize::try_from(i32::from_be_bytes(length.try_into().unwrap())).ok();
            weeks.push(length.map(|_| i64::from_be_bytes(value[..8].try_into().unwrap())));
            rest = &value[length.unwrap_or_default() + 20..];
        }
        weeks
    }

    #[test]
    fn a_set_has_one_row_for_each_week_in_which_history_refers_to_it() {
        let used = |hash, days: i64| SetUse { hash: [hash; 16], received: Timestamp(days * WEEK_MICROS / 7) };
        let mut sets = AttributeSets::default();
        for hash in [1, 2, 3] {
            sets.add([hash; 16], &[]);
        }
        [used(1, 1), used(1, 6), used(1, 7), used(9, 1)].iter().for_each(|used| sets.note(*used));
        let rows = sets.rows(&[used(1, 13), used(1, 15), used(2, -1)]).unwrap();
        let week = |number: i64| Some(field::postgres_micros(Timestamp(number * WEEK_MICROS)));
        assert_eq!(weeks(&rows), [week(0), week(1), week(2), week(-1), None]);
    }
}
