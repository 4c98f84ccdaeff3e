"""The 3D cache against numbers of GEN3C's own code."""

from __future__ import annotations

from pathlib import Path

import pytest
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


@pytest.mark.parametrize(
    ("tensor", "change"),
    [
        ("unproject.z", 2e-4),
        ("warp1.reliable.mask", 1),
        ("warp1.fg.depth", 2e-3),
        ("cache3d.fg1.n2_after_update.pixels", 2e-3),
        ("cache4d.fg0.masks", 1),
        ("align.rigid", 2e-3),
        ("align.non_rigid", 0.05),
    ],
)
def test_a_wrong_golden_tensor_fails_its_gate(tmp_path: Path, tensor: str, change: float) -> None:
    """The gates bite: shifting one golden tensor makes its comparison fail, and only those of that tensor."""
    tensors = load_file(GOLDEN)
    tensors[tensor] = (1 - tensors[tensor]) if change == 1 else tensors[tensor] + change
    save_file(tensors, tmp_path / "geometry.safetensors")
    failed = [c.tensor for c in geometry(tmp_path / "geometry.safetensors") if not c.passed]
    assert failed
    assert all(name.startswith(tensor.rsplit(".", 1)[0]) for name in failed)
