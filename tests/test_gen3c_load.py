"""GEN3C's networks from the store of published weights to a pipeline on a device."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from full_size_files import DENOISER, T5, import_denoiser, import_text_encoder, import_tokenizer
from test_gen3c_pipeline import FRAMES, inputs, tiny_pipeline

from generator.memory import Offload
from generator.placement import choose_offload, place
from generator.sizes import Size
from generator.teachers.gen3c.load import load_pipeline, load_text_encoder
from generator.weights.checkpoint import load_checkpoint
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store
from generator.weights.write import write_pair
from lyra_sim.errors import LyraSimError


@pytest.fixture(scope="module")
def size(tmp_path_factory: pytest.TempPathFactory) -> Size:
    """Return a full size whose weights were imported from tiny files in the published layouts."""
    folder = tmp_path_factory.mktemp("published")
    store = Store(folder / "store")
    for name, write in (("a", import_denoiser), ("b", import_tokenizer), ("c", import_text_encoder)):
        (folder / name).mkdir()
        write(folder / name, store)
    return Size(
        "full",
        32,
        48,
        FRAMES,
        store.folder / "cosmos-tokenizer.json",
        store.folder / "lyra-static.json",
        denoiser=store.folder / "gen3c.json",
        text_encoder=store.folder / "t5-text-encoder.json",
        precision="bfloat16",
    )


def test_published_weights_sample_a_video_from_a_prompt(size: Size) -> None:
    """From imported files to a video: bf16 networks, prompt through T5, latents of the right shape."""
    pipeline, cards = load_pipeline(size)
    assert set(cards) == {"denoiser", "tokenizer", "text_encoder"}
    assert {p.dtype for p in pipeline.transformer.parameters()} == {torch.bfloat16}
    options = {"num_inference_steps": 2, "output_type": "latent"}
    prompted, other, silent = (
        pipeline(**inputs(), generator=torch.Generator().manual_seed(0), prompt=prompt, **options).latents
        for prompt in ("a hall with shelves", "fog", None)
    )
    assert prompted.shape == (1, 16, 2, 4, 6)
    assert prompted.isfinite().all()
    assert not torch.equal(prompted, other)
    assert not torch.equal(prompted, silent)


def test_without_text_encoder_only_the_zero_embedding_is_left(size: Size, tmp_path: Path) -> None:
    """An absent card leaves the encoder out; a prompt is then refused in one line."""
    pipeline, cards = load_pipeline(dataclasses.replace(size, text_encoder=tmp_path / "absent.json"))
    assert "text_encoder" not in cards
    with pytest.raises(LyraSimError, match="needs the text encoder"):
        pipeline(**inputs(), prompt="fog", num_inference_steps=1)


def test_empty_prompts_end_at_once(size: Size) -> None:
    """The empty prompt is one end token: one embedding, then zeros (GEN3C's default)."""
    assert size.text_encoder is not None
    encoder, tokenizer, _ = load_text_encoder(size.text_encoder, dtype=torch.float32)
    assert encoder.config.d_ff == T5["d_ff"]
    assert tokenizer([""])["input_ids"] == [[1]]
    assert tokenizer(["a hall"])["input_ids"] == [[3, 4, 1]]


def test_networks_that_do_not_belong_together_are_refused(size: Size, tmp_path: Path) -> None:
    """A denoiser trained on another tokenizer's latents, or a card of another kind, is named."""
    state, _ = load_checkpoint(size.denoiser, "gen3c-transformer")
    facts = {"training": {"tokenizer_sha256": "0" * 64}}
    write_pair(tmp_path, "other", "gen3c-transformer", state, DENOISER, facts)
    with pytest.raises(LyraSimError, match=r"trained on latents of tokenizer 0{12}"):
        load_pipeline(dataclasses.replace(size, denoiser=tmp_path / "other.json"))
    with pytest.raises(LyraSimError, match="describes a tokenizer"):
        load_pipeline(dataclasses.replace(size, denoiser=size.tokenizer))


def test_a_text_encoder_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    """An import without tokenizer.json is told what to put beside the weights."""
    import_text_encoder(tmp_path, Store(tmp_path / "whole"))
    (tmp_path / "tokenizer.json").unlink()
    store, entry = Store(tmp_path / "store"), find_entry("t5-text-encoder")
    import_file(entry, tmp_path / "pytorch_model.bin", store, configuration={"network": T5})
    with pytest.raises(LyraSimError, match=r"tokenizer\.json of google-t5/t5-11b"):
        load_text_encoder(store.card_path(entry), dtype=torch.float32)


@pytest.mark.parametrize("offload", ["none", "model", "group"])
def test_every_placement_gives_the_same_video(offload: Offload) -> None:
    """Networks that are moved whole, or layer by layer, sample what networks that stay do."""
    expected = tiny_pipeline()(**inputs(), num_inference_steps=2, generator=torch.Generator().manual_seed(0))
    pipeline = tiny_pipeline()
    assert place(pipeline, "cpu", offload=offload) == offload
    found = pipeline(**inputs(), num_inference_steps=2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.latents, expected.latents)
    assert abs(found.frames - expected.frames).max() < 1e-5


def test_little_memory_means_full_offload() -> None:
    """Under 48 GiB every layer is moved, from 80 GiB on none; the CPU moves nothing."""
    assert [choose_offload(m) for m in (24, 47.9, 48, 79, 80, 141)] == [
        "group",
        "group",
        "model",
        "model",
        "none",
        "none",
    ]
    assert place(tiny_pipeline(), "cpu") == "none"


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names torch's build instead of a traceback from inside it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LyraSimError, match=r"finds no CUDA GPU.*--size mini"):
        place(tiny_pipeline(), "cuda")
