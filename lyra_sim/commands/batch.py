"""`lyra-sim batch`: hundreds of scenes from one spec, unattended."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyra_sim.batch.extras import require
from lyra_sim.commands.options import add_progress
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

if TYPE_CHECKING:
    from lyra_sim.batch.engines import Engine
    from lyra_sim.batch.engines.pool import ProcessPool
    from lyra_sim.batch.expand import Plan

CORES_PER_WORKER = 2
"""One worker of two threads makes as many scenes as two of one, in half the memory (batch-engines.md)."""

EPILOG = """\
examples:
  lyra-sim batch aisles.yaml --out aisles/ --dry-run
  lyra-sim batch aisles.yaml --out aisles/
  lyra-sim batch aisles.yaml --out /shared/aisles/ --ray auto
  lyra-sim batch --schema > lyra-sim-batch.schema.json

Run the same command again to go on after anything that stopped it. docs/batch.md describes the spec.
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the `batch` command."""
    parser = subparsers.add_parser(
        "batch",
        help="generate many scenes from a spec, with manifest, maps and spawn points",
        description="Generate the scenes of a spec; measure, reject or repeat them; write manifest and overview.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("spec", metavar="SPEC.yaml", type=Path, nargs="?", help="what to make")
    parser.add_argument("--out", metavar="DIR", type=Path, help="output folder, new or of an earlier run")
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="worker processes (one per GPU, or one per two cores); cores are shared out among them",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="run on a Ray cluster: auto, HOST:PORT, ray://..., or local to start one on this machine",
    )
    parser.add_argument("--limit", metavar="N", type=int, help="end after this many further scenes")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of specs, for editors, and end"
    )
    add_progress(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan, then make what is missing; the status is 1 when scenes failed (rejected ones did not)."""
    require("pydantic")
    if args.schema:
        from lyra_sim.batch.spec import schema_text

        sys.stdout.write(schema_text())
        return 0
    progress = Progress(args.progress, {"plan": 0.0, "scenes": 1.0})
    args.progress_reporter = progress
    check(args)
    from lyra_sim.batch.driver import Options, run_batch
    from lyra_sim.batch.expand import expand
    from lyra_sim.batch.outlook import outlook
    from lyra_sim.batch.possible import require_possible
    from lyra_sim.batch.spec import load_spec

    spec, document = load_spec(args.spec)
    plan = expand(spec, document, resolve_size=resolve_size)
    require_possible(spec, document, plan)
    if args.dry_run:
        tell_outlook(outlook(plan, args.out), progress, args.progress)
        return 0
    for module in ("pyarrow", *(["ray"] if args.ray else [])):
        require(module)
    result = run_batch(
        plan, args.out, engine_starter(args, plan), progress, options=Options(limit=args.limit)
    )
    progress.result(**result)
    return 1 if result["failed"] else 0


def tell_outlook(facts: dict[str, Any], progress: Progress, mode: str) -> None:
    """Answer a dry run: to a program with a result, to a person with lines on stdout."""
    from lyra_sim.batch.outlook import describe

    text = describe(facts)
    if mode == "json":
        progress.result(text.partition("\n")[0], **facts)
    else:
        sys.stdout.write(text)


def check(args: argparse.Namespace) -> None:
    """Raise LyraSimError for anything wrong with the options themselves."""
    if args.spec is None:
        raise LyraSimError("SPEC.yaml is missing; see docs/batch.md for a first one")
    if args.out is None and not args.dry_run:
        raise LyraSimError("--out DIR is missing; name a new folder, or one to go on with")
    for option in ("workers", "limit"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise LyraSimError(f"--{option} {value}: must be 1 or more")
    if args.workers and args.ray:
        raise LyraSimError("--workers is for this machine; with --ray the cluster's cores and GPUs decide")


def resolve_size(name: str) -> str:
    """Return the size that `name` means on this machine; only mini can be told without looking for a GPU."""
    if name == "mini":
        return name
    from generator.sizes import resolve

    return resolve(name).name


def engine_starter(args: argparse.Namespace, plan: Plan) -> Callable[[], Engine]:
    """Return what starts the engine that the options ask for."""
    on_gpu = plan.recipe["make"]["size"] == "full"  # type: ignore[index]
    if args.ray:
        from lyra_sim.batch.engines.ray_cluster import RayCluster

        return lambda: RayCluster(args.ray, gpu=on_gpu)
    return lambda: local_pool(args.workers, gpus=visible_gpus() if on_gpu else [])


def local_pool(workers: int | None, *, gpus: list[str]) -> ProcessPool:
    """Return workers for this machine: one per GPU or per two cores unless told how many."""
    from lyra_sim.batch.engines.pool import ProcessPool, thread_variables

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or len(gpus) or max(1, cores // CORES_PER_WORKER)
    environments = [thread_variables(max(1, cores // workers)) for _ in range(workers)]
    for index, environment in enumerate(environments if gpus else []):
        environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    return ProcessPool(environments)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    import torch

    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    count = torch.cuda.device_count()
    return names[:count] if len(names) >= count and names[0] else [str(i) for i in range(count)]
