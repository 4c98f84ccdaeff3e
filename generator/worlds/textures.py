"""Materials coloured from tileable patterns: walls, floors, metals, wood, cloth, packaging.

Every function takes the base colour as display-referred sRGB and a `variant` that chooses the pattern.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from generator.worlds.colours import RGB, mix, shade
from generator.worlds.patterns import SIZE, cells, grain, joint, mottle, noise, speckle, waves
from generator.worlds.world import Material

VARIANTS = 6
"""How many patterns of each sort there are to choose from."""


def _material(
    name: str, colour: RGB, variant: int, tile_size: float, gain: np.ndarray, *, directional: bool = False
) -> Material:
    """Return a material whose texture is the colour times `gain`, (S, S) or (S, S, 3)."""
    gain = gain[..., None] if gain.ndim == 2 else gain
    texture = np.clip(np.asarray(colour) * gain, 0.015, 0.98).astype(np.float32)
    return Material(_name(name, variant, tile_size, colour), texture, tile_size, grain=directional)


def _name(name: str, variant: int, tile_size: float, *colours: RGB) -> str:
    """Return a name that says the sort, pattern, size and colours, and so identifies the material."""
    tints = "_".join("".join(f"{round(255 * channel):02x}" for channel in colour) for colour in colours)
    return f"{name}_{variant}_{round(1000 * tile_size)}mm_{tints}"


def _blend(base: np.ndarray, over: RGB, weight: np.ndarray) -> np.ndarray:
    """Lay a second colour over a texture with weights (S, S)."""
    return base * (1.0 - weight[..., None]) + np.asarray(over) * weight[..., None]


def _layered(
    name: str, colours: tuple[RGB, ...], variant: int, tile_size: float, texture: np.ndarray
) -> Material:
    """Return a material from a finished texture (S, S, 3)."""
    clipped = np.clip(texture, 0.015, 0.98).astype(np.float32)
    return Material(_name(name, variant, tile_size, *colours), clipped, tile_size)


@lru_cache(maxsize=256)
def paint(colour: RGB, variant: int = 0) -> Material:
    """Return a painted wall: slight, slow mottling."""
    return _material("paint", colour, variant, 3.0, 1.0 + 0.03 * mottle(variant))


@lru_cache(maxsize=256)
def plastic(colour: RGB, variant: int = 0) -> Material:
    """Return smooth plastic or lacquer: a slow sheen and little else."""
    return _material("plastic", colour, variant, 1.2, 1.0 + 0.05 * noise(30, 30, variant))


@lru_cache(maxsize=256)
def steel(colour: RGB, variant: int = 0) -> Material:
    """Return brushed metal, the brushing along u."""
    gain = 1.0 + 0.045 * noise(70, 4, variant) + 0.04 * noise(40, 24, variant + 1)
    return _material("steel", colour, variant, 1.0, gain, directional=True)


@lru_cache(maxsize=256)
def enamel(colour: RGB, variant: int = 0) -> Material:
    """Return painted steel with worn, darker patches."""
    worn = np.clip(noise(7, 7, variant) - 1.3, 0.0, 1.0)
    return _material("enamel", colour, variant, 1.4, 1.0 + 0.06 * noise(24, 24, variant) - 0.2 * worn)


@lru_cache(maxsize=256)
def concrete(colour: RGB, variant: int = 0) -> Material:
    """Return cast concrete with stains."""
    stains = np.clip(noise(14, 14, variant + 7) - 1.0, 0.0, 1.2)
    return _material("concrete", colour, variant, 4.0, 1.0 + 0.08 * mottle(variant) - 0.12 * stains)


@lru_cache(maxsize=256)
def slab(colour: RGB, variant: int = 0) -> Material:
    """Return an industrial floor of 3 m slabs with joints, tyre marks and stains."""
    _, edge_u, edge_v = cells(2, 2, 0.0, variant)
    marks = np.clip(noise(60, 3.5, variant + 3) - 1.1, 0.0, 1.0) + np.clip(
        noise(9, 9, variant + 5) - 1.5, 0.0, 1.0
    )
    gain = 1.0 + 0.07 * mottle(variant) - 0.16 * marks - 0.3 * joint(np.minimum(edge_u, edge_v), 2.0)
    return _material("slab", colour, variant, 6.0, gain)


@lru_cache(maxsize=256)
def asphalt(colour: RGB, variant: int = 0) -> Material:
    """Return asphalt or worn dark concrete with flecks and oil stains."""
    oil = np.clip(noise(8, 8, variant + 3) - 1.4, 0.0, 1.0)
    gain = 1.0 + 0.08 * mottle(variant) + 0.1 * speckle(0.12, variant) - 0.3 * oil
    return _material("asphalt", colour, variant, 5.0, gain)


@lru_cache(maxsize=256)
def terrazzo(colour: RGB, variant: int = 0) -> Material:
    """Return stone or linoleum with light and dark flecks."""
    gain = 1.0 + 0.04 * mottle(variant) + 0.05 * speckle(0.15, variant) - 0.06 * speckle(0.12, variant + 3)
    return _material("terrazzo", colour, variant, 2.4, gain)


@lru_cache(maxsize=256)
def wood(colour: RGB, variant: int = 0) -> Material:
    """Return a wooden board, the grain along u."""
    gain = 1.0 + 0.12 * grain(variant) + 0.06 * noise(60, 12, variant + 4)
    return _material("wood", colour, variant, 1.6, gain, directional=True)


@lru_cache(maxsize=256)
def planks(colour: RGB, variant: int = 0, rows: int = 12) -> Material:
    """Return floor or wall boards along u with joints and a tone per board."""
    tone, edge_u, edge_v = cells(rows, 2, 0.5, variant)
    gaps = np.maximum(joint(edge_u, 1.2), joint(edge_v, 1.6))
    gain = 1.0 + 0.12 * tone + 0.07 * grain(variant) - 0.35 * gaps
    return _material(f"planks{rows}", colour, variant, 2.0, gain)


@lru_cache(maxsize=256)
def brick(colour: RGB, variant: int = 0, mortar: RGB = (0.66, 0.63, 0.58)) -> Material:
    """Return a brick wall in running bond (bricks of about 27 x 11 cm with the joint)."""
    tone, edge_u, edge_v = cells(12, 5, 0.5, variant)
    base = np.asarray(colour) * (1.0 + 0.2 * tone + 0.06 * mottle(variant))[..., None]
    joints = np.maximum(joint(edge_u, 3.0), joint(edge_v, 3.0))
    return _layered("brick", (colour, mortar), variant, 1.35, _blend(base, mortar, 0.85 * joints))


@lru_cache(maxsize=256)
def tiles(colour: RGB, variant: int = 0, side: float = 0.3, grout: RGB = (0.6, 0.6, 0.58)) -> Material:
    """Return square glazed tiles with grout; eight tiles make one texture tile."""
    tone, edge_u, edge_v = cells(8, 8, 0.0, variant)
    base = np.asarray(colour) * (1.0 + 0.06 * tone + 0.03 * mottle(variant))[..., None]
    joints = np.maximum(joint(edge_u, 2.2), joint(edge_v, 2.2))
    return _layered("tiles", (colour, grout), variant, 8.0 * side, _blend(base, grout, 0.8 * joints))


@lru_cache(maxsize=256)
def checker(first: RGB, second: RGB, variant: int = 0, side: float = 0.3) -> Material:
    """Return a chessboard of two colours of tile."""
    place = np.arange(SIZE) * 8 // SIZE
    grid = np.add.outer(place, place) % 2
    tone, edge_u, edge_v = cells(8, 8, 0.0, variant)
    base = (
        np.where(grid[..., None] == 0, first, second)
        * (1.0 + 0.05 * tone + 0.03 * mottle(variant))[..., None]
    )
    joints = np.maximum(joint(edge_u, 2.0), joint(edge_v, 2.0))
    texture = _blend(base, shade(mix(first, second, 0.5), 0.7), 0.5 * joints)
    return _layered("checker", (first, second), variant, 8.0 * side, texture)


@lru_cache(maxsize=256)
def ceiling_tiles(colour: RGB, variant: int = 0) -> Material:
    """Return a suspended ceiling of 60 cm panels."""
    tone, edge_u, edge_v = cells(4, 4, 0.0, variant)
    gain = 1.0 + 0.015 * tone + 0.02 * mottle(variant) - 0.16 * joint(np.minimum(edge_u, edge_v), 3.0)
    return _material("ceiling_tiles", colour, variant, 2.4, gain)


@lru_cache(maxsize=256)
def carpet(colour: RGB, variant: int = 0) -> Material:
    """Return carpet tiles of 50 cm with the pile turned from tile to tile."""
    tone, edge_u, edge_v = cells(4, 4, 0.0, variant)
    gain = 1.0 + 0.07 * tone + 0.045 * noise(5, 5, variant) - 0.08 * joint(np.minimum(edge_u, edge_v), 2.0)
    return _material("carpet", colour, variant, 2.0, gain)


@lru_cache(maxsize=256)
def fabric(colour: RGB, variant: int = 0) -> Material:
    """Return upholstery or cloth with a coarse weave."""
    weave = noise(14, 2.5, variant) + noise(2.5, 14, variant + 1)
    return _material("fabric", colour, variant, 1.0, 1.0 + 0.04 * weave + 0.04 * noise(20, 20, variant + 2))


@lru_cache(maxsize=256)
def stripes(
    first: RGB, second: RGB, variant: int = 0, period: float = 0.2, diagonal: bool = False
) -> Material:
    """Return stripes across u (or diagonal ones, as of hazard tape) of two colours."""
    u, v = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    phase = ((u + v if diagonal else u) * 4 / SIZE) % 1.0
    edge = np.clip(8.0 * np.abs(phase - 0.5) - 1.5, 0.0, 1.0)
    base = np.asarray(first) * (1.0 + 0.04 * mottle(variant))[..., None]
    return _layered(
        f"stripes{int(diagonal)}", (first, second), variant, 4.0 * period, _blend(base, second, edge)
    )


@lru_cache(maxsize=256)
def corrugated(colour: RGB, variant: int = 0, period: float = 0.25) -> Material:
    """Return profiled metal sheet with ribs across u."""
    gain = 1.0 + 0.13 * waves(8) + 0.05 * mottle(variant)
    return _material("corrugated", colour, variant, 8.0 * period, gain)


@lru_cache(maxsize=256)
def slats(colour: RGB, variant: int = 0, period: float = 0.12) -> Material:
    """Return ribs along u, as of a roller shutter, a radiator or a louvre."""
    gain = 1.0 + 0.15 * waves(8).T + 0.04 * mottle(variant)
    return _material("slats", colour, variant, 8.0 * period, gain)


@lru_cache(maxsize=256)
def cardboard(colour: RGB, variant: int = 0) -> Material:
    """Return corrugated board: blotches and faint flutes."""
    gain = 1.0 + 0.05 * mottle(variant) + 0.03 * noise(3, 60, variant + 4)
    return _material("cardboard", colour, variant, 1.1, gain)


@lru_cache(maxsize=256)
def foliage(colour: RGB, variant: int = 0) -> Material:
    """Return leaves of several greens."""
    return _material("foliage", colour, variant, 0.5, 1.0 + 0.22 * noise(8, 14, variant))


@lru_cache(maxsize=256)
def glowing(colour: RGB, level: float) -> Material:
    """Return a surface that shines a little by itself: a screen, or the outdoors behind a window."""
    red, green, blue = (float(channel) ** 2.2 * level for channel in colour)
    texture = np.broadcast_to(np.asarray(colour, np.float32) * 0.6, (2, 2, 3)).copy()
    return Material(
        _name("glowing", round(100 * level), 1.0, colour), texture, 1.0, emission=(red, green, blue)
    )
