"""Let Newton, an independent simulator, load our scenes and ray-trace their splats, and compare with our renderer.

Run `python -m benchmarks.newton SCENE.usdz ... --newton PYTHON [--out benchmarks/results/newton.md]`. PYTHON is the
interpreter of an environment with `newton`, `usd-core`, `scipy` and `newton-usd-schemas`, which pin their own numpy.
Newton reads the file with its own importer and renders on the CPU with warp, whose kernels compile for some minutes the
first time. Cameras are those of three camera paths of the scene, from `--keep`'s `transforms.json`. Newton divides
colour by opacity, so ours is divided too; compared are the pixels where our opacity is at least 0.99.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.report import report
from generator.render import render_views
from lyra_sim.gaussians import Gaussians
from lyra_sim.usd.reader import read_usd

WIDTH, HEIGHT = 160, 88
FINE = 5
"""Our picture is also rendered this many times larger, of which the pixels at Newton's rays are taken."""

CUTS = {"as it is": 0.1, "wider": 0.01}
"""Response at which Newton ends a splat; 0.1 is what its importer sets."""

CHILD = """
import json, sys
import numpy as np
import warp as wp
import newton
from newton.sensors import SensorCamera
from pxr import Usd

scene, data, out, cuts = sys.argv[1], np.load(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
builder = newton.ModelBuilder()
builder.add_usd(scene)
splats = [i for i, s in enumerate(builder.shape_source) if isinstance(s, newton.Gaussian)]
collides = newton.ShapeFlags.COLLIDE_SHAPES
meshes = [s for s, f in zip(builder.shape_source, builder.shape_flags) if isinstance(s, newton.Mesh) and f & collides]
facts = {
    "gaussians": sum(len(builder.shape_source[i].positions) for i in splats),
    "faces": sum(len(m.indices) // 3 for m in meshes),
}
stage = Usd.Stage.Open(scene)
images, depths = [], []
for cut in cuts:
    for i in splats:
        builder.shape_source[i] = newton.Gaussian.create_from_usd(stage.GetPrimAtPath(builder.shape_label[i]), cut)
    model = builder.finalize(device="cpu")
    state, camera = model.state(), SensorCamera(model)
    config = SensorCamera.RenderConfig()
    config.gaussians_mode = SensorCamera.GaussianRenderMode.QUALITY
    for position, quaternion, directions in zip(data["position"], data["quaternion"], data["directions"]):
        height, width = directions.shape[:2]
        bundle = np.zeros((height, width, 1, 2, 3), np.float32)
        bundle[:, :, 0, 1] = directions
        rays = wp.array(bundle, dtype=wp.vec3f, device="cpu")
        pose = wp.transformf(wp.vec3f(*position.tolist()), wp.quatf(*quaternion.tolist()))
        colour = camera.allocate_image_color(1, width, height)
        depth = camera.allocate_image_depth_forward(1, width, height)
        poses = wp.array([pose], dtype=wp.transformf, device="cpu")
        camera.update(state, poses, rays, color_image=colour, forward_depth_image=depth, render_config=config)
        images.append(colour.numpy()[0].view(np.uint8).reshape(height, width, 4)[..., :3])
        depths.append(depth.numpy()[0])
np.savez(out, images=np.stack(images), depths=np.stack(depths))
print(json.dumps(facts))
"""


def cameras_of(keep: Path, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return OpenCV poses (3, 4, 4) and intrinsics (3, 4) of three frames of a kept scene, scaled to the image."""
    data = json.loads((keep / "transforms.json").read_text())
    frames = data["frames"]
    chosen = [frames[i] for i in (0, len(frames) // 3, 2 * len(frames) // 3)]
    c2w = np.array([f["transform_matrix"] for f in chosen], np.float64)
    # The file's cameras look along -z with y up; ours along z with y down.
    c2w[:, :3, 1:3] *= -1
    keys = ("fl_x", "fl_y", "cx", "cy")
    intrinsics = np.array([[frame.get(k, data.get(k)) for k in keys] for frame in chosen], np.float64)
    return c2w, intrinsics * np.tile([width / data["w"], height / data["h"]], 2)


def ray_directions(intrinsics: np.ndarray) -> np.ndarray:
    """Return unit rays through the pixel centres in OpenGL camera axes, (H, W, 3)."""
    fx, fy, cx, cy = intrinsics
    u, v = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([(u - cx) / fx, -(v - cy) / fy, -np.ones_like(u)], axis=-1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def newton_images(
    python: str, scene: Path, c2w: np.ndarray, intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Return Newton's images (cuts, V, H, W, 3) in [0, 1], its z-depth [m] and what it found in the file."""
    from scipy.spatial.transform import Rotation

    opengl = c2w[:, :3, :3] * np.array([1.0, -1.0, -1.0])
    with tempfile.TemporaryDirectory() as folder:
        cameras, out = Path(folder) / "cameras.npz", Path(folder) / "images.npz"
        np.savez(
            cameras,
            position=c2w[:, :3, 3],
            quaternion=Rotation.from_matrix(opengl).as_quat(),
            directions=np.stack([ray_directions(one) for one in intrinsics]),
        )
        cuts = json.dumps(list(CUTS.values()))
        arguments = [python, "-c", CHILD, str(scene.absolute()), str(cameras), str(out), cuts]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"Newton failed:\n{done.stderr[-3000:]}")
        with np.load(out) as images:
            colour = images["images"].reshape(len(CUTS), len(c2w), HEIGHT, WIDTH, 3) / 255.0
            depth = images["depths"].reshape(len(CUTS), len(c2w), HEIGHT, WIDTH)
        return colour, depth, json.loads(done.stdout.splitlines()[-1])


def our_images(
    gaussians: Gaussians, c2w: np.ndarray, intrinsics: np.ndarray, factor: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return colour (V, H, W, 3) by opacity, opacity and depth at every pixel's centre, rendered `factor` times larger.

    A renderer of images widens splats to about a pixel, which a ray tracer does not; larger pixels, larger effect.
    """
    large = render_views(gaussians, c2w, intrinsics * factor, height=HEIGHT * factor, width=WIDTH * factor)
    middle = slice(factor // 2, None, factor)
    alpha = large.alpha.numpy()[:, middle, middle]
    rgb = large.rgb.numpy()[:, middle, middle] - (1 - alpha[..., None])
    return (
        np.clip(rgb / np.maximum(alpha, 1e-6)[..., None], 0, 1),
        alpha,
        large.median_depth.numpy()[:, middle, middle],
    )


def measure(scene: Path, keep: Path, python: str, pictures: Path | None) -> list[str]:
    """Return the table rows of one scene, one per cut."""
    held = read_usd(scene)
    c2w, intrinsics = cameras_of(keep, WIDTH, HEIGHT)
    same, alpha, _ = our_images(held.gaussians, c2w, intrinsics, 1)
    fine, _, median = our_images(held.gaussians, c2w, intrinsics, FINE)
    theirs, depth, facts = newton_images(python, scene, c2w, intrinsics)
    solid = alpha >= 0.99
    faces = len(held.collider.faces) if held.collider else 0
    loaded = f"{facts['gaussians']} of {len(held.gaussians)} | {facts['faces']} of {faces}"
    rows = []
    for cut, image, z in zip(CUTS, theirs, depth, strict=True):
        psnr = [-10 * np.log10(np.mean((ours - image)[solid] ** 2)) for ours in (same, fine)]
        seen = solid & (z > 0)
        gap = np.median(np.abs(z - median)[seen] / median[seen])
        rows.append(
            f"| {scene.stem} | {loaded} | {cut} ({CUTS[cut]}) | {psnr[0]:.1f} | {psnr[1]:.1f} | {gap:.2%} |"
        )
    if pictures:
        from PIL import Image

        lines = [np.concatenate(list(images), axis=1) for images in (same, fine, *theirs)]
        Image.fromarray((np.concatenate(lines) * 255).astype(np.uint8)).save(pictures / f"{scene.stem}.png")
    return rows


def main() -> None:
    """Measure and print or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scenes", type=Path, nargs="+", metavar="SCENE", help="a .usdz; SCENE's folder holds KEEP"
    )
    parser.add_argument(
        "--keep", type=Path, nargs="+", required=True, metavar="DIR", help="what gen --keep left"
    )
    parser.add_argument("--newton", required=True, metavar="PYTHON", help="interpreter that has newton")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="also write both images side by side there"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="write the table there")
    args = parser.parse_args()
    rows = [
        row
        for scene, keep in zip(args.scenes, args.keep, strict=True)
        for row in measure(scene, keep, args.newton, args.pictures)
    ]
    table = [
        f"{WIDTH}x{HEIGHT} pixels, three cameras of the input paths; {platform.machine()}, CPU.",
        "Newton's mode is QUALITY.",
        f"PSNR against our renderer at that size, and at {FINE} times the size, sampled at Newton's rays.",
        "",
        "| scene | Gaussians loaded | collider faces loaded | Newton's cut | PSNR [dB] | PSNR, fine [dB] | depth off |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
    ]
    text = "\n".join(table) + "\n"
    report(text, args.out)


if __name__ == "__main__":
    main()
