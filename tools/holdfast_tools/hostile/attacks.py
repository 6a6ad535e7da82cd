"""The attacks: `python3 -m holdfast_tools.hostile.attacks NAME PORT SECONDS`, one process for each.

An attack prints a line when it begins, and one JSON object with what it achieved: connections, refusals,
messages and bytes.
"""

import contextlib
import ctypes
import itertools
import json
import os
import random
import resource
import select
import signal
import socket
import string
import struct
import sys
import time

from . import wire

SOURCE = "127.0.0.66"
PR_SET_PDEATHSIG = 1
# Bytes that are handed to the kernel at once.
PIECE = 1 << 18


class Attack:
    """The target, the time limit, and the counts of one attack."""

    def __init__(self, port, seconds):
        self.port, self.seconds = port, seconds
        self.until = time.monotonic() + seconds
        self.random = random.Random(1)
        self.counts = {"connections": 0, "refused": 0, "closed": 0, "messages": 0, "bytes": 0}

    def left(self):
        return self.until - time.monotonic()

    def connect(self, source=SOURCE, timeout=2.0):
        """A connection, or None if it was refused."""
        dial = socket.socket()
        try:
            dial.bind((source, 0))
            dial.settimeout(timeout)
            dial.connect(("127.0.0.1", self.port))
        except OSError:
            dial.close()
            self.counts["refused"] += 1
            return None
        self.counts["connections"] += 1
        return dial

    def send(self, dial, data, messages=1):
        """Sends until the time is over; returns False if the connection ended."""
        view = memoryview(data)
        while view and self.left() > 0:
            try:
                # A collector that does not read must not keep the attack beyond its time.
                dial.settimeout(min(0.5, max(0.01, self.left())))
                view = view[dial.send(view[:PIECE]) :]
            except TimeoutError:
                continue
            except OSError:
                self.counts["closed"] += 1
                return False
        self.counts["messages"] += messages
        self.counts["bytes"] += len(data) - len(view)
        return True

    def hold(self, dials):
        """Keeps connections open until the time is over; returns those that are still open."""
        dials = list(dials)
        while dials and self.left() > 0:
            poll = select.poll()
            for dial in dials:
                poll.register(dial, select.POLLIN)
            ready = {number for number, _ in poll.poll(min(250, max(0, self.left()) * 1000))}
            ended = [dial for dial in dials if dial.fileno() in ready and not alive(dial)]
            for dial in ended:
                dials.remove(dial)
                dial.close()
                self.counts["closed"] += 1
        self.counts["held"] = len(dials)
        return dials

    def session(self, name, source=SOURCE, peer=None):
        """A connection that has sent Initiation and Peer Up; tries until the time is over."""
        while self.left() > 0:
            dial = self.connect(source)
            greeting = wire.initiation(name) + (wire.peer_up(peer) if peer else b"")
            if dial and self.send(dial, greeting):
                return dial
            time.sleep(0.05)
        return None

    def stream(self, name, pieces, peer=None):
        """Sends pieces (bytes, number of messages) at full speed, over a new session if one ends."""
        dial = None
        for data, messages in pieces:
            dial = dial or self.session(name, peer=peer)
            if self.left() <= 0:
                break
            if not self.send(dial, data, messages):
                dial = None


def alive(dial):
    try:
        return bool(dial.recv(1 << 16, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


PEER = wire.Peer("203.0.113.1", bgp_id="203.0.113.1")


def letters(attack, count):
    return "".join(attack.random.choices(string.ascii_letters, k=count))


def hosts():
    """Octets of successive addresses from 100.64.0.0 on."""
    return (struct.pack("!I", 0x6440_0000 + number) for number in itertools.count())


def long_sysname(attack):
    """Initiations with sysNames of 3,000 random letters, which exceed what an index accepts."""
    addresses = hosts()
    while attack.left() > 0:
        dial = attack.session(letters(attack, 3_000), peer=PEER)
        if not dial:
            return
        for _ in range(10):
            attack.send(dial, wire.update(PEER, next(addresses), wire.attributes([65_001])))
            time.sleep(0.02)
        dial.close()


def huge_sysname(attack):
    """A sysName of 60 KB, then 1,000 one-route updates, each in a batch of its own."""
    addresses = hosts()
    dial = attack.session(letters(attack, 60_000), peer=PEER)
    pause = attack.seconds * 0.8 / 1_000
    for _ in range(1_000):
        if not dial or not attack.send(dial, wire.update(PEER, next(addresses), wire.attributes([65_001]))):
            return
        time.sleep(pause)
    attack.hold([dial])


def big_attributes(attack):
    """Updates with 60 KB of attributes, each with other contents, at full speed."""
    noise = attack.random.randbytes(1 << 20)

    def pieces():
        for number, host in enumerate(hosts()):
            filler = struct.pack("!I", number) + noise[number % 900_000 :][:60_000]
            yield wire.update(PEER, host, wire.attributes([65_001], filler)), 1

    attack.stream("attacker", pieces(), PEER)


def as_paths(attack):
    """Updates with AS paths of 15,000 random numbers, at full speed."""
    noise = [attack.random.randrange(1, 1 << 32) for _ in range(30_000)]

    def pieces():
        for number, host in enumerate(hosts()):
            path = noise[number % 15_000 :][:15_000]
            yield wire.update(PEER, host, wire.attributes(path)), 1

    attack.stream("attacker", pieces(), PEER)


def silent(attack, sources, first=b""):
    """Opens a connection from each of the sources, with these first bytes, and then keeps silent."""
    waiting, dials = list(sources), []
    while waiting and attack.left() > 0:
        dial = attack.connect(waiting.pop())
        if dial and (not first or attack.send(dial, first)):
            dials.append(dial)
    attack.hold(dials)


# A BMP message of a type that no RFC assigns.
UNKNOWN = wire.bmp(200, b"")


def connections(attack):
    """199 connections from one address, each with one unknown message of six bytes, then silence."""
    silent(attack, [SOURCE] * 199, UNKNOWN)


def connections_1000(attack):
    """The same with 1,000 connections."""
    silent(attack, [SOURCE] * 1_000, UNKNOWN)


def connections_many(attack):
    """1,000 such connections, each from another address."""
    silent(attack, [f"127.1.{number >> 8}.{number & 255}" for number in range(1, 1_001)], UNKNOWN)


def slow_loris(attack):
    """250 connections from one address that send an Initiation octet by octet, and never the last one."""
    message = wire.initiation("loris", "x" * 200)
    dials = [dial for dial in (attack.connect() for _ in range(250)) if dial]
    for octet in message[:-1]:
        for dial in list(dials):
            if not attack.send(dial, bytes((octet,)), 0):
                dials.remove(dial)
        time.sleep(min(0.2, max(0, attack.left())))
        if attack.left() <= 0:
            break
    attack.counts["held"] = len(dials)


def half_open(attack):
    """150 sessions with Initiation and Peer Up whose sender disappears without a FIN (where root allows)."""
    for _ in range(150):
        dial = attack.connect()
        if dial and attack.send(dial, wire.initiation("half-open") + wire.peer_up(PEER)):
            with contextlib.suppress(OSError):
                # TCP_REPAIR: close() then sends nothing.
                dial.setsockopt(socket.IPPROTO_TCP, 19, 1)
                attack.counts["vanished"] = attack.counts.get("vanished", 0) + 1
            dial.close()
    time.sleep(max(0, attack.left()))


def initiations(attack):
    """Initiations at full speed, each with another sysDescr."""

    def pieces():
        for number in itertools.count():
            batch = [wire.initiation("attacker", f"{number}-{one}") for one in range(1_000)]
            yield b"".join(batch), len(batch)

    attack.stream("attacker", pieces())


def peer_number(number):
    address = socket.inet_ntoa(struct.pack("!I", 0xCB00_0000 + number))
    return wire.Peer(address, asn=100_000 + number, bgp_id=address)


def malformed(attack):
    """Updates that cannot be decoded, each of another made-up peer, at full speed."""
    broken = wire.bgp(2, b"\0\0\xff\xff\x40")

    def pieces():
        for start in itertools.count(0, 1_000):
            batch = [
                wire.bmp(wire.ROUTE_MONITORING, peer_number(number % 1_000_000).header() + broken)
                for number in range(start, start + 1_000)
            ]
            yield b"".join(batch), len(batch)

    attack.stream("attacker", pieces())


def peers(attack):
    """50,000 distinct peers with one route each, at full speed; then repetitions."""

    def pieces():
        for start in itertools.cycle(range(0, 50_000, 500)):
            made = [peer_number(number) for number in range(start, start + 500)]
            route = wire.attributes([65_001])
            batch = [
                wire.peer_up(peer) + wire.update(peer, struct.pack("!I", 0x6440_0000 + peer.asn), route)
                for peer in made
            ]
            yield b"".join(batch), 2 * len(batch)

    attack.stream("attacker", pieces())


def names(attack):
    """Sessions one after the other as fast as possible, each with another sysName."""
    for number in itertools.count():
        if attack.left() <= 0:
            return
        dial = attack.connect()
        if dial:
            attack.send(dial, wire.initiation(f"made-up-{number}"))
            dial.close()


def stolen_name(attack):
    """The sysName that BMP_ROUTER_NAMES gives to another address, before and while its owner connects."""
    addresses = hosts()
    dial = attack.session("neighbour", peer=PEER)
    while dial and attack.left() > 0:
        if not attack.send(dial, wire.update(PEER, next(addresses), wire.attributes([65_001]))):
            dial = attack.session("neighbour", peer=PEER)
        time.sleep(0.05)


FOREIGN = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 11019\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x12\x67\x2b\x0b",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xa5" * 506,
    b"GET /metrics HTTP/1.1\r\nHost: collector\r\n\r\n",
    b"SSH-2.0-scan\r\n",
]


def foreign(attack):
    """PROXY headers, TLS, HTTP and SSH on the port, each on a connection of its own, as fast as possible."""
    for data in itertools.cycle(FOREIGN):
        if attack.left() <= 0:
            return
        dial = attack.connect()
        if dial:
            attack.send(dial, data)
            dial.close()


def random_bytes(attack):
    """Random bytes, half of them behind a valid common header, as fast as possible."""
    noise = attack.random.randbytes(1 << 20)
    for number in itertools.count():
        if attack.left() <= 0:
            return
        dial = attack.connect()
        if not dial:
            continue
        body = noise[number % 900_000 :][: 1 + number % 4_000]
        attack.send(dial, wire.bmp(number % 256, body) * 3 if number % 2 else body)
        dial.close()


def unknown_types(attack):
    """Messages of unknown types with 1,000 random octets, after an Initiation, at full speed."""
    noise = attack.random.randbytes(1 << 20)

    def pieces():
        for number in itertools.count():
            bodies = [noise[(number * 97 + at) % 1_000_000 :][:1_000] for at in range(200)]
            yield b"".join(wire.bmp(100 + number % 100, body) for body in bodies), len(bodies)

    attack.stream("attacker", pieces())


ATTACKS = {
    "long-sysname": long_sysname,
    "huge-sysname": huge_sysname,
    "attributes": big_attributes,
    "as-paths": as_paths,
    "connections": connections,
    "connections-1000": connections_1000,
    "connections-many": connections_many,
    "slow-loris": slow_loris,
    "half-open": half_open,
    "initiations": initiations,
    "malformed": malformed,
    "peers": peers,
    "names": names,
    "stolen-name": stolen_name,
    "foreign": foreign,
    "random": random_bytes,
    "unknown-types": unknown_types,
}


def main():
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The sender of an attack has a machine of its own: it must not take the processor from the collector.
    os.nice(5)
    attack = Attack(port, seconds)
    print("ready", flush=True)
    ATTACKS[name](attack)
    print(json.dumps(attack.counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
