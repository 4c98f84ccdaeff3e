"""Write a scene as one USDZ package."""

from __future__ import annotations

import errno
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from pxr import Sdf, Tf, Usd, UsdGeom

from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity
from lyra_sim.usd import layout
from lyra_sim.usd.custom_data import to_custom_data
from lyra_sim.usd.layout import TARGETS, Target
from lyra_sim.usd.meshes import PIECES, author_collider, author_pieces, author_proxy
from lyra_sim.usd.nurec import write_payload
from lyra_sim.usd.package import write_package
from lyra_sim.usd.particles import author_particles
from lyra_sim.usd.stage import begin_stage
from lyra_sim.usd.volume import RENDER_SETTINGS, author_volume

FAR = 4096.0
"""Distance from the origin [m] beyond which float32 centres are coarser than half a millimetre."""


def write_usdz(
    path: str | Path,
    scene: Scene,
    *,
    target: Target = "isaac-6",
    collider_approximation: str = "none",
    half: bool = False,
) -> None:
    """Write `scene` as a USDZ package that Isaac Sim loads; the same scene gives the same bytes.

    Args:
        path: File to write, `*.usdz`.
        scene: Scene in metres, Z up.
        target: `isaac-6` for an OpenUSD particle field, `isaac-5` for a NuRec volume, `both` for a variant set
            `splats` with one of each.
        collider_approximation: Token of `physics:approximation`, such as `none` or `convexDecomposition`, or `pieces`
            for the scene's own convex pieces.
        half: Write the particle field in float16: half the size, but NVIDIA's rule VG.035 complains. A volume
            always is float16.

    Raises:
        LyraSimError: The scene is empty or not finite, the name does not end in `.usdz`, the package would
            reach 4 GiB, or the file cannot be written. A file of that name from before is then kept.
    """
    path = Path(path)
    if path.suffix.lower() != ".usdz":
        raise LyraSimError(f"{path}: a scene is written as .usdz; choose such a name")
    if target not in TARGETS:
        raise LyraSimError(f"unknown target {target!r}; known are {', '.join(TARGETS)}")
    scene.gaussians.checked("the scene")
    with atomic_path(path) as temporary, _folder_beside(path) as folder:
        root, payload = Path(folder) / layout.ROOT_LAYER, Path(folder) / layout.PAYLOAD
        _write_layer(root, payload, scene, target, collider_approximation, half=half)
        members: list[tuple[str, bytes | Path]] = [(layout.ROOT_LAYER, root)]
        if payload.exists():
            members.append((layout.PAYLOAD, payload))
        provenance = json.dumps(_plain(scene.provenance), indent=2, sort_keys=True) + "\n"
        write_package(temporary, [*members, (layout.PROVENANCE, provenance.encode())])


def _folder_beside(path: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f".{path.stem}-", suffix=".part", dir=path.absolute().parent)


def _write_layer(
    path: Path, payload: Path, scene: Scene, target: Target, approximation: str, *, half: bool
) -> None:
    layer = Sdf.Layer.CreateAnonymous(".usdc")
    stage = Usd.Stage.Open(layer)
    world = begin_stage(stage)
    Usd.ModelAPI(world).SetKind("component")
    world.SetCustomDataByKey(layout.CUSTOM_DATA, to_custom_data(_prim_data(scene)))
    settings = {} if target == "isaac-6" else {"renderSettings": RENDER_SETTINGS}
    layer.customLayerData = {layout.CUSTOM_DATA: to_custom_data(_plain(scene.provenance)), **settings}
    author_collider(stage, scene.collider, approximation=approximation)
    if approximation == PIECES:
        author_pieces(stage, scene.pieces)
    author_proxy(stage, scene.proxy)
    UsdGeom.Xform.Define(stage, layout.SPLATS)
    _author_splats(stage, scene.gaussians, target, payload, half=half)
    _author_variants(
        world, "proxy", {"hidden": lambda: _hide_proxy(stage), "shown": lambda: _show_proxy(stage)}
    )
    # Prims of a variant come before those of the layer unless told otherwise.
    order = (layout.COLLIDER, layout.PIECES, layout.PROXY, layout.SPLATS)
    world.SetChildrenReorder([path.rsplit("/", 1)[1] for path in order])
    export_layer(layer, path)


def _author_splats(
    stage: Usd.Stage, gaussians: Gaussians, target: Target, payload: Path, *, half: bool
) -> None:
    """Author the form or forms of the splats that `target` needs."""
    forms: dict[str, Callable[[], None]] = {
        "isaac-6": lambda: _author_particles(stage, gaussians, half=half),
        "isaac-5": lambda: _author_volume(stage, gaussians, payload),
    }
    if target == "both":
        # Two forms in one stage would both show, so only the chosen variant holds its prims.
        _author_variants(stage.GetDefaultPrim(), layout.SPLATS_VARIANT, forms)
    else:
        forms[target]()


def _author_particles(stage: Usd.Stage, gaussians: Gaussians, *, half: bool) -> None:
    far = half or np.abs(gaussians.means).max() > FAR
    centre = middle(gaussians) if far else np.zeros(3)
    local = Similarity(translation=-centre).gaussians(gaussians)
    author_particles(stage, layout.GAUSSIANS, local, tuple(centre), half=half)


def _author_volume(stage: Usd.Stage, gaussians: Gaussians, payload: Path) -> None:
    centre = middle(gaussians)
    local = Similarity(translation=-centre).gaussians(gaussians)
    write_payload(payload, local)
    author_volume(stage, layout.VOLUME, local, tuple(centre), layout.PAYLOAD)


def middle(gaussians: Gaussians) -> np.ndarray:
    """Return the middle of the centres' box in whole metres, (3,), where local coordinates are smallest."""
    means = gaussians.means
    return np.round((means.min(axis=0).astype(np.float64) + means.max(axis=0)) / 2)


def export_layer(layer: Sdf.Layer, path: Path) -> None:
    """Write a layer; USD reports a full disk as a list of its own errors, of which the reason is kept."""
    try:
        written = layer.Export(str(path))
    except Tf.ErrorException as error:
        reason = re.search(r"Error occurred writing file: ([^'\n]*)", str(error))
        code = errno.ENOSPC if "No space left" in str(error) else errno.EIO
        raise OSError(code, reason[1] if reason else "USD could not write the layer") from error
    if not written:
        raise OSError(errno.EIO, "USD could not write the layer")


def _author_variants(prim: Usd.Prim, name: str, forms: dict[str, Callable[[], None]]) -> None:
    """Author a variant set with one variant per form and choose the first."""
    variants = prim.GetVariantSets().AddVariantSet(name)
    for form, author in forms.items():
        variants.AddVariant(form)
        variants.SetVariantSelection(form)
        with variants.GetVariantEditContext():
            author()
    variants.SetVariantSelection(next(iter(forms)))


def _hide_proxy(stage: Usd.Stage) -> None:
    UsdGeom.Imageable(stage.GetPrimAtPath(layout.PROXY)).CreateVisibilityAttr(UsdGeom.Tokens.invisible)


def _show_proxy(stage: Usd.Stage) -> None:
    UsdGeom.Imageable(stage.GetPrimAtPath(layout.PROXY)).CreateVisibilityAttr(UsdGeom.Tokens.inherited)


def _prim_data(scene: Scene) -> dict[str, object]:
    return {
        "collider": scene.collider_kind if scene.collider is not None else "missing",
        "generated": True,
        "instances": [dict(row) for row in scene.instances],
    }


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return json.loads(json.dumps(dict(values)))
