"""Folders that hold a video with depth and cameras: results of ViPE, and plain ones."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generator.cameras import invert_rigid
from generator.decoder.latent_files import read_npz
from generator.pictures.lens import Lens
from generator.videos.poses import VideoPoses
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class VideoFolder:
    """Name the files of a folder, and hold the cameras in it."""

    rgb: Path
    """The video."""
    depth: Path
    """Its depth; see `depth_files.read_depths`."""
    poses: VideoPoses
    """A pose and a lens for each frame."""
    files: tuple[Path, ...]
    """All files."""


def read_folder(folder: Path, *, clip: str | None = None) -> VideoFolder:
    """Read a result folder of ViPE, or a folder with `rgb.mp4`, `depth.npz` and `camera.npz`.

    Args:
        folder: Of ViPE: `rgb/<clip>.mp4`, `depth/<clip>.zip` (EXR), `pose/<clip>.npz` (c2w), `intrinsics/<clip>.npz`.
            Plain: depth.npz with `depth` (F, H, W); camera.npz with `w2c` (F, 4, 4) and `intrinsics` (F, 4 or 3x3).
        clip: Name of ViPE's clip; not needed when there is only one.

    Raises:
        LyraSimError: A file is missing or damaged, or poses or intrinsics are none.
    """
    if (folder / "rgb.mp4").is_file():
        files = tuple(folder / name for name in ("rgb.mp4", "depth.npz", "camera.npz"))
        w2c = _array(files[2], "w2c").astype(np.float64)
        if w2c.ndim != 3 or w2c.shape[1:] != (4, 4):
            raise LyraSimError(f"{files[2]}: w2c has shape {w2c.shape}; expected (F, 4, 4)")
        return VideoFolder(
            files[0], files[1], _poses(folder, invert_rigid(w2c), _array(files[2], "intrinsics")), files
        )
    name = _clip_name(folder, clip)
    ends = {"rgb": "mp4", "depth": "zip", "pose": "npz", "intrinsics": "npz"}
    files = tuple(folder / kind / f"{name}.{end}" for kind, end in ends.items())
    poses = _poses(folder, read_npz(files[2]).numpy(), read_npz(files[3]).numpy())
    return VideoFolder(files[0], files[1], poses, files)


def _clip_name(folder: Path, clip: str | None) -> str:
    names = sorted(p.stem for p in (folder / "rgb").glob("*.mp4"))
    if clip is None and len(names) == 1:
        return names[0]
    if clip not in names:
        listed = f"it has {', '.join(names)}; name one" if names else "it needs rgb.mp4 or rgb/CLIP.mp4"
        raise LyraSimError(f"{folder}: is no posed video: {listed}")
    return str(clip)


def _poses(folder: Path, c2w: np.ndarray, lens: np.ndarray) -> VideoPoses:
    """Check poses and intrinsics (fx, fy, cx, cy or 3x3 per frame) and bring them together."""
    if lens.ndim == 3 and lens.shape[1:] == (3, 3):
        lens = lens[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    c2w, lens = c2w.astype(np.float64), lens.astype(np.float64)
    if c2w.ndim != 3 or c2w.shape[1:] != (4, 4) or lens.shape != (len(c2w), 4):
        raise LyraSimError(
            f"{folder}: poses are {c2w.shape} and intrinsics {lens.shape}; expected (F, 4, 4) and (F, 4) or (F, 3, 3)"
        )
    rotation = c2w[:, :3, :3]
    rigid = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max() < 1e-3
    if not (np.isfinite(c2w).all() and np.isfinite(lens).all() and rigid and (lens[:, :2] > 0).all()):
        raise LyraSimError(
            f"{folder}: poses must be rigid camera-to-world matrices, and focal lengths positive"
        )
    return VideoPoses(c2w, tuple(Lens(values, None) for values in lens))


def _array(path: Path, key: str) -> np.ndarray:
    """Return one array of numbers of an npz file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            array = np.asarray(archive[key])
    except FileNotFoundError:
        raise LyraSimError(f"{path} is missing") from None
    except KeyError:
        raise LyraSimError(f"{path}: has no array {key}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise LyraSimError(f"{path}: cannot be read as npz ({error})") from None
    if array.dtype.kind not in "fiu":
        raise LyraSimError(f"{path}: {key} has type {array.dtype}, expected numbers")
    return array
