"""`lyra-sim render`: what it writes is what the scene shows, and what it cannot do it says in one line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from film_scenes import COLOURS, EYE, SIZE, cameras, room
from gaussian_scenes import random_gaussians, square
from PIL import Image

from generator.camera_files import PosedFrames, read_transforms, write_transforms
from generator.cameras import Cameras
from generator.film import film as film_module
from generator.film.frames import Look, draw_frame, millimetres
from generator.film.labels import LabelRaster, palette
from generator.render.request import MAX_SIDE as RENDERER_MAX_SIDE
from lyra_sim.cli import main
from lyra_sim.commands.render import MAX_SIDE
from lyra_sim.files.ply import write_ply
from lyra_sim.files.spz import write_spz
from lyra_sim.scene import Scene
from lyra_sim.usd.writer import write_usdz

FAILURES = {
    "no such scene": (["{}/none.usdz", "--out", "{}/o"], "no such file"),
    "unknown kind": (["{}/room.txt", "--out", "{}/o"], "unknown kind"),
    "100,000 px wide": (["{}/room.ply", "--out", "{}/o", "--size", "100000x64"], "100000 px is out of range"),
    "size of words": (["{}/room.ply", "--out", "{}/o", "--size", "big"], "WIDTHxHEIGHT"),
    "odd movie": (["{}/room.ply", "--out", "{}/m.mp4", "--size", "63x36"], "even sides"),
    "no frames": (["{}/room.ply", "--out", "{}/o", "--frames", "0"], "--frames 0"),
    "no time": (["{}/room.ply", "--out", "{}/m.mp4", "--fps", "0"], "--fps 0"),
    "wide lens": (["{}/room.ply", "--out", "{}/o", "--fov", "200"], "--fov 200"),
    "odd layer": (["{}/room.ply", "--out", "{}/o", "--layers", "rgb,normals"], "'normals' is no layer"),
    "labels of none": (["{}/room.ply", "--out", "{}/o", "--layers", "labels"], "no labelled proxy"),
    "depth movie": (["{}/room.ply", "--out", "{}/m.mp4", "--layers", "depth"], "rgb only"),
    "odd colour": (["{}/room.ply", "--out", "{}/o", "--background", "pinkish"], "--background"),
    "odd axis": (["{}/room.ply", "--out", "{}/o", "--up", "w"], "--up w"),
    "a picture": (["{}/room.ply", "--out", "{}/o.png"], "name a folder"),
    "missing folder": (["{}/room.ply", "--out", "{}/no/m.mp4"], "does not exist"),
    "foreign folder": (["{}/room.ply", "--out", "{}/full"], "not made by lyra-sim"),
    "no such cameras": (["{}/room.ply", "--out", "{}/o", "--cameras", "{}/none.json"], "no such file"),
    "wide cameras": (["{}/room.ply", "--out", "{}/o", "--cameras", "{}/wide.json"], "100000"),
    "other shape": (
        ["{}/room.ply", "--out", "{}/o", "--cameras", "{}/one.json", "--size", "64x64"],
        "keep their shape",
    ),
    "no Gaussians": (["{}/zero.ply", "--out", "{}/o"], "holds no Gaussians"),
    "not finite": (["{}/nan.ply", "--out", "{}/o"], "not finite"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the room in several formats, and with damaged files."""
    folder = tmp_path_factory.mktemp("scenes")
    write_usdz(folder / "room.usdz", room())
    write_usdz(folder / "nurec.usdz", room(collider=False, labels=False, recorded=False), target="isaac-5")
    write_ply(folder / "room.ply", room().gaussians)
    write_spz(folder / "room.spz", room().gaussians)
    (folder / "room.txt").write_text("no scene")
    content = (folder / "room.ply").read_bytes()
    head = content[: content.index(b"end_header\n") + 11]
    count = len(room().gaussians)
    (folder / "zero.ply").write_bytes(head.replace(f"vertex {count}".encode(), b"vertex 0"))
    (folder / "nan.ply").write_bytes(head + np.float32(np.nan).tobytes() + content[len(head) + 4 :])
    one = cameras(EYE[None])
    write_transforms(folder / "one.json", PosedFrames(one))
    write_transforms(folder / "four.json", PosedFrames(cameras(EYE + 0.1 * np.arange(12).reshape(4, 3))))
    write_transforms(folder / "wide.json", PosedFrames(Cameras(one.c2w, one.intrinsics, 36, 100_000)))
    return folder


def render(folder: Path, scene: str, out: Path, *options: str) -> int:
    return main(["render", str(folder / scene), "--out", str(out), "--progress", "none", *options])


@pytest.mark.parametrize("case", FAILURES)
def test_bad_input_gets_one_line_and_leaves_nothing(
    case: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of bad input ends non-zero with one clear line, and nothing is written."""
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("precious")
    before = {path.name for path in tmp_path.iterdir()}
    arguments, expected = FAILURES[case]
    options = [argument.format(tmp_path) for argument in arguments]
    assert main(["render", *options, "--progress", "none"]) != 0
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "full" / "mine.txt").read_text() == "precious"


def test_limit_of_the_command_is_the_renderers() -> None:
    """The command refuses exactly the sizes that the renderer would refuse."""
    assert MAX_SIDE == RENDERER_MAX_SIDE


def test_folder_holds_pictures_depth_labels_and_cameras(folder: Path, tmp_path: Path) -> None:
    """The pictures show the room, depth is in millimetres, labels name what is there, and cameras read back."""
    out = tmp_path / "frames"
    assert render(folder, "room.usdz", out, "--size", "64x36", "--frames", "3") == 0
    posed = read_transforms(out / "transforms.json")
    assert len(posed.cameras) == 3
    np.testing.assert_allclose(posed.cameras.c2w[0], cameras(EYE[None]).c2w[0], atol=1e-6)
    rgb, depth, labels = (
        Image.open(out / name)
        for name in (posed.file_paths[0], posed.depth_file_paths[0], "labels/00000.png")
    )
    assert (rgb.size, rgb.mode, depth.mode, labels.mode) == ((64, 36), "RGB", "I;16", "P")
    # The camera looks at the wall at x = 6 from x = 1.5.
    np.testing.assert_allclose(np.asarray(rgb)[18, 32], COLOURS[3] * 255, atol=3)
    assert abs(int(np.asarray(depth)[18, 32]) - 4500) < 5
    classes = [row["class"] for row in json.loads((out / "classes.json").read_text())]
    named = [classes[i] for i in np.asarray(labels)[[0, 18, 35], 32]]
    assert named == ["ceiling", "wall", "floor"]
    report = json.loads((out / "render.json").read_text())
    assert report["frames"] == 3
    assert report["warnings"] == []


def test_cameras_of_a_folder_render_the_same_again(folder: Path, tmp_path: Path) -> None:
    """`transforms.json` of one run, given to another, makes the same pictures bit for bit, and at another size."""
    first, second, larger = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    assert render(folder, "room.usdz", first, "--orbit", "--size", "64x36", "--frames", "3") == 0
    given = ["--cameras", str(first / "transforms.json")]
    assert render(folder, "room.usdz", second, *given) == 0
    for path in sorted(first.rglob("*.png")):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()
    assert render(folder, "room.usdz", larger, *given, "--size", "128x72", "--layers", "rgb") == 0
    assert np.asarray(Image.open(larger / "images/00000.png")).shape == (72, 128, 3)
    assert not (larger / "depth").exists()
    # An earlier result may be replaced.
    assert render(folder, "room.usdz", larger, *given, "--layers", "depth") == 0
    assert {path.name for path in larger.iterdir()} == {"depth", "transforms.json", "render.json"}


@pytest.mark.parametrize("scene", ["room.ply", "room.spz", "nurec.usdz"])
def test_other_formats_render_alike(scene: str, folder: Path, tmp_path: Path) -> None:
    """From one camera every format shows the same picture, up to what the format rounds."""
    given = ["--cameras", str(folder / "one.json"), "--layers", "rgb"]
    assert render(folder, scene, tmp_path / "o", *given) == 0
    drawn = np.asarray(Image.open(tmp_path / "o/images/00000.png")).astype(int)
    expected = draw_frame(room().gaussians, cameras(EYE[None]), 0, look=Look()).rgb
    assert np.abs(drawn - expected).mean() < 2.0


@pytest.mark.parametrize("name", ["particlefield.usdz", "nurec.usdz", "gaussians.ply"])
def test_files_of_other_programs_render(name: str, tmp_path: Path) -> None:
    """Files that 3dgrut's converters wrote give pictures that are not empty."""
    data = Path(__file__).parent / "data" / "usd"
    assert (
        render(data, name, tmp_path / "o", "--size", "64x36", "--frames", "1", "--background", "black") == 0
    )
    assert np.asarray(Image.open(tmp_path / "o/images/00000.png")).max() > 20


def test_movie_plays(folder: Path, tmp_path: Path) -> None:
    """The movie has the frames, size and rate asked for, and its pictures are those of the folder."""
    out, frames = tmp_path / "movie.mp4", tmp_path / "frames"
    options = ["--size", "128x72", "--cameras", str(folder / "four.json")]
    assert render(folder, "room.ply", out, *options, "--fps", "12") == 0
    assert render(folder, "room.ply", frames, *options, "--layers", "rgb") == 0
    with av.open(str(out)) as movie:
        assert movie.streams.video[0].average_rate == 12
        pictures = [picture.to_ndarray(format="rgb24") for picture in movie.decode(video=0)]
    assert len(pictures) == 4
    for index, picture in enumerate(pictures):
        expected = np.asarray(Image.open(frames / f"images/{index:05d}.png")).astype(float)
        assert -10 * np.log10(np.mean((picture / 255 - expected / 255) ** 2)) > 28


def test_missing_pyav_says_what_to_install(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PyAV a movie is refused before anything is read, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("lyra_sim.commands.render.find_spec", lambda name: None)
    assert render(folder, "room.usdz", tmp_path / "m.mp4") != 0
    assert "pip install 'lyra-sim[view]'" in capsys.readouterr().err


def test_interrupted_film_leaves_what_was_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupting between frames leaves an earlier result as it was, and no temporary file."""
    out = tmp_path / "frames"
    options = ["--cameras", str(folder / "four.json")]
    assert render(folder, "room.ply", out, *options) == 0
    before = {path: path.read_bytes() for path in out.rglob("*.png")}

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(film_module, "draw_frame", interrupt)
    assert render(folder, "room.ply", out, *options) == 130
    assert render(folder, "room.ply", tmp_path / "m.mp4", *options) == 130
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_camera_in_a_wall_is_warned_about(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The frames whose cameras stand in a wall, or right before one, are named, and the film is still made."""
    eyes = np.array([EYE, [-0.4, 2.5, 1.5], [5.96, 2.5, 1.5]])
    write_transforms(tmp_path / "t.json", PosedFrames(cameras(eyes)))
    arguments = [
        str(folder / "room.usdz"),
        "--out",
        str(tmp_path / "o"),
        "--cameras",
        str(tmp_path / "t.json"),
    ]
    assert main(["render", *arguments, "--layers", "rgb"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warnings) == len(json.loads((tmp_path / "o/render.json").read_text())["warnings"])
    assert any("1 of 3 frames (1)" in line and "wall" in line for line in warnings)


def test_progress_is_json_on_request(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line is one object, fractions rise, and the last says where the result is."""
    out = tmp_path / "o"
    arguments = [str(folder / "room.ply"), "--out", str(out), "--cameras", str(folder / "four.json")]
    assert main(["render", *arguments, "--progress", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions)
    assert lines[-1]["type"] == "result"
    assert lines[-1]["out"] == str(out)


def test_depth_is_in_millimetres_or_absent() -> None:
    """Depth is rounded to millimetres; what 16 bits cannot hold is 0, which means none."""
    depth = np.array([0.0, 0.0004, 0.0006, 1.2344, 65.535, 65.536, 500.0])
    assert millimetres(depth).tolist() == [0, 0, 1, 1234, 65535, 0, 0]


def test_labels_follow_the_faces_and_then_the_picture() -> None:
    """Pixels take the class of the face that they see, and in a hole of the proxy that of what is near the depth."""
    proxy = room().proxy
    assert proxy is not None
    camera = cameras(EYE[None])
    view = (camera.c2w[0], camera.intrinsics[0])
    nothing = np.zeros((36, 64), np.float32)
    whole = LabelRaster(proxy)
    exact = whole.draw(*view, nothing)
    assert whole.classes == ("unlabelled", "ceiling", "floor", "wall")
    assert {whole.classes[i] for i in np.unique(exact)} == {"ceiling", "floor", "wall"}
    kept = np.delete(np.arange(len(proxy.faces)), [6, 7])
    holed = LabelRaster(replace(proxy, faces=proxy.faces[kept], face_label=proxy.face_label[kept]))
    seen = holed.draw(*view, nothing)
    ahead = seen == 0
    assert ahead[18, 32]
    np.testing.assert_array_equal(seen[~ahead], exact[~ahead])
    depth = draw_frame(room().gaussians, camera, 0, look=Look()).depth_mm / 1000
    filled = holed.draw(*view, depth.astype(np.float32))
    # At its edge the missing wall is near what is left; in its middle it is not.
    assert filled[18, 32] == 0
    assert (filled[ahead] > 0).any()
    assert (filled[~ahead] == exact[~ahead]).mean() > 0.95


def test_palette_tells_classes_apart() -> None:
    """Class 0 is black and no two classes share a colour."""
    colours = palette(60)
    assert colours[0].tolist() == [0, 0, 0]
    assert len(np.unique(colours, axis=0)) == 60


def test_scene_without_room_still_renders(tmp_path: Path) -> None:
    """A cloud of random splats, with cameras anywhere, ends in pictures and not in an error."""
    write_usdz(tmp_path / "cloud.usdz", Scene(random_gaussians(degree=3), collider=square()))
    for path in ("--orbit", "--flythrough"):
        assert render(tmp_path, "cloud.usdz", tmp_path / "o", path, "--size", "32x18", "--frames", "2") == 0


def test_room_is_as_large_as_it_is() -> None:
    """Every pixel's depth, carried back into the world, lies on a side of the room."""
    camera = cameras(EYE[None])
    depth = draw_frame(room().gaussians, camera, 0, look=Look()).depth_mm / 1000
    fx, fy, cx, cy = camera.intrinsics[0]
    grid_x, grid_y = np.meshgrid((np.arange(64) + 0.5 - cx) / fx, (np.arange(36) + 0.5 - cy) / fy)
    rays = np.stack([grid_x, grid_y, np.ones_like(grid_x)], axis=-1)
    points = camera.c2w[0, :3, 3] + (rays * depth[..., None]) @ camera.c2w[0, :3, :3].T
    off = np.minimum(np.abs(points), np.abs(SIZE - points)).min(axis=-1)
    assert np.median(off) < 0.05
