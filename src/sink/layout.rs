//! Names of the objects in the database: their schema, and the views in `public`.

use std::fmt;
use std::str::FromStr;

/// Placeholder for the schema in the files of migrations/functions and in other SQL.
const PLACEHOLDER: &str = "@schema@";

/// Longest identifier of PostgreSQL, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Beginnings of the names of schemas that belong to PostgreSQL or to TimescaleDB.
const RESERVED: [&str; 4] = ["pg_", "information_schema", "timescaledb_", "_timescaledb_"];

/// Name of the schema that contains all objects of Holdfast (`DB_SCHEMA`): a lower-case SQL identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName(String);

/// A text is not a [`SchemaName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", SchemaName::EXPECTED)]
pub struct InvalidSchemaName;

impl SchemaName {
    /// Description of the accepted names, as a noun phrase that completes "expected".
    pub const EXPECTED: &str = "1 to 63 lower-case letters, digits and underscores that do not begin with a \
                                digit, pg_, information_schema, timescaledb_ or _timescaledb_";

    /// The schema of pybmpmon, and of databases of earlier builds of Holdfast.
    #[must_use]
    pub fn public() -> Self {
        Self("public".to_owned())
    }

    /// True for the schema `public`.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.0 == "public"
    }

    /// The name without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `sql` with the quoted name in the place of `@schema@`.
    pub(super) fn fill_in(&self, sql: &str) -> String {
        sql.replace(PLACEHOLDER, &format!("\"{}\"", self.0))
    }

    /// The statement that makes the schema the only one that names without a schema refer to.
    pub(super) fn search_path(&self) -> String {
        self.fill_in("SET search_path = @schema@, pg_temp")
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("holdfast".to_owned())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SchemaName {
    type Err = InvalidSchemaName;

    fn from_str(text: &str) -> Result<Self, InvalidSchemaName> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_valid = text.len() <= NAME_BYTES_MAX
            && text.bytes().all(is_allowed)
            && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
            && !RESERVED.iter().any(|reserved| text.starts_with(reserved));
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidSchemaName) }
    }
}

/// Where the objects of Holdfast are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The schema of all objects.
    pub schema: SchemaName,
    /// Whether the names of pybmpmon are views in `public` (`DB_PUBLIC_VIEWS`). Without effect if `schema` is
    /// `public`.
    pub has_public_views: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { schema: SchemaName::default(), has_public_views: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_identifiers_outside_the_schemas_of_the_server() {
        for name in ["holdfast", "public", "a", "_x", "bmp_2", "user", &"x".repeat(63)] {
            assert_eq!(name.parse::<SchemaName>().unwrap().as_str(), name);
        }
        for name in [
            "",
            "Holdfast",
            "2x",
            "a-b",
            "a b",
            "a\"b",
            "a;b",
            "ä",
            "pg_temp",
            "pg_catalog",
            "information_schema",
            "timescaledb_information",
            "_timescaledb_internal",
            &"x".repeat(64),
        ] {
            assert_eq!(name.parse::<SchemaName>(), Err(InvalidSchemaName), "{name}");
        }
    }

    #[test]
    fn a_key_word_is_a_name_as_well() {
        let name: SchemaName = "select".parse().unwrap();
        assert_eq!(name.fill_in("SELECT @schema@.f()"), "SELECT \"select\".f()");
        assert_eq!(name.search_path(), "SET search_path = \"select\", pg_temp");
    }
}
