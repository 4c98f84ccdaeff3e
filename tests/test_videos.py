"""Reading videos: frames, depth, poses and lens in all layouts, still cameras, and depth that is estimated."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.camera_files import PosedFrames, write_transforms
from generator.cameras import Cameras
from generator.depth import DepthEstimate
from generator.request import Request
from generator.sizes import MINI
from generator.teachers.conditioning import Footage, Picture
from generator.videos import Recording, VideoFiles, load_recording
from generator.videos.depth import scale_to_poses
from generator.videos.frames import pick
from generator.videos.start import picture_of_video
from generator.videos.steady import median_frame, share_that_moves
from lyra_sim.errors import LyraSimError
from tests.video_files import write_exr_zip, write_mp4, write_plain, write_tum, write_vipe

FRAMES, ROWS, COLUMNS = 5, 90, 128
LENS = np.array([100.0, 100.0, 64.0, 45.0])
SIZE = dataclasses.replace(MINI, height=88, width=128, frames=5)


def scene(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth picture and the depth of a slanted wall; both drift with time."""
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    rgb = np.stack([column, row * 2, np.full_like(row, 40 * frame)], axis=-1) % 256
    return rgb.astype(np.uint8), (2 + row / ROWS + 0.1 * frame).astype(np.float32)


RGB = np.stack([scene(i)[0] for i in range(FRAMES)])
DEPTH = np.stack([scene(i)[1] for i in range(FRAMES)])


def poses(frames: int = FRAMES) -> np.ndarray:
    c2w = np.tile(np.eye(4), (frames, 1, 1))
    c2w[:, 0, 3] = 0.05 * np.arange(frames)
    return c2w


def load(files: VideoFiles, frames: int = FRAMES, **options: object) -> Recording:
    return load_recording(files, height=88, width=128, frames=frames, note=lambda note: None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("write", [write_vipe, write_plain])
def test_both_folders_give_the_same_video(tmp_path: Path, write) -> None:
    """Colours, depth, poses and lens arrive in order, cut to the size, in the unit of the poses."""
    video = load(VideoFiles(write(tmp_path / "video", RGB, DEPTH, poses(), LENS), span=(1, 4)), frames=4)
    assert video.rgb.shape == (4, 88, 128, 3)
    assert video.depth is not None
    assert video.c2w is not None
    np.testing.assert_allclose(video.c2w, poses()[1:], atol=1e-6)
    np.testing.assert_allclose(video.intrinsics[0], LENS - [0, 0, 0, 1])
    np.testing.assert_allclose(video.depth[0], DEPTH[1][1:89], rtol=1e-3)
    assert np.abs(video.rgb[2].astype(int) - RGB[3][1:89]).mean() < 4
    assert not video.metric
    np.testing.assert_allclose(video.cameras.c2w[:, 0, 3], [0, 0.05, 0.1, 0.15], atol=1e-6)


@pytest.mark.parametrize("kind", ["npz", "npy", "folder", "zip"])
def test_depth_comes_in_any_form(tmp_path: Path, kind: str) -> None:
    """Arrays, a folder of 16-bit pictures and a zip of EXR give the same metres for the same frames."""
    clip = write_mp4(tmp_path / "clip.mp4", RGB)
    path = tmp_path / (f"depth.{kind}" if kind != "folder" else "depths")
    if kind == "npz":
        np.savez(path, depth=DEPTH)
    elif kind == "npy":
        np.save(path, (DEPTH * 1000).round().astype(np.uint16))
    elif kind == "zip":
        write_exr_zip(path, DEPTH)
    else:
        path.mkdir()
        for i, depth in enumerate(DEPTH):
            Image.fromarray((depth * 1000).round().astype(np.uint16)).save(path / f"{i:03d}.png")
    video = load(VideoFiles(clip, depth=path), frames=3)
    assert video.metric
    np.testing.assert_array_equal(video.picked, [0, 2, 4])
    assert video.depth is not None
    np.testing.assert_allclose(video.depth[:, 40, 60], DEPTH[[0, 2, 4], 41, 60], rtol=2e-3)


def test_poses_come_by_frame_or_by_time(tmp_path: Path) -> None:
    """A transforms.json, a TUM line per frame and a sparser TUM file give the same poses; the first has a lens too."""
    clip = write_mp4(tmp_path / "clip.mp4", RGB, rate=10)
    cameras = Cameras(poses(), np.tile(LENS, (FRAMES, 1)), ROWS, COLUMNS)
    write_transforms(tmp_path / "transforms.json", PosedFrames(cameras))
    write_tum(tmp_path / "each.txt", poses(), 7 + 0.1 * np.arange(FRAMES))
    write_tum(tmp_path / "ends.txt", poses()[[0, -1]], np.array([7.0, 7.4]))
    for name, lens in (("transforms.json", "given"), ("each.txt", "assumed"), ("ends.txt", "assumed")):
        video = load(VideoFiles(clip, cameras=tmp_path / name))
        assert video.c2w is not None
        np.testing.assert_allclose(video.c2w, poses(), atol=1e-6)
        assert video.source["intrinsics_from"] == lens


def test_frames_are_picked_evenly() -> None:
    """All of a video or a span of it is covered from end to end, and short videos show frames twice."""
    np.testing.assert_array_equal(pick(121, 5, None), [0, 30, 60, 90, 120])
    np.testing.assert_array_equal(pick(121, 3, (10, 14)), [10, 12, 14])
    np.testing.assert_array_equal(pick(3, 5, None), [0, 0, 1, 2, 2])
    with pytest.raises(LyraSimError, match="frames 0 to 120"):
        pick(121, 5, (10, 121))


def room(seed: int = 0, height: int = 88, width: int = 400) -> np.ndarray:
    """Return a wall of many rectangles, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    wall = np.full((height, width, 3), 128, np.uint8)
    for _ in range(200):
        y, x = rng.integers(0, height), rng.integers(0, width)
        wall[y : y + rng.integers(4, 24), x : x + rng.integers(4, 24)] = rng.integers(0, (120, 256, 256))
    return wall


def still(frames: int = 9) -> np.ndarray:
    """Return the wall seen by a camera at rest, with noise, changing light and a red box that passes by."""
    rng, wall = np.random.default_rng(1), room()[:, :128].astype(float)
    video = np.stack([wall * (0.8 + 0.04 * i) for i in range(frames)]) + rng.normal(
        0, 3, (frames, 88, 128, 3)
    )
    for i in range(frames):
        video[i, 30:60, 12 * i : 12 * i + 20] = (220, 30, 30)
    return video.clip(0, 255).astype(np.uint8)


def pan(frames: int = 9, step: int = 4) -> np.ndarray:
    """Return the wall seen by a camera that moves along it."""
    wall = room()
    return np.stack([wall[:, step * i : step * i + 128] for i in range(frames)])


def test_a_camera_that_moves_is_told_from_things_that_do() -> None:
    """Noise, changing light and a passing box are no movement of the camera; a slow pan is."""
    assert share_that_moves(still()) < 0.25
    assert share_that_moves(pan()) > 0.75
    assert share_that_moves(pan(step=1)) > 0.5


def test_the_median_frame_leaves_out_what_passes_by() -> None:
    """The box is in no pixel of the median, and a depth that half of the frames miss is still a measured one."""
    video = still()
    depth = np.full(video.shape[:3], 4.0, np.float32)
    depth[:4] = 0
    depth[:, 0, 0] = 0
    rgb, middle = median_frame(video, depth)
    assert not ((rgb[..., 0] > 180) & (rgb[..., 1] < 60)).any()
    assert middle[0, 0] == 0
    assert (middle.ravel()[1:] == 4).all()


class Estimator:
    """Knows the depth of the wall up to a factor that differs from picture to picture."""

    name = "fake"
    metric = True

    def __init__(self) -> None:
        self.asked = 0

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        self.asked += 1
        rows = np.linspace(1.5, 3.0, rgb.shape[0], dtype=np.float32)[:, None]
        depth = np.repeat(rows, rgb.shape[1], axis=1) * (1 + 0.3 * self.asked)
        return DepthEstimate(depth, np.ones_like(depth, bool), None)


def start(request: Request, *, size=SIZE, notes: list[str] | None = None) -> tuple[Picture, Estimator]:
    estimator = Estimator()
    said = [] if notes is None else notes
    picture = picture_of_video(
        request,
        size,
        frames=size.frames,
        estimator=lambda: estimator,
        note=said.append,
        update=lambda share, message: None,
    )
    return picture, estimator


def request(clip: Path, **options: object) -> Request:
    return Request("", clip.with_suffix(".usdz"), video=clip, **options)  # type: ignore[arg-type]


def test_a_still_camera_gives_one_picture_of_what_stays(tmp_path: Path) -> None:
    """Without poses a camera at rest makes a static scene from the median frame, and both are said."""
    clip, notes = write_mp4(tmp_path / "still.mp4", still()), []
    picture, estimator = start(request(clip), notes=notes)
    assert not isinstance(picture, Footage)
    assert estimator.asked == 1
    assert not ((picture.rgb[..., 0] > 180) & (picture.rgb[..., 1] < 60)).any()
    assert "taken to stand still" in " ".join(notes)
    assert picture.source["fused"] == "median"


def test_a_moving_camera_without_poses_is_refused_but_one_frame_of_it_is_not(tmp_path: Path) -> None:
    """The error names what is missing, and --time N takes that frame alone, as a picture."""
    clip = write_mp4(tmp_path / "pan.mp4", pan())
    with pytest.raises(LyraSimError, match=r"camera of the video moves .* --video-cameras .* --time N"):
        start(request(clip))
    picture, _ = start(request(clip, times=(4.0,)))
    assert not isinstance(picture, Footage)
    assert np.abs(picture.rgb.astype(int) - pan()[4]).mean() < 6
    with pytest.raises(LyraSimError, match="give the number of one frame"):
        start(request(clip, times=(0.0, 4.0)))


def walk(frames: int = 5, depth: float = 2.0, focal: float = 100.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a flat wall seen by a camera that moves along it by 4 px per frame, and its poses."""
    c2w = np.tile(np.eye(4), (frames, 1, 1))
    c2w[:, 0, 3] = np.arange(frames) * 4 * depth / focal
    return pan(frames), c2w


def test_estimated_depth_gets_the_unit_of_the_poses() -> None:
    """A wall estimated at 6 m instead of 2 comes to 2 m, because only there the frames look alike."""
    rgb, c2w = walk()
    lens = np.tile([100.0, 100.0, 64.0, 44.0], (5, 1))
    recording = Recording(rgb, np.arange(5), lens, c2w, None, {"intrinsics_from": "given"})
    first = recording.frame(0).with_depth(np.full((88, 128), 6.0, np.float32), metric=True)
    assert 6.0 * scale_to_poses(recording, first) == pytest.approx(2.0, rel=0.08)
    frozen = dataclasses.replace(recording, rgb=np.repeat(rgb[:1], 5, axis=0))
    with pytest.raises(LyraSimError, match="cannot be brought to the unit of the poses"):
        scale_to_poses(frozen, first)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("empty", "is no posed video"),
        ("zip", "cannot be read as a zip"),
        ("mp4", "cannot be read as a video"),
        ("pose", "must be rigid"),
        ("span", "has frames 0 to 4"),
        ("count", "has 4 depth maps, the video 5 frames"),
        ("shape", "must show the same view"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, damage: str, message: str) -> None:
    """What is missing, damaged or does not go together is said in one line with the path."""
    folder = tmp_path / "video"
    files = VideoFiles(folder, span=(0, 7) if damage == "span" else None)
    if damage == "empty":
        folder.mkdir()
    else:
        write_vipe(folder, RGB, DEPTH, 2 * poses() if damage == "pose" else poses(), LENS)
    if damage == "zip":
        (folder / "depth" / "clip.zip").write_bytes(b"PK")
    elif damage == "mp4":
        (folder / "rgb" / "clip.mp4").write_bytes(io.BytesIO(b"no video").getvalue())
    elif damage in ("count", "shape"):
        np.savez(tmp_path / "d.npz", depth=DEPTH[:4] if damage == "count" else DEPTH[:, :40])
        files = VideoFiles(folder / "rgb" / "clip.mp4", depth=tmp_path / "d.npz")
    with pytest.raises(LyraSimError, match=message):
        load(files)
