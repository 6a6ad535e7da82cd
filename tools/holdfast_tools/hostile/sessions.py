"""Thousands of routers at once: memory, descriptors, processor time, latency and the status document."""

import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import NamedTuple, Optional

from ..faults.database import Server
from ..faults.rig import Collector, Rig, Skipped, Violation, free_port
from . import observe
from .case import DURABLE_P99_MAX_S, NEIGHBOUR
from .neighbour import Router

RATE = 2_000
PHASE_S = 10
TABLE = 200_000
# Descriptors besides those of sessions: log, state, database, status.
DESCRIPTORS = 500
STORED_LIMIT_S = 60
# Scrapes of a phase; the median is printed.
SCRAPES = 5
HEAD = (
    "phase                RSS   descriptors  CPU   durable (ms)         status         metrics\n"
    "                     MiB                %     p50    p99    max    s      KiB     ms     KiB"
)


class Phase(NamedTuple):
    """The measurement of one phase."""

    sessions: int
    phase: str
    rss: int
    descriptors: int
    cpu: float
    durable_p50: Optional[float]
    durable_p99: Optional[float]
    durable_max: Optional[float]
    status_s: float
    status_bytes: int
    scrape_s: float
    scrape_bytes: int

    def line(self):
        times = (self.durable_p50, self.durable_p99, self.durable_max)
        times = [observe.number(value, 1000) for value in times]
        return (
            f"{self.phase:<19} {self.rss >> 20:>4} {self.descriptors:>13} {self.cpu:>5.0f}"
            f" {times[0]:>6} {times[1]:>6} {times[2]:>6} {self.status_s:>6.2f} {self.status_bytes >> 10:>6}"
            f" {1000 * self.scrape_s:>7.0f} {self.scrape_bytes >> 10:>6}"
        )


def run(given, root, programs, where):
    """Measures each number of sessions; returns the exit code."""
    results = []
    for count in given.sessions:
        try:
            with contextlib.ExitStack() as stack:
                rig = Rig(root, programs, where / f"sessions-{count}", 1, stack)
                results.append(Many(rig, count, given.json).measure())
        except Skipped as reason:
            print(f"SKIPPED: {count} sessions: {reason}", flush=True)
        except Violation as violation:
            print(f"FAILED  {count} sessions: {violation}", flush=True)
            results.append(False)
    shutil.rmtree(where, ignore_errors=True)
    return 0 if all(results) else 1


def server_of(rig):
    """A database, or None with the reason printed."""
    try:
        return Server(rig).database()
    except Skipped as reason:
        print(f"without a database: {reason}", flush=True)
        return None


class Many:
    """One run with so many sessions."""

    def __init__(self, rig, count, as_json):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < count + DESCRIPTORS:
            raise Skipped(f"the hard limit of open files is {hard}, expected {count + DESCRIPTORS} or more")
        # The collector inherits the limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.rig, self.count, self.json = rig, count, as_json
        self.database = server_of(rig)
        home = rig.folder("home")
        url = self.database.url if self.database else f"postgres://nobody@127.0.0.1:{free_port()}/none"
        settings = {"WAL_MAX_BYTES": "10GiB", "WAL_SEGMENT_BYTES": "64MiB"}
        settings["BMP_MAX_CONNECTIONS"] = count + 100
        settings["BMP_MAX_CONNECTIONS_PER_ADDRESS"] = count + 100
        self.http = f"127.0.0.1:{free_port()}"
        settings["HTTP_LISTEN"] = self.http
        self.collector = Collector(rig, home, name="hostile", url=url, **settings)
        self.neighbour = Router(self.collector.port, "neighbour", NEIGHBOUR, net=0)
        rig.stack.callback(self.neighbour.close)
        self.missed = []

    def measure(self):
        self.collector.start().ready()
        # The status document is large: what is durable is taken from the files.
        self.watch = observe.Watch(self.collector, [self.neighbour], status=False)
        self.watch.start()
        try:
            self._phases()
        finally:
            self.watch.stop()
        for text in self.missed:
            print(f"MISSED: {text}", flush=True)
        return not self.missed

    def _phases(self):
        self.neighbour.connect()
        self.neighbour.start()
        fleet = self._python("fleet", self.count, RATE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        connected = json.loads(fleet.stdout.readline() or "{}")
        if "connected" not in connected:
            raise Violation(f"{self.count} routers could not connect")
        if not self.json:
            print(f"{self.count} sessions, connected within {connected['seconds']:.2f} s")
            print(HEAD, flush=True)
        self._phase(f"{RATE} updates/s")
        table = self._table()
        self._phase("and a full dump")
        fleet.stdin.write("joins\n")
        fleet.stdin.flush()
        self._phase("and 100 joins/s")
        attack = self._python("attacks", "malformed", PHASE_S + 2, stdout=subprocess.DEVNULL, first=True)
        self._phase("and a hostile one")
        attack.wait()
        fleet.stdin.write("stop\n")
        fleet.stdin.flush()
        totals = json.loads(fleet.stdout.readline() or "{}")
        self.neighbour.stop()
        table.wait()
        self._compare(totals)

    def _python(self, module, *arguments, first=False, **streams):
        """Starts a sender; `first`: the name of the attack comes before the port."""
        words = [str(word) for word in arguments]
        words.insert(1 if first else 0, str(self.collector.port))
        command = [sys.executable, "-m", f"holdfast_tools.hostile.{module}", *words]
        process = subprocess.Popen(command, text=True, **{"stdin": subprocess.DEVNULL, **streams})
        self.rig.stack.callback(process.kill)
        return process

    def _table(self):
        command = [self.rig.program("bmpgen"), "table", "--prefixes", TABLE, "--router", "full-table"]
        command += ["--to", f"127.0.0.1:{self.collector.port}"]
        return self.rig.spawn([str(word) for word in command], self.rig.work / "table.log")

    def _phase(self, name):
        pid = self.collector.process.pid
        began, cpu = time.monotonic(), cpu_seconds(pid)
        time.sleep(PHASE_S)
        ended, used = time.monotonic(), cpu_seconds(pid) - cpu
        time.sleep(1)
        durable = self.watch.follower.durable_at[self.neighbour.name]
        due = enumerate(self.neighbour.due)
        due = [(index, at) for index, at in due if began <= at < ended]
        # An update that is not durable yet has waited until now.
        times = [durable.get(index, time.monotonic()) - at for index, at in due]
        status_began = time.monotonic()
        command = [self.rig.program("holdfast"), "status", "--json", "--socket", str(self.collector.socket)]
        status = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        if status.returncode not in (0, 1):
            self.missed.append(f"{name}: {status.stderr.decode(errors='replace').strip()[:300]}")
        status_s = time.monotonic() - status_began
        scrape_s, scrape_bytes = self._scrape()
        phase = Phase(
            self.count,
            name,
            rss=self.watch.rss_max,
            descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            cpu=100 * used / (ended - began),
            durable_p50=observe.percentile(times, 0.5),
            durable_p99=observe.percentile(times, 0.99),
            durable_max=max(times, default=None),
            status_s=status_s,
            status_bytes=len(status.stdout),
            scrape_s=scrape_s,
            scrape_bytes=scrape_bytes,
        )
        print(json.dumps(phase._asdict()) if self.json else phase.line(), flush=True)
        if phase.durable_p99 is None or phase.durable_p99 > DURABLE_P99_MAX_S:
            self.missed.append(f"{name}: p99 above {DURABLE_P99_MAX_S} s")

    def _scrape(self):
        """Median time of a scrape, and the size of its page. The status of each is computed anew."""
        times, size = [], 0
        for _ in range(SCRAPES):
            time.sleep(1.1)
            began = time.monotonic()
            try:
                with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=30) as reply:
                    size = len(reply.read())
            except OSError as error:
                self.missed.append(f"scrape of /metrics: {error}")
            times.append(time.monotonic() - began)
        return statistics.median(times), size

    def _compare(self, totals):
        """Counts what the database has of the fleet and of the neighbour."""
        if not self.json:
            print(", ".join(f"{name} {count}" for name, count in totals.items()), flush=True)
        if totals.get("closed"):
            self.missed.append(f"{totals['closed']} sessions were closed by the collector")
        if not self.database:
            return
        query = (
            "SELECT count(*), count(DISTINCT (router, prefix)) FROM route_updates "
            "WHERE router LIKE 'fleet-%' OR router = 'neighbour'"
        )
        expected = totals.get("sent", 0) + len(self.neighbour.due)
        limit = time.monotonic() + STORED_LIMIT_S
        found = (0, 0)
        while found[1] < expected and time.monotonic() < limit:
            time.sleep(1)
            found = tuple(int(value) for value in self.database.rows(query)[0])
        if not self.json:
            print(f"{expected} routes sent, {found[1]} stored, {found[0] - found[1]} doubled", flush=True)
        if found != (expected, expected):
            self.missed.append(f"{expected} routes sent, {found[1]} stored, {found[0] - found[1]} doubled")


def cpu_seconds(pid):
    """Processor time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
