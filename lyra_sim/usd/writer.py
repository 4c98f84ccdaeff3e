"""Write a scene as one USDZ package."""

from __future__ import annotations

import errno
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pxr import Sdf, Tf, Usd, UsdGeom, UsdPhysics

from lyra_sim.atomic import atomic_path
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import Scene
from lyra_sim.usd import layout
from lyra_sim.usd.custom_data import to_custom_data
from lyra_sim.usd.meshes import author_collider, author_proxy
from lyra_sim.usd.package import write_package
from lyra_sim.usd.particles import author_particles

Target = Literal["isaac-6"]
TARGETS: tuple[Target, ...] = ("isaac-6",)


def write_usdz(path: str | Path, scene: Scene, *, target: Target = "isaac-6") -> None:
    """Write `scene` as a USDZ package that Isaac Sim loads; the same scene gives the same bytes.

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
        root = Path(folder) / layout.ROOT_LAYER
        _write_layer(root, scene)
        provenance = json.dumps(_plain(scene.provenance), indent=2, sort_keys=True) + "\n"
        write_package(temporary, [(layout.ROOT_LAYER, root), (layout.PROVENANCE, provenance.encode())])


def _folder_beside(path: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f".{path.stem}-", suffix=".part", dir=path.absolute().parent)


def _write_layer(path: Path, scene: Scene) -> None:
    layer = Sdf.Layer.CreateAnonymous(".usdc")
    stage = Usd.Stage.Open(layer)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    world = UsdGeom.Xform.Define(stage, layout.WORLD)
    stage.SetDefaultPrim(world.GetPrim())
    Usd.ModelAPI(world.GetPrim()).SetKind("component")
    world.GetPrim().SetCustomDataByKey(layout.CUSTOM_DATA, to_custom_data(_prim_data(scene)))
    layer.customLayerData = {layout.CUSTOM_DATA: to_custom_data(_plain(scene.provenance))}
    author_collider(stage, scene.collider)
    author_proxy(stage, scene.proxy)
    _author_proxy_variants(world.GetPrim(), stage)
    splats = UsdGeom.Xform.Define(stage, layout.SPLATS)
    splats.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set((0.0, 0.0, 0.0))
    author_particles(stage, layout.GAUSSIANS, scene.gaussians)
    _export(layer, path)


def _export(layer: Sdf.Layer, path: Path) -> None:
    """Write a layer; USD reports a full disk as a list of its own errors, of which the reason is kept."""
    try:
        written = layer.Export(str(path))
    except Tf.ErrorException as error:
        reason = re.search(r"Error occurred writing file: ([^'\n]*)", str(error))
        code = errno.ENOSPC if "No space left" in str(error) else errno.EIO
        raise OSError(code, reason[1] if reason else "USD could not write the layer") from error
    if not written:
        raise OSError(errno.EIO, "USD could not write the layer")


def _author_proxy_variants(world: Usd.Prim, stage: Usd.Stage) -> None:
    """Let users show the proxy (for depth, labels and shadow passes) with a variant instead of an edit."""
    variants = world.GetVariantSets().AddVariantSet("proxy")
    for name, visibility in (("hidden", UsdGeom.Tokens.invisible), ("shown", UsdGeom.Tokens.inherited)):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            UsdGeom.Imageable(stage.GetPrimAtPath(layout.PROXY)).CreateVisibilityAttr(visibility)
    variants.SetVariantSelection("hidden")
    # Prims of a variant come before those of the layer unless told otherwise.
    world.SetChildrenReorder(
        [path.rsplit("/", 1)[1] for path in (layout.COLLIDER, layout.PROXY, layout.SPLATS)]
    )


def _prim_data(scene: Scene) -> dict[str, object]:
    return {
        "collider": scene.collider_kind if scene.collider is not None else "missing",
        "generated": True,
        "instances": [dict(row) for row in scene.instances],
    }


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return json.loads(json.dumps(dict(values)))
