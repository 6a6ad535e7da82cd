"""Damaged local state (sled): deleted, overwritten, truncated, replaced or blocking, between and during runs.

The state can be rebuilt. The collector is killed repeatedly meanwhile, and log, database and gap rows are
compared as in the fault sigkill.
"""

import os
import shutil

from . import kill
from .rig import noticed

NAME, WEIGHT, SHORT_CYCLES = "local-state", 1, 0
# Opening a blocked sled times out after half a minute: the number of such cases, none in a short run.
HANG_EVERY = 40


def files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


class State(kill.Kills):
    """The cycles of `kill`, with damage to the state before each start and during each third run."""

    def __init__(self, rig):
        super().__init__(rig)
        self.faults = [self.delete, self.garble, self.cut, self.replace, self.nothing]
        self.totals["states spoiled"] = 0

    def start(self):
        directory = self.collector.state / "sled"
        if self.lives % HANG_EVERY == HANG_EVERY - 1:
            self.hang(directory)
        elif directory.is_dir():
            fault = self.faults[self.lives % len(self.faults)]
            fault(directory)
            self.totals["states spoiled"] += fault != self.nothing
        super().start()

    def _live(self):
        super()._live()
        directory = self.collector.state / "sled"
        if self.lives % 3 == 0 and directory.is_dir():
            self.rig.random.choice([self.delete, self.garble, self.cut])(directory)
            self.totals["states spoiled"] += 1
            super()._live()

    def nothing(self, directory):
        """The state as the kill left it."""

    def delete(self, directory):
        shutil.rmtree(directory, ignore_errors=True)

    def garble(self, directory):
        for path in files(directory):
            with open(path, "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                for _ in range(20):
                    file.seek(self.rig.random.randrange(max(1, size)))
                    file.write(self.rig.random.randbytes(self.rig.random.choice([1, 64, 4096])))

    def cut(self, directory):
        for path in files(directory):
            os.truncate(path, self.rig.random.randrange(os.path.getsize(path) + 1))

    def replace(self, directory):
        shutil.rmtree(directory)
        directory.write_bytes(b"no folder")

    def hang(self, directory):
        """Replaces `conf`, which sled reads, by a pipe without a writer."""
        if directory.is_dir():
            shutil.rmtree(directory)
        else:
            directory.unlink(missing_ok=True)
        directory.mkdir(parents=True)
        os.mkfifo(directory / "conf")


def run(rig, budget):
    """Damages the state until the budget is spent."""
    return State(rig).until_spent(budget)


def seen_red(rig):
    """Deletes the ends of sessions from the database: the check of the gaps must detect it."""
    state = State(rig)
    state.life_of(10)
    state.check()
    state.database.rows("DELETE FROM peer_events WHERE event_type = 'session_down'")
    return f"with the ends of sessions deleted: {noticed('sessions without an end', state._gaps)}"
