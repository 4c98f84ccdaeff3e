"""What the two generations of Isaac Sim can show, and the settings that splats need."""

from __future__ import annotations

from collections.abc import Mapping

PARTICLE_FIELD_KIT = 110
"""The first Kit that draws `ParticleField3DGaussianSplat` (Isaac Sim 6.0); older ones draw NuRec volumes only."""

MULTI_GPU = "/renderer/multiGpu/enabled"


def kit_major(version: str) -> int:
    """Return the major number of a Kit version such as `110.1.2+release...`; 0 for what is not a version."""
    major = version.partition(".")[0]
    return int(major) if major.isdecimal() else 0


def target_for(kit_version: str) -> str:
    """Return the target form that the running Isaac Sim shows."""
    return "isaac-6" if kit_major(kit_version) >= PARTICLE_FIELD_KIT else "isaac-5"


def invisible_here(kinds: frozenset[str], kit_version: str) -> str | None:
    """Say why this Isaac Sim will not show a scene's splats, or None.

    Args:
        kinds: What the scene holds, of `particle_field` and `nurec`.
        kit_version: Version of the running Kit.
    """
    if not kinds:
        return "The scene holds no splats"
    if "nurec" not in kinds and kit_major(kit_version) < PARTICLE_FIELD_KIT:
        return (
            "This Isaac Sim shows NuRec volumes only: the splats stay invisible here, while collider and labels work. "
            "Isaac Sim 6.0 and newer show them"
        )
    return None


def carb_settings(render_settings: Mapping[str, object]) -> dict[str, object]:
    """Return a layer's `renderSettings` as carb settings; `a:b:c` becomes `/a/b/c`.

    Kit itself applies them only on File > Open of that very file, not to a stage that references it.
    """
    return {"/" + key.replace(":", "/"): value for key, value in render_settings.items() if key}


MATTE_SETTINGS: Mapping[str, object] = {
    "/rtx/post/matteObject/enabled": True,
    "/rtx/post/matteObject/enableShadowCatcher": True,
}
"""What a matte proxy needs to catch shadows for a NuRec volume."""

MULTI_GPU_PROBLEM = (
    "Multi-GPU rendering is on, and splats do not render right with it. Start Isaac Sim with "
    f"--{MULTI_GPU}=false"
)
