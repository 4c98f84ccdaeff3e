"""Many scenes from one spec, unattended: planning, engines, journal, manifest."""

from __future__ import annotations
