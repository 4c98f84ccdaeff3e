"""`lyra-sim convert`: any file of Gaussians to a scene that simulates, or to another file of Gaussians."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lyra_sim.commands.options import add_collider_shape, add_target, add_up_axis, parse_axes
from lyra_sim.gaussians import Gaussians

EPILOG = """\
examples:
  lyra-sim convert capture.ply scene.usdz --up-axis=-y:z --height-of-camera 1.5
  lyra-sim convert capture.ply scene.usdz --up-axis=-y:z --level --camera transforms.json --depth depth.png
  lyra-sim convert scene.usdz old.usdz --target isaac-5
  lyra-sim convert scene.usdz splats.ply
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `convert` command."""
    parser = subparsers.add_parser(
        "convert",
        help="convert Gaussians (.ply, .spz, Lyra tensors, USD) to a scene or to each other",
        description="Convert between .usdz, .ply, .spz and Lyra tensors, and give Gaussians what simulation needs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", type=Path, metavar="IN", help=".ply, .spz, .safetensors, .pt, .npy, .usdz or .usd"
    )
    parser.add_argument("output", type=Path, metavar="OUT", help=".usdz, .ply, .spz or .safetensors")
    add_target(parser)
    parser.add_argument(
        "--half", action="store_true", help="particle field in float16: half the size, not clean for VG.035"
    )
    add_up_axis(parser)
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="M", help="metres per unit of the input (1)"
    )
    parser.add_argument(
        "--height-of-camera",
        type=float,
        metavar="METRES",
        help="true height above the floor of the first camera, the input's origin; levels the floor and sets the scale",
    )
    parser.add_argument(
        "--camera",
        metavar="JSON",
        help="nerfstudio transforms.json, in the input's own frame, of cameras that saw metric depth: sets the scale",
    )
    parser.add_argument(
        "--depth",
        metavar="FILE",
        help="metric depth of --camera: 16-bit PNG, EXR, NPY (those that its frames name)",
    )
    parser.add_argument(
        "--depth-unit",
        choices=("mm", "m"),
        help="unit of the depth (whole numbers: mm, floating-point ones: m)",
    )
    parser.add_argument("--level", action="store_true", help="find the floor and move it to z = 0")
    parser.add_argument(
        "--sh-degree", type=int, choices=(0, 3), help="drop colours' view dependence, or pad to 3"
    )
    parser.add_argument(
        "--drop-floaters", action="store_true", help="leave out Gaussians that float in the air"
    )
    parser.add_argument(
        "--collider",
        default="auto",
        metavar="auto|world|none|MESH",
        help="auto: the input's, else fused from splat depth; world: the input's exact one; MESH: .glb, .obj (auto)",
    )
    parser.add_argument(
        "--collider-voxel",
        type=float,
        default=0.04,
        metavar="METRES",
        help="resolution of a fused collider (0.04)",
    )
    add_collider_shape(parser)
    parser.add_argument(
        "--labels",
        default="keep",
        metavar="keep|none|CLASS|FILE",
        help="keep the input's; one class for all; a .json that renames classes; a .glb with named objects (keep)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert and report."""
    from lyra_sim.convert import ConvertConfig, convert

    config = ConvertConfig(
        target=args.target,
        half=args.half,
        up_axis=parse_axes(args.up_axis),
        scale=args.scale,
        camera_height=args.height_of_camera,
        camera=args.camera,
        depth=args.depth,
        depth_unit=args.depth_unit,
        level=args.level,
        sh_degree=args.sh_degree,
        drop_floaters=args.drop_floaters,
        collider=args.collider,
        collider_voxel=args.collider_voxel,
        collider_faces=args.collider_faces,
        collider_approximation=args.collider_approx,
        labels=args.labels,
    )
    report = convert(args.input, args.output, config=config, render=render_depth)
    if args.json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
        return 0
    lines = [f"{args.output}: {report.gaussians} Gaussians, SH degree {report.sh_degree}"]
    if args.output.suffix.lower() == ".usdz":
        lines.append(f"collider: {report.collider_kind}")
    if report.collider is not None:
        fused = report.collider
        lines.append(
            f"  {fused.faces} faces; from the splats' depth {fused.median_cm:.1f} cm (median) and "
            f"{fused.p95_cm:.1f} cm (95th percentile); holes {fused.hole_share:.1%}"
        )
    if report.ground is not None:
        ground = report.ground
        lines.append(f"floor: was tilted {ground.tilt_degrees:.1f} degrees")
        if ground.scale_uncertainty is not None:
            lines.append(
                f"scale: {ground.scale:.4g} +- {ground.scale_uncertainty:.1%} from the camera's height"
            )
    if report.metric is not None:
        metric = report.metric
        lines.append(
            f"scale: {metric.scale:.4g} +- {metric.uncertainty:.1%} from the depth of {metric.views} view(s); half of "
            f"{metric.pixels} pixels agree to {metric.spread:.1%}"
        )
    sys.stderr.write("\n".join([*lines, *report.notes]) + "\n")
    return 0


def render_depth(
    gaussians: Gaussians, c2w: np.ndarray, intrinsics: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Render median z-depth [m] and alpha with the generator's renderer, which needs torch."""
    from generator.render import render_views

    views = render_views(gaussians, c2w, intrinsics, height=height, width=width)
    return views.median_depth.numpy(), views.alpha.numpy()
