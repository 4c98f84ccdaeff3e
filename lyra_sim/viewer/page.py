"""Write a scene as one HTML page that needs no server and no network."""

from __future__ import annotations

import base64
import gzip
import html
import json
from importlib import resources
from pathlib import Path

import numpy as np

from lyra_sim.atomic import atomic_path, require_replaceable_file
from lyra_sim.errors import LyraSimError
from lyra_sim.files.spz import spz_bytes
from lyra_sim.frusta import Frustum
from lyra_sim.viewer.caption import facts, shares, subtitle, title
from lyra_sim.viewer.colours import as_css, class_colours
from lyra_sim.viewer.exhibit import Exhibit

SUFFIXES = (".html", ".htm")

MOST_GAUSSIANS = 2_000_000
"""Gaussians that a page may hold: 33 MB of SPZ, 45 MB of text."""

MOST_FACES = 300_000
"""Faces of a mesh that a page may hold; larger ones are left out, and the page says so."""

MOST_CLASSES = 256


def check_target(target: Path) -> None:
    """Raise LyraSimError unless a page can be written to `target`."""
    if target.suffix.lower() not in SUFFIXES:
        raise LyraSimError(f"--html {target}: must end in .html")
    require_replaceable_file(target, option="--html")


def write_page(target: Path, exhibit: Exhibit) -> int:
    """Write the page, whole or not at all, and return its size in bytes.

    Raises:
        LyraSimError: There are too many Gaussians for a page, or it cannot be written.
    """
    check_target(target)
    content = page(exhibit).encode()
    with atomic_path(target, option="--html") as temporary:
        temporary.write_bytes(content)
    return len(content)


def page(exhibit: Exhibit) -> str:
    """Return the page as text.

    Splats are base64 SPZ (positions to 0.1 mm); meshes are quantised to 1/65535 of their box.

    Raises:
        LyraSimError: There are too many Gaussians for a page.
    """
    count = len(exhibit.scene.gaussians)
    if count > MOST_GAUSSIANS:
        raise LyraSimError(
            f"{exhibit.path} holds {count:,} Gaussians, and a page at most {MOST_GAUSSIANS:,}; "
            f"--max-gaussians {MOST_GAUSSIANS} keeps those that cover most"
        )
    meshes, blocks, notes = _meshes(exhibit)
    blocks["splats"] = spz_bytes(exhibit.scene.gaussians)
    blocks["viewer"] = gzip.compress(_asset("viewer.js"), compresslevel=6, mtime=0)
    parts = {
        "title": html.escape(title(exhibit)),
        "subtitle": html.escape(subtitle(exhibit)),
        "style": _asset("page.css").decode(),
        "licences": html.escape(_asset("LICENSES.txt").decode()),
        "description": _embed_json(_description(exhibit, meshes, notes)),
        "blocks": "\n".join(_block(name, content) for name, content in blocks.items()),
    }
    # One pass over the template, so that nothing in a scene's own text is taken for a place to fill.
    pieces = _asset("page.html").decode().split("@@")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _description(exhibit: Exhibit, meshes: list[dict[str, object]], notes: list[str]) -> dict[str, object]:
    low, high = exhibit.bounds
    share = shares(exhibit)
    classes = exhibit.scene.proxy.classes if exhibit.scene.proxy is not None else ()
    colours = class_colours(classes)
    return {
        "title": title(exhibit),
        "subtitle": subtitle(exhibit),
        "facts": [*facts(exhibit), *(("Left out", note) for note in notes)],
        "low": low.tolist(),
        "high": high.tolist(),
        "begin": _camera(exhibit.begin) | {"distance": exhibit.distance},
        "cameras": [_camera(camera) for camera in exhibit.cameras],
        "frustum_m": exhibit.frustum_length,
        "meshes": meshes,
        "classes": [
            {"name": name, "colour": as_css(colour), "share": share.get(name, 0.0)}
            for name, colour in zip(classes, colours, strict=True)
        ],
    }


def _camera(camera: Frustum) -> dict[str, object]:
    fx, fy = camera.focal
    return {
        "name": camera.name,
        "c2w": camera.c2w.tolist(),
        "fx": fx,
        "fy": fy,
        "width": camera.width,
        "height": camera.height,
    }


def _meshes(exhibit: Exhibit) -> tuple[list[dict[str, object]], dict[str, bytes], list[str]]:
    """Return descriptions, blocks and what was left out of the collider and the labelled surface."""
    scene = exhibit.scene
    found: list[dict[str, object]] = []
    blocks: dict[str, bytes] = {}
    notes: list[str] = []
    for name, mesh in (("collider", scene.collider), ("labels", scene.proxy)):
        if mesh is None or not len(mesh.faces):
            continue
        if len(mesh.faces) > MOST_FACES:
            notes.append(f"the {name}: {len(mesh.faces):,} faces, and a page holds {MOST_FACES:,}")
            continue
        face_label = scene.proxy.face_label if name == "labels" and scene.proxy is not None else None
        if face_label is not None and face_label.max(initial=0) >= MOST_CLASSES:
            notes.append(f"the labels: more than {MOST_CLASSES} classes")
            continue
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        blocks[name] = gzip.compress(
            pack_mesh(mesh.vertices, mesh.faces, face_label), compresslevel=6, mtime=0
        )
        found.append(
            {
                "id": name,
                "vertices": len(mesh.vertices),
                "faces": len(mesh.faces),
                "low": low.tolist(),
                "high": high.tolist(),
                "labelled": face_label is not None,
            }
        )
    return found, blocks, notes


def pack_mesh(vertices: np.ndarray, faces: np.ndarray, face_label: np.ndarray | None = None) -> bytes:
    """Return vertices as uint16 in their box, faces as uint32 from the next multiple of 4, labels as uint8."""
    low, high = vertices.min(axis=0).astype(np.float64), vertices.max(axis=0).astype(np.float64)
    steps = np.rint((vertices - low) / np.maximum(high - low, 1e-12) * 65535).astype("<u2").tobytes()
    label = b"" if face_label is None else face_label.astype(np.uint8).tobytes()
    return steps + bytes(-len(steps) % 4) + faces.astype("<u4").tobytes() + label


def _block(name: str, content: bytes) -> str:
    text = base64.b64encode(content).decode()
    return f'<script type="text/plain" id="{name}">{text}</script>'


def _embed_json(value: object) -> str:
    """Return JSON that cannot end the element it stands in."""
    return (
        json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e")
    )


def _asset(name: str) -> bytes:
    return (resources.files("lyra_sim.viewer") / "page_assets" / name).read_bytes()
