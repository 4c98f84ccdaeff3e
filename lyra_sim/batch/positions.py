"""Read YAML and remember where everything stood, so that errors can point at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lyra_sim.batch.extras import require
from lyra_sim.errors import LyraSimError

MAX_BYTES = 4 << 20
"""Largest spec; long lists of prompts fit many times."""
MAX_NODES = 1_000_000
"""Most values of a spec with its aliases written out; a few lines of nested aliases could stand for billions."""

Place = tuple[str | int, ...]
"""Keys and indices that lead to a value, from the top of the file."""


@dataclass(frozen=True)
class Document:
    """Hold a parsed YAML file and the position of every value in it."""

    path: Path
    text: str
    """The file as it is."""
    data: Any
    """Lists and dictionaries of texts: numbers and truth values are read by whoever knows that one is meant.

    YAML's own guesses would turn the prompt word `no` into false and a slot's `007` into 7.
    """
    marks: dict[Place, tuple[int, int]]
    """Line and column, counted from 1, by place; a key's own position under (*place, key, '<key>')."""

    def error(self, place: Place, message: str) -> LyraSimError:
        """Return an error that starts with file, line and column of the innermost known value of a place."""
        known = next(place[:n] for n in range(len(place), -1, -1) if place[:n] in self.marks)
        return self._error(self.marks[known], place, message)

    def key_error(self, place: Place, message: str) -> LyraSimError:
        """Return an error that points at a key rather than at its value."""
        return self._error(self.marks.get((*place, _KEY), (1, 1)), place, message)

    def _error(self, mark: tuple[int, int], place: Place, message: str) -> LyraSimError:
        name = dotted(place)
        return LyraSimError(f"{self.path}:{mark[0]}:{mark[1]}: {name}{': ' if name else ''}{message}")


_KEY = "<key>"


def dotted(place: Place) -> str:
    """Write a place as people do: `scenes[1].slots.light`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def read_yaml(path: Path) -> Document:
    """Read one YAML document of texts, lists and mappings; no key may be there twice.

    Raises:
        LyraSimError: The file is missing, too large, not UTF-8 or not YAML; with line and column.
    """
    yaml = require("yaml")
    text = _read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise LyraSimError(f"{path}{where}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise LyraSimError(f"{path}: not YAML: {error}") from error
    except RecursionError as error:
        raise LyraSimError(f"{path}: not usable: nested too deeply") from error
    if node is None:
        raise LyraSimError(f"{path}:1:1: the file is empty; see docs/batch.md for a first spec")
    reader = _Reader(path)
    data = reader.read(node, ())
    return Document(path, text, data, reader.marks)


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise LyraSimError(f"cannot read {path}: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise LyraSimError(f"{path} has {len(raw):,} bytes; a spec has at most {MAX_BYTES:,}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise LyraSimError(f"{path}:{line}: not UTF-8 text") from error


class _Reader:
    """Turns nodes into plain values and notes their positions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marks: dict[Place, tuple[int, int]] = {}

    def read(self, node: Any, place: Place, above: tuple[int, ...] = ()) -> Any:
        self.marks[place] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if id(node) in above:
            raise self._error(node, "an alias refers to a value that holds it")
        if len(self.marks) > MAX_NODES:
            raise self._error(node, f"the file stands for more than {MAX_NODES:,} values")
        above = (*above, id(node))
        if node.id == "mapping":
            return self._mapping(node, place, above)
        if node.id == "sequence":
            return [self.read(item, (*place, i), above) for i, item in enumerate(node.value)]
        return str(node.value)

    def _mapping(self, node: Any, place: Place, above: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                raise self._error(key_node, "a key must be plain text")
            key = str(key_node.value)
            if key in found:
                raise self._error(key_node, f"the key {key!r} is here twice")
            found[key] = self.read(value_node, (*place, key), above)
            self.marks[(*place, key, _KEY)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        return found

    def _error(self, node: Any, message: str) -> LyraSimError:
        mark = node.start_mark
        return LyraSimError(f"{self.path}:{mark.line + 1}:{mark.column + 1}: {message}")
