"""Published layouts to networks, without running anything that a file contains."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from diffusers import CosmosTransformer3DModel
from safetensors.torch import save_file
from weights_files import DECODER, TOKENIZER, native_name, write_deepspeed, write_native_tokenizer

from generator.decoder import DecoderConfig, LyraDecoder
from generator.tokenizer import load_tokenizer
from generator.weights.checkpoint import load_checkpoint
from generator.weights.convert import convert
from generator.weights.pull import import_file
from generator.weights.registry import find_entry
from generator.weights.store import Store
from generator.weights.unpickle import Inert, read_tensors
from lyra_sim import LyraSimError


class Bomb:
    """Call a function with an argument when unpickled."""

    def __init__(self, function: object, argument: str) -> None:
        self.call = (function, (argument,))

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("name", ["lyra-static", "lyra-dynamic"])
def test_a_deepspeed_decoder_is_stored_bit_for_bit(name: str, tmp_path: Path) -> None:
    """Show that the module of a training checkpoint reaches a decoder unchanged, through its card."""
    state = write_deepspeed(tmp_path / "states.pt")
    store = Store(tmp_path / "store")
    entry = find_entry(name)
    import_file(entry, tmp_path / "states.pt", store, configuration=DECODER, any_version=True)
    loaded, card = load_checkpoint(store.card_path(entry), "decoder")
    assert {key: value.dtype for key, value in loaded.items()} == dict.fromkeys(state, torch.bfloat16)
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    LyraDecoder(DecoderConfig.from_dict(card["configuration"])).load_state_dict(loaded)
    assert card["licence"] == "NVIDIA Open Model License"
    assert card["source"]["files"]["lyra_" + name.split("-")[1] + ".pt"]["name"] == "states.pt"


def test_a_native_tokenizer_gets_stock_names_and_its_statistics(tmp_path: Path) -> None:
    """Show that native tensors and the first 16 columns of mean_std.pt reach a tokenizer that loads by its card."""
    state = write_native_tokenizer(tmp_path / "model.pt")
    store = Store(tmp_path / "store")
    entry = find_entry("cosmos-tokenizer")
    import_file(entry, tmp_path / "model.pt", store, configuration=TOKENIZER)
    tokenizer, card = load_tokenizer(store.card_path(entry))
    loaded = tokenizer.network.state_dict()
    assert all(torch.equal(loaded[name], state[name].float()) for name in state)
    mean = torch.tensor(card["configuration"]["latents_mean"]).view(4, 16)
    torch.testing.assert_close(mean, (torch.arange(4 * 20.0).view(4, 20) + 1)[:, :16])
    latents = torch.full((1, 4, 3, 1, 1), 2.0)
    expected = (2 - mean[2, 1]) / (mean[2, 1] + 4 * 20)
    torch.testing.assert_close(tokenizer.normalize(latents)[0, 2, 1, 0, 0], expected)


def test_the_native_names_are_the_published_ones() -> None:
    """Show that the names which the tests write are those of the published conversion table."""
    assert native_name("encoder.conv_in.conv_s.weight") == "encoder.conv_in.0.conv3d.weight"
    assert (
        native_name("decoder.up_blocks.0.resnets.1.norm1.norm.weight")
        == "decoder.up.2.block.1.norm1.norm.weight"
    )
    assert (
        native_name("encoder.mid_block.temp_attentions.0.to_out.0.bias")
        == "encoder.mid.attn_1.1.proj_out.conv3d.bias"
    )
    assert (
        native_name("encoder.down_blocks.0.downsamplers.0.conv3.weight")
        == "encoder.down.0.downsample.conv3.conv3d.weight"
    )
    assert native_name("post_quant_conv.weight") == "post_quant_conv.conv3d.weight"


def test_diffusers_form_needs_no_statistics_but_the_native_form_does(tmp_path: Path) -> None:
    """Show that a safetensors VAE converts by itself, and that native weights ask for mean_std.pt."""
    entry = find_entry("cosmos-tokenizer")
    state = write_native_tokenizer(tmp_path / "model.pt")
    save_file(state, tmp_path / "vae.safetensors")
    converted, _ = convert(entry, {"model.pt": tmp_path / "vae.safetensors"}, TOKENIZER)
    assert converted.keys() == state.keys()
    with pytest.raises(LyraSimError, match=r"mean_std\.pt"):
        convert(entry, {"model.pt": tmp_path / "model.pt"}, TOKENIZER)


def test_gen3c_goes_through_the_key_map(tmp_path: Path) -> None:
    """Show that a wrapped GEN3C file becomes the tensors of diffusers' denoiser."""
    configuration = {
        "in_channels": 9, "out_channels": 4, "num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 0,
        "text_embed_dim": 8, "adaln_lora_dim": 4, "max_size": (4, 8, 8), "extra_pos_embed_type": "learnable",
    }  # fmt: skip
    state = CosmosTransformer3DModel(**configuration).state_dict()
    official = {
        "patch_embed.proj": "x_embedder.proj.1",
        "time_embed.t_embedder": "t_embedder.1",
        "time_embed.norm": "affline_norm",
        "learnable_pos_embed": "extra_pos_embedder",
        "norm_out.linear_": "final_layer.adaLN_modulation.",
        "proj_out": "final_layer.linear",
    }
    wrapped = {"net.logvar.0.freqs": torch.ones(1)}
    for name, value in state.items():
        stem = next(stem for stem in official if name.startswith(stem))
        wrapped["net." + name.replace(stem, official[stem])] = value
    torch.save({"model": wrapped}, tmp_path / "model.pt")
    converted, built = convert(find_entry("gen3c"), {"model.pt": tmp_path / "model.pt"}, configuration)
    assert all(torch.equal(converted[name], state[name]) for name in state)
    assert built["max_size"] == [4, 8, 8]


def test_depth_and_text_models_keep_what_they_need(tmp_path: Path) -> None:
    """Show that T5 loses its decoder and doubles no precision, and that MoGe's configuration is kept."""
    text = {
        "shared.weight": torch.rand(3),
        "encoder.final_layer_norm.weight": torch.rand(2),
        "decoder.x": torch.rand(2),
    }
    torch.save(text, tmp_path / "t5.bin")
    converted, _ = convert(find_entry("t5-text-encoder"), {"pytorch_model.bin": tmp_path / "t5.bin"})
    assert {name: value.dtype for name, value in converted.items()} == {
        "shared.weight": torch.bfloat16,
        "encoder.final_layer_norm.weight": torch.bfloat16,
    }
    torch.save({"model_config": {"encoder": "vitl"}, "model": {"w": torch.ones(2)}}, tmp_path / "moge.pt")
    converted, built = convert(find_entry("moge-depth"), {"model.pt": tmp_path / "moge.pt"})
    assert list(converted) == ["w"]
    assert built == {"model_config": {"encoder": "vitl"}}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_system_call_in_a_pickle_is_refused(zipped: bool, tmp_path: Path) -> None:
    """Show that a file which calls os.system when unpickled is refused and never calls it."""
    marker, path = tmp_path / "marker", tmp_path / "evil.pt"
    content = {"module": {"w": torch.ones(1)}, "extra": Bomb(os.system, f"touch {marker}")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(LyraSimError, match=r"evil\.pt.*without running code"):
        read_tensors(path, remedy="get another")
    assert not marker.exists()


def test_other_calls_in_a_pickle_are_inert(tmp_path: Path) -> None:
    """Show that code beside the weights of a training checkpoint is passed over, and the weights are read."""
    marker, path = tmp_path / "marker", tmp_path / "odd.pt"
    bomb = Bomb(exec, f"open({str(marker)!r}, 'w').close()")
    torch.save({"module": {"w": torch.ones(1)}, "extra": bomb}, path)
    assert torch.equal(read_tensors(path, remedy="")["module"]["w"], torch.ones(1))
    assert not marker.exists()
    assert all(
        known[0] is not Inert for known in torch.serialization.get_safe_globals() if isinstance(known, tuple)
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"\x00" * 100, "cut off"),
    ],
)
def test_what_is_no_checkpoint_is_named(content: bytes, expected: str, tmp_path: Path) -> None:
    """Show that the usual wrong files are told apart, with what to do."""
    path = tmp_path / "lyra_static.pt"
    path.write_bytes(content)
    with pytest.raises(
        LyraSimError, match=rf"lyra_static\.pt.*{expected}.*lyra-sim weights pull lyra-static"
    ):
        convert(find_entry("lyra-static"), {"lyra_static.pt": path}, DECODER)


def test_a_cut_off_file_and_a_wrong_network_are_named(tmp_path: Path) -> None:
    """Show that half a file and the weights of another network are refused, naming file and tensor."""
    entry, path = find_entry("lyra-static"), tmp_path / "lyra_static.pt"
    write_deepspeed(path)
    with pytest.raises(LyraSimError, match=r"expected the 254 tensors.*lacks \d+ tensors such as enc_blocks"):
        convert(entry, {"lyra_static.pt": path})
    with pytest.raises(LyraSimError, match="of another shape: "):
        convert(entry, {"lyra_static.pt": path}, DECODER | {"embed_dim": 64})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(LyraSimError, match=r"lyra_static\.pt.*cut off"):
        convert(entry, {"lyra_static.pt": path}, DECODER)
