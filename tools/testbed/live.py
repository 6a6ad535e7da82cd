#!/usr/bin/env python3
"""Real routers, the real collector and a real database: after each step of the scenario, the current table
(`route_state`) must be what the router itself shows. Started by the script `live`; see there.

The comparison is made when the collector says that all it has logged is delivered, and nothing has come for a while.
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
import tempfile
import time

import routes
import scenario
import shown

QUERY = """SELECT coalesce(json_agg(r), '[]') FROM (
    SELECT rib, host(bgp_peer_ip) AS peer, afi, safi, prefix, evpn_route_type, evpn_rd, evpn_tag, mac_address,
           host(evpn_ip) AS evpn_ip, host(next_hop) AS next_hop, as_path, as_path_text, origin, med, local_pref, communities,
           large_communities, is_stale
    FROM route_state WHERE router = '%s' AND NOT is_withdrawn) r"""
DATABASE = "live"


class Collector:
    """The collector under test; to the scenario it is what the recording sink is otherwise."""

    def __init__(self, bench, program, url, psql):
        self.bench, self.program, self.psql = bench, program, psql
        self.url = f"{url.rsplit('/', 1)[0]}/{DATABASE}"
        self.station = ("127.0.0.1", scenario.free_port("127.0.0.1"))
        self.process = None
        self.start()

    def start(self):
        work = self.bench.work
        env = {"PATH": os.environ["PATH"], "HOME": str(work), "BMP_LISTEN_HOST": self.station[0], "BMP_LISTEN_PORT": str(self.station[1]),
               "BMP_ROUTER_NAMES": "127.0.0.1=live", "COLLECTOR_ID": "live", "DATABASE_URL": self.url + "?sslmode=disable",
               "STATE_DIR": str(work / "state"), "WAL_DIR": str(work / "wal"), "STATUS_SOCKET": str(work / "status.sock"),
               "SWEEP_QUIET_S": "2", "WAL_FREE_PERCENT_MIN": "1", "LOG_FORMAT": "json"}
        self.process = self.bench.start("collector", [self.program], env=env)
        scenario.until("the collector to answer", self.status)

    def status(self):
        if self.process.poll() is not None:
            raise SystemExit(f"live: the collector ended; its log: {self.bench.work}/collector.log")
        answer = subprocess.run([str(self.program), "status", "--json", "--socket", str(self.bench.work / "status.sock")],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        return json.loads(answer) if answer else None

    @staticmethod
    def number(status, name):
        """A number of the status document, wherever it stands."""
        if isinstance(status, dict):
            if isinstance(status.get(name), int):
                return status[name]
            status = list(status.values())
        if isinstance(status, list):
            return next((value for value in (Collector.number(part, name) for part in status) if value is not None), None)
        return None

    def connections(self):
        return [line for line in self.query("SELECT 1 FROM bmp_peers WHERE is_active") if line]

    def query(self, text):
        return subprocess.run([*self.psql, "-d", self.url, "-Atq", "-c", text], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()

    def quiet(self):
        """Nothing has been logged for a while, and all of it is delivered."""
        since, last = time.monotonic(), None

        def still():
            nonlocal since, last
            status = self.status()
            now = [self.number(status, name) for name in ("written", "durable", "delivered", "lag_routes")]
            if now != last:
                since, last = time.monotonic(), now
            return now[0] == now[1] == now[2] and now[3] == 0 and time.monotonic() - since > 2 * scenario.QUIET_SECONDS

        scenario.until("the collector to have delivered everything", still, 180)

    def close_connection(self):
        """An orderly restart: the router loses its collector and finds it again."""
        self.bench.end(self.process)
        self.start()
        scenario.until("the router to dial again", self.connections)


class Live(scenario.Scenario):
    """The scenario, with a comparison at the end of each step."""
    reconnect_views = True

    def __init__(self, bench, router, collector, break_one):
        super().__init__(bench, router, collector, None, 0)
        self.results, self.differences, self.tables, self.ended = [], [], {}, None
        self.reconnected, self.break_one = False, break_one

    def settle(self, step, views=True):
        self.sink.quiet()
        if self.router.process.poll() is not None:
            # The router is gone: its routes stay, all of them stale. Only a Peer Down or withdrawals end one.
            rows, problem = self.rows(), True
            if not all(row["is_stale"] for row in rows):
                problem = "not all of the rows left are stale"
            elif len(rows) < self.results[-1][2] and self.endings() == self.ended:
                problem = f"{self.results[-1][2] - len(rows)} rows ended without a Peer Down or a withdrawal"
            self.result(step, len(rows), len(rows), problem)
            return
        self.ended = self.endings()
        self.reconnected |= step == "reconnect"
        # To a collector that comes back, BIRD sends nothing of a peer until that peer comes up again, not even its
        # withdrawals: what was known stays, visibly stale.
        if not (self.router.name == "bird" and self.reconnected):
            self.tables = getattr(shown, self.router.name.split("-")[0])(dict(self.router.views()))
        self.compare(step, self.tables)

    def endings(self):
        """How often the router has ended something, by its own word."""
        return self.sink.query("SELECT (SELECT count(*) FROM peer_events WHERE event_type = 'peer_down'), "
                               "(SELECT count(*) FROM route_updates WHERE is_withdrawn)")

    def rows(self):
        return json.loads("".join(self.sink.query(QUERY % "live")))

    def compare(self, step, tables):
        have = {}
        for row in self.rows():
            family = scenario.FAMILIES[row["afi"], row["safi"]]
            peer = "-" if row["rib"] == "loc-rib" else row["peer"]
            have.setdefault((row["rib"], peer, family), {})[shown.row_key(row)] = row
        if self.break_one and tables:
            # To see the comparison fail: one row of the first table is forgotten.
            have[sorted(have)[0]].popitem()
        want, equal, problem = 0, 0, True
        for name in sorted(tables.keys() | have.keys()):
            shows, holds = tables.get(name, {}), have.get(name, {})
            want += len(shows.keys() | holds.keys())
            for key in sorted(shows.keys() | holds.keys()):
                difference = self.difference(shows.get(key), holds.get(key))
                if difference:
                    problem = f"{' '.join(name)}: {key}: {difference}"
                    self.differences.append(f"{self.router.name}, {step}: {problem}")
                else:
                    equal += 1
        self.result(step, equal, want, problem)

    def difference(self, show, row):
        """None when the row is what the router shows, by that router's rules."""
        if show is None or row is None:
            return "only in route_state" if show is None else "only at the router"
        stale = self.router.name == "bird" and self.reconnected
        if row["is_stale"] != stale:
            return f"is_stale is {row['is_stale']}"
        attributes = shown.row_attributes(row)
        expected = dict(show)
        if self.router.name.startswith("frr"):
            # FRR puts its own AS in front of every path and sends no LOCAL_PREF, in every view.
            expected["as_path"] = ["65000", *show["as_path"]]
            expected["local_pref"] = None
        for attribute, value in expected.items():
            if attributes[attribute] != value:
                return f"{attribute}: the router shows {value}, route_state has {attributes[attribute]}"
        return None

    def result(self, step, equal, rows, problem):
        self.results.append((step, equal, rows))
        if problem is not True and not self.differences:
            self.differences.append(f"{self.router.name}, {step}: {problem}")
        scenario.say(f"{self.router.name}: {step}: {equal} of {rows} rows equal")


def run(name, args, work):
    bench = scenario.Bench(args.tree, work)
    with contextlib.closing(bench):
        collector = Collector(bench, args.program.resolve(), args.url, args.psql.split())
        router = scenario.ROUTERS[name](bench, collector.station)
        live = Live(bench, router, collector, args.break_one)
        live.run(router.steps)
        bench.end(collector.process)
    return live


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", required=True, type=pathlib.Path)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--psql", required=True)
    parser.add_argument("--break-one", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("router", nargs="+", choices=scenario.ROUTERS)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if not args.small:
        routes.IPV4, routes.IPV6 = 5000, 2000
    results = {}
    for name in args.router:
        work = pathlib.Path(tempfile.mkdtemp(prefix="hf-live-", dir="/tmp"))
        for statement in (f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", f"CREATE DATABASE {DATABASE}"):
            subprocess.run([*args.psql.split(), "-q", "-c", statement], check=True, stderr=subprocess.DEVNULL)
        try:
            results[name] = run(name, args, work)
        except BaseException:
            scenario.say(f"logs: {work}")
            raise
        shutil.rmtree(work, ignore_errors=True)
    print(f"{'step':<12}" + "".join(f"{name:>20}" for name in results))
    for step in scenario.STEPS:
        cells = [next((f"{equal} of {rows}" for at, equal, rows in live.results if at == step), "-") for live in results.values()]
        print(f"{step:<12}" + "".join(f"{cell:>20}" for cell in cells))
    differences = [line for live in results.values() for line in live.differences]
    for line in differences[:20]:
        print("DIFFERS", line)
    raise SystemExit(1 if differences else 0)


if __name__ == "__main__":
    main()
