"""USDZ scenes: validators, values, hierarchy, determinism, atomicity."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gaussian_scenes import random_gaussians, small_scene, square
from pxr import Usd, UsdGeom, UsdPhysics, UsdSemantics, UsdValidation, UsdVol

from lyra_sim.errors import LyraSimError
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh
from lyra_sim.usd import layout
from lyra_sim.usd.writer import write_usdz


@pytest.fixture
def scene_path(tmp_path: Path) -> Path:
    write_usdz(tmp_path / "scene.usdz", small_scene(degree=3))
    return tmp_path / "scene.usdz"


def _openusd_complaints(path: Path) -> list[str]:
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [f"{e.GetName()}: {e.GetMessage()}" for e in errors]


def test_openusd_validators_know_only_one_complaint(scene_path: Path) -> None:
    """Every validator of OpenUSD passes, but for the extension of the provenance file, which USD never opens."""
    for complaint in _openusd_complaints(scene_path):
        assert complaint.startswith("UnsupportedFileExtensionInPackage: File 'provenance.json'")


@pytest.mark.parametrize("holds", ["everything", "splats only"])
def test_nvidia_validators_are_clean(tmp_path: Path, holds: str) -> None:
    """NVIDIA's whole default rule set and the Gaussian splat rule find nothing."""
    from usd_validation_nvidia import GaussianSplatSchemaChecker, ValidationEngine

    scene = small_scene(degree=2)
    write_usdz(tmp_path / "a.usdz", scene if holds == "everything" else Scene(scene.gaussians))
    engine = ValidationEngine()
    engine.enable_rule(GaussianSplatSchemaChecker)
    assert [i.message for i in engine.validate(str(tmp_path / "a.usdz")).issues()] == []


def test_nvidia_splat_rule_is_on(tmp_path: Path) -> None:
    """The Gaussian rule does look at our prim: a stage with a broken attribute fails it."""
    from usd_validation_nvidia import GaussianSplatSchemaChecker, ValidationEngine

    write_usdz(tmp_path / "a.usdz", small_scene())
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    field = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath(layout.GAUSSIANS))
    field.GetOpacitiesAttr().Set([2.0] * 300)
    engine = ValidationEngine(init_rules=False)
    engine.enable_rule(GaussianSplatSchemaChecker)
    assert len(engine.validate(stage).issues()) > 0


@pytest.mark.parametrize("degree", [0, 3])
def test_splats_are_exact(tmp_path: Path, degree: int) -> None:
    """Every number of every Gaussian comes back from the particle field bit for bit."""
    gaussians = random_gaussians(degree=degree)
    write_usdz(tmp_path / "a.usdz", Scene(gaussians))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    field = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath(layout.GAUSSIANS))
    np.testing.assert_array_equal(np.array(field.GetPositionsAttr().Get()), gaussians.means)
    np.testing.assert_array_equal(np.array(field.GetScalesAttr().Get()), gaussians.scales)
    np.testing.assert_array_equal(np.array(field.GetOpacitiesAttr().Get()), gaussians.opacities)
    first = field.GetOrientationsAttr().Get()[0]
    assert (first.real, *first.imaginary) == tuple(gaussians.rotations[0])
    sh = field.GetRadianceSphericalHarmonicsCoefficientsAttr()
    np.testing.assert_array_equal(np.array(sh.Get()).reshape(gaussians.sh.shape), gaussians.sh)
    assert UsdGeom.Primvar(sh).GetElementSize() == (degree + 1) ** 2
    assert field.GetRadianceSphericalHarmonicsDegreeAttr().Get() == degree


def test_extent_holds_three_sigma(scene_path: Path) -> None:
    """The extent reaches three standard deviations past every centre along the largest axis."""
    stage = Usd.Stage.Open(str(scene_path))
    low, high = np.array(stage.GetPrimAtPath(layout.GAUSSIANS).GetAttribute("extent").Get())
    gaussians = small_scene(degree=3).gaussians
    reach = 3 * gaussians.scales.max(axis=1, keepdims=True)
    assert (gaussians.means - reach >= low - 1e-5).all()
    assert (gaussians.means + reach <= high + 1e-5).all()


def test_stage_is_metric_and_z_up(scene_path: Path) -> None:
    """Units, axis and default prim are authored, since a reference converts none of them."""
    stage = Usd.Stage.Open(str(scene_path))
    assert stage.GetDefaultPrim().GetPath() == layout.WORLD
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdPhysics.GetStageKilogramsPerUnit(stage) == 1.0
    assert not [p for p in stage.Traverse() if p.IsA(UsdPhysics.Scene)]


def test_collider_is_hidden_and_collides(scene_path: Path) -> None:
    """The collider holds the mesh, is the first mesh of the file, invisible, and has both collision APIs."""
    stage = Usd.Stage.Open(str(scene_path))
    mesh = next(UsdGeom.Mesh(p) for p in stage.Traverse() if p.IsA(UsdGeom.Mesh))
    prim = mesh.GetPrim()
    assert prim.GetPath() == layout.COLLIDER
    assert mesh.ComputeVisibility() == "invisible"
    assert UsdPhysics.CollisionAPI(prim).GetCollisionEnabledAttr().Get() is True
    assert UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() == "none"
    np.testing.assert_array_equal(np.array(mesh.GetPointsAttr().Get()), square().vertices)
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()), square().faces.ravel())


def test_missing_collider_does_not_collide(tmp_path: Path) -> None:
    """A scene without a collider keeps the prim but switches its collision off, and says so."""
    write_usdz(tmp_path / "a.usdz", Scene(random_gaussians()))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    prim = stage.GetPrimAtPath(layout.COLLIDER)
    assert UsdPhysics.CollisionAPI(prim).GetCollisionEnabledAttr().Get() is False
    assert prim.GetParent().GetCustomDataByKey("lyra_sim:collider") == "missing"


def test_proxy_carries_labels_per_class(scene_path: Path) -> None:
    """Each class has its faces in one matte mesh with its label, and unused slots are hidden."""
    stage = Usd.Stage.Open(str(scene_path))
    found = {}
    for index in range(layout.PROXY_SLOTS):
        prim = stage.GetPrimAtPath(layout.slot(index))
        labels = list(UsdSemantics.LabelsAPI(prim, "class").GetLabelsAttr().Get())
        assert prim.GetAttribute("primvars:isMatteObject").Get() is True
        if UsdGeom.Imageable(prim).GetVisibilityAttr().Get() != "invisible":
            found[labels[0]] = len(UsdGeom.Mesh(prim).GetFaceVertexCountsAttr().Get())
    assert found == {"floor": 1, "rug": 1}


def test_proxy_shows_by_variant(scene_path: Path) -> None:
    """The proxy hides behind the splats until the variant `shown` is chosen for depth and label passes."""
    stage = Usd.Stage.Open(str(scene_path))
    proxy = UsdGeom.Imageable(stage.GetPrimAtPath(layout.slot(0)))
    assert proxy.ComputeVisibility() == "invisible"
    stage.GetDefaultPrim().GetVariantSet("proxy").SetVariantSelection("shown")
    assert proxy.ComputeVisibility() == "inherited"


def test_more_classes_than_slots_share_the_last(tmp_path: Path) -> None:
    """No face is lost when a scene has more classes than slots: the rarest share one mesh with all their labels."""
    count = layout.PROXY_SLOTS + 5
    faces = np.arange(6 * count, dtype=np.int32).reshape(-1, 3)
    vertices = np.random.default_rng(0).normal(size=(6 * count, 3)).astype(np.float32)
    label = np.concatenate([np.arange(count), np.arange(count)]).astype(np.int32)
    label[-5:] = 0
    classes = tuple(f"class_{i}" for i in range(count))
    scene = Scene(random_gaussians(), proxy=LabelledMesh(vertices, faces, label, classes))
    write_usdz(tmp_path / "a.usdz", scene)
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    slots = [stage.GetPrimAtPath(layout.slot(i)) for i in range(layout.PROXY_SLOTS)]
    assert sum(len(UsdGeom.Mesh(p).GetFaceVertexCountsAttr().Get()) for p in slots) == len(faces)
    assert len(UsdSemantics.LabelsAPI(slots[-1], "class").GetLabelsAttr().Get()) == 6


def _hierarchy(path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    stage = Usd.Stage.Open(str(path))
    return [(str(p.GetPath()), p.GetTypeName(), tuple(p.GetAppliedSchemas())) for p in stage.TraverseAll()]


def test_every_scene_has_the_same_hierarchy(tmp_path: Path) -> None:
    """Scenes with other splats, other classes or no meshes at all have equal prims, types and schemas."""
    scenes = [
        small_scene(degree=3),
        small_scene(seed=1, classes=("wall",)),
        Scene(random_gaussians(7)),
        replace(small_scene(), collider=None),
    ]
    for i, scene in enumerate(scenes):
        write_usdz(tmp_path / f"{i}.usdz", scene)
    assert len({str(_hierarchy(tmp_path / f"{i}.usdz")) for i in range(len(scenes))}) == 1


def test_provenance_is_in_the_layer_and_beside_it(scene_path: Path) -> None:
    """What the scene came from stands in the layer's custom data and, whole, in provenance.json."""
    stage = Usd.Stage.Open(str(scene_path))
    data = stage.GetRootLayer().customLayerData["lyra_sim"]
    assert (data["prompt"], data["seed"], data["versions"]["lyra_sim"]) == ("a test", 0, "0")
    with zipfile.ZipFile(scene_path) as package:
        assert json.loads(package.read("provenance.json")) == dict(small_scene().provenance)
    assert json.loads(stage.GetDefaultPrim().GetCustomDataByKey("lyra_sim:instances"))[0]["name"] == "floor_0"


def test_package_members_are_stored_and_aligned(scene_path: Path) -> None:
    """Every member is stored and its data starts at a multiple of 64 bytes, the layer first."""
    with zipfile.ZipFile(scene_path) as package, open(scene_path, "rb") as file:
        members = package.infolist()
        assert [m.filename for m in members] == ["scene.usdc", "provenance.json"]
        for member in members:
            assert member.compress_type == zipfile.ZIP_STORED
            file.seek(member.header_offset + 26)
            name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
            assert (member.header_offset + 30 + name + extra) % 64 == 0


def test_same_scene_gives_same_bytes_in_another_process(scene_path: Path) -> None:
    """A fresh process, with another hash seed and time zone, writes the same package."""
    other = scene_path.with_name("other.usdz")
    code = (
        "import sys; from pathlib import Path; from gaussian_scenes import small_scene;"
        "from lyra_sim.usd.writer import write_usdz; write_usdz(sys.argv[1], small_scene(degree=3))"
    )
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": folders, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(other)], check=True, env=environment)
    digests = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (scene_path, other)}
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["scene.usd", "scene", "scene.ply"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    """A name that promises another format is refused before anything is written."""
    with pytest.raises(LyraSimError, match=r"written as \.usdz"):
        write_usdz(tmp_path / name, small_scene())
    assert list(tmp_path.iterdir()) == []


def test_bad_scene_leaves_nothing(tmp_path: Path) -> None:
    """Gaussians that are not finite and meshes that point past their vertices are refused in one line."""
    bad = random_gaussians()
    bad.sh[0] = np.inf
    with pytest.raises(LyraSimError, match="not finite"):
        write_usdz(tmp_path / "a.usdz", Scene(bad))
    mesh = TriangleMesh(square().vertices, np.array([[0, 1, 9]], np.int32))
    with pytest.raises(LyraSimError, match="collider"):
        write_usdz(tmp_path / "a.usdz", Scene(random_gaussians(), mesh))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [40_000, 200])
def test_full_disk_leaves_the_old_file(tmp_path: Path, missing: int) -> None:
    """Running out of room, in the layer or in the package, keeps the old file and leaves nothing beside it."""
    path = tmp_path / "a.usdz"
    write_usdz(path, small_scene())
    before = path.read_bytes()
    limit = len(before) - missing
    code = (
        "import resource, signal, sys\n"
        "from gaussian_scenes import small_scene\n"
        "from lyra_sim.errors import LyraSimError\n"
        "from lyra_sim.usd.writer import write_usdz\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try:\n"
        "    write_usdz(sys.argv[1], small_scene(seed=1))\n"
        "except LyraSimError as error:\n"
        "    sys.exit(3 if 'File too large' in str(error) else str(error))\n"
    )
    folders = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    run = subprocess.run([sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": folders})
    assert run.returncode == 3
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
