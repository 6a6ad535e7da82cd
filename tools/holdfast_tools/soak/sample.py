"""Samples of everything that could grow: the process, its folders, and each table of the schema."""

import contextlib
import os
import threading
import time

from .. import postgres
from ..faults import segments

INTERVAL_S = 2
# sled keeps its entries in this file.
SLED_FILE = "sled/db"
# Tables whose rows are counted by the statistics of the server, because counting them takes long.
HISTORY = ("route_records", "peer_events", "peer_stats", "kept_routes", "kept_route_ends")
# The size of each table of the schema with its indexes, TOAST and partitions; and of the two catalogues.
SIZES = """
WITH RECURSIVE tree AS (
    SELECT c.oid, c.relname::text AS root FROM pg_class c
    WHERE c.relkind IN ('r', 'p', 'm') AND c.relnamespace = 'holdfast'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
    UNION ALL SELECT i.inhrelid, t.root FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
), others AS (
    SELECT c.oid, CASE n.nspname WHEN 'pg_catalog' THEN 'pg_catalog' ELSE 'other schemas' END AS root
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('holdfast', 'information_schema')
        AND n.nspname NOT LIKE 'pg\\_t%' AND NOT EXISTS (SELECT FROM tree t WHERE t.oid = c.oid)
)
SELECT root, sum(coalesce(pg_total_relation_size(oid), 0)), sum(coalesce(pg_stat_get_live_tuples(oid), 0))
FROM (SELECT * FROM tree UNION ALL SELECT * FROM others) t GROUP BY 1
"""
TOTALS = """
SELECT coalesce(sum(records), 0), coalesce(sum(stored), 0), coalesce(sum(events), 0), coalesce(sum(gaps), 0)
FROM ingest_ledger
"""


def process_of(pid):
    """Memory in bytes, threads and descriptors of a process."""
    found = {}
    with open(f"/proc/{pid}/status") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                found[{"VmRSS": "rss", "RssAnon": "anonymous"}[name]] = int(rest.split()[0]) * 1024
            elif name == "Threads":
                found["threads"] = int(rest)
    found["descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
    return found


def folder_of(path):
    """Bytes and disk space of the files below a folder, and their number."""
    size = disk = count = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                stat = os.lstat(os.path.join(folder, name))
                size, disk, count = size + stat.st_size, disk + stat.st_blocks * 512, count + 1
    return size, disk, count


class Sampler:
    """A thread that takes samples until `stop`. The counters of all lives of the collector are added up."""

    def __init__(self, collector, url):
        self.collector, self.url = collector, url
        self.samples = []
        self.life = 0
        self.lag = 0
        self.database_is_up = True
        self._lives = {}
        self._client = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.started = time.monotonic()

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()
        self._close()

    @property
    def records(self):
        """Records logged in all lives, as far as the status has reported them."""
        return sum(one["records"] for one in self._lives.values())

    def total(self, name):
        """The sum of a counter over all lives."""
        return sum(one[name] for one in self._lives.values())

    def take(self):
        """Takes one sample."""
        with self._lock:
            sample = {"seconds": time.monotonic() - self.started, "life": self.life}
            self._status(sample)
            self._folders(sample)
            if self.database_is_up:
                self._database(sample)
            self.samples.append(sample)
            return sample

    def _run(self):
        while not self._stop.wait(INTERVAL_S):
            self.take()

    def _status(self, sample):
        status = self.collector.status()
        if not status:
            return
        with contextlib.suppress(OSError):
            sample.update(process_of(status["pid"]))
        events = sum(status["sessions"]["events_logged"].values())
        self._lives[status["pid"]] = {
            "records": status["sessions"]["routes_logged"] + events,
            "state_changes": events - status["sessions"]["events_logged"].get("end_of_rib", 0),
            "uptime_s": status["uptime_s"],
            "reloads": status["reload"]["count"],
            "sessions": status["listener"]["accepted"],
        }
        delivery = status["delivery"] or {}
        self.lag = delivery.get("lag_routes") or 0
        sample.update(lag=self.lag, durable=status["wal"]["durable"], delivered=delivery.get("delivered"))

    def _folders(self, sample):
        sample["records"] = self.records
        for name, path in (("state", self.collector.state), ("log", self.collector.wal)):
            size, disk, count = folder_of(path)
            sample.update({f"{name} bytes": size, f"{name} disk": disk, f"{name} files": count})
        # The rest of the folder has its own, closer bound.
        with contextlib.suppress(FileNotFoundError):
            sample["sled file"] = os.stat(self.collector.state / SLED_FILE).st_size
            sample["other state bytes"] = sample["state bytes"] - sample["sled file"]
        sample["segments"] = len(segments.names(self.collector.wal))
        with contextlib.suppress(FileNotFoundError):
            sample["output bytes"] = os.stat(self.collector.log).st_size

    def _database(self, sample):
        try:
            self._client = self._client or postgres.Client(self.url)
            tables = {name: (int(size), int(live)) for name, size, live in self._client.rows(SIZES)}
            counted = [name for name in tables if name not in (*HISTORY, "pg_catalog", "other schemas")]
            query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for name in counted)
            rows = {name: int(count) for name, count in self._client.rows(query)}
            totals = [int(value) for value in self._client.rows(TOTALS)[0]]
        except (OSError, ValueError):
            # The server is down, or the schema does not exist yet.
            self._close()
            return
        sample["tables"] = {name: (size, rows.get(name, live)) for name, (size, live) in tables.items()}
        sample.update(zip(("delivered records", "stored", "events", "gaps"), totals))

    def _close(self):
        if self._client:
            self._client.close()
        self._client = None
