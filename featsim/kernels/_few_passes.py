r"""Passes over the entries of a block of patches, for networks of few neurons.

Arrays have one row for each filter and one column for each patch. Numba vectorises loops along a row, but
sums over filters then go through memory at every filter, and every loop first checks whether its arrays
overlap. Here two vectors of patches are worked off at a time, over all filters of a class or of the
network, so that sums, residuals and step lengths stay in registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from featsim.kernels._few_neurons import VECTORS, _Array, _arrays, _Tiles

# Rows of numbers for each patch have so many behind the last one, for vectors that reach over the end.
SPARE = 16


class _Strips(_Tiles):
    """Two vectors of patches at a time; vectors of a row are given by its number."""

    def __iter__(self) -> Iterator[None]:
        builder, across = self.builder, self.constant(VECTORS * self.width)
        whole = builder.mul(builder.sdiv(self.n_columns, across), across)
        with cgutils.for_range_slice(builder, self.constant(0), whole, across) as (column, _):
            self.column, self.mask = column, None
            yield
        with builder.if_then(builder.icmp_signed("<", whole, self.n_columns)):
            self.column, self.mask = whole, self._inside(builder.sub(self.n_columns, whole))
            yield

    def at(self, array: _Array, row: Any) -> list[Any]:
        """Return where the vectors of a row are."""
        start = self.builder.add(self.builder.mul(row, array.columns), self.column)
        offsets = [self.builder.add(start, self.constant(j * self.width)) for j in range(VECTORS)]
        return [self.builder.gep(array.data, [offset]) for offset in offsets]

    def read(self, array: _Array, row: Any) -> list[Any]:
        """Return the vectors of a row."""
        return [self.load(place, j) for j, place in enumerate(self.at(array, row))]

    def write(self, values: list[Any], array: _Array, row: Any) -> None:
        """Store the vectors of a row."""
        for j, (value, place) in enumerate(zip(values, self.at(array, row), strict=True)):
            self.store(value, place, j)

    def read_spare(self, array: _Array, row: int) -> list[Any]:
        """Return the vectors of a row that has spare numbers behind it."""
        mask, self.mask = self.mask, None
        values = self.read(array, self.constant(row))
        self.mask = mask
        return values

    def wide(self, value: Any) -> Any:
        """Return a vector in double precision."""
        double = ir.VectorType(ir.DoubleType(), self.width)
        return value if value.type == double else self.builder.fpext(value, double)

    def wide_splat(self, value: Any) -> Any:
        """Return a vector of equal doubles."""
        empty = ir.Constant(ir.VectorType(ir.DoubleType(), self.width), ir.Undefined)
        first = self.builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(first, first, [0] * self.width)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c."""
        bits = 64 if isinstance(a.type.element, ir.DoubleType) else 32
        signature = ir.FunctionType(a.type, [a.type] * 3)
        name = f"llvm.fmuladd.v{self.width}f{bits}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, signature, name), [a, b, c]
        )

    def clip_below(self, value: Any) -> Any:
        """Return max(value, 0), nan for nan."""
        return self.builder.select(self.builder.fcmp_ordered("<", value, self.zero), self.zero, value)

    def variables(self, kind: Any) -> list[Any]:
        """Return places, kept in registers, for sums that begin with 0."""
        zero = ir.Constant(kind, [0.0] * self.width)
        places = [cgutils.alloca_once(self.builder, kind) for _ in range(VECTORS)]
        for place in places:
            self.builder.store(zero, place)
        return places

    def add_to(self, place: Any, a: Any, b: Any) -> None:
        """Add a b to a sum."""
        self.builder.store(self.fma(a, b, self.builder.load(place)), place)


class _Shape:
    """The constants of the activation, each as a vector; see `activation_shape`."""

    def __init__(self, tiles: _Strips, context: Any, kind: Any, value: Any) -> None:
        builder = tiles.builder
        data = make_array(kind)(context, builder, value).data
        self.tiles = tiles
        self.all = [tiles.splat(builder.load(builder.gep(data, [tiles.constant(i)]))) for i in range(12)]
        self.one, self.rho, self.inverse = self.all[1:4]

    def bent(self, z: Any) -> Any:
        """Return t = clip(z / rho, 0, 1)."""
        builder = self.tiles.builder
        t = self.tiles.clip_below(builder.fmul(z, self.inverse))
        return builder.select(builder.fcmp_ordered(">", t, self.one), self.one, t)

    def polynomial(self, t: Any, first: int) -> Any:
        """Return the sum of c[first + e] t^e, e from 0."""
        value = self.all[first + (3 if first == 4 else 2)]
        for i in range(first + (2 if first == 4 else 1), first - 1, -1):
            value = self.tiles.fma(t, value, self.all[i])
        return value


def _rows_of_class(tiles: _Strips, i: Any, m: Any) -> Any:
    builder = tiles.builder
    first = builder.mul(i, m)
    return cgutils.for_range_slice(builder, first, builder.add(first, m), tiles.constant(1))


def _class_sums() -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        z, s = _arrays(context, builder, signature, arguments, 0, 3)
        tiles = _Strips(context, builder, signature.args[0].dtype, s.rows, s.columns)
        shape = _Shape(tiles, context, signature.args[1], arguments[1])
        for _ in tiles:
            with cgutils.for_range(builder, s.rows) as each:
                sums = tiles.variables(tiles.vector)
                with _rows_of_class(tiles, each.index, arguments[2]) as (a, _count):
                    for value, total in zip(tiles.read(z, a), sums, strict=True):
                        t = shape.bent(value)
                        tail = tiles.clip_below(builder.fsub(value, shape.rho))
                        builder.store(builder.fadd(builder.load(total), tail), total)
                        tiles.add_to(total, t, shape.polynomial(t, 4))
                tiles.write([builder.load(total) for total in sums], s, each.index)
        return context.get_dummy_value()

    @intrinsic
    def sums(typingctx: Any, Z: Any, shape: Any, m: Any, S: Any) -> Any:
        return numba.void(Z, shape, numba.intp, S), generate

    return sums


def _gated_slopes() -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        z, e, out = _arrays(context, builder, signature, arguments, 0, 3, 4)
        tiles = _Strips(context, builder, signature.args[0].dtype, e.rows, e.columns)
        shape = _Shape(tiles, context, signature.args[1], arguments[1])
        for _ in tiles:
            with cgutils.for_range(builder, e.rows) as each:
                residuals = tiles.read(e, each.index)
                with _rows_of_class(tiles, each.index, arguments[2]) as (a, _count):
                    slopes = []
                    for value, residual in zip(tiles.read(z, a), residuals, strict=True):
                        t = shape.bent(value)
                        jump = builder.select(
                            builder.fcmp_ordered(">", t, tiles.zero), shape.all[8], tiles.zero
                        )
                        slope = tiles.fma(t, shape.polynomial(t, 9), jump)
                        slopes.append(builder.fmul(residual, slope))
                    tiles.write(slopes, out, a)
        return context.get_dummy_value()

    @intrinsic
    def slopes(typingctx: Any, Z: Any, shape: Any, m: Any, E: Any, A: Any) -> Any:
        return numba.void(Z, shape, numba.intp, E, A), generate

    return slopes


def _measure() -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, h, c, sums = _arrays(context, builder, signature, arguments, 0, 1, 2, 5)
        tiles = _Strips(context, builder, signature.args[0].dtype, a.rows, a.columns)
        double = ir.VectorType(ir.DoubleType(), tiles.width)
        zero = ir.Constant(double, [0.0] * tiles.width)
        least = tiles.wide_splat(arguments[4])
        for _ in tiles:
            squares, products = tiles.variables(double), tiles.variables(double)
            with cgutils.for_range(builder, a.rows) as each:
                effects = [tiles.wide(value) for value in tiles.read(h, each.index)]
                for j, value in enumerate(tiles.read(a, each.index)):
                    tiles.add_to(squares[j], tiles.wide(value), effects[j])
                for j, value in enumerate(tiles.read(c, each.index)):
                    old = builder.select(arguments[3], tiles.zero, value)
                    tiles.add_to(products[j], tiles.wide(old), effects[j])
            found = [builder.load(place) for place in squares]
            found = [builder.select(builder.fcmp_ordered(">", v, least), v, zero) for v in found]
            mask, tiles.mask = tiles.mask, None  # the sums have spare numbers behind them
            tiles.write(found, sums, tiles.constant(0))
            tiles.write([builder.load(place) for place in products], sums, tiles.constant(1))
            tiles.mask = mask
        return context.get_dummy_value()

    @intrinsic
    def measure(typingctx: Any, A: Any, H: Any, C: Any, from_start: Any, least: Any, sums: Any) -> Any:
        return numba.void(A, H, C, numba.boolean, numba.float64, sums), generate

    return measure


def _move() -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, h, z, steps, c, za = _arrays(context, builder, signature, arguments, 0, 1, 2, 3, 5, 6)
        from_start = arguments[4]
        tiles = _Strips(context, builder, signature.args[0].dtype, a.rows, a.columns)
        for _ in tiles:
            lengths, scales, rests = (tiles.read_spare(steps, i) for i in range(3))
            with cgutils.for_range(builder, a.rows) as each:
                row = each.index
                ascents, effects, cleans = tiles.read(a, row), tiles.read(h, row), tiles.read(z, row)
                coefficients, moved = [], []
                for j, (old, value) in enumerate(zip(tiles.read(c, row), tiles.read(za, row), strict=True)):
                    old = builder.select(from_start, tiles.zero, old)
                    value = builder.select(from_start, cleans[j], value)
                    coefficients.append(builder.fmul(scales[j], tiles.fma(lengths[j], ascents[j], old)))
                    new = builder.fmul(scales[j], tiles.fma(lengths[j], effects[j], value))
                    moved.append(tiles.fma(rests[j], cleans[j], new))
                tiles.write(coefficients, c, row)
                tiles.write(moved, za, row)
        return context.get_dummy_value()

    @intrinsic
    def move(typingctx: Any, A: Any, H: Any, Z: Any, steps: Any, from_start: Any, C: Any, Za: Any) -> Any:
        return numba.void(A, H, Z, steps, numba.boolean, C, Za), generate

    return move


if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    sum_classes, gate_slopes = _class_sums(), _gated_slopes()
    measure_gradient, move_coefficients = _measure(), _move()
else:

    def sum_classes(Z, shape, m, S):
        """S[i] = sum of s(Z[a]) over the m filters a of class i, for s a polynomial in t."""
        t = np.clip(Z[: len(S) * m] * shape[3], 0.0, 1.0)
        values = t * (shape[4] + t * (shape[5] + t * (shape[6] + t * shape[7])))
        S[:] = (values + np.maximum(Z[: len(S) * m] - shape[2], 0.0)).reshape(len(S), m, -1).sum(axis=1)

    def gate_slopes(Z, shape, m, E, A):
        """A[a] = E[class of a] s'(Z[a]), for s a polynomial in t."""
        t = np.clip(Z[: len(E) * m] * shape[3], 0.0, 1.0)
        slopes = t * (shape[9] + t * (shape[10] + t * shape[11])) + np.where(t > 0.0, shape[8], 0.0)
        A[: len(E) * m] = np.repeat(E, m, axis=0) * slopes

    def measure_gradient(A, H, C, from_start, least, sums):
        """sums[0] = sum_a A H, 0 up to `least`, and sums[1] = sum_a C H, of each patch."""
        rows = A.shape[1]
        squares = (A.astype(float) * H).sum(axis=0)
        sums[0, :rows] = np.where(squares > least, squares, 0.0)
        sums[1, :rows] = 0.0 if from_start else (C.astype(float) * H).sum(axis=0)

    def move_coefficients(A, H, Z, steps, from_start, C, Za):
        """C = scale (C + t A) and Za = scale (Za + t H) + (1 - scale) Z; C = 0 and Za = Z `from_start`."""
        t, scale, rest = steps[:, : A.shape[1]]
        C[:] = scale * ((0.0 if from_start else C) + t * A)
        Za[:] = scale * ((Z if from_start else Za) + t * H) + rest * Z
