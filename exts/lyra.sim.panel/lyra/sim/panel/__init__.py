"""Generate scenes with lyra-sim from a panel in Isaac Sim.

Without Kit, the parts that need none can be imported: `lyra.sim.panel.form`, `session`, `scene`, `floor`.
"""

from __future__ import annotations

from .form import Form
from .session import Session

try:
    import omni.ext as _omni_ext
except ImportError:
    _omni_ext = None

if _omni_ext is not None:
    from .extension import LyraPanelExtension as LyraPanelExtension

__all__ = ["Form", "Session"]
