"""Matrix products of C-contiguous arrays into a given result, with or without adding to it.

Numba's ``np.dot`` makes an array where a product is to be added to another one, and every call of it
costs compile time. Here is the same BLAS routine, called directly. Numba keeps its symbol private, so
where it has gone ``np.dot`` takes over; so it does where Numba is switched off.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import _helperlib
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from featsim.kernels._jit import inner

_SYMBOL = "numba_xxgemm"


def _is_there() -> bool:
    switched_off = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]
    return not switched_off and "xxgemm" in getattr(_helperlib, "c_helpers", {})


def check_contiguous(*kinds: Any) -> None:
    """Refuse to compile for types that are not C-contiguous matrices, which would be read wrongly."""
    for kind in kinds:
        if (kind.ndim, kind.layout) != (2, "C"):
            raise TypingError(f"products take C-contiguous matrices, got {kind}")


def _direct(transpose_a: bool, transpose_b: bool) -> Any:
    """Return the product of op(A) and op(B), each transposed or not, as a compiled call of BLAS."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        char, word, size = ir.IntType(8), ir.IntType(32), context.get_value_type(numba.intp)
        address = ir.PointerType(char)
        number = context.get_value_type(signature.args[0].dtype)
        kinds = {numba.float64: "d", numba.float32: "s"}
        arrays = [make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 1, 3)]
        shapes = [cgutils.unpack_tuple(builder, array.shape) for array in arrays]
        data = [builder.bitcast(array.data, address) for array in arrays]
        (a, b, c), inner_size = shapes, shapes[0][0 if transpose_a else 1]
        beta = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
        scalars = [
            builder.bitcast(cgutils.alloca_once_value(builder, value), address)
            for value in (ir.Constant(number, 1.0), beta)
        ]
        kind = [ir.Constant(char, ord(kinds[signature.args[0].dtype]))]
        letters = [ir.Constant(char, ord("t" if flag else "n")) for flag in (transpose_b, transpose_a)]
        # BLAS reads by columns, so it sees every array transposed: C^T = op(B)^T op(A)^T.
        rest = [c[1], c[0], inner_size, scalars[0], data[1], b[1], data[0], a[1], scalars[1], data[2], c[1]]
        values = kind + letters + rest
        kind_of = [char] * 3 + [size] * 3 + [address, address, size, address, size, address, address, size]
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, kind_of), _SYMBOL)
        builder.call(function, values)
        return context.get_dummy_value()

    @intrinsic
    def product(typingctx: Any, A: Any, B: Any, beta: Any, C: Any) -> Any:
        check_contiguous(A, B, C)
        return numba.void(A, B, beta, C), generate

    return product


is_direct = _is_there()

if is_direct:
    multiply = _direct(False, False)
    multiply_right_transposed = _direct(False, True)
    multiply_left_transposed = _direct(True, False)
else:

    @inner
    def multiply(A, B, beta, C):
        """C = A B + beta C, beta 0 or 1."""
        if beta == 0.0:
            np.dot(A, B, C)
        else:
            C += np.dot(A, B)

    @inner
    def multiply_right_transposed(A, B, beta, C):
        """C = A B^T + beta C, beta 0 or 1."""
        if beta == 0.0:
            np.dot(A, B.T, C)
        else:
            C += np.dot(A, B.T)

    @inner
    def multiply_left_transposed(A, B, beta, C):
        """C = A^T B + beta C, beta 0 or 1."""
        if beta == 0.0:
            np.dot(A.T, B, C)
        else:
            C += np.dot(A.T, B)
