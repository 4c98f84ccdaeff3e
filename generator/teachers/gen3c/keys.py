"""The published GEN3C weights under the names of diffusers' `CosmosTransformer3DModel`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lyra_sim.errors import LyraSimError

_DROPPED = re.compile(r"^(logvar\.|accum_|pos_embedder\.)|_extra_state")
"""Training statistics and buffers that the network computes for itself."""
_ATTENTION = {"to_q.0": "to_q", "to_k.0": "to_k", "to_v.0": "to_v", "to_q.1": "norm_q", "to_k.1": "norm_k"}
_ATTENTION["to_out.0"] = "to_out.0"
_FEED_FORWARD = {"layer1": "net.0.proj", "layer2": "net.2"}
_TOP = {
    "x_embedder.proj.1": "patch_embed.proj",
    "t_embedder.1.linear_1": "time_embed.t_embedder.linear_1",
    "t_embedder.1.linear_2": "time_embed.t_embedder.linear_2",
    "affline_norm": "time_embed.norm",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear_1",
    "final_layer.adaLN_modulation.2": "norm_out.linear_2",
}
_CONVERTED = (
    "transformer_blocks.",
    "patch_embed.",
    "time_embed.",
    "learnable_pos_embed.",
    "affine_norm.",
    "final_layer.proj_out.",
    "final_layer.adaln_modulation.",
    "norm_out.",
    "proj_out.",
)
"""What names start with in copies that others have converted: FastVideo's, and diffusers' own."""
_FASTVIDEO = (
    (r"^affine_norm\.", "time_embed.norm."),
    (r"^final_layer\.proj_out\.", "proj_out."),
    (r"^final_layer\.adaln_modulation\.([12])\.", r"norm_out.linear_\1."),
    (r"\.adaln_modulation_self_attn\.([12])\.", r".norm1.linear_\1."),
    (r"\.adaln_modulation_cross_attn\.([12])\.", r".norm2.linear_\1."),
    (r"\.adaln_modulation_mlp\.([12])\.", r".norm3.linear_\1."),
    (r"\.to_out\.(?!0\.)", ".to_out.0."),
    (r"\.mlp\.fc_in\.", ".ff.net.0.proj."),
    (r"\.mlp\.fc_out\.", ".ff.net.2."),
)


def diffusers_key(official: str) -> str | None:
    """Return diffusers' name of a tensor of GEN3C, or None for one that is not a weight.

    Args:
        official: Name in the published `model.pt`, or in a converted copy (FastVideo's or diffusers' names).

    Raises:
        LyraSimError: The name belongs to no part of the network.
    """
    key = official.removeprefix("net.")
    if key.startswith(_CONVERTED):
        for pattern, name in _FASTVIDEO:
            key = re.sub(pattern, name, key)
        return key
    if _DROPPED.search(key):
        return None
    if match := re.fullmatch(r"extra_pos_embedder\.(pos_emb_[thw])", key):
        return f"learnable_pos_embed.{match[1]}"
    stem, suffix = key.removesuffix(".weight"), ".weight"
    if key.endswith(".weight") and stem in _TOP:
        return _TOP[stem] + suffix
    match = re.fullmatch(r"blocks\.block(\d+)\.blocks\.([012])\.(.+)\.weight", key)
    part = None if match is None else _block_part(int(match[2]), match[3])
    if match is None or part is None:
        raise LyraSimError(f"tensor {official} belongs to no part of GEN3C; is this its model.pt?")
    return f"transformer_blocks.{match[1]}.{part}{suffix}"


def _block_part(branch: int, name: str) -> str | None:
    """Return the name within a block: branch 0 is self-attention, 1 cross-attention, 2 the MLP."""
    if match := re.fullmatch(r"adaLN_modulation\.([12])", name):
        return f"norm{branch + 1}.linear_{match[1]}"
    if branch == 2:
        part = _FEED_FORWARD.get(name.removeprefix("block."))
        return None if part is None else f"ff.{part}"
    part = _ATTENTION.get(name.removeprefix("block.attn."))
    return None if part is None else f"attn{branch + 1}.{part}"


def convert_state_dict(official: Mapping[str, Any]) -> dict[str, Tensor]:
    """Rename the tensors of the published checkpoint; no tensor changes its shape.

    Args:
        official: What `model.pt` holds, also when it is wrapped in `{"model": ...}`.

    Raises:
        LyraSimError: A tensor is unknown.
    """
    tensors = (
        official["model"] if "model" in official and isinstance(official["model"], Mapping) else official
    )
    named = {diffusers_key(name): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name is not None}
