"""The 3D cache: what pictures with depth show from other cameras (GEN3C section 3)."""

from generator.cache.align import align_depth
from generator.cache.cache import Cache3D, Cache4D, StillCache
from generator.cache.fill import fill_holes
from generator.cache.guide import warp_depth
from generator.cache.picture import CacheConfig, CacheViews, image_bytes, image_tensor, pose_tensors

__all__ = [
    "Cache3D",
    "Cache4D",
    "CacheConfig",
    "CacheViews",
    "StillCache",
    "align_depth",
    "fill_holes",
    "image_bytes",
    "image_tensor",
    "pose_tensors",
    "warp_depth",
]
