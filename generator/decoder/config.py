"""The sizes and constants of one decoder; the defaults are those of the published weights."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from lyra_sim.errors import LyraSimError

_OFFICIAL_NAMES = {
    "enc_embed_dim": "embed_dim",
    "enc_depth": "depth",
    "enc_num_heads": "num_heads",
    "llrm_7m1t_index": "attention_every",
    "patch_size": "spatial_patch",
    "num_latent_c": "latent_channels",
    "latent_time_compression": "time_compression",
    "latent_spat_compression": "space_compression",
    "dnear": "near",
    "dfar": "far",
    "gaussian_scale_cap": "scale_cap",
    "pre_sigmoid_distance_shift": "distance_shift",
    "gaussians_prune_ratio": "prune_ratio",
}


@dataclass(frozen=True)
class DecoderConfig:
    """Describe a Lyra decoder: latents and rays in, pixel-aligned Gaussians out."""

    embed_dim: int = 512
    """Width D of the tokens; 2 D must be a multiple of `head_dim`."""
    depth: int = 16
    """Number of blocks."""
    num_heads: int = 8
    """Heads of the attention blocks."""
    mlp_ratio: float = 4.0
    """Hidden width of the attention blocks' MLP, as a multiple of D."""
    attention_every: int = 8
    """Block i is attention when (i + 1) is a multiple of this, else Mamba-2; 0 means Mamba-2 only."""
    use_qk_norm: bool = False
    """Whether attention normalises queries and keys (RMSNorm over the head)."""
    state_size: int = 256
    """Width N of the Mamba-2 state."""
    head_dim: int = 64
    """Channels P per Mamba-2 head; the inner width is 2 D."""
    conv_width: int = 4
    """Taps of the causal convolution in front of each scan."""
    latent_channels: int = 16
    """Channels of a tokenizer latent."""
    time_compression: int = 8
    """Video frames per latent frame (the first latent frame holds one frame)."""
    space_compression: int = 8
    """Pixels per latent cell along each image axis."""
    spatial_patch: int = 2
    """Latent cells per token along each image axis."""
    patch_size_out_factor: tuple[int, int, int] = (1, 8, 8)
    """Frames, rows and columns of the video that share one Gaussian."""
    plucker_embedding_vae: bool = True
    """Whether Plücker maps come through the tokenizer (2 x latent_channels) or directly (6 per frame)."""
    time_embedding: bool = True
    """Whether the time-map embeddings exist; the published static weights hold them too."""
    time_embedding_vae: bool = True
    """Whether time maps come through the tokenizer (latent_channels) or directly (3 per frame)."""
    use_time_embedding: bool = False
    """Whether the time maps are added to the tokens: the dynamic model."""
    cache_branch: bool = False
    """Whether the warped depth and mask of the 3D cache enter (zero-initialised; not in the paper)."""
    near: float = 0.1
    """Smallest distance along a ray [scene units]."""
    far: float = 500.0
    """Largest distance along a ray [scene units]."""
    scale_cap: float = 0.3
    """Largest standard deviation of a Gaussian [scene units]."""
    distance_shift: float = -1.65
    """Added to the raw distance before the sigmoid, so that an untrained network starts near the camera."""
    prune_ratio: float = 0.8
    """Share of the Gaussians that pruning drops; 0 keeps all of them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size_out_factor", tuple(self.patch_size_out_factor))
        self._check_sizes()
        self._check_relations()

    def _check_sizes(self) -> None:
        """Refuse values of a wrong type or sign."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "bool" and not isinstance(value, bool):
                raise LyraSimError(f"decoder config: {field.name} is {value!r}; give true or false")
            if field.type == "int":
                least = 0 if field.name == "attention_every" else 1
                if isinstance(value, bool) or not isinstance(value, int) or value < least:
                    raise LyraSimError(
                        f"decoder config: {field.name} is {value!r}; give an integer >= {least}"
                    )
            if field.type == "float" and (
                isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
            ):
                raise LyraSimError(f"decoder config: {field.name} is {value!r}; give a finite number")

    def _check_relations(self) -> None:
        """Refuse values that do not fit each other."""
        factor = self.patch_size_out_factor
        if (
            len(factor) != 3
            or factor[0] != 1
            or factor[1] != factor[2]
            or factor[1] not in (1, 2, 4, 8, 16)
            or self.space_compression % factor[1] != 0
        ):
            raise LyraSimError(
                f"decoder config: patch_size_out_factor is {factor}; give [1, f, f] with f a power of two "
                f"that divides space_compression {self.space_compression}"
            )
        if (2 * self.embed_dim) % self.head_dim:
            raise LyraSimError(
                f"decoder config: embed_dim {self.embed_dim} does not fit: 2 x embed_dim must be a multiple "
                f"of head_dim {self.head_dim}"
            )
        if self.embed_dim % self.num_heads:
            raise LyraSimError(
                f"decoder config: embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}"
            )
        if not 0 < self.near < self.far:
            raise LyraSimError(f"decoder config: need 0 < near < far, got near {self.near}, far {self.far}")
        if self.scale_cap <= 0:
            raise LyraSimError(f"decoder config: scale_cap is {self.scale_cap}; give a positive number")
        if not 0 <= self.prune_ratio < 1:
            raise LyraSimError(f"decoder config: prune_ratio is {self.prune_ratio}; give a number in [0, 1)")
        if self.mlp_ratio <= 0:
            raise LyraSimError(f"decoder config: mlp_ratio is {self.mlp_ratio}; give a positive number")
        if self.use_time_embedding and not self.time_embedding:
            raise LyraSimError("decoder config: use_time_embedding needs time_embedding")

    @classmethod
    def published(cls, *, dynamic: bool = False) -> DecoderConfig:
        """Return the configuration of `lyra_static.pt`, or of `lyra_dynamic.pt`."""
        return cls(use_time_embedding=dynamic)

    @classmethod
    def from_json(cls, text: str) -> DecoderConfig:
        """Read what `to_json` wrote; an unknown field or a wrong value raises LyraSimError."""
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise LyraSimError(f"decoder config: not JSON ({error})") from error
        if not isinstance(fields, dict):
            raise LyraSimError("decoder config: expected a JSON object")
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> DecoderConfig:
        """Make a configuration from its fields; an unknown field raises LyraSimError."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise LyraSimError(f"decoder config: unknown field(s) {', '.join(unknown)}")
        return cls(**fields)

    @classmethod
    def from_official(cls, overrides: dict[str, Any]) -> DecoderConfig:
        """Make a configuration from options in the official spelling, on top of the published values.

        Options that do not touch the network (image size, numbers of views, checkpointing) are ignored.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        renamed = {_OFFICIAL_NAMES.get(name, name): value for name, value in overrides.items()}
        return cls(**{name: value for name, value in renamed.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {**dataclasses.asdict(self), "patch_size_out_factor": list(self.patch_size_out_factor)}

    def to_json(self) -> str:
        """Return the configuration as indented JSON; `from_json` gives an equal object back."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @property
    def cell(self) -> int:
        """Pixels per Gaussian along each image axis."""
        return self.patch_size_out_factor[1]

    @property
    def plucker_channels(self) -> int:
        """Channels of a Plücker map at latent resolution."""
        return 2 * self.latent_channels if self.plucker_embedding_vae else 6 * self.time_compression

    @property
    def time_channels(self) -> int:
        """Channels of a time map at latent resolution."""
        return self.latent_channels if self.time_embedding_vae else 3 * self.time_compression

    @property
    def cache_channels(self) -> int:
        """Channels of the 3D cache's depth and mask at latent resolution."""
        return 2 * self.time_compression * (self.space_compression // self.cell) ** 2

    def latent_frames(self, frames: int) -> int:
        """Return the latent frames of a clip of `frames` video frames (a multiple of 8, plus 1)."""
        if frames < 1 or (frames - 1) % self.time_compression:
            raise LyraSimError(
                f"{frames} frames per view do not fit the tokenizer: give {self.time_compression} k + 1 frames"
            )
        return (frames - 1) // self.time_compression + 1

    def video_frames(self, latent_frames: int) -> int:
        """Return the video frames of a clip of `latent_frames` latent frames."""
        return (latent_frames - 1) * self.time_compression + 1

    def is_attention(self, index: int) -> bool:
        """Return whether block `index` (0-based) is attention rather than Mamba-2."""
        return self.attention_every > 0 and (index + 1) % self.attention_every == 0
