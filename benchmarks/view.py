"""Open a page of `lyra-sim view --html` in Chromium and compare what it draws with our own renderer.

Run `python -m benchmarks.view SCENE [--cameras transforms.json] [--out benchmarks/results/view.md] [--pictures DIR]`.
It needs Chromium (Debian's package will do) and `pip install playwright`, which drives it; WebGL runs in software.

Fails when a picture is below `LEAST_PSNR` or `LEAST_SSIM`, when the page asks for anything outside itself or writes
an error to the console, when a layer draws nothing, when a distance measured by two clicks is not the one that the
collider's triangles give, or when walking does not move the camera.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.render import processor
from benchmarks.report import report
from generator.metrics import psnr, ssim
from generator.render import render_views
from lyra_sim.frusta import Frustum
from lyra_sim.viewer.exhibit import Exhibit, open_exhibit
from lyra_sim.viewer.page import write_page
from lyra_sim.viewer.rays import mesh_depth

LEAST_PSNR = 36.0
"""Lowest PSNR of a page's picture against our renderer's [dB]."""
LEAST_SSIM = 0.97

WIDTH, HEIGHT = 320, 176
WINDOW = (960, 540)
BROWSER_OPTIONS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
PATIENCE = 240
"""Longest wait for the page on a busy machine without a GPU [s]."""


class Page:
    """Drive one page through the DevTools protocol, which its content security policy does not bind."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.session = page.context.new_cdp_session(page)
        self.complaints: list[str] = []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("request", lambda r: self._asked(r.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"asked for {url[:80]}")

    def open(self, path: Path) -> float:
        """Open a file and return the seconds until its first whole picture."""
        start = time.perf_counter()
        self.page.goto(path.absolute().as_uri(), timeout=1000 * PATIENCE)
        self.page.wait_for_selector("#loading", state="detached", timeout=1000 * PATIENCE)
        return time.perf_counter() - start

    def evaluate(self, script: str) -> Any:
        """Return the value of a script, awaited."""
        answer = self.session.send(
            "Runtime.evaluate", {"expression": script, "awaitPromise": True, "returnByValue": True}
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def picture(self) -> np.ndarray:
        """Return the window as it is, (H, W, 3) uint8."""
        data = self.session.send("Page.captureScreenshot", {"format": "png"})["data"]
        return _decode(data)

    def press(self, key: str, *, held: float = 0.0) -> None:
        """Press a key, hold it for some seconds, and wait for the picture."""
        code = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}"
        self.session.send("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "code": code})
        time.sleep(held)
        self.session.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key, "code": code})
        self.evaluate("lyraSim.settled()")

    def click(self, x: float, y: float) -> None:
        """Click at a place of the window [px]."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = "none" if kind == "mouseMoved" else "left"
            event = {"type": kind, "x": x, "y": y, "button": button, "clickCount": 1}
            self.session.send("Input.dispatchMouseEvent", event)

    def camera(self) -> tuple[np.ndarray, float]:
        """Return the pose as it stands, OpenCV axes, (4, 4), and the vertical field of view [rad]."""
        found = self.evaluate("lyraSim.camera()")
        return np.array(found["c2w"]), float(np.radians(found["fov"]))

    def show(self, camera: Frustum) -> np.ndarray:
        """Return the scene without overlays on white as a camera sees it, (H, W, 3) uint8."""
        c2w = camera.c2w.tolist()
        script = (
            f"lyraSim.show({{c2w: {c2w}, fy: {camera.focal[1]}, width: {camera.width}, "
            f'height: {camera.height}, background: "#ffffff"}})'
        )
        return _decode(self.evaluate(script).partition(",")[2])


def _decode(data: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@contextmanager
def browser_page() -> Iterator[Page]:
    """Yield an empty page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium on the path: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(BROWSER_OPTIONS))
        width, height = WINDOW
        yield Page(browser.new_page(viewport={"width": width, "height": height}))
        browser.close()


def views(exhibit: Exhibit, count: int = 3) -> list[Frustum]:
    """Return cameras of a small size spread over the scene's own; the first view turned aside stands in."""
    own = list(exhibit.cameras) or [exhibit.begin]
    picked = [own[i] for i in np.linspace(0, len(own) - 1, count).round().astype(int)]
    return [Frustum(c.name, c.c2w, (c.focal[0] * WIDTH / c.width,) * 2, WIDTH, HEIGHT) for c in picked]


def ours(exhibit: Exhibit, cameras: list[Frustum]) -> np.ndarray:
    """Return our renderer's pictures on white, (V, H, W, 3) float in [0, 1]."""
    c2w = np.stack([c.c2w for c in cameras])
    intrinsics = np.array([[*c.focal, WIDTH / 2, HEIGHT / 2] for c in cameras])
    rendered = render_views(exhibit.scene.gaussians, c2w, intrinsics, height=HEIGHT, width=WIDTH)
    return rendered.rgb.numpy().clip(0, 1)


def check_layers(page: Page, exhibit: Exhibit, pictures: Path | None) -> tuple[list[str], list[str]]:
    """Return what each layer changes in the window, and which draw nothing."""
    present = {
        "collider": ("c", exhibit.scene.collider is not None),
        "labels": ("l", exhibit.scene.proxy is not None),
        "cameras": ("v", bool(exhibit.cameras)),
        "grid": ("g", True),
    }
    before, rows, failures = page.picture().astype(int), [], []
    for name, (key, there) in present.items():
        if not there:
            continue
        page.press(key)
        picture = page.picture()
        changed = float((np.abs(picture - before).max(axis=-1) > 8).mean())
        if pictures:
            _save(pictures / f"window_{name}.png", picture / 255.0)
        rows.append(f"{name} changes {changed:.1%} of the window")
        if changed < 0.002:
            failures.append(f"{name} draws nothing")
        page.press(key)
    return rows, failures


def check_measure(page: Page, exhibit: Exhibit) -> tuple[list[str], list[str]]:
    """Measure by two clicks and compare with the collider's triangles."""
    if exhibit.scene.collider is None:
        return [], []
    c2w, fov = page.camera()
    width, height = WINDOW
    focal = height / 2 / np.tan(fov / 2)
    mesh, points = exhibit.scene.collider, []
    page.press("m")
    for x, y in ((0.42 * width, 0.5 * height), (0.55 * width, 0.45 * height)):
        page.click(x, y)
        ray = c2w[:3, :3] @ [(x - width / 2) / focal, (y - height / 2) / focal, 1.0]
        distance = mesh_depth(mesh.vertices, mesh.faces, c2w[:3, 3], ray)
        points.append(c2w[:3, 3] + (distance or np.nan) * ray / np.linalg.norm(ray))
    page.evaluate("lyraSim.settled()")
    shown = str(page.evaluate("document.getElementById('distance').textContent"))
    page.press("m")
    expected = float(np.linalg.norm(points[1] - points[0]))
    row = f"two clicks measure {shown}, the collider's triangles {expected:.3f} m"
    agree = shown.endswith(" m") and abs(float(shown[:-2]) - expected) < 0.01
    return [row], [] if agree else [row]


def check_walk(page: Page) -> tuple[list[str], list[str]]:
    """Walk ahead for a second."""
    before = page.camera()[0]
    page.press("2")
    page.press("w", held=1.0)
    step = page.camera()[0][:3, 3] - before[:3, 3]
    page.press("r")
    page.press("1")
    row = f"W held for a second walks {np.linalg.norm(step):.2f} m"
    ahead = float(step @ before[:3, 2])
    return [row], [] if ahead > 0.03 and abs(step[2]) < 1e-6 else [row]


def check_pictures(
    page: Page, exhibit: Exhibit, cameras: list[Frustum], pictures: Path | None
) -> tuple[list[str], list[str]]:
    """Compare the page's pictures with our renderer's."""
    rows, failures = [], []
    for number, (camera, reference) in enumerate(zip(cameras, ours(exhibit, cameras), strict=True)):
        drawn = page.show(camera) / 255.0
        decibels, similarity = psnr(drawn, reference), ssim(drawn, reference)
        rows.append(f"camera {camera.name or number}: PSNR {decibels:.1f} dB, SSIM {similarity:.4f}")
        if decibels < LEAST_PSNR or similarity < LEAST_SSIM:
            failures.append(rows[-1])
        if pictures:
            both = np.concatenate([drawn, reference, np.abs(drawn - reference) * 4], axis=1)
            _save(pictures / f"compared_{number}.png", both)
    return rows, failures


def run(exhibit: Exhibit, pictures: Path | None) -> tuple[list[str], list[str]]:
    """Return what was measured and what is not as it should be."""
    cameras = views(exhibit)
    with tempfile.TemporaryDirectory() as folder, browser_page() as page:
        target = Path(folder) / "page.html"
        size = write_page(target, exhibit)
        seconds = page.open(target)
        counts = f"{len(exhibit.scene.gaussians):,} Gaussians; page of {size / 1e6:.2f} MB"
        rows = [f"{counts}; first picture at {WINDOW[0]}x{WINDOW[1]} after {seconds:.1f} s"]
        if pictures:
            _save(pictures / "window.png", page.picture() / 255.0)
        failures: list[str] = []
        for found, wrong in (
            check_layers(page, exhibit, pictures),
            check_measure(page, exhibit),
            check_walk(page),
            check_pictures(page, exhibit, cameras, pictures),
        ):
            rows, failures = rows + found, failures + wrong
        version = page.page.context.browser.version
        rows.append(
            f"Chromium {version}, software WebGL; complaints of the page: {page.complaints or 'none'}"
        )
        return rows, failures + page.complaints


def main() -> int:
    """Print what was found, write it where `--out` says, and return 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene", type=Path)
    parser.add_argument("--cameras", type=Path, help="transforms.json")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures that were compared")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    rows, failures = run(open_exhibit(options.scene, cameras=options.cameras), options.pictures)
    verdict = f"FAILED: {'; '.join(failures)}" if failures else "All as it should be."
    head = (
        f"`python -m benchmarks.view` on a scene of `lyra-sim gen`, {datetime.date.today()}; {processor()}, "
        f"{os.cpu_count()} cores. It fails below {LEAST_PSNR:.0f} dB or SSIM {LEAST_SSIM}."
    )
    text = "\n".join([head, "", *(f"- {row}" for row in rows), "", verdict]) + "\n"
    report(text, options.out)
    return 1 if failures else 0


def _save(path: Path, picture: np.ndarray) -> None:
    Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8)).save(path)


if __name__ == "__main__":
    sys.exit(main())
