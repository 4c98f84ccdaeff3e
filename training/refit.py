"""Fit trained networks to another tokenizer: `python -m training.refit NAME --old CARD --clips DIR --out DIR`.

Latents of two tokenizers of one family are nearly linear in each other. The linear map between them is found by least
squares over clips and folded into the layers that read latents (and, for the teacher, into the one that writes them),
so that training goes on from what the network has learned instead of from nothing. The networks that are refitted
are the embedded ones unless `--card` names another; `--start` of `training.distill` and `training.teacher` takes what
this writes.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generator.tokenizer import CosmosTokenizer, load_tokenizer
from generator.weights import mini
from generator.weights.checkpoint import load_card, load_checkpoint
from generator.weights.write import write_pair
from training.card import git_commit, machine, without_curve
from training.clips import ClipSet

CLIPS = 60
"""Clips that the map is fitted to."""

log = logging.getLogger(__name__)


def linear_map(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return matrix (D, C), offset (D,) and explained share of the best affine map of rows (N, C) to (N, D)."""
    mean, wanted = source.mean(0), target.mean(0)
    matrix = torch.linalg.lstsq((source - mean).double(), (target - wanted).double()).solution.T.float()
    left = ((target - wanted) - (source - mean) @ matrix.T).square().sum()
    return matrix, wanted - matrix @ mean, 1 - float(left / (target - wanted).square().sum())


@torch.no_grad()
def paired_latents(old: CosmosTokenizer, new: CosmosTokenizer, clips: ClipSet) -> tuple[Tensor, Tensor]:
    """Return the raw latents of the same clips by both tokenizers, as rows (N, C)."""
    pairs: tuple[list[Tensor], list[Tensor]] = ([], [])
    for step in range(CLIPS):
        video = clips.batch(step, size=1, frames=17, crop=(176, 320))
        for tokenizer, rows in zip((old, new), pairs, strict=True):
            rows.append(tokenizer.encode(video)[0].flatten(1).T)
    return torch.cat(pairs[0]), torch.cat(pairs[1])


def refit_decoder(state: dict[str, Tensor], matrix: Tensor, offset: Tensor) -> dict[str, Tensor]:
    """Return a decoder's weights for other latents; matrix (old, new) and offset give the old from the new."""
    state = dict(state)
    weight = state["patch_embed.proj.weight"].float()
    state["patch_embed.proj.weight"] = torch.einsum("docij,ck->dokij", weight.movedim(1, 2), matrix).movedim(
        1, 2
    )
    state["patch_embed.proj.bias"] = state["patch_embed.proj.bias"].float() + weight.sum((2, 3, 4)) @ offset
    return state


def refit_teacher(
    state: dict[str, Tensor], *, into: Tensor, back: Tensor, buffers: int, patch: int
) -> dict[str, Tensor]:
    """Return a denoiser's weights for other latents.

    Args:
        state: Its weights, for `old` latent channels.
        into: Matrix (old, new) that gives the old latents from the new.
        back: Matrix (new, old) that gives the new latents from the old.
        buffers: Groups of latents that follow the condition's indicator: two for each buffer of the 3D cache.
        patch: Latent cells per token.
    """
    state = dict(state)
    old, new = into.shape
    weight = state["patch_embed.proj.weight"].float().unflatten(1, (-1, patch))
    groups = weight.split([old, 1, *[old] * buffers, weight.shape[1] - old * (buffers + 1) - 1], dim=1)
    latents = [torch.einsum("dcp,ck->dkp", group, into) for group in (groups[0], *groups[2:-1])]
    joined = torch.cat([latents[0], groups[1], *latents[1:], groups[-1]], dim=1)
    state["patch_embed.proj.weight"] = joined.flatten(1)
    out = state["proj_out.weight"].float().unflatten(0, (patch, old))
    state["proj_out.weight"] = torch.einsum("pcd,kc->pkd", out, back).reshape(patch * new, -1)
    return state


def main() -> None:
    """Refit the decoder or the teacher and write it with a card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=("decoder", "teacher"))
    parser.add_argument("--old", type=Path, required=True, help="card of the tokenizer it was trained with")
    parser.add_argument("--tokenizer", type=Path, default=mini.TOKENIZER, help="card of the new tokenizer")
    parser.add_argument("--card", type=Path, help="card of the network; default the embedded one")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="folders of clips or scenes")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    (old, old_card), (new, new_card) = load_tokenizer(args.old), load_tokenizer(args.tokenizer)
    path = args.card or mini.FOLDER / f"{args.name}.json"
    state, card = load_checkpoint(path, load_card(path)["kind"])
    theirs, ours = paired_latents(old, new, ClipSet(args.clips))
    into, offset, explained = linear_map(ours, theirs)
    configuration: dict[str, Any] = dict(card["configuration"])
    if args.name == "decoder":
        state = refit_decoder(state, into, offset)
        configuration["latent_channels"] = new.latent_channels
    else:
        groups = (configuration["in_channels"] - 1) // old.latent_channels
        back, _, _ = linear_map(theirs, ours)
        patch = configuration["patch_size"][-1] ** 2
        state = refit_teacher(state, into=into, back=back, buffers=groups - 1, patch=patch)
        configuration["in_channels"] = 1 + groups * new.latent_channels
        configuration["out_channels"] = new.latent_channels
    training = {
        "command": f"python -m training.refit {args.name}",
        "from_sha256": card["sha256"],
        "from_tokenizer_sha256": old_card["sha256"],
        "tokenizer_sha256": new_card["sha256"],
        "explained": round(explained, 4),
        "machine": machine(),
        "before": without_curve(card["training"]),
    }
    extra: dict[str, Any] = {"sampling": card["sampling"]} if "sampling" in card else {}
    extra |= {"training": training, "metrics": {}, "git_commit": git_commit()}
    tensors = {key: value.half().contiguous() for key, value in state.items()}
    written = write_pair(args.out, args.name, card["kind"], tensors, configuration, extra)
    log.info("%.1f %% of the old latents explained; wrote %s", 100 * explained, args.out / written["file"])


if __name__ == "__main__":
    main()
