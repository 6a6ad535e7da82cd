"""Runs every command of docs/START.md and docs/INSTALL.md in a clean root."""

import time

from ..faults.rig import checked, until
from .debian import ENV, Installation


def commands(path):
    """The lines of the page's blocks of shell commands."""
    is_shell, found = False, []
    for line in path.read_text().splitlines():
        if line.startswith("```"):
            is_shell = line == "```sh"
        elif is_shell:
            found.append(line)
    return found


class Reader:
    """Somebody who follows a page, as root, in a folder with one package."""

    def __init__(self, installation):
        self.installation, self.root = installation, installation.root
        self.folder = self.root.path / "root"

    def receive(self, package):
        """Replaces the package in the folder."""
        for old in self.folder.glob("*.deb"):
            old.unlink()
        self.root.copy(package, f"/root/{package.name}")

    def follow(self, line):
        """Runs a line, with the port and the database of this test."""
        installation = self.installation
        here = line.replace("127.0.0.1:11019", f"127.0.0.1:{installation.port}")
        if installation.database:
            here = here.replace("postgres://holdfast@db.example.net/holdfast", installation.database.url)
        code, out = self.root.try_run(
            "sh", "-c", f"cd /root && {here}", environment={"DEBIAN_FRONTEND": "noninteractive"}
        )
        # Degraded: no router is connected.
        accepted = (0, 1) if line.startswith("holdfast status") else (0,)
        checked(code in accepted, f"{line}: exit code {code}\n{out[-1500:]}")
        return out

    def listen_on_loopback(self):
        """The test uses a free port of the loopback interface."""
        path = self.root.path / ENV.lstrip("/")
        port = self.installation.port
        path.write_text(path.read_text() + f"\nBMP_LISTEN_HOST=127.0.0.1\nBMP_LISTEN_PORT={port}\n")


def start(installation, package, say):
    """The five-minute start."""
    reader, began = Reader(installation), time.monotonic()
    reader.receive(package)
    lines = commands(installation.rig.root / "docs" / "START.md")
    for line in lines:
        if not installation.database and line.startswith(
            ('echo "DATABASE_URL', "holdfast query", "holdfast forget")
        ):
            continue
        out = reader.follow(line)
        if line.startswith("apt-get install"):
            reader.listen_on_loopback()
        elif line.startswith("bmpgen"):
            until("the routes arrive", lambda: installation.rows() >= 1000, seconds=120)
        elif line.startswith("holdfast query routers"):
            checked("test" in out, f"{line}: {out}")
    say(f"docs/START.md: {len(lines)} commands in {time.monotonic() - began:.0f} s")


def install(installation, packages, say):
    """Installation, upgrade, downgrade and removal, after the five-minute start."""
    earlier, current = packages
    reader = Reader(installation)
    versions = iter([earlier, current, earlier])
    lines = commands(installation.rig.root / "docs" / "INSTALL.md")
    for number, line in enumerate(lines):
        if line.startswith("apt-get install"):
            reader.receive(next(versions))
        # The page begins where nothing is installed, and this root where the current version is.
        reader.follow(line if number else line.replace("install", "install --allow-downgrades", 1))
    checked(not installation.root.has("/usr/bin/holdfast"), "the program is still installed")
    say(f"docs/INSTALL.md: {len(lines)} commands")


def run(rig, suite, database, packages, say):
    """Both pages, one after the other, in one root."""
    installation = Installation(rig, suite, database, say)
    start(installation, packages[1], say)
    install(installation, packages, say)
