"""A minimal client of PostgreSQL's protocol, version 3.0: trust authentication and simple queries."""

import socket
import struct
from urllib.parse import urlsplit


class Client:
    """A connection; it is used again for each query, so that a query costs neither a process nor a login."""

    def __init__(self, url, timeout=30):
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        self._file = self._socket.makefile("rb")
        fields = {
            "user": parts.username or "postgres",
            "database": parts.path.lstrip("/"),
            # Queries name tables without their schema, and functions of TimescaleDB without theirs.
            "options": "-c search_path=holdfast,public",
        }
        body = struct.pack("!I", 0x0003_0000)
        body += b"".join(text.encode() + b"\0" for pair in fields.items() for text in pair) + b"\0"
        self._socket.sendall(struct.pack("!I", len(body) + 4) + body)
        self._table()

    def rows(self, query):
        """The rows of a query as lists of texts; an `OSError` with the server's message if it fails."""
        return self.table(query)[1]

    def table(self, query):
        """Names of the columns, and the rows, of the last statement of a query that returns rows."""
        text = query.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!I", len(text) + 4) + text)
        return self._table()

    def close(self):
        self._file.close()
        self._socket.close()

    def _table(self):
        """Reads messages until the server is ready for a query."""
        columns, rows, error = [], [], None
        while True:
            head = self._read(5)
            kind, (length,) = head[:1], struct.unpack("!I", head[1:])
            body = self._read(length - 4)
            if kind == b"T":
                columns, rows = _names(body), []
            elif kind == b"D":
                rows.append(_fields(body))
            elif kind == b"E":
                error = body.replace(b"\0", b" ").decode(errors="replace").strip()
            elif kind == b"R" and body[:4] != b"\0\0\0\0":
                raise OSError("the server asks for a password, expected trust authentication")
            elif kind == b"Z":
                break
            if error and kind == b"E" and "FATAL" in error:
                break
        if error:
            raise OSError(error)
        return columns, rows

    def _read(self, count):
        data = self._file.read(count)
        if len(data) < count:
            raise OSError("the server closed the connection")
        return data


def _names(body):
    (count,), at, names = struct.unpack_from("!H", body), 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        # Table, column, type, size, modifier and format.
        at = end + 1 + 18
    return names


def _fields(body):
    (count,), at, fields = struct.unpack_from("!H", body), 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        fields.append(None if length < 0 else body[at : at + length].decode())
        at += max(0, length)
    return fields
