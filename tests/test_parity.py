"""`python -m generator.parity` passes on the official vectors, and notices when a number is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from generator.decoder import DecoderConfig, DecoderInputs, LyraDecoder
from generator.parity.__main__ import main
from generator.parity.comparison import compare
from generator.parity.lyra_model import align_order

DATA = Path(__file__).parent / "data" / "lyra"


def test_official_vectors_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """Every golden file of the folder is within its gates: network, rays, times, head, pruning, gradients."""
    assert main([str(DATA)]) == 0
    printed = capsys.readouterr().out
    assert "static_a_config.json" in printed
    assert "grad.enc_blocks.0.mamba.mamba_scans.1.A_log" in printed
    assert " NO" not in printed


def test_a_wrong_number_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One value of one tensor moved by 1e-3 gives a NO in the table and a non-zero status."""
    tensors = load_file(DATA / "patch_embed.safetensors")
    tensors["y"][0, 0, 0] += 1e-3
    save_file(tensors, tmp_path / "patch_embed.safetensors")
    assert main([str(tmp_path)]) == 1
    assert "NO" in capsys.readouterr().out


def test_a_missing_tensor_fails_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A golden file that lacks a tensor, and one that is cut off, are failed rows."""
    tensors = load_file(DATA / "patch_embed.safetensors")
    del tensors["y"]
    save_file(tensors, tmp_path / "patch_embed.safetensors")
    (tmp_path / "deconv.safetensors").write_bytes((DATA / "deconv.safetensors").read_bytes()[:100])
    assert main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "no such tensor" in printed
    assert "cannot be read as safetensors" in printed


@pytest.mark.parametrize("kind", ["missing", "empty", "unknown", "file"])
def test_a_folder_without_goldens_is_one_clear_line(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing to check is an error of its own, said in one line on stderr."""
    folder = tmp_path / "golden"
    if kind == "file":
        folder.write_text("x")
    elif kind != "missing":
        folder.mkdir()
    if kind == "unknown":
        (folder / "notes.txt").write_text("x")
    assert main([str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


OVERRIDES = {
    "enc_embed_dim": 96,
    "enc_depth": 3,
    "enc_num_heads": 3,
    "llrm_7m1t_index": 3,
    "use_qk_norm": True,
    "use_time_embedding": True,
    "img_size": [48, 32],
}


def write_dynamic_set(folder: Path, *, spoil: str | None = None) -> None:
    """Write a set of another name, size and kind, with our own decoder in float64 as its author."""
    torch.manual_seed(5)
    model = LyraDecoder(DecoderConfig.from_official(OVERRIDES))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    inputs = {
        "images_input_embed": torch.randn(2, 6, 16, 6, 4),
        "plucker_embedding": torch.randn(2, 6, 32, 6, 4),
        "rays_os": torch.randn(2, 27, 3, 6, 4),
        "rays_ds": torch.nn.functional.normalize(torch.randn(2, 27, 3, 6, 4), dim=2),
        "time_embeddings": torch.randn(2, 3, 16, 6, 4),
    }
    save_file(model.state_dict(), folder / "dynamic_b_weights.safetensors")
    decoder_inputs = DecoderInputs(
        inputs["images_input_embed"],
        inputs["plucker_embedding"],
        inputs["rays_os"],
        inputs["rays_ds"],
        views=3,
        times=inputs["time_embeddings"],
    ).to(torch.float64)
    with torch.no_grad():
        gaussians = model.double()(decoder_inputs)
        outputs = {
            "gaussians": gaussians.float(),
            "mid.tokens_in": model.embed(decoder_inputs).float(),
        }
        order = gaussians[..., 3].argsort(dim=1, descending=True)[:, : gaussians.shape[1] // 2]
        outputs["gaussians_pruned_0p5"] = gaussians.gather(1, order[..., None].expand(-1, -1, 14)).float()
    if spoil:
        outputs[spoil] = outputs[spoil] + 0.01
    save_file(inputs, folder / "dynamic_b_inputs.safetensors")
    save_file(outputs, folder / "dynamic_b_outputs.safetensors")
    (folder / "dynamic_b_config.json").write_text(json.dumps({"overrides": OVERRIDES}))


def test_a_set_of_other_sizes_is_read_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dynamic set with other widths, views, frames and image size is checked without any fixed size."""
    write_dynamic_set(tmp_path)
    assert main([str(tmp_path)]) == 0
    assert "gaussians_pruned_0p5" in capsys.readouterr().out


@pytest.mark.parametrize("tensor", ["gaussians", "mid.tokens_in"])
def test_a_spoilt_set_fails(tmp_path: Path, tensor: str) -> None:
    """A set whose stored numbers are off fails in the row of that tensor."""
    write_dynamic_set(tmp_path, spoil=tensor)
    assert main([str(tmp_path)]) == 1


def test_a_set_without_its_weights_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration whose other files are not there is a failed row that names the file."""
    shutil.copy(DATA / "static_a_config.json", tmp_path)
    assert main([str(tmp_path)]) == 1
    assert "static_a_weights.safetensors is missing" in capsys.readouterr().out


def test_comparison_counts_nan_and_shape_as_failures() -> None:
    """NaN on our side fails, NaN on both sides is agreement, and a shape never broadcasts."""
    golden = torch.tensor([1.0, float("nan")])
    assert compare("x", golden, golden, gate=1e-6).passed
    assert not compare("x", torch.full((2,), torch.nan), golden, gate=1e-6).passed
    assert not compare("x", torch.ones(1), torch.ones(3), gate=1e-6).passed
    assert compare("x", torch.tensor([100.5]), torch.tensor([100.0]), gate=1e-3, relative=0.01).passed


def test_aligning_undoes_a_swap_of_near_equals_only() -> None:
    """Neighbours with nearly the same opacity may change places; others may not."""
    wanted = torch.randn(1, 6, 14, generator=torch.Generator().manual_seed(0))
    wanted[0, :, 3] = torch.tensor([0.9, 0.8, 0.7999999, 0.5, 0.4, 0.1])
    swapped = wanted[:, [0, 2, 1, 3, 4, 5]]
    assert torch.equal(align_order(swapped, wanted), wanted)
    wrong = wanted[:, [0, 1, 2, 4, 3, 5]]
    assert not torch.allclose(align_order(wrong, wanted), wanted)
