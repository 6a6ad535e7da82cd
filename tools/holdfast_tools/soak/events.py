"""The events of the run, and when each is due. Progress is a number from 0 to 1: the share of the records, or
of the time, whichever is greater."""

import signal
import threading
import time

from ..faults.rig import end

# Restarts end here, so that one life of the collector is long enough to judge its memory.
LAST_RESTART = 0.6
# Shortest interval between two restarts, two outages, and two reloads.
RESTART_S, OUTAGE_S, RELOAD_S = 12, 60, 1
# Time that an outage of the database lasts.
DOWN_S = 3
# The period that a run stands for: hourly maintenance, and one restart a day.
DAYS, RELOADS = 30, 720
RETENTION_DAYS = 180


def moments(count, first, last):
    """Times of `count` events that are spread evenly."""
    return [first + (last - first) * (number + 0.5) / count for number in range(count)]


def counts(seconds):
    """Numbers of restarts, outages, and reloads in a run that takes about so long."""
    restarts = max(2, min(DAYS, int(seconds * LAST_RESTART / RESTART_S)))
    return restarts, max(2, min(60, int(seconds / OUTAGE_S))), max(2, min(RELOADS, int(seconds / RELOAD_S)))


class Events:
    """Does what is due."""

    def __init__(self, rig, collector, database, sampler, load, seconds):
        self.rig, self.collector, self.database = rig, collector, database
        self.sampler, self.load = sampler, load
        restarts, outages, reloads = counts(seconds)
        # The ages of the ledger, of unused attribute sets and of samples grow by so much at each restart.
        self.days_per_restart = DAYS / restarts
        plan = [(at, self.restart) for at in moments(restarts, 0.03, LAST_RESTART)]
        plan += [(at, self.outage) for at in moments(outages, 0.05, 0.97)]
        plan += [(at, self.reload) for at in moments(reloads, 0.01, 1)]
        plan += [(at, self.reset) for at in moments(max(4, outages * 2), 0.02, 0.98)]
        self._outage = self._error = None
        self.plan = sorted(plan, key=lambda one: one[0])
        self.totals = dict.fromkeys(
            ("SIGKILL", "SIGTERM", "database kills", "database stops", "resets", "reloads", "days"), 0
        )

    def settings(self):
        """Writes the settings file. A new retention period makes a reload run the hourly maintenance."""
        days = RETENTION_DAYS + self.totals["reloads"]
        (self.rig.work / ".env").write_text(f"RETENTION_EVENTS_DAYS={days}\n")

    def run_due(self, progress):
        """Does the events up to this progress; of several that are alike, only one."""
        due = []
        while self.plan and self.plan[0][0] <= progress:
            action = self.plan.pop(0)[1]
            if action not in due:
                due.append(action)
        for action in due:
            action()

    def restart(self):
        """Stops the collector with SIGKILL or SIGTERM; a day passes for the database; starts it again."""
        self.end_outage()
        if self.totals["SIGKILL"] <= self.totals["SIGTERM"]:
            self.totals["SIGKILL"] += 1
            self.collector.kill()
        else:
            self.totals["SIGTERM"] += 1
            self.collector.stop()
        self.age(self.days_per_restart)
        self.load.begin_again()
        self.sampler.life += 1
        self.collector.start().ready()

    def age(self, days):
        """Makes ledger, attribute sets and samples older. Only while the collector is stopped: it relies on
        the age of the sets that it uses."""
        self.totals["days"] += days
        shift = f"- interval '{days * 24:.0f} hours'"
        columns = {
            "ingest_ledger": "committed_at",
            "path_attributes": "used_at",
            "upkeep": "done_at",
            "rib_sizes": "time",
        }
        self.database.rows(
            "; ".join(f"UPDATE {table} SET {column} = {column} {shift}" for table, column in columns.items())
        )

    def outage(self):
        """Kills the database server, or stops it in an orderly way, and starts it again. The routers continue
        meanwhile."""
        self.end_outage()
        is_kill = self.totals["database kills"] <= self.totals["database stops"]
        self.totals["database kills" if is_kill else "database stops"] += 1
        self._outage = threading.Thread(target=self._outage_of, args=("kill" if is_kill else "stop",))
        self._outage.start()

    def _outage_of(self, verb):
        self.sampler.database_is_up = False
        try:
            self.database.server.signal(verb)
            time.sleep(DOWN_S)
            self.database.server.signal("start")
        except RuntimeError as error:
            self._error = error
        self.sampler.database_is_up = True

    def end_outage(self):
        """Waits until the server has been started again."""
        if self._outage:
            self._outage.join()
        self._outage = None
        if self._error:
            raise self._error

    def reload(self):
        self.totals["reloads"] += 1
        self.settings()
        self.collector.process.send_signal(signal.SIGHUP)

    def reset(self):
        """Kills one router with a table; it returns and sends its table again."""
        self.totals["resets"] += 1
        tables = self.load.routers[:-1]
        end(tables[self.totals["resets"] % len(tables)].process)
