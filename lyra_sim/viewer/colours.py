"""Colours of semantic classes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

QUIET = {
    "unlabelled": (98, 98, 98),
    "": (98, 98, 98),
    "floor": (96, 125, 139),
    "ceiling": (188, 196, 204),
    "wall": (160, 148, 132),
}
"""Colours of what surrounds everything, so that things stand out."""

_GOLDEN = 0.618033988749895


def class_colours(classes: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return one sRGB colour (0 to 255) per class, neighbours in the list far apart in hue and lightness."""
    colours = []
    for index, name in enumerate(classes):
        if name in QUIET:
            colours.append(QUIET[name])
            continue
        hue = (0.08 + index * _GOLDEN) % 1.0
        lightness, saturation = (0.58, 0.72) if index % 2 else (0.45, 0.65)
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return colours


def as_css(colour: tuple[int, int, int]) -> str:
    """Return `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
