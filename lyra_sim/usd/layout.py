"""Where everything lies in a scene that we write.

One prim hierarchy serves every scene, whatever it holds: Isaac Lab's multi-asset spawner and its physics
replication ask for equal prim paths in all files. That is why labels sit on a fixed number of meshes (slots)
instead of on one prim per class that occurs, and why an unused slot and a missing collider are invisible
meshes of one tiny triangle. Meshes rather than geometry subsets, because every reader of `UsdSemantics` knows
labels on meshes, and because subsets would need the same number of prims. The collider comes first and
is one mesh, since Isaac Lab's terrain importer takes the first mesh of a file.

    /World                       Xform, default prim, variant set `proxy` (hidden, shown), for target `both`
                                 also variant set `splats` (isaac-6, isaac-5)
    /World/collider              Mesh, invisible, collision APIs
    /World/pieces                Xform, only with `--collider-approx pieces`
    /World/pieces/piece_000 ...  Mesh, invisible, convex, collides in place of the collider
    /World/proxy                 Xform
    /World/proxy/part_00 ... 31  Mesh, matte, one semantic class each
    /World/splats                Xform
    /World/splats/gaussians      ParticleField3DGaussianSplat (isaac-6)
    /World/splats/volume         Volume with its two NuRec field assets (isaac-5)

The proxy starts hidden, since drawn in front of the splats it would replace the picture in every stage that does
not know matte objects; the variant `shown` gives depth, normals, labels and, in NuRec, shadows.
"""

from __future__ import annotations

from typing import Literal, get_args

Target = Literal["isaac-6", "isaac-5", "both"]
"""Form of the splats: a particle field, a NuRec volume, or a variant set of both."""

TARGETS: tuple[Target, ...] = get_args(Target)

WORLD = "/World"
COLLIDER = "/World/collider"
PIECES = "/World/pieces"
PROXY = "/World/proxy"
SPLATS = "/World/splats"
GAUSSIANS = "/World/splats/gaussians"
VOLUME = "/World/splats/volume"

PROXY_SLOTS = 32
"""Number of labelled meshes; the classes with the fewest faces share the last one when there are more."""

PIECE_SLOTS = 256
"""Number of convex pieces; those that a scene does not need do not collide."""

SPLATS_VARIANT = "splats"
"""Variant set that holds both forms of the splats."""

FORMS = {"isaac-6": "ParticleField", "isaac-5": "NuRec"}
"""Form of the splats by target, and by variant of a file for both."""

TAXONOMY = "class"
"""The semantic taxonomy that Isaac Sim reads."""

UNLABELLED = "unlabelled"
"""Label of an unused slot and of faces that no view shows."""

CUSTOM_DATA = "lyra_sim"
"""Key of our dictionary in the layer's and the default prim's custom data."""

ROOT_LAYER = "scene.usdc"
PAYLOAD = "scene.nurec"
PROVENANCE = "provenance.json"


def slot(index: int) -> str:
    """Return the prim path of a proxy slot."""
    return f"{PROXY}/part_{index:02d}"


def piece(index: int) -> str:
    """Return the prim path of a convex piece."""
    return f"{PIECES}/piece_{index:03d}"
