"""Read the published layout of generated latents: `<view>/{latent,pose,intrinsics}/<stem>`.

Latents are `.safetensors`, or `.pkl` files that torch wrote around one numpy array; nothing else in a pickle
is admitted. Both hold (1, C, t, h, w) in diffusion space, channel before time; a safetensors file whose
metadata says `space: raw` holds raw tokenizer latents.
"""

from __future__ import annotations

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from generator.decoder import validate
from generator.decoder.config import DecoderConfig
from generator.decoder.frames import VIEW_ORDER
from generator.decoder.latents import denormalize_latents
from lyra_sim.errors import LyraSimError

LATENT_SUFFIXES = (".safetensors", ".pkl")


@dataclass(frozen=True)
class LatentFolder:
    """Hold one scene of such a folder, views joined view-major."""

    latents: Tensor
    """Raw tokenizer latents, (1, V*t, C, h, w) float32."""
    c2w: Tensor
    """Camera-to-world poses as stored (OpenCV), (V*T, 4, 4) float64."""
    intrinsics: Tensor
    """fx, fy, cx, cy [px of `image_size`], (V*T, 4) float64."""
    image_size: tuple[int, int]
    """Height and width of the videos [px]."""
    views: tuple[str, ...]
    """Names of the views, in order."""
    frames: int
    """Video frames T per view."""
    notes: tuple[str, ...]
    """What is unusual about the input, in sentences."""


@dataclass(frozen=True)
class _View:
    """Hold one view and the files it came from."""

    latent: Tensor
    raw: bool
    c2w: Tensor
    intrinsics: Tensor
    files: dict[str, str]


def stems(folder: Path, views: tuple[str, ...] = VIEW_ORDER) -> list[str]:
    """Return the scenes that a folder holds, by the stem that their files share, sorted."""
    found = {
        path.stem
        for view in views
        for path in (folder / view / "latent").glob("*")
        if path.suffix in LATENT_SUFFIXES
    }
    return sorted(found)


def read_latent_folder(
    folder: Path,
    stem: str,
    config: DecoderConfig,
    *,
    views: tuple[str, ...] = VIEW_ORDER,
    mean_std: tuple[Tensor, Tensor] | None = None,
) -> LatentFolder:
    """Read and check one scene.

    Args:
        folder: Folder of the views.
        stem: Name that the scene's files share.
        config: The decoder the latents are for.
        views: View folders in the order the decoder gets them.
        mean_std: The tokenizer's statistics per channel and latent frame, to leave the diffusion space.

    Raises:
        LyraSimError: A file is missing, damaged or does not fit; the line names it and the likely cause.
    """
    read = {view: _read_view(folder, view, stem, config) for view in views}
    first = read[views[0]]
    shapes = {view.files["latent"]: _size(view.latent, config) for view in read.values()}
    validate.check_same(shapes, what="size of the latents")
    frames = config.video_frames(first.latent.shape[1])
    image_size = (
        first.latent.shape[2] * config.space_compression,
        first.latent.shape[3] * config.space_compression,
    )
    for view in read.values():
        validate.check_poses(view.c2w, frames, source=view.files["pose"])
        validate.check_intrinsics(view.intrinsics, frames, image_size, source=view.files["intrinsics"])
    validate.check_directions(
        {name: view.c2w[:frames] for name, view in read.items()},
        sources={name: view.files["pose"] for name, view in read.items()},
    )
    return LatentFolder(
        latents=torch.cat([_raw_latent(view, mean_std) for view in read.values()])[None],
        c2w=torch.cat([view.c2w[:frames] for view in read.values()]),
        intrinsics=torch.cat([view.intrinsics[:frames] for view in read.values()]),
        image_size=image_size,
        views=views,
        frames=frames,
        notes=tuple(validate.unusual_sizes(image_size, frames, len(views))),
    )


def _size(latent: Tensor, config: DecoderConfig) -> str:
    """Return a latent's size in the video's terms."""
    _, frames, rows, columns = latent.shape
    pixels = config.space_compression
    return f"{rows * pixels}x{columns * pixels} with {config.video_frames(frames)} frames"


def _raw_latent(view: _View, mean_std: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return a view's raw latents (t, C, h, w)."""
    if view.raw:
        return view.latent.transpose(0, 1)
    if mean_std is None:
        raise LyraSimError(
            f"{view.files['latent']}: latents are in diffusion space; give the tokenizer's mean and std "
            "(mean_std.pt of the tokenizer's folder)"
        )
    channels, frames = view.latent.shape[:2]
    if any(statistic.numel() < channels * frames for statistic in mean_std):
        raise LyraSimError(
            f"{view.files['latent']}: {frames} latent frames, but the tokenizer's mean and std hold "
            f"{mean_std[0].numel() // channels} frames"
        )
    mean, std = (statistic.reshape(channels, -1)[:, :frames] for statistic in mean_std)
    return denormalize_latents(view.latent[None], mean, std)


def _read_view(folder: Path, view: str, stem: str, config: DecoderConfig) -> _View:
    """Read the three files of one view."""
    if not (folder / view).is_dir():
        present = (
            ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir()))
            if folder.is_dir()
            else ""
        )
        raise LyraSimError(
            f"{folder / view} is missing (found: {present or 'nothing'}); name the views that are there"
        )
    candidates = [folder / view / "latent" / (stem + suffix) for suffix in LATENT_SUFFIXES]
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None:
        raise LyraSimError(f"{candidates[0]} is missing (and no .pkl in its place)")
    latent, raw = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path), False)
    if latent.dim() == 5 and latent.shape[0] == 1:
        latent = latent[0]
    validate.check_latent(latent, config, source=str(path))
    pose, intrinsics = (folder / view / kind / f"{stem}.npz" for kind in ("pose", "intrinsics"))
    files = {"latent": str(path), "pose": str(pose), "intrinsics": str(intrinsics)}
    return _View(latent, raw, _read_npz(pose), _read_npz(intrinsics), files)


def _read_safetensors(path: Path) -> tuple[Tensor, bool]:
    """Return the only tensor of a file, float32, and whether its metadata calls it raw."""
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            if len(names) != 1:
                raise LyraSimError(f"{path}: holds {len(names)} tensors, expected one latent")
            return file.get_tensor(names[0]).float(), (file.metadata() or {}).get("space") == "raw"
    except (SafetensorError, OSError) as error:
        raise LyraSimError(f"{path}: cannot be read as safetensors ({error})") from error


def _read_pickle(path: Path) -> Tensor:
    """Return the numpy array or tensor of a torch-written pickle, admitting nothing else."""
    # numpy moved this function between its versions, and pickles hold either name.
    reconstruct = np.zeros(0).__reduce__()[0]
    array_types: list[Any] = [
        np.ndarray,
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.float16)),
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
    ]
    try:
        # torch warns about pickle protocols other than its own before it refuses or reads the file.
        with torch.serialization.safe_globals(array_types), warnings.catch_warnings(action="ignore"):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0][:120]
        raise LyraSimError(f"{path}: cannot be read as one array written by torch.save ({reason})") from error
    if not isinstance(value, np.ndarray | Tensor):
        raise LyraSimError(f"{path}: holds a {type(value).__name__}, expected one array")
    return torch.as_tensor(value).float()


def _read_npz(path: Path) -> Tensor:
    """Return `data` of an archive, rows sorted by `inds` where those are given, float64."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise LyraSimError(f"{path} is missing") from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise LyraSimError(f"{path}: cannot be read as npz ({error})") from error
    validate.check_arrays(arrays, ["data"], source=str(path))
    data, inds = arrays["data"], arrays.get("inds")
    if data.dtype.kind not in "fiu":
        raise LyraSimError(f"{path}: data has type {data.dtype}, expected numbers")
    if inds is not None:
        if inds.shape != data.shape[:1]:
            raise LyraSimError(f"{path}: {len(data)} rows but indices of shape {inds.shape}")
        data = data[np.argsort(inds, kind="stable")]
    return torch.from_numpy(np.ascontiguousarray(data, dtype=np.float64))
