"""An independent reader of the log's files, written from docs/WAL.md without code of the product."""

import os
import re
import struct
import zlib
from typing import NamedTuple

MAGIC, FRAME_MAGIC = b"HOLDFAST", b"hfr\xf7"
FRAMES_START, HEADER_COPY, GROUP_ALIGN, FRAME_BYTES = 8192, 4096, 4096, 48
DATA, COMMIT, GAP, DURABILITY_MARK, SEAL = 1, 2, 4, 5, 6
NAME = re.compile(r"^[0-9a-f]{16}\.wal$")


class Header(NamedTuple):
    """The fields of a segment header that the checks use."""

    log_id: bytes
    number: int
    first_seq: int
    first_group: int
    salt: int


class Frame(NamedTuple):
    """One valid frame; `end` is the offset after it."""

    kind: int
    seq: int
    group: int
    count: int
    digest: int
    end: int
    gap: tuple


class Batch(NamedTuple):
    """The record count of a payload, and a checksum that is independent of its offset."""

    count: int
    digest: int


class Log(NamedTuple):
    """The contents of a log directory."""

    batches: dict
    gaps: list
    doubled: list
    segments: list
    end: int

    @property
    def lowest(self):
        return self.segments[0].first_seq if self.segments else 1


def header_of(file):
    """The valid copy of the header; None if there is none."""
    for at in (0, HEADER_COPY):
        raw = os.pread(file, 128, at)
        if (
            len(raw) == 128
            and raw[:8] == MAGIC
            and struct.unpack_from("<I", raw, 124)[0] == zlib.crc32(raw[:124])
        ):
            number, first_seq, first_group = struct.unpack_from("<QQQ", raw, 32)
            return Header(raw[16:32], number, first_seq, first_group, struct.unpack_from("<I", raw, 96)[0])
    return None


def frame_at(file, header, at):
    """The frame that begins at this offset; None if there is none."""
    raw = os.pread(file, FRAME_BYTES, at)
    if len(raw) < FRAME_BYTES or raw[:4] != FRAME_MAGIC:
        return None
    crc, kind, length, seq, group, payload_crc, offset, count = struct.unpack("<4xIB3xIQQ4xIII", raw)
    if crc != zlib.crc32(raw[8:], header.salt) or offset != at or group < header.first_group:
        return None
    padded = -(-length // 8) * 8
    payload = os.pread(file, padded, at + FRAME_BYTES)
    if len(payload) < padded or zlib.crc32(payload, header.salt) != payload_crc:
        return None
    end = at + FRAME_BYTES + padded
    if kind in (COMMIT, DURABILITY_MARK, SEAL):
        end = -(-end // GROUP_ALIGN) * GROUP_ALIGN
    gap = struct.unpack_from("<QQQ", payload) if kind == GAP else ()
    return Frame(kind, seq, group, count, zlib.crc32(payload[:length]), end, gap)


def frames(file, header, at=FRAMES_START, skip=True):
    """All valid frames from offset `at`; other bytes are searched for the next frame."""
    while True:
        frame = frame_at(file, header, at)
        if frame:
            yield frame
            at = frame.end
        elif skip:
            at = _next_frame(file, header, at + 8)
            if at is None:
                return
        else:
            return


def _next_frame(file, header, at):
    rest = os.pread(file, os.fstat(file).st_size - at, at) if at < os.fstat(file).st_size else b""
    found = rest.find(FRAME_MAGIC)
    while found >= 0:
        if (at + found) % 8 == 0 and frame_at(file, header, at + found):
            return at + found
        found = rest.find(FRAME_MAGIC, found + 1)
    return None


def names(directory):
    """The segments by number; empty if the directory does not exist."""
    if not os.path.isdir(directory):
        return []
    return sorted(name for name in os.listdir(directory) if NAME.match(name))


class Walker:
    """Reads a directory repeatedly, but each segment except the last only once."""

    def __init__(self, directory):
        self.directory = directory
        self.known = {}

    def read(self, fresh=False):
        """The current contents of the directory; `fresh` discards the results of earlier reads."""
        if fresh:
            self.known.clear()
        found = []
        for name in names(self.directory):
            try:
                file = os.open(os.path.join(self.directory, name), os.O_RDONLY)
            except FileNotFoundError:
                continue  # recycled since it was listed
            try:
                header = header_of(file)
                if header:
                    found.append((header, file, name))
                    file = None
            finally:
                if file is not None:
                    os.close(file)
        try:
            return self._assemble([self._segment(*one, last=one is found[-1]) for one in found])
        finally:
            for _, file, _ in found:
                os.close(file)

    def _segment(self, header, file, name, last):
        key = (header.number, header.salt)
        if key in self.known:
            return header, self.known[key], None
        items = list(frames(file, header))
        end = items[-1].end if items else FRAMES_START
        kept = [frame for frame in items if frame.kind in (DATA, GAP)]
        if not last:
            self.known[key] = kept
        return header, kept, end

    @staticmethod
    def _assemble(segments):
        batches, gaps, doubled = {}, [], []
        bounds = [header.first_seq for header, _, _ in segments[1:]] + [1 << 64]
        for (_header, items, _), bound in zip(segments, bounds):
            for frame in items:
                if frame.seq >= bound:
                    continue  # the copy in the next segment counts
                if frame.kind == GAP:
                    gaps.append(frame.gap)
                elif frame.seq in batches:
                    doubled.append(frame.seq)
                else:
                    batches[frame.seq] = Batch(frame.count, frame.digest)
        end = segments[-1][2] if segments else FRAMES_START
        return Log(batches, gaps, doubled, [header for header, _, _ in segments], end or FRAMES_START)


class Tail:
    """Reads the frames that a running daemon appends to the newest segment."""

    def __init__(self, directory, after=""):
        self.directory = directory
        self.batches, self.gaps, self.ends = {}, [], {}
        self.records = 0
        self._file = self._header = None
        self._name, self._at = after, FRAMES_START

    def close(self):
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def read(self):
        """Reads the new frames."""
        while True:
            self._read_one()
            later = [name for name in names(self.directory) if name > self._name]
            if not later:
                return
            self._enter(later[0])

    @property
    def place(self):
        """The segment that is being written, and the offset of its end."""
        return self._name, self._at

    def _read_one(self):
        if self._file is None:
            return
        for frame in frames(self._file, self._header, self._at, skip=False):
            self._at = frame.end
            if frame.kind == DATA:
                self.batches[frame.seq] = Batch(frame.count, frame.digest)
                self.ends[frame.seq] = (self._name, frame.end)
                self.records += frame.count
            elif frame.kind == GAP:
                self.gaps.append(frame.gap)

    def _enter(self, name):
        try:
            file = os.open(os.path.join(self.directory, name), os.O_RDONLY)
        except FileNotFoundError:
            self._name = name  # recycled since it was listed
            return
        self.close()
        self._name, self._at, self._file, self._header = name, FRAMES_START, file, header_of(file)
        if self._header is None:
            self.close()
