"""What an attack does to the collector: memory, log output, size of the log, health; and the time until the
updates of a router are durable and stored."""

import contextlib
import json
import os
import re
import struct
import threading
import time
import zlib

from .. import postgres
from ..faults import segments

# Share of the time that may be spent on reading the status.
STATUS_SHARE = 0.2


class Follower:
    """Follows the log and notes when each update of some routers became durable.

    An update is durable when the status document says so (`wal.durable`), or when the log has a frame of a
    later sync group, which is written only after the sync of its own group. The batches are then read from
    the files, and the routers' prefixes are searched in them; a row of the log is the octet 32 and the four
    octets of the address.
    """

    HEAD = 512

    def __init__(self, directory, routers):
        self.directory = directory
        # The name as a batch encodes it: its length and its octets.
        self.routers = {struct.pack("<Q", len(one.name)) + one.name.encode(): one for one in routers}
        self.durable_at = {router.name: {} for router in routers}
        # Bytes of all batches, and of those of each router.
        self.bytes, self.bytes_of = 0, dict.fromkeys(self.durable_at, 0)
        self._name, self._file, self._header, self._at = "", None, None, segments.FRAMES_START
        self._last = 0
        self._waiting = []

    def close(self):
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def read(self, durable, now):
        """Reads new frames; `durable` is the batch that was reported as durable at the time `now`."""
        while True:
            self._read_one(durable, now)
            later = [name for name in segments.names(self.directory) if name > self._name]
            if not later:
                return
            self._enter(later[0])

    def _read_one(self, durable, now):
        while self._file is not None:
            raw = os.pread(self._file, segments.FRAME_BYTES, self._at)
            if len(raw) < segments.FRAME_BYTES or raw[:4] != segments.FRAME_MAGIC:
                break
            crc, kind, length, seq, group, _, offset, _ = struct.unpack("<4xIB3xIQQ4xIII", raw)
            if (
                crc != zlib.crc32(raw[8:], self._header.salt)
                or offset != self._at
                or group < self._header.first_group
            ):
                break
            self._settle(lambda waiting, group=group: waiting[1] < group, now)
            if kind == segments.DATA and seq > self._last:
                self._last = seq
                self.bytes += length
                self._waiting.append((seq, group, self._at + segments.FRAME_BYTES, length))
            end = self._at + segments.FRAME_BYTES + -(-length // 8) * 8
            if kind in (segments.COMMIT, segments.DURABILITY_MARK, segments.SEAL):
                end = -(-end // segments.GROUP_ALIGN) * segments.GROUP_ALIGN
            self._at = end
        self._settle(lambda waiting: waiting[0] <= durable, now)

    def _settle(self, is_durable, now):
        while self._waiting and is_durable(self._waiting[0]):
            _, _, at, length = self._waiting.pop(0)
            head = os.pread(self._file, min(length, self.HEAD), at)
            for mark, router in self.routers.items():
                if mark in head:
                    self.bytes_of[router.name] += length
                    self._note(router, os.pread(self._file, length, at), now)

    def _note(self, router, payload, now):
        known = self.durable_at[router.name]
        for found in re.finditer(re.escape(b"\x20" + router.host(0)[:2]) + b"(..)", payload, re.DOTALL):
            known.setdefault(struct.unpack("!H", found[1])[0], now)

    def _enter(self, name):
        # What waits in the old segment was sealed, hence synced, before the new one got its name.
        if self._file is not None:
            self._settle(lambda _: True, time.monotonic())
        try:
            file = os.open(os.path.join(self.directory, name), os.O_RDONLY)
        except FileNotFoundError:
            self._name = name  # recycled since it was listed
            return
        self.close()
        self._name, self._at, self._file = name, segments.FRAMES_START, file
        self._header = segments.header_of(file)
        if self._header is None:
            self.close()


class Stored:
    """Polls how many updates of a router the database has in its current table, in the order of sending."""

    QUERY = "SELECT count(*) FROM rib_entries JOIN bgp_peers ON id = peer_id WHERE bgp_peers.router = '{}'"

    def __init__(self, url, router):
        self.url, self.router, self.stored_at = url, router, []
        self._client = None

    def close(self):
        if self._client:
            self._client.close()

    def read(self):
        try:
            self._client = self._client or postgres.Client(self.url)
            count = int(self._client.rows(self.QUERY.format(self.router.name))[0][0])
        except OSError:
            # The schema does not exist yet, or a deadlock was resolved: the next poll answers.
            self.close()
            self._client = None
            return
        now = time.monotonic()
        self.stored_at += [now] * (count - len(self.stored_at))


class Watch:
    """A thread that observes the collector until `stop`."""

    def __init__(self, collector, routers, stored=None, status=True, culprits=(), poll_s=0.02):
        self.collector, self.poll_s, self.stored = collector, poll_s, stored
        self.follower = Follower(collector.wal, routers)
        self.status, self.culprits = status, culprits
        # Whether the status names one of the culprits.
        self.named = False
        self.rss_max = self.log_rate_max = self.wal_max = 0
        self.reasons, self.states = {}, {}
        self._log = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True)]
        if stored:
            self._threads.append(threading.Thread(target=self._poll_database, daemon=True))

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.follower.close()
        if self.stored:
            self.stored.close()

    def log_bytes(self):
        with contextlib.suppress(FileNotFoundError):
            return self.collector.log.stat().st_size
        return 0

    def _run(self):
        next_sample = next_status = 0
        while not self._stop.wait(self.poll_s):
            now = time.monotonic()
            durable = 0
            if self.status and now >= next_status:
                durable = self._status()
                spent = time.monotonic() - now
                now += spent
                next_status = now + spent / STATUS_SHARE
            with contextlib.suppress(OSError):
                self.follower.read(durable, now)
            if now >= next_sample:
                next_sample = now + 0.1
                self._sample(now)

    def _status(self):
        status = self.collector.status()
        if status is None:
            return 0
        self.states[status["state"]] = self.states.get(status["state"], 0) + 1
        texts = [*status["reasons"], json.dumps(status["listener"])]
        self.named = self.named or any(name in text for name in self.culprits for text in texts)
        for kind, reason in zip(status["conditions"], status["reasons"]):
            self.reasons.setdefault(kind, set())
            if len(self.reasons[kind]) < 100:
                self.reasons[kind].add(reason)
        return status["wal"]["durable"]

    def _sample(self, now):
        with contextlib.suppress(OSError), open(f"/proc/{self.collector.process.pid}/status") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    self.rss_max = int(line.split()[1]) * 1024
        self.wal_max = max(self.wal_max, wal_bytes(self.collector.wal))
        self._log.append((now, self.log_bytes()))
        while self._log[0][0] < now - 1:
            self._log.pop(0)
        if len(self._log) > 1:
            self.log_rate_max = max(self.log_rate_max, self._log[-1][1] - self._log[0][1])

    def _poll_database(self):
        while not self._stop.wait(0.25):
            self.stored.read()


def wal_bytes(directory):
    """Bytes of disk space that the log's segments take."""
    total = 0
    for name in segments.names(directory):
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(os.path.join(directory, name)).st_blocks * 512
    return total


def percentile(values, share):
    """The value below which `share` of the values are; None if there are none."""
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


def number(value, factor=1, digits=0):
    """A number of a table; "-" if there is none."""
    return "-" if value is None else f"{value * factor:.{digits}f}"
