"""What a viewer says about a scene."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lyra_sim.viewer.exhibit import Exhibit

SIZES = {
    "mini": "mini: small networks trained on two CPU cores, and a procedural world in place of the video model",
    "full": "full: the published weights",
}
"""What the two sizes of the generator are, in words for whoever opens the page."""


def title(exhibit: Exhibit) -> str:
    """Return the prompt, or the name of the file."""
    prompt = exhibit.scene.provenance.get("prompt")
    return _short(prompt) if isinstance(prompt, str) and prompt.strip() else exhibit.path.name


def subtitle(exhibit: Exhibit) -> str:
    """Return size and counts in one line."""
    scene = exhibit.scene
    parts = [f"{len(scene.gaussians):,} Gaussians"]
    size = scene.provenance.get("size")
    if isinstance(size, str):
        parts.insert(0, f"size {_short(size)}")
    if len(scene.gaussians) < exhibit.total:
        parts[-1] += f" of {exhibit.total:,}"
    if scene.collider is not None:
        parts.append(f"collider of {len(scene.collider.faces):,} faces")
    return " · ".join(parts)


def facts(exhibit: Exhibit) -> list[tuple[str, str]]:
    """Return names and values of what is known about the scene and its origin."""
    scene = exhibit.scene
    low, high = exhibit.bounds
    extent = " x ".join(f"{v:.1f}" for v in high - low)
    rows = [("File", exhibit.path.name), *_origin(scene.provenance)]
    rows.append(("Extent", f"{extent} m (x, y, z up), without the outermost hundredth"))
    shown = f"{len(scene.gaussians):,}, SH degree {scene.gaussians.sh_degree}"
    if len(scene.gaussians) < exhibit.total:
        shown += f"; the {exhibit.total - len(scene.gaussians):,} that cover least were left out"
    rows.append(("Gaussians", shown))
    if scene.collider is None:
        rows.append(("Collider", "none in the file"))
    else:
        rows.append(("Collider", f"{scene.collider_kind}, {len(scene.collider.faces):,} faces"))
    if scene.proxy is None:
        rows.append(("Labels", "none in the file"))
    if exhibit.cameras:
        rows.append(("Cameras", f"{len(exhibit.cameras)} shown"))
    return rows


def shares(exhibit: Exhibit) -> dict[str, float]:
    """Return the share of the labelled surface's area per class that occurs, largest first."""
    proxy = exhibit.scene.proxy
    if proxy is None or not len(proxy.faces):
        return {}
    corners = proxy.vertices[proxy.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1)
    per_class = np.bincount(proxy.face_label, weights=area, minlength=len(proxy.classes))
    total = max(float(per_class.sum()), 1e-12)
    order = np.argsort(-per_class, kind="stable")
    occurring = np.bincount(proxy.face_label, minlength=len(proxy.classes)) > 0
    return {proxy.classes[i]: float(per_class[i]) / total for i in order if occurring[i]}


def percent(share: float) -> str:
    """Return a share as whole per cent, never as nothing."""
    return "<1%" if share < 0.01 else f"{share:.0%}"


def _origin(provenance: Mapping[str, object]) -> list[tuple[str, str]]:
    if not provenance:
        return [("Origin", "unknown: the file does not say where its content comes from")]
    rows: list[tuple[str, str]] = []
    maker, size = provenance.get("generator"), provenance.get("size")
    if isinstance(maker, str):
        rows.append(("Made by", _short(maker)))
    if isinstance(size, str):
        rows.append(("Size", SIZES.get(size, _short(size))))
    for key, name in (("prompt", "Prompt"), ("seed", "Seed")):
        if isinstance(provenance.get(key), str | int):
            rows.append((name, _short(provenance[key])))
    teacher = provenance.get("teacher")
    if isinstance(teacher, Mapping) and isinstance(teacher.get("teacher"), str):
        kind = teacher.get("kind")
        rows.append(("Teacher", _short(teacher["teacher"]) + (f", {_short(kind)}" if kind else "")))
    if provenance.get("generated") is True:
        rows.append(("Content", "generated; not a record of a real place"))
    elif "generated" in provenance:
        rows.append(("Content", _short(provenance["generated"])))
    if isinstance(provenance.get("licence"), str):
        rows.append(("Licence", _short(provenance["licence"])))
    conversions = provenance.get("conversions")
    if isinstance(conversions, list) and conversions:
        inputs = [str(c.get("input", "?")) for c in conversions if isinstance(c, Mapping)]
        rows.append(("Converted from", _short(", ".join(inputs))))
    return rows


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else text[:199] + "…"
