"""A sentence to the picture that a scene starts from, with any text-to-image pipeline of diffusers."""

from __future__ import annotations

import gc
import inspect
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline

from generator.image_settings import ImageSettings
from generator.networks import Networks
from generator.placement import hush, place
from generator.sizes import Size
from generator.teachers.safety import load_guardrail
from generator.weights.folder import locate_model
from generator.weights.registry import ENTRIES, NOT_KNOWN
from generator.weights.store import Store
from lyra_sim.errors import LyraSimError


@dataclass(frozen=True)
class ImaginedPicture:
    """Hold a picture that was made of a sentence."""

    rgb: np.ndarray
    """sRGB, (H, W, 3) uint8."""
    source: dict[str, object]
    """Provenance: model, licence, what it was asked for, seed (JSON types only)."""


def imagine_picture(
    prompt: str,
    *,
    size: Size,
    seed: int,
    model: str | None = None,
    settings: ImageSettings | None = None,
    networks: Networks | None = None,
) -> ImaginedPicture:
    """Make the conditioning picture of a sentence; unless kept, the model's memory is free again afterwards.

    Args:
        prompt: The user's sentence.
        size: Says resolution, device, precision and which model.
        seed: Draws the initial noise.
        model: Another model than the size's: a folder, an entry of the registry or a name on the hub.
        settings: How the sentence is put to the model.
        networks: Keeps the model, where more pictures follow.

    Raises:
        LyraSimError: There is no model, it cannot be loaded, or a safety checker refuses the prompt or the picture.
    """
    name = model or size.text_to_image
    if name is None:
        raise LyraSimError(f"--size {size.name} has no text-to-image model; give a picture instead")
    networks = networks or Networks()
    guardrail = networks.once(load_guardrail, size.safety)
    guardrail.require_safe(prompt)
    pipeline = networks.once(load_text_to_image, name, size)
    try:
        made = _run(pipeline, name, prompt, size=size, seed=seed, settings=settings or ImageSettings())
    finally:
        del pipeline
        if torch.cuda.is_available():
            # The hooks that move networks refer to each other, so counting references does not free them.
            gc.collect()
            torch.cuda.empty_cache()
    rgb = guardrail.checked(made.rgb[None], device=size.device)[0]
    return replace(made, rgb=rgb, source=made.source | guardrail.record())


def load_text_to_image(name: str, size: Size) -> DiffusionPipeline:
    """Load a text-to-image pipeline onto the device of a size; raises LyraSimError when that fails."""
    hush()
    where = locate_model(name, Store())
    try:
        pipeline = AutoPipelineForText2Image.from_pretrained(
            where, dtype=getattr(torch, size.precision), use_safetensors=True
        )
    except ImportError as error:
        raise LyraSimError(f"{name} needs another package ({error}); install lyra-sim[teacher]") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise LyraSimError(
            f"{where}: cannot be loaded as a text-to-image pipeline ({str(error)[:200]}); give a folder or a hub "
            "name whose model_index.json diffusers knows"
        ) from None
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, size.device)
    return pipeline


def _run(
    pipeline: DiffusionPipeline, name: str, prompt: str, *, size: Size, seed: int, settings: ImageSettings
) -> ImaginedPicture:
    asked = settings.template.replace("{prompt}", prompt.strip().rstrip("."))
    options: dict[str, Any] = {
        "prompt": asked,
        "height": size.height,
        "width": size.width,
        # The noise is drawn on the CPU, so that a seed means the same on every device.
        "generator": torch.Generator().manual_seed(seed),
        "output_type": "np",
    }
    optional = {
        "negative_prompt": settings.negative,
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance,
    }
    known = inspect.signature(pipeline.__call__).parameters
    used = {key: value for key, value in optional.items() if value is not None and key in known}
    with torch.no_grad():
        output = pipeline(**options, **used)
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise LyraSimError(f"the safety checker of {name} refuses the picture; change the prompt or the seed")
    rgb = (np.asarray(output.images[0]) * 255).round().clip(0, 255).astype(np.uint8)
    if rgb.shape != (size.height, size.width, 3):
        raise LyraSimError(
            f"{name} made a picture of {rgb.shape[1]}x{rgb.shape[0]} px instead of {size.width}x{size.height}; "
            "use a model that takes a size"
        )
    entry = next((e for e in ENTRIES if e.name == name), None)
    source: dict[str, object] = {
        "text_to_image": name,
        "pipeline": type(pipeline).__name__,
        "licence": entry.licence if entry else NOT_KNOWN,
        "asked": asked,
        "seed": seed,
        **used,
        "settings": asdict(settings),
    }
    return ImaginedPicture(rgb, source)
