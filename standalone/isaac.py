"""What the scripts of this folder share: starting Isaac Sim, and putting a scene into an empty stage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy as np

SCENE_PATH = "/World/Scene"
EYE_HEIGHT_M = 1.5

EXTENSION = Path(__file__).resolve().parents[1] / "exts" / "lyra.sim.panel"


def fail(message: str) -> NoReturn:
    """End with one line."""
    sys.stderr.write(f"{Path(sys.argv[0]).name}: error: {message}\n")
    raise SystemExit(1)


def existing_scene(text: str) -> Path:
    """Read a command-line argument that names a scene file."""
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    if path.suffix.lower() not in (".usd", ".usda", ".usdc", ".usdz"):
        raise argparse.ArgumentTypeError(f"{text}: not a USD file")
    return path


def writable_file(suffix: str) -> Callable[[str], Path]:
    """Return a reader of command-line arguments that name a file to write."""

    def read(text: str) -> Path:
        path = Path(text).expanduser().absolute()
        if path.suffix.lower() != suffix:
            raise argparse.ArgumentTypeError(f"{text}: must end in {suffix}")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise argparse.ArgumentTypeError(f"{text}: folder {path.parent} is missing or read-only")
        return path

    return read


def start(*, headless: bool) -> Any:
    """Start Isaac Sim with the switches that splats need; anything else of it can be imported only afterwards."""
    try:
        from isaacsim import SimulationApp
    except ImportError:
        fail(f"Isaac Sim is not here; run it with Isaac Sim's own Python: ./python.sh {' '.join(sys.argv)}")
    extra = ["--/renderer/multiGpu/enabled=false", "--/app/useFabricSceneDelegate=true"]
    return SimulationApp({"headless": headless, "multi_gpu": False, "extra_args": extra})


def load(scene: Path, app: Any) -> Any:
    """Put a scene into a new stage, upright and metric, apply its render settings, and return the stage."""
    sys.path.insert(0, str(EXTENSION))
    import carb
    import omni.usd
    from lyra.sim.panel.isaac import MATTE_SETTINGS, carb_settings, invisible_here
    from lyra.sim.panel.jobs import JobError
    from lyra.sim.panel.scene import examine_scene, into_stage, make_upright_and_metric
    from pxr import UsdGeom

    try:
        facts = examine_scene(str(scene))
    except JobError as error:
        fail(str(error))
    context = omni.usd.get_context()
    context.new_stage()
    app.update()
    stage = context.get_stage()
    make_upright_and_metric(stage)
    prim = UsdGeom.Xform.Define(stage, SCENE_PATH)
    prim.GetPrim().GetReferences().AddReference(str(scene))
    matrix = into_stage(stage, up_axis=facts.up_axis, meters_per_unit=facts.meters_per_unit)
    local = prim.GetLocalTransformation()
    prim.MakeMatrixXform().Set(local * matrix)
    settings = carb.settings.get_settings()
    matte = MATTE_SETTINGS if "nurec" in facts.kinds and facts.has_matte else {}
    for path, value in {**carb_settings(facts.render_settings), **matte}.items():
        settings.set(path, value)
    # Isaac Sim 6 brings a helper that must run before the first update with splats.
    try:
        from isaacsim.replicator.nurec_utils.rendering_setup import setup_for_rendering
    except ImportError:
        pass
    else:
        setup_for_rendering(stage)
    import omni.kit.app

    if note := invisible_here(facts.kinds, omni.kit.app.get_app().get_kit_version()):
        sys.stderr.write(f"note: {note}\n")
    return stage


def add_gravity(stage: Any) -> None:
    """Give the stage a physics scene, if it has none; USD's defaults are Earth's gravity downwards."""
    from lyra.sim.panel.scene import has_physics_scene
    from pxr import UsdPhysics

    if not has_physics_scene(stage):
        UsdPhysics.Scene.Define(stage, "/World/PhysicsScene")


def floor_place(stage: Any, *, radius: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a free point of the floor [m] and the level direction in which the scene is longest (unit vector)."""
    import numpy as np
    from lyra.sim.panel.floor import collision_triangles, free_spot

    triangles = collision_triangles(stage.GetPrimAtPath(SCENE_PATH))
    spot = free_spot(triangles, radius=radius, height=height)
    if spot is None:
        fail("the scene has no collider with a free place on its floor; generate it with one")
    size = np.ptp(triangles.reshape(-1, 3), axis=0)
    along = np.array([1.0, 0.0, 0.0] if size[0] >= size[1] else [0.0, 1.0, 0.0])
    ahead = triangles.reshape(-1, 3).mean(0) - spot
    return spot, along if along @ ahead >= 0 else -along
