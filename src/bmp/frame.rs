//! Framing: splits a byte stream into BMP messages.

/// Length of the common header in bytes (RFC 7854 section 4.1).
pub const HEADER_BYTES: usize = 6;

/// Maximum length of a message in bytes, common header included.
///
/// Two OPENs of RFC 9072 (65,535 bytes each) or one UPDATE of RFC 8654 fit several times. A longer message
/// comes from a faulty or hostile sender; no memory is allocated for it.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// BMP version of RFC 7854.
pub(super) const VERSION: u8 = 3;
/// BMP version of draft-ietf-grow-bmp-tlv: the same common header, different bodies.
pub(super) const VERSION_TLV: u8 = 4;

/// The byte stream is not BMP at this position. The start of the next message is unknown, so that the session
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The version is neither 3 nor 4.
    #[error("unsupported BMP version {0}, expected {VERSION} or {VERSION_TLV}")]
    Version(u8),
    /// The message length is out of range.
    #[error("invalid BMP message length {length}, expected {HEADER_BYTES} to {MESSAGE_BYTES_MAX}")]
    Length {
        /// Message length in the common header, in bytes.
        length: u32,
    },
}

/// Whether a BMP version is supported.
pub(super) const fn is_supported(version: u8) -> bool {
    matches!(version, VERSION | VERSION_TLV)
}

/// Returns the first message in `buffer`, common header included, or `Ok(None)` if it is incomplete.
///
/// ```text
///  0        1                                   5        6
/// +--------+--------+--------+--------+--------+--------+---- - - -
/// | 3 or 4 | message length, header included   |  type  | body
/// +--------+--------+--------+--------+--------+--------+---- - - -
/// ```
///
/// The message type does not matter: unknown types are ignored (RFC 7854 section 4.1), and framed like all
/// others.
///
/// # Errors
/// The version is not supported, or the length is out of range. No later message of the stream can be framed.
#[inline]
pub fn frame(buffer: &[u8]) -> Result<Option<&[u8]>, FrameError> {
    if let Some(&version) = buffer.first()
        && !is_supported(version)
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
    fn a_message_is_returned_as_soon_as_it_is_complete() {
        let stream = [3, 0, 0, 0, 7, 4, 0xaa, 3];
        for short in 0..7 {
            assert_eq!(frame(&stream[..short]), Ok(None), "{short} bytes");
        }
        assert_eq!(frame(&stream), Ok(Some(&stream[..7])));
    }

    #[test]
    fn a_wrong_version_is_refused_at_its_first_byte() {
        assert_eq!(frame(&[0x16]), Err(FrameError::Version(0x16)));
        assert_eq!(FrameError::Version(5).to_string(), "unsupported BMP version 5, expected 3 or 4");
    }

    #[test]
    fn an_invalid_length_is_refused_before_the_body_is_received() {
        for length in [0, 5, (1 << 20) + 1, u32::MAX] {
            let [a, b, c, d] = length.to_be_bytes();
            assert_eq!(frame(&[3, a, b, c, d]), Err(FrameError::Length { length }));
        }
        assert_eq!(frame(&[3, 0, 0x10, 0, 0, 0]), Ok(None), "1 MiB itself is allowed");
        assert_eq!(
            FrameError::Length { length: 5 }.to_string(),
            "invalid BMP message length 5, expected 6 to 1048576"
        );
    }
}
