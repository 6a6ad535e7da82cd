"""A clean root of a release of Debian or Ubuntu, in which commands run as in a container."""

import os
import pathlib
import pwd
import shutil
import subprocess

from ..faults.rig import Skipped, checked

# The releases of Ubuntu; all other suites are of Debian.
UBUNTU = ("jammy", "noble")
UBUNTU_KEYS = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
# Folders that package managers write, beside the files of packages.
BOOKKEEPING = (
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "var/log",
    "var/lib/rpm",
    "proc",
    "tmp",
    "usr/lib/sysimage",
)
# Files that belong to the test, or that list the users; these are compared by name.
SHARED = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid")


def _of_lib(command):
    """The output of a function of tools/testbed/lib.sh."""
    lib = pathlib.Path(__file__).resolve().parents[2] / "testbed" / "lib.sh"
    script = ["bash", "-c", f'. "$1" && {command}', "bash", str(lib)]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip()


def archive_of(suite):
    """The address of the suite's archive, which must be among the package sources of this machine."""
    origin = "Ubuntu" if suite in UBUNTU else "Debian"
    uri = _of_lib(f"archive_uri {origin} apt-get")
    if not uri:
        raise Skipped(f"this machine's package sources contain no archive of {origin}")
    return uri


class Root:
    """A folder with the files of a minimal installation."""

    def __init__(self, rig, suite, packages):
        self.rig, self.suite = rig, suite
        self.path = rig.folder(suite)
        if os.geteuid() != 0:
            raise Skipped("a root needs the rights of root")
        rig.needs("mmdebstrap", "mmdebstrap")
        archive = self._archive(suite, packages)
        rig.run("tar", "-xf", archive, "-C", self.path, "--numeric-owner")
        rig.mount(self.path / "proc", "-t", "proc", "proc")

    def _archive(self, suite, packages):
        """The packed root, which is made at the first use."""
        cache = pathlib.Path(_of_lib("cache_dir"))
        kept = cache / f"root-{suite}-{'-'.join(sorted(packages))}.tar"
        if kept.exists():
            return kept
        uri = archive_of(suite)
        partial = kept.with_suffix(f".{os.getpid()}.tar")
        command = ["mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(packages)}"]
        if suite in UBUNTU:
            command += ["--components=main,universe", f"--keyring={UBUNTU_KEYS}"]
        done = subprocess.run(
            [*command, suite, str(partial), uri], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            partial.unlink(missing_ok=True)
            raise Skipped(f"mmdebstrap {suite}: {done.stderr.strip().splitlines()[-1]}")
        partial.rename(kept)
        return kept

    def command(self, *words, user=None, environment=None):
        """The words of a command that runs in the root, with an environment of its own."""
        pairs = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "HOME": "/root",
            **(environment or {}),
        }
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        pairs = [f"{name}={value}" for name, value in pairs.items()]
        return ["chroot", str(self.path), *drop, "env", "-i", *pairs, *map(str, words)]

    def try_run(self, *words, **how):
        """Runs a command in the root; returns exit code and output."""
        done = subprocess.run(
            self.command(*words, **how),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def run(self, *words, **how):
        """Runs a command in the root that must succeed; returns its output."""
        code, out = self.try_run(*words, **how)
        checked(code == 0, f"{' '.join(map(str, words))}: exit code {code}\n{out[-2000:]}")
        return out

    def has(self, path):
        """Whether the path exists in the root."""
        return os.path.lexists(self.path / path.lstrip("/"))

    def copy(self, source, target):
        """Copies a file of the machine into the root."""
        shutil.copy(source, self.path / target.lstrip("/"))

    def stat(self, path):
        """Owner, group and mode of a file, by the names of the root, such as `root:holdfast 640`."""
        return self.run("stat", "-c", "%U:%G %a", path).strip()

    def users(self):
        """The names of users and groups."""
        return {
            line.split(":")[0]
            for name in ("passwd", "group")
            for line in (self.path / "etc" / name).read_text().splitlines()
        }

    def files(self):
        """All paths in the root, except those of the package managers and those that list the users."""
        found = set()
        for folder, folders, files in os.walk(self.path):
            relative = os.path.relpath(folder, self.path)
            folders[:] = [
                name for name in folders if os.path.normpath(os.path.join(relative, name)) not in BOOKKEEPING
            ]
            for name in [*files, *folders]:
                path = os.path.normpath(os.path.join(relative, name))
                if path.rstrip("-") not in SHARED:
                    found.add(path)
        return found


def id_of(root, user):
    """The number of a user of the root."""
    for line in (root.path / "etc" / "passwd").read_text().splitlines():
        name, _, number = line.split(":")[:3]
        if name == user:
            return int(number)
    return pwd.getpwnam(user).pw_uid
