"""Full disks: a tmpfs of 64 MiB for log and state, filled by another file again and again.

While the disk is full, the collector keeps running, feeds its watchdog and accepts no messages. When space is
available, it continues. A collector that is killed also starts on the full disk.
"""

import contextlib
import os
import socket
import statistics
import time

from .promise import Promise
from .rig import Collector, checked, end, noticed, spend, until

NAME, WEIGHT, SHORT_CYCLES = "full-disk", 2, 3
DISK_MIB, SEGMENT_MIB = 64, 16
# Larger than the disk, so that the disk is full before the log reaches its own limit.
# One router may fill the disk.
SETTINGS = {"WAL_MAX_BYTES": "1GiB", "WAL_MIN_FREE_PERCENT": 0, "ROUTER_LOG_SHARE": 100}


class Watchdog:
    """The service manager's socket: counts the watchdog notifications."""

    def __init__(self, rig):
        self.name = f"\0torture-{os.getpid()}-{id(self):x}"
        self.socket = rig.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(self.name)
        self.socket.setblocking(False)
        self.fed = 0

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": "@" + self.name[1:], "WATCHDOG_USEC": "3000000"}

    def count(self):
        while True:
            try:
                self.fed += self.socket.recv(4096).count(b"WATCHDOG=1")
            except BlockingIOError:
                return self.fed


def flood(rig, port, prefixes=900_000, share=1, per_message=1, peers=1):
    """Starts a router that sends a table and then changes at full speed; unshared attributes fill segments
    fast.
    """
    command = [
        rig.program("bmpgen"),
        "table",
        "--prefixes",
        prefixes,
        "--peers",
        peers,
        "--attributes-share",
        share,
        "--routes-per-message",
        per_message,
        "--router",
        "flood",
        "--to",
        f"127.0.0.1:{port}",
        "--reconnect",
        "--connect-seconds",
        3600,
        "--churn",
        2_000_000,
        "--duration",
        3600,
    ]
    return rig.spawn([str(word) for word in command], rig.work / "senders.log")


class FullDisk:
    """The cycles and their totals."""

    def __init__(self, rig):
        self.rig, self.disk = rig, rig.work / "disk"
        self._mount()
        self.watchdog = Watchdog(rig)
        self.times = []
        self.totals = dict.fromkeys(("cycles", "batches durable", "starts on a full disk"), 0)

    def _mount(self):
        self.rig.mount(self.disk, "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "torture")

    def _empty(self):
        """A new directory for log and state."""
        self.rig.run("rm", "-rf", "--", self.disk / "data", self.disk / "filler")
        (self.disk / "data").mkdir()

    def _leave(self, room_mib):
        """Sets the free space in MiB, with a small reserve for directory entries."""
        with open(self.disk / "filler", "ab") as filler:
            bytes_taken = (DISK_MIB - room_mib - 1) << 20
            os.truncate(filler.fileno(), min(bytes_taken, os.fstat(filler.fileno()).st_size))
            os.posix_fallocate(filler.fileno(), 0, bytes_taken)

    def life(self, budget):
        """One directory: space for one segment, then repeatedly for one more."""
        sender = self._begin()
        for room in range(2, DISK_MIB // SEGMENT_MIB):
            self._wait_until_full()
            if room == 3:
                self._start_on_the_full_disk()
            self._make_room(room * SEGMENT_MIB)
            self.totals["cycles"] += 1
            if not budget.more(self.totals["cycles"]):
                break
        end(sender)
        self._hear()
        self.collector.kill()
        self.promise.keep(kept_segments_min=99, written=True)
        self.promise.close()
        self.totals["batches durable"] += self.promise.durable

    def _begin(self):
        """A new directory and its collector; returns the sender."""
        self._empty()
        self._leave(SEGMENT_MIB)
        self.collector = Collector(self.rig, self.disk / "data", name="full", **SETTINGS)
        self.promise = Promise(self.collector.wal)
        self.promise.new_life()
        self.collector.start(**self.watchdog.environment).ready()
        return flood(self.rig, self.collector.port)

    def _start_on_the_full_disk(self):
        self.collector.kill()
        # No byte stays free: the space that the state could still use is filled, too.
        with contextlib.suppress(OSError), open(self.disk / "data" / "rest", "wb", buffering=0) as rest:
            while rest.write(bytes(4096)):
                pass
        self.promise.keep(kept_segments_min=99, written=True)
        self.promise.new_life()
        self.collector.start(**self.watchdog.environment).ready()
        self._wait_until_full()
        self.totals["starts on a full disk"] += 1

    def _hear(self):
        self.collector.must_run()
        status = self.collector.status()
        self.promise.hear(status)
        return status

    def _wait_until_full(self):
        def full():
            status = self._hear()
            return status and status["wal"]["paused"]

        until("the disk is full", full)
        fed = self.watchdog.count()
        until(
            "the watchdog is fed while the disk is full",
            lambda: self._hear() and self.watchdog.count() > fed + 1,
        )
        checked(self._hear()["wal"]["paused"], "the log is not paused although the disk is full")

    def _make_room(self, room_mib):
        before, since = self.promise.durable, time.monotonic()
        self._leave(room_mib)

        def goes_on():
            # The disk may be full again when this status is read.
            return self._hear() and self.promise.durable > before

        until("the log resumes when there is space", goes_on, rest=0.002)
        self.times.append(time.monotonic() - since)


def run(rig, budget, disk=FullDisk):
    """Fills the disk until the budget is spent."""
    disk = disk(rig)
    spend(budget, disk.totals, lambda: disk.life(budget))
    resumed = [round(value * 1000) for value in disk.times]
    return {
        **disk.totals,
        "resumed after ms (median)": round(statistics.median(resumed)),
        "(worst)": max(resumed),
        "above 1 s": sum(value > 1000 for value in resumed),
    }


def seen_red(rig, disk=FullDisk):
    """Truncates the newest segment on the full disk: the check must detect it."""
    disk = disk(rig)
    sender = disk._begin()
    disk._wait_until_full()
    end(sender)
    disk.collector.kill()
    # A file cannot even be truncated when the quota is exhausted.
    disk._leave(2 * SEGMENT_MIB)
    newest = disk.promise.walker.read().segments[-1]
    os.truncate(disk.collector.wal / f"{newest.number:016x}.wal", 16 << 10)
    seen = noticed(
        "that promised batches were taken away", lambda: disk.promise.keep(written=True, fresh=True)
    )
    return f"with the newest segment cut to 16 KiB: {seen}"
