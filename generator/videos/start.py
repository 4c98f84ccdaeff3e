"""From the video of a request to what a teacher starts from: footage, or one picture where the scene stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from generator.depth import DepthEstimator
from generator.pictures.conditioning import Note, estimate_depth, with_measured_depth
from generator.request import Request
from generator.sizes import Size
from generator.teachers.conditioning import Picture
from generator.videos.depth import estimate_first, estimate_rest
from generator.videos.recording import Recording
from generator.videos.request import VideoFiles, load_recording
from generator.videos.steady import median_frame, share_that_moves
from lyra_sim.errors import LyraSimError


def picture_of_video(
    request: Request,
    size: Size,
    *,
    frames: int,
    estimator: Callable[[], DepthEstimator],
    note: Note,
    update: Callable[[float, str], None],
) -> Picture:
    """Return the footage of a request, or one picture: the chosen frame, or what a still camera sees all the time.

    Args:
        request: Names the video and what goes with it.
        size: Says how large frames are, and whether its decoder is for scenes that move.
        frames: Frames per camera path.
        estimator: Gives the depth estimator; only called for a video without depth.
        note: Told what is assumed.
        update: Told the share that is done, and what is being done.

    Raises:
        LyraSimError: A file cannot be used, or the camera moves and nothing tells how.
    """
    assert request.video is not None
    files = VideoFiles(
        request.video,
        request.depth_video,
        request.depth_unit,
        request.video_cameras,
        request.intrinsics,
        request.fit,
        request.video_span,
    )
    update(0.0, f"reading {request.video.name}")
    one = _one_frame(request, size)
    recording = load_recording(
        files, height=size.height, width=size.width, frames=frames, time=one, note=note
    )
    if one is not None:
        note(
            f"The {size.name} decoder makes scenes that stand still: frame {one} of the video is taken alone"
        )
        return _alone(recording, estimator, note)
    _require_poses_or_rest(recording, note)
    if recording.stands_still and not size.moves:
        note(
            "The camera stands still: the scene is what it sees most of the time, and what passes by is left out"
        )
        return _alone(_fused(recording), estimator, note)
    if not size.moves:
        note(
            "Everything in the video is taken to stand still; what moves shows in several places (--time: one frame)"
        )
    recording, first = _with_depth(recording, estimator, note, update)
    return recording.footage(first, moving=size.moves)


def _one_frame(request: Request, size: Size) -> int | None:
    """Return the frame that a static decoder shall take alone; raises LyraSimError for several."""
    if size.moves or not request.times:
        return None
    if len(request.times) > 1 or request.times[0] % 1:
        raise LyraSimError(
            f"--time: the {size.name} decoder makes scenes that stand still; give the number of one frame"
        )
    return int(request.times[0])


def _require_poses_or_rest(recording: Recording, note: Note) -> None:
    """Raise LyraSimError unless poses are given or the camera stands still; say which is assumed."""
    if recording.c2w is not None:
        return
    moves = share_that_moves(recording.rgb)
    if moves > 0.5:
        raise LyraSimError(
            f"the camera of the video moves ({moves:.0%} of its outlines do), and nothing tells its poses; give "
            "--video-cameras (transforms.json or TUM), or --time N for one frame of it"
        )
    note(f"Without --video-cameras the camera is taken to stand still ({moves:.0%} of what it sees moves)")


def _fused(recording: Recording) -> Recording:
    """Return the one frame that shows what a still camera sees most of the time."""
    depth = recording.depth if recording.depth is not None else np.zeros(recording.rgb.shape[:3], np.float32)
    rgb, middle = median_frame(recording.rgb, depth)
    return replace(
        recording,
        rgb=rgb[None],
        picked=recording.picked[:1],
        intrinsics=recording.intrinsics[:1],
        c2w=None,
        depth=None if recording.depth is None else middle[None],
        source={**recording.source, "fused": "median"},
    )


def _alone(recording: Recording, estimator: Callable[[], DepthEstimator], note: Note) -> Picture:
    """Return the first frame as a picture with depth, measured or estimated."""
    if recording.depth is None:
        return estimate_depth(recording.frame(0), estimator(), note=note)
    return with_measured_depth(
        recording.frame(0), recording.depth[0], where="--depth-video", metric=recording.metric, note=note
    )


def _with_depth(
    recording: Recording,
    estimator: Callable[[], DepthEstimator],
    note: Note,
    update: Callable[[float, str], None],
) -> tuple[Recording, Picture]:
    """Return the recording with depth, and its first frame with dense depth."""
    if recording.depth is not None:
        return recording, _alone(recording, estimator, note)
    network = estimator()
    recording, first = estimate_first(recording, network, note=note)
    return estimate_rest(
        recording,
        first,
        network,
        update=lambda share: update(0.3 + 0.7 * share, "estimating the depth of the frames"),
    )
