"""Run the command line as `python -m lyra_sim`."""

from __future__ import annotations

import sys

from lyra_sim.cli import main

sys.exit(main())
