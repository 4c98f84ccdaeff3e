"""Film a scene: from a file and a choice of cameras to pictures or a movie."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from generator.camera_files import read_transforms
from generator.cameras import Cameras
from generator.film.frames import TOO_NEAR, Look, draw_frame
from generator.film.labels import LabelRaster
from generator.film.obstacles import Obstacles
from generator.film.outputs import LAYERS, open_sink
from generator.film.paths import PathKind, lay_path
from generator.film.stage import find_opening
from generator.render.request import Request as RenderRequest
from generator.render.request import check_request
from lyra_sim import __version__
from lyra_sim.convert import load_scene
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress
from lyra_sim.scene import Scene
from lyra_sim.usd import SUFFIXES as USD_SUFFIXES


@dataclass(frozen=True)
class FilmConfig:
    """Say what to film and how."""

    path: PathKind = "flythrough"
    """Path of the camera, unless `cameras` is given."""
    cameras: Path | None = None
    """A nerfstudio `transforms.json` in the scene's frame (metres, Z up for USD files)."""
    size: tuple[int, int] | None = None
    """Width and height [px]; None takes those of `cameras`, or DEFAULT_SIZE."""
    frames: int = 120
    """Number of frames of a path."""
    fps: Fraction = Fraction(24)
    """Frames per second of a movie."""
    horizontal_fov: float | None = None
    """Horizontal field of view of a path's camera [rad]; None takes the scene's own, or 65 degrees."""
    up: str | None = None
    """Axis of the file that points up; USD files say so themselves."""
    layers: tuple[str, ...] | None = None
    """Which of `rgb`, `depth` and `labels` to draw; None draws what the output takes and the scene has."""
    look: Look = field(default_factory=Look)


DEFAULT_SIZE = (640, 352)
"""Width and height [px], twice those of a mini scene's frames."""


def film(scene_path: Path, out: Path, config: FilmConfig, progress: Progress) -> dict[str, Any]:
    """Film a scene into a folder or an `.mp4`, and return the fields of the result message.

    Raises:
        LyraSimError: The scene, the cameras, an option or the output cannot be used; `out` is then as it was.
    """
    given = None if config.cameras is None else _given_cameras(config.cameras, config.size)
    width, height = (given.width, given.height) if given is not None else config.size or DEFAULT_SIZE
    check_request(RenderRequest(height, width), 1)
    if out.suffix.lower() == ".mp4" and (width % 2 or height % 2):
        raise LyraSimError(f"--size {width}x{height}: an MP4 needs even sides")
    progress.update("load", 0.0, f"reading {scene_path.name}")
    scene = load_scene(scene_path)
    layers = _layers(scene, out, config, progress)
    progress.update("load", 0.5, "choosing cameras")
    walled = np.zeros(0, bool)
    if given is not None and config.cameras is not None:
        cameras, how = given, f"{len(given)} cameras of {config.cameras.name}"
        walled = Obstacles(scene).inside(cameras.c2w[:, :3, 3])
    else:
        up = "z" if config.up is None and scene_path.suffix.lower() in USD_SUFFIXES else config.up
        cameras, how = _laid_cameras(scene, up, (width, height), config)
    progress.note(how)
    raster = LabelRaster(scene.proxy) if "labels" in layers and scene.proxy is not None else None
    classes = raster.classes if raster is not None else ()
    near_shares = []
    with open_sink(out, cameras, layers=layers, classes=classes, fps=config.fps) as sink:
        for index in range(len(cameras)):
            progress.update("frames", index / len(cameras), f"frame {index + 1} of {len(cameras)}")
            frame = draw_frame(scene.gaussians, cameras, index, look=config.look, labels=raster)
            near_shares.append(frame.near_share)
            sink.add(index, frame)
        warnings = _warnings(walled, np.array(near_shares))
        sink.finish(_report(scene_path, scene, cameras, how, layers, config, warnings))
    for warning in warnings:
        progress.note(f"warning: {warning}")
    count = len(cameras)
    message = f"{out}: {count} frame{'s' * (count != 1)} of {cameras.width}x{cameras.height}"
    return {"message": message, "out": str(out.absolute()), "frames": count, "warnings": warnings}


def _layers(scene: Scene, out: Path, config: FilmConfig, progress: Progress) -> tuple[str, ...]:
    """Return what to draw: a movie takes colour only, and labels need a labelled proxy."""
    movie = out.suffix.lower() == ".mp4"
    if movie and config.layers not in (None, ("rgb",)):
        raise LyraSimError("--layers: an MP4 holds rgb only; name a folder for depth and labels")
    if config.layers is not None:
        if "labels" in config.layers and scene.proxy is None:
            raise LyraSimError("--layers labels: the scene has no labelled proxy; leave labels out")
        return tuple(layer for layer in LAYERS if layer in config.layers)
    if movie:
        return ("rgb",)
    if scene.proxy is None:
        progress.note("The scene has no labelled proxy, so there are no label pictures.")
    return LAYERS if scene.proxy is not None else LAYERS[:2]


def _given_cameras(path: Path, size: tuple[int, int] | None) -> Cameras:
    """Return the cameras of a `transforms.json`, for pictures of `size` (width, height) if that is given."""
    cameras = read_transforms(path).cameras
    if size is None:
        return cameras
    width, height = size
    if abs(width * cameras.height - height * cameras.width) > 0.01 * width * cameras.height:
        raise LyraSimError(
            f"--size {width}x{height}: the cameras' pictures are {cameras.width}x{cameras.height}; keep their shape"
        )
    return cameras.resized(height, width)


def _laid_cameras(
    scene: Scene, up: str | None, size: tuple[int, int], config: FilmConfig
) -> tuple[Cameras, str]:
    """Return the cameras of a path of our own, and what they do, for people."""
    opening = find_opening(scene, up=up)
    path = lay_path(config.path, opening.stage, config.frames)
    width, height = size
    focal = width / 2 / np.tan((config.horizontal_fov or opening.horizontal_fov) / 2)
    intrinsics = np.tile([focal, focal, width / 2, height / 2], (len(path.c2w), 1))
    how = f"From {opening.reason}: {path.description}."
    if not opening.stage.obstacles.has_collider:
        how += " The scene has no collider, so the path keeps clear of the splats themselves."
    return Cameras(path.c2w, intrinsics, height, width), how


def _warnings(walled: np.ndarray, near_shares: np.ndarray) -> list[str]:
    """Return what a person should know about the cameras, one line each."""
    found = []
    if walled.any():
        found.append(
            f"{_frames(walled)}: the camera stands inside or behind a wall of the collider; the picture shows its back"
        )
    close = near_shares > 0.5
    if close.any():
        found.append(
            f"{_frames(close)}: a surface less than {TOO_NEAR * 100:.0f} cm away fills most of the picture"
        )
    return found


def _frames(chosen: np.ndarray) -> str:
    index = np.flatnonzero(chosen)
    named = ", ".join(str(i) for i in index[:5]) + (", ..." if len(index) > 5 else "")
    return f"{len(index)} of {len(chosen)} frames ({named})"


def _report(
    scene_path: Path,
    scene: Scene,
    cameras: Cameras,
    how: str,
    layers: tuple[str, ...],
    config: FilmConfig,
    warnings: list[str],
) -> dict[str, Any]:
    """Return what `render.json` holds."""
    return {
        "lyra_sim": __version__,
        "scene": scene_path.name,
        "size": scene.provenance.get("size", "unknown"),
        "gaussians": len(scene.gaussians),
        "sh_degree": scene.gaussians.sh_degree,
        "cameras": how,
        "frames": len(cameras),
        "width": cameras.width,
        "height": cameras.height,
        "layers": list(layers),
        "projection": config.look.projection,
        "background": list(config.look.background),
        "depth": "median camera z, 16-bit millimetres; 0: none, or beyond 65.535 m",
        "warnings": warnings,
    }
