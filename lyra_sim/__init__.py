"""Turn a sentence, a picture or a video into a simulation-ready 3D Gaussian scene."""

from __future__ import annotations

from lyra_sim.errors import LyraSimError

__version__ = "0.1.0"

__all__ = ["LyraSimError", "__version__"]
