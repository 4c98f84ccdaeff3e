"""Converting, inspecting and validating through the command line's own functions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from gaussian_scenes import (
    BOXES,
    ROOM,
    assert_same,
    random_gaussians,
    room_depth,
    room_views,
    small_scene,
    square,
    step,
)
from pxr import Usd, UsdPhysics

from lyra_sim.cli import main
from lyra_sim.collider.manifold import split_vertices
from lyra_sim.collider.viewpoints import choose_views
from lyra_sim.commands import convert as convert_command
from lyra_sim.commands import inspect as inspect_command
from lyra_sim.commands import validate as validate_command
from lyra_sim.convert import ConvertConfig, convert
from lyra_sim.errors import LyraSimError
from lyra_sim.files import read_ply, read_spz, write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.ground import stand_on_floor
from lyra_sim.inspect import inspect_file
from lyra_sim.scene import Scene, TriangleMesh
from lyra_sim.transform import AXES, Similarity, rotation_between
from lyra_sim.usd.reader import read_usd
from lyra_sim.usd.writer import write_usdz
from lyra_sim.validate import validate_file

DATA = Path(__file__).parent / "data" / "usd"


def run(*arguments: str | Path) -> int:
    """Run a subcommand as the command line does."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for module in (convert_command, inspect_command, validate_command):
        module.add_parser(subparsers)
    args = parser.parse_args([str(a) for a in arguments])
    return args.run(args)


@pytest.fixture(scope="module")
def room() -> Gaussians:
    """Splats on the surfaces of the analytic room."""
    means = room_views(20).points(stride=2)
    means = means[np.random.default_rng(0).permutation(len(means))[:20_000]]
    flat = np.full((len(means), 3), 0.02, np.float32)
    upright = np.tile(np.float32([1, 0, 0, 0]), (len(means), 1))
    return Gaussians.from_rgb(means, flat, upright, np.full(len(means), 0.95, np.float32), means * 0 + 0.5)


def exact_depth(
    gaussians: Gaussians, c2w: np.ndarray, intrinsics: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Stand in for the renderer with the room's true depth."""
    depth = np.stack([room_depth(p, i, height, width) for p, i in zip(c2w, intrinsics, strict=True)])
    return depth, np.ones_like(depth)


def test_ply_through_usd_and_back(tmp_path: Path) -> None:
    """PLY to USDZ to PLY gives the same Gaussians, and NuRec ones within float16."""
    convert(DATA / "gaussians.ply", tmp_path / "a.usdz", config=ConvertConfig(collider="none"))
    convert(tmp_path / "a.usdz", tmp_path / "b.ply")
    assert_same(read_ply(DATA / "gaussians.ply"), read_ply(tmp_path / "b.ply"))
    old = ConvertConfig(target="isaac-5", collider="none")
    convert(DATA / "gaussians.ply", tmp_path / "c.usdz", config=old)
    convert(tmp_path / "c.usdz", tmp_path / "d.spz")
    np.testing.assert_allclose(
        read_spz(tmp_path / "d.spz").means, read_ply(DATA / "gaussians.ply").means, atol=2e-3
    )


def test_foreign_capture_becomes_a_scene(tmp_path: Path, room: Gaussians) -> None:
    """A capture that lies on its side at another scale stands on its floor, in metres, with a collider and labels."""
    tilt = Similarity(rotation_between(np.array([0.0, 0.0, 1.0]), np.array([0.05, 0.02, 1.0])))
    sideways = Similarity(rotation_between(AXES["z"], AXES["-y"]), scale=0.4)
    eye = Similarity(translation=np.array([2.5, 1.5, -1.5]))
    write_ply(tmp_path / "a.ply", eye.then(tilt).then(sideways).gaussians(room))
    config = ConvertConfig(up_axis=("-y", "z"), camera_height=1.5, labels="environment", collider_voxel=0.12)

    def render(gaussians: Gaussians, *cameras: object) -> tuple[np.ndarray, np.ndarray]:
        from generator.render import render_views

        c2w, intrinsics, height, width = cameras
        views = render_views(gaussians, c2w, intrinsics, height=height, width=width)  # type: ignore[arg-type]
        return views.median_depth.numpy(), views.alpha.numpy()

    report = convert(tmp_path / "a.ply", tmp_path / "a.usdz", config=config, render=render)
    assert report.ground is not None
    assert abs(report.ground.scale * 0.4 - 1) < 0.02
    assert 2 < report.ground.tilt_degrees < 4
    assert report.ground.scale_uncertainty is not None
    scene = read_usd(tmp_path / "a.usdz")
    z = scene.gaussians.means[:, 2]
    assert abs(np.median(z[z < 0.3])) < 0.02
    assert abs(np.percentile(z, 99.9) - ROOM[1, 2]) < 0.1
    assert report.collider_kind == "fused"
    assert report.collider is not None
    assert scene.proxy is not None
    assert scene.proxy.classes == ("environment",)
    steps = scene.provenance["conversions"]
    assert isinstance(steps, list)
    assert steps[0]["input"] == "a.ply"


def test_views_are_chosen_in_free_space(room: Gaussians) -> None:
    """Cameras stand inside the room, outside the boxes, and see every wall between them."""
    poses, intrinsics = choose_views(room)
    eyes = poses[:, :3, 3]
    assert ((eyes > ROOM[0]) & (eyes < ROOM[1])).all()
    for low, high in BOXES:
        assert not ((eyes[:, :2] > low[:2] - 0.1) & (eyes[:, :2] < high[:2] + 0.1)).all(axis=1).any()
    depth, _ = exact_depth(room, poses, intrinsics, 24, 24)
    assert (depth > 0.2).mean() > 0.99
    rotation = poses[:, :3, :3]
    np.testing.assert_allclose(
        rotation @ rotation.transpose(0, 2, 1), np.eye(3)[None].repeat(len(poses), 0), atol=1e-9
    )


def test_object_is_seen_from_a_ring() -> None:
    """A cloud without a floor is seen from outside, all cameras looking at its middle."""
    cloud = random_gaussians()
    cloud.means[:, 2] += 30
    poses, _ = choose_views(cloud)
    towards = cloud.means.mean(axis=0) - poses[:, :3, 3]
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    assert np.einsum("ij,ij->i", towards, poses[:, :3, 2]).min() > 0.9


def test_collider_modes(tmp_path: Path, room: Gaussians) -> None:
    """A mesh file is taken, `world` needs an exact mesh, `none` leaves none, and `inspect` says which it is."""
    write_ply(tmp_path / "a.ply", room)
    trimesh.Trimesh(square().vertices, square().faces, process=False).export(tmp_path / "floor.obj")
    for collider, kind in ((str(tmp_path / "floor.obj"), "file"), ("none", "missing"), ("auto", "fused")):
        config = ConvertConfig(
            collider=collider, collider_voxel=0.12, collider_approximation="convexDecomposition"
        )
        convert(tmp_path / "a.ply", tmp_path / "a.usdz", config=config, render=exact_depth)
        found = inspect_file(tmp_path / "a.usdz")
        assert found.collider == kind
    assert found.collider_approximation == "convexDecomposition"
    with pytest.raises(LyraSimError, match="not an exact one"):
        convert(tmp_path / "a.usdz", tmp_path / "b.usdz", config=ConvertConfig(collider="world"))
    write_usdz(tmp_path / "w.usdz", Scene(room, square(), collider_kind="world"))
    convert(tmp_path / "w.usdz", tmp_path / "b.usdz", config=ConvertConfig(collider="world"))
    assert inspect_file(tmp_path / "b.usdz").collider == "world"


def test_fused_scene_is_clean_for_every_validator(tmp_path: Path, room: Gaussians) -> None:
    """A collider and proxy fused from depth pass OpenUSD's and NVIDIA's rules without a warning."""
    write_ply(tmp_path / "a.ply", room)
    config = ConvertConfig(labels="environment", target="both", collider_faces=8000, collider_voxel=0.1)
    convert(tmp_path / "a.ply", tmp_path / "a.usdz", config=config, render=exact_depth)
    assert run("validate", tmp_path / "a.usdz", "--strict") == 0


def test_split_vertices_keeps_triangles_and_cuts_contacts() -> None:
    """Three faces at one edge and two fans at one vertex are parted; the triangles stay where they are."""
    vertices = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [-1, 0, 0], [-1, 1, 0]], np.float32
    )
    faces = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4], [0, 5, 6], [2, 1, 0], [0, 0, 1]], np.int32)
    split = split_vertices(TriangleMesh(vertices, faces))
    np.testing.assert_allclose(split.vertices[split.faces], vertices[faces[:4]], atol=2e-4)
    assert len(np.unique(split.vertices, axis=0)) == len(split.vertices)
    edges = np.sort(
        np.concatenate([split.faces[:, [0, 1]], split.faces[:, [1, 2]], split.faces[:, [2, 0]]]), axis=1
    )
    assert np.unique(edges, axis=0, return_counts=True)[1].max() <= 2
    whole = split_vertices(TriangleMesh(square().vertices, square().faces))
    assert len(whole.vertices) == 4


def test_camera_height_needs_a_floor() -> None:
    """Without a floor, or with the floor above the camera, the scale cannot be known and that is said."""
    scattered = random_gaussians(3000)
    scattered.means[:] = np.random.default_rng(0).uniform(-20, 20, (3000, 3))
    with pytest.raises(LyraSimError, match="no floor"):
        stand_on_floor(scattered, camera_height=1.5)


def test_inspect_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text and the JSON of a bare 3dgrut file name its form, its readers and what it lacks."""
    assert run("inspect", DATA / "particlefield.usdz") == 0
    text = capsys.readouterr().out
    for words in ("200 as ParticleField", "Isaac Sim 6.0", "Up axis Y", "No collider", "No NuRec volume"):
        assert words in text
    assert run("inspect", DATA / "nurec.usdz", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["forms"] == ["NuRec"]
    assert data["position_rounding_m"] > 0
    write_usdz(tmp_path / "a.usdz", small_scene(), target="both")
    assert inspect_file(tmp_path / "a.usdz").missing == ()


def test_validate_fails_3dgruts_file_and_passes_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """VG.035 rejects 3dgrut's SH attribute and accepts ours, in text and in JSON."""
    assert run("validate", DATA / "particlefield.usdz") == 1
    assert "GaussianSplatSchemaChecker" in capsys.readouterr().out
    write_usdz(tmp_path / "a.usdz", small_scene())
    assert run("validate", tmp_path / "a.usdz", "--strict", "--json") == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_validators_keep_usds_warnings_to_themselves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A name that is no USD identifier makes USD's own code warn; a person sees nothing of that."""
    write_usdz(tmp_path / "isaac-6.usdz", small_scene())
    assert run("validate", tmp_path / "isaac-6.usdz", "--strict") == 0
    assert capfd.readouterr().err == ""


def test_package_under_another_name_is_recognised(tmp_path: Path) -> None:
    """A scene whose ending says PLY is refused with the ending that it should have."""
    write_usdz(tmp_path / "a.usdz", small_scene())
    (tmp_path / "a.usdz").rename(tmp_path / "a.ply")
    with pytest.raises(LyraSimError, match=r"is a USDZ package; name it \.usdz"):
        convert(tmp_path / "a.ply", tmp_path / "b.usdz")


def test_command_reports(tmp_path: Path, room: Gaussians, capsys: pytest.CaptureFixture[str]) -> None:
    """`convert` reports to stderr for people and as JSON on stdout for programs."""
    write_ply(tmp_path / "a.ply", room)
    assert (
        run("convert", tmp_path / "a.ply", tmp_path / "a.usdz", "--collider", "none", "--up-axis", "z:z") == 0
    )
    assert "20000 Gaussians" in capsys.readouterr().err
    assert run("convert", tmp_path / "a.ply", tmp_path / "b.ply", "--drop-floaters", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sh_degree"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--up-axis", "up"),
        ("--up-axis", "w:z"),
        ("--scale", "0"),
        ("--scale", "nan"),
        ("--height-of-camera", "-1"),
        ("--collider", "nowhere.glb"),
        ("--collider-approx", "magic"),
        ("--collider-faces", "3"),
        ("--collider", "none", "--labels", "floor"),
    ],
)
def test_bad_options_write_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Options that make no sense are refused and leave no file."""
    with pytest.raises(LyraSimError):
        run("convert", DATA / "gaussians.ply", tmp_path / "a.usdz", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_bad_paths_write_nothing(tmp_path: Path) -> None:
    """A missing input, a missing folder and unknown endings are named."""
    for source, target in (("no.ply", "a.usdz"), ("gaussians.ply", "no/a.usdz"), ("gaussians.ply", "a.xyz")):
        with pytest.raises(LyraSimError):
            run("convert", DATA / source, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_labels_from_a_map_and_from_named_objects(tmp_path: Path) -> None:
    """A JSON object renames and joins classes; a glTF file gives faces the name of the object they lie on."""
    write_usdz(tmp_path / "a.usdz", small_scene(classes=("floor", "rug")))
    (tmp_path / "map.json").write_text('{"rug": "carpet", "floor": null}')
    convert(tmp_path / "a.usdz", tmp_path / "b.usdz", config=ConvertConfig(labels=str(tmp_path / "map.json")))
    assert inspect_file(tmp_path / "b.usdz").labels == {"unlabelled": 1, "carpet": 1}
    parts = trimesh.Scene()
    for name, corner in (("Floor Tile.001", 2), ("Floor Tile.002", 0)):
        face = square().faces[[corner // 2]]
        mesh = trimesh.Trimesh(square().vertices[:, [0, 2, 1]] * [1, 1, -1], face, process=False)
        parts.add_geometry(mesh, node_name=name)
    parts.export(tmp_path / "parts.glb")
    named = ConvertConfig(labels=str(tmp_path / "parts.glb"))
    convert(tmp_path / "a.usdz", tmp_path / "c.usdz", config=named)
    assert inspect_file(tmp_path / "c.usdz").labels == {"floor_tile": 2}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not JSON"),
        (b"[1]", "write an object"),
        (b'{"floor": 3}', "write an object"),
        (b'{"flor": "x"}', "does not occur"),
    ],
)
def test_bad_label_maps_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    """What is no map of the scene's classes is refused in one line and nothing is written."""
    write_usdz(tmp_path / "a.usdz", small_scene())
    (tmp_path / "map.json").write_bytes(content)
    config = ConvertConfig(labels=str(tmp_path / "map.json"))
    with pytest.raises(LyraSimError, match=words):
        convert(tmp_path / "a.usdz", tmp_path / "b.usdz", config=config)
    assert not (tmp_path / "b.usdz").exists()


def test_half_precision_is_half_the_size_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--half` halves the file, loses what `inspect` says at most, also far away, and says that VG.035 complains."""
    gaussians = Similarity(translation=np.array([900.0, 0, 0])).gaussians(random_gaussians(4000, degree=3))
    write_ply(tmp_path / "a.ply", gaussians)
    assert run("convert", tmp_path / "a.ply", tmp_path / "a.usdz", "--collider", "none") == 0
    assert run("convert", tmp_path / "a.ply", tmp_path / "b.usdz", "--collider", "none", "--half") == 0
    assert "VG.035" in capsys.readouterr().err
    sizes = [(tmp_path / name).stat().st_size for name in ("a.usdz", "b.usdz")]
    assert sizes[1] < 0.55 * sizes[0]
    rounding = inspect_file(tmp_path / "b.usdz").position_rounding_m
    assert rounding is not None
    assert rounding < 0.01
    assert inspect_file(tmp_path / "a.usdz").position_rounding_m is None
    before, after = (read_usd(tmp_path / name).gaussians for name in ("a.usdz", "b.usdz"))
    np.testing.assert_allclose(after.means, before.means, atol=rounding + 5e-5)
    np.testing.assert_allclose(after.scales, before.scales, rtol=1e-3)
    np.testing.assert_allclose(after.sh, before.sh, atol=2e-3)
    assert run("inspect", tmp_path / "b.usdz") == 0
    assert "ParticleField in float16" in capsys.readouterr().out
    rules = {f.rule for f in validate_file(tmp_path / "b.usdz").findings if f.severity == "error"}
    assert rules == {"GaussianSplatSchemaChecker"}


def test_convex_pieces_on_request(tmp_path: Path) -> None:
    """Pieces collide in place of the mesh, in slots that every such scene has, and pass every validator."""
    paths = []
    for name, mesh in (("a", square()), ("b", step())):
        write_usdz(tmp_path / f"{name}.usdz", Scene(random_gaussians(), mesh, collider_kind="world"))
        paths.append(tmp_path / f"{name}_pieces.usdz")
        config = ConvertConfig(collider_approximation="pieces", labels="floor")
        report = convert(tmp_path / f"{name}.usdz", paths[-1], config=config)
        assert "convex pieces reach" in " ".join(report.notes)
    stages = [Usd.Stage.Open(str(path)) for path in paths]
    assert len({tuple(str(p.GetPath()) for p in stage.Traverse()) for stage in stages}) == 1
    colliding = [
        prim
        for prim in stages[1].Traverse()
        if prim.HasAPI(UsdPhysics.CollisionAPI)
        and UsdPhysics.CollisionAPI(prim).GetCollisionEnabledAttr().Get()
    ]
    assert len(colliding) > 1
    assert {UsdPhysics.MeshCollisionAPI(p).GetApproximationAttr().Get() for p in colliding} == {"convexHull"}
    found = inspect_file(paths[1])
    assert (found.collider_approximation, found.collider_faces) == ("pieces", len(step().faces))
    assert run("validate", paths[1], "--strict") == 0
    without = ConvertConfig(collider="none", collider_approximation="pieces", labels="none")
    with pytest.raises(LyraSimError, match="no collider"):
        convert(paths[1], tmp_path / "c.usdz", config=without)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--collider-approx", "magic"], "known are none"),
        (["--collider-faces", "3"], "100 or more"),
        (["--collider-approx", "pieces", "--no-collider"], "needs a collider"),
        (["--collider-faces", "900", "--server", "http://localhost:1"], "this machine only"),
    ],
)
def test_gen_refuses_colliders_that_make_no_sense(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`gen` checks the options of its collider before it loads anything, and leaves nothing."""
    arguments = ["gen", "kitchen", "--out", str(tmp_path / "a.usdz"), "--progress", "none", *options]
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
