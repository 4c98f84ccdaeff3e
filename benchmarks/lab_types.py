"""Hold our Isaac Lab configurations against the real classes: `python -m benchmarks.lab_types ISAACLAB.whl`.

The wheel (`pip download --no-deps isaaclab`) is unpacked, not installed: it wants Isaac Sim and older versions of
numpy and pillow. Its configuration classes are real here; what needs a running simulator is a mock. Two checks: mypy on
`lyra_sim/lab/cfgs.py` with the wheel's sources, and building and validating every configuration.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from benchmarks.report import report
from lyra_sim.lab.cfgs import LabScene, SceneCfgs

MOCKED = frozenset(
    [
        "omni",
        "carb",
        "isaacsim",
        "isaaclab_contrib",
        "warp",
        "hydra",
        "gymnasium",
        "prettytable",
        "toml",
        "hid",
        "hidapi",
        "pyglet",
        "einops",
        "usdrt",
        "h5py",
        "onnx",
        "flatdict",
        "matplotlib",
        "cv2",
        "torchvision",
        "websockets",
        "nvidia",
        "pinocchio",
    ]
)
"""Packages that the configuration classes import but that these checks do not need."""
MOCKED_PXR = frozenset({"pxr.PhysxSchema", "pxr.Semantics"})
"""Schemas of Kit's own OpenUSD."""


class _Mock(MagicMock):
    def __getattr__(self, name: str) -> Any:
        # Decorators and `configclass` ask for these of everything.
        return "mocked" if name in ("__name__", "__qualname__") else super().__getattr__(name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        if name.partition(".")[0] in MOCKED or name in MOCKED_PXR:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> Any:
        module = _Mock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def build(source: Path) -> list[str]:
    """Build every configuration with the real classes and return a line for each."""
    import pxr

    for name in MOCKED_PXR:
        if not hasattr(pxr, name.partition(".")[2]):
            setattr(pxr, name.partition(".")[2], _Mock())
    sys.meta_path.insert(0, _Finder())
    sys.path.insert(0, str(source))
    scenes = SceneCfgs(
        [
            LabScene(
                "a", "train", "p", "/a.usdz", "/a.usdc", ((0.0, 0.0, 0.0),), (0.0, 0.0, 0.0), (3.0, 4.0, 2.0)
            ),
            LabScene("b", "train", "p", "/b.usdz", None, (), (0.0, 0.0, 0.0), (3.0, 5.0, 2.0)),
        ]
    )
    from isaaclab.scene import InteractiveSceneCfg

    interactive = InteractiveSceneCfg(num_envs=4, **scenes.environment_options())
    built = [scenes.one_for_all(1), scenes.one_per_environment(), scenes.terrain(0), interactive]
    for cfg in built:
        cfg.validate()
    return [f"{type(cfg).__module__}.{type(cfg).__name__}" for cfg in built]


def check_types(source: Path, scratch: Path) -> str:
    """Run mypy on our module with the wheel's sources and return its last line."""
    decorator = source / "isaaclab" / "utils" / "configclass.py"
    text = decorator.read_text()
    # The wheel marks its decorator in a way of pyright's that mypy does not know; the standard's means the same.
    text = text.replace("@__dataclass_transform__()", "@dataclass_transform()")
    decorator.write_text(text.replace("from typing import ", "from typing import dataclass_transform, ", 1))
    words = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--cache-dir", str(scratch / "mypy")]
    environment = {**os.environ, "MYPYPATH": str(source)}
    done = subprocess.run([*words, "lyra_sim/lab/cfgs.py"], env=environment, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def main() -> None:
    """Unpack, check, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, help="write the report there too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(args.wheel) as wheel:
            wheel.extractall(name)
        source = Path(name) / "isaaclab" / "source" / "isaaclab"
        lines = [f"`python -m benchmarks.lab_types {args.wheel.name}`", ""]
        lines += [f"- built and validated: `{line}`" for line in build(source)]
        lines += [f"- mypy: {check_types(source, Path(name))}"]
    text = "\n".join(lines) + "\n"
    report(text, args.out)


if __name__ == "__main__":
    main()
