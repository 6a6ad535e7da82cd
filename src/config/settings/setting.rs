//! Constructors of settings.

use super::{Effect, Kind, Setting};

const NONE: &[&str] = &[];

pub(super) const fn integer(min: u64, max: u64, unit: &'static str) -> Kind {
    Kind::Integer { min, max, unit }
}

/// A setting with a constant default and no alias.
pub(super) const fn fixed(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, aliases: NONE, kind, default, derived: "", description, effect: Effect::Restart }
}

/// A setting without alias whose default is not a constant.
pub(super) const fn derived(
    name: &'static str,
    kind: Kind,
    derived: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, aliases: NONE, kind, default: "", derived, description, effect: Effect::Restart }
}

/// A setting with a constant default and aliases.
pub(super) const fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, aliases, kind, default, derived: "", description, effect: Effect::Restart }
}

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;
