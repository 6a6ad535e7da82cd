"""The routers of the run: tables with changes, and peers that flap. Each sends the same messages in each of
its lives, so that the attribute sets, routes and peers of the run are bounded."""

import signal

from ..faults.rig import end
from ..hostile import wire

# Address families, views and peers of each router with a table.
PREFIXES, IPV6, PEERS, VIEWS = 4_000, 500, 2, "pre,post"
# Changes that a router sends before it disconnects and begins again.
CHANGES = 60_000
# Neighbouring prefixes with one attribute set: three routers with few sets, one with many.
SHARES = (100, 100, 100, 6)
FLAPPING_PEERS, FLAPS_PER_SESSION = 200, 20
# Share of the messages that change the state of a peer.
FLAP_SHARE = 0.06
# Waits that a router spends on a collector that is down.
CONNECT_S = 3_600


def flapping_stream():
    """The bytes of one session: all peers come up and go down again, some with a route."""
    addresses = [f"198.19.0.{number + 1}" for number in range(FLAPPING_PEERS)]
    peers = [wire.Peer(address, bgp_id=address) for address in addresses]
    attributes = wire.attributes([65_001, 65_100])
    out = [wire.initiation("flapping", "soak")]
    for round_number in range(FLAPS_PER_SESSION):
        for number, peer in enumerate(peers):
            out.append(wire.peer_up(peer))
            if number % 10 == round_number % 10:
                out.append(wire.update(peer, bytes((10, 9, 0, number)), attributes))
        out += [wire.peer_down(peer) for peer in peers]
    return b"".join(out) + wire.termination()


class Router:
    """One bmpgen, started again when it has sent everything or was killed."""

    def __init__(self, rig, port, name, source, arguments):
        self.rig, self.name = rig, name
        target = ["--to", f"127.0.0.1:{port}", "--from", source]
        target += ["--reconnect", "--connect-seconds", CONNECT_S]
        self.command = [str(word) for word in [rig.program("bmpgen"), *arguments, *target]]
        self.process = None
        # Whether everything was sent since `begin_again`, and whether the life in progress began after it.
        self.complete = self._counts = self._paused = False

    def keep(self, paused):
        """Starts the process if it is not running; stops or continues it."""
        if self.process is None or self.process.poll() is not None:
            # Another exit code is that of a kill, after which a part of the changes is missing.
            self.complete = self.complete or (self._counts and self.process.returncode == 0)
            self.process = self.rig.spawn(self.command, self.rig.work / "senders.log")
            self._counts, self._paused = True, False
        if paused != self._paused:
            self._paused = paused
            self.process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def begin_again(self):
        self.complete = self._counts = False

    def kill(self):
        """Ends the process as a router that loses power: its connection is reset, or left open."""
        if self.process is not None:
            end(self.process)


class Load:
    """All routers, and how they follow the delivery."""

    def __init__(self, rig, port, rate):
        stream = rig.work / "flapping.bmp"
        stream.write_bytes(flapping_stream())
        flap_rate = max(1, round(rate * FLAP_SHARE))
        table_rate = max(1, round(rate * (1 - FLAP_SHARE) / len(SHARES)))
        self.routers = [
            Router(rig, port, f"table{number}", f"127.0.1.{number}", self._table(number, share, table_rate))
            for number, share in enumerate(SHARES, 1)
        ]
        flapping = ["replay", stream, "--loop", 1_000_000, "--rate", flap_rate]
        self.routers.append(Router(rig, port, "flapping", "127.0.1.100", flapping))
        self.paused, self.pauses = False, 0

    @staticmethod
    def _table(number, share, rate):
        arguments = ["table", "--router", f"table{number}", "--seed", number, "--prefixes", PREFIXES]
        arguments += ["--ipv6", IPV6, "--peers", PEERS, "--views", VIEWS, "--attributes-share", share]
        duration = max(1, CHANGES // rate)
        return [*arguments, "--rate", rate, "--churn", CHANGES // duration, "--duration", duration]

    def keep(self, lag, lag_max):
        """Keeps the routers running; pauses them while more than `lag_max` records wait for delivery."""
        was = self.paused
        self.paused = lag > (lag_max / 2 if was else lag_max)
        self.pauses += self.paused and not was
        for router in self.routers:
            router.keep(self.paused)

    def complete(self):
        """Whether each router with a table has sent all that it ever sends, since `begin_again`."""
        return all(router.complete for router in self.routers[:-1])

    def begin_again(self):
        """Counts from now on: attribute sets were deleted, which the routers are going to send again."""
        for router in self.routers:
            router.begin_again()

    def stop(self):
        for router in self.routers:
            router.kill()
