"""Train a network whose running average ships: steps, schedule, exact resumption and reports."""

from __future__ import annotations

import json
import logging
import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lyra_sim.errors import LyraSimError

log = logging.getLogger(__name__)


class Options(Protocol):
    """What the options of such a training have in common."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""

    @property
    def learning_rate(self) -> float:
        """Peak learning rate: linear warm-up, level, linear decay to a twentieth."""

    @property
    def warmup(self) -> int:
        """Warm-up steps."""

    @property
    def decay_share(self) -> float:
        """Share of the steps over which the learning rate decays."""

    @property
    def ema(self) -> float:
        """Decay of the running average of the weights."""


class AveragedTraining(ABC):
    """Hold a network, its running average, its optimiser and the step; a subclass says what a step's loss is."""

    report_every: int
    """Steps between reports."""
    checkpoint_every: int
    """Steps between checkpoints."""

    def __init__(self, network: nn.Module, schedule: Options, learned: Iterable[nn.Parameter]) -> None:
        """Start from a network; `learned` are those of its parameters that are trained."""
        self.network = network
        self.schedule = schedule
        self.average = {name: value.clone() for name, value in network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(learned, lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-2)
        self.step, self.seconds = 0, 0.0

    @abstractmethod
    def loss(self) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the current step, and its terms."""

    def train_step(self) -> dict[str, float]:
        """Do one optimiser step and return its terms."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.schedule, self.step)
        loss, terms = self.loss()
        if not torch.isfinite(loss):
            raise LyraSimError(f"loss is {loss.item()} at step {self.step}; lower the learning rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        decay = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return {"loss": loss.item()} | terms

    def resume(self, run: Path) -> None:
        """Go on from the checkpoint of the run folder, if there is one."""
        path = run / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
        log.info("resumed at step %d", self.step)

    def save(self, run: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = run / ".checkpoint.part"
        torch.save(state, temporary)
        os.replace(temporary, run / "checkpoint.pt")

    def run_all(self, run: Path) -> None:
        """Train to the last step, with reports and checkpoints."""
        recent: deque[dict[str, float]] = deque(maxlen=self.report_every)
        while self.step < self.schedule.steps:
            began = time.monotonic()
            recent.append(self.train_step())
            self.seconds += time.monotonic() - began
            if self.step % self.report_every == 0:
                self._report(run, recent)
            if self.step % self.checkpoint_every == 0 or self.step == self.schedule.steps:
                self.save(run)

    def _report(self, run: Path, recent: deque[dict[str, float]]) -> None:
        """Log the means of the last terms, each over the steps that had it, and the time left."""
        names = sorted({name for terms in recent for name in terms})
        means = {name: float(np.mean([t[name] for t in recent if name in t])) for name in names}
        each = self.seconds / self.step
        with (run / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, "s_per_step": round(each, 3)} | means) + "\n")
        text = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        left = each * (self.schedule.steps - self.step) / 60
        log.info("%d/%d %s | %.2f s/step, %.0f min left", self.step, self.schedule.steps, text, each, left)


def learning_rate(schedule: Options, step: int) -> float:
    """Return the learning rate of a step."""
    warm = min(1.0, (step + 1) / schedule.warmup)
    left = (schedule.steps - step) / max(1.0, schedule.decay_share * schedule.steps)
    return schedule.learning_rate * warm * max(0.05, min(1.0, left))
