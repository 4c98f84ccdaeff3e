"""`lyra-sim gen --video` from end to end, with the shipped decoder, at a size that takes seconds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import generator.generate as chain
from generator import metrics
from generator.camera_files import PosedFrames, write_transforms
from generator.render import render_views
from generator.sizes import MINI
from generator.teachers.procedural import ProceduralTeacher
from generator.teachers.raycast import RayCaster
from generator.teachers.teacher import Clip
from generator.trajectories import Trajectory
from generator.worlds import build_world, parse_prompt
from lyra_sim.cli import main
from lyra_sim.files.ply import read_ply
from lyra_sim.inspect import inspect_file
from tests.video_files import write_mp4

TINY = dataclasses.replace(MINI, height=64, width=112, frames=9)
BARE = ["--teacher", "warp", "--no-collider", "--no-preview", "--progress", "none"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the very same chain on smaller frames."""
    monkeypatch.setattr(chain, "resolve", lambda *_: TINY)


@dataclasses.dataclass
class Filmed:
    """A procedural world, filmed."""

    folder: Path
    """Holds walk.mp4, depth.npz, transforms.json, and still.mp4 of a camera at rest."""
    walk: Clip
    """What the camera saw on its way."""
    beside: Clip
    """Held-out views beside the way."""


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Filmed:
    folder = tmp_path_factory.mktemp("filmed")
    spec = parse_prompt("warehouse aisle")
    teacher = ProceduralTeacher(
        height=64, width=112, frames=9, held_out=0, trajectories=(Trajectory("right", 0.6, 0.6),)
    )
    walk = teacher.imagine(spec, seed=3).clips[0]
    beside = walk.cameras.c2w[4:].copy()
    beside[:, :3, 3] += np.random.default_rng(0).uniform(-0.06, 0.06, (len(beside), 3))
    held_out = teacher._clip("beside", RayCaster(build_world(spec, seed=3)), beside)
    write_mp4(folder / "walk.mp4", walk.rgb)
    np.savez(folder / "depth.npz", depth=walk.depth)
    write_transforms(folder / "transforms.json", PosedFrames(walk.cameras))
    still = np.repeat(walk.rgb[:1], 9, axis=0)
    for i in range(9):
        still[i, 20:40, 10 * i : 10 * i + 12] = (250, 20, 20)
    write_mp4(folder / "still.mp4", still)
    return Filmed(folder, walk, held_out)


def gen(out: Path, *options: str | Path) -> int:
    return main(["gen", "--out", str(out), *map(str, options), *BARE])


def psnr_beside(filmed: Filmed, out: Path, report: dict) -> float:
    """Return the PSNR [dB] of held-out views, laid over the scene by its first camera."""
    start = np.array(report["inputs"]["camera"]["c2w"])
    cameras = filmed.beside.cameras
    c2w = start @ np.linalg.inv(filmed.walk.cameras.c2w[0]) @ cameras.c2w
    views = render_views(
        read_ply(out.with_suffix(".ply")), c2w, cameras.intrinsics, height=64, width=112
    ).rgb.numpy()
    truth = filmed.beside.rgb / np.float32(255)
    return float(np.mean([metrics.psnr(a, b) for a, b in zip(views, truth, strict=True)]))


def test_a_posed_video_shows_more_than_its_first_frame(filmed: Filmed, tmp_path: Path) -> None:
    """Beside the way of the camera, at views that nothing was made from, a video is better than its first frame."""
    files = [
        "--depth-video",
        filmed.folder / "depth.npz",
        "--video-cameras",
        filmed.folder / "transforms.json",
    ]
    found = {}
    for name, options in (("video", []), ("picture", ["--time", "0"])):
        out = tmp_path / f"{name}.usdz"
        kept = ["--keep", tmp_path / name, "--ply", out.with_suffix(".ply")]
        assert gen(out, "--video", filmed.folder / "walk.mp4", *files, *options, *kept) == 0
        report = json.loads((tmp_path / name / "report.json").read_text())
        found[name] = psnr_beside(filmed, out, report)
    assert report["inputs"]["teacher"]["picture"]["picked"] == [0]
    assert found["video"] > found["picture"]
    assert report["inputs"]["metric"]


def test_a_still_camera_makes_a_static_scene_without_what_passes_by(
    filmed: Filmed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without poses the output says what is assumed, and the scene has nothing of the red box that passed by."""
    out = tmp_path / "still.usdz"
    options = ["--teacher", "warp", "--trajectories", "left", "--no-collider", "--no-preview"]
    video = ["--video", str(filmed.folder / "still.mp4")]
    plys = {name: tmp_path / f"{name}.ply" for name in ("moment", "still")}
    assert (
        main(["gen", "--out", str(out), *video, *options, "--time", "4", "--ply", str(plys["moment"])]) == 0
    )
    capsys.readouterr()
    assert main(["gen", "--out", str(out), *video, *options, "--ply", str(plys["still"])]) == 0
    said = capsys.readouterr().err
    assert "taken to stand still" in said
    assert "what passes by is left out" in said
    colours = {name: read_ply(path).rgb for name, path in plys.items()}
    red = {name: int(((rgb[:, 0] > 0.75) & (rgb[:, 1] < 0.3)).sum()) for name, rgb in colours.items()}
    assert red["moment"] > 20
    assert red["still"] < 0.1 * red["moment"], red
    assert inspect_file(out).gaussians > 100


def test_a_moving_camera_without_poses_is_one_line(
    filmed: Filmed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal names the poses and the way around them, and nothing is left behind."""
    assert gen(tmp_path / "s.usdz", "--video", filmed.folder / "walk.mp4") == 2
    said = capsys.readouterr().err
    assert "--video-cameras" in said
    assert "--time N" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_small_gen3c_completes_a_video(
    filmed: Filmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mini teacher films a video too, one path that stays and one that follows, at the size of the decoder."""
    monkeypatch.setenv("LYRA_SIM_TRAJECTORIES", str(tmp_path / "jobs"))
    files = [
        "--depth-video",
        filmed.folder / "depth.npz",
        "--video-cameras",
        filmed.folder / "transforms.json",
    ]
    keep = tmp_path / "keep"
    options = ["--trajectories", "left,right", "--no-collider", "--no-preview", "--progress", "none"]
    words = ["--video", filmed.folder / "walk.mp4", *files, "--keep", keep, *options]
    assert main(["gen", "--out", str(tmp_path / "s.usdz"), *map(str, words)]) == 0
    inputs = json.loads((keep / "report.json").read_text())["inputs"]
    assert inputs["teacher"]["teacher"] == "mini"
    frames = json.loads((keep / "transforms.json").read_text())["frames"]
    ends = {f["file_path"][7:-8]: np.array(f["transform_matrix"])[:3, 3] for f in frames}
    first = np.array(frames[0]["transform_matrix"])[:3, 3]
    walked = np.linalg.norm(filmed.walk.cameras.c2w[-1, :3, 3] - filmed.walk.cameras.c2w[0, :3, 3])
    assert np.linalg.norm(ends["right"] - first) > 0.9 * walked
    assert np.linalg.norm(ends["left"] - first) < 0.9 * walked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["kitchen", "--time", "3"], "give --video"),
        (["kitchen", "--depth-video", "d.npz"], "give --video"),
        (["kitchen", "--video-cameras", "t.txt"], "give --video"),
        (["--video", "a.mp4", "--image", "a.png"], "exclude each other"),
        (["--video", "a.mp4", "--depth", "d.png"], "--depth-video"),
        (["--video", "a.mp4", "--depth-video", "d", "--depth-model", "mini"], "exclude"),
        (["--video", "a.mp4", "--time", "3", "--chunks", "2"], "exclude"),
        (["--video", "a.mp4", "--depth-unit", "mm"], "belongs to --depth"),
        (["--video", "a.mp4", "--teacher", "procedural"], "takes no --video"),
        (["--video", "missing.mp4", "--teacher", "warp"], "cannot be read"),
        (["--video", "a.mp4", "--collider", "world"], "no exact mesh"),
        (["--video", "a.mp4", "--negative-prompt", "fog"], "is for prompts"),
        (["kitchen", "--negative-prompt", "fog"], "no text-to-image model"),
        (["kitchen", "--picture-prompt", "a room"], "must hold {prompt}"),
        (["kitchen", "--chunks", "2"], "one clip per path"),
        (["kitchen", "--chunks", "0"], "--chunks 0"),
        (["--video", "a.mp4", "--server", "http://127.0.0.1:1", "--time", "1,2"], "give one frame"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Options without their video, and those that contradict each other, end with one clear line."""
    monkeypatch.chdir(tmp_path)
    assert main(["gen", *options, "--out", "s.usdz", "--progress", "none"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
