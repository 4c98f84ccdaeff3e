"""The EWA renderer as one writes it in Taichi: a twin to time against, not a backend.

Projection and its adjoint (Taichi's automatic one) run over Gaussians, compositing and its hand-written
adjoint over pixels with atomic sums; sorting and binning into 16x16 tiles are numpy's. Pinhole, RGB,
expected depth and alpha, white background.

Taichi reads annotations as objects, so this file does without `from __future__ import annotations`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import taichi as ti

TILE = 16
SPLAT = 7
"""Columns of a splat: x, y, conic xx, xy, yy, camera z, radius."""
F1, F2 = ti.types.ndarray(dtype=ti.f32, ndim=1), ti.types.ndarray(dtype=ti.f32, ndim=2)
I1, F3 = ti.types.ndarray(dtype=ti.i32, ndim=1), ti.types.ndarray(dtype=ti.f32, ndim=3)


@ti.kernel
def project(means: F2, scales: F2, quats: F2, opacities: F1, view: F1, splats: F2):  # type: ignore[no-untyped-def, valid-type]
    for i in range(means.shape[0]):
        m = ti.Vector([means[i, 0], means[i, 1], means[i, 2]])
        w2c = ti.Matrix(
            [[view[0], view[1], view[2]], [view[3], view[4], view[5]], [view[6], view[7], view[8]]]
        )
        c = w2c @ m + ti.Vector([view[9], view[10], view[11]])
        splats[i, 6] = 0.0
        if c[2] >= view[20] and c[2] <= view[21] and opacities[i] >= 1.0 / 255.0:
            q = ti.Vector([quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]]).normalized()
            w, x, y, z = q[0], q[1], q[2], q[3]
            rotation = ti.Matrix(
                [
                    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
                ]
            )
            s = ti.Vector([scales[i, 0], scales[i, 1], scales[i, 2]])
            scaled = ti.Matrix([[s[0], 0.0, 0.0], [0.0, s[1], 0.0], [0.0, 0.0, s[2]]])
            u = ti.math.clamp(c[0] / c[2], view[16], view[17])
            v = ti.math.clamp(c[1] / c[2], view[18], view[19])
            fx, fy = view[12] / c[2], view[13] / c[2]
            jacobian = ti.Matrix([[fx, 0.0, -fx * u], [0.0, fy, -fy * v]])
            axes = jacobian @ w2c @ rotation @ scaled
            cov = axes @ axes.transpose()
            xx, xy, yy = cov[0, 0] + 0.3, cov[0, 1], cov[1, 1] + 0.3
            inverse = 1.0 / (xx * yy - xy * xy)
            splats[i, 0] = view[12] * c[0] / c[2] + view[14]
            splats[i, 1] = view[13] * c[1] / c[2] + view[15]
            splats[i, 2] = yy * inverse
            splats[i, 3] = -xy * inverse
            splats[i, 4] = xx * inverse
            splats[i, 5] = c[2]
            support = 2.0 * ti.log(opacities[i] * 255.0)
            splats[i, 6] = ti.ceil(ti.sqrt(support * ti.max(xx, yy)))


@ti.kernel
def blend(splats: F2, opacities: F1, colors: F2, starts: I1, owners: I1, columns: int, images: F3, last: I1):  # type: ignore[no-untyped-def, valid-type]
    for py, px in ti.ndrange(images.shape[0], images.shape[1]):
        tile = (py // TILE) * columns + px // TILE
        transmittance = 1.0
        color, depth = ti.Vector([0.0, 0.0, 0.0]), 0.0
        k, end = starts[tile], starts[tile + 1]
        stop = starts[tile]
        while k < end:
            i = owners[k]
            dx, dy = px + 0.5 - splats[i, 0], py + 0.5 - splats[i, 1]
            half = 0.5 * (splats[i, 2] * dx * dx + splats[i, 4] * dy * dy) + splats[i, 3] * dx * dy
            alpha = ti.min(0.999, opacities[i] * ti.exp(-half))
            k += 1
            if alpha >= 1.0 / 255.0:
                after = transmittance * (1.0 - alpha)
                if after <= 1e-4:
                    k = end
                else:
                    weight = alpha * transmittance
                    color += weight * ti.Vector([colors[i, 0], colors[i, 1], colors[i, 2]])
                    depth += weight * splats[i, 5]
                    transmittance = after
                    stop = k
        covered = 1.0 - transmittance
        for channel in ti.static(range(3)):
            images[py, px, channel] = color[channel] + transmittance
        images[py, px, 3] = depth / ti.max(covered, 1e-10)
        images[py, px, 4] = covered
        last[py * images.shape[1] + px] = stop


@ti.kernel
def blend_adjoint(  # type: ignore[no-untyped-def]
    splats: F2,  # type: ignore[valid-type]
    opacities: F1,  # type: ignore[valid-type]
    colors: F2,  # type: ignore[valid-type]
    starts: I1,  # type: ignore[valid-type]
    owners: I1,  # type: ignore[valid-type]
    columns: int,
    images: F3,  # type: ignore[valid-type]
    last: I1,  # type: ignore[valid-type]
    grads: F3,  # type: ignore[valid-type]
    g_splats: F2,  # type: ignore[valid-type]
    g_opacities: F1,  # type: ignore[valid-type]
    g_colors: F2,  # type: ignore[valid-type]
):
    for py, px in ti.ndrange(images.shape[0], images.shape[1]):
        tile = (py // TILE) * columns + px // TILE
        covered = images[py, px, 4]
        g = ti.Vector([grads[py, px, 0], grads[py, px, 1], grads[py, px, 2]])
        g_depth = grads[py, px, 3] / ti.max(covered, 1e-10)
        g_cover = grads[py, px, 4] - g.sum() - g_depth * images[py, px, 3]
        transmittance = 1.0 - covered
        behind = 0.0
        k = last[py * images.shape[1] + px] - 1
        while k >= starts[tile]:
            i = owners[k]
            k -= 1
            dx, dy = px + 0.5 - splats[i, 0], py + 0.5 - splats[i, 1]
            half = 0.5 * (splats[i, 2] * dx * dx + splats[i, 4] * dy * dy) + splats[i, 3] * dx * dy
            response = opacities[i] * ti.exp(-half)
            alpha = ti.min(0.999, response)
            if alpha >= 1.0 / 255.0:
                transmittance /= 1.0 - alpha
                weight = alpha * transmittance
                dot = g_depth * splats[i, 5] + g_cover
                for channel in ti.static(range(3)):
                    dot += g[channel] * colors[i, channel]
                    g_colors[i, channel] += weight * g[channel]
                g_splats[i, 5] += weight * g_depth
                g_alpha = transmittance * dot - behind / (1.0 - alpha)
                behind += weight * dot
                if response < 0.999:
                    s = alpha * g_alpha
                    g_opacities[i] += s / opacities[i]
                    g_splats[i, 0] += s * (splats[i, 2] * dx + splats[i, 3] * dy)
                    g_splats[i, 1] += s * (splats[i, 4] * dy + splats[i, 3] * dx)
                    g_splats[i, 2] -= 0.5 * s * dx * dx
                    g_splats[i, 3] -= s * dx * dy
                    g_splats[i, 4] -= 0.5 * s * dy * dy


@dataclass
class Twin:
    """Render one view and differentiate it, with arrays that stay in Taichi between calls."""

    shapes: list[np.ndarray]
    """Means, scales, rotations wxyz, opacities and colours, float32."""
    view: np.ndarray
    """One camera in the order of `cpu_layout.View`, (24,) float32."""
    height: int
    width: int

    def __post_init__(self) -> None:
        self.arrays = [self._array(array.shape, grad=True) for array in self.shapes]
        for array, values in zip(self.arrays, self.shapes, strict=True):
            array.from_numpy(values)
        self.camera = self._array((24,))
        self.camera.from_numpy(self.view)
        self.splats = self._array((len(self.shapes[0]), SPLAT), grad=True)
        self.images, self.grads = (self._array((self.height, self.width, 5)) for _ in range(2))
        self.last = ti.ndarray(ti.i32, (self.height * self.width,))

    @staticmethod
    def _array(shape: tuple[int, ...], *, grad: bool = False) -> Any:
        return ti.ndarray(ti.f32, shape, needs_grad=grad)

    def forward(self) -> np.ndarray:
        """Return RGB, expected depth and alpha, (H, W, 5)."""
        means, scales, quats, opacities, colors = self.arrays
        project(means, scales, quats, opacities, self.camera, self.splats)
        starts, owners = bin_splats(self.splats.to_numpy(), self.height, self.width)
        self.starts, self.owners = (ti.ndarray(ti.i32, array.shape) for array in (starts, owners))
        self.starts.from_numpy(starts)
        self.owners.from_numpy(owners)
        columns = -(-self.width // TILE)
        blend(self.splats, opacities, colors, self.starts, self.owners, columns, self.images, self.last)
        return self.images.to_numpy()

    def backward(self, grads: np.ndarray) -> list[np.ndarray]:
        """Return the gradients of the five Gaussian arrays, given those of the images (H, W, 5)."""
        means, scales, quats, opacities, colors = self.arrays
        for array in (*self.arrays, self.splats):
            array.grad.fill(0.0)
        self.grads.from_numpy(grads)
        lists = (self.starts, self.owners, -(-self.width // TILE))
        targets = (self.splats.grad, opacities.grad, colors.grad)
        blend_adjoint(self.splats, opacities, colors, *lists, self.images, self.last, self.grads, *targets)
        kept = opacities.grad.to_numpy()
        project.grad(means, scales, quats, opacities, self.camera, self.splats)
        opacities.grad.from_numpy(kept)
        return [array.grad.to_numpy() for array in self.arrays]


def bin_splats(splats: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where each 16x16 tile's list starts (tiles + 1,), and the Gaussians of all lists, front to back."""
    x, y, z, radius = splats[:, 0], splats[:, 1], splats[:, 5], splats[:, 6]
    columns, rows = -(-width // TILE), -(-height // TILE)
    seen = (radius > 0) & (x + radius > 0) & (x - radius < width) & (y + radius > 0) & (y - radius < height)
    index = np.flatnonzero(seen)
    index = index[np.argsort(z[index], kind="stable")]
    x, y, radius = x[index], y[index], radius[index]
    x0, x1 = np.clip((x - radius) // TILE, 0, columns), np.clip((x + radius) // TILE + 1, 0, columns)
    y0, y1 = np.clip((y - radius) // TILE, 0, rows), np.clip((y + radius) // TILE + 1, 0, rows)
    across, counts = (x1 - x0).astype(int), ((x1 - x0) * (y1 - y0)).astype(int)
    owner = np.repeat(np.arange(len(index)), counts)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    tile = (
        (y0[owner].astype(int) + step // across[owner]) * columns
        + x0[owner].astype(int)
        + step % across[owner]
    )
    order = np.argsort(tile.astype(np.int32), kind="stable")
    starts = np.searchsorted(tile[order], np.arange(columns * rows + 1)).astype(np.int32)
    return starts, index[owner[order]].astype(np.int32)
