"""How a sentence is put to a text-to-image model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageSettings:
    """Say how a sentence is put to the model, so that pictures suit camera paths through a place."""

    template: str = (
        "Wide-angle photograph of {prompt}, the whole place seen from a standing person's eye level, level horizon, "
        "open floor in front of the camera, everything in focus, even light, no people"
    )
    """What the model is asked for; `{prompt}` is the user's sentence. Depth, floor and walls must be in view."""
    negative: str = (
        "people, person, face, hands, animals, close-up, portrait, tilted horizon, fisheye, motion blur, "
        "shallow depth of field, mirror, text, watermark, logo, frame, collage, drawing, cartoon"
    )
    """What it keeps away from, where the model has negative prompts. Mirrors and blur have no depth."""
    steps: int | None = None
    """Sampling steps; None takes the pipeline's own number."""
    guidance: float | None = None
    """Strength of guidance; None takes the pipeline's own."""
