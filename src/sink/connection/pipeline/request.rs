//! Encodes statements and COPY streams as messages of the extended protocol.

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::num;
use crate::sink::transaction::EncodeError;

/// Size of the messages in which a COPY stream is sent, which bounds the buffer of the server.
const COPY_MESSAGE_BYTES: usize = 256 << 10;
/// Rows of up to this size are copied behind the messages before them, so that they are sent together.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// A statement that the server has prepared.
pub(in crate::sink::connection) struct Statement {
    name: &'static str,
    parameters: Vec<Type>,
}

impl Statement {
    /// A statement that [`Request::prepare`] has sent, with the parameter types that the server replied.
    pub(in crate::sink::connection) const fn new(name: &'static str, parameters: Vec<Type>) -> Self {
        Self { name, parameters }
    }

    pub(in crate::sink::connection) const fn name(&self) -> &'static str {
        self.name
    }
}

/// Messages of the client, in the order in which the server executes them.
#[derive(Default)]
pub(in crate::sink::connection) struct Request {
    /// Messages before those in `last`.
    parts: Vec<Bytes>,
    last: BytesMut,
    /// Names of the statements that are executed.
    statements: Vec<&'static str>,
}

impl Request {
    /// Prepares a statement under a name and asks for its parameter types.
    pub(in crate::sink::connection) fn prepare(&mut self, name: &str, sql: &str) {
        self.message(b'P', |out| {
            string(out, name);
            string(out, sql);
            out.put_u16(0);
        });
        self.message(b'D', |out| {
            out.put_u8(b'S');
            string(out, name);
        });
    }

    /// Executes a statement. All values are binary.
    pub(in crate::sink::connection) fn execute(
        &mut self,
        statement: &Statement,
        arguments: &[&(dyn ToSql + Sync)],
    ) -> Result<(), EncodeError> {
        let mut values = BytesMut::new();
        let error = |message: String| EncodeError::Argument { statement: statement.name, message };
        if arguments.len() != statement.parameters.len() {
            return Err(error(format!("{} parameters expected", statement.parameters.len())));
        }
        for (argument, kind) in arguments.iter().zip(&statement.parameters) {
            let mut value = BytesMut::new();
            match argument.to_sql_checked(kind, &mut value).map_err(|source| error(source.to_string()))? {
                IsNull::Yes => values.put_i32(-1),
                IsNull::No => {
                    values.put_u32(num::to_u32_saturating(value.len()));
                    values.put(value);
                }
            }
        }
        let count = u16::try_from(arguments.len()).unwrap_or(u16::MAX);
        self.message(b'B', |out| {
            // The unnamed portal.
            string(out, "");
            string(out, statement.name);
            out.put_slice(&[0, 1, 0, 1]);
            out.put_u16(count);
            out.put(values);
            out.put_slice(&[0, 1, 0, 1]);
        });
        self.message(b'E', |out| {
            string(out, "");
            out.put_u32(0);
        });
        self.statements.push(statement.name);
        Ok(())
    }

    /// Executes a COPY statement with these rows. A stream without rows is not sent.
    pub(in crate::sink::connection) fn copy(
        &mut self,
        statement: &Statement,
        rows: &Bytes,
    ) -> Result<(), EncodeError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.execute(statement, &[])?;
        let mut rest = rows.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(COPY_MESSAGE_BYTES));
            self.last.put_u8(b'd');
            self.last.put_u32(num::to_u32_saturating(part.len() + 4));
            if part.len() <= COPIED_BYTES_MAX {
                self.last.put(part);
            } else {
                self.parts.extend([self.last.split().freeze(), part]);
            }
        }
        self.message(b'c', |_| ());
        Ok(())
    }

    /// Asks the server to send the replies that it has.
    pub(in crate::sink::connection) fn flush(&mut self) {
        self.message(b'H', |_| ());
    }

    /// Ends the exchange: after an error, the server discards all messages before this one.
    pub(super) fn sync(&mut self) {
        self.message(b'S', |_| ());
    }

    /// The bytes to send, and the names of the executed statements.
    pub(super) fn into_parts(mut self) -> (Vec<Bytes>, Vec<&'static str>) {
        self.parts.push(self.last.freeze());
        (self.parts, self.statements)
    }

    /// Appends a message with its length.
    fn message(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut)) {
        let mut content = BytesMut::new();
        body(&mut content);
        self.last.put_u8(tag);
        self.last.put_u32(num::to_u32_saturating(content.len() + 4));
        self.last.put(content);
    }
}

/// A string with its terminator. No name and no SQL text contains NUL.
fn string(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(request: Request) -> Vec<u8> {
        request.into_parts().0.concat()
    }

    #[test]
    fn a_statement_is_bound_and_executed_with_binary_values() {
        let statement = Statement::new("add", vec![Type::INT4, Type::TEXT]);
        let mut request = Request::default();
        request.execute(&statement, &[&7_i32, &None::<&str>]).unwrap();
        let bind = b"B\0\0\0\x1f\0add\0\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\x01\0\x01";
        assert_eq!(bytes(request), [&bind[..], b"E\0\0\0\x09\0\0\0\0\0"].concat());
    }

    #[test]
    fn an_argument_of_another_type_is_an_error() {
        let statement = Statement::new("add", vec![Type::INT4]);
        let mut request = Request::default();
        assert!(request.execute(&statement, &[&"7"]).is_err());
        assert!(request.execute(&statement, &[]).is_err());
        assert_eq!(bytes(request), b"");
    }

    #[test]
    fn rows_follow_their_statement_and_no_rows_are_no_statement() {
        let statement = Statement::new("c", Vec::new());
        let mut request = Request::default();
        request.copy(&statement, &Bytes::new()).unwrap();
        request.copy(&statement, &Bytes::from(vec![1; COPY_MESSAGE_BYTES + 1])).unwrap();
        request.sync();
        let (parts, statements) = request.into_parts();
        assert_eq!(statements, ["c"]);
        let sizes: Vec<_> = parts.iter().map(Bytes::len).collect();
        // Bind, Execute and the header of the first message; its rows; the second message, CopyDone and Sync.
        assert_eq!(sizes, [33, COPY_MESSAGE_BYTES, 16]);
        assert_eq!(&parts[2][..], b"d\0\0\0\x05\x01c\0\0\0\x04S\0\0\0\x04");
    }
}
