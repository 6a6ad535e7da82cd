//! What the operator knows better than a router says: how to read what it sends.

use crate::route::Family;

/// Settings for one router. What is not set is decided by the OPENs, and by evidence where they are wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// AS numbers in AS_PATH and AGGREGATOR have four octets, or two.
    pub four_octet_as: Option<bool>,
    /// Routes of a family, or of all, carry path identifiers or do not. The first that fits counts.
    pub add_path: Vec<(Option<Family>, bool)>,
}

impl Overrides {
    /// What is set for the path identifiers of a family.
    #[must_use]
    pub fn add_path_of(&self, family: Family) -> Option<bool> {
        let fits = |(of, _): &&(Option<Family>, bool)| of.is_none_or(|of| of == family);
        self.add_path.iter().find(fits).map(|(_, add_path)| *add_path)
    }
}
