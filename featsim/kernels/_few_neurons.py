r"""Matrix products of networks of few neurons, in tiles of registers.

A library of linear algebra first copies both factors of a product into an order of its own. Where one
side of the product has 16 or 30 neurons, that costs a third of the time. Here a tile of the result, four
rows by two vectors of 32 bytes, stays in registers while the inner index runs, and both factors are read
where they are: of one a number for each row of the tile, of the other vectors along its rows. All
products of a step of training have this form:

* preactivations of the patches, ``(X W^T)^T`` with W^T given, stored transposed;
* input gradients ``A^T W``; an l_inf step applies their signs to the patches while they are in
  registers, so that no gradient is stored;
* gradients in coefficient space ``M A``, and of the weights, ``C += A X``.

Numba vectorises loops but does not tile them, so tiles, and the loops over them, are written as LLVM
instructions. Below the last full tile rows are repeated, so that all tiles have four; beside it, columns
are masked. Every entry of a result is summed in the order of the inner index, whatever tile it is in.
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

from featsim.kernels._matrix import check_contiguous

ROWS, VECTORS, BYTES = 4, 2, 32  # of a tile, and of a vector
_INDEX = ir.IntType(32)


class _Array:
    """A C-contiguous argument: a pointer to its first number, and its shape."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        check_contiguous(kind)
        array = make_array(kind)(context, builder, value)
        number = context.get_value_type(kind.dtype)
        self.data = builder.bitcast(array.data, ir.PointerType(number))
        self.rows, self.columns = cgutils.unpack_tuple(builder, array.shape)


class _Tiles:
    """The tiles of a result of so many rows and columns; one of them at a time."""

    def __init__(self, context: Any, builder: Any, kind: Any, rows: Any, columns: Any) -> None:
        self.builder = builder
        self.size = kind.bitwidth // 8
        self.width = BYTES // self.size
        self.word, self.number = context.get_value_type(numba.intp), context.get_value_type(kind)
        self.vector = ir.VectorType(self.number, self.width)
        self.zero = ir.Constant(self.vector, [0.0] * self.width)
        self.zeros = [self.zero] * (ROWS * VECTORS)
        self.n_rows, self.n_columns = rows, columns
        self.row: Any = None
        self.column: Any = None
        self.mask: list[Any] | None = None
        self.repeated: list[Any] = []

    def constant(self, value: int) -> Any:
        """Return an index."""
        return ir.Constant(self.word, value)

    def __iter__(self) -> Iterator[None]:
        """Write the code that follows once for full tiles and once for those beyond the last column."""
        builder, across = self.builder, self.constant(VECTORS * self.width)
        whole = builder.mul(builder.sdiv(self.n_columns, across), across)
        below = cgutils.for_range_slice(builder, self.constant(0), self.n_rows, self.constant(ROWS))
        with below as (row, _):
            last = builder.sub(builder.sub(self.n_rows, self.constant(1)), row)
            order = [self.constant(i) for i in range(ROWS)]
            self.row = row
            self.repeated = [builder.select(builder.icmp_signed("<", i, last), i, last) for i in order]
            with cgutils.for_range_slice(builder, self.constant(0), whole, across) as (column, _):
                self.column, self.mask = column, None
                yield
            with builder.if_then(builder.icmp_signed("<", whole, self.n_columns)):
                self.column, self.mask = whole, self._inside(builder.sub(self.n_columns, whole))
                yield

    def _inside(self, left: Any) -> list[Any]:
        """Return, for each vector, which of its columns are among the `left` ones."""
        counts = ir.VectorType(self.word, self.width)
        first = self.builder.insert_element(ir.Constant(counts, ir.Undefined), left, ir.Constant(_INDEX, 0))
        limit = self.builder.shuffle_vector(
            first, first, ir.Constant(ir.VectorType(_INDEX, self.width), [0] * self.width)
        )
        numbers = [list(range(j * self.width, (j + 1) * self.width)) for j in range(VECTORS)]
        return [self.builder.icmp_signed("<", ir.Constant(counts, order), limit) for order in numbers]

    def places(self, data: Any, stride: Any) -> list[Any]:
        """Return pointers to the vectors of the tile in an array with this distance of rows."""
        builder, found = self.builder, []
        for i in self.repeated:
            start = builder.add(builder.mul(builder.add(self.row, i), stride), self.column)
            for j in range(VECTORS):
                found.append(builder.gep(data, [builder.add(start, self.constant(j * self.width))]))
        return found

    def _masked(self, name: str, result: Any, values: list[Any]) -> Any:
        name = f"llvm.masked.{name}.v{self.width}f{8 * self.size}.p0"
        signature = ir.FunctionType(result, [value.type for value in values])
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, values)

    def load(self, place: Any, j: int) -> Any:
        """Return vector j of a row; zeros where it is masked."""
        builder = self.builder
        place = builder.bitcast(place, ir.PointerType(self.vector))
        if self.mask is None:
            value = builder.load(place)
            value.align = self.size
            return value
        align = ir.Constant(_INDEX, self.size)
        return self._masked("load", self.vector, [place, align, self.mask[j], self.zero])

    def store(self, value: Any, place: Any, j: int) -> None:
        """Store vector j of a row, as far as it is not masked."""
        builder = self.builder
        place = builder.bitcast(place, ir.PointerType(value.type))
        if self.mask is None:
            builder.store(value, place).align = self.size
            return
        align = ir.Constant(_INDEX, self.size)
        self._masked("store", ir.VoidType(), [value, place, align, self.mask[j]])

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        """Return the vector of these entries of a, then b."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, len(order)), order))

    def splat(self, value: Any) -> Any:
        """Return a vector of equal numbers."""
        empty = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(empty, value, ir.Constant(_INDEX, 0))
        return self.shuffle(first, first, [0] * self.width)

    def accumulate(self, left: Any, steps: tuple[Any, Any], right: _Array, n: Any, start: list[Any]) -> Any:
        """Return start + sum over l < n, n >= 1, of left[row, l] right[l], by row and vector.

        left points at the number of row 0 and l = 0; the next row and the next l are `steps` away.
        """
        builder = self.builder
        signature = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.width}f{8 * self.size}"
        fma = cgutils.get_or_insert_function(builder.module, signature, name)
        rows = [builder.mul(steps[0], i) for i in self.repeated]
        firsts = [
            n, builder.gep(left, [builder.mul(steps[0], self.row)]), builder.gep(right.data, [self.column]),
            *start,
        ]  # fmt: skip
        before, body = builder.block, builder.append_basic_block("term")
        builder.branch(body)
        builder.position_at_end(body)
        carried = [builder.phi(first.type) for first in firsts]
        count, a, b, *sums = carried
        vectors = [self.load(builder.gep(b, [self.constant(j * self.width)]), j) for j in range(VECTORS)]
        new = []
        for i, row in enumerate(rows):
            factor = self.splat(builder.load(builder.gep(a, [row])))
            for j, vector in enumerate(vectors):
                new.append(builder.call(fma, [factor, vector, sums[i * VECTORS + j]]))
        rest = builder.sub(count, self.constant(1))
        thens = [rest, builder.gep(a, [steps[1]]), builder.gep(b, [right.columns]), *new]
        for value, first, then in zip(carried, firsts, thens, strict=True):
            value.add_incoming(first, before)
            value.add_incoming(then, builder.block)
        after = builder.append_basic_block("summed")
        builder.cbranch(builder.icmp_signed(">", rest, self.constant(0)), body, after)
        builder.position_at_end(after)
        return new

    def transpose(self, rows: list[Any]) -> list[Any]:
        """Return the columns of one vector for each row, as vectors of the rows' entries."""
        w, half = self.width, self.width // 2
        # Within halves, as processors do it: pairs of rows, then pairs of pairs.
        low = [h + e + o for h in (0, half) for e in range(half // 2) for o in (0, w)]
        high = [place + half // 2 for place in low]
        pairs = [self.shuffle(rows[i], rows[i + 1], order) for i in (0, 2) for order in (low, high)]
        if w == ROWS:
            orders = ([0, 1, 4, 5], [2, 3, 6, 7])
            return [self.shuffle(pairs[i], pairs[i + 2], order) for order in orders for i in (0, 1)]
        orders = ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
        quads = [self.shuffle(pairs[i], pairs[i + 2], order) for i in (0, 1) for order in orders]
        return [self.shuffle(v, v, list(range(e, e + ROWS))) for e in (0, ROWS) for v in quads]


def _arrays(context: Any, builder: Any, signature: Any, arguments: Any, *which: int) -> list[_Array]:
    return [_Array(context, builder, signature.args[i], arguments[i]) for i in which]


def _sums(left_transposed: bool) -> Any:
    """Return the product of op(A) and B, added to C or not, op a transposition or nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = _arrays(context, builder, signature, arguments, 0, 1, 3)
        tiles = _Tiles(context, builder, signature.args[0].dtype, c.rows, c.columns)
        one = tiles.constant(1)
        steps, n = ((one, a.columns), a.rows) if left_transposed else ((a.columns, one), a.columns)
        for _ in tiles:
            places = tiles.places(c.data, c.columns)
            old = [tiles.load(place, i % VECTORS) for i, place in enumerate(places)]
            start = [builder.select(arguments[2], value, tiles.zero) for value in old]
            for i, value in enumerate(tiles.accumulate(a.data, steps, b, n, start)):
                tiles.store(value, places[i], i % VECTORS)
        return context.get_dummy_value()

    @intrinsic
    def product(typingctx: Any, A: Any, B: Any, add: Any, C: Any) -> Any:
        return numba.void(A, B, numba.boolean, C), generate

    return product


def _into_columns() -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, c = _arrays(context, builder, signature, arguments, 0, 1, 2)
        tiles = _Tiles(context, builder, signature.args[0].dtype, a.rows, b.columns)
        steps = (a.columns, tiles.constant(1))
        for _ in tiles:
            if tiles.mask is not None:
                continue  # the columns fill their tiles
            # Stores are four rows long, so the last tile lies over the one before.
            most = builder.sub(a.rows, tiles.constant(ROWS))
            tiles.row = builder.select(builder.icmp_signed("<", tiles.row, most), tiles.row, most)
            tiles.repeated = [tiles.constant(i) for i in range(ROWS)]
            sums = tiles.accumulate(a.data, steps, b, a.columns, tiles.zeros)
            for j in range(VECTORS):
                for column, value in enumerate(tiles.transpose(sums[j::VECTORS])):
                    place = builder.add(tiles.column, tiles.constant(j * tiles.width + column))
                    place = builder.add(builder.mul(place, c.columns), tiles.row)
                    target = builder.bitcast(builder.gep(c.data, [place]), ir.PointerType(value.type))
                    builder.store(value, target).align = tiles.size
        return context.get_dummy_value()

    @intrinsic
    def product(typingctx: Any, A: Any, B: Any, C: Any) -> Any:
        return numba.void(A, B, C), generate

    return product


def _sign_step() -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, x, old, c = _arrays(context, builder, signature, arguments, 0, 1, 2, 3, 6)
        tiles = _Tiles(context, builder, signature.args[0].dtype, c.rows, c.columns)
        steps = (tiles.constant(1), a.columns)
        forward, backward = tiles.splat(arguments[4]), tiles.splat(builder.fneg(arguments[4]))
        wide, zero = tiles.splat(arguments[5]), tiles.zero
        for _ in tiles:
            moved = []
            from_here = tiles.places(old.data, c.columns)
            for i, g in enumerate(tiles.accumulate(a.data, steps, b, a.rows, tiles.zeros)):
                # Zero moves nothing, and nan stays nan.
                step = builder.select(builder.fcmp_ordered("<", g, zero), backward, g)
                step = builder.select(builder.fcmp_ordered(">", g, zero), forward, step)
                moved.append(builder.fadd(tiles.load(from_here[i], i % VECTORS), step))
            centres, places = tiles.places(x.data, c.columns), tiles.places(c.data, c.columns)
            for i, new in enumerate(moved):
                centre = tiles.load(centres[i], i % VECTORS)
                high, low = builder.fadd(centre, wide), builder.fsub(centre, wide)
                new = builder.select(builder.fcmp_ordered(">", new, high), high, new)
                new = builder.select(builder.fcmp_ordered("<", new, low), low, new)
                tiles.store(new, places[i], i % VECTORS)
        return context.get_dummy_value()

    @intrinsic
    def ascent(typingctx: Any, A: Any, B: Any, X: Any, old: Any, step: Any, radius: Any, moved: Any) -> Any:
        return numba.void(A, B, X, old, A.dtype, A.dtype, moved), generate

    return ascent


if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    multiply_few, multiply_few_left_transposed = _sums(left_transposed=False), _sums(left_transposed=True)
    multiply_few_into_columns, ascend_signs = _into_columns(), _sign_step()
else:

    def multiply_few(A, B, add, C):
        """C = A B, or C += A B if `add`; A (m, n), n >= 1, B (n, c)."""
        C[:] = A @ B + (C if add else 0.0)

    def multiply_few_left_transposed(A, B, add, C):
        """C = A^T B, or C += A^T B if `add`; A (n, m), n >= 1, B (n, c)."""
        C[:] = A.T @ B + (C if add else 0.0)

    def multiply_few_into_columns(A, B, C):
        """C = (A B)^T; A (m, n), m >= 4, n >= 1, B (n, c), c a multiple of the 64 bytes of a tile."""
        C[:] = (A @ B).T

    def ascend_signs(A, B, X, old, step, radius, moved):
        """Clip old + step sign(A^T B) to X - radius .. X + radius, `old` being X or `moved`."""
        np.clip(old + step * np.sign(A.T @ B), X - radius, X + radius, out=moved)
