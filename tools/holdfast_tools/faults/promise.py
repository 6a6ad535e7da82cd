"""The batches that the collector reported as durable, and the check that the log still contains them.

The status socket, read before the fault, tells which batches are durable or written. Their contents are
recorded from the files while these are intact, by a reader that shares no code with the product.
"""

from . import segments
from .rig import checked


class Promise:
    """The batches reported for one log directory, over all runs of its collector."""

    def __init__(self, directory):
        self.directory = directory
        self.durable = self.written = 0
        # Highest batch that earlier runs reported as durable.
        self.promised = 0
        self.noted = {}
        # Sequence numbers that an earlier run used and never reported as durable; they become a gap.
        self.torn = set()
        self.tail = None
        self.walker = segments.Walker(directory)
        self.worst_open = 0

    def close(self):
        """Closes all files, so that the disk can be unmounted and removed files free their space."""
        if self.tail:
            self.tail.close()

    def new_life(self):
        """Called before a start of the collector: its frames are read from the next segment on."""
        self.close()
        there = segments.names(self.directory)
        self.tail = segments.Tail(self.directory, there[-1] if there else "")
        self.promised = self.durable
        # Written batches that were not durable may be lost, and their sequence numbers used again.
        self.written = self.durable

    def hear(self, status):
        """Records the batches that one status document reports as durable."""
        if not status:
            return
        wal = status["wal"]
        self.durable = max(self.durable, wal["durable"])
        self.written = max(self.written, wal["written"])
        self.worst_open = max(self.worst_open, self.written - self.durable)
        self.tail.read()
        self.note(self.durable)

    def note(self, up_to):
        for seq in [seq for seq in self.tail.batches if seq <= up_to]:
            batch = self.tail.batches.pop(seq)
            before = self.noted.setdefault(seq, batch)
            checked(before == batch, f"batch {seq} changed while the collector ran: {before}, now {batch}")
        for first, last, _ in self.tail.gaps:
            checked(
                first > self.promised,
                f"the start reports {first} to {last} as torn, but {self.promised} was durable",
            )
            self.torn.update(range(first, last + 1))
        self.tail.gaps.clear()

    def keep(self, kept_segments_min=None, written=False, fresh=False):
        """Compares the directory with the reported batches. Returns what it contains.

        `kept_segments_min`: with fewer segments than this, nothing may have been dropped or recycled.
        `written`: nothing but the process has died, so what was written counts as well.
        """
        log = self.walker.read(fresh)
        promised = max(self.durable, self.written) if written else self.durable
        lowest = log.lowest
        # Torn batches that this start reported were written by earlier runs and never reported as durable.
        self.torn.update(
            seq for first, last, _ in log.gaps for seq in range(first, last + 1) if seq > self.promised
        )
        if kept_segments_min is not None and len(log.segments) < kept_segments_min:
            checked(
                lowest == 1 or not log.segments,
                f"batches below {lowest} were removed, but no space was needed",
            )
        lost = [seq for seq in range(lowest, promised + 1) if seq not in log.batches and seq not in self.torn]
        checked(not lost, f"{len(lost)} of {promised} durable batches are lost, the first is {lost[:1]}")
        altered = [
            seq for seq, batch in self.noted.items() if lowest <= seq and log.batches.get(seq) != batch
        ]
        checked(not altered, f"durable batches have changed: {altered[:5]}")
        checked(not log.doubled, f"batches are twice in the log: {log.doubled[:5]}")
        self._no_hole(log)
        return log

    @staticmethod
    def _no_hole(log):
        """Below the newest segment every sequence number is a batch or lies in exactly one gap."""
        if not log.segments:
            return
        last = log.segments[-1].first_seq
        missing = {seq for seq in range(log.lowest, last) if seq not in log.batches}
        for first, to, _ in log.gaps:
            for seq in range(max(first, log.lowest), min(to + 1, last)):
                checked(seq in missing, f"number {seq} is in two gaps, or is a batch and in a gap")
                missing.discard(seq)
        checked(not missing, f"numbers are neither a batch nor in a gap: {sorted(missing)[:5]}")
