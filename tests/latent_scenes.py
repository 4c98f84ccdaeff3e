"""Scenes in the published layout at tiny sizes, and a weights folder that decodes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from weights_files import DECODER, TOKENIZER, write_deepspeed, write_native_tokenizer

from generator.trajectories import trajectory_w2c
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store

FRAMES, ROWS, COLUMNS = 17, 4, 6
SIZE = (ROWS * 8, COLUMNS * 8)
PATHS = {"0": "left", "1": "right", "2": "up", "3": "zoom_out", "4": "zoom_in", "5": "clockwise"}
FULL_TOKENIZER = TOKENIZER | {"latent_channels": 16}
DYNAMIC = DECODER | {"use_time_embedding": True}


def smooth_latent(seed: int = 0, *, frames: int = 3) -> torch.Tensor:
    """Return a latent (C, t, h, w) whose frames resemble each other, as those of a video do."""
    generator = torch.Generator().manual_seed(seed)
    still = torch.randn(16, 1, ROWS, COLUMNS, generator=generator)
    return still + 0.2 * torch.randn(16, frames, ROWS, COLUMNS, generator=generator)


def write_folder(root: Path, *, views: tuple[str, ...] = tuple(PATHS), suffix: str = ".pkl") -> Path:
    """Write a scene in the published layout, at a tiny size, and return its folder."""
    for view in views:
        for kind in ("latent", "pose", "intrinsics"):
            (root / view / kind).mkdir(parents=True)
        latent = smooth_latent(int(view))[None]
        if suffix == ".pkl":
            torch.save(latent.numpy(), root / view / "latent" / "scene.pkl")
        else:
            save_file({"latent": latent}, root / view / "latent" / "scene.safetensors")
        c2w = np.linalg.inv(trajectory_w2c(PATHS[view], frames=FRAMES, distance=0.25))
        inds = np.arange(FRAMES)
        np.savez(root / view / "pose" / "scene.npz", data=c2w.astype(np.float32), inds=inds)
        rows = np.tile(np.array([40.0, 40.0, COLUMNS * 4, ROWS * 4], np.float32), (FRAMES, 1))
        np.savez(root / view / "intrinsics" / "scene.npz", data=rows, inds=inds)
    return root


def rewrite(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    """Apply `change` to the `data` of an npz file."""
    with np.load(path) as archive:
        arrays = dict(archive)
    data = change(arrays["data"].copy())
    np.savez(path, data=data, inds=np.arange(len(data)))


def import_tiny_weights(folder: Path) -> Path:
    """Write tiny checkpoints in the published layouts, import them, and return the weights folder."""
    torch.manual_seed(0)
    folder.mkdir()
    store = Store(folder / "store")
    write_native_tokenizer(folder / "model.pt", FULL_TOKENIZER)
    import_file(find_entry("cosmos-tokenizer"), folder / "model.pt", store, configuration=FULL_TOKENIZER)
    for name, configuration in (("lyra-static", DECODER), ("lyra-dynamic", DYNAMIC)):
        path = folder / f"{name}.pt"
        write_deepspeed(path, configuration)
        import_file(find_entry(name), path, store, configuration=configuration, any_version=True)
    return store.folder
