"""Videos of several chunks: cameras, latents and the cache between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from generator.cache import Cache3D, CacheViews
from generator.cameras import Cameras
from generator.depth import DepthEstimate
from generator.teachers.gen3c.chunks import Chunk, chunk_slices, imagine_chunks
from generator.tokenizer import CosmosTokenizer
from generator.trajectories import trajectory_w2c
from lyra_sim.errors import LyraSimError

HEIGHT, WIDTH, CHUNK = 32, 48, 9
LENS = np.array([40.0, 40.0, WIDTH / 2, HEIGHT / 2])


def true_depth(x: float) -> np.ndarray:
    """Return the z-depth of a floor-like plane z = 4 - 0.2 y from a camera at (x, 0, 0), which does not matter."""
    row = (np.arange(HEIGHT) + 0.5 - LENS[3]) / LENS[1]
    return np.repeat((4 / (1 + 0.2 * row))[:, None], WIDTH, axis=1).astype(np.float32)


def path(frames: int) -> Cameras:
    w2c = trajectory_w2c("right", frames=frames, distance=0.4, rotation="no_rotation")
    return Cameras(np.linalg.inv(w2c), np.tile(LENS, (frames, 1)), HEIGHT, WIDTH)


class Estimator:
    """Return the true depth of the plane, at a scale and offset of its own, as estimators do."""

    name, metric = "fake", False

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []

    def estimate(self, rgb: np.ndarray, *, intrinsics: np.ndarray | None = None) -> DepthEstimate:
        self.frames.append(rgb)
        depth = 1 / (0.5 / true_depth(0) + 0.02)
        return DepthEstimate(depth.astype(np.float32), np.ones(depth.shape, bool), intrinsics)


def run(frames: int) -> tuple[list[Chunk], Cache3D, Estimator, list[tuple[int, np.ndarray, CacheViews]]]:
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image = torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1
    lens = torch.from_numpy(LENS).float()
    cache = Cache3D(image, torch.from_numpy(true_depth(0)), torch.eye(4), lens)
    asked: list[tuple[int, np.ndarray, CacheViews]] = []
    tokenizer = tiny_tokenizer()

    def complete(number: int, rgb: np.ndarray, views: CacheViews) -> Tensor:
        asked.append((number, rgb, views))
        video = views.pixels[:, 0].transpose(0, 1)[None]
        with torch.no_grad():
            return tokenizer.encode(video + 0.01 * number)

    def decode(latents: Tensor) -> np.ndarray:
        with torch.no_grad():
            video = tokenizer.decode(latents)[0].permute(1, 2, 3, 0).clamp(-1, 1)
        return ((video + 1) * 127.5).round().to(torch.uint8).numpy()

    estimator = Estimator()
    chunks = list(
        imagine_chunks(
            picture,
            cache,
            path(frames),
            chunk=CHUNK,
            complete=complete,
            decode=decode,
            estimator=lambda: estimator,
        )
    )
    return chunks, cache, estimator, asked


def tiny_tokenizer() -> CosmosTokenizer:
    torch.manual_seed(0)
    levels = (4, 8, 8, 8)
    return CosmosTokenizer(
        {"encoder_block_out_channels": levels, "decode_block_out_channels": levels, "num_layers": 1}
    ).eval()


def test_chunks_share_one_frame() -> None:
    """120 N + 1 frames make N chunks that overlap by one; other numbers name one that fits."""
    assert chunk_slices(121, 121) == [slice(0, 121)]
    assert chunk_slices(361, 121) == [slice(0, 121), slice(120, 241), slice(240, 361)]
    for frames in (120, 122, 240, 1):
        with pytest.raises(LyraSimError, match="such as 241"):
            chunk_slices(frames, 121)


def test_one_chunk_asks_for_no_depth() -> None:
    """A path of one clip is sampled once and leaves the cache as it was."""
    chunks, cache, estimator, _ = run(CHUNK)
    assert len(chunks) == 1
    assert len(cache.pictures) == 1
    assert not estimator.frames


def test_every_chunk_keeps_latents_that_decode_to_its_frames() -> None:
    """No chunk's latents are lost, each starts from the last frame before, and cameras follow the whole path."""
    chunks, _, estimator, asked = run(3 * (CHUNK - 1) + 1)
    assert [number for number, _, _ in asked] == [0, 1, 2]
    assert all(chunk.latents.shape == (1, 16, 2, HEIGHT // 8, WIDTH // 8) for chunk in chunks)
    for before, (_, picture, _), estimated in zip(chunks[:-1], asked[1:], estimator.frames, strict=True):
        np.testing.assert_array_equal(picture, before.rgb[-1])
        np.testing.assert_array_equal(estimated, before.rgb[-1])
    whole = path(3 * (CHUNK - 1) + 1)
    joined = np.concatenate([chunks[0].cameras.c2w, *(c.cameras.c2w[1:] for c in chunks[1:])])
    np.testing.assert_array_equal(joined, whole.c2w)
    tokenizer = tiny_tokenizer()
    for chunk in chunks:
        with torch.no_grad():
            video = tokenizer.decode(chunk.latents)[0].permute(1, 2, 3, 0).clamp(-1, 1)
        np.testing.assert_array_equal(((video + 1) * 127.5).round().to(torch.uint8).numpy(), chunk.rgb)


def test_later_chunks_see_the_new_frame_first_and_the_first_picture_always() -> None:
    """The cache shows one buffer, then two; of three pictures the newest and the first are kept."""
    _, cache, _, asked = run(3 * (CHUNK - 1) + 1)
    assert [views.pixels.shape[1] for _, _, views in asked] == [1, 2, 2]
    assert len(cache.pictures) == 2
    first = torch.from_numpy(asked[0][1]).permute(2, 0, 1).float() / 127.5 - 1
    torch.testing.assert_close(cache.pictures[-1].image, first)


def test_estimated_depth_comes_to_the_scale_of_the_cache() -> None:
    """An estimate with another scale and offset of inverse depth lands on the true plane within 2%."""
    _, cache, _, _ = run(2 * (CHUNK - 1) + 1)
    depth = cache.pictures[0].points[..., 2].numpy()
    error = np.abs(depth / true_depth(0) - 1)
    assert np.median(error) < 0.02
