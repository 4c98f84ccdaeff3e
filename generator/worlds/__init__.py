"""Procedural worlds: the scene prior of the mini size, made from words and a seed."""

from __future__ import annotations

from generator.worlds.build import build_world
from generator.worlds.labels import LABELS
from generator.worlds.prompt import Modifiers, WorldSpec, parse_prompt
from generator.worlds.vocabulary import KINDS
from generator.worlds.world import Instance, Light, Material, World

__all__ = [
    "KINDS",
    "LABELS",
    "Instance",
    "Light",
    "Material",
    "Modifiers",
    "World",
    "WorldSpec",
    "build_world",
    "parse_prompt",
]
