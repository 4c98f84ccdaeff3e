"""Scenes as OpenUSD packages."""

from __future__ import annotations

SUFFIXES = (".usdz", ".usd", ".usda", ".usdc")
"""Endings of the files that OpenUSD opens."""
