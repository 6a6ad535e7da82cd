"""Installs the packages of a release in clean roots, and tries them out: the service under the notify
protocol, a router, rows in a database, an upgrade and a downgrade under load, and a removal that leaves
nothing.

  tools/release --test                   Debian 12 and 13, Ubuntu 22.04 and 24.04, and the rpm package
  tools/release --test bookworm          one release
  tools/release --test --only ansible    the tests whose name contains this text
  tools/release --test --previous FILE   upgrade from this package, default: the same programs, packaged as an
                                         earlier version

Needs root, mmdebstrap and the package archive of Debian at the first use. systemd does not run in a root
without an init: a stand-in reads the packaged unit, and answers `systemctl`. What cannot be tested is printed
as SKIPPED, with the reason. Exits with 1 if a test failed.
"""

import argparse
import contextlib
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from ..faults.database import Server
from ..faults.rig import Rig, Skipped, Violation, private_mounts
from . import ansible, debian, documents, rpm
from .root import UBUNTU, archive_of

ROOT = pathlib.Path(__file__).resolve().parents[3]
SUITES = ["bookworm", "trixie", *UBUNTU]


def arguments():
    parser = argparse.ArgumentParser(
        prog="tools/release --test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: bookworm trixie jammy noble")
    parser.add_argument("--dist", type=pathlib.Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--previous", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="TEXT")
    return parser.parse_args()


def only(folder, pattern):
    """The one file of this pattern without debug symbols."""
    found = [path for path in folder.glob(pattern) if "dbgsym" not in path.name]
    if len(found) != 1:
        raise Skipped(f"{folder}/{pattern}: {len(found)} files, expected one; run tools/release first")
    return found[0]


def earlier(dist, given, work):
    """The package to upgrade from."""
    if given:
        return given
    # `~` sorts before everything else, hence this version is older than the one of the release. The programs
    # are copied because the tool writes its folder anew, without debug symbols because packing them takes
    # minutes.
    out, programs = work / "earlier", work / "programs"
    version = only(dist, "*.deb").name.split("_")[1].rsplit("-", 1)[0] + "~earlier"
    shutil.copytree(ROOT / "target/package/stripped", programs)
    command = [ROOT / "tools/release", "--programs", programs, "--out", out, "--version", version]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Skipped(f"the earlier package could not be built: {done.stderr.strip()[-300:]}")
    return only(out, "*.deb")


# Complaints that are accepted, each with its reason.
ACCEPTED = {
    "bogus-mail-host": "the project has no mail address; a distributor sets the maintainer",
    "non-readable": "the settings may hold a password",
    "no-signature": "packages are signed by those who publish them",
    "no-packager-tag": "cargo-generate-rpm does not write it",
    "no-group-tag": "cargo-generate-rpm does not write it",
    "no-changelogname-tag": "cargo-generate-rpm does not write it; CHANGELOG.md is in the package",
    "no-buildhost-tag": "it would make each build different",
}


def lint(name, command, package, mark):
    """Runs a checker of packages; returns whether it found an error that is not accepted."""
    if shutil.which(command[0]) is None:
        print(f"SKIPPED: {name}: not found; run: apt-get install {name}")
        return False
    done = subprocess.run([*command, str(package)], capture_output=True, text=True)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if mark in line]
    accepted = {tag for tag in ACCEPTED if any(tag in line for line in errors)}
    errors = [line for line in errors if not any(tag in line for tag in accepted)]
    for line in errors:
        print(f"   {line[:200]}")
    for tag in sorted(accepted):
        print(f"   accepted: {tag}: {ACCEPTED[tag]}")
    print(f"{'FAILED ' if errors else 'ok     '} {name}: {len(errors)} errors", flush=True)
    return bool(errors)


class Run:
    """One test after another, with a transcript."""

    def __init__(self, only):
        self.failed = self.skipped = self.passed = 0
        self.only = only

    def test(self, name, action):
        """Runs one test, unless another one was asked for."""
        if self.only.lower() not in name.lower():
            return
        print(f"== {name}", flush=True)
        try:
            # The folder is deleted after the mounts in it have ended.
            with (
                tempfile.TemporaryDirectory(prefix="holdfast-packages-") as work,
                contextlib.ExitStack() as stack,
            ):
                rig = Rig(ROOT, ROOT / "target/package/release", work, 1, stack)
                action(rig, stack, lambda text: print(f"   {text}", flush=True))
            print(f"ok      {name}", flush=True)
            self.passed += 1
        except Skipped as reason:
            print(f"SKIPPED: {name}: {reason}", flush=True)
            self.skipped += 1
        except (Violation, RuntimeError, OSError, ValueError) as reason:
            print(f"FAILED  {name}: {reason}", flush=True)
            self.failed += 1


def database(rig):
    """A database for the collector, or None with a line that says why there is none."""
    try:
        return Server(rig, "packages").database()
    except Skipped as reason:
        print(f"SKIPPED: delivery: {reason}", flush=True)
        return None


def main():
    given = arguments()
    run = Run(given.only)
    # Mounts, processes and servers end in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    private_mounts()
    with tempfile.TemporaryDirectory(prefix="holdfast-earlier-") as work:
        try:
            current = only(given.dist, "*.deb")
            packages = (earlier(given.dist, given.previous, pathlib.Path(work)), current)
        except Skipped as reason:
            sys.exit(f"SKIPPED: {reason}")
        print(f"packages: {packages[0].name} and {packages[1].name}", flush=True)
        for suite in given.suites or SUITES:
            try:
                archive_of(suite)
            except Skipped as reason:
                print(f"SKIPPED: packages in {suite}: {reason}")
                run.skipped += 1
                continue
            run.test(
                f"Debian package in {suite}",
                lambda rig, _, say, suite=suite: debian.run(rig, suite, database(rig), packages, say),
            )
            run.test(
                f"commands of docs/START.md and docs/INSTALL.md in {suite}",
                lambda rig, _, say, suite=suite: documents.run(rig, suite, database(rig), packages, say),
            )
            run.test(
                f"Ansible role in {suite}",
                lambda rig, _, say, suite=suite: ansible.run(rig, suite, current, say),
            )
        run.test(
            "rpm package (program rpm in a Debian root)",
            lambda rig, _, say: rpm.run(rig, "bookworm", only(given.dist, "*.rpm"), say),
        )
    print("SKIPPED: rpm distributions: this machine has no repository of one")
    # Not the debug symbols, which are a package made automatically, without documents.
    run.failed += lint("lintian", ["lintian", "--fail-on", "none"], current, "E: ")
    run.failed += lint("rpmlint", ["rpmlint"], only(given.dist, "*.rpm"), ": E: ")
    print(f"{run.passed} passed, {run.failed} failed, {run.skipped} skipped")
    sys.exit(1 if run.failed else 0)


if __name__ == "__main__":
    main()
