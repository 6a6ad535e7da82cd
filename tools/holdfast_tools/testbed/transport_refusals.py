"""Cases of `transport` in which the collector must refuse a connection, and state why."""

import contextlib
import socket

from . import scenario
from . import transport_links as links
from .transport_bench import (
    Collector,
    Feeder,
    Inside,
    Session,
    contains,
    equal,
    start_router,
    wait,
)
from .transport_cases import (
    STRANGER,
    TRUSTED,
    Row,
    certificates_in,
    check_entry,
    check_records,
    key_file,
    row_of,
    tls_settings,
)

OLD_TLS = ("-cipher", "ALL:@SECLEVEL=0")
NO_COMMON = "no common TLS version or cipher"


def own(name):
    """The options of openssl s_client for a client certificate."""
    return ("-cert", f"{name}.pem", "-key", f"{name}.key")


# Name of the line, options of openssl s_client, and the cause in the log (docs/TRANSPORT.md).
CLIENTS = (
    (
        "no client certificate",
        (),
        "the router presented no certificate, which BMP_TLS_CLIENT_CA requires",
    ),
    (
        "foreign certificate",
        own("foreign"),
        "the router's certificate is not signed by an authority in BMP_TLS_CLIENT_CA",
    ),
    ("expired certificate", own("expired"), "the router's certificate has expired"),
    ("certificate of the future", own("early"), "the router's certificate is not valid yet"),
    (
        "certificate without a DNS name",
        own("nameless"),
        "the router's certificate has no DNS name (subjectAltName), which "
        "BMP_TLS_IDENTITY=certificate requires",
    ),
    ("TLS 1.1", (*own("edge1"), "-tls1_1", *OLD_TLS), NO_COMMON),
    ("TLS 1.0", (*own("edge1"), "-tls1", *OLD_TLS), NO_COMMON),
    ("TLS 1.2, no common cipher", (*own("edge1"), "-tls1_2", "-cipher", "AES256-SHA256"), NO_COMMON),
    (
        "TLS 1.3, no common cipher",
        (*own("edge1"), "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"),
        NO_COMMON,
    ),
    (
        "router does not trust the collector",
        (*own("edge1"), "-CAfile", "other.pem"),
        "the router does not trust the authority of this collector's certificate (BMP_TLS_CERT)",
    ),
    (
        "router expects another name",
        (*own("edge1"), "-verify_hostname", "other.example"),
        "the router ended the handshake: alert ",
    ),
)


def recorded(run, bench):
    """A file with the BMP stream of BIRD with the usual table."""
    sink = scenario.Sink(bench, bench.work / "capture")
    router = start_router("bird", bench, sink.station)
    wait("BIRD to connect", sink.connections)
    Feeder(bench, router, run.count)
    wait("BIRD's table", lambda: router.accepted(router.feeder, "ipv4") == run.count)
    sink.quiet()
    sink.end()
    bench.end(router.process)
    return sink.connections()[0]


class Refused:
    """Counts the refusals of one collector, and compares what each of them leaves."""

    def __init__(self, collector):
        self.collector, self.count = collector, 0

    def expect(self, cause, peer):
        """Waits for the next refusal, and compares its cause in the status and in the log."""
        self.count += 1
        wait(f"refusal {self.count} ({cause})", lambda: self.collector.refused()[0] >= self.count, 30)
        number, found = self.collector.refused()
        equal("refusals", number, self.count)
        contains("cause in the status", found, cause)

        def lines():
            events = self.collector.events("tls_handshake_failed")
            return [line["error"] for line in events if line["peer"] == peer]

        equal("causes in the log", wait(f"a log line about {peer}", lines), [found])


def tls(run, bench):
    """Handshakes that must fail, with the same bytes that succeed with a good certificate."""
    certificates = certificates_in(run, bench)
    stream = recorded(run, bench)
    settings = {"BMP_TLS_CLIENT_CA": certificates.path("ca.pem"), "BMP_TLS_IDENTITY": "certificate"}
    if run.plant == "any-certificate":
        settings = {}
    collector = Collector(bench, run.program, **tls_settings(certificates, **settings))
    refused, port = Refused(collector), collector.port("tls://")
    for name, options, cause in CLIENTS:
        client = links.TlsClient(bench, certificates, port, stream, *options)
        refused.expect(cause, client.address)
        bench.end(client.process)
        yield Row(f"tls/refused: {name}", "bird")
    relay = links.start_downgrade(bench, port)
    client = links.TlsClient(bench, certificates, relay, stream, *own("edge1"))
    # The relay's own connection.
    refused.expect("the router ended the handshake: alert IllegalParameter", "127.0.0.1")
    bench.end(client.process)
    yield Row("tls/refused: downgrade on the way", "bird")
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as plain:
        with contextlib.suppress(OSError):
            plain.sendall(stream.read_bytes())
        refused.expect("BMP in plain text on a TLS port", "127.0.0.2")
    yield Row("tls/refused: BMP in plain text", "bird")
    client = links.TlsClient(bench, certificates, collector.port(), stream, *own("edge1"))
    lines = wait("the event", lambda: collector.events("connection_without_bmp"))
    contains("detail", lines[-1]["detail"], "a TLS handshake on a plain-text port")
    bench.end(client.process)
    yield Row("tls/refused: TLS on a plain port", "bird")
    expired = [f"{name}: {text}" for name, text in old_certificate(bench, certificates, refused)]
    equal("routers", collector.status()["routers"], [])
    yield from (Row(f"tls/refused: {text}", "bird") for text in expired)
    yield control(run, bench, collector, certificates, stream)


def old_certificate(bench, certificates, refused):
    """The collector's own certificate has expired."""
    certificates.install("old-collector", "collector")
    client = links.TlsClient(
        bench, certificates, refused.collector.port("tls://"), "/dev/null", *own("edge1")
    )
    cause = "the router reports that this collector's certificate (BMP_TLS_CERT) has expired"
    refused.expect(cause, client.address)
    bench.end(client.process)
    certificates.install("renewed", "collector")
    yield "collector", "expired certificate"


def control(run, bench, collector, certificates, stream):
    """The same bytes with a good certificate: every record arrives, and none of a refused connection."""
    failed = collector.refused()[0]
    links.TlsClient(bench, certificates, collector.port("tls://"), stream, *own("edge1"))
    session = Recorded(collector, run.count, stream.stat().st_size)
    entry = session.finish("the recorded table", lambda: session.received(2 * run.count))
    check_entry(entry)
    equal("failed handshakes", collector.refused()[0], failed)
    check_records(run, session, entry)
    return row_of(session, entry)._replace(name="tls/s_client with a certificate")


class Recorded(Session):
    """A session of recorded bytes, sent by openssl s_client."""

    class Router:
        """The router whose bytes they are."""

        name, views_sent = "bird", 2

    def __init__(self, collector, count, size):
        super().__init__(collector, self.Router, count, "edge1.example")
        self.size = size

    def sent(self):
        return self.size


# ---- PROXY protocol ------------------------------------------------------------------------------

# Name of the line, options of haproxy, its address; event of the log, its field, and the cause in it.
HEADERS = (
    (
        *("version 1", "send-proxy", TRUSTED),
        *("proxy_header_failed", "error", "PROXY header of version 1 (text)"),
    ),
    (
        *("no header", "", TRUSTED),
        *("proxy_header_failed", "error", "no PROXY header (first byte 0x03)"),
    ),
    (
        *("source not trusted", "send-proxy-v2", STRANGER),
        *("connection_without_bmp", "detail", "a PROXY header from an address that is not in BMP_PROXY_FROM"),
    ),
)


def proxy(run, bench):
    """haproxy with another version, without a header, and from an address that is not trusted."""
    trusted = "127.0.0.0/8" if run.plant == "any-proxy" else TRUSTED
    for name, *expected in HEADERS:
        with run.bench() as own_bench:
            collector = Collector(own_bench, run.program, BMP_PROXY_FROM=trusted)
            refused_header(run, own_bench, collector, *expected)
        yield Row(f"proxy/refused: {name}", "bird")


def refused_header(run, bench, collector, options, source, event, field, cause):
    """One header that the collector must refuse."""
    haproxy = links.Haproxy(bench, run.links, collector.port(), f"{options} source {source}")
    start_router("bird", bench, ("127.0.0.1", haproxy.port))
    # BIRD connects again after each refusal; further lines are suppressed.
    line = wait(f"the event {event}", lambda: collector.events(event), 30)[0]
    contains(field, line[field], cause)
    equal("peer in the log", line["peer"], source)
    if event == "proxy_header_failed":
        wait("the refusal in the status", lambda: collector.refused()[0])
        contains("cause in the status", collector.refused()[1], cause)
    nothing_recorded(collector)


def nothing_recorded(collector):
    """No router has a session, and the log has no record of one."""
    status = collector.status()
    equal("routers", status["routers"], [])
    equal("records in the log", status["wal"]["records_durable"] + status["wal"]["unsynced_records"], 0)


# ---- TCP-MD5 -------------------------------------------------------------------------------------

KEYS = (
    ("wrong key", b"marlin", "TCPMD5Failure"),
    ("no key", b"", "TCPMD5NotFound"),
)


def md5(run, bench):
    """Senders with another key, and without one: the kernel drops their segments."""
    spaces = links.Namespaces(bench)
    settings = {"BMP_LISTEN": f"{links.COLLECTOR}:0"}
    if run.plant != "no-md5":
        settings["BMP_MD5"] = f"192.0.2.0/24={key_file(bench, 'swordfish')}"
    collector = Collector(Inside(bench, spaces.inside(spaces.collector)), run.program, **settings)
    for name, key, counter in KEYS:
        refused_signature(run, bench, spaces, collector, key, counter)
        yield Row(f"md5/refused: {name}", "bird", note=f"ok, {counter}")


def refused_signature(run, bench, spaces, collector, key, counter):
    """A sender with another key, or without one."""
    before = spaces.counters()[counter]
    port = links.start_signing_socat(bench, run.links, spaces, collector.port(), key)
    inside = Inside(bench, spaces.inside(spaces.router))
    router = start_router("bird", inside, ("127.0.0.1", port))
    # The first segment and a repetition: the connection is not established.
    wait(f"dropped segments ({counter})", lambda: spaces.counters()[counter] >= before + 2, 30)
    equal("connections accepted", collector.status()["listener"]["accepted"], 0)
    nothing_recorded(collector)
    bench.end(router.process)
