"""The options of `gen` that say how a sentence is put to a text-to-image model."""

from __future__ import annotations

import argparse
from typing import Any

from lyra_sim.errors import LyraSimError

PROMPT_OPTIONS = ("picture_prompt", "negative_prompt", "picture_steps", "picture_guidance", "picture_model")
"""Options that mean something for a prompt at --size full alone."""


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    """Add how a sentence becomes a picture."""
    group = parser.add_argument_group(
        "sentence to picture (--size full; docs/teachers.md has the default words)"
    )
    group.add_argument(
        "--picture-prompt",
        metavar="TEXT",
        help="what the model is asked for, {prompt} being PROMPT (a wide-angle photograph at eye level, level horizon, "
        "open floor, everything in focus, no people)",
    )
    group.add_argument(
        "--negative-prompt",
        metavar="TEXT",
        help="what it keeps away from, where the model takes that (people, close-ups, blur, mirrors, text)",
    )
    group.add_argument("--picture-steps", type=int, metavar="N", help="sampling steps (the model's own)")
    group.add_argument(
        "--picture-guidance", type=float, metavar="G", help="strength of guidance (the model's own)"
    )
    group.add_argument(
        "--picture-model",
        metavar="NAME",
        help="text-to-image pipeline of diffusers: of `lyra-sim weights list`, of a hub, or a folder (z-image)",
    )


def check_prompt(args: argparse.Namespace) -> None:
    """Raise LyraSimError for anything wrong with these options."""
    given = [name for name in PROMPT_OPTIONS if getattr(args, name) is not None]
    if given and (args.image is not None or args.video is not None):
        raise LyraSimError(
            f"{_option(given[0])} is for prompts: a scene from a picture or a video needs none"
        )
    if args.picture_prompt is not None and "{prompt}" not in args.picture_prompt:
        raise LyraSimError("--picture-prompt must hold {prompt}, where the sentence goes")
    if args.picture_steps is not None and not 1 <= args.picture_steps <= 1000:
        raise LyraSimError(f"--picture-steps {args.picture_steps}: must be 1 to 1000")
    if args.picture_guidance is not None and not 0 <= args.picture_guidance <= 100:
        raise LyraSimError(f"--picture-guidance {args.picture_guidance:g}: must be 0 to 100")
    if given and args.server:
        raise LyraSimError(f"{_option(given[0])} works on this machine only; leave it out with --server")


def image_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `generator.image_settings.ImageSettings` that were given."""
    fields = {"template": "picture_prompt", "negative": "negative_prompt"}
    fields |= {"steps": "picture_steps", "guidance": "picture_guidance"}
    return {field: value for field, name in fields.items() if (value := getattr(args, name)) is not None}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
