"""Runs the scenario "churn-small" with one real router as BMP sender (FRR, BIRD or GoBGP) and two announcers.

Started by the script `routers`, which unpacks the programs; see there for the usage. All speakers have
addresses of their own in 127.0.0.0/8 and ports chosen by the kernel; no root, no network namespace.

No step waits for a fixed time: it begins when the router itself shows that it has received (or lost) the
routes, and when the file of the sink no longer grows.
"""

import argparse
import contextlib
import ctypes
import datetime
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import routes
from .routes import PEER1, PEER2

HERE = pathlib.Path(__file__).resolve().parent
FAMILIES = {(1, 1): "ipv4", (2, 1): "ipv6", (25, 70): "evpn"}
STEPS = ("announce", "change", "flap", "cease", "reconnect", "last", "stop")
QUIET_SECONDS = 1.5


def say(*words):
    print("routers:", *words, file=sys.stderr, flush=True)


def until(what, condition, seconds=60):
    """Polls the condition; on a timeout the message contains its last value or error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError) as error:
            value, last = None, repr(error)
        else:
            last = repr(value)
        if value:
            return value
        if time.monotonic() > deadline:
            raise SystemExit(f"routers: timeout after {seconds} s: {what} (last: {last[:300]})")
        time.sleep(0.05)


def free_port(address):
    """A port that is free on this address."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def die_with_parent():
    # If this script is killed, its routers must end as well.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Bench:
    """Processes and folders of one run; everything ends with it."""

    def __init__(self, tree, work):
        self.tree, self.work, self.processes = tree, work, []
        self.lib = next((tree / "usr/lib").glob("*-linux-gnu"))

    def start(self, name, command, **options):
        log = open(self.work / f"{name}.log", "ab")
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", log)
        process = subprocess.Popen(
            [str(word) for word in command], stderr=log, cwd=self.work, preexec_fn=die_with_parent, **options
        )
        log.close()
        self.processes.append(process)
        return process

    def end(self, process, how=signal.SIGTERM):
        """Stops one process of this run: SIGTERM, then SIGKILL."""
        if process.poll() is None:
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            if process.poll() is None:
                process.kill()
        process.wait()
        return process.returncode

    def close(self):
        for process in reversed(self.processes):
            self.end(process, signal.SIGKILL)

    def run(self, command):
        return subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, timeout=30, cwd=self.work
        ).stdout.decode()


class Gobgp:
    """A gobgpd and its command line; used as monitored router and as announcer."""

    def __init__(self, bench, name, address, config):
        self.bench, self.name = bench, name
        self.api = free_port(address)
        self.address = address
        path = bench.work / f"{name}.toml"
        path.write_text(config)
        self.process = bench.start(
            name,
            [
                bench.tree / "usr/bin/gobgpd",
                "-f",
                path,
                "--api-hosts",
                f"{address}:{self.api}",
                "--pprof-disable",
                "--log-plain",
            ],
        )
        until(f"{name} answers", lambda: self.process.poll() is not None or self.cli("global"))
        if self.process.poll() is not None:
            raise SystemExit(f"routers: gobgpd exited; its log: {bench.work}/{name}.log")

    def cli(self, *words):
        return self.bench.run([self.bench.tree / "usr/bin/gobgp", "-u", self.address, "-p", self.api, *words])


# ---- the monitored routers -----------------------------------------------------------------------


class FrrRouter:
    """FRR's bgpd as the monitored router."""

    # No NOTIFICATION here: after withdrawals or a flap, bgpd 10.3 with BMP aborts at one (heap corruption),
    # sent or received. The captures frr-cease (early enough, survives) and frr-abort have it.
    steps = ("announce", "change", "flap", "reconnect", "last", "stop")
    mirror = add_path = False
    rejects = True  # its count of accepted routes excludes those that the import policy rejects
    name, address, families, version = "frr", "127.0.0.10", ((1, 1), (2, 1), (25, 70)), None

    def __init__(self, bench, station):
        self.bench, self.port = bench, free_port(self.address)
        self.vty = bench.work / "vty"
        self.vty.mkdir()
        (bench.work / "bgpd.conf").write_text(self.config(station))
        # bgpd insists on the user frr and the group frrvty: show it a private pair of files.
        (bench.work / "passwd").write_text(f"frr:x:{os.getuid()}:{os.getgid()}::/:/bin/sh\n")
        (bench.work / "group").write_text(f"frr:x:{os.getgid()}:\nfrrvty:x:{os.getgid()}:\n")
        self.start()
        self.version = re.search(r"FRRouting (\S+)", self.show("show version")).group(1)

    def start(self):
        work, lib = self.bench.work, self.bench.lib
        env = dict(
            os.environ,
            LD_PRELOAD=str(lib / "libnss_wrapper.so"),
            NSS_WRAPPER_PASSWD=str(work / "passwd"),
            NSS_WRAPPER_GROUP=str(work / "group"),
        )
        self.process = self.bench.start(
            "frr",
            [
                self.bench.tree / "usr/lib/frr/bgpd",
                "-M",
                "bmp",
                "--moduledir",
                lib / "frr/modules",
                # -Z: no zebra, next hops count as valid. -x: without it an IPv4 session carries no IPv6 here.
                "-Z",
                "-x",
                "-S",
                "-l",
                self.address,
                "-p",
                self.port,
                "-P",
                0,
                "-f",
                work / "bgpd.conf",
                "-i",
                work / "bgpd.pid",
                "--vty_socket",
                self.vty,
                "--log",
                "stdout",
            ],
            env=env,
        )
        until("bgpd answers", lambda: self.show("show version"))

    def config(self, station):
        neighbors = "".join(
            f"""
 neighbor {peer} remote-as {routes.ASN[peer]}
 neighbor {peer} passive
 neighbor {peer} disable-connected-check
 neighbor {peer} timers 3 9"""
            for peer in (PEER1, PEER2)
        )
        families = "".join(
            f"""
 address-family {family}"""
            + "".join(
                f"""
  neighbor {peer} activate
  neighbor {peer} soft-reconfiguration inbound
  neighbor {peer} route-map IMPORT in"""
                for peer in (PEER1, PEER2)
            )
            + """
 exit-address-family"""
            for family in ("ipv4 unicast", "ipv6 unicast", "l2vpn evpn")
        )
        monitor = "".join(
            f"""
  bmp monitor {family} {view}"""
            for family in ("ipv4 unicast", "ipv6 unicast", "l2vpn evpn")
            for view in ("pre-policy", "post-policy", "loc-rib")
        )
        mirror = "\n  bmp mirror" if self.mirror else ""
        return f"""hostname frr-sender
ip prefix-list REJECTED seq 5 permit {routes.REJECTED}
route-map IMPORT deny 10
 match ip address prefix-list REJECTED
route-map IMPORT permit 20
 set local-preference {routes.LOCAL_PREF}
 set community {routes.ADDED_COMMUNITY} additive
router bgp 65000
 bgp router-id 10.0.0.10
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp allow-martian-nexthop{neighbors}
{families}
 bmp targets T1
  bmp stats interval 5000{monitor}{mirror}
  bmp connect {station[0]} port {station[1]} min-retry 200 max-retry 2000
"""

    def show(self, command):
        """bgpd's own control socket: a command ends with NUL, an answer with three NULs and a status."""
        with socket.socket(socket.AF_UNIX) as vty:
            vty.settimeout(20)
            vty.connect(str(self.vty / "bgpd.vty"))
            for line in ("enable", command):
                vty.sendall(line.encode() + b"\0")
                answer = b""
                while len(answer) < 4 or answer[-4:-1] != b"\0\0\0":
                    data = vty.recv(1 << 16)
                    if not data:
                        raise OSError("bgpd closed its control socket")
                    answer += data
            return answer[:-4].decode()

    def accepted(self, peer, family):
        words = {"ipv4": "ipv4 unicast", "ipv6": "ipv6 unicast", "evpn": "l2vpn evpn"}[family]
        neighbor = json.loads(self.show(f"show bgp {words} summary json"))["peers"][peer]
        return neighbor["pfxRcd"] if neighbor["state"] == "Established" else None

    def views(self):
        yield "summary.json", self.show("show bgp summary json")
        for family, words in (("ipv4", "ipv4 unicast"), ("ipv6", "ipv6 unicast"), ("evpn", "l2vpn evpn")):
            yield (
                f"{family}-rib.json",
                self.show(f"show bgp {words} json" if family == "evpn" else f"show bgp {words} detail json"),
            )
            for peer in (PEER1, PEER2):
                # No routes are shown for a peer that is down.
                if self.accepted(peer, family):
                    yield (
                        f"{family}-in-{peer}.json",
                        self.show(f"show bgp {words} neighbors {peer} received-routes json"),
                    )


class FrrAbortRouter(FrrRouter):
    """Ends with bgpd's abort at the NOTIFICATION: a router that disappears without a message."""

    name, steps = "frr-abort", ("announce", "change", "flap", "cease")


class FrrCeaseRouter(FrrRouter):
    """Peer 2 sends a NOTIFICATION early, which bgpd usually survives."""

    name, steps = "frr-cease", ("announce", "cease", "stop")


class FrrAddPathRouter(FrrRouter):
    """Peer 1 sends two paths of some prefixes (RFC 7911). bgpd 10.3 negotiates it, and omits path
    identifiers in BMP. No reconnect: its dump of Loc-RIB leaves out most prefixes that have two paths."""

    name, steps, add_path = "frr-addpath", ("announce", "change", "last", "stop"), True


class FrrMirrorRouter(FrrRouter):
    """With Route Mirroring (message type 6): what the peers sent, byte for byte."""

    name, steps, mirror = "frr-mirror", ("announce", "change", "reconnect", "last", "stop"), True


class BirdRouter:
    """BIRD as the monitored router."""

    steps, rejects = STEPS, True
    name, address, families, version = "bird", "127.0.0.11", ((1, 1), (2, 1)), None

    def __init__(self, bench, station):
        self.bench, self.port = bench, free_port(self.address)
        self.control = bench.work / "bird.ctl"
        conf = bench.work / "bird.conf"
        conf.write_text(self.config(station))
        self.process = bench.start(
            "bird",
            [
                bench.tree / "usr/sbin/bird",
                "-f",
                "-c",
                conf,
                "-s",
                self.control,
                "-P",
                bench.work / "bird.pid",
            ],
        )
        until("bird answers", lambda: self.show("show status"))
        self.version = re.search(r"BIRD (\S+)", self.show("show status")).group(1)

    def config(self, station):
        peers = "".join(
            f"""
protocol bgp {name} {{
  local {self.address} port {self.port} as 65000;
  neighbor {peer} as {routes.ASN[peer]};
  multihop; passive; hold time 9;
  ipv4 {{ import table on; import filter incoming; export none; }};
  ipv6 {{ import table on; import filter incoming; export none; }};
}}"""
            for name, peer in (("peer1", PEER1), ("peer2", PEER2))
        )
        return f"""router id 10.0.0.11;
log stderr all;
protocol device {{}}
filter incoming {{
  if net.type = NET_IP4 && net = {routes.REJECTED} then reject;
  bgp_local_pref = {routes.LOCAL_PREF};
  bgp_community.add(({routes.ADDED_COMMUNITY.replace(":", ",")}));
  accept;
}}{peers}
protocol bmp {{
  station address ip {station[0]} port {station[1]};
  system name "bird-sender"; system description "BIRD test bed";
  monitoring rib in pre_policy; monitoring rib in post_policy;
  tx buffer limit 1024;
}}
"""

    def show(self, command):
        return self.bench.run([self.bench.tree / "usr/sbin/birdc", "-s", self.control, *command.split()])

    def accepted(self, peer, family):
        text = self.show("show protocols all " + {PEER1: "peer1", PEER2: "peer2"}[peer])
        if "Established" not in text:
            return None
        channel = text.split(f"Channel {family}")[1]
        return int(re.search(r"Routes:\s+(\d+) imported", channel).group(1))

    def views(self):
        yield "protocols.txt", self.show("show protocols all")
        for family, number in (("ipv4", 4), ("ipv6", 6)):
            yield f"{family}-rib.txt", self.show(f"show route all table master{number}")
            for name, peer in (("peer1", PEER1), ("peer2", PEER2)):
                if self.accepted(peer, family) is not None:
                    yield f"{family}-in-{peer}.txt", self.show(f"show route all import table {name}.{family}")


class GobgpRouter:
    """gobgpd as the monitored router."""

    steps, rejects, add_path = STEPS, False, False
    name, address, families, version = "gobgp", "127.0.0.12", ((1, 1), (2, 1), (25, 70)), None

    def __init__(self, bench, station):
        self.bench, self.port = bench, free_port(self.address)
        self.gobgp = Gobgp(bench, "gobgp", self.address, self.config(station))
        self.process = self.gobgp.process
        self.version = bench.run([bench.tree / "usr/bin/gobgpd", "--version"]).split()[-1]

    def config(self, station):
        neighbors = "".join(
            f"""
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{peer}"
    peer-as = {routes.ASN[peer]}
  [neighbors.transport.config]
    passive-mode = true
    local-address = "{self.address}"
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 64
  [neighbors.timers.config]
    hold-time = 9
    keepalive-interval = 3"""
            + "".join(
                f"""
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{family}"
"""
                + (
                    """    [neighbors.afi-safis.add-paths.config]
      receive = true
"""
                    if self.add_path and peer == PEER1 and family != "l2vpn-evpn"
                    else ""
                )
                for family in ("ipv4-unicast", "ipv6-unicast", "l2vpn-evpn")
            )
            for peer in (PEER1, PEER2)
        )
        return f"""[global.config]
  as = 65000
  router-id = "10.0.0.12"
  port = {self.port}
  local-address-list = ["{self.address}"]
[global.apply-policy.config]
  import-policy-list = ["import"]
  default-import-policy = "accept-route"
[[defined-sets.prefix-sets]]
  prefix-set-name = "rejected"
  [[defined-sets.prefix-sets.prefix-list]]
    ip-prefix = "{routes.REJECTED}"
[[policy-definitions]]
  name = "import"
  [[policy-definitions.statements]]
    name = "reject"
    [policy-definitions.statements.conditions.match-prefix-set]
      prefix-set = "rejected"
    [policy-definitions.statements.actions]
      route-disposition = "reject-route"
  [[policy-definitions.statements]]
    name = "change"
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"
    [policy-definitions.statements.actions.bgp-actions]
      set-local-pref = {routes.LOCAL_PREF}
      [policy-definitions.statements.actions.bgp-actions.set-community]
        options = "add"
        [policy-definitions.statements.actions.bgp-actions.set-community.set-community-method]
          communities-list = ["{routes.ADDED_COMMUNITY}"]
[[bmp-servers]]
  [bmp-servers.config]
    address = "{station[0]}"
    port = {station[1]}
    route-monitoring-policy = "all"
    statistics-timeout = 15
{neighbors}
"""

    def accepted(self, peer, family):
        neighbor = json.loads(self.gobgp.cli("neighbor", peer, "-j"))
        if neighbor["state"].get("session_state") != 6:  # established
            return None
        afi, safi = next(key for key, value in FAMILIES.items() if value == family)
        for item in neighbor["afi_safis"]:
            if item["config"]["family"] == {"afi": afi, "safi": safi}:
                return item["state"].get("accepted", 0)
        return None

    def views(self):
        yield "neighbors.json", self.gobgp.cli("neighbor", "-j")
        for family in FAMILIES.values():
            yield f"{family}-rib.json", self.gobgp.cli("global", "rib", "-j", "-a", family)
            for peer in (PEER1, PEER2):
                if self.accepted(peer, family):
                    yield (
                        f"{family}-in-{peer}.json",
                        self.gobgp.cli("neighbor", peer, "adj-in", "-j", "-a", family),
                    )


class GobgpAddPathRouter(GobgpRouter):
    """Peer 1 sends two paths of some prefixes (RFC 7911). BMP has their identifiers only before the policy.
    No reconnect: in the table that gobgpd 3.36 sends then, they are not there before the policy either."""

    name, steps, add_path = "gobgp-addpath", ("announce", "change", "last", "stop"), True


ROUTERS = {
    router.name: router
    for router in (FrrRouter, FrrCeaseRouter, FrrAbortRouter, FrrMirrorRouter, BirdRouter, GobgpRouter)
}


# ---- the announcers ------------------------------------------------------------------------------


class Peer1:
    """exabgp, with the whole table in its configuration and changes through a FIFO."""

    def __init__(self, bench, router):
        self.bench = bench
        self.fifo = bench.work / "peer1.fifo"
        os.mkfifo(self.fifo)
        self.conf = bench.work / "exabgp.conf"
        table = "\n".join(
            f"      unicast {self.words(route)};" for route in routes.peer1_table() if route.afi == 1
        )
        table6 = "\n".join(
            f"      unicast {self.words(route)};" for route in routes.peer1_table() if route.afi == 2
        )
        add_path = (
            routes.ADD_PATH
            and "\n  capability { add-path send; }\n  add-path { ipv4 unicast; ipv6 unicast; }"
        ) or ""
        self.conf.write_text(f"""process feed {{
  run {self.python()} {HERE / "feed.py"} {self.fifo};
  encoder text;
}}
neighbor {router.address} {{
  router-id 10.0.0.21;
  local-address {PEER1};
  local-as {routes.ASN[PEER1]};
  peer-as 65000;
  hold-time 9;
  connect {router.port};
  family {{ ipv4 unicast; ipv6 unicast; }}{add_path}
  api {{ processes [ feed ]; }}
  announce {{
    ipv4 {{
{table}
    }}
    ipv6 {{
{table6}
    }}
  }}
}}
""")
        self.start()

    @staticmethod
    def python():
        # The distribution's own interpreter, which the unpacked exabgp was made for, before any other.
        return next(path for path in ("/usr/bin/python3", sys.executable) if os.access(path, os.X_OK))

    @staticmethod
    def path(route):
        return [] if route.path_id is None else ["path-information", str(route.path_id)]

    def withdraw(self, table):
        return (
            " ".join(["withdraw route", route.prefix, *self.path(route), "next-hop", route.next_hop])
            for route in table
        )

    @staticmethod
    def words(route):
        path = " ".join(
            "( {} )".format(" ".join(map(str, asn))) if isinstance(asn, tuple) else str(asn)
            for asn in route.as_path
        )
        words = [
            route.prefix,
            *Peer1.path(route),
            "next-hop",
            route.next_hop,
            "origin",
            route.origin,
            "as-path",
            f"[ {path} ]",
        ]
        if route.med is not None:
            words += ["med", str(route.med)]
        for name, values in (
            ("community", route.communities),
            ("large-community", route.large_communities),
            ("extended-community", ["target:" + target for target in route.route_targets]),
        ):
            if values:
                words += [name, "[ {} ]".format(" ".join(values))]
        return " ".join(words)

    def start(self):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.bench.work),
            "PYTHONPATH": str(self.bench.tree / "usr/lib/python3/dist-packages"),
            "exabgp_daemon_user": subprocess.run(["id", "-un"], stdout=subprocess.PIPE, check=True)
            .stdout.decode()
            .strip(),
            "exabgp_api_cli": "false",
            "exabgp_api_ack": "false",
            "exabgp_log_destination": "stdout",
            "exabgp_daemon_drop": "false",
        }
        code = "import sys; sys.argv = ['exabgp'] + sys.argv[1:]; from exabgp.application import main; main()"
        self.process = self.bench.start(
            "peer1", [self.python(), "-W", "ignore", "-c", code, self.conf], env=env
        )

    def command(self, *lines):
        with open(self.fifo, "w") as fifo:
            fifo.write("".join(line + "\n" for line in lines))

    def change(self):
        self.command(
            *self.withdraw(routes.peer1_withdrawn()),
            *(f"announce route {self.words(route)}" for route in routes.peer1_replaced()),
        )

    def last(self):
        self.command(*self.withdraw(routes.peer1_last_withdrawn()))

    def kill(self):
        self.bench.end(self.process, signal.SIGKILL)


class Peer2:
    """gobgpd; its table is loaded before it may connect, so that the order of its messages is its own."""

    def __init__(self, bench, router):
        self.router = router
        self.gobgp = Gobgp(
            bench,
            "peer2",
            PEER2,
            f"""[global.config]
  as = {routes.ASN[PEER2]}
  router-id = "10.0.0.22"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{router.address}"
    peer-as = 65000
    admin-down = true
  [neighbors.transport.config]
    local-address = "{PEER2}"
    remote-port = {router.port}
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 64
  [neighbors.timers.config]
    hold-time = 9
    keepalive-interval = 3
    connect-retry = 1
    idle-hold-time-after-reset = 1"""
            + "".join(
                f"""
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{name}"
"""
                for name in ("ipv4-unicast", "ipv6-unicast")
                + (("l2vpn-evpn",) if (25, 70) in router.families else ())
            ),
        )
        for route in self.table():
            self.gobgp.cli(*self.words("add", route))

    def table(self):
        return routes.peer2_table() + (routes.peer2_evpn() if (25, 70) in self.router.families else [])

    @staticmethod
    def words(verb, route):
        words = [
            "global",
            "rib",
            verb,
            "-a",
            FAMILIES[route.afi, route.safi],
            *(route.evpn or [route.prefix]),
        ]
        if verb == "del":
            return words
        for target in route.route_targets:
            words += ["rt", target]
        # gobgpd puts its own AS in front.
        if route.as_path[1:]:
            words += ["aspath", " ".join(map(str, route.as_path[1:]))]
        words += ["nexthop", route.next_hop, "origin", route.origin]
        if route.med is not None:
            words += ["med", str(route.med)]
        if route.communities:
            words += ["community", ",".join(route.communities)]
        if route.large_communities:
            words += ["large-community", ",".join(route.large_communities)]
        return words

    def connect(self):
        self.gobgp.cli("neighbor", self.router.address, "enable")

    def change(self):
        if (25, 70) in self.router.families:
            for route in routes.peer2_evpn_withdrawn():
                self.gobgp.cli(*self.words("del", route))

    def cease(self):
        """Administrative shutdown: a NOTIFICATION, Cease, and it stays down."""
        self.gobgp.cli("neighbor", self.router.address, "disable", "test bed says goodbye")


# ---- the scenario --------------------------------------------------------------------------------


class Sink:
    """The station that records the byte streams."""

    def __init__(self, bench, folder):
        self.folder = folder
        self.process = bench.start(
            "sink",
            [sys.executable, HERE / "sink.py", "--out", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.station = ("127.0.0.1", int(self.process.stdout.readline()))

    def connections(self):
        return sorted(self.folder.glob("*.bmp"), key=lambda path: int(path.stem))

    def bytes(self):
        return sum(path.stat().st_size for path in self.connections())

    def quiet(self):
        since, size = time.monotonic(), self.bytes()

        def still():
            nonlocal since, size
            if self.bytes() != size:
                since, size = time.monotonic(), self.bytes()
            return time.monotonic() - since > QUIET_SECONDS

        until("the sender to fall silent", still)

    def close_connection(self):
        before = len(self.connections())
        self.process.stdin.write(b"close\n")
        self.process.stdin.flush()
        until("the router to dial again", lambda: len(self.connections()) > before)

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


class Scenario:
    """The steps, and the routes that were announced in each."""

    reconnect_views = False  # what the router shows has not changed

    def __init__(self, bench, router, sink, out, pause):
        self.bench, self.router, self.sink, self.out, self.pause = bench, router, sink, out, pause
        self.marks = []
        self.expected, self.shown = [], []

    def settle(self, step, views=True):
        """Waits until no more bytes arrive; records the position in the capture and the router's own
        tables.
        """
        if self.sink:
            self.sink.quiet()
            self.marks.append(
                {"step": step, "bytes": [path.stat().st_size for path in self.sink.connections()]}
            )
        else:
            time.sleep(self.pause)  # to an outside collector: room between the steps, nothing to wait for
        if self.out and views and self.router.process.poll() is None:
            self.shown += [{"step": step, "view": name, "text": text} for name, text in self.router.views()]
        say(f"{self.router.name}: {step} done" + (f", {self.sink.bytes()} bytes" if self.sink else ""))

    def wait(self, peer, table):
        """Wait until the router has accepted exactly this table from that peer."""
        for family in self.router.families:
            want = sum(
                (route.afi, route.safi) == family
                and not (self.router.rejects and route.prefix == routes.REJECTED)
                for route in table
            )
            if peer == PEER1 and family == (25, 70):
                continue
            until(
                f"{want} {FAMILIES[family]} routes of {peer}",
                lambda name=FAMILIES[family], want=want: self.router.accepted(peer, name) == want,
            )

    def note(self, step, action, table):
        self.expected += [dict(step=step, action=action, **route.as_json()) for route in table]

    def run(self, steps):
        table1 = routes.peer1_table()
        now1 = list(table1)
        for step in steps:
            views = True
            if step == "announce":
                if self.sink:
                    until("the router to dial the sink", self.sink.connections)
                self.peer1 = Peer1(self.bench, self.router)
                self.wait(PEER1, table1)
                self.note(step, "announce", table1)
                self.peer2 = Peer2(self.bench, self.router)
                self.peer2.connect()
                self.wait(PEER2, self.peer2.table())
                self.note(step, "announce", self.peer2.table())
            elif step == "change":
                self.peer1.change()
                self.peer2.change()
                gone = {route.prefix for route in routes.peer1_withdrawn()}
                now1 = [route for route in table1 if route.prefix not in gone]
                self.note(step, "withdraw", routes.peer1_withdrawn())
                self.note(step, "announce", routes.peer1_replaced())
                self.wait(PEER1, now1)
                if (25, 70) in self.router.families:
                    self.note(step, "withdraw", routes.peer2_evpn_withdrawn())
                    lost = routes.peer2_evpn_withdrawn()
                    self.wait(PEER2, [route for route in self.peer2.table() if route not in lost])
            elif step == "flap":
                self.peer1.kill()
                until("the router to lose peer 1", lambda: self.router.accepted(PEER1, "ipv4") is None)
                if self.sink:
                    self.sink.quiet()
                self.peer1.start()
                self.wait(PEER1, table1)
                self.note(step, "announce", table1)
                now1 = list(table1)
            elif step == "cease":
                self.peer2.cease()
                until(
                    "the router to lose peer 2",
                    lambda: self.router.process.poll() is not None
                    or self.router.accepted(PEER2, "ipv4") is None,
                )
                if self.router.process.poll() is not None:
                    # FRR's abort. The capture ends here.
                    say(f"{self.router.name} ended by itself ({self.router.process.returncode})")
                    self.settle(step)
                    return
            elif step == "reconnect":
                if not self.sink:
                    continue  # the collector is not ours
                self.sink.close_connection()
                views = self.reconnect_views
            elif step == "last":
                self.peer1.last()
                gone = {route.prefix for route in routes.peer1_last_withdrawn()}
                now1 = [route for route in now1 if route.prefix not in gone]
                self.note(step, "withdraw", routes.peer1_last_withdrawn())
                self.wait(PEER1, now1)
            elif step == "stop":
                self.bench.end(self.router.process)
            self.settle(step, views)


def write_gz(path, text):
    # No name and no time in the header: the same content gives the same file.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as packed:
        packed.write(text.encode() if isinstance(text, str) else text)


def record(name, tree, out, work):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bench = Bench(tree, work)
    with contextlib.closing(bench):
        sink = Sink(bench, work / "capture")
        router = ROUTERS[name](bench, sink.station)
        scenario = Scenario(bench, router, sink, folder, 0)
        scenario.run(router.steps)
        sink.end()
        for path in sink.connections():
            write_gz(folder / f"{path.stem}.bmp.gz", path.read_bytes())
        write_gz(
            folder / "announced.jsonl.gz", "".join(json.dumps(line) + "\n" for line in scenario.expected)
        )
        write_gz(folder / "show.jsonl.gz", "".join(json.dumps(line) + "\n" for line in scenario.shown))
        (folder / "capture.json").write_text(
            json.dumps(
                {
                    "router": name,
                    "version": router.version,
                    "scenario": "churn-small",
                    "recorded": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "router_exit": router.process.returncode,
                    # How long each connection's stream was at the end of each step.
                    "steps": scenario.marks,
                },
                indent=1,
            )
            + "\n"
        )


def live(name, tree, station, steps, pause, hold, work):
    bench = Bench(tree, work)
    with contextlib.closing(bench):
        scenario = Scenario(bench, ROUTERS[name](bench, station), None, None, pause)
        scenario.run(steps)
        if hold:
            say("holding; end with Ctrl-C or SIGTERM")
            signal.pause()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", required=True, type=pathlib.Path)
    parser.add_argument("--keep-work", action="store_true", help="keep logs and configurations")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("record")
    verb.add_argument("out", type=pathlib.Path)
    verb.add_argument("router", nargs="*", choices=[*ROUTERS, []], default=[])
    verb = verbs.add_parser("live")
    verb.add_argument("router", choices=ROUTERS)
    verb.add_argument("--to", required=True, help="HOST:PORT of the collector")
    verb.add_argument("--steps", help="comma-separated steps, a subset of " + ",".join(STEPS))
    verb.add_argument("--pause", type=float, default=2.0, help="seconds between the steps")
    verb.add_argument("--hold", action="store_true", help="keep running after the last step until SIGTERM")
    args = parser.parse_args()

    def stop(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for name in (args.router or list(ROUTERS)) if args.verb == "record" else [args.router]:
        # Short path: the routers' control sockets live here, and a socket's path has 107 characters.
        work = pathlib.Path(tempfile.mkdtemp(prefix="hf-bench-", dir="/tmp"))
        try:
            if args.verb == "record":
                record(name, args.tree, args.out, work)
            else:
                host, port = args.to.rsplit(":", 1)
                steps = args.steps.split(",") if args.steps else ROUTERS[name].steps
                if set(steps) - set(STEPS):
                    parser.error(f"steps are {','.join(STEPS)}")
                live(name, args.tree, (host, int(port)), steps, args.pause, args.hold, work)
        except BaseException:
            say(f"logs: {work}")
            args.keep_work = True
            raise
        finally:
            if not args.keep_work:
                shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
