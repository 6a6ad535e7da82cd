"""A stand-in for systemd: runs the packaged unit under the notify protocol, and answers `systemctl`."""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading

from ..faults.rig import PATIENCE_S, checked, end, until

UNIT = "holdfast.service"
# The program in the root. Scripts of packages call it, if /run/systemd/system exists.
SYSTEMCTL = """#!/bin/sh
echo "$*" >/run/manager/request
{ read -r code; text=$(cat); } </run/manager/reply
[ "$code" != 5 ] || exec >&2
[ -z "$text" ] || echo "$text"
exit "$code"
"""


class Manager:
    """Runs one service of a root."""

    def __init__(self, root):
        self.root, self.process, self.calls, self.enabled = root, None, [], False
        for folder in ("run/manager", "run/systemd/system"):
            (root.path / folder).mkdir(parents=True, exist_ok=True)
        program = root.path / "usr/bin/systemctl"
        program.write_text(SYSTEMCTL)
        program.chmod(0o755)
        for name in ("request", "reply"):
            os.mkfifo(root.path / "run/manager" / name)
        threading.Thread(target=self._serve, daemon=True).start()
        root.rig.stack.callback(self._end)

    def _end(self):
        if self.process:
            end(self.process)

    def _serve(self):
        """Answers one call after another. A call that fails has the exit code 5."""
        while True:
            try:
                with open(self.root.path / "run/manager/request") as pipe:
                    words = pipe.read().split()
            except FileNotFoundError:
                return  # The root is gone.
            try:
                if words[:2] == ["enable", "--now"]:
                    words[:2], self.enabled = ["start"], True
                reply = self._answer([word for word in words if not word.startswith("-")])
            except Exception as error:  # The package's script must end in any case.
                reply = f"5\n{error}"
            with open(self.root.path / "run/manager/reply", "w") as pipe:
                pipe.write(reply + "\n")

    def _answer(self, words):
        """The exit code and the output of a call, on lines of their own."""
        verb, units = (words or ["none"])[0], words[1:]
        self.calls.append(" ".join(words))
        if verb == "is-enabled":
            return "0\nenabled" if self.enabled else "1\ndisabled"
        state = "active" if self.process else "inactive"
        if verb == "is-active":
            return f"{0 if self.process else 3}\n{state}"
        if verb == "show":
            return f"0\nId={UNIT}\nLoadState=loaded\nActiveState={state}"
        if verb == "try-restart" and not self.process:
            return "0"
        if not {UNIT, UNIT.removesuffix(".service")}.isdisjoint(units):
            if verb in ("enable", "disable"):
                self.enabled = verb == "enable"
            if verb == "reload":
                self._reload()
            if verb in ("stop", "restart", "try-restart"):
                self.stop()
            if verb in ("start", "restart", "try-restart"):
                self.start()
        return "0"

    def _reload(self):
        """Runs the commands of the unit, as the user of the service; the first that fails is the result."""
        for command in self.unit("ExecReload"):
            pid = str(self.process.pid)
            words = [pid if word == "$MAINPID" else word for word in shlex.split(command)]
            self.root.run(*words, user="holdfast")

    def unit(self, key):
        """The values of a key of the unit, without comments."""
        for folder in ("usr/lib/systemd/system", "lib/systemd/system"):
            path = self.root.path / folder / UNIT
            if path.exists():
                return re.findall(rf"^{key}=(.*)$", path.read_text(), re.MULTILINE)
        raise RuntimeError(f"{UNIT} is not installed")

    def start(self):
        """Starts the service and waits until it is ready."""
        runtime = self.root.path / "run/holdfast"
        runtime.mkdir(mode=0o750, exist_ok=True)
        self.root.run("chown", "holdfast:holdfast", "/run/holdfast")
        path = self.root.path / "run/notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            path.chmod(0o666)
            notify.settimeout(PATIENCE_S)
            environment = dict(pair.split("=", 1) for pair in self.unit("Environment"))
            environment |= {
                "NOTIFY_SOCKET": "/run/notify",
                "STATE_DIRECTORY": "/var/lib/holdfast",
                "RUNTIME_DIRECTORY": "/run/holdfast",
                "HOME": "/var/lib/holdfast",
            }
            (command,) = self.unit("ExecStart")
            words = self.root.command(*shlex.split(command), user="holdfast", environment=environment)
            self.process = self.root.rig.spawn(words, self.root.rig.work / "service.log")
            while "READY=1" not in notify.recv(4096).decode():
                pass

    def stop(self):
        """Stops the service as systemd does, and checks that it ends in order."""
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        code = until("the service ends", lambda: self.process.poll() is not None and [self.process.wait()])
        self.process = None
        checked(code == [0], f"the service ended with {code[0]}, expected 0")

    def calls_since(self, count):
        """The calls after the first `count`."""
        return self.calls[count:]


def verify_unit(root):
    """The complaints of `systemd-analyze verify` about the unit, or None if the program is missing."""
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", f"--root={root.path}", f"/usr/lib/systemd/system/{UNIT}"],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return None
    # A root without systemd has none of the targets that every unit depends on.
    return [
        line for line in done.stderr.splitlines() if "holdfast" in line and "target not found" not in line
    ]
