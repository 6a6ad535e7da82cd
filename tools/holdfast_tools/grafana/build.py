"""The files in deploy/grafana/dashboards: one JSON document per dashboard."""

import json
import pathlib

from .boards import ALL

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "grafana" / "dashboards"


def documents():
    """File names with their contents."""
    return {
        f"{board.name}.json": json.dumps(board.json(), indent=1, ensure_ascii=False) + "\n" for board in ALL
    }


def write():
    """Writes all files, and deletes those of dashboards that no longer exist."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = documents()
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def complaints():
    """Files that are not as their definitions say."""
    wanted = documents()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    hint = "run tools/dashboards write"
    for name in sorted(wanted.keys() | there.keys()):
        if name not in there:
            yield f"deploy/grafana/dashboards/{name} is missing; {hint}"
        elif name not in wanted:
            yield f"deploy/grafana/dashboards/{name} has no definition; {hint}"
        elif wanted[name] != there[name]:
            yield f"deploy/grafana/dashboards/{name} differs from its definition; {hint}"
    uids = [board.uid for board in ALL]
    yield from (f"two dashboards have the identifier {uid}" for uid in set(uids) if uids.count(uid) > 1)
