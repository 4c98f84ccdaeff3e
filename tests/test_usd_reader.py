"""Reading USD back: our own files, those of 3dgrut, and files that lie."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gaussian_scenes import assert_same, random_gaussians, small_scene, square
from hypothesis import given, settings
from hypothesis import strategies as st
from pxr import Gf, Sdf, Usd, UsdGeom

from lyra_sim.convert import load_scene
from lyra_sim.errors import LyraSimError
from lyra_sim.files import read_ply, write_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.inspect import inspect_file
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity, quaternion, rotate_sh, rotation_between, sh_basis
from lyra_sim.usd.package import write_package
from lyra_sim.usd.reader import read_usd, read_usd_contents
from lyra_sim.usd.writer import write_usdz
from lyra_sim.validate import validate_file

DATA = Path(__file__).parent / "data" / "usd"


def assert_close(a: Gaussians, b: Gaussians, *, atol: float) -> None:
    for name in ("means", "scales", "opacities", "sh"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=atol, err_msg=name)
    np.testing.assert_allclose(np.abs((a.rotations * b.rotations).sum(axis=1)), 1.0, atol=1e-3)


def rewritten(path: Path, edit: object) -> Path:
    """Return a copy of a package whose stage `edit` has changed."""
    folder = path.with_suffix("")
    folder.mkdir()
    with zipfile.ZipFile(path) as package:
        names = package.namelist()
        package.extractall(folder)
    stage = Usd.Stage.Open(str(folder / names[0]))
    edit(stage)  # type: ignore[operator]
    stage.GetRootLayer().Save()
    copy = path.with_name(path.stem + "_edited.usdz")
    write_package(copy, [(name, folder / name) for name in names])
    return copy


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_ply_to_usd_to_ply_is_exact(tmp_path: Path, degree: int) -> None:
    """Gaussians of a PLY pass through a particle field and another PLY without a changed bit."""
    write_ply(tmp_path / "a.ply", random_gaussians(degree=degree))
    first = read_ply(tmp_path / "a.ply")
    write_usdz(tmp_path / "a.usdz", Scene(first))
    assert_same(first, read_usd(tmp_path / "a.usdz").gaussians)
    write_ply(tmp_path / "b.ply", read_usd(tmp_path / "a.usdz").gaussians)
    assert_same(first, read_ply(tmp_path / "b.ply"))


@pytest.mark.parametrize("target", ["isaac-6", "isaac-5", "both"])
def test_scene_comes_back_whole(tmp_path: Path, target: str) -> None:
    """Collider, labels, provenance and the instance table survive in every form."""
    before = small_scene()
    write_usdz(tmp_path / "a.usdz", before, target=target)  # type: ignore[arg-type]
    contents = read_usd_contents(tmp_path / "a.usdz")
    after = contents.scene
    assert after.collider is not None
    assert after.proxy is not None
    np.testing.assert_array_equal(after.collider.vertices, square().vertices)
    assert dict(zip(*np.unique(after.proxy.face_label, return_counts=True), strict=True)) == {0: 1, 1: 1}
    assert after.proxy.classes == ("floor", "rug")
    assert dict(after.provenance) == dict(before.provenance)
    assert after.instances == before.instances
    assert contents.forms == {"isaac-6": ("ParticleField",), "isaac-5": ("NuRec",)}.get(
        target, ("ParticleField", "NuRec")
    )
    assert (contents.up_axis, contents.meters_per_unit, contents.default_prim) == ("Z", 1.0, "/World")


@pytest.mark.parametrize("name", ["nurec", "particlefield", "particlefield_half"])
def test_3dgrut_files_hold_the_ply_they_came_from(name: str) -> None:
    """3dgrut's files of both forms and precisions read as the PLY they were made from, turned upright."""
    ply = read_ply(DATA / "gaussians.ply")
    if name.startswith("particlefield"):
        ply = Similarity(rotation_between(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))).gaussians(
            ply
        )
    atol = 1e-6 if name == "particlefield" else 2e-3
    assert_close(read_usd(DATA / f"{name}.usdz").gaussians, ply, atol=atol)


def test_3dgrut_coordinate_transform_is_applied() -> None:
    """The optional transform (x, y, z) -> (-x, -z, -y) of 3dgrut moves the centres in both forms."""
    ply = read_ply(DATA / "gaussians.ply").means
    turned = np.stack([-ply[:, 0], -ply[:, 2], -ply[:, 1]], axis=1)
    volume = read_usd(DATA / "nurec_coordtf.usdz").gaussians.means
    np.testing.assert_allclose(volume, turned, atol=2e-3)
    # Its particle fields say Y up, so the same points are turned once more here.
    field = read_usd(DATA / "particlefield_coordtf.usdz").gaussians.means
    np.testing.assert_allclose(field, np.stack([turned[:, 0], -turned[:, 2], turned[:, 1]], 1), atol=1e-6)


def test_translation_in_the_last_column_is_understood(tmp_path: Path) -> None:
    """3dgrut's transposed matrices place the splats where they were meant."""
    write_usdz(tmp_path / "a.usdz", Scene(random_gaussians()))
    matrix = Gf.Matrix4d(1, 0, 0, 5, 0, 1, 0, 6, 0, 0, 1, 7, 0, 0, 0, 1)

    def transpose(stage: Usd.Stage) -> None:
        UsdGeom.Xformable(stage.GetPrimAtPath("/World/splats")).AddTransformOp().Set(matrix)

    moved = read_usd(rewritten(tmp_path / "a.usdz", transpose)).gaussians
    np.testing.assert_allclose(moved.means, random_gaussians().means + np.array([5, 6, 7]), atol=1e-5)


def test_units_axes_and_transforms_are_baked(tmp_path: Path) -> None:
    """Centimetres, Y up and a turned, scaled parent come out in metres and Z up, colliders included."""
    gaussians = random_gaussians(degree=2)
    write_usdz(tmp_path / "a.usdz", replace(small_scene(), gaussians=gaussians))

    def deform(stage: Usd.Stage) -> None:
        UsdGeom.SetStageUpAxis(stage, "Y")
        UsdGeom.SetStageMetersPerUnit(stage, 0.01)
        world = UsdGeom.Xformable(stage.GetPrimAtPath("/World"))
        world.AddTranslateOp().Set((100.0, 0.0, 0.0))
        world.AddScaleOp().Set((2.0, 2.0, 2.0))

    after = read_usd(rewritten(tmp_path / "a.usdz", deform))
    x, y, z = gaussians.means.T * 0.02
    np.testing.assert_allclose(after.gaussians.means, np.stack([x + 1.0, -z, y], axis=1), atol=1e-5)
    np.testing.assert_allclose(after.gaussians.scales, gaussians.scales * 0.02, rtol=1e-5)
    assert after.collider is not None
    np.testing.assert_allclose(after.collider.vertices[2], [1.08, 0.0, 0.08], atol=1e-6)


@pytest.mark.parametrize("scale", [(1.0, 1.0, 2.0), (-1.0, 1.0, 1.0), (0.0, 1.0, 1.0)])
def test_stretched_or_mirrored_splats_are_refused(tmp_path: Path, scale: tuple[float, ...]) -> None:
    """What a Gaussian cannot follow, a stretch or a mirror, is an error instead of a wrong scene."""
    write_usdz(tmp_path / "a.usdz", Scene(random_gaussians()))

    def stretch(stage: Usd.Stage) -> None:
        UsdGeom.Xformable(stage.GetPrimAtPath("/World")).AddScaleOp().Set(scale)

    with pytest.raises(LyraSimError, match="splats, which cannot"):
        read_usd(rewritten(tmp_path / "a.usdz", stretch))


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.integers(0, 3))
@settings(max_examples=30)
def test_rotation_turns_colours_with_the_splats(q: list[float], degree: int) -> None:
    """Seen from a direction that turned along, a turned Gaussian has the colour it had, and turning back undoes it."""
    w, x, y, z = (1.0, 0.0, 0.0, 0.0) if np.linalg.norm(q) < 1e-3 else np.array(q) / np.linalg.norm(q)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    np.testing.assert_allclose(np.abs(quaternion(rotation) @ [w, x, y, z]), 1.0, atol=1e-9)
    gaussians = random_gaussians(5, degree=degree)
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.einsum("dk,nkc->ndc", sh_basis(directions, degree), gaussians.sh)
    turned = rotate_sh(gaussians.sh, rotation)
    after = np.einsum("dk,nkc->ndc", sh_basis(directions @ rotation.T, degree), turned)
    np.testing.assert_allclose(after, before, atol=1e-5)
    there = Similarity(rotation, np.array([1.0, 2.0, 3.0]), 2.0)
    assert_close(there.inverse.gaussians(there.gaussians(gaussians)), gaussians, atol=1e-5)
    both = there.then(Similarity(translation=np.ones(3), scale=0.5))
    np.testing.assert_allclose(
        both.points(gaussians.means), 0.5 * there.points(gaussians.means) + 1.0, atol=1e-5
    )


def _package(path: Path, members: list[tuple[str, bytes]], **options: object) -> None:
    with zipfile.ZipFile(path, "w", **options) as package:  # type: ignore[call-overload]
        for name, content in members:
            package.writestr(name, content)


USDA = b'#usda 1.0\n(defaultPrim = "World")\ndef Xform "World" {}\n'


def _link(path: Path) -> None:
    info = zipfile.ZipInfo("b.usda")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("a.usda", USDA)
        package.writestr(info, "/etc/passwd")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p.write_bytes(b""), "not a USDZ package"),
        (lambda p: p.write_bytes(b"PK\x05\x06" + bytes(18)), "holds 0 members"),
        (lambda p: _package(p, [("../a.usda", USDA)]), "leaves the package"),
        (lambda p: _package(p, [("/tmp/a.usda", USDA)]), "leaves the package"),
        (lambda p: _package(p, [("C:a.usda", USDA)]), "leaves the package"),
        (lambda p: _package(p, [("a.usda", USDA)], compression=zipfile.ZIP_DEFLATED), "compressed"),
        (lambda p: _package(p, [("a.png", USDA)]), "does not begin with a USD layer"),
        (lambda p: _package(p, [("a.usda", USDA)]), "holds no Gaussians"),
        (lambda p: _package(p, [("a.usda", b"#usda 1.0\ndef Broken")]), "damaged"),
        (
            lambda p: _package(p, [("a.usda", USDA.replace(b"{}", b"(references = @/etc/x.usd@) {}"))]),
            "outside itself",
        ),
        (
            lambda p: _package(
                p, [("a.usda", USDA.replace(b'"World" {}', b'"World" (references = @../x.usda@) {}'))]
            ),
            "outside itself",
        ),
        (
            lambda p: _package(
                p, [("a.usda", USDA.replace(b'"World" {}', b'"World" (references = @b.usda@) {}'))]
            ),
            "missing",
        ),
        (_link, "holds a link"),
    ],
)
def test_dishonest_packages_give_one_line(tmp_path: Path, make: object, words: str) -> None:
    """Empty, escaping, compressed, linking, referring and broken packages are refused in one line."""
    path = tmp_path / "bad.usdz"
    make(path)  # type: ignore[operator]
    with pytest.raises(LyraSimError) as error:
        read_usd(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["missing.usdz", "missing.txt", "."])
def test_missing_and_foreign_files(tmp_path: Path, name: str) -> None:
    """A file that is not there, or no USD, is named."""
    with pytest.raises(LyraSimError):
        read_usd(tmp_path / name)


def test_layer_that_refers_outside_its_folder_is_refused(tmp_path: Path) -> None:
    """A plain layer may only refer to files beside it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out.usda").write_bytes(USDA)
    path = tmp_path / "in" / "a.usda"
    path.write_bytes(USDA.replace(b'"World" {}', b'"World" (payload = @../out.usda@) {}'))
    with pytest.raises(LyraSimError, match="outside itself"):
        read_usd(path)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Return where to put a damaged layer, and a sound one that holds both forms' prims."""
    folder = tmp_path_factory.mktemp("fuzz")
    write_usdz(folder / "a.usdz", small_scene(), target="both")
    with zipfile.ZipFile(folder / "a.usdz") as package:
        return folder / "fuzzed.usdc", package.read("scene.usdc")


# Derandomised, since OpenUSD ends the process on a few layers, which only a child process survives.
@settings(max_examples=40, derandomize=True)
@given(data=st.data())
def test_any_layer_reads_or_says_why(fuzzed: tuple[Path, bytes], data: st.DataObject) -> None:
    """A layer with changed and cut bytes, outside a package and so without a checksum, reads or gives one line."""
    path, sound = fuzzed
    content = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.unlink(missing_ok=True)
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        read_usd(path)
    except LyraSimError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_wrong_types_are_damage(tmp_path: Path) -> None:
    """Attributes of another type than the schema's give one line."""
    write_usdz(tmp_path / "a.usdz", Scene(random_gaussians()))

    def retype(stage: Usd.Stage) -> None:
        prim = stage.GetRootLayer().GetPrimAtPath("/World/splats/gaussians")
        prim.RemoveProperty(prim.attributes["positions"])
        Sdf.AttributeSpec(prim, "positions", Sdf.ValueTypeNames.StringArray).default = ["a", "b"]

    with pytest.raises(LyraSimError):
        read_usd(rewritten(tmp_path / "a.usdz", retype))


@pytest.mark.parametrize("function", [load_scene, inspect_file, validate_file])
def test_layer_that_crashes_openusd_gives_one_line(function: Callable[[Path], object]) -> None:
    """A layer on which OpenUSD ends the process is refused by everything that reads files of others."""
    with pytest.raises(LyraSimError, match="OpenUSD crashes on it"):
        function(DATA / "crashes_openusd.usdc")
