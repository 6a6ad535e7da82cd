//! The identity of a write-ahead log.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Identity of one write-ahead log: 128 random bits, chosen when its directory is created.
///
/// A copied log directory has the same id. The text form is that of a UUID (`8-4-4-4-12` hexadecimal digits),
/// which is also how the database stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

impl LogId {
    /// A new random id, from the operating system's random number generator.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// The id as PostgreSQL's `uuid`.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        Uuid::from_bytes(self.0)
    }
}

impl From<Uuid> for LogId {
    fn from(id: Uuid) -> Self {
        Self(id.into_bytes())
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_uuid().fmt(f)
    }
}

impl FromStr for LogId {
    type Err = uuid::Error;

    /// Reads the text form; the dashes may be missing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self::from)
    }
}

/// A random seed for the salts of a log's segments, from the operating system's random number generator.
#[must_use]
pub fn random_seed() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    // The fixed bits of the UUID are in different positions of the two halves.
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_that_of_a_uuid_and_reads_back() {
        let id = LogId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes());
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("00112233445566778899aabbccddeeff".parse(), Ok(id));
        assert!("0011".parse::<LogId>().is_err());
        assert_ne!(LogId::random(), LogId::random());
    }
}
