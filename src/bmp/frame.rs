//! Framing: one message at a time from the byte stream.

use super::FrameError;

/// Length of the common header (RFC 7854 section 4.1).
pub const HEADER_BYTES: usize = 6;

/// The longest message that is accepted. Two OPENs of RFC 9072 (65,535 bytes each) or one UPDATE of RFC 8654 fit many
/// times over; a longer one is a broken or hostile sender, and no memory is taken for it.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The BMP version of RFC 7854.
pub(super) const VERSION: u8 = 3;
/// The version of draft-ietf-grow-bmp-tlv: the same header, other bodies.
pub(super) const VERSION_TLV: u8 = 4;

pub(super) const fn is_known(version: u8) -> bool {
    matches!(version, VERSION | VERSION_TLV)
}

/// The whole first message in `buffer`, common header included. `Ok(None)`: more bytes are needed.
///
/// ```text
///  0        1                                   5        6
/// +--------+--------+--------+--------+--------+--------+---- - - -
/// | 3 or 4 | message length, header included   |  type  | body
/// +--------+--------+--------+--------+--------+--------+---- - - -
/// ```
///
/// The type plays no part: message types that are not known must be ignored (RFC 7854 section 4.1), and so they are cut
/// by their length like all others.
///
/// # Errors
/// The version or the length is impossible: framing is lost for good.
#[inline]
pub fn frame(buffer: &[u8]) -> Result<Option<&[u8]>, FrameError> {
    if let Some(&version) = buffer.first()
        && !is_known(version)
    {
        return Err(FrameError::Version(version));
    }
    let Some(&[_, a, b, c, d]) = buffer.first_chunk::<5>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(bytes @ HEADER_BYTES..=MESSAGE_BYTES_MAX) => Ok(buffer.get(..bytes)),
        _ => Err(FrameError::Length { length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_as_soon_as_it_is_whole() {
        let stream = [3, 0, 0, 0, 7, 4, 0xaa, 3];
        for short in 0..7 {
            assert_eq!(frame(&stream[..short]), Ok(None), "{short} bytes");
        }
        assert_eq!(frame(&stream), Ok(Some(&stream[..7])));
    }

    #[test]
    fn a_wrong_version_is_refused_at_its_first_byte() {
        assert_eq!(frame(&[0x16]), Err(FrameError::Version(0x16)));
        assert_eq!(FrameError::Version(5).to_string(), "BMP version 5, known are 3 and 4");
    }

    #[test]
    fn an_impossible_length_is_refused_before_its_bytes_come() {
        for length in [0, 5, (1 << 20) + 1, u32::MAX] {
            let [a, b, c, d] = length.to_be_bytes();
            assert_eq!(frame(&[3, a, b, c, d]), Err(FrameError::Length { length }));
        }
        assert_eq!(frame(&[3, 0, 0x10, 0, 0, 0]), Ok(None), "1 MiB itself is allowed");
        assert_eq!(
            FrameError::Length { length: 5 }.to_string(),
            "BMP message length 5, allowed are 6 to 1048576"
        );
    }
}
