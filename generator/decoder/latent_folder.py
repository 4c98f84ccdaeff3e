"""Read the published layout of generated latents: `<view>/{latent,pose,intrinsics}/<stem>`.

Latents are (1, C, t, h, w), channel before time, in diffusion space; a safetensors file whose metadata says
`space: raw`, with or without the hash of the tokenizer's weights behind it, holds raw tokenizer latents.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from generator.decoder import validate
from generator.decoder.config import DecoderConfig
from generator.decoder.frames import VIEW_ORDER
from generator.decoder.latent_files import StoredLatent, read_first_exr, read_latent, read_npz
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
    stem: str
    """Name that the scene's files share."""
    space: str
    """Space that the latents were stored in: `raw` or `diffusion`."""
    sha256: str
    """Hash over the latent, pose and intrinsics files of all views, in order."""


@dataclass(frozen=True)
class _View:
    """Hold one view and the files it came from."""

    latent: StoredLatent
    values: Tensor
    """The latent (C, t, h, w)."""
    c2w: Tensor
    intrinsics: Tensor
    files: dict[str, Path]


def stems(folder: Path, views: tuple[str, ...] = VIEW_ORDER) -> list[str]:
    """Return the scenes that a folder holds, by the stem that their files share, sorted."""
    found = {
        path.stem
        for view in views
        for path in (folder / view / "latent").glob("*")
        if path.suffix in LATENT_SUFFIXES and not path.name.startswith(".")
    }
    return sorted(found)


def scene_of(folder: Path, scene: str | None, views: tuple[str, ...] | None = None) -> str:
    """Return the stem of the scene that is meant, which must be named where a folder holds several.

    Raises:
        LyraSimError: The folder does not exist, holds no scene or not that one, or holds several.
    """
    views = views or VIEW_ORDER
    if not folder.is_dir():
        raise LyraSimError(f"{folder}: is no folder; give the one that holds the views 0, 1, ... 5")
    found = stems(folder, views)
    if not found:
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise LyraSimError(
            f"{folder}: holds no latents; expected {views[0]}/latent/NAME.pkl or .safetensors, found {present}"
        )
    if scene is None and len(found) > 1:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise LyraSimError(f"{folder}: holds {len(found)} scenes; add --scene {', '.join(found[:5])}{more}")
    if scene is not None and scene not in found:
        raise LyraSimError(f"{folder}: has no scene {scene!r}; it holds {', '.join(found[:5])}")
    return scene or found[0]


def tokenizer_of(folder: Path, stem: str, views: tuple[str, ...] | None = None) -> str | None:
    """Return the SHA-256 of the tokenizer weights that made a scene's latents, where its file tells."""
    path = _latent_path(folder / (views or VIEW_ORDER)[0], stem)
    return read_latent(path).tokenizer if path.suffix == ".safetensors" and path.is_file() else None


def read_latent_folder(
    folder: Path,
    stem: str,
    config: DecoderConfig,
    *,
    views: tuple[str, ...] | None = None,
    mean_std: tuple[Tensor, Tensor] | None = None,
    tokenizer_sha256: str | None = None,
) -> LatentFolder:
    """Read and check one scene.

    Args:
        folder: Folder of the views.
        stem: Name that the scene's files share.
        config: The decoder the latents are for.
        views: View folders in the order the decoder gets them; None takes the six of the published demos.
        mean_std: The tokenizer's statistics per channel and latent frame, to leave the diffusion space.
        tokenizer_sha256: Hash of the tokenizer's weights; files that name another one are refused.

    Raises:
        LyraSimError: A file is missing, damaged or does not fit; the line names it and the likely cause.
    """
    views = views or VIEW_ORDER
    read = {view: _read_view(folder, view, stem, config) for view in views}
    first = read[views[0]]
    sizes = {str(view.files["latent"]): _size(view.values, config) for view in read.values()}
    validate.check_same(sizes, what="size of the latents")
    frames = config.video_frames(first.values.shape[1])
    rows, columns = (side * config.space_compression for side in first.values.shape[2:])
    for view in read.values():
        _require_tokenizer(view, tokenizer_sha256)
        validate.check_poses(view.c2w, frames, source=str(view.files["pose"]))
        validate.check_intrinsics(
            view.intrinsics, frames, (rows, columns), source=str(view.files["intrinsics"])
        )
    validate.check_directions(
        {name: view.c2w[:frames] for name, view in read.items()},
        sources={name: str(view.files["pose"]) for name, view in read.items()},
    )
    return LatentFolder(
        latents=torch.cat([_raw_latent(view, mean_std) for view in read.values()])[None],
        c2w=torch.cat([view.c2w[:frames] for view in read.values()]),
        intrinsics=torch.cat([view.intrinsics[:frames] for view in read.values()]),
        image_size=(rows, columns),
        views=views,
        frames=frames,
        stem=stem,
        space="raw" if first.latent.is_raw else "diffusion",
        sha256=_hash([path for view in read.values() for path in view.files.values()]),
    )


def read_first_depth(folder: Path, latents: LatentFolder) -> np.ndarray:
    """Return the z-depth (H, W) of the first frame of the first view, in the poses' unit.

    Raises:
        LyraSimError: The file is missing or damaged, or its size is not that of the video.
    """
    path = folder / latents.views[0] / "depth" / f"{latents.stem}.zip"
    if not path.is_file():
        raise LyraSimError(
            f"{path} is missing: these weights take the depth of the first frame beside the latents; "
            "the published weights (--size full) do not"
        )
    depth = read_first_exr(path)
    if depth.shape != latents.image_size:
        rows, columns = latents.image_size
        raise LyraSimError(
            f"{path}: depth is {depth.shape[0]}x{depth.shape[1]}, but the video is {rows}x{columns}"
        )
    return depth


def _hash(files: list[Path]) -> str:
    """Return one SHA-256 over the hashes of files."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _require_tokenizer(view: _View, tokenizer_sha256: str | None) -> None:
    """Refuse latents of another tokenizer; nothing in their shape would tell."""
    made_by = view.latent.tokenizer
    if made_by and tokenizer_sha256 and made_by != tokenizer_sha256:
        raise LyraSimError(
            f"{view.files['latent']}: made by tokenizer {made_by[:12]}, but these weights go with tokenizer "
            f"{tokenizer_sha256[:12]}; choose other weights (--size, --weights)"
        )


def _size(latent: Tensor, config: DecoderConfig) -> str:
    """Return a latent's size in the video's terms."""
    _, frames, rows, columns = latent.shape
    pixels = config.space_compression
    return f"{rows * pixels}x{columns * pixels} with {config.video_frames(frames)} frames"


def _raw_latent(view: _View, mean_std: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return a view's raw latents (t, C, h, w)."""
    if view.latent.is_raw:
        return view.values.transpose(0, 1)
    if mean_std is None:
        raise LyraSimError(
            f"{view.files['latent']}: latents are in diffusion space; give the tokenizer's mean and std "
            "(mean_std.pt of the tokenizer's folder)"
        )
    channels, frames = view.values.shape[:2]
    if any(statistic.numel() < channels * frames for statistic in mean_std):
        raise LyraSimError(
            f"{view.files['latent']}: {frames} latent frames, but the tokenizer's mean and std hold "
            f"{mean_std[0].numel() // channels} frames"
        )
    mean, std = (statistic.reshape(channels, -1)[:, :frames] for statistic in mean_std)
    return denormalize_latents(view.values[None], mean, std)


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
    path = _latent_path(folder / view, stem)
    if not path.exists():
        raise LyraSimError(f"{path} is missing (and no .pkl in its place)")
    latent = read_latent(path)
    values = latent.values
    if values.dim() == 5 and values.shape[0] == 1:
        values = values[0]
    validate.check_latent(values, config, source=str(path))
    pose, intrinsics = (folder / view / kind / f"{stem}.npz" for kind in ("pose", "intrinsics"))
    files = {"latent": path, "pose": pose, "intrinsics": intrinsics}
    return _View(latent, values, read_npz(pose), read_npz(intrinsics), files)


def _latent_path(view: Path, stem: str) -> Path:
    """Return the latent file of a view, the safetensors one where there is none."""
    candidates = [view / "latent" / (stem + suffix) for suffix in LATENT_SUFFIXES]
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])
