"""Compares the current table (`route_state`) with the tables of real routers after each step of the scenario.

Started by the script `live`; see there. A comparison starts when the collector has delivered everything
that it logged, and no message has arrived for a while.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import routes, scenario, shown

COLUMNS = """rib, host(bgp_peer_ip) AS peer, afi, safi, prefix, evpn_route_type, evpn_rd, evpn_tag,
    mac_address, host(evpn_ip) AS evpn_ip, host(next_hop) AS next_hop, as_path, as_path_text, origin, med,
    local_pref, communities, large_communities, path_id"""
STANDING = f"SELECT {COLUMNS}, is_stale FROM route_state WHERE router = 'live' AND NOT is_withdrawn"
# Routes and Peer Downs that the router itself has sent since a position in the log.
SAID = f"""SELECT seq, idx, is_withdrawn, false AS is_peer_down, {COLUMNS}
    FROM route_updates WHERE seq > %(seq)s
    UNION ALL SELECT seq, idx, NULL, true, NULL, host(bgp_peer_ip), NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM peer_events WHERE event_type =
        'peer_down' AND seq > %(seq)s ORDER BY seq, idx"""
DATABASE = "live"
# Faults that a run must detect: see `live`.
ONE_ROW = "WHERE ctid = (SELECT ctid FROM rib_entries WHERE attributes IS NOT NULL LIMIT 1)"
PLANTS = {
    "lost-row": f"DELETE FROM rib_entries {ONE_ROW}",
    "wrong-attribute": f"""UPDATE rib_entries e SET attributes = (SELECT o.attributes FROM rib_entries o
        WHERE o.attributes <> e.attributes LIMIT 1) {ONE_ROW}""",
}


class Collector:
    """The collector under test; the scenario uses it in place of the recording sink."""

    def __init__(self, bench, program, url, psql):
        self.bench, self.program, self.psql = bench, program, psql
        self.url = f"{url.rsplit('/', 1)[0]}/{DATABASE}"
        self.station = ("127.0.0.1", scenario.free_port("127.0.0.1"))
        self.process = None
        self.start()

    def start(self):
        work = self.bench.work
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "BMP_LISTEN_HOST": self.station[0],
            "BMP_LISTEN_PORT": str(self.station[1]),
            "BMP_ROUTER_NAMES": "127.0.0.1=live",
            "COLLECTOR_ID": "live",
            "HISTORY_DEDUP": "re-dumps",
            "DATABASE_URL": self.url + "?sslmode=disable",
            "STATE_DIR": str(work / "state"),
            "WAL_DIR": str(work / "wal"),
            "STATUS_SOCKET": str(work / "status.sock"),
            "WAL_MAX_BYTES": "96MiB",
            "WAL_SEGMENT_BYTES": "16MiB",
            "SWEEP_QUIET_S": "2",
            "WAL_MIN_FREE_PERCENT": "1",
            "LOG_FORMAT": "json",
        }
        self.process = self.bench.start("collector", [self.program], env=env)
        scenario.until("the collector to reach its database", lambda: self.status()["delivery"]["lanes"])

    def status(self):
        if self.process.poll() is not None:
            raise SystemExit(f"live: the collector exited; its log: {self.bench.work}/collector.log")
        answer = subprocess.run(
            [str(self.program), "status", "--json", "--socket", str(self.bench.work / "status.sock")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        ).stdout
        return json.loads(answer)

    @staticmethod
    def number(status, name):
        """A number of the status document, found by its name at any depth."""
        if isinstance(status, dict):
            if isinstance(status.get(name), int):
                return status[name]
            status = list(status.values())
        if isinstance(status, list):
            return next(
                (value for value in (Collector.number(part, name) for part in status) if value is not None),
                None,
            )
        return None

    def connections(self):
        return [line for line in self.query("SELECT 1 FROM bmp_peers WHERE is_active") if line]

    def query(self, text):
        return (
            subprocess.run(
                [*self.psql, "-d", self.url, "-Atq", "-c", text], stdout=subprocess.PIPE, check=True
            )
            .stdout.decode()
            .splitlines()
        )

    def quiet(self):
        """Waits until nothing new is logged for a while and everything is delivered."""
        since, last = time.monotonic(), None

        def still():
            nonlocal since, last
            status = self.status()
            now = [self.number(status, name) for name in ("written", "durable", "delivered", "lag_routes")]
            if now != last:
                since, last = time.monotonic(), now
            return (
                now[0] == now[1] == now[2]
                and now[3] == 0
                and time.monotonic() - since > 2 * scenario.QUIET_SECONDS
            )

        scenario.until("the collector to have delivered everything", still, 180)

    def close_connection(self):
        """Restarts the collector in an orderly way; the router reconnects."""
        self.bench.end(self.process)
        self.start()
        scenario.until("the router to dial again", self.connections)


class Live(scenario.Scenario):
    """The scenario, with a comparison at the end of each step."""

    reconnect_views = True

    def __init__(self, bench, router, collector, plant):
        super().__init__(bench, router, collector, None, 0)
        self.results, self.differences, self.tables, self.plant = [], [], {}, plant
        self.reconnected, self.ended = False, None
        # The table after the last step, and the position in the log at that time.
        self.stood, self.seq = {}, 0

    def settle(self, step, views=True):
        self.sink.quiet()
        if self.plant and step == "announce":
            self.sink.query(PLANTS[self.plant])
        if self.router.process.poll() is not None:
            # The router has ended and shows no table.
            if step != "stop" and not self.ended:
                self.ended = (
                    f"{self.router.name}: ended by itself in step {step} ({self.router.process.returncode})"
                )
            self.compare_with_last_words(step)
            return
        self.reconnected |= step == "reconnect"
        # To a collector that comes back, BIRD sends nothing of a peer until that peer comes up again, not
        # even its withdrawals: the earlier routes stay and are marked stale.
        if not (self.router.name == "bird" and self.reconnected):
            self.tables = getattr(shown, self.router.name.split("-")[0])(dict(self.router.views()))
        self.compare(step, self.tables, self.difference_from_show)

    def rows(self, query):
        return json.loads("".join(self.sink.query(f"SELECT coalesce(json_agg(r), '[]') FROM ({query}) r")))

    @staticmethod
    def table(row):
        """The table of a row: view, peer, family."""
        return (
            row["rib"],
            "-" if row["rib"] == "loc-rib" else row["peer"],
            scenario.FAMILIES[row["afi"], row["safi"]],
        )

    def standing(self):
        """The current table of the database: {table: {key: row}}."""
        have = {}
        for row in self.rows(STANDING):
            have.setdefault(self.table(row), {})[shown.row_key(row)] = row
        self.stood = {name: dict(table) for name, table in have.items()}
        self.seq = int(self.sink.query("SELECT min(last_seq) FROM ingest_checkpoint")[0])
        return have

    def compare(self, step, expected, difference):
        """Compares the current table with the expected one; `difference` describes a pair's difference."""
        have = self.standing()
        want, equal, problem = 0, 0, None
        for name in sorted(expected.keys() | have.keys()):
            shows, holds = expected.get(name, {}), have.get(name, {})
            want += len(shows.keys() | holds.keys())
            for key in sorted(shows.keys() | holds.keys()):
                wrong = difference(shows.get(key), holds.get(key))
                if wrong:
                    problem = problem or f"{' '.join(name)}: {key}: {wrong}"
                else:
                    equal += 1
        self.result(step, equal, want, problem)

    def compare_with_last_words(self, step):
        """Compares the table with the last one and the router's last messages, after the router ended.

        Earlier routes stay and are stale, except those that the last messages withdrew, and those of peers
        reported down (Loc-RIB excepted). The number of these messages varies: GoBGP sends only some of its
        withdrawals, and BIRD reports its peers up and down again after a reconnect, or not at all.
        """
        expected = self.stood
        for said in self.rows(SAID % {"seq": self.seq}):
            if said["is_peer_down"]:
                expected = {
                    name: table
                    for name, table in expected.items()
                    if name[0] == "loc-rib" or name[1] != said["peer"]
                }
            elif said["is_withdrawn"]:
                expected.get(self.table(said), {}).pop(shown.row_key(said), None)
            else:
                expected.setdefault(self.table(said), {})[shown.row_key(said)] = said
        self.compare(step, expected, self.difference_from_last_word)

    @staticmethod
    def difference_from_last_word(last, row):
        if last and row and row["is_stale"] and shown.row_attributes(row) == shown.row_attributes(last):
            return None
        return f"the last word is {last}, in route_state is {row}"

    def difference_from_show(self, show, row):
        """The difference between a row and the router's output by that router's rules; None if they agree."""
        if show is None or row is None:
            return "only in route_state" if show is None else "only at the router"
        stale = self.router.name == "bird" and self.reconnected
        if row["is_stale"] != stale:
            return f"is_stale is {row['is_stale']}"
        # Without path identifiers a row is one of the paths of its prefix.
        others = show.get(shown.OTHERS, [])
        problems = [self.difference_of_path(path, row) for path in (show, *others)]
        return None if None in problems else problems[0]

    def difference_of_path(self, show, row):
        attributes = shown.row_attributes(row)
        expected = {name: show[name] for name in show if name != shown.OTHERS}
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
        if problem:
            self.differences.append(f"{self.router.name}, {step}: {rows - equal} rows, the first: {problem}")
        scenario.say(f"{self.router.name}: {step}: {equal} of {rows} rows equal")


class FrrFull(scenario.FrrRouter):
    """In step "full" the log is full while bgpd starts anew."""

    name, steps = "frr-full", ("announce", "full", "change")


SENDERS = {
    **scenario.ROUTERS,
    **{router.name: router for router in (scenario.FrrAddPathRouter, scenario.GobgpAddPathRouter, FrrFull)},
}
STEPS = ("announce", "full", *scenario.STEPS[1:])


class Full(Live):
    """The log fills to its cap and the router restarts during an outage of the database."""

    def __init__(self, bench, router, collector, args):
        super().__init__(bench, router, collector, args.plant)
        script, _, *name = args.psql.split()
        self.server = lambda verb: subprocess.run(
            [script, verb, *name[:2]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def run(self, steps):
        super().run(steps[:1])
        self.server("stop")
        with contextlib.closing(Filler(self.sink.station)) as filler:
            filler.fill(lambda: "routers_paused" in self.sink.status()["conditions"])
            before = self.listener()["accepted"]
            self.bench.end(self.router.process, signal.SIGKILL)
            self.router.start()
            # The router has its tables again and no collector to send them to.
            self.wait(scenario.PEER1, routes.peer1_table())
            self.wait(scenario.PEER2, self.peer2.table())
            self.server("start")
        scenario.until("the backlog to be delivered", self.is_delivered, 600)
        self.settle(steps[1])
        came = self.listener()["accepted"] - before
        if came != 1:
            self.differences.append(f"{self.router.name}, {steps[1]}: the router was let in {came} times")
        # The remaining steps are the usual ones.
        super().run(steps[2:])

    def listener(self):
        return self.sink.status()["listener"]

    def is_delivered(self):
        status = self.sink.status()
        return (
            self.sink.number(status, "written") == self.sink.number(status, "delivered")
            and self.sink.connections()
        )


class Filler:
    """Another router, which mirrors messages of a megabyte."""

    def __init__(self, station):
        # The collector's configuration names the address of the router under test; this one has another.
        self.socket = socket.create_connection(station, source_address=("127.0.0.9", 0))
        self.socket.settimeout(1)
        self.socket.sendall(self.message(4, b"\0\2\0\6filler"))

    @staticmethod
    def message(kind, body):
        return b"\3" + (len(body) + 6).to_bytes(4, "big") + bytes([kind]) + body

    def fill(self, is_full):
        peer = (
            bytes(22) + bytes([192, 0, 2, 9]) + (65009).to_bytes(4, "big") + bytes([192, 0, 2, 9]) + bytes(8)
        )
        mirrored = self.message(6, peer + 15 * (b"\0\0" + (60000).to_bytes(2, "big") + bytes(60000)))
        rest = b""
        while not is_full():
            rest = rest or mirrored
            with contextlib.suppress(TimeoutError):
                rest = rest[self.socket.send(rest) :]

    def close(self):
        self.socket.close()


def run(name, args, work):
    bench = scenario.Bench(args.tree, work)
    with contextlib.closing(bench):
        collector = Collector(bench, args.program.resolve(), args.url, args.psql.split())
        router = SENDERS[name](bench, collector.station)
        live = (
            Full(bench, router, collector, args)
            if name == FrrFull.name
            else Live(bench, router, collector, args.plant)
        )
        live.run(router.steps)
        bench.end(collector.process)
    return live


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", required=True, type=pathlib.Path)
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--psql", required=True)
    parser.add_argument("--plant", choices=PLANTS)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("router", nargs="+", choices=SENDERS)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if not args.small:
        routes.IPV4, routes.IPV6 = 5000, 2000
    results = {}
    for name in args.router:
        work = pathlib.Path(tempfile.mkdtemp(prefix="hf-live-", dir="/tmp"))
        routes.ADD_PATH = getattr(SENDERS[name], "add_path", False)
        for statement in (f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", f"CREATE DATABASE {DATABASE}"):
            subprocess.run([*args.psql.split(), "-q", "-c", statement], check=True, stderr=subprocess.DEVNULL)
        try:
            results[name] = run(name, args, work)
        except BaseException:
            scenario.say(f"logs: {work}")
            raise
        shutil.rmtree(work, ignore_errors=True)
    print(f"{'step':<12}" + "".join(f"{name:>20}" for name in results))
    for step in STEPS:
        cells = [
            next((f"{equal} of {rows}" for at, equal, rows in live.results if at == step), "-")
            for live in results.values()
        ]
        print(f"{step:<12}" + "".join(f"{cell:>20}" for cell in cells))
    for live in results.values():
        if live.ended:
            print(live.ended)
    differences = [line for live in results.values() for line in live.differences]
    for line in differences:
        print("DIFFERS", line)
    raise SystemExit(1 if differences else 0)


if __name__ == "__main__":
    main()
