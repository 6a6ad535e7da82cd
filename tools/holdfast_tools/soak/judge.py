"""The judgement: what grew in the second half of the run, by which rule it may grow, and by how much."""

from typing import NamedTuple, Optional

KIB, MIB = 1 << 10, 1 << 20
# Share of the records of the last life of the collector in which its memory is not judged, because caches and
# allocators fill; and the number of records that this life must have.
WARM_UP, LIFE_RECORDS_MIN = 0.25, 300_000
# Shortest window with enough samples for a slope.
SAMPLES_MIN = 5
# Millions of records from which on the growth per million is printed.
MILLIONS_MIN = 0.1
# The process may use so much memory at any time. Between two samples it varies by 40 MiB, as the lanes hold
# larger or smaller transactions.
RSS_MAX_MIB = 256
# The process, in its last life: name of the sample, unit, and the growth that is allowed, in units and as a
# share of the level.
PROCESS = [
    ("rss", "MiB", 32, 0.15),
    ("anonymous", "MiB", 32, 0.15),
    ("descriptors", "", 16, 0),
    ("threads", "", 8, 0),
]
# The folder of the state. The file of sled grows in steps of 512 KiB.
STATE = [
    ("sled file", "KiB", 576),
    ("other state bytes", "KiB", 128),
    ("state disk", "KiB", 704),
    ("state files", "", 4),
]
# Delivered segments stay until their space is needed, hence the log is bounded by its setting alone.
SEGMENT_MIB, LOG_MAX_MIB = 16, 512
# Bytes a second that the collector may write to its standard output.
OUTPUT_RATE_MAX = 64 * KIB
# Tables of history: the counter that explains their growth, and the bytes of a row with indexes.
HISTORY = {
    "route_records": ("stored", 300),
    "attribute_sets": ("stored", 400),
    "incarnations": ("events", 400),
    "peer_events": ("events", 1_200),
}
LEDGER_ROW = 500
# Tables whose rows are updated in each transaction: dead rows remain until the server vacuums.
UPDATED_MIB = {"rib_entries": 24, "path_attributes": 24, "bgp_peers": 8, "peer_families": 8, "pg_catalog": 8}
OTHER_MIB = 1
# Tables with one row for something that happened, or for a sample of each peer and family.
COUNTED = ("collector_gaps", "rib_sizes", "ingest_ledger")


class Line(NamedTuple):
    """One line of the verdict; `within` is None if the run was too short to judge."""

    name: str
    level: str
    slope: str
    bound: str
    within: Optional[bool]

    def text(self):
        verdict = {True: "ok", False: "EXCEEDED", None: "not judged"}[self.within]
        return f"{self.name:<31} {self.level:>13}  {self.slope:<45} {self.bound:<48} {verdict}"


def slope(points):
    """The least-squares slope of (x, y) points; None if x does not vary."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else None


def pairs(samples, of_x, of_y):
    """The points of the samples that have both values."""
    found = [(of_x(sample), of_y(sample)) for sample in samples]
    return [(x, y) for x, y in found if x is not None and y is not None]


def value(name):
    return lambda sample: sample.get(name)


def table(name, column):
    """Bytes (column 0) or rows (column 1) of a table."""
    return lambda sample: sample["tables"].get(name, (0, 0))[column] if "tables" in sample else None


def scaled(number, unit):
    divisor = {"KiB": KIB, "MiB": MIB}.get(unit, 1)
    return number / divisor


def flat(name, samples, of_value, unit, allowed, share=0):
    """A value that must not grow by more than `allowed` units, or `share` of its level, within the samples.

    The growth is that of the regression line over time: records stop while the routers are paused.
    """
    points = pairs(samples, value("seconds"), of_value)
    if len(points) < SAMPLES_MIN:
        return Line(name, "-", "-", "-", None)
    grown = scaled(slope(points) * (points[-1][0] - points[0][0]), unit)
    level = scaled(sum(y for _, y in points) / len(points), unit)
    bound = max(allowed, share * level)
    millions = (samples[-1]["records"] - samples[0]["records"]) / 1e6
    per_million = f" ({grown / millions:+,.2f} a million records)" if millions > MILLIONS_MIN else ""
    return Line(
        name,
        f"{level:,.1f} {unit}".strip(),
        f"{grown:+,.2f} {unit}".strip() + per_million,
        f"flat: at most +{bound:,.0f} {unit}".rstrip() if bound >= 1 else "flat: no growth",
        grown <= bound,
    )


def explained(name, points, bound, what):
    """A size that grows by at most `bound` bytes for each of `what`."""
    if len(points) < SAMPLES_MIN or slope(points) is None:
        return Line(name, "-", "-", "-", None)
    found = slope(points)
    level = f"{points[-1][1] / MIB:,.1f} MiB"
    limit = f"at most {bound} bytes per {what}"
    return Line(name, level, f"{found:,.0f} bytes per {what}", limit, found <= bound)


def most(name, found, bound, why):
    """A number that must not exceed a bound."""
    return Line(name, f"{found:,}", "", f"at most {bound:,}: {why}", found <= bound)


def exactly(name, found, expected, why):
    return Line(name, f"{found:,}", "", f"exactly {expected:,}: {why}", found == expected)


def window(samples, begin):
    """The samples from this time on."""
    return [sample for sample in samples if sample["seconds"] >= begin]


def process_lines(samples):
    """Memory, descriptors and threads in the last life of the collector, from a quarter of its records to the
    last record that the routers sent."""
    last = [sample for sample in samples if sample["life"] == samples[-1]["life"] and "rss" in sample]
    counts = [sample["records"] for sample in last] or [0]
    first, end = counts[0] + WARM_UP * (counts[-1] - counts[0]), counts[-1]
    judged = [sample for sample, count in zip(last, counts) if first <= count < end]
    if counts[-1] - counts[0] < LIFE_RECORDS_MIN:
        judged = []
    lines = [flat(name, judged, value(name), unit, allowed, share) for name, unit, allowed, share in PROCESS]
    return [*lines, most("highest rss (MiB)", highest(samples, "rss") // MIB, RSS_MAX_MIB, "at any time")]


def folder_lines(samples):
    """The state, the log, and the standard output."""
    lines = [flat(name, samples, value(name), unit, allowed) for name, unit, allowed in STATE]
    # One segment beyond the limit is being prepared.
    segments = LOG_MAX_MIB // SEGMENT_MIB + 1
    lines += [
        most("log disk (MiB)", highest(samples, "log disk") // MIB, segments * SEGMENT_MIB, "WAL_MAX_BYTES"),
        most("segments", highest(samples, "segments"), segments, "WAL_MAX_BYTES"),
        most(
            "other files of the log", highest(samples, "log files") - highest(samples, "segments"), 8, "fixed"
        ),
    ]
    found = slope(pairs(samples, value("seconds"), value("output bytes"))) or 0
    return [*lines, most("standard output (bytes/s)", round(found), OUTPUT_RATE_MAX, "budget of log lines")]


def highest(samples, name):
    return max(sample.get(name, 0) for sample in samples)


def table_lines(samples, repeated_since):
    """Each table of the schema. `repeated_since`: from then on the routers send nothing that is new, so that
    the current table and the attribute sets must not grow; None if the run was too short for that."""
    names = sorted({name for sample in samples for name in sample.get("tables", {})})
    lines = []
    for name in names:
        bytes_of, rows_of = table(name, 0), table(name, 1)
        if name in HISTORY:
            counter, bound = HISTORY[name]
            lines.append(explained(name, pairs(samples, value(counter), bytes_of), bound, "row"))
            continue
        if name == "ingest_ledger":
            lines.append(explained(name, pairs(samples, rows_of, bytes_of), LEDGER_ROW, "transaction"))
            continue
        grows = name in ("rib_entries", "path_attributes")
        judged = samples if not grows else window(samples, repeated_since or float("inf"))
        allowed = UPDATED_MIB.get(name, OTHER_MIB)
        lines.append(flat(name, judged, bytes_of, "MiB", allowed, 0.25))
        if name not in COUNTED and name not in ("pg_catalog", "other schemas"):
            lines.append(flat(f"{name} rows", judged, rows_of, "", 0.5))
    return lines


def failed(lines):
    return [line.name for line in lines if line.within is False]
