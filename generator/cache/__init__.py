"""The 3D cache: what pictures with depth show from other cameras (GEN3C section 3)."""

from generator.cache.fill import fill_holes
from generator.cache.guide import warp_depth

__all__ = ["fill_holes", "warp_depth"]
