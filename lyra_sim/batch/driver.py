"""Drive a batch: hand out scenes, put results into place, and remember everything in the journal."""

from __future__ import annotations

import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyra_sim.atomic import atomic_path, disk_error
from lyra_sim.batch.engines import Engine
from lyra_sim.batch.folder import JOURNAL, SPEC, BatchFolder
from lyra_sim.batch.journal import Journal, parse
from lyra_sim.batch.manifest import write_manifest
from lyra_sim.batch.page import write_page
from lyra_sim.batch.scenes import PlannedScene
from lyra_sim.batch.work import Outcome, Task, is_disk_full
from lyra_sim.errors import LyraSimError
from lyra_sim.progress import Progress

if TYPE_CHECKING:
    from lyra_sim.batch.expand import Plan

LOST_LIMIT = 3
"""Workers that a scene may take with it before it counts as failed."""
SAME_FAILURES = 5
"""Failures in a row for the same reason, none made between, that end the batch: the reason is not the scene."""
ROOM = 3
"""Times the mean size of a scene that must be free per worker; packing a scene takes twice its size."""

Row = Mapping[str, Any]


@dataclass
class State:
    """Hold how every planned scene stands."""

    done: dict[str, Row] = field(default_factory=dict)
    """Rows of finished scenes by id."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Reasons by id of scenes that no seed made good; they are not tried again."""
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons by id of scenes that ended with an error; the next run tries them again."""


@dataclass(frozen=True)
class Options:
    """Say how to run a batch."""

    limit: int | None = None
    """Most scenes to make this time."""
    generate: str = Task.generate
    """Who makes scenes, as `module:function`."""


def run_batch(
    plan: Plan,
    out: Path,
    start_engine: Callable[[], Engine],
    progress: Progress,
    *,
    options: Options | None = None,
) -> dict[str, Any]:
    """Make the scenes of a plan that are not there yet; return the fields of the result message.

    Raises:
        LyraSimError: The folder is taken or unusable, the disk is full, every scene fails for the same reason,
            or the user interrupted; what was made stays, and the same call goes on from there.
    """
    folder = BatchFolder(out)
    with folder.locked():
        journal = Journal(folder.path / JOURNAL)
        try:
            return _Driver(plan, folder, journal, start_engine, progress, options or Options()).run()
        finally:
            journal.close()


def recover(plan: Plan, folder: BatchFolder, events: list[dict[str, Any]]) -> State:
    """Return how the scenes of a plan stand, from the journal and, where that says nothing, from the folder."""
    last = {event["id"]: event for event in events if isinstance(event.get("id"), str)}
    state = State()
    for scene in plan.scenes:
        event = last.get(scene.id, {})
        row = event.get("row") if event.get("event") == "made" else None
        if not (isinstance(row, dict) and row.get("id") == scene.id and folder.complete(row)):
            # The driver may have died between moving the scene and writing it down.
            row = folder.report(scene.id)
            row = {name: value for name, value in row.items() if name != "report"} if row else None
        if row is not None:
            state.done[scene.id] = row
        elif event.get("event") == "rejected":
            state.rejected[scene.id] = str(event.get("reason", ""))
    return state


class _Driver:
    """One run of one batch."""

    def __init__(
        self,
        plan: Plan,
        folder: BatchFolder,
        journal: Journal,
        start_engine: Callable[[], Engine],
        progress: Progress,
        options: Options,
    ) -> None:
        self.plan, self.folder, self.journal = plan, folder, journal
        self.start_engine, self.progress, self.options = start_engine, progress, options
        self.state = recover(plan, folder, journal.events)
        self.lost: Counter[str] = Counter()
        self.in_a_row: Counter[str] = Counter()
        self.made = 0
        self.bytes = sum(_bytes(row) for row in self.state.done.values())
        self.tables = _Tables()

    def run(self) -> dict[str, Any]:
        waiting = [s for s in self.plan.scenes if s.id not in self.state.done | self.state.rejected]
        waiting = waiting[: self.options.limit]
        self._greet(len(waiting))
        stopped: LyraSimError | None = None
        try:
            with atomic_path(self.folder.path / SPEC) as spec:
                spec.write_text(self.plan.spec, encoding="utf-8")
            if waiting:
                self._make(deque(waiting))
        except KeyboardInterrupt:
            # It may have come between a scene's last step and our note of it; the journal knows.
            failed, events = self.state.failed, parse(self.journal.path.read_bytes())[0]
            self.state = replace(recover(self.plan, self.folder, events), failed=failed)
            stopped = LyraSimError(
                f"interrupted with {self._count()}; run the same command again to go on", exit_code=130
            )
        except LyraSimError as error:
            stopped = self._disk_full() if is_disk_full(error) else error
        try:
            self._write_tables()
        except LyraSimError as error:
            stopped = stopped or (self._disk_full() if is_disk_full(error) else error)
        if stopped is not None:
            raise stopped
        return self._result()

    def _greet(self, waiting: int) -> None:
        """Tell what is found and what comes."""
        if self.journal.damaged:
            self.progress.note(
                f"{self.journal.path}: {self.journal.damaged} unreadable line(s) passed over; "
                "their scenes are recognised by their folders or made again"
            )
        planned = {scene.id for scene in self.plan.scenes}
        others = sum(1 for path in self.folder.scenes.iterdir() if path.name not in planned)
        if others:
            self.progress.note(f"{others} scene(s) of another spec stay in the folder, outside the manifest")
        self.progress.note(f"{self._count()}; {waiting} to make")

    def _make(self, waiting: deque[PlannedScene]) -> None:
        total, ended, running = len(waiting), 0, 0
        self.progress.update("scenes", 0.0, "starting workers")
        engine = self.start_engine()
        try:
            while waiting or running:
                while waiting and running < engine.capacity:
                    self._check_room(engine.capacity)
                    engine.submit(self._task(waiting.popleft()))
                    running += 1
                for task, outcome in engine.wait():
                    running -= 1
                    if self._settle(task, outcome):
                        ended += 1
                        self.progress.update("scenes", ended / total, self._line(task, outcome))
                    else:
                        waiting.appendleft(task.scene)
                self.tables.when_due(self._write_tables)
        finally:
            engine.close()

    def _task(self, scene: PlannedScene) -> Task:
        return Task(scene, self.plan.recipe, str(self.folder.work), self.options.generate)

    def _settle(self, task: Task, outcome: Outcome) -> bool:
        """Put an outcome into the folder and the journal; say whether the scene has ended."""
        scene = task.scene
        facts = {"seconds": outcome.seconds, "peak_mib": outcome.peak_mib, "attempts": list(outcome.attempts)}
        if outcome.kind == "disk full":
            # Finished trajectories are kept on another disk, perhaps, than the scenes.
            elsewhere = str(self.folder.path) not in outcome.reason
            raise self._disk_full(outcome.reason if elsewhere else "")
        if outcome.kind == "lost":
            self.lost[scene.id] += 1
            self.journal.append("lost", id=scene.id, reason=outcome.reason)
            if self.lost[scene.id] < LOST_LIMIT:
                return False
            reason = f"{outcome.reason}, {self.lost[scene.id]} times"
            self._fail(scene, reason, facts)
        elif outcome.kind == "made":
            self._move(partial(self.folder.publish, Path(outcome.folder), scene.id))
            self.journal.append("made", id=scene.id, row=dict(outcome.row), **facts)
            self.state.done[scene.id] = outcome.row
            self.bytes += _bytes(outcome.row)
            self.made += 1
            self.in_a_row.clear()
        elif outcome.kind == "rejected":
            if outcome.picture:
                self._move(partial(self.folder.publish_rejected, Path(outcome.picture), scene.id))
            self.journal.append("rejected", id=scene.id, reason=outcome.reason, **facts)
            self.state.rejected[scene.id] = outcome.reason
            self.in_a_row.clear()
        else:
            self._fail(scene, outcome.reason, facts)
        return True

    def _move(self, move: Callable[[], None]) -> None:
        try:
            move()
        except OSError as error:
            raise disk_error(error, self.folder.path) from error

    def _fail(self, scene: PlannedScene, reason: str, facts: Mapping[str, Any]) -> None:
        self.journal.append("failed", id=scene.id, reason=reason, **facts)
        self.state.failed[scene.id] = reason
        self.in_a_row[reason] += 1
        if self.in_a_row[reason] >= SAME_FAILURES and len(self.in_a_row) == 1:
            raise LyraSimError(f"the last {SAME_FAILURES} scenes all failed, with: {reason}")

    def _check_room(self, workers: int) -> None:
        """Raise LyraSimError while there is still room to end cleanly."""
        if self.state.done and shutil.disk_usage(self.folder.path).free < ROOM * workers * self._mean_bytes():
            raise self._disk_full()

    def _mean_bytes(self) -> float:
        return self.bytes / len(self.state.done) if self.state.done else 0.0

    def _disk_full(self, said: str = "") -> LyraSimError:
        missing = len(self.plan.scenes) - len(self.state.done) - len(self.state.rejected)
        mean, free = self._mean_bytes(), shutil.disk_usage(self.folder.path).free
        need = f"they need about {_size(missing * mean)}, {_size(free)} are free" if mean else ""
        return LyraSimError(
            f"--out {self.folder.path}: the disk is full with {self._count()}; {missing} are missing"
            f"{', ' if need else ''}{need}; free some space and run the same command again"
            f"{f' (a worker says: {said})' if said else ''}"
        )

    def _count(self) -> str:
        state, total = self.state, len(self.plan.scenes)
        parts = [f"{len(state.done)} of {total} scenes done"]
        parts += [f"{len(state.rejected)} rejected"] if state.rejected else []
        parts += [f"{len(state.failed)} failed"] if state.failed else []
        return ", ".join(parts)

    def _line(self, task: Task, outcome: Outcome) -> str:
        how = (
            f"made in {outcome.seconds:.0f} s"
            if outcome.kind == "made"
            else f"{outcome.kind}: {outcome.reason}"
        )
        return f"{self._count()}; {task.scene.id} {task.scene.title[:40]!r} {how}"

    def _write_tables(self) -> None:
        write_manifest(self.folder, self.plan, self.state)
        write_page(self.folder, self.plan, self.state)

    def _result(self) -> dict[str, Any]:
        state, folder = self.state, self.folder
        return {
            "message": f"{folder.path}: {self._count()}, {self.made} made now",
            "out": str(folder.path),
            "scenes": len(self.plan.scenes),
            "done": len(state.done),
            "made": self.made,
            "rejected": len(state.rejected),
            "failed": len(state.failed),
        }


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _bytes(row: Row) -> int:
    return sum(facts["bytes"] for facts in row["files"].values())


class _Tables:
    """Write manifest and page now and then, never for more than a hundredth of the time."""

    LEAST_S = 60.0

    def __init__(self) -> None:
        self._next = time.monotonic() + self.LEAST_S

    def when_due(self, write: Callable[[], None]) -> None:
        began = time.monotonic()
        if began < self._next:
            return
        write()
        took = time.monotonic() - began
        self._next = began + max(self.LEAST_S, 100 * took)
