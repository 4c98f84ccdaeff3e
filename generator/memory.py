"""What the full size needs of a GPU's memory, computed from parameter counts; nothing here was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

NVIDIA_PEAK_GB = 43.0
"""Peak memory [GB] that NVIDIA states for GEN3C with its networks moved to the GPU one at a time."""


Offload = Literal["none", "model", "group"]
"""`none`: everything on the device. `model`: one network at a time. `group`: one layer at a time, fetched ahead."""

FULL_OFFLOAD_BELOW_GIB = 48
"""With less device memory than this, networks are moved layer by layer."""
NO_OFFLOAD_FROM_GIB = 80
"""With at least this much, nothing is moved."""


@dataclass(frozen=True)
class Network:
    """Say how large a network is."""

    name: str
    parameters: int
    """Number of parameters."""
    bytes_each: int = 2
    """Bytes per parameter: 2 for bf16, 4 for float32."""
    largest_layer: int = 0
    """Parameters of its largest layer, which is what layer-by-layer offload holds; 0 where not counted."""

    @property
    def gigabytes(self) -> float:
        """Memory of the weights [GB]."""
        return self.parameters * self.bytes_each / 1e9


DENOISER = Network("GEN3C denoiser", 7_237_257_216, largest_layer=4096 * 16384)
TEXT_ENCODER = Network("T5-11B encoder", 4_864_791_552, largest_layer=1024 * 65536)
TOKENIZER = Network("Cosmos tokenizer", 105_653_696)
DECODER = Network("Lyra decoder", 32_753_996, bytes_each=4)
SANA = Network("SANA-WM denoiser", 2_661_800_448)
SANA_AUTOENCODER = Network("LTX-2 autoencoder", 1_222_479_601)
SANA_TEXT = Network("Gemma 2 2B", 2_614_341_888)
IMAGE = Network("Z-Image denoiser", 6_154_908_736)
IMAGE_TEXT = Network("Qwen3 4B", 4_022_468_096)


@dataclass(frozen=True)
class Stage:
    """Hold what one stage of the full size has on the GPU under every kind of offload."""

    name: str
    networks: tuple[Network, ...]
    resident: tuple[Network, ...] = ()
    """Networks that stay on the GPU whatever the offload: the autoencoders."""
    activations_gb: float | None = None
    """Memory beside the weights [GB]; None where nobody has stated any."""

    def peak_gb(self, offload: Offload) -> float | None:
        """Return weights on the GPU at once [GB], and the activations where they are known; None if not counted."""
        staying = sum(n.gigabytes for n in self.resident)
        if offload == "none":
            weights = staying + sum(n.gigabytes for n in self.networks)
        elif offload == "model":
            weights = staying + max(n.gigabytes for n in self.networks)
        elif not all(n.largest_layer for n in self.networks):
            return None
        else:
            # One layer works while the next one is fetched.
            weights = staying + 2 * max(n.largest_layer * n.bytes_each / 1e9 for n in self.networks)
        return weights + (self.activations_gb or 0.0)


_GEN3C_ACTIVATIONS = NVIDIA_PEAK_GB - DENOISER.gigabytes - TOKENIZER.gigabytes

STAGES = (
    Stage("text to picture (z-image)", (IMAGE, IMAGE_TEXT)),
    Stage("teacher gen3c", (DENOISER, TEXT_ENCODER), (TOKENIZER,), _GEN3C_ACTIVATIONS),
    Stage("teacher sana-wm", (SANA, SANA_TEXT), (SANA_AUTOENCODER,)),
    Stage("decoder lyra-static", (DECODER,), (TOKENIZER,)),
)
"""Stages that follow one another; each frees its networks for the next, but for workers of a batch, which keep them."""

OFFLOADS: tuple[Offload, ...] = get_args(Offload)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def memory_table() -> list[dict[str, object]]:
    """Return a row per stage: peak [GB] by offload, and whether it holds activations (JSON types)."""
    return [
        {
            "stage": stage.name,
            **{offload: _rounded(stage.peak_gb(offload)) for offload in OFFLOADS},
            "with_activations": stage.activations_gb is not None,
        }
        for stage in STAGES
    ]


def memory_lines() -> list[str]:
    """Return the table for people, with what its numbers are."""
    lines = [
        "  memory of the GPU at full size [GB]: computed from parameter counts, not measured",
        f"    {'stage':<28}{'all on GPU':>12}{'by network':>12}{'by layer':>12}",
    ]
    for row in memory_table():
        what = "" if row["with_activations"] else "  weights alone"
        peaks = "".join(f"{'-' if row[o] is None else row[o]:>12}" for o in OFFLOADS)
        lines.append(f"    {row['stage']:<28}{peaks}{what}")
    lines += [
        f"    gen3c: with {_GEN3C_ACTIVATIONS:.1f} GB of activations (NVIDIA states a peak of {NVIDIA_PEAK_GB:.0f} GB)",
        (
            f"    chosen by the memory of the GPU: by layer under {FULL_OFFLOAD_BELOW_GIB} GiB, "
            f"by network under {NO_OFFLOAD_FROM_GIB} GiB, else all on GPU"
        ),
    ]
    return lines
