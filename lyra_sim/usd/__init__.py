"""Scenes as OpenUSD packages."""
