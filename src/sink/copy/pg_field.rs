//! Fields of PostgreSQL's binary COPY format.
//!
//! ```text
//! "PGCOPY\n\xff\r\n\0" | flags u32 = 0 | extension length u32 = 0  header, 19 bytes
//! field count u16 | ( length i32 | value )*                          one row; length -1 is NULL
//! 0xffff                                                             trailer
//! ```
//!
//! All numbers are big-endian. Each function appends one field to a `Vec<u8>`.

use std::fmt::Display;
use std::io::Write as _;
use std::net::IpAddr;

use serde_json::Value;

use crate::num;
use crate::route::{Prefix, Timestamp};

/// First bytes of a COPY stream.
pub(crate) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Last bytes of a COPY stream.
pub(crate) const TRAILER: &[u8; 2] = b"\xff\xff";

/// 2000-01-01 00:00 UTC, the zero of PostgreSQL's timestamps, in microseconds since 1970.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// Range of timestamptz, 4713 BC to 294276 AD, in microseconds since 2000.
const TIMESTAMP_US_MIN: i64 = -211_813_488_000_000_000;
const TIMESTAMP_US_MAX: i64 = 9_223_371_331_199_999_999;

/// Type OIDs of array elements (`pg_type.oid`).
const OID_INT8: u32 = 20;
const OID_TEXT: u32 = 25;
const OID_INET: u32 = 869;

/// Begins a row of `columns` fields.
pub(crate) fn row(out: &mut Vec<u8>, columns: usize) {
    out.extend_from_slice(&u16::try_from(columns).unwrap_or(u16::MAX).to_be_bytes());
}

/// Appends NULL.
pub(crate) fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i32).to_be_bytes());
}

/// Appends `value` with `field`, or NULL for `None`.
pub(crate) fn optional<T>(out: &mut Vec<u8>, value: Option<T>, field: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => field(out, value),
        None => null(out),
    }
}

/// Appends a field whose length is known only after its value has been written.
fn sized(out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    value(out);
    // The message that a field comes from has 16 bits of length, and a transaction is bounded: no field nears
    // 2 GiB.
    let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX).to_be_bytes();
    if let Some(length_field) = out.get_mut(start..start + 4) {
        length_field.copy_from_slice(&length);
    }
}

fn fixed<const N: usize>(out: &mut Vec<u8>, value: [u8; N]) {
    out.extend_from_slice(&i32::try_from(N).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(&value);
}

/// Appends a boolean.
pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    fixed(out, [u8::from(value)]);
}

/// Appends a smallint.
pub(crate) fn int2(out: &mut Vec<u8>, value: i16) {
    fixed(out, value.to_be_bytes());
}

/// Appends an integer; values above `i32::MAX` become `i32::MAX`.
pub(crate) fn int4(out: &mut Vec<u8>, value: u32) {
    fixed(out, i32::try_from(value).unwrap_or(i32::MAX).to_be_bytes());
}

/// Appends a bigint.
pub(crate) fn int8(out: &mut Vec<u8>, value: i64) {
    fixed(out, value.to_be_bytes());
}

/// Appends a timestamptz; a time outside PostgreSQL's range becomes the nearest time in it.
pub(crate) fn timestamp(out: &mut Vec<u8>, value: Timestamp) {
    int8(out, postgres_micros(value));
}

/// Microseconds since 2000, clamped to the range of timestamptz.
pub(crate) fn postgres_micros(value: Timestamp) -> i64 {
    value.0.saturating_sub(POSTGRES_EPOCH_US).clamp(TIMESTAMP_US_MIN, TIMESTAMP_US_MAX)
}

/// Appends a timestamptz; NULL if the router sent no timestamp (zero).
pub(crate) fn router_time(out: &mut Vec<u8>, value: Timestamp) {
    optional(out, (value.0 != 0).then_some(value), timestamp);
}

/// Appends a uuid.
pub(crate) fn uuid(out: &mut Vec<u8>, value: [u8; 16]) {
    fixed(out, value);
}

/// Appends a bytea.
pub(crate) fn bytea(out: &mut Vec<u8>, value: &[u8]) {
    sized(out, |out| out.extend_from_slice(value));
}

/// Appends a text. PostgreSQL rejects NUL in text, but strings of a router may contain it: NUL becomes
/// U+FFFD.
pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    if value.contains('\0') {
        return bytea(out, value.replace('\0', "\u{fffd}").as_bytes());
    }
    bytea(out, value.as_bytes());
}

/// Appends a text; NULL if it is empty.
pub(crate) fn text_or_null(out: &mut Vec<u8>, value: &str) {
    optional(out, (!value.is_empty()).then_some(value), text);
}

/// Appends the text form of `value` without an intermediate allocation.
pub(crate) fn display(out: &mut Vec<u8>, value: impl Display) {
    sized(out, |out| {
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "{value}");
    });
}

/// Appends a jsonb, version 1; see [`replace_nul`].
pub(crate) fn jsonb(out: &mut Vec<u8>, mut value: Value) {
    replace_nul(&mut value);
    sized(out, |out| {
        out.push(1);
        // Writing to a Vec cannot fail.
        let _infallible = write!(out, "{value}");
    });
}

/// Replaces NUL by U+FFFD in all strings of `value`: PostgreSQL rejects NUL in jsonb as it does in text.
pub(crate) fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => fields.values_mut().for_each(replace_nul),
        _ => {}
    }
}

/// Appends an inet with the full prefix length.
pub(crate) fn inet(out: &mut Vec<u8>, address: IpAddr) {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    network(out, address, bits, false);
}

/// Appends a cidr.
pub(crate) fn cidr(out: &mut Vec<u8>, prefix: Prefix) {
    network(out, prefix.address(), prefix.length(), true);
}

fn network(out: &mut Vec<u8>, address: IpAddr, bits: u8, is_cidr: bool) {
    // Address families 2 and 3 are PGSQL_AF_INET and PGSQL_AF_INET6, which differ from the system's AF_INET6.
    match address {
        IpAddr::V4(v4) => {
            out.extend_from_slice(&[0, 0, 0, 8, 2, bits, u8::from(is_cidr), 4]);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.extend_from_slice(&[0, 0, 0, 20, 3, bits, u8::from(is_cidr), 16]);
            out.extend_from_slice(&v6.octets());
        }
    }
}

/// Appends a numeric: digits to base 10,000, most significant first.
pub(crate) fn numeric(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u16; 5];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = u16::try_from(rest % 10_000).unwrap_or(0);
        rest /= 10_000;
    }
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let count = u16::try_from(digits.len() - zeros).unwrap_or(0);
    sized(out, |out| {
        for number in [count, count.saturating_sub(1), 0, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for digit in digits.iter().skip(zeros) {
            out.extend_from_slice(&digit.to_be_bytes());
        }
    });
}

fn array<T>(out: &mut Vec<u8>, oid: u32, items: &[T], element: impl Fn(&mut Vec<u8>, &T)) {
    if items.is_empty() {
        return null(out);
    }
    sized(out, |out| {
        let count = num::to_u32_saturating(items.len());
        // Number of dimensions, has-NULLs flag, element type, length, lower bound.
        for number in [1, 0, oid, count, 1] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        items.iter().for_each(|item| element(out, item));
    });
}

/// Appends a bigint[]; NULL if it is empty.
pub(crate) fn int8_array(out: &mut Vec<u8>, items: &[u32]) {
    array(out, OID_INT8, items, |out, item| int8(out, i64::from(*item)));
}

/// Appends a bigint[]; an empty array if it is empty.
pub(crate) fn int8_array_or_empty(out: &mut Vec<u8>, items: &[u32]) {
    if items.is_empty() {
        sized(out, |out| [0, 0, OID_INT8].iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes())));
    } else {
        int8_array(out, items);
    }
}

/// Appends a text[] with `form` of each item; NULL if it is empty.
pub(crate) fn text_array<T, S: AsRef<str>>(out: &mut Vec<u8>, items: &[T], form: impl Fn(&T) -> S) {
    array(out, OID_TEXT, items, |out, item| text(out, form(item).as_ref()));
}

/// Appends an inet[]; NULL if it is empty.
pub(crate) fn inet_array(out: &mut Vec<u8>, items: &[std::net::Ipv4Addr]) {
    array(out, OID_INET, items, |out, item| inet(out, IpAddr::V4(*item)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn fields_carry_their_length() {
        assert_eq!(field(null), [255; 4]);
        assert_eq!(field(|out| text(out, "abc")), b"\0\0\0\x03abc");
        assert_eq!(field(|out| display(out, 42)), b"\0\0\0\x0242");
        assert_eq!(field(|out| boolean(out, true)), [0, 0, 0, 1, 1]);
        assert_eq!(
            field(|out| cidr(out, Prefix::v4(0x0a00_0000, 8).unwrap())),
            [0, 0, 0, 8, 2, 8, 1, 4, 10, 0, 0, 0]
        );
    }

    #[test]
    fn a_zero_byte_in_text_is_replaced() {
        assert_eq!(field(|out| text(out, "a\0b")), "\0\0\0\u{5}a\u{fffd}b".as_bytes());
    }

    #[test]
    fn a_zero_byte_in_json_is_replaced_and_an_escaped_backslash_is_not() {
        let value = serde_json::json!({ "a": ["b\0", "\\u0000"] });
        let mut expected = vec![0, 0, 0, 25, 1];
        expected.extend_from_slice("{\"a\":[\"b\u{fffd}\",\"\\\\u0000\"]}".as_bytes());
        assert_eq!(field(|out| jsonb(out, value)), expected);
    }

    #[test]
    fn times_out_of_range_are_clamped() {
        assert_eq!(
            field(|out| timestamp(out, Timestamp(POSTGRES_EPOCH_US))),
            [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        let lowest = field(|out| timestamp(out, Timestamp(i64::MIN)));
        assert_eq!(lowest.get(4..).unwrap(), TIMESTAMP_US_MIN.to_be_bytes());
    }

    #[test]
    fn numerics_have_base_ten_thousand() {
        assert_eq!(field(|out| numeric(out, 0)), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(field(|out| numeric(out, 10_001)), [0, 0, 0, 12, 0, 2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1]);
    }
}
