"""Runs the SQL of the dashboards' JSON on a database, as Grafana would send it."""

import datetime
import json
import os
import pathlib
import re
import time

from .. import postgres
from .build import FOLDER
from .model import POSTGRES

# A query that takes longer fails.
SECONDS_MAX = 60
_MACRO = re.compile(
    r"\$__timeFilter\(([\w.]+)\)|\$__timeFrom\(\)|\$__timeTo\(\)|\$__interval\b|\$\{(\w+):sqlstring\}"
)


class Period:
    """The time range of a dashboard."""

    def __init__(self, begin, end):
        self.begin, self.end = begin, end

    @classmethod
    def last(cls, hours):
        """The last hours until now."""
        end = datetime.datetime.now(datetime.timezone.utc)
        return cls(end - datetime.timedelta(hours=hours), end)

    def interval(self):
        """Resolution of a panel that is about 700 points wide, at least a minute."""
        minutes = (self.end - self.begin).total_seconds() / 60
        return f"{max(1, round(minutes / 700))}m"


class Server:
    """A connection for the queries of panels, and the processor time that its backend has used."""

    def __init__(self, url):
        self._client = postgres.Client(url, timeout=SECONDS_MAX + 10)
        # Without parallel workers, whose processor time is not that of the backend.
        self._client.rows(
            f"SET statement_timeout = '{SECONDS_MAX}s'; SET max_parallel_workers_per_gather = 0"
        )
        pid = self._client.rows("SELECT pg_backend_pid()")[0][0]
        name = self._client.rows("SELECT coalesce(host(inet_server_addr()), '127.0.0.1')")[0][0]
        self._stat = pathlib.Path(f"/proc/{pid}/stat") if name == "127.0.0.1" else None

    def table(self, query):
        """Columns, rows, and the milliseconds: elapsed, and of the processor (none if unknown)."""
        begin, used = time.monotonic(), self._processor()
        columns, rows = self._client.table(query)
        elapsed, after = (time.monotonic() - begin) * 1000, self._processor()
        return columns, rows, elapsed, None if used is None or after is None else after - used

    def rows(self, query):
        """The rows of a query."""
        return self._client.rows(query)

    def _processor(self):
        try:
            text = self._stat.read_text() if self._stat else ""
        except OSError:
            return None
        # The name of the process may contain blanks; it is in parentheses.
        fields = text.rpartition(")")[2].split()
        if not text or "postgres" not in text:
            return None
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A query that fails, or whose result its panel cannot show."""


def substituted(text, period, values):
    """SQL with Grafana's macros and variables replaced by what Grafana puts in their place."""

    def replacement(found):
        word = found.group()
        if word.startswith("$__timeFilter"):
            return f"{found.group(1)} BETWEEN {_quoted(period.begin)} AND {_quoted(period.end)}"
        if word == "$__interval":
            return period.interval()
        if word.startswith("${"):
            if found.group(2) not in values:
                raise Failure(f"the dashboard has no variable {found.group(2)}")
            return "'" + values[found.group(2)].replace("'", "''") + "'"
        return _quoted(period.begin if word == "$__timeFrom()" else period.end)

    text = _MACRO.sub(replacement, text)
    if "$" in text:
        raise Failure("a macro or variable that is not known: " + text[text.index("$") :][:40])
    return text


def _quoted(at):
    return at.strftime("'%Y-%m-%dT%H:%M:%S.%fZ'")


def variables(board, client, period, pick):
    """The values of a dashboard's variables: `pick` chooses one of each list. PromQL variables have none."""
    values = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "custom":
            choices = variable["query"].split(",")
        elif variable["datasource"] == POSTGRES:
            rows = client.rows(substituted(variable["query"], period, values))
            choices = [row[0] for row in rows]
            if not choices:
                raise Failure(f"the variable {variable['name']} has no values")
        else:
            continue
        values[variable["name"]] = pick(choices)
    return values


def targets(board):
    """The SQL queries of a dashboard: panel and query."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            if target["datasource"] == POSTGRES:
                yield panel, target


def boards():
    """The dashboards of deploy/grafana."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def judged(panel, target, columns, rows):
    """Raises `Failure` if the panel cannot show the result."""
    if not rows:
        raise Failure("no rows")
    if target["format"] == "time_series" and columns[0] != "time":
        raise Failure("the first column of a time series must be `time`")
    if panel["type"] == "stat" and (len(rows), len(columns)) != (1, 1):
        raise Failure(f"a number must be one row with one column, not {len(rows)} with {len(columns)}")
    if panel["type"] == "stat" and rows[0][0] is None:
        raise Failure("the number is null")
    wanted = {"A": {"id", "title"}, "B": {"id", "source", "target"}}[target["refId"]]
    if panel["type"] == "nodeGraph" and not wanted <= set(columns):
        raise Failure(f"a graph needs the columns {', '.join(sorted(wanted))}")


class Result:
    """What one query of a panel returned."""

    def __init__(self, board, panel):
        self.board, self.panel = board, panel
        self.rows, self.elapsed, self.processor, self.failure = 0, 0.0, None, None


def run(server, period, pick, need_rows=True):
    """Runs every query and yields its result."""
    for board in boards():
        try:
            values = variables(board, server, period, pick)
        except (Failure, OSError) as failure:
            result = Result(board["title"], "(variables)")
            result.failure = str(failure)
            yield result
            continue
        for panel, target in targets(board):
            result = Result(board["title"], panel["title"])
            try:
                query = substituted(target["rawSql"], period, values)
                columns, rows, result.elapsed, result.processor = server.table(query)
                result.rows = len(rows)
                if rows or need_rows:
                    judged(panel, target, columns, rows)
            except (Failure, OSError) as error:
                result.failure = str(error)
            yield result
