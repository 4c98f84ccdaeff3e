"""SPZ files, Lyra's tensors, mesh files, and the choice among readers."""

from __future__ import annotations

import gzip
import pickle
import struct
import zipfile
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch
import trimesh
from gaussian_scenes import assert_same, random_gaussians, square
from hypothesis import given, settings
from hypothesis import strategies as st

from lyra_sim.errors import LyraSimError
from lyra_sim.files import read_gaussians, read_spz, write_gaussians, write_ply, write_spz
from lyra_sim.files.lyra import read_lyra
from lyra_sim.files.meshes import read_mesh
from lyra_sim.gaussians import Gaussians


def within_range(degree: int) -> Gaussians:
    """Return Gaussians that SPZ's 8-bit ranges hold."""
    gaussians = random_gaussians(400, degree=degree)
    np.clip(gaussians.sh, -0.95, 0.95, out=gaussians.sh)
    return gaussians


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spz_round_trip_is_within_its_steps(tmp_path: Path, degree: int) -> None:
    """Each quantity comes back within half a step of its quantisation."""
    before = within_range(degree)
    write_spz(tmp_path / "a.spz", before)
    after = read_spz(tmp_path / "a.spz")
    np.testing.assert_allclose(after.means, before.means, atol=1.3e-4)
    np.testing.assert_allclose(np.log(after.scales), np.log(before.scales), atol=1 / 32 + 1e-4)
    np.testing.assert_allclose(after.opacities, before.opacities, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(after.sh[:, 0], before.sh[:, 0], atol=0.5 / 255 / 0.15 + 1e-6)
    np.testing.assert_allclose(after.sh[:, 1:], before.sh[:, 1:], atol=8.6 / 128)
    assert np.abs((after.rotations * before.rotations).sum(axis=1)).min() > 1 - 1e-5


def test_spz_reads_as_another_decoder_reads_it(tmp_path: Path) -> None:
    """gsply, an independent decoder, finds the same values in our file, and we find in its file what it wrote."""
    write_spz(tmp_path / "ours.spz", within_range(3))
    ours, theirs = read_spz(tmp_path / "ours.spz"), gsply.spz.read_spz(tmp_path / "ours.spz")
    gsply.spz.write_spz(tmp_path / "theirs.spz", theirs)
    back = read_spz(tmp_path / "theirs.spz")
    for found in (ours, back):
        np.testing.assert_allclose(found.means, theirs.means, atol=1e-6)
        np.testing.assert_allclose(np.log(found.scales), theirs.scales, atol=1e-5)
        np.testing.assert_allclose(np.abs((found.rotations * theirs.quats).sum(axis=1)), 1, atol=1e-5)
        np.testing.assert_allclose(found.sh[:, 0], theirs.sh0.reshape(-1, 3), atol=1e-5)
        np.testing.assert_allclose(found.sh[:, 1:], theirs.shN.reshape(found.sh[:, 1:].shape), atol=1e-5)


def _header(count: int, degree: int = 0, version: int = 3) -> bytes:
    return struct.pack("<IIIBBBB", 0x5053474E, version, count, degree, 12, 0, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no header"),
        (b"plain", "cannot read"),
        (gzip.compress(b"short"), "no header"),
        (gzip.compress(bytes(100)), "not an SPZ file"),
        (gzip.compress(_header(10, version=9)), "not an SPZ file"),
        (gzip.compress(_header(10, degree=7)), "SH degree 7"),
        (gzip.compress(_header(2**32 - 1)), "cannot hold"),
        (gzip.compress(_header(10) + bytes(50)), "cut short"),
        (gzip.compress(_header(0)), "no Gaussians"),
        (gzip.compress(_header(10) + bytes(200))[:-12], "cannot read"),
    ],
)
def test_damaged_spz_gives_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    """Damage and absurd counts are refused before memory is taken."""
    (tmp_path / "a.spz").write_bytes(content)
    with pytest.raises(LyraSimError) as error:
        read_spz(tmp_path / "a.spz")
    assert words in str(error.value)


@pytest.fixture(scope="module")
def spz_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spz")


@settings(max_examples=80)
@given(st.binary(max_size=400), st.integers(0, 3), st.integers(2, 3), st.integers(0, 20))
def test_any_spz_content_reads_or_says_why(
    spz_folder: Path, body: bytes, degree: int, version: int, count: int
) -> None:
    """Any body after a valid header gives finite Gaussians or our error."""
    path = spz_folder / "a.spz"
    path.write_bytes(gzip.compress(_header(count, degree, version) + body))
    try:
        assert len(read_spz(path)) == count
    except LyraSimError as error:
        assert "\n" not in str(error)  # noqa: PT017


def _tensor(count: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    tensor = torch.rand(1, count, 14, generator=generator)
    tensor[..., 4:7] += 0.01
    return tensor


@pytest.mark.parametrize("name", ["a.pt", "a.ply", "a.npy", "bf16.pt", "dict.pt"])
def test_lyra_tensors_read_from_every_container(tmp_path: Path, name: str) -> None:
    """Lyra's (1, N, 14) tensor reads alike from torch (also named .ply, as Lyra does) and numpy files."""
    tensor = _tensor()
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, tensor.numpy())
    else:
        torch.save(
            tensor.bfloat16()
            if name == "bf16.pt"
            else {"gaussians": tensor}
            if name == "dict.pt"
            else tensor,
            path,
        )
    gaussians = read_gaussians(path)
    atol = 1e-2 if name == "bf16.pt" else 1e-6
    np.testing.assert_allclose(gaussians.means, tensor[0, :, :3], atol=atol)
    np.testing.assert_allclose(gaussians.opacities, tensor[0, :, 3], atol=atol)
    np.testing.assert_allclose(gaussians.scales, tensor[0, :, 4:7], atol=atol)
    np.testing.assert_allclose(gaussians.rgb, tensor[0, :, 11:], atol=atol)
    quaternions = torch.nn.functional.normalize(tensor[0, :, 7:11], dim=1)
    np.testing.assert_allclose(gaussians.rotations, quaternions, atol=atol)


def test_safetensors_round_trip(tmp_path: Path) -> None:
    """What is written as Lyra's tensor reads back, colours to rounding."""
    before = random_gaussians()
    write_gaussians(tmp_path / "a.safetensors", before)
    after = read_gaussians(tmp_path / "a.safetensors")
    for name in ("means", "scales", "rotations", "opacities"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    np.testing.assert_allclose(before.sh, after.sh, atol=1e-6)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_pickles_are_never_executed(tmp_path: Path) -> None:
    """Code in torch and numpy files is refused, not run."""
    torch.save(_Evil(), tmp_path / "evil.pt")
    np.save(tmp_path / "evil.npy", np.array([_Evil()], object), allow_pickle=True)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(_Evil()))
    for name in ("evil.pt", "evil.npy", "evil.pth"):
        with pytest.raises(LyraSimError):
            read_lyra(tmp_path / name)


def test_tensors_of_other_shapes_are_refused(tmp_path: Path) -> None:
    """A tensor without 14 channels, two candidates, integers and a compressed archive are named."""
    torch.save(torch.zeros(1, 5, 13), tmp_path / "a.pt")
    torch.save({"a": _tensor(), "b": _tensor()}, tmp_path / "b.pt")
    np.save(tmp_path / "c.npy", np.zeros((1, 5, 14), np.int32))
    with zipfile.ZipFile(tmp_path / "d.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(10_000_000))
    for name in ("a.pt", "b.pt", "c.npy", "d.pt"):
        with pytest.raises(LyraSimError):
            read_gaussians(tmp_path / name)


def test_unknown_endings_and_missing_files_are_named(tmp_path: Path) -> None:
    """Reading and writing say which endings they know."""
    with pytest.raises(LyraSimError, match="known endings"):
        read_gaussians(tmp_path / "a.xyz")
    with pytest.raises(LyraSimError, match="no such file"):
        read_gaussians(tmp_path / "a.ply")
    with pytest.raises(LyraSimError, match="known endings"):
        write_gaussians(tmp_path / "a.obj", random_gaussians())


def test_ply_by_ending(tmp_path: Path) -> None:
    """The chooser gives what the PLY reader gives."""
    write_ply(tmp_path / "a.ply", random_gaussians())
    write_gaussians(tmp_path / "b.PLY", read_gaussians(tmp_path / "a.ply"))
    assert_same(read_gaussians(tmp_path / "a.ply"), read_gaussians(tmp_path / "b.PLY"))


def test_meshes_read_upright(tmp_path: Path) -> None:
    """A glTF file, Y up by definition, and an OBJ file that is Z up give the same floor."""
    mesh = trimesh.Trimesh(square().vertices, square().faces, process=False)
    mesh.export(tmp_path / "a.obj")
    turned = mesh.copy()
    turned.vertices = mesh.vertices[:, [0, 2, 1]] * [1, 1, -1]
    turned.export(tmp_path / "a.glb")
    for name in ("a.obj", "a.glb"):
        read = read_mesh(tmp_path / name)
        np.testing.assert_allclose(read.vertices, square().vertices, atol=1e-6)
        assert len(read.faces) == 2


@pytest.mark.parametrize("name", ["a.glb", "a.obj", "a.stl", "a.off", "a.txt"])
def test_damaged_meshes_give_one_line(tmp_path: Path, name: str) -> None:
    """Garbage in any mesh format, and other formats, raise our error."""
    (tmp_path / name).write_bytes(b"glTF\x02\x00\x00\x00\xff\xff\xff\xff garbage")
    with pytest.raises(LyraSimError):
        read_mesh(tmp_path / name)
