"""Read a photograph as people see it: upright, sRGB, opaque, 8 bits."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from lyra_sim.errors import LyraSimError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM")
"""Formats that are opened; the other decoders of Pillow need not face files of strangers."""
MAX_PIXELS = 120_000_000
"""Most pixels of a picture; more is refused before anything is decoded."""
MIN_SIDE = 32
"""Fewest pixels along a side."""
_DIAGONAL_35MM = 43.2666
"""Diagonal of the frame that `focal length in 35 mm film` refers to [mm]."""
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Millimetres of EXIF's focal plane resolution units: inch, cm, mm, um."""


@dataclass(frozen=True)
class Photograph:
    """Hold a photograph, perhaps decoded at a fraction of its size."""

    image: Image.Image
    """Mode RGB, upright."""
    height: int
    """Rows of the file's picture, upright [px]."""
    width: int
    """Columns of the file's picture, upright [px]."""
    focal: float | None
    """Focal length from EXIF, in pixels of the file's picture; None when it is not known."""
    sha256: str
    """Hash of the file."""
    turned: bool
    """Whether EXIF said to turn it."""

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
        """Return the window (left, top, right, bottom) [px of the file's picture] at another size, uint8 RGB."""
        x, y = self.image.width / self.width, self.image.height / self.height
        scaled = (box[0] * x, box[1] * y, box[2] * x, box[3] * y)
        resized = self.image.resize((width, height), Image.Resampling.BICUBIC, box=scaled)
        return np.array(resized)


def read_photograph(path: Path, *, needed: tuple[int, int] = (704, 1280)) -> Photograph:
    """Read a picture file.

    EXIF rotation is applied, transparency laid over white, an embedded colour profile converted to sRGB, and 16 bits
    reduced to 8. JPEGs far larger than `needed` (rows, columns) are decoded at a fraction of their size.

    Raises:
        LyraSimError: The file is missing, is no picture, is too large or too small, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LyraSimError(f"{path}: cannot be read ({error.strerror or error})") from error
    # Without it Pillow knows only the commonest formats. (MPO, of telephones, opens as JPEG.)
    Image.init()
    try:
        with warnings.catch_warnings():
            # Our own limit comes below; Pillow warns about pictures that are only large.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _require_size(path, image)
                return _decode(image, data, needed)
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from error
    except Image.UnidentifiedImageError as error:
        raise LyraSimError(
            f"{path}: is no picture that can be read; use one of {', '.join(FORMATS)} (HEIC must be converted)"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, OverflowError) as error:
        raise LyraSimError(f"{path}: the picture is damaged ({error})") from error


def _require_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height} px")
    if min(image.size) < MIN_SIDE:
        raise LyraSimError(
            f"{path}: is {image.width}x{image.height} px; at least {MIN_SIDE} px along each side are needed"
        )


def _too_large(path: Path, size: str) -> LyraSimError:
    return LyraSimError(
        f"{path}: is too large ({size}); at most {MAX_PIXELS / 1e6:.0f} million pixels are decoded, make it smaller"
    )


def _decode(image: Image.Image, data: bytes, needed: tuple[int, int]) -> Photograph:
    width, height = image.size
    exif = image.getexif()
    focal = focal_of_exif(exif, height=height, width=width)
    turned = exif.get(ExifTags.Base.Orientation, 1) not in (0, 1)
    sideways = exif.get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    if image.mode in ("RGB", "L"):
        # Decodes a JPEG at 1/2, 1/4 or 1/8; other formats ignore it. Twice the need leaves room for the crop.
        image.draft(image.mode, (4 * needed[1], 4 * needed[0]))
    image.load()
    upright = ImageOps.exif_transpose(image)
    if sideways:
        height, width = width, height
    return Photograph(to_srgb(upright), height, width, focal, hashlib.sha256(data).hexdigest(), turned)


def to_srgb(image: Image.Image) -> Image.Image:
    """Return a picture of any mode as opaque 8-bit sRGB, transparency over white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _to_8_bits(image)
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") else None
    profile = image.info.get("icc_profile")
    colours = _by_profile(image, profile) if profile else image.convert("RGB")
    if alpha is None:
        return colours
    return Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale one channel of 16-bit integers, or of floats in [0, 1], to 8 bits."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError("floating-point values outside of 0..1; is this a depth map? Give it as --depth")
        return Image.fromarray((values * 255).round().astype(np.uint8))
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("more than 16 bits per pixel")
    return Image.fromarray((values.astype(np.uint32) * 255 // 65535).astype(np.uint8))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by an embedded profile; a damaged or unfitting profile is as good as none."""
    base = image.convert("RGB") if image.mode in ("LA", "PA", "RGBA", "RGBa", "P", "La") else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(base, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        converted = None
    return converted if converted is not None else base.convert("RGB")


def focal_of_exif(exif: Image.Exif, *, height: int, width: int) -> float | None:
    """Return the focal length in pixels of a picture of this size that EXIF tells of, or None.

    The focal length for 35 mm film refers to the frame's diagonal; else the sensor's own resolution is taken.
    """
    details = exif.get_ifd(ExifTags.IFD.Exif)
    film = _positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if film is not None:
        return _plausible(film / _DIAGONAL_35MM * float(np.hypot(width, height)), width, height)
    focal = _positive(details.get(ExifTags.Base.FocalLength))
    resolution = _positive(details.get(ExifTags.Base.FocalPlaneXResolution))
    sensor_width = _positive(details.get(ExifTags.Base.ExifImageWidth))
    unit = _UNIT_MM.get(details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if focal is None or resolution is None or unit is None:
        return None
    # The picture may have been made smaller since the camera wrote the resolution.
    shrunk = width / sensor_width if sensor_width else 1.0
    return _plausible(focal * resolution / unit * shrunk, width, height)


def _positive(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) and number > 0 else None


def _plausible(focal: float, width: int, height: int) -> float | None:
    """Return the focal length [px] if its field of view along the longer side is between 5 and 150 degrees."""
    field = 2 * np.degrees(np.arctan(max(width, height) / 2 / focal))
    return focal if 5 <= field <= 150 else None
