//! Receive buffer of one connection: bytes from the socket to whole BMP messages.

use crate::bmp::{self, FrameError, MESSAGE_BYTES_MAX};

/// Usual size of a buffer, sufficient for about 2,000 one-prefix messages per read. It grows only for longer
/// messages.
const BYTES: usize = 256 << 10;

/// If fewer bytes are free at the end, unread bytes are moved to the front before the next read.
const FREE_MIN: usize = 16 << 10;

/// A reusable buffer: bytes are read in at the end, whole messages are taken out at the front. Its size is at
/// most [`MESSAGE_BYTES_MAX`].
///
/// ```text
/// | taken | unread: messages, the last one possibly incomplete | free |
///         ^ start                                              ^ end
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
    /// The free bytes for the next read. Never empty if every whole message has been taken.
    pub fn free(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > BYTES {
                self.bytes = vec![0; BYTES];
            }
        }
        if self.bytes.len() - self.end < FREE_MIN {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() == self.end {
            self.bytes.resize((self.bytes.len() * 2).min(MESSAGE_BYTES_MAX), 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Number of bytes that the last call of [`Buffer::free`] returned.
    #[must_use]
    pub const fn free_bytes(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Adds the first `bytes` free bytes to the unread ones, after a read into them.
    pub fn filled(&mut self, bytes: usize) {
        self.end = self.end.saturating_add(bytes).min(self.bytes.len());
    }

    /// Takes the next whole message, including its common header. `None` if the message is incomplete.
    ///
    /// # Errors
    /// Framing is lost: the unread bytes do not begin with a valid common header.
    pub fn message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let Some(length) = bmp::frame(self.unread())?.map(<[u8]>::len) else { return Ok(None) };
        let start = self.start;
        self.start += length;
        Ok(self.bytes.get(start..self.start))
    }

    /// The bytes that are not part of a taken message.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of `length` bytes; its body is a running count.
    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![3];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.push(100);
        bytes.extend((6..length).map(|offset| u8::try_from(offset % 251).unwrap()));
        bytes
    }

    fn pass(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut buffer = Buffer::default();
        let mut messages = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let free = buffer.free();
            let count = step.min(free.len()).min(rest.len());
            assert!(count > 0, "a buffer without whole messages has free bytes");
            free[..count].copy_from_slice(&rest[..count]);
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
    fn messages_are_whole_however_the_bytes_are_split() {
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
    fn memory_is_released_after_a_long_message() {
        let mut buffer = Buffer::default();
        let long = message(MESSAGE_BYTES_MAX);
        for piece in long.chunks(BYTES / 4) {
            let free = buffer.free();
            free[..piece.len()].copy_from_slice(piece);
            buffer.filled(piece.len());
        }
        assert_eq!(buffer.message().unwrap().map(<[u8]>::len), Some(MESSAGE_BYTES_MAX));
        assert_eq!(buffer.free().len(), BYTES);
    }

    #[test]
    fn bytes_that_are_not_bmp_stay_unread() {
        let mut buffer = Buffer::default();
        buffer.free()[..3].copy_from_slice(&[0x16, 3, 1]);
        buffer.filled(3);
        assert_eq!(buffer.message(), Err(FrameError::Version(0x16)));
        assert_eq!(buffer.unread(), [0x16, 3, 1]);
    }
}
