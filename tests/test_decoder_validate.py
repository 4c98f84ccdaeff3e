"""Wrong input to the decoder ends in one line that names the file and the likely cause."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from latent_scenes import COLUMNS, FRAMES, PATHS, ROWS, SIZE, rewrite, smooth_latent, write_folder
from safetensors.torch import save_file

from generator.decoder import DecoderConfig, validate
from generator.decoder.latent_folder import read_latent_folder, stems
from lyra_sim.errors import LyraSimError

CONFIG = DecoderConfig.published()
MEAN_STD = (torch.full((16, 3), 0.25), torch.full((16, 3), 2.0))


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_a_good_folder_is_read(tmp_path: Path, suffix: str) -> None:
    """Views come in the published order, latents leave the diffusion space, and sizes are noted."""
    folder = write_folder(tmp_path, suffix=suffix)
    assert stems(folder) == ["scene"]
    scene = read_latent_folder(folder, "scene", CONFIG, mean_std=MEAN_STD)
    assert scene.views == ("5", "0", "1", "2", "3", "4")
    assert scene.latents.shape == (1, 18, 16, ROWS, COLUMNS)
    assert scene.c2w.shape == (6 * FRAMES, 4, 4)
    assert (scene.image_size, scene.frames) == (SIZE, FRAMES)
    torch.testing.assert_close(scene.latents[0, 3], smooth_latent(0)[:, 0] / 0.5 * 2.0 + 0.25)
    assert (scene.stem, scene.space, len(scene.sha256)) == ("scene", "diffusion", 64)
    assert any("704x1280" in note for note in validate.unusual_sizes(scene.image_size, scene.frames, 6))
    validate.check_inputs(
        CONFIG, scene.latents, scene.c2w[None], scene.intrinsics[None], scene.image_size, views=6
    )


def test_fewer_views_are_read(tmp_path: Path) -> None:
    """One to six trajectories are a scene."""
    scene = read_latent_folder(write_folder(tmp_path), "scene", CONFIG, views=("5", "2"), mean_std=MEAN_STD)
    assert scene.latents.shape[1] == 6


def refuse(folder: Path, *words: str) -> None:
    """Expect one line with these words when the folder is read."""
    with pytest.raises(LyraSimError) as caught:
        read_latent_folder(folder, "scene", CONFIG, mean_std=MEAN_STD)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("pose", lambda d: np.linalg.inv(d) * np.array([2, 2, 2, 1])[:, None], "scales by 2"),
        ("pose", lambda d: d * np.array([1, 1, 1.5, 1]), "is no rotation"),
        ("pose", lambda d: d * np.array([1, -1, 1, 1]), "mirrors space"),
        ("pose", lambda d: d.transpose(0, 2, 1), "look transposed"),
        ("pose", lambda d: np.where(d == 0, np.nan, d), "NaN or infinite"),
        ("pose", lambda d: d[:5], "5 poses for 17 frames"),
        ("pose", lambda d: d[:, :3], "expected (frames, 4, 4)"),
        ("intrinsics", lambda d: d / np.array([48, 32, 48, 32]), "look normalised"),
        ("intrinsics", lambda d: d * 20, "for images of about 960x640"),
        ("intrinsics", lambda d: d * np.array([-1, 1, 1, 1]), "must be positive"),
        ("intrinsics", lambda d: np.eye(3)[None].repeat(FRAMES, 0), "3x3 matrices"),
        ("intrinsics", lambda d: d[:, :3], "expected (frames, 4)"),
        ("intrinsics", lambda d: d.astype(str), "expected numbers"),
    ],
)
def test_wrong_cameras_are_named(tmp_path: Path, kind: str, change, words: str) -> None:  # type: ignore[no-untyped-def]
    """Poses and intrinsics of a wrong kind are refused with their file and the cause."""
    path = write_folder(tmp_path) / "2" / kind / "scene.npz"
    rewrite(path, change)
    refuse(tmp_path, str(path), words)


def test_world_to_camera_poses_are_noticed(tmp_path: Path) -> None:
    """When every named path runs backwards, the poses are w2c; one odd path among good ones is not refused."""
    folder = write_folder(tmp_path)
    rewrite(folder / "0" / "pose" / "scene.npz", np.linalg.inv)
    read_latent_folder(folder, "scene", CONFIG, mean_std=MEAN_STD)
    for view in PATHS:
        if view != "0":
            rewrite(folder / view / "pose" / "scene.npz", np.linalg.inv)
    refuse(folder, "world-to-camera", "scene.npz")


def test_swapped_channel_and_time_axes_are_noticed(tmp_path: Path) -> None:
    """With 16 channels and 16 frames the content tells; with other counts the shape does."""
    folder = write_folder(tmp_path)
    path = folder / "1" / "latent" / "scene.pkl"
    square = smooth_latent(frames=16)
    validate.check_latent(square, CONFIG, source="x")
    torch.save(square.transpose(0, 1)[None].contiguous().numpy(), path)
    refuse(folder, str(path), "axes look swapped")
    torch.save(smooth_latent().transpose(0, 1)[None].contiguous().numpy(), path)
    refuse(folder, str(path), "3 channels, expected 16", "swapped")


def test_latents_of_a_wrong_kind_are_named(tmp_path: Path) -> None:
    """NaN, odd sizes, mixed resolutions, wrong ranks and missing views each have their line."""
    folder = write_folder(tmp_path)
    path = folder / "3" / "latent" / "scene.pkl"
    for latent, words in (
        (torch.full((1, 16, 3, 4, 6), torch.nan), "1152 values that are NaN"),
        (torch.randn(1, 16, 3, 5, 6), "multiples of 2"),
        (torch.randn(1, 16, 3, 8, 6), "differs between views"),
        (torch.randn(16, 4, 6), "expected (channels, frames, rows, columns)"),
    ):
        torch.save(latent.numpy(), path)
        refuse(folder, words, "3/latent/scene.pkl")
    path.unlink()
    refuse(folder, "3/latent/scene.safetensors is missing")
    for file in sorted((folder / "3").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (folder / "3").rmdir()
    refuse(folder, "is missing (found: 0, 1, 2, 4, 5)")


class Evil:
    """An object whose unpickling would run a command."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("evil"),))


def test_pickles_of_anything_but_an_array_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects, dictionaries and cut-off files are refused, and no code of theirs runs."""
    folder = write_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = folder / "4" / "latent" / "scene.pkl"
    whole = path.read_bytes()
    torch.save(Evil(), path)
    refuse(folder, str(path), "cannot be read")
    path.write_bytes(pickle.dumps(Evil()))
    refuse(folder, str(path), "cannot be read")
    assert not (tmp_path / "evil").exists()
    path.write_bytes(whole[: len(whole) // 2])
    refuse(folder, str(path), "cannot be read")
    torch.save({"latent": torch.zeros(3)}, path)
    refuse(folder, str(path), "holds a dict")


def test_latents_without_statistics_are_refused(tmp_path: Path) -> None:
    """Diffusion-space latents need the tokenizer's mean and std; raw ones do not."""
    folder = write_folder(tmp_path)
    with pytest.raises(LyraSimError, match="mean_std"):
        read_latent_folder(folder, "scene", CONFIG)
    for view in PATHS:
        (folder / view / "latent" / "scene.pkl").unlink()
        latent = smooth_latent(int(view))[None]
        save_file(
            {"latent": latent}, folder / view / "latent" / "scene.safetensors", metadata={"space": "raw"}
        )
    scene = read_latent_folder(folder, "scene", CONFIG)
    assert torch.equal(scene.latents[0, :3], smooth_latent(5).transpose(0, 1))


@pytest.mark.parametrize(
    ("latents", "frames", "size", "words"),
    [
        ((1, 6, 16, 4, 6), 34, (32, 40), "are of 32x48 images, not 32x40"),
        ((1, 16, 6, 4, 6), 34, (32, 48), "look swapped"),
        ((1, 7, 16, 4, 6), 34, (32, 48), "a view is missing"),
        ((1, 6, 16, 4, 6), 33, (32, 48), "2 views of 17 frames"),
        ((6, 16, 4, 6), 34, (32, 48), "expected (B, V*t, C, h, w)"),
    ],
)
def test_tensors_that_do_not_fit_each_other_are_refused(
    latents: tuple[int, ...], frames: int, size: tuple[int, int], words: str
) -> None:
    """Latents, cameras and image size are checked against each other before a decode."""
    c2w = torch.eye(4).expand(1, frames, 4, 4)
    intrinsics = torch.tensor([40.0, 40.0, 24.0, 16.0]).expand(1, frames, 4)
    with pytest.raises(LyraSimError) as caught:
        validate.check_inputs(CONFIG, torch.randn(latents), c2w, intrinsics, size, views=2)
    assert words in str(caught.value)
