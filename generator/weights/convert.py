"""Published checkpoints to the tensors and configurations that the generator's networks take."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generator.weights.registry import Entry
from generator.weights.tokenizer_names import is_native, latent_statistics, stock_names
from generator.weights.unpickle import read_tensors
from lyra_sim.errors import LyraSimError

Configuration = Mapping[str, Any]
Converted = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by the network's own names, and the JSON configuration that rebuilds the network."""


def convert(entry: Entry, files: Mapping[str, Path], configuration: Configuration | None = None) -> Converted:
    """Read the published files of an entry and check them against the network that they are for.

    Args:
        entry: What the files are.
        files: Paths by the names that the registry has for them.
        configuration: Arguments of the network; default is that of the published weights.

    Returns:
        Tensors, in the precision of the file, and the configuration.

    Raises:
        LyraSimError: A file is damaged, is not what the entry describes, or does not fit the network.
    """
    return LAYOUTS[entry.layout](entry, files, configuration)


def _decoder(entry: Entry, files: Mapping[str, Path], configuration: Configuration | None) -> Converted:
    """Read a DeepSpeed model-states file, whose state dict lies under `module`."""
    from generator.decoder import DecoderConfig, LyraDecoder

    config = DecoderConfig.published(dynamic=entry.layout == "lyra-dynamic")
    config = config if configuration is None else DecoderConfig.from_dict(dict(configuration))
    path, content = _read_first(entry, files)
    state = _tensors(content, "module")
    _require_fit(entry, path, state, lambda: LyraDecoder(config))
    return state, config.to_dict()


def _tokenizer(entry: Entry, files: Mapping[str, Path], configuration: Configuration | None) -> Converted:
    """Read the native `model.pt`, or diffusers' form, whose statistics diffusers has as its defaults."""
    from diffusers import AutoencoderKLCosmos

    path, content = _read_first(entry, files)
    state = _tensors(content, "model", "module", "state_dict")
    full = dict(configuration or {})
    statistics = files.get("mean_std.pt")
    if statistics is not None:
        full |= latent_statistics(statistics, full.get("latent_channels", 16), _remedy(entry))
    elif is_native(state):
        raise LyraSimError(
            f"{path}: needs mean_std.pt of {entry.repository} in the same folder; put it there"
        )
    state = stock_names(state) if is_native(state) else state
    _require_fit(entry, path, state, lambda: AutoencoderKLCosmos(**full))
    return state, full


def _gen3c(entry: Entry, files: Mapping[str, Path], configuration: Configuration | None) -> Converted:
    from diffusers import CosmosTransformer3DModel

    from generator.teachers.gen3c.keys import convert_state_dict
    from generator.teachers.gen3c.transformer import FULL_CONFIGURATION

    full = json.loads(json.dumps(dict(configuration or FULL_CONFIGURATION)))
    path, content = _read_first(entry, files)
    state = convert_state_dict(content)
    _require_fit(entry, path, state, lambda: CosmosTransformer3DModel(**full))
    return state, full


def _depth(entry: Entry, files: Mapping[str, Path], configuration: Configuration | None) -> Converted:
    """Read weights under `model`; whatever lies beside them as plain values becomes the configuration."""
    path, content = _read_first(entry, files)
    state = _tensors(content, "model")
    if not state:
        raise LyraSimError(f"{path}: holds no tensors; {_remedy(entry)}")
    beside = {key: value for key, value in content.items() if key != "model" and _is_json(value)}
    return state, dict(configuration or beside)


def _text(entry: Entry, files: Mapping[str, Path], configuration: Configuration | None) -> Converted:
    """Keep the encoder half of T5 in bf16, and its tokenizer on the card; the decoder half is not used."""
    path, content = _read_first(entry, files)
    kept = {n: v for n, v in _tensors(content).items() if n == "shared.weight" or n.startswith("encoder.")}
    missing = {"shared.weight", "encoder.final_layer_norm.weight"} - set(kept)
    if missing:
        raise LyraSimError(
            f"{path}: not a T5 checkpoint, lacks {', '.join(sorted(missing))}; {_remedy(entry)}"
        )
    built = dict(configuration or {})
    if "tokenizer.json" in files:
        built["tokenizer"] = _json_file(files["tokenizer.json"], _remedy(entry))
    return {name: value.to(torch.bfloat16) for name, value in kept.items()}, built


LAYOUTS: dict[str, Callable[[Entry, Mapping[str, Path], Configuration | None], Converted]] = {
    "lyra-static": _decoder,
    "lyra-dynamic": _decoder,
    "cosmos-tokenizer": _tokenizer,
    "gen3c": _gen3c,
    "moge": _depth,
    "t5": _text,
}


def _read_first(entry: Entry, files: Mapping[str, Path]) -> tuple[Path, Mapping[str, Any]]:
    path = files[entry.files[0].name]
    return path, read_tensors(path, remedy=_remedy(entry))


def _json_file(path: Path, remedy: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LyraSimError(f"{path}: cannot be read as JSON ({error}); {remedy}") from None


def _remedy(entry: Entry) -> str:
    return f"download {entry.files[0].name} of {entry.repository} again: lyra-sim weights pull {entry.name}"


def _tensors(content: Mapping[str, Any], *wrappers: str) -> dict[str, Tensor]:
    """Return the tensors of a state dict, taken out of the first wrapper that the file has."""
    inner = next((content[key] for key in wrappers if isinstance(content.get(key), Mapping)), content)
    return {name: value for name, value in inner.items() if isinstance(value, Tensor)}


def _require_fit(
    entry: Entry, path: Path, state: Mapping[str, Tensor], build: Callable[[], nn.Module]
) -> None:
    """Compare names and shapes with those of the network, which is built without memory for its weights."""
    with torch.device("meta"):
        expected = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    shapes = [
        f"{name} is {tuple(state[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    faults = [f"lacks {len(missing)} tensors such as {missing[0]}"] if missing else []
    faults += [f"has {len(extra)} unknown tensors such as {extra[0]}"] if extra else []
    faults += [f"has {len(shapes)} tensors of another shape: {shapes[0]}"] if shapes else []
    if faults:
        raise LyraSimError(
            f"{path}: expected the {len(expected)} tensors of {entry.title}, but the file {', '.join(faults)}; "
            f"{_remedy(entry)}"
        )


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
