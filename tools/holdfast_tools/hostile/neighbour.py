"""A router that behaves well: a few one-route updates a second, with contents that can be found again."""

import contextlib
import socket
import struct
import threading
import time

from . import wire

RATE = 20
# Interval at which a router tries to connect again.
RETRY_S = 0.5


class Router:
    """A session that announces 10.NET.x.y/32, one prefix after the other, and all again when it reconnects.

    `due` has the time at which each update had to be sent: a send that waits does not make later updates look
    young.
    """

    def __init__(self, port, name, source, net):
        self.port, self.name, self.source, self.net = port, name, source, net
        self.peer = wire.Peer(f"198.51.100.{net + 1}", bgp_id=f"198.51.100.{net + 1}")
        self.due = []
        self.sessions = self.drops = 0
        self._socket = None
        self._stop = threading.Event()
        self._thread = None

    def host(self, index):
        return bytes((10, self.net)) + struct.pack("!H", index)

    def prefix(self, index):
        return socket.inet_ntoa(self.host(index)) + "/32"

    def update(self, index):
        return wire.update(self.peer, self.host(index), wire.attributes([65_001, 65_100 + index]))

    def connect(self, timeout=5):
        """Connects and sends Initiation, Peer Up and the table so far; an `OSError` if that fails."""
        dial = socket.socket()
        try:
            dial.bind((self.source, 0))
            dial.settimeout(timeout)
            dial.connect(("127.0.0.1", self.port))
            # The whole update in one segment, at once.
            dial.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            table = b"".join(self.update(index) for index in range(len(self.due)))
            dial.sendall(wire.initiation(self.name) + wire.peer_up(self.peer) + table)
            dial.settimeout(None)
        except OSError:
            dial.close()
            raise
        self._socket = dial
        self.sessions += 1

    def announce(self, due):
        """Sends the next update, which had to be sent at the time `due`."""
        index = len(self.due)
        self.due.append(due)
        self._socket.sendall(self.update(index))

    def start(self):
        """Sends updates at `RATE` until `stop`, reconnecting if the session ends."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        """Ends the updates; the session remains."""
        self._stop.set()
        self._thread.join(timeout=5)

    def close(self):
        if self._socket:
            # Wakes a thread that waits in `sendall`.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def _run(self):
        due = time.monotonic()
        while not self._stop.is_set():
            due += 1 / RATE
            time.sleep(max(0, due - time.monotonic()))
            try:
                self.announce(due)
            except OSError:
                self.drops += 1
                self._return()

    def _return(self):
        while not self._stop.wait(RETRY_S):
            with contextlib.suppress(OSError):
                return self.connect()
        return None
