r"""Settings at dimensions that no vector reaches: data and filters by their coordinates in Gram space.

``cgro-1e2`` to ``cgro-1e8`` have the exponents of Li & Li 2023 [source], with
:math:`\sigma_0^2 = \log d/d` and polylog d = log d [choice], integrated in log time: descent would need ten
thousand million steps. ``A-1e8`` and ``A-limit`` are the headline setting of that theory under the trainer as
it is. ``S1-*`` is S1 of the structured data with noise of fixed norm; the norm of the initial filters
is what dimension must not change (:func:`featsim.theory.barrier_norm`). All else is the simulator's [choice].
"""

from __future__ import annotations

import math

from featsim.attacks import FeatureAttack, SignalAttack, fgm, margin_step
from featsim.data import GramPatchSpec, GramSignalNoiseSpec, PatchDataSpec
from featsim.models import PowerNetworkSpec, TwoLayerSpec
from featsim.scenarios.cgro import A
from featsim.scenarios.scenario import Scenario, Training
from featsim.threats import Threat
from featsim.training import FlowSchedule, Mixture, RelativeSchedule, Schedule
from featsim.validation import check_bool, check_real

PAPER_DIMS = (1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_WEIGHT = 0.5


def attacked_strength(dim: float, polylog: bool = True) -> float:
    r"""Return :math:`\tilde\alpha = \alpha/(\sqrt d L)` at the paper's exponents, without its cancellation.

    Parameters
    ----------
    dim : float
        d.
    polylog : bool
        Whether L = log d, else 1.

    Returns
    -------
    float
        What the attack leaves of the signal.
    """
    return float(dim**0.249 / (math.sqrt(dim) * (math.log(dim) if polylog else 1.0)))


def paper_exponents(
    dim: float, *, polylog: bool = True, n_samples: int = 20, width: int = 10, n_points: int = 200
) -> Scenario:
    r"""Return Li & Li 2023 at the paper's exponents, in any dimension.

    :math:`\alpha = d^{0.249}`, :math:`\sigma = d^{-0.509}`,
    :math:`\delta = \alpha(1 - 1/(\sqrt d\,L))`, :math:`\sigma_0^2 = \log d/d`, three patches, cubic, attack
    ``fixed``, :math:`\lambda = 1/2`, until four times the predicted median time of memorisation.

    Parameters
    ----------
    dim : float
        d, at least 10.
    polylog : bool
        Whether L = log d, or 1.
    n_samples, width : int
        N and m.
    n_points : int
        Recorded points in log time.

    Returns
    -------
    Scenario
        With a :class:`featsim.training.FlowSchedule`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.
    """
    d = check_real("dim", dim, minimum=10.0)
    alpha, noise, start = d**0.249, d**-0.009, math.sqrt(math.log(d) / d)
    radius = alpha - attacked_strength(d, check_bool("polylog", polylog))
    # The largest of 2 m normals is about 1.87 for m = 10: v_0 of the median sample.
    end = 4.0 * 2.0 * n_samples / (3.0 * _WEIGHT * noise**3 * 1.87 * start)
    schedule = FlowSchedule(n_steps=n_points, end_time=end)
    attack = SignalAttack(radius=radius)
    words = "log d" if polylog else "1"
    return Scenario(
        name=f"gram-space/cgro{'' if polylog else '-flat'}-{_power_of_ten(d)}",
        title=f"Li & Li 2023 at the paper's exponents, d = {d:g}, L = {words}, in log time",
        data=GramSignalNoiseSpec(dim=d, signal_strength=alpha, noise_norm=noise),
        n_samples=n_samples,
        model=PowerNetworkSpec(width=width, init_std=start),
        trainings={
            "standard": Training(schedule=schedule, attack=Mixture(attack=attack, weight=0.0)),
            "adversarial": Training(schedule=schedule, attack=Mixture(attack=attack, weight=_WEIGHT)),
        },
        evaluations=(attack, attack.replace(rule="worst")),
    )


def structured(
    dim: float,
    *,
    radius: float = 0.42,
    start_norm: float = 0.06,
    noise_norm: float = 0.0894,
    attack_step_size: float = 1000.0,
    n_steps: int = 5000,
) -> Scenario:
    r"""Return S1 of the structured data at any dimension, with relative steps.

    Parameters
    ----------
    dim : float
        d.
    radius : float
        Training radius, per patch.
    start_norm : float
        :math:`\sigma_0\sqrt d`, the norm of the initial filters.
    noise_norm : float
        :math:`\sigma_n\sqrt d`; 0.0894 is 0.02 per coordinate at d = 20. Without noise, repeats are merged.
    attack_step_size : float
        :math:`\eta_{in}`.
    n_steps : int
        Largest number of steps.

    Returns
    -------
    Scenario
        Until the loss of the training is 0.02, or the elapsed time :math:`10^6\sqrt d`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.
    """
    d = check_real("dim", dim, minimum=9.0)
    threat = Threat(radius=radius)
    # What is learned is learned within some hundred sqrt(d); a run that stands still goes on to times at
    # which its steps add up the rounding of gradients.
    schedule = RelativeSchedule(n_steps=n_steps, stop_loss=0.02, stop_time=1e6 * math.sqrt(d))
    return Scenario(
        name=f"gram-space/S1-{_power_of_ten(d)}",
        title=f"S1 of the structured data with noise of fixed norm, d = {d:g}",
        data=GramPatchSpec(dim=d, noise_norm=noise_norm),
        n_samples=8 if noise_norm > 0.0 else 4,
        model=TwoLayerSpec(init_std=start_norm / math.sqrt(d)),
        trainings={
            "standard": Training(schedule=schedule),
            "adversarial": Training(schedule=schedule, attack=margin_step(threat, attack_step_size)),
        },
        evaluations=(FeatureAttack(radius=radius), fgm(threat)),
        merge_repeats=noise_norm == 0.0,
    )


def _power_of_ten(dim: float) -> str:
    return f"{dim:.0e}".replace("e+0", "e").replace("e+", "e") if dim >= 100.0 else f"{dim:g}"


def _headline(dim: float, name: str, title: str) -> Scenario:
    data = GramSignalNoiseSpec(dim=dim, signal_strength=2.0)
    return A.replace(name=f"gram-space/{name}", title=title, data=data, evaluations=A.evaluations[:2])


A_LARGE = _headline(1e8, "A-1e8", "cgro/A at d = 1e8, under the trainer as it is")
A_LIMIT = _headline(math.inf, "A-limit", "cgro/A in the limit of infinite dimension: orthogonal noise")

_THREAT = Threat(radius=0.35)
VECTORS = Scenario(
    name="gram-space/vectors",
    title="Vectors of dimension 2000 whose rank is 78: trained in their span, the same run to rounding",
    data=PatchDataSpec(n_classes=3, n_nonrobust_patches=9, dim=2000, noise_std=0.02),
    n_samples=6,
    model=TwoLayerSpec(width=4),
    trainings={
        "standard": Training(schedule=Schedule(n_steps=200)),
        "adversarial": Training(schedule=Schedule(n_steps=200), attack=margin_step(_THREAT, 1000.0)),
    },
    evaluations=(FeatureAttack(radius=0.35), fgm(_THREAT)),
)

SCENARIOS = (
    *(paper_exponents(dim) for dim in PAPER_DIMS),
    paper_exponents(1e8, polylog=False),
    A_LARGE,
    A_LIMIT,
    structured(1e3),
    structured(1e6),
    structured(1e8),
    VECTORS,
)
