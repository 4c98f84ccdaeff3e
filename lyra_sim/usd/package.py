"""Write USDZ packages: zip files of stored members whose data starts at multiples of 64 bytes."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from lyra_sim.errors import LyraSimError

ALIGNMENT = 64
"""Readers map members straight into memory, so the format asks for this alignment [bytes]."""

MAX_BYTES = (1 << 32) - 1
"""The format forbids zip64, so a member and the whole package stay under 4 GiB."""

_PADDING_ID = 0x1986
"""Identifier of the zip extra field that OpenUSD pads with."""
_LOCAL_HEADER_BYTES = 30


def write_package(path: Path, members: list[tuple[str, bytes | Path]]) -> None:
    """Write a USDZ package of (name in the package, content or file that holds it), root layer first.

    The standard library's zip writer does it rather than `Sdf.ZipFileWriter`, because that one stamps the
    members with file times, and the same scene must give the same bytes.

    Raises:
        LyraSimError: The package would reach 4 GiB.
    """
    total = sum(c.stat().st_size if isinstance(c, Path) else len(c) for _, c in members)
    if total + 1024 * len(members) > MAX_BYTES:
        raise LyraSimError(f"{path}: {total / 2**30:.1f} GiB do not fit a USDZ package (limit 4 GiB)")
    offset = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=False) as package:
        for name, content in members:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.extra = _padding(offset + _LOCAL_HEADER_BYTES + len(name))
            info.file_size = content.stat().st_size if isinstance(content, Path) else len(content)
            with package.open(info, "w") as target:
                if isinstance(content, Path):
                    with open(content, "rb") as source:
                        shutil.copyfileobj(source, target, 1 << 20)
                else:
                    target.write(content)
            offset += _LOCAL_HEADER_BYTES + len(name) + len(info.extra) + info.file_size


def _padding(offset: int) -> bytes:
    """Return the extra field that moves data from `offset` to the next multiple of the alignment."""
    needed = -offset % ALIGNMENT
    if not needed:
        return b""
    if needed < 4:
        needed += ALIGNMENT
    size = needed - 4
    return _PADDING_ID.to_bytes(2, "little") + size.to_bytes(2, "little") + bytes(size)
