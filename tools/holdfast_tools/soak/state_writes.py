"""The state after as many writes as the collector makes in 30 days, by `bench state`: a run of some minutes
cannot make them, because the collector writes the position of the state once a second."""

import json
import pathlib
import shutil
import subprocess
import tempfile

from . import judge
from .events import DAYS

DAY = 86_400
# Growth of the directory in the second half of the writes. The file of sled grows in steps of 512 KiB.
ALLOWED_KIB = 576
# Each write waits for a sync, which costs nothing here.
MEMORY = pathlib.Path("/dev/shm")


def line(rig, is_short):
    """The line of the verdict. The short form writes as often as in a tenth of the time."""
    writes = DAYS * DAY // (10 if is_short else 1)
    name = f"state after {writes:,} writes"
    if not pathlib.Path(rig.program("bench")).is_file():
        return judge.Line(name, "-", "-", "needs bench beside holdfast", None)
    folder = tempfile.mkdtemp(prefix="soak-", dir=MEMORY if MEMORY.is_dir() else rig.work)
    rig.stack.callback(shutil.rmtree, folder, ignore_errors=True)
    command = [rig.program("bench"), "state", "--directory", f"{folder}/state", "--writes", str(writes)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        return judge.Line(name, "-", done.stderr.strip(), "exit code 0", False)
    return judged(name, json.loads(done.stdout)["sizes"])


def judged(name, sizes):
    """Compares the largest sizes of the two halves; the file is compacted in between, so that it varies."""
    half = len(sizes) // 2
    first, second = (max(size["bytes"] for size in part) for part in (sizes[:half], sizes[half:]))
    grown = (second - first) / judge.KIB
    return judge.Line(
        name,
        f"{second / judge.KIB:,.1f} KiB",
        f"{grown:+,.2f} KiB from the first half to the second",
        f"flat: at most +{ALLOWED_KIB} KiB",
        grown <= ALLOWED_KIB,
    )
