//! Numeric conversions that cannot fail on the platforms that Holdfast supports, in one place.
//!
//! `usize` is 64 bits wide wherever Holdfast is built; the assertion below stops the build elsewhere. With
//! it, `usize` and `u64` convert without loss, and no caller needs a fallback value that could hide an error.

use std::time::Duration;

const _: () = assert!(usize::BITS == 64, "Holdfast needs a 64-bit target");

/// A length or index as `u64`. Exact, because `usize` has 64 bits.
#[must_use]
#[inline]
pub const fn to_u64(value: usize) -> u64 {
    value as u64
}

/// A 64-bit length or offset as `usize`. Exact, because `usize` has 64 bits.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits: asserted above")]
pub const fn to_usize(value: u64) -> usize {
    value as usize
}

/// A 32-bit length or offset as `usize`.
#[must_use]
#[inline]
pub const fn u32_to_usize(value: u32) -> usize {
    value as usize
}

/// A count as PostgreSQL's `bigint`. Values above `i64::MAX` become `i64::MAX`: a counter that large cannot
/// occur, and saturating keeps it from turning negative.
#[must_use]
#[inline]
pub const fn to_i64_saturating(value: u64) -> i64 {
    if value > i64::MAX.cast_unsigned() { i64::MAX } else { value.cast_signed() }
}

/// A number as PostgreSQL's `integer`. Values above `i32::MAX` become `i32::MAX`.
#[must_use]
#[inline]
pub const fn to_i32_saturating(value: u32) -> i32 {
    if value > i32::MAX.cast_unsigned() { i32::MAX } else { value.cast_signed() }
}

/// A length as `u32`; values above `u32::MAX` become `u32::MAX`.
#[must_use]
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "compared first")]
pub const fn to_u32_saturating(value: usize) -> u32 {
    if value > u32::MAX as usize { u32::MAX } else { value as u32 }
}

/// The whole part of a non-negative number; 0 for negative numbers and NaN, `u64::MAX` beyond the range.
#[must_use]
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float-to-integer casts saturate, which is what is wanted"
)]
pub const fn floor_to_u64(value: f64) -> u64 {
    value as u64
}

/// A count as a floating-point number, for rates and ratios. Exact up to 2^53.
#[must_use]
#[inline]
#[expect(clippy::cast_precision_loss, reason = "used for rates and ratios only")]
pub const fn to_f64(value: u64) -> f64 {
    value as f64
}

/// A duration in whole milliseconds, for log fields and rates. Values above `u64::MAX` become `u64::MAX`.
#[must_use]
#[inline]
pub fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in whole microseconds, the unit of timestamps. Values above `i64::MAX` become `i64::MAX`.
#[must_use]
#[inline]
pub fn to_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_saturate_at_the_bounds() {
        assert_eq!(to_usize(to_u64(usize::MAX)), usize::MAX);
        assert_eq!(to_i64_saturating(u64::MAX), i64::MAX);
        assert_eq!(to_i64_saturating(7), 7);
        assert_eq!([7, u32::MAX].map(to_i32_saturating), [7, i32::MAX]);
        assert_eq!(to_u32_saturating(1 << 40), u32::MAX);
        assert_eq!(to_millis(Duration::from_micros(1_999)), 1);
        assert_eq!([-1.5, f64::NAN, 2.9, 1e300].map(floor_to_u64), [0, 0, 2, u64::MAX]);
    }
}
