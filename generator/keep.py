"""What `--keep` leaves: pictures, depth, cameras, Gaussians and the report, in the nerfstudio convention."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from generator.camera_files import camera_entries
from generator.frusta import draw_frusta
from generator.preview import depth_picture
from generator.teachers.teacher import Clip, TeacherVideo
from lyra_sim.files.ply import write_ply
from lyra_sim.gaussians import Gaussians


@dataclass(frozen=True)
class Kept:
    """Hold what goes into the folder."""

    video: TeacherVideo
    gaussians: Gaussians
    """In the same world frame as the video's cameras."""
    report: dict[str, Any]


def write_keep(folder: Path, kept: Kept) -> None:
    """Write `report.json`, `transforms.json`, `images/`, `depth/` and `gaussians.ply` into an empty folder.

    `cameras.png` shows where the cameras stood, `conditioning_depth.png` the depth of the first frame.
    """
    (folder / "images").mkdir()
    (folder / "depth").mkdir()
    clips = [(clip, "input") for clip in kept.video.clips]
    if kept.video.held_out is not None:
        clips.append((kept.video.held_out, "held_out"))
    frames = [frame for clip, split in clips for frame in _write_clip(folder, clip, split)]
    first = kept.video.clips[0].cameras
    transforms = {
        "camera_model": "OPENCV",
        "w": first.width,
        "h": first.height,
        "units": "metres" if kept.video.metric else "unknown scale",
        "up_axis": "Z",
        "ply_file_path": "gaussians.ply",
        "frames": frames,
    }
    (folder / "transforms.json").write_text(json.dumps(transforms, indent=1))
    (folder / "report.json").write_text(json.dumps(kept.report, indent=1))
    write_ply(folder / "gaussians.ply", kept.gaussians)
    draw_frusta(kept.video).save(folder / "cameras.png")
    _draw_depth(kept.video.clips[0]).save(folder / "conditioning_depth.png")


def _draw_depth(clip: Clip) -> Image.Image:
    """Return the first frame above its depth, pale near and dark far."""
    rgb, depth = clip.rgb[0], clip.depth[0]
    near, far = (float(v) for v in np.percentile(depth[depth > 0], [1, 99]))
    return Image.fromarray(np.concatenate([rgb, depth_picture(depth, near, max(far, near * 1.001))]))


def _write_clip(folder: Path, clip: Clip, split: str) -> list[dict[str, Any]]:
    frames = []
    cameras = camera_entries(clip.cameras)
    for index, (rgb, depth, camera) in enumerate(zip(clip.rgb, clip.depth, cameras, strict=True)):
        stem = f"{clip.name}_{index:03d}"
        Image.fromarray(rgb).save(folder / "images" / f"{stem}.png")
        np.save(folder / "depth" / f"{stem}.npy", depth.astype(np.float32))
        files = {"file_path": f"images/{stem}.png", "depth_file_path": f"depth/{stem}.npy"}
        frames.append({**files, **camera, "split": split})
    return frames
