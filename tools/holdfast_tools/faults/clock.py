"""Wrong wall clocks: the collector starts in 1970, jumps to 2036 while it runs, and returns to the present.

A library, built at run time, adds an offset from a file to the collector's clock. Every record must be
stored once, in the order of the log, whatever the clock shows.
"""

import mmap
import shutil
import struct
import subprocess
import time

from . import kill
from .rig import Skipped, checked, noticed

NAME, WEIGHT, SHORT_CYCLES = "wall-clock", 1, 2
YEAR_1970, YEAR_2036 = 60, 2_098_000_000

SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *seconds;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("TORTURE_CLOCK"), O_RDONLY);
    seconds = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += *seconds;
    return result;
}
"""


class Clock:
    """The library, and the file with the difference to the real time in seconds."""

    def __init__(self, rig):
        if shutil.which("cc") is None:
            raise Skipped("no C compiler for the library that replaces clock_gettime")
        source, self.library, self.file = rig.work / "clock.c", rig.work / "clock.so", rig.work / "clock"
        source.write_text(SHIM)
        rig.run("cc", "-shared", "-fPIC", "-O1", "-o", self.library, source)
        self.file.write_bytes(bytes(4096))
        with open(self.file, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        shown = subprocess.run(
            ["date", "+%Y"], env={"PATH": "/usr/bin:/bin", **self.environment}, capture_output=True, text=True
        )
        if shown.returncode != 0:
            raise Skipped(f"the library that replaces clock_gettime does not load: {shown.stderr.strip()}")

    @property
    def environment(self):
        return {"LD_PRELOAD": str(self.library), "TORTURE_CLOCK": str(self.file)}

    def set(self, epoch):
        """Sets the wall clock of the collector; None restores the real one."""
        self.memory[:8] = struct.pack("<q", 0 if epoch is None else int(epoch - time.time()))


class Lies(kill.Kills):
    """The cycles of `kill`; in each run the clock starts at a chosen time and jumps once."""

    clock_is_right = False
    JUMPS = [(YEAR_1970, YEAR_2036), (YEAR_2036, None), (None, YEAR_1970), (YEAR_2036, YEAR_1970)]

    def __init__(self, rig):
        self.clock = Clock(rig)
        super().__init__(rig)
        self.totals["jumps"] = 0

    def start(self):
        self.clock.set(self.JUMPS[self.lives % len(self.JUMPS)][0])
        self.collector.start(**self.clock.environment)

    def _live(self):
        super()._live()
        self.clock.set(self.JUMPS[self.lives % len(self.JUMPS)][1])
        self.totals["jumps"] += 1
        super()._live()

    def compare(self):
        """Session ids must increase although the clock does not."""
        super().compare()
        wrong = self.database.rows(
            "SELECT router, seq FROM (SELECT router, seq, session, "
            "max(session) OVER (PARTITION BY router ORDER BY seq) AS newest "
            "FROM route_updates) r WHERE session < newest LIMIT 3"
        )
        checked(not wrong, f"a later batch has an earlier session: {wrong}")


def run(rig, budget):
    """Changes the time until the budget is spent."""
    return Lies(rig).until_spent(budget)


def seen_red(rig):
    """The stored times must be those of the library; otherwise the fault has no effect."""
    lies = Lies(rig)
    for lies.lives in range(2):
        lies.life_of(10)
    lies.check()
    years = [
        row[0]
        for row in lies.database.rows(
            "SELECT DISTINCT extract(year FROM time)::int FROM route_updates ORDER BY 1"
        )
    ]
    checked({"1970", "2036"} & set(years), f"the clock was not changed: rows of the years {years}")
    lies.database.rows("DELETE FROM route_records WHERE seq = (SELECT min(seq) FROM route_records)")
    lies.compared = 0
    seen = noticed("that a batch was deleted", lies.compare)
    return f"rows of the years {', '.join(years)}; with one batch deleted: {seen}"
