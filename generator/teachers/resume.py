"""Finished trajectories on disk, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lyra_sim.atomic import atomic_path
from lyra_sim.doctor import weights_folder
from lyra_sim.errors import LyraSimError

KEPT_JOBS = 16
"""Jobs that are kept; of older ones, those that nothing has touched for an hour are deleted."""
_IDLE_SECONDS = 3600


def jobs_folder() -> Path:
    """Return the folder of all jobs: `LYRA_SIM_TRAJECTORIES`, or one beside the folder of weights."""
    if folder := os.environ.get("LYRA_SIM_TRAJECTORIES"):
        return Path(folder)
    return weights_folder().parent / "trajectories"


def job_key(inputs: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return the hash of everything that decides what a run makes.

    Args:
        inputs: Settings, seeds, checksums of weights (JSON types).
        arrays: Pictures, depth, cameras.
    """
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """Keep the finished trajectories of one run: a safetensors file and a JSON file each.

    A run with other inputs has another folder, so nothing stale is ever taken up.
    """

    folder: Path

    @classmethod
    def open(
        cls, inputs: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, root: Path | None = None
    ) -> Job:
        """Return the job of these inputs (see `job_key`), new or begun by an earlier run; prune old jobs.

        Raises:
            LyraSimError: The folder cannot be made.
        """
        root = jobs_folder() if root is None else root
        job = cls(root / job_key(inputs, arrays))
        try:
            job.folder.mkdir(parents=True, exist_ok=True)
            os.utime(job.folder)
        except OSError as error:
            raise LyraSimError(
                f"cannot keep finished trajectories in {root} ({error.strerror}); set LYRA_SIM_TRAJECTORIES to a "
                "folder you may write to"
            ) from None
        _prune(root)
        record = json.dumps({"inputs": dict(inputs)}, indent=1, sort_keys=True)
        with atomic_path(job.folder / "job.json", option="job") as path:
            path.write_text(record + "\n", encoding="utf-8")
        return job

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Return what was saved for a trajectory; None when it is not finished, or its file is damaged."""
        try:
            facts = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            data = (self.folder / f"{name}.safetensors").read_bytes()
            # What cannot be read or is not what was written is simply made again.
            return load(data) if hashlib.sha256(data).hexdigest() == facts["sha256"] else None
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None

    def save(self, name: str, arrays: Mapping[str, np.ndarray], **facts: object) -> None:
        """Keep a finished trajectory; its JSON file is written last.

        Args:
            name: Name of the trajectory.
            arrays: What shall be kept of it, such as its latents.
            facts: What else shall stand in the JSON file (JSON types).

        Raises:
            LyraSimError: The disk is full.
        """
        data = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.folder / f"{name}.safetensors", option="trajectory") as path:
            path.write_bytes(data)
        record = {"name": name, "sha256": hashlib.sha256(data).hexdigest(), **facts}
        with atomic_path(self.folder / f"{name}.json", option="trajectory") as path:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        os.utime(self.folder)

    def finished(self) -> tuple[str, ...]:
        """Return the names of the trajectories that are finished, sorted."""
        return tuple(sorted(p.stem for p in self.folder.glob("*.json") if p.stem != "job"))

    def discard(self) -> None:
        """Delete the job and all that it kept."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _prune(root: Path) -> None:
    """Delete the jobs beyond the newest `KEPT_JOBS`; folders that are not jobs of ours stay."""
    jobs = [(path.parent.stat().st_mtime, path.parent) for path in root.glob("*/job.json")]
    for touched, folder in sorted(jobs, reverse=True)[KEPT_JOBS:]:
        if time.time() - touched > _IDLE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
