"""The Debian package in the root of a Debian release."""

import json
import re
import stat

from ..faults.rig import checked, free_port, until
from .manager import Manager, verify_unit
from .root import Root, id_of

# What every installation of Debian has, except systemd.
PACKAGES = ["systemd-standalone-sysusers", "systemd-standalone-tmpfiles", "passwd", "procps"]
ENV = "/etc/holdfast/holdfast.env"
# Routes of the router, and changes per second.
PREFIXES, CHURN = 5_000, 500
LOAD_S = 600


class Installation:
    """One run: a root, its service, a database and a router."""

    def __init__(self, rig, suite, database, say):
        self.rig, self.database, self.say = rig, database, say
        self.root = Root(rig, suite, PACKAGES)
        self.manager = Manager(self.root)
        self.port, self.router = free_port(), None
        self.before = self.root.files()
        say(f"root: {self._release()}")

    def _release(self):
        text = (self.root.path / "etc/os-release").read_text()
        return text.split('PRETTY_NAME="')[1].split('"')[0]

    def install(self, package):
        """Installs a package as an administrator does; returns the calls of systemctl."""
        self.root.copy(package, f"/tmp/{package.name}")
        count = len(self.manager.calls)
        self.root.run(
            "apt-get", "install", "--yes", "--allow-downgrades", f"/tmp/{package.name}",
            environment={"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        return self.manager.calls_since(count)

    def first_installation(self, package):
        """The service is installed, but neither enabled nor started; only its group reads the settings."""
        calls = self.install(package)
        checked(self.root.stat(ENV) == "root:holdfast 640", f"{ENV} is {self.root.stat(ENV)}")
        state = self.root.stat("/var/lib/holdfast")
        checked(state == "holdfast:holdfast 750", f"/var/lib/holdfast is {state}")
        checked(not any(call.startswith(("start", "enable")) for call in calls), f"systemctl calls: {calls}")
        for path in (
            "usr/share/man/man1/holdfast.1.gz",
            "usr/share/man/man5/holdfast.env.5.gz",
            "usr/share/man/man7/holdfast-queries.7.gz",
            "usr/share/bash-completion/completions/walctl",
            "usr/share/holdfast/prometheus/alerts.yml",
            "usr/share/holdfast/grafana/dashboards/overview.json",
            "usr/share/holdfast/roles.sql",
        ):
            # A minimal root leaves out manual pages and documents when it unpacks packages.
            checked(self.root.has(path) or path in self._left_out(), f"{path} is not installed")
        complaints = verify_unit(self.root)
        checked(not complaints, f"systemd-analyze verify: {complaints}")
        unit = (
            "not checked: systemd-analyze not found" if complaints is None else "systemd-analyze accepts it"
        )
        self.say(f"installed {self.root.run('holdfast', '--version').strip()}; unit: {unit}")

    def _left_out(self):
        """Files of the package that dpkg was told to leave out (path-exclude)."""
        listed = self.root.run("dpkg", "-L", "holdfast").split()
        return {path.lstrip("/") for path in listed if not self.root.has(path)}

    def operator(self):
        """A member of the group uses the settings of the service; another user does not."""
        self.root.run("useradd", "--groups", "holdfast", "noc")
        code, out = self.root.try_run("holdfast", "check-config", user="noc")
        checked(code == 0, f"check-config of an operator: exit code {code}\n{out}")
        code, out = self.root.try_run("holdfast", "check-config", user="daemon")
        checked(code == 78 and "Permission denied" in out, f"check-config of another user: {code}\n{out}")
        self.say("an operator in the group reads the settings; another user does not")

    def start(self):
        """Sets port and database as the five-minute start does, and starts the service."""
        path = self.root.path / ENV.lstrip("/")
        text = path.read_text() + f"\nBMP_LISTEN_HOST=127.0.0.1\nBMP_LISTEN_PORT={self.port}\n"
        if self.database:
            # Every record is stored, so that the counts of log and history must be equal.
            text += f"DATABASE_URL={self.database.url}\nCOLLECTOR_ID=install\nHISTORY_DEDUP=off\n"
        path.write_text(text)
        self.manager.start()
        self.say("the service is ready (READY=1)")

    def router_connects(self):
        """A router sends its table, and changes until the end of the test."""
        words = ["bmpgen", "table", "--to", f"127.0.0.1:{self.port}", "--router", "edge1", "--reconnect"]
        words += ["--prefixes", PREFIXES, "--churn", CHURN, "--duration", LOAD_S]
        self.router = self.rig.spawn(self.root.command(*words), self.rig.work / "router.log")
        rows = until("routes arrive", lambda: self.rows() >= PREFIXES and self.rows(), seconds=120)
        self.say(f"a router connected; {rows} records {'in the database' if self.database else 'in the log'}")
        if self.database:
            peers = json.loads(self.root.run("holdfast", "query", "peers", "--format", "json", user="noc"))
            checked([peer["router"] for peer in peers] == ["edge1"], f"holdfast query peers: {peers}")
            self.say("an operator runs `holdfast query peers`: edge1")
        code, out = self.root.try_run("holdfast", "status", user="noc")
        checked(code in (0, 1) and "edge1" in out, f"holdfast status: {code}\n{out}")
        self.say(f"an operator runs `holdfast status`: {out.splitlines()[0].strip()}")

    def rows(self):
        """Number of records that arrived: in the database, or durable in the log."""
        if self.database:
            try:
                return int(self.database.rows("SELECT count(*) FROM route_records")[0][0])
            except RuntimeError:
                return 0
        return self._figures(user="holdfast").get("records_durable", 0)

    def _figures(self, user):
        """The numbers of the status document by their keys; the first one if a key is there several times."""
        _, out = self.root.try_run("holdfast", "status", "--json", user=user)
        figures = {}
        for key, value in re.findall(r'^ *"(\w+)": (-?\d+)', out, re.MULTILINE):
            figures.setdefault(key, int(value))
        return figures

    def log_id(self):
        stat_of = json.loads(
            self.root.run("walctl", "stat", "--json", "/var/lib/holdfast/wal", user="holdfast")
        )
        return stat_of["log_id"]

    def change(self, verb, package):
        """Installs another version under load: the service restarts, and log and settings remain."""
        log, settings, process = (
            self.log_id(),
            (self.root.path / ENV.lstrip("/")).read_text(),
            self.manager.process,
        )
        calls, rows = self.install(package), self.rows()
        checked("try-restart holdfast.service" in calls, f"systemctl calls of the {verb}: {calls}")
        checked(self.manager.process is not process, "the service was not restarted")
        checked(self.log_id() == log, f"the {verb} changed the log id")
        checked(
            (self.root.path / ENV.lstrip("/")).read_text() == settings, f"the {verb} changed the settings"
        )
        checked(self.root.stat(ENV) == "root:holdfast 640", f"{ENV} is {self.root.stat(ENV)}")
        until("the router sends its table again", lambda: self.rows() >= rows + PREFIXES, seconds=120)
        self.say(
            f"{verb} under load to {self._version()}: restarted once, same log, settings kept, routes arrive"
        )

    def _version(self):
        return self.root.run("dpkg-query", "-W", "-f", "${Version}", "holdfast").strip()

    def proof(self):
        """Everything that was logged is stored exactly once."""
        self.router.terminate()
        self.router.wait()
        if not self.database:
            self.say("delivery: SKIPPED, no database")
            return

        def delivered():
            figures = self._figures(user="noc")
            positions = {figures.get(key) for key in ("written", "durable", "delivered")}
            return figures.get("lag_routes") == 0 and len(positions) == 1

        until("everything is delivered", delivered, seconds=120)
        logged, stored, *faults = self.database.rows(
            "SELECT sum(ledger_records), sum(stored_records), sum(missing), sum(doubled), sum(gap_seqs), "
            "sum(ledger_breaks), count(*) - 1 FROM holdfast_verify('install')"
        )[0]
        checked(logged == stored and set(faults) == {"0"}, f"holdfast_verify: {logged} {stored} {faults}")
        self.say(f"holdfast_verify: {stored} records of one log, 0 missing, 0 double, 0 gaps")

    def remove(self):
        """`remove` keeps log and settings; `purge` keeps nothing."""
        user = id_of(self.root, "holdfast")
        count = len(self.manager.calls)
        self.root.run("apt-get", "remove", "--yes", "holdfast")
        checked(
            "stop holdfast.service" in self.manager.calls_since(count), "the removal did not stop the service"
        )
        checked(
            self.root.has("/var/lib/holdfast/wal") and self.root.has(ENV), "remove deleted log or settings"
        )
        self.say("remove: service stopped, log and settings kept")
        self.root.run("apt-get", "purge", "--yes", "holdfast")
        self.root.run("userdel", "noc")
        left = sorted(path for path in self.root.files() - self.before if not path.startswith("run/"))
        checked(not left, f"purge left {left[:20]}")
        checked("holdfast" not in self.root.users(), "purge left the user or group holdfast")
        folders = [path for path in self.root.path.iterdir() if path.name not in ("proc", "sys", "dev")]
        owned = [path for folder in folders for path in folder.rglob("*") if _owner(path) == user]
        checked(not owned, f"purge left files of the user: {owned[:20]}")
        self.say("purge: nothing left (files, user and group compared with the clean root)")


def _owner(path):
    try:
        found = path.lstat()
    except OSError:
        return None
    # Sockets of the test itself.
    return None if stat.S_ISSOCK(found.st_mode) else found.st_uid


def run(rig, suite, database, packages, say):
    """All steps with the packages of the earlier and of this version."""
    earlier, current = packages
    installation = Installation(rig, suite, database, say)
    installation.first_installation(earlier)
    installation.operator()
    installation.start()
    installation.router_connects()
    installation.change("upgrade", current)
    installation.change("downgrade", earlier)
    installation.change("upgrade", current)
    installation.proof()
    installation.remove()
