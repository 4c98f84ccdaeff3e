"""The networks of one process, each loaded once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Loaded = TypeVar("Loaded")


class Networks:
    """Load networks when they are first asked for; a process that makes many scenes keeps them.

    Whatever loads networks goes through `once`, at every size and for one scene as for many. A single scene keeps
    nothing, because each stage uses networks of its own and their memory is better free for the next one.
    """

    def __init__(self, *, keep: bool = False) -> None:
        """Begin with nothing loaded.

        Args:
            keep: Whether what was loaded stays for the next scene. On a GPU with room for all of it it stays there;
                else `generator.placement` brings it back to the machine's memory after use.
        """
        self._keep = keep
        self._kept: dict[Hashable, Any] = {}

    def once(self, load: Callable[P, Loaded], *of: P.args, **options: P.kwargs) -> Loaded:
        """Return what `load` makes of its arguments, from memory if it is there.

        Args:
            load: A function that reads weights; the same arguments must always give the same networks.
            of: Its arguments: a size, a card, a name.
            options: More of them.
        """
        key = (load, of, tuple(sorted(options.items())))
        if key in self._kept:
            return self._kept[key]
        loaded = load(*of, **options)
        if self._keep:
            self._kept[key] = loaded
        return loaded
