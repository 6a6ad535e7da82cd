"""A real Prometheus with the rules of deploy/prometheus scrapes a real collector with one router.

The collector delivers to a throw-away database, which is stopped at the end: the outage must be visible in
what the alerts evaluate. Without a database the panels of the delivery have no samples, and are not judged.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from ..hostile import wire
from . import rules

# Limit of every wait.
SECONDS_MAX = 60
# Metrics without samples in good health, and for a log that does not grow; and those of the delivery, which
# store-only mode does not have.
_ABSENT = "conditions|wal_full_in_seconds|delivery_failures"
_ABSENT_STORE_ONLY = f"{_ABSENT}|delivery_"
# An outage, as the alerts HoldfastDegraded and HoldfastDeliveryStopped evaluate it.
_OUTAGE = (
    'sum(holdfast_delivery_lane_state{state="retrying"}) == 4 '
    'and on () holdfast_health{state="degraded"} == 1'
)
# Not through a proxy of the environment.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failure(Exception):
    """Something did not happen in time, or a result is not as it should be."""


def check(program):
    """Prints what is wrong; returns the exit code."""
    prometheus, reason = rules.program("prometheus")
    if not prometheus:
        print(f"SKIPPED: prometheus: {reason}")
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            database = _database(stack)
            _run(pathlib.Path(folder), stack, pathlib.Path(program).resolve(), prometheus, database)
    except Failure as failure:
        print(failure)
        return 1
    return 0


def _run(folder, stack, program, prometheus, database):
    metrics, bmp, api = (_free_port() for _ in range(3))
    settings = {"DATABASE_URL": database} if database else {}
    collector = _collector(folder, stack, program, metrics, bmp, settings)
    _until("the collector to listen", lambda: _router(stack, bmp), collector)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules.RULES],
        "scrape_configs": [
            {"job_name": "holdfast", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}
        ],
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    command += [f"--web.listen-address=127.0.0.1:{api}"]
    server = _start(stack, folder, command, "prometheus", {})
    base = f"http://127.0.0.1:{api}/api/v1/"
    _until("the first scrape", lambda: _values(base, 'up{job="holdfast"} == 1'), server)
    _until("the router's series", lambda: _values(base, 'holdfast_router_up{router="r1"} == 1'), server)
    _until("the peer's series", lambda: _values(base, 'holdfast_peer_up{asn="65001"} == 1'), server)
    _until("a recorded value", lambda: _values(base, "holdfast:wal_usage:ratio"), server)
    if database:
        delivered = 'holdfast_delivery_lane_records_total > 0 and on () holdfast_delivery_lag_seconds == 0'
        _until("the delivery of the route", lambda: _values(base, delivered), server)
    # So that each rate has a sample.
    _until("three scrapes", lambda: _values(base, 'count_over_time(up{job="holdfast"}[1m]) >= 3'), server)
    evaluated = _until("all rules", lambda: _evaluated(base), server)
    expressions = list(rules.panels())
    absent = f"holdfast_({_ABSENT if database else _ABSENT_STORE_ONLY})"
    empty = [
        name
        for name, text, _ in expressions
        if not _values(base, text, name) and not re.search(absent, text)
    ]
    if empty:
        raise Failure("panels without samples: " + ", ".join(empty))
    if database:
        _timescale("stop")
        _until("the outage of the database", lambda: _values(base, _OUTAGE), server)
        outage = ", an outage of the database seen"
    else:
        outage = ""
    collector.kill()
    collector.wait()
    _until("up to be 0", lambda: _values(base, 'up{job="holdfast"} == 0'), server)
    print(f"{evaluated} rules evaluated, {len(expressions)} expressions of panels run{outage}")


def _timescale(verb):
    """Runs a verb of tools/testbed/timescale for the database of this run."""
    script = rules.ROOT / "tools" / "testbed" / "timescale"
    words = [str(script), verb, "--name", f"scrape-{os.getpid()}"]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _database(stack):
    """The URL of a throw-away database; None, with the reason printed, if there is none."""
    if os.environ.get("DATABASE_URL"):
        print("SKIPPED: delivery: DATABASE_URL is set, and this check stops its server")
        return None
    stack.callback(_timescale, "destroy")
    done = _timescale("up")
    if done.returncode:
        print(f"SKIPPED: delivery: no database: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return f"{done.stdout.strip()}?sslmode=disable"


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _start(stack, folder, command, name, settings):
    """Starts a process that ends with the stack."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C", **settings}
    output = stack.enter_context(open(folder / f"{name}.log", "wb"))
    process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder)

    def end():
        process.kill()
        process.wait()

    stack.callback(end)
    process.log = folder / f"{name}.log"
    return process


def _collector(folder, stack, program, metrics, bmp, others):
    settings = {
        "BMP_LISTEN_HOST": "127.0.0.1",
        "BMP_LISTEN_PORT": str(bmp),
        "COLLECTOR_ID": "scraped",
        "HTTP_LISTEN": f"127.0.0.1:{metrics}",
        "STATE_DIR": str(folder / "state"),
        "WAL_DIR": str(folder / "wal"),
        "WAL_FREE_PERCENT_MIN": "0",
        "STATUS_SOCKET": str(folder / "status.sock"),
        **others,
    }
    return _start(stack, folder, [program], "collector", settings)


def _router(stack, port):
    """Connects a router with one peer and one route; false if nobody listens yet."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
    except OSError:
        return False
    stack.enter_context(connection)
    peer = wire.Peer("198.51.100.1")
    update = wire.update(peer, b"\x0a\0\0\x01", wire.attributes([65_001, 64_496]))
    connection.sendall(wire.initiation("r1") + wire.peer_up(peer) + update)
    return True


def _until(what, condition, process):
    """The first true result of the condition; `Failure` at the deadline or if the process has ended."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    log = process.log.read_text(errors="replace").splitlines()
    raise Failure("\n".join([*log[-20:], f"waited for {what} in vain"]))


def _api(url):
    try:
        with _OPENER.open(url, timeout=SECONDS_MAX) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        # Prometheus answers so until it has read its files.
        if error.code == 503:
            return None
        raise Failure(error.read().decode(errors="replace")) from error
    except OSError:
        return None


def _values(base, expression, name="query"):
    """The series of an expression, an empty list before Prometheus answers."""
    try:
        data = _api(base + "query?" + urllib.parse.urlencode({"query": expression}))
    except Failure as failure:
        raise Failure(f"{name}: {expression}: {failure}") from failure
    return data["result"] if data else []


def _evaluated(base):
    """The number of rules once each has been evaluated; `Failure` if one has failed."""
    groups = (_api(base + "rules") or {}).get("groups", [])
    found = [rule for group in groups for rule in group["rules"]]
    for rule in found:
        if rule["health"] == "err":
            raise Failure(f"rule {rule['name']}: {rule.get('lastError')}")
    return len(found) if found and all(rule["health"] == "ok" for rule in found) else 0
