"""Dashboards, panels and variables, and their JSON.

A panel is one definition: title, queries, and how Grafana shows them. SQL may contain these words:

  @period   arguments `span, until` of a catalogue function: the dashboard's time range
  @span     argument `span` of a function without `until`: from the start of the time range until now
  @bucket   the column `at`, rounded down to the resolution of the panel
  @router   true for rows of the selected router
  @peer     argument `of_peer` of a catalogue function: the selected peer, null for all
  @peers    true for rows of the selected peer
"""

import dataclasses
import re

POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "holdfast-postgresql"}
PROMETHEUS = {"type": "prometheus", "uid": "holdfast-prometheus"}
COLUMNS = 24

_WORDS = {
    "@period": "$__timeTo()::timestamptz - $__timeFrom()::timestamptz, $__timeTo()::timestamptz",
    "@span": "now() - $__timeFrom()::timestamptz",
    "@bucket": "date_bin('$__interval'::interval, at, '2000-01-01')",
    "@router": "${router:sqlstring} IN ('all', router)",
    "@peers": "(${peer:sqlstring} = 'all' OR (router, peer) IN (SELECT p.router, p.peer"
    " FROM peers(${peer:sqlstring}) p))",
    "@peer": "nullif(${peer:sqlstring}, 'all')",
}

# Columns whose values link to a dashboard, and its variable that takes the value.
_LINKS = {
    "prefix": ("holdfast-prefix", "prefix"),
    "router": ("holdfast-peers", "router"),
    "origin_as": ("holdfast-as", "asn"),
    "rd": ("holdfast-l3vpn", "rd"),
    "mac_address": ("holdfast-evpn", "mac"),
}


def sql(text):
    """SQL with the words of this module replaced, and without the indentation of its definition."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return re.sub("|".join(_WORDS), lambda word: _WORDS[word.group()], "\n".join(lines))


@dataclasses.dataclass(frozen=True)
class Query:
    """A query of one data source: SQL, or a PromQL expression with the legend of its series."""

    text: str
    legend: str = ""
    is_sql: bool = True
    form: str = "table"

    def json(self, ref):
        """The query as a target of a panel."""
        if self.is_sql:
            return {
                "refId": ref,
                "datasource": POSTGRES,
                "format": self.form,
                "rawQuery": True,
                "editorMode": "code",
                "rawSql": self.text,
            }
        is_instant = self.form == "table"
        return {
            "refId": ref,
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": self.text,
            "legendFormat": self.legend,
            "instant": is_instant,
            "range": not is_instant,
            "format": self.form,
        }


@dataclasses.dataclass(frozen=True)
class Panel:
    """A panel: Grafana's type of visualization, its queries, and its size in columns and rows."""

    kind: str
    title: str
    about: str
    queries: tuple
    width: int = 12
    height: int = 8
    options: dict = dataclasses.field(default_factory=dict)
    defaults: dict = dataclasses.field(default_factory=dict)
    overrides: tuple = ()
    transformations: tuple = ()

    def json(self, number, x, y):
        """The panel at a position of the dashboard."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": self.queries[0].json("A")["datasource"],
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            # Buckets below a minute show gaps between the messages, not rates.
            "interval": "1m",
            "targets": [query.json(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "options": self.options,
            "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
            "transformations": list(self.transformations),
        }


@dataclasses.dataclass(frozen=True)
class Row:
    """A heading above the panels that follow."""

    title: str

    def json(self, number, y):
        """The row at a position of the dashboard."""
        grid = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        return {
            "id": number,
            "type": "row",
            "title": self.title,
            "gridPos": grid,
            "collapsed": False,
            "panels": [],
        }


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable of a dashboard. Its first value is the default; other values can be typed."""

    name: str
    label: str
    query: str = ""
    values: tuple = ()
    is_sql: bool = True
    is_multiple: bool = False

    def json(self):
        """The variable in the list of the dashboard."""
        common = {"name": self.name, "label": self.label, "allowCustomValue": True, "hide": 0}
        if self.values:
            options = [{"text": one, "value": one, "selected": one == self.values[0]} for one in self.values]
            current = {"text": self.values[0], "value": self.values[0]}
            return {
                **common,
                "type": "custom",
                "query": ",".join(self.values),
                "options": options,
                "current": current,
            }
        query = {
            **common,
            "type": "query",
            # Again whenever the time range changes.
            "refresh": 2,
            "sort": 0,
            "includeAll": self.is_multiple,
            "multi": self.is_multiple,
        }
        if self.is_sql:
            return {**query, "datasource": POSTGRES, "definition": sql(self.query), "query": sql(self.query)}
        body = {"query": self.query, "refId": "variable"}
        all_of_them = {"text": ["All"], "value": ["$__all"]}
        return {
            **query,
            "datasource": PROMETHEUS,
            "definition": self.query,
            "query": body,
            "current": all_of_them,
        }


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """A dashboard: file name and identifier, title, the question that it answers, variables and panels."""

    name: str
    title: str
    answers: str
    panels: tuple
    variables: tuple = ()
    since: str = "now-24h"
    tags: tuple = ()

    @property
    def uid(self):
        """Identifier in Grafana, also part of the address."""
        return "holdfast-" + self.name

    def json(self):
        """The whole dashboard."""
        return {
            "uid": self.uid,
            "title": "Holdfast / " + self.title,
            "description": self.answers,
            "tags": ["holdfast", *self.tags],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "utc",
            "refresh": "",
            "time": {"from": self.since, "to": "now"},
            "templating": {"list": [variable.json() for variable in self.variables]},
            "annotations": {"list": []},
            "links": [
                {
                    "type": "dashboards",
                    "title": "Holdfast",
                    "tags": ["holdfast"],
                    "asDropdown": True,
                    "includeVars": False,
                    "keepTime": True,
                }
            ],
            "panels": list(_arranged(self.panels)),
        }


def _arranged(panels):
    """The panels from left to right; each line is as high as its highest panel."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        is_row = isinstance(panel, Row)
        if is_row or x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        if is_row:
            yield panel.json(number, y)
            y += 1
        else:
            yield panel.json(number, x, y)
            x, height = x + panel.width, max(height, panel.height)


# ---- kinds of panels -----------------------------------------------------------------------------


def _override(column, **properties):
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()],
    }


def _link(column):
    uid, variable = _LINKS[column]
    url = f"/d/{uid}?var-{variable}=${{__value.raw}}&${{__url_time_range}}"
    return _override(column, links=[{"title": f"{variable} ${{__value.raw}}", "url": url}])


def table(title, about, query, width=24, height=9, units=None, links=()):
    """Rows as they are. units: of columns, by name; links: columns whose values lead to their dashboard."""
    overrides = [_override(column, unit=unit) for column, unit in (units or {}).items()]
    overrides += [_link(column) for column in links]
    defaults = {"custom": {"align": "auto", "filterable": True}}
    options = {"showHeader": True, "cellHeight": "sm"}
    queries = (Query(sql(query)),)
    return Panel("table", title, about, queries, width, height, options, defaults, tuple(overrides))


def number(title, about, query, width=4, unit="none", bad_from=None, height=4):
    """One number of a table's only row; from `bad_from` on it is red."""
    return _stat(title, about, (Query(sql(query)),), width, height, unit, bad_from)


def _stat(title, about, queries, width, height, unit, bad_from, shows="auto"):
    steps = [{"color": "green" if bad_from is not None else "text", "value": None}]
    if bad_from is not None:
        steps.append({"color": "red", "value": bad_from})
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": shows,
    }
    return Panel("stat", title, about, queries, width, height, options, defaults)


def gauge(
    title,
    about,
    expression,
    width=4,
    unit="none",
    bad_from=None,
    legend="{{instance}}",
    height=4,
    shows="auto",
):
    """The current value of a PromQL expression, one number per series; shows="name": the legend instead."""
    queries = (Query(expression, legend, is_sql=False, form="time_series"),)
    return _stat(title, about, queries, width, height, unit, bad_from, shows)


def _series(title, about, queries, width, height, unit, custom):
    legend = {
        "displayMode": "table",
        "placement": "bottom",
        "calcs": ["max", "lastNotNull"],
        "showLegend": True,
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel(
        "timeseries", title, about, queries, width, height, options, {"unit": unit, "custom": custom}
    )


def counts(title, about, query, width=12, height=8, unit="short"):
    """Numbers per bucket, stacked bars. The query returns `time`, and `metric` and a value, or values."""
    custom = {"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0, "stacking": {"mode": "normal"}}
    return _series(title, about, (Query(sql(query), form="time_series"),), width, height, unit, custom)


def levels(title, about, query, width=12, height=8, unit="short"):
    """Values over time that hold until the next one; the query is that of `counts`."""
    custom = {"drawStyle": "line", "lineInterpolation": "stepAfter", "fillOpacity": 10, "spanNulls": True}
    return _series(title, about, (Query(sql(query), form="time_series"),), width, height, unit, custom)


def lines(title, about, *expressions, width=12, height=8, unit="short"):
    """PromQL expressions over time, each with its legend."""
    queries = tuple(Query(text, legend, is_sql=False, form="time_series") for text, legend in expressions)
    custom = {"drawStyle": "line", "fillOpacity": 10, "spanNulls": False}
    return _series(title, about, queries, width, height, unit, custom)


def bars(title, about, query, width=12, height=9, unit="short"):
    """One bar per row: the first column is its name, the others are stacked."""
    options = {
        "orientation": "horizontal",
        "stacking": "normal",
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel("barchart", title, about, (Query(sql(query)),), width, height, options, {"unit": unit})


def shares(title, about, query, width=8, height=8):
    """A pie: one slice per row, named by the first column."""
    options = {
        "pieType": "donut",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": True},
        "legend": {
            "displayMode": "table",
            "placement": "right",
            "values": ["value", "percent"],
            "showLegend": True,
        },
    }
    return Panel("piechart", title, about, (Query(sql(query)),), width, height, options)


def graph(title, about, nodes, edges, width=24, height=16):
    """A graph of nodes (`id`, `title`, …) and edges (`id`, `source`, `target`, …)."""
    return Panel("nodeGraph", title, about, (Query(sql(nodes)), Query(sql(edges))), width, height)


# ---- variables that several dashboards have ------------------------------------------------------

ROUTER = Variable("router", "Router", "SELECT 'all' UNION ALL (SELECT router FROM routers() ORDER BY 1)")
PEER = Variable(
    "peer",
    "Peer",
    """SELECT 'all' UNION ALL (
        SELECT DISTINCT concat_ws(' ', router, host(peer), 'AS' || peer_as) FROM peers() WHERE @router ORDER
        BY 1)""",
)
INSTANCE = Variable(
    "instance", "Collector", "label_values(holdfast_build_info, instance)", is_sql=False, is_multiple=True
)
