"""Runs a collector with a database of its own under load, with reconnects, flapping peers, outages, restarts
and reloads, and judges everything that could grow without bound.

  tools/soak                          50,000,000 records, with the release build
  tools/soak --records N              this number of records
  tools/soak --minutes M              at most so long
  tools/soak --short                  2 minutes, judged by the same rules
  tools/soak --json FILE              also write all samples and lines to FILE
  tools/soak --plant state-file       show that growth is found (also: table, rows, row-less)

In the run the database ages by 30 days: at each restart the ledger, the attribute sets and the samples become
older by the same time, and 720 reloads run the hourly maintenance (fewer in a short run). Memory is judged in
the last life of the collector, everything else in the second half of the run. At the end everything is
delivered, and holdfast_verify must find nothing missing, doubled or broken. Exits with 1 if something grew
beyond its bound, or if the delivery was not exact.
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
import time

from ..faults.database import Server, delivered
from ..faults.rig import Collector, Rig, Skipped, Violation, private_mounts, until
from . import judge, state_writes
from .events import DAYS, Events
from .load import Load
from .sample import Sampler

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECORDS, SHORT_S = 50_000_000, 120
# The collector writes the position of its state once a second.
STATE_WRITES = DAYS * 86_400
# Records offered per second. The routers pause while more than LAG_MAX records wait for delivery.
RATE, LAG_MAX = 40_000, 400_000
TICK_S = 0.1
# Time that the delivery of the rest may take, and that holdfast_verify may take.
DELIVERY_S = 900
PLANTS = ("state-file", "table", "rows", "row-less")
# Attribute sets that no route refers to are deleted after a week.
SETS_AGE_DAYS = 8


def arguments():
    parser = argparse.ArgumentParser(
        prog="tools/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=RECORDS, metavar="N", help="default 50,000,000")
    parser.add_argument("--minutes", type=float, metavar="M", help="end after this time, if earlier")
    parser.add_argument("--short", action="store_true", help="end after 2 minutes")
    parser.add_argument(
        "--rate", type=int, default=RATE, metavar="N", help="records per second (default 40,000)"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write samples and lines to FILE")
    parser.add_argument(
        "--program",
        type=pathlib.Path,
        metavar="PATH",
        help="holdfast; bmpgen and bench beside it (default: a release build)",
    )
    parser.add_argument(
        "--plant",
        choices=PLANTS,
        action="append",
        default=[],
        help="let something grow that must not, or delete a row of history (may be given several times)",
    )
    given = parser.parse_args()
    if given.program and not given.program.is_file():
        parser.error(f"--program: {given.program} does not exist")
    return given


def programs(given):
    """The folder of the programs under test."""
    if given.program:
        return given.program.resolve().parent
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--bins"]
    subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "target" / "release"


class Soak:
    """One run."""

    def __init__(self, rig, given):
        self.rig, self.given = rig, given
        self.seconds = SHORT_S if given.short else given.minutes * 60 if given.minutes else None
        self.server = Server(rig, "soak")
        self.database = self.server.database()
        # Time passes faster here: dead rows are removed as often as in a day that lasts as long.
        self.database.rows("ALTER SYSTEM SET autovacuum_naptime = '2s'")
        self.database.rows("SELECT pg_reload_conf()")
        self.collector = Collector(
            rig,
            rig.folder("soak"),
            name="soak",
            url=self.database.url,
            WAL_SEGMENT_BYTES=f"{judge.SEGMENT_MIB}MiB",
            WAL_MAX_BYTES=f"{judge.LOG_MAX_MIB}MiB",
            # The default, unlike in other tools: a table that is sent again adds no history.
            HISTORY_DEDUP="always",
        )
        self.sampler = Sampler(self.collector, self.database.url)
        self.load = Load(rig, self.collector.port, given.rate)
        rig.stack.callback(self.load.stop)
        expected = self.seconds or given.records / given.rate
        self.events = Events(rig, self.collector, self.database, self.sampler, self.load, expected)
        self.lines = []
        self.repeated_since = None

    def run(self):
        """Runs until the records or the time are spent; returns the names of the lines that are exceeded."""
        self.events.settings()
        self.collector.start().ready()
        self.sampler.start()
        try:
            self._operate()
            self.events.end_outage()
            self.load.stop()
            delivered(self.collector, DELIVERY_S)
            self.sampler.take()
        finally:
            self.sampler.stop()
        self._judge()
        self._after_a_week()
        self._verify()
        self.lines.append(state_writes.line(self.rig, self.given.short))
        return judge.failed(self.lines)

    def _operate(self):
        began, reported = time.monotonic(), 0
        while (progress := self._progress(began)) < 1:
            self.collector.must_run()
            self.load.keep(self.sampler.lag, LAG_MAX)
            if not self.load.complete():
                self.repeated_since = None
            elif self.repeated_since is None:
                self.repeated_since = time.monotonic() - self.sampler.started
            self.events.run_due(progress)
            self._plant()
            if time.monotonic() - reported >= 30:
                reported = time.monotonic()
                print(f"  … {self._totals()}", flush=True)
            time.sleep(TICK_S)

    def _progress(self, began):
        by_time = (time.monotonic() - began) / self.seconds if self.seconds else 0
        return max(by_time, self.sampler.records / self.given.records)

    def _totals(self):
        totals = {
            "seconds": round(time.monotonic() - self.sampler.started),
            "records": self.sampler.records,
            "state writes": self._state_writes(),
            "sessions": self.sampler.total("sessions"),
            **{name: round(count) for name, count in self.events.totals.items()},
        }
        return ", ".join(f"{name} {number:,}" for name, number in totals.items())

    def _state_writes(self):
        """At least one for each session and peer that changed, and one for each second."""
        return self.sampler.total("state_changes") + self.sampler.total("uptime_s")

    def _plant(self):
        """Lets something grow, as the option --plant says."""
        if "state-file" in self.given.plant:
            with open(self.collector.state / "planted", "ab") as file:
                file.write(bytes(8 << 10))
        filler = 8_000 if "table" in self.given.plant else 1 if "rows" in self.given.plant else 0
        if filler:
            self._try(
                "CREATE TABLE IF NOT EXISTS planted (filler text); "
                "ALTER TABLE planted ALTER filler SET STORAGE PLAIN; "
                f"INSERT INTO planted SELECT repeat('x', {filler}) FROM generate_series(1, 3)"
            )

    def _try(self, query):
        # The server may be down in an outage.
        with contextlib.suppress(RuntimeError):
            self.database.rows(query)

    def _judge(self):
        samples = self.sampler.samples
        half = judge.window(samples, samples[-1]["seconds"] / 2)
        self.lines += judge.process_lines(samples)
        self.lines += judge.folder_lines(half)
        repeated = self.repeated_since and max(half[0]["seconds"], self.repeated_since)
        self.lines += judge.table_lines(half, repeated)
        self.lines.append(judge.most("lag at the end", self.sampler.lag, 0, "everything is delivered"))

    def _after_a_week(self):
        """Lets a week pass and the maintenance run once more: what remains has an exact bound."""
        self.collector.stop()
        self.events.age(SETS_AGE_DAYS)
        starts = self.events.totals["SIGKILL"] + self.events.totals["SIGTERM"] + 2
        rows = int(self.database.rows("SELECT count(*) FROM ingest_ledger")[0][0])
        self.collector.start().ready()
        until("the maintenance has run", self._maintained, DELIVERY_S)
        delivered(self.collector, DELIVERY_S)
        self.collector.stop()

        def count(query):
            return int(self.database.rows(f"SELECT count(*) FROM {query}")[0][0])

        lanes = count("ingest_checkpoint")
        families = count("(SELECT DISTINCT peer_id, afi, safi FROM rib_entries) f")
        sessions = self.sampler.total("sessions")
        self.lines += [
            judge.most(
                "ledger rows after folding",
                count("ingest_ledger"),
                lanes * 2 * starts,
                f"2 per lane and restart ({rows:,} before)",
            ),
            judge.exactly(
                "attribute sets after cleaning",
                count("path_attributes"),
                count("(SELECT DISTINCT attributes FROM rib_entries WHERE attributes IS NOT NULL) a"),
                "those of current routes",
            ),
            judge.most("size samples", count("rib_sizes"), families * starts, "one per restart and family"),
            judge.most("gaps", count("collector_gaps"), sessions + starts, "one per session"),
            judge.exactly("rejected records", count("rejected_routes"), 0, "none"),
        ]

    def _maintained(self):
        """Whether the last task of the maintenance has been done since the tables became older."""
        done = "SELECT FROM upkeep WHERE task = 'path_attributes' AND done_at > now() - interval '1 day'"
        return self.database.rows(f"SELECT 1 WHERE EXISTS ({done})")

    def _verify(self):
        if "row-less" in self.given.plant:
            self.database.rows(
                "DELETE FROM route_records WHERE (seq, idx) = (SELECT seq, idx FROM route_records LIMIT 1)"
            )
        verdict = zip(("missing", "doubled", "ledger breaks"), self.database.verdict("soak"))
        self.lines += [judge.exactly(f"verify: {name}", found, 0, "exactly once") for name, found in verdict]

    def show(self):
        """Prints the lines, and writes the file of --json."""
        for line in self.lines:
            print(line.text())
        print(f"the routers paused {self.load.pauses} times for the delivery")
        writes = self._state_writes()
        print(f"{self._totals()}")
        share = 100 * writes / STATE_WRITES
        print(f"state writes: {writes:,}, {share:.1f} % of the {STATE_WRITES:,} of {DAYS} days")
        if self.given.json:
            document = {
                "totals": {**self.events.totals, "records": self.sampler.records, "state_writes": writes},
                "lines": [line._asdict() for line in self.lines],
                "samples": self.sampler.samples,
            }
            self.given.json.write_text(json.dumps(document, indent=1) + "\n")


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_mounts()
    where = ROOT / "target" / "soak" / str(os.getpid())
    exceeded = ["the run"]
    try:
        with contextlib.ExitStack() as stack:
            soak = Soak(Rig(ROOT, programs(given), where, 1, stack), given)
            try:
                exceeded = soak.run()
            finally:
                soak.show()
    except Skipped as reason:
        print(f"SKIPPED: {reason}", flush=True)
        return 0
    except Violation as violation:
        print(f"FAILED  {violation} (files: {where})", flush=True)
        return 1
    if exceeded:
        print(f"EXCEEDED: {', '.join(exceeded)} (files: {where})")
        return 1
    shutil.rmtree(where, ignore_errors=True)
    print("everything that was judged is within its bound")
    return 0


if __name__ == "__main__":
    sys.exit(main())
