"""Unexpected directories: two daemons on one directory, copies behind and ahead, and a later format
version.
"""

import hashlib
import shutil
import struct
import zlib

from . import segments
from .database import Server, delivered
from .promise import Promise
from .rig import Collector, Sender, checked, noticed, spend, until

NAME, WEIGHT, SHORT_CYCLES = "directories", 1, 0
NAME_IN_DATABASE = "rivals"
SEALED_VERSION_AT, HEADER_CRC_AT = 8, 124


def grow(collector, promise, batches=15):
    """Sends load until a number of further batches is durable."""
    sender = Sender(collector.rig, collector.port)
    goal = promise.durable + batches

    def grown():
        collector.must_run()
        promise.hear(collector.status())
        return promise.durable >= goal

    until("batches become durable", grown)
    sender.kill()


def life(collector, promise, batches=15, all_of_it=True):
    """One run under load; with a database, until everything is delivered."""
    promise.new_life()
    collector.start().ready()
    grow(collector, promise, batches)
    if all_of_it and collector.url:
        promise.hear(delivered(collector))
    collector.kill()
    return promise.keep(written=True)


def contents(directory):
    """The checksum of every file."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.iterdir())
        if path.is_file()
    }


class Rivals:
    """One round of all cases."""

    def __init__(self, rig):
        self.rig, self.server = rig, Server(rig)
        self.totals = dict.fromkeys(
            ("cycles", "refused second daemons", "refused later versions", "forks", "batches compared"), 0
        )

    def round(self):
        self.two_daemons()
        self.later_version()
        self.copy_behind()
        self.copy_ahead()
        self.totals["cycles"] += 1

    def collector(self, wal=None, **settings):
        return Collector(self.rig, self.rig.folder("home"), wal=wal, name=NAME_IN_DATABASE, **settings)

    # ---- two daemons on one directory

    def two_daemons(self):
        first = self.collector()
        promise = Promise(first.wal)
        promise.new_life()
        first.start().ready()
        grow(first, promise)
        self.refuse_second(first.wal, f"in use by process {first.process.pid}")
        grow(first, promise)
        first.kill()
        promise.keep(written=True)
        self.totals["refused second daemons"] += 1

    def refuse_second(self, wal, words):
        second = self.collector(wal=wal).start()
        code = (
            until("the second daemon ends", lambda: second.process.poll() is not None or second.status())
            and second.process.poll()
        )
        second.kill()
        checked(code, "a second daemon runs on a directory that another one writes")
        checked(
            words in second.last_words(),
            f"the second daemon does not report {words!r}: {second.last_words()}",
        )

    # ---- a later version

    def later_version(self, oldest_reader=1):
        collector = self.collector()
        promise = Promise(collector.wal)
        life(collector, promise)
        newest = collector.wal / segments.names(collector.wal)[-1]
        with open(newest, "r+b") as file:
            for at in (0, segments.HEADER_COPY):
                file.seek(at)
                header = bytearray(file.read(128))
                struct.pack_into("<HH", header, SEALED_VERSION_AT, 1, oldest_reader)
                struct.pack_into("<I", header, HEADER_CRC_AT, zlib.crc32(header[:HEADER_CRC_AT]))
                file.seek(at)
                file.write(header)
        before = contents(collector.wal)
        collector.start()
        until(
            "the collector ends or answers",
            lambda: collector.process.poll() is not None or collector.status(),
        )
        code = collector.process.poll()
        collector.kill()
        checked(code, "a collector runs on a directory that a later version wrote")
        checked(
            "version 1" in collector.last_words(),
            f"the error does not name the version: {collector.last_words()}",
        )
        after = contents(collector.wal)
        changed = [
            name
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name) and name != "LOCK"
        ]
        checked(not changed, f"the refused start changed {changed}")
        self.totals["refused later versions"] += 1

    # ---- copies

    def copy(self, original):
        directory = self.rig.folder("copy") / "wal"
        shutil.copytree(original.wal, directory)
        return directory

    def copy_behind(self):
        """A copy is started after the original has delivered more: both continue separately."""
        self._two_ways(behind=True)

    def copy_ahead(self):
        """A copy delivers first and continues; then the original starts with other batches."""
        self._two_ways(behind=False)

    def _two_ways(self, behind):
        database = self.server.database()
        original = self.collector(url=database.url)
        first = Promise(original.wal)
        common = life(original, first)
        original.url = database.url if behind else None
        if not behind:
            common = life(original, first)
        copy = self.collector(wal=self.copy(original), url=database.url)
        second = Promise(copy.wal)
        second.durable = first.durable
        own = life(original, first)
        other = life(copy, second)
        original.url = database.url
        own, other = life(original, first), life(copy, second)
        shared = max(common.batches)
        self._once(database, shared, own if behind else other, other if behind else own)

    def _once(self, database, shared, elder, younger):
        """Common batches are stored once; batches of one directory only once, under its own log id."""
        ids = database.rows("SELECT DISTINCT log_id FROM ingest_checkpoint")
        checked(len(ids) == 2, f"two diverged directories are delivered under {len(ids)} log ids, expected 2")
        elder_id = elder.segments[0].log_id.hex()
        stored = {True: {}, False: {}}
        for log_id, seq, count in database.rows(
            "SELECT log_id, seq, count(*) FROM stored_records GROUP BY 1, 2"
        ):
            stored[log_id.replace("-", "") == elder_id][int(seq)] = int(count)
        # Common batches without a row of their own are not compared, so the fork may begin before the last
        # common batch. They have no row then either, which holdfast_verify confirms below.
        forked_at = min(
            int(row[0])
            for row in database.rows(f"SELECT forked_at FROM ingest_checkpoint WHERE log_id <> '{elder_id}'")
        )
        checked(
            forked_at <= shared, f"the fork begins after {forked_at}, but the last common batch is {shared}"
        )
        early = [seq for seq in stored[False] if seq <= forked_at]
        checked(not early, f"batches from before the fork are stored under its id: {early[:5]}")
        for is_elder, log, after in ((True, elder, 0), (False, younger, shared)):
            logged = {seq: batch.count for seq, batch in log.batches.items() if seq > after}
            there = {seq: count for seq, count in stored[is_elder].items() if seq > after}
            wrong = [seq for seq in logged.keys() | there.keys() if logged.get(seq) != there.get(seq)]
            which = "that kept its id" if is_elder else "that got an id of its own"
            checked(
                not wrong,
                f"batches {sorted(wrong)[:5]} of the directory {which} differ; common up to {shared}",
            )
            self.totals["batches compared"] += len(logged)
        verdict = database.verdict(NAME_IN_DATABASE)
        checked(verdict == [0, 0, 0], f"holdfast_verify: missing, doubled, ledger breaks: {verdict}")
        self.totals["forks"] += 1


def run(rig, budget):
    """Runs rounds until the budget is spent."""
    rivals = Rivals(rig)
    return spend(budget, rivals.totals, rivals.round)


def seen_red(rig):
    """A second daemon with its own directory and a readable header must not be refused."""
    rivals, seen = Rivals(rig), []
    for what, harmless in (
        ("a second daemon", lambda: rivals.refuse_second(rig.folder("own"), "in use")),
        ("a later version", lambda: rivals.later_version(oldest_reader=0)),
    ):
        seen.append(f"{what} that may run: {noticed(f'{what} that may run', harmless)}")
    return "; ".join(seen)
