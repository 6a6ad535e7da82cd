//! The table of settings: names, defaults, descriptions, accepted values. Parsing, `check-config` and
//! `.env.example` are derived from it.

mod database;
mod http;
mod setting;
mod table;
mod transport;

use database::DATABASE;

use crate::sink::SchemaName;

pub use table::SECTIONS;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Name in the environment and in the `.env` file, in upper case.
    pub name: &'static str,
    /// Alternative names, in upper case.
    pub aliases: &'static [&'static str],
    /// Type and range of the value.
    pub kind: Kind,
    /// Default value in its text form; empty if there is no constant default.
    pub default: &'static str,
    /// Description of a default that is not a constant; empty if `default` is complete.
    pub derived: &'static str,
    /// Description of the setting, in one or two sentences.
    pub description: &'static str,
    /// When a changed value takes effect.
    pub effect: Effect,
}

/// When a changed value of a setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// At the next start.
    Restart,
    /// At a reload.
    Reload,
    /// At a reload, for connections that are made afterwards.
    NewConnections,
}

/// Type and range of a value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is masked in all output.
    Secret,
    /// A URL that may contain a password; its user part and query are masked in all output.
    Url,
    /// Name of a schema of the database.
    Schema,
    /// A file system path.
    Path,
    /// An IP address or a host name, perhaps with a port.
    Host,
    /// The same, or the directory of a Unix socket.
    HostOrSocket,
    /// An integer.
    Integer {
        /// Smallest accepted value.
        min: u64,
        /// Largest accepted value.
        max: u64,
        /// Unit as shown to users; empty for a count.
        unit: &'static str,
    },
    /// A decimal number.
    Decimal {
        /// Smallest accepted value.
        min: f64,
        /// Largest accepted value.
        max: f64,
    },
    /// A size in bytes with an optional unit: `512MiB`, `10GiB`, `1000000`.
    Bytes {
        /// Smallest accepted value, in bytes.
        min: u64,
        /// Largest accepted value, in bytes.
        max: u64,
    },
    /// One of these keywords, compared without regard to case.
    Choice(&'static [&'static str]),
    /// A comma-separated list of IP prefixes or addresses.
    Prefixes,
    /// A comma-separated list of `address=name` pairs.
    RouterNames,
    /// Comma-separated names or addresses of routers.
    Routers,
    /// A comma-separated list of `router:as-width=2|4` and `router[/family]:add-path=on|off`.
    Overrides,
    /// A comma-separated list of `host:port` and `tls://host:port`.
    Listeners,
    /// A comma-separated list of `host:port`.
    Remotes,
    /// A comma-separated list of `prefix=file` pairs.
    PrefixFiles,
    /// Any value; it has no effect.
    Ignored,
}

/// A group of settings.
#[derive(Debug)]
pub struct Section {
    /// Heading in `.env.example` and `check-config`.
    pub title: &'static str,
    /// A sentence below the heading in `.env.example`; may be empty.
    pub note: &'static str,
    /// The settings of the group, in the order of display.
    pub settings: &'static [Setting],
}

/// Prefixes of the names of settings. A variable with such a prefix that is not in the table is reported as
/// unknown.
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
    "FORGET_",
    "HTTP_",
    "COLLECTOR_",
    "LOG_",
    "SENTRY_",
];

/// Variables of systemd that have such a prefix and are not settings.
pub(super) const FOREIGN: &[&str] = &["STATE_DIRECTORY", "LOG_NAMESPACE"];

/// All settings.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// The setting with this name or alias, given in upper case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name || setting.aliases.contains(&name))
}

impl Setting {
    /// The same setting, changeable by a reload.
    pub(super) const fn on_reload(self) -> Self {
        Self { effect: Effect::Reload, ..self }
    }

    /// The same setting, changeable by a reload for connections that are made afterwards.
    pub(super) const fn for_new_connections(self) -> Self {
        Self { effect: Effect::NewConnections, ..self }
    }

    /// Whether the setting is one of the database connection.
    #[must_use]
    pub fn is_of_database(&self) -> bool {
        DATABASE.iter().any(|setting| setting.name == self.name)
    }

    /// Whether the value is masked in all output.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Url)
    }
}

impl Kind {
    /// Description of the accepted values, as a noun phrase that completes "expected".
    #[must_use]
    pub fn expected(&self) -> String {
        match *self {
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Schema => format!("the name of a schema: {}", SchemaName::EXPECTED),
            Self::Path => "a path".to_owned(),
            Self::Host => "an IP address or a host name, perhaps with a port".to_owned(),
            Self::HostOrSocket => "an IP address or a host name, perhaps with a port, or the directory of a \
                                   Unix socket; a URL is set as DATABASE_URL"
                .to_owned(),
            Self::Integer { min, max, unit: "" } => {
                format!("an integer from {min} to {max}")
            }
            Self::Integer { min, max, unit } => format!("an integer from {min} to {max} ({unit})"),
            Self::Decimal { min, max } => format!("a number from {min} to {max}"),
            Self::Bytes { min, max } => format!(
                "a size from {} to {}, in bytes or with a unit (KiB, MiB, GiB, TiB, or K, M, G, T for \
                 the same; kB, MB, GB, TB)",
                super::parse::bytes_text(min),
                super::parse::bytes_text(max)
            ),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Prefixes => {
                "a comma-separated list of IP prefixes, such as 192.0.2.0/24,2001:db8::/32".to_owned()
            }
            Self::Routers => {
                "a comma-separated list of router names or addresses, such as edge1,192.0.2.2".to_owned()
            }
            Self::RouterNames => {
                "a comma-separated list of address=name pairs, such as 192.0.2.1=edge1".to_owned()
            }
            Self::Overrides => {
                "a comma-separated list of ROUTER:as-width=2|4 and ROUTER[/FAMILY]:add-path=on|off, \
                                such as edge1:as-width=2,edge1/ipv4_unicast:add-path=on"
                    .to_owned()
            }
            Self::Listeners => "a comma-separated list of HOST:PORT and tls://HOST:PORT, such as \
                                0.0.0.0:11019,[::]:11019,tls://0.0.0.0:11020"
                .to_owned(),
            Self::Remotes => {
                "a comma-separated list of HOST:PORT, such as edge1.example:1790,192.0.2.2:1790".to_owned()
            }
            Self::PrefixFiles => {
                "a comma-separated list of PREFIX=FILE pairs, such as 192.0.2.0/24=/etc/holdfast/md5-key"
                    .to_owned()
            }
            Self::Ignored => "any value".to_owned(),
        }
    }
}
