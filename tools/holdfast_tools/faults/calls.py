"""Failing system calls: strace makes the N-th fdatasync, fsync, write, rename or open of a thread fail or
kill it.

The fault occurs once, or for several calls. Transient errors (no space, quota, read-only, no descriptor)
must not end a running collector. An I/O error may end it, with an error but without a panic. In each case
the guarantee holds, and the next start succeeds.
"""

import time

from .promise import Promise
from .rig import Collector, Sender, checked, noticed, spend, until

NAME, WEIGHT, SHORT_CYCLES = "system-calls", 2, 4
PASSING = {"ENOSPC", "EDQUOT", "EROFS", "EMFILE", "ENFILE"}
CASES = [
    # system call, error or signal, largest N, number of consecutive calls
    ("fdatasync", "EIO", 12, 1),
    ("fdatasync", "ENOSPC", 12, 1),
    ("fdatasync", "KILL", 12, 1),
    ("fsync", "EIO", 3, 1),
    ("fsync", "KILL", 3, 1),
    ("pwrite64", "EIO", 60, 1),
    ("pwrite64", "ENOSPC", 60, 30),
    ("pwrite64", "EDQUOT", 60, 30),
    ("pwrite64", "EROFS", 60, 30),
    ("pwrite64", "KILL", 60, 1),
    ("rename", "EIO", 2, 1),
    ("rename", "ENOSPC", 2, 2),
    ("rename", "KILL", 2, 1),
    ("openat", "EIO", 40, 1),
    ("openat", "EMFILE", 40, 5),
    ("openat", "KILL", 40, 1),
]
# Number of runs in one directory, so that starts find the effects of earlier faults.
LIVES = 6
LIVE_S = 0.6


def injection(trace, call, what, first, times):
    """The strace command line that injects the fault and logs it to `trace`."""
    fault = "signal=KILL" if what == "KILL" else f"error={what}"
    when = f"{first}" if times == 1 else f"{first}..{first + times - 1}"
    return (
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        str(trace),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:{fault}:when={when}",
    )


class Calls:
    """The cycles and their totals."""

    def __init__(self, rig):
        rig.needs("strace", "strace")
        self.rig, self.lives = rig, 0
        self.totals = dict.fromkeys(
            ("cycles", "faults that struck", "batches durable", "went on", "ended with an error", "killed"), 0
        )

    def cycle(self):
        if self.lives % LIVES == 0:
            self.collector = Collector(
                self.rig, self.rig.folder("calls"), name="calls", WAL_FULL="drop-oldest"
            )
            self.promise = Promise(self.collector.wal)
        call, what, most, times = CASES[self.lives % len(CASES)]
        self.lives += 1
        first = self.rig.random.randint(1, most)
        self.case = f"{call} number {first} of a thread: {what}" + (f", {times} times" if times > 1 else "")
        before = self.promise.durable
        trace = self.rig.work / "trace"
        trace.unlink(missing_ok=True)
        was_ready = self._live(injection(trace, call, what, first, times))
        struck = (what == "KILL" and self.collector.process.poll() == -9) or "(INJECTED)" in trace.read_text(
            errors="replace"
        )
        self.totals["faults that struck"] += struck
        self._judge(what, was_ready)
        self.collector.kill()
        self.promise.keep(written=True)
        self._next_start()
        self.totals["cycles"] += 1
        self.totals["batches durable"] += self.promise.durable - before

    def _live(self, before):
        self.promise.new_life()
        self.collector.start(before=before)
        sender, end, was_ready = None, time.monotonic() + LIVE_S, False
        while self.collector.process.poll() is None and time.monotonic() < end:
            status = self.collector.status()
            self.promise.hear(status)
            if status and not was_ready:
                was_ready, end = True, time.monotonic() + LIVE_S
                sender = Sender(self.rig, self.collector.port)
            time.sleep(0.01)
        if sender:
            sender.kill()
        return was_ready

    def _judge(self, what, was_ready):
        code = self.collector.process.poll()
        if code is None:
            self.totals["went on"] += 1
        elif what == "KILL":
            checked(code == -9, f"{self.case}: ended with {code}")
            self.totals["killed"] += 1
        else:
            checked(
                code not in (0, 101, -6, -11),
                f"{self.case}: ended with {code}: {self.collector.last_words()}",
            )
            checked(
                what not in PASSING or not was_ready,
                f"{self.case}: a transient fault, but the collector exited with {code}: "
                f"{self.collector.last_words()}",
            )
            self.totals["ended with an error"] += 1

    def _next_start(self):
        """Without the fault the collector must start, contain all durable batches, and log further ones."""
        self.promise.new_life()
        self.collector.start().ready()
        sender = Sender(self.rig, self.collector.port)
        before = self.promise.durable

        def more():
            status = self.collector.status()
            self.promise.hear(status)
            return self.promise.durable > before + 3

        until(f"after {self.case}: further batches become durable", more)
        sender.kill()
        self.collector.kill()
        self.promise.keep(written=True)
        code = self.rig.code("walctl", "verify", self.collector.wal)
        checked(code in (0, 1), f"{self.case}: walctl verify exits with {code} after the next start")


def run(rig, budget):
    """Runs the cases in turn until the budget is spent."""
    calls = Calls(rig)
    return spend(budget, calls.totals, calls.cycle)


def seen_red(rig):
    """Zeroes bytes of a segment: the check must detect the lost batches."""
    rig.needs("strace", "strace")
    collector = Collector(rig, rig.folder("red"), name="calls")
    promise = Promise(collector.wal)
    promise.new_life()
    collector.start().ready()
    sender = Sender(rig, collector.port)

    def more():
        promise.hear(collector.status())
        return promise.durable > 20

    until("some batches are durable", more)
    sender.kill()
    collector.kill()
    newest = promise.walker.read().segments[-1]
    with open(collector.wal / f"{newest.number:016x}.wal", "r+b") as file:
        file.seek(8192)
        file.write(bytes(1 << 20))
    seen = noticed("that promised batches were taken away", lambda: promise.keep(written=True, fresh=True))
    return f"with a mebibyte of the newest segment zeroed: {seen}"
