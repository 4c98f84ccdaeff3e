"""Compare scenes with photographs, and videos with videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from generator import metrics
from generator.cameras import Cameras, invert_rigid
from generator.film.start import recorded_start
from generator.render import render_views
from generator.video_file import count_frames, read_video
from lyra_sim.convert import load_scene
from lyra_sim.errors import LyraSimError
from lyra_sim.scene import Scene
from training.evaluation.perceptual import Perceptual
from training.evaluation.pictures import VIDEO_SUFFIXES, cover
from training.evaluation.protocols import Shots
from training.evaluation.scores import SceneScores, score_frames

SCALES = np.geomspace(1e-2, 1e2, 33)
"""Metres per unit of a data set that are tried first when a scene is laid over its cameras."""
FIT_FRAMES, FIT_SIDE, FIT_ROUNDS = 5, 128, 3
"""Frames that the scale is fitted on, their longer side [px], and how often the step is divided by four."""
MAX_SIDE = 16_384
"""Longest side of a picture that is rendered [px]."""


@dataclass
class Samples:
    """Collect some frames for the picture grid: rows of (prediction, truth)."""

    per_scene: int = 3
    """Frames taken per scene."""
    rows: list[tuple[str, list[tuple[np.ndarray, np.ndarray]]]] = field(default_factory=list)
    """Name of the scene and its pairs."""

    def watch(
        self, name: str, pairs: Iterator[tuple[np.ndarray, np.ndarray]], count: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pass pairs on and keep some, evenly spread over the `count` that are expected."""
        wanted = set(np.linspace(0, count - 1, self.per_scene).round().astype(int).tolist())
        kept: list[tuple[np.ndarray, np.ndarray]] = []
        self.rows.append((name, kept))
        for index, pair in enumerate(pairs):
            if index in wanted:
                kept.append(pair)
            yield pair


def judge_scene(
    path: Path,
    shots: Shots,
    perceptual: Perceptual,
    samples: Samples,
    *,
    conditioning: int | None = None,
    size: tuple[int, int] | None = None,
) -> SceneScores:
    """Render a scene at the cameras of photographs and score it.

    Args:
        path: The scene, in any form that lyra-sim reads.
        shots: The photographs, in the scene's frame, or in their own when `conditioning` is given.
        perceptual: Distance for the column LPIPS.
        samples: Receives frames for the picture grid.
        conditioning: Photograph that the scene was made from. Its camera is laid over the scene's conditioning
            camera, the one unknown that is left, the unit of the data set, is fitted, and the photograph itself is
            not scored.
        size: Height and width to judge at; that of the cameras when left out.

    Raises:
        LyraSimError: The scene cannot be read or does not say where its conditioning camera was, a photograph is
            missing, or the size is absurd.
    """
    scene = load_scene(path)
    height, width = size or (shots.cameras.height, shots.cameras.width)
    if max(height, width) > MAX_SIDE:
        raise LyraSimError(f"{path}: {width}x{height} is too large to judge; at most {MAX_SIDE} px a side")
    scale = None
    if conditioning is not None:
        scale = fit_scale(scene, path, shots, conditioning)
        cameras = lay_over(scene, path, shots.cameras, conditioning, scale)
        rest = [i for i in range(len(shots)) if i != conditioning]
        shots = Shots(shots.name, cameras, shots.pictures, shots.distortion).select(rest)
    pairs = _rendered_pairs(scene, shots, height, width)
    watched = samples.watch(shots.name, pairs, len(shots))
    return score_frames(shots.name, watched, perceptual, fitted_scale=scale)


def _rendered_pairs(
    scene: Scene, shots: Shots, height: int, width: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    cameras = fit_into(shots.cameras, height, width)
    for frame in range(len(shots)):
        one = cameras.select(slice(frame, frame + 1))
        rgb = render_views(scene.gaussians, one.c2w, one.intrinsics, height=height, width=width).rgb[0]
        yield rgb.numpy().clip(0, 1), cover(shots.picture(frame), height, width)


def fit_into(cameras: Cameras, height: int, width: int) -> Cameras:
    """Return the cameras of pictures that `pictures.cover` brought to a size."""
    scale = max(height / cameras.height, width / cameras.width)
    rows, columns = max(round(cameras.height * scale), height), max(round(cameras.width * scale), width)
    return cameras.resized(rows, columns).cropped((rows - height) // 2, (columns - width) // 2, height, width)


def lay_over(scene: Scene, path: Path, cameras: Cameras, conditioning: int, scale: float) -> Cameras:
    """Move a data set's cameras so that the conditioning one is where the scene's was; `scale` in metres per unit."""
    start = recorded_start(scene.provenance)
    if start is None:
        raise LyraSimError(
            f"{path}: does not say where its conditioning camera was; give cameras in the scene's own frame"
        )
    relative = invert_rigid(cameras.c2w[conditioning]) @ cameras.c2w
    relative[:, :3, 3] *= scale
    return Cameras(start.c2w @ relative, cameras.intrinsics, cameras.height, cameras.width)


def fit_scale(scene: Scene, path: Path, shots: Shots, conditioning: int) -> float:
    """Return the metres per unit of the data set at which the scene looks most like some of the photographs.

    One picture does not tell the data set's unit, so that the protocols fit it; it is the only thing fitted.
    """
    shrink = FIT_SIDE / max(shots.cameras.height, shots.cameras.width)
    height, width = round(shots.cameras.height * shrink), round(shots.cameras.width * shrink)
    spread = np.linspace(0, len(shots) - 1, FIT_FRAMES + 1).round().astype(int).tolist()
    frames = [i for i in dict.fromkeys(spread) if i != conditioning]
    truths = [cover(shots.picture(i), height, width) for i in frames]

    def likeness(scale: float) -> float:
        cameras = lay_over(scene, path, shots.cameras, conditioning, scale).select(np.array(frames))
        cameras = fit_into(cameras, height, width)
        views = render_views(scene.gaussians, cameras.c2w, cameras.intrinsics, height=height, width=width)
        return metrics.mean_psnr(views.rgb.numpy(), truths)

    scales = SCALES
    for _ in range(FIT_ROUNDS):
        best = int(np.argmax([likeness(scale) for scale in scales]))
        low, high = scales[max(best - 1, 0)], scales[min(best + 1, len(scales) - 1)]
        scales = np.geomspace(low, high, 9)
    return float(scales[int(np.argmax([likeness(scale) for scale in scales]))])


def judge_videos(prediction: Path, truth: Path, perceptual: Perceptual, samples: Samples) -> SceneScores:
    """Score a video against the one of the same name, cut to the same number of frames.

    The truth is resized to cover the prediction's frames and cropped to their centre, as the official evaluation does.
    """

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # The shorter of the two ends the comparison.
        for a, b in zip(read_video(prediction), read_video(truth), strict=False):
            yield a / np.float32(255), cover(b / np.float32(255), *a.shape[:2])

    watched = samples.watch(prediction.stem, pairs(), count_frames(prediction))
    return score_frames(prediction.stem, watched, perceptual)


def matching_videos(predictions: Path, truths: Path) -> list[tuple[Path, Path]]:
    """Pair the videos of two folders by their path below them.

    Raises:
        LyraSimError: There is no video, or one has no partner.
    """
    found = [p for p in sorted(predictions.rglob("*")) if p.suffix.lower() in VIDEO_SUFFIXES]
    if not found:
        raise LyraSimError(f"{predictions}: holds no videos ({', '.join(VIDEO_SUFFIXES)})")
    pairs = [(p, truths / p.relative_to(predictions)) for p in found]
    for prediction, truth in pairs:
        if not truth.is_file():
            raise LyraSimError(f"{prediction}: has no video of the same name in {truths}")
    return pairs
