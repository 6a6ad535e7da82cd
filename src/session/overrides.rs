//! Operator settings that override how the UPDATEs of one router are decoded.

use std::fmt;

use crate::route::Family;

/// Decoding overrides of one router. Whatever is not set follows the OPENs, or the received bytes where they
/// contradict the OPENs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Width of AS numbers in AS_PATH and AGGREGATOR: four octets or two; `None` to follow the A flag.
    pub four_octet_as: Option<bool>,
    /// Whether the routes of a family (`None`: of every family) carry path IDs (ADD-PATH). The first matching
    /// entry applies.
    pub add_path: Vec<(Option<Family>, bool)>,
}

impl Overrides {
    /// Adds an ADD-PATH setting for one family, or for all families if `family` is `None`. A setting for one
    /// family takes precedence.
    ///
    /// # Errors
    /// The same family, or all families, already has a setting.
    pub fn set_add_path(&mut self, family: Option<Family>, add_path: bool) -> Result<(), &'static str> {
        if self.add_path.iter().any(|(of, _)| *of == family) {
            return Err("add-path is set twice");
        }
        let index = if family.is_some() { 0 } else { self.add_path.len() };
        self.add_path.insert(index, (family, add_path));
        Ok(())
    }

    /// The ADD-PATH setting that applies to `family`.
    #[must_use]
    pub fn add_path_of(&self, family: Family) -> Option<bool> {
        let fits = |(of, _): &&(Option<Family>, bool)| of.is_none_or(|of| of == family);
        self.add_path.iter().find(fits).map(|(_, add_path)| *add_path)
    }
}

/// Formats the overrides as in `BMP_OVERRIDES`, without the router: `as-width=2 ipv4_unicast:add-path=on`.
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
