"""Refuse USDZ packages that are not what they say before anything else opens them."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

from lyra_sim.errors import LyraSimError

MAX_MEMBERS = 10_000
"""More members than any scene has; a zip directory may claim billions."""


def check_package(path: Path) -> list[zipfile.ZipInfo]:
    """Return the members of a package after checking that they are plain files within it.

    Raises:
        LyraSimError: The file is no zip, or holds compressed or encrypted members (the format allows neither, and
            a compressed one may inflate without end), links, names that leave the package, a name twice, members
            that overlap, reach past the file or differ from their checksum, or no USD layer first.
    """
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as package:
            members = package.infolist()
            _check_members(path, members, size)
            for member in members:
                _check_sum(package, member)
    except OSError as error:
        raise LyraSimError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError) as error:
        raise LyraSimError(f"{path} is damaged or not a USDZ package ({error})") from error
    return members


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    if not members or len(members) > MAX_MEMBERS:
        raise LyraSimError(f"{path} holds {len(members)} members; a scene has between 1 and {MAX_MEMBERS}")
    for member in members:
        _check_member(path, member, size)
    if sum(m.file_size for m in members) > size:
        raise LyraSimError(f"{path} holds members that overlap")
    if len({m.filename for m in members}) != len(members):
        raise LyraSimError(f"{path} holds a member twice")
    if Path(members[0].filename).suffix.lower() not in (".usd", ".usda", ".usdc"):
        raise LyraSimError(f"{path} does not begin with a USD layer but with {members[0].filename[:60]!r}")


def _check_sum(package: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member through, which compares its checksum."""
    with package.open(member) as file:
        while file.read(1 << 22):
            pass


def _check_member(path: Path, member: zipfile.ZipInfo, size: int) -> None:
    name = member.filename
    shown = name[:60]
    parts = PurePosixPath(name).parts
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in parts or "\0" in name:
        raise LyraSimError(f"{path} holds a member that leaves the package: {shown!r}")
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise LyraSimError(f"{path} holds a compressed or encrypted member: {shown!r}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise LyraSimError(f"{path} holds a link: {shown!r}")
    if member.file_size != member.compress_size or member.header_offset + 30 + member.file_size > size:
        raise LyraSimError(f"{path} is cut short: member {shown!r} promises {member.file_size} bytes")
