"""DeepSpeed's ZeRO, stages 1 and 2: every process holds, and saves, its share of the optimiser's state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import nn

from lyra_sim.errors import LyraSimError


def uses_zero(accelerator: Accelerator) -> bool:
    """Return whether ZeRO is on, after telling it what accelerate would take from a data loader.

    Raises:
        LyraSimError: It is a stage that shards the weights too.
    """
    if accelerator.distributed_type != DistributedType.DEEPSPEED:
        return False
    plugin = accelerator.state.deepspeed_plugin
    if plugin.zero_stage > 2:
        raise LyraSimError(
            f"ZeRO stage {plugin.zero_stage} shards the weights, which checkpoints here hold whole; choose stage 2"
        )
    # One scene at a time; how many make a step is `Stage.samples`, which the boundaries of `backward` follow.
    plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = 1
    return True


def save_shares(engine: nn.Module, folder: Path, place: dict[str, Any], *, cleans: bool) -> None:
    """Write every process' share of the state; `folder/latest` names the newest, and only then do older ones go.

    Args:
        engine: What accelerate made of the network; all processes call this.
        folder: Where the shares go, a folder per checkpoint.
        place: Steps and seconds so far, kept with the shares.
        cleans: Whether this process removes the older ones.
    """
    tag = f"step_{place['total_steps']:07d}"
    engine.save_checkpoint(str(folder), tag=tag, client_state=place)  # type: ignore[operator]
    if cleans:
        for older in folder.glob("step_*"):
            if older.name != tag:
                shutil.rmtree(older)


def load_shares(engine: nn.Module, folder: Path) -> dict[str, Any]:
    """Give every process its share back, and the network its weights; return the place that was kept.

    Raises:
        LyraSimError: The folder holds no checkpoint that fits.
    """
    path, place = engine.load_checkpoint(str(folder))  # type: ignore[operator]
    if path is None:
        raise LyraSimError(f"{folder}: holds no checkpoint of ZeRO; was the run begun without it?")
    return dict(place)
