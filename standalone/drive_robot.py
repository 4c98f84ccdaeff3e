"""Let a robot of Isaac Sim drive over the floor of a generated scene, and say whether the floor carried it.

    ./python.sh standalone/drive_robot.py scene.usdz --robot jetbot --out path.csv

The wheels are driven through the joints' USD drives, which every Isaac Sim from 5.0 to 6.2 has; its Python robot
classes changed between them. See docs/isaac-sim.md for what has been run and what has not.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isaac import add_gravity, existing_scene, fail, floor_place, load, start, writable_file

ROBOT_PATH = "/World/Robot"
STEPS_PER_S = 60
MOVED_M = 0.1


@dataclass(frozen=True)
class Robot:
    """A robot with two driven wheels."""

    asset: str
    """Path under Isaac Sim's asset root."""
    wheels: tuple[str, str]
    """Names of the wheel joints."""
    wheel_radius: float
    """Radius of the driven wheels [m]."""
    footprint: float
    """Radius that the robot needs around itself [m]."""
    height: float
    """Height that the robot needs [m]."""


ROBOTS = {
    "jetbot": Robot(
        asset="/Isaac/Robots/NVIDIA/Jetbot/jetbot.usd",
        wheels=("left_wheel_joint", "right_wheel_joint"),
        wheel_radius=0.0325,
        footprint=0.15,
        height=0.2,
    ),
    "nova_carter": Robot(
        asset="/Isaac/Robots/NVIDIA/NovaCarter/nova_carter.usd",
        wheels=("joint_wheel_left", "joint_wheel_right"),
        wheel_radius=0.14,
        footprint=0.45,
        height=1.2,
    ),
}


def parse(argv: list[str]) -> argparse.Namespace:
    """Read our options; Isaac Sim reads the others itself."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scene", type=existing_scene, help="the scene, *.usdz, with a collider")
    parser.add_argument("--robot", choices=sorted(ROBOTS), default="jetbot", help="the robot (jetbot)")
    parser.add_argument("--speed", type=float, default=0.2, help="forward speed [m/s] (0.2)")
    parser.add_argument("--seconds", type=float, default=5.0, help="simulated time [s] (5)")
    parser.add_argument("--out", type=writable_file(".csv"), help="write the path driven: t, x, y, z")
    parser.add_argument("--gui", action="store_true", help="show the window, and keep it open")
    args, _ = parser.parse_known_args(argv)
    for name in ("speed", "seconds"):
        value = getattr(args, name)
        if not (math.isfinite(value) and 0 < value <= 600):
            parser.error(f"--{name} {value}: must be more than 0 and at most 600")
    return args


def place_robot(stage: Any, robot: Robot) -> None:
    """Put the robot on a free place of the floor, facing along the scene."""
    from isaacsim.storage.native import get_assets_root_path
    from pxr import Gf, UsdGeom

    root = get_assets_root_path()
    if root is None:
        fail("Isaac Sim's assets cannot be reached; robots come from there (see its docs on offline assets)")
    spot, along = floor_place(stage, radius=robot.footprint, height=robot.height)
    prim = UsdGeom.Xform.Define(stage, ROBOT_PATH)
    prim.GetPrim().GetReferences().AddReference(root + robot.asset)
    turn = Gf.Rotation(Gf.Vec3d(1, 0, 0), Gf.Vec3d(*along.tolist()))
    prim.MakeMatrixXform().Set(
        Gf.Matrix4d().SetRotate(turn)
        * Gf.Matrix4d().SetTranslate(Gf.Vec3d(*spot.tolist()) + Gf.Vec3d(0, 0, 0.05))
    )


def drive_wheels(stage: Any, robot: Robot, speed: float) -> None:
    """Set the wheels' drives to a forward speed [m/s]."""
    from pxr import Usd, UsdPhysics

    joints = {prim.GetName(): prim for prim in Usd.PrimRange(stage.GetPrimAtPath(ROBOT_PATH))}
    for name in robot.wheels:
        if name not in joints:
            fail(f"the robot {robot.asset} has no joint {name}; Isaac Sim's assets may have changed")
        drive = UsdPhysics.DriveAPI.Apply(joints[name], "angular")
        drive.CreateStiffnessAttr(0.0)
        damping = drive.GetDampingAttr().Get()
        drive.CreateDampingAttr(damping if damping else 1e4)
        drive.CreateTargetVelocityAttr(math.degrees(speed / robot.wheel_radius))  # USD drives turn in deg/s


def body_path(stage: Any) -> str:
    """Return the path of the robot's first rigid body, its chassis."""
    from pxr import Usd, UsdPhysics

    for prim in Usd.PrimRange(stage.GetPrimAtPath(ROBOT_PATH)):
        if prim.HasAPI(UsdPhysics.RigidBodyAPI):
            return str(prim.GetPath())
    fail("the robot has no rigid body; Isaac Sim's assets may not have been loaded")


def simulate(app: Any, body: str, seconds: float) -> list[tuple[float, float, float, float]]:
    """Run the simulation and return (t, x, y, z) of the robot, ten a second [s, m]."""
    import omni.timeline
    from omni.physx import get_physx_interface

    timeline = omni.timeline.get_timeline_interface()
    timeline.play()
    app.update()
    path = []
    for step in range(int(seconds * STEPS_PER_S) + 1):
        # PhysX is asked because the stage is not written back to when Fabric is on.
        if step % (STEPS_PER_S // 10) == 0:
            position = get_physx_interface().get_rigidbody_transformation(body)["position"]
            x, y, z = map(float, position)
            path.append((step / STEPS_PER_S, x, y, z))
        app.update()
    timeline.stop()
    return path


def verdict(path: list[tuple[float, float, float, float]]) -> tuple[bool, str]:
    """Say whether the floor carried the robot while it drove."""
    (_, x0, y0, z0), (_, x1, y1, z1) = path[0], path[-1]
    moved, sunk = math.hypot(x1 - x0, y1 - y0), z0 - z1
    drop = 0.05  # It starts that high over the floor.
    carried = sunk < drop + 0.05
    text = f"drove {moved:.2f} m, height changed by {-sunk * 100:.1f} cm"
    return carried and moved > MOVED_M, f"{text}; {'the floor carries it' if carried else 'it fell through'}"


def main() -> int:
    """Load, place, drive, judge."""
    args = parse(sys.argv[1:])
    robot = ROBOTS[args.robot]
    app = start(headless=not args.gui)
    try:
        stage = load(args.scene, app)
        add_gravity(stage)
        place_robot(stage, robot)
        for _ in range(30):
            app.update()
        drive_wheels(stage, robot, args.speed)
        path = simulate(app, body_path(stage), args.seconds)
        good, text = verdict(path)
        if args.out:
            rows = ["t,x,y,z", *(",".join(f"{value:.4f}" for value in row) for row in path)]
            Path(args.out).write_text("\n".join(rows) + "\n")
        sys.stdout.write(f"{args.robot} {text}\n")
        while args.gui and app.is_running():
            app.update()
    finally:
        app.close()
    return 0 if good else 3


if __name__ == "__main__":
    sys.exit(main())
