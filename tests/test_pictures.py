"""Depth maps, lenses and how they are fitted with the picture to the frames."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generator.depth import DepthEstimate
from generator.pictures import PictureFiles, estimate_depth, load_picture
from generator.pictures.depth_file import read_depth
from generator.pictures.fit import Window, fill_depth
from generator.pictures.lens import lens_of, read_lens, usual_lens
from generator.teachers.conditioning import Picture
from lyra_sim.errors import LyraSimError
from tests.picture_files import gradient, write_depth_png

DEPTH = np.linspace(1.0, 6.0, 48 * 64, dtype=np.float32).reshape(48, 64)


def _with_holes() -> np.ndarray:
    depth = DEPTH.copy()
    depth[10:14, 20:30] = 0
    return depth


def _write_exr(path: Path, **channels: np.ndarray) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(path))
    return path


def test_every_kind_of_depth_file_gives_the_same_metres(tmp_path: Path) -> None:
    """Show that PNG, TIFF, EXR, NPY and NPZ are read in their usual units, holes as 0."""
    depth = _with_holes()
    np.save(tmp_path / "a.npy", depth)
    np.save(tmp_path / "b.npy", np.where(depth > 0, depth, np.nan)[None])
    np.save(tmp_path / "c.npy", np.asfortranarray((depth * 1000).astype(np.int32)))
    np.savez_compressed(tmp_path / "d.npz", depth=depth, other=np.zeros(3))
    Image.fromarray(depth).save(tmp_path / "e.tiff")
    _write_exr(tmp_path / "f.exr", Z=np.where(depth > 0, depth, np.inf).astype(np.float32))
    _write_exr(tmp_path / "g.exr", Y=depth.astype(np.float16))
    files = [write_depth_png(tmp_path / "h.png", depth), *sorted(tmp_path.glob("[a-g].*"))]
    assert len(files) == 8
    for file in files:
        got = read_depth(file).depth
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got > 0, depth > 0)
        np.testing.assert_allclose(got, depth, atol=0.003)


def test_the_unit_can_be_given(tmp_path: Path) -> None:
    """Show that --depth-unit overrides the usual unit, and that saturated 16-bit values count as holes."""
    np.save(tmp_path / "mm.npy", DEPTH * 1000)
    np.testing.assert_allclose(read_depth(tmp_path / "mm.npy", unit="mm").depth, DEPTH, rtol=1e-6)
    saturated = (DEPTH * 1000).astype(np.uint16)
    saturated[0] = 65535
    Image.fromarray(saturated).save(tmp_path / "a.png")
    assert (read_depth(tmp_path / "a.png").depth[0] == 0).all()


def _bad_depth_files(folder: Path) -> dict[str, str]:
    """Write unusable files and return name to the words that must be said."""
    np.save(folder / "zeros.npy", np.zeros((8, 8), np.float32))
    np.save(folder / "unit.npy", DEPTH * 1000)
    np.save(folder / "cube.npy", np.ones((4, 4, 4), np.float32))
    np.save(folder / "text.npy", np.full((4, 4), "a"))
    np.save(folder / "object.npy", np.full((4, 4), None), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "unit.npy").read_bytes()[:200])
    (folder / "noise.npy").write_bytes(b"noise")
    (folder / "noise.npz").write_bytes(b"noise")
    (folder / "noise.png").write_bytes(b"noise")
    (folder / "noise.exr").write_bytes(b"noise")
    np.savez(folder / "two.npz", a=DEPTH, b=DEPTH)
    header = np.lib.format.magic(1, 0) + _huge_header()
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("depth.npy", header + bytes(1000))
    (folder / "bomb.npy").write_bytes(header + bytes(1000))
    _write_exr(folder / "colour.exr", A=DEPTH, B=DEPTH, G=DEPTH)
    Image.fromarray(gradient()).save(folder / "colour.png")
    (folder / "depth.txt").write_text("1 2 3")
    return {
        "zeros.npy": "no measured pixel",
        "unit.npy": "try --depth-unit mm",
        "cube.npy": "one channel",
        "text.npy": "two-dimensional",
        "object.npy": "two-dimensional",
        "cut.npy": "cut off",
        "noise.npy": "no array",
        "noise.npz": "no array",
        "noise.png": "no picture",
        "noise.exr": "no EXR",
        "two.npz": "one named depth",
        "bomb.npz": "at most",
        "bomb.npy": "at most",
        "colour.exr": "no channel Z",
        "colour.png": "16 bits",
        "depth.txt": "use a 16-bit PNG",
        "missing.npy": "cannot be read",
    }


def _huge_header() -> bytes:
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (400000, 400000), }"
    text += b" " * (118 - len(text) - 1) + b"\n"
    return len(text).to_bytes(2, "little") + text


def test_unusable_depth_files_are_one_line_each(tmp_path: Path) -> None:
    """Show that damaged, empty, huge, pickled and misunderstood depth files are refused with the reason."""
    for name, words in _bad_depth_files(tmp_path).items():
        with pytest.raises(LyraSimError, match=words):
            read_depth(tmp_path / name)


LENS = {"fx": 500.0, "fy": 510.0, "cx": 319.5, "cy": 239.5}
MATRIX = [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "document",
    [
        LENS,
        {"width": 640, "height": 480, "k": MATRIX, "d": [0.0] * 5, "distortion_model": "plumb_bob"},
        {"width": 640, "height": 480, "K": MATRIX},
        {"camera_matrix": {"rows": 3, "cols": 3, "data": MATRIX}, "image_width": 640, "image_height": 480},
        {"camera_matrix": np.reshape(MATRIX, (3, 3)).tolist()},
        {"intrinsic_matrix": np.reshape(MATRIX, (3, 3)).T.ravel().tolist(), "width": 640, "height": 480},
        {"fl_x": 500.0, "fl_y": 510.0, "cx": 320.0, "cy": 240.0, "w": 640, "h": 480},
        {"header": {"frame_id": "camera"}, "camera_info": {"k": MATRIX}},
    ],
)
def test_all_ways_to_write_a_lens_mean_the_same(document: dict[str, object], tmp_path: Path) -> None:
    """Show that ROS, OpenCV, Open3D, nerfstudio and plain files give one lens, as JSON and as YAML."""
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(document) + "---\n")
    for text in (str(tmp_path / "a.json"), str(tmp_path / "b.yaml"), "500,510,319.5,239.5"):
        lens = read_lens(text)
        np.testing.assert_allclose(lens.values, [500, 510, 320, 240])
        assert lens.size in (None, (480, 640))
        assert not lens.distorted


def test_a_lens_is_scaled_to_the_picture() -> None:
    """Show that intrinsics for another resolution of the same shape are scaled, and distortion is noticed."""
    lens = lens_of({"width": 1280, "height": 960, "k": MATRIX, "d": [0.1, 0, 0, 0, 0]}, where="info")
    np.testing.assert_allclose(lens.scaled_to(480, 640, where="info"), [250, 255, 160, 120])
    assert lens.distorted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3", "fx,fy,cx,cy"),
        ("a,b,c,d", "four numbers"),
        ("nan,500,320,240", "four numbers"),
        ("missing.yaml", "cannot be read"),
        ("list.json", "no camera intrinsics"),
        ("empty.json", "no intrinsics"),
        ("broken.json", "cannot be parsed"),
        ("broken.yaml", "cannot be parsed"),
        ("unsafe.yaml", "cannot be parsed"),
        ("alias.yaml", "aliases"),
    ],
)
def test_unreadable_lenses_are_one_line(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that text and files without usable intrinsics are refused, and YAML cannot run or unfold anything."""
    monkeypatch.chdir(tmp_path)
    Path("list.json").write_text("[1, 2]")
    Path("empty.json").write_text('{"fx": "wide"}')
    Path("broken.json").write_text("{")
    Path("broken.yaml").write_text("a: [1")
    Path("unsafe.yaml").write_text("k: !!python/object/apply:os.getcwd []")
    Path("alias.yaml").write_text("a: &a [1, 1]\nk: [*a, *a]")
    with pytest.raises(LyraSimError, match=words):
        read_lens(text)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("0,500,320,240", "cannot be right"),
        ("-500,500,320,240", "cannot be right"),
        ("5,5,320,240", "cannot be right"),
        ("90000,90000,320,240", "cannot be right"),
        ("500,2000,320,240", "cannot be right"),
        ("500,500,-10,240", "principal point"),
        ("500,500,320,900", "principal point"),
    ],
)
def test_nonsense_intrinsics_are_refused(values: str, words: str) -> None:
    """Show that focal lengths and principal points that no camera has are named."""
    with pytest.raises(LyraSimError, match=words):
        read_lens(values).scaled_to(480, 640, where="--intrinsics")


@settings(max_examples=40)
@given(
    st.integers(40, 900),
    st.integers(40, 900),
    st.sampled_from(["crop", "squeeze"]),
    st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
)
def test_a_pixel_keeps_its_ray(height: int, width: int, fit: str, place: tuple[float, float]) -> None:
    """Show that the ray through a place of the picture is the ray through the same place of the frame."""
    window = Window.of((height, width), (64, 112), fit)  # type: ignore[arg-type]
    values = usual_lens(height, width) + np.array([0.0, 3.0, 2.0, -1.0])
    left, top, right, bottom = window.box
    x, y = left + place[0] * (right - left), top + place[1] * (bottom - top)
    u, v = place[0] * 112, place[1] * 64
    fitted = window.intrinsics(values)
    np.testing.assert_allclose((x - values[2]) / values[0], (u - fitted[2]) / fitted[0], atol=1e-9)
    np.testing.assert_allclose((y - values[3]) / values[1], (v - fitted[3]) / fitted[1], atol=1e-9)
    assert 0 <= left < right <= width + 1e-9
    assert 0 <= top < bottom <= height + 1e-9
    if fit == "crop":
        assert (right - left) / (bottom - top) == pytest.approx(112 / 64)


def test_fitted_depth_takes_measured_values_only() -> None:
    """Show that edges stay sharp when a depth map is made smaller, and only cells without any value are holes."""
    depth = np.full((480, 640), 2.0, np.float32)
    depth[:, 317:] = 5.0
    depth[100:180, 100:200] = 0
    depth[::7, ::5] = 0
    small = Window.of((480, 640), (64, 112), "crop").depth(depth)
    assert set(np.unique(small)) == {0.0, 2.0, 5.0}
    assert 0.005 < (small == 0).mean() < 0.04


def test_a_map_of_another_resolution_covers_the_same_view() -> None:
    """Show that a depth map with half the picture's pixels is cut at the same places."""
    depth = np.broadcast_to(np.linspace(1, 9, 640, dtype=np.float32), (480, 640))
    window = Window.of((480, 640), (48, 64), "crop")
    np.testing.assert_allclose(window.depth(depth), window.depth(depth[::2, ::2]), rtol=0.02)


def test_holes_are_filled_from_the_side_that_looks_alike() -> None:
    """Show that a small hole across an edge takes each side's depth by colour, and known values stay."""
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:, 30:] = 200
    truth = np.where(rgb[..., 0] > 0, 4.0, 2.0).astype(np.float32)
    depth = truth.copy()
    depth[18:22, 27:34] = 0
    filled = fill_depth(depth, rgb)
    np.testing.assert_array_equal(filled[depth > 0], truth[depth > 0])
    assert np.abs(filled / truth - 1).max() < 0.05


def _picture_file(folder: Path, height: int = 96, width: int = 160) -> Path:
    Image.fromarray(gradient(height, width)).save(folder / "photo.png")
    return folder / "photo.png"


def test_picture_and_depth_become_one_metric_picture(tmp_path: Path) -> None:
    """Show that the files of a depth camera make a dense metric picture that tells where it is from."""
    depth = np.full((48, 80), 2.0, np.float32)
    depth[:10] = 0
    np.save(tmp_path / "d.npy", depth)
    notes: list[str] = []
    files = PictureFiles(_picture_file(tmp_path), tmp_path / "d.npy", intrinsics="120,120,79.5,47.5")
    picture = load_picture(files, height=32, width=56, note=notes.append)
    assert picture.metric
    np.testing.assert_allclose(picture.require_depth(), 2.0, rtol=1e-5)
    np.testing.assert_allclose(picture.intrinsics, [120 * 56 / 160] * 2 + [28, 16], atol=1e-6)
    assert picture.source["depth_unit"] == "m"
    assert picture.source["intrinsics_from"] == "given"
    assert any("% of the depth" in note for note in notes)
    assert any("flat wall" in note for note in notes)


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (np.full((160, 96), 2.0, np.float32), "turned by EXIF"),
        (np.full((96, 96), 2.0, np.float32), "same view"),
        (np.where(np.arange(96 * 160).reshape(96, 160) < 20, 2.0, 0).astype(np.float32), "has depth"),
    ],
)
def test_depth_that_does_not_fit_is_refused(depth: np.ndarray, words: str, tmp_path: Path) -> None:
    """Show that depth of another shape and depth with next to no value are named."""
    np.save(tmp_path / "d.npy", depth)
    files = PictureFiles(_picture_file(tmp_path), tmp_path / "d.npy")
    with pytest.raises(LyraSimError, match=words):
        load_picture(files, height=32, width=56, note=lambda note: None)


class _Estimator:
    """Claims one depth, and perhaps a lens."""

    metric = True

    def __init__(self, depth: float, valid: float = 1.0, focal: float | None = None) -> None:
        self.name = "fixed" if focal is None else "moge"
        self.depth, self.valid, self.focal = depth, valid, focal
        self.told: list[np.ndarray | None] = []

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        self.told.append(intrinsics)
        valid = np.zeros(rgb.shape[:2], bool)
        valid.reshape(-1)[: round(self.valid * valid.size)] = True
        lens = None if self.focal is None else np.array([self.focal, self.focal, 28.0, 16.0])
        return DepthEstimate(np.full(rgb.shape[:2], self.depth, np.float32), valid, lens)


def test_estimated_depth_says_what_it_rests_on(tmp_path: Path) -> None:
    """Show that the estimator's lens is taken where none is known, sky goes far, and assumptions are told."""
    files = PictureFiles(_picture_file(tmp_path))
    notes: list[str] = []
    picture = load_picture(files, height=32, width=56, note=notes.append)
    assert picture.depth is None
    assumed = estimate_depth(picture, _Estimator(3.0, valid=0.75), note=notes.append)
    assert assumed.source["intrinsics_from"] == "assumed"
    assert assumed.require_depth().max() == pytest.approx(6.0)
    assert any("65 degrees" in note for note in notes)
    finder, blind = _Estimator(3.0, focal=44.0), _Estimator(3.0)
    known = estimate_depth(picture, finder, note=notes.append)
    assert known.source["intrinsics_from"] == "moge"
    assert known.intrinsics[0] == 44.0
    assert finder.told == [None]
    estimate_depth(picture, blind, note=notes.append)
    np.testing.assert_array_equal(blind.told[0], picture.intrinsics)
    with pytest.raises(LyraSimError, match="found depth in"):
        estimate_depth(picture, _Estimator(3.0, valid=0.001), note=notes.append)


def test_a_blank_wall_is_a_warning() -> None:
    """Show that a white picture goes through with a note instead of failing."""
    notes: list[str] = []
    white = Picture(
        np.full((32, 56, 3), 255, np.uint8), None, usual_lens(32, 56), {"intrinsics_from": "exif"}
    )
    done = estimate_depth(white, _Estimator(2.0), note=notes.append)
    np.testing.assert_allclose(done.require_depth(), 2.0)
    assert any("blank wall" in note for note in notes)
    assert any("flat wall" in note for note in notes)
