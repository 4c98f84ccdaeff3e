"""The manifest of a batch: one row per finished scene, as JSON lines and as Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyra_sim.atomic import atomic_path
from lyra_sim.batch.extras import require
from lyra_sim.batch.folder import MANIFEST, SCENES, TABLE, BatchFolder
from lyra_sim.batch.measure import METRICS
from lyra_sim.batch.work import COLLIDER, MAP, PREVIEW, SCENE
from lyra_sim.errors import LyraSimError

if TYPE_CHECKING:
    from lyra_sim.batch.driver import State
    from lyra_sim.batch.expand import Plan

SPLITS = ("train", "validation", "test")
_TEXTS = ("id", "prompt", "split", "scene", "size", "target")


def manifest_rows(plan: Plan, state: State) -> list[dict[str, Any]]:
    """Return the rows of the finished scenes in the order of the spec; paths are relative to the folder."""
    return [_row(state.done[scene.id], scene.split) for scene in plan.scenes if scene.id in state.done]


def _row(made: Mapping[str, Any], split: str) -> dict[str, Any]:
    folder = f"{SCENES}/{made['id']}"
    paths = {"scene": SCENE, "preview": PREVIEW, "map": MAP, "collider": COLLIDER}
    files = {key: f"{folder}/{name}" if name in made["files"] else None for key, name in paths.items()}
    rest = {name: value for name, value in made.items() if name != "id"}
    return {"id": made["id"], "split": split, **files, "metric": is_metric(made), **rest}


def is_metric(made: Mapping[str, Any]) -> bool:
    """Say whether a scene's lengths are metres, or right up to one factor only, as of most pictures."""
    return bool(made["provenance"].get("metric", True))


def write_manifest(folder: BatchFolder, plan: Plan, state: State) -> None:
    """Write `manifest.jsonl` and `manifest.parquet`; the same scenes give the same bytes.

    Raises:
        LyraSimError: The disk is full, or pyarrow is not installed.
    """
    rows = manifest_rows(plan, state)
    with (
        atomic_path(folder.path / MANIFEST) as lines,
        atomic_path(folder.path / TABLE) as table,
    ):
        lines.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
        pyarrow, parquet = require("pyarrow"), require("pyarrow.parquet")
        columns = [_columns(row) for row in rows]
        parquet.write_table(pyarrow.Table.from_pylist(columns, schema=_schema(pyarrow)), table)


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the table has it: metrics are columns, what varies in shape is a map or JSON text."""
    columns = {k: row[k] for k in row if k not in ("files", "metrics", "robot", "provenance", "rejected")}
    columns |= {name: row["metrics"].get(name) for name in METRICS if name != "spawn_points"}
    columns |= {f"robot_{name}_m": row["robot"][name] for name in ("radius", "height", "step")}
    columns["slots"] = sorted(row["slots"].items())
    columns["bounds_min_m"], columns["bounds_max_m"] = row["bounds_m"]
    columns["sha256"] = sorted((name, facts["sha256"]) for name, facts in row["files"].items())
    columns["bytes"] = sum(facts["bytes"] for facts in row["files"].values())
    columns["rejected"] = [json.dumps(attempt, sort_keys=True) for attempt in row["rejected"]]
    columns["provenance"] = json.dumps(row["provenance"], sort_keys=True)
    return columns


def _schema(pa: Any) -> Any:
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    pose = pa.struct([(name, number) for name in ("x", "y", "z", "yaw")])
    integers = ("gaussians", "collider_faces")
    metrics = [(m, whole if m in integers else number) for m in METRICS if m != "spawn_points"]
    return pa.schema(
        [
            *((name, text) for name in ("id", "split", "scene", "preview", "map", "collider", "prompt")),
            ("picture", text),
            ("picture_sha256", text),
            ("slots", pa.map_(text, text)),
            ("requested_seed", whole),
            ("seed", whole),
            ("rejected", pa.list_(text)),
            ("size", text),
            ("target", text),
            ("metric", pa.bool_()),
            *metrics,
            ("bounds_min_m", pa.list_(number, 3)),
            ("bounds_max_m", pa.list_(number, 3)),
            ("spawn_points", pa.list_(pose)),
            *((f"robot_{name}_m", number) for name in ("radius", "height", "step")),
            ("sha256", pa.map_(text, text)),
            ("bytes", whole),
            ("licences", pa.list_(text)),
            ("provenance", text),
        ]
    )


def read_manifest(folder: str | Path, *, split: str | None = None) -> list[dict[str, Any]]:
    """Read the rows of `manifest.jsonl` of a batch.

    Args:
        folder: Output folder of a batch.
        split: `train`, `validation` or `test`; None for all.

    Raises:
        LyraSimError: There is no manifest, it is damaged (with line and column), or a scene it names is gone.
    """
    if split is not None and split not in SPLITS:
        raise LyraSimError(f"split {split!r} is not known; choose from {', '.join(SPLITS)}")
    folder = Path(folder).absolute()
    path = folder / MANIFEST
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise LyraSimError(
            f"cannot read {path}: {error.strerror}; name the output folder of `lyra-sim batch`"
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, 1, 1, "not UTF-8 text") from error
    rows = [_read_row(path, number, line) for number, line in enumerate(lines, start=1) if line]
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if seen.setdefault(row["id"], number) != number:
            raise _damaged(path, number, 1, f"id {row['id']} is in line {seen[row['id']]} already")
    chosen = [row for row in rows if split in (None, row["split"])]
    for row in chosen:
        if not (folder / row["scene"]).is_file():
            raise LyraSimError(f"{path}: {row['scene']} is gone; run the batch again to make it anew")
    return chosen


def _read_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        column = error.colno if isinstance(error, json.JSONDecodeError) else 1
        raise _damaged(path, number, column, "not JSON") from error
    if not isinstance(row, dict):
        raise _damaged(path, number, 1, "not a row")
    for name in _TEXTS:
        if not isinstance(row.get(name), str):
            raise _damaged(path, number, 1, f"the row has no text {name!r}")
    if row["split"] not in SPLITS:
        raise _damaged(path, number, 1, f"split {row['split']!r} is not one of {', '.join(SPLITS)}")
    if row["scene"] != f"{SCENES}/{row['id']}/{SCENE}":
        raise _damaged(path, number, 1, f"scene {row['scene']!r} is not where scene {row['id']} lies")
    return row


def _damaged(path: Path, line: int, column: int, what: str) -> LyraSimError:
    return LyraSimError(f"{path}:{line}:{column}: {what}; run the batch again, it writes the manifest anew")
