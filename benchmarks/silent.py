"""Progress that nobody watches."""

from __future__ import annotations

from lyra_sim.progress import Progress


class Silent(Progress):
    """Ignore progress in stages of any name."""

    def __init__(self) -> None:
        super().__init__("none", {"all": 1.0})

    def update(self, stage: str, fraction: float, message: str, **paths: str) -> None:
        """Ignore a stage."""
