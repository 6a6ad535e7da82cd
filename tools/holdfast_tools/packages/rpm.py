"""The rpm package, with the program rpm in a Debian root: no archive of an rpm distribution can be reached
here. Dependencies are printed, not resolved."""

from ..faults.rig import checked
from .manager import Manager
from .root import Root

PACKAGES = ["systemd-standalone-sysusers", "systemd-standalone-tmpfiles", "rpm"]
ENV = "/etc/holdfast/holdfast.env"


def run(rig, suite, package, say):
    """Installation, a changed configuration file, reinstallation and removal."""
    root = Root(rig, suite, PACKAGES)
    manager = Manager(root)
    root.copy(package, "/tmp/holdfast.rpm")
    requires = [
        line.split("(")[0] for line in root.run("rpm", "-qp", "--requires", "/tmp/holdfast.rpm").split("\n")
    ]
    say(f"requires: {', '.join(sorted({name for name in requires if name}))}")
    # rpm's lock and scripts need its database, and Debian's is empty.
    root.run("rpm", "--initdb")
    root.run("rpm", "-i", "--nodeps", "/tmp/holdfast.rpm")
    checked(root.stat(ENV) == "root:holdfast 640", f"{ENV} is {root.stat(ENV)}")
    checked(root.stat("/var/lib/holdfast") == "holdfast:holdfast 750", root.stat("/var/lib/holdfast"))
    checked(not any(call.startswith(("start", "enable")) for call in manager.calls), f"{manager.calls}")
    root.run("holdfast", "--version")
    settings = root.path / ENV.lstrip("/")
    settings.write_text(settings.read_text() + "\nBMP_LISTEN_HOST=127.0.0.1\nBMP_LISTEN_PORT=0\n")
    manager.start()
    say("installed; the service is ready (READY=1)")
    kept = settings.read_text()
    root.run("rpm", "-U", "--force", "--nodeps", "/tmp/holdfast.rpm")
    checked(settings.read_text() == kept, "the upgrade replaced the settings")
    checked("try-restart holdfast.service" in manager.calls, f"systemctl calls: {manager.calls}")
    say("upgraded: restarted, settings kept")
    root.run("rpm", "-e", "holdfast")
    checked(not root.has("/usr/bin/holdfast"), "the removal left the program")
    checked(root.has("/var/lib/holdfast/wal"), "the removal deleted the log")
    checked(any(call.startswith("disable") for call in manager.calls), f"systemctl calls: {manager.calls}")
    manager.stop()
    say("removed: log and changed settings remain")
