"""Starts with a large backlog, and logs of many tiny batches or of the largest batches.

Prints for each backlog the time until a router can connect, and the peak memory of the collector alone and
while it drains. `--gib` sets the size of the backlogs.
"""

import os
import socket
import time

from .database import Database, Server, delivered
from .full import flood
from .promise import Promise
from .rig import Collector, Violation, checked, end, noticed, until

NAME, WEIGHT, SHORT_CYCLES = "backlog", 1, 0
MEMORY_MAX_MIB, LISTEN_MAX_S = 100, 1
DRAIN_S = 20
# A log of this size is made in a moment; --gib asks for more.
SIZES_GIB = [0.125, 0.5]
TINY_BATCHES, TINY_BATCHES_SHORT = 1_000_000, 20_000


def memory_mib(process):
    """The most memory that it ever had: what GNU time calls the maximum resident set size."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024


def forget(directory):
    """Nothing of it is in the page cache any more."""
    os.sync()
    for path in directory.iterdir():
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


class Backlogs:
    """One round of everything, and its figures."""

    def __init__(self, rig, budget=None):
        self.rig, self.is_short = rig, budget is not None and budget.cycles == 1
        self.server = Server(rig)
        self.totals = {"cycles": 0}

    def round(self):
        for gib in self.rig.gib or SIZES_GIB[: 1 if self.is_short else None]:
            self.backlog(gib)
        self.extreme("tiny", TINY_BATCHES_SHORT if self.is_short else TINY_BATCHES, BATCH_MAX_ROUTES=1)
        self.giant()
        self.totals["cycles"] += 1

    def backlog(self, gib):
        bytes_wanted = int(gib * (1 << 30))
        collector = Collector(
            self.rig,
            self.rig.folder("backlog"),
            name="backlog",
            WAL_SEGMENT_BYTES="64MiB",
            WAL_MAX_BYTES=bytes_wanted + (1 << 30),
        )
        self._fill(collector, lambda status: status["wal"]["bytes"] >= bytes_wanted)
        seconds, alone = self._start(collector)
        collector.kill()
        database = self.server.database()
        collector.url, begun = database.url, time.monotonic()
        self._start(collector)
        until("it drains", lambda: (collector.status() or {}).get("delivery", {}).get("delivered"))
        time.sleep(DRAIN_S)  # the wait is the point: some hundreds of transactions of the backlog are stored
        draining = memory_mib(collector.process)
        collector.kill()
        rows = int(database.rows("SELECT count(*) FROM route_updates")[0][0])
        rate = rows / (time.monotonic() - begun)
        self.totals[f"{gib} GiB: listens after ms"] = round(seconds * 1000)
        self.totals[f"{gib} GiB: peak MiB"], self.totals[f"{gib} GiB: peak MiB draining"] = alone, draining
        self.totals[f"{gib} GiB: drained rows a second"] = round(rate)
        checked(
            seconds <= LISTEN_MAX_S, f"with {gib} GiB it takes {seconds:.2f} s until a router can connect"
        )
        checked(
            max(alone, draining) <= MEMORY_MAX_MIB,
            f"with {gib} GiB it takes {alone} MiB of memory to start, {draining} MiB to drain",
        )
        self.rig.run("rm", "-rf", "--", collector.home)

    def _fill(self, collector, enough):
        collector.start().ready()
        # Of so many peers that every lane has some.
        sender = flood(self.rig, collector.port, peers=8)

        def filled():
            collector.must_run()
            status = collector.status()
            if sender.poll() is not None:
                raise Violation("the sender ended")
            return status and enough(status)

        until("the backlog is made", filled, seconds=3600, rest=0.1)
        end(sender)
        collector.kill()
        forget(collector.wal)

    def _start(self, collector):
        """Starts it; returns the seconds until a router can connect, and its memory then."""
        begun = time.monotonic()
        collector.start()

        def connects():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", collector.port)) == 0

        until("a router can connect", lambda: collector.must_run() or connects(), rest=0.002)
        seconds = time.monotonic() - begun
        collector.ready()
        return seconds, memory_mib(collector.process)

    def giant(self):
        self.extreme("giant", 0, BATCH_MAX_ROUTES=50_000, BATCH_MAX_DELAY_MS=10_000, DRAIN_MAX_ROWS=50_000)

    def extreme(self, name, batches, **settings):
        """A log of tiny or giant batches: made, checked byte by byte, started with, and drained."""
        database = self.server.database()
        collector = Collector(
            self.rig,
            self.rig.folder(name),
            name=name,
            WAL_SEGMENT_BYTES="64MiB",
            WAL_MAX_BYTES="2GiB",
            **settings,
        )
        promise = Promise(collector.wal)
        promise.new_life()
        collector.start().ready()
        # A batch ends at so many bytes of messages, too: the largest come of routes that share all they have.
        sender = (
            flood(self.rig, collector.port)
            if batches
            else flood(self.rig, collector.port, 200_000, 200_000, 400)
        )

        def enough():
            collector.must_run()
            promise.hear(collector.status())
            largest = max((batch.count for batch in promise.noted.values()), default=0)
            return promise.durable >= batches if batches else largest >= settings["BATCH_MAX_ROUTES"]

        until(f"{name} batches are durable", enough, seconds=600, rest=0.05)
        end(sender)
        collector.kill()
        log = promise.keep(written=True)
        code = self.rig.code("walctl", "verify", "--deep", collector.wal)
        checked(code in (0, 1), f"walctl verify --deep ends with {code} on {name} batches")
        collector.url = database.url
        seconds, memory = self._start(collector)
        begun = time.monotonic()
        delivered(collector, seconds=1800)
        took = time.monotonic() - begun
        collector.kill()
        stored = database.counts(name, 0)
        wrong = [seq for seq, batch in log.batches.items() if stored.get(seq) != batch.count]
        checked(
            not wrong,
            f"{len(wrong)} of {len(log.batches)} {name} batches differ between log and database",
        )
        self.totals.update(
            {
                f"{name}: batches": len(log.batches),
                f"{name}: largest": max(batch.count for batch in log.batches.values()),
                f"{name}: listens after ms": round(seconds * 1000),
                f"{name}: peak MiB": memory,
                f"{name}: drained records a second": round(sum(stored.values()) / max(took, 0.001)),
            }
        )


def run(rig, budget):
    """One round, whatever the budget: it is not the number that shows something."""
    backlogs = Backlogs(rig, budget)
    backlogs.round()
    return backlogs.totals


def seen_red(rig):
    """A batch taken out of the database: the comparison must see it."""
    backlogs = Backlogs(rig)
    counts = Database.counts

    def one_less(database, collector, after):
        found = counts(database, collector, after)
        found.pop(min(found))
        return found

    Database.counts = one_less
    try:
        seen = noticed("that a batch was missing", backlogs.giant)
    finally:
        Database.counts = counts
    checked("differ between log and database" in seen, f"the wrong thing was noticed: {seen}")
    return f"with a batch less: {seen}"
