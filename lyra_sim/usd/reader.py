"""Read scenes from USD files, ours and those of 3dgrut and NVIDIA's converter."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pxr import Sdf, Tf, Usd, UsdGeom, UsdUtils

from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.transform import AXES, Similarity, rotation_between, with_sh_degree
from lyra_sim.usd import SUFFIXES, layout
from lyra_sim.usd.check_package import check_package
from lyra_sim.usd.read_meshes import read_collider, read_proxy
from lyra_sim.usd.read_splats import is_half, is_particle_field, read_particles, read_volume
from lyra_sim.usd.volume import is_volume


@dataclass(frozen=True)
class UsdContents:
    """Hold a scene and what its file says about itself."""

    scene: Scene
    """The scene in metres, Z up, whatever units and axes the file has."""
    forms: tuple[str, ...]
    """`ParticleField` and `NuRec`, those that the file holds in any variant."""
    up_axis: str
    meters_per_unit: float
    default_prim: str | None
    collider_approximation: str | None
    half: bool
    """Whether the particle fields have float16 centres, as NuRec volumes always have."""


def read_usd(path: str | Path) -> Scene:
    """Read a scene from a USDZ package or a USD layer; see `read_usd_contents`."""
    return read_usd_contents(path).scene


def read_usd_contents(path: str | Path) -> UsdContents:
    """Read a scene and the facts about its file.

    OpenUSD itself ends the process on a few kinds of damage; `probe` says whether this file is one of them.

    Splats of every particle field are joined in the world frame; NuRec volumes count when there is no field.

    Raises:
        LyraSimError: The file is damaged, refers to files outside itself, holds no Gaussians, or places them by
            more than a rotation, a translation and a uniform scale.
    """
    path = Path(path)
    with open_stage(path) as stage:
        return _read_stage(stage, path)


@contextmanager
def open_stage(path: Path, *, package_checked: bool = False) -> Iterator[Usd.Stage]:
    """Yield the stage of a file that has been checked to be whole and to refer to nothing outside itself."""
    if path.suffix.lower() not in SUFFIXES:
        raise LyraSimError(f"{path} is not a USD file; known endings are {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise LyraSimError(f"cannot read {path}: there is no such file")
    if path.suffix.lower() == ".usdz" and not package_checked:
        check_package(path)
    # USD reports damage on stderr as well, many lines of it; the delegate keeps that from people.
    delegate = UsdUtils.CoalescingDiagnosticDelegate()
    try:
        layer = Sdf.Layer.FindOrOpen(str(path))
        if layer is None:
            raise LyraSimError(f"{path} is not a USD file or is damaged")
        _check_references(layer, path)
        yield Usd.Stage.Open(layer)
    # Attributes of a wrong type and names that are no text are damage too.
    except (Tf.ErrorException, UnicodeError, TypeError, ValueError, MemoryError) as error:
        raise _damaged(path, error) from error
    finally:
        delegate.TakeUncoalescedDiagnostics()


def _damaged(path: Path, error: Exception) -> LyraSimError:
    reason = re.search(r": '([^']{1,120})", str(error))
    text = reason[1] if reason else f"{type(error).__name__}: {str(error).strip()[:80]}"
    return LyraSimError(f"{path} is damaged ({text})")


def _check_references(root: Sdf.Layer, path: Path) -> None:
    """Follow sublayers, references and payloads, none of which may lead out of the package or the folder."""
    package = path.suffix.lower() == ".usdz"
    inside = f"{root.realPath}[" if package else f"{Path(root.realPath).parent}/"
    waiting, seen = [root], {root.identifier}
    while waiting:
        layer = waiting.pop()
        for reference in layer.GetCompositionAssetDependencies():
            target = layer.ComputeAbsolutePath(reference)
            if not target.startswith(inside) or ".." in target:
                raise LyraSimError(
                    f"{path} refers to a file that is missing or outside itself: {reference[:80]!r}"
                )
            if target not in seen:
                seen.add(target)
                found = Sdf.Layer.FindOrOpen(target)
                if found is None:
                    raise LyraSimError(
                        f"{path} refers to a layer that is missing or damaged: {reference[:80]!r}"
                    )
                waiting.append(found)


def _read_stage(stage: Usd.Stage, path: Path) -> UsdContents:
    up = UsdGeom.GetStageUpAxis(stage)
    unit = UsdGeom.GetStageMetersPerUnit(stage) if UsdGeom.StageHasAuthoredMetersPerUnit(stage) else 1.0
    if up not in ("Y", "Z") or not 0 < unit < 1e6:
        raise LyraSimError(f"{path} has up axis {up} and {unit} metres per unit; neither is usable")
    to_ours = Similarity(rotation_between(AXES[up.lower()], AXES["z"]), scale=unit)
    forms = _forms(stage)
    world = stage.GetDefaultPrim() or stage.GetPseudoRoot()
    data = stage.GetRootLayer().customLayerData
    custom = world.GetCustomDataByKey(layout.CUSTOM_DATA) or {} if world.GetPath() != "/" else {}
    collider, approximation = read_collider(stage, to_ours)
    scene = Scene(
        gaussians=_read_splats(stage, path, to_ours),
        collider=collider,
        proxy=read_proxy(stage, to_ours),
        provenance=_provenance(path, data),
        collider_kind=str(custom.get("collider", "file")) if collider is not None else "missing",
        instances=tuple(_instances(custom)),
    )
    default = stage.GetDefaultPrim()
    name = str(default.GetPath()) if default else None
    half = any(is_half(prim) for prim in stage.Traverse())
    return UsdContents(scene, forms, up, unit, name, approximation, half)


def describe_stage(stage: Usd.Stage) -> tuple[str, ...]:
    """Visit all that a reader visits but the values of large arrays, and return the forms of splats."""
    for prim in stage.Traverse():
        for name in prim.GetPropertyNames():
            prim.GetProperty(name).GetPropertyStack(Usd.TimeCode.Default())
        UsdGeom.Imageable(prim).ComputeVisibility()
        UsdGeom.Xformable(prim).GetLocalTransformation()
    return _forms(stage)


def _forms(stage: Usd.Stage) -> tuple[str, ...]:
    """Return the forms in the stage, those of a variant set `splats` that are not chosen included."""
    found = {_form_of(prim) for prim in stage.Traverse()} - {None}
    default = stage.GetDefaultPrim()
    if default and default.GetVariantSets().HasVariantSet(layout.SPLATS_VARIANT):
        names = default.GetVariantSet(layout.SPLATS_VARIANT).GetVariantNames()
        found |= {layout.FORMS[name] for name in names if name in layout.FORMS}
    return tuple(sorted((f for f in found if f), reverse=True))


def _form_of(prim: Usd.Prim) -> str | None:
    return "ParticleField" if is_particle_field(prim.GetTypeName()) else "NuRec" if is_volume(prim) else None


def _read_splats(stage: Usd.Stage, path: Path, to_ours: Similarity) -> Gaussians:
    prims = list(stage.Traverse())
    fields = [p for p in prims if is_particle_field(p.GetTypeName())]
    volumes = [] if fields else [p for p in prims if is_volume(p)]
    parts = [(p, read_particles(p)) for p in fields] + [(p, read_volume(p, path)) for p in volumes]
    if not parts:
        raise LyraSimError(f"{path} holds no Gaussians: neither a particle field nor a NuRec volume")
    placed = [placement(prim, path).then(to_ours).gaussians(part.checked(f"{path}")) for prim, part in parts]
    if len(placed) == 1:
        return placed[0]
    degree = max(p.sh_degree for p in placed)
    placed = [with_sh_degree(p, degree) for p in placed]
    names = ("means", "scales", "rotations", "opacities", "sh")
    return Gaussians(*(np.concatenate([getattr(p, n) for p in placed]) for n in names))


def placement(prim: Usd.Prim, path: Path) -> Similarity:
    """Return the map from the local frame of a prim to the stage's.

    3dgrut writes some matrices with the translation in the last column instead of the last row; such a matrix
    is no valid transform, so it is read as what was meant.
    """
    total = np.eye(4)
    while prim and prim.GetPath() != Sdf.Path.absoluteRootPath:
        xformable = UsdGeom.Xformable(prim)
        if xformable:
            local = np.array(xformable.GetLocalTransformation(Usd.TimeCode.Default()))
            if local[:3, 3].any() and not local[3, :3].any():
                local = local.T
            total = total @ local
            if xformable.GetResetXformStack():
                break
        prim = prim.GetParent()
    linear = total[:3, :3].T
    determinant = float(np.linalg.det(linear))
    scale = float(np.cbrt(determinant))
    if not np.isfinite(total).all() or determinant <= 0:
        raise LyraSimError(f"{path} mirrors or flattens its splats, which cannot be carried over")
    rotation = linear / scale
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-4:
        raise LyraSimError(f"{path} shears or stretches its splats, which cannot be carried over")
    # A scale that is 1 up to rounding must not touch the bits of the splats.
    scale = 1.0 if abs(scale - 1) < 1e-9 else scale
    return Similarity(rotation, total[3, :3], scale)


def _provenance(path: Path, layer_data: dict[str, object]) -> dict[str, object]:
    """Return the provenance file of a package of ours, else what the layer says."""
    if path.suffix.lower() == ".usdz":
        with zipfile.ZipFile(path) as package:
            if (
                layout.PROVENANCE in package.namelist()
                and package.getinfo(layout.PROVENANCE).file_size < 1 << 24
            ):
                try:
                    found = json.loads(package.read(layout.PROVENANCE))
                except (ValueError, RecursionError, zipfile.BadZipFile) as error:
                    raise LyraSimError(f"{path} has a damaged {layout.PROVENANCE}") from error
                return found if isinstance(found, dict) else {}
    ours = layer_data.get(layout.CUSTOM_DATA)
    return json.loads(json.dumps(ours, default=list)) if isinstance(ours, dict) else {}


def _instances(custom: dict[str, object]) -> Iterator[dict[str, object]]:
    try:
        rows = json.loads(str(custom.get("instances", "[]")))
    except (ValueError, RecursionError):
        rows = []
    yield from (row for row in rows if isinstance(row, dict))
