"""Reading photographs: every kind of file comes out as the opaque upright sRGB picture that a person sees."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from generator.pictures.photograph import MAX_PIXELS, read_photograph
from lyra_sim.errors import LyraSimError
from tests.picture_files import gradient


def _whole(path: Path) -> np.ndarray:
    photograph = read_photograph(path)
    box = (0, 0, photograph.width, photograph.height)
    return photograph.window(box, photograph.height, photograph.width).astype(int)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tif", "a.ppm"])
def test_lossless_files_come_back_exactly(name: str, tmp_path: Path) -> None:
    """Show that 8-bit RGB is read as it was written, whatever the format."""
    Image.fromarray(gradient()).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    np.testing.assert_array_equal(_whole(tmp_path / name), gradient())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int, tmp_path: Path) -> None:
    """Show that a picture stored turned or mirrored is read upright, with the size of the upright one."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(gradient())
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(_whole(tmp_path / "a.png"), gradient())


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    """Show that clear pixels are white, half clear ones half way there, and palette transparency works too."""
    alpha = np.full((60, 100), 255, np.uint8)
    alpha[:, :50], alpha[:30, 50:] = 0, 128
    Image.fromarray(np.dstack([gradient(), alpha])).save(tmp_path / "a.png")
    got = _whole(tmp_path / "a.png")
    assert (got[:, :50] == 255).all()
    assert np.abs(got[:30, 50:] - (gradient()[:30, 50:] / 2 + 127.5)).max() <= 1.5
    np.testing.assert_array_equal(got[30:, 50:], gradient()[30:, 50:])
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.save(tmp_path / "p.png", transparency=0)
    assert (_whole(tmp_path / "p.png") == 255).all()


def test_grey_and_16_bits_are_scaled_to_8(tmp_path: Path) -> None:
    """Show that grey pictures get three equal channels and that 16 bits map full scale to full scale."""
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / "grey.png")
    deep = _whole(tmp_path / "deep.png")
    assert (deep[..., :1] == deep).all()
    assert deep[0, 0, 0] == 0
    assert deep[-1, -1, 0] == 255
    assert np.abs(deep - _whole(tmp_path / "grey.png")).max() <= 1


def test_cmyk_and_other_modes_become_rgb(tmp_path: Path) -> None:
    """Show that CMYK is read as the colours it stands for, and two-level pictures as black and white."""
    Image.new("CMYK", (64, 48), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red = _whole(tmp_path / "a.jpg").mean(axis=(0, 1))
    assert red[0] > 200
    assert red[1:].max() < 60
    Image.new("1", (64, 48), 1).save(tmp_path / "b.png")
    assert (_whole(tmp_path / "b.png") == 255).all()


def test_a_colour_profile_is_converted(tmp_path: Path) -> None:
    """Show that an embedded profile changes the numbers, and that a damaged one is ignored."""
    rgb = Image.fromarray(gradient())
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb.save(tmp_path / "same.png", icc_profile=lab)
    assert np.abs(_whole(tmp_path / "same.png") - gradient()).max() <= 1
    rgb.save(tmp_path / "broken.png", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(_whole(tmp_path / "broken.png"), gradient())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({ExifTags.Base.FocalLengthIn35mmFilm: 26}, 26 / 43.2666 * np.hypot(400, 300)),
        (
            {
                ExifTags.Base.FocalLength: 5.0,
                ExifTags.Base.FocalPlaneXResolution: 2000.0,
                ExifTags.Base.FocalPlaneResolutionUnit: 3,
                ExifTags.Base.ExifImageWidth: 800,
            },
            5.0 * 2000 / 10 * 400 / 800,
        ),
        ({ExifTags.Base.FocalLengthIn35mmFilm: 0}, None),
        ({ExifTags.Base.FocalLengthIn35mmFilm: 60_000}, None),
        ({}, None),
    ],
)
def test_the_focal_length_of_exif(fields: dict[int, object], expected: float | None, tmp_path: Path) -> None:
    """Show that EXIF's focal length becomes pixels of the picture, and nonsense becomes nothing."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(fields)
    Image.new("RGB", (400, 300)).save(tmp_path / "a.jpg", exif=exif)
    focal = read_photograph(tmp_path / "a.jpg").focal
    assert focal == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_a_window_is_cut_exactly_where_asked(tmp_path: Path) -> None:
    """Show that a window at its own size holds the very pixels of the picture."""
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    window = read_photograph(tmp_path / "a.png").window((10, 20, 40, 50), 30, 30)
    np.testing.assert_array_equal(window, gradient()[20:50, 10:40])


def test_a_large_jpeg_keeps_its_size_but_not_its_memory(tmp_path: Path) -> None:
    """Show that 24 million pixels are decoded at a fraction, while sizes stay those of the file."""
    Image.new("RGB", (6000, 4000), (200, 100, 50)).save(tmp_path / "a.jpg")
    photograph = read_photograph(tmp_path / "a.jpg", needed=(176, 320))
    assert (photograph.width, photograph.height) == (6000, 4000)
    assert photograph.image.width <= 3000
    cut = photograph.window((3000, 2000, 6000, 4000), 20, 30)
    assert np.abs(cut.astype(int) - [200, 100, 50]).max() <= 2


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no picture"),
        (b"this is a text file", "no picture"),
        (_png_header(60_000, 60_000), "too large"),
        (_png_header(12_000, MAX_PIXELS // 12_000 + 1), "too large"),
        (_png_header(200, 100), "damaged"),
        (_png_header(1, 1), "1x1 px"),
        (_png_header(5000, 8), "5000x8 px"),
    ],
)
def test_what_is_no_usable_picture_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    """Show that text, bombs, cut files and tiny pictures are refused, the bombs before they are unpacked."""
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(LyraSimError, match=message):
        read_photograph(tmp_path / "a.png")


def test_missing_files_and_float_pictures_are_one_line(tmp_path: Path) -> None:
    """Show that a missing file is named, and that a depth map given as picture is recognised."""
    with pytest.raises(LyraSimError, match="cannot be read"):
        read_photograph(tmp_path / "none.png")
    Image.fromarray(np.full((64, 64), 3.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(LyraSimError, match="--depth"):
        read_photograph(tmp_path / "a.tif")


def test_a_cut_jpeg_is_damaged(tmp_path: Path) -> None:
    """Show that a half downloaded photograph is refused instead of being grey below."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(LyraSimError, match="damaged"):
        read_photograph(tmp_path / "a.jpg")
