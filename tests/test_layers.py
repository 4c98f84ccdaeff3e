"""Imports point up only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "lyra_sim": {"lyra_sim"},
    "generator": {"lyra_sim", "generator"},
    "training": {"lyra_sim", "generator", "training"},
}
OURS = {"lyra_sim", "generator", "training", "benchmarks", "tests"}


def _imports(path: Path, *, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names = {a.name.split(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
    return names | {n.module.split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and n.module}


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_itself_and_those_above(layer: str) -> None:
    """Show that no module imports from a layer below; the toolkit may reach down inside functions only."""
    for path in (ROOT / layer).rglob("*.py"):
        found = _imports(path, top_level_only=layer == "lyra_sim") & OURS
        assert found <= MAY_IMPORT[layer], path


def test_nothing_on_the_mini_path_imports_torchvision() -> None:
    """Show that torchvision, which has no CPU build in the registry, is never imported at module level."""
    for layer in MAY_IMPORT:
        for path in (ROOT / layer).rglob("*.py"):
            assert "torchvision" not in _imports(path, top_level_only=True), path
