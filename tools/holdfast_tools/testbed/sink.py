"""A BMP station that decodes nothing: it writes the bytes of each TCP connection to a file.

    sink.py --out FOLDER [--listen 127.0.0.1:0]

Connection N goes to FOLDER/N.bmp, N from 1. The first line on stdout is the port. The line "close" on
stdin closes the connection (the router dials again and gets the next file); the end of stdin ends the sink.
Standard library only, and no decoding, so that a capture cannot contain an error of a decoder.
"""

import argparse
import pathlib
import selectors
import socket
import sys


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", required=True, type=pathlib.Path)
    args.add_argument("--listen", default="127.0.0.1:0")
    args = args.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    host, port = args.listen.rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
    print(listener.getsockname()[1], flush=True)

    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, "accept")
    selector.register(sys.stdin, selectors.EVENT_READ, "command")
    open_connections = {}
    count = 0

    def close(connection):
        selector.unregister(connection)
        open_connections.pop(connection).close()
        connection.close()

    while True:
        for key, _ in selector.select():
            if key.data == "accept":
                connection, _ = listener.accept()
                count += 1
                # Unbuffered, so that the size of the file shows how much has arrived.
                open_connections[connection] = open(args.out / f"{count}.bmp", "wb", buffering=0)
                selector.register(connection, selectors.EVENT_READ, "data")
            elif key.data == "command":
                line = sys.stdin.readline()
                for connection in list(open_connections):
                    close(connection)
                if not line:
                    return
            elif key.fileobj in open_connections:
                try:
                    data = key.fileobj.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                if data:
                    open_connections[key.fileobj].write(data)
                else:
                    close(key.fileobj)


if __name__ == "__main__":
    main()
