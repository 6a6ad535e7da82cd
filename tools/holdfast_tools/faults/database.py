"""A throw-away PostgreSQL server, with TimescaleDB if available, and the queries of the checks."""

import json
import os
import subprocess

from .rig import PATIENCE_S, Skipped, until


class Server:
    """The server of a run; each log directory gets its own database."""

    def __init__(self, rig, name="torture"):
        self.rig, self.name = rig, f"{name}-{os.getpid()}"
        self.script = rig.root / "tools" / "testbed" / "timescale"
        if os.environ.get("DATABASE_URL"):
            raise Skipped("DATABASE_URL is set; this run needs a server of its own")
        done = self._timescale("up")
        if done.returncode != 0:
            raise Skipped(f"no database: {done.stderr.strip().splitlines()[-1:]}")
        rig.stack.callback(self._timescale, "destroy")
        self.url = done.stdout.strip()
        self._databases = 0

    def signal(self, verb, *arguments):
        """Runs `stop`, `kill` or `start` of tools/testbed/timescale."""
        done = self._timescale(verb, *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"timescale {verb}: {done.stderr.strip()}")

    def _timescale(self, verb, *arguments):
        return subprocess.run(
            [str(self.script), verb, "--name", self.name, *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def database(self):
        """Creates an empty database and drops the earlier ones."""
        for old in range(max(1, self._databases - 1), self._databases + 1):
            self.ask("postgres", f"DROP DATABASE IF EXISTS torture{old} WITH (FORCE)")
        self._databases += 1
        name = f"torture{self._databases}"
        self.ask("postgres", f"CREATE DATABASE {name}")
        return Database(self, name, self.url_of(name))

    def url_of(self, database):
        return f"{self.url.rsplit('/', 1)[0]}/{database}?sslmode=disable"

    def ask(self, database, query):
        done = self._timescale(
            "psql",
            "--",
            "-d",
            self.url_of(database),
            "-v",
            "ON_ERROR_STOP=1",
            "-XAtq",
            "-F",
            "\t",
            "-c",
            query,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{query}: {done.stderr.strip()}")
        return done.stdout


class Database:
    """The database of one collector."""

    def __init__(self, server, name, url):
        self.server, self.name, self.url = server, name, url

    def rows(self, query):
        """The rows of a query as lists of strings."""
        return [line.split("\t") for line in self.server.ask(self.name, query).splitlines()]

    def counts(self, collector, after):
        """The number of records of each batch after `after`."""
        query = (
            "SELECT seq, count(*) FROM stored_records "
            f"WHERE collector = '{collector}' AND seq > {after} GROUP BY 1"
        )
        return {int(seq): int(count) for seq, count in self.rows(query)}

    def routes(self, collector, seq):
        """The routes of one batch, in order: (prefix, withdrawn, AS path)."""
        query = (
            "SELECT json_build_array(prefix, is_withdrawn, coalesce(to_json(as_path), '[]')) "
            "FROM route_updates "
            f"WHERE collector = '{collector}' AND seq = {seq} ORDER BY idx"
        )
        return [tuple(json.loads(line)) for line in self.server.ask(self.name, query).splitlines()]

    def verdict(self, collector):
        """The totals of `holdfast_verify`: missing, doubled, ledger breaks."""
        query = f"SELECT sum(missing), sum(doubled), sum(ledger_breaks) FROM holdfast_verify('{collector}')"
        return [int(value or 0) for value in self.rows(query)[0]]


def delivered(collector, seconds=PATIENCE_S):
    """Waits until the whole log is delivered and no router is connected."""

    def level():
        collector.must_run()
        status = collector.status()
        if not status or any(router["connected"] for router in status["routers"]):
            return None
        wal, delivery = status["wal"], status["delivery"]
        return status if delivery and wal["written"] == wal["durable"] == delivery["delivered"] else None

    return until("everything is delivered", level, seconds, rest=0.05)
