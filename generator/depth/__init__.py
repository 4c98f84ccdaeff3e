"""Depth of a picture that comes without any."""

from generator.depth.estimator import DepthEstimate, DepthEstimator, load_estimator

__all__ = ["DepthEstimate", "DepthEstimator", "load_estimator"]
