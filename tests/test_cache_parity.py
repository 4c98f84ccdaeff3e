"""The 3D cache against numbers of GEN3C's own code."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors.torch import load_file, save_file

from generator.parity.gen3c_geometry import geometry

GOLDEN = Path(__file__).parent / "data" / "gen3c" / "geometry.safetensors"


def test_geometry_equals_gen3c() -> None:
    """Unprojection, masks, warps, static and video caches and alignment are within the gates of the golden set."""
    comparisons = list(geometry(GOLDEN))
    assert [c.tensor for c in comparisons if not c.passed] == []
    assert {c.tensor.split(".")[0].rstrip("0123456789") for c in comparisons} >= {
        "unproject",
        "reliable",
        "warp",
        "cache3d",
        "cache4d",
        "align",
    }


def test_wrong_golden_tensors_fail_their_gates(tmp_path: Path) -> None:
    """The gates bite: shifting a golden tensor fails its comparison, and those of the other tensors hold."""
    tensors = load_file(GOLDEN)
    shifts = {"unproject.z": 2e-4, "warp1.fg.depth": 2e-3, "cache4d.fg1.pixels": 2e-3, "align.rigid": 2e-3}
    shifts |= {"align.non_rigid": 0.05}
    for name, shift in shifts.items():
        tensors[name] += shift
    for name in ("warp1.reliable.mask", "cache3d.fg1.n2_after_update.masks"):
        tensors[name] = 1 - tensors[name]
    save_file(tensors, tmp_path / "geometry.safetensors")
    failed = {
        re.sub(r"\[.*\]", "", c.tensor) for c in geometry(tmp_path / "geometry.safetensors") if not c.passed
    }
    # With its mask turned round, a warp has hardly a pixel left whose colour can be compared.
    masks_turned = {"warp1.reliable", "cache3d.fg1.n2_after_update"}
    colours_kept = {name for name in failed if name.rsplit(".", 1)[0] not in masks_turned}
    assert colours_kept == set(shifts) - {"cache4d.fg1.pixels"} | {"cache4d.fg1.rgb"}
    assert {f"{name}.mask" for name in masks_turned} <= failed
