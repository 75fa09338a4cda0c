r"""Certificate by branch and bound over boxes of activations, with a budget of time and nodes."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from featsim.certificates.lines import tangent_ratio
from featsim.certificates.result import CertificateResult
from featsim.kernels import neuron_sums as kernel
from featsim.models import Model, NeuronSum, check_score_labels, margins, model_scores, neuron_sum
from featsim.threats import Budget, PatchProblems, Samples, Threat, as_samples, patched
from featsim.validation import FloatArray, IntArray, check_integer, check_real

if TYPE_CHECKING:
    from featsim.data import PatchData

_EPS = float(np.finfo(np.float64).eps)
_FIRST_NODES = 64
_GROWTH = 8
_ROUNDS = 4


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class BranchResult(CertificateResult):
    """Bounds by branch and bound, and how the search of each sample ended.

    Attributes
    ----------
    status : ndarray of str, shape (n,)
        ``"certified"``: no allowed perturbation reaches margin 0. ``"broken"``: one was found, see
        `perturbation`. ``"open"``: time or nodes ran out; the bound holds, but says nothing about what a
        longer search would show. ``"invalid"``: scores overflow, nothing is known.
    upper_margin : ndarray, shape (n,)
        Smallest margin seen, at `perturbation`, by the model's own scores; the exact worst margin lies
        between the two bounds.
    perturbation : ndarray, shape of X
        Where it was seen; inside the budget.
    nodes : ndarray of int, shape (n,)
        Boxes looked at.
    seconds : float
        Time spent in all.
    limits : dict
        Time budget and largest number of nodes of one search.
    """

    status: npt.NDArray[np.str_]
    upper_margin: FloatArray
    perturbation: FloatArray
    nodes: IntArray
    seconds: float
    limits: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """Everything the number must be quoted with, as JSON data."""
        found, counts = np.unique(self.status, return_counts=True)
        ended = {str(name): int(count) for name, count in zip(found, counts, strict=True)}
        return {**super().settings, **self.limits, "ended": ended}


@dataclasses.dataclass(eq=False)
class _Search:
    """Least margin of one sample against one rival: one problem of all patches, or one per patch."""

    sample: int
    bounds: FloatArray
    uppers: FloatArray
    points: list[FloatArray]
    nodes: int = 0
    done: bool = False


def branch_and_bound(
    model: Model,
    data: PatchData | tuple[Any, Any],
    threat: Threat,
    *,
    seconds: float = 60.0,
    max_nodes: int = 32768,
    tolerance: float | None = None,
) -> BranchResult:
    r"""Bound the margin of a network of two layers by branch and bound.

    On a box of perturbations every neuron has an interval; there its term is above a line (tangent of a
    convex piece, chord of a concave one, the envelope of an odd power), and the sum of lines has its
    minimum over box and ball by the multiplier of the ball. The box of least bound is cut where the lines
    are furthest from the terms, until the bound is positive or a perturbation breaks the sample. Patches
    with budgets of their own are searched one by one, and their bounds add up.

    Parameters
    ----------
    model : TwoLayerNetwork, PowerNetwork or SymmetricNetwork
        Or any model that :func:`neuron_sum` knows.
    data : PatchData or tuple (X, y)
        Samples, (n, P, d); for a symmetric network also (n, d).
    threat : Threat
        Any budget but the cap and images of shared pixels.
    seconds : float
        Time after which no further search starts, greater than 0. What is undecided then is ``"open"``, so
        that certified accuracy may depend on the machine; the bounds are sound in any case.
    max_nodes : int
        Largest number of boxes per search; with ample `seconds` the result depends on this only.
    tolerance : float, optional
        If given, search on until bound and smallest margin seen are this close, for exact margins.

    Returns
    -------
    BranchResult
        Bounds, worst perturbations found, and an honest status per sample.

    Raises
    ------
    TypeError, ValueError
        If the model is no such network, or data or threat do not fit it.

    References
    ----------
    .. [1] Own derivation [derived]; documentation, page "Evaluating a model", section "Branch and bound".
    """
    _warm_up()  # compiling is no search
    began = time.perf_counter()
    limit = check_real("seconds", seconds, above=0.0)
    most = check_integer("max_nodes", max_nodes, minimum=1)
    close = None if tolerance is None else check_real("tolerance", tolerance, above=0.0)
    samples, budget, neurons = _prepare(model, data, threat)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        problems = _Problems(neurons, samples, budget)
        searches = [s for i in range(len(samples.y)) for s in problems.searches(i)]
        nodes = min(_FIRST_NODES, most)
        while True:
            for search in searches:
                if search.done or time.perf_counter() - began > limit:
                    continue
                problems.run(search, nodes, close)
            if nodes == most or time.perf_counter() - began > limit or all(s.done for s in searches):
                break
            nodes = min(_GROWTH * nodes, most)
    limits = {"seconds": limit, "max_nodes": most, "tolerance": close}
    return _collect(model, as_samples(data), budget, problems, searches, limits, time.perf_counter() - began)


def _warm_up() -> None:
    """Compile the kernel, or load it from the cache."""
    one = np.zeros((1, 1))
    kernel.branch_and_bound(
        one, one, one[None], one, 1.0, one, one, one, 1.0, 1, kernel.SMOOTHED, 2.0, 1.0, 0.0, 0.0, 0.0, 1,
        0, one.copy(),
    )  # fmt: skip


def _prepare(
    model: Model, data: PatchData | tuple[Any, Any], threat: Threat
) -> tuple[Samples, Budget, NeuronSum]:
    neurons = neuron_sum(model)
    if neurons is None:
        raise TypeError(
            f"model must be a sum of neurons for branch and bound, got {type(model).__name__}; "
            "use certify_model"
        )
    if threat.subspace == "slice":
        raise ValueError("subspace must not be 'slice' for branch and bound: a cap is no ball; attack it")
    samples = patched(as_samples(data))
    if samples.X.ndim != 3 or samples.X.shape[2] != neurons.filters.shape[1]:
        raise ValueError(
            f"X must have shape (n, P, {neurons.filters.shape[1]}) like the filters, got {samples.X.shape}"
        )
    check_score_labels(samples.y, neurons.n_scores)
    budget = samples.bind(threat)
    if budget.pixels is not None:
        raise ValueError(
            "data must not have patches that share pixels for branch and bound; use certify_model"
        )
    return samples, budget, neurons


class _Problems:
    """The kernel's arrays for every sample, label and rival."""

    def __init__(self, neurons: NeuronSum, samples: Samples, budget: Budget) -> None:
        self.neurons, self.samples, self.budget = neurons, samples, budget
        self.apart = budget.threat.scope == "patch" or budget.threat.norm == "linf"
        self._pairs: dict[tuple[int, int], PatchProblems] = {}
        self._search_pairs: dict[int, PatchProblems] = {}
        self.kappa = tangent_ratio(neurons.power) if neurons.odd else 0.0

    def pair(self, label: int, rival: int) -> PatchProblems:
        """Return neurons and coordinates of one label and rival."""
        if (label, rival) not in self._pairs:
            self._pairs[label, rival] = PatchProblems.of(self.neurons.against(label, rival), self.budget)
        return self._pairs[label, rival]

    def searches(self, sample: int) -> list[_Search]:
        """Return the searches of one sample, one per rival."""
        label, k = int(self.samples.y[sample]), len(self.neurons.output)
        found = []
        for offset in range(1, max(k, 2)):
            pair = self.pair(label, (label + offset) % k)
            n = self.samples.X.shape[1] if self.apart else 1
            shape = (self.samples.X.shape[1] // n, pair.coordinates.rank)
            search = _Search(sample, np.full(n, -np.inf), np.full(n, np.inf), [np.zeros(shape)] * n)
            self._search_pairs[id(search)] = pair
            found.append(search)
        return found

    def run(self, search: _Search, nodes: int, close: float | None) -> None:
        """Search with up to `nodes` boxes; all patches apart share what is left of the margin."""
        pair, i = self._search_pairs[id(search)], search.sample
        parts = [slice(p, p + 1) for p in range(len(search.bounds))] if self.apart else [slice(None)]
        if not np.isfinite(search.uppers).all():  # first visit: the clean values
            for j, part in enumerate(parts):
                self._take(search, j, self._search(pair, i, part, -math.inf, 0.0, 0))
        for j, part in enumerate(parts):
            total = float(search.uppers.sum())
            if self._decided(search, close):
                break
            if close is not None:
                enough, tolerance = math.inf, close / len(parts)
            elif len(parts) == 1:
                enough, tolerance = 0.0, 1e-9 * max(abs(total), 1e-300)
            else:  # each patch may keep its share of the margin as a gap
                enough, tolerance = math.inf, 0.9 * max(total, 0.0) / len(parts)
            if search.uppers[j] - search.bounds[j] <= tolerance:
                continue
            self._take(search, j, self._search(pair, i, part, enough, tolerance, nodes))
        search.done = self._decided(search, close)

    def _search(
        self, pair: PatchProblems, i: int, part: slice, enough: float, tolerance: float, nodes: int
    ) -> tuple[float, float, int, int, FloatArray]:
        """Run the kernel on some patches of a sample: bound, value found, nodes, status, and where."""
        at, n, radius = pair.at(self.samples.X, i), self.neurons, self.budget.radius
        shape = (len(at.z[part]), pair.coordinates.rank)
        point = np.zeros(shape)
        bound, upper, used, status = kernel.branch_and_bound(
            at.outer[part], at.z[part], at.filters[part], at.tilt[part], float(at.offset[part].sum()),
            at.slack[part], np.full(shape, -radius), np.full(shape, radius),
            np.inf if self.budget.threat.norm == "linf" else radius, self.samples.X.shape[2], n.kind,
            n.power, n.smoothing, self.kappa, enough + at.lost, tolerance, _ROUNDS, nodes, point,
        )  # fmt: skip
        return float(bound) - at.lost, float(upper), int(used), int(status), point

    @staticmethod
    def _take(search: _Search, j: int, found: tuple[float, float, int, int, FloatArray]) -> None:
        """Keep what the kernel found for one part."""
        bound, upper, used, status, point = found
        search.nodes += used
        search.bounds[j] = np.nan if status == kernel.INVALID else max(search.bounds[j], bound)
        if not upper > search.uppers[j]:
            search.uppers[j], search.points[j] = upper, point

    @staticmethod
    def _decided(search: _Search, close: float | None) -> bool:
        lower, upper = float(search.bounds.sum()), float(search.uppers.sum())
        if np.isnan(lower) or np.isnan(upper):
            return True
        if close is not None:
            return upper - lower <= close
        return lower > 0.0 or upper <= 0.0

    def perturbation(self, search: _Search) -> FloatArray:
        """Return the worst perturbation of a search in input coordinates, (P, d)."""
        pair = self._search_pairs[id(search)]
        return pair.coordinates.lift(search.sample, np.concatenate(search.points))


def _collect(
    model: Model,
    samples: Samples,
    budget: Budget,
    problems: _Problems,
    searches: list[_Search],
    limits: dict[str, Any],
    seconds: float,
) -> BranchResult:
    n = len(samples.y)
    lower, nodes = np.full(n, np.inf), np.zeros(n, np.int64)
    worst, delta = np.full(n, np.inf), np.zeros(problems.samples.X.shape)
    for search in searches:
        i = search.sample
        lower[i] = np.minimum(lower[i], search.bounds.sum())  # nan stays
        nodes[i] += search.nodes
        value = float(search.uppers.sum())
        if value < worst[i]:
            worst[i], delta[i] = value, problems.perturbation(search)
    delta = budget.project(delta).reshape(samples.X.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        clean = margins(model_scores(model, samples.X, samples.counts), samples.y)
        found = margins(model_scores(model, samples.X + delta, samples.counts), samples.y)
    delta[~(found < clean)] = 0.0
    upper = np.fmin(found, clean)
    lower = np.where(np.isneginf(lower) | ~np.isfinite(clean), np.nan, lower)
    status = np.where(lower > 0.0, "certified", np.where(upper <= 0.0, "broken", "open"))
    status = np.where(np.isnan(clean), "invalid", status)
    return BranchResult(
        lower_margin=lower,
        method="branch and bound",
        threat=budget.threat,
        status=status,
        upper_margin=upper,
        perturbation=delta,
        nodes=nodes,
        seconds=seconds,
        limits=limits,
    )
