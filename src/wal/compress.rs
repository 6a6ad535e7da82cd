//! LZ4 compression of payloads, one block each. The frame header has the decompressed length, which bounds
//! memory.

use super::format::{CODEC_RECORD, CODEC_RECORD_LZ4, PAYLOAD_BYTES_MAX};
use crate::num::{to_u32_saturating, u32_to_usize};

/// Payloads below this length, in bytes, are stored uncompressed: frame and group overhead exceed any saving.
const COMPRESS_BYTES_MIN: usize = 512;

/// A payload as it is stored.
pub(super) struct EncodedPayload<'a> {
    pub(super) codec: u8,
    /// Length of the decompressed payload in bytes; 0 if `stored` is not compressed.
    pub(super) raw_bytes: u32,
    pub(super) stored: &'a [u8],
}

/// Encodes payloads for storage.
#[derive(Default)]
pub(super) struct Compressor {
    is_enabled: bool,
    /// Buffer for the compressed payload.
    buffer: Vec<u8>,
}

impl Compressor {
    pub(super) const fn new(is_enabled: bool) -> Self {
        Self { is_enabled, buffer: Vec::new() }
    }

    /// Compresses the payload if that is enabled and saves at least one eighth.
    pub(super) fn encode<'a>(&'a mut self, payload: &'a [u8]) -> EncodedPayload<'a> {
        if self.is_enabled && compress(payload, &mut self.buffer) {
            let raw_bytes = to_u32_saturating(payload.len());
            EncodedPayload { codec: CODEC_RECORD_LZ4, raw_bytes, stored: &self.buffer }
        } else {
            EncodedPayload { codec: CODEC_RECORD, raw_bytes: 0, stored: payload }
        }
    }
}

/// Compresses `payload` into `out`. Returns `false`, with unspecified contents of `out`, if that saves less
/// than one eighth.
fn compress(payload: &[u8], out: &mut Vec<u8>) -> bool {
    if payload.len() < COMPRESS_BYTES_MIN {
        return false;
    }
    out.resize(lz4_flex::block::get_maximum_output_size(payload.len()), 0);
    match lz4_flex::block::compress_into(payload, out) {
        Ok(bytes) if bytes <= payload.len() - payload.len() / 8 => {
            out.truncate(bytes);
            true
        }
        _ => false,
    }
}

/// Decompresses `stored` into `out`. Returns `false` unless the result has exactly `raw_bytes` bytes, which
/// must not exceed [`PAYLOAD_BYTES_MAX`].
pub(super) fn decompress(stored: &[u8], raw_bytes: u32, out: &mut Vec<u8>) -> bool {
    let raw_bytes = u32_to_usize(raw_bytes);
    if raw_bytes > PAYLOAD_BYTES_MAX {
        return false;
    }
    out.resize(raw_bytes, 0);
    lz4_flex::block::decompress_into(stored, out).is_ok_and(|bytes| bytes == raw_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_data_round_trips_and_anything_else_is_rejected() {
        let payload: Vec<u8> = (0..4000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let (mut compressed, mut raw) = (Vec::new(), Vec::new());
        assert!(compress(&payload, &mut compressed) && compressed.len() < payload.len() / 2);
        let length = u32::try_from(payload.len()).unwrap();
        assert!(decompress(&compressed, length, &mut raw) && raw == payload);
        for wrong in [0, length - 1, length + 1, u32::MAX] {
            assert!(!decompress(&compressed, wrong, &mut raw), "{wrong} bytes is not the length");
        }
        for cut in 0..compressed.len() {
            assert!(!decompress(&compressed[..cut], length, &mut raw), "cut at {cut}");
        }
    }

    #[test]
    fn decompressing_arbitrary_bytes_neither_panics_nor_exceeds_its_bound() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let stored: Vec<u8> = (0..state % 90)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    state.to_le_bytes()[6]
                })
                .collect();
            let mut raw = Vec::new();
            decompress(&stored, (state >> 40) as u32 % 5000, &mut raw);
            assert!(raw.len() < 5000);
            state = state.wrapping_add(1);
        }
    }

    #[test]
    fn incompressible_and_short_payloads_are_not_compressed() {
        let mut state = 9_u64;
        let noise: Vec<u8> = (0..5000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_le_bytes()[7]
            })
            .collect();
        assert!(!compress(&noise, &mut Vec::new()));
        assert!(!compress(&[0; 100], &mut Vec::new()), "below the minimum length");
    }
}
