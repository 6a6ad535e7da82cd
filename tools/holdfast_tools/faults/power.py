"""Power cuts: shutdown of an ext4 on a loop device under a collector that is logging (EXT4_IOC_SHUTDOWN).

    start -> load -> (stop, write back some pages) -> cut -> kill -> remount -> read the files -> start ...

Data that was not synced is lost: all of it, or all but a subset of pages that is written back before, with
the journal flushed or not. The cut comes at any time, also while the collector starts.
"""

import ctypes
import fcntl
import os
import signal
import struct
import time

from . import segments
from .promise import Promise
from .rig import (
    LIBC,
    PATIENCE_S,
    Collector,
    Load,
    Sender,
    Skipped,
    Violation,
    checked,
    rig_time,
    spend,
    until,
)

EXT4_IOC_SHUTDOWN = 0x8004587D
LOGFLUSH, NOLOGFLUSH = 1, 2
SYNC_FILE_RANGE_WRITE_AND_WAIT = 1 | 2 | 4
IMAGE_BYTES = 224 << 20
PAGE = 4096
# With the log at its limit, the runs in one directory recycle segments; then a new directory begins.
LIVES = 12
SEGMENTS_AT_CAP = 5
DEEP_EVERY = 8
TRUTH_ROUTES = 120_000

NAME, WEIGHT, SHORT_CYCLES = "power-cut", 4, 6


class Disk:
    """A file system whose power can be cut."""

    def __init__(self, rig, options="loop"):
        rig.needs("mkfs.ext4", "e2fsprogs")
        self.rig, self.options = rig, options
        self.image, self.path = rig.work / "disk.img", rig.work / "disk"
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        rig.run("mkfs.ext4", "-q", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.mount()
        try:
            self.cut(NOLOGFLUSH)
        except OSError as error:
            raise Skipped(f"EXT4_IOC_SHUTDOWN: {error}") from error
        self.mount()

    def mount(self):
        if os.path.ismount(self.path):
            # Not with a lazy unmount: mounting the image twice would not show the state after a power cut.
            until("no process uses the disk", lambda: self.rig.quiet("umount", self.path))
        self.rig.mount(self.path, "-o", self.options, self.image)

    def cut(self, flags):
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("<I", flags))
        finally:
            os.close(directory)


def write_back_some(rig, path, start, end):
    """Writes back a random subset of the pages in [start, end) that are not synced; returns their number."""
    file = os.open(path, os.O_RDONLY)
    try:
        odds = rig.random.choice([0.1, 0.5, 0.9])
        kept = 0
        for at in range(start, end, PAGE):
            if rig.random.random() < odds:
                LIBC.sync_file_range(
                    file, ctypes.c_int64(at), ctypes.c_int64(PAGE), SYNC_FILE_RANGE_WRITE_AND_WAIT
                )
                kept += 1
        return kept
    finally:
        os.close(file)


def small_folios(path):
    """Drops clean pages, so that the next writes are cached, and lost, in small pieces."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


class PowerCuts:
    """The cycles and their totals."""

    def __init__(self, rig, faulty_sync=False):
        self.rig, self.faulty_sync = rig, faulty_sync
        if faulty_sync:
            rig.needs("strace", "strace")
        self.disk = Disk(rig)
        self.truth = None
        self.totals = dict.fromkeys(
            (
                "cycles",
                "batches durable",
                "records compared",
                "torn tails",
                "pages kept",
                "batches beyond the promise",
            ),
            0,
        )
        self.lives, self.load = 0, Load()
        self.collector = self.promise = None

    def cycle(self):
        if self.lives % LIVES == 0:
            self._new_directory()
        self.lives += 1
        before, since = self.promise.durable, rig_time()
        self.promise.new_life()
        self.collector.start(before=self._strace())
        mode = self.rig.random.choice(["nothing", "subset", "journal"])
        sender = self._load(mode == "subset")
        self._cut(mode)
        # A batch that is reported as durable after the power cut counts as well.
        self.promise.durable = max(
            self.promise.durable, (self.collector.status() or {"wal": {"durable": 0}})["wal"]["durable"]
        )
        for process in (self.collector, sender):
            if process:
                process.kill()
        self.promise.close()
        self.disk.mount()
        log = self.promise.keep(SEGMENTS_AT_CAP, fresh=self.lives % LIVES == 0)
        self._verify(log)
        self.totals["cycles"] += 1
        self.totals["batches durable"] += self.promise.durable - before
        self.totals["batches beyond the promise"] += len(log.batches) and max(
            0, max(log.batches) - self.promise.durable
        )
        if self.lives % DEEP_EVERY == 0 and self.promise.durable > before:
            self._compare(before + 1, since)

    def _new_directory(self):
        self.rig.run("rm", "-rf", "--", self.disk.path / "data")
        (self.disk.path / "data").mkdir()
        os.sync()
        compression = self.rig.random.choice(["none", "lz4"])
        self.collector = Collector(
            self.rig,
            self.disk.path / "data",
            name="power",
            WAL_FULL="drop-oldest",
            WAL_COMPRESSION=compression,
        )
        self.promise = Promise(self.collector.wal)

    def _strace(self):
        if not self.faulty_sync:
            return ()
        return (
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fdatasync",
            "-e",
            "inject=fdatasync:retval=0",
        )

    def _load(self, small):
        """Runs under load until a random moment: one time in four during the start."""
        draw = self.rig.random
        end = time.monotonic() + (draw.uniform(0, 0.3) if draw.random() < 0.25 else PATIENCE_S)
        sender, seen, status = None, "", None
        while time.monotonic() < end:
            status = self.collector.status()
            self.promise.hear(status)
            if status is None:
                self.collector.must_run()
                time.sleep(0.005)
                continue
            if not sender:
                sender, end = (
                    Sender(self.rig, self.collector.port),
                    min(end, time.monotonic() + draw.uniform(0.05, 0.5)),
                )
            name, _ = self.promise.tail.place
            if small and name != seen:
                seen = name
                small_folios(self.collector.wal / name)
            time.sleep(0.01)
        self.load.add(self.promise, sender)
        return sender

    def _cut(self, mode):
        if mode == "subset":
            os.kill(self.collector.process.pid, signal.SIGSTOP)
            tail = self.promise.tail
            tail.read()
            name, end = tail.place
            durable = [
                at for seq, (file, at) in tail.ends.items() if seq <= self.promise.durable and file == name
            ]
            start = max(durable, default=segments.FRAMES_START)
            if (self.collector.wal / name).is_file():
                kept = write_back_some(
                    self.rig, self.collector.wal / name, start // PAGE * PAGE, end + 16 * PAGE
                )
                self.totals["pages kept"] += kept
        self.disk.cut(LOGFLUSH if mode == "journal" else NOLOGFLUSH)
        if mode == "subset":
            os.kill(self.collector.process.pid, signal.SIGCONT)

    def _verify(self, log):
        """`walctl verify` must find torn writes only, no corruption."""
        if not log.segments:
            return
        code = self.rig.code("walctl", "verify", self.collector.wal)
        checked(code in (0, 1), f"walctl verify exits with {code} after a power cut, expected 0 or 1")
        self.totals["torn tails"] += code

    def _compare(self, first, since):
        """The routes that this run logged must be the first ones that were sent."""
        # Batches that were not reported as durable may be missing.
        records = self.rig.records(self.collector.wal, first, self.promise.durable, self.promise.torn)
        routes = [
            (record["prefix"], record["is_withdrawn"], record.get("as_path") or [])
            for record in records
            if record["record"] == "route" and record["session"] >= since
        ]
        self.truth = self.truth or Sender.truth(self.rig, 1, TRUTH_ROUTES)
        wrong = [pair for pair in zip(routes, self.truth) if pair[0] != pair[1]]
        checked(
            not wrong and len(routes) <= len(self.truth),
            f"{len(wrong)} of {len(routes)} logged routes differ from those sent, such as {wrong[:1]}",
        )
        self.totals["records compared"] += len(routes)


def run(rig, budget):
    """Cuts the power until the budget is spent."""
    cuts = PowerCuts(rig)
    return {**spend(budget, cuts.totals, cuts.cycle), **cuts.load.totals()}


def seen_red(rig, cycles_max=50):
    """Repeats this with a sync that does nothing: the check must detect lost batches."""
    cuts = PowerCuts(rig, faulty_sync=True)
    for cycle in range(1, cycles_max + 1):
        try:
            cuts.cycle()
        except Violation as violation:
            return f"with fdatasync doing nothing, cycle {cycle} says: {violation}"
    raise Violation(f"fdatasync did nothing in {cycles_max} power cuts, and the check did not detect it")
