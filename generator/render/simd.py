"""Eight float32 lanes as a numba type, so that kernels say what shall be vector code.

LLVM maps the type to one AVX register, or to two of SSE or NEON. Arithmetic is elementwise; a float32
scalar on either side is spread over the lanes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numba.extending
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

LANES = 8
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_FUSE = ("contract", "nsz")
"""Multiplications and additions may fuse; their order stays as written."""


intrinsic: Any = numba.extending.intrinsic
"""Without numba's annotations, which count the typing context as an argument of the call."""


class Float8(types.Type):
    """Eight float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Float8")


float8 = Float8()


@register_model(Float8)
class _Float8Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _FLOATS)


def _spread(builder: Any, value: Any) -> Any:
    """Return a vector with `value` in every lane; vectors pass through."""
    if isinstance(value.type, ir.VectorType):
        return value
    zeros = ir.Constant(_INTS, [0] * LANES)
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, ir.Constant(_FLOATS, ir.Undefined), zeros)


def _register_operator(op: Callable[..., Any], instruction: str) -> None:
    @infer_global(op)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if float8 in args and all(arg in (float8, types.float32) for arg in args):
                return signature(float8, *args)
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (_spread(builder, arg) for arg in args)
        return getattr(builder, instruction)(left, right, flags=_FUSE)

    for pair in ((float8, float8), (float8, types.float32), (types.float32, float8)):
        lower_builtin(op, *pair)(lower)


for _op, _instruction in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register_operator(_op, _instruction)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Return the address of element `index` of a contiguous array, counted through all dimensions."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _FLOATS.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Return the 8 elements of a C-contiguous float32 array from flat position `index` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], *args), align=4)

    return float8(array, types.intp), code


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write 8 elements of a C-contiguous float32 array from flat position `index` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, float8), code


def _prefetch(write: int) -> Any:
    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(_pointer(context, builder, sig.args[0], *args), byte)
        # To be kept in all levels, as data.
        builder.call(function, [address, *(ir.Constant(number, value) for value in (write, 3, 1))])
        return context.get_dummy_value()

    return code


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line at flat position `index` of a C-contiguous float32 array, to read it."""
    return types.void(array, types.intp), _prefetch(0)


@intrinsic
def prefetch_to_write(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line at flat position `index` of a C-contiguous float32 array, to write to it."""
    return types.void(array, types.intp), _prefetch(1)


@intrinsic
def spread(typingctx: Any, value: Any) -> Any:
    """Return a vector with the float32 `value` in every lane."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, args[0])

    return float8(types.float32), code


@intrinsic
def lanes(typingctx: Any) -> Any:
    """Return 0, 1, ..., 7."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(_FLOATS, [float(lane) for lane in range(LANES)])

    return float8(), code


@intrinsic
def minimum(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the smaller of each lane of `a` and `b` (vector or float32)."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (_spread(builder, arg) for arg in args)
        return builder.select(builder.fcmp_ordered("<", left, right), left, right)

    return float8(a, b), code


@intrinsic
def where_greater(typingctx: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """Return lanes of `yes` where a > b, and of `no` elsewhere (each a vector or a float32)."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right, on, off = (_spread(builder, arg) for arg in args)
        return builder.select(builder.fcmp_ordered(">", left, right), on, off)

    return float8(a, b, yes, no), code


@intrinsic
def total(typingctx: Any, value: Any) -> Any:
    """Return the sum of the lanes, added pairwise."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _fold(builder, args[0], lambda a, b: builder.fadd(a, b))

    return types.float32(float8), code


@intrinsic
def largest(typingctx: Any, value: Any) -> Any:
    """Return the largest lane."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _fold(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return types.float32(float8), code


def _fold(builder: Any, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:
    width = LANES
    while width > 1:
        width //= 2
        picks = [
            ir.Constant(ir.VectorType(ir.IntType(32), width), [s + i for i in range(width)])
            for s in (0, width)
        ]
        undefined = ir.Constant(vector.type, ir.Undefined)
        vector = combine(*(builder.shuffle_vector(vector, undefined, pick) for pick in picks))
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


_EXP2 = (1.0, 0.693146856, 0.24022238, 0.0555089295, 0.00967169794, 0.00132186725)
"""2^f on [-0.5, 0.5], degree 5."""
_ROUND = 12582912.0
"""1.5 * 2^23: adding it rounds to an integer that then sits in the low bits."""


@intrinsic
def exp2(typingctx: Any, value: Any) -> Any:
    """Return 2^x to 3e-7 for -126 <= x <= 127; other lanes hold anything."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def constant(number: float) -> Any:
            return ir.Constant(_FLOATS, [number] * LANES)

        shifted = builder.fadd(args[0], constant(_ROUND))
        fraction = builder.fsub(args[0], builder.fsub(shifted, constant(_ROUND)))
        power = constant(_EXP2[-1])
        for coefficient in reversed(_EXP2[:-1]):
            power = builder.fadd(
                builder.fmul(power, fraction, flags=_FUSE), constant(coefficient), flags=_FUSE
            )
        exponent = builder.shl(builder.bitcast(shifted, _INTS), ir.Constant(_INTS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(power, _INTS), exponent), _FLOATS)

    return float8(float8), code
