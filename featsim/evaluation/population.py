r"""Population statistics of a power network on signal-plus-noise data, with standard errors."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from featsim.attacks import line_margins
from featsim.data import SignalNoiseData, sample_like
from featsim.models import PowerNetwork, wilson_interval
from featsim.validation import FloatArray, check_generator, check_integer, check_real

_BLOCK = 4096


@dataclasses.dataclass(frozen=True)
class PopulationAccuracy:
    """An accuracy on fresh samples.

    Attributes
    ----------
    value : float
        Share of samples with positive margin.
    standard_error : float
        Binomial standard error.
    interval : tuple of float
        95 % Wilson interval.
    predicted : float
        What theory predicts: the probability that the noise part, drawn from other samples and
        taken with both signs, exceeds minus the signal score.
    predicted_error : float
        Its binomial standard error.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]
    predicted: float
    predicted_error: float


@dataclasses.dataclass(frozen=True)
class Population:
    """What a network does on fresh samples.

    Attributes
    ----------
    n_samples : int
        Fresh samples behind the accuracies; as many again are behind the predictions.
    noise_mean, noise_mean_error : float
        Mean of the noise part y f_noise and its standard error; symmetric about 0 in theory.
    noise_sd, noise_sd_error : float
        Its standard deviation and the standard error of that (from the fourth moment).
    clean, fixed, worst : PopulationAccuracy
        Accuracy clean and under both line attacks, never mixed.
    radius : float
        Radius of the attacks.
    """

    n_samples: int
    noise_mean: float
    noise_mean_error: float
    noise_sd: float
    noise_sd_error: float
    clean: PopulationAccuracy
    fixed: PopulationAccuracy
    worst: PopulationAccuracy
    radius: float

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return dataclasses.asdict(self)


def population(
    network: PowerNetwork,
    data: SignalNoiseData,
    radius: float,
    n_samples: int,
    rng: np.random.Generator,
) -> Population:
    """Evaluate on fresh samples of the distribution `data` were drawn from.

    Parameters
    ----------
    network : PowerNetwork
        Trained network.
    data : SignalNoiseData
        Samples drawn from a SignalNoiseSpec; only w* and the distribution are used.
    radius : float
        Radius of the line attacks, at least 0.
    n_samples : int
        Fresh samples, at least 2; twice as many are drawn.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Population
        Accuracies and noise statistics with their standard errors.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible, or the data were made from arrays.
    """
    delta = check_real("radius", radius, minimum=0.0)
    n = check_integer("n_samples", n_samples, minimum=2)
    check_generator("rng", rng)
    margins, other = (_fresh_margins(network, data, delta, n, rng) for _ in range(2))
    noise = margins["memory"]
    centred = noise - noise.mean()
    variance = float(np.mean(centred**2))
    sd = math.sqrt(variance)
    spread = math.sqrt(max(float(np.mean(centred**4)) - variance**2, 0.0) / n)
    accuracies = {}
    for name in ("clean", "fixed", "worst"):
        signal = other[name] - other["memory"]
        mirrored = np.stack([signal + other["memory"], signal - other["memory"]])
        accuracies[name] = _accuracy(margins[name], mirrored)
    return Population(
        n_samples=n,
        noise_mean=float(noise.mean()),
        noise_mean_error=sd / math.sqrt(n),
        noise_sd=sd,
        noise_sd_error=spread / (2.0 * sd) if sd > 0.0 else 0.0,
        radius=delta,
        **accuracies,
    )


def _fresh_margins(
    network: PowerNetwork, data: SignalNoiseData, radius: float, n: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    blocks = []
    for start in range(0, n, _BLOCK):
        fresh = sample_like(data, min(_BLOCK, n - start), rng)
        if not isinstance(fresh, SignalNoiseData):
            raise TypeError(f"data must be SignalNoiseData, got {type(data).__name__}")
        found = line_margins(network, fresh, radius)
        blocks.append({name: found[name] for name in ("memory", "clean", "fixed", "worst")})
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _accuracy(margin: FloatArray, predicted: FloatArray) -> PopulationAccuracy:
    n = len(margin)
    hits = int(np.sum(margin > 0.0))
    share, guess = hits / n, float(np.mean(predicted > 0.0))
    # Two mirror images of a sample are not independent: the error is that of n pairs.
    pairs = np.mean(predicted > 0.0, axis=0)
    return PopulationAccuracy(
        value=share,
        standard_error=math.sqrt(share * (1.0 - share) / n),
        interval=wilson_interval(hits, n),
        predicted=guess,
        predicted_error=float(np.std(pairs)) / math.sqrt(n),
    )
