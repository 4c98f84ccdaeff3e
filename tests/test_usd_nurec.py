"""NuRec volumes: the payload against 3dgrut's, precision, and payloads that lie."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import msgpack
import numpy as np
import pytest
from gaussian_scenes import random_gaussians, small_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from pxr import Usd, UsdGeom

from lyra_sim.errors import LyraSimError
from lyra_sim.files import read_ply
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import Scene
from lyra_sim.transform import Similarity
from lyra_sim.usd import layout
from lyra_sim.usd.nurec import position_rounding, read_payload, write_payload
from lyra_sim.usd.reader import read_usd
from lyra_sim.usd.writer import write_usdz

DATA = Path(__file__).parent / "data" / "usd"
NODE = ".gaussians_nodes.gaussians."


def payload(gaussians: Gaussians, folder: Path) -> dict:
    write_payload(folder / "a.nurec", gaussians)
    return msgpack.unpackb(gzip.decompress((folder / "a.nurec").read_bytes()))["nre_data"]


def packed(data: dict) -> bytes:
    return gzip.compress(msgpack.packb({"nre_data": data}), compresslevel=0)


def read(content: bytes) -> Gaussians:
    return read_payload(io.BytesIO(content), len(content), name="test.nurec")


def test_payload_equals_3dgruts(tmp_path: Path) -> None:
    """Every key, setting and byte is that of 3dgrut's file, but for the quaternions, which we write at unit length."""
    with zipfile.ZipFile(DATA / "nurec.usdz") as package:
        golden = msgpack.unpackb(gzip.decompress(package.read("nurec.nurec")))["nre_data"]
    ours = payload(read_ply(DATA / "gaussians.ply"), tmp_path)
    assert {k: v for k, v in ours.items() if k != "state_dict"} == {
        k: v for k, v in golden.items() if k != "state_dict"
    }
    assert set(ours["state_dict"]) == set(golden["state_dict"])
    different = [k for k, v in golden["state_dict"].items() if ours["state_dict"][k] != v]
    assert different == [NODE + "rotations"]
    q = np.frombuffer(golden["state_dict"][NODE + "rotations"], np.float16).reshape(-1, 4).astype(np.float32)
    mine = np.frombuffer(ours["state_dict"][NODE + "rotations"], np.float16).reshape(-1, 4)
    np.testing.assert_allclose(mine, q / np.linalg.norm(q, axis=1, keepdims=True), atol=1e-3)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_degree_is_zero_or_padded_to_three(tmp_path: Path, degree: int) -> None:
    """Isaac Sim hangs on degrees 1 and 2, so they become 3 with zeros, coefficient by coefficient."""
    gaussians = random_gaussians(20, degree=degree)
    state = payload(gaussians, tmp_path)["state_dict"]
    written = 0 if degree == 0 else 3
    assert int.from_bytes(state[NODE + "n_active_features"], "little") == written
    width = 3 * ((written + 1) ** 2 - 1)
    assert state[NODE + "features_specular.shape"] == [20, width]
    rest = np.frombuffer(state[NODE + "features_specular"], np.float16).reshape(20, width // 3, 3)
    known = (degree + 1) ** 2 - 1
    np.testing.assert_allclose(rest[:, :known], gaussians.sh[:, 1:], atol=2e-3)
    assert not rest[:, known:].any()


def test_far_scene_keeps_its_precision(tmp_path: Path) -> None:
    """A scene 300 m from the origin is centred, so float16 costs millimetres instead of decimetres."""
    near = random_gaussians(500)
    far = Similarity(translation=np.array([300.0, -200.0, 50.0])).gaussians(near)
    write_usdz(tmp_path / "a.usdz", Scene(far), target="isaac-5")
    after = read_usd(tmp_path / "a.usdz").gaussians
    limit = position_rounding(near.means) * 2 + 5e-5
    assert limit < 0.01
    np.testing.assert_allclose(after.means, far.means, atol=limit)
    np.testing.assert_allclose(after.scales, far.scales, rtol=4e-3)
    np.testing.assert_allclose(after.opacities, far.opacities, atol=2e-3)


def test_very_far_particle_field_is_centred(tmp_path: Path) -> None:
    """Beyond 4 km a particle field too keeps small numbers and puts the offset into its double-precision transform."""
    far = Similarity(translation=np.array([1e6, 0, 0])).gaussians(random_gaussians())
    write_usdz(tmp_path / "a.usdz", Scene(far))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    assert np.abs(np.array(stage.GetPrimAtPath(layout.GAUSSIANS).GetAttribute("positions").Get())).max() < 100
    np.testing.assert_allclose(read_usd(tmp_path / "a.usdz").gaussians.means, far.means, atol=1e-6)


def test_volume_follows_the_layout_that_isaac_reads(tmp_path: Path) -> None:
    """Prim types, fields, crop box padded by three sigma, proxy relation and render settings are as 3dgrut writes."""
    write_usdz(tmp_path / "a.usdz", small_scene(), target="isaac-5")
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    volume = stage.GetPrimAtPath(layout.VOLUME)
    assert volume.GetTypeName() == "Volume"
    assert volume.GetAttribute("omni:nurec:isNuRecVolume").Get() is True
    assert volume.GetAttribute("omni:nurec:useProxyTransform").Get() is False
    low, high = (np.array(volume.GetAttribute(f"omni:nurec:crop:{n}Bounds").Get()) for n in ("min", "max"))
    local = small_scene().gaussians.means - np.array(
        UsdGeom.Xformable(volume).GetLocalTransformation().ExtractTranslation()
    )
    reach = 3 * small_scene().gaussians.scales.max(axis=1, keepdims=True)
    assert (local - reach >= low - 1e-4).all()
    assert (local + reach <= high + 1e-4).all()
    for name, role in (("density", "density"), ("emissiveColor", "emissiveColor")):
        (target,) = volume.GetRelationship(f"field:{name}").GetTargets()
        prim = stage.GetPrimAtPath(target)
        assert prim.GetTypeName() == "OmniNuRecFieldAsset"
        assert prim.GetAttribute("fieldRole").Get() == role
        assert prim.GetAttribute("filePath").Get().path == "./scene.nurec"
    assert str(volume.GetRelationship("proxy").GetTargets()[0]) == layout.slot(0)
    settings_ = stage.GetRootLayer().customLayerData["renderSettings"]
    assert settings_["rtx:rendermode"] == "RaytracedLighting"
    assert settings_["rtx:matteObject:visibility:secondaryRays"] is True


def test_both_forms_are_never_visible_at_once(tmp_path: Path) -> None:
    """In a package with both forms the variant decides which one the stage holds."""
    write_usdz(tmp_path / "a.usdz", small_scene(), target="both")
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    variants = stage.GetDefaultPrim().GetVariantSet("splats")
    assert variants.GetVariantNames() == ["isaac-5", "isaac-6"]
    assert variants.GetVariantSelection() == "isaac-6"
    for name, there, gone in (
        ("isaac-6", layout.GAUSSIANS, layout.VOLUME),
        ("isaac-5", layout.VOLUME, layout.GAUSSIANS),
    ):
        variants.SetVariantSelection(name)
        assert stage.GetPrimAtPath(there)
        assert not stage.GetPrimAtPath(gone)


def test_nvidia_validators_pass_on_both(tmp_path: Path) -> None:
    """NVIDIA's rules find nothing in a package that holds both forms."""
    from usd_validation_nvidia import GaussianSplatSchemaChecker, ValidationEngine

    write_usdz(tmp_path / "a.usdz", small_scene(), target="both")
    engine = ValidationEngine()
    engine.enable_rule(GaussianSplatSchemaChecker)
    assert [i.message for i in engine.validate(str(tmp_path / "a.usdz")).issues()] == []


def test_other_node_names_count(tmp_path: Path) -> None:
    """Sets of Gaussians under other names, as in NVIDIA's own files, are all read."""
    data = payload(random_gaussians(30), tmp_path)
    state = data["state_dict"]
    data["state_dict"] = {
        **{k.replace("nodes.gaussians.", "nodes.background."): v for k, v in state.items()},
        **{k.replace("nodes.gaussians.", "nodes.road."): v for k, v in state.items()},
    }
    assert len(read(packed(data))) == 60


def _broken(change: object, folder: Path) -> bytes:
    data = payload(random_gaussians(10), folder)
    change(data["state_dict"])  # type: ignore[operator]
    return packed(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda f: b"", "damaged"),
        (lambda f: b"not gzip at all", "damaged"),
        (lambda f: gzip.compress(b"\xdf\xff\xff\xff\xff"), "damaged"),
        (lambda f: gzip.compress(b"\x81\xa1a\xc6\xff\xff\xff\xff"), "damaged"),
        (lambda f: gzip.compress(b"\x91" * 100_000), "damaged"),
        (lambda f: gzip.compress(msgpack.packb([1, 2])), "damaged"),
        (lambda f: gzip.compress(b"\x81\xa1a\xc6\x05\x00\x00\x00" + bytes(80_000_000)), "inflates to over"),
        (lambda f: packed({"state_dict": {}}), "no Gaussians"),
        (lambda f: _broken(lambda s: s.pop(NODE + "scales"), f), "damaged"),
        (lambda f: _broken(lambda s: s.update({NODE + "scales.shape": [10, 4]}), f), "tensor scales"),
        (lambda f: _broken(lambda s: s.update({NODE + "scales.shape": [-1, 3]}), f), "tensor scales"),
        (lambda f: _broken(lambda s: s.update({NODE + "positions": b""}), f), "tensor positions"),
        (
            lambda f: _broken(
                lambda s: s.update({NODE + "positions": np.full((10, 3), np.nan, "<f2").tobytes()}), f
            ),
            "not finite",
        ),
    ],
)
def test_dishonest_payloads_give_one_line(tmp_path: Path, make: object, words: str) -> None:
    """Damage, absurd lengths, deep nesting and bombs are refused in one line, quickly and in little memory."""
    with pytest.raises(LyraSimError) as error:
        read(make(tmp_path))  # type: ignore[operator]
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "a.nurec"
    write_payload(path, random_gaussians(5))
    return gzip.decompress(path.read_bytes())


@settings(max_examples=150)
@given(data=st.data())
def test_any_payload_reads_or_says_why(sound: bytes, data: st.DataObject) -> None:
    """Bytes changed inside the msgpack either read as Gaussians or give one line."""
    content = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(gzip.compress(bytes(content[: data.draw(st.integers(0, len(content)))]), compresslevel=0))
    except LyraSimError as error:
        assert "\n" not in str(error)  # noqa: PT017
