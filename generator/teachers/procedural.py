"""The teacher that films a procedural world along the six trajectories, by ray casting."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from generator.cameras import Cameras
from generator.networks import Networks
from generator.sizes import Size
from generator.teachers.conditioning import Picture
from generator.teachers.paths import clear_path, held_out_poses
from generator.teachers.picture_paths import CENTER_SHARE
from generator.teachers.raycast import RayCaster
from generator.teachers.teacher import Clip, Progress, TeacherVideo
from generator.trajectories import SDG_TRAJECTORIES, Trajectory
from generator.worlds import build_world
from generator.worlds.prompt import WorldSpec
from generator.worlds.world import World
from lyra_sim.errors import LyraSimError

HELD_OUT = 12
"""Cameras between the paths that a scene is measured at."""
CENTER_RANGE = (1.0, 2.5)
"""Bounds on the centre depth [m]."""


@dataclass(kw_only=True)
class ProceduralTeacher:
    """Build the world that a prompt asks for and film it, in metres, with exact depth and labels."""

    height: int = 176
    """Picture height [px]."""
    width: int = 320
    """Picture width [px]."""
    frames: int = 17
    """Frames per clip; frame 0 is the conditioning frame."""
    trajectories: tuple[Trajectory, ...] = SDG_TRAJECTORIES
    """Camera paths, one clip each."""
    movement: float = 1.0
    """Factor on every path's movement distance."""
    held_out: int = HELD_OUT
    """Number of cameras between the paths, for measuring only."""
    supersample: int = 2
    """Rays per pixel and axis."""
    name: str = field(default="procedural", init=False)

    @classmethod
    def for_size(
        cls,
        size: Size,
        *,
        trajectories: tuple[Trajectory, ...],
        movement: float = 1.0,
        networks: Networks | None = None,
    ) -> ProceduralTeacher:
        """Return the teacher at the resolution of a size, with held-out cameras where the paths leave room."""
        # Held-out cameras lie between the paths; one or two paths leave too little room between them.
        held_out = HELD_OUT if len(trajectories) > 2 else 0
        return cls(
            height=size.height,
            width=size.width,
            frames=size.frames,
            trajectories=trajectories,
            movement=movement,
            held_out=held_out,
        )

    def imagine(self, conditioning: object, *, seed: int, progress: Progress | None = None) -> TeacherVideo:
        """Build the world of a `WorldSpec` and film it; see `film`.

        Raises:
            LyraSimError: The conditioning is not a `WorldSpec`, or `film` fails.
        """
        if not isinstance(conditioning, WorldSpec):
            raise LyraSimError(
                f"the procedural teacher needs a WorldSpec (see parse_prompt), not a {type(conditioning).__name__}"
            )
        report = progress or _silent
        report(0.0, f"building a {conditioning.kind.replace('_', ' ')}")
        world = build_world(conditioning, seed=seed)
        wish = {
            "prompt": conditioning.prompt,
            "exact": conditioning.exact,
            "understood": list(conditioning.understood),
            "ignored": list(conditioning.ignored),
        }
        return self.film(world, seed=seed, progress=progress, source=wish)

    def photograph(self, spec: WorldSpec, *, seed: int) -> tuple[Picture, np.ndarray]:
        """Return frame 0 of a world as a conditioning picture with exact depth [m], and its pose in the world.

        Raises:
            LyraSimError: The camera sees nothing.
        """
        world = build_world(spec, seed=seed)
        clip = self._first(RayCaster(world))
        depth = clip.depth[0]
        about: dict[str, object] = {
            "kind": world.kind,
            "depth_from": "procedural world",
            "intrinsics_from": "procedural world",
        }
        # Open sky is far, but a cache needs it at some depth.
        dense = np.where(depth > 0, depth, 2 * depth.max())
        picture = Picture(clip.rgb[0], None, clip.cameras.intrinsics[0], about, prompt=spec.prompt)
        return picture.with_depth(dense, metric=True), clip.cameras.c2w[0]

    def film(
        self,
        world: World,
        *,
        seed: int,
        progress: Progress | None = None,
        source: dict[str, object] | None = None,
    ) -> TeacherVideo:
        """Film a world along every trajectory and from the held-out cameras.

        Args:
            world: The world; its camera is frame 0 of every clip.
            seed: Draws each path's movement distance, and the held-out cameras.
            progress: Called before each clip.
            source: Provenance to add to what is recorded here.

        Raises:
            LyraSimError: The world's camera sees nothing, or has no room to move.
        """
        report = progress or _silent
        report(0.02, "baking light")
        caster = RayCaster(world)
        first = self._first(caster)
        median = float(np.median(first.depth[first.depth > 0]))
        center_depth = float(np.clip(CENTER_SHARE * median, *CENTER_RANGE))
        rng = np.random.default_rng(seed)
        paths = [
            clear_path(
                trajectory,
                first.cameras.c2w[0],
                caster.scene,
                frames=self.frames,
                distance=self.movement * rng.uniform(trajectory.min_distance, trajectory.max_distance),
                center_depth=center_depth,
            )
            for trajectory in self.trajectories
        ]
        between = held_out_poses(paths, caster.scene, rng, count=self.held_out, center_depth=center_depth)
        clips = []
        for done, path in enumerate(paths):
            report(0.1 + 0.8 * done / len(paths), f"ray casting {path.name.replace('_', ' ')}")
            clips.append(_joined(path.name, first, self._clip(path.name, caster, path.c2w[1:])))
        report(0.9, "ray casting held-out cameras")
        return TeacherVideo(
            clips=tuple(clips),
            held_out=self._clip("held_out", caster, between) if self.held_out else None,
            classes=caster.classes,
            metric=True,
            source={
                "teacher": self.name,
                "kind": world.kind,
                "seed": seed,
                **(source or {}),
                "center_depth_m": center_depth,
                "movement": self.movement,
                "distances": {path.name: {"drawn": path.wanted, "used": path.distance} for path in paths},
            },
            instances=tuple({"name": item.name, "label": item.label} for item in world.instances),
            surface=world.triangles(),
        )

    def _first(self, caster: RayCaster) -> Clip:
        """Return the conditioning frame as a clip; raises LyraSimError when the world's camera sees nothing."""
        world = caster.world
        first = self._clip("conditioning", caster, np.asarray(world.c2w, np.float64)[None])
        if not first.depth.any():
            raise LyraSimError(f"the camera of this {world.kind} sees nothing; build it with another seed")
        return first

    def _clip(self, name: str, caster: RayCaster, c2w: np.ndarray) -> Clip:
        focal = self.width / 2 / np.tan(caster.world.horizontal_fov / 2)
        intrinsics = np.tile([focal, focal, self.width / 2, self.height / 2], (len(c2w), 1))
        cameras = Cameras(c2w, intrinsics, self.height, self.width)
        rgb, depth, labels, _ = caster.render(cameras, supersample=self.supersample)
        return Clip(name, cameras, rgb, depth, labels)


def _joined(name: str, first: Clip, rest: Clip) -> Clip:
    """Return the clip of the conditioning frame followed by the frames of a path."""
    cameras = Cameras(
        np.concatenate([first.cameras.c2w, rest.cameras.c2w]),
        np.concatenate([first.cameras.intrinsics, rest.cameras.intrinsics]),
        first.cameras.height,
        first.cameras.width,
    )
    assert first.labels is not None
    assert rest.labels is not None
    return Clip(
        name,
        cameras,
        np.concatenate([first.rgb, rest.rgb]),
        np.concatenate([first.depth, rest.depth]),
        np.concatenate([first.labels, rest.labels]),
    )


def _silent(fraction: float, message: str) -> None:
    """Ignore progress."""
