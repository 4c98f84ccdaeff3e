"""Train, validation and test: by ratio, and on request without shared slot values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from lyra_sim.batch.positions import Document
from lyra_sim.batch.scenes import PlannedScene, chance
from lyra_sim.batch.spec import Splits


def assign_splits(scenes: Sequence[PlannedScene], splits: Splits, document: Document) -> list[str]:
    """Return the split of every scene.

    Without `disjoint` each scene goes by chance to a split that lags behind its ratio, so that any first part of
    the list is balanced to within a scene, and scenes added at the end leave the others where they are.

    Raises:
        LyraSimError: With `disjoint`, the scenes cannot be parted, or a slot is unknown.
    """
    total = sum(splits.ratios.values())
    ratios: dict[str, float] = {name: ratio / total for name, ratio in splits.ratios.items() if ratio > 0}
    if splits.disjoint:
        return _disjoint(scenes, splits, ratios, document)
    count = dict.fromkeys(ratios, 0)
    chosen = []
    for number, scene in enumerate(scenes, start=1):
        lag = {name: max(0.0, ratio * number - count[name]) for name, ratio in ratios.items()}
        chosen.append(_draw(lag, f"{splits.seed}:{scene.id}"))
        count[chosen[-1]] += 1
    return chosen


def _draw(weights: dict[str, float], key: str) -> str:
    share = chance(key) * sum(weights.values())
    for name, weight in weights.items():
        share -= weight
        if share < 0:
            return name
    return max(weights, key=lambda name: weights[name])


def _disjoint(
    scenes: Sequence[PlannedScene], splits: Splits, ratios: dict[str, float], document: Document
) -> list[str]:
    groups = _connected([_values(scene, splits, document) for scene in scenes])
    sizes = [groups.count(g) for g in range(max(groups) + 1)] if groups else []
    if len(sizes) < len(ratios):
        raise document.error(
            ("splits", "disjoint"),
            f"the scenes fall into {len(sizes)} group(s) that share no value of {', '.join(splits.disjoint)}, "
            f"too few for {len(ratios)} splits; name fewer slots or give them more values",
        )
    # Large groups first, each to the split that lags most; but no split may end up empty.
    order = sorted(range(len(sizes)), key=lambda g: (-sizes[g], _draw_key(splits.seed, g)))
    count, place = dict.fromkeys(ratios, 0), {}
    for done, group in enumerate(order):
        empty = [name for name in ratios if not count[name]]
        open_to = empty if len(order) - done <= len(empty) else list(ratios)
        place[group] = max(open_to, key=lambda name: ratios[name] * len(scenes) - count[name])
        count[place[group]] += sizes[group]
    return [place[group] for group in groups]


def _draw_key(seed: int, group: int) -> bytes:
    return hashlib.sha256(f"{seed}:{group}".encode()).digest()


def _values(scene: PlannedScene, splits: Splits, document: Document) -> list[tuple[str, str]]:
    have = {"prompt": scene.prompt, "picture": scene.picture_sha256 or ""} | dict(scene.slots)
    for index, name in enumerate(splits.disjoint):
        if name not in have:
            raise document.error(
                ("splits", "disjoint", index), f"the scene of {scene.name} has no slot {name!r}"
            )
    return [(name, have[name]) for name in splits.disjoint]


def _connected(values: list[list[tuple[str, str]]]) -> list[int]:
    """Return a group number per scene: scenes that share a value, directly or through others, share a group."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(value: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(value, value)
        while parent[value] != value:
            parent[value] = parent[parent[value]]
            value = parent[value]
        return value

    for row in values:
        for value in row[1:]:
            parent[root(value)] = root(row[0])
    numbers: dict[tuple[str, str], int] = {}
    return [numbers.setdefault(root(row[0]), len(numbers)) for row in values]
