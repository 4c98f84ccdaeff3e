"""The job modules of lyra-sim, from the one place where they are: `lyra_sim/jobs` beside this extension.

Kit's Python has no `lyra_sim` and must not get its torch, so the folder is loaded by its path, under this name. In
a copy made by `lyra-sim ext-path --copy` the job modules themselves stand here instead of this file.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING


def _folder() -> Path:
    root = Path(__file__).resolve().parents[6]
    for folder in (root / "jobs", root / "lyra_sim" / "jobs"):  # the installed package, a checkout
        if (folder / "__init__.py").is_file():
            return folder
    raise ImportError(
        f"No job modules near {root}: use the folder that `lyra-sim ext-path` prints, or a copy that "
        "`lyra-sim ext-path --copy DIR` makes"
    )


if TYPE_CHECKING:
    from lyra_sim.jobs import *  # noqa: F403
else:
    _spec = importlib.util.spec_from_file_location(
        __name__, _folder() / "__init__.py", submodule_search_locations=[str(_folder())]
    )
    # The import system takes what stands here after the import, as it does for modules that replace themselves.
    sys.modules[__name__] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
