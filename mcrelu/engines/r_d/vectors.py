"""Vectors of eight floats for kernels whose loops LLVM cannot vectorise by itself.

Every lane is rounded as a scalar would be, on every CPU: where vectors are narrower than eight
floats, LLVM takes several of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from mcrelu.jit import intrinsic

LANES = 8

_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, LANES)


class Float64x8(types.Type):
    """What numba calls such a vector."""

    def __init__(self) -> None:
        super().__init__(name="float64x8")


@register_model(Float64x8)
class _Float64x8Model(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _VECTOR)  # type: ignore[no-untyped-call]


vector = Float64x8()


def _item(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Where an item is; numba itself would look for negative indices first."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    item = _item(context, builder, array_type, array, index)
    return builder.bitcast(item, _VECTOR.as_pointer())


def _splat(builder: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), lanes)


def _halved(builder: Any, value: Any, combine: Any) -> Any:
    """Lane i with lane i + half, until one is left: the same order on every CPU."""
    lanes = LANES
    while lanes > 1:
        lanes //= 2
        halves = []
        for start in (0, lanes):
            index = ir.Constant(
                ir.VectorType(ir.IntType(32), lanes), list(range(start, start + lanes))
            )
            halves.append(builder.shuffle_vector(value, value, index))
        value = combine(*halves)
    return builder.extract_element(value, ir.IntType(32)(0))


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:  # noqa: ARG001 - numba's protocol, here and below
    """Eight floats of a flat contiguous array from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=8)

    return vector(array, types.intp), generate


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Write eight floats into a flat contiguous array from an index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def fill(typingctx: Any, number: Any) -> Any:  # noqa: ARG001
    """The same float in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return _splat(builder, arguments[0])

    return vector(types.float64), generate


@intrinsic
def spread(typingctx: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """One float of a flat contiguous array in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, builder.load(_item(context, builder, signature.args[0], *arguments)))

    return vector(array, types.intp), generate


@intrinsic
def multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001
    """A b + c with one rounding."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v8f64")
        return builder.call(function, arguments)

    return vector(vector, vector, vector), generate


@intrinsic
def add(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """A + b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.fadd(*arguments)

    return vector(vector, vector), generate


@intrinsic
def multiply(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """A b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.fmul(*arguments)

    return vector(vector, vector), generate


@intrinsic
def where_positive(typingctx: Any, z: Any, value: Any) -> Any:  # noqa: ARG001
    """The value where z > 0, else 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", arguments[0], zero), arguments[1], zero)

    return vector(vector, vector), generate


@intrinsic
def positive_bits(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
    """Bit i is set where lane i is > 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        bits = builder.fcmp_ordered(">", arguments[0], zero)
        return builder.zext(builder.bitcast(bits, ir.IntType(LANES)), ir.IntType(64))

    return types.uint64(vector), generate


@intrinsic
def add_where_set(typingctx: Any, total: Any, value: Any, array: Any, index: Any) -> Any:  # noqa: ARG001
    """Total + value where the lane's bit is set in a byte of a flat array, else total."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = builder.load(_item(context, builder, signature.args[2], *arguments[2:]))
        lanes = builder.bitcast(byte, ir.VectorType(ir.IntType(1), LANES))
        return builder.select(lanes, builder.fadd(*arguments[:2]), arguments[0])

    return vector(vector, vector, array, types.intp), generate


@intrinsic
def store_positive(typingctx: Any, array: Any, index: Any, value: Any) -> Any:  # noqa: ARG001
    """Write a byte whose bit i is set where lane i is > 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        bits = builder.fcmp_ordered(">", arguments[2], zero)
        item = _item(context, builder, signature.args[0], *arguments[:2])
        builder.store(builder.bitcast(bits, ir.IntType(LANES)), item)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def magnitude(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
    """Absolute values."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fabs.v8f64")
        return builder.call(function, arguments)

    return vector(vector), generate


@intrinsic
def smaller(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """The smaller one, lane by lane; b where one is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return vector(vector, vector), generate


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """The larger one, lane by lane; b where one is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return vector(vector, vector), generate


@intrinsic
def total(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
    """Sum of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return _halved(builder, arguments[0], builder.fadd)

    return types.float64(vector), generate


@intrinsic
def largest(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
    """Largest of the lanes, none of which may be NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        def combine(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        return _halved(builder, arguments[0], combine)

    return types.float64(vector), generate


@intrinsic
def smallest(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
    """Smallest of the lanes, none of which may be NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        def combine(a: Any, b: Any) -> Any:
            return builder.select(builder.fcmp_ordered("<", a, b), a, b)

        return _halved(builder, arguments[0], combine)

    return types.float64(vector), generate
