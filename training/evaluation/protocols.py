"""Read posed photographs in the layouts of RealEstate10K, DL3DV, Tanks and Temples, and nerfstudio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generator.camera_files import read_transforms
from generator.cameras import Cameras
from lyra_sim.errors import LyraSimError
from training.evaluation.pictures import read_picture, undistort

TANKS_FOCAL = 0.7
"""Focal length of Tanks and Temples' cameras over the picture's width, as its authors' own tools assume."""


@dataclass(frozen=True)
class Shots:
    """Hold the posed photographs of one scene."""

    name: str
    """Name of the scene."""
    cameras: Cameras
    """One pinhole camera per photograph, OpenCV axes, in the data set's own frame and unit."""
    pictures: tuple[Path, ...]
    """The photographs."""
    distortion: np.ndarray | None = None
    """k1, k2, p1, p2 of the lens, which pictures are freed from before they are judged."""

    def __len__(self) -> int:
        return len(self.pictures)

    def select(self, frames: list[int]) -> Shots:
        """Return the photographs with the given indices."""
        picked = tuple(self.pictures[i] for i in frames)
        return Shots(self.name, self.cameras.select(np.array(frames)), picked, self.distortion)

    def picture(self, frame: int) -> np.ndarray:
        """Return a photograph as its pinhole camera would have seen it, sRGB in [0, 1], (H, W, 3).

        Raises:
            LyraSimError: It is missing, or its shape is not that of its camera.
        """
        image = read_picture(self.pictures[frame])
        height, width = self.cameras.height, self.cameras.width
        if abs(image.shape[0] * width - image.shape[1] * height) > max(height, width):
            raise LyraSimError(
                f"{self.pictures[frame]}: is {image.shape[1]}x{image.shape[0]}, its camera {width}x{height}"
            )
        if self.distortion is None:
            return image
        scale = image.shape[1] / width
        return undistort(image, self.cameras.intrinsics[frame] * scale, self.distortion)


def read_nerfstudio(path: Path, *, split: str | None = None) -> Shots:
    """Read a nerfstudio `transforms.json`, or the folder that holds one; `split` takes one part of the frames."""
    path = path / "transforms.json" if path.is_dir() else path
    frames = read_transforms(path)
    if not frames.file_paths:
        raise LyraSimError(f"{path}: its frames name no pictures (file_path)")
    pictures = tuple(path.parent / name for name in frames.file_paths)
    shots = Shots(path.parent.name, frames.cameras, pictures)
    if split is None:
        return shots
    chosen = [i for i, name in enumerate(frames.splits) if name == split]
    if not chosen:
        known = ", ".join(sorted(set(frames.splits))) or "none"
        raise LyraSimError(f"{path}: no frame is of split {split!r}; there are: {known}")
    return shots.select(chosen)


def read_re10k(path: Path) -> Shots:
    """Read a scene of RealEstate10K: `<id>.txt` with the pictures in `<id>/<timestamp>.png` (or .jpg) beside it.

    Each line after the first is a timestamp, fx, fy, cx, cy over the picture's sides, two zeros, and the upper three
    rows of the world-to-camera matrix (OpenCV axes).
    """
    lines = [line.split() for line in _text(path).splitlines()[1:] if line.strip()]
    try:
        rows = np.array([[float(value) for value in line[1:]] for line in lines])
    except ValueError:
        rows = np.empty(0)
    if rows.ndim != 2 or rows.shape[1] != 18:
        raise LyraSimError(f"{path}: is not RealEstate10K's: a link, then lines of 19 numbers")
    pictures = tuple(_picture(path.with_suffix(""), line[0]) for line in lines)
    height, width = read_picture(pictures[0]).shape[:2]
    w2c = np.tile(np.eye(4), (len(rows), 1, 1))
    w2c[:, :3] = rows[:, 6:].reshape(-1, 3, 4)
    intrinsics = rows[:, :4] * [width, height, width, height]
    return Shots(path.stem, Cameras(np.linalg.inv(w2c), intrinsics, height, width), pictures)


def read_dl3dv(path: Path) -> Shots:
    """Read a scene of DL3DV: a folder with `transforms.json` and pictures, full size or in `images_2` to `images_8`.

    Its lens model (k1, k2, p1, p2) is undone in the pictures, not in the cameras.
    """
    frames = read_transforms(path / "transforms.json", bent=True)
    if not frames.file_paths:
        raise LyraSimError(f"{path}: the frames of its transforms.json name no pictures (file_path)")
    order = np.argsort(frames.file_paths)
    pictures = tuple(_reduced(path, frames.file_paths[i]) for i in order)
    distortion = np.array(frames.distortion) if frames.distortion else None
    return Shots(path.name, frames.cameras.select(order), pictures, distortion)


def read_tanks(path: Path) -> Shots:
    """Read a scene of Tanks and Temples: a folder with pictures and its `*_COLMAP_SfM.log` (camera-to-world poses).

    The log holds no intrinsics; the focal length is 0.7 of the width, the centre the picture's.
    """
    logs = sorted(path.glob("*.log"))
    if len(logs) != 1:
        raise LyraSimError(
            f"{path}: holds {len(logs)} camera logs; Tanks and Temples has one *.log per scene"
        )
    folder = path / "images" if (path / "images").is_dir() else path
    pictures = tuple(p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    lines = [line.split() for line in _text(logs[0]).splitlines() if line.strip()]
    try:
        c2w = np.array([[float(v) for v in line] for i, line in enumerate(lines) if i % 5]).reshape(-1, 4, 4)
        order = [int(line[0]) for line in lines[::5]]
    except ValueError as error:
        raise LyraSimError(
            f"{logs[0]}: is not a camera log: an index line, then a 4x4 matrix each"
        ) from error
    if not order or max(order) >= len(pictures):
        raise LyraSimError(f"{logs[0]}: has {len(order)} cameras, {folder} holds {len(pictures)} pictures")
    height, width = read_picture(pictures[0]).shape[:2]
    focal = TANKS_FOCAL * width
    intrinsics = np.tile([focal, focal, width / 2, height / 2], (len(order), 1))
    return Shots(path.name, Cameras(c2w, intrinsics, height, width), tuple(pictures[i] for i in order))


PROTOCOLS: dict[str, tuple[str, Callable[[Path], Shots]]] = {
    "re10k": ("*.txt", read_re10k),
    "dl3dv": ("*/transforms.json", lambda path: read_dl3dv(path.parent)),
    "tanks": ("*/*.log", lambda path: read_tanks(path.parent)),
    "nerfstudio": ("*/transforms.json", read_nerfstudio),
}
"""Per protocol: where its scenes are in a folder, and their reader."""


def read_protocol(name: str, folder: Path) -> list[Shots]:
    """Read all scenes of a data set's folder, in the order of their names.

    Raises:
        LyraSimError: There is none, or one is not as its data set writes it.
    """
    pattern, read = PROTOCOLS[name]
    found = sorted(folder.glob(pattern)) if folder.is_dir() else []
    if not found:
        raise LyraSimError(f"{folder}: holds no scene of {name} ({pattern})")
    return [read(path) for path in found]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise LyraSimError(f"{path}: cannot be read ({error})") from error


def _picture(folder: Path, stem: str) -> Path:
    for suffix in (".png", ".jpg", ".jpeg"):
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    raise LyraSimError(f"{folder}: has no picture {stem}.png or .jpg, which its cameras name")


def _reduced(folder: Path, name: str) -> Path:
    plain = folder / name
    places = [plain, *(folder / f"{plain.parent.name}_{factor}" / plain.name for factor in (2, 4, 8))]
    for place in places:
        if place.is_file():
            return place
    raise LyraSimError(f"{plain}: is missing, also in images_2, images_4 and images_8")
