//! Sets of address families.

use crate::route::Family;

/// A set of address families, as a sorted vector: a session negotiates ADD-PATH for one or two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilySet(Vec<Family>);

impl FamilySet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// True if the set contains `family`.
    #[inline]
    #[must_use]
    pub fn contains(&self, family: Family) -> bool {
        self.0.contains(&family)
    }

    /// Adds `family`, if it is not in the set already.
    pub fn insert(&mut self, family: Family) {
        if let Err(index) = self.0.binary_search(&family) {
            self.0.insert(index, family);
        }
    }

    /// True if the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of families in the set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The families, ordered by AFI and SAFI.
    pub fn iter(&self) -> impl Iterator<Item = Family> + '_ {
        self.0.iter().copied()
    }
}

impl Extend<Family> for FamilySet {
    fn extend<I: IntoIterator<Item = Family>>(&mut self, families: I) {
        families.into_iter().for_each(|family| self.insert(family));
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::new();
        set.extend(families);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_in_the_set_once() {
        let set: FamilySet = [Family::EVPN, Family::IPV4_UNICAST, Family::EVPN].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Family::IPV4_UNICAST, Family::EVPN]);
        assert!(set.contains(Family::EVPN) && !set.contains(Family::IPV6_UNICAST));
        assert!(!set.is_empty() && FamilySet::new().is_empty());
    }
}
