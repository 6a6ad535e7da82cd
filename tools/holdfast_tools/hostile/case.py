"""One attack against one collector, with a neighbour, a returning router and a database: the measurement."""

import contextlib
import json
import subprocess
import sys
import time
from typing import NamedTuple, Optional

from ..faults.rig import Collector, Violation, checked, free_port, until
from . import attacks, observe
from .neighbour import Router

NEIGHBOUR, RETURNING = "127.0.0.10", "127.0.0.11"
# Time without any progress after which the neighbour's updates are not waited for any longer.
STORED_LIMIT_S = 30
RSS_MAX, LOG_RATE_MAX, DURABLE_P99_MAX_S, STORED_MAX_S = 256 << 20, 1_000_000, 0.5, 30
LOG_CAP = "256MiB"
# Conditions that follow from the test itself, and need no offender.
CONSEQUENCES = ("routers_not_connected", "log_filling", "database_not_reached")


class Case(NamedTuple):
    """An attack and its circumstances."""

    name: str
    attack: str
    database: bool = True
    # The attack begins before the neighbour connects.
    first: bool = False
    # Part of the short form.
    short: bool = False
    settings: dict = {}
    # The attack comes from many addresses, so that no single offender can be named.
    anonymous: bool = False
    # Connected sessions of the attack that the collector may keep.
    note: str = ""


PINNED = {"BMP_ROUTER_NAMES": f"{NEIGHBOUR}=neighbour"}
KNOWN = {"BMP_ROUTER_NAMES": f"{NEIGHBOUR}=neighbour,{RETURNING}=returning"}
CASES = [
    Case("long-sysname", "long-sysname", short=True),
    Case("huge-sysname", "huge-sysname", short=True),
    Case("attributes", "attributes"),
    Case("attributes-db-down", "attributes", database=False, short=True),
    Case("as-paths", "as-paths"),
    Case("connections", "connections", database=False),
    Case("connections-1000", "connections-1000", database=False),
    Case("connections-many", "connections-many", database=False, settings=KNOWN, anonymous=True),
    Case("slow-loris", "slow-loris", database=False),
    Case("half-open", "half-open", database=False),
    Case("initiations", "initiations"),
    Case("initiations-db-down", "initiations", database=False, short=True),
    Case("malformed", "malformed"),
    Case("malformed-db-down", "malformed", database=False, short=True),
    Case("peers", "peers"),
    Case("names", "names"),
    Case("stolen-name", "stolen-name", first=True, settings=PINNED),
    Case("foreign", "foreign", database=False),
    Case("random", "random"),
    Case("unknown-types", "unknown-types", database=False),
]


class Result(NamedTuple):
    """The measurement of one attack; times in seconds, `None` if there is no value."""

    name: str
    sent: int
    rss: int
    log_rate: float
    log_rate_peak: float
    wal: int
    wal_written: int
    baseline_p50: Optional[float]
    baseline_p99: Optional[float]
    durable_p50: Optional[float]
    durable_p99: Optional[float]
    durable_max: Optional[float]
    not_durable: int
    stored_p50: Optional[float]
    stored_max: Optional[float]
    dropped: int
    lost: int
    doubled: int
    not_stored: int
    returned: Optional[float]
    health: str
    conditions: dict
    named: Optional[bool]
    attack: dict
    missed: list
    unclear: list


class Run:
    """The processes of one measurement."""

    def __init__(self, rig, case, server, seconds, baseline_s):
        self.rig, self.case, self.seconds, self.baseline_s = rig, case, seconds, baseline_s
        self.database = server.database() if case.database else None
        # A port on which nothing listens: the database is down.
        url = self.database.url if self.database else f"postgres://nobody@127.0.0.1:{free_port()}/none"
        home = rig.folder(case.name)
        settings = {
            "WAL_SEGMENT_BYTES": "32MiB",
            "WAL_MAX_BYTES": LOG_CAP,
            "WAL_DIR": home / "wal",
            "HISTORY_DEDUP": "always",
            "LOG_LEVEL": "INFO",
            **case.settings,
        }
        self.collector = Collector(rig, home, name="hostile", url=url, **settings)
        self.neighbour = Router(self.collector.port, "neighbour", NEIGHBOUR, net=0)
        self.returning = Router(self.collector.port, "returning", RETURNING, net=1)
        rig.stack.callback(self.neighbour.close)
        rig.stack.callback(self.returning.close)

    def measure(self):
        self.collector.start().ready()
        if self.database:
            until("the lanes deliver", self._delivers)
        stored = observe.Stored(self.database.url, self.neighbour) if self.database else None
        watch = observe.Watch(
            self.collector, [self.neighbour, self.returning], stored, culprits=(attacks.SOURCE, "attacker")
        )
        watch.start()
        try:
            return self._observed(watch)
        finally:
            watch.stop()

    def _observed(self, watch):
        sender = self._attack() if self.case.first else None
        if sender:
            until("the attacker is connected", lambda: any(self._routers()))
        self.neighbour.connect()
        self.neighbour.start()
        self.returning.connect()
        self.returning.announce(time.monotonic())
        time.sleep(self.baseline_s)
        before = set(watch.reasons)
        self.returning.close()
        log_before = watch.log_bytes()
        sender = sender or self._attack()
        began = time.monotonic()
        time.sleep(self.seconds / 2)
        returned = self._come_back(watch, began + self.seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            sender.wait(timeout=max(0, began + self.seconds + 10 - time.monotonic()))
        ended = time.monotonic()
        # An attack that has not ended by itself is killed, and has no counts.
        sender.kill()
        counts = json.loads(sender.stdout.read() or "{}")
        log_rate = (watch.log_bytes() - log_before) / (ended - began)
        time.sleep(0.5)
        self.neighbour.stop()
        self._wait_until_stored(watch)
        # The limits that acted may be in the status for a while only.
        reasons = {kind: texts for kind, texts in watch.reasons.items() if kind not in before}
        lost, doubled = self._compare(watch)
        return self._result(watch, (began, ended), log_rate, returned, reasons, (lost, doubled), counts)

    def _attack(self):
        command = [sys.executable, "-m", "holdfast_tools.hostile.attacks", self.case.attack]
        seconds = self.seconds + (self.baseline_s + 1 if self.case.first else 0)
        command += [str(self.collector.port), str(seconds)]
        sender = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.rig.stack.callback(sender.kill)
        # It prints a line before it begins, because its start takes long on a loaded machine.
        checked(sender.stdout.readline(), f"the attack {self.case.attack} did not start")
        return sender

    def _delivers(self):
        self.collector.must_run()
        delivery = (self.collector.status() or {}).get("delivery") or {"lanes": []}
        return delivery["lanes"] and all(lane["state"] == "caught up" for lane in delivery["lanes"])

    def _routers(self):
        """The names of the connected routers."""
        self.collector.must_run()
        status = self.collector.status() or {"routers": []}
        return [router["name"] for router in status["routers"] if router["connected"]]

    def _come_back(self, watch, until_s):
        """Connects a router that has been connected before, during the attack; returns the seconds until its
        update is durable, or None if that is not during the attack."""
        began = time.monotonic()
        index = len(self.returning.due)
        durable = watch.follower.durable_at[self.returning.name]
        self.returning.due.append(began)
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError):
                self.returning.connect(timeout=1)
                with contextlib.suppress(Violation):
                    until("durable", lambda: index in durable, seconds=until_s - time.monotonic())
                    return durable[index] - began
                self.returning.close()
            time.sleep(0.25)
        return None

    def _wait_until_stored(self, watch):
        """Waits until all updates of the neighbour are durable and stored, or the limit is reached."""
        durable = watch.follower.durable_at[self.neighbour.name]
        sent = len(self.neighbour.due)

        def progress():
            return (len(durable), len(watch.stored.stored_at) if watch.stored else sent)

        last, changed = progress(), time.monotonic()
        while min(last) < sent and time.monotonic() < changed + STORED_LIMIT_S:
            self.collector.must_run()
            time.sleep(0.1)
            if progress() != last:
                last, changed = progress(), time.monotonic()

    def _compare(self, watch):
        """The number of updates that are neither stored nor in the log, and of those stored twice."""
        sent = {self.neighbour.prefix(index) for index in range(len(self.neighbour.due))}
        if self.database:
            query = "SELECT host(prefix) || '/32' FROM route_updates WHERE router = 'neighbour'"
            found = [row[0] for row in self.database.rows(query)]
            # What is durable and not stored is delivered later; `not_stored` counts it.
            durable = watch.follower.durable_at[self.neighbour.name]
            sent -= (
                {self.neighbour.prefix(index) for index in durable} if len(set(found)) < len(sent) else set()
            )
        else:
            self.neighbour.close()
            self.returning.close()
            self.collector.kill()
            output = self.rig.run(
                self.rig.program("walctl"), "dump", self.collector.wal, "--json", "--router", "neighbour"
            )
            found = [json.loads(line).get("prefix") for line in output.splitlines()]
            found = [prefix for prefix in found if prefix]
        # A reconnect sends the table again.
        doubled = 0 if self.neighbour.drops else len(found) - len(set(found))
        return len(sent - set(found)), doubled

    def _result(self, watch, span, log_rate, returned, reasons, compared, counts):
        durable = watch.follower.durable_at[self.neighbour.name]
        began, ended = span
        before, during, missing = [], [], 0
        for index, due in enumerate(self.neighbour.due):
            if index not in durable:
                missing += 1
            elif due < began:
                before.append(durable[index] - due)
            elif due <= ended:
                during.append(durable[index] - due)
        stored_at = watch.stored.stored_at if watch.stored else []
        delays = [at - due for due, at in zip(self.neighbour.due, stored_at) if due >= began]
        result = Result(
            name=self.case.name,
            sent=len(self.neighbour.due),
            rss=watch.rss_max,
            log_rate=log_rate,
            log_rate_peak=watch.log_rate_max,
            wal=watch.wal_max,
            wal_written=watch.follower.bytes,
            baseline_p50=observe.percentile(before, 0.5),
            baseline_p99=observe.percentile(before, 0.99),
            durable_p50=observe.percentile(during, 0.5),
            durable_p99=observe.percentile(during, 0.99),
            durable_max=max(during, default=None),
            not_durable=missing,
            stored_p50=observe.percentile(delays, 0.5),
            stored_max=max(delays, default=None),
            dropped=self.neighbour.drops,
            lost=compared[0],
            doubled=compared[1],
            not_stored=len(self.neighbour.due) - len(stored_at) if self.database else 0,
            returned=returned,
            health=max(watch.states, key=["healthy", "degraded", "down"].index, default="none"),
            conditions={kind: sorted(texts)[-1] for kind, texts in sorted(reasons.items())},
            named=self._named(watch, reasons),
            attack=counts,
            missed=[],
            unclear=[],
        )
        judge(result, self.case)
        return result

    def _named(self, watch, reasons):
        """Whether the status names the attack's source; None if there is nothing to name."""
        if self.case.anonymous or not set(reasons) - set(CONSEQUENCES):
            return None
        return watch.named


def judge(result, case):
    """Adds the targets that were missed, and those that this machine's load leaves open."""
    missed = result.missed
    if result.lost:
        missed.append(f"{result.lost} of {result.sent} updates lost")
    if result.doubled:
        missed.append(f"{result.doubled} updates doubled")
    if result.dropped:
        missed.append(f"neighbour's session dropped {result.dropped} times")
    if result.not_stored:
        missed.append(f"delivery stopped: {result.not_stored} updates not stored after {STORED_LIMIT_S} s")
    elif case.database and (result.stored_max is None or result.stored_max > STORED_MAX_S):
        missed.append(f"delivery stopped for more than {STORED_MAX_S} s")
    if result.rss > RSS_MAX:
        missed.append(f"RSS above {RSS_MAX >> 20} MiB")
    if result.log_rate > LOG_RATE_MAX:
        missed.append("log output above 1 MB/s")
    if result.returned is None:
        missed.append("returning router refused")
    if result.named is False:
        missed.append("offender not named")
    p99, baseline = result.durable_p99, result.baseline_p99
    if p99 is None:
        missed.append("no update durable during the attack")
    elif p99 > DURABLE_P99_MAX_S:
        # A machine that is slow without the attack as well proves nothing.
        slow = baseline is None or baseline > DURABLE_P99_MAX_S * 0.8
        (result.unclear if slow else missed).append(f"p99 above {DURABLE_P99_MAX_S} s")
