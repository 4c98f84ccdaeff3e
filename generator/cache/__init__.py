"""The 3D cache: what pictures with depth show from other cameras (GEN3C section 3)."""

from generator.cache.guide import fill_holes, warp_depth

__all__ = ["fill_holes", "warp_depth"]
