"""Turn files of Gaussians into each other, and into scenes that simulate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from lyra_sim import __version__
from lyra_sim.atomic import require_parent
from lyra_sim.collider import ColliderConfig, ColliderReport, drop_floaters, find_floor, fuse_depth
from lyra_sim.collider.pieces import convex_pieces
from lyra_sim.collider.viewpoints import choose_views
from lyra_sim.errors import LyraSimError
from lyra_sim.files import READERS, WRITERS, read_gaussians, write_gaussians
from lyra_sim.files.meshes import read_mesh
from lyra_sim.ground import GroundReport, opaque_points, stand_on_floor
from lyra_sim.metric_depth import ROUGH_SPREAD, RenderDepth, ScaleReport, read_metric_views, scale_from_depth
from lyra_sim.relabel import with_labels
from lyra_sim.scene import Scene, TriangleMesh
from lyra_sim.transform import AXES, Similarity, rotation_between, with_sh_degree
from lyra_sim.usd import SUFFIXES as USD_SUFFIXES

VIEW_SIZE = 192
"""Side of the depth maps that a collider is fused from [px]."""

APPROXIMATIONS = (
    "none",
    "convexHull",
    "convexDecomposition",
    "boundingCube",
    "boundingSphere",
    "meshSimplification",
    "pieces",
)
HALF_NOTE = (
    "Half precision: `lyra-sim inspect` states the rounding, and NVIDIA's rule VG.035 complains, since it asks for "
    "the float attributes."
)


@dataclass(frozen=True)
class ConvertConfig:
    """Say how a file is converted."""

    target: str = "isaac-6"
    """`isaac-6`, `isaac-5` or `both`, for a USDZ."""
    half: bool = False
    """Whether to write the particle field of a USDZ in float16."""
    up_axis: tuple[str, str] | None = None
    """Axis that points up in the input, and the axis it becomes, such as (`-y`, `z`)."""
    scale: float = 1.0
    """Factor on lengths."""
    camera_height: float | None = None
    """True height of the first camera, which is the input's origin, above the floor [m]; sets the scale."""
    camera: str | None = None
    """A `transforms.json` in the input's frame, of cameras that saw metric depth; sets the scale."""
    depth: str | None = None
    """Metric depth of that camera; the maps that the file names when left out."""
    depth_unit: str | None = None
    """`mm` or `m`; millimetres for whole numbers and metres for floating-point ones when left out."""
    level: bool = False
    """Whether to turn and move the scene so that its floor lies at z = 0."""
    sh_degree: int | None = None
    """SH degree of the output; that of the input when left out."""
    drop_floaters: bool = False
    """Whether to leave out Gaussians that float where nothing is."""
    collider: str = "auto"
    """`auto` (the input's, else fused from the splats' depth), `world` (the input's exact one), `none` or a file."""
    collider_voxel: float = 0.04
    """Distance between samples of the distance field that a collider is fused in [m]."""
    collider_faces: int = 50_000
    """Most faces of a fused collider."""
    collider_approximation: str = "none"
    """Token of `physics:approximation`, which a simulator follows, or `pieces` for convex meshes made here."""
    labels: str = "keep"
    """`keep` (the input's), `none`, a `.json` that renames classes, a glTF with named objects, or one class for all."""


@dataclass(frozen=True)
class ConvertReport:
    """Hold what a conversion did."""

    gaussians: int
    """Number of Gaussians written."""
    sh_degree: int
    ground: GroundReport | None
    metric: ScaleReport | None
    """The scale from metric depth."""
    collider_kind: str
    """`fused`, `world`, `file` or `missing`."""
    collider: ColliderReport | None
    """Measurements of a collider that was fused here."""
    notes: tuple[str, ...]
    """What a person should know about the output, one sentence each."""


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    config: ConvertConfig | None = None,
    render: RenderDepth | None = None,
) -> ConvertReport:
    """Convert `source` to `destination`, the formats being those of their endings.

    Args:
        source: `.ply`, `.spz`, `.safetensors`, `.pt`, `.pth`, `.npy` or a USD file.
        destination: `.usdz`, `.ply`, `.spz` or `.safetensors`.
        config: What to change on the way.
        render: Renders depth, for `collider="auto"` of an input without a collider.

    Raises:
        LyraSimError: The input is damaged, an option makes no sense or the output cannot be written.
    """
    source, destination, config = Path(source), Path(destination), config or ConvertConfig()
    _check(destination, config)
    notes: list[str] = []
    views = None
    if config.camera is not None:
        depth = None if config.depth is None else Path(config.depth)
        views = read_metric_views(Path(config.camera), depth, unit=config.depth_unit)
    scene, ground, metric = load_scene(source), None, None
    if views is not None:
        metric = scale_from_depth(
            scene.gaussians, views, _renderer(render, "measure the scale with; use --scale")
        )
    scale = config.scale if metric is None else metric.scale
    if metric is not None and metric.spread > ROUGH_SPREAD:
        notes.append(
            f"Half of the pixels disagree by more than {metric.spread:.0%} about the scale, so it is rough; check that "
            "--camera is in the input's own frame, and that the depth is its own."
        )
    scene = move_scene(scene, Similarity(turn_of(config.up_axis), scale=scale))
    if config.level or config.camera_height is not None:
        level, ground = stand_on_floor(scene.gaussians, camera_height=config.camera_height)
        scene = move_scene(scene, level)
        if ground is None:
            notes.append("No floor was found, so the scene was not levelled; check --up-axis.")
    if config.drop_floaters:
        scene = replace(scene, gaussians=drop_floaters(scene.gaussians).checked(str(source)))
    if config.sh_degree is not None:
        scene = replace(scene, gaussians=with_sh_degree(scene.gaussians, config.sh_degree))
    report = None
    if destination.suffix.lower() == ".usdz":
        scene, report = _with_meshes(scene, config, render, notes)
        if config.collider_approximation == "pieces":
            scene = with_pieces(scene, notes)
        measured = {"ground": ground, "scale_from_depth": metric}
        scene = replace(scene, provenance=converted_provenance(scene.provenance, source, config, measured))
        from lyra_sim.usd.writer import write_usdz

        write_usdz(
            destination,
            scene,
            target=config.target,  # type: ignore[arg-type]
            collider_approximation=config.collider_approximation,
            half=config.half,
        )
        if config.half and config.target != "isaac-5":
            notes.append(HALF_NOTE)
    else:
        write_gaussians(destination, scene.gaussians)
    kind = scene.collider_kind if scene.collider is not None else "missing"
    return ConvertReport(
        len(scene.gaussians), scene.gaussians.sh_degree, ground, metric, kind, report, tuple(notes)
    )


def load_scene(path: Path) -> Scene:
    """Read a scene from any file we read; what is not USD holds Gaussians only and keeps its own frame."""
    suffix = path.suffix.lower()
    if suffix in USD_SUFFIXES:
        from lyra_sim.usd.probe import probe
        from lyra_sim.usd.reader import read_usd

        probe(path)
        return read_usd(path)
    if suffix not in READERS:
        known = ", ".join((*USD_SUFFIXES, *READERS))
        raise LyraSimError(f"{path}: unknown kind of file; known endings are {known}")
    return Scene(read_gaussians(path))


def move_scene(scene: Scene, move: Similarity) -> Scene:
    """Return the scene with everything in it moved."""
    if move.is_identity:
        return scene
    collider, proxy = scene.collider, scene.proxy
    if collider is not None:
        collider = TriangleMesh(move.points(collider.vertices), collider.faces)
    if proxy is not None:
        proxy = replace(proxy, vertices=move.points(proxy.vertices))
    return replace(scene, gaussians=move.gaussians(scene.gaussians), collider=collider, proxy=proxy)


def converted_provenance(
    before: Mapping[str, object],
    source: Path,
    config: ConvertConfig,
    measured: Mapping[str, GroundReport | ScaleReport | None],
) -> dict[str, object]:
    """Return the input's provenance with this conversion, and what it measured, added to its history."""
    with open(source, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    step = {
        "input": source.name,
        "input_sha256": digest,
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()},
        "lyra_sim": __version__,
        **{name: asdict(report) for name, report in measured.items() if report is not None},
    }
    unknown = {
        "generated": "unknown",
        "licence": "unknown; that of the input",
        "note": "Converted from a file that does not say where its content comes from.",
    }
    known = dict(before) or unknown
    history = known.get("conversions")
    return {**known, "conversions": [*(history if isinstance(history, list) else []), step]}


def _check(destination: Path, config: ConvertConfig) -> None:
    if destination.suffix.lower() not in (".usdz", *WRITERS):
        raise LyraSimError(f"{destination}: cannot write that; known endings are .usdz, {', '.join(WRITERS)}")
    require_parent(destination, option="OUT")
    if not (np.isfinite(config.scale) and config.scale > 0):
        raise LyraSimError(f"--scale {config.scale}: must be positive")
    if config.camera_height is not None and not 0 < config.camera_height < 1000:
        raise LyraSimError(f"--height-of-camera {config.camera_height}: must be between 0 and 1000 m")
    if config.depth is not None and config.camera is None:
        raise LyraSimError("--depth: needs --camera, the camera that saw it, in the input's own frame")
    if config.camera is not None and (config.scale != 1.0 or config.camera_height is not None):
        raise LyraSimError("--camera: its depth sets the scale; leave out --scale and --height-of-camera")
    check_collider(config.collider_approximation, config.collider_faces)
    if not 0.005 <= config.collider_voxel <= 1:
        raise LyraSimError(f"--collider-voxel {config.collider_voxel}: must be between 0.005 and 1 m")
    turn_of(config.up_axis)


def turn_of(up_axis: tuple[str, str] | None) -> np.ndarray:
    """Return the rotation (3, 3) that turns the first axis into the second, such as (`-y`, `z`); none for None.

    Raises:
        LyraSimError: There is no such axis.
    """
    if up_axis is None:
        return np.eye(3)
    for axis in up_axis:
        if axis not in AXES:
            raise LyraSimError(f"--up-axis: {axis!r} is no axis; known are {', '.join(AXES)}")
    return rotation_between(AXES[up_axis[0]], AXES[up_axis[1]])


def check_collider(approximation: str, faces: int) -> None:
    """Raise LyraSimError unless a collider can be made as the options say."""
    if approximation not in APPROXIMATIONS:
        raise LyraSimError(f"--collider-approx {approximation}: known are {', '.join(APPROXIMATIONS)}")
    if faces < 100:
        raise LyraSimError(f"--collider-faces {faces}: must be 100 or more")


def _with_meshes(
    scene: Scene, config: ConvertConfig, render: RenderDepth | None, notes: list[str]
) -> tuple[Scene, ColliderReport | None]:
    """Return the scene with the collider and the labels that were asked for."""
    scene, report = _with_collider(scene, config, render, notes)
    scene = with_labels(scene, config.labels)
    if scene.proxy is None and config.labels != "none":
        notes.append("The scene has no labels; --labels CLASS labels the whole collider.")
    return scene, report


def with_pieces(scene: Scene, notes: list[str]) -> Scene:
    """Return the scene with convex pieces of its collider, and note how well they follow it."""
    from lyra_sim.usd.layout import PIECE_SLOTS

    if scene.collider is None:
        raise LyraSimError("--collider-approx pieces: there is no collider to make pieces of")
    pieces = convex_pieces(scene.collider, most=PIECE_SLOTS)
    notes.append(
        f"{len(pieces.meshes)} convex pieces reach {pieces.p95_cm:.1f} cm (95th percentile) and at most "
        f"{pieces.worst_cm:.1f} cm in front of the collider's surface."
    )
    return replace(scene, pieces=pieces.meshes)


def _with_collider(
    scene: Scene, config: ConvertConfig, render: RenderDepth | None, notes: list[str]
) -> tuple[Scene, ColliderReport | None]:
    if config.collider == "none":
        return replace(scene, collider=None), None
    if config.collider == "world":
        if scene.collider is None or scene.collider_kind != "world":
            raise LyraSimError(
                f"--collider world: the input's collider is {scene.collider_kind}, not an exact one"
            )
        return scene, None
    if config.collider != "auto":
        mesh = read_mesh(config.collider)
        return replace(scene, collider=mesh, collider_kind="file"), None
    if scene.collider is not None:
        return scene, None
    render = _renderer(render, "make a collider with; use --collider none or a mesh file")
    c2w, intrinsics = choose_views(scene.gaussians, height=VIEW_SIZE, width=VIEW_SIZE)
    depth, alpha = render(scene.gaussians, c2w, intrinsics, VIEW_SIZE, VIEW_SIZE)
    floor = find_floor(opaque_points(scene.gaussians))
    flat = floor is not None and abs(floor.height) < 0.15 and floor.normal[2] > 0.995
    if not flat:
        where = "none was found" if floor is None else f"it lies at {floor.height:.2f} m"
        notes.append(
            f"The collider has no closed floor at z = 0 ({where}); try --level, --up-axis or --scale."
        )
    fused = ColliderConfig(voxel=config.collider_voxel, faces=config.collider_faces, floor=flat)
    mesh, report = fuse_depth(depth, alpha, c2w, intrinsics, config=fused)
    return replace(scene, collider=mesh, collider_kind="fused"), report


def _renderer(render: RenderDepth | None, purpose: str) -> RenderDepth:
    if render is None:
        raise LyraSimError(f"no renderer at hand to {purpose}")
    return render
