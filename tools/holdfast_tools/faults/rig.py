"""The environment of a fault's run: folder, programs, and processes and mounts that end with the run."""

import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
PR_SET_PDEATHSIG = 1
# Limit of a wait, so that a condition that is never fulfilled ends the run. No other decision uses a clock.
PATIENCE_S = 60
# Wait for an event that must not occur: long enough for a loaded machine.
RED_S = 5


class Skipped(Exception):
    """The fault cannot be run on this machine; the text is the reason."""


class Violation(Exception):
    """The collector violated its guarantee."""


def checked(condition, what):
    """Raises a `Violation` with the text `what` unless `condition` holds."""
    if not condition:
        raise Violation(what)


def noticed(what, action):
    """Returns the text of the `Violation` that `action` must raise; fails if it raises none."""
    try:
        action()
    except Violation as violation:
        return str(violation)
    raise Violation(f"the check did not detect {what}")


def spend(budget, totals, cycle):
    """Runs cycles until the budget is spent; returns the totals."""
    while budget.more(totals["cycles"]):
        cycle()
        budget.report(totals)
    return totals


def private_mounts():
    """Gives this process a mount namespace of its own, which ends with its last process."""
    if os.geteuid() != 0:
        return
    if LIBC.unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=False, stderr=subprocess.DEVNULL)


def _end_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Rig:
    """One run of one fault."""

    def __init__(self, root, programs, work, seed, stack, gib=None):
        self.root, self.programs, self.work = pathlib.Path(root), pathlib.Path(programs), pathlib.Path(work)
        self.random = random.Random(seed)
        self.stack, self.gib = stack, gib
        self.work.mkdir(parents=True, exist_ok=True)
        self._names, self._mounts = 0, set()

    def program(self, name):
        return str(self.programs / name)

    def folder(self, name):
        """A new empty folder."""
        self._names += 1
        path = self.work / f"{name}-{self._names}"
        path.mkdir()
        return path

    def spawn(self, command, log, environment=None, cwd=None):
        """Starts a process that is killed at the end of the run."""
        with open(log, "ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                cwd=cwd,
                preexec_fn=_end_with_parent,
            )
        self.stack.callback(end, process)
        return process

    def run(self, *command, accept=(0,)):
        """Runs a command that must succeed; returns its standard output."""
        done = subprocess.run(
            [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode not in accept:
            raise RuntimeError(
                f"{' '.join(map(str, command))}: exit code {done.returncode}\n"
                f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done.stdout

    @staticmethod
    def quiet(*command):
        """Runs a command without output; returns whether it succeeded."""
        return (
            subprocess.run(
                [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True
            ).returncode
            == 0
        )

    def code(self, program, *arguments):
        """Runs one of the programs under test; returns its exit code."""
        command = [self.program(program), *map(str, arguments)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode

    def records(self, wal, first, last="", torn=()):
        """The records of these batches, as walctl prints them. Only `torn` numbers may be in a gap."""
        command = [self.program("walctl"), "dump", wal, "--json", "--seq", f"{first}..{last}"]
        # Exit code 2 reports a gap.
        records = [json.loads(line) for line in self.run(*command, accept=(0, 2)).splitlines()]
        for gap in [record for record in records if record["record"] == "gap"]:
            lost = set(range(gap["seq"], gap["seq_to"] + 1)) - set(torn)
            checked(not lost, f"walctl dump reports a gap in batches that were durable: {gap}")
        return records

    def mount(self, path, *arguments):
        """Creates `path` and mounts there; unmounts at the end of the run."""
        path.mkdir(exist_ok=True)
        if os.geteuid() != 0:
            raise Skipped("mounting needs root")
        done = subprocess.run(["mount", *map(str, arguments), str(path)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skipped(f"mount {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        if path not in self._mounts:
            self._mounts.add(path)
            self.stack.callback(unmount, path)

    def needs(self, program, package):
        if shutil.which(program) is None:
            raise Skipped(f"{program} is not installed (package {package})")


def end(process):
    """Sends SIGKILL and waits for the end of the process."""
    if process.poll() is None:
        process.kill()
    process.wait()


def unmount(path):
    """Unmounts everything at `path`."""
    while os.path.ismount(path):
        if subprocess.run(["umount", str(path)], stderr=subprocess.DEVNULL).returncode != 0:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


def rig_time():
    """The current time in the format of the log."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=PATIENCE_S, rest=0.01):
    """Polls until `condition` returns a true value, and returns that value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Violation(f"timeout after {seconds} s: {what}")
        time.sleep(rest)


class Collector:
    """The daemon, started and killed repeatedly in the same folders."""

    def __init__(self, rig, home, wal=None, name="torture", url=None, **settings):
        self.rig, self.home, self.name, self.url = rig, pathlib.Path(home), name, url
        self.wal = pathlib.Path(wal or self.home / "wal")
        self.state = self.home / "state"
        # Not in the state folder, which may be on a disk whose power is cut. The path of a socket has at most
        # 107 bytes.
        self.socket = pathlib.Path(f"/tmp/torture-{os.getpid()}-{id(self):x}.sock")
        rig.stack.callback(lambda: self.socket.unlink(missing_ok=True))
        self.log = rig.work / f"{name}-{id(self):x}.log"
        self.port = free_port()
        self.settings = settings
        self.process = None

    def environment(self):
        values = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "COLLECTOR_ID": self.name,
            "LOG_FORMAT": "json",
            "BMP_LISTEN_HOST": "127.0.0.1",
            "BMP_LISTEN_PORT": self.port,
            "STATUS_SOCKET": self.socket,
            "STATE_DIR": self.state,
            "WAL_DIR": self.wal,
            "WAL_SEGMENT_BYTES": "16MiB",
            "WAL_MAX_BYTES": "96MiB",
            "WAL_MIN_FREE_PERCENT": 0,
            "HISTORY_DEDUP": "off",
            # As in deploy/systemd/holdfast.service.
            "MALLOC_MMAP_THRESHOLD_": 131_072,
        }
        if self.url:
            values["DATABASE_URL"] = self.url
        values.update(self.settings)
        return {name: str(value) for name, value in values.items()}

    def start(self, before=(), **environment):
        """Starts the daemon; `before` is put in front of the command line, for example strace."""
        environment = {**self.environment(), **environment}
        self.process = self.rig.spawn(
            [*before, self.rig.program("holdfast")], self.log, environment, cwd=self.rig.work
        )
        return self

    def ready(self):
        """Waits until the status socket answers; an exit of the collector is a violation."""
        until("the collector answers", lambda: self.status() or self.must_run())
        return self

    def must_run(self):
        code = self.process.poll()
        checked(code is None, f"the collector exited with {code}: {self.last_words()}")

    def last_words(self):
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(line[:400] for line in lines[-3:])

    def said(self, event):
        """The log lines with this event."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                fields = json.loads(line)
                if fields.get("event") == event:
                    found.append(fields)
        return found

    def status(self):
        """The document of the status socket; None if it does not answer."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(self.socket))
                parts = []
                while part := client.recv(1 << 16):
                    parts.append(part)
            return json.loads(b"".join(parts))
        except (OSError, ValueError):
            return None

    def kill(self):
        end(self.process)

    def stop(self):
        """Stops the daemon with SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)


class Sender:
    """bmpgen as a router: sends a table and then changes. Equal arguments send equal routes."""

    TABLE = 4000

    def __init__(self, rig, port, seed=1, rate=60_000, name=None, reconnect=False):
        self.rig = rig
        arguments = ["--to", f"127.0.0.1:{port}", "--rate", rate, "--duration", 3600]
        if reconnect:
            arguments += ["--reconnect", "--connect-seconds", 3600]
        command = [rig.program("bmpgen"), *self.arguments(seed, rate, name or f"edge{seed}"), *arguments]
        self.process = rig.spawn([str(word) for word in command], rig.work / "senders.log")
        self.since = time.monotonic()

    @classmethod
    def arguments(cls, seed, rate, name):
        return ["table", "--prefixes", cls.TABLE, "--churn", rate, "--seed", seed, "--router", name]

    @classmethod
    def truth(cls, rig, seed, routes, rate=60_000):
        """The routes that it sends, in order: (prefix, withdrawn, AS path)."""
        path = rig.work / f"truth-{seed}.jsonl"
        arguments = cls.arguments(seed, rate, f"edge{seed}")
        rig.run(
            rig.program("bmpgen"),
            *arguments,
            "--duration",
            -(-routes // rate),
            "--out",
            "/dev/null",
            "--truth",
            path,
        )
        truth = []
        with open(path) as lines:
            for line in lines:
                route = json.loads(line)
                path_text = [number for _, numbers in route.get("as_path", []) for number in numbers]
                truth.append((route["prefix"], route["action"] == "withdraw", path_text))
        return truth

    def kill(self):
        end(self.process)


class Load:
    """Batches and records that were logged while a sender was running."""

    def __init__(self):
        self.records = self.seconds = 0

    def add(self, promise, sender):
        """Adds the end of a run: what it logged, and since when there was a sender."""
        if sender and promise.tail:
            self.records += promise.tail.records
            self.seconds += time.monotonic() - sender.since

    def totals(self):
        return {
            "records logged": self.records,
            "a second": round(self.records / self.seconds) if self.seconds else 0,
        }
