"""ZeRO's checkpoints: what is kept where. DeepSpeed itself is run by `benchmarks.two_processes --zero`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import Accelerator
from accelerate.utils import DistributedType

from lyra_sim.errors import LyraSimError
from training.zero import load_shares, save_shares, uses_zero


class Engine:
    """Keep checkpoints as DeepSpeed's engine does: a folder per tag, and `latest` with the newest tag."""

    def save_checkpoint(self, folder: str, tag: str, client_state: dict[str, Any]) -> None:
        path = Path(folder) / tag
        path.mkdir(parents=True)
        (path / "step").write_text(str(client_state["total_steps"]))
        (Path(folder) / "latest").write_text(tag)

    def load_checkpoint(self, folder: str) -> tuple[str | None, dict[str, Any] | None]:
        latest = Path(folder) / "latest"
        if not latest.exists():
            return None, None
        path = Path(folder) / latest.read_text()
        return str(path), {"total_steps": int((path / "step").read_text())}


def accelerator(stage: int) -> Any:
    """Return what `uses_zero` asks of an accelerator."""
    plugin = SimpleNamespace(zero_stage=stage, deepspeed_config={"train_micro_batch_size_per_gpu": "auto"})
    return SimpleNamespace(
        distributed_type=DistributedType.DEEPSPEED, state=SimpleNamespace(deepspeed_plugin=plugin)
    )


def test_the_newest_shares_are_kept_and_older_ones_go(tmp_path: Path) -> None:
    """One process removes what is older, the others remove nothing, and loading gives the newest place."""
    engine: Any = Engine()
    save_shares(engine, tmp_path, {"total_steps": 100}, cleans=True)
    save_shares(engine, tmp_path, {"total_steps": 200}, cleans=False)
    assert len(list(tmp_path.glob("step_*"))) == 2
    save_shares(engine, tmp_path, {"total_steps": 300}, cleans=True)
    assert [path.name for path in tmp_path.glob("step_*")] == ["step_0000300"]
    assert load_shares(engine, tmp_path) == {"total_steps": 300}


def test_a_run_begun_without_it_is_named(tmp_path: Path) -> None:
    """A folder without shares is an error that says what it may be."""
    engine: Any = Engine()
    with pytest.raises(LyraSimError, match="begun without it"):
        load_shares(engine, tmp_path)


def test_stage_two_is_set_up_and_stage_three_refused() -> None:
    """Without DeepSpeed nothing changes; with it the micro batch is one scene, and sharded weights are refused."""
    assert not uses_zero(Accelerator(cpu=True))
    two = accelerator(2)
    assert uses_zero(two)
    assert two.state.deepspeed_plugin.deepspeed_config["train_micro_batch_size_per_gpu"] == 1
    with pytest.raises(LyraSimError, match="ZeRO stage 3 shards the weights"):
        uses_zero(accelerator(3))
