"""Say what a file of Gaussians holds, who will show it, and what it lacks for simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lyra_sim.convert import load_scene
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.usd import SUFFIXES as USD_SUFFIXES

SHOWN_BY = {
    "ParticleField": ("Isaac Sim 6.0 and newer",),
    "NuRec": ("Isaac Sim 5.0 and 5.1", "Isaac Sim 6 (legacy)"),
}
"""Which Isaac Sim shows which form of splats."""


@dataclass(frozen=True)
class Inspection:
    """Hold what a file says and what it lacks."""

    path: str
    bytes: int
    forms: tuple[str, ...]
    """`ParticleField`, `NuRec`, or the kind of a file that is not USD."""
    shown_by: tuple[str, ...]
    """Versions of Isaac Sim that show the splats."""
    gaussians: int
    sh_degree: int
    bounds_m: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Box of the centres in metres, Z up."""
    median_sigma_m: float
    up_axis: str | None
    meters_per_unit: float | None
    default_prim: str | None
    half_forms: tuple[str, ...]
    """Forms of the splats whose numbers are float16."""
    position_rounding_m: float | None
    """Largest error of a centre from float16; None where no form of the splats has float16 centres."""
    collider: str
    """`fused` (from splat depth), `world` (exact mesh), `file` or `missing`."""
    collider_faces: int
    collider_approximation: str | None
    labels: Mapping[str, int]
    """Number of proxy faces per class."""
    instances: int
    provenance: Mapping[str, object]
    missing: tuple[str, ...] = field(default=())
    """What stands between the file and a simulation, one sentence each."""


def inspect_file(path: str | Path) -> Inspection:
    """Read a file and describe it.

    Raises:
        LyraSimError: The file is missing, of an unknown kind or damaged.
    """
    path = Path(path)
    if path.suffix.lower() in USD_SUFFIXES:
        from lyra_sim.usd.probe import probe
        from lyra_sim.usd.reader import read_usd_contents

        probe(path)
        contents = read_usd_contents(path)
        return _describe(
            path,
            contents.scene,
            contents.forms,
            up_axis=contents.up_axis,
            meters_per_unit=contents.meters_per_unit,
            default_prim=contents.default_prim,
            approximation=contents.collider_approximation,
            half=contents.half,
        )
    return _describe(path, load_scene(path), (path.suffix.lower().lstrip(".").upper(),))


def _describe(
    path: Path,
    scene: Scene,
    forms: tuple[str, ...],
    *,
    up_axis: str | None = None,
    meters_per_unit: float | None = None,
    default_prim: str | None = None,
    approximation: str | None = None,
    half: bool = False,
) -> Inspection:
    gaussians = scene.gaussians
    low, high = gaussians.means.min(axis=0), gaussians.means.max(axis=0)
    collider = scene.collider
    counts = _label_counts(scene)
    half_forms = tuple(form for form in forms if form == "NuRec" or (half and form == "ParticleField"))
    return Inspection(
        path=str(path),
        bytes=path.stat().st_size,
        forms=forms,
        shown_by=tuple(name for form in forms for name in SHOWN_BY.get(form, ())),
        gaussians=len(gaussians),
        sh_degree=gaussians.sh_degree,
        bounds_m=(tuple(low.tolist()), tuple(high.tolist())),
        median_sigma_m=float(np.median(gaussians.scales)),
        up_axis=up_axis,
        meters_per_unit=meters_per_unit,
        default_prim=default_prim,
        half_forms=half_forms,
        position_rounding_m=_rounding(gaussians) if half_forms else None,
        collider=scene.collider_kind if collider is not None else "missing",
        collider_faces=len(collider.faces) if collider is not None else 0,
        collider_approximation=approximation,
        labels=counts,
        instances=len(scene.instances),
        provenance=scene.provenance,
        missing=tuple(_missing(scene, forms, up_axis, meters_per_unit, default_prim)),
    )


def _label_counts(scene: Scene) -> dict[str, int]:
    if scene.proxy is None:
        return {}
    counts = np.bincount(scene.proxy.face_label, minlength=len(scene.proxy.classes))
    return {name: int(n) for name, n in zip(scene.proxy.classes, counts, strict=True) if n}


def _rounding(gaussians: Gaussians) -> float:
    """Return the float16 step of our own layout, in which centres are relative to the middle of their box."""
    from lyra_sim.usd.nurec import position_rounding
    from lyra_sim.usd.writer import middle

    return position_rounding(gaussians.means - middle(gaussians).astype(np.float32))


def _missing(
    scene: Scene, forms: tuple[str, ...], up_axis: str | None, meters_per_unit: float | None, prim: str | None
) -> list[str]:
    found = []
    if not set(forms) & set(SHOWN_BY):
        found.append("Isaac Sim does not open this kind of file; `lyra-sim convert` makes a .usdz of it.")
    else:
        if "ParticleField" not in forms:
            found.append(
                "No ParticleField: Isaac Sim 6 treats the NuRec volume as legacy (--target isaac-6 or both)."
            )
        if "NuRec" not in forms:
            found.append("No NuRec volume: Isaac Sim 5 shows nothing (--target isaac-5 or both).")
        if up_axis != "Z" or meters_per_unit != 1.0:
            found.append(
                f"Up axis {up_axis} and {meters_per_unit:g} m per unit: a reference into Isaac's stage (Z, 1 m) "
                "converts neither."
            )
        if prim is None:
            found.append("No default prim: a reference to the file shows nothing.")
        if scene.collider is None:
            found.append("No collider: robots and objects fall through (--collider auto).")
        if scene.proxy is None:
            found.append("No labelled proxy: no depth, labels or normals, since splats give colour only.")
        if not scene.provenance:
            found.append("No provenance: nothing says where the content comes from.")
    return found
