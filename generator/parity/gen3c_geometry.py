"""Golden files of GEN3C's camera paths and 3D cache (folders laid out as golden/gen3c)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generator.cache.align import align_depth
from generator.cache.cache import Cache3D, Cache4D
from generator.cache.masking import reliability_mask
from generator.cache.picture import CacheConfig, CachedPicture, CacheViews, warp_picture
from generator.cache.unproject import pixel_rays, unproject
from generator.parity.comparison import Comparison, compare, compare_exact, failure
from generator.parity.registry import golden, load
from generator.trajectories import trajectory_w2c
from lyra_sim.errors import LyraSimError

_WARP_TOLERANCE = 1e-3
_LEAST_AGREEING_SHARE = 0.985
_MASK_GATES = {"own": 0.04, "fg": 0.01, "plain": 0.005}
"""Share of mask pixels that may differ: in a picture's own camera, where points lie on pixel centres but for
rounding; where rays may meet the edges of triangles; and elsewhere."""
_OWN_VIEW = 1e-4
"""Largest entry of the relative pose, beside the identity, at which a camera is a picture's own."""


@golden("trajectories*.safetensors", also=("trajectories*.json",))
def trajectories(path: Path) -> Iterator[Comparison]:
    """Check every camera path, and the one over a moving camera."""
    tensors = load(path)
    try:
        cases: dict[str, dict[str, Any]] = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError) as error:
        raise LyraSimError(f"{path.with_suffix('.json').name} cannot be read as JSON ({error})") from error
    for name, case in cases.items():
        start = None if case["initial_w2c"] == "identity" else tensors[case["initial_w2c"]].numpy()
        kind, rotation, _ = name.split(".")
        poses = trajectory_w2c(
            kind,  # type: ignore[arg-type]  # An unknown name is refused by the function itself.
            frames=case["num_frames"],
            distance=case["movement_distance"],
            center_depth=case["center_depth"],
            start_w2c=start,
            rotation=case.get("camera_rotation", rotation),
            num_circles=case.get("num_circles", 1),
            radius_x_factor=case.get("radius_x_factor", 1.0),
            radius_y_factor=case.get("radius_y_factor", 1.0),
        )
        yield compare(f"{name}.w2c", torch.from_numpy(poses), tensors[f"{name}.w2c"], gate=1e-5)
    yield from _moving_camera(tensors)


def _moving_camera(tensors: dict[str, Tensor]) -> Iterator[Comparison]:
    """Check linear paths over a pose per frame; their distance is not stored, so it is read off the last pose."""
    for name in sorted(n for n in tensors if re.fullmatch(r"dynamic\.\w+\.w2c", n)):
        kind = name.split(".")[1]
        starts = tensors[f"dynamic.{kind}.initial_w2c"].double()
        last = tensors[name][-1].double() @ torch.linalg.inv(starts[-1])
        poses = trajectory_w2c(
            kind,  # type: ignore[arg-type]
            frames=len(starts),
            distance=float(last[:3, 3].norm()) * len(starts) / (len(starts) - 1),
            start_w2c=starts.numpy(),
        )
        yield compare(name, torch.from_numpy(poses), tensors[name], gate=1e-5)


@golden("geometry*.safetensors")
def geometry(path: Path) -> Iterator[Comparison]:
    """Check unprojection, reliability, warps, caches and alignment, as far as the file holds them."""
    tensors = load(path)
    camera = _intrinsics(tensors["in.K"])
    yield from _points(tensors, camera)
    yield from _reliability(tensors)
    yield from _warps(tensors, camera)
    yield from _caches(tensors, camera)
    yield from _alignment(tensors, camera)


def _points(tensors: dict[str, Tensor], camera: Tensor) -> Iterator[Comparison]:
    w2c = tensors["in.w2c0"]
    points = unproject(tensors["in.depth"][:, 0], camera, w2c, pixel_center=0.0)
    holes = tensors["in.depth_with_holes"][:, 0]
    ours = {
        "unproject.z": points,
        "unproject.z_holes": unproject(holes, camera, w2c, pixel_center=0.0),
        "unproject.raydist_holes": unproject(holes, camera, w2c, pixel_center=0.0, is_ray_distance=True),
    }
    rays = pixel_rays(camera, *holes.shape[-2:], pixel_center=0.0)
    ours["camera_rays"] = rays / rays.norm(dim=-1, keepdim=True)
    for name, value in ours.items():
        if name in tensors:
            yield compare(name, value, tensors[name], gate=1e-4)


def _reliability(tensors: dict[str, Tensor]) -> Iterator[Comparison]:
    for name in sorted(tensors):
        if match := re.fullmatch(r"reliable\.(holes\.)?(?:win(\d+)\.)?ratio([\d.]+)", name):
            depth = tensors["in.depth_with_holes" if match[1] else "in.depth"]
            mask = reliability_mask(depth, window=int(match[2] or 5), max_spread=float(match[3]))
            yield compare_exact(name, mask, tensors[name])


def _warps(tensors: dict[str, Tensor], camera: Tensor) -> Iterator[Comparison]:
    targets = tensors["in.target_w2c"]
    for name in sorted(n.removesuffix(".mask") for n in tensors if re.fullmatch(r"warp.*\.mask", n)):
        if match := re.fullmatch(r"warp(\d+)_batched", name):
            frames, kind = [int(digit) for digit in match[1]], "reliable"
        elif match := re.fullmatch(r"warp(\d+)\.(nomask|reliable|fg)", name):
            frames, kind = [int(match[1])], match[2]
        else:
            yield failure(name, "no warp of ours has this name")
            continue
        config = CacheConfig(
            max_spread=1.0 if kind == "nomask" else 0.05,
            foreground_masking=kind == "fg",
            official_quirks=True,
        )
        picture = _picture(tensors, "in", tensors["in.w2c0"][0], camera[0], config)
        views = warp_picture(picture, targets[frames], camera.expand(len(frames), 4), config)
        golden_views = CacheViews(
            tensors.get(f"{name}.rgb", views.pixels[:, 0])[:, None],
            tensors[f"{name}.depth"][:, None],
            tensors[f"{name}.mask"] > 0,
        )
        own = [_is_own(tensors["in.w2c0"][0], targets[i]) for i in frames]
        yield from _compare_views(name, views, golden_views, own=any(own), foreground=kind == "fg")


def _caches(tensors: dict[str, Tensor], camera: Tensor) -> Iterator[Comparison]:
    for name in sorted(
        n.removesuffix(".pixels") for n in tensors if re.fullmatch(r"cache[34]d\..*\.pixels", n)
    ):
        config = CacheConfig(foreground_masking=".fg1" in name, official_quirks=True)
        views, sources = _render_cache(tensors, name, camera, config)
        pixels, masks = tensors[f"{name}.pixels"][0], tensors[f"{name}.masks"][0, :, :, 0] > 0
        targets = tensors["in4d.target_w2c" if name.startswith("cache4d") else "in.target_w2c"]
        for f in range(len(masks)):
            for n in range(masks.shape[1]):
                one = CacheViews(*(x[f, n][None, None] for x in (views.pixels, views.depth, views.mask)))
                wanted = CacheViews(pixels[f, n][None, None], one.depth, masks[f, n][None, None])
                own = _is_own(sources[n] if len(sources) == masks.shape[1] else sources[f], targets[f])
                yield from _compare_views(
                    f"{name}[{f},{n}]",
                    one,
                    wanted,
                    own=own,
                    foreground=config.foreground_masking,
                    depth=False,
                )


def _render_cache(
    tensors: dict[str, Tensor], name: str, camera: Tensor, config: CacheConfig
) -> tuple[CacheViews, list[Tensor]]:
    """Return what the cache of that name shows, and the w2c of its pictures."""
    if name.startswith("cache4d"):
        images, depths, w2c = tensors["in4d.images"], tensors["in4d.depths"][:, 0], tensors["in4d.w2c"]
        cameras = camera.expand(len(images), 4)
        video = Cache4D(images, depths, w2c, cameras, config=config)
        return video.render(tensors["in4d.target_w2c"], cameras), list(w2c)
    targets, first = tensors["in.target_w2c"], tensors["in.w2c0"][0]
    cache = Cache3D(tensors["in.image"][0], tensors["in.depth"][0, 0], first, camera[0], config=config)
    sources = [first]
    if name.endswith("n2_after_update"):
        cache.update(tensors["in2.image"][0], tensors["in2.depth"][0, 0], targets[1], camera[0], align=None)
        sources.insert(0, targets[1])
    return cache.render(targets, camera.expand(len(targets), 4)), sources


def _alignment(tensors: dict[str, Tensor], camera: Tensor) -> Iterator[Comparison]:
    mask = tensors["align.mask"] > 0
    for method, gate in (("rigid", {"gate": 1e-3}), ("non_rigid", {"gate": 1e-6, "relative": 5e-3})):
        aligned = align_depth(
            tensors["align.source"],
            tensors["align.target"],
            mask,
            camera[0],
            method=method,  # type: ignore[arg-type]
            official_quirks=True,
        )
        name = f"align.{method}"
        yield compare(name, aligned[mask], tensors[name][mask], **gate)


def _picture(
    tensors: dict[str, Tensor], prefix: str, w2c: Tensor, camera: Tensor, config: CacheConfig
) -> CachedPicture:
    image, depth = tensors[f"{prefix}.image"][0], tensors[f"{prefix}.depth"][0, 0]
    return CachedPicture.from_depth(image, depth, w2c, camera, None, config)


def _compare_views(
    name: str, ours: CacheViews, golden_views: CacheViews, *, own: bool, foreground: bool, depth: bool = True
) -> Iterator[Comparison]:
    """Compare masks by the share of pixels that differ, and the rest where both masks are on."""
    gate = _MASK_GATES["own"] if own else _MASK_GATES["fg" if foreground else "plain"]
    differing = float((ours.mask != golden_views.mask).float().mean())
    yield Comparison(f"{name}.mask", differing, f"{gate:.1%} of pixels", differing <= gate)
    both = ours.mask & golden_views.mask
    yield _agreement(f"{name}.rgb", (ours.pixels - golden_views.pixels).abs().amax(dim=2)[both])
    if depth:
        yield _agreement(f"{name}.depth", (ours.depth - golden_views.depth).abs()[both])


def _agreement(name: str, errors: Tensor) -> Comparison:
    """Gate the share of pixels within 1e-3; what is shown is the error below which that share lies."""
    if not len(errors):
        return failure(name, "no pixel is on in both masks")
    bound = float(torch.quantile(errors.double(), _LEAST_AGREEING_SHARE))
    words = f"{_LEAST_AGREEING_SHARE:.1%} within {_WARP_TOLERANCE:.0e}"
    return Comparison(
        name, bound, words, bool((errors < _WARP_TOLERANCE).double().mean() >= _LEAST_AGREEING_SHARE)
    )


def _is_own(source_w2c: Tensor, target_w2c: Tensor) -> bool:
    return bool((target_w2c @ torch.linalg.inv(source_w2c) - torch.eye(4)).abs().max() < _OWN_VIEW)


def _intrinsics(matrices: Tensor) -> Tensor:
    """Return fx, fy, cx, cy [px], (..., 4), of matrices (..., 3, 3)."""
    return torch.stack(
        [matrices[..., 0, 0], matrices[..., 1, 1], matrices[..., 0, 2], matrices[..., 1, 2]], dim=-1
    )
