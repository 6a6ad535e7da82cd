//! A set of address families.

use crate::route::Family;

/// A few families. A session has one or two with ADD-PATH, so the set is a short sorted row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FamilySet(Vec<Family>);

impl FamilySet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// True when `family` is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, family: Family) -> bool {
        self.0.contains(&family)
    }

    /// Puts `family` in.
    pub fn insert(&mut self, family: Family) {
        if let Err(place) = self.0.binary_search(&family) {
            self.0.insert(place, family);
        }
    }

    /// True when nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The families, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Family> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::new();
        families.into_iter().for_each(|family| set.insert(family));
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
