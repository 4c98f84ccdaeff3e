"""Load a generated scene into Isaac Sim and save what a camera sees.

    ./python.sh standalone/load_scene.py scene.usdz --out view.png

Written from NVIDIA's documentation and examples for Isaac Sim 5.0 to 6.2; see docs/isaac-sim.md for what has been
run and what has not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from isaac import EYE_HEIGHT_M, existing_scene, fail, floor_place, load, start, writable_file

CAMERA_PATH = "/World/Camera"


def parse(argv: list[str]) -> argparse.Namespace:
    """Read our options; Isaac Sim reads the others itself."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scene", type=existing_scene, help="the scene, *.usdz")
    parser.add_argument(
        "--out", type=writable_file(".png"), required=True, help="the picture to write, *.png"
    )
    parser.add_argument(
        "--size", type=picture_size, default=(1280, 720), metavar="WxH", help="pixels (1280x720)"
    )
    parser.add_argument("--eye", type=float, nargs=3, metavar=("X", "Y", "Z"), help="camera position [m]")
    parser.add_argument("--target", type=float, nargs=3, metavar=("X", "Y", "Z"), help="point looked at [m]")
    parser.add_argument(
        "--subframes", type=int, default=64, help="renderer samples per picture (64; at least 36)"
    )
    parser.add_argument("--gui", action="store_true", help="show the window, and keep it open")
    args, _ = parser.parse_known_args(argv)
    if args.subframes < 1:
        parser.error(f"--subframes {args.subframes}: must be at least 1")
    return args


def picture_size(text: str) -> tuple[int, int]:
    """Read a size such as 1280x720."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 16):
        raise argparse.ArgumentTypeError(f"{text}: write it like 1280x720")
    if max(int(width), int(height)) > 8192:
        raise argparse.ArgumentTypeError(f"{text}: at most 8192 pixels a side")
    return int(width), int(height)


def add_camera(stage: Any, args: argparse.Namespace) -> None:
    """Put a camera into the stage: where the options say, or at eye height over a free place of the floor."""
    from pxr import Gf, UsdGeom

    if args.eye is None or args.target is None:
        spot, along = floor_place(stage, radius=0.2, height=EYE_HEIGHT_M)
        eye = Gf.Vec3d(*(args.eye or spot.tolist()))
        if args.eye is None:
            eye[2] += EYE_HEIGHT_M
        target = Gf.Vec3d(*args.target) if args.target else eye + Gf.Vec3d(*along.tolist())
    else:
        eye, target = Gf.Vec3d(*args.eye), Gf.Vec3d(*args.target)
    up = Gf.Vec3d(0, 0, 1) if abs((target - eye).GetNormalized()[2]) < 0.999 else Gf.Vec3d(0, 1, 0)
    camera = UsdGeom.Camera.Define(stage, CAMERA_PATH)
    camera.MakeMatrixXform().Set(Gf.Matrix4d().SetLookAt(eye, target, up).GetInverse())
    camera.CreateClippingRangeAttr(Gf.Vec2f(0.05, 1000.0))


def save_picture(app: Any, args: argparse.Namespace) -> None:
    """Render with Replicator; splats give a meaningful RGB picture only, so that is all that is asked for."""
    import numpy as np
    import omni.replicator.core as rep
    from PIL import Image

    product = rep.create.render_product(CAMERA_PATH, args.size)
    annotator = rep.AnnotatorRegistry.get_annotator("rgb")
    annotator.attach([product])
    for _ in range(8):
        app.update()
    rep.orchestrator.step(rt_subframes=args.subframes)
    picture = np.asarray(annotator.get_data())
    if picture.ndim != 3 or not picture.size or picture[..., :3].std() < 1.0:
        fail("the renderer gave an empty picture; render products of splat scenes can be empty, try --gui")
    Image.fromarray(picture[..., :3].astype(np.uint8)).save(args.out)


def main() -> int:
    """Load, look, save."""
    args = parse(sys.argv[1:])
    app = start(headless=not args.gui)
    try:
        stage = load(args.scene, app)
        add_camera(stage, args)
        save_picture(app, args)
        sys.stdout.write(f"{Path(args.out)}\n")
        while args.gui and app.is_running():
            app.update()
    finally:
        app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
