r"""Matrix products of networks of few neurons, in tiles of registers.

A library of linear algebra copies both factors of a product into an order of its own first. Where one
side of the product has 16 or 30 neurons, that costs a third of the time. Here a tile of the result, four
rows by two vectors of 32 bytes, stays in registers while the inner index runs, and both factors are read
where they are: of one a number for each row of the tile, of the other vectors along its rows. All
products of a step of training have this form:

* preactivations of the patches, ``(X W^T)^T``, from filters laid out by column; stored transposed;
* input gradients ``A^T W``; an l_inf step applies their signs to the patches while they are in
  registers, so that no gradient is stored;
* gradients in coefficient space ``M A``, and of the weights, ``C += A X``.

Numba vectorises loops but does not tile them, so the tiles are written as LLVM instructions. What is
left over at the edges is done by tiles of one row, one vector or one number. Every entry of a result is
summed in the order of the inner index: it does not depend on the tile it is in.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from featsim.kernels._jit import inner

_BYTES = 32  # of a vector
_ROWS = 4  # of a tile
_INDEX = ir.IntType(32)


class _Tile:
    """A tile of rows x vectors entries of the result; vectors of one number where `single`."""

    def __init__(self, context: Any, builder: Any, kind: Any, rows: int, vectors: int, single: bool) -> None:
        self.builder, self.rows, self.vectors = builder, rows, vectors
        self.size = kind.bitwidth // 8
        self.width = 1 if single else _BYTES // self.size
        self.word, self.number = context.get_value_type(numba.intp), context.get_value_type(kind)
        self.vector = self.number if single else ir.VectorType(self.number, self.width)
        self.zero = ir.Constant(self.vector, 0.0 if single else [0.0] * self.width)

    def places(self) -> list[tuple[int, int]]:
        """Return (row, vector) of every vector of the tile."""
        return [(i, j) for i in range(self.rows) for j in range(self.vectors)]

    def offset(self, stride: Any, i: int, j: int) -> Any:
        """Return where vector j of row i begins, counted in numbers."""
        row = self.builder.mul(stride, ir.Constant(self.word, i))
        return self.builder.add(row, ir.Constant(self.word, j * self.width))

    def load(self, pointer: Any) -> Any:
        """Return the vector at `pointer`, wherever that points."""
        value = self.builder.load(self.builder.bitcast(pointer, ir.PointerType(self.vector)))
        value.align = self.size
        return value

    def store(self, value: Any, pointer: Any) -> None:
        """Store a number, or a vector of any length."""
        place = self.builder.bitcast(pointer, ir.PointerType(value.type))
        self.builder.store(value, place).align = self.size

    def splat(self, value: Any) -> Any:
        """Return a vector of equal numbers."""
        if self.width == 1:
            return value
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(empty, value, ir.Constant(_INDEX, 0))
        return self.shuffle(first, first, [0] * self.width)

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        """Return the vector of these entries of a, then b."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, len(order)), order))

    def accumulate(self, left: Any, right: Any, steps: tuple[Any, Any, Any], n: Any, start: Any) -> Any:
        """Return start + the sum over the inner index, n >= 1 terms, as one vector for each place.

        left points at one number for each row, `steps[0]` apart, right at the vectors; from term to term
        they move by `steps[1]` and `steps[2]` numbers.
        """
        builder = self.builder
        name = "llvm.fmuladd." + ("" if self.width == 1 else f"v{self.width}") + f"f{8 * self.size}"
        signature = ir.FunctionType(self.vector, [self.vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, signature, name)
        rows = [builder.mul(steps[0], ir.Constant(self.word, i)) for i in range(self.rows)]
        before, body = builder.block, builder.append_basic_block("term")
        builder.branch(body)
        builder.position_at_end(body)
        firsts = [n, left, right, *start]
        carried = [builder.phi(first.type) for first in firsts]
        count, a, b, *sums = carried
        vectors = [self.load(builder.gep(b, [self.offset(steps[0], 0, j)])) for j in range(self.vectors)]
        factors = [self.splat(builder.load(builder.gep(a, [row]))) for row in rows]
        new = [
            builder.call(fma, [factors[i], vectors[j], value])
            for (i, j), value in zip(self.places(), sums, strict=True)
        ]
        rest = builder.sub(count, ir.Constant(self.word, 1))
        thens = [rest, builder.gep(a, [steps[1]]), builder.gep(b, [steps[2]]), *new]
        for value, first, then in zip(carried, firsts, thens, strict=True):
            value.add_incoming(first, before)
            value.add_incoming(then, body)
        after = builder.append_basic_block("summed")
        builder.cbranch(builder.icmp_signed(">", rest, ir.Constant(self.word, 0)), body, after)
        builder.position_at_end(after)
        return new

    def columns(self, rows: list[Any]) -> list[list[Any]]:
        """Return each column of one vector per row, in pieces that follow each other in memory."""
        w, half = self.width, self.width // 2
        if w == 1:
            return [rows]
        if self.rows != _ROWS:
            places = [ir.Constant(_INDEX, j) for j in range(w)]
            return [[self.builder.extract_element(v, place) for v in rows] for place in places]
        # Within halves, as processors do it: pairs of rows, then pairs of pairs.
        low = [h + e + o for h in (0, half) for e in range(half // 2) for o in (0, w)]
        high = [place + half // 2 for place in low]
        pairs = [self.shuffle(rows[i], rows[i + 1], order) for i in (0, 2) for order in (low, high)]
        if w == 4:
            orders = ([0, 1, 4, 5], [2, 3, 6, 7])
            return [[self.shuffle(pairs[i], pairs[i + 2], order)] for order in orders for i in (0, 1)]
        orders = ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
        quads = [self.shuffle(pairs[i], pairs[i + 2], order) for i in (0, 1) for order in orders]
        return [[self.shuffle(v, v, list(range(e, e + 4)))] for e in (0, 4) for v in quads]


def _at(context: Any, builder: Any, signature: Any, arguments: Any, array: int, place: Any) -> tuple[Any, Any]:
    """Return a pointer to entry `place` of an array argument, and the length of the array's rows."""
    found = make_array(signature.args[array])(context, builder, arguments[array])
    number = ir.PointerType(context.get_value_type(signature.args[array].dtype))
    row = cgutils.unpack_tuple(builder, found.shape)[1]
    return builder.gep(builder.bitcast(found.data, number), [place]), row


def _sum_tile(rows: int, vectors: int, single: bool) -> Any:
    """C[c0 + tile] = (C if `keep`) + sum_l A[a0 + i ai + l al] B[l, b0 + tile's columns]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a0, ai, al, b0, n, keep, c0 = (arguments[i] for i in (1, 2, 3, 5, 6, 7, 9))
        tile = _Tile(context, builder, signature.args[0].dtype, rows, vectors, single)
        (left, _), (right, bl), (result, ci) = (
            _at(context, builder, signature, arguments, *place) for place in ((0, a0), (4, b0), (8, c0))
        )
        places = [builder.gep(result, [tile.offset(ci, i, j)]) for i, j in tile.places()]
        start = [builder.select(keep, tile.load(place), tile.zero) for place in places]
        sums = tile.accumulate(left, right, (ai, al, bl), n, start)
        for value, place in zip(sums, places, strict=True):
            tile.store(value, place)
        return context.get_dummy_value()

    @intrinsic
    def tile_of(
        typingctx: Any, A: Any, a0: Any, ai: Any, al: Any, B: Any, b0: Any, n: Any, keep: Any, C: Any, c0: Any
    ) -> Any:
        word = numba.intp
        return numba.void(A, word, word, word, B, word, word, numba.boolean, C, word), generate

    return tile_of


def _column_tile(rows: int, vectors: int, single: bool) -> Any:
    """C[c0 + tile transposed] = sum_l A[a0 + i A's row + l] B[l, b0 + tile's columns]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a0, b0, n, c0 = (arguments[i] for i in (1, 3, 4, 6))
        tile = _Tile(context, builder, signature.args[0].dtype, rows, vectors, single)
        (left, ai), (right, bl), (result, ci) = (
            _at(context, builder, signature, arguments, *place) for place in ((0, a0), (2, b0), (5, c0))
        )
        start = [tile.zero] * (rows * vectors)
        sums = tile.accumulate(left, right, (ai, ir.Constant(tile.word, 1), bl), n, start)
        for j in range(vectors):
            for column, pieces in enumerate(tile.columns(sums[j::vectors])):
                row = builder.mul(ci, ir.Constant(tile.word, j * tile.width + column))
                for i, piece in enumerate(pieces):
                    place = builder.add(row, ir.Constant(tile.word, i))
                    tile.store(piece, builder.gep(result, [place]))
        return context.get_dummy_value()

    @intrinsic
    def tile_of(typingctx: Any, A: Any, a0: Any, B: Any, b0: Any, n: Any, C: Any, c0: Any) -> Any:
        word = numba.intp
        return numba.void(A, word, B, word, word, C, word), generate

    return tile_of


def _sign_tile(rows: int, vectors: int, single: bool) -> Any:
    """A step by `reach` along the signs of sum_l A[l, a0 + i] B[l, columns], from `old` to C, both at c0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a0, b0, n, c0, reach, bound = (arguments[i] for i in (1, 3, 4, 8, 9, 10))
        tile = _Tile(context, builder, signature.args[0].dtype, rows, vectors, single)
        (left, al), (right, bl), (centre, _), (old, _), (result, ci) = (
            _at(context, builder, signature, arguments, *place)
            for place in ((0, a0), (2, b0), (5, c0), (6, c0), (7, c0))
        )
        start = [tile.zero] * (rows * vectors)
        sums = tile.accumulate(left, right, (ir.Constant(tile.word, 1), al, bl), n, start)
        forward, backward = tile.splat(reach), tile.splat(builder.fneg(reach))
        wide = tile.splat(bound)
        for (i, j), g in zip(tile.places(), sums, strict=True):
            place = [tile.offset(ci, i, j)]
            x, y = tile.load(builder.gep(centre, place)), tile.load(builder.gep(old, place))
            # Zero moves nothing, and nan stays nan.
            step = builder.select(builder.fcmp_ordered("<", g, tile.zero), backward, g)
            step = builder.select(builder.fcmp_ordered(">", g, tile.zero), forward, step)
            new, high, low = builder.fadd(y, step), builder.fadd(x, wide), builder.fsub(x, wide)
            new = builder.select(builder.fcmp_ordered(">", new, high), high, new)
            new = builder.select(builder.fcmp_ordered("<", new, low), low, new)
            tile.store(new, builder.gep(result, place))
        return context.get_dummy_value()

    @intrinsic
    def tile_of(
        typingctx: Any, A: Any, a0: Any, B: Any, b0: Any, n: Any, X: Any, old: Any, C: Any, c0: Any,
        reach: Any, bound: Any,
    ) -> Any:  # fmt: skip
        word = numba.intp
        return numba.void(A, word, B, word, word, X, old, C, word, A.dtype, A.dtype), generate

    return tile_of


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def multiply_few(A, B, add, C):
        """C = A B, or C += A B."""
        C[:] = A @ B + (C if add else 0.0)

    def multiply_few_left_transposed(A, B, C):
        """C = A^T B."""
        C[:] = A.T @ B

    def multiply_few_into_columns(A, B, C):
        """C = (A B)^T."""
        C[:] = (A @ B).T

    def ascend_signs(A, B, X, old, step, radius, moved):
        """moved = clip(old + step sign(A^T B), X - radius, X + radius)."""
        np.clip(old + step * np.sign(A.T @ B), X - radius, X + radius, out=moved)

else:
    _TILES = ((_ROWS, 2, False), (_ROWS, 1, False), (_ROWS, 1, True), (1, 1, False), (1, 1, True))
    _sum_4_2, _sum_4_1, _sum_4, _sum_1_1, _sum_1 = (_sum_tile(*shape) for shape in _TILES)
    _columns_4_2, _columns_4_1, _columns_4, _columns_1_1, _columns_1 = (_column_tile(*s) for s in _TILES)
    _signs_4_2, _signs_4_1, _signs_4, _signs_1_1, _signs_1 = (_sign_tile(*shape) for shape in _TILES)

    @inner
    def _sums(A, ai, al, n, B, add, C):
        """C = (C if `add`) + sum over l < n of A[i ai + l al] B[l]."""
        rows, columns = C.shape
        w = _BYTES // C.itemsize
        for i in range(0, rows - 3, _ROWS):
            for j in range(0, columns - 2 * w + 1, 2 * w):
                _sum_4_2(A, i * ai, ai, al, B, j, n, add, C, i * columns + j)
            j = columns // (2 * w) * 2 * w
            if j + w <= columns:
                _sum_4_1(A, i * ai, ai, al, B, j, n, add, C, i * columns + j)
            for j in range(columns // w * w, columns):
                _sum_4(A, i * ai, ai, al, B, j, n, add, C, i * columns + j)
        for i in range(rows // _ROWS * _ROWS, rows):
            for j in range(0, columns - w + 1, w):
                _sum_1_1(A, i * ai, ai, al, B, j, n, add, C, i * columns + j)
            for j in range(columns // w * w, columns):
                _sum_1(A, i * ai, ai, al, B, j, n, add, C, i * columns + j)

    @inner
    def multiply_few(A, B, add, C):
        """C = A B, or C += A B; A (m, n), n >= 1, B (n, c)."""
        _sums(A, A.shape[1], 1, A.shape[1], B, add, C)

    @inner
    def multiply_few_left_transposed(A, B, C):
        """C = A^T B; A (n, m), n >= 1, B (n, c)."""
        _sums(A, 1, A.shape[1], A.shape[0], B, False, C)

    @inner
    def multiply_few_into_columns(A, B, C):
        """C = (A B)^T; A (m, n), n >= 1, B (n, c)."""
        n = A.shape[1]
        columns, rows = C.shape
        w = _BYTES // C.itemsize
        for i in range(0, rows - 3, _ROWS):
            for j in range(0, columns - 2 * w + 1, 2 * w):
                _columns_4_2(A, i * n, B, j, n, C, j * rows + i)
            j = columns // (2 * w) * 2 * w
            if j + w <= columns:
                _columns_4_1(A, i * n, B, j, n, C, j * rows + i)
            for j in range(columns // w * w, columns):
                _columns_4(A, i * n, B, j, n, C, j * rows + i)
        for i in range(rows // _ROWS * _ROWS, rows):
            for j in range(0, columns - w + 1, w):
                _columns_1_1(A, i * n, B, j, n, C, j * rows + i)
            for j in range(columns // w * w, columns):
                _columns_1(A, i * n, B, j, n, C, j * rows + i)

    @inner
    def ascend_signs(A, B, X, old, step, radius, moved):
        """moved = clip(old + step sign(A^T B), X - radius, X + radius); `old` is X or `moved`."""
        n, reach, bound = A.shape[0], moved.dtype.type(step), moved.dtype.type(radius)
        rows, columns = moved.shape
        w = _BYTES // moved.itemsize
        for i in range(0, rows - 3, _ROWS):
            for j in range(0, columns - 2 * w + 1, 2 * w):
                _signs_4_2(A, i, B, j, n, X, old, moved, i * columns + j, reach, bound)
            j = columns // (2 * w) * 2 * w
            if j + w <= columns:
                _signs_4_1(A, i, B, j, n, X, old, moved, i * columns + j, reach, bound)
            for j in range(columns // w * w, columns):
                _signs_4(A, i, B, j, n, X, old, moved, i * columns + j, reach, bound)
        for i in range(rows // _ROWS * _ROWS, rows):
            for j in range(0, columns - w + 1, w):
                _signs_1_1(A, i, B, j, n, X, old, moved, i * columns + j, reach, bound)
            for j in range(columns // w * w, columns):
                _signs_1(A, i, B, j, n, X, old, moved, i * columns + j, reach, bound)
