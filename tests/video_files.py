"""Small videos with depth and poses for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import av
import numpy as np
import OpenEXR

from generator.cameras import invert_rigid


def write_mp4(path: Path, frames: np.ndarray, *, rate: int = 24) -> Path:
    """Write frames (F, H, W, 3) uint8 with hardly any loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv444p"
        stream.options = {"crf": "4"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def write_vipe(folder: Path, rgb: np.ndarray, depth: np.ndarray, c2w: np.ndarray, lens: np.ndarray) -> Path:
    """Write a result folder of ViPE whose rows come in another order than the frames, and say so."""
    for name in ("rgb", "depth", "pose", "intrinsics"):
        (folder / name).mkdir(parents=True)
    write_mp4(folder / "rgb" / "clip.mp4", rgb)
    write_exr_zip(folder / "depth" / "clip.zip", depth)
    order = np.roll(np.arange(len(rgb)), 1)
    np.savez(folder / "pose" / "clip.npz", data=c2w[order].astype(np.float32), inds=order)
    np.savez(folder / "intrinsics" / "clip.npz", data=np.tile(lens, (len(rgb), 1))[order], inds=order)
    return folder


def write_exr_zip(path: Path, depth: np.ndarray) -> Path:
    """Write depth (F, H, W) as ViPE does: a zip of half-float pictures."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, values in enumerate(depth):
            picture = path.with_name("frame.exr")
            channels = {"Z": values.astype(np.float16)}
            OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(picture))
            archive.write(picture, f"{number:05d}.exr")
            picture.unlink()
    return path


def write_plain(folder: Path, rgb: np.ndarray, depth: np.ndarray, c2w: np.ndarray, lens: np.ndarray) -> Path:
    """Write `rgb.mp4`, `depth.npz` and `camera.npz`, with intrinsics as matrices."""
    folder.mkdir()
    write_mp4(folder / "rgb.mp4", rgb)
    np.savez(folder / "depth.npz", depth=depth)
    matrix = np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]])
    np.savez(folder / "camera.npz", w2c=invert_rigid(c2w), intrinsics=np.tile(matrix, (len(rgb), 1, 1)))
    return folder


def write_tum(path: Path, c2w: np.ndarray, times: np.ndarray) -> Path:
    """Write poses without rotation as a TUM trajectory."""
    lines = [
        f"{t:.6f} {x:.9f} {y:.9f} {z:.9f} 0 0 0 1" for t, (x, y, z) in zip(times, c2w[:, :3, 3], strict=True)
    ]
    path.write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(lines) + "\n")
    return path
