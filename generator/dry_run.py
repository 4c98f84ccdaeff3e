"""Count what a network would do without doing it: operations and peak memory, on tensors without memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Hold what a call would take."""

    operations: float
    """Floating-point operations of products and convolutions, 2 per multiply-add."""
    peak: int
    """Most bytes that are alive at a time, arguments and weights aside; workspaces of libraries not counted."""


def dry_run(call: Callable[[], object]) -> Cost:
    """Run a call whose tensors are all on the `meta` device, without gradients, and return its cost."""
    live, attention = _LiveBytes(), _FusedAttention()
    with torch.no_grad(), FlopCounterMode(display=False) as counted, live, attention:
        call()
    return Cost(counted.get_total_flops() + attention.operations, live.peak)


class _LiveBytes(TorchDispatchMode):
    """Add up the storages that operations make, for as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        known = {_key(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor) and _key(value) not in known | self._known:
                self._count(value)
        return result

    def _count(self, value: Tensor) -> None:
        storage, key, size = value.untyped_storage(), _key(value), value.untyped_storage().nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class _FusedAttention(TorchFunctionMode):
    """Take attention for one fused operation, as it is on real devices; `meta` would form all its scores."""

    operations = 0.0

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function is not F.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = _query_key_value(args, kwargs or {})
        scores = query.numel() // query.shape[-1] * key.shape[-2]
        self.operations += 2.0 * scores * (query.shape[-1] + value.shape[-1])
        return query.new_empty(*query.shape[:-1], value.shape[-1])


def _query_key_value(args: tuple[Any, ...], named: dict[str, Any]) -> list[Tensor]:
    names = ("query", "key", "value")
    return [args[i] if i < len(args) else named[name] for i, name in enumerate(names)]


def _key(tensor: Tensor) -> int:
    """Return what tells a tensor's storage from every other one that is alive."""
    return tensor.untyped_storage()._cdata
