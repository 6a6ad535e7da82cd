"""The programs between a router and a collector in `transport`: stunnel, haproxy, socat and openssl, with the
certificates that they use; and two network namespaces for TCP-MD5."""

import csv
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys

from . import scenario
from .transport_bench import Skipped, wait

HERE = pathlib.Path(__file__).resolve().parent

# Addresses of the collector and of the router in the two namespaces (RFC 5737).
COLLECTOR, ROUTER = "192.0.2.1", "192.0.2.2"
TCP_MD5SIG = 14


def port_is_open(port, host="127.0.0.1"):
    """Whether a program listens on the port, by the kernel's table: a connection would be one too many."""
    hexadecimal = "%08X:%04X" % (struct.unpack("=I", socket.inet_aton(host))[0], port)
    with open("/proc/net/tcp") as table:
        return any(line.split()[1:4:2] == [hexadecimal, "0A"] for line in table)


# ---- certificates --------------------------------------------------------------------------------


class Certificates:
    """Certificates for the collector and the routers, of two authorities `ca` and `other`."""

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def __init__(self, folder, openssl):
        self.folder, self.openssl = folder, openssl
        self.folder.mkdir()
        # Not the configuration of the host.
        (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca = one\n[one]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\n"
            "default_md = sha256\npolicy = any\ncopy_extensions = copy\nunique_subject = no\n"
            "[any]\ncommonName = supplied\n"
        )
        for name in ("ca", "other"):
            # Without `critical`, which `req -x509` of a minimal configuration does not add by itself.
            self.run(
                *("req", "-x509", *self.KEY, "-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
                *("-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"),
            )
        past, future = "20200101000000Z", "20490101000000Z"
        self.issue("collector", "ca", "DNS:collector.example")
        self.issue("renewed", "ca", "DNS:collector.example")
        self.issue("old-collector", "ca", "DNS:collector.example", past, "20200102000000Z")
        self.issue("edge1", "ca", "DNS:edge1.example")
        self.issue("foreign", "other", "DNS:edge2.example")
        self.issue("expired", "ca", "DNS:edge3.example", past, "20200102000000Z")
        self.issue("early", "ca", "DNS:edge4.example", "20480101000000Z", future)
        self.issue("nameless", "ca", "IP:127.0.0.1")

    def environment(self):
        """The environment of openssl and stunnel."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "OPENSSL_CONF": "openssl.cnf"}

    def run(self, *arguments):
        """Runs openssl in the folder; returns its standard output."""
        done = subprocess.run(
            [str(self.openssl), *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"transport: openssl {' '.join(arguments)}: {done.stderr[-600:]}")
        return done.stdout

    def issue(self, name, authority, names, start=None, end=None):
        """Creates `name.pem` and `name.key`, for two days from now or for the given time."""
        validity = ("-startdate", start, "-enddate", end) if start else ("-days", "2")
        (self.folder / "index.txt").write_text("")
        self.run(
            *("req", *self.KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName={names}"),
        )
        self.run(
            *("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", f"{authority}.pem"),
            *("-keyfile", f"{authority}.key", *validity, "-in", f"{name}.csr", "-out", f"{name}.pem"),
        )
        (self.folder / f"{name}.key").chmod(0o600)

    def install(self, source, target):
        """Renames copies of a certificate and its key over those of `target`, as a renewal does."""
        for ending in ("key", "pem"):
            copy = self.folder / f"new.{ending}"
            copy.write_bytes((self.folder / f"{source}.{ending}").read_bytes())
            copy.chmod(0o600)
            copy.rename(self.folder / f"{target}.{ending}")

    def path(self, name):
        """A file in the folder."""
        return self.folder / name

    def fingerprint(self, name):
        """The SHA-256 fingerprint of a certificate."""
        return self.run("x509", "-noout", "-fingerprint", "-sha256", "-in", f"{name}.pem").strip()


# ---- programs on the way -------------------------------------------------------------------------


def start_stunnel(bench, programs, certificates, port, *options):
    """stunnel as a TLS client: returns the port for a router without TLS. `options` are lines of its
    configuration. It verifies the collector."""
    accept = scenario.free_port("127.0.0.1")
    conf = bench.work / "stunnel.conf"
    lines = [
        "foreground = yes",
        "syslog = no",
        "debug = info",
        "pid =",
        "[bmp]",
        "client = yes",
        f"accept = 127.0.0.1:{accept}",
        f"connect = 127.0.0.1:{port}",
        f"CAfile = {certificates.path('ca.pem')}",
        "verifyChain = yes",
        "checkHost = collector.example",
        *options,
    ]
    conf.write_text("".join(f"{line}\n" for line in lines))
    process = bench.start("stunnel", [programs / "usr/bin/stunnel4", conf], env=certificates.environment())
    wait("stunnel to listen", lambda: ended(process, "stunnel", bench) or port_is_open(accept))
    return accept


def certificate_options(certificates, name):
    """The lines of stunnel's configuration for a client certificate."""
    return (f"cert = {certificates.path(name + '.pem')}", f"key = {certificates.path(name + '.key')}")


class Haproxy:
    """haproxy in front of a collector or of a router that listens."""

    def __init__(self, bench, programs, port, server):
        self.bench, self.programs = bench, programs
        self.port = scenario.free_port("127.0.0.1")
        self.conf = bench.work / "haproxy.cfg"
        self.control = bench.work / "haproxy.sock"
        self.conf.write_text(
            f"global\n  stats socket {self.control}\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen bmp\n  bind 127.0.0.1:{self.port}\n  server one 127.0.0.1:{port} {server}\n"
        )
        self.start()

    def start(self):
        """Starts the program and waits until it listens."""
        command = [self.programs / "usr/sbin/haproxy", "-db", "-f", self.conf]
        self.process = self.bench.start("haproxy", command)
        wait(
            "haproxy to listen",
            lambda: ended(self.process, "haproxy", self.bench) or port_is_open(self.port),
        )

    def check(self):
        """The result of the last health check of the server, such as L4OK."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.control))
            client.sendall(b"show stat\n")
            text = b"".join(iter(lambda: client.recv(1 << 16), b"")).decode()
        for line in csv.DictReader(text.removeprefix("# ").splitlines()):
            if line["svname"] == "one":
                return line["check_status"]
        return None

    def kill(self):
        """Ends the program and its connections at once."""
        self.bench.end(self.process, signal.SIGKILL)


def start_downgrade(bench, port):
    """A relay that removes TLS 1.3 from what a client offers: returns its port."""
    process = bench.start(
        "downgrade", [sys.executable, HERE / "downgrade.py", str(port)], stdout=subprocess.PIPE
    )
    return int(process.stdout.readline())


def ended(process, name, bench):
    """Ends the case if a program that should run does not."""
    if process.poll() is not None:
        raise SystemExit(f"transport: {name} exited; its log: {bench.work}/{name}.log")


class TlsClient:
    """openssl s_client. Sends the bytes of a file, and keeps the connection open. Each client has an address
    of its own, because the collector suppresses repeated log lines about one address."""

    count = 0

    def __init__(self, bench, certificates, port, file, *options):
        TlsClient.count += 1
        self.name, self.address = f"s_client-{TlsClient.count}", f"127.0.1.{TlsClient.count}"
        self.process = bench.start(
            self.name,
            [
                *(certificates.openssl, "s_client", "-ign_eof", "-nocommands", "-verify_return_error"),
                *("-CAfile", certificates.path("ca.pem"), "-verify_hostname", "collector.example"),
                *("-connect", f"127.0.0.1:{port}", "-bind", f"{self.address}:0"),
                *(certificates.path(one) if str(one).endswith((".pem", ".key")) else one for one in options),
            ],
            stdin=open(file, "rb"),
            env={**certificates.environment(), "OPENSSL_CONF": str(certificates.path("openssl.cnf"))},
        )


# ---- TCP-MD5 -------------------------------------------------------------------------------------


class Namespaces:
    """Two network namespaces with a pair of virtual interfaces between them. Both end with their processes,
    so that nothing remains on the host."""

    def __init__(self, bench):
        if os.geteuid() != 0:
            raise Skipped("network namespaces need root")
        self.bench = bench
        self.collector, self.router = (self._start(name) for name in ("collector", "router"))
        done = subprocess.run(
            [
                *("ip", "link", "add", "hfmd5", "netns", self.collector, "type", "veth"),
                *("peer", "name", "hfmd5", "netns", self.router),
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Skipped(f"no pair of virtual interfaces: {done.stderr.strip()}")
        for pid, address in ((self.collector, COLLECTOR), (self.router, ROUTER)):
            for words in (
                f"addr add {address}/24 dev hfmd5",
                "link set hfmd5 up",
                "link set lo up",
            ):
                bench.run([*self.inside(pid), "ip", *words.split()])

    def _start(self, name):
        own = os.stat("/proc/self/ns/net").st_ino
        try:
            process = self.bench.start(f"namespace-{name}", ["unshare", "--net", "sleep", "infinity"])
        except OSError as error:
            raise Skipped(f"no network namespace: {error}") from None

        def is_apart():
            if process.poll() is not None:
                text = (self.bench.work / f"namespace-{name}.log").read_text().strip()
                raise Skipped(f"no network namespace: {text}")
            return os.stat(f"/proc/{process.pid}/ns/net").st_ino != own

        wait("a network namespace", is_apart)
        return str(process.pid)

    @staticmethod
    def inside(pid):
        """The beginning of a command line that runs in the namespace of a process."""
        return ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]

    def counters(self):
        """The kernel's counters of segments that it dropped at the collector because of their signature."""
        text = self.bench.run([*self.inside(self.collector), "cat", "/proc/net/netstat"])
        names, values = [line.split()[1:] for line in text.splitlines() if line.startswith("TcpExt:")]
        found = dict(zip(names, map(int, values)))
        names = ("TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure")
        return {name: found.get(name, 0) for name in names}

    def is_signed(self, port):
        """Whether the connection at the collector's port has a key, by the kernel."""
        text = self.bench.run([*self.inside(self.collector), "ss", "-tinH", f"sport = :{port}"])
        return "md5keys:" in text


def signature(peer, key):
    """`struct tcp_md5sig` of Linux in hexadecimal: the key for connections with a peer."""
    address = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(peer))
    return (address + struct.pack("=BBHi80s", 0, 0, len(key), 0, key)).hex()


def start_signed_listener(bench, programs, namespaces, port, key):
    """socat in the router's namespace, which accepts signed connections of the collector for a router that
    listens on a local port: returns its port."""
    listen = scenario.free_port("127.0.0.1")
    option = f"setsockopt-listen=6:{TCP_MD5SIG}:x{signature(COLLECTOR, key)}"
    bench.start(
        "socat",
        [
            *namespaces.inside(namespaces.router),
            programs / "usr/bin/socat",
            f"TCP-LISTEN:{listen},bind={ROUTER},reuseaddr,fork,{option}",
            f"TCP:127.0.0.1:{port}",
        ],
    )
    return listen


def start_signing_socat(bench, programs, namespaces, port, key):
    """socat in the router's namespace, whose connections to the collector are signed with a key (none if it
    is empty): returns the port for a router that has no TCP-MD5 for BMP."""
    listen, options = scenario.free_port("127.0.0.1"), ""
    if key:
        options = f",setsockopt-socket=6:{TCP_MD5SIG}:x{signature(COLLECTOR, key)}"
    bench.start(
        "socat",
        [
            *namespaces.inside(namespaces.router),
            programs / "usr/bin/socat",
            f"TCP-LISTEN:{listen},bind=127.0.0.1,reuseaddr,fork",
            f"TCP:{COLLECTOR}:{port}{options}",
        ],
    )
    return listen
