"""Thousands of routers in one process: `python3 -m holdfast_tools.hostile.fleet PORT SESSIONS RATE`.

Connects all sessions, prints a JSON line, and sends RATE one-route updates a second, over one session after
the other. The line "joins" on standard input begins 100 reconnects a second; "stop", or the end of the input,
closes all sessions and prints the totals. Each update has a prefix of its own, so that it can be counted.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import time

from . import wire
from .attacks import PR_SET_PDEATHSIG, alive

JOINS = 100
# Time that a new session may take to connect.
CONNECT_S = 30
FIRST_HOST = 0x1400_0000  # 20.0.0.0


class Fleet:
    """The sessions and their counts."""

    def __init__(self, port, sessions, rate):
        self.port, self.rate = port, rate
        self.dials = [None] * sessions
        self.sent = self.closed = self.joins = 0
        self.joining = False
        self.stopped = asyncio.Event()
        self.route = wire.attributes([65_001, 65_002])

    @staticmethod
    def source(number):
        return f"127.{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"

    @staticmethod
    def peer(number):
        address = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        return wire.Peer(address, bgp_id=address)

    async def connect(self, number):
        loop = asyncio.get_running_loop()
        dial = socket.socket()
        dial.setblocking(False)
        dial.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The port is chosen by connect(), for the pair of addresses.
        dial.setsockopt(socket.IPPROTO_IP, 24, 1)
        dial.bind((self.source(number), 0))
        await asyncio.wait_for(loop.sock_connect(dial, ("127.0.0.1", self.port)), CONNECT_S)
        hello = wire.initiation(f"fleet-{number}") + wire.peer_up(self.peer(number))
        await loop.sock_sendall(dial, hello)
        self.dials[number] = dial

    async def connect_all(self):
        slots = asyncio.Semaphore(500)

        async def one(number):
            async with slots:
                await self.connect(number)

        began = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(len(self.dials))))
        print(json.dumps({"connected": len(self.dials), "seconds": time.monotonic() - began}), flush=True)

    async def updates(self):
        """Sends `rate` updates a second, in slices of 20 ms."""
        loop, number, owed, last = asyncio.get_running_loop(), 0, 0.0, time.monotonic()
        while not self.stopped.is_set():
            now = time.monotonic()
            owed, last = owed + (now - last) * self.rate, now
            while owed >= 1:
                owed -= 1
                number = (number + 1) % len(self.dials)
                dial = self.dials[number]
                if dial is None:
                    continue
                host = struct.pack("!I", FIRST_HOST + self.sent)
                try:
                    await loop.sock_sendall(dial, wire.update(self.peer(number), host, self.route))
                    self.sent += 1
                except OSError:
                    self.closed += 1
                    self.dials[number] = None
            await asyncio.sleep(0.02)

    async def reconnects(self):
        """Closes one session after the other and connects it again, `JOINS` a second."""
        number, due = 0, time.monotonic()
        while not self.stopped.is_set():
            if not self.joining:
                due = time.monotonic()
                await asyncio.sleep(0.05)
                continue
            due += 1 / JOINS
            await asyncio.sleep(max(0, due - time.monotonic()))
            number = (number + 7) % len(self.dials)
            dial, self.dials[number] = self.dials[number], None
            if dial:
                dial.close()
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await self.connect(number)
                self.joins += 1

    def command(self):
        line = sys.stdin.readline().strip()
        if line == "joins":
            self.joining = True
        else:
            self.stopped.set()

    async def run(self):
        await self.connect_all()
        asyncio.get_running_loop().add_reader(0, self.command)
        await asyncio.gather(self.updates(), self.reconnects())
        self.closed += sum(dial is not None and not alive(dial) for dial in self.dials)
        for dial in self.dials:
            if dial:
                dial.close()
        print(json.dumps({"sent": self.sent, "closed": self.closed, "joins": self.joins}), flush=True)


def main():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(5)
    port, sessions, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    asyncio.run(_main(port, sessions, rate))
    return 0


async def _main(port, sessions, rate):
    await Fleet(port, sessions, rate).run()


if __name__ == "__main__":
    sys.exit(main())
