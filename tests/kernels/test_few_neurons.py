"""Products in tiles of registers against NumPy, at sizes that do and do not fill the tiles."""

import numba
import numpy as np
import pytest

from featsim.kernels import _few_neurons as few
from featsim.kernels._jit import jit

# Rows of a tile are 4, its columns 8 (float64) or 16 (float32); vectors half of that.
SHAPES = [(1, 1, 1), (2, 3, 5), (4, 8, 16), (7, 5, 11), (16, 17, 31), (30, 9, 13), (32, 24, 64), (5, 40, 23)]


@jit
def product(A, B, add, C):
    few.multiply_few(A, B, add, C)


@jit
def left_transposed(A, B, add, C):
    few.multiply_few_left_transposed(A, B, add, C)


@jit
def into_columns(A, B, C):
    few.multiply_few_into_columns(A, B, C)


@jit
def sign_step(A, B, X, old, step, radius, moved):
    few.ascend_signs(A, B, X, old, step, radius, moved)


@pytest.fixture(params=[np.float64, np.float32])
def dtype(request):
    return request.param


def check(found, expected, dtype):
    # float32: sums of up to 40 terms of size 1, rounded at each.
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype is np.float64 else {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(found, expected, **tolerance)


@pytest.mark.parametrize(("m", "n", "c"), SHAPES)
def test_products_match_numpy(m, n, c, dtype):
    rng = np.random.default_rng(m + n)
    A, B = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal((n, c)).astype(dtype)
    exact = A.astype(float) @ B.astype(float)
    before = rng.standard_normal((m, c)).astype(dtype)
    C = before.copy()
    product(A, B, True, C)
    check(C, before + exact, dtype)
    C[:] = np.nan  # what is not added to may hold anything
    product(A, B, False, C)
    check(C, exact, dtype)
    C[:] = np.nan
    left_transposed(np.ascontiguousarray(A.T), B, False, C)
    check(C, exact, dtype)


@pytest.mark.parametrize(("m", "n", "c"), [(4, 1, 16), (5, 3, 16), (7, 64, 32), (64, 10, 48), (66, 17, 16)])
def test_product_into_columns(m, n, c, dtype):
    rng = np.random.default_rng(m + n)
    A, B = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal((n, c)).astype(dtype)
    C = np.full((c, m), np.nan, dtype)
    into_columns(A, B, C)
    check(C, (A.astype(float) @ B.astype(float)).T, dtype)


@pytest.mark.parametrize(("m", "n", "c"), SHAPES)
def test_an_entry_does_not_depend_on_its_tile(m, n, c):
    rng = np.random.default_rng(m)
    A, B = rng.standard_normal((m, n)), rng.standard_normal((n, c))
    whole, entry = np.empty((m, c)), np.empty((1, 1))
    product(A, B, False, whole)
    if not numba.config.DISABLE_JIT:  # NumPy's own product chooses an order by shape
        for i in range(m):
            for j in range(c):
                product(A[i : i + 1].copy(), B[:, j : j + 1].copy(), False, entry)
                assert entry[0, 0] == whole[i, j]


@pytest.mark.parametrize(("m", "n", "c"), SHAPES)
def test_sign_step_stays_in_the_ball_and_stands_still_without_gradient(m, n, c, dtype):
    rng = np.random.default_rng(m + c)
    A, B = rng.standard_normal((n, m)).astype(dtype), rng.standard_normal((n, c)).astype(dtype)
    A[:, m // 2] = 0.0
    X = rng.standard_normal((m, c)).astype(dtype)
    step, radius = dtype(0.02), dtype(0.03)
    moved = np.empty_like(X)
    direction = np.sign(A.T.astype(float) @ B)
    sign_step(A, B, X, X, step, radius, moved)
    np.testing.assert_array_equal(moved, X + step * direction.astype(dtype))
    # A second step along the same signs ends on the boundary, in place.
    sign_step(A, B, X, moved, step, radius, moved)
    np.testing.assert_array_equal(moved, X + radius * direction.astype(dtype))
    np.testing.assert_array_equal(moved[m // 2], X[m // 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(bad):
    A, B = np.ones((9, 6)), np.ones((6, 13))
    B[3, 4], B[2, 12] = bad, bad
    C, turned = np.zeros((9, 13)), np.zeros((8, 9))
    product(A, B, True, C)
    into_columns(A, B[:, 3:11].copy(), turned)
    wrong = np.zeros(13, bool)
    wrong[[4, 12]] = True
    np.testing.assert_array_equal(~np.isfinite(C), np.tile(wrong, (9, 1)))
    np.testing.assert_array_equal(~np.isfinite(turned.T), np.tile(wrong[3:11], (9, 1)))
    A[1, 5] = np.nan  # of the sixth row of the transposed product
    X = np.zeros((6, 13))
    moved = np.empty((6, 13))
    sign_step(A, np.ones((9, 13)), X, X, 0.1, 0.2, moved)
    assert np.isnan(moved[5]).all()
    assert np.isfinite(moved[:5]).all()


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="NumPy takes any layout")
def test_products_refuse_what_they_would_misread():
    square = np.ones((4, 4))
    with pytest.raises(numba.TypingError, match="C-contiguous matrices"):
        product(np.ones((8, 4))[::2], square, False, square.copy())
