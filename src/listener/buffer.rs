//! The bytes of one connection between the socket and the decoder.

use crate::bmp::{self, FrameError, MESSAGE_BYTES_MAX};

/// What a buffer has when no message is longer: enough for about 2,000 one-prefix messages per read.
const BYTES: usize = 256 << 10;

/// Room below which what is unread is moved to the front before the next read.
const ROOM_MIN: usize = 16 << 10;

/// A reusable buffer: bytes come in at the end, whole messages go out at the front. It never holds more than one
/// message of the largest size allowed, or [`BYTES`].
///
/// ```text
/// | taken | unread: messages, the last one perhaps in part | room |
///         ^ start                                          ^ end
/// ```
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: vec![0; BYTES], start: 0, end: 0 }
    }
}

impl Buffer {
    /// Room for the next read; never empty as long as every whole message has been taken.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > BYTES {
                self.bytes = vec![0; BYTES];
            }
        }
        if self.bytes.len() - self.end < ROOM_MIN {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() == self.end {
            self.bytes.resize((self.bytes.len() * 2).min(MESSAGE_BYTES_MAX), 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// How much room the last call of [`Buffer::room`] gave.
    #[must_use]
    pub const fn room_bytes(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Says how many bytes were read into the room.
    pub fn filled(&mut self, bytes: usize) {
        self.end = self.end.saturating_add(bytes).min(self.bytes.len());
    }

    /// Takes the next whole message, common header included; nothing when its end has not come yet.
    ///
    /// # Errors
    /// Framing is lost; [`Buffer::unread`] begins with the bytes that say so.
    pub fn message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let Some(length) = bmp::frame(self.unread())?.map(<[u8]>::len) else { return Ok(None) };
        let start = self.start;
        self.start += length;
        Ok(self.bytes.get(start..self.start))
    }

    /// Bytes that no taken message holds.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of this many bytes in all, its body a running count.
    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![3];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.push(100);
        bytes.extend((6..length).map(|place| u8::try_from(place % 251).unwrap()));
        bytes
    }

    fn pass(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut buffer = Buffer::default();
        let mut messages = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let room = buffer.room();
            let count = step.min(room.len()).min(rest.len());
            assert!(count > 0, "a buffer without whole messages has room");
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            buffer.filled(count);
            while let Some(message) = buffer.message().unwrap() {
                messages.push(message.to_vec());
            }
        }
        assert!(buffer.unread().is_empty());
        messages
    }

    #[test]
    fn messages_come_out_whole_however_the_bytes_come_in() {
        let lengths = [6, 7, 48, 4_096, MESSAGE_BYTES_MAX, 6, BYTES, BYTES - 1, BYTES + 1, 100];
        let messages: Vec<Vec<u8>> = lengths.iter().copied().map(message).collect();
        let stream = messages.concat();
        for step in [997, 65_536, BYTES, usize::MAX] {
            assert!(pass(&stream, step) == messages, "step {step}");
        }
        let small = [message(6), message(7), message(48)];
        assert_eq!(pass(&small.concat(), 1), small);
    }

    #[test]
    fn memory_goes_back_after_a_long_message() {
        let mut buffer = Buffer::default();
        let long = message(MESSAGE_BYTES_MAX);
        for piece in long.chunks(BYTES / 4) {
            let room = buffer.room();
            room[..piece.len()].copy_from_slice(piece);
            buffer.filled(piece.len());
        }
        assert_eq!(buffer.message().unwrap().map(<[u8]>::len), Some(MESSAGE_BYTES_MAX));
        assert_eq!(buffer.room().len(), BYTES);
    }

    #[test]
    fn bytes_that_are_no_bmp_stay_to_be_shown() {
        let mut buffer = Buffer::default();
        buffer.room()[..3].copy_from_slice(&[0x16, 3, 1]);
        buffer.filled(3);
        assert_eq!(buffer.message(), Err(FrameError::Version(0x16)));
        assert_eq!(buffer.unread(), [0x16, 3, 1]);
    }
}
