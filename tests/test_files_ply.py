"""3DGS PLY files: round trips, every layout that occurs, and files that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gaussian_scenes import assert_same, random_gaussians
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement

from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import exp_scale, log_scale, logit, sigmoid, unit_quaternions
from lyra_sim.files.ply import read_ply, write_ply


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_written_file_reads_back(tmp_path: Path, degree: int) -> None:
    """What is written comes back: exact where nothing is activated, to float32 rounding elsewhere."""
    before = random_gaussians(degree=degree)
    write_ply(tmp_path / "a.ply", before)
    after = read_ply(tmp_path / "a.ply")
    for name in ("means", "rotations", "sh"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    np.testing.assert_allclose(before.scales, after.scales, rtol=1e-6)
    np.testing.assert_allclose(before.opacities, after.opacities, rtol=1e-6)


def test_second_round_trip_is_exact(tmp_path: Path) -> None:
    """Gaussians that came from a file survive any number of writes and reads bit for bit."""
    write_ply(tmp_path / "a.ply", random_gaussians(5000, degree=1))
    first = read_ply(tmp_path / "a.ply")
    write_ply(tmp_path / "b.ply", first)
    assert_same(first, read_ply(tmp_path / "b.ply"))


@given(st.floats(-103, 103, width=32))
def test_activations_of_file_values_invert_exactly(x: float) -> None:
    """Sigmoid and exponential of any stored float32 map back to numbers that activate to the same bits."""
    value = np.array([x], np.float32)
    opacity = sigmoid(value)
    assert sigmoid(logit(opacity)) == opacity
    scale = exp_scale(np.clip(value, -86, 80))
    assert exp_scale(log_scale(scale)) == scale


@given(st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4))
def test_unit_quaternions_are_unit_and_stay(values: list[float]) -> None:
    """Any quaternion gets unit length, and getting it twice changes nothing."""
    once = unit_quaternions(np.array([values], np.float32))
    assert abs(np.linalg.norm(once.astype(np.float64)) - 1) < 1e-6
    np.testing.assert_array_equal(unit_quaternions(once), once)


@pytest.mark.parametrize(("text", "order"), [(True, "="), (False, "<"), (False, ">")])
def test_foreign_layouts_read_alike(tmp_path: Path, text: bool, order: str) -> None:
    """Ascii and both byte orders, doubles, shuffled and extra properties and elements give the same Gaussians."""
    write_ply(tmp_path / "ours.ply", random_gaussians(40, degree=2))
    ours = read_ply(tmp_path / "ours.ply")
    source = PlyData.read(tmp_path / "ours.ply")["vertex"].data
    names = list(source.dtype.names)
    np.random.default_rng(1).shuffle(names)
    types = {name: "f8" if name.startswith("rot") else "f4" for name in names}
    vertices = np.zeros(len(source), [("nx", "f4"), *types.items(), ("red", "u1")])
    for name in names:
        vertices[name] = source[name]
    elements = [
        PlyElement.describe(np.zeros(3, [("a", "f4"), ("b", "i2")]), "extra"),
        PlyElement.describe(vertices, "vertex"),
        PlyElement.describe(np.array([([0, 1, 2],)], [("vertex_indices", "O")]), "face"),
    ]
    PlyData(elements, text=text, byte_order=order).write(tmp_path / "foreign.ply")
    theirs = read_ply(tmp_path / "foreign.ply")
    if text:
        for name in ("means", "scales", "rotations", "opacities", "sh"):
            np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=2e-5, atol=1e-6)
    else:
        assert_same(theirs, ours)


def test_rest_coefficients_are_channel_major_in_the_file(tmp_path: Path) -> None:
    """f_rest holds all coefficients of red, then green, then blue, as the original code writes them."""
    gaussians = random_gaussians(7, degree=3)
    write_ply(tmp_path / "a.ply", gaussians)
    data = PlyData.read(tmp_path / "a.ply")["vertex"].data
    for coefficient in range(15):
        for channel in range(3):
            column = data[f"f_rest_{15 * channel + coefficient}"]
            np.testing.assert_array_equal(column, gaussians.sh[:, 1 + coefficient, channel])


def _valid_bytes(tmp_path: Path) -> bytes:
    write_ply(tmp_path / "valid.ply", random_gaussians(20))
    return (tmp_path / "valid.ply").read_bytes()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b"", "no PLY header"),
        (lambda b: b[:100], "no PLY header"),
        (lambda b: b[:-1], "promises 20 Gaussians, it holds 19"),
        (lambda b: b.replace(b"vertex 20", b"vertex 99999999999999"), "cut short"),
        (lambda b: b.replace(b"vertex 20", b"vertex 0"), "no Gaussians"),
        (lambda b: b.replace(b"vertex 20", b"vertex -1"), "damaged PLY header"),
        (lambda b: b.replace(b"float opacity", b"float opaque"), "lack opacity"),
        (lambda b: b.replace(b"float opacity", b"float x"), "twice"),
        (lambda b: b.replace(b"property float x", b"property list uchar int x"), "not a scalar"),
        (lambda b: b.replace(b"little_endian", b"middle_endian"), "PLY format"),
        (
            lambda b: b[:-4] + np.float32("nan").tobytes(),
            "1 of 20 Gaussians have rotations that are not finite",
        ),
        (lambda b: b[:-20] + np.float32(200).tobytes() + b[-16:], "not finite"),
    ],
)
def test_damaged_files_give_one_line(tmp_path: Path, damage: object, words: str) -> None:
    """Every kind of damage is named in one line that holds the path."""
    path = tmp_path / "damaged.ply"
    path.write_bytes(damage(_valid_bytes(tmp_path)))  # type: ignore[operator]
    with pytest.raises(LyraSimError) as error:
        read_ply(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


@pytest.fixture(scope="module")
def ply_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ply")
    _valid_bytes(folder)
    return folder


@settings(max_examples=150)
@given(data=st.data())
def test_any_bytes_read_or_say_why(ply_folder: Path, data: st.DataObject) -> None:
    """Changed, cut and invented bytes either read as Gaussians or raise our error, nothing else."""
    content = bytearray((ply_folder / "valid.ply").read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    (ply_folder / "fuzzed.ply").write_bytes(content)
    try:
        read_ply(ply_folder / "fuzzed.ply")
    except LyraSimError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """Gaussians that are not finite are refused, and the file from before keeps its bytes."""
    path = tmp_path / "a.ply"
    write_ply(path, random_gaussians(5))
    before = path.read_bytes()
    broken = random_gaussians(5)
    broken.means[2, 1] = np.nan
    with pytest.raises(LyraSimError, match="1 of 5 Gaussians have means"):
        write_ply(path, broken)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
