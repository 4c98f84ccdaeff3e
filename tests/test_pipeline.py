"""The pipeline: found by name or folder, saved and loaded again, and decoding what was published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from latent_scenes import COLUMNS, FRAMES, ROWS, SIZE, import_tiny_weights, smooth_latent, write_folder

from generator import LyraPipeline
from generator.cameras import Cameras
from generator.decode_cost import encoder_cost
from generator.decoder import build_inputs
from generator.decoder.latents import encode_plucker_maps
from generator.decoder.rays import plucker_maps
from generator.decoder.time_maps import embed_times, normalised_times, spread_times
from generator.inputs import relative_c2w
from generator.weights.pull import pull
from generator.weights.registry import find_entry
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError

VIEWS = 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def static(weights: Path, monkeypatch: pytest.MonkeyPatch) -> LyraPipeline:
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))
    return LyraPipeline.from_pretrained("lyra-static", local_files_only=True)


@pytest.fixture
def dynamic(weights: Path, monkeypatch: pytest.MonkeyPatch) -> LyraPipeline:
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(weights))
    return LyraPipeline.from_pretrained("lyra-dynamic", local_files_only=True)


def latents() -> torch.Tensor:
    return torch.cat([smooth_latent(view).transpose(0, 1) for view in range(VIEWS)])[None]


def cameras() -> list[Cameras]:
    """Return two paths that start 3 units off the world's origin."""
    clips = []
    for view in range(VIEWS):
        c2w = np.tile(np.eye(4), (FRAMES, 1, 1))
        c2w[:, 0, 3] = 3 + (view - 0.5) * np.linspace(0, 0.2, FRAMES)
        clips.append(Cameras(c2w, np.tile([40.0, 40.0, COLUMNS * 4, ROWS * 4], (FRAMES, 1)), *SIZE))
    return clips


def silent(note: str) -> None:
    """Take a note and do nothing."""


def official(pipeline: LyraPipeline, rays: torch.dtype, times: torch.Tensor | None = None) -> torch.Tensor:
    """Decode as the published code does: maps of all views at once, then the network in one pass."""

    def encode(video: torch.Tensor) -> torch.Tensor:
        return pipeline.tokenizer.encode(video.transpose(1, 2).float()).transpose(1, 2)

    c2w = relative_c2w(torch.from_numpy(np.concatenate([c.c2w for c in cameras()]))).float()[None]
    intrinsics = torch.from_numpy(np.concatenate([c.intrinsics for c in cameras()])).float()[None]
    maps = plucker_maps(c2w.to(rays), intrinsics.to(rays), SIZE)
    inputs = build_inputs(
        pipeline.decoder.config,
        latents(),
        c2w,
        intrinsics,
        SIZE,
        views=VIEWS,
        plucker=encode_plucker_maps(encode, maps, VIEWS),
        times=None if times is None else torch.cat([encode(part) for part in times], dim=1),  # type: ignore[misc]
    )
    with torch.no_grad():
        return pipeline.decoder.prune(pipeline.decoder(inputs))[0]


def test_published_layouts_decode_as_the_official_order_of_operations(static: LyraPipeline) -> None:
    """Show that DeepSpeed and native files, imported, decode view by view to what one pass over all views gives."""
    fractions: list[float] = []
    found = static.decode(latents(), cameras(), callback=lambda f, _: fractions.append(f), say=silent)
    torch.testing.assert_close(found, official(static, torch.bfloat16), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, official(static, torch.float32), rtol=1e-4, atol=1e-4)
    assert fractions == sorted(fractions)
    assert fractions[0] == 0


def test_ray_precisions_differ_where_they_should(static: LyraPipeline) -> None:
    """Show that `auto` feeds the network the rays it was trained with, and puts the Gaussians on exact ones."""
    found = {
        rays: static.decode(latents(), cameras(), rays=rays, say=silent)  # type: ignore[arg-type]
        for rays in ("auto", "bfloat16", "float32")
    }
    # Opacity, scale, rotation and colour come from the network alone.
    assert torch.equal(found["auto"][:, 3:], found["bfloat16"][:, 3:])
    assert not torch.equal(found["auto"][:, :3], found["bfloat16"][:, :3])
    assert not torch.allclose(found["auto"][:, 3:], found["float32"][:, 3:])


def test_a_dynamic_decoder_makes_one_set_per_time(dynamic: LyraPipeline) -> None:
    """Show that every target time's set is that of the official time maps, and that the rays are encoded once."""
    calls: list[int] = []
    dynamic.decoder.patch_plucker_embed.register_forward_hook(lambda *_: calls.append(1))
    fractions: list[float] = []
    sets = list(
        dynamic.decode_times(
            latents(), cameras(), [0, 16], callback=lambda f, _: fractions.append(f), say=silent
        )
    )
    assert len(calls) == VIEWS
    assert fractions == sorted(fractions)
    for time, found in zip((0.0, 16.0), sets, strict=True):
        frames, target = normalised_times(torch.arange(17.0)[None], torch.tensor([[time]]))
        videos = [2 * spread_times(embed_times(part), SIZE) - 1 for part in (frames, target)]
        expected = official(dynamic, torch.bfloat16, videos)  # type: ignore[arg-type]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(dynamic.decode(latents(), cameras(), time=time, say=silent), found)
    assert not torch.allclose(sets[0], sets[1])


def test_a_saved_pipeline_is_the_same(tmp_path: Path, static: LyraPipeline) -> None:
    """Show that saving and loading gives the same weights, cards and Gaussians, and refuses a foreign folder."""
    static.save_pretrained(tmp_path / "saved")
    again = LyraPipeline.from_pretrained(tmp_path / "saved")
    assert again.provenance() == static.provenance()
    assert again.is_published
    expected = static.decode(latents(), cameras(), say=silent)
    assert torch.equal(again.decode(latents(), cameras(), say=silent), expected)
    (tmp_path / "other").mkdir()
    with pytest.raises(LyraSimError, match=r"holds no pipeline, lacks tokenizer\.json and decoder\.json"):
        LyraPipeline.from_pretrained(tmp_path / "other")


def test_the_embedded_pipeline_saves_to_the_same_bytes(tmp_path: Path) -> None:
    """Show that the mini pipeline's files come back bit for bit, so that its decoder still knows its tokenizer."""
    mini = LyraPipeline.from_pretrained("mini")
    mini.save_pretrained(tmp_path / "mini")
    assert LyraPipeline.from_pretrained(tmp_path / "mini").provenance() == mini.provenance()
    assert not mini.is_published


def test_names_that_are_not_here_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the line for unknown names, for weights not here, and for a licence not accepted."""
    monkeypatch.setenv("LYRA_SIM_WEIGHTS", str(tmp_path))
    with pytest.raises(LyraSimError, match="choose from mini, lyra-static, lyra-dynamic"):
        LyraPipeline.from_pretrained("lyra-9")
    with pytest.raises(
        LyraSimError, match=r"cosmos-tokenizer and lyra-static not in .*weights pull lyra-static"
    ):
        LyraPipeline.from_pretrained("nvidia/Lyra", local_files_only=True)
    with pytest.raises(LyraSimError, match="NVIDIA Open Model License"):
        LyraPipeline.from_pretrained("lyra-static")
    with pytest.raises(LyraSimError, match="NVIDIA Open Model License"):
        pull(find_entry("lyra-static"), Store())


def test_published_weights_warn_away_from_their_training(static: LyraPipeline) -> None:
    """Show that a size which the released weights never saw is said once per decode, as a warning by default."""
    with pytest.warns(UserWarning, match="704x1280 with 121 frames only; 32x48 with 17 frames"):
        static.decode(latents(), cameras())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": 3}, "no target time"),
        ({"latents": latents()[:, :5]}, "a view is missing"),
        ({"latents": latents() * torch.inf}, "NaN or infinite"),
        ({"latents": latents().transpose(1, 2)}, "look swapped"),
        ({"memory_limit": 1000}, "memory limit of 0.00 GB is too small"),
    ],
)
def test_wrong_calls_are_refused(static: LyraPipeline, change: dict, words: str) -> None:
    """Show that arguments which do not fit each other or the decoder are refused before anything runs."""
    arguments = {"latents": latents(), "cameras": cameras(), "say": silent} | change
    with pytest.raises(LyraSimError, match=words):
        static.decode(**arguments)


def test_a_dynamic_decoder_wants_a_time_within_the_video(dynamic: LyraPipeline) -> None:
    """Show that a missing time and one outside of the video are refused."""
    with pytest.raises(LyraSimError, match="give a target time"):
        dynamic.decode(latents(), cameras(), say=silent)
    with pytest.raises(LyraSimError, match="time 17 is outside of the video: give 0 to 16"):
        dynamic.decode(latents(), cameras(), time=17, say=silent)


def test_the_cost_is_known_before_the_start(static: LyraPipeline) -> None:
    """Show that seconds grow with the views, and that the tokenizer's share follows from a run without numbers."""
    one, two = static.cost(cameras()[:1]), static.cost(cameras())
    assert one.seconds > 0
    assert two.tokenizer_bytes == one.tokenizer_bytes
    cost = encoder_cost(static.tokenizer, FRAMES, SIZE, torch.float32)
    half = encoder_cost(static.tokenizer, FRAMES, SIZE, torch.bfloat16)
    assert cost.operations == half.operations > 1e6
    assert half.peak == pytest.approx(cost.peak / 2, rel=0.01)


def test_importing_the_generator_loads_no_torch() -> None:
    """Show that the class is reachable from the package, and that torch waits until it is asked for."""
    code = "import sys, generator; early = 'torch' in sys.modules; generator.LyraPipeline; assert not early"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_of_latents_reads_for_the_pipeline(tmp_path: Path, static: LyraPipeline) -> None:
    """Show that the tokenizer's statistics from mean_std.pt lead published latents out of their diffusion space."""
    from generator.decoder.latent_folder import read_latent_folder

    folder = read_latent_folder(
        write_folder(tmp_path / "views"),
        "scene",
        static.decoder.config,
        views=("0",),
        mean_std=static.tokenizer.statistics,
    )
    mean, std = 5 * 20 + 2 + 1, 16 * 20 + 5 * 20 + 2 + 1
    expected = smooth_latent(0)[5, 2] / 0.5 * std + mean
    torch.testing.assert_close(folder.latents[0, 2, 5], expected)
