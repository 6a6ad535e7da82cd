"""Attacks a collector, one attack at a time, and measures what its neighbours notice.

  tools/hostile                      all attacks, with the release build: about eight minutes
  tools/hostile --short              five attacks in about a minute; part of tools/check
  tools/hostile --only NAME ...      only these attacks; --list prints the names
  tools/hostile --sessions 2000      so many routers at once instead (may be given several times)

A well-behaved neighbour sends 20 one-route updates a second. For each attack, one line shows the collector's
largest memory, bytes of log output a second, bytes written to the write-ahead log, the time until the
neighbour's updates were durable (in the log, synced) and stored (in the database), its dropped sessions and
lost routes, the seconds until a router that was connected before could return during the attack, and the
worst health. Targets: durable within 0.5 s at p99, stored within 30 s, nothing lost, no session dropped, log
output at most 1 MB/s, memory at most 256 MiB, and a degraded status names the offender. The write-ahead log
has at most 256 MiB. A sender of an attack runs at a lower priority, as if it had a machine of its own.

Exit codes: 0 all targets were met, 1 a target was missed, 2 invalid arguments.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from ..faults.database import Server
from ..faults.rig import Rig, Skipped, Violation
from . import observe, sessions
from .case import CASES, Run

ROOT = pathlib.Path(__file__).resolve().parents[3]
# The columns of the table: heading, unit, width, and the value of a result.
COLUMNS = [
    ("attack", "", -19, lambda one: one.name),
    ("RSS", "MiB", 4, lambda one: str(one.rss >> 20)),
    ("output", "kB/s", 6, lambda one: observe.number(one.log_rate, 1e-3)),
    ("peak", "kB/s", 6, lambda one: observe.number(one.log_rate_peak, 1e-3)),
    ("WAL", "MiB", 5, lambda one: str(one.wal_written >> 20)),
    ("p50", "ms", 5, lambda one: observe.number(one.durable_p50, 1000)),
    ("p99", "ms", 6, lambda one: observe.number(one.durable_p99, 1000)),
    ("max", "ms", 6, lambda one: observe.number(one.durable_max, 1000)),
    ("ratio", "", 5, lambda one: observe.number(ratio(one), 1, 1)),
    ("stored", "p50 s", 6, lambda one: observe.number(one.stored_p50, 1, 1)),
    ("stored", "max s", 6, lambda one: observe.number(one.stored_max, 1, 1)),
    ("drops", "", 5, lambda one: str(one.dropped)),
    ("lost", "", 5, lambda one: str(one.lost)),
    ("return", "s", 6, lambda one: observe.number(one.returned, 1, 1)),
    ("health", "", -8, lambda one: one.health),
]


def arguments():
    parser = argparse.ArgumentParser(
        prog="tools/hostile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="five short attacks; times are not judged")
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", help="only these attacks")
    parser.add_argument("--list", action="store_true", help="print the names of the attacks")
    parser.add_argument(
        "--program",
        type=pathlib.Path,
        metavar="PATH",
        help="holdfast; walctl and bmpgen beside it (default: a release build)",
    )
    parser.add_argument("--seconds", type=float, help="length of each attack (default 10; short form 5)")
    parser.add_argument("--sessions", type=int, action="append", metavar="N", help="number of routers")
    parser.add_argument("--json", action="store_true", help="print one JSON object per attack")
    given = parser.parse_args()
    names = [case.name for case in CASES]
    unknown = sorted(set(given.only or []) - set(names))
    if unknown:
        parser.error(f"unknown attack {', '.join(unknown)}; expected one of {', '.join(names)}")
    if given.program and not given.program.is_file():
        parser.error(f"--program: {given.program} does not exist")
    return given


def programs(given):
    """The folder of the programs under test."""
    if given.program:
        return given.program.resolve().parent
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bins"], cwd=ROOT, check=True)
    return ROOT / "target" / "release"


def ratio(result):
    """The p99 of the time until durable during the attack, as a multiple of that before it."""
    if result.durable_p99 and result.baseline_p99:
        return result.durable_p99 / result.baseline_p99
    return None


def row(texts):
    """Texts as a row of the table; a negative width aligns to the left."""
    cells = [
        text.ljust(-width) if width < 0 else text.rjust(width)
        for text, (_, _, width, _) in zip(texts, COLUMNS)
    ]
    return " ".join(cells)


def heading():
    return "\n".join(row([column[at] for column in COLUMNS]).rstrip() for at in (0, 1))


def line(result):
    """A result as a line of the table, with the verdict at its end."""
    verdict = "MISSED: " + "; ".join(result.missed) if result.missed else "ok"
    if result.unclear:
        verdict += "; UNCLEAR on this loaded machine: " + "; ".join(result.unclear)
    return row([column[3](result) for column in COLUMNS]) + " " + verdict


def show(result, given):
    if given.json:
        print(json.dumps(result._asdict()), flush=True)
        return
    print(line(result), flush=True)
    if not given.short:
        print("    attack: " + ", ".join(f"{name} {count}" for name, count in result.attack.items()))
        for kind, text in result.conditions.items():
            print(f"    {kind}: {text[:300]}")
        sys.stdout.flush()


def one(case, given, server, where):
    """Runs one attack; returns "passed", "failed" or "skipped"."""
    if case.database and isinstance(server, Skipped):
        print(f"SKIPPED: {case.name}: {server}", flush=True)
        return "skipped"
    length = given.seconds or (5 if given.short else 10)
    try:
        with contextlib.ExitStack() as stack:
            rig = Rig(ROOT, programs(given), where / case.name, 1, stack)
            result = Run(rig, case, server, length, 1.5 if given.short else 4).measure()
    except Violation as violation:
        print(f"FAILED  {case.name}: {violation} (files: {where / case.name})", flush=True)
        return "failed"
    if given.short:
        # Milliseconds are not judged: the machine of tools/check is busy.
        result.missed[:] = [text for text in result.missed if not text.startswith("p99")]
    show(result, given)
    shutil.rmtree(where / case.name, ignore_errors=True)
    return "failed" if result.missed else "passed"


def start_server(stack, where):
    """The database server of all attacks; the reason if there is none."""
    try:
        return Server(Rig(ROOT, ROOT, where / "server", 1, stack))
    except Skipped as reason:
        return reason


def main():
    given = arguments()
    if given.list:
        print("\n".join(case.name for case in CASES))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = ROOT / "target" / "hostile" / str(os.getpid())
    if not given.json:
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"programs {programs(given)}, {os.cpu_count()} processors, load average {load}", flush=True)
    if given.sessions:
        return sessions.run(given, ROOT, programs(given), where)
    chosen = [case for case in CASES if case.name in given.only] if given.only else None
    if chosen is None:
        chosen = [case for case in CASES if case.short or not given.short]
    results = []
    with contextlib.ExitStack() as stack:
        server = start_server(stack, where) if any(case.database for case in chosen) else None
        if not given.json:
            print(heading(), flush=True)
        results += [one(case, given, server, where) for case in chosen]
    if "failed" not in results:
        shutil.rmtree(where, ignore_errors=True)
    if not given.json:
        print(", ".join(f"{results.count(word)} {word}" for word in ("passed", "failed", "skipped")))
    return 1 if "failed" in results else 0


if __name__ == "__main__":
    sys.exit(main())
