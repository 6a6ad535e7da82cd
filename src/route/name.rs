//! Names that a router chooses, with a bounded length.
//!
//! A name is part of the key of most rows, and of every batch. PostgreSQL refuses an index entry of more than
//! 2,704 bytes, and the row of a router belongs to no record that could be set aside: one name beyond that
//! would stop the delivery for all routers.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Maximum length of a sysName or of a VRF or table name in octets, that of sysName (RFC 3418) and of the VRF
/// name (RFC 9069 section 5.3).
pub const NAME_MAX_BYTES: usize = 255;

/// Maximum length of the name of a router in octets: a sysName, `@` and an address, for a router whose name
/// is that of another one that is connected.
pub const ROUTER_NAME_MAX_BYTES: usize = NAME_MAX_BYTES + 46;

/// Maximum length of the VRF or table name of a peer in octets: a name, and ` (filtered)` for a Loc-RIB that
/// is filtered.
pub const TABLE_NAME_MAX_BYTES: usize = NAME_MAX_BYTES + 11;

/// Maximum length in octets of any other text of a router outside the event of its message: in log lines, in
/// the status, and in the rows of routers and peers. A sysDescr of a real router has up to 255.
pub const TEXT_MAX_BYTES: usize = 1024;

/// Maximum number of texts in a list outside the event of its message.
pub const TEXTS_MAX: usize = 256;

/// Returns the first texts of a list, at most [`TEXTS_MAX`], each of at most [`TEXT_MAX_BYTES`]. If texts are
/// left out, their number and a hash of them take the last place, so that different lists stay different.
#[must_use]
pub fn bounded_texts(texts: &[String]) -> Vec<String> {
    let bounded = |text: &String| bounded_name(text.clone(), TEXT_MAX_BYTES);
    let Some((shown, others)) = texts.split_at_checked(TEXTS_MAX - 1).filter(|(_, others)| others.len() > 1)
    else {
        return texts.iter().map(bounded).collect();
    };
    let mut hasher = SipHasher13::new();
    others.iter().for_each(|text| {
        hasher.write(text.as_bytes());
        // Separates the texts: no UTF-8 has this octet.
        hasher.write_u8(0xff);
    });
    let hash = u128::from(hasher.finish128());
    let rest = format!("and {} more~{hash:032x}", others.len());
    shown.iter().map(bounded).chain([rest]).collect()
}

/// Returns the name if it has at most `max` octets. Else its beginning, `~` and a hash of the whole name in
/// 32 hexadecimal digits, so that different names stay different.
#[must_use]
pub fn bounded_name(name: String, max: usize) -> String {
    if name.len() <= max {
        return name;
    }
    let hash = u128::from(SipHasher13::new().hash(name.as_bytes()));
    let suffix = format!("~{hash:032x}");
    let end = name.floor_char_boundary(max.saturating_sub(suffix.len()));
    let (beginning, _) = name.split_at_checked(end).unwrap_or_default();
    format!("{beginning}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beyond_the_bound_is_cut_and_stays_distinct() {
        for letter in ["a", "é", "\u{1f600}"] {
            for length in 0..600 / letter.len() {
                let name = letter.repeat(length);
                let bounded = bounded_name(name.clone(), NAME_MAX_BYTES);
                assert!(bounded.len() <= NAME_MAX_BYTES, "{length}: {bounded}");
                assert_eq!(bounded == name, name.len() <= NAME_MAX_BYTES);
                assert_eq!(bounded_name(bounded.clone(), NAME_MAX_BYTES), bounded);
                let other = bounded_name(format!("{name}!"), NAME_MAX_BYTES);
                assert_ne!(other, bounded, "{length}");
            }
        }
    }

    #[test]
    fn a_list_beyond_the_bound_is_cut_and_stays_distinct() {
        let list = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(bounded_texts(&list(TEXTS_MAX)), list(TEXTS_MAX));
        let cut = bounded_texts(&list(TEXTS_MAX + 1));
        assert_eq!(cut.len(), TEXTS_MAX);
        assert!(cut[TEXTS_MAX - 1].starts_with("and 2 more~"), "{cut:?}");
        let mut other = list(TEXTS_MAX + 1);
        other[TEXTS_MAX].push('!');
        assert_ne!(bounded_texts(&other), cut);
        let long = bounded_texts(&["x".repeat(5_000)]);
        assert_eq!(long[0].len(), TEXT_MAX_BYTES);
        assert!(bounded_texts(&[]).is_empty());
    }

    #[test]
    fn the_cut_is_the_same_in_every_release() {
        let bounded = bounded_name("x".repeat(300), 40);
        assert_eq!(bounded, "xxxxxxx~24b2c12f58fe47ee37b2eff119d72c8c");
    }
}
