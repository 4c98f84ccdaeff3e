"""Pictures as the published depth networks take them, by the preprocessor_config.json beside their weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lyra_sim.errors import LyraSimError

_RESAMPLING = {2: Image.Resampling.BILINEAR, 3: Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preparation:
    """Say how a picture becomes a network's input; transformers' own image processors need torchvision for some."""

    height: int
    """Rows that the picture is resized to [px]."""
    width: int
    """Columns that it is resized to [px]."""
    mean: tuple[float, ...]
    """Mean of each channel, subtracted from values in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation that they are divided by."""
    resampling: int = 3
    """Pillow's number of the interpolation: 2 bilinear, 3 bicubic."""
    keep_aspect_ratio: bool = False
    """Whether the picture keeps its shape and only comes near to the size."""
    multiple: int = 1
    """Height and width become multiples of this."""

    @classmethod
    def read(cls, folder: Path) -> Preparation:
        """Read `preprocessor_config.json`; raises LyraSimError when it is missing or lacks an entry."""
        path = folder / "preprocessor_config.json"
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            size = document["size"]
            return cls(
                height=int(size["height"]),
                width=int(size["width"]),
                mean=tuple(document["image_mean"]),
                std=tuple(document["image_std"]),
                resampling=int(document.get("resample", 3)),
                keep_aspect_ratio=bool(document.get("keep_aspect_ratio", False)),
                multiple=int(document.get("ensure_multiple_of", 1)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LyraSimError(f"{path}: is not a preprocessor_config.json ({error!r})") from None

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Return the size that a picture of this size is resized to, as transformers' DPT processor counts it."""
        rows, columns = self.height / height, self.width / width
        if self.keep_aspect_ratio:
            # The side that changes less decides, so the other one comes out larger than asked for.
            rows = columns = rows if abs(1 - rows) < abs(1 - columns) else columns
        return self._rounded(rows * height), self._rounded(columns * width)

    def before_normalising(self, rgb: np.ndarray) -> Tensor:
        """Resize sRGB (H, W, 3) uint8 in 8 bits, then normalise: (1, 3, h, w) float32 (Depth Anything)."""
        height, width = self.target(*rgb.shape[:2])
        picture = Image.fromarray(rgb).resize((width, height), _RESAMPLING[self.resampling])
        return self._normalised(np.asarray(picture))

    def after_normalising(self, rgb: np.ndarray) -> Tensor:
        """Normalise sRGB (H, W, 3) uint8, then resize without smoothing: (1, 3, h, w) float32 (Depth Pro)."""
        size = self.target(*rgb.shape[:2])
        return F.interpolate(self._normalised(rgb), size=size, mode="bilinear", align_corners=False)

    def _rounded(self, length: float) -> int:
        return max(self.multiple, round(length / self.multiple) * self.multiple)

    def _normalised(self, rgb: np.ndarray) -> Tensor:
        image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float() / 255
        mean, std = (torch.tensor(values)[None, :, None, None] for values in (self.mean, self.std))
        return (image - mean) / std
