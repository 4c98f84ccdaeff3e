"""From the decoder's tensor in the first camera's frame to Gaussians in the world."""

from __future__ import annotations

import numpy as np
import torch

from lyra_sim.gaussians import Gaussians


def to_world(tensor: torch.Tensor, c2w: np.ndarray) -> Gaussians:
    """Move Gaussians (N, 14) from a camera's OpenCV frame to the frame of its rigid pose `c2w` (4, 4).

    Channels: position 3, opacity 1, scale 3, rotation 4 (wxyz), rgb 3. Colours do not depend on the view, so a
    rotation leaves them alone.
    """
    values = tensor.detach().cpu().numpy().astype(np.float64)
    rotation, translation = c2w[:3, :3], c2w[:3, 3]
    turned = multiply_quaternions(quaternion_of(rotation), values[:, 7:11])
    return Gaussians.from_rgb(
        (values[:, :3] @ rotation.T + translation).astype(np.float32),
        values[:, 4:7].astype(np.float32),
        (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32),
        values[:, 3].astype(np.float32),
        values[:, 11:14].astype(np.float32),
    )


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """Return the unit quaternion wxyz of a rotation matrix (3, 3)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(rotation).as_quat(scalar_first=True)


def multiply_quaternions(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Hamilton products a * b of quaternions wxyz, a (4,) and b (N, 4)."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b.T
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=1,
    )
