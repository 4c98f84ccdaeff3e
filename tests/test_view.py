"""What viewers are given: files of all kinds, cameras, the first view, rays, boxes, and the live viewer."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from interrupts import heed_interrupts

from lyra_sim.cli import main
from lyra_sim.commands import view as view_command
from lyra_sim.errors import LyraSimError
from lyra_sim.files import write_ply, write_spz
from lyra_sim.frusta import Frustum, from_provenance
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity
from lyra_sim.usd.writer import write_usdz
from lyra_sim.viewer.begin import first_view
from lyra_sim.viewer.caption import facts, shares, subtitle, title
from lyra_sim.viewer.colours import class_colours
from lyra_sim.viewer.exhibit import exhibit_of, most_visible, open_exhibit
from lyra_sim.viewer.live import LiveView, live_view
from lyra_sim.viewer.measure import Measure, Section
from lyra_sim.viewer.rays import covariances, mesh_depth, splat_depth
from tests.gaussian_scenes import ROOM, look_at, random_gaussians, small_scene, square

CAMERA = {
    "c2w": look_at(np.array([0.0, -3.0, 1.5]), np.array([0.0, 1.0, 1.0])).tolist(),
    "intrinsics_px": [100.0, 100.0, 80.0, 45.0],
    "size_px": [160, 90],
    "travel_m": 0.5,
    "path_c2w": [[np.eye(4).tolist()], [np.eye(4).tolist(), "broken"]],
}


def room(count: int = 12_000, *, spread: float = 0.12) -> Gaussians:
    """Return flat splats on the inside of the analytic room, floor at z = 0."""
    rng = np.random.default_rng(3)
    points = rng.uniform(ROOM[0], ROOM[1], (count, 3))
    axis, end = rng.integers(0, 3, count), rng.integers(0, 2, count)
    points[np.arange(count), axis] = ROOM[end, axis]
    scales = np.full((count, 3), spread)
    scales[np.arange(count), axis] = 0.004
    rotations = np.tile([1.0, 0, 0, 0], (count, 1))
    arrays = (points, scales, rotations, np.full(count, 0.95), rng.uniform(0, 1, (count, 3)))
    return Gaussians.from_rgb(*(a.astype(np.float32) for a in arrays))


@pytest.mark.parametrize("kind", ["ply", "spz", "isaac-6", "isaac-5"])
def test_every_kind_of_file_can_be_shown(kind: str, tmp_path: Path) -> None:
    """Show that PLY, SPZ, ParticleField and NuRec files become the same exhibit, up to each one's rounding."""
    scene = small_scene()
    path = tmp_path / f"s.{kind if kind in ('ply', 'spz') else 'usdz'}"
    if kind == "ply":
        write_ply(path, scene.gaussians)
    elif kind == "spz":
        write_spz(path, scene.gaussians)
    else:
        write_usdz(path, scene, target=kind)
    exhibit = open_exhibit(path)
    np.testing.assert_allclose(exhibit.scene.gaussians.means, scene.gaussians.means, atol=5e-3)
    assert (exhibit.scene.collider is not None) == (kind.startswith("isaac"))
    assert title(exhibit) == ("a test" if kind.startswith("isaac") else path.name)


def test_cameras_come_from_the_provenance_or_a_file(tmp_path: Path) -> None:
    """Show that recorded cameras are read without what is broken, and that --cameras replaces them."""
    scene = replace(small_scene(), provenance={"camera": CAMERA})
    recorded = from_provenance(scene.provenance)
    assert [f.name for f in recorded] == ["start", "path 1, 1", "path 2, 1"]
    assert recorded[0].vertical_fov == pytest.approx(2 * np.arctan(0.45))
    frame = {"file_path": "images/a.png", "transform_matrix": np.eye(4).tolist()}
    document = {"fl_x": 50, "w": 64, "h": 48, "frames": [frame] * 150}
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    write_ply(tmp_path / "s.ply", scene.gaussians)
    exhibit = open_exhibit(tmp_path / "s.ply", cameras=tmp_path / "transforms.json")
    assert len(exhibit.cameras) == 50
    np.testing.assert_array_equal(exhibit.begin.c2w, np.diag([1.0, -1.0, -1.0, 1.0]))


@pytest.mark.parametrize(
    "change",
    [
        {"c2w": [[1, 2], [3, 4]]},
        {"c2w": (2 * np.eye(4)).tolist()},
        {"intrinsics_px": [0.0, 1.0]},
        {"intrinsics_px": "wide"},
        {"size_px": [float("nan"), 3]},
        {"size_px": None},
    ],
)
def test_foreign_camera_records_do_no_harm(change: dict[str, object]) -> None:
    """Show that an entry `camera` of another shape gives no start, and no error."""
    found = from_provenance({"camera": CAMERA | change})
    assert not [f for f in found if f.name == "start"]


def test_a_conversion_that_moved_the_scene_makes_its_cameras_stale() -> None:
    """Show that cameras are not drawn where they were before --scale or --level."""
    kept, moved = ({"options": {"scale": s, "level": False}} for s in (1.0, 2.0))
    assert from_provenance({"camera": CAMERA, "conversions": [kept]})
    assert not from_provenance({"camera": CAMERA, "conversions": [kept, moved]})


def test_up_axis_turns_scene_and_cameras_alike(tmp_path: Path) -> None:
    """Show that what a camera saw in front of it is still there after --up-axis."""
    scene = replace(small_scene(), provenance={"camera": CAMERA})
    write_usdz(tmp_path / "s.usdz", scene)
    plain, turned = (open_exhibit(tmp_path / "s.usdz", up_axis=axes) for axes in (None, ("y", "z")))
    for exhibit in (plain, turned):
        c2w = exhibit.cameras[0].c2w
        seen = (exhibit.scene.gaussians.means - c2w[:3, 3]) @ c2w[:3, :3]
        np.testing.assert_allclose(
            seen,
            (plain.scene.gaussians.means - plain.cameras[0].c2w[:3, 3]) @ plain.cameras[0].c2w[:3, :3],
            atol=1e-5,
        )
    assert not np.allclose(turned.scene.gaussians.means, plain.scene.gaussians.means)


def test_a_room_without_cameras_is_entered(tmp_path: Path) -> None:
    """Show that the first view stands inside a room, upright, and looks down its longer side."""
    camera, distance = first_view(room(), ())
    assert (camera.c2w[:3, 3] > ROOM[0]).all()
    assert (camera.c2w[:3, 3] < ROOM[1]).all()
    assert camera.c2w[2, 0] == pytest.approx(0)
    assert distance > 2.0


def test_an_object_without_floor_is_looked_at_from_outside() -> None:
    """Show that a ball of splats in the air is seen from outside, in the middle of the picture."""
    ball = random_gaussians(400)
    ball = replace(ball, means=(ball.means / np.linalg.norm(ball.means, axis=1, keepdims=True)) + [0, 0, 50])
    camera, _ = first_view(ball, ())
    middle = np.linalg.inv(camera.c2w) @ [0, 0, 50, 1]
    assert middle[2] > 1.0
    assert np.abs(middle[:2]).max() < 0.3 * middle[2]


def test_rays_meet_a_box_where_they_must() -> None:
    """Show that distances to a mesh are those of the analytic square, from both sides, and None beside it."""
    mesh = square(side=4.0)
    for height in (3.0, -2.0):
        origin = np.array([1.0, 2.0, height])
        down = np.array([0.2, 0.1, -np.sign(height)])
        expected = abs(height) * np.linalg.norm(down)
        assert mesh_depth(mesh.vertices, mesh.faces, origin, 7 * down) == pytest.approx(expected)
        assert mesh_depth(mesh.vertices, mesh.faces, origin, -down) is None
    assert mesh_depth(mesh.vertices, mesh.faces, np.array([9.0, 9.0, 1.0]), np.array([0, 0, -1.0])) is None
    assert mesh_depth(mesh.vertices, mesh.faces[:0], origin, down) is None


def test_splat_depth_is_where_the_walls_are() -> None:
    """Show that rays through a room of flat splats stop at its walls, and that one that leaves it does not."""
    gaussians, origin = room(30_000), np.array([-2.0, -1.0, 1.4])
    errors = []
    for ray in np.random.default_rng(0).normal(size=(40, 3)):
        exact = (np.where(ray > 0, ROOM[1], ROOM[0]) - origin) / ray
        found = splat_depth(gaussians, origin, 3 * ray)
        assert found is not None
        errors.append(abs(found - exact.min() * np.linalg.norm(ray)))
    assert np.median(errors) < 0.01
    assert np.quantile(errors, 0.9) < 0.05
    assert splat_depth(gaussians, np.array([0.0, 0.0, 9.0]), np.array([0.0, 0.0, 1.0])) is None


def test_splat_depth_moves_with_the_scene() -> None:
    """Show that scene and ray turned, moved and enlarged together give the enlarged distance."""
    gaussians = room()
    angle = 0.7
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    move = Similarity(rotation, np.array([1.0, -2.0, 0.5]), 2.5)
    origin, ray = np.array([0.1, 0.2, 1.2]), np.array([1.0, 0.4, -0.1])
    before = splat_depth(gaussians, origin, ray)
    after = splat_depth(move.gaussians(gaussians), 2.5 * rotation @ origin + move.translation, rotation @ ray)
    assert before is not None
    assert after == pytest.approx(2.5 * before, rel=1e-4)


def test_covariances_have_the_scales_as_spread() -> None:
    """Show that eigenvalues are the squared scales, and that an unturned splat lies along the axes."""
    gaussians = random_gaussians(50)
    found = np.linalg.eigvalsh(covariances(gaussians).astype(np.float64))
    np.testing.assert_allclose(
        found, np.sort(gaussians.scales.astype(np.float64) ** 2, axis=1), rtol=1e-3, atol=1e-6
    )
    plain = replace(gaussians, rotations=np.tile(np.float32([1, 0, 0, 0]), (50, 1)))
    np.testing.assert_allclose(
        np.diagonal(covariances(plain), axis1=1, axis2=2), gaussians.scales**2, rtol=1e-5
    )


def test_the_most_visible_stay_in_order() -> None:
    """Show that --max-gaussians keeps the largest opacity times area, in the file's order."""
    gaussians = random_gaussians(200)
    kept = most_visible(gaussians, 20)
    cover = np.sort(gaussians.scales, axis=1)[:, 1:].prod(axis=1) * gaussians.opacities
    np.testing.assert_array_equal(kept.means, gaussians.means[np.sort(np.argsort(-cover)[:20])])
    assert most_visible(gaussians, 200) is gaussians


def test_measure_and_section() -> None:
    """Show distances in metres, a third point starting anew, and that a cut lets rays pass what is cut away."""
    measure = Measure().with_point(np.zeros(3)).with_point(np.array([3.0, 4.0, 0.0]))
    assert measure.distance == 5.0
    assert measure.text() == "5.000 m (3.00, 4.00, 0.00)"
    assert len(measure.with_point(np.ones(3)).points) == 1
    scene = Scene(room(), collider=square(side=2.0))
    down = (np.array([0.5, 0.7, 2.0]), np.array([0.0, 0.0, -3.0]))
    everything = Section(ROOM[0] - 1, ROOM[1] + 1)
    np.testing.assert_allclose(everything.first_hit(scene, *down), [0.5, 0.7, 0.0], atol=1e-9)
    above = Section(np.array([-9, -9, 0.5]), ROOM[1] + 1)
    assert above.first_hit(scene, *down) is None
    assert above.inside(np.array([[0, 0, 0.4], [0, 0, 0.6]])).tolist() == [False, True]


def test_captions_say_where_a_scene_is_from() -> None:
    """Show what is said about a scene of unknown origin, and shares of area in the legend."""
    exhibit = exhibit_of(replace(small_scene(), provenance={}), Path("capture.usdz"))
    assert title(exhibit) == "capture.usdz"
    assert dict(facts(exhibit))["Origin"].startswith("unknown")
    assert "size" not in subtitle(exhibit)
    assert shares(exhibit) == {"floor": 0.5, "rug": 0.5}
    assert len(set(class_colours([str(i) for i in range(32)]))) == 32


def test_captions_survive_foreign_provenance() -> None:
    """Show that provenance of unexpected types and endless text neither fails nor fills the window."""
    provenance = {"prompt": ["x"], "size": 3, "teacher": "me", "seed": "x" * 9000, "conversions": ["y", {}]}
    found = facts(exhibit_of(replace(small_scene(), provenance=provenance), Path("s.usdz")))
    assert max(len(text) for _, text in found) <= 200


@pytest.fixture(scope="module")
def live() -> LiveView:
    camera = Frustum("a", np.array(CAMERA["c2w"]), (100.0, 100.0), 160, 90)
    exhibit = exhibit_of(small_scene(), Path("s.usdz"), cameras=(camera,))
    with live_view(exhibit, host="127.0.0.1", port=0) as view:
        yield view


def test_the_live_viewer_measures_on_click(live: LiveView) -> None:
    """Show that two clicks on the floor give the distance in metres, and that it is drawn."""
    live.measuring.value = True
    for x in (0.5, 2.0):
        live.click(np.array([x, 1.0, 5.0]), np.array([0.0, 0.0, -1.0]))
    assert live.answer.value == "1.500 m (1.50, 0.00, 0.00)"
    assert live.server.scene.get_handle_by_name("/measure/line") is not None
    live.click(np.array([50.0, 50.0, 5.0]), np.array([0.0, 0.0, 1.0]))
    assert live.answer.value == "nothing there"


def test_the_live_viewer_cuts(live: LiveView) -> None:
    """Show that the section box hides splats outside it and faces with their middle outside it."""
    live.nodes.show("collider", True)
    live.nodes.show("labels", True)
    live.sliders[0].value = (1.6, live.sliders[0].max)
    live._cut()
    means = live.exhibit.scene.gaussians.means
    splats = live.server.scene.get_handle_by_name("/splats")
    shown = splats.opacities[:, 0] > 0
    assert not shown[means[:, 0] < 1.59].any()
    assert shown[(means[:, 0] > 1.61) & (live.exhibit.scene.gaussians.opacities > 0.01)].all()
    assert len(live.server.scene.get_handle_by_name("/collider").faces) == 1
    live._show_all()
    assert len(live.server.scene.get_handle_by_name("/collider").faces) == 2
    live.nodes.show("collider", False)
    assert not live.server.scene.get_handle_by_name("/collider").visible


def test_the_live_viewer_gives_the_scene_and_pictures(live: LiveView, tmp_path: Path) -> None:
    """Show that the buttons send the file as it is on disk, and a PNG of what the client drew."""
    sent: dict[str, bytes] = {}
    client = SimpleNamespace(
        camera=SimpleNamespace(image_height=4, image_width=6),
        get_render=lambda height, width, **_: np.zeros((height, width, 4), np.uint8),
        send_file_download=lambda name, content, **_: sent.update({name: content}),
    )
    (tmp_path / "s.usdz").write_bytes(b"the scene")
    view = LiveView.__new__(LiveView)
    view.exhibit = replace(live.exhibit, path=tmp_path / "s.usdz")
    view._download(client)
    view._save_picture(client)
    assert sent["s.usdz"] == b"the scene"
    assert sent["s.png"].startswith(b"\x89PNG")


def test_a_port_in_use_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Show that the viewer refuses a taken port instead of moving to another one, and an impossible port."""
    write_ply(tmp_path / "s.ply", random_gaussians(10))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["view", str(tmp_path / "s.ply"), "--port", str(port)]) == 2
    assert f"--port {port}: cannot be used" in capsys.readouterr().err
    assert main(["view", str(tmp_path / "s.ply"), "--port", "70000"]) == 2
    assert "between 0 and 65535" in capsys.readouterr().err


def test_missing_viser_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that without viser the command names the extra, and that a page needs no viser."""
    monkeypatch.setitem(sys.modules, "viser", None)
    write_ply(tmp_path / "s.ply", random_gaussians(10))
    assert main(["view", str(tmp_path / "s.ply")]) == 2
    assert "pip install 'lyra-sim[view]'" in capsys.readouterr().err
    assert main(["view", str(tmp_path / "s.ply"), "--html", str(tmp_path / "p.html")]) == 0


def test_no_browser_is_said_and_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that --open without a browser prints the address and ends well."""
    monkeypatch.setattr(view_command.webbrowser, "open", lambda url: False)
    write_ply(tmp_path / "s.ply", random_gaussians(10))
    assert main(["view", str(tmp_path / "s.ply"), "--html", str(tmp_path / "p.html"), "--open"]) == 0
    assert f"open {(tmp_path / 'p.html').as_uri()} yourself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    {
        ("--max-gaussians", "0"): "--max-gaussians 0: must be 1 or more",
        ("--up-axis", "w:z"): "'w' is no axis",
        ("--up-axis", "y"): "write FROM:TO",
        ("--cameras", "absent.json"): "absent.json",
        ("--port", "80"): "leave out --port",
    }.items(),
)
def test_bad_options_get_one_line(
    options: tuple[str, str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that each bad option ends in one clear line and leaves no page."""
    write_ply(tmp_path / "s.ply", random_gaussians(10))
    assert main(["view", str(tmp_path / "s.ply"), "--html", str(tmp_path / "p.html"), *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
    assert not (tmp_path / "p.html").exists()


def test_empty_and_broken_scenes_are_refused(tmp_path: Path) -> None:
    """Show that zero Gaussians, values that are not finite and unknown endings are errors, not empty pages."""
    good = random_gaussians(10)
    write_ply(tmp_path / "bad.ply", good)
    content = (tmp_path / "bad.ply").read_bytes()
    end = content.index(b"end_header\n") + len(b"end_header\n")
    (tmp_path / "bad.ply").write_bytes(content[:end] + np.float32(np.nan).tobytes() + content[end + 4 :])
    (tmp_path / "none.ply").write_bytes(content[:end].replace(b"vertex 10", b"vertex 0"))
    (tmp_path / "scene.glb").write_bytes(b"glTF")
    for name, reason in (
        ("bad.ply", "not finite"),
        ("none.ply", "no Gaussians"),
        ("scene.glb", "unknown kind"),
    ):
        with pytest.raises(LyraSimError, match=reason):
            open_exhibit(tmp_path / name)


def test_ctrl_c_ends_the_viewer(tmp_path: Path) -> None:
    """Show that the command prints its address, keeps stdout clean, and ends with 0 on Ctrl-C."""
    write_ply(tmp_path / "s.ply", random_gaussians(10))
    command = [sys.executable, "-m", "lyra_sim", "view", str(tmp_path / "s.ply"), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=heed_interrupts) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert line.startswith("lyra-sim view: http://localhost:")
    assert (process.returncode, out) == (0, "")
