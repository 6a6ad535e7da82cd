"""The Ansible role in the root of a Debian release, with that release's Ansible and a connection of type
local."""

import json
import re
import shutil

from ..faults.rig import checked, free_port
from .debian import ENV, PACKAGES
from .manager import Manager
from .root import Root

SECRET = "correct-horse-battery"
FOLDER = "/root/ansible"


class Controller:
    """Runs the role with variables."""

    def __init__(self, root, package):
        self.root, self.port = root, free_port()
        folder = root.path / FOLDER.lstrip("/")
        shutil.copytree(root.rig.root / "deploy/ansible", folder)
        root.copy(package, f"{FOLDER}/{package.name}")
        self.variables = {
            "holdfast_package": f"{FOLDER}/{package.name}",
            "holdfast_settings": {"BMP_LISTEN": f"127.0.0.1:{self.port}", "LOG_LEVEL": "INFO"},
        }
        plays = [{"hosts": "localhost", "gather_facts": True, "roles": ["holdfast"]}]
        # JSON is YAML.
        (folder / "play.yml").write_text(json.dumps(plays))

    def try_run(self, *options, **changed):
        """Runs the role; returns the exit code, the number of changed tasks, and the output."""
        variables = {**self.variables, **changed}
        (self.root.path / FOLDER.lstrip("/") / "variables.json").write_text(json.dumps(variables))
        code, out = self.root.try_run(
            "ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"@{FOLDER}/variables.json",
            *options, f"{FOLDER}/play.yml",
            environment={"ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        found = re.search(r"changed=(\d+)", out)
        return code, int(found[1]) if found else None, out

    def run(self, *options, **changed):
        """The same, for a run that must succeed; returns the number of changed tasks and the output."""
        code, count, out = self.try_run(*options, **changed)
        checked(code == 0, f"ansible-playbook: exit code {code}\n{out[-3000:]}")
        return count, out


def run(rig, suite, package, say):
    """Installation, a run without changes, changed, secret and wrong settings, and an operator."""
    root = Root(rig, suite, [*PACKAGES, "ansible-core", "python3-apt"])
    manager, controller = Manager(root), Controller(root, package)
    version = root.run("ansible-playbook", "--version", environment={"LC_ALL": "C.UTF-8"}).split("\n")[0]
    count, _ = controller.run()
    checked(manager.process and manager.enabled, f"systemctl calls: {manager.calls}")
    checked(root.stat(ENV) == "root:holdfast 640", f"{ENV} is {root.stat(ENV)}")
    say(f"{version}: installed, enabled, started: {count} tasks changed something")
    count, out = controller.run()
    checked(count == 0, f"the second run changed {count} tasks:\n{out[-3000:]}")
    say("second run: changed=0")
    _changed_settings(root, manager, controller, say)
    _wrong_settings(root, manager, controller, say)
    _secrets(root, manager, controller, say)
    root.run("useradd", "noc")
    controller.run(holdfast_operators=["noc"])
    code, out = root.try_run("holdfast", "check-config", user="noc")
    checked(code == 0, f"check-config of an operator: exit code {code}\n{out}")
    count, out = controller.run(holdfast_operators=["noc"])
    checked(count == 0, f"an operator is added again:\n{out[-3000:]}")
    say("an operator reads the settings")
    manager.stop()


def _changed_settings(root, manager, controller, say):
    """Changed settings reload the service, and restart it if that is wanted."""
    process, settings = manager.process, controller.variables["holdfast_settings"]
    settings["LOG_LEVEL"] = "DEBUG"
    seen = len(manager.calls)
    count, out = controller.run("--diff")
    checked("+LOG_LEVEL='DEBUG'" in out, f"no difference is shown:\n{out[-3000:]}")
    calls = manager.calls_since(seen)
    checked("reload holdfast" in calls and manager.process is process, f"systemctl calls: {calls}")
    settings["LOG_LEVEL"] = "INFO"
    controller.run(holdfast_on_change="restart")
    checked(manager.process is not process, "the service was not restarted")
    say(f"a changed setting: {count - 1} file, then reloaded; restarted with holdfast_on_change")


def _wrong_settings(root, manager, controller, say):
    """Settings that Holdfast rejects do not replace the file."""
    path = root.path / ENV.lstrip("/")
    before, process = path.read_text(), manager.process
    for wrong, message in [
        ({"LOG_LEVEL": "LOUD"}, "expected one of TRACE, DEBUG"),
        ({"BMP_LISTEN": "it's"}, "without single quotes"),
    ]:
        given = {**controller.variables["holdfast_settings"], **wrong}
        code, _, out = controller.try_run(holdfast_settings=given)
        checked(code != 0 and path.read_text() == before, f"{wrong} was accepted:\n{out[-2000:]}")
        checked(message in out, f"expected {message}:\n{out[-2000:]}")
        checked(manager.process is process, "the service was restarted")
    say("a wrong setting: the run fails with check-config's message; file and service are unchanged")


def _secrets(root, manager, controller, say):
    """Secrets are stored where only the service reads them, and never shown."""
    process = manager.process
    secrets = {
        "holdfast_secret_settings": {"HTTP_TOKEN": SECRET, "HTTP_LISTEN": f"127.0.0.1:{free_port()}"},
        "holdfast_db_password": SECRET,
    }
    _, out = controller.run("-vvv", "--diff", **secrets)
    shown = [line for line in out.splitlines() if SECRET in line]
    checked(not shown, f"the output has a secret: {shown[:3]}")
    credential = "/etc/credstore/holdfast.db_password"
    checked(root.stat(credential) == "root:root 600", f"{credential} is {root.stat(credential)}")
    checked(SECRET in (root.path / ENV.lstrip("/")).read_text(), f"{ENV} has no token")
    checked(manager.process is not process, "a new password does not restart the service")
    count, out = controller.run(**secrets)
    checked(count == 0, f"secrets are written again:\n{out[-2000:]}")
    say("secrets: not in the output of -vvv --diff; second run: changed=0")
