"""The ends of the connections of `transport`: a collector, and real routers with a table of any size.

The routers have one neighbour, a second BIRD, whose table is a list of static routes. It is started after the
router's BMP session, so that each route takes the whole path: BGP, the router's tables, BMP, the transport.
"""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import time

from . import routes, scenario

FEEDER = routes.PEER1
# Fields of a record that differ between two sessions with the same routes. `cause` depends on when a router
# repeats a route, `router` on the transport (the name in a certificate), `class` and `after` on how quickly
# the routes arrive.
VARYING = [
    "idx",
    "seq",
    "log_id",
    "collector",
    "router",
    "bmp_peer_ip",
    "session",
    "generation",
    "time",
    "router_time",
    "cause",
    "lane",
    "ts",
    "class",
    "after",
]

# A router that has sent nothing for so long may have sent its table; then its records are read.
QUIET_S = 1.0
# Time limit of a table. FRR pauses for seconds and repeats routes while it sends a large one.
TABLE_S = 300


class Skipped(Exception):
    """A case cannot be run on this machine; the text is the reason."""


class Difference(Exception):
    """The collector did not do what it should; the text names both."""


def equal(what, found, expected):
    """Raises a `Difference` unless both values are equal."""
    if found != expected:
        raise Difference(f"{what}: {found!r}, expected {expected!r}")


def contains(what, found, expected):
    """Raises a `Difference` unless the text `found` contains `expected`."""
    if expected not in (found or ""):
        raise Difference(f"{what}: {found!r}, expected a text with {expected!r}")


def wait(what, condition, seconds=60):
    """Polls the condition, and returns its value once it is true. A `Difference` after the time limit."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ValueError):
            value = condition()
            if value:
                return value
        if time.monotonic() > deadline:
            raise Difference(f"timeout after {seconds} s: {what}")
        time.sleep(0.05)


class Inside:
    """A bench whose programs are started by another command line, such as one of nsenter."""

    def __init__(self, bench, before):
        self.bench, self.before = bench, before

    def __getattr__(self, name):
        return getattr(self.bench, name)

    def start(self, name, command, **options):
        """Starts a program; see `scenario.Bench`."""
        # A library of the unpacked programs is for them alone.
        environment = dict(options.pop("env", os.environ))
        library = environment.pop("LD_PRELOAD", None)
        preload = ["env", f"LD_PRELOAD={library}"] if library else []
        return self.bench.start(name, [*self.before, *preload, *command], env=environment, **options)

    def run(self, command):
        """Runs a program and returns its output."""
        return self.bench.run([*self.before, *command])


# ---- the collector -------------------------------------------------------------------------------


class Collector:
    """A collector, with state and log of its own in the bench's folder."""

    def __init__(self, bench, program, **settings):
        self.bench, self.program, self.folder = bench, program, bench.work
        self.socket = self.folder / "status.sock"
        self.log = self.folder / "collector.log"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder,
            "BMP_LISTEN": "127.0.0.1:0",
            "COLLECTOR_ID": "transport",
            "STATE_DIR": self.folder / "state",
            "WAL_DIR": self.folder / "wal",
            "STATUS_SOCKET": self.socket,
            "WAL_SEGMENT_BYTES": "16MiB",
            "WAL_MAX_BYTES": "1GiB",
            "WAL_MIN_FREE_PERCENT": "1",
            "LOG_FORMAT": "json",
            **settings,
        }
        self.process = bench.start(
            "collector",
            [program],
            env={name: str(value) for name, value in environment.items()},
        )
        self.address = wait("the collector to listen", self._listening)["listener"]["address"]

    def _listening(self):
        self.must_run()
        status = self.status()
        return status if status["listener"]["listening"] else None

    def must_run(self):
        """Ends the case with the last lines of the log if the collector has exited."""
        code = self.process.poll()
        if code is not None:
            raise Difference(f"the collector exited with {code}: {self.log.read_text()[-600:]}")

    def port(self, scheme=""):
        """The port of the first listening address of a scheme (`tls://`, or none)."""
        for address in self.address.split(","):
            if address.startswith(scheme or "127.") or (not scheme and "://" not in address):
                return int(address.rsplit(":", 1)[1])
        raise Difference(f"no address {scheme or 'in plain text'} in {self.address}")

    def status(self):
        """The status document."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(self.socket))
            parts = iter(lambda: client.recv(1 << 16), b"")
            return json.loads(b"".join(parts))

    def transport(self):
        """State of the transports in the status."""
        return self.status()["listener"]["transport"]

    def router(self, name):
        """A router in the status; None if it is not connected."""
        found = [one for one in self.status()["routers"] if one["name"] == name and one["connected"]]
        return found[0] if found else None

    def events(self, name):
        """The log lines with this event."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{") and f'"{name}"' in line:
                fields = json.loads(line)
                if fields.get("event") == name:
                    found.append(fields)
        return found

    def refused(self):
        """What failed handshakes leave: their number, and the cause of the last one."""
        transport = self.transport()
        return transport["handshakes_failed"], (transport["last_handshake_failure"] or {}).get("cause")

    def stop(self):
        """Stops the collector in an orderly way, so that everything that was received is in the log."""
        self.process.terminate()
        equal("exit code of the collector", self.process.wait(60), 0)

    def records(self, name):
        """The route records of a router in the log: their number, and the digests of their contents.

        Needs walctl beside the collector. The order is not compared: it is that of the router's tables, and
        in BIRD that of several threads.
        """
        command = [self.program.parent / "walctl", "dump", self.folder / "wal", "--json"]
        count, contents = 0, set()
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE) as dump:
            for line in dump.stdout:
                record = json.loads(line)
                if record.get("record") == "route" and record["router"] == name:
                    count += 1
                    for field in VARYING:
                        record.pop(field, None)
                    contents.add(hashlib.blake2b(json.dumps(record).encode(), digest_size=8).digest())
        equal("exit code of walctl", dump.returncode, 0)
        return count, contents


# ---- the routers ---------------------------------------------------------------------------------


def prefix(index):
    """The prefix of route number `index`."""
    return f"{10 + (index >> 16)}.{(index >> 8) & 255}.{index & 255}.0/24"


class Feeder:
    """The neighbour of the router: a BIRD with static routes. Six routes share their attributes."""

    def __init__(self, bench, router, count):
        table = "".join(
            f"  route {prefix(index)} blackhole {{ bgp_med = {group}; "
            f"bgp_path.prepend({64496 + group % 15}); "
            f"bgp_large_community.add((4200000000, {group}, {group % 7})); }};\n"
            for index, group in ((index, index // routes.SHARED) for index in range(count))
        )
        name = f"feeder-{router.name}"
        conf = bench.work / f"{name}.conf"
        conf.write_text(f"""router id 10.0.0.21;
log stderr all;
protocol device {{}}
protocol static {{
  ipv4;
{table}}}
protocol bgp monitored {{
  local {FEEDER} port {scenario.free_port(FEEDER)} as {routes.ASN[FEEDER]};
  neighbor {router.address} port {router.port} as 65000;
  multihop; strict bind yes; hold time 90; connect delay time 1; connect retry time 1;
  ipv4 {{ import none; export filter {{ bgp_next_hop = 192.0.2.1; accept; }}; }};
}}
""")
        bird = bench.tree / "usr/sbin/bird"
        control, pid = bench.work / f"{name}.ctl", bench.work / f"{name}.pid"
        self.process = bench.start(name, [bird, "-f", "-c", conf, "-s", control, "-P", pid])


class Frr(scenario.FrrRouter):
    """FRR's bgpd: three views of each route. Without a station it listens for one (active mode)."""

    views_sent, listener = 3, None

    def __init__(self, bench, station):
        if station is None:
            self.listener = ("127.0.0.1", scenario.free_port("127.0.0.1"))
        super().__init__(bench, station)

    def config(self, station):
        if station:
            session = f"bmp connect {station[0]} port {station[1]} min-retry 200 max-retry 1000"
        else:
            session = f"bmp listener {self.listener[0]} port {self.listener[1]}"
        monitor = "".join(
            f"\n  bmp monitor ipv4 unicast {view}" for view in ("pre-policy", "post-policy", "loc-rib")
        )
        return f"""hostname frr
route-map IMPORT permit 10
 set local-preference {routes.LOCAL_PREF}
router bgp 65000
 bgp router-id 10.0.0.10
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp allow-martian-nexthop
 neighbor {FEEDER} remote-as {routes.ASN[FEEDER]}
 neighbor {FEEDER} passive
 neighbor {FEEDER} disable-connected-check
 address-family ipv4 unicast
  neighbor {FEEDER} activate
  neighbor {FEEDER} soft-reconfiguration inbound
  neighbor {FEEDER} route-map IMPORT in
 exit-address-family
 bmp targets T1{monitor}
  {session}
"""


class Bird(scenario.BirdRouter):
    """BIRD: two views of each route. Its BMP session comes from the router's own address."""

    views_sent, listener = 2, None

    def config(self, station):
        return f"""router id 10.0.0.11;
log stderr all;
protocol device {{}}
protocol bgp peer1 {{
  local {self.address} port {self.port} as 65000;
  neighbor {FEEDER} as {routes.ASN[FEEDER]};
  multihop; strict bind yes; passive; hold time 90;
  ipv4 {{
    import table on; import filter {{ bgp_local_pref = {routes.LOCAL_PREF}; accept; }}; export none;
  }};
}}
protocol bmp {{
  local address {self.address};
  station address ip {station[0]} port {station[1]};
  system name "bird"; system description "BIRD test bed";
  monitoring rib in pre_policy; monitoring rib in post_policy;
  tx buffer limit 1024;
}}
"""


ROUTERS = {"bird": Bird, "frr": Frr}


def start_router(kind, bench, station):
    """Starts a router that connects to a station (host and port), or that listens if there is none."""
    router = ROUTERS[kind](bench, station)
    router.station, router.feeder = station, FEEDER
    return router


# ---- a session -----------------------------------------------------------------------------------


class Session:
    """The BMP session of a router, measured from its first route to its last."""

    def __init__(self, collector, router, count, name=None):
        self.collector, self.router, self.count = collector, router, count
        self.name = name or router.name
        self.queue, self.began, self.ended, self.last = 0, None, None, None
        self.was_sent, self.since, self.is_complete = None, time.monotonic(), False

    def connected(self):
        """Waits until the collector has the session; returns its router in the status."""
        return wait(f"a session of {self.name}", lambda: self.collector.router(self.name))

    def sent(self):
        """Bytes that the router's own socket has sent, by the kernel; None if it has no connection."""
        port = self.router.listener[1] if self.router.listener else self.router.station[1]
        side = "sport" if self.router.listener else "dport"
        lines = self.router.bench.run(["ss", "-tinpHO", "state", "established", f"{side} = :{port}"])
        # The other end, and other routers, have sockets with this port, too.
        own = [line for line in lines.splitlines() if f"pid={self.router.process.pid}," in line]
        found = re.search(r"bytes_sent:(\d+)(?: bytes_retrans:(\d+))?", own[0]) if own else None
        return int(found[1]) - int(found[2] or 0) if found else None

    def carry(self, stop=True):
        """Waits until every byte that the router sent was received, with all routes of its table. Stops the
        router then, which may repeat routes seconds later; returns its entry of the status."""
        entry = self.finish("the table", lambda: self.received(self.count * self.router.views_sent))
        if not stop:
            return entry
        self.router.process.send_signal(signal.SIGSTOP)
        return self.finish("the last bytes", lambda: self.received(0))

    def finish(self, what, condition):
        """Waits for a condition; a timeout names the figures."""
        return finish([self], what, condition)

    def figures(self):
        """What was sent and received so far."""
        entry = {name: (self.last or {}).get(name) for name in ("routes", "bytes", "transport")}
        return f"{self.name} sent {self.sent()} bytes; status: {entry}"

    def received(self, routes_min):
        """The router's entry of the status once it has all bytes and at least so many route records."""
        self.collector.must_run()
        self.last = entry = self.collector.router(self.name)
        if not entry:
            return None
        now, sent = time.monotonic(), self.sent()
        if sent != self.was_sent:
            self.was_sent, self.since = sent, now
        self.queue = max(self.queue, entry["transport"]["receive_queue_bytes"])
        if entry["routes"] and self.began is None:
            self.began = (now, entry["routes"])
        if entry["routes"] < routes_min or entry["bytes"] != sent:
            return None
        if routes_min and not self.has_all(routes_min, now):
            return None
        self.ended = self.ended or (self.since, entry["routes"])
        return entry

    def has_all(self, different_min, now):
        """Whether the log has so many different route records. A router that repeats routes, as FRR does, may
        have others to send, so that their number alone proves nothing."""
        if not self.is_complete and now - self.since >= QUIET_S:
            self.is_complete = len(self.collector.records(self.name)[1]) >= different_min
            # The next look follows after another quiet time.
            self.since = self.since if self.is_complete else time.monotonic()
        return self.is_complete

    def rate(self):
        """Route records per second; None if they took no two seconds (the status is that of one second)."""
        seconds = self.ended[0] - self.began[0]
        return round((self.ended[1] - self.began[1]) / seconds) if seconds > 2 else None


def finish(sessions, what, condition):
    """Waits for a condition; a timeout names the figures of the sessions."""
    try:
        return wait(what, condition, TABLE_S)
    except Difference as timeout:
        figures = "; ".join(session.figures() for session in sessions)
        raise Difference(f"{timeout}; {figures}") from None
