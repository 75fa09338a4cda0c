"""Vectorised exponential, logarithm and matrix products against the C library and NumPy."""

import math

import numba
import numpy as np
import pytest

from featsim.kernels import _elementary, _matrix
from featsim.kernels._jit import jit


@jit
def exponentials(x, out):
    for i in range(len(x)):
        out[i] = _elementary.exp_nonpositive(x[i])


@jit
def logarithms(x, out):
    for i in range(len(x)):
        out[i] = _elementary.log1p_nonnegative(x[i])


@jit
def products(A, B, AT, BT, beta, C):
    _matrix.multiply(A, B, beta, C[0])
    _matrix.multiply_right_transposed(A, BT, beta, C[1])
    _matrix.multiply_left_transposed(AT, B, beta, C[2])


def units_off(found, expected):
    return np.max(np.abs(found - expected) / np.spacing(np.abs(expected)))


def test_exponential(rng):
    x = np.concatenate([-np.exp(rng.uniform(-40, math.log(708), 20000)), [-708.0, -math.log(2) / 2]])
    found = np.empty_like(x)
    exponentials(x, found)
    # One rounding near 1 is two units of the numbers just below 1.
    assert units_off(found, [math.exp(value) for value in x]) <= 2.0
    edges = np.array([0.0, -0.0, -708.1, -1e300, -np.inf, np.nan])
    found = np.empty_like(edges)
    exponentials(edges, found)
    np.testing.assert_array_equal(found, [1.0, 1.0, 0.0, 0.0, 0.0, np.nan])


def test_logarithm(rng):
    x = np.concatenate([np.exp(rng.uniform(-700, 10, 20000)), rng.uniform(0.3, 0.5, 1000), [1.0, 3.0]])
    found = np.empty_like(x)
    logarithms(x, found)
    assert units_off(found, [math.log1p(value) for value in x]) <= 2.0
    edges = np.array([0.0, np.nan])
    logarithms(edges, edges)
    np.testing.assert_array_equal(edges, [0.0, np.nan])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_products(dtype, beta, rng):
    A, B = rng.standard_normal((5, 3)).astype(dtype), rng.standard_normal((3, 4)).astype(dtype)
    start = np.full((3, 5, 4), np.nan if beta == 0.0 else 2.0, dtype=dtype)  # 0 times nan is not added
    C = start.copy()
    products(A, B, np.ascontiguousarray(A.T), np.ascontiguousarray(B.T), beta, C)
    expected = A.astype(float) @ B + (2.0 if beta else 0.0)
    for found in C:
        np.testing.assert_allclose(found, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_products_call_blas_directly():
    """In the range of Numba that setup.cfg allows, its private symbol is there."""
    assert _matrix.is_direct


@pytest.mark.skipif(not _matrix.is_direct, reason="np.dot takes any layout")
def test_products_refuse_what_they_would_misread():
    """BLAS is given an address: another layout would be a wrong product, without a word."""
    square = np.ones((2, 2))
    with pytest.raises(numba.TypingError, match="C-contiguous matrices"):
        products(np.ones((4, 2))[::2], square, square, square, 0.0, np.ones((3, 2, 2)))
