//! What the operator knows better than a router says: how to read what it sends.

use std::fmt;

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
    /// The same with one more setting for path identifiers; one of a family goes before one for all.
    ///
    /// # Errors
    /// It is set already.
    pub fn set_add_path(&mut self, family: Option<Family>, add_path: bool) -> Result<(), &'static str> {
        if self.add_path.iter().any(|(of, _)| *of == family) {
            return Err("add-path is set twice");
        }
        let place = if family.is_some() { 0 } else { self.add_path.len() };
        self.add_path.insert(place, (family, add_path));
        Ok(())
    }

    /// What is set for the path identifiers of a family.
    #[must_use]
    pub fn add_path_of(&self, family: Family) -> Option<bool> {
        let fits = |(of, _): &&(Option<Family>, bool)| of.is_none_or(|of| of == family);
        self.add_path.iter().find(fits).map(|(_, add_path)| *add_path)
    }
}

/// As in the configuration, without the router: `as-width=2 ipv4_unicast:add-path=on`.
impl fmt::Display for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(four) = self.four_octet_as {
            words.push(format!("as-width={}", if four { 4 } else { 2 }));
        }
        for (family, add_path) in &self.add_path {
            let family = family.map(|family| format!("{family}:")).unwrap_or_default();
            words.push(format!("{family}add-path={}", if *add_path { "on" } else { "off" }));
        }
        f.write_str(&words.join(" "))
    }
}
