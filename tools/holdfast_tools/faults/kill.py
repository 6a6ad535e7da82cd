"""SIGKILL at random times, with a real PostgreSQL: every written batch is stored once, and every gap has a
cause.

    start -> routers connect, dump, change -> SIGKILL -> read the files -> start ...

After a number of kills the routers are stopped, everything is delivered, and the log is compared with the
database: record counts of each batch, routes of some batches, and gap rows.
"""

import time

from .database import Server, delivered
from .promise import Promise
from .rig import Collector, Load, Sender, checked, noticed, until

NAME, WEIGHT, SHORT_CYCLES = "sigkill", 4, 6
# Number of kills between comparisons of log and database, and until both are created anew.
CHECK_EVERY, LIVES = 25, 200
ROUTERS = 2
RATE = 30_000
SAMPLES = 3
# A run that has not answered within this time is killed as well.
ANSWER_S = 5


class Kills:
    """The cycles and their totals."""

    # Gap rows contain times; with a wrong clock only their number can be compared with the kills.
    clock_is_right = True

    def __init__(self, rig):
        self.rig, self.server = rig, Server(rig)
        self.totals = dict.fromkeys(
            ("cycles", "batches durable", "batches compared", "rows stored", "routes compared", "gap rows"), 0
        )
        self.lives, self.load = 0, Load()
        self._new_directory()

    def _new_directory(self):
        self.database = self.server.database()
        if self.lives:
            self.rig.run("rm", "-rf", "--", self.collector.home)
        home = self.rig.folder("kill")
        compression = self.rig.random.choice(["none", "lz4"])
        self.collector = Collector(
            self.rig,
            home,
            name="kill",
            url=self.database.url,
            WAL_MAX_BYTES="512MiB",
            WAL_COMPRESSION=compression,
        )
        self.promise = Promise(self.collector.wal)
        self.counts, self.torn, self.compared, self.kills, self.senders = {}, set(), 0, [], []

    def cycle(self):
        self.lives += 1
        self.promise.new_life()
        self.start()
        if not self.senders:
            self.senders = [
                Sender(self.rig, self.collector.port, seed, RATE, reconnect=True)
                for seed in range(1, ROUTERS + 1)
            ]
        before = self.promise.durable
        for sender in self.senders:
            sender.since = time.monotonic()
        self._live()
        self.load.add(self.promise, self.senders[0])
        self.kills.append(time.time())
        self.collector.kill()
        self._read()
        self.totals["cycles"] += 1
        self.totals["batches durable"] += self.promise.durable - before

    def life_of(self, batches):
        """A run that is killed when a number of further batches is durable."""
        self.promise.new_life()
        self.start()
        goal = self.promise.durable + batches
        senders = [Sender(self.rig, self.collector.port, seed, RATE) for seed in range(1, ROUTERS + 1)]

        def grown():
            self.collector.must_run()
            self.promise.hear(self.collector.status())
            return self.promise.durable >= goal

        until("batches become durable", grown)
        self.kills.append(time.time())
        self.collector.kill()
        for sender in senders:
            sender.kill()
        self._read()

    def start(self):
        """Starts one run; other faults override this."""
        self.collector.start()

    def _live(self):
        """Waits until a random moment: one time in four counted from the start of the process, otherwise from
        its first answer, so that most runs log something on a slow machine, too."""
        draw = self.rig.random
        is_early = draw.random() < 0.25
        rest = (
            draw.uniform(0, 0.3)
            if is_early
            else draw.choice([draw.uniform(0, 0.2), draw.uniform(0.1, 0.4), draw.uniform(0.3, 0.7)])
        )
        end = time.monotonic() + (rest if is_early else ANSWER_S)
        answered = False
        while time.monotonic() < end:
            status = self.collector.status()
            self.promise.hear(status)
            if status is None:
                self.collector.must_run()
            elif not answered and not is_early:
                answered, end = True, min(end, time.monotonic() + rest)
            time.sleep(0.01)

    def _read(self):
        log = self.promise.keep(written=True)
        # A kill during a write tears a batch that was not reported as durable; its number becomes a gap.
        self.torn |= {(first, last) for first, last, _ in log.gaps}
        for seq, batch in log.batches.items():
            before = self.counts.setdefault(seq, batch.count)
            checked(
                before == batch.count or seq > self.promise.durable,
                f"batch {seq} had {before} records, now {batch.count}",
            )
            self.counts[seq] = batch.count

    def check(self):
        """Waits for the delivery of everything, and compares the database with the log."""
        for sender in self.senders:
            sender.kill()
        self.senders = []
        self.promise.new_life()
        self.start()
        self.collector.ready()
        status = delivered(self.collector)
        self.promise.hear(status)
        self._read()
        self.compare()
        self.kills.append(time.time())
        self.collector.kill()
        self.totals["batches compared"] += self.promise.durable - self.compared
        self.compared = self.promise.durable

    def compare(self):
        """Compares the record counts of all batches, the routes of some, and the gap rows."""
        stored = self.database.counts("kill", self.compared)
        logged = {
            seq: count for seq, count in self.counts.items() if self.compared < seq <= self.promise.durable
        }
        wrong = [seq for seq in logged.keys() | stored.keys() if logged.get(seq) != stored.get(seq)]
        checked(
            not wrong,
            f"{len(wrong)} batches differ between log and database, "
            f"such as {sorted(wrong)[0] if wrong else 0}: "
            f"{[(logged.get(seq), stored.get(seq)) for seq in sorted(wrong)[:3]]} records",
        )
        self.totals["rows stored"] += sum(stored.values())
        there = [
            seq for seq in self.promise.walker.read().batches if self.compared < seq <= self.promise.durable
        ]
        for seq in self.rig.random.sample(there, min(SAMPLES, len(there))):
            records = self.rig.records(self.collector.wal, seq, seq)
            routes = [
                (record["prefix"], record["is_withdrawn"], record.get("as_path") or [])
                for record in records
                if record["record"] == "route"
            ]
            checked(
                routes == self.database.routes("kill", seq),
                f"the routes of batch {seq} differ between log and database",
            )
            self.totals["routes compared"] += len(routes)
        self._gaps()

    def _gaps(self):
        """Each killed session has one end and one gap; each gap contains a kill and no stored route."""
        ends = self.database.rows(
            "SELECT router, session, count(*), count(*) FILTER (WHERE detail->>'end' = 'collector died') "
            "FROM peer_events WHERE event_type = 'session_down' GROUP BY 1, 2"
        )
        doubled = [row for row in ends if row[2] != "1"]
        checked(not doubled, f"sessions with more than one end: {doubled[:3]}")
        gaps = self.database.rows(
            "SELECT router, reason, extract(epoch FROM from_time), extract(epoch FROM until_time), "
            "(SELECT count(*) FROM route_updates r "
            "WHERE r.router = g.router AND r.time > g.from_time AND r.time < g.until_time) "
            "FROM collector_gaps g WHERE reason <> 'torn' ORDER BY router, from_time"
        )
        wrong = [row for row in gaps if row[1] != "crash"]
        checked(not wrong, f"gap rows without a cause: {wrong[:3]}")
        torn = {
            (int(first), int(last))
            for first, last in self.database.rows(
                "SELECT first_seq, last_seq FROM collector_gaps WHERE reason = 'torn'"
            )
        }
        checked(torn == self.torn, f"the log has the gaps {sorted(self.torn)}, the database {sorted(torn)}")
        crashed = sum(int(row[3]) for row in ends)
        checked(
            len(gaps) == crashed,
            f"{crashed} sessions were ended by a kill, but there are {len(gaps)} gap rows",
        )
        if self.clock_is_right:
            self._gaps_in_time(gaps)
        never = self.database.rows(
            "SELECT DISTINCT router, session FROM route_updates "
            "EXCEPT SELECT router, session FROM peer_events "
            "WHERE event_type = 'session_down'"
        )
        checked(not never, f"sessions that never ended: {never[:3]}")
        self.gap_rows = len(gaps) + len(torn)

    def _gaps_in_time(self, gaps):
        for (router, _, from_text, to_text, inside), later in zip(gaps, [*gaps[1:], None]):
            start, stop = float(from_text), float(to_text)
            where = f"gap of {router} from {start} to {stop}"
            checked(any(start <= kill <= stop for kill in self.kills), f"no kill in the {where}")
            checked(inside == "0", f"{inside} stored routes in the {where}")
            if later and later[0] == router:
                checked(float(later[2]) >= stop, f"two gaps of {router} overlap at {stop}")

    def finish(self):
        """Checks a finished directory with `holdfast_verify`."""
        verdict = self.database.verdict("kill")
        checked(verdict == [0, 0, 0], f"holdfast_verify: missing, doubled, ledger breaks: {verdict}")
        self.totals["gap rows"] += self.gap_rows

    def until_spent(self, budget):
        """Runs cycles and checks until the budget is spent; returns the totals."""
        while budget.more(self.totals["cycles"]):
            self.cycle()
            if self.lives % CHECK_EVERY == 0:
                self.check()
                budget.report(self.totals)
            if self.lives % LIVES == 0:
                self.finish()
                self._new_directory()
        if self.lives % LIVES:
            self.check()
            self.finish()
        return {**self.totals, **self.load.totals()}


def run(rig, budget):
    """Kills until the budget is spent."""
    return Kills(rig).until_spent(budget)


def seen_red(rig):
    """Deletes a row, doubles a row, and adds a gap row without a cause: each must be detected."""
    kills = Kills(rig)
    for _ in range(2):
        kills.life_of(10)
    kills.check()
    seen = []
    tables = kills.database
    for what, spoil, mend in [
        (
            "a row less",
            "CREATE TABLE kept AS SELECT * FROM route_records ORDER BY seq DESC, idx LIMIT 1; "
            "DELETE FROM route_records r USING kept k WHERE r.seq = k.seq AND r.idx = k.idx",
            "INSERT INTO route_records SELECT * FROM kept",
        ),
        (
            "a row twice",
            "INSERT INTO route_records SELECT * FROM kept",
            "DELETE FROM route_records r USING kept k WHERE r.seq = k.seq AND r.idx = k.idx; "
            "INSERT INTO route_records SELECT * FROM kept",
        ),
        (
            "a gap without a cause",
            "INSERT INTO collector_gaps "
            "(collector, log_id, first_seq, last_seq, router, reason, from_time, until_time) "
            "SELECT i.collector, i.log_id, 1, 1, 'nobody', 'crash', now(), now() "
            "FROM kept k JOIN incarnations i ON i.id = k.incarnation",
            "DELETE FROM collector_gaps WHERE router = 'nobody'",
        ),
    ]:
        tables.rows(spoil)
        kills.compared = 0
        noticed(what, kills.compare)
        seen.append(what)
        tables.rows(mend)
    kills.compare()
    return "seen: " + ", ".join(seen)
