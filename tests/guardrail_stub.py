"""A stand-in for diffusers' `CosmosSafetyChecker`."""

from __future__ import annotations

import numpy as np


class StubChecker:
    """Refuse prompts with `weapon`, refuse videos on demand, and darken what passes, as a face would be blurred."""

    def __init__(self, *, refuses_videos: bool = False) -> None:
        self.refuses_videos, self.devices = refuses_videos, []

    def to(self, device: str) -> None:
        """Remember where it was moved."""
        self.devices.append(device)

    def check_text_safety(self, prompt: str) -> bool:
        """Return whether the prompt passes."""
        return "weapon" not in prompt

    def check_video_safety(self, frames: np.ndarray) -> np.ndarray | None:
        """Return darker frames, or None."""
        return None if self.refuses_videos else frames // 2
