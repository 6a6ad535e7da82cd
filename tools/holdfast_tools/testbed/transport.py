"""Real BMP sessions through each transport: cases and table of `tools/testbed/transport`; see there."""

import argparse
import contextlib
import functools
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import typing

from . import scenario, transport_cases, transport_refusals
from .transport_bench import Difference, Skipped

PLANTS = ("one-record-less", "any-proxy", "any-certificate", "no-md5")
# Routes of the table in most cases, and in the cases "speed": usual and with --short.
ROUTES, ROUTES_SHORT = 20_000, 2_000
SPEED, SPEED_SHORT = 100_000, 10_000
WIDTHS = (-48, -5, 9, 8, 8, 8)


class Case(typing.NamedTuple):
    """A case: its name, the function that runs it in a bench, and whether it is part of the short form."""

    name: str
    function: typing.Callable
    short: bool = True


def cases():
    """All cases, in the order of their runs."""
    one, refusals = transport_cases, transport_refusals
    part = functools.partial
    return [
        Case("plain/bird", part(one.plain, kind="bird")),
        Case("plain/frr", part(one.plain, kind="frr")),
        Case("speed/no-database", one.speed),
        Case("speed/database-up", part(one.speed, database="up")),
        Case("speed/database-down", part(one.speed, database="down")),
        Case("tls/stunnel-1.3/bird", part(one.tls, kind="bird", version="TLSv1.3"), short=False),
        Case("tls/stunnel-1.2/bird", part(one.tls, kind="bird", version="TLSv1.2"), short=False),
        Case("tls/stunnel-1.3/frr", part(one.tls, kind="frr", version="TLSv1.3"), short=False),
        Case("tls/stunnel-1.2/frr", part(one.tls, kind="frr", version="TLSv1.2")),
        Case("tls/mutual/bird", part(one.mutual_tls, kind="bird"), short=False),
        Case("tls/mutual/frr", part(one.mutual_tls, kind="frr")),
        Case("tls/renewed-certificate", part(one.renewal, kind="bird")),
        Case("tls/other-authority", part(one.other_authority, kind="frr")),
        Case("tls/refused", refusals.tls),
        Case("proxy/haproxy/bird", part(one.proxy, kind="bird")),
        Case("proxy/haproxy/frr", part(one.proxy, kind="frr"), short=False),
        Case("proxy/haproxy-tls/frr", part(one.proxy_tls, kind="frr")),
        Case("proxy/refused", refusals.proxy),
        Case("active/haproxy/frr", one.active),
        Case("md5/right-key/bird", part(one.md5, kind="bird")),
        Case("md5/right-key/frr", part(one.md5, kind="frr"), short=False),
        Case("md5/active/frr", one.md5_active, short=False),
        Case("md5/refused", refusals.md5),
    ]


class Run:
    """Options and results of one run, and the records of the plain sessions."""

    def __init__(self, args):
        self.tree, self.links, self.timescale = args.routers, args.links, args.timescale
        self.program = (args.program or args.default_program).absolute()
        self.plant, self.short = args.plant, args.short
        self.count = ROUTES_SHORT if args.short else ROUTES
        self.speed = args.routes or (SPEED_SHORT if args.short else SPEED)
        # By kind of router and number of routes.
        self.plain = {}
        self.missed = self.skipped = self.passed = 0

    @contextlib.contextmanager
    def bench(self):
        """Processes and a folder for one case. The folder is kept if the case fails."""
        # Short path: the routers' control sockets live here, and a socket's path has 107 characters.
        work = pathlib.Path(tempfile.mkdtemp(prefix="hf-tr-", dir="/tmp"))
        bench = scenario.Bench(self.tree, work)
        with contextlib.closing(bench):
            try:
                yield bench
            except Skipped:
                pass_on = True
                raise
            except BaseException as error:
                pass_on = False
                error.folder = work
                raise
            else:
                pass_on = True
            finally:
                bench.close()
                if pass_on:
                    shutil.rmtree(work, ignore_errors=True)

    def run(self, case):
        """Runs a case and prints its lines."""
        began = time.monotonic()
        try:
            with self.bench() as bench:
                for row in case.function(self, bench):
                    self.passed += 1
                    show(row._replace(name=row.name or case.name))
        except Skipped as reason:
            self.skipped += 1
            print(f"SKIPPED: {case.name}: {reason}", flush=True)
        except (Difference, SystemExit) as problem:
            if isinstance(problem, SystemExit) and isinstance(problem.code, int):
                raise
            self.missed += 1
            print(f"DIFFERS  {case.name}: {problem} (files: {problem.folder})", flush=True)
        print(f"{case.name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def cells(texts):
    """Texts as a row of the table; a negative width aligns to the left."""
    return " ".join(
        text.ljust(-width) if width < 0 else text.rjust(width) for text, width in zip(texts, WIDTHS)
    )


def show(row):
    """Prints a row of the table."""
    figures = [
        "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
        for value in (row.records, row.rate, row.queue, row.blocked)
    ]
    print(f"{cells([row.name, row.router, *figures])}  {row.note}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="transport")
    for name in ("routers", "links", "timescale", "default-program"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path)
    parser.add_argument("--routes", type=int)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--plant", choices=PLANTS)
    parser.add_argument("case", nargs="*")
    args = parser.parse_args()
    chosen = [case for case in cases() if case.short or not args.short]
    if args.case:
        chosen = [case for case in cases() if case.name.startswith(tuple(args.case))]
    if not chosen:
        parser.error(f"no case begins with {' or '.join(args.case)}; --list prints the names")
    if args.list:
        print("\n".join(case.name for case in chosen))
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    run = Run(args)
    for name in ("", "walctl"):
        program = run.program.parent / name if name else run.program
        if not os.access(program, os.X_OK):
            parser.error(f"{program} does not exist or cannot be run")
    print(cells(["case", "from", "records", "per s", "queue", "blocked"]) + "  result", flush=True)
    for case in chosen:
        run.run(case)
    print(f"{run.passed} lines passed, {run.missed} cases differ, {run.skipped} cases skipped")
    return 1 if run.missed else 0


if __name__ == "__main__":
    sys.exit(main())
