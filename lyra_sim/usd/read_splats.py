"""Read the Gaussians of one prim, in its local frame."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from pxr import Sdf, Usd

from lyra_sim.errors import LyraSimError
from lyra_sim.files.activations import unit_quaternions
from lyra_sim.gaussians import Gaussians
from lyra_sim.usd.nurec import read_payload

_SH = "radiance:sphericalHarmonicsCoefficients"


def is_particle_field(type_name: str) -> bool:
    """Return whether a prim type is the schema of 3D Gaussians."""
    return type_name == "ParticleField3DGaussianSplat"


def is_half(prim: Usd.Prim) -> bool:
    """Return whether a prim is a particle field whose centres are float16."""
    if not is_particle_field(prim.GetTypeName()):
        return False
    wide, half = prim.GetAttribute("positions"), prim.GetAttribute("positionsh")
    return bool(half and half.HasAuthoredValue() and not (wide and wide.HasAuthoredValue()))


def read_particles(prim: Usd.Prim) -> Gaussians:
    """Read a particle field; float attributes win over their half twins.

    Raises:
        LyraSimError: An attribute is missing or the arrays disagree in length.
    """
    name = str(prim.GetPath())
    means = _array(prim, "positions", 3)
    count = len(means)
    coefficients = _array(prim, _SH, 3)
    per_splat = len(coefficients) // count if count else 0
    if not count or per_splat * count != len(coefficients) or per_splat not in (1, 4, 9, 16):
        raise LyraSimError(
            f"{name}: {len(coefficients)} SH coefficients do not divide among {count} Gaussians"
        )
    return Gaussians(
        means=means,
        scales=_array(prim, "scales", 3),
        # USD keeps quaternions as xyzw in memory.
        rotations=unit_quaternions(_array(prim, "orientations", 4)[:, [3, 0, 1, 2]]),
        opacities=_array(prim, "opacities", 1)[:, 0],
        sh=coefficients.reshape(count, per_splat, 3),
    )


def _array(prim: Usd.Prim, name: str, columns: int) -> np.ndarray:
    """Return an attribute or its half twin as float32, (N, columns); the earliest sample if there is no default."""
    for attribute in (prim.GetAttribute(name), prim.GetAttribute(name + "h")):
        if not attribute or not attribute.HasAuthoredValue():
            continue
        value = attribute.Get()
        value = value if value is not None else attribute.Get(Usd.TimeCode.EarliestTime())
        if value is None:
            continue
        return np.array(value, np.float32).reshape(len(value), columns)
    raise LyraSimError(f"{prim.GetPath()} has no {name}")


def read_volume(prim: Usd.Prim, path: Path) -> Gaussians:
    """Read a NuRec volume through the payload that its density field names.

    Raises:
        LyraSimError: The payload is missing, lies outside the package or is damaged.
    """
    for child in prim.GetChildren():
        attribute = child.GetAttribute("filePath")
        if attribute and isinstance(attribute.Get(), Sdf.AssetPath):
            gaussians = _read_asset(attribute, path)
            offset = prim.GetAttribute("omni:nurec:offset").Get()
            if offset is not None and any(offset):
                means = gaussians.means + np.array(offset, np.float32)
                gaussians = Gaussians(
                    means, gaussians.scales, gaussians.rotations, gaussians.opacities, gaussians.sh
                )
            return gaussians
    raise LyraSimError(f"{path}: volume {prim.GetPath()} names no payload")


def _read_asset(attribute: Usd.Attribute, path: Path) -> Gaussians:
    """Read the payload that an asset attribute names, relative to the layer that says so."""
    named = attribute.Get().path
    layer = attribute.GetPropertyStack(Usd.TimeCode.Default())[0].layer
    target = layer.ComputeAbsolutePath(named)
    if ".." in target:
        raise LyraSimError(f"{path} refers to a file outside itself: {named[:80]!r}")
    if path.suffix.lower() == ".usdz":
        member = target.rpartition("[")[2].rstrip("]")
        with zipfile.ZipFile(path) as package:
            if member not in package.namelist():
                raise LyraSimError(f"{path} refers to a file that is not in it: {named[:80]!r}")
            size = package.getinfo(member).file_size
            try:
                with package.open(member) as source:
                    return read_payload(source, size, name=f"{path}[{member}]")
            except zipfile.BadZipFile as error:
                raise LyraSimError(f"{path} is damaged ({error})") from error
    file = Path(target)
    if path.absolute().parent.resolve() not in file.resolve().parents:
        raise LyraSimError(f"{path} refers to a file outside itself: {named[:80]!r}")
    if not file.is_file():
        raise LyraSimError(f"{path} refers to a file that is missing: {named[:80]!r}")
    with open(file, "rb") as source:
        return read_payload(source, file.stat().st_size, name=str(file))
