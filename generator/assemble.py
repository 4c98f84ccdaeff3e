"""From Gaussians to a scene: measured, with a collider and a labelled proxy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from generator import metrics
from generator.cameras import Cameras
from generator.render import render_views
from generator.request import Run
from generator.teachers.teacher import Clip, TeacherVideo
from lyra_sim.collider.floor import drop_unused
from lyra_sim.collider.fuse import ColliderConfig, fuse_depth
from lyra_sim.collider.labels import label_mesh
from lyra_sim.collider.tsdf import DepthViews
from lyra_sim.errors import LyraSimError
from lyra_sim.gaussians import Gaussians
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh

COLLIDER_STRIDE = 4
"""Every n-th input frame gives a depth map to the collider."""


def assemble(run: Run, video: TeacherVideo, gaussians: Gaussians, *, unit: float = 1.0) -> Scene:
    """Measure the Gaussians and give them a collider and a proxy, all in the frame and unit of the video.

    Args:
        run: Takes the report.
        video: What the Gaussians were decoded from.
        gaussians: Gaussians in the video's world frame.
        unit: Metres in the video's unit of length, for the report.
    """
    with run.clock.stage("scene"):
        if video.held_out is not None:
            run.progress.update("scene", 0.5, "comparing with held-out views")
            run.report["metrics"] = measure(gaussians, video.held_out)
    if run.request.collider == "none":
        return Scene(gaussians, instances=video.instances)
    with run.clock.stage("collider"):
        run.progress.update("collider", 0.0, "rendering depth from the Gaussians")
        views, alphas, labels = depth_views(gaussians, video)
        run.progress.update("collider", 0.4, "fusing depth into a mesh")
        mesh, report = fuse_depth(
            views.depth,
            alphas,
            views.c2w,
            views.intrinsics,
            config=ColliderConfig(faces=run.request.collider_faces),
        )
        run.report["collider"] = asdict(report.scaled(unit))
        run.progress.update("collider", 0.9, "labelling the mesh")
        proxy = make_proxy(run, mesh, views, labels, video.classes) if run.request.proxy else None
        if run.request.collider == "world":
            # The proxy stays the fused one: it goes with what the splats show.
            if video.surface is None:
                raise LyraSimError(
                    f"--collider world: teacher {video.source['teacher']} has no exact surface; use fused"
                )
            mesh = drop_unused(video.surface)
    return Scene(
        gaussians,
        collider=mesh,
        proxy=proxy,
        collider_kind=run.request.collider,
        instances=video.instances,
    )


def make_proxy(
    run: Run,
    mesh: TriangleMesh,
    views: DepthViews,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
) -> LabelledMesh:
    """Return the fused mesh with the teacher's labels (V, H, W), or wholly unlabelled where it has none."""
    if labels is None or not run.request.labels:
        return LabelledMesh(mesh.vertices, mesh.faces, np.zeros(len(mesh.faces), np.int32), ("unlabelled",))
    return label_mesh(mesh, labels, views, classes)


def depth_views(
    gaussians: Gaussians, video: TeacherVideo
) -> tuple[DepthViews, np.ndarray, np.ndarray | None]:
    """Render depth and opacity from the Gaussians at some input cameras; labels are the teacher's there."""
    picked = [
        (clip, slice(0 if i == 0 else COLLIDER_STRIDE, None, COLLIDER_STRIDE))
        for i, clip in enumerate(video.clips)
    ]
    cameras = Cameras.joined(clip.cameras.select(s) for clip, s in picked)
    c2w, intrinsics = cameras.c2w, cameras.intrinsics
    rendered = render_views(gaussians, c2w, intrinsics, height=cameras.height, width=cameras.width)
    labels = None
    if all(clip.labels is not None for clip in video.clips):
        labels = np.concatenate([clip.labels[s] for clip, s in picked if clip.labels is not None])
    # The median does not smear across the edges of objects as the expected depth does.
    return DepthViews(rendered.median_depth.numpy(), c2w, intrinsics), rendered.alpha.numpy(), labels


def measure(gaussians: Gaussians, held_out: Clip) -> dict[str, Any]:
    """Compare renders with the teacher at cameras that nothing was decoded from."""
    cameras = held_out.cameras
    views = render_views(
        gaussians, cameras.c2w, cameras.intrinsics, height=cameras.height, width=cameras.width
    )
    truth = held_out.rgb.astype(np.float32) / 255
    rgb, depth = views.rgb.numpy(), views.depth.numpy()
    return {
        "held_out_views": len(cameras),
        "psnr_db": round(metrics.mean_psnr(rgb, truth), 3),
        "ssim": round(metrics.mean_ssim(rgb, truth), 4),
        "relative_depth_error": round(metrics.relative_depth_error(depth, held_out.depth), 5),
        "mean_alpha": round(float(views.alpha.mean()), 4),
    }
