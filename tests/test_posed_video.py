"""Videos with depth and cameras: ViPE's folders, plain ones, and what is shown from other cameras."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import av
import numpy as np
import OpenEXR
import pytest

from generator.teachers.gen3c.video import PosedVideo, film_video, read_posed_video
from generator.trajectories import SDG_TRAJECTORIES
from lyra_sim.errors import LyraSimError

FRAMES, ROWS, COLUMNS = 5, 90, 128
LENS = np.array([100.0, 100.0, 64.0, 45.0])


def scene(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth picture and the depth of a slanted wall; both drift with time."""
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    rgb = np.stack([column, row * 2, np.full_like(row, 40 * frame)], axis=-1) % 256
    return rgb.astype(np.uint8), (2 + row / ROWS + 0.1 * frame).astype(np.float32)


def poses() -> np.ndarray:
    c2w = np.tile(np.eye(4), (FRAMES, 1, 1))
    c2w[:, 0, 3] = 0.05 * np.arange(FRAMES)
    return c2w


def write_mp4(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = COLUMNS, ROWS, "yuv444p"
        stream.options = {"crf": "4"}
        for i in range(FRAMES):
            for packet in stream.encode(av.VideoFrame.from_ndarray(scene(i)[0], format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def write_vipe(folder: Path) -> Path:
    for name in ("rgb", "depth", "pose", "intrinsics"):
        (folder / name).mkdir(parents=True)
    write_mp4(folder / "rgb" / "clip.mp4")
    with zipfile.ZipFile(folder / "depth" / "clip.zip", "w") as archive:
        for i in range(FRAMES):
            path = folder / "frame.exr"
            channels = {"Z": scene(i)[1].astype(np.float16)}
            OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(path))
            archive.write(path, f"{i:05d}.exr")
            path.unlink()
    # The rows come in another order than the frames, and say so.
    order = np.array([4, 0, 1, 2, 3])
    np.savez(folder / "pose" / "clip.npz", data=poses()[order].astype(np.float32), inds=order)
    np.savez(folder / "intrinsics" / "clip.npz", data=np.tile(LENS, (FRAMES, 1))[order], inds=order)
    return folder


def write_plain(folder: Path) -> Path:
    folder.mkdir()
    write_mp4(folder / "rgb.mp4")
    np.savez(folder / "depth.npz", depth=np.stack([scene(i)[1] for i in range(FRAMES)]))
    matrix = np.array([[100.0, 0, 64], [0, 100, 45], [0, 0, 1]])
    np.savez(folder / "camera.npz", w2c=np.linalg.inv(poses()), intrinsics=np.tile(matrix, (FRAMES, 1, 1)))
    return folder


@pytest.mark.parametrize("write", [write_vipe, write_plain])
def test_both_layouts_give_the_same_video(tmp_path: Path, write) -> None:
    """Colours, depth, poses and lens arrive in order, cut to the size, the last frame repeated."""
    video = read_posed_video(write(tmp_path / "video"), height=88, width=128, frames=9, start=1)
    assert video.rgb.shape == (9, 88, 128, 3)
    assert video.depth.shape == (9, 88, 128)
    np.testing.assert_allclose(video.cameras.c2w[:4], poses()[1:], atol=1e-6)
    np.testing.assert_allclose(video.cameras.intrinsics[0], LENS - [0, 0, 0, 1])
    np.testing.assert_allclose(video.depth[0], scene(1)[1][1:89], rtol=1e-3)
    assert np.abs(video.rgb[2].astype(int) - scene(3)[0][1:89]).mean() < 4
    for repeated in range(4, 9):
        np.testing.assert_array_equal(video.rgb[repeated], video.rgb[3])
        np.testing.assert_array_equal(video.cameras.c2w[repeated], video.cameras.c2w[3])


def posed(frames: int = 3) -> PosedVideo:
    from generator.cameras import Cameras

    pictures = [scene(i) for i in range(frames)]
    cameras = Cameras(poses()[:frames], np.tile(LENS, (frames, 1)), ROWS, COLUMNS)
    return PosedVideo(np.stack([p[0] for p in pictures]), np.stack([p[1] for p in pictures]), cameras)


def test_every_frame_is_shown_at_its_own_time_only() -> None:
    """Without movement each view is its own frame, and the cameras are those of the video."""
    video = posed()
    still = SDG_TRAJECTORIES[0]
    cameras, views = film_video(video, still, distance=0.0, center_depth=2.0)
    np.testing.assert_allclose(cameras.c2w, video.cameras.c2w, atol=1e-12)
    for i in range(3):
        seen = views.mask[i, 0].numpy()
        assert seen.mean() > 0.9
        shown = ((views.pixels[i, 0].permute(1, 2, 0).numpy() + 1) * 127.5)[seen]
        assert np.abs(shown - video.rgb[i][seen]).mean() < 2
        np.testing.assert_allclose(views.depth[i, 0].numpy()[seen], video.depth[i][seen], rtol=0.02)


def test_paths_are_applied_to_the_cameras_of_the_video() -> None:
    """The last camera of a path to the left stands left of the video's own, by the distance travelled."""
    video = posed()
    cameras, views = film_video(video, SDG_TRAJECTORIES[0], distance=0.3, center_depth=2.0)
    moved = SDG_TRAJECTORIES[0].w2c(frames=3, distance=0.3, center_depth=2.0)
    np.testing.assert_allclose(cameras.w2c, moved @ video.cameras.w2c, atol=1e-9)
    assert not views.mask[2, 0].all()


def test_unknown_depth_is_not_shown() -> None:
    """Pixels of depth 0 leave holes instead of a surface at the camera."""
    video = posed(1)
    video.depth[0, 20:60, 30:90] = 0
    _, views = film_video(video, SDG_TRAJECTORIES[0], distance=0.0, center_depth=2.0)
    assert not views.mask[0, 0, 25:55, 35:85].any()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("empty", "is no posed video"),
        ("zip", "cannot be read as a zip"),
        ("mp4", "cannot be read as a video"),
        ("pose", "must be rigid"),
        ("start", "cannot start at frame 7"),
    ],
)
def test_folders_that_cannot_be_used_are_named(tmp_path: Path, damage: str, message: str) -> None:
    """What is missing or damaged is said in one line with the path."""
    folder = tmp_path / "video"
    if damage == "empty":
        folder.mkdir()
    else:
        write_vipe(folder)
    if damage == "zip":
        (folder / "depth" / "clip.zip").write_bytes(b"PK")
    elif damage == "mp4":
        (folder / "rgb" / "clip.mp4").write_bytes(io.BytesIO(b"no video").getvalue())
    elif damage == "pose":
        np.savez(folder / "pose" / "clip.npz", data=2 * poses(), inds=np.arange(FRAMES))
    with pytest.raises(LyraSimError, match=message):
        read_posed_video(folder, height=88, width=128, frames=5, start=7 if damage == "start" else 0)
