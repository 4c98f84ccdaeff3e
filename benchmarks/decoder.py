"""Measure the decoder: `python -m benchmarks.decoder [--threads N] [--parts LIST] [--out FILE.md]`.

On a CPU, at mini size: the chunked scan against the sequential recurrence, time per token over length, tokens
per second and share of the arithmetic floor of the whole network, and peak memory of a streamed decode against
its plan. Processor time is counted where ratios are formed, so that what else the machine does weighs little.
The part `views` decodes 704x1280x121 with a network so narrow that a CPU can: its memory is that of the published
one's Gaussians, rays and head, over views. The part `shares` measures what the estimate of time rests on.
With a GPU, the part `full` measures the published configuration at 704x1280x121, memory over views included.

The arithmetic floor is the time that the network's operations (generator.decoder.cost) would take at the speed
of a 1024-cubed matrix product measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.report import report
from generator.clock import StageClock
from generator.decode_cost import encoder_cost
from generator.decoder import DecoderConfig, DecoderInputs, LyraDecoder
from generator.decoder.cache import CacheMaps
from generator.decoder.chunked import ScanInputs
from generator.decoder.cost import SHARES, Workload, operations, plan, scan_per_token
from generator.decoder.scan import scan
from generator.decoder.streaming import decode
from generator.tokenizer import CosmosTokenizer
from training.card import machine
from training.distill import MINI

MINI_WORK = Workload(views=6, latent_frames=3, rows=22, columns=40)
"""Six trajectories of 17 frames at 176x320: 3,960 tokens."""
FULL_WORK = Workload(views=6, latent_frames=16, rows=88, columns=160)
"""Six trajectories of 121 frames at 704x1280: 337,920 tokens."""

NARROW = DecoderConfig(embed_dim=16, depth=2, attention_every=0, num_heads=1, state_size=16, head_dim=16)
"""Two Mamba-2 blocks, so narrow that a CPU decodes 337,920 tokens within a minute; attention would take hours."""
WIDE = DecoderConfig(depth=2, attention_every=2)
"""One Mamba-2 and one attention block of the published width."""
WIDE_WORK = Workload(views=6, latent_frames=7, rows=32, columns=60)
"""Six trajectories of 49 frames at 256x480: 20,160 tokens."""


def fastest(call: Callable[[], object], *, rounds: int = 5) -> float:
    """Return the least processor time of a call [s], over all threads, after one call to warm up."""
    call()
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)


def product_speed() -> float:
    """Return operations per processor second of a large matrix product."""
    matrix = torch.randn(1024, 1024)
    return 2.0 * 1024**3 / fastest(lambda: matrix @ matrix)


def scan_inputs(config: DecoderConfig, length: int) -> ScanInputs:
    """Return random inputs of one scan, with the strides that the network gives them."""
    inner, state = 2 * config.embed_dim, config.state_size
    heads = inner // config.head_dim
    x, b, c = torch.randn(1, length, inner + 2 * state).split([inner, state, state], dim=-1)
    steps = F.softplus(torch.randn(1, length, heads) - 2)
    return ScanInputs(x.unflatten(-1, (heads, -1)), steps, -torch.rand(heads) * 16, b, c, torch.ones(heads))


def forward_backward(inputs: ScanInputs) -> Callable[[], object]:
    """Return a call that scans and differentiates."""
    leaves = ScanInputs._make(tensor.detach().requires_grad_() for tensor in inputs)
    weights = torch.randn(inputs.x.shape)
    return lambda: torch.autograd.grad(scan(leaves, backend="chunked"), leaves, weights)


def scan_lengths(config: DecoderConfig, speed: float) -> list[str]:
    """Return rows of the scan's time over length."""
    rows = []
    for length in (4_000, 8_000, 16_000):
        inputs = scan_inputs(config, length)
        forward = fastest(partial(scan, inputs, backend="chunked"))
        both = fastest(forward_backward(inputs), rounds=3)
        floor = length * scan_per_token(config) / speed
        rows.append(
            f"| {length:,} | {forward * 1e3:.0f} | {both * 1e3:.0f} | {forward / length * 1e6:.2f} | "
            f"{both / length * 1e6:.2f} | {floor / forward:.0%} |"
        )
    return rows


def scan_table(config: DecoderConfig, speed: float) -> list[str]:
    """Measure one scan: ratio to the recurrence, and time per token over length."""
    inputs = scan_inputs(config, 4_000)
    chunked = fastest(lambda: scan(inputs, backend="chunked"))
    sequential = fastest(lambda: scan(inputs, backend="sequential"), rounds=2)
    ratio = f"**{sequential / chunked:.1f} times faster** (asked: 5)"
    return [
        f"## One scan, D = {config.embed_dim}, state {config.state_size}, without gradients and with",
        "",
        f"At 4,000 tokens: chunked {chunked * 1e3:.0f} ms, recurrence {sequential * 1e3:.0f} ms, {ratio}.",
        "",
        "| tokens | forward ms | with backward ms | forward us/token | with backward us/token | share of floor |",
        "| --- | --- | --- | --- | --- | --- |",
        *scan_lengths(config, speed),
        "",
    ]


def random_inputs(
    config: DecoderConfig, work: Workload, device: torch.device, dtype: torch.dtype
) -> DecoderInputs:
    """Return random decoder inputs of a workload."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=dtype)

    joined = work.views * work.latent_frames
    frames = work.views * config.video_frames(work.latent_frames)
    cells = (
        work.rows * config.space_compression // config.cell,
        work.columns * config.space_compression // config.cell,
    )
    maps = normal(1, frames, *cells).abs() + 1
    return DecoderInputs(
        latents=normal(1, joined, config.latent_channels, work.rows, work.columns),
        plucker=normal(1, joined, config.plucker_channels, work.rows, work.columns),
        origins=normal(1, frames, 3, *cells),
        directions=F.normalize(normal(1, frames, 3, *cells), dim=2),
        views=work.views,
        cache=CacheMaps(maps, (maps > 2).to(dtype), maps) if config.cache_branch else None,
    )


def network_table(config: DecoderConfig, work: Workload, speed: float) -> list[str]:
    """Measure the whole network, forward and a training step without optimiser or renderer."""
    model = LyraDecoder(config)
    inputs = random_inputs(config, work, torch.device("cpu"), torch.float32)
    tokens = work.views * work.tokens_per_view(config)
    needed = sum(operations(config, work).values())

    def step() -> None:
        model(inputs).square().mean().backward()

    rows = []
    for name, call, factor in (
        ("forward", torch.no_grad()(lambda: model(inputs)), 1),
        ("with backward", step, 3),
    ):
        seconds = fastest(call, rounds=3)
        rows.append(
            f"| {name} | {seconds:.2f} | {tokens / seconds:,.0f} | {factor * needed / speed / seconds:.0%} |"
        )
    return [
        f"## Mini network, {tokens:,} tokens, {needed / 1e9:.1f} GFLOP forward",
        "",
        "| | processor s | tokens per processor s | share of floor |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
    ]


def peak_of_decode(config: DecoderConfig, work: Workload, limit: int | None) -> tuple[float, float]:
    """Return the memory that a decode takes beside weights and inputs [MiB] and its time [s]; in a fresh process."""
    torch.set_num_threads(1)
    model = LyraDecoder(config)
    inputs = random_inputs(config, work, torch.device("cpu"), torch.float32)
    clock = StageClock()
    with clock.stage("before"):
        pass
    with clock.stage("decode"):
        decode(model, inputs, memory_limit=limit)
    decoded = clock.stages["decode"]
    return decoded["peak_mib"] - clock.stages["before"]["peak_mib"], decoded["seconds"]


def in_a_fresh_process(config: DecoderConfig, work: Workload, limit: int | None) -> tuple[float, float]:
    """Run `peak_of_decode` where no freed memory of earlier work hides the peak."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(peak_of_decode, config, work, limit).result()


def memory_table() -> list[str]:
    """Compare the peak memory of a streamed decode with its plan, without a limit and with one."""
    whole = plan(WIDE, WIDE_WORK, limit=None)
    rows = []
    for limit in (None, whole.bytes * 2 // 3):
        chosen = plan(WIDE, WIDE_WORK, limit=limit)
        taken, _ = in_a_fresh_process(WIDE, WIDE_WORK, limit)
        slices = f"{chosen.slice:,} tokens" if chosen.slice else "whole"
        allowed = "none" if limit is None else f"{limit / 2**20:.0f}"
        rows.append(f"| {allowed} | {slices} | {chosen.bytes / 2**20:.0f} | {taken:.0f} |")
    tokens = WIDE_WORK.views * WIDE_WORK.tokens_per_view(WIDE)
    return [
        f"## Streamed decode, {tokens:,} tokens, D = {WIDE.embed_dim}: memory beside weights and inputs",
        "",
        "| limit MiB | slices | planned MiB | measured MiB |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
    ]


def views_table() -> list[str]:
    """Measure the memory of decodes at 704x1280x121 over views."""
    rows = []
    for views in (1, 2, 6):
        work = replace(FULL_WORK, views=views)
        count = views * work.gaussians_per_view(NARROW)
        taken, seconds = in_a_fresh_process(NARROW, work, None)
        whole = count * 14 * 4 / 2**20
        rows.append(
            f"| {views} | {views * work.tokens_per_view(NARROW):,} | {count:,} | {whole:,.0f} | "
            f"{plan(NARROW, work, limit=None).bytes / 2**20:,.0f} | {taken:,.0f} | {seconds:.0f} |"
        )
    return [
        f"## Streamed decode at 704x1280x121 over views, D = {NARROW.embed_dim}: memory beside weights and inputs",
        "",
        "| views | tokens | Gaussians | all Gaussians MiB | planned MiB | measured MiB | s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
    ]


def shares_table(speed: float) -> list[str]:
    """Measure what share of a matrix product's speed each part of the published network reaches on this CPU."""
    config, work = DecoderConfig.published(), Workload(views=2, latent_frames=3, rows=32, columns=60)
    model = LyraDecoder(config)
    inputs = random_inputs(config, work, torch.device("cpu"), torch.float32)
    tokens = torch.randn(1, work.views * work.tokens_per_view(config), config.embed_dim)
    needed = operations(config, work)
    tokenizer = CosmosTokenizer()
    clip = torch.rand(1, 3, 9, 128, 224) * 2 - 1
    needed["tokenizer"] = encoder_cost(tokenizer, 9, (128, 224), torch.float32).operations
    # One block of each kind is timed.
    needed["mamba"], needed["attention"] = needed["mamba"] / 14, needed["attention"] / 2
    calls: dict[str, Callable[[], object]] = {
        "embed": lambda: model.embed_scene(inputs),
        "mamba": lambda: model.run_block(model.enc_blocks[0], tokens),
        "attention": lambda: model.run_block(model.enc_blocks[7], tokens),
        "head": lambda: model.activate(model.head(tokens, inputs), inputs),
        "tokenizer": lambda: tokenizer.encode(clip),
    }
    with torch.no_grad():
        measured = {name: needed[name] / speed / fastest(call, rounds=2) for name, call in calls.items()}
    rows = [f"| {name} | {share:.0%} | {SHARES[name]:.0%} |" for name, share in measured.items()]
    return [
        f"## Parts of the published network, {tokens.shape[1]:,} tokens: share of a matrix product's speed",
        "",
        "| part | measured here | taken for the estimate of time |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]


def full_table() -> list[str]:
    """Measure the published configuration on the GPU in bfloat16, over views."""
    if not torch.cuda.is_available():
        return ["No GPU here: the published size was not measured.", ""]
    device = torch.device("cuda")
    config = DecoderConfig.published()
    model = LyraDecoder(config).to(device, torch.bfloat16).eval()
    matrix = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    speed = 2.0 * 8192**3 / _gpu_seconds(lambda: matrix @ matrix)
    rows = []
    for views in (1, 2, 4, 6):
        work = replace(FULL_WORK, views=views)
        inputs = random_inputs(config, work, device, torch.bfloat16)
        torch.cuda.reset_peak_memory_stats()
        seconds = _gpu_seconds(partial(decode, model, inputs))
        tokens = views * work.tokens_per_view(config)
        share = sum(operations(config, work).values()) / speed / seconds
        peak = torch.cuda.max_memory_allocated() / 2**30
        rows.append(
            f"| {views} | {tokens:,} | {seconds:.2f} | {tokens / seconds:,.0f} | {share:.0%} | {peak:.1f} |"
        )
    return [
        f"## Published configuration at 704x1280x121, bfloat16, {torch.cuda.get_device_name()}",
        "",
        "| views | tokens | s | tokens per s | share of floor | peak GiB |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
    ]


def _gpu_seconds(call: Callable[[], object]) -> float:
    """Return the seconds of the second of two calls on the GPU."""
    for _ in range(2):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return seconds


def main() -> None:
    """Measure and print, or write, the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--parts", default="scan,network,memory", help="of scan, network, memory, shares, views, full"
    )
    parser.add_argument("--out", type=Path, help="write the tables there as Markdown")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    speed = product_speed()
    tables: dict[str, Callable[[], list[str]]] = {
        "scan": lambda: scan_table(MINI, speed),
        "network": lambda: network_table(MINI, MINI_WORK, speed),
        "memory": memory_table,
        "shares": lambda: shares_table(speed),
        "views": views_table,
        "full": full_table,
    }
    lines = [
        f"# Decoder, {args.threads} thread(s), {machine()}",
        "",
        f"A matrix product of 1024 cubed runs at {speed / 1e9:.0f} GFLOP per processor second.",
        "",
    ]
    for part in args.parts.split(","):
        lines += tables[part]()
    text = "\n".join(lines)
    report(text, args.out)


if __name__ == "__main__":
    main()
