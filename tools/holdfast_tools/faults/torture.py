"""Runs real faults against a real collector under load, and checks its guarantee: every batch that it
reported as durable is still there afterwards, and is stored once.

  tools/torture                      each fault for some minutes, ten in all, with the release build
  tools/torture --minutes 120        the same for longer
  tools/torture --only power-cut     only this fault (may be given several times); --list prints the names
  tools/torture --short              a few cycles of most faults, about a minute; part of tools/check
  tools/torture --red                only show that each check detects a broken guarantee

Prints the totals of each fault, and exits with 1 if the guarantee was broken. A fault that this machine
cannot produce (most need root) is reported as "SKIPPED: fault: reason". All random choices derive from
--seed, which is printed. Mounts are private to the run, and its processes end with it.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from . import backlog, calls, clock, descriptors, full, kill, power, quota, readonly, rivals, sled
from .rig import Rig, Skipped, Violation, private_mounts

ROOT = pathlib.Path(__file__).resolve().parents[3]
FAULTS = [power, kill, calls, full, quota, readonly, descriptors, rivals, sled, clock, backlog]


class Budget:
    """The limit of a fault's run: a number of cycles, or a number of seconds."""

    def __init__(self, name, cycles=None, seconds=None):
        self.name, self.cycles = name, cycles
        self.started = time.monotonic()
        self.until = None if seconds is None else self.started + seconds
        self.reported = self.started

    def more(self, done):
        if self.cycles is not None and done >= self.cycles:
            return False
        return self.until is None or time.monotonic() < self.until

    def report(self, totals):
        """Prints the totals so far, at most every 30 seconds."""
        if time.monotonic() - self.reported >= 30:
            self.reported = time.monotonic()
            print(f"  … {self.name}: {in_words(totals)}", flush=True)


def in_words(totals):
    return ", ".join(f"{name} {number}" for name, number in totals.items())


def arguments():
    parser = argparse.ArgumentParser(
        prog="tools/torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=10, help="total time, divided among the faults (default 10)"
    )
    parser.add_argument("--cycles", type=int, help="maximum number of cycles of each fault")
    parser.add_argument("--only", action="append", metavar="FAULT", help="run only this fault")
    parser.add_argument("--short", action="store_true", help="a few cycles of each fault")
    parser.add_argument(
        "--red", action="store_true", help="only show that each check detects a broken guarantee"
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="seed of all random choices (default: the time)"
    )
    parser.add_argument(
        "--programs",
        type=pathlib.Path,
        help="folder of holdfast, walctl and bmpgen (default: a release build)",
    )
    parser.add_argument(
        "--gib",
        type=float,
        action="append",
        help="size of the backlog at a start, in GiB (may be given several times)",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the faults")
    return parser.parse_args()


def programs(given):
    if given:
        return given.resolve()
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bins"], cwd=ROOT, check=True)
    return ROOT / "target" / "release"


def chosen(given):
    """The selected faults. The short form omits those that take long or that the tests cover."""
    unknown = set(given.only or []) - {fault.NAME for fault in FAULTS}
    if unknown:
        names = ", ".join(fault.NAME for fault in FAULTS)
        sys.exit(f"torture: unknown fault {', '.join(sorted(unknown))}; expected one of {names}")
    if given.only:
        return [fault for fault in FAULTS if fault.NAME in given.only]
    return [fault for fault in FAULTS if fault.SHORT_CYCLES or not given.short]


def budget_of(fault, given, faults):
    if given.short:
        return Budget(fault.NAME, cycles=given.cycles or fault.SHORT_CYCLES or 1)
    weight = fault.WEIGHT / sum(one.WEIGHT for one in faults)
    return Budget(fault.NAME, cycles=given.cycles, seconds=given.minutes * 60 * weight)


def one(fault, given, faults, where):
    """Runs one fault; returns "passed", "skipped" or "failed"."""
    started, work = time.monotonic(), where / fault.NAME
    try:
        with contextlib.ExitStack() as stack:
            rig = Rig(ROOT, programs(given.programs), work / "red", given.seed, stack)
            red = fault.seen_red(rig)
        print(f"red     {fault.NAME}: {red}", flush=True)
        if not given.red:
            with contextlib.ExitStack() as stack:
                rig = Rig(ROOT, programs(given.programs), work / "run", given.seed, stack, given.gib)
                totals = fault.run(rig, budget_of(fault, given, faults))
            print(f"ok      {fault.NAME}: {in_words(totals)}; {time.monotonic() - started:.0f} s", flush=True)
    except Skipped as reason:
        print(f"SKIPPED: {fault.NAME}: {reason}", flush=True)
        return "skipped"
    except Violation as violation:
        print(f"FAILED  {fault.NAME}: {violation} (seed {given.seed}; files: {work})", flush=True)
        return "failed"
    shutil.rmtree(work, ignore_errors=True)
    return "passed"


def main():
    given = arguments()
    if given.list:
        summaries = {fault.NAME: " ".join(fault.__doc__.split("\n\n")[0].split()) for fault in FAULTS}
        print("\n".join(f"{name:<14} {summary}" for name, summary in summaries.items()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_mounts()
    where = ROOT / "target" / "torture" / str(os.getpid())
    print(f"seed {given.seed}, programs {programs(given.programs)}", flush=True)
    faults, results = chosen(given), []
    try:
        for fault in faults:
            results.append(one(fault, given, faults, where))
    finally:
        if "failed" not in results:
            shutil.rmtree(where, ignore_errors=True)
    print(", ".join(f"{results.count(result)} {result}" for result in ("passed", "failed", "skipped")))
    return 1 if "failed" in results else 0


if __name__ == "__main__":
    sys.exit(main())
