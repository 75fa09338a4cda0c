"""Exponential and logarithm that LLVM vectorises: no table, no branch, no call of the C library.

Arithmetic in two parts must keep its order, so these are compiled without reassociation.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from featsim.kernels._jit import precise

_MAGIC = 6755399441055744.0  # adding 3 * 2^51 rounds to the nearest integer and leaves it in the low bits
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the first has 21 trailing zero bits
_HALF_ROOT = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
_LEAST = -708.0  # below, e^x is taken for 0

if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def bits_of(x: float) -> int:
        """Return the bits of a double as an integer."""
        return int(np.float64(x).view(np.int64))

    def from_bits(bits: int) -> float:
        """Return the double with these bits; those beyond the 64th are dropped."""
        return float(np.uint64(bits & 0xFFFFFFFFFFFFFFFF).view(np.float64))

else:

    @intrinsic
    def bits_of(typingctx: Any, x: Any) -> Any:
        """Return the bits of a double as an integer."""

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], ir.IntType(64))

        return numba.int64(numba.float64), codegen

    @intrinsic
    def from_bits(typingctx: Any, bits: Any) -> Any:
        """Return the double with these bits."""

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], ir.DoubleType())

        return numba.float64(numba.int64), codegen


@precise
def exp_nonpositive(x):
    """e^x for x <= 0, to 2 units in the last place [measured]; 0 below -708, nan for nan."""
    c = _LEAST if x < _LEAST else x
    shifted = c * _LOG2_E + _MAGIC
    k = shifted - _MAGIC
    r = (c - k * _LN2_HIGH) - k * _LN2_LOW
    # Taylor to degree 13 on |r| <= ln(2)/2, error below 1e-17, summed as a tree.
    r2 = r * r
    r4 = r2 * r2
    a = (0.16666666666666666 * r + 0.5) * r2 + (r + 1.0)
    b = (0.0001984126984126984 * r + 0.001388888888888889) * r2 + (
        0.008333333333333333 * r + 0.041666666666666664
    )
    e = (2.505210838544172e-08 * r + 2.755731922398589e-07) * r2 + (
        2.7557319223985893e-06 * r + 2.48015873015873e-05
    )
    f = 1.6059043836821613e-10 * r + 2.08767569878681e-09
    p = (f * r4 + e) * (r4 * r4) + (b * r4 + a)
    # k sits in the low bits, and moves to the exponent.
    value = p * from_bits((bits_of(shifted) << 52) + (1023 << 52))
    return 0.0 if x < _LEAST else value


@precise
def log1p_nonnegative(v):
    """log(1 + v) for finite v >= 0, to 2 units in the last place [measured]; nan for nan."""
    e = (bits_of(1.0 + v) - _HALF_ROOT) >> 52
    # 1 + v = 2^e (1 + t); the subtraction is exact wherever e is not 0.
    t = (v - (from_bits((1023 + e) << 52) - 1.0)) * from_bits((1023 - e) << 52)
    s = t / (2.0 + t)
    z = s * s
    # 2 artanh(s), |s| <= 0.172, by its Taylor series; the next term is below 2e-17.
    z2 = z * z
    z4 = z2 * z2
    a = 0.2 * z + 0.3333333333333333
    b = 0.1111111111111111 * z + 0.14285714285714285
    c = 0.07692307692307693 * z + 0.09090909090909091
    d = 0.058823529411764705 * z + 0.06666666666666667
    f = 0.047619047619047616 * z + 0.05263157894736842
    p = (f * z4 + (d * z2 + c)) * z4 + (b * z2 + a)
    return e * _LN2_HIGH + (2.0 * s + (2.0 * s * z * p + e * _LN2_LOW))
