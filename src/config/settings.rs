//! The table of settings: names, defaults, meanings, ranges. Parsing, `check-config` and `.env.example` all come
//! from it, so that they cannot differ.

mod table;

pub use table::SECTIONS;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the environment and in `.env`.
    pub name: &'static str,
    /// Other names under which it is accepted.
    pub aliases: &'static [&'static str],
    /// What a value may be.
    pub kind: Kind,
    /// The value when none is given, as it would be typed; empty where there is none.
    pub default: &'static str,
    /// What the value is when none is given and it is not a constant; empty where `default` says it all.
    pub derived: &'static str,
    /// What it does, in a sentence or two.
    pub meaning: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// A connection address that may hold a password.
    Url,
    /// A path of the file system.
    Path,
    /// An IP address, or a host name.
    Host,
    /// A whole number.
    Integer {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
        /// Unit, for people; empty for a bare count.
        unit: &'static str,
    },
    /// A number with a fraction.
    Decimal {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A number of bytes, with an optional unit: `512MiB`, `10GiB`, `1000000`.
    Bytes {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// IP prefixes or addresses, with commas between.
    Prefixes,
    /// `address=name` pairs, with commas between.
    Names,
    /// `router:as-width=2|4` and `router[/family]:add-path=on|off`, with commas between.
    Overrides,
}

/// Settings under one heading.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// What belongs under it.
    pub settings: &'static [Setting],
}

/// Beginnings of names that are ours: a variable that begins so and is not in the table is a mistake.
pub const PREFIXES: &[&str] = &[
    "BMP_",
    "DB_",
    "DATABASE_",
    "WAL_",
    "STATE_",
    "STATUS_",
    "BATCH_",
    "DRAIN_",
    "HISTORY_",
    "SWEEP_",
    "STATS_",
    "CHUNK_",
    "RETENTION_",
    "COLLECTOR_",
    "LOG_",
    "SENTRY_",
];

/// Names that begin like ours and belong to systemd.
pub(super) const FOREIGN: &[&str] = &["STATE_DIRECTORY", "LOG_NAMESPACE"];

/// All settings.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// The setting that has this name or alias, in capitals.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name || setting.aliases.contains(&name))
}

impl Setting {
    /// The value must never be shown as it is.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Url)
    }
}

impl Kind {
    /// The accepted values, in words.
    #[must_use]
    pub fn accepts(&self) -> String {
        match *self {
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Host => "an IP address or a host name".to_owned(),
            Self::Integer { min, max, unit: "" } => {
                format!("a whole number from {min} to {max}")
            }
            Self::Integer { min, max, unit } => format!("a whole number from {min} to {max} ({unit})"),
            Self::Decimal { min, max } => format!("a number from {min} to {max}"),
            Self::Bytes { min, max } => format!(
                "bytes from {} to {}, with or without a unit (KiB, MiB, GiB, TiB, kB, MB, GB, TB)",
                super::parse::bytes_text(min),
                super::parse::bytes_text(max)
            ),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Prefixes => {
                "IP prefixes with commas between, such as 192.0.2.0/24,2001:db8::/32".to_owned()
            }
            Self::Names => "address=name pairs with commas between, such as 192.0.2.1=edge1".to_owned(),
            Self::Overrides => "ROUTER:as-width=2|4, ROUTER:add-path=on|off and ROUTER/FAMILY:add-path=on|off with commas between, \
                                such as edge1:as-width=2,edge1/ipv4_unicast:add-path=on"
                .to_owned(),
        }
    }
}
