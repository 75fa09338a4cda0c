"""Density, Mills ratio and slopes of the symmetric network: accuracy on a dense grid, edges, vector code."""

import math
import re

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from scipy.special import erfcx

from featsim.kernels import symmetric as kernel

EPS = np.finfo(float).eps
# Not cached: the cache of a test does not notice that the kernel has changed.
compiled = numba.njit(error_model="numpy")
GRID = np.concatenate(
    [np.linspace(0.0, 9.0, 9001), np.linspace(9.0, 37.0, 5000), np.geomspace(1e-12, 1.0, 200)]
)


@compiled
def bells(c, out):
    for i in range(len(c)):
        out[i] = kernel._bell(c[i] * c[i])


@compiled
def mills_ratios(c, out):
    for i in range(len(c)):
        above, below = kernel._mills(c[i], c[i] * c[i])
        out[i] = above / below


@compiled
def responses(z, b, s, slope, value):
    for i in range(len(z)):
        value[i] = kernel._respond(z[i : i + 1], b, s, slope[i : i + 1])


def respond(z, b, s):
    slope, value = np.empty_like(z), np.empty_like(z)
    responses(z, b, s, slope, value)
    return slope, value


def density(x):
    """phi(x); the square in two parts, so that its rounding does not count."""
    high = x.astype(np.float32).astype(float)
    return np.exp(-0.5 * high * high) * np.exp(-0.5 * (x - high) * (x + high)) / math.sqrt(2.0 * math.pi)


def tail(x):
    """1 - Phi(x) for x >= 0."""
    return density(x) * math.sqrt(math.pi / 2.0) * erfcx(x / math.sqrt(2.0))


def test_density(rng):
    c = kernel._SCALE * GRID
    found = np.empty_like(c)
    bells(c, found)
    # c^2 is rounded before it becomes an exponent: half a unit of it, relative.
    np.testing.assert_array_less(
        np.abs(found / (kernel._SCALE * density(GRID)) - 1.0), 8 * EPS + 4 * EPS * GRID**2
    )
    # Where c^2 is exact nothing but the polynomial and the last rounding are left.
    c = rng.integers(0, 31 * 1024, 2000) / 1024.0
    found = np.empty_like(c)
    bells(c, found)
    w = c * c
    exact = np.ldexp(np.exp2(-(w - np.round(w))), -np.round(w).astype(int))
    np.testing.assert_allclose(found, kernel._SCALE / math.sqrt(2.0 * math.pi) * exact, rtol=4 * EPS)


def test_mills_ratio():
    found = np.empty_like(GRID)
    mills_ratios(kernel._SCALE * GRID, found)
    expected = math.sqrt(math.pi / 2.0) * erfcx(GRID / math.sqrt(2.0)) / kernel._SCALE
    np.testing.assert_allclose(found, expected, rtol=8 * EPS)


@pytest.mark.parametrize(("b", "s"), [(0.0, 1.0), (0.12, 0.05), (0.25, 0.1), (3.0, 0.1), (0.3, 2.0)])
def test_slope_and_value(b, s):
    a = np.concatenate([np.linspace(0.0, b + 12.0 * s, 4001), s * np.geomspace(1e-9, 1.0, 100)])
    slope, value = respond(a, b, s)
    p, q = (a - b) / s, (a + b) / s
    first = np.where(p > 0.0, 1.0 - tail(np.abs(p)), tail(np.abs(p)))
    expected = first + tail(q)
    # 3e-16 of the kernel [measured] and 4e-16 of this reference, whose arguments are rounded too.
    assert np.abs(slope - expected).max() < 8e-16
    # Relative in the tails, up to the rounding of the argument, which the tail takes times its square.
    np.testing.assert_array_less(np.abs(slope / expected - 1.0), 8 * EPS + 8 * EPS * np.minimum(p, 0.0) ** 2)
    expected = s * (p * first + density(p) - density(q) + q * tail(q))
    np.testing.assert_array_less(np.abs(value - expected), 4 * EPS * (s + a + b))
    # Odd to the bit, but for the rounding that is left of 0 at 0.
    there, opposite = respond(-a[a > 0.0], b, s)
    np.testing.assert_array_equal(there, slope[a > 0.0])
    np.testing.assert_array_equal(opposite, -value[a > 0.0])


def test_edges():
    z = np.array([0.0, -0.0, 1e300, -1e300, np.inf, -np.inf, np.nan, 4.0])
    slope, value = respond(z, 0.12, 0.05)
    np.testing.assert_array_equal(slope[2:], [1.0, 1.0, 1.0, 1.0, np.nan, 1.0])
    np.testing.assert_allclose(value[2:], [1e300, -1e300, np.inf, -np.inf, np.nan, 4.0 - 0.12], rtol=4 * EPS)
    np.testing.assert_allclose(slope[:2], 2.0 * tail(np.array([2.4, 2.4])), rtol=1e-14)
    np.testing.assert_allclose(value[:2], 0.0, atol=1e-17)
    # Silent for good beyond 37 standard deviations, not by a denormal number that slows everything down.
    slope, value = respond(np.array([0.0, 0.1]), 2.0, 0.05)
    assert slope.tolist() == value.tolist() == [0.0, 0.0]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.skipif(not llvm.get_host_cpu_features().get("avx2"), reason="names instructions of AVX2")
def test_rows_are_compiled_to_vector_code():
    """Four neurons at a time at least, one division for the pair, and no call of the C library."""

    def row(z, b, s, slope):
        return kernel._respond(z, b, s, slope)

    z = np.zeros(64)
    kernel_of_row = compiled(row)
    kernel_of_row(z, 0.1, 0.05, np.empty(64))
    (code,) = kernel_of_row.inspect_asm().values()
    wide = re.findall(r"vdivpd[^\n]*[yz]mm", code)
    assert 1 <= len(wide) <= 4  # main loop and what is left of a row, not two per pair
    assert len(re.findall(r"vfn?m(?:add|sub)\w*pd[^\n]*[yz]mm", code)) > 40
    assert not re.findall(r"\b(?:exp|erfc?|log1?p?)@PLT|\$(?:exp|erfc?)\b", code)
