"""Decode within bounded memory: views through embedding, head and pruning one at a time, blocks in slices.

The result equals that of `LyraDecoder.forward` and `prune` run in one go, up to the rounding of the
blocks where they are sliced; pruning keeps exactly the same Gaussians of equal inputs, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from generator.decoder.attention import AttentionBlock
from generator.decoder.cost import Plan, Workload, plan, stages
from generator.decoder.inputs import DecoderInputs
from generator.decoder.mamba import MambaBlock
from generator.decoder.model import LyraDecoder
from generator.decoder.prune import OPACITY, keep_count

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and a short message."""
CPU_ATTENTION_SLICE = 4096
"""Queries that meet all keys in one call on a CPU, so that hours of attention are not one silent step."""


@torch.no_grad()
def decode(
    model: LyraDecoder,
    inputs: DecoderInputs,
    *,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Return the pruned Gaussians (B, K, 14), most opaque first, in the frame of the rays.

    Args:
        model: The decoder.
        inputs: Latents, rays and so on; with times, those of one target.
        memory_limit: Bytes the decode may take beside weights and inputs; None for no limit.
        progress: Called as the decode goes on.

    Raises:
        LyraSimError: The memory limit is too small for the smallest slices.
    """
    chosen = _plan(model, inputs, memory_limit)
    return _decode_tokens(model, _all_tokens(model, inputs), inputs, chosen, progress)


@torch.no_grad()
def decode_times(
    model: LyraDecoder,
    inputs: DecoderInputs,
    targets: Iterable[Tensor],
    *,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Yield one pruned set of Gaussians per target time of the dynamic model.

    Embeddings of latents, rays and input times are computed once; only the target's embedding, the blocks
    and the head run per target. That holds while targets lie within the span of the input times, since
    times are normalised jointly.

    Args:
        model: A decoder with `use_time_embedding`.
        inputs: As for `decode`; the target time in `inputs.times` is ignored.
        targets: Time maps of the targets, (B, 1, C, h, w) each.
        memory_limit: As for `decode`.
        progress: Called as each target goes on, from 0 to 1 for every one.
    """
    scene = _scene_tokens(model, inputs)
    rest = None if memory_limit is None else memory_limit - scene.nbytes
    chosen = _plan(model, inputs, rest)
    for target in targets:
        yield _decode_tokens(model, _add_target(model, scene.clone(), target), inputs, chosen, progress)


def _plan(model: LyraDecoder, inputs: DecoderInputs, limit: int | None) -> Plan:
    """Choose slices for the model's dtype."""
    return plan(model.config, Workload.of(inputs), limit=limit, element=model.deconv.weight.element_size())


def _all_tokens(model: LyraDecoder, inputs: DecoderInputs) -> Tensor:
    """Return the tokens, target time included where the model has one."""
    tokens = _scene_tokens(model, inputs)
    if inputs.times is None or not model.config.use_time_embedding:
        return tokens
    return _add_target(model, tokens, inputs.times[:, inputs.latent_frames :])


def _scene_tokens(model: LyraDecoder, inputs: DecoderInputs) -> Tensor:
    """Return the tokens without target time (B, V*l, D), embedded one view at a time."""
    tokens: Tensor | None = None
    for view in range(inputs.views):
        embedded = model.embed_scene(inputs.view(view))
        if tokens is None:
            tokens = embedded.new_empty(len(embedded), inputs.views * embedded.shape[1], embedded.shape[2])
        tokens.unflatten(1, (inputs.views, -1))[:, view] = embedded
    assert tokens is not None
    return tokens


def _add_target(model: LyraDecoder, tokens: Tensor, target: Tensor) -> Tensor:
    """Add the embedding of the target time (B, 1, C, h, w) to the tokens, in place."""
    embedded = model.embed_target(target)
    tokens.unflatten(1, (-1, embedded.shape[1])).add_(embedded[:, None])
    return tokens


def _decode_tokens(
    model: LyraDecoder, tokens: Tensor, inputs: DecoderInputs, chosen: Plan, progress: Progress | None
) -> Tensor:
    """Run blocks, head and pruning."""
    steps = _Steps(model, inputs, progress)
    for done, block in enumerate(model.enc_blocks):
        steps.begin(f"block {done + 1} of {len(model.enc_blocks)}")
        tokens = _run_block(model, block, tokens, chosen.slice, steps.within)
    total = inputs.views * Workload.of(inputs).gaussians_per_view(model.config)
    selection = Selection(total, model.config.prune_ratio)
    for view in range(inputs.views):
        steps.begin(f"Gaussians of view {view + 1} of {inputs.views}")
        part = inputs.view(view)
        own = tokens.unflatten(1, (inputs.views, -1))[:, view]
        selection.add(model.activate(model.head(own, part), part))
    assert selection.gaussians is not None
    return selection.gaussians


class _Steps:
    """Report progress by operations: one attention block may cost a hundred others."""

    def __init__(self, model: LyraDecoder, inputs: DecoderInputs, progress: Progress | None) -> None:
        blocks, head = stages(model.config, Workload.of(inputs))
        self._costs = [*blocks, *[head] * inputs.views]
        self._progress = progress
        self._step = -1
        self._message = ""

    def begin(self, message: str) -> None:
        """Go on to the next step."""
        self._step += 1
        self._message = message
        self.within(0.0)

    def within(self, fraction: float) -> None:
        """Report that a fraction of this step is done."""
        if self._progress:
            done = sum(self._costs[: self._step]) + fraction * self._costs[self._step]
            self._progress(done / sum(self._costs), self._message)


def _run_block(
    model: LyraDecoder, block: nn.Module, tokens: Tensor, size: int, progress: Callable[[float], None]
) -> Tensor:
    """Run one block, whole or in slices."""
    if size and isinstance(block, MambaBlock):
        return block.forward_in_slices(tokens, size, backend=model.scan_backend)
    if isinstance(block, AttentionBlock):
        if not size and tokens.device.type == "cpu" and tokens.shape[1] > CPU_ATTENTION_SLICE:
            size = CPU_ATTENTION_SLICE
        if size:
            return block.forward_in_slices(tokens, size, progress=progress)
    return model.run_block(block, tokens)


class Selection:
    """Keep the most opaque of Gaussians that arrive in parts, as one `prune` over all of them would."""

    def __init__(self, total: int, ratio: float) -> None:
        """Make an empty selection of what `prune` keeps of `total` Gaussians per batch item."""
        self.count = keep_count(total, ratio) if ratio > 0 else total
        self.sort = ratio > 0
        self.gaussians: Tensor | None = None

    def add(self, gaussians: Tensor) -> None:
        """Take in the next (B, n, 14) Gaussians; parts come in the order of the whole."""
        both = gaussians if self.gaussians is None else torch.cat([self.gaussians, gaussians], dim=1)
        if self.sort:
            # What is kept stands first and in order, so a stable sort of the parts is that of the whole.
            order = both[..., OPACITY].argsort(dim=1, descending=True, stable=True)[:, : self.count]
            both = both.gather(1, order[..., None].expand(-1, -1, both.shape[-1]))
        self.gaussians = both
