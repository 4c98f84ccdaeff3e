"""Turn a picture file into what `omni.ui` shows."""

from __future__ import annotations

MAX_SIDE = 480
"""Longest side of a picture in the panel, in pixels."""


def decode_picture(path: str) -> tuple[list[int], list[int]]:
    """Return (RGBA bytes as a flat list, [width, height]) of a picture, shrunk to the panel.

    Raises:
        OSError: The file is missing or is no picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (MAX_SIDE, MAX_SIDE))
            small = picture.convert("RGBA")
            small.thumbnail((MAX_SIDE, MAX_SIDE))
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: is no picture ({error})") from error
    return list(small.tobytes()), list(small.size)
