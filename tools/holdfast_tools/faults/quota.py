"""Exhausted quotas: a btrfs subvolume for log and state, whose limit is raised step by step (EDQUOT).

The expected behaviour is that of a full disk. btrfs writes nothing in place, so that the quota can also be
exhausted within a segment that is already allocated.
"""

from . import full
from .rig import checked

NAME, WEIGHT, SHORT_CYCLES = "quota", 1, 0
IMAGE_BYTES = 512 << 20


class Quota(full.FullDisk):
    """As a full disk, but only the quota is exhausted."""

    def _mount(self):
        self.rig.needs("mkfs.btrfs", "btrfs-progs")
        image = self.rig.work / "quota.img"
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        self.rig.run("mkfs.btrfs", "-q", "-m", "single", image)
        self.rig.mount(self.disk, "-t", "btrfs", "-o", "loop", image)
        self.rig.run("btrfs", "quota", "enable", self.disk)

    def _empty(self):
        data = self.disk / "data"
        if data.is_dir():
            self.rig.run("btrfs", "subvolume", "delete", "--commit-after", data)
        self.rig.run("btrfs", "subvolume", "create", data)

    def _leave(self, room_mib):
        # The zeros of a new segment and the data that replaces them are both counted for a while.
        number = self.rig.run("btrfs", "inspect-internal", "rootid", self.disk / "data").strip()
        # By number: the limit of a subvolume with an exhausted quota cannot be raised from within.
        self.rig.run("btrfs", "qgroup", "limit", str((2 * room_mib + 1) << 20), f"0/{number}", self.disk)

    def life(self, budget):
        super().life(budget)
        reasons = [line["reason"] for line in self.collector.said("log_paused")]
        checked(
            any("os error 122" in reason for reason in reasons),
            f"the log paused for another reason: {reasons}",
        )


def run(rig, budget):
    """Exhausts the quota until the budget is spent."""
    return full.run(rig, budget, Quota)


def seen_red(rig):
    """The check of the full disk, on a quota."""
    return full.seen_red(rig, Quota)
