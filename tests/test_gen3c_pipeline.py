"""GEN3C's pipeline on tiny networks with random weights, written to disk in the published layout."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKLCosmos, CosmosTransformer3DModel
from full_size_files import official_name
from torch import Tensor, nn

from generator.teachers.gen3c.keys import diffusers_key
from generator.teachers.gen3c.pipeline import Gen3CPipeline
from generator.teachers.gen3c.published import load_published_transformer
from generator.teachers.gen3c.sampler import make_scheduler
from generator.teachers.gen3c.transformer import FULL_CONFIGURATION
from lyra_sim.errors import LyraSimError

TINY = {
    **FULL_CONFIGURATION,
    "in_channels": 16 + 1 + 64,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 1,
    "text_embed_dim": 8,
    "adaln_lora_dim": 4,
    "max_size": (8, 16, 16),
}
FRAMES, HEIGHT, WIDTH = 9, 32, 48
STEPS = 3


def tiny_pipeline(**components: object) -> Gen3CPipeline:
    torch.manual_seed(0)
    transformer = CosmosTransformer3DModel(**TINY).eval()
    for parameter in transformer.parameters():
        nn.init.normal_(parameter, std=0.1)
    vae = AutoencoderKLCosmos(
        encoder_block_out_channels=(4, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(32,),
        resolution=64,
        num_layers=1,
    ).eval()
    pipeline = Gen3CPipeline(transformer, vae, make_scheduler(), **components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def inputs(buffers: int = 1, batch: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(0, 2, (batch, FRAMES, buffers, 1, HEIGHT, WIDTH), generator=generator).float()
    pixels = torch.rand(batch, FRAMES, buffers, 3, HEIGHT, WIDTH, generator=generator) * 2 - 1
    return {"image": pixels[:, 0, 0], "cache_pixels": pixels * masks + masks - 1, "cache_masks": masks}


def sample(pipeline: Gen3CPipeline, **options: object) -> Tensor:
    options = {"num_inference_steps": STEPS, "output_type": "latent", **options}
    return pipeline(**inputs(), generator=torch.Generator().manual_seed(5), **options).latents


def save_quietly(pipeline: Gen3CPipeline, folder: Path) -> Gen3CPipeline:
    pipeline.save_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = Gen3CPipeline.from_pretrained(folder)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_saved_pipelines_sample_the_same_video(tmp_path: Path) -> None:
    """A pipeline read back from its folder gives bit for bit the latents of the one that was saved."""
    pipeline = tiny_pipeline()
    loaded = save_quietly(pipeline, tmp_path / "gen3c")
    index = json.loads((tmp_path / "gen3c" / "model_index.json").read_text())
    assert index["_class_name"] == "Gen3CPipeline"
    assert index["transformer"] == ["diffusers", "CosmosTransformer3DModel"]
    assert loaded.scheduler.config.sigma_min == 0.0002
    assert torch.equal(sample(loaded), sample(pipeline))


def test_video_has_the_size_of_the_cache_and_starts_with_the_picture() -> None:
    """Frames come out in [0, 1] at the size of the input, and the first latent frame is that of the picture."""
    pipeline = tiny_pipeline()
    output = pipeline(**inputs(), num_inference_steps=STEPS)
    assert output.frames.shape == (1, FRAMES, HEIGHT, WIDTH, 3)
    assert 0 <= output.frames.min() <= output.frames.max() <= 1
    picture = pipeline._encode_video(inputs()["image"][:, :, None])
    assert output.latents.shape == (1, 16, 2, HEIGHT // 8, WIDTH // 8)
    assert (output.latents[:, :, :1] - picture).abs().max() < 0.02
    assert (output.latents[:, :, 1:] - picture).abs().max() > 0.02


def test_seeds_decide_the_video() -> None:
    """The same generator gives the same latents, another one gives others."""
    pipeline = tiny_pipeline()
    first = sample(pipeline)
    assert torch.equal(first, sample(pipeline))
    other = pipeline(**inputs(), num_inference_steps=STEPS, generator=torch.Generator().manual_seed(6))
    assert not torch.allclose(first, other.latents)


def test_without_guidance_the_denoiser_runs_once_per_step() -> None:
    """Guidance 0 is the conditional branch alone; otherwise the branch without the cache runs as well."""
    pipeline = tiny_pipeline()
    buffers_seen: list[float] = []
    pipeline.transformer.register_forward_pre_hook(
        lambda _, args: buffers_seen.append(args[0][:, 17:].abs().sum())
    )
    sample(pipeline, guidance=0.0)
    assert len(buffers_seen) == STEPS
    assert all(buffers_seen)
    buffers_seen.clear()
    sample(pipeline, guidance=1.0)
    assert [bool(b) for b in buffers_seen] == [True, False] * STEPS


def test_missing_buffers_are_zeros() -> None:
    """With one buffer the channels of the second are zero; with two they are not."""
    pipeline = tiny_pipeline()
    second: list[float] = []
    pipeline.transformer.register_forward_pre_hook(
        lambda _, args: second.append(float(args[0][:, 49:].abs().sum()))
    )
    for buffers in (1, 2):
        pipeline(**inputs(buffers), num_inference_steps=1, guidance=0.0, output_type="latent")
    assert second[0] == 0
    assert second[1] > 0


def test_callbacks_see_every_step_and_may_change_the_latents() -> None:
    """What the callback returns is what sampling goes on with."""
    steps: list[int] = []

    def zero(
        pipeline: Gen3CPipeline, step: int, timestep: Tensor, tensors: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        steps.append(step)
        return {"latents": torch.zeros_like(tensors["latents"])}

    assert (sample(tiny_pipeline(), callback_on_step_end=zero) == 0).all()
    assert steps == list(range(STEPS))


def test_half_precision_weights_stay_close() -> None:
    """In bfloat16 the result keeps to that of float32 within the precision of the weights."""
    pipeline = tiny_pipeline()
    exact = sample(pipeline)
    rough = sample(pipeline.to(torch.bfloat16))
    assert rough.dtype == torch.float32
    assert ((rough - exact).norm() / exact.norm()) < 0.1


def test_every_network_takes_part_in_offloading() -> None:
    """The order of offloading names all components with weights, so none of them stays on the GPU."""
    networks = {n for n, c in tiny_pipeline().components.items() if isinstance(c, nn.Module)} | {
        "text_encoder"
    }
    assert set(Gen3CPipeline.model_cpu_offload_seq.split("->")) == networks


def test_group_offloading_changes_nothing() -> None:
    """Layers that are moved to the device one by one give the same latents."""
    pipeline = tiny_pipeline()
    expected = sample(pipeline)
    pipeline.enable_group_offload(onload_device=torch.device("cpu"), offload_type="leaf_level")
    torch.testing.assert_close(sample(pipeline), expected)


class FakeTextEncoder(nn.Module):
    """Embed token ids as constant vectors."""

    device, dtype = torch.device("cpu"), torch.float32

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=(input_ids + 1)[..., None].float().expand(-1, -1, 8))


def fake_tokenizer(prompts: list[str], **_: object) -> SimpleNamespace:
    ids, mask = (
        torch.zeros(len(prompts), 512, dtype=torch.long),
        torch.zeros(len(prompts), 512, dtype=torch.long),
    )
    for i, prompt in enumerate(prompts):
        ids[i, : len(prompt)] = torch.tensor([ord(c) for c in prompt])
        mask[i, : len(prompt)] = 1
    return SimpleNamespace(input_ids=ids, attention_mask=mask)


def test_prompts_are_zero_beyond_their_end() -> None:
    """The denoiser gets the prompt's embedding followed by zeros, and the negative prompt in the other branch."""
    pipeline = tiny_pipeline(text_encoder=FakeTextEncoder(), tokenizer=fake_tokenizer)
    texts: list[Tensor] = []
    pipeline.transformer.register_forward_pre_hook(lambda _, args: texts.append(args[2][0, :, 0]))
    sample(pipeline, prompt="hall", negative_prompt="fog")
    assert texts[0][:4].tolist() == [ord(c) + 1 for c in "hall"]
    assert texts[1][:3].tolist() == [ord(c) + 1 for c in "fog"]
    assert not texts[0][4:].any()
    assert not texts[1][3:].any()


def test_no_prompt_is_the_zero_embedding() -> None:
    """Both branches see zeros and no text encoder is needed."""
    pipeline = tiny_pipeline()
    texts: list[Tensor] = []
    pipeline.transformer.register_forward_pre_hook(lambda _, args: texts.append(args[2]))
    sample(pipeline)
    assert all(text.shape == (1, 512, 8) and not text.any() for text in texts)


class StubChecker:
    """Refuse the word "bad", and every video when told so."""

    refuse_video = False

    def check_text_safety(self, prompt: str) -> bool:
        return "bad" not in prompt

    def to(self, device: object) -> None:
        """Move nothing."""

    def check_video_safety(self, video: object) -> object | None:
        return None if self.refuse_video else video


def test_safety_checker_is_asked_for_prompt_and_video() -> None:
    """A refused prompt or video ends in one line; an accepted video passes unchanged up to 8 bits."""
    plain, pipeline = (
        tiny_pipeline(text_encoder=FakeTextEncoder(), tokenizer=fake_tokenizer, safety_checker=checker)
        for checker in (None, StubChecker())
    )
    plain = plain(**inputs(), num_inference_steps=1, generator=torch.Generator().manual_seed(5)).frames
    checked = pipeline(**inputs(), num_inference_steps=1, generator=torch.Generator().manual_seed(5)).frames
    assert abs(checked - plain).max() < 1 / 255 + 1e-6
    with pytest.raises(LyraSimError, match="refuses the prompt"):
        sample(pipeline, prompt="bad", negative_prompt="")
    pipeline.safety_checker.refuse_video = True
    with pytest.raises(LyraSimError, match="refuses the video"):
        sample(pipeline, output_type="np")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(1, 3, 40, 48)}, "multiples of 16"),
        ({"image": torch.zeros(3, 32, 48)}, "give (B, 3, H, W)"),
        (
            {"cache_pixels": torch.zeros(1, 8, 1, 3, 32, 48), "cache_masks": torch.zeros(1, 8, 1, 1, 32, 48)},
            "8k + 1",
        ),
        (
            {"cache_pixels": torch.zeros(1, 9, 3, 3, 32, 48), "cache_masks": torch.zeros(1, 9, 3, 1, 32, 48)},
            "1 to 2",
        ),
        ({"cache_masks": torch.zeros(1, 9, 1, 3, 32, 48)}, "cache_masks has shape"),
        ({"prompt": "a hall"}, "needs the text encoder"),
        ({"negative_prompt": "fog"}, "needs a prompt"),
        ({"callback_on_step_end_tensor_inputs": ("images",)}, "not ['images']"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line(change: dict, message: str) -> None:
    """Shapes, prompts without an encoder and unknown callback tensors are named before anything runs."""
    with pytest.raises(LyraSimError) as error:
        tiny_pipeline()(**{**inputs(), **change}, num_inference_steps=1)
    assert message in str(error.value)


def test_published_checkpoint_is_loaded_as_it_is(tmp_path: Path) -> None:
    """A model.pt with official names and training leftovers gives the network that it was written from."""
    transformer = tiny_pipeline().transformer
    official = {official_name(n): p for n, p in transformer.state_dict().items()}
    torch.save(
        {"model": {**official, "net.accum_image_sample_counter": torch.zeros(1)}}, tmp_path / "model.pt"
    )
    loaded = load_published_transformer(tmp_path / "model.pt", configuration=TINY, dtype=torch.float32)
    for name, tensor in transformer.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_wrong_checkpoints_are_refused_in_one_line(tmp_path: Path) -> None:
    """A missing or damaged file, one with code in it, and one of another network are told apart."""
    (tmp_path / "noise.pt").write_bytes(b"not a checkpoint")
    torch.save({"run": Path("x")}, tmp_path / "code.pt")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    torch.save({"net.affline_norm.weight": torch.zeros(2)}, tmp_path / "part.pt")
    for name, message in [
        ("absent.pt", "cannot be read"),
        ("noise.pt", "cannot be read"),
        ("code.pt", "cannot be read"),
        ("tensor.pt", "holds Tensor"),
        ("part.pt", "do not fit"),
    ]:
        with pytest.raises(LyraSimError, match=message):
            load_published_transformer(tmp_path / name, configuration=TINY)


def fastvideo_name(name: str) -> str:
    """Return FastVideo's name of a diffusers weight."""
    for old, new in [
        ("time_embed.norm", "affine_norm"),
        ("norm_out.linear_", "final_layer.adaln_modulation."),
        ("norm1.linear_", "adaln_modulation_self_attn."),
        ("norm2.linear_", "adaln_modulation_cross_attn."),
        ("norm3.linear_", "adaln_modulation_mlp."),
        ("to_out.0", "to_out"),
        ("ff.net.0.proj", "mlp.fc_in"),
        ("ff.net.2", "mlp.fc_out"),
    ]:
        name = name.replace(old, new)
    return f"final_layer.{name}" if name.startswith("proj_out") else name


def test_converted_copies_have_every_weight_too() -> None:
    """FastVideo's names, which differ from the official and from diffusers' ones, lead to the same network."""
    names = list(tiny_pipeline().transformer.state_dict())
    foreign = [fastvideo_name(name) for name in names]
    assert sum(a != b for a, b in zip(names, foreign, strict=True)) > 10
    assert [diffusers_key(name) for name in foreign] == names
    assert [diffusers_key(name) for name in names] == names
