"""The stages of making a scene, in order, for whoever shows how far it is."""

from __future__ import annotations

STAGE_WEIGHTS = {
    "load": 6.0,
    "world": 2.0,
    "picture": 4.0,
    "teacher": 20.0,
    "tokenizer": 8.0,
    "cache": 3.0,
    "decoder": 8.0,
    "refine": 0.0,
    "scene": 4.0,
    "collider": 10.0,
    "usd": 1.0,
    "preview": 3.0,
}
"""Seconds that each stage takes of a mini scene on two cores (for the estimate of time left)."""

REFINE_STEP = 0.15
"""Seconds of one step of `--refine` at the mini size."""
