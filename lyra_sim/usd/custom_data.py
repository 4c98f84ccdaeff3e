"""JSON values as USD custom data."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pxr import Vt


def to_custom_data(values: Mapping[str, object]) -> dict[str, object]:
    """Return a dictionary that USD can hold: a list of one type becomes an array, what USD lacks a JSON string."""
    return {str(key): _value(value) for key, value in values.items() if value is not None}


def _value(value: object) -> object:
    if isinstance(value, Mapping):
        return to_custom_data(value)
    if isinstance(value, str | bool | float) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if isinstance(value, list | tuple) and value:
        if all(isinstance(v, str) for v in value):
            return Vt.StringArray(list(value))
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
            return Vt.DoubleArray([float(v) for v in value])
    return json.dumps(value, sort_keys=True)
