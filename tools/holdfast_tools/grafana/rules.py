"""Checks of PromQL: expressions of panels, rules and alerts by promtool, names of metrics, runbooks."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from . import build, run
from .alert_cases import CASES
from .boards import ALL
from .model import POSTGRES, Row

ROOT = build.ROOT
RULES = [ROOT / "deploy" / "prometheus" / name for name in ("rules.yml", "alerts.yml")]
METRICS = ROOT / "docs" / "METRICS.md"
RECOVERY = ROOT / "docs" / "RECOVERY.md"
GUIDE = ROOT / "docs" / "GRAFANA.md"


def check():
    """Prints what is wrong; returns the exit code."""
    found = [*build.complaints(), *_guide(), *_runbooks(), *_names(), *_cases()]
    promtool, reason = program("promtool")
    if promtool:
        found += [*_expressions(promtool), *_tests(promtool)]
    else:
        print(f"SKIPPED: promtool: {reason}")
    for complaint in found:
        print(complaint)
    count = sum(not isinstance(panel, Row) for board in ALL for panel in board.panels)
    print(f"{len(ALL)} dashboards, {count} panels, {len(CASES)} alerts: {len(found)} complaints")
    return 1 if found else 0


def program(name):
    """The path of promtool or prometheus, or none and the reason."""
    script = ROOT / "tools" / "testbed" / "prometheus"
    result = subprocess.run([script, "path", name], capture_output=True, text=True)
    lines = (result.stderr.strip() or "no output").splitlines()
    return (result.stdout.strip(), None) if result.returncode == 0 else (None, lines[-1])


# ---- expressions ---------------------------------------------------------------------------------


def panels():
    """Expressions of the dashboards with Grafana's variables replaced: panel, expression and legend."""
    for board in run.boards():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"] != POSTGRES:
                    text = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
                    yield f"{board['title']}: {panel['title']}", text, target["legendFormat"]


def _expressions(promtool):
    """Complaints of promtool about the panels, each as a rule of its own, and about the rules."""
    names, rules = [], []
    for number, (name, text, _) in enumerate(panels()):
        if "$" in text:
            yield f"{name}: a variable that is not known: {text}"
        names.append(name)
        rules.append({"record": f"panel{number}", "expr": text})
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "panels.yml"
        # JSON is YAML.
        path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        result = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True)
        if result.returncode:
            numbers = {int(number) for number in re.findall(r'"panel(\d+)"', result.stderr)}
            where = ", ".join(names[number] for number in sorted(numbers))
            yield f"expressions of panels ({where}): {result.stderr.strip()}"
    result = subprocess.run([promtool, "check", "rules", *RULES], capture_output=True, text=True)
    if result.returncode:
        yield f"promtool check rules: {result.stderr.strip()}"
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    result = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True)
    if result.returncode:
        yield f"promtool check config: {(result.stderr + result.stdout).strip()}"


def _tests(promtool):
    """Complaints of promtool about the cases: each alert is quiet at first, and fires later."""
    tests = []
    for alert, series, (quiet, fires), labels, summary in CASES:
        expected = {
            "exp_labels": {"instance": "c", "severity": _alerts()[alert]["severity"], **labels},
            "exp_annotations": {"summary": summary, "runbook_url": _alerts()[alert]["runbook"]},
        }
        tests.append(
            {
                "name": alert,
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [
                    {"alertname": alert, "eval_time": f"{quiet}m", "exp_alerts": []},
                    {"alertname": alert, "eval_time": f"{fires}m", "exp_alerts": [expected]},
                ],
            }
        )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "cases.yml"
        files = [str(rules) for rules in RULES]
        path.write_text(json.dumps({"rule_files": files, "evaluation_interval": "1m", "tests": tests}))
        result = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
        if result.returncode:
            yield f"promtool test rules: {(result.stdout + result.stderr).strip()}"


# ---- names and runbooks --------------------------------------------------------------------------


def _alerts():
    """Severity and runbook of each alert, read from the lines of alerts.yml."""
    found, name = {}, None
    for line in RULES[1].read_text(encoding="utf-8").splitlines():
        key, _, value = line.strip().removeprefix("- ").partition(": ")
        if key == "alert":
            name = value
            found[name] = {"severity": None, "runbook": None}
        elif key == "severity":
            found[name]["severity"] = value
        elif key == "runbook_url":
            found[name]["runbook"] = value
    return found


def _cases():
    """Alerts without a case, and cases without an alert."""
    tested = {case[0] for case in CASES}
    yield from (f"alert {name}: no case in alert_cases.py" for name in sorted(_alerts().keys() - tested))
    yield from (
        f"alert {name} of alert_cases.py does not exist" for name in sorted(tested - _alerts().keys())
    )


def _runbooks():
    """Alerts whose section of docs/RECOVERY.md is missing, and sections of alerts that do not exist."""
    headings = re.findall(r"^#+ (.*)$", RECOVERY.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for name, alert in _alerts().items():
        page, _, anchor = (alert["runbook"] or "").partition("#")
        if page != "docs/RECOVERY.md" or anchor not in anchors:
            yield f"alert {name}: there is no section {alert['runbook']}"
        if anchor != name.lower():
            yield f"alert {name}: its section must have its name"
    sections = {heading for heading in headings if re.fullmatch(r"Holdfast[A-Z]\w+", heading)}
    yield from (f"docs/RECOVERY.md: there is no alert {name}" for name in sorted(sections - _alerts().keys()))


def _names():
    """Metrics and labels of panels, rules and alerts that docs/METRICS.md does not have."""
    text = METRICS.read_text(encoding="utf-8")
    known = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*)\|", text, re.MULTILINE)
    }
    # The metric that Prometheus makes for each target.
    known["up"] = set()
    uses = list(panels())
    for path in RULES:
        # One rule at a time, with its labels and annotations.
        for rule in re.split(r"^ +- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            uses.append((path.name, re.sub(r"#.*", "", rule), rule))
    for where, expression, legend in uses:
        # A recorded value has colons, and its name may begin like a metric.
        names = re.findall(r"(?<![\w:])(?:(?:holdfast|process)_\w+|up)(?=[{\s\[)]|$)(?!:)", expression)
        yield from (f"{where}: docs/METRICS.md has no metric {name}" for name in names if name not in known)
        # A rule of a recorded value has no metric; then its labels are not known.
        labels = set().union(*(known.get(name, set()) for name in names)) | {"instance", "job"}
        used = set(re.findall(r"[{,](\w+)=~?\"", expression)) | set(
            re.findall(r"\$labels\.(\w+)|{{(\w+)}}", legend)
        )
        used = {one for entry in used for one in ([entry] if isinstance(entry, str) else entry) if one}
        for group in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression):
            used |= set(re.findall(r"\w+", group))
        if names:
            yield from (f"{where}: {', '.join(names)}: no label {one}" for one in sorted(used - labels))


def _guide():
    """Dashboards that docs/GRAFANA.md does not list with the question that they answer."""
    text = GUIDE.read_text(encoding="utf-8")
    for board in ALL:
        line = f"| {board.title} (`{board.name}`) | {board.answers} |"
        if line not in text:
            yield f"docs/GRAFANA.md: expected the line: {line}"


if __name__ == "__main__":
    sys.exit(check())
