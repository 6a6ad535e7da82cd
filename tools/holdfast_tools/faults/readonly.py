"""Read-only file systems: an ext4 that turns read-only after an error it detected, and one mounted
read-only.
"""

import pathlib

from . import power
from .full import Watchdog
from .promise import Promise
from .rig import PATIENCE_S, RED_S, Collector, Sender, Skipped, noticed, spend, until
from .rivals import grow

NAME, WEIGHT, SHORT_CYCLES = "read-only", 1, 1


class ReadOnly:
    """The cycles and their totals."""

    def __init__(self, rig, patience_s=PATIENCE_S):
        self.patience_s = patience_s
        self.rig, self.disk = rig, power.Disk(rig, "loop,errors=remount-ro")
        self.watchdog = Watchdog(rig)
        self.totals = dict.fromkeys(("cycles", "batches durable", "paused", "starts on a read-only disk"), 0)

    def trigger(self):
        """Triggers the kernel's reaction to an error on this file system."""
        device = pathlib.Path(self.rig.run("findmnt", "-no", "SOURCE", self.disk.path).strip()).name
        switch = pathlib.Path("/sys/fs/ext4") / device / "trigger_fs_error"
        try:
            switch.write_text("torture")
        except OSError as error:
            raise Skipped(f"{switch}: {error}") from error

    def cycle(self):
        data = self.disk.path / "data"
        self.rig.run("rm", "-rf", "--", data)
        data.mkdir()
        collector = Collector(
            self.rig, data, name="readonly", WAL_MAX_BYTES="160MiB", ROUTER_LOG_SHARE=100
        )
        promise = Promise(collector.wal)
        promise.new_life()
        collector.start(**self.watchdog.environment).ready()
        grow(collector, promise)
        sender = Sender(self.rig, collector.port)
        self.trigger()

        def noticed():
            status = collector.status()
            promise.hear(status)
            return collector.process.poll() is not None or (status and status["wal"]["paused"])

        until("the collector notices that the disk is read-only", noticed, self.patience_s)
        collector.must_run()
        fed = self.watchdog.count()
        until(
            "the watchdog is fed while the disk is read-only",
            lambda: collector.must_run() or self.watchdog.count() > fed + 1,
        )
        self.totals["paused"] += 1
        sender.kill()
        collector.kill()
        promise.close()
        self.disk.mount()
        promise.keep()
        promise.close()
        self._start_on_it(collector, promise)
        grow(collector, promise)
        collector.kill()
        promise.keep(written=True)
        promise.close()
        self.totals["cycles"] += 1
        self.totals["batches durable"] += promise.durable

    def _start_on_it(self, collector, promise):
        """Mounted read-only as by an administrator: the collector starts, pauses, and continues."""
        self.rig.run("mount", "-o", "remount,ro", self.disk.path)
        promise.new_life()
        collector.start(**self.watchdog.environment).ready()
        sender = Sender(self.rig, collector.port)
        until(
            "the collector says that the disk is read-only",
            lambda: (collector.status() or {"wal": {}})["wal"].get("paused") or collector.must_run(),
        )
        fed = self.watchdog.count()
        until(
            "the watchdog is fed on the read-only disk",
            lambda: collector.must_run() or self.watchdog.count() > fed + 1,
        )
        self.rig.run("mount", "-o", "remount,rw", self.disk.path)
        before = promise.durable
        until(
            "the log goes on when the disk can be written",
            lambda: collector.must_run() or promise.hear(collector.status()) or promise.durable > before + 3,
        )
        sender.kill()
        self.totals["starts on a read-only disk"] += 1


def run(rig, budget):
    """Runs cycles until the budget is spent."""
    disk = ReadOnly(rig)
    return spend(budget, disk.totals, disk.cycle)


def seen_red(rig):
    """Without the error the log does not pause, and the check must detect that."""
    disk = ReadOnly(rig, RED_S)
    disk.trigger = lambda: None
    return f"without an error: {noticed('a disk without an error', disk.cycle)}"
