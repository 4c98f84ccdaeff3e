"""Generate scenes with lyra-sim from a panel in Isaac Sim.

Without Kit, the parts that need none can be imported: `lyra.sim.panel.form`, `session`, `scene`, `floor`.
"""

from __future__ import annotations

from .form import Form
from .session import Session

try:
    from .extension import LyraPanelExtension as LyraPanelExtension
except ImportError as error:
    # No Kit here, or a Kit without windows, as standalone scripts start it.
    if (error.name or "").partition(".")[0] not in ("carb", "omni"):
        raise

__all__ = ["Form", "Session"]
