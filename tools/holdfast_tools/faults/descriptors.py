"""Exhausted file descriptors: the running collector's limit is lowered to its open files, then raised."""

import os
import resource
import socket

from .promise import Promise
from .rig import PATIENCE_S, RED_S, Collector, Sender, checked, noticed, spend, until
from .rivals import grow

NAME, WEIGHT, SHORT_CYCLES = "descriptors", 1, 1
ENOUGH = 1024
CONNECTIONS = 30


class Descriptors:
    """The cycles and their totals."""

    def __init__(self, rig, patience_s=PATIENCE_S):
        self.patience_s = patience_s
        self.rig = rig
        self.totals = dict.fromkeys(
            ("cycles", "batches durable", "refused accepts", "batches durable meanwhile"), 0
        )

    def limit(self, collector, count):
        resource.prlimit(collector.process.pid, resource.RLIMIT_NOFILE, (count, ENOUGH))

    def cycle(self):
        collector = Collector(self.rig, self.rig.folder("home"), name="descriptors", WAL_FULL="drop-oldest")
        promise = Promise(collector.wal)
        promise.new_life()
        collector.start().ready()
        resource.prlimit(collector.process.pid, resource.RLIMIT_NOFILE, (ENOUGH, ENOUGH))
        sender = Sender(self.rig, collector.port)
        until("something is durable", lambda: promise.hear(collector.status()) or promise.durable > 3)
        before = promise.durable
        # The status socket needs a descriptor per connection; from here on, only the log's files are read.
        self.limit(collector, len(os.listdir(f"/proc/{collector.process.pid}/fd")))
        dials = [self._dial(collector) for _ in range(CONNECTIONS)]
        until(
            "the collector finds no descriptor for a connection",
            lambda: collector.must_run() or collector.said("connection_error"),
            self.patience_s,
        )
        promise.tail.read()
        seen = max(promise.tail.batches, default=before)
        # Appends to the open segment continue.
        until(
            "the log goes on with the files that it has",
            lambda: collector.must_run()
            or promise.tail.read()
            or max(promise.tail.batches, default=0) > seen + 5,
        )
        self.totals["batches durable meanwhile"] += max(promise.tail.batches) - seen
        self.limit(collector, ENOUGH)
        for dial in dials:
            dial.close()
        collector.ready()
        promise.hear(collector.status())
        grow(collector, promise)
        status = collector.status()
        self.totals["refused accepts"] += status["listener"]["accept_errors"]
        checked(status["listener"]["accept_errors"] > 0, "no accept failed")
        sender.kill()
        collector.kill()
        promise.keep(written=True)
        self.totals["cycles"] += 1
        self.totals["batches durable"] += promise.durable

    @staticmethod
    def _dial(collector):
        dial = socket.socket()
        dial.settimeout(2)
        dial.connect(("127.0.0.1", collector.port))
        return dial


def run(rig, budget):
    """Runs cycles until the budget is spent."""
    descriptors = Descriptors(rig)
    return spend(budget, descriptors.totals, descriptors.cycle)


def seen_red(rig):
    """With enough descriptors no accept fails, and the check must detect that."""
    descriptors = Descriptors(rig, RED_S)
    descriptors.limit = lambda collector, count: None
    return f"with enough descriptors: {noticed('that none was missing', descriptors.cycle)}"
