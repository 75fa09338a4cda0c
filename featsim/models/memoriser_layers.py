"""Layers of the memorising network: blocks of units that run beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from featsim.validation import FloatArray

if TYPE_CHECKING:
    from featsim.models.memoriser import Memoriser

Layer = tuple[Any, FloatArray]
# The clean score runs beside the distances as its positive and its negative part.
_CARRY: Layer = (np.eye(2), np.zeros(2))


def build(memoriser: Memoriser) -> list[Layer]:
    """Return the layers.

    1 offsets |x - c|; then distances; then t = ramp, r = (1 - t)_+, h = (1 - sum of a class)_+,
    the gate, the output. Parts of the clean score are cut to [0, 1] one layer after the first.

    Parameters
    ----------
    memoriser : Memoriser
        Points, radii, clean rule.

    Returns
    -------
    list of (matrix, bias)
        For :class:`featsim.models.ReluNetwork`.
    """
    N, D = memoriser.centres.shape
    low, high = memoriser.ramp
    steep = 1.0 / (high - low)
    body = [_offsets(memoriser.centres)]
    if memoriser.norm == "l1":
        distance: Any = _spread(N, np.ones((1, 2 * D)))
    elif memoriser.norm == "linf":
        levels, last = _maxima(D)
        body += [(_spread(N, level), np.zeros(N * level.shape[0])) for level in levels]
        distance = _spread(N, last)
    else:
        tents, last = _squares(memoriser)
        body += [(_spread(N, matrix), np.tile(bias, N)) for matrix, bias in tents]
        distance = _spread(N, last)
    body.append((steep * distance, np.full(N, -steep * low)))
    body.append((-sparse.eye_array(N), np.ones(N)))
    by_class = np.stack([memoriser.signs == 1.0, memoriser.signs == -1.0]).astype(np.float64)
    body.append((-by_class, np.ones(2)))
    clean = memoriser.clean_scale * np.stack([memoriser.clean_weights, -memoriser.clean_weights])
    bias = memoriser.clean_scale * memoriser.clean_bias
    side = [(clean, np.array([bias, -bias])), (-np.eye(2), np.ones(2))]
    side += [_CARRY] * (len(body) - 2)
    layers = [_stack(body[0], side[0])]
    layers += [_beside(one, other) for one, other in zip(body[1:], side[1:], strict=True)]
    # Units now: h+, h- (1 - s+, 1 - s-) and g+, g- (1 - c+, 1 - c-), so c = g- - g+.
    gate = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, -1, 1], [1, 1, 1, -1]], dtype=np.float64)
    layers.append((gate, np.array([0.0, 0.0, -2.0, -2.0])))
    layers.append((np.array([[-1.0, 1.0, 1.0, -1.0]]), np.zeros(1)))
    return layers


def _offsets(centres: FloatArray) -> Layer:
    """Units (x_k - c_ik)_+ and (c_ik - x_k)_+, sample by sample, coordinate by coordinate."""
    N, D = centres.shape
    signs = np.tile([1.0, -1.0], N * D)
    columns = np.repeat(np.tile(np.arange(D), N), 2)
    matrix = sparse.csr_array((signs, (np.arange(2 * N * D), columns)), shape=(2 * N * D, D))
    return matrix, -signs * np.repeat(centres.ravel(), 2)


def _spread(n: int, matrix: Any) -> Any:
    """Return the block-diagonal matrix of n copies."""
    return sparse.kron(sparse.eye_array(n), sparse.csr_array(matrix), format="csr")


def _maxima(D: int) -> tuple[list[Any], Any]:
    """Return the levels of a tree of max(a, b) = (a - b)_+ + b of one sample, and the row that reads it.

    A value is the sum of the units named in a row of `values`.
    """
    values = np.kron(np.eye(D), np.ones((1, 2)))
    levels = []
    while len(values) > 1:
        a, b = values[0 : 2 * (len(values) // 2) : 2], values[1::2]
        rows = np.empty((2 * len(a), values.shape[1]))
        rows[0::2], rows[1::2] = a - b, b
        combine = np.kron(np.eye(len(a)), np.ones((1, 2)))
        if len(values) % 2:
            rows = np.vstack([rows, values[-1:]])
            combine = np.block(
                [[combine, np.zeros((len(a), 1))], [np.zeros((1, combine.shape[1])), np.ones((1, 1))]]
            )
        levels.append(sparse.csr_array(rows))
        values = combine
    return levels, sparse.csr_array(values)


def _squares(memoriser: Memoriser) -> tuple[list[Layer], Any]:
    r"""Return the tent maps of one sample, and the row that reads its squared distance.

    Units of a layer: (g)_+ and (g - 1/2)_+ of each coordinate, g the tent map so far, and the sum
    over coordinates of :math:`t - \sum g_s/4^s`, which is never negative.
    """
    D, B = memoriser.centres.shape[1], memoriser.reach
    read = np.kron(np.eye(D), np.ones((1, 2))) / B  # t from the two offset units
    half = np.tile([0.0, -0.5], D)
    first = np.vstack([np.repeat(read, 2, axis=0), read.sum(axis=0, keepdims=True)])
    layers: list[Layer] = [(sparse.csr_array(first), np.append(half, 0.0))]
    tent = np.kron(np.eye(D), np.array([[2.0, -4.0]]))  # g from (g)_+ and (g - 1/2)_+
    tent = np.hstack([tent, np.zeros((D, 1))])
    total = np.append(np.zeros(2 * D), 1.0)
    n = memoriser.n_tents
    for s in range(1, n):
        row = total - tent.sum(axis=0) / 4.0**s
        layers.append((sparse.csr_array(np.vstack([np.repeat(tent, 2, axis=0), row])), np.append(half, 0.0)))
    return layers, sparse.csr_array(B * B * (total - tent.sum(axis=0) / 4.0**n)[None])


def _stack(one: Layer, other: Layer) -> Layer:
    """Two blocks of units that read the same inputs."""
    matrix = sparse.vstack([sparse.csr_array(one[0]), sparse.csr_array(other[0])], format="csr")
    return matrix, np.concatenate([one[1], other[1]])


def _beside(one: Layer, other: Layer) -> Layer:
    """Two blocks of units that read blocks of their own."""
    matrix = sparse.block_diag([sparse.csr_array(one[0]), sparse.csr_array(other[0])], format="csr")
    return matrix, np.concatenate([one[1], other[1]])
