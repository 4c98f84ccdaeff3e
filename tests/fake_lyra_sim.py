"""A stand-in for the `lyra-sim` command that speaks its protocol and misbehaves on request.

It is a program, not a module: tests run it as a child process. The first word of the prompt says how it behaves;
`doctor --json` answers what the variable FAKE_DOCTOR holds, else as this version of lyra-sim does.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STAGES = ("load", "world", "teacher", "tokenizer", "cache", "decoder", "scene", "collider", "usd", "preview")
DOCTOR = {
    "version": "0.1.0",
    "gen_options": ["--out", "--seed", "--size", "--keep", "--no-collider", "--strict", "--progress"],
    "sizes": {
        "mini": {"available": True, "why": "embedded weights"},
        "full": {"available": False, "why": "no CUDA GPU; published weights are not here"},
    },
    "targets": ["isaac-6"],
}


def main() -> int:
    """Answer `doctor --json`, or play one `gen`."""
    if sys.argv[1:] == ["doctor", "--json"]:
        sys.stdout.write(os.environ.get("FAKE_DOCTOR") or json.dumps(DOCTOR))
        return 1
    whole = argparse.ArgumentParser()
    parser = whole.add_subparsers(required=True).add_parser("gen")
    parser.add_argument("prompt", nargs="?", default="")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--progress", required=True)
    args, rest = whole.parse_known_args()
    return play(args, rest)


def play(args: argparse.Namespace, rest: list[str]) -> int:
    """Behave as the first word of the prompt says; `at STAGE` says where."""
    words = args.prompt.split()
    mood = words[0] if words else "ok"
    where = words[words.index("at") + 1] if "at" in words else "teacher"
    note(args.out, "pid", os.getpid())
    for index, stage in enumerate(STAGES):
        emit(type="progress", stage=stage, fraction=index / len(STAGES), message=f"{stage}...", eta_s=1.0)
        if stage == where:
            misbehave(mood, args.out)
    picture = args.out.with_suffix(".png")
    data = Path(__file__).parent / "data" / "panel"
    args.out.write_bytes(b"scene of " + json.dumps([args.prompt, rest, str(args.image)]).encode())
    picture.write_bytes((data / "picture.png").read_bytes())
    if scene := os.environ.get("FAKE_SCENE"):
        args.out.write_bytes(Path(scene).read_bytes())
    report = {"gaussians": 5, "out": str(args.out)}
    emit(
        type="result",
        stage="done",
        fraction=1.0,
        message=f"made {args.out}",
        scene=str(args.out),
        preview=str(picture),
        report=report,
    )
    if mood == "late":
        os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def misbehave(mood: str, out: Path) -> None:
    """Do what tests ask for."""
    if mood == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mood == "fail":
        emit(type="error", stage="teacher", fraction=0.2, message="CUDA out of memory: 3 MiB free")
        sys.exit(1)
    elif mood == "quit":
        sys.stderr.write("Traceback: something odd\n")
        sys.exit(3)
    elif mood == "mute":
        sys.exit(0)
    elif mood == "wait":
        time.sleep(300)
    elif mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note(out, "ignoring", 1)
        time.sleep(300)
    elif mood == "tidy":
        signal.signal(signal.SIGTERM, lambda *_: note(out, "tidied", 1) or sys.exit(130))
        note(out, "ready", 1)
        time.sleep(300)
    elif mood in ("tree", "tree-and-quit"):
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        note(out, "grandchild", grandchild.pid)
        if mood == "tree":
            time.sleep(300)
    elif mood == "garbage":
        sys.stdout.buffer.write(b'\xff\xfe{not json\n[1, 2]\n{"type": "novel"}\n' + b"{" * 3_000_000 + b"\n")
        sys.stdout.buffer.write(b"\n\n" + b"[" * 200_000 + b"\n")
    elif mood == "flood":
        for _ in range(200):
            sys.stderr.write("warning " * 2000 + "\n")
    elif mood == "chatter":
        for count in range(20_000):
            emit(type="progress", stage="teacher", fraction=0.2 + count * 1e-6, message=str(count))
    elif mood == "preview":
        picture = out.with_name("first.png")
        picture.write_bytes((Path(__file__).parent / "data" / "panel" / "picture.png").read_bytes())
        emit(type="progress", stage="teacher", fraction=0.25, message="first picture", preview=str(picture))
    elif mood == "environment":
        note(out, "environment", dict(os.environ))


def note(out: Path, name: str, value: object) -> None:
    """Leave a fact for the test."""
    partial = out.with_name(f"{name}.part")
    partial.write_text(json.dumps(value))
    partial.replace(out.with_name(f"{name}.json"))


def emit(**record: object) -> None:
    """Print one message."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
