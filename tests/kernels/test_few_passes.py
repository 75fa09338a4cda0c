"""Passes of networks of few neurons against NumPy, with and without patches beside the last full vector."""

import numba
import numpy as np
import pytest

from featsim.kernels import _few_passes as passes
from featsim.kernels import patch_network as kernel
from featsim.kernels._jit import jit

ROWS = [1, 3, 8, 13, 32, 45]


@jit
def sum_classes(Z, shape, m, S):
    passes.sum_classes(Z, shape, m, S)


@jit
def gate_slopes(Z, shape, m, E, A):
    passes.gate_slopes(Z, shape, m, E, A)


@jit
def measure_gradient(A, H, C, from_start, least, sums):
    passes.measure_gradient(A, H, C, from_start, least, sums)


@jit
def move_coefficients(A, H, Z, steps, from_start, C, Za):
    passes.move_coefficients(A, H, Z, steps, from_start, C, Za)


@pytest.fixture(params=[np.float64, np.float32])
def dtype(request):
    return request.param


def check(found, expected, dtype):
    # float32: numbers of size 1 after some ten roundings.
    tolerance = {"rtol": 1e-10, "atol": 1e-13} if dtype is np.float64 else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(found, expected, **tolerance)


def activation(z, q, rho):
    """The smoothed ReLU and its slope, by cases."""
    inside = np.clip(z, 0.0, rho)
    value = np.where(z >= rho, z - rho + rho / q, inside**q / (q * rho ** (q - 1.0)))
    slope = np.where(z >= rho, 1.0, np.where(z > 0.0, (inside / rho) ** (q - 1.0), 0.0))
    return value, slope


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("q", [1, 2, 3, 4])
def test_activations(rows, q, dtype):
    rng = np.random.default_rng(rows)
    k, m, rho = 3, 2, 0.5
    Z = rng.standard_normal((8, rows)).astype(dtype)  # two filters more than there are
    Z[0, 0] = 0.0
    shape = kernel.activation_shape(float(q), rho, dtype)
    S, E = np.full((k, rows), np.nan, dtype), rng.standard_normal((k, rows)).astype(dtype)
    A = np.full((8, rows), 7.0, dtype)
    sum_classes(Z, shape, m, S)
    gate_slopes(Z, shape, m, E, A)
    value, slope = activation(Z[: k * m].astype(float), q, rho)
    check(S, value.reshape(k, m, rows).sum(axis=1), dtype)
    check(A[: k * m], np.repeat(E, m, axis=0) * slope, dtype)
    np.testing.assert_array_equal(A[k * m :], 7.0)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("from_start", [True, False])
def test_ascent_in_coefficients(rows, from_start, dtype):
    rng = np.random.default_rng(rows)
    A, H, Z, C, Za = rng.standard_normal((5, 6, rows)).astype(dtype)
    sums = np.full((2, rows + passes.SPARE), np.nan)
    steps = np.full((3, rows + passes.SPARE), np.nan, dtype)
    steps[:, :rows] = rng.random((3, rows))
    exact = [array.astype(float) for array in (A, H, Z, C, Za)]
    if from_start:  # then neither is read
        C[:], Za[:] = np.nan, np.nan
        exact[3], exact[4] = np.zeros_like(exact[3]), exact[2]
    a, h, z, c, za = exact
    t, scale, rest = steps[:, :rows].astype(float)
    measure_gradient(A, H, C, from_start, 0.0, sums)
    squares = (a * h).sum(axis=0)
    check(sums[:, :rows], [np.where(squares > 0.0, squares, 0.0), (c * h).sum(axis=0)], dtype)
    measure_gradient(A, H, C, from_start, 1e9, sums)  # a gradient that counts as none
    np.testing.assert_array_equal(sums[0, :rows], 0.0)
    move_coefficients(A, H, Z, steps, from_start, C, Za)
    check(C, scale * (c + t * a), dtype)
    check(Za, scale * (za + t * h) + rest * z, dtype)


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="warns of what is tested")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(bad):
    Z, S = np.ones((4, 11)), np.zeros((2, 11))
    Z[1, 9], Z[2, 10] = bad, bad
    sum_classes(Z, kernel.activation_shape(3.0, 0.5), 2, S)
    wrong = np.zeros((2, 11), bool)
    wrong[0, 9] = wrong[1, 10] = True
    np.testing.assert_array_equal(~np.isfinite(S), wrong)
    E, A = np.ones((2, 11)), np.zeros((4, 11))
    E[1, 3] = np.nan
    gate_slopes(np.ones((4, 11)), kernel.activation_shape(3.0, 0.5), 2, E, A)
    assert np.isnan(A[2:, 3]).all()
    assert np.isfinite(np.delete(A, 3, axis=1)).all()
