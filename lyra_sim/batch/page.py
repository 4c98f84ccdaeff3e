"""`index.html`: the scenes of a batch at a glance, in a page that opens from disk."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyra_sim.atomic import atomic_path
from lyra_sim.batch.folder import PAGE, SCENES, BatchFolder, rejected_picture
from lyra_sim.batch.manifest import is_metric
from lyra_sim.batch.measure import METRICS
from lyra_sim.batch.work import SCENE, THUMBNAIL

if TYPE_CHECKING:
    from lyra_sim.batch.driver import State
    from lyra_sim.batch.expand import Plan

TEMPLATE = "page.html"
_DATA = "/*DATA*/null"


def write_page(folder: BatchFolder, plan: Plan, state: State) -> None:
    """Write the page; its data is inside, because a page from disk may not fetch other files."""
    data = {
        "name": folder.path.name,
        "metrics": METRICS,
        "scenes": [entry for scene in plan.scenes if (entry := _entry(scene, state, folder)) is not None],
        "planned": len(plan.scenes),
    }
    # `</script>` in a prompt must not end the script.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    page = (files("lyra_sim.batch") / TEMPLATE).read_text(encoding="utf-8").replace(_DATA, text)
    with atomic_path(folder.path / PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _entry(scene: Any, state: State, folder: BatchFolder) -> dict[str, Any] | None:
    """Return what the page shows of a scene; None for one that has not been tried."""
    entry = {"id": scene.id, "prompt": scene.prompt, "split": scene.split, "slots": dict(scene.slots)}
    entry["from"] = Path(scene.picture).name if scene.picture else None
    if scene.id in state.done:
        row = state.done[scene.id]
        here = f"{SCENES}/{scene.id}"
        return entry | {
            "state": "done",
            "seed": row["seed"],
            "requested": row["requested_seed"],
            "size": row["size"],
            "teacher": row["provenance"].get("teacher", {}).get("teacher"),
            "metric": is_metric(row),
            "metrics": row["metrics"],
            "file": f"{here}/{SCENE}",
            "folder": here,
            "picture": f"{here}/{THUMBNAIL}" if THUMBNAIL in row["files"] else None,
            "why": "; ".join(f"seed {a['seed']}: {', '.join(a['reasons'])}" for a in row["rejected"]),
        }
    for name, reasons in (("rejected", state.rejected), ("failed", state.failed)):
        if scene.id in reasons:
            kept = rejected_picture(scene.id)
            picture = kept if name == "rejected" and (folder.path / kept).is_file() else None
            return entry | {"state": name, "seed": scene.seed, "picture": picture, "why": reasons[scene.id]}
    return None
