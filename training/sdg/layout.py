"""Write and read one scene in the published layout.

A folder holds numbered views; every scene has one file per view and kind, all of the same stem: `rgb/<stem>.mp4`,
`latent/<stem>.safetensors` (raw tokenizer latents, (1, C, t, h, w)), `depth/<stem>.zip` (`%05d.exr`, half-float channel
Z, z-depth, 0 where unknown), `pose/<stem>.npz` (`data` (T, 4, 4) camera-to-world, OpenCV axes, and `inds`) and
`intrinsics/<stem>.npz` (`data` (T, 4) fx, fy, cx, cy [px], and `inds`). Views 6 to 11 are views 0 to 5 run backwards.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from generator.cameras import Cameras
from generator.decoder.latent_files import exr_pictures, read_npz
from generator.teachers.teacher import Clip
from generator.video_file import read_video
from lyra_sim.errors import LyraSimError

FPS = 24
KINDS = {
    "rgb": ".mp4",
    "latent": ".safetensors",
    "depth": ".zip",
    "pose": ".npz",
    "intrinsics": ".npz",
}
"""Kinds of file of a view, and their endings as we write them."""
REVERSED_FROM = 6
"""First view of those that run backwards."""

Encode = Callable[[np.ndarray], np.ndarray]
"""Frames (T, H, W, 3) uint8 to raw latents (C, t, h, w) float32."""


@dataclass(frozen=True)
class View:
    """Hold one view of a scene as it was read."""

    rgb: np.ndarray
    """sRGB as the video gives it back, (T, H, W, 3) uint8."""
    depth: np.ndarray | None
    """z-depth in the teacher's unit, (T, H, W) float32, 0 where unknown; None where the set has none."""
    cameras: Cameras
    """In the scene's frame, OpenCV axes."""


def reversed_clip(clip: Clip) -> Clip:
    """Return a clip run backwards: frames, depth and cameras alike, so that every frame keeps its own camera."""
    cameras = clip.cameras.select(slice(None, None, -1))
    return Clip(clip.name + "_reversed", cameras, clip.rgb[::-1].copy(), clip.depth[::-1].copy())


def write_scene(
    folder: Path, stem: str, clips: dict[int, Clip], encode: Encode, *, tokenizer_sha256: str | None = None
) -> list[Path]:
    """Write the files of a scene, one set per view number, and return them.

    A clip that brings latents of its own keeps them; others go through `encode`. Every file appears whole or not
    at all; a scene is complete when the manifest names it, which its writer does last. `tokenizer_sha256` tells
    readers of the latents which weights made them.

    Raises:
        LyraSimError: The packages av or OpenEXR are missing.
    """
    written = []
    for number, clip in clips.items():
        latents = encode(clip.rgb) if clip.latents is None else clip.latents
        writers: dict[str, Callable[[Path], None]] = {
            "rgb": lambda path, clip=clip: write_video(path, clip.rgb),  # type: ignore[misc]
            "latent": lambda path, latents=latents: _write_latent(path, latents, tokenizer_sha256),  # type: ignore[misc]
            "depth": lambda path, clip=clip: write_depth(path, clip.depth),  # type: ignore[misc]
            "pose": lambda path, clip=clip: _write_npz(path, clip.cameras.c2w),  # type: ignore[misc]
            "intrinsics": lambda path, clip=clip: _write_npz(path, clip.cameras.intrinsics),  # type: ignore[misc]
        }
        for kind, write in writers.items():
            path = folder / str(number) / kind / f"{stem}{KINDS[kind]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{stem}.part{path.suffix}")
            write(temporary)
            temporary.replace(path)
            written.append(path)
    return written


def _write_latent(path: Path, latents: np.ndarray, tokenizer_sha256: str | None) -> None:
    array = np.ascontiguousarray(latents[None], np.float32)
    # One entry, because safetensors writes several in an order that changes from run to run.
    save_file({"latent": array}, path, metadata={"space": f"raw {tokenizer_sha256 or ''}".strip()})


def _write_npz(path: Path, data: np.ndarray) -> None:
    np.savez(path, data=data.astype(np.float32), inds=np.arange(len(data)))


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write frames (T, H, W, 3) uint8 as H.264 in MP4, 24 per second, close to lossless."""
    import av

    with av.open(str(path), "w", format="mp4") as container:
        # Macroblock trees are left out, because x264's AVX-512 code for them gives other bytes from run to run.
        options = {"crf": "10", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv444p"
        # One thread, so that the same frames give the same bytes on any machine.
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode())


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write z-depth (T, H, W) as a zip of half-float EXR pictures."""
    exr = _openexr()
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w") as archive:
        for index, plane in enumerate(depth):
            picture = Path(folder) / "frame.exr"
            channels = {"Z": np.ascontiguousarray(plane, np.float16)}
            exr.File(header, channels).write(str(picture))
            # A fixed date: equal depth gives equal bytes.
            archive.writestr(zipfile.ZipInfo(f"{index:05d}.exr"), picture.read_bytes())


def read_view(folder: Path, stem: str, *, with_depth: bool = True) -> View:
    """Read pictures, depth and cameras of one view folder.

    Raises:
        LyraSimError: A file is missing or damaged, or the files disagree about the number of frames.
    """
    c2w, intrinsics = (read_npz(folder / kind / f"{stem}.npz").numpy() for kind in ("pose", "intrinsics"))
    rgb = np.stack(list(read_video(folder / "rgb" / f"{stem}.mp4")))
    zipped = folder / "depth" / f"{stem}.zip"
    depth = read_depth(zipped) if with_depth and zipped.is_file() else None
    lengths = {"pose": len(c2w), "intrinsics": len(intrinsics), "rgb": len(rgb)}
    lengths |= {} if depth is None else {"depth": len(depth)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{kind} {count}" for kind, count in lengths.items())
        raise LyraSimError(f"{folder}: the files of {stem} differ in their number of frames ({told})")
    return View(rgb, depth, Cameras(c2w, intrinsics, *rgb.shape[1:3]))


def read_depth(path: Path) -> np.ndarray:
    """Read a zip of EXR pictures as z-depth (T, H, W) float32; what is not finite and positive becomes 0."""
    exr = _openexr()
    try:
        planes = [
            exr.File(str(picture), separate_channels=True).channels()["Z"].pixels
            for picture in exr_pictures(path)
        ]
    except (KeyError, RuntimeError, ValueError) as error:
        raise LyraSimError(
            f"{path}: cannot be read as a zip of EXR pictures with channel Z ({error})"
        ) from error
    depth = np.stack(planes).astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0).astype(np.float32)


def _openexr():
    try:
        import OpenEXR
    except ImportError as error:
        raise LyraSimError(
            "depth in this layout is EXR; install it with: pip install 'lyra-sim[train]'"
        ) from error
    return OpenEXR
