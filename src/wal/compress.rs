//! LZ4 for payloads, one block each. Bounded both ways: the frame's header says how long the result must be.

use super::PAYLOAD_BYTES_MAX;

/// Shorter payloads are not worth a try: the frame around them and the end of their group weigh more.
const PACK_BYTES_MIN: usize = 512;

/// Compresses `payload` into `out`. False when that is not worth it: `out` then means nothing.
pub(super) fn pack(payload: &[u8], out: &mut Vec<u8>) -> bool {
    if payload.len() < PACK_BYTES_MIN {
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

/// Decompresses `stored`, which must come to exactly `raw_bytes`. False when it does not: never more memory than a
/// payload may have, and never a payload of another length.
pub(super) fn unpack(stored: &[u8], raw_bytes: u32, out: &mut Vec<u8>) -> bool {
    let Some(raw_bytes) = usize::try_from(raw_bytes).ok().filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX) else {
        return false;
    };
    out.resize(raw_bytes, 0);
    lz4_flex::block::decompress_into(stored, out).is_ok_and(|bytes| bytes == raw_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_and_anything_else_is_refused() {
        let payload: Vec<u8> = (0..4000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let (mut packed, mut raw) = (Vec::new(), Vec::new());
        assert!(pack(&payload, &mut packed) && packed.len() < payload.len() / 2);
        let length = u32::try_from(payload.len()).unwrap();
        assert!(unpack(&packed, length, &mut raw) && raw == payload);
        for wrong in [0, length - 1, length + 1, u32::MAX] {
            assert!(!unpack(&packed, wrong, &mut raw), "{wrong} bytes were not packed");
        }
        for cut in 0..packed.len() {
            assert!(!unpack(&packed[..cut], length, &mut raw), "cut at {cut}");
        }
    }

    #[test]
    fn no_bytes_make_the_unpacking_panic_or_take_more_than_it_may() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let stored: Vec<u8> = (0..state % 90)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    state.to_le_bytes()[6]
                })
                .collect();
            let mut raw = Vec::new();
            unpack(&stored, (state >> 40) as u32 % 5000, &mut raw);
            assert!(raw.len() < 5000);
            state = state.wrapping_add(1);
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        let mut state = 9_u64;
        let noise: Vec<u8> = (0..5000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_le_bytes()[7]
            })
            .collect();
        assert!(!pack(&noise, &mut Vec::new()));
        assert!(!pack(&[0; 100], &mut Vec::new()), "too short to try");
    }
}
