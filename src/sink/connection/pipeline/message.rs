//! Decodes the messages of the server.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, Type};

use crate::num;
use crate::sink::error_reply::ErrorReply;

/// Bytes of the tag and the length of a message.
const HEADER_BYTES: usize = 5;

/// A message of the server, as far as an exchange needs it.
#[derive(Debug)]
pub(super) enum Message {
    /// A row of the current statement.
    Row(Row),
    /// The current statement is complete. Number of rows of its command tag, 0 if that has none.
    Complete(u64),
    /// Parameter types of a prepared statement.
    Parameters(Vec<Type>),
    /// The current statement has failed.
    Error(ErrorReply),
    /// The exchange is complete.
    Ready,
    /// Any other message: the start of a COPY, a notice, a setting.
    Other,
}

/// A row in binary format.
#[derive(Debug)]
pub(in crate::sink::connection) struct Row(Bytes);

impl Row {
    /// The value of a column, by its index. `kind` is the type that the statement returns.
    pub(in crate::sink::connection) fn get<'a, T: FromSql<'a>>(
        &'a self,
        index: usize,
        kind: &Type,
    ) -> io::Result<T> {
        let mut rest = self.0.get(2..).ok_or_else(malformed)?;
        for _ in 0..index {
            value(&mut rest)?;
        }
        T::from_sql_nullable(kind, value(&mut rest)?).map_err(io::Error::other)
    }
}

/// Cuts the next value off a row.
fn value<'a>(rest: &mut &'a [u8]) -> io::Result<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk().ok_or_else(malformed)?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return Ok(None);
    };
    let (value, after) = after.split_at_checked(length).ok_or_else(malformed)?;
    *rest = after;
    Ok(Some(value))
}

/// Cuts the next complete message off the bytes that the server has sent.
pub(super) fn next_message(input: &mut BytesMut) -> io::Result<Option<Message>> {
    let Some((&[tag, ref length @ ..], _)) = input.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = num::u32_to_usize(u32::from_be_bytes(*length));
    if length < HEADER_BYTES - 1 {
        return Err(malformed());
    }
    if input.len() < length + 1 {
        return Ok(None);
    }
    let mut body = input.split_to(length + 1).freeze();
    body.advance(HEADER_BYTES);
    decode(tag, body).map(Some)
}

fn decode(tag: u8, body: Bytes) -> io::Result<Message> {
    Ok(match tag {
        b'D' => Message::Row(Row(body)),
        b'C' => Message::Complete(affected_rows(&body)),
        // The reply to an empty statement.
        b'I' => Message::Complete(0),
        b't' => Message::Parameters(parameter_types(body)?),
        b'E' => Message::Error(error_reply(&body)),
        b'Z' => Message::Ready,
        // Parse, Bind and Close complete; no data; row description; start of a COPY; notice, setting,
        // notification.
        b'1' | b'2' | b'3' | b'n' | b'T' | b'G' | b'N' | b'S' | b'A' => Message::Other,
        _ => return Err(malformed()),
    })
}

/// The number at the end of a command tag, as in `INSERT 0 7` or `COPY 7`.
fn affected_rows(body: &[u8]) -> u64 {
    let tag = body.strip_suffix(&[0]).unwrap_or(body);
    let number = std::str::from_utf8(tag).ok().and_then(|tag| tag.rsplit(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

fn parameter_types(mut body: Bytes) -> io::Result<Vec<Type>> {
    let count = body.try_get_u16().map_err(io::Error::other)?;
    let mut types = Vec::new();
    for _ in 0..count {
        let oid = body.try_get_u32().map_err(io::Error::other)?;
        types.push(Type::from_oid(oid).ok_or_else(malformed)?);
    }
    Ok(types)
}

/// Reads the fields of an error: a letter and a text each, ended by NUL.
fn error_reply(body: &[u8]) -> ErrorReply {
    let (code, message) = (SqlState::INTERNAL_ERROR, String::new());
    let mut reply = ErrorReply { code, message, detail: None, hint: None };
    for field in body.split(|byte| *byte == 0) {
        let Some((letter, text)) = field.split_first() else { continue };
        let text = String::from_utf8_lossy(text);
        match letter {
            b'C' => reply.code = SqlState::from_code(&text),
            b'M' => reply.message = text.into_owned(),
            b'D' => reply.detail = Some(text.into_owned()),
            b'H' => reply.hint = Some(text.into_owned()),
            _ => {}
        }
    }
    reply
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed message from the server")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(bytes: &[u8]) -> io::Result<Vec<Message>> {
        let mut input = BytesMut::from(bytes);
        std::iter::from_fn(|| next_message(&mut input).transpose()).collect()
    }

    #[test]
    fn a_message_is_decoded_once_it_is_complete() {
        let whole = b"C\0\0\0\x0cCOPY 17\0Z\0\0\0\x05T";
        for end in 0..whole.len() {
            let expected = usize::from(end >= 13);
            assert_eq!(messages(&whole[..end]).unwrap().len(), expected, "{end}");
        }
        let [Message::Complete(rows), Message::Ready] = &messages(whole).unwrap()[..] else { panic!() };
        assert_eq!(*rows, 17);
    }

    #[test]
    fn a_tag_without_a_number_counts_no_rows() {
        assert_eq!([&b"BEGIN\0"[..], b"INSERT 0 5\0", b"\0"].map(affected_rows), [0, 5, 0]);
    }

    #[test]
    fn values_of_a_row_are_found_by_their_index() {
        let body = b"\0\x03\xff\xff\xff\xff\0\0\0\x04\0\0\0\x09\0\0\0\0";
        let row = Row(Bytes::from_static(body));
        assert_eq!(row.get::<Option<i32>>(0, &Type::INT4).unwrap(), None);
        assert_eq!(row.get::<i32>(1, &Type::INT4).unwrap(), 9);
        assert_eq!(row.get::<&str>(2, &Type::TEXT).unwrap(), "");
        assert!(row.get::<i32>(3, &Type::INT4).is_err() && row.get::<i32>(0, &Type::INT4).is_err());
    }

    #[test]
    fn an_error_has_its_fields() {
        let body = b"SERROR\0VERROR\0C23505\0Mduplicate key\0DKey (a)=(1).\0Hno\0\0";
        let reply = error_reply(body);
        assert_eq!((reply.code.code(), reply.message.as_str()), ("23505", "duplicate key"));
        assert_eq!((reply.detail.as_deref(), reply.hint.as_deref()), (Some("Key (a)=(1)."), Some("no")));
    }

    #[test]
    fn malformed_messages_are_errors() {
        for bytes in [&b"C\0\0\0\x03"[..], b"?\0\0\0\x04", b"t\0\0\0\x06\0\x01"] {
            assert!(messages(bytes).is_err(), "{bytes:?}");
        }
    }
}
