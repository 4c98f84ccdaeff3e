"""Check what a person gives the decoder, and say which file is wrong and why it probably is.

Errors raise LyraSimError; what is only unusual comes back as a list of sentences. `source` in every function
names the file or argument for the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from generator.decoder.config import DecoderConfig
from lyra_sim.errors import LyraSimError

TRAINED_SIZE = (704, 1280, 121)
"""Height, width [px] and frames that the published weights were trained at."""
PATH_DIRECTIONS = {
    "0": (0, -1, "left"),
    "1": (0, 1, "right"),
    "2": (1, -1, "up"),
    "3": (2, -1, "zoom_out"),
    "4": (2, 1, "zoom_in"),
}
"""Axis and sign of the camera's own movement in the numbered folders of the published layout (OpenCV)."""
RIGID_TOLERANCE = 1e-2
"""Largest entry of R^T R - 1 of a rotation; poses that went through bfloat16 reach 8e-3."""


def check_inputs(
    config: DecoderConfig,
    latents: Tensor,
    c2w: Tensor,
    intrinsics: Tensor,
    image_size: tuple[int, int],
    *,
    views: int,
    source: str = "decoder input",
) -> None:
    """Check the tensors that `build_inputs` takes: (B, V*t, C, h, w), (B, V*T, 4, 4) and (B, V*T, 4)."""
    if latents.dim() != 5:
        raise LyraSimError(f"{source}: latents have shape {list(latents.shape)}; expected (B, V*t, C, h, w)")
    batch, joined, channels, rows, columns = latents.shape
    if channels != config.latent_channels and joined == config.latent_channels:
        raise LyraSimError(f"{source}: latents have {channels} channels; channel and time axes look swapped")
    if views < 1 or joined % views:
        raise LyraSimError(
            f"{source}: {joined} latent frames cannot be shared by {views} views; a view is missing"
        )
    frames = config.video_frames(joined // views)
    pixels = config.space_compression
    if (rows * pixels, columns * pixels) != tuple(image_size):
        raise LyraSimError(
            f"{source}: latents of {rows}x{columns} cells are of {rows * pixels}x{columns * pixels} images, "
            f"not {image_size[0]}x{image_size[1]}"
        )
    for name, tensor in (("poses", c2w), ("intrinsics", intrinsics)):
        if tensor.shape[:2] != (batch, views * frames):
            raise LyraSimError(
                f"{source}: {name} have shape {list(tensor.shape)}; {views} views of {frames} frames "
                f"need ({batch}, {views * frames}, ...)"
            )
    for item in range(batch):
        for latent in latents[item].unflatten(0, (views, -1)):
            check_latent(latent.transpose(0, 1), config, source=source)
        check_poses(c2w[item], views * frames, source=source)
        check_intrinsics(intrinsics[item], views * frames, image_size, source=source)


def check_latent(latent: Tensor, config: DecoderConfig, *, source: str) -> None:
    """Check one view's stored latent (C, t, h, w): channel before time, as on disk."""
    if latent.dim() != 4:
        raise LyraSimError(
            f"{source}: latent has shape {list(latent.shape)}; expected (channels, frames, rows, columns)"
        )
    channels, frames, rows, columns = latent.shape
    if channels != config.latent_channels:
        hint = (
            "channel and time axes look swapped" if frames == config.latent_channels else "another tokenizer?"
        )
        raise LyraSimError(
            f"{source}: latent has {channels} channels, expected {config.latent_channels} on axis 0; {hint}"
        )
    if rows % config.spatial_patch or columns % config.spatial_patch:
        raise LyraSimError(
            f"{source}: latent has {rows}x{columns} cells; both must be multiples of {config.spatial_patch}, "
            f"that is, images of multiples of {config.spatial_patch * config.space_compression} pixels"
        )
    check_finite(latent, source=source, what="latent")
    if axes_look_swapped(latent):
        raise LyraSimError(
            f"{source}: neighbours on axis 0 resemble each other and those on axis 1 do not, so channel and time "
            "axes look swapped; store latents as (channels, frames, rows, columns)"
        )


def axes_look_swapped(latent: Tensor) -> bool:
    """Return whether axis 0 of a (C, t, h, w) latent behaves like time and axis 1 like channels.

    Shapes cannot tell in the published files, where both are 16. Neighbouring frames are correlated and
    neighbouring channels are not, which decides it for anything but a very fast video.
    """
    if min(latent.shape[:2]) < 3:
        return False
    over_channels, over_time = _neighbour_correlation(latent), _neighbour_correlation(latent.transpose(0, 1))
    return over_channels > 0.5 and over_channels - over_time > 0.3


def _neighbour_correlation(stack: Tensor) -> float:
    """Return the mean correlation of neighbours along axis 0 (the first item aside), each slice centred."""
    flat = stack[1:].double().flatten(2)
    flat = flat - flat.mean(dim=-1, keepdim=True)
    norm = flat.norm(dim=-1).clamp_min(1e-12)
    return float(((flat[1:] * flat[:-1]).sum(-1) / (norm[1:] * norm[:-1])).mean())


def check_finite(values: Tensor, *, source: str, what: str) -> None:
    """Refuse NaN and infinity."""
    wrong = int((~torch.isfinite(values)).sum())
    if wrong:
        raise LyraSimError(
            f"{source}: {what} holds {wrong} values that are NaN or infinite; make the file again"
        )


def check_poses(c2w: Tensor, frames: int, *, source: str) -> None:
    """Check camera-to-world poses (F, 4, 4) for shape, finiteness and rigidity."""
    if c2w.dim() != 3 or c2w.shape[1:] != (4, 4):
        raise LyraSimError(
            f"{source}: poses have shape {list(c2w.shape)}; expected (frames, 4, 4) c2w matrices"
        )
    if len(c2w) < frames:
        raise LyraSimError(f"{source}: {len(c2w)} poses for {frames} frames; give one pose per frame")
    check_finite(c2w, source=source, what="poses")
    bottom = c2w.new_tensor([0.0, 0.0, 0.0, 1.0])
    if bool(((c2w[:, 3] - bottom).abs() > 1e-4).any()):
        transposed = bool(((c2w[:, :, 3] - bottom).abs() <= 1e-4).all())
        hint = "the matrices look transposed" if transposed else "these are no 4x4 poses"
        raise LyraSimError(f"{source}: the last row of a pose must be 0 0 0 1; {hint}")
    _check_rotations(c2w[:, :3, :3].double(), source)


def _check_rotations(rotations: Tensor, source: str) -> None:
    """Refuse scaled, sheared and mirrored rotations."""
    gram = rotations.transpose(1, 2) @ rotations
    wrong = (gram - torch.eye(3, dtype=gram.dtype)).abs().amax((1, 2))
    if float(wrong.max()) > RIGID_TOLERANCE:
        frame = int(wrong.argmax())
        scale = float(gram[frame].diagonal().mean()) ** 0.5
        even = (gram[frame] / scale**2 - torch.eye(3, dtype=gram.dtype)).abs().max() <= RIGID_TOLERANCE
        hint = f"it scales by {scale:.3g}: divide the rotation by that" if even else "it is no rotation"
        raise LyraSimError(f"{source}: pose of frame {frame} is not rigid; {hint}")
    mirrored = torch.linalg.det(rotations) < 0
    if bool(mirrored.any()):
        frame = int(mirrored.nonzero()[0])
        raise LyraSimError(f"{source}: pose of frame {frame} mirrors space; use right-handed OpenCV axes")


def check_directions(poses: Mapping[str, Tensor], *, sources: Mapping[str, str]) -> None:
    """Refuse w2c poses given as c2w, where folders of the published layout tell the direction of the movement.

    A w2c matrix shows the movement the other way round. The line is drawn where every path with a known
    direction runs against it.

    Args:
        poses: Poses (F, 4, 4) by view name; names other than `PATH_DIRECTIONS` are not looked at.
        sources: File by view name, for the message.
    """
    against = {}
    for name, c2w in poses.items():
        if name not in PATH_DIRECTIONS:
            continue
        axis, sign, _ = PATH_DIRECTIONS[name]
        relative = torch.linalg.inv(c2w[0].double()) @ c2w.double()
        movement = relative[:, :3, 3]
        reach = float(movement.norm(dim=-1).max())
        along = float(movement[movement.norm(dim=-1).argmax(), axis]) * sign
        if reach > 1e-6 and abs(along) > 0.5 * reach:
            against[name] = along < 0
    if against and all(against.values()):
        name = next(iter(against))
        raise LyraSimError(
            f"{sources[name]}: the camera of view {name} ({PATH_DIRECTIONS[name][2]}) moves the opposite way; the "
            "poses look like world-to-camera matrices, give camera-to-world (c2w = inverse of w2c)"
        )


def check_intrinsics(intrinsics: Tensor, frames: int, image_size: tuple[int, int], *, source: str) -> None:
    """Check fx, fy, cx, cy [px] (F, 4) against the image size they are for."""
    height, width = image_size
    if intrinsics.dim() == 3 and intrinsics.shape[1:] == (3, 3):
        raise LyraSimError(
            f"{source}: intrinsics are 3x3 matrices; expected rows of fx, fy, cx, cy in pixels"
        )
    if intrinsics.dim() != 2 or intrinsics.shape[1] != 4:
        raise LyraSimError(f"{source}: intrinsics have shape {list(intrinsics.shape)}; expected (frames, 4)")
    if len(intrinsics) < frames:
        raise LyraSimError(
            f"{source}: {len(intrinsics)} intrinsics for {frames} frames; give one row per frame"
        )
    check_finite(intrinsics, source=source, what="intrinsics")
    fx, fy, cx, cy = intrinsics.double().unbind(1)
    if float(torch.minimum(fx, fy).min()) <= 0:
        raise LyraSimError(f"{source}: focal lengths must be positive, got fx {float(fx.min()):.4g}")
    if float(torch.stack([cx, cy]).abs().max()) <= 2 and float(fx.max()) <= 20:
        raise LyraSimError(
            f"{source}: intrinsics look normalised (fx {float(fx[0]):.4g}, cx {float(cx[0]):.4g}); "
            f"give pixels: multiply by the image's width {width} and height {height}"
        )
    middle_x, middle_y = float(cx.mean()), float(cy.mean())
    if (
        not (0 <= middle_x <= width and 0 <= middle_y <= height)
        or min(middle_x / width, middle_y / height) < 0.2
    ):
        raise LyraSimError(
            f"{source}: principal point ({middle_x:.4g}, {middle_y:.4g}) px does not fit {width}x{height} images; "
            f"the intrinsics seem to be for images of about {2 * middle_x:.0f}x{2 * middle_y:.0f}"
        )


def check_same(values: Mapping[str, object], *, what: str) -> None:
    """Refuse views that differ in something they must share, such as the resolution; values by file."""
    names = list(values)
    for name in names[1:]:
        if values[name] != values[names[0]]:
            raise LyraSimError(
                f"{what} differs between views: {values[names[0]]} in {names[0]}, {values[name]} in {name}; "
                "give views of one size and length"
            )


def unusual_sizes(image_size: tuple[int, int], frames: int, views: int) -> list[str]:
    """Return what the published weights were not trained at, in sentences."""
    notes = []
    if (*image_size, frames) != TRAINED_SIZE:
        height, width, length = TRAINED_SIZE
        notes.append(
            f"the published weights were trained at {height}x{width} with {length} frames only; "
            f"{image_size[0]}x{image_size[1]} with {frames} frames may look worse"
        )
    if views > 6:
        notes.append(f"the published weights were trained with at most 6 views, not {views}")
    return notes


def check_arrays(arrays: Mapping[str, np.ndarray], names: Sequence[str], *, source: str) -> None:
    """Refuse an archive that lacks one of the arrays `names`."""
    missing = [name for name in names if name not in arrays]
    if missing:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise LyraSimError(f"{source}: lacks {', '.join(missing)} (it holds {found})")
