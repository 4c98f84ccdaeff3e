"""Videos that move: frames with depth and cameras of their own, filmed again along every camera path.

Frame t is shown from target camera t alone (a 4D cache), and the path is applied to the video's own cameras.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from generator.cache import Cache4D, CacheConfig, CacheViews
from generator.cameras import Cameras, invert_rigid
from generator.decoder.latent_files import exr_pictures, read_npz
from generator.pictures.depth_file import read_depth
from generator.teachers.picture_paths import CameraPath
from generator.video_file import read_video
from lyra_sim.errors import LyraSimError

_TALLER = 720 / 704
"""GEN3C resizes videos to 720 rows and cuts them to 704; other sizes keep the proportion."""


@dataclass(frozen=True)
class PosedVideo:
    """Hold the frames of a video with depth and cameras."""

    rgb: np.ndarray
    """Display-referred sRGB, (F, H, W, 3) uint8."""
    depth: np.ndarray
    """z-depth in the unit of the poses, (F, H, W) float32; 0 where unknown."""
    cameras: Cameras
    """F cameras, OpenCV axes."""

    def __len__(self) -> int:
        return len(self.rgb)


def read_posed_video(
    folder: Path, *, height: int, width: int, frames: int, start: int = 0, clip: str | None = None
) -> PosedVideo:
    """Read a result folder of ViPE, or a folder with `rgb.mp4`, `depth.npz` and `camera.npz`.

    Frames are resized to the width and a little more than the height, then cut to the height, as GEN3C does; depth is
    taken from the nearest pixel, because averages of near and far lie on neither. A video that is too short repeats
    its last frame.

    Args:
        folder: Of ViPE: `rgb/<clip>.mp4`, `depth/<clip>.zip` (EXR), `pose/<clip>.npz` (c2w), `intrinsics/<clip>.npz`.
            Plain: depth.npz with `depth` (F, H, W); camera.npz with `w2c` (F, 4, 4) and `intrinsics` (F, 4 or 3x3).
        height: Rows wanted [px].
        width: Columns wanted [px].
        frames: Frames wanted, 8k + 1.
        start: First frame.
        clip: Name of ViPE's clip; not needed when there is only one.

    Raises:
        LyraSimError: A file is missing or damaged, the files do not go together, or a package is not installed.
    """
    plain = (folder / "rgb.mp4").is_file()
    read = _read_plain(folder) if plain else _read_vipe(folder, _clip_name(folder, clip))
    count = min(len(read.rgb), len(read.depth), len(read.cameras))
    if start < 0 or start >= count:
        raise LyraSimError(
            f"{folder}: has {count} frames with depth and pose; it cannot start at frame {start}"
        )
    picked = np.minimum(np.arange(start, start + frames), count - 1)
    return _fitted(
        PosedVideo(read.rgb[picked], read.depth[picked], read.cameras.select(picked)), height, width
    )


def film_video(
    video: PosedVideo, path: CameraPath, *, distance: float, center_depth: float
) -> tuple[Cameras, CacheViews]:
    """Return the cameras of a path around a video's own cameras, and what the video shows from them.

    Args:
        video: The video.
        path: Camera path.
        distance: Movement in units of the centre depth.
        center_depth: Depth that the path turns around, such as the median of the first frame's.
    """
    moves = path.w2c(frames=len(video), distance=distance, center_depth=center_depth)
    w2c = moves @ video.cameras.w2c
    cameras = Cameras(invert_rigid(w2c), video.cameras.intrinsics, video.cameras.height, video.cameras.width)
    known = torch.from_numpy((video.depth > 0).astype(np.float32))
    cache = Cache4D(
        torch.from_numpy(video.rgb.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1,
        torch.from_numpy(video.depth),
        torch.from_numpy(video.cameras.w2c).float(),
        torch.from_numpy(video.cameras.intrinsics).float(),
        masks=known,
        config=replace(CacheConfig.for_height(video.cameras.height), max_depth=2 * float(video.depth.max())),
    )
    views = cache.render(torch.from_numpy(w2c).float(), torch.from_numpy(cameras.intrinsics).float())
    return cameras, views


def _clip_name(folder: Path, clip: str | None) -> str:
    names = sorted(p.stem for p in (folder / "rgb").glob("*.mp4"))
    if clip is None and len(names) == 1:
        return names[0]
    if clip not in names:
        listed = f"it has {', '.join(names)}; name one" if names else "it needs rgb.mp4 or rgb/CLIP.mp4"
        raise LyraSimError(f"{folder}: is no posed video: {listed}")
    return str(clip)


def _read_vipe(folder: Path, clip: str) -> PosedVideo:
    rgb = np.stack(list(read_video(folder / "rgb" / f"{clip}.mp4")))
    pictures = exr_pictures(folder / "depth" / f"{clip}.zip")
    depth = np.stack([read_depth(picture, unit="m").depth for picture in pictures])
    pose = read_npz(folder / "pose" / f"{clip}.npz").numpy()
    lens = read_npz(folder / "intrinsics" / f"{clip}.npz").numpy()
    return PosedVideo(rgb, depth, _cameras(folder, pose, lens, rgb.shape[1:3]))


def _read_plain(folder: Path) -> PosedVideo:
    rgb = np.stack(list(read_video(folder / "rgb.mp4")))
    depth = _array(folder / "depth.npz", "depth").astype(np.float32)
    w2c = _array(folder / "camera.npz", "w2c").astype(np.float64)
    lens = _array(folder / "camera.npz", "intrinsics")
    if w2c.ndim != 3 or w2c.shape[1:] != (4, 4):
        raise LyraSimError(f"{folder / 'camera.npz'}: w2c has shape {w2c.shape}; expected (F, 4, 4)")
    return PosedVideo(rgb, depth, _cameras(folder, invert_rigid(w2c), lens, rgb.shape[1:3]))


def _cameras(folder: Path, c2w: np.ndarray, lens: np.ndarray, size: tuple[int, ...]) -> Cameras:
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
    return Cameras(c2w, lens, *size)


def _fitted(video: PosedVideo, height: int, width: int) -> PosedVideo:
    """Resize to (height * 720/704, width), then cut the same number of rows from top and bottom."""
    rows = round(height * _TALLER)
    top = (rows - height) // 2
    images = torch.from_numpy(video.rgb.copy()).permute(0, 3, 1, 2).float()
    images = F.interpolate(images, size=(rows, width), mode="bilinear", align_corners=False)
    depth = torch.from_numpy(video.depth.astype(np.float32))[:, None].nan_to_num(0, 0, 0)
    depth = F.interpolate(depth, size=(rows, width), mode="nearest-exact")[:, 0]
    cut = slice(top, top + height)
    return PosedVideo(
        images[:, :, cut].round().to(torch.uint8).permute(0, 2, 3, 1).numpy(),
        depth[:, cut].clamp(min=0).numpy(),
        video.cameras.resized(rows, width).cropped(top, 0, height, width),
    )


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
