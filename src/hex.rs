//! Bytes as lower-case hexadecimal text.

use std::fmt::{self, Write as _};

/// Formats bytes as two lower-case hexadecimal digits each, without separators.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            f.write_char(digit(byte >> 4))?;
            f.write_char(digit(byte & 0xf))
        })
    }
}

/// Bytes as a `String` of two lower-case hexadecimal digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Bytes as lower-case hexadecimal pairs with `separator` between them, as in a MAC address.
#[must_use]
pub fn hex_separated(bytes: &[u8], separator: char) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, &byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(separator);
        }
        text.extend([digit(byte >> 4), digit(byte & 0xf)]);
    }
    text
}

/// The digit of a value below 16.
fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_pairs_of_digits() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa0]), "000fa0");
        assert_eq!(Hex(&[0x00, 0x0f, 0xa0]).to_string(), "000fa0");
        assert_eq!(hex_separated(&[0x02, 0, 0xff], ':'), "02:00:ff");
        assert_eq!(hex(&[]), "");
    }
}
