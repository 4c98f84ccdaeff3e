"""The payload of a NuRec volume: one msgpack map in gzip, as 3DGUT renderers read it.

Arrays are float16: what the float32 values lose is stated by `position_rounding` and by `lyra-sim inspect`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgpack
import numpy as np

from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import exp_scale, log_scale, logit, sigmoid, unit_quaternions
from lyra_sim.gaussians import Gaussians
from lyra_sim.transform import with_sh_degree

MAX_BYTES = 8 << 30
"""A payload that inflates past this is not a scene (about 70 million splats at degree 3)."""
MAX_RATIO = 200
"""Most that gzip may shrink a payload; random 16-bit numbers hardly shrink, a decompression bomb 1000 times."""

MAX_TEXT = 1 << 20
"""Longest string [bytes]; names and settings are far shorter."""
MAX_ITEMS = 1 << 20
"""Most items of a list or a map; the tensors themselves are byte strings."""

_NODE = ".gaussians_nodes.gaussians."

HALF_MOST = 65504.0
"""Largest float16."""

CONFIG: dict[str, Any] = {
    "name": "gaussians_primitive",
    "layers": {
        "gaussians": {
            "name": "sh-gaussians",
            "device": "cuda",
            "density_activation": "sigmoid",
            "scale_activation": "exp",
            "rotation_activation": "normalize",
            "precision": 16,
            "particle": {
                "density_kernel_planar": False,
                "density_kernel_degree": 2,
                "density_kernel_density_clamping": True,
                "density_kernel_min_response": 0.0113,
                "radiance_sph_degree": 3,
            },
            "transmittance_threshold": 0.0001,
        }
    },
    "renderer": {
        "name": "3dgut-nrend",
        "log_level": 3,
        "force_update": False,
        "update_step_train_batch_end": False,
        "per_ray_features": False,
        "global_z_order": True,
        "projection": {
            "n_rolling_shutter_iterations": 5,
            "ut_dim": 3,
            "ut_alpha": 1.0,
            "ut_beta": 2.0,
            "ut_kappa": 0.0,
            "ut_require_all_sigma_points": False,
            "image_margin_factor": 0.1,
            "min_projected_ray_radius": 0.3**0.5,
        },
        "culling": {
            "rect_bounding": True,
            "tight_opacity_bounding": True,
            "tile_based": True,
            "near_clip_distance": 1e-8,
            "far_clip_distance": 3.402823466e38,
        },
        "render": {"mode": "kbuffer", "k_buffer_size": 0},
    },
    "background": {"name": "skip-background", "device": "cuda", "composite_in_linear_space": False},
    "appearance_embedding": {"name": "skip-appearance", "embedding_dim": 0, "device": "cuda"},
}
"""What the renderer is told; the values are those that 3dgrut writes for a converted PLY."""


def position_rounding(means: np.ndarray) -> float:
    """Return the largest error [m] that float16 makes of these local positions."""
    return float(np.spacing(np.float16(min(float(np.abs(means).max()), HALF_MOST)))) / 2


def write_payload(path: Path, gaussians: Gaussians) -> None:
    """Write the payload of Gaussians in the volume's local frame.

    Isaac Sim's importer hangs on degrees 1 and 2, so those are padded with zeros to degree 3.

    Raises:
        LyraSimError: A centre lies beyond what float16 holds (65 km).
    """
    if np.abs(gaussians.means).max() > HALF_MOST:
        raise LyraSimError(
            "a NuRec volume holds centres up to 65 km; rescale the scene or use --target isaac-6"
        )
    if gaussians.sh_degree in (1, 2):
        gaussians = with_sh_degree(gaussians, 3)
    packer = msgpack.Packer()
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", compresslevel=0, fileobj=raw, mtime=0) as file:
        # The map is written piece by piece, since packing it whole would hold every array twice.
        file.write(packer.pack_map_header(1) + packer.pack("nre_data") + packer.pack_map_header(4))
        for key, value in (("version", "0.2.576"), ("model", "nre"), ("config", CONFIG)):
            file.write(packer.pack(key) + packer.pack(value))
        tensors = _tensors(gaussians)
        file.write(packer.pack("state_dict") + packer.pack_map_header(1 + 2 * len(tensors)))
        file.write(packer.pack("._extra_state") + packer.pack({"obj_track_ids": {"gaussians": []}}))
        for name, (shape, chunks) in tensors.items():
            size = int(np.prod(shape)) * (8 if name == "n_active_features" else 2)
            file.write(packer.pack(_NODE + name) + _bin_header(size))
            for chunk in chunks:
                file.write(chunk)
            file.write(packer.pack(_NODE + name + ".shape") + packer.pack(list(shape)))


def read_payload(source: IO[bytes], size: int, *, name: str) -> Gaussians:
    """Read the Gaussians of a payload, in the volume's local frame.

    Every set of Gaussians in it counts, whatever its name (NVIDIA's own files have `background`, `road`...).

    Args:
        source: The gzip stream.
        size: Its length [bytes], which bounds what it may inflate to.
        name: What to call it in errors.

    Raises:
        LyraSimError: The payload is damaged, inflates without end or holds no Gaussians.
    """
    limit = min(MAX_BYTES, max(size, 1 << 14) * MAX_RATIO)
    try:
        with gzip.GzipFile(fileobj=source) as file:
            state = _read_state(_Limited(file, limit, name), limit)
    except (OSError, EOFError, zlib.error) as error:
        raise LyraSimError(f"{name} is a damaged NuRec payload ({error})") from error
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise _damaged(name, error) from error
    try:
        layers = sorted({key.split(".")[2] for key in state if key.startswith(".gaussians_nodes.")})
        parts = [_read_node(state, f".gaussians_nodes.{layer}.", name) for layer in layers]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(name, error) from error
    if len(parts) == 1:
        return parts[0]
    if not parts:
        raise LyraSimError(f"{name} holds no Gaussians")
    degree = max(p.sh_degree for p in parts)
    parts = [with_sh_degree(p, degree) for p in parts]
    fields = ("means", "scales", "rotations", "opacities", "sh")
    return Gaussians(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields)).checked(name)


def _damaged(name: str, error: Exception) -> LyraSimError:
    return LyraSimError(f"{name} is a damaged NuRec payload ({type(error).__name__}: {str(error)[:80]})")


class _Limited:
    """Pass on what a stream says, up to a limit."""

    def __init__(self, file: gzip.GzipFile, limit: int, name: str) -> None:
        self._file, self._left, self._limit, self._name = file, limit, limit, name

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise LyraSimError(f"{self._name} inflates to over {self._limit >> 20} MiB; that is no scene")
        return content


def _read_state(stream: _Limited, limit: int) -> dict[str, Any]:
    """Return the state dictionary of a payload; reading value by value holds every tensor only once."""
    unpacker = msgpack.Unpacker(
        stream,
        read_size=1 << 20,
        max_buffer_size=limit,
        max_bin_len=limit,
        max_str_len=MAX_TEXT,
        max_array_len=MAX_ITEMS,
        max_map_len=MAX_ITEMS,
        raw=False,
        strict_map_key=True,
    )
    for wanted in ("nre_data", "state_dict"):
        for _ in range(unpacker.read_map_header()):
            if unpacker.unpack() == wanted:
                break
            unpacker.skip()
        else:
            raise KeyError(wanted)
    return {unpacker.unpack(): unpacker.unpack() for _ in range(unpacker.read_map_header())}


_CHUNK = 1 << 14
"""Gaussians per conversion, which bounds the memory of the float64 activations."""


def _tensors(gaussians: Gaussians) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Return shape and a generator of bytes per tensor, in 3dgrut's order."""
    count, coefficients = gaussians.sh.shape[:2]
    rest = 3 * (coefficients - 1)
    parts = [slice(i, i + _CHUNK) for i in range(0, count, _CHUNK)]

    def half(convert: Any) -> Any:
        return (np.clip(convert(p), -HALF_MOST, HALF_MOST).astype("<f2").tobytes() for p in parts)

    degree = np.array(gaussians.sh_degree, "<i8").tobytes()
    return {
        "positions": ((count, 3), half(lambda p: gaussians.means[p])),
        "rotations": ((count, 4), half(lambda p: gaussians.rotations[p])),
        "scales": ((count, 3), half(lambda p: log_scale(gaussians.scales[p]))),
        "densities": ((count, 1), half(lambda p: logit(gaussians.opacities[p]))),
        "extra_signal": ((count, 0), ()),
        "features_albedo": ((count, 3), half(lambda p: gaussians.sh[p, 0])),
        "features_specular": ((count, rest), half(lambda p: gaussians.sh[p, 1:]) if rest else ()),
        "n_active_features": ((), (degree,)),
    }


def _bin_header(size: int) -> bytes:
    """Return the msgpack header of a byte string; the library's packer wants the bytes themselves."""
    if size < 1 << 8:
        return b"\xc4" + size.to_bytes(1, "big")
    if size < 1 << 16:
        return b"\xc5" + size.to_bytes(2, "big")
    if size < 1 << 32:
        return b"\xc6" + size.to_bytes(4, "big")
    raise LyraSimError("a tensor of 4 GiB does not fit a NuRec payload; use fewer Gaussians")


def _read_node(state: dict[str, Any], prefix: str, name: str) -> Gaussians:
    """Return the Gaussians of one node of the state dictionary."""

    def tensor(key: str, columns: int | None = None) -> np.ndarray:
        content, shape = state.pop(prefix + key), [int(n) for n in state[prefix + key + ".shape"]]
        if not isinstance(content, bytes) or len(shape) != 2 or min(shape) < 0:
            raise LyraSimError(f"{name}: tensor {key} is damaged")
        per_value = 4 if shape[0] * shape[1] * 4 == len(content) and len(content) else 2
        if shape[0] * shape[1] * per_value != len(content) or columns not in (None, shape[1]):
            raise LyraSimError(f"{name}: tensor {key} holds {len(content)} bytes for shape {shape}")
        return np.frombuffer(content, f"<f{per_value}").reshape(shape)

    return Gaussians(
        means=tensor("positions", 3).astype(np.float32),
        scales=_by_parts(exp_scale, tensor("scales", 3)),
        rotations=_by_parts(unit_quaternions, tensor("rotations", 4)),
        opacities=_by_parts(sigmoid, tensor("densities", 1)[:, 0]),
        sh=_harmonics(
            tensor("features_albedo", 3),
            tensor("features_specular"),
            state.get(prefix + "n_active_features"),
            name,
        ),
    ).checked(name)


def _by_parts(activate: Callable[..., np.ndarray], values: np.ndarray) -> np.ndarray:
    """Return activated values as float32; the float64 in between exists for one part at a time."""
    out = np.empty(values.shape, np.float32)
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        activate(values[part].astype(np.float32), out=out[part])
    return out


def _harmonics(albedo: np.ndarray, specular: np.ndarray, active: object, name: str) -> np.ndarray:
    """Return SH coefficients (N, K, 3) as far as the number of active features, which is the degree, says."""
    if specular.shape[1] not in (0, 9, 24, 45):
        raise LyraSimError(f"{name}: {specular.shape[1]} specular features; 0, 9, 24 or 45 make sense")
    if len(albedo) != len(specular):
        raise LyraSimError(f"{name}: its tensors disagree on the number of Gaussians")
    coefficients = 1 + specular.shape[1] // 3
    if isinstance(active, bytes) and len(active) == 8:
        degree = int.from_bytes(active, "little")
        coefficients = min(coefficients, (degree + 1) ** 2) if degree <= 3 else coefficients
    sh = np.empty((len(albedo), coefficients, 3), np.float32)
    sh[:, 0] = albedo
    sh[:, 1:] = specular[:, : 3 * (coefficients - 1)].reshape(len(albedo), coefficients - 1, 3)
    return sh
