"""The mesh builder: closed shapes that face outwards, frames that compose, textures that tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from generator.worlds import textures
from generator.worlds.mesh import Mesh, Part
from generator.worlds.patterns import SIZE
from generator.worlds.shapes import polygon_quads

PAINT = textures.paint((0.5, 0.5, 0.5))


def volume(part: Part) -> float:
    """Return the signed volume that all quads enclose [m3], by the divergence theorem."""
    corners = part.mesh.assemble()[0].astype(np.float64)
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    return float(np.einsum("tx,tx->t", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])).sum() / 6)


def edges_cancel(part: Part) -> bool:
    """Return whether every directed edge is met by its reverse, so that the surface is closed."""
    corners = np.round(part.mesh.assemble()[0].astype(np.float64), 5) + 0.0
    seen: dict[tuple[tuple[float, ...], tuple[float, ...]], int] = {}
    for quad in corners:
        for start, end in zip(quad, np.roll(quad, -1, axis=0), strict=True):
            if not np.array_equal(start, end):
                key = (tuple(start), tuple(end))
                seen[key] = seen.get(key, 0) + 1
    return all(seen.get((end, start), 0) == count for (start, end), count in seen.items())


SHAPES: dict[str, tuple[Callable[[Part], None], float]] = {
    "box": (lambda part: part.box((0, 0, 0), (1, 2, 3), PAINT), 6.0),
    "block": (lambda part: part.block((5, 5, 1), (1, 2, 3), PAINT), 6.0),
    "beam": (lambda part: part.beam((0, 0, 0), (3, 4, 0), 0.5, 0.2, PAINT), 0.5),
    "slanted beam": (lambda part: part.beam((1, 1, 1), (2, 3, 3), 0.5, 0.2, PAINT), 0.3),
    "cylinder": (lambda part: part.cylinder((0, 0, 0), (0, 3, 4), 1.0, PAINT, sides=4), 10.0),
    "cone frustum": (lambda part: part.turned([(1, 0), (0.5, 3)], PAINT, sides=4), 2 * (1 + 0.5 + 0.25)),
    "prism": (lambda part: part.prism([(0, 0), (2, 0), (2, 1), (1, 2), (0, 1)], 1, 2, PAINT), 3.0),
    "cushion": (
        lambda part: part.cushion((0, 0, 0), (2, 2, 2), PAINT, bevel=0.1),
        8 - 12 * 0.005 * 1.8 - 8 * 0.001 * 5 / 6,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_closed_and_face_outwards(name: str) -> None:
    """Directed edges cancel, and the divergence theorem gives the known volume, in a turned frame too."""
    build, expected = SHAPES[name]
    part = Mesh().add("table", (1.0, -2.0, 0.5), 0.7)
    build(part)
    assert edges_cancel(part)
    assert volume(part) == pytest.approx(expected, rel=1e-5)


def test_frames_compose() -> None:
    """A frame in a frame puts points where the two moves, one after the other, put them."""
    outer = Mesh().frame((1, 2, 3), np.pi / 2)
    inner = outer.at((1, 0, 0), np.pi / 2)
    np.testing.assert_allclose(inner.to_world((1, 0, 0)), [0, 3, 3], atol=1e-12)
    np.testing.assert_allclose(
        outer.add("chair", (1, 0, 0), np.pi / 2).to_world((1, 0, 0)), [0, 3, 3], atol=1e-12
    )


def test_grain_runs_along_the_longer_side() -> None:
    """Boards get their texture's u axis along their length, whichever way they lie."""
    part = Mesh().add("table")
    part.box((0, 0, 0), (0.2, 3.0, 0.1), textures.wood((0.6, 0.4, 0.3)), faces="Z")
    part.box((0, 0, 0), (3.0, 0.2, 0.1), textures.wood((0.6, 0.4, 0.3)), faces="Z")
    corners = part.mesh.assemble()[0]
    np.testing.assert_allclose(np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1), 3.0, rtol=1e-6)


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_polygons_are_split_without_loss(count: int) -> None:
    """A fan of quads covers a regular polygon's area."""
    angles = np.arange(count) * 2 * np.pi / count
    polygon = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(count)])
    quads = polygon_quads(polygon)
    halves = [np.cross(quads[:, i] - quads[:, 0], quads[:, i + 1] - quads[:, 0])[:, 2] for i in (1, 2)]
    assert sum(halves).sum() / 2 == pytest.approx(0.5 * count * np.sin(2 * np.pi / count))


def test_an_unknown_label_is_a_defect() -> None:
    """The builder accepts only labels of the published list."""
    with pytest.raises(KeyError, match="spaceship"):
        Mesh().add("spaceship")


TEXTURES: dict[str, Callable[[], object]] = {
    name: getattr(textures, name)
    for name in (
        "paint", "plastic", "steel", "enamel", "concrete", "slab", "asphalt", "terrazzo", "wood", "planks", "brick",
        "tiles", "ceiling_tiles", "carpet", "fabric", "corrugated", "slats", "cardboard", "foliage",
    )
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_tile_and_keep_their_colour(name: str) -> None:
    """The step across the border is no larger than steps inside, and the mean stays near the base colour."""
    material = textures.__dict__[name]((0.5, 0.4, 0.3), 2)
    texture = material.texture.astype(np.float64)
    assert texture.shape == (SIZE, SIZE, 3)
    for axis in (0, 1):
        steps = np.abs(np.diff(texture, axis=axis)).mean(axis=(1 - axis, 2))
        across = np.abs(np.take(texture, 0, axis) - np.take(texture, -1, axis)).mean()
        assert across <= steps.max() * 1.25 + 1e-3
    np.testing.assert_allclose(texture.mean(axis=(0, 1)), (0.5, 0.4, 0.3), atol=0.07)


def test_textures_are_moderate() -> None:
    """Contrast stays low enough for the video compression: under a quarter of the mean, and little of it fine."""
    for name in TEXTURES:
        texture = textures.__dict__[name]((0.5, 0.5, 0.5), 1).texture[..., 0].astype(np.float64)
        assert texture.std() < 0.13, name
        fine = np.abs(texture[:, 1:] - texture[:, :-1]).mean()
        assert fine < 0.04, name
