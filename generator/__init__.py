"""Generate 3D Gaussians from text, pictures and video (torch lives here, not in `lyra_sim`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generator.pipeline import LyraPipeline

__all__ = ["LyraPipeline"]


def __getattr__(name: str) -> Any:
    """Import the pipeline, and torch with it, when it is first asked for."""
    if name == "LyraPipeline":
        from generator.pipeline import LyraPipeline

        return LyraPipeline
    raise AttributeError(f"module 'generator' has no attribute {name!r}")
