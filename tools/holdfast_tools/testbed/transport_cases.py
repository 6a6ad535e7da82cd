"""Cases of `transport` in which a real router's session must arrive as over plain TCP."""

import contextlib
import json
import os
import re
import signal
import subprocess
import typing

from . import transport_links as links
from .transport_bench import (
    Collector,
    Difference,
    Feeder,
    Inside,
    Session,
    Skipped,
    contains,
    equal,
    finish,
    start_router,
    wait,
)

# Addresses from which haproxy connects to the collector: trusted by it, and not.
TRUSTED, STRANGER = "127.0.0.9", "127.0.0.8"


class Row(typing.NamedTuple):
    """A line of the table. `name` is None for the name of the case."""

    name: typing.Optional[str]
    router: str
    records: typing.Optional[int] = None
    rate: typing.Optional[int] = None
    queue: typing.Optional[int] = None
    blocked: typing.Optional[float] = None
    note: str = "ok"


def row_of(session, entry, note="ok"):
    """The line of a session that arrived."""
    blocked, rate = entry["transport"]["blocked_s"], session.rate()
    return Row(None, session.router.name, entry["routes"], rate, session.queue, blocked, note)


def check_entry(entry):
    """What the status must say of every session that arrived."""
    equal("messages that could not be decoded", entry["errors"], 0)


def check_records(run, session, entry, is_base=False):
    """Stops the collector, and compares the records in its log with those of the plain session."""
    session.collector.stop()
    check_log(run, session, entry, is_base)


def check_log(run, session, entry, is_base=False):
    """Compares the records in the log of a stopped collector with those of the plain session."""
    count, contents = session.collector.records(session.name)
    equal("route records in the log, compared with the status", count, entry["routes"])
    key = session.router.name, session.count
    if is_base:
        equal("different records", len(contents), session.count * session.router.views_sent)
        run.plain[key] = contents
        return
    if run.plant == "one-record-less":
        contents.pop()
    expected = plain_records(run, *key)
    if contents != expected:
        raise Difference(
            f"records that differ from those of the plain session: {len(expected - contents)} missing, "
            f"{len(contents - expected)} others"
        )


def plain_records(run, kind, count):
    """The records of the plain session of a router; runs it unless that was done."""
    if (kind, count) not in run.plain:
        with run.bench() as bench:
            plain_session(run, bench, kind, count)
    return run.plain[kind, count]


def plain_session(run, bench, kind, count):
    """Runs a session over plain TCP, and keeps its records."""
    collector = Collector(bench, run.program)
    session, entry = carry(bench, collector, kind, count, ("127.0.0.1", collector.port()))
    equal("protection", entry["transport"]["security"], "")
    check_records(run, session, entry, is_base=True)
    return session, entry


def carry(bench, collector, kind, count, station, name=None, between=lambda session: None):
    """Sends a table from a router to a station. `between` is called after the BMP session has begun and
    before the router has a table. Returns the session and its entry of the status."""
    session = Session(collector, start_router(kind, bench, station), count, name)
    session.connected()
    between(session)
    Feeder(bench, session.router, count)
    entry = session.carry()
    check_entry(entry)
    return session, entry


# ---- plain TCP -----------------------------------------------------------------------------------


def plain(run, bench, kind):
    """Plain TCP: what all others are compared with."""
    session, entry = plain_session(run, bench, kind, run.count)
    yield row_of(session, entry, f"ok, {session.count * session.router.views_sent:,} different records")


class Database:
    """A throw-away database server."""

    def __init__(self, run, stack):
        if os.environ.get("DATABASE_URL"):
            raise Skipped("DATABASE_URL is set; this case stops its server")
        self.script, self.name = run.timescale, f"transport-{os.getpid()}"
        done = self.command("up")
        if done.returncode:
            raise Skipped(f"no database: {done.stderr.strip().splitlines()[-1:]}")
        stack.callback(self.command, "destroy")
        self.url = f"{done.stdout.strip()}?sslmode=disable"

    def command(self, verb, *words):
        """Runs a verb of tools/testbed/timescale."""
        return subprocess.run(
            [str(self.script), verb, "--name", self.name, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def counts(self, router):
        """Route records of a router in the history, and different ones among them."""
        query = (
            "SELECT json_build_array(count(*), count(DISTINCT (rib, prefix, med, local_pref, as_path::text, "
            f"large_communities::text))) FROM route_updates WHERE router = '{router}'"
        )
        done = self.command("psql", "--", "-d", self.url, "-XAtq", "-c", query)
        equal("exit code of psql", (done.returncode, done.stderr), (0, ""))
        return tuple(json.loads(done.stdout))


def speed(run, bench, database=None):
    """FRR and BIRD send a large table at the same time."""
    with contextlib.ExitStack() as stack:
        settings = {}
        if database:
            server = Database(run, stack)
            settings = {"DATABASE_URL": server.url, "HISTORY_DEDUP": "off"}
        collector = Collector(bench, run.program, **settings)
        if database:
            wait("the collector to reach its database", lambda: collector.status()["delivery"]["lanes"])
        if database == "down":
            equal("exit code of the server's stop", server.command("stop").returncode, 0)
        station = "127.0.0.1", collector.port()
        sessions = [
            Session(collector, start_router(kind, bench, station), run.speed) for kind in ("bird", "frr")
        ]
        for session in sessions:
            session.connected()
        for session in sessions:
            Feeder(bench, session.router, run.speed)
        entries = carry_all(sessions)
        if database == "down":
            delivery = collector.status()["delivery"]
            equal("whether records wait for the database", delivery["lag_batches"] > 0, True)
            equal("exit code of the server's start", server.command("start").returncode, 0)
        if database:
            wait("the delivery of everything", lambda: is_delivered(collector), 600)
        collector.stop()
        for session, entry in zip(sessions, entries):
            check_entry(entry)
            # The short form runs on busy machines, where a sync may take longer than the queue of the log.
            if not run.short:
                equal("time blocked", entry["transport"]["blocked_s"], 0.0)
            different = run.speed * session.router.views_sent
            if database:
                stored = server.counts(session.name)
                equal("records stored, and different ones", stored, (entry["routes"], different))
            else:
                check_log(run, session, entry, is_base=True)
            note = f"ok, {different:,} different records{' stored' if database else ''}"
            yield row_of(session, entry, note)


def carry_all(sessions):
    """Waits for several sessions at once; see `Session.carry`. Returns their entries of the status."""

    def all_received(is_table):
        # A list: each session is measured in each round.
        minimum = [one.count * one.router.views_sent if is_table else 0 for one in sessions]
        entries = [one.received(routes_min) for one, routes_min in zip(sessions, minimum)]
        return entries if all(entries) else None

    finish(sessions, "all tables", lambda: all_received(True))
    for session in sessions:
        session.router.process.send_signal(signal.SIGSTOP)
    return finish(sessions, "the last bytes", lambda: all_received(False))


def is_delivered(collector):
    """Whether the database has everything that the log has."""
    status = collector.status()
    delivery, wal = status["delivery"], status["wal"]
    return wal["written"] == wal["durable"] == delivery["delivered"] and delivery["lag_routes"] == 0


# ---- TLS -----------------------------------------------------------------------------------------


def tls_settings(certificates, certificate="collector", **others):
    """The settings of a collector that listens for TLS and for plain TCP."""
    return {
        "BMP_LISTEN": "127.0.0.1:0,tls://127.0.0.1:0",
        "BMP_TLS_CERT": certificates.path(f"{certificate}.pem"),
        "BMP_TLS_KEY": certificates.path(f"{certificate}.key"),
        **others,
    }


def certificates_in(run, bench):
    """New certificates in the folder of a bench."""
    return links.Certificates(bench.work / "tls", run.links / "usr/bin/openssl")


def tls(run, bench, kind, version):
    """stunnel as a client that verifies the collector, with one version of TLS."""
    certificates = certificates_in(run, bench)
    collector = Collector(bench, run.program, **tls_settings(certificates))
    port = links.start_stunnel(
        bench, run.links, certificates, collector.port("tls://"), f"sslVersion = {version}"
    )
    session, entry = carry(bench, collector, kind, run.count, ("127.0.0.1", port))
    equal("protection", entry["transport"]["security"], version.replace("TLSv", "TLS "))
    equal("failed handshakes", collector.refused(), (0, None))
    check_records(run, session, entry)
    yield row_of(session, entry)


def mutual_tls(run, bench, kind):
    """Both sides have certificates; the name in the router's certificate is the router's name."""
    certificates = certificates_in(run, bench)
    settings = {"BMP_TLS_CLIENT_CA": certificates.path("ca.pem"), "BMP_TLS_IDENTITY": "certificate"}
    collector = Collector(bench, run.program, **tls_settings(certificates, **settings))
    own = links.certificate_options(certificates, "edge1")
    port = links.start_stunnel(bench, run.links, certificates, collector.port("tls://"), *own)
    session, entry = carry(bench, collector, kind, run.count, ("127.0.0.1", port), name="edge1.example")
    equal("protection", entry["transport"]["security"], "TLS 1.3, client certificate")
    check_records(run, session, entry)
    yield row_of(session, entry, "ok, named edge1.example by its certificate")


def reload(collector):
    """Sends SIGHUP, and waits until the settings were read again."""
    collector.process.send_signal(signal.SIGHUP)
    wait("the event config_reloaded", lambda: collector.events("config_reloaded"))


def shown_certificate(bench, certificates, port):
    """The certificate that the collector shows to a new connection."""
    client = links.TlsClient(bench, certificates, port, "/dev/null")
    log = bench.work / f"{client.name}.log"
    pattern = r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n"
    found = wait("a certificate", lambda: re.search(pattern, log.read_text(), re.DOTALL))
    bench.end(client.process)
    return found[0]


def renewal(run, bench, kind):
    """A renewed certificate is used for the next connection; the present session carries on."""
    certificates = certificates_in(run, bench)
    collector = Collector(bench, run.program, **tls_settings(certificates))
    port = links.start_stunnel(bench, run.links, certificates, collector.port("tls://"))
    old, new = (certificates.path(f"{name}.pem").read_text() for name in ("collector", "renewed"))

    def renew(session):
        address = session.connected()["address"]
        equal("certificate", shown_certificate(bench, certificates, collector.port("tls://")), old)
        certificates.install("renewed", "collector")
        reload(collector)
        equal("certificate", shown_certificate(bench, certificates, collector.port("tls://")), new)
        wait("the reload in the log", lambda: collector.events("tls_certificate_reloaded"))
        equal("address of the present session", session.connected()["address"], address)

    session, entry = carry(bench, collector, kind, run.count, ("127.0.0.1", port), between=renew)
    # The router's connection and two of openssl.
    equal("connections accepted", collector.status()["listener"]["accepted"], 3)
    check_records(run, session, entry)
    yield row_of(session, entry, "ok, the table came after the renewal")


def other_authority(run, bench, kind):
    """Another authority of the routers applies to the next connection; the present session carries on."""
    certificates = certificates_in(run, bench)
    settings = {"BMP_TLS_CLIENT_CA": certificates.path("routers.pem"), "BMP_TLS_IDENTITY": "certificate"}
    certificates.path("routers.pem").write_bytes(certificates.path("ca.pem").read_bytes())
    collector = Collector(bench, run.program, **tls_settings(certificates, **settings))
    secure = collector.port("tls://")
    own = links.certificate_options(certificates, "edge1")
    port = links.start_stunnel(bench, run.links, certificates, secure, *own)

    def change(session):
        certificates.path("other.pem").rename(certificates.path("routers.pem"))
        reload(collector)
        for name in ("edge1", "foreign"):
            links.TlsClient(
                bench, certificates, secure, "/dev/null", "-cert", f"{name}.pem", "-key", f"{name}.key"
            )
        wait("the refusal of the former authority", lambda: collector.refused()[0])
        contains("cause", collector.refused()[1], "is not signed by an authority in BMP_TLS_CLIENT_CA")
        # The router and the router of the new authority.
        wait("two connections", lambda: collector.status()["listener"]["connections"] == 2)

    session, entry = carry(
        *(bench, collector, kind, run.count, ("127.0.0.1", port)), name="edge1.example", between=change
    )
    equal("failed handshakes", collector.refused()[0], 1)
    check_records(run, session, entry)
    yield row_of(session, entry, "ok, the table came after the change")


# ---- PROXY protocol ------------------------------------------------------------------------------


def local_address(bench, port):
    """Address and port from which a connection to a local port comes, by the kernel."""
    line = bench.run(["ss", "-tnH", "state", "established", f"dport = :{port}"]).splitlines()
    equal(f"connections to port {port}", len(line), 1)
    return line[0].split()[2]


def proxy(run, bench, kind):
    """haproxy states the router's address, and checks the collector's health meanwhile."""
    router = {"bird": "127.0.0.11", "frr": "127.0.0.1"}[kind]
    settings = {"BMP_PROXY_FROM": TRUSTED, "BMP_ALLOW": router}
    collector = Collector(bench, run.program, **settings)
    options = f"send-proxy-v2 source {TRUSTED} check inter 200"
    haproxy = links.Haproxy(bench, run.links, collector.port(), options)
    session, entry = carry(bench, collector, kind, run.count, ("127.0.0.1", haproxy.port))
    address = local_address(bench, haproxy.port)
    equal("address of the router", entry["address"], address)
    contains("address of the router", address, f"{router}:")
    wait("a health check that succeeds", lambda: haproxy.check() == "L4OK")
    equal("failed handshakes", collector.refused(), (0, None))
    check_records(run, session, entry)
    yield row_of(session, entry, f"ok, address {address}")


def proxy_tls(run, bench, kind):
    """stunnel through haproxy: TLS follows the PROXY header."""
    certificates = certificates_in(run, bench)
    settings = {
        "BMP_TLS_CLIENT_CA": certificates.path("ca.pem"),
        "BMP_TLS_IDENTITY": "certificate",
        "BMP_PROXY_FROM": TRUSTED,
    }
    collector = Collector(bench, run.program, **tls_settings(certificates, **settings))
    haproxy = links.Haproxy(bench, run.links, collector.port("tls://"), f"send-proxy-v2 source {TRUSTED}")
    own = links.certificate_options(certificates, "edge1")
    port = links.start_stunnel(bench, run.links, certificates, haproxy.port, *own)
    session, entry = carry(bench, collector, kind, run.count, ("127.0.0.1", port), name="edge1.example")
    equal("address of the router", entry["address"], local_address(bench, haproxy.port))
    equal("protection", entry["transport"]["security"], "TLS 1.3, client certificate")
    check_records(run, session, entry)
    yield row_of(session, entry, f"ok, address {entry['address']}")


# ---- active mode ---------------------------------------------------------------------------------


def remote(collector):
    """The router to which the collector connects, in the status."""
    return collector.transport()["remotes"][0]


def attempts(collector, number):
    """Waits until so many attempts in a row have failed."""
    wait(f"{number} failed attempts", lambda: remote(collector)["failures"] >= number)


def check_delays(collector):
    """The delay after the n-th failure in a row is 2^(n-1) s, shortened by less than a half. Within ten
    seconds, the log has the first line and the last one, with the number of those between."""
    number = 0
    for line in collector.events("router_connect_failed"):
        number += 1 + line.get("suppressed", 0)
        seconds = min(2 ** (number - 1), 60)
        if not seconds * 500 <= line["retry_ms"] <= seconds * 1000:
            raise Difference(
                f"delay after failure {number}: {line['retry_ms']} ms, expected about {seconds} s"
            )


def active(run, bench):
    """The collector connects to FRR's BMP listener through haproxy, which comes late and is restarted."""
    router = start_router("frr", bench, None)
    Feeder(bench, router, run.count)
    wait("FRR's table", lambda: router.accepted(router.feeder, "ipv4") == run.count)
    haproxy = links.Haproxy(bench, run.links, router.listener[1], "")
    haproxy.kill()
    address = f"127.0.0.1:{haproxy.port}"
    collector = Collector(bench, run.program, BMP_CONNECT=address, BMP_ALLOW="192.0.2.0/24")
    attempts(collector, 3)
    if not run.short:
        wait("a second log line", lambda: len(collector.events("router_connect_failed")) > 1)
    check_delays(collector)
    early = remote(collector)["failures"]
    haproxy.start()
    session = Session(collector, router, run.count)
    entry = session.carry(stop=False)
    check_entry(entry)
    equal("connection", (remote(collector)["state"], remote(collector)["last_error"]), ("connected", None))
    haproxy.kill()
    late = wait("a failed attempt", lambda: remote(collector)["last_error"] and remote(collector)["failures"])
    contains("reasons", " ".join(collector.status()["reasons"]), address)
    haproxy.start()
    again = Session(collector, router, run.count)
    second = again.carry()
    check_entry(second)
    equal("address of the router", second["address"], address)
    equal("connection", (remote(collector)["state"], remote(collector)["last_error"]), ("connected", None))
    collector.stop()
    both = {**second, "routes": entry["routes"] + second["routes"]}
    check_log(run, again, both)
    note = f"ok, two sessions, after {early} and {late} failures in a row"
    yield row_of(again, both, note)


# ---- TCP-MD5 -------------------------------------------------------------------------------------


def key_file(bench, key):
    """A file with a key of TCP-MD5."""
    path = bench.work / "md5-key"
    path.write_text(f"{key}\n")
    path.chmod(0o600)
    return path


def md5(run, bench, kind):
    """A router whose connection is signed with the key of its prefix."""
    spaces = links.Namespaces(bench)
    settings = {
        "BMP_LISTEN": f"{links.COLLECTOR}:0",
        "BMP_MD5": f"{links.ROUTER}={key_file(bench, 'swordfish')}",
    }
    collector = Collector(Inside(bench, spaces.inside(spaces.collector)), run.program, **settings)
    port = links.start_signing_socat(bench, run.links, spaces, collector.port(), b"swordfish")
    inside = Inside(bench, spaces.inside(spaces.router))
    session, entry = carry(inside, collector, kind, run.count, ("127.0.0.1", port))
    contains("address of the router", entry["address"], f"{links.ROUTER}:")
    dropped = {name: count for name, count in spaces.counters().items() if count}
    equal("segments that the kernel dropped", dropped, {})
    equal("whether the connection has a key", spaces.is_signed(collector.port()), True)
    check_records(run, session, entry)
    yield row_of(session, entry, "ok, signed by the kernel")


def md5_active(run, bench):
    """The collector opens a signed connection."""
    spaces = links.Namespaces(bench)
    inside = Inside(bench, spaces.inside(spaces.router))
    router = start_router("frr", inside, None)
    Feeder(inside, router, run.count)
    wait("FRR's table", lambda: router.accepted(router.feeder, "ipv4") == run.count)
    port = links.start_signed_listener(bench, run.links, spaces, router.listener[1], b"swordfish")
    address = f"{links.ROUTER}:{port}"
    settings = {
        "BMP_LISTEN": f"{links.COLLECTOR}:0",
        "BMP_MD5": f"192.0.2.0/24={key_file(bench, 'swordfish')}",
        "BMP_CONNECT": address,
    }
    collector = Collector(Inside(bench, spaces.inside(spaces.collector)), run.program, **settings)
    session = Session(collector, router, run.count)
    entry = session.carry()
    check_entry(entry)
    equal("address of the router", entry["address"], address)
    check_records(run, session, entry)
    yield row_of(session, entry)
