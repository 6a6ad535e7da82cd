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
# Small enough to be written within seconds; --gib selects other sizes.
SIZES_GIB = [0.125, 0.5]
TINY_BATCHES, TINY_BATCHES_SHORT = 1_000_000, 20_000


def memory_mib(process):
    """The maximum resident set size of a process, in MiB."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024


def forget(directory):
    """Removes the files from the page cache."""
    os.sync()
    for path in directory.iterdir():
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


class Backlogs:
    """One round of all cases, and its figures."""

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
            ROUTER_LOG_SHARE=100,
        )
        self._fill(collector, lambda status: status["wal"]["bytes"] >= bytes_wanted)
        seconds, alone = self._start(collector)
        collector.kill()
        database = self.server.database()
        collector.url, begun = database.url, time.monotonic()
        self._start(collector)
        until("it drains", lambda: (collector.status() or {}).get("delivery", {}).get("delivered"))
        time.sleep(DRAIN_S)  # measures the rate over some hundreds of transactions
        draining = memory_mib(collector.process)
        collector.kill()
        rows = int(database.rows("SELECT count(*) FROM route_updates")[0][0])
        rate = rows / (time.monotonic() - begun)
        self.totals[f"{gib} GiB: listens after ms"] = round(seconds * 1000)
        self.totals[f"{gib} GiB: peak MiB"], self.totals[f"{gib} GiB: peak MiB draining"] = alone, draining
        self.totals[f"{gib} GiB: drained rows a second"] = round(rate)
        checked(seconds <= LISTEN_MAX_S, f"with {gib} GiB a router can connect only after {seconds:.2f} s")
        checked(
            max(alone, draining) <= MEMORY_MAX_MIB,
            f"with {gib} GiB the start needs {alone} MiB of memory, the drain {draining} MiB",
        )
        self.rig.run("rm", "-rf", "--", collector.home)

    def _fill(self, collector, enough):
        collector.start().ready()
        # Enough peers for every lane.
        sender = flood(self.rig, collector.port, peers=8)

        def filled():
            collector.must_run()
            status = collector.status()
            if sender.poll() is not None:
                raise Violation("the sender exited")
            return status and enough(status)

        until("the backlog is made", filled, seconds=3600, rest=0.1)
        end(sender)
        collector.kill()
        forget(collector.wal)

    def _start(self, collector):
        """Starts the collector; returns the seconds until a router can connect, and its peak memory."""
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
        """Writes a log of tiny or of the largest batches, verifies it, starts with it, and drains it."""
        database = self.server.database()
        collector = Collector(
            self.rig,
            self.rig.folder(name),
            name=name,
            WAL_SEGMENT_BYTES="64MiB",
            WAL_MAX_BYTES="2GiB",
            ROUTER_LOG_SHARE=100,
            **settings,
        )
        promise = Promise(collector.wal)
        promise.new_life()
        collector.start().ready()
        # A batch is also limited in message bytes: the largest consist of routes that share all attributes.
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
        checked(code in (0, 1), f"walctl verify --deep exits with {code} on {name} batches, expected 0 or 1")
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
    """Runs one round, independent of the budget."""
    backlogs = Backlogs(rig, budget)
    backlogs.round()
    return backlogs.totals


def seen_red(rig):
    """Deletes a batch from the database: the comparison must detect it."""
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
    checked("differ between log and database" in seen, f"the check reported another difference: {seen}")
    return f"with one batch deleted: {seen}"
